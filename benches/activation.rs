//! How long activation takes, beside the same calls without an operator, measured in one run by the same probe.
//!
//!     make bench    (SAMPLES=n: how many single activations; BURST=n: how many at once; CURFEW_BIN: another operator)
//!
//! Access is judged by use: a read of a secret by the person who gets it. The floor is a RoleBinding that is created by hand. A request
//! is accepted when its status shows the digest. Timings are those of release builds (`src/timing.rs`).
use anyhow::{Context, Result, ensure};
use curfew::api::{ActivationRequest, Grant, grant::GrantState, request::RequestState};
use curfew_testkit::{SHIPPED_TIMING, SOON, User, World, eventually};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::{Condition, await_condition},
};
use serde_json::json;
use std::time::{Duration, Instant};

const NAMESPACE: &str = "payments";
/// How many approve at a time.
const WORKERS: usize = 16;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    curfew_testkit::servers_as_shipped();
    let number = |name: &str, default: usize| std::env::var(name).map_or(Ok(default), |n| n.parse());
    let (samples, burst) = (number("SAMPLES", 20)?, number("BURST", 200)?);
    let world = World::first("activation").await?;
    let _operator = world.operator_with("activation", &[SHIPPED_TIMING]).await?;
    world.granting().await?;
    let (alice, carol) = (world.alice()?, world.carol()?);
    let bench = Bench { admin: client(&world.cp.admin_user()?).await?, asks: client(&alice).await?, carol: client(&carol).await?, alice };
    // The first calls of each client open its connections.
    bench.by_hand("warm").await?;
    bench.activate("warm").await?;

    let (mut floor, mut accepted, mut active) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..samples {
        floor.push(bench.by_hand(&format!("hand-{i}")).await?);
        let (shown, allowed) = bench.activate(&format!("one-{i}")).await?;
        accepted.push(shown);
        active.push(allowed);
    }
    println!("milliseconds, {samples} samples        p50    p99");
    row("RoleBinding by hand", &mut floor);
    row("request accepted", &mut accepted);
    row("approval to access", &mut active);
    println!("approval to access: {:.1} times the floor at p50, {:.1} at p99", ratio(&active, &floor, 50), ratio(&active, &floor, 99));

    let by_hand = bench.many_by_hand(burst).await?;
    let approved = bench.many_approved(burst).await?;
    let times = approved.as_secs_f64() / by_hand.as_secs_f64();
    println!(
        "{burst} at once: {:.1} s by hand, {:.1} s from the first approval until all are active, {times:.1} times",
        by_hand.as_secs_f64(),
        approved.as_secs_f64()
    );
    Ok(())
}

/// A client as the operator has it: the floor must not wait for delayed acknowledgements either.
async fn client(user: &User) -> Result<Client> {
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(&user.kubeconfig)?, &KubeConfigOptions::default()).await?;
    Ok(curfew::runtime::client::builder(config)?.build())
}

struct Bench {
    admin: Client,
    alice: User,
    asks: Client,
    carol: Client,
}

impl Bench {
    async fn until_allowed(&self, allowed: bool) -> Result<()> {
        let begun = Instant::now();
        while self.alice.can_read_secret(NAMESPACE, "db").await? != allowed {
            ensure!(begun.elapsed() < SOON, "the access is not {allowed} after {SOON:?}");
        }
        Ok(())
    }

    fn bindings(&self) -> Api<RoleBinding> {
        Api::namespaced(self.admin.clone(), NAMESPACE)
    }

    /// From the creation of a binding to the first read that is allowed.
    async fn by_hand(&self, name: &str) -> Result<Duration> {
        let begun = Instant::now();
        self.bindings().create(&PostParams::default(), &binding(name)?).await?;
        self.until_allowed(true).await?;
        let took = begun.elapsed();
        self.bindings().delete(name, &DeleteParams::default()).await?;
        self.until_allowed(false).await?;
        Ok(took)
    }

