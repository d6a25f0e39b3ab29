//! Whether what the operator does for one request depends on how many objects there are: with ten grants, and with 10,000 live grants,
//! 100,000 ended requests and 10,000 decisions.
//!
//!     make scale    (GRANTS=n, ENDED=n, DECISIONS=n: other numbers; CURFEW_BIN: another operator, such as a release build)
//!
//! The many objects are copies of a few that the operator has made, with uids and names of their own, stored straight into etcd: to make
//! them by requests would take hours. With few and with many it prints: calls and processor time of the operator for one life cycle, calls
//! in a minute of rest, resident memory, and the time from a start until an overdue binding is gone, beside the time in which a client reads the
//! lists that the operator reads first; and how long after its start it is at rest. It fails if a grant among the copies has ended, which they must not. Timings are those of release
//! builds (`src/timing.rs`).
mod measure;

use anyhow::{Context, Result, ensure};
use curfew_core::{ids, resolved::Resolved};
use curfew_testkit::{ControlPlane, Operator, SHIPPED_TIMING, SOON, Stage, World, eventually, metric};
use measure::{NAMESPACE, calls, mebibytes, memory, processor, request, since, start_again};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// How many life cycles are counted, one after another.
const CYCLES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// The operator is at rest if it makes fewer than these calls in this time, and takes less processor time: its lists are complete, counts and
/// Events of what happened before are written.
const LOOK: Duration = Duration::from_secs(20);
const FEW_CALLS: usize = 40;
const FEW_MILLIS: u64 = 1_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    curfew_testkit::servers_as_shipped();
    let number = |name: &str, default: usize| std::env::var(name).map_or(Ok(default), |n| n.parse());
    let (grants, ended, decisions) = (number("GRANTS", 10_000)?, number("ENDED", 100_000)?, number("DECISIONS", 10_000)?);
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("audit.jsonl");
    let world = World { cp: ControlPlane::start_with("scale", Stage::First, Some(log.clone())).await? };
    let operator = world.operator_with("scale", &[SHIPPED_TIMING]).await?;
    world.granting().await?;
    world.unapproved_role().await?;
    let bench = Bench { world, log };

    // The models, of which the copies are made.
    let alice = bench.world.alice()?;
    alice.flood(NAMESPACE, (0..10).map(|i| request(&format!("live-{i:06}"), "4h")), 2).await?;
    for i in 0..10 {
        bench.world.state_is(&format!("live-{i:06}"), "Active").await?;
    }
    bench.denied("ended-000000").await?;

    let operator = bench.measure(operator, "few").await?;
    drop(operator);
    let begun = Instant::now();
    let models = bench.models().await?;
    bench.copy(&models.live, "live-000000", 10..grants).await?;
    bench.copy(&models.ended, "ended-000000", 1..ended).await?;
    bench.copy(&models.decision, "ended-000000", 1..decisions).await?;
    println!("{grants} live grants, {ended} ended requests and {decisions} decisions stored in {} s", begun.elapsed().as_secs());
    let operator = bench.world.operator_with("many", &[SHIPPED_TIMING]).await?;
    bench.counted(&operator, grants).await?;
    let operator = bench.measure(operator, "many").await?;
    bench.counted(&operator, grants).await
}

struct Bench {
    world: World,
    log: PathBuf,
}

/// A stored object: its key and its value.
type Object = (String, Vec<u8>);

struct Models {
    /// A live grant: request, Grant, binding and fuse.
    live: Vec<Object>,
    ended: Vec<Object>,
    /// A decision about the ended request.
    decision: Vec<Object>,
}

