//! The engine of a controller: ids arrive in a work queue, lanes limit what runs, the deadline index says what is due.
//!
//! It sleeps until the earliest deadline, at most a second at a time, and then reads the clock again: a far deadline costs
//! nothing, and a step of the wall clock or a suspended machine is noticed within a second.
use super::{liveness::Pulse, panics::Panics};
use crate::authority::Clock;
use async_trait::async_trait;
use curfew_core::{
    deadlines::Deadlines,
    lanes::{Lanes, Limits, Urgency},
    requeue::Requeue,
    time::Time,
};
use std::{collections::HashMap, fmt::Debug, hash::Hash, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// How long one reconcile may take. A call that hangs must not hold a place in its lane. A reconcile that is cut off is tried
/// again, and its effects are unknown until they are read.
const LIMIT: Duration = Duration::from_secs(120);

/// Milliseconds until an id runs again whose object had changed.
const SOON_MS: i64 = 20;
/// Milliseconds until an id runs again that has failed.
const FAILURE_MS: i64 = 200;

/// How many ids are taken from the work queue at a time, at most.
const ARRIVALS: usize = 256;

/// When an id is reconciled again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextRun {
    /// When, if nothing changes before that.
    pub requeue: Requeue,
    /// At the latest then, also after a failure.
    pub deadline: Option<Time>,
    /// Nothing in the same lane begins before this: the target has throttled.
    pub pause_lane: Option<Time>,
}

impl NextRun {
    /// Without a deadline.
    pub const fn of(requeue: Requeue) -> Self {
        NextRun { requeue, deadline: None, pause_lane: None }
    }
}

/// Where an id waits for its turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The lane.
    pub lane: String,
    /// The lane's limits.
    pub limits: Limits,
    /// Revocations run first.
    pub urgency: Urgency,
    /// Of equal urgency the earlier runs first.
    pub due: Time,
}

impl Placement {
    /// A place for reconciles that call no target.
    pub fn anywhere() -> Self {
        Placement { lane: String::new(), limits: OWN, urgency: Urgency::Other, due: Time::from_millis(0) }
    }
}

/// The limits of reconciles that call only the operator's own API server.
pub const OWN: Limits = Limits { width: 16, per_minute: None, batch: 1 };

/// A controller, as the engine runs it.
#[async_trait]
pub trait Reconciler<Id>: Send + Sync + 'static {
    /// Reconciles `id`, and says when it runs again.
    async fn reconcile(&self, id: &Id) -> NextRun;
    /// The lane in which `id` runs, and how urgent it is.
    fn lane(&self, id: &Id) -> Placement;
    /// The longest pause after failures.
    fn max_backoff(&self) -> Duration;
}

/// The sending half of a work queue.
#[derive(Debug)]
pub struct WorkQueue<Id>(mpsc::UnboundedSender<Id>);

impl<Id> Clone for WorkQueue<Id> {
    fn clone(&self) -> Self {
        WorkQueue(self.0.clone())
    }
}

impl<Id> WorkQueue<Id> {
    /// Requests a reconcile. After the engine has stopped this has no effect.
    pub fn push(&self, id: Id) {
        drop(self.0.send(id));
    }
}

/// The engine of one controller.
pub struct Engine<Id, W> {
    name: &'static str,
    work: Arc<W>,
    clock: Arc<Clock>,
    panics: Panics,
    pulse: Pulse,
    inbox: mpsc::UnboundedReceiver<Id>,
    lanes: Lanes<String, Id>,
    deadlines: Deadlines<Id>,
    failures: HashMap<Id, u32>,
    /// How often in a row an id was found to have changed since it was read.
    conflicts: HashMap<Id, u32>,
}

