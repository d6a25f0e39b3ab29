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
    sync::{mpsc, oneshot, watch},
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
    /// Reconciles `id` in this place of its lane, and says when it runs again.
    async fn reconcile(&self, id: &Id, place: &Place<Id>) -> NextRun;
    /// The lane in which `id` runs, and how urgent it is.
    fn lane(&self, id: &Id) -> Placement;
    /// The longest pause after failures.
    fn max_backoff(&self) -> Duration;
}

/// The place in a lane in which a reconcile runs.
#[derive(Clone, Debug)]
pub struct Place<Id> {
    lane: String,
    id: Id,
    engine: mpsc::UnboundedSender<GivesWay<Id>>,
}

/// A reconcile that has given its place away, and how it is told to go on.
#[derive(Debug)]
struct GivesWay<Id> {
    lane: String,
    id: Id,
    go_on: oneshot::Sender<()>,
}

impl<Id: Clone> Place<Id> {
    /// Lets the removals that are due go first. What has removed an access calls it before it records the end: a thousand that end at one
    /// moment are removed by most of the lane while a share of it records ([`Lanes`]). Goes on at once where nothing waits.
    pub async fn give_way(&self) {
        let (go_on, told) = oneshot::channel();
        if self.engine.send(GivesWay { lane: self.lane.clone(), id: self.id.clone(), go_on }).is_ok() {
            // An engine that has stopped tells nobody, and drops its end.
            drop(told.await);
        }
    }
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
    /// Reconciles give their places away here.
    giving_way: (mpsc::UnboundedSender<GivesWay<Id>>, mpsc::UnboundedReceiver<GivesWay<Id>>),
    /// How those that have are told to go on.
    gave_way: HashMap<Id, oneshot::Sender<()>>,
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
            giving_way: mpsc::unbounded_channel(),
            gave_way: HashMap::new(),
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

    /// Runs as [`run`](Self::run) does, once `begin` has ended. What arrives before that is kept.
    pub async fn run_from(self, begin: impl Future<Output = ()> + Send, mut stop: watch::Receiver<bool>) {
        let mut begin = std::pin::pin!(begin);
        loop {
            self.pulse.turn();
            tokio::select! {
                () = &mut begin => break,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                _ = stop.changed() => return,
            }
        }
        self.run(stop).await;
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
                Some(GivesWay { lane, id, go_on }) = self.giving_way.1.recv() => {
                    // Dropped unsent, it lets a reconcile go on that need not wait.
                    if self.lanes.give_way(&lane, &id, self.clock.now()) {
                        self.gave_way.insert(id, go_on);
                    }
                }
                Some(done) = running.join_next() => match done {
                    Ok((key, id, next)) => self.finished(&key, id, next),
                    // Its id and its place in the lane are lost. The process ends with this task and is started again.
                    Err(error) => return tracing::error!(engine = self.name, %error, "a reconcile has ended without a result"),
                },
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => break,
            }
        }
        // Nothing begins any more, so nobody has to wait.
        self.gave_way.clear();
        drop(self.giving_way);
        while running.join_next().await.is_some() {}
    }

    /// A reconcile of its own for each member of a batch: time limit, panic and result concern one id. A panic is a failure like
    /// any other: the id is tried again after a pause that grows, so that its deadline is not lost.
    /// A member that has given way goes on.
    fn begin(&mut self, running: &mut JoinSet<(String, Id, NextRun)>, key: &str, batch: Vec<Id>) {
        for id in batch {
            if let Some(go_on) = self.gave_way.remove(&id) {
                // One that was cut off meanwhile does not listen; its end is on the way here.
                let _ = go_on.send(());
                continue;
            }
            let (key, work, panics, name) = (key.to_owned(), self.work.clone(), self.panics.clone(), self.name);
            let place = Place { lane: key.clone(), id: id.clone(), engine: self.giving_way.0.clone() };
            let runs = self.pulse.begin(&key);
            running.spawn(async move {
                let reconcile = panics.catch(name, &id, tokio::time::timeout(LIMIT, work.reconcile(&id, &place)));
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
        let now = self.clock.now();
        let next = self.deadlines.next().into_iter().chain(self.lanes.next_start(now)).min();
        let left = next.map_or(1000, |t| t.millis_since(now).clamp(0, 1000));
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
        self.gave_way.remove(&id);
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
mod tests;
