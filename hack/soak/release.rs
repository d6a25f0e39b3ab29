//! `make upgrade-test`: a release is upgraded by helm from the previous version to this one and rolled back, with its chart: CRDs, admission
//! policies, rights and Pods. Real helm, a real control plane, and a kubelet that runs the Pods of each version with its own program.
//!
//! Access of every sort is held all the time. What helm does to CRDs in a rollback is part of what is shown: they are part of the release,
//! so the previous ones come back.
use crate::{
    access::{Access, Held},
    ledger::Ledger,
    now,
    rollout::{Outcome, keep_logs, used_up},
    version::Version,
};
use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use curfew_testkit::{ControlPlane, Kubelet, SOON, User, World, eventually, root, standing_role};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// How long a command of helm may take on a busy machine, with everything that it waits for.
const ROLLOUT: Duration = Duration::from_secs(240);
/// The release while it is upgraded and rolled back.
struct Release<'a> {
    begun: Instant,
    // Dropped first: no Pod looks for an API server that is gone.
    kubelet: Kubelet,
    w: &'a World,
    admin: User,
    ledger: Arc<Ledger>,
    accesses: Vec<Arc<Access>>,
    held: Vec<JoinHandle<Option<Held>>>,
    outcome: Outcome,
}

/// Upgrades from `previous` to `new` and rolls back, and keeps the logs in `target/soak/release/`.
///
/// # Errors
/// With the first findings, or if a step does not succeed in time.
pub async fn run(previous: &Version, new: &Version) -> Result<Outcome> {
    let begun = Instant::now();
    let w = World { cp: ControlPlane::empty("upgrade").await? };
    let kubelet =
        Kubelet::start_images(&w.cp, "curfew-system", &[("previous", previous.binary.as_path()), ("new", new.binary.as_path())]).await?;
    let admin = w.admin()?;
    let said = |what: &str| println!("[release  {:5.1} s] {what}", begun.elapsed().as_secs_f32());
    admin.kubectl(&["apply", "-f", &at(previous, "deploy/10-namespace.yaml")]).await?.success()?;
    helm(&admin, &["install"], previous, &["--wait"]).await?;
    said("the previous version is installed");
    let (ledger, _watches) = Ledger::start(&admin).await?;
    let mut release = Release {
        begun,
        kubelet,
        w: &w,
        admin,
        ledger: ledger.clone(),
        accesses: Vec::new(),
        held: Vec::new(),
        outcome: Outcome::default(),
    };
    let done = tokio::select! {
        done = release.run(previous, new) => done,
        findings = ledger.failed() => Err(findings),
    };
    let logs = root().canonicalize()?.join("target/soak/release");
    keep_logs(&w.cp.dir().join("logs"), &logs)?;
    done.with_context(|| format!("release, logs in {}", logs.display()))?;
    Ok(release.outcome)
}

fn at(version: &Version, file: &str) -> String {
    version.tree.join(file).display().to_string()
}

/// Runs a command of helm with the chart and the image of a version.
async fn helm(admin: &User, command: &[&str], version: &Version, more: &[&str]) -> Result<()> {
    let (image, chart) = (format!("--set=image.repository={}", version.name), at(version, "charts/curfew"));
    let release = ["curfew", &chart, "--namespace", "curfew-system", "--timeout=4m", &image];
    admin.helm(&[command, &release, more].concat()).await?.success().with_context(|| format!("helm {command:?} {}", version.name)).map(drop)
}

