//! What the operator costs while nothing happens, and how soon it works after a start: with no grant, and with many live ones.
//!
//!     make bench    (GRANTS=n: how many live grants; CURFEW_BIN: another operator, such as a release build)
//!
//! Counted over a minute each time: calls in the API server's audit log, connections that were opened (each has a TLS handshake),
//! processor time and resident memory of the process. Then the
//! operator is killed, a grant becomes overdue, and the operator starts again: the time until the binding is gone, beside the time in
//! which a client reads the lists that the operator reads first. Timings are those of release builds (`src/timing.rs`).
mod measure;

use anyhow::Result;
use curfew_testkit::{ControlPlane, Operator, OperatorSpec, SHIPPED_TIMING, Stage, Wire, World, operator_binary};
use measure::{NAMESPACE, calls, mebibytes, memory, processor, request, since, start_again};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);
/// Until counts and Events of what happened before are written.
const SETTLED: Duration = Duration::from_secs(40);
/// How many requests are sent at a time.
const CONNECTIONS: usize = 8;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    curfew_testkit::servers_as_shipped();
    let grants: usize = std::env::var("GRANTS").map_or(Ok(300), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("audit.jsonl");
    let world = World { cp: ControlPlane::start_with("rest", Stage::First, Some(log.clone())).await? };
    let wire = Wire::to(&world.cp)?;
    let user = wire.user(&world.cp.service_account("curfew-system", "curfew-operator").await?)?;
    let envs = vec![(SHIPPED_TIMING.0.into(), SHIPPED_TIMING.1.into())];
    let spec = OperatorSpec { binary: operator_binary()?, name: "rest".into(), user, envs, args: Vec::new() };
    let operator = Operator::spawn(&world.cp, &spec)?;
    world.granting().await?;
    world.unapproved_role().await?;
    tokio::time::sleep(SETTLED).await;
    println!("{} connections opened since the start", wire.opened());
    let idle = a_minute(&operator, &wire, &log).await?;
    idle.print("no grant");

    let alice = world.alice()?;
    alice.flood(NAMESPACE, (0..grants).map(|i| request(&format!("live-{i}"), "4h")), CONNECTIONS).await?;
    let begun = Instant::now();
    let active = |states: &str| states.split(' ').filter(|state| *state == "Active").count() == grants;
    world.field_fits(&["grt"], "{.items[*].status.state}", "to be all Active", MINUTE * 10, active).await?;
    println!("{grants} grants active {:.0} s after the last request", begun.elapsed().as_secs_f32());
    tokio::time::sleep(SETTLED).await;
    let loaded = a_minute(&operator, &wire, &log).await?;
    loaded.print(&format!("{grants} live grants"));

    let (_operator, start) = start_again(&world, operator, "overdue").await?;
    println!(
        "started again: an overdue binding is gone after {} ms; the lists alone take a client {} ms",
        start.gone.as_millis(),
        start.lists.as_millis()
    );
    Ok(())
}

/// What the operator did in a minute.
struct Minute {
    calls: BTreeMap<String, usize>,
    /// Connections to the API server that were opened.
    opened: u64,
    /// Milliseconds of processor time.
    cpu: u64,
    /// Resident memory in KiB.
    memory: u64,
}

impl Minute {
    fn print(&self, when: &str) {
        let all: usize = self.calls.values().sum();
        println!(
            "{when}: {all} calls, {} connections opened, {} ms of processor time in a minute, {:.1} MiB resident",
            self.opened,
            self.cpu,
            mebibytes(self.memory)
        );
        for (what, n) in &self.calls {
            println!("  {n:5}  {what}");
        }
    }
}

async fn a_minute(operator: &Operator, wire: &Wire, log: &Path) -> Result<Minute> {
    let (before, opened, cpu) = (calls(log)?, wire.opened(), processor(operator)?);
    tokio::time::sleep(MINUTE).await;
    let (calls, memory) = (since(&before, calls(log)?), memory(operator)?);
    Ok(Minute { calls, opened: wire.opened() - opened, cpu: processor(operator)? - cpu, memory })
}
