//! Follows the AuthorizationSystems, and runs a task for each.
use super::{
    evaluate::{Runs, forget_other_target},
    memo::Memo,
    state::System,
};
use curfew_api::AuthorizationSystem;
use curfew_core::target::ProviderKind;
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

/// When a system is analysed.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// At least so often.
    pub every: Duration,
    /// So long after the first change of its inventory.
    pub settle: Duration,
}

/// A run that failed is repeated after this long.
const AGAIN: Duration = Duration::from_secs(15);
/// The shortest pause after an analysis, as a multiple of how long it took, see [`rest`].
const RESTS_FOR_ONE: u32 = 3;

/// The uid of a system, and its task.
type Running = BTreeMap<String, (String, Arc<System>, AbortHandle)>;

/// Follows the systems until the process ends.
pub async fn follow(runs: Arc<Runs>, pace: Pace) {
    let api: Api<AuthorizationSystem> = Api::all(runs.client.clone());
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let (mut running, mut listed) = (Running::new(), BTreeSet::new());
    loop {
        match events.try_next().await {
            Ok(Some(watcher::Event::Init)) => listed.clear(),
            Ok(Some(watcher::Event::InitApply(object))) => {
                listed.insert(object.name_any());
                apply(&runs, pace, &mut running, object);
            }
            Ok(Some(watcher::Event::InitDone)) => {
                let gone: Vec<String> = running.keys().filter(|name| !listed.contains(*name)).cloned().collect();
                gone.iter().for_each(|name| stop(&runs, &mut running, name));
                runs.shared.set_listed();
            }
            Ok(Some(watcher::Event::Apply(object))) => apply(&runs, pace, &mut running, object),
            Ok(Some(watcher::Event::Delete(object))) => stop(&runs, &mut running, &object.name_any()),
            Ok(None) => return,
            // The watch begins again after a pause.
            Err(error) => tracing::warn!(%error, "the AuthorizationSystems cannot be watched"),
        }
    }
}

fn apply(runs: &Arc<Runs>, pace: Pace, running: &mut Running, object: AuthorizationSystem) {
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    if let Some((_, system, _)) = running.get(&name).filter(|(known, ..)| *known == uid) {
        system.update(Arc::new(object));
        return;
    }
    stop(runs, running, &name);
    let system = Arc::new(System::new(Arc::new(object)));
    runs.shared.insert(system.clone());
    let task = tokio::spawn(keep(runs.clone(), pace, system.clone())).abort_handle();
    running.insert(name, (uid, system, task));
}

/// Its usage stays in the store: the object may come back.
fn stop(runs: &Runs, running: &mut Running, name: &str) {
    if let Some((.., task)) = running.remove(name) {
        task.abort();
        runs.shared.remove(name);
    }
}

/// Analyses a system again and again.
async fn keep(runs: Arc<Runs>, pace: Pace, system: Arc<System>) {
    let memo: Arc<Mutex<Memo>> = Arc::default();
    let mut changes = runs.cluster.changes();
    let is_cluster = system.object().spec.provider.kind() == ProviderKind::Kubernetes;
    loop {
        let (shared, of) = (runs.shared.clone(), system.clone());
        let checked = tokio::task::spawn_blocking(move || forget_other_target(&shared, &of)).await;
        if let Ok(Err(error)) = checked {
            tracing::warn!(system = system.name, %error, "the usage of a former target cannot be forgotten");
        }
        changes.borrow_and_update();
        let begun = Instant::now();
        let outcome = runs.run(&system, &memo).await;
        let took = begun.elapsed();
        let every = match &outcome {
            Ok(()) => pace.every,
            Err(error) => {
                runs.shared.measure(&system.name, |metrics| metrics.failed(&system.name));
                tracing::warn!(system = system.name, error, "an analysis is repeated");
                pace.every.min(AGAIN)
            }
        };
        tracing::debug!(system = system.name, seconds = took.as_secs_f32(), "analysed");
        tokio::select! {
            () = sleep_until(begun + every) => {}
            changed = changes.changed(), if is_cluster => {
                if changed.is_err() {
                    return;
                }
                sleep(pace.settle).await;
            }
            () = system.wake.notified() => sleep(pace.settle).await,
        }
        sleep_until(begun + took + rest(took, pace.every)).await;
    }
}

/// The shortest pause after an analysis that took so long, so that analyses take at most a quarter of the time. It is at most `every`: a process
/// that was stopped during an analysis, or whose machine was suspended, took long by the clock alone, and must not be silent for a multiple of
/// that.
fn rest(took: Duration, every: Duration) -> Duration {
    took.saturating_mul(RESTS_FOR_ONE).min(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_after_an_analysis_is_three_times_as_long_and_at_most_the_interval() {
        let (second, every) = (Duration::from_secs(1), Duration::from_secs(300));
        assert_eq!(rest(second, every), second * 3);
        assert_eq!(rest(every, every), every);
        assert_eq!(rest(Duration::from_secs(24 * 3600), every), every, "stopped for a day");
        assert_eq!(rest(Duration::MAX, every), every);
    }
}
