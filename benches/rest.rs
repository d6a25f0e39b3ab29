//! What the operator costs while nothing happens, and how soon it works after a start: with no grant, and with many live ones.
//!
//!     make bench    (GRANTS=n: how many live grants; CURFEW_BIN: another operator, such as a release build)
//!
//! Counted over a minute each time: calls in the API server's audit log, connections that were opened (each has a TLS handshake),
//! processor time and resident memory of the process. Then the
//! operator is killed, a grant becomes overdue, and the operator starts again: the time until the binding is gone, beside the time in
//! which a client reads the lists that the operator reads first. Timings are those of release builds (`src/timing.rs`).
use anyhow::{Context, Result};
use curfew::api::{ActivationRequest, Grant};
use curfew_testkit::{ControlPlane, Operator, OperatorSpec, SHIPPED_TIMING, SOON, Stage, Wire, World, eventually, operator_binary};
use k8s_openapi::api::{batch::v1::Job, rbac::v1::RoleBinding};
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

const OPERATOR: &str = "system:serviceaccount:curfew-system:curfew-operator";
const NAMESPACE: &str = "payments";
const MINUTE: Duration = Duration::from_secs(60);
/// Until counts and Events of what happened before are written.
const SETTLED: Duration = Duration::from_secs(40);
/// How many requests are sent at a time.
const CONNECTIONS: usize = 8;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
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

    start_again(&world, operator).await
}

fn request(name: &str, duration: &str) -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"roleRef": {"name": "unapproved"}, "duration": duration, "justification": "bench"},
    })
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
    let (mut calls, memory) = (calls(log)?, memory(operator)?);
    calls.iter_mut().for_each(|(what, n)| *n -= before.get(what).unwrap_or(&0));
    calls.retain(|_, n| *n > 0);
    Ok(Minute { calls, opened: wire.opened() - opened, cpu: processor(operator)? - cpu, memory })
}

/// The operator's calls so far, by verb and resource. A watch counts when it ends.
fn calls(log: &Path) -> Result<BTreeMap<String, usize>> {
    let mut calls = BTreeMap::new();
    for line in std::fs::read_to_string(log).context("no audit log")?.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if event["user"]["username"] == OPERATOR && event["stage"] == "ResponseComplete" {
            *calls.entry(format!("{} {}", text(&event["verb"]), text(&event["objectRef"]["resource"]))).or_default() += 1;
        }
    }
    Ok(calls)
}

/// Processor time of the process in milliseconds: user and system, fields 14 and 15 of `/proc/PID/stat`, in hundredths of a second.
fn processor(operator: &Operator) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", operator.pid()))?;
    let (_, after_name) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok((fields[11].parse::<u64>()? + fields[12].parse::<u64>()?) * 10)
}

fn memory(operator: &Operator) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[allow(clippy::cast_precision_loss)]
fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

/// Kills the operator while one grant is live, and starts it when that is overdue.
async fn start_again(world: &World, operator: Operator) -> Result<()> {
    world.alice()?.flood(NAMESPACE, std::iter::once(request("overdue", "20s")), 1).await?;
    world.state_is("overdue", "Active").await?;
    let client = world.cp.admin().await?;
    let due = world.field(&["areq", "-n", NAMESPACE, "overdue"], "{.status.expiresAt}").await?.parse::<jiff::Timestamp>()?;
    let all: Api<Grant> = Api::all(client.clone());
    let grant = all.list(&ListParams::default()).await?.items.into_iter().find(|g| g.spec.request.name == "overdue");
    let label = format!("curfew.dev/grant={}", grant.and_then(|g| g.metadata.name).context("no Grant for the request")?);
    drop(operator);
    // A replica without the lease leaves what is due to the holder for a moment, which does not count as a start.
    let left_to_the_holder = curfew::timing::SHIPPED.follower_delay_millis;
    let wait = due.as_millisecond() + left_to_the_holder - jiff::Timestamp::now().as_millisecond();
    tokio::time::sleep(Duration::from_millis(wait.max(0).unsigned_abs())).await;

    let floor = lists(&client).await?;
    let begun = Instant::now();
    let started = world.operator_with("again", &[SHIPPED_TIMING]);
    let bindings: Api<RoleBinding> = Api::namespaced(client, NAMESPACE);
    let gone = eventually("the overdue binding to be gone", SOON, || async {
        let left = bindings.list_metadata(&ListParams::default().labels(&label)).await?.items.len();
        Ok((left == 0).then(|| begun.elapsed()))
    });
    let (_operator, gone) = tokio::try_join!(started, gone)?;
    println!(
        "started again: an overdue binding is gone after {} ms; the lists alone take a client {} ms",
        gone.as_millis(),
        floor.as_millis()
    );
    Ok(())
}

/// How long a client takes to read what the operator lists first, one list after another, in pages of 500.
async fn lists(client: &Client) -> Result<Duration> {
    let begun = Instant::now();
    pages(&Api::<ActivationRequest>::all(client.clone())).await?;
    pages(&Api::<Grant>::all(client.clone())).await?;
    pages(&Api::<RoleBinding>::all(client.clone())).await?;
    pages(&Api::<Job>::all(client.clone())).await?;
    Ok(begun.elapsed())
}

async fn pages<K>(api: &Api<K>) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut page = ListParams::default().limit(500);
    while let Some(next) = api.list(&page).await?.metadata.continue_.filter(|next| !next.is_empty()) {
        page = page.continue_token(&next);
    }
    Ok(())
}
