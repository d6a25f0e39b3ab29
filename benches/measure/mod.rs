//! What more than one benchmark measures: the operator's calls, its processor time and memory, and how soon it works after a start.
use anyhow::{Context, Result};
use curfew_testkit::{Component, Operator, SHIPPED_TIMING, World, eventually};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

const OPERATOR: &str = "system:serviceaccount:curfew-system:curfew-operator";
/// Where the requests are.
pub const NAMESPACE: &str = "payments";

/// A request for a role that needs no approval.
pub fn request(name: &str, duration: &str) -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"roleRef": {"name": "unapproved"}, "duration": duration, "justification": "bench"},
    })
}

/// The operator's calls so far, by verb and resource. A watch counts when it ends.
pub fn calls(log: &Path) -> Result<BTreeMap<String, usize>> {
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

/// The calls of `after` that are not in `before`.
pub fn since(before: &BTreeMap<String, usize>, mut after: BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    after.iter_mut().for_each(|(what, n)| *n -= before.get(what).unwrap_or(&0));
    after.retain(|_, n| *n > 0);
    after
}

/// Processor time of the process in milliseconds: user and system, fields 14 and 15 of `/proc/PID/stat`, in hundredths of a second.
pub fn processor(operator: &Operator) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", operator.pid()))?;
    let (_, after_name) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Ok((fields[11].parse::<u64>()? + fields[12].parse::<u64>()?) * 10)
}

/// Resident memory in KiB.
pub fn memory(operator: &Operator) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[allow(clippy::cast_precision_loss)]
pub fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

/// How soon an operator works after a start.
pub struct Start {
    /// From the start of the process until an overdue binding is gone.
    pub gone: Duration,
    /// What the lists alone take a client that the operator reads first.
    pub lists: Duration,
}

/// Kills the operator while the grant of a new request is live, and starts another when that is overdue.
pub async fn start_again(world: &World, operator: Operator, request_name: &str) -> Result<(Operator, Start)> {
    let client = world.cp.admin().await?;
    let lists = lists(&client).await?;
    world.alice()?.flood(NAMESPACE, std::iter::once(request(request_name, "20s")), 1).await?;
    world.state_is(request_name, "Active").await?;
    let what = ["areq", "-n", NAMESPACE, request_name];
    let due = world.field(&what, "{.status.expiresAt}").await?.parse::<jiff::Timestamp>()?;
    let label = format!("curfew.dev/grant={}", world.field(&what, "{.status.grantRef.name}").await?);
    drop(operator);
    // The fuse would end it, too, if the start takes long.
    world.cp.pause(Component::ControllerManager);
    // A replica without the lease leaves what is due to the holder for a moment, which does not count as a start.
    let left_to_the_holder = curfew::timing::SHIPPED.follower_delay_millis;
    let wait = due.as_millisecond() + left_to_the_holder - jiff::Timestamp::now().as_millisecond();
    tokio::time::sleep(Duration::from_millis(wait.max(0).unsigned_abs())).await;

    let begun = Instant::now();
    let replica = format!("after-{request_name}");
    let started = world.operator_with(&replica, &[SHIPPED_TIMING]);
    let bindings: Api<RoleBinding> = Api::namespaced(client, NAMESPACE);
    let gone = eventually("the overdue binding to be gone", Duration::from_secs(120), || async {
        let left = bindings.list_metadata(&ListParams::default().labels(&label)).await?.items.len();
        Ok((left == 0).then(|| begun.elapsed()))
    });
    let (operator, gone) = tokio::try_join!(started, gone)?;
    world.cp.resume(Component::ControllerManager);
    Ok((operator, Start { gone, lists }))
}

/// How long a client takes to read what the operator lists first, one list after another, in pages of 500. It looks at none of the objects.
async fn lists(client: &Client) -> Result<Duration> {
    let begun = Instant::now();
    for path in [
        "/apis/curfew.dev/v1alpha1/activationrequests",
        "/apis/curfew.dev/v1alpha1/grants",
        "/apis/rbac.authorization.k8s.io/v1/rolebindings",
        "/apis/batch/v1/jobs",
    ] {
        let mut next = String::new();
        loop {
            let page = client.request_text(http::Request::get(format!("{path}?limit=500&continue={next}")).body(Vec::new())?).await?;
            // A token is text without quotation marks.
            let token = page.rfind(CONTINUE).and_then(|at| page[at + CONTINUE.len()..].split('"').next());
            match token.filter(|token| !token.is_empty()) {
                Some(token) => next = token.to_owned(),
                None => break,
            }
        }
    }
    Ok(begun.elapsed())
}

const CONTINUE: &str = "\"continue\":\"";
