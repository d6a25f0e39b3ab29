//! One direction: replicas of two versions that run beside each other and replace each other, while people hold access.
//!
//! A round begins with one replica. A replica of the other version starts beside it, its manifests are applied, the first replica
//! is killed, and the second one waits for the lease, takes over and grants. The next round begins with the second replica, so
//! each direction goes back and forth. In odd rounds the manifests are applied while both replicas run, as by an upgrade; in even
//! rounds after the takeover, as after `kubectl rollout undo`.
//!
//! An operator does not grant while the policies and CRDs of another version are installed (AdmissionEnforced is False). In that
//! time nothing new is requested; what is live must end on time, and a Revoke must count.
use crate::{
    access::{Access, Held},
    ledger::Ledger,
    now,
    version::{Draws, Version},
};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Operator, OperatorSpec, SHIPPED_TIMING, SOON, World, eventually, metric, root};
use futures::future::try_join_all;
use std::{ops::RangeInclusive, path::Path, sync::Arc, time::Duration, time::Instant};
use tokio::task::JoinHandle;

/// Durations, in seconds, of the grants that one replica makes alone.
const ALONE: &[RangeInclusive<u64>] = &[8..=40, 8..=40, 8..=40];
/// While two replicas run. The first ends while both run, the third is revoked then, the fourth after the kill; the others
/// outlive the kill, which follows at most three quarters of a minute later: the manifests are applied before it.
const BESIDE: &[RangeInclusive<u64>] = &[8..=10, 8..=40, 50..=60, 50..=60, 50..=60, 50..=60];
/// Those that wait for approval until the other version has taken over.
const WAITING: &[RangeInclusive<u64>] = &[8..=40, 8..=40];
/// A lease lasts 15 s after its last renewal; the rest is for a busy machine.
const TAKEOVER: Duration = Duration::from_secs(60);

/// What one direction has shown.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many grants were held, and how many of them at the same time.
    pub grants: (usize, usize),
    /// The latest end after a deadline, in milliseconds.
    pub late: i64,
    /// How many accesses a Revoke ended, and the latest end after it, in milliseconds.
    pub revoked: (usize, i64),
    /// How often a replica took over from a killed one, and the longest time from a kill until the other granted, in milliseconds.
    pub takeovers: (usize, u128),
    /// How many reads were answered, and the longest time without an answer, in milliseconds.
    pub reads: (usize, i64),
}

/// A running operator.
struct Replica {
    name: String,
    operator: Operator,
}

/// One direction.
struct Rollout<'a> {
    name: &'static str,
    begun: Instant,
    w: &'a World,
    ledger: Arc<Ledger>,
    draws: Draws,
    /// The version that leads, and the other.
    versions: [&'a Version; 2],
    /// Whether both have the same policies and CRDs.
    same_policies: bool,
    started: usize,
    accesses: Vec<Arc<Access>>,
    held: Vec<JoinHandle<Option<Held>>>,
    outcome: Outcome,
}

/// Runs one direction on a control plane of its own, and keeps the logs in `target/soak/NAME/`.
///
/// # Errors
/// With the first findings, or if a step does not succeed in time.
pub async fn run(name: &'static str, versions: [&Version; 2], rounds: u64, seed: u64) -> Result<Outcome> {
    let w = World::first(&format!("soak-{name}")).await?;
    let (ledger, _watches) = Ledger::start(&w.admin()?).await?;
    let mut rollout = Rollout {
        name,
        begun: Instant::now(),
        w: &w,
        ledger: ledger.clone(),
        draws: Draws::new(seed),
        versions,
        same_policies: versions[0].has_policies_of(versions[1])?,
        started: 0,
        accesses: Vec::new(),
        held: Vec::new(),
        outcome: Outcome::default(),
    };
    let done = tokio::select! {
        done = rollout.run(rounds) => done,
        findings = ledger.failed() => Err(findings),
    };
    let logs = root().canonicalize()?.join("target/soak").join(name);
    keep_logs(&w.cp.dir().join("logs"), &logs)?;
    done.with_context(|| format!("{name}, logs in {}", logs.display()))?;
    Ok(rollout.outcome)
}

