//! One run for one system: read who may do what, analyse, publish, remember the score of the day.
use super::{
    analysis::{self, ClusterInputs, Worker},
    cluster::Cluster,
    memo::Memo,
    metrics::Scored,
    publish::{self, Measured, Verdict},
    state::{Evaluated, Shared, System},
    status::{self, shares},
};
use crate::{
    history::{DAY, DailyScore, Day, Window},
    report::{Report, Row},
    serve::systems::Analysis,
    store::{Batch, IdentityScore, Snapshot, StoreError},
};
use curfew_api::{
    conditions::Is,
    system::{Folder, KubernetesConnection, Pci, Provider, Targets, UsageSource},
};
use curfew_core::time::Time;
use jiff::Timestamp;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use std::sync::Arc;

/// The length of a window that is not set.
const WINDOW: i64 = 90 * DAY;
/// A source is out of date if its newest event is older, in seconds. A cluster is never silent: its components renew leases.
const STALE: i64 = 6 * HOUR;
/// In seconds.
const HOUR: i64 = 3600;
/// The source in the store under which the target of a system is noted.
const TARGET: &str = "(target)";

/// What runs need.
pub struct Runs {
    /// What all parts share.
    pub shared: Arc<Shared>,
    /// For the cluster in which this process runs.
    pub client: Client,
    /// That cluster, as an AuthorizationSystem.
    pub cluster: Arc<Cluster>,
}

