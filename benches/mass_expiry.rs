//! How late the operator removes what ends when many grants end at one moment, beside as many bindings that a client deletes, and how often
//! it deletes them, with two replicas: calls in the API server's audit log.
//!
//!     make bench    (GRANTS=n: another number of grants; CURFEW_BIN: another operator)
//!
//! One grant is requested and approved. The others are copied from it as the operator would have written them, so that they all end
//! in the same second; both replicas are paused meanwhile.
use anyhow::{Context, Result, ensure};
use curfew::api::Grant;
use curfew_core::{
    target::{Plan, kubernetes::names::BindingName},
    time::Time,
};
use curfew_testkit::{ControlPlane, SHIPPED_TIMING, Stage, World};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{batch::v1::Job, rbac::v1::RoleBinding};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

const OPERATOR: &str = "system:serviceaccount:curfew-system:curfew-operator";
/// Seconds until all grants end: time to write them, and to let the replicas read them.
const ENDS_IN_SECS: i64 = 35;
/// How many calls are sent at a time.
const CONNECTIONS: usize = 16;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    curfew_testkit::servers_as_shipped();
    let grants: u64 = std::env::var("GRANTS").map_or(Ok(300), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("audit.jsonl");
    let world = World { cp: ControlPlane::start_with("mass-expiry", Stage::First, Some(log.clone())).await? };
    let leader = world.operator_with("leader", &[SHIPPED_TIMING]).await?;
    world.granting().await?;
    let begun = Instant::now();
    let follower = world.operator_with("follower", &[SHIPPED_TIMING]).await?;
    let pattern = pattern(&world).await?;
    let client = world.cp.service_account("curfew-system", "curfew-operator").await?.client().await?;
    leader.pause();
    follower.pause();
    let due = Time::from_secs(jiff::Timestamp::now().as_second() + ENDS_IN_SECS);
    let copies = stream::iter((1..=grants).map(|n| copy(client.clone(), pattern.clone(), n, due)));
    copies.buffer_unordered(CONNECTIONS).try_collect::<Vec<()>>().await?;
    leader.resume();
    follower.resume();
    println!("{grants} grants written after {:.0} s; they end at {due}", begun.elapsed().as_secs_f32());
    ensure!(jiff::Timestamp::now().as_second() < due.as_millis() / 1000, "the grants were due before all were written");
    let all: Api<Grant> = Api::all(client);
    let left = || async {
        let live = all.list(&ListParams::default()).await?.items;
        let state = |g: &Grant| g.status.as_ref().and_then(|s| s.state).map(|s| format!("{s:?}"));
        anyhow::Ok(live.iter().filter(|g| g.spec.expires_at == due && state(g).as_deref() != Some("Ended")).count())
    };
    let early = grants - u64::try_from(left().await?)?;
    ensure!(early == 0, "{early} grants have ended before their deadline");
    let limit = Instant::now() + Duration::from_secs(120);
    while left().await? > 0 {
        ensure!(Instant::now() < limit, "{} grants have not ended", left().await?);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // The sweep of each replica runs twice a minute.
    tokio::time::sleep(Duration::from_secs(30)).await;
    report(&log, grants, due, &by_hand(&world, grants).await?)
}

/// How many milliseconds after the first call each of as many bindings is deleted by a client, on as many connections as the operator uses.
async fn by_hand(world: &World, count: u64) -> Result<Vec<i64>> {
    let bindings: Api<RoleBinding> = Api::namespaced(world.cp.admin().await?, "payments");
    let post = PostParams::default();
    let made = stream::iter(0..count).map(async |n| {
        let binding = json!({
            "metadata": {"name": format!("by-hand-{n}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "by-hand"}],
        });
        bindings.create(&post, &serde_json::from_value(binding)?).await.map(drop).context("cannot create a binding")
    });
    made.buffer_unordered(CONNECTIONS).try_collect::<Vec<()>>().await?;
    let begun = Instant::now();
    let gone = stream::iter(0..count).map(async |n| {
        bindings.delete(&format!("by-hand-{n}"), &DeleteParams::default()).await?;
        anyhow::Ok(i64::try_from(begun.elapsed().as_millis())?)
    });
    gone.buffer_unordered(CONNECTIONS).try_collect().await
}

/// One grant as the operator has written it, with its Job and binding.
async fn pattern(world: &World) -> Result<(Grant, Job, RoleBinding)> {
    let (alice, carol) = (world.alice()?, world.carol()?);
    let request = "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: pattern, namespace: payments}, \
                   spec: {roleRef: {name: payments-admin}, duration: 1h, justification: bench}}";
    alice.apply(request).await?.success()?;
    world.state_is("pattern", "AwaitingApproval").await?;
    let digest = world.field(&["areq", "-n", "payments", "pattern"], "{.status.digest}").await?;
    let decision = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: pattern, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: pattern}}}}, digest: '{digest}', decision: Approve}}}}"
    );
    carol.apply(&decision).await?.success()?;
    world.state_is("pattern", "Active").await?;
    let client = world.cp.admin().await?;
    let grant = Api::<Grant>::all(client.clone()).list(&ListParams::default()).await?.items.pop().context("no Grant")?;
    let job = Api::<Job>::namespaced(client.clone(), "payments").list(&ListParams::default()).await?.items.pop().context("no Job")?;
    let name = bindings(&grant)?[0].clone();
    Ok((grant, job, Api::<RoleBinding>::namespaced(client, "payments").get(&name).await?))
}

