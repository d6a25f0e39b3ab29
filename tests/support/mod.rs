//! What every test against a real API server needs: a control plane, people with certificates, the operator as a process.
// Each test binary and the demo use a part of this.
#![allow(dead_code, unused_imports)]

mod control_plane;
mod operator;
mod pki;
mod process;
mod user;
mod world;

pub use control_plane::{Component, ControlPlane};
pub use operator::{Operator, OperatorSpec, metric};
pub use user::{Output, User};
pub use world::{World, operator_binary, path, root};

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Probes every 50 ms until `f` has something, or fails after `limit` and names what it waited for.
///
/// Never a bare sleep: what is waited for is asked for, and a test that waits in vain says so.
pub async fn eventually<T, F, Fut>(what: &str, limit: Duration, mut f: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let begun = Instant::now();
    let mut last = String::from("nothing");
    while begun.elapsed() < limit {
        match f().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => last = "not yet".into(),
            Err(e) => last = format!("{e:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("waited {limit:?} for {what}; last: {last}")
}

/// Half a minute: how long anything that happens within seconds may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