impl Rollout<'_> {
    async fn run(&mut self, rounds: u64) -> Result<()> {
        self.install(0).await?;
        let mut leader = self.start(0).await?;
        self.ledger.running(format!("{} alone", leader.name));
        self.is_proven().await?;
        self.grants(&leader).await?;
        for round in 1..=rounds {
            leader = self.round(round, leader).await.with_context(|| format!("round {round}"))?;
        }
        self.grant(ALONE).await?;
        self.finish().await
    }

    /// Replaces the replica that leads by one of the other version, and returns that one.
    async fn round(&mut self, round: u64, leader: Replica) -> Result<Replica> {
        let manifests_first = round % 2 == 1;
        // Where a new process finds other policies, requests of the last minute before the takeover are not proven and not granted.
        let waiting = if manifests_first || self.same_policies { self.ask(WAITING).await? } else { Vec::new() };
        self.grant(ALONE).await?;
        let second = self.start(1).await?;
        self.ledger.running(format!("{} leads, {} follows", leader.name, second.name));
        let beside = self.grant(BESIDE).await?;
        beside[2].revoke().await?;
        self.ledger.reaches(&beside[0].name, "Expired", SOON).await?;
        if manifests_first {
            self.install(1).await?;
            self.does_not_grant(&leader).await?;
        }
        self.kill(leader).await?;
        self.ledger.running(format!("{} alone", second.name));
        let vacant = Instant::now();
        beside[3].revoke().await?;
        self.takes_over(&second).await?;
        if !manifests_first {
            self.does_not_grant(&second).await?;
            self.install(1).await?;
        }
        self.is_proven().await?;
        self.grants(&second).await?;
        let (takeovers, longest) = self.outcome.takeovers;
        self.outcome.takeovers = (takeovers + 1, longest.max(vacant.elapsed().as_millis()));
        self.approve(&waiting).await?;
        self.versions.swap(0, 1);
        Ok(second)
    }

    /// Applies the manifests of a version as the README says, without the settings of the site and the Pods of the operator.
    async fn install(&self, which: usize) -> Result<()> {
        let (version, admin) = (self.versions[which], self.w.admin()?);
        let crds = version.tree.join("crds").display().to_string();
        admin.kubectl(&["apply", "--server-side", "-f", &crds]).await?.success()?;
        admin.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &crds]).await?.success()?;
        let files: Vec<String> = version.manifests()?.iter().map(|file| file.display().to_string()).collect();
        let each = files.iter().flat_map(|file| ["-f", file.as_str()]);
        admin.kubectl(&["apply", "--server-side"].into_iter().chain(each).collect::<Vec<_>>()).await?.success()?;
        self.say(&format!("the manifests of the {} version are applied", version.name));
        Ok(())
    }

    /// Starts a replica and waits until it could revoke.
    async fn start(&mut self, which: usize) -> Result<Replica> {
        self.started += 1;
        let (version, name) = (self.versions[which], format!("{}-{}", self.versions[which].name, self.started));
        let user = self.w.cp.service_account("curfew-system", "curfew-operator").await?;
        let envs = vec![(SHIPPED_TIMING.0.to_owned(), SHIPPED_TIMING.1.to_owned())];
        let operator = Operator::spawn(
            &self.w.cp,
            &OperatorSpec { binary: version.binary.clone(), name: name.clone(), user, envs, args: Vec::new() },
        )?;
        // Under the policies of the other version it is not ready, and says that it revokes.
        let revokes = || async {
            let answer = operator.get("/readyz").await?;
            Ok((answer.contains("200 OK") || answer.contains("revocation works")).then_some(()))
        };
        eventually(&format!("{name} to be able to revoke"), SOON, revokes).await?;
        self.say(&format!("{name} runs"));
        Ok(Replica { name, operator })
    }

    /// Kills the replica around the next deadline if that is near: then a revocation may have begun.
    async fn kill(&mut self, leader: Replica) -> Result<()> {
        let offset = i64::try_from(self.draws.between(&(0..=1500)))? - 1000;
        let next = self.ledger.live().first().map_or(0, |t| t.millis_since(now()) + offset);
        tokio::time::sleep(Duration::from_millis(u64::try_from(next.clamp(0, 5000))?)).await;
        let live = self.ledger.live().len();
        ensure!(live > 1, "{live} grants are live at the kill of {}: the steps before it have taken too long", leader.name);
        leader.operator.kill();
        self.say(&format!("{} is killed while {live} grants are live", leader.name));
        Ok(())
    }

    /// Waits until the replica holds the lease.
    async fn takes_over(&self, replica: &Replica) -> Result<()> {
        let (what, begun) = (["lease", "-n", "curfew-system", "curfew-operator"], Instant::now());
        let held = |holder: &str| holder.starts_with(&format!("{}_", replica.name));
        self.w.field_fits(&what, "{.spec.holderIdentity}", "to be the other replica", TAKEOVER, held).await?;
        self.say(&format!(
            "{} holds the lease after {:.1} s; {} grants are live",
            replica.name,
            begun.elapsed().as_secs_f32(),
            self.ledger.live().len()
        ));
        Ok(())
    }

    /// Waits until the condition AdmissionEnforced is True and the role is ready.
    async fn is_proven(&self) -> Result<()> {
        let Err(error) = self.w.granting().await else { return Ok(()) };
        let path = r#"{.status.conditions[?(@.type=="AdmissionEnforced")].message}"#;
        let message = self.w.field(&["curfewconfig", "curfew"], path).await?;
        Err(error.context(format!("AdmissionEnforced says: {message}")))
    }

    /// Waits until the replica leads and has proven admission.
    async fn grants(&self, replica: &Replica) -> Result<()> {
        let is = |metrics: &str, name: &str| metric(metrics, name).is_some_and(|value| value > 0.5);
        eventually(&format!("{} to lead and to have proven admission", replica.name), TAKEOVER, || async {
            let metrics = replica.operator.get("/metrics").await?;
            Ok((is(&metrics, "curfew_leader") && is(&metrics, "curfew_admission_enforced")).then_some(()))
        })
        .await?;
        self.say(&format!("{} grants", replica.name));
        Ok(())
    }

    /// Waits until the replica that leads has noticed that policies or CRDs are not those of its version, if they differ.
    async fn does_not_grant(&self, replica: &Replica) -> Result<()> {
        if self.same_policies {
            return Ok(());
        }
        let path = r#"{.status.conditions[?(@.type=="AdmissionEnforced")].status}"#;
        self.w.field_fits(&["curfewconfig", "curfew"], path, "to be False", TAKEOVER, |status| status == "False").await?;
        self.say(&format!("{} does not grant under the manifests of the other version", replica.name));
        Ok(())
    }

    /// Grants access for durations from these ranges.
    async fn grant(&mut self, secs: &[RangeInclusive<u64>]) -> Result<Vec<Arc<Access>>> {
        let asked = self.ask(secs).await?;
        self.approve(&asked).await?;
        Ok(asked)
    }

    async fn ask(&mut self, secs: &[RangeInclusive<u64>]) -> Result<Vec<Arc<Access>>> {
        let numbers = self.accesses.len() + 1..;
        let drawn: Vec<_> = numbers.zip(secs).map(|(n, range)| (format!("g{n:02}"), self.draws.between(range))).collect();
        let (w, ledger) = (self.w, &self.ledger);
        let asked = try_join_all(drawn.iter().map(|(name, secs)| Access::ask(w, ledger, name.clone(), *secs, None))).await?;
        let words: Vec<_> = drawn.iter().map(|(name, secs)| format!("{name} for {secs} s")).collect();
        self.say(&format!("requested: {}", words.join(", ")));
        self.accesses.extend(asked.clone());
        Ok(asked)
    }

    /// Approves requests; from the moment at which it is active, each access is used.
    async fn approve(&mut self, asked: &[Arc<Access>]) -> Result<()> {
        let ledger = &self.ledger;
        let used = asked.iter().map(|access| async move {
            access.approve().await?;
            let (access, ledger) = (access.clone(), ledger.clone());
            anyhow::Ok(tokio::spawn(async move { access.hold().await.inspect_err(|error| ledger.report(&format!("{error:#}"))).ok() }))
        });
        self.held.extend(try_join_all(used).await?);
        let live = self.ledger.live().len();
        self.outcome.grants = (self.outcome.grants.0 + asked.len(), self.outcome.grants.1.max(live));
        if let (Some(first), Some(last)) = (asked.first(), asked.last()) {
            self.say(&format!("active: {} to {}; {live} grants are live", first.name, last.name));
        }
        Ok(())
    }

    /// Waits for the end of every access, and checks that nothing is left.
    async fn finish(&mut self) -> Result<()> {
        self.say("every grant is used until it has ended");
        let held = std::mem::take(&mut self.held);
        used_up(self.w, &self.ledger, held, &self.accesses, &mut self.outcome).await?;
        for log in std::fs::read_dir(self.w.cp.dir().join("logs"))? {
            let log = log?.path();
            ensure!(!String::from_utf8_lossy(&std::fs::read(&log)?).contains("panicked at"), "a panic is in {}", log.display());
        }
        self.say("every request and Grant has ended, and nothing is left");
        Ok(())
    }

    fn say(&self, what: &str) {
        println!("[{:<8} {:5.1} s] {what}", self.name, self.begun.elapsed().as_secs_f32());
    }
}