impl Bench {
    /// A request that Carol denies.
    async fn denied(&self, name: &str) -> Result<()> {
        let ask = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"roleRef": {"name": "payments-admin"}, "duration": "1h", "justification": "bench"}});
        self.world.alice()?.flood(NAMESPACE, std::iter::once(ask), 1).await?;
        self.world.state_is(name, "AwaitingApproval").await?;
        let digest = self.world.field(&["areq", "-n", NAMESPACE, name], "{.status.digest}").await?;
        let deny = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"about": {"activationRequest": {"name": name}}, "digest": digest, "decision": "Deny", "comment": "bench"}});
        self.world.carol()?.flood(NAMESPACE, std::iter::once(deny), 1).await?;
        self.world.state_is(name, "Denied").await
    }

    async fn models(&self) -> Result<Models> {
        let request = |name: &str| format!("/registry/curfew.dev/activationrequests/{NAMESPACE}/{name}");
        let grant = self.world.field(&["areq", "-n", NAMESPACE, "live-000000"], "{.status.grantRef.name}").await?;
        let mark = format!("curfew.dev/grant={grant}");
        let named = async |kind: &str| self.world.field(&[kind, "-n", NAMESPACE, "-l", &mark], "{.items[0].metadata.name}").await;
        let (binding, job) = (named("rolebinding").await?, named("job").await?);
        let object = async |key: String| Ok::<_, anyhow::Error>((key.clone(), self.world.cp.stored_at(&key).await?));
        Ok(Models {
            live: vec![
                object(request("live-000000")).await?,
                object(format!("/registry/curfew.dev/grants/{grant}")).await?,
                object(format!("/registry/rolebindings/{NAMESPACE}/{binding}")).await?,
                object(format!("/registry/jobs/{NAMESPACE}/{job}")).await?,
            ],
            ended: vec![object(request("ended-000000")).await?],
            decision: vec![object(format!("/registry/curfew.dev/accessdecisions/{NAMESPACE}/ended-000000")).await?],
        })
    }

    /// Stores copies of these objects: what they have in common but for their names, uids and the id of the grant, all of the same length.
    async fn copy(&self, model: &[Object], name: &str, numbers: std::ops::Range<usize>) -> Result<()> {
        let home = self.world.field(&["namespace", "curfew-system"], "{.metadata.uid}").await?;
        let install = ids::install_id(&home);
        // Of its own: the first uid that an object names. What owns it or is named by it is another model.
        let uids = model.iter().map(|(key, value)| uid(value).with_context(|| format!("{key} has no uid"))).collect::<Result<Vec<_>>>()?;
        let digest = resolved(&model[0].1);
        let mut all = Vec::new();
        for i in numbers {
            let (before, after) = name.split_at(name.len() - 6);
            ensure!(after == "000000", "{name} ends with a number of six digits");
            let mut swaps = vec![(name.to_owned(), format!("{before}{i:06}"))];
            for uid in &uids {
                swaps.push((uid.clone(), another_uid(uid, i)));
            }
            swaps.push((ids::grant_id(&install, &uids[0]), ids::grant_id(&install, &another_uid(&uids[0], i))));
            if let Some((digest, _)) = &digest {
                // What was approved names the request.
                let (_, copied) = resolved(&swapped(&model[0].1, &swaps)).context("a request without its resolved form")?;
                swaps.push((digest.clone(), text(&copied.digest())?));
            }
            for (key, value) in model {
                let key = String::from_utf8(swapped(key.as_bytes(), &swaps))?;
                all.push((key, swapped(value, &swaps)));
            }
            if all.len() >= 100 {
                self.world.cp.store_all(&std::mem::take(&mut all)).await?;
            }
        }
        self.world.cp.store_all(&all).await
    }

    /// Waits until the operator counts as many live grants as there are.
    async fn counted(&self, operator: &Operator, grants: usize) -> Result<()> {
        let shown = eventually("the operator to count the live grants", SOON * 4, || async {
            let active = metric(&operator.get("/metrics").await?, "curfew_grants_active");
            ensure!(active.is_some_and(|n| n >= to_float(grants)), "{active:?} of {grants}");
            Ok(active)
        });
        shown.await.map(drop)
    }

    /// Measures one operator, and its successor.
    async fn measure(&self, operator: Operator, when: &str) -> Result<Operator> {
        self.at_rest(&operator, when).await?;
        let (before, cpu) = (calls(&self.log)?, processor(&operator)?);
        tokio::time::sleep(MINUTE).await;
        let rest: usize = since(&before, calls(&self.log)?).values().sum();
        let cpu = processor(&operator)? - cpu;
        println!("{when}: at rest {rest} calls and {cpu} ms of processor time in a minute, {:.1} MiB", mebibytes(memory(&operator)?));
        self.life_cycles(&operator, when, cpu).await?;
        let (operator, start) = start_again(&self.world, operator, &format!("overdue-{when}")).await?;
        println!(
            "{when}: started again, an overdue binding is gone after {} ms; the lists alone take a client {} ms ({:.1} times)",
            start.gone.as_millis(),
            start.lists.as_millis(),
            start.gone.as_secs_f64() / start.lists.as_secs_f64()
        );
        Ok(operator)
    }

    /// Waits until the operator makes no more calls than at rest, and its first lists are complete.
    async fn at_rest(&self, operator: &Operator, when: &str) -> Result<()> {
        let (begun, first) = (Instant::now(), calls(&self.log)?);
        loop {
            let (before, cpu) = (calls(&self.log)?, processor(operator)?);
            tokio::time::sleep(LOOK).await;
            let (made, cpu) = (since(&before, calls(&self.log)?), processor(operator)? - cpu);
            if made.values().sum::<usize>() < FEW_CALLS && cpu < FEW_MILLIS {
                let all: usize = since(&first, calls(&self.log)?).values().sum();
                println!("{when}: at rest {} s after the operator was ready, after {all} calls", begun.elapsed().as_secs());
                return Ok(());
            }
            // What keeps it busy: the calls that it makes most often.
            let mut most: Vec<_> = made.into_iter().collect();
            most.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            println!(
                "{when}: in {LOOK:?} it took {cpu} ms of processor time and made {}",
                most.iter().take(4).map(|(what, n)| format!("{n} {what}")).collect::<Vec<_>>().join(", ")
            );
            ensure!(begun.elapsed() < MINUTE * 15, "not at rest after 15 minutes");
        }
    }

    /// Requests that are granted, one after another, and end. `at_rest` is the processor time of a minute without them, in milliseconds.
    async fn life_cycles(&self, operator: &Operator, when: &str, at_rest: u64) -> Result<()> {
        let alice = self.world.alice()?;
        let (before, cpu, begun) = (calls(&self.log)?, processor(operator)?, Instant::now());
        for i in 0..CYCLES {
            alice.flood(NAMESPACE, std::iter::once(request(&format!("cycle-{when}-{i}"), "10s")), 1).await?;
            self.world.state_is(&format!("cycle-{when}-{i}"), "Active").await?;
        }
        for i in 0..CYCLES {
            self.world.state_is(&format!("cycle-{when}-{i}"), "Expired").await?;
        }
        let (took, made) = (begun.elapsed(), since(&before, calls(&self.log)?));
        // A heartbeat is a part of each minute, so a whole one is compared.
        ensure!(took < MINUTE, "{CYCLES} life cycles took {took:?}");
        tokio::time::sleep(MINUTE.saturating_sub(begun.elapsed())).await;
        let cpu = (processor(operator)? - cpu).saturating_sub(at_rest);
        let concerns = |what: &str| {
            ["activationrequests", "grants", "rolebindings", "jobs", "accessdecisions"].iter().any(|kind| what.ends_with(kind))
        };
        let each = |of: &dyn Fn(&str) -> bool| {
            let n: usize = made.iter().filter(|(what, _)| concerns(what) && !what.starts_with("watch") && of(what)).map(|(_, n)| n).sum();
            to_float(n) / to_float(CYCLES)
        };
        let read = |what: &str| what.starts_with("get") || what.starts_with("list");
        println!(
            "{when}: one life cycle takes {:.1} writes, {:.1} reads and {:.1} ms of processor time ({CYCLES} in {} s)",
            each(&|what| !read(what)),
            each(&read),
            to_float(usize::try_from(cpu)?) / to_float(CYCLES),
            took.as_secs()
        );
        Ok(())
    }
}

