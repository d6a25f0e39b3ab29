//! What a flood of junk does to the ends of 50 grants: 20,000 decisions about nothing and 5,000 requests as large as they may be.
//!
//! Three rounds: without junk, while the junk is created, and with all of it stored. Each prints by how much the bindings outlived
//! the deadline in their names, as a watch shows it, and the floor: how long the same watch takes to show that a binding is gone which
//! this program deletes itself, five times a second, for as long as the grants end. The API server shares its processors with the flood,
//! and no operator is faster than its answers. Then it prints how much memory a junk object takes. It fails if the ends of a later round
//! come, on average, later than twice those of the first, and if they are slower by more than the floor is. `make flood` runs it (a
//! quarter of an hour); `CURFEW_BIN` names another operator to measure, `JUNK` another number of decisions, and `SLOW=3` lets grants last
//! three times as long, for a machine that does not begin 50 of them within a minute.
use anyhow::{Context, Result, ensure};
use curfew_core::{target::kubernetes::names::BindingName, time::Time};
use curfew_testkit::{Operator, SOON, User, World, metric};
use futures::TryStreamExt;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const GRANTS: usize = 50;
const CONNECTIONS: usize = 16;
/// The pause between two deletions by hand.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    curfew_testkit::servers_as_shipped();
    let junk: usize = std::env::var("JUNK").ok().map_or(Ok(20_000), |n| n.parse())?;
    let slow: u32 = std::env::var("SLOW").ok().map_or(Ok(1), |n| n.parse())?;
    let secs = |n: u64| Duration::from_secs(n) * slow;
    let world = World::first("flood").await?;
    let operator = world.operator("flood").await?;
    world.granting().await?;
    world.unapproved_role().await?;
    let (alice, ends, mut hand) = (world.alice()?, Ends::watch(&world).await?, ByHand::watch(&world).await?);

    let quiet = round(&world, &alice, (&ends, &mut hand), "quiet", secs(60), std::future::ready(Ok(()))).await?;
    let before = memory(&operator)?;
    let flood = async {
        let begun = Instant::now();
        let (decisions, requests) = ((0..junk).map(decision), (0..junk / 4).map(large_request));
        tokio::try_join!(alice.flood("payments", decisions, CONNECTIONS / 2), alice.flood("payments", requests, CONNECTIONS / 2))?;
        println!("{} objects created in {} s", junk + junk / 4, begun.elapsed().as_secs());
        Ok(())
    };
    // The flood lasts for longer than these grants.
    let during = round(&world, &alice, (&ends, &mut hand), "during", secs(90), flood).await?;
    let begun = Instant::now();
    let judged = judged(&world, &operator, junk).await?;
    println!("all {judged} judged {} s later", begun.elapsed().as_secs());
    let after = memory(&operator)?;
    println!(
        "operator: {before} KiB before, {after} KiB after, {} bytes for each junk object",
        (after - before) * 1024 / (junk + junk / 4)
    );
    let stored = round(&world, &alice, (&ends, &mut hand), "stored", secs(60), std::future::ready(Ok(()))).await?;
    for (name, mean) in [("while junk is created", during), ("with the junk stored", stored)] {
        let (slower, floor) = (to_float(mean.ends) / to_float(quiet.ends.max(1)), to_float(mean.by_hand) / to_float(quiet.by_hand.max(1)));
        println!("{name}: {slower:.1} times the lag without junk; a deletion by hand takes {floor:.1} times as long");
        ensure!(
            slower <= floor.max(2.0),
            "{name}, the ends come {slower:.1} times as late, and a deletion by hand takes {floor:.1} times as long"
        );
    }
    Ok(())
}

/// What a round has shown, in milliseconds.
#[derive(Clone, Copy)]
struct Lags {
    /// The mean lag of the grants.
    ends: i64,
    /// The mean time of a deletion by hand, at the same time.
    by_hand: i64,
}

/// Lets 50 grants last for so long and end, while `meanwhile` runs.
async fn round(
    world: &World,
    alice: &User,
    (ends, hand): (&Ends, &mut ByHand),
    name: &str,
    within: Duration,
    meanwhile: impl Future<Output = Result<()>>,
) -> Result<Lags> {
    let duration = format!("{}s", within.as_secs());
    let ask = |i: usize| {
        json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": format!("{name}-{i}"), "namespace": "payments"},
            "spec": {"roleRef": {"name": "unapproved"}, "duration": duration, "justification": "flood"},
        })
    };
    alice.flood("payments", (0..GRANTS).map(ask), CONNECTIONS).await?;
    let active = |states: &str| states.split(' ').filter(|state| *state == "Active").count() == GRANTS;
    world.field_fits(&["grt"], "{.items[*].status.state}", "to be 50 times Active", within, active).await?;
    let mut by_hand = Vec::new();
    let over = async {
        let floor = async {
            loop {
                by_hand.push(hand.delete_one().await?);
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            lags = ends.wait(GRANTS, within + SOON * 4) => lags,
            stopped = floor => stopped,
        }
    };
    let (lags, ()) = tokio::try_join!(over, meanwhile)?;
    let mean = |all: &[i64]| -> Result<i64> { Ok(all.iter().sum::<i64>() / i64::try_from(all.len())?) };
    let found = Lags { ends: mean(&lags)?, by_hand: mean(&by_hand)? };
    println!("{name}: {} ends, {} ms late on average, {} ms at most", lags.len(), found.ends, lags.iter().max().unwrap_or(&0));
    println!(
        "{name}: {} bindings deleted by hand, gone after {} ms on average, {} ms at most",
        by_hand.len(),
        found.by_hand,
        by_hand.iter().max().unwrap_or(&0)
    );
    Ok(found)
}