    async fn ask(&self, name: &str) -> Result<()> {
        let request = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"roleRef": {"name": "payments-admin"}, "duration": "1h", "justification": "bench"}});
        self.post(&self.asks, "activationrequests", &request).await
    }

    async fn approve(&self, name: &str, digest: &str) -> Result<()> {
        let decision = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": format!("d-{name}"), "namespace": NAMESPACE},
            "spec": {"about": {"activationRequest": {"name": name}}, "digest": digest, "decision": "Approve"}});
        self.post(&self.carol, "accessdecisions", &decision).await
    }

    /// The identity is stamped by the API server, so it is not part of what is sent.
    async fn post(&self, client: &Client, plural: &str, object: &serde_json::Value) -> Result<()> {
        let uri = format!("/apis/curfew.dev/v1alpha1/namespaces/{NAMESPACE}/{plural}");
        let request = http::Request::post(uri).header("content-type", "application/json").body(serde_json::to_vec(object)?)?;
        client
            .request::<serde_json::Value>(request)
            .await
            .map(drop)
            .with_context(|| format!("cannot create {}", object["metadata"]["name"]))
    }

    /// How long until a request was accepted, and from its approval to the first read that is allowed.
    async fn activate(&self, name: &str) -> Result<(Duration, Duration)> {
        let requests: Api<ActivationRequest> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let begun = Instant::now();
        self.ask(name).await?;
        let accepted =
            tokio::time::timeout(SOON, await_condition(requests.clone(), name, has_digest())).await??.context("the request is gone")?;
        let shown = begun.elapsed();
        let digest = accepted.status.and_then(|status| status.digest).context("no digest")?.to_string();
        let begun = Instant::now();
        self.approve(name, &digest).await?;
        self.until_allowed(true).await?;
        let allowed = begun.elapsed();
        Api::<ActivationRequest>::namespaced(self.asks.clone(), NAMESPACE).delete(name, &DeleteParams::default()).await?;
        self.until_allowed(false).await?;
        Ok((shown, allowed))
    }

    async fn many_by_hand(&self, count: usize) -> Result<Duration> {
        let begun = Instant::now();
        let all = stream::iter(0..count).map(async |i| {
            let name = format!("many-{i}");
            anyhow::Ok(self.bindings().create(&PostParams::default(), &binding(&name)?).await.map(drop)?)
        });
        all.buffer_unordered(WORKERS).try_collect::<()>().await?;
        Ok(begun.elapsed())
    }

    async fn many_approved(&self, count: usize) -> Result<Duration> {
        let name = |i: usize| format!("burst-{i}");
        stream::iter(0..count).map(async |i| self.ask(&name(i)).await).buffer_unordered(WORKERS).try_collect::<()>().await?;
        let requests: Api<ActivationRequest> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let digests = eventually("all requests to be accepted", SOON * 8, || async {
            let all = requests.list(&ListParams::default()).await?.items;
            let waiting = all.into_iter().filter(|r| r.status.as_ref().and_then(|s| s.state) == Some(RequestState::AwaitingApproval));
            let known: Vec<_> = waiting.filter_map(|r| Some((r.name_any(), r.status?.digest?.to_string()))).collect();
            Ok((known.len() == count).then_some(known))
        });
        let digests = digests.await?;
        let begun = Instant::now();
        stream::iter(digests)
            .map(async |(name, digest)| self.approve(&name, &digest).await)
            .buffer_unordered(WORKERS)
            .try_collect::<()>()
            .await?;
        let grants: Api<Grant> = Api::all(self.admin.clone());
        let limit = begun + SOON * 20;
        loop {
            let all = grants.list(&ListParams::default()).await?.items;
            let active = all.iter().filter(|g| g.status.as_ref().and_then(|s| s.state) == Some(GrantState::Active)).count();
            if active == count {
                return Ok(begun.elapsed());
            }
            ensure!(Instant::now() < limit, "{active} of {count} are active");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn has_digest() -> impl Condition<ActivationRequest> {
    |request: Option<&ActivationRequest>| request.and_then(|r| r.status.as_ref()).is_some_and(|status| status.digest.is_some())
}

fn binding(name: &str) -> Result<RoleBinding> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "payments-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice@example.com"}],
    }))?)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)].as_secs_f64() * 1000.0
}

fn row(what: &str, samples: &mut [Duration]) {
    samples.sort_unstable();
    println!("{what:25} {:8.0} {:6.0}", percentile(samples, 50), percentile(samples, 99));
}

fn ratio(samples: &[Duration], floor: &[Duration], percent: usize) -> f64 {
    percentile(samples, percent) / percentile(floor, percent)
}