fn bindings(grant: &Grant) -> Result<Vec<String>> {
    let Plan::Kubernetes(plan) = &grant.spec.plan else { anyhow::bail!("the plan is not of a cluster") };
    Ok(plan.bindings.iter().map(|b| b.name.clone()).collect())
}

/// Another grant of the same access, under a name of its own.
async fn copy(client: Client, (grant, job, binding): (Grant, Job, RoleBinding), n: u64, due: Time) -> Result<()> {
    let old = BindingName::parse(&bindings(&grant)?[0]).context("a binding's name")?;
    let id = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let new = BindingName { grant: id.clone(), deadline: due, ..old.clone() };
    let (post, renamed) = (PostParams::default(), |v: &Value| -> Result<Value> {
        let text = v.to_string().replace(&old.text(), &new.text()).replace(&old.grant, &id);
        Ok(serde_json::from_str(&text)?)
    });
    let mut made = renamed(&json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": old.fuse(), "labels": job.metadata.labels}, "spec": job.spec,
    }))?;
    made["spec"]["activeDeadlineSeconds"] = json!(ENDS_IN_SECS + 60);
    let job: Job = Api::namespaced(client.clone(), "payments").create(&post, &serde_json::from_value(made)?).await?;
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": job.metadata.name, "uid": job.metadata.uid}]);
    let made = renamed(&json!({
        "metadata": {"name": old.text(), "labels": binding.metadata.labels, "ownerReferences": owner},
        "roleRef": binding.role_ref, "subjects": binding.subjects,
    }))?;
    let binding: RoleBinding = Api::namespaced(client.clone(), "payments").create(&post, &serde_json::from_value(made)?).await?;
    let mut made = renamed(&json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "Grant",
        "metadata": {"name": old.grant, "labels": grant.metadata.labels, "finalizers": grant.metadata.finalizers}, "spec": grant.spec,
    }))?;
    made["spec"]["expiresAt"] = json!(due);
    let grants: Api<Grant> = Api::all(client);
    grants.create(&post, &serde_json::from_value(made)?).await?;
    let mut status = renamed(&json!({"status": grant.status}))?;
    status["status"]["artifacts"] = json!([
        {"kind": "RoleBinding", "id": format!("payments/{}", new.text()), "uid": binding.metadata.uid},
        {"kind": "Job", "id": format!("payments/{}", new.fuse()), "uid": job.metadata.uid},
    ]);
    grants.patch_status(&id, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn report(log: &Path, grants: u64, due: Time, by_hand: &[i64]) -> Result<()> {
    let mut calls: BTreeMap<String, u64> = BTreeMap::new();
    let mut lags = Vec::new();
    for line in std::fs::read_to_string(log).context("no audit log")?.lines() {
        let e: Value = serde_json::from_str(line)?;
        let resource = e["objectRef"]["resource"].as_str().unwrap_or_default();
        if e["user"]["username"] != OPERATOR || e["verb"] != "delete" || !matches!(resource, "rolebindings" | "jobs") {
            continue;
        }
        let code = e["responseStatus"]["code"].as_u64().unwrap_or_default();
        *calls.entry(format!("delete {resource}")).or_default() += 1;
        *calls.entry(format!("delete {resource}, answered {code}")).or_default() += 1;
        if code == 200 && resource == "rolebindings" {
            let at: jiff::Timestamp = e["stageTimestamp"].as_str().unwrap_or_default().parse()?;
            lags.push(at.as_millisecond() - due.as_millis());
        }
    }
    println!("deletions by two replicas for each of {grants} grants that end in one second (floor: 1 of each kind):");
    for (what, n) in calls {
        println!("  {:6.2}  {what}", n as f64 / grants as f64);
    }
    println!("milliseconds from the deadline until a binding is deleted    p50     p99    last");
    let of = |all: &[i64], percent: usize| -> i64 {
        all.get((all.len() * percent / 100).min(all.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    let mut by_hand = by_hand.to_vec();
    for (what, all) in [("by the operator", &mut lags), ("by a client that deletes as many", &mut by_hand)] {
        all.sort_unstable();
        println!("  {what:54} {:6}  {:6}  {:6}", of(all, 50), of(all, 99), of(all, 100));
    }
    let early = lags.iter().filter(|lag| **lag < 0).count();
    println!("p99 is {:.1} times that of the client; {early} early", of(&lags, 99) as f64 / of(&by_hand, 99).max(1) as f64);
    Ok(())
}