/// By how many milliseconds each binding outlived the deadline in its name.
struct Ends(Arc<Mutex<Vec<i64>>>);

impl Ends {
    async fn watch(world: &World) -> Result<Self> {
        let bindings: Api<RoleBinding> = Api::namespaced(world.cp.admin().await?, "payments");
        let lags = Arc::new(Mutex::new(Vec::new()));
        let seen = lags.clone();
        let events = watcher::watcher(bindings, watcher::Config::default().labels("curfew.dev/grant")).default_backoff();
        tokio::spawn(events.try_for_each(move |event| {
            if let watcher::Event::Delete(gone) = event
                && let Some(name) = BindingName::parse(&gone.name_any())
            {
                seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(now().millis_since(name.deadline));
            }
            std::future::ready(Ok(()))
        }));
        Ok(Ends(lags))
    }

    async fn wait(&self, count: usize, limit: Duration) -> Result<Vec<i64>> {
        curfew_testkit::eventually(&format!("{count} bindings to be deleted"), limit, || async {
            let mut lags = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok((lags.len() >= count).then(|| std::mem::take(&mut *lags)))
        })
        .await
    }
}

/// Bindings that this program creates and deletes itself: what a deletion takes while no operator is involved.
struct ByHand {
    bindings: Api<RoleBinding>,
    gone: mpsc::UnboundedReceiver<String>,
    next: usize,
}

impl ByHand {
    async fn watch(world: &World) -> Result<Self> {
        let bindings: Api<RoleBinding> = Api::namespaced(world.cp.admin().await?, "payments");
        let (seen, gone) = mpsc::unbounded_channel();
        let events = watcher::watcher(bindings.clone(), watcher::Config::default().labels("flood=by-hand")).default_backoff();
        tokio::spawn(events.try_for_each(move |event| {
            if let watcher::Event::Delete(binding) = event {
                // The receiver is gone when the benchmark is over.
                drop(seen.send(binding.name_any()));
            }
            std::future::ready(Ok(()))
        }));
        Ok(ByHand { bindings, gone, next: 0 })
    }

    /// How many milliseconds after the call the watch shows that a binding is gone.
    async fn delete_one(&mut self) -> Result<i64> {
        let name = format!("by-hand-{}", self.next);
        self.next += 1;
        let binding = json!({
            "metadata": {"name": name, "labels": {"flood": "by-hand"}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "by-hand"}],
        });
        self.bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
        let begun = Instant::now();
        self.bindings.delete(&name, &DeleteParams::default()).await?;
        while self.gone.recv().await.context("the watch has ended")? != name {}
        Ok(i64::try_from(begun.elapsed().as_millis())?)
    }
}

/// Waits until every junk object has its verdict; returns how many there are.
async fn judged(world: &World, operator: &Operator, junk: usize) -> Result<usize> {
    let decisions: Api<kube::api::DynamicObject> = Api::namespaced_with(
        world.cp.admin().await?,
        "payments",
        &kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("curfew.dev", "v1alpha1", "AccessDecision")),
    );
    let unjudged = async || -> Result<usize> {
        let (mut open, mut list) = (0, kube::api::ListParams::default().limit(1000));
        loop {
            let page = decisions.list(&list).await?;
            let final_ =
                |o: &kube::api::DynamicObject| o.data["status"]["conditions"][0]["status"].as_str().is_some_and(|s| s != "Unknown");
            open += page.items.iter().filter(|o| !final_(o)).count();
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => list = list.continue_token(&next),
                None => return Ok(open),
            }
        }
    };
    let begun = Instant::now();
    loop {
        let answer = operator.get("/metrics").await?;
        let requests = metric(&answer, "curfew_requests{state=\"Invalid\"}").unwrap_or(0.0);
        let open = unjudged().await?;
        if requests >= to_float(i64::try_from(junk / 4)?) && open == 0 {
            return Ok(junk + junk / 4);
        }
        ensure!(
            begun.elapsed() < SOON * 10,
            "{open} decisions and {} requests have no verdict",
            to_float(i64::try_from(junk / 4)?) - requests
        );
        // To look is work for the API server, too: it lists every decision.
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
}

fn decision(i: usize) -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": format!("junk-{i}"), "namespace": "payments"},
        "spec": {"about": {"activationRequest": {"name": format!("nothing-{i}")}}, "digest": "0".repeat(64), "decision": "Approve", "comment": "x".repeat(1024)},
    })
}

fn large_request(i: usize) -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
        "metadata": {"name": format!("junk-{i}"), "namespace": "payments", "annotations": {"example.com/a": "x".repeat(4096)}},
        "spec": {"roleRef": {"name": format!("not-there-{i}")}, "duration": "1h", "justification": "x".repeat(1024),
            "ticket": {"system": "x".repeat(63), "number": "x".repeat(253)}, "ttlAfterFinished": "3650d",
            "permissions": {"kubernetes": {"clusterRoles": (0..16).map(|n| format!("{n}-{}", "x".repeat(200))).collect::<Vec<_>>()}}},
    })
}

fn now() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The resident memory of the operator, in KiB.
fn memory(operator: &Operator) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[allow(clippy::cast_precision_loss)]
fn to_float(n: i64) -> f64 {
    n as f64
}
