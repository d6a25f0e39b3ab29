//! What every test against a real API server needs: control planes that start from prepared data, people with certificates,
//! watches that see every state, and the operator as a process.
//!
//! It does not depend on the operator's library: everything goes over the API, as for any user.

mod analytics;
mod arguments;
pub mod aws;
mod collector;
mod commands;
mod components;
mod control_plane;
mod directory;
mod issuer;
mod jsonpath;
mod kinds;
mod kubelet;
mod machine;
mod operator;
mod pki;
mod prepared;
mod process;
mod receivers;
mod rest;
mod stored;
mod tls;
mod usage;
mod user;
mod watch;
mod wire;
mod world;

pub use analytics::Analytics;
pub use arguments::Selection;
pub use collector::{Answers, Collector, ReceivedSpan};
pub use control_plane::{Component, ControlPlane, servers_as_shipped};
pub use directory::{Call, Config as DirectoryConfig, SimulatedDirectory, Throttle};
pub use issuer::{Issuer, unix_now};
pub use jsonpath::evaluate;
pub use kubelet::Kubelet;
pub use machine::{free_port, helm};
pub use operator::{Operator, OperatorSpec, SHIPPED_TIMING, metric};
pub use prepared::Stage;
pub use receivers::{Mail, Posted, Receivers};
pub use user::{Output, User};
pub use watch::{History, Watch};
pub use wire::Wire;
pub use world::{World, built, operator_binary, path, root, standing_role};

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Probes until `f` has something, or fails after `limit` and names what it waited for. The pause between probes is 50 ms at first
/// and a twentieth of the time that has passed later on, up to 400 ms.
///
/// For what no watch shows. What a watch shows is waited for with [`World::until`] and its relatives, which miss no state.
///
/// # Errors
/// After `limit`, with the last error.
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
        tokio::time::sleep((begun.elapsed() / 20).clamp(Duration::from_millis(50), Duration::from_millis(400))).await;
    }
    bail!("waited {limit:?} for {what}; last: {last}")
}

/// Half a minute: how long anything that happens within seconds may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