/// The uid of a stored object: the first that it names, in JSON and in protobuf.
fn uid(value: &[u8]) -> Option<String> {
    let is_uid =
        |w: &&[u8]| w.iter().enumerate().all(|(i, b)| if [8, 13, 18, 23].contains(&i) { *b == b'-' } else { b.is_ascii_hexdigit() });
    value.windows(36).find(is_uid).map(|w| String::from_utf8_lossy(w).into_owned())
}

/// The digest that a stored request shows, and what it is a digest of.
fn resolved(value: &[u8]) -> Option<(String, Resolved)> {
    let request: Value = serde_json::from_slice(value).ok()?;
    let resolved = serde_json::from_value(request["status"]["resolved"].clone()).ok()?;
    Some((request["status"]["digest"].as_str()?.to_owned(), resolved))
}

fn text(digest: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_value(digest)?.as_str().context("a digest is a string")?.to_owned())
}

fn another_uid(uid: &str, i: usize) -> String {
    let hash = Sha256::digest(format!("{uid}/{i}"));
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

fn swapped(bytes: &[u8], swaps: &[(String, String)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (from, to) in swaps {
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from.as_bytes()) {
            bytes[at + found..at + found + from.len()].copy_from_slice(to.as_bytes());
            at += found + from.len();
        }
    }
    bytes
}

#[allow(clippy::cast_precision_loss)]
fn to_float(n: usize) -> f64 {
    n as f64
}