impl<Id: Clone + Ord + Hash + Debug + Send + Sync + 'static, W: Reconciler<Id>> Engine<Id, W> {
    /// An engine, and the sending half of its work queue.
    pub fn new(name: &'static str, work: Arc<W>, clock: Arc<Clock>, panics: Panics) -> (Self, WorkQueue<Id>) {
        let (send, inbox) = mpsc::unbounded_channel();
        let engine = Engine {
            name,
            work,
            clock,
            panics,
            pulse: Pulse::new(name, LIMIT),
            inbox,
            lanes: Lanes::default(),
            deadlines: Deadlines::default(),
            failures: HashMap::new(),
            conflicts: HashMap::new(),
        };
        (engine, WorkQueue(send))
    }

    /// The signs of life of this engine.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs until `stop` changes; reconciles that run then are finished first.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut running: JoinSet<(String, Id, NextRun)> = JoinSet::new();
        let mut arrived = Vec::new();
        loop {
            self.pulse.turn();
            for id in self.deadlines.take_due(self.clock.now()) {
                self.enqueue(id);
            }
            while let Some((key, batch)) = self.lanes.start(self.clock.now()) {
                self.begin(&mut running, &key, batch);
            }
            let pause = self.pause();
            tokio::select! {
                // What arrived together is ordered, and batched, before any of it begins.
                1.. = self.inbox.recv_many(&mut arrived, ARRIVALS) => arrived.drain(..).for_each(|id| self.enqueue(id)),
                Some(done) = running.join_next() => match done {
                    Ok((key, id, next)) => self.finished(&key, id, next),
                    // Its id and its place in the lane are lost. The process ends with this task and is started again.
                    Err(error) => return tracing::error!(engine = self.name, %error, "a reconcile has ended without a result"),
                },
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => break,
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// A reconcile of its own for each member of a batch: time limit, panic and result concern one id. A panic is a failure like
    /// any other: the id is tried again after a pause that grows, so that its deadline is not lost.
    fn begin(&self, running: &mut JoinSet<(String, Id, NextRun)>, key: &str, batch: Vec<Id>) {
        for id in batch {
            let (key, work, panics, name) = (key.to_owned(), self.work.clone(), self.panics.clone(), self.name);
            let runs = self.pulse.begin(&key);
            running.spawn(async move {
                let reconcile = panics.catch(name, &id, tokio::time::timeout(LIMIT, work.reconcile(&id)));
                let next = match reconcile.await {
                    Some(Ok(next)) => next,
                    Some(Err(_)) => {
                        tracing::warn!(engine = name, ?id, "a reconcile took longer than {LIMIT:?}; it is cut off, and tried again");
                        NextRun::of(Requeue::Backoff)
                    }
                    None => NextRun::of(Requeue::Backoff),
                };
                drop(runs);
                (key, id, next)
            });
        }
    }

    /// Until the next deadline, at most a second.
    fn pause(&self) -> Duration {
        let next = self.deadlines.next().into_iter().chain(self.lanes.next_start()).min();
        let left = next.map_or(1000, |t| t.millis_since(self.clock.now()).clamp(0, 1000));
        Duration::from_millis(left.unsigned_abs())
    }

    fn enqueue(&mut self, id: Id) {
        let placement = self.panics.catch_now(self.name, &id, || self.work.lane(&id));
        let Placement { lane, limits, urgency, due } = placement.unwrap_or_else(Placement::anywhere);
        let failed = urgency == Urgency::Revoke && self.failures.contains_key(&id);
        let urgency = if failed { Urgency::RevokeAgain } else { urgency };
        self.lanes.push(lane, limits, id, urgency, due, self.clock.now());
    }

    /// Milliseconds until `id` runs again after one more failure or conflict, as `tries` counts them.
    fn pause_after(&mut self, id: &Id, first: i64, tries: impl FnOnce(&mut Self) -> &mut HashMap<Id, u32>) -> i64 {
        let max = self.work.max_backoff();
        let n = tries(self).entry(id.clone()).or_default();
        *n += 1;
        backoff(first, *n, max)
    }

    fn finished(&mut self, key: &str, id: Id, next: NextRun) {
        let (now, key) = (self.clock.now(), key.to_owned());
        if let Some(until) = next.pause_lane {
            self.lanes.pause(&key, until);
        }
        self.lanes.finish(&key, &id, now);
        let wake = match next.requeue {
            Requeue::At(t) => Some(t),
            Requeue::OnChange => None,
            Requeue::Backoff => Some(Time::from_millis(now.as_millis() + self.pause_after(&id, FAILURE_MS, |e| &mut e.failures))),
            Requeue::Stale => Some(Time::from_millis(now.as_millis() + self.pause_after(&id, SOON_MS, |e| &mut e.conflicts))),
        };
        if next.requeue != Requeue::Backoff {
            self.failures.remove(&id);
        }
        if next.requeue != Requeue::Stale {
            self.conflicts.remove(&id);
        }
        match wake.into_iter().chain(next.deadline.filter(|d| *d > now)).min() {
            Some(t) => self.deadlines.set(id, t),
            None => self.deadlines.remove(&id),
        }
    }
}

/// Milliseconds to wait after so many failures or conflicts in a row: `first`, doubled for each, at most `max`.
fn backoff(first: i64, tries: u32, max: Duration) -> i64 {
    let max = i64::try_from(max.as_millis()).unwrap_or(i64::MAX);
    (first << tries.saturating_sub(1).min(20)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    struct Once(Mutex<Vec<&'static str>>, Clock);

    #[async_trait]
    impl Reconciler<&'static str> for Once {
        async fn reconcile(&self, id: &&'static str) -> NextRun {
            let mut ran = self.0.lock();
            ran.push(*id);
            let again = ran.iter().filter(|x| *x == id).count() < 3;
            NextRun::of(if again { Requeue::Backoff } else { Requeue::OnChange })
        }
        fn lane(&self, _: &&'static str) -> Placement {
            Placement {
                lane: "one".into(),
                limits: Limits { width: 2, per_minute: None, batch: 1 },
                urgency: Urgency::Other,
                due: self.1.now(),
            }
        }
        fn max_backoff(&self) -> Duration {
            Duration::from_millis(10)
        }
    }

    #[tokio::test]
    async fn a_failed_reconcile_is_tried_again_until_it_succeeds() {
        let work = Arc::new(Once(Mutex::default(), Clock::default()));
        let (engine, inbox) = Engine::new("test", work.clone(), Arc::new(Clock::default()), Panics::default());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(engine.run(stopped));
        inbox.push("a");
        let enough = async {
            while work.0.lock().len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), enough).await.unwrap();
        stop.send_replace(true);
        task.await.unwrap();
        assert_eq!(*work.0.lock(), ["a", "a", "a"]);
    }

    /// Each reconcile waits until all three have begun.
    struct Together(tokio::sync::Barrier, Mutex<Vec<u8>>);

    #[async_trait]
    impl Reconciler<u8> for Together {
        async fn reconcile(&self, id: &u8) -> NextRun {
            self.0.wait().await;
            self.1.lock().push(*id);
            NextRun::of(Requeue::OnChange)
        }
        fn lane(&self, id: &u8) -> Placement {
            let limits = Limits { width: 1, per_minute: None, batch: 3 };
            Placement { lane: "one".into(), limits, urgency: Urgency::Other, due: Time::from_secs((*id).into()) }
        }
        fn max_backoff(&self) -> Duration {
            Duration::from_millis(10)
        }
    }

    #[tokio::test]
    async fn what_arrives_together_begins_together_up_to_a_batch() {
        let work = Arc::new(Together(tokio::sync::Barrier::new(3), Mutex::default()));
        let (engine, inbox) = Engine::new("test", work.clone(), Arc::new(Clock::default()), Panics::default());
        let (stop, stopped) = watch::channel(false);
        (1..=6).for_each(|id| inbox.push(id));
        let task = tokio::spawn(engine.run(stopped));
        let enough = async {
            while work.1.lock().len() < 6 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), enough).await.unwrap();
        stop.send_replace(true);
        task.await.unwrap();
        let mut ran = work.1.lock().clone();
        ran[..3].sort_unstable();
        ran[3..].sort_unstable();
        assert_eq!(ran, [1, 2, 3, 4, 5, 6], "the lane holds one batch at a time, the earliest first");
    }

    /// Panics for one id at each place where the engine calls it, and counts the runs of each.
    struct Poisoned(Mutex<HashMap<&'static str, u32>>);

    #[async_trait]
    impl Reconciler<&'static str> for Poisoned {
        async fn reconcile(&self, id: &&'static str) -> NextRun {
            *self.0.lock().entry(id).or_default() += 1;
            tokio::task::yield_now().await;
            assert_ne!(*id, "reconcile", "a value that nobody has foreseen");
            NextRun::of(if *id == "again" { Requeue::Stale } else { Requeue::OnChange })
        }
        fn lane(&self, id: &&'static str) -> Placement {
            assert_ne!(*id, "lane", "a value that nobody has foreseen");
            let limits = Limits { width: 1, per_minute: None, batch: 1 };
            Placement { lane: "one".into(), limits, urgency: Urgency::Other, due: Time::from_secs(0) }
        }
        fn max_backoff(&self) -> Duration {
            Duration::from_millis(300)
        }
    }

    #[tokio::test]
    async fn a_panic_concerns_one_id_which_is_tried_again_after_pauses() {
        let (work, panics) = (Arc::new(Poisoned(Mutex::default())), Panics::default());
        let (engine, inbox) = Engine::new("test", work.clone(), Arc::new(Clock::default()), panics.clone());
        let pulse = engine.pulse();
        let (stop, stopped) = watch::channel(false);
        ["reconcile", "lane", "again"].into_iter().for_each(|id| inbox.push(id));
        let task = tokio::spawn(engine.run(stopped));
        let runs = |id| work.0.lock().get(id).copied().unwrap_or_default();
        let begun = std::time::Instant::now();
        let enough = async {
            // A run is counted when it begins, its panic when it ends.
            while runs("reconcile") < 4 || runs("lane") < 1 || runs("again") < 10 || panics.count("test") < 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), enough).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(200 + 300 + 300), "the pauses grow to their limit: {:?}", begun.elapsed());
        assert_eq!(pulse.check(std::time::Instant::now()), Ok(()));
        stop.send_replace(true);
        task.await.unwrap();
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let most = Duration::from_secs(10);
        assert_eq!([1, 2, 3, 9].map(|n| backoff(FAILURE_MS, n, most)), [200, 400, 800, 10_000]);
        assert_eq!([1, 2, 3, 9, 10].map(|n| backoff(SOON_MS, n, most)), [20, 40, 80, 5_120, 10_000]);
    }
}