/// Why there is no analysis: a reason in CamelCase, and a message.
type NoAnalysis = (&'static str, String);

impl Runs {
    /// Analyses a system and publishes what came of it.
    ///
    /// # Errors
    /// If the result could not be stored or published: the run must be repeated soon.
    pub async fn run(&self, system: &Arc<System>, memo: &Arc<Mutex<Memo>>) -> Result<(), String> {
        let now = Timestamp::now().as_second();
        let outcome = self.analyse(system, memo, now).await;
        let (shared, of) = (self.shared.clone(), system.clone());
        let finished = tokio::task::spawn_blocking(move || finish(&shared, &of, outcome, now));
        let measured = finished.await.map_err(|error| error.to_string())??;
        self.publish(system, &measured, now).await?;
        if measured.inventory.0 == Is::True {
            self.shared.measure(&system.name, |metrics| metrics.published(&system.name, now));
        }
        Ok(())
    }

    async fn publish(&self, system: &System, measured: &Measured, now: i64) -> Result<(), String> {
        let object = system.object();
        let status = publish::status(&object, measured, Time::from_secs(now));
        let is_due = object.status.as_ref().and_then(|status| status.pci.as_ref()?.evaluated_at).is_none_or(|at| {
            // Between two hours only what differs is written.
            Time::from_secs(now).millis_since(at) >= 3_600_000
        });
        if !is_due && publish::is_shown(&object, &status) {
            return Ok(());
        }
        publish::publish(&self.client, &object, &status).await.map_err(|error| format!("the status cannot be written: {error}"))
    }

    async fn analyse(&self, system: &Arc<System>, memo: &Arc<Mutex<Memo>>, now: i64) -> Result<Worker, NoAnalysis> {
        let object = system.object();
        let window = object.spec.analytics.as_ref().and_then(|analytics| analytics.window).map_or(WINDOW, |window| window.secs());
        let window = Window::ending(now, window);
        let provider = &object.spec.provider;
        if let Provider::Kubernetes(KubernetesConnection::InCluster(_)) = provider {
            return self.analyse_cluster(system, memo, window).await;
        }
        if let Provider::Kubernetes(KubernetesConnection::KubeconfigSecretRef(_)) = provider {
            let how = "run curfew-analytics in that cluster, or analyse its files with curfew-analytics analyze";
            return Err(("Unsupported", format!("a cluster behind a kubeconfig is not read from here: {how}")));
        }
        #[cfg(feature = "aws")]
        if let Provider::Aws(connection) = provider {
            let role = object.spec.analytics.as_ref().and_then(|analytics| analytics.assume_role.as_ref());
            return self.analyse_account(system, connection, role, window).await;
        }
        Err(("Unsupported", format!("this build of curfew-analytics reads no system of the kind {}", provider.kind().as_str())))
    }

    async fn analyse_cluster(&self, system: &System, memo: &Arc<Mutex<Memo>>, window: Window) -> Result<Worker, NoAnalysis> {
        let (dump, discovery) = self.cluster.read().await.map_err(|why| ("NotListed", why.to_string()))?;
        let (shared, name) = (self.shared.clone(), system.name.clone());
        let inputs = ClusterInputs {
            dump,
            discovery,
            store: self.shared.store.clone(),
            system: system.name.clone(),
            window,
            memo: memo.clone(),
            scored: Box::new(move |count| shared.metrics.scored(&name, count)),
        };
        work(&system.name, move |ready, asks| analysis::cluster(inputs, ready, asks)).await
    }
}

#[cfg(feature = "aws")]
impl Runs {
    async fn analyse_account(
        &self,
        system: &System,
        connection: &curfew_api::system::AwsConnection,
        role: Option<&curfew_api::system::AssumeRole>,
        window: Window,
    ) -> Result<Worker, NoAnalysis> {
        let account = super::account::read(connection, role).await.map_err(|why| ("NotListed", why))?;
        let (store, name) = (self.shared.store.clone(), system.name.clone());
        let inputs = analysis::AccountInputs { account, store, system: name, window };
        work(&system.name, move |ready, asks| analysis::account(inputs, ready, asks)).await
    }
}

/// Starts the thread of an analysis, and waits for its report without blocking others.
async fn work(
    system: &str,
    run: impl FnOnce(&analysis::Ready, std::sync::mpsc::Receiver<analysis::Ask>) + Send + 'static,
) -> Result<Worker, NoAnalysis> {
    let name = system.to_owned();
    let started = tokio::task::spawn_blocking(move || Worker::start(&name, run)).await;
    started.map_err(|error| error.to_string()).and_then(|worker| worker).map_err(|why| ("AnalysisFailed", why))
}

/// Stores the scores of the day, remembers the analysis, and says what is to be published. Blocks.
fn finish(shared: &Shared, system: &System, outcome: Result<Worker, NoAnalysis>, now: i64) -> Result<Measured, String> {
    let newest = newest_hour(shared, system, now).map_err(|error| error.to_string())?;
    let usage = usage_verdict(system, newest, now);
    shared.measure(&system.name, |metrics| {
        let has_source = !system.usage_sources().is_empty();
        metrics.fresh(&system.name, outcome.is_ok(), has_source.then_some(usage.0 == Is::True));
        match newest {
            Some(hour) => metrics.heard(&system.name, std::iter::once(hour * HOUR), now),
            None => metrics.unheard(&system.name),
        }
    });
    let worker = match outcome {
        Ok(worker) => worker,
        Err((reason, message)) => {
            // What was published before stays, with the time at which it was true.
            *system.problem.write() = Some(message.clone());
            shared.measure(&system.name, |metrics| metrics.failed(&system.name));
            let before = system.object().status.clone().unwrap_or_default();
            return Ok(Measured { pci: before.pci, findings: before.findings, inventory: (Is::False, reason, message), usage });
        }
    };
    let report = worker.report();
    let has_usage = report.window.covered_days > 0;
    let shares = shares(report);
    let scored = has_usage.then(|| scored(shared, system, report, &shares, now)).transpose().map_err(|error| error.to_string())?;
    let findings = status::findings(report, has_usage);
    shared.measure(&system.name, |metrics| {
        let targets = targets_of(system).map(|targets| status::against_targets(report, &targets)).unwrap_or_default();
        let shown = scored.as_ref().map(|(_, history)| Scored { history, targets: &targets });
        metrics.show(&system.name, report, shown.as_ref());
    });
    let pci = scored.map(|(pci, _)| pci);
    let inventory = (Is::True, "Listed", format!("{} identities that count, of {}", report.system.counted, report.identities.len()));
    *system.problem.write() = (usage.0 != Is::True).then(|| usage.2.clone());
    *system.evaluated.write() = Some(Arc::new(Evaluated { worker: Arc::new(worker), shares, pci: pci.clone() }));
    Ok(Measured { pci, findings, inventory, usage })
}

fn targets_of(system: &System) -> Option<Targets> {
    system.object().spec.analytics.as_ref().and_then(|analytics| analytics.targets.clone())
}

/// Stores the scores of the day, and makes what is published of them. Returns the scores of past days, too.
fn scored(shared: &Shared, system: &System, report: &Report, shares: &[f64], now: i64) -> Result<(Pci, Vec<DailyScore>), StoreError> {
    let store = &shared.store;
    store.put_snapshot(&system.name, &snapshot(report, now))?;
    let history = store.history(&system.name)?;
    let folders = folders(shared, system, shares, report, now)?;
    let pci = status::pci(report, &history, targets_of(system).as_ref(), folders, Time::from_secs(now));
    Ok((pci, history))
}

fn snapshot(report: &Report, now: i64) -> Snapshot {
    let identity = |row: &Row| {
        let key = analysis::key(row);
        IdentityScore { name: key.name, group: key.group, score: row.score, x: row.x }
    };
    let rows = report.identities.iter().filter(|row| row.counted || row.score.is_some());
    Snapshot { score: status::daily(report, now), identities: rows.map(identity).collect() }
}

/// The scores of the folders that a system is in.
fn folders(shared: &Shared, system: &System, own: &[f64], report: &Report, now: i64) -> Result<Vec<Folder>, StoreError> {
    let object = system.object();
    let keys = object.spec.analytics.as_ref().map(|analytics| analytics.folders.clone()).unwrap_or_default();
    let mut folders = Vec::new();
    for key in &keys {
        let Some(value) = object.labels().get(key) else { continue };
        let others = shared.systems().into_iter().filter(|other| other.name != system.name).filter_map(|other| {
            let object = other.object();
            let lists = object.spec.analytics.as_ref().is_some_and(|analytics| analytics.folders.contains(key));
            let evaluated = other.evaluated.read().clone()?;
            (lists && object.labels().get(key) == Some(value) && evaluated.pci.is_some()).then_some(evaluated)
        });
        let others: Vec<Arc<Evaluated>> = others.collect();
        let all: Vec<&[f64]> = others.iter().map(|other| other.shares.as_slice()).chain([own]).collect();
        let (folder, x) = status::folder(key, value, &all);
        let counted = all.iter().map(|shares| shares.len()).sum::<usize>();
        let daily = DailyScore {
            score: folder.score.score,
            x,
            counted: u32::try_from(counted).unwrap_or(u32::MAX),
            bands: Default::default(),
            findings: Default::default(),
            ..status::daily(report, now)
        };
        shared.store.put_folder(&format!("{key}={value}"), &daily)?;
        folders.push(folder);
    }
    Ok(folders)
}

/// The newest hour of which the store has an event.
fn newest_hour(shared: &Shared, system: &System, now: i64) -> Result<Option<i64>, StoreError> {
    let today = Day::of(now);
    let hours = shared.store.hours(&system.name, today.back(shared.store.limits().usage_days), Day(today.0 + 1))?;
    Ok(hours.into_iter().max())
}

/// Whether it is known who did what: by the sources that are set, what went wrong with them, and the newest hour with an event.
fn usage_verdict(system: &System, newest: Option<i64>, now: i64) -> Verdict {
    let sources = system.usage_sources();
    if sources.is_empty() {
        let message = "spec.analytics.usage names no source: without one everything would look unused, so there is no score";
        return (Is::False, "NoSource", message.into());
    }
    let problems: Vec<String> = system.sources.read().values().cloned().collect();
    let problems = if problems.is_empty() { String::new() } else { format!("; {}", problems.join("; ")) };
    let how = match sources.iter().any(|source| matches!(source, UsageSource::AuditWebhook(_))) {
        true => "; the API server posts events if it was started with --audit-policy-file and --audit-webhook-config-file",
        false => "",
    };
    match newest {
        None => (Is::False, "NoEvents", format!("no event has come yet, so there is no score{how}{problems}")),
        Some(hour) if now - hour * HOUR > STALE + HOUR => {
            let at = Timestamp::from_second(hour * HOUR).map_or_else(|_| hour.to_string(), |at| at.to_string());
            (Is::False, "Stale", format!("no event has come since the hour from {at}{problems}"))
        }
        Some(_) if !problems.is_empty() => (Is::False, "Problems", format!("events come, and not all can be read{problems}")),
        Some(_) => (Is::True, "EventsCome", "events come".into()),
    }
}

/// Forgets the usage of a system whose name now stands for another target. Blocks.
///
/// # Errors
/// Of the store.
pub fn forget_other_target(shared: &Shared, system: &System) -> Result<(), StoreError> {
    let object = system.object();
    let Some(target) = object.status.as_ref().and_then(|status| status.target.as_ref()).map(|target| target.id.clone()) else {
        return Ok(());
    };
    let known = shared.store.watermark(&system.name, TARGET)?;
    if known.is_some_and(|known| known != target) {
        tracing::warn!(system = system.name, "the system stands for another target now: the usage of the former one is forgotten");
        shared.store.forget(&system.name)?;
        shared.metrics.unheard(&system.name);
    }
    // Each time, since what was not written for long is removed.
    let batch = Batch { system: &system.name, source: TARGET, watermark: Some(&target), now: Timestamp::now().as_second() };
    shared.store.ingest(&batch, [])?;
    Ok(())
}