/// Waits until every access has ended, and checks that nothing is left.
///
/// # Errors
/// If something is.
pub async fn used_up(
    w: &World,
    ledger: &Ledger,
    held: Vec<JoinHandle<Option<Held>>>,
    accesses: &[Arc<Access>],
    outcome: &mut Outcome,
) -> Result<()> {
    for used in held {
        // What did not end as it must is a finding, which ends the run.
        let Some(held) = used.await? else { return std::future::pending().await };
        outcome.add(held);
    }
    let over = ledger.until("every request and Grant to end", SOON + SOON, |l| l.unfinished().is_empty().then_some(())).await;
    over.with_context(|| ledger.unfinished().join(", "))?;
    let grants = ledger.grants();
    ensure!(grants == accesses.len(), "{} accesses were granted by {grants} Grants", accesses.len());
    let marked = ["rolebinding,job", "-A", "-l", "curfew.dev/grant"];
    w.field_fits(&marked, "{.items[*].metadata.name}", "to be gone", SOON, str::is_empty).await?;
    for access in accesses {
        ensure!(!access.can_read().await?, "{} has access after everything has ended", access.name);
    }
    Ok(())
}

impl Outcome {
    /// Adds what the reads of one access have shown.
    pub fn add(&mut self, held: Held) {
        if held.revoked {
            self.revoked = (self.revoked.0 + 1, self.revoked.1.max(held.late));
        } else {
            self.late = self.late.max(held.late);
        }
        self.reads = (self.reads.0 + held.reads, self.reads.1.max(held.silence));
    }
}

/// Copies the logs of a run.
///
/// # Errors
/// If a file cannot be copied.
pub fn keep_logs(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for old in std::fs::read_dir(to)? {
        std::fs::remove_file(old?.path())?;
    }
    for log in std::fs::read_dir(from)? {
        let log = log?;
        std::fs::copy(log.path(), to.join(log.file_name()))?;
    }
    Ok(())
}