impl Release<'_> {
    async fn run(&mut self, previous: &Version, new: &Version) -> Result<()> {
        for file in ["platform", "team"] {
            let file = at(previous, &format!("examples/first/{file}.yaml"));
            self.admin.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]).await?.success()?;
        }
        self.admin.api(&["create", "secret", "generic", "db", "-n", "payments", "--from-literal=password=s3cret"]).await?.success()?;
        self.admin.apply(&standing_role("{user: standing@example.com}", "10m")).await?.success()?;
        self.proven("").await?;
        self.ledger.running("previous".into());

        // Under the previous version: in its last minute, past the upgrade, past the rollback; waiting, scheduled, standing.
        let before = self.since().await?;
        self.grant("whole", 300).await?;
        self.grant("through", 150).await?;
        self.standing(now().floor_secs().plus_secs(270)).await?;
        self.scheduled("scheduled", now().floor_secs().plus_secs(150), 120).await?;
        let waiting = self.ask("waiting", 45).await?;
        self.proven_until(now()).await?;
        self.grant("last-minute", 15).await?;

        self.ledger.running("previous and new".into());
        let rollout = async { helm(&self.admin, &["upgrade"], new, &["--wait", "--reset-then-reuse-values"]).await };
        let seen = self.beside(rollout).await?;
        self.say(&format!("upgraded to the new version; at one moment these Pods ran beside one another: {}", seen.join(", ")));
        self.ledger.running("new".into());
        self.of_version("new").await?;
        self.proven(if new.has_policies_of(previous)? { "" } else { &before }).await?;
        self.say("the new version grants");
        self.approve(&waiting).await?;
        self.grant("new-short", 15).await?;
        self.grant("new-long", 120).await?;
        let revoked = self.grant("new-revoked", 300).await?;

        let before = self.since().await?;
        self.ledger.running("new and previous".into());
        let rollback = async {
            let out = self.admin.helm(&["rollback", "curfew", "1", "--namespace", "curfew-system", "--wait", "--timeout=4m"]).await?;
            out.success().context("helm rollback").map(drop)
        };
        self.beside(rollback).await?;
        self.say("rolled back to the previous version");
        self.ledger.running("previous".into());
        self.of_version("previous").await?;
        // What the new version has granted is revoked by the previous one.
        revoked.revoke().await?;
        self.proven(if new.has_policies_of(previous)? { "" } else { &before }).await?;
        self.say("the previous version grants");
        self.grant("previous-again", 15).await?;
        self.finish().await
    }

    /// Runs a command, and returns the names of the operators' Pods that ran beside one another at a moment when there were most.
    async fn beside(&self, command: impl Future<Output = Result<()>>) -> Result<Vec<String>> {
        let mut most = Vec::new();
        let watched = async {
            loop {
                let now = self.kubelet.running("curfew-operator-");
                if now.len() > most.len() {
                    most = now;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            done = command => done?,
            () = watched => {}
        }
        ensure!(most.len() > 2, "no replica of one version ran beside those of the other: {most:?}");
        Ok(most)
    }

    /// Every Pod of the operator and of the process that only revokes is of this version.
    async fn of_version(&self, version: &str) -> Result<()> {
        let image = format!("{version}:");
        eventually(&format!("all Pods to be of the {version} version"), SOON, || async {
            let path = "{.items[*].spec.containers[0].image}";
            let mut images = BTreeSet::new();
            for component in ["operator", "revoker"] {
                let label = format!("app.kubernetes.io/component={component}");
                images.extend(self.w.field(&["pods", "-n", "curfew-system", "-l", &label], path).await?.split(' ').map(str::to_owned));
            }
            ensure!(images.iter().all(|found| found.starts_with(&image)), "{images:?}");
            Ok(Some(()))
        })
        .await
    }

    /// Waits until admission is proven, by a span that began at another time than this one, and the example is ready.
    async fn proven(&self, before: &str) -> Result<()> {
        let path = "{.status.admission.since}";
        let later = |since: &str| !since.is_empty() && since != before;
        self.w.field_fits(&["curfewconfig", "curfew"], path, "to be another", ROLLOUT, later).await?;
        self.w.granting().await
    }

    /// Waits until a proof of after this time is stored, which happens once a minute. A process that finds other policies knows only the
    /// stored ones, and what is not granted yet is Invalid if it was created later.
    async fn proven_until(&self, time: Time) -> Result<()> {
        let later = |proven: &str| Time::parse(proven).is_some_and(|proven| proven > time);
        self.w.field_fits(&["curfewconfig", "curfew"], "{.status.admission.proven}", "to be later", ROLLOUT, later).await
    }

    async fn since(&self) -> Result<String> {
        self.w.field(&["curfewconfig", "curfew"], "{.status.admission.since}").await
    }

    async fn ask(&mut self, name: &str, secs: u64) -> Result<Arc<Access>> {
        let access = Access::ask(self.w, &self.ledger, name.into(), secs, None).await?;
        self.accesses.push(access.clone());
        Ok(access)
    }

    async fn approve(&mut self, access: &Arc<Access>) -> Result<()> {
        access.approve().await?;
        self.say(&format!("active: {}", access.name));
        self.hold(access.clone());
        Ok(())
    }

    async fn grant(&mut self, name: &str, secs: u64) -> Result<Arc<Access>> {
        let access = self.ask(name, secs).await?;
        self.approve(&access).await?;
        Ok(access)
    }

    fn hold(&mut self, access: Arc<Access>) {
        let ledger = self.ledger.clone();
        let live = ledger.live().len();
        self.outcome.grants = (self.outcome.grants.0 + 1, self.outcome.grants.1.max(live));
        self.held.push(tokio::spawn(async move { access.hold().await.inspect_err(|error| ledger.report(&format!("{error:#}"))).ok() }));
    }

    /// Access that is approved now and begins later.
    async fn scheduled(&mut self, name: &str, start: Time, secs: u64) -> Result<()> {
        let access = Access::ask(self.w, &self.ledger, name.into(), secs, Some(start)).await?;
        access.schedule().await?;
        self.accesses.push(access.clone());
        self.say(&format!("scheduled: {name} at {start}"));
        self.hold_scheduled(access, start);
        Ok(())
    }

    /// Uses scheduled access from its start on; before it, it must not be there.
    fn hold_scheduled(&mut self, access: Arc<Access>, start: Time) {
        let ledger = self.ledger.clone();
        self.outcome.grants.0 += 1;
        self.held.push(tokio::spawn(async move {
            let used = async {
                access.begins(start).await?;
                access.hold().await
            };
            used.await.inspect_err(|error| ledger.report(&format!("{error:#}"))).ok()
        }));
    }

    /// Standing access until `end`.
    async fn standing(&mut self, end: Time) -> Result<()> {
        let window = format!("between: {{start: '{}', end: '{end}'}}", end.plus_secs(-3600));
        let yaml = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: ActiveAssignment, metadata: {{name: standing, namespace: payments}}, \
             spec: {{roleRef: {{name: standing}}, subject: {{user: standing@example.com}}, scope: {{all: {{}}}}, window: {{{window}}}, justification: on-call}}}}"
        );
        self.admin.apply(&yaml).await?.success()?;
        let access = Access::until(self.w, &self.ledger, "standing", end)?;
        self.w.access_is(&self.w.cp.user("standing@example.com", &[])?, true, SOON * 2).await?;
        self.say(&format!("active: standing access until {end}"));
        self.accesses.push(access.clone());
        self.hold(access);
        Ok(())
    }

    /// Waits for the end of every access, and checks that nothing is left.
    async fn finish(&mut self) -> Result<()> {
        self.say("every grant is used until it has ended");
        let held = std::mem::take(&mut self.held);
        used_up(self.w, &self.ledger, held, &self.accesses, &mut self.outcome).await?;
        ensure!(!self.kubelet.logs("curfew-")?.contains("panicked at"), "a panic is in the logs");
        self.say("every request and Grant has ended, and nothing is left");
        Ok(())
    }

    fn say(&self, what: &str) {
        println!("[release  {:5.1} s] {what}", self.begun.elapsed().as_secs_f32());
    }
}
