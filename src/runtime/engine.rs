//! One engine for all work: wishes come in, lanes say what may run, the deadline index says what is due.
//!
//! It sleeps until the earliest deadline, at most a second at a time, and reads the clock anew: a far deadline costs
//! nothing, and a step of the wall clock or a suspended machine is noticed within a second.
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

/// How long one piece of work may take. A hung call must not hold a place in its lane; what is cut off is tried again, and
/// nothing is believed of what it may have done.
const LIMIT: Duration = Duration::from_secs(120);

/// When a piece of work runs again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextRun {
    /// When, if nothing changes before.
    pub requeue: Requeue,
    /// At the latest then, whatever `requeue` says: a deadline that no failure may lose.
    pub deadline: Option<Time>,
    /// Nothing of the same lane begins before this, because the target asked for it.
    pub pause_lane: Option<Time>,
}

impl NextRun {
    /// Without a deadline.
    pub const fn of(requeue: Requeue) -> Self {
        NextRun { requeue, deadline: None, pause_lane: None }
    }
}

/// Where a piece of work waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The lane.
    pub lane: String,
    /// The lane's limits.
    pub limits: Limits,
    /// Revocations go first.
    pub urgency: Urgency,
    /// Among equals the earlier goes first.
    pub due: Time,
}

impl Placement {
    /// For work that turns out to be nothing: it waits for no target.
    pub fn anywhere() -> Self {
        Placement { lane: String::new(), limits: OWN, urgency: Urgency::Other, due: Time::from_millis(0) }
    }
}

/// Limits of work that asks no target but the operator's own API server.
pub const OWN: Limits = Limits { width: 16, per_minute: None };

/// What the engine runs.
#[async_trait]
pub trait Reconciler<Id>: Send + Sync + 'static {
    /// Does what is to be done about `id` now.
    async fn reconcile(&self, id: &Id) -> NextRun;
    /// The lane in which it runs, and how urgent it is.
    fn lane(&self, id: &Id) -> Placement;
    /// The longest pause after failures.
    fn max_backoff(&self) -> Duration;
}

/// Where wishes are put in.
#[derive(Debug)]
pub struct WorkQueue<Id>(mpsc::UnboundedSender<Id>);

impl<Id> Clone for WorkQueue<Id> {
    fn clone(&self) -> Self {
        WorkQueue(self.0.clone())
    }
}

impl<Id> WorkQueue<Id> {
    /// Asks for work. After the engine has stopped it is not wanted any more.
    pub fn push(&self, id: Id) {
        drop(self.0.send(id));
    }
}

/// The engine over one kind of work.
pub struct Engine<Id, W> {
    name: &'static str,
    work: Arc<W>,
    clock: Arc<Clock>,
    inbox: mpsc::UnboundedReceiver<Id>,
    lanes: Lanes<String, Id>,
    deadlines: Deadlines<Id>,
    failures: HashMap<Id, u32>,
}

impl<Id: Clone + Ord + Hash + Debug + Send + Sync + 'static, W: Reconciler<Id>> Engine<Id, W> {
    /// An engine, and the sending half of its work queue.
    pub fn new(name: &'static str, work: Arc<W>, clock: Arc<Clock>) -> (Self, WorkQueue<Id>) {
        let (send, inbox) = mpsc::unbounded_channel();
        let engine =
            Engine { name, work, clock, inbox, lanes: Lanes::default(), deadlines: Deadlines::default(), failures: HashMap::new() };
        (engine, WorkQueue(send))
    }

    /// Runs until `stop` says so; what runs then is finished first.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut running: JoinSet<(String, Id, NextRun)> = JoinSet::new();
        loop {
            for id in self.deadlines.take_due(self.clock.now()) {
                self.ask(id);
            }
            while let Some((key, id)) = self.lanes.start(self.clock.now()) {
                let work = self.work.clone();
                running.spawn(async move {
                    let next = tokio::time::timeout(LIMIT, work.reconcile(&id)).await.unwrap_or(NextRun::of(Requeue::Backoff));
                    (key, id, next)
                });
            }
            let pause = self.pause();
            tokio::select! {
                Some(id) = self.inbox.recv() => self.ask(id),
                Some(done) = running.join_next() => match done {
                    Ok((key, id, next)) => self.finished(&key, id, next),
                    // A panic is a bug; the deadline index of that one id is lost, so the process must start anew.
                    Err(e) => { tracing::error!(engine = self.name, error = %e, "work has panicked; stopping, so that everything is read anew"); std::process::exit(70) }
                },
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => break,
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Until the next deadline, at most a second.
    fn pause(&self) -> Duration {
        let next = self.deadlines.next().into_iter().chain(self.lanes.next_start()).min();
        let left = next.map_or(1000, |t| t.millis_since(self.clock.now()).clamp(0, 1000));
        Duration::from_millis(left.unsigned_abs())
    }

    fn ask(&mut self, id: Id) {
        let Placement { lane, limits, urgency, due } = self.work.lane(&id);
        self.lanes.push(lane, limits, id, urgency, due, self.clock.now());
    }

    fn finished(&mut self, key: &str, id: Id, next: NextRun) {
        let (now, key) = (self.clock.now(), key.to_owned());
        if let Some(until) = next.pause_lane {
            self.lanes.pause(&key, until);
        }
        self.lanes.finish(&key, &id, now);
        let tries = match next.requeue {
            Requeue::Backoff => {
                let n = self.failures.entry(id.clone()).or_default();
                *n += 1;
                *n
            }
            Requeue::Now | Requeue::At(_) | Requeue::OnChange => {
                self.failures.remove(&id);
                0
            }
        };
        let wake = match next.requeue {
            Requeue::Now => Some(Time::from_millis(now.as_millis() + 20)),
            Requeue::At(t) => Some(t),
            Requeue::OnChange => None,
            Requeue::Backoff => Some(Time::from_millis(now.as_millis() + backoff(tries, self.work.max_backoff()))),
        };
        match wake.into_iter().chain(next.deadline.filter(|d| *d > now)).min() {
            Some(t) => self.deadlines.set(id, t),
            None => self.deadlines.remove(&id),
        }
    }
}

/// 200 ms, doubled for each failure in a row, up to `most`.
fn backoff(tries: u32, most: Duration) -> i64 {
    let most = i64::try_from(most.as_millis()).unwrap_or(i64::MAX);
    (200_i64 << tries.saturating_sub(1).min(20)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Once(Mutex<Vec<&'static str>>, Clock);

    #[async_trait]
    impl Reconciler<&'static str> for Once {
        async fn reconcile(&self, id: &&'static str) -> NextRun {
            let mut ran = self.0.lock().unwrap();
            ran.push(*id);
            let again = ran.iter().filter(|x| *x == id).count() < 3;
            NextRun::of(if again { Requeue::Backoff } else { Requeue::OnChange })
        }
        fn lane(&self, _: &&'static str) -> Placement {
            Placement { lane: "one".into(), limits: Limits { width: 2, per_minute: None }, urgency: Urgency::Other, due: self.1.now() }
        }
        fn max_backoff(&self) -> Duration {
            Duration::from_millis(10)
        }
    }

    #[tokio::test]
    async fn what_failed_is_tried_again_until_it_is_done() {
        let work = Arc::new(Once(Mutex::default(), Clock::default()));
        let (engine, inbox) = Engine::new("test", work.clone(), Arc::new(Clock::default()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(engine.run(stopped));
        inbox.push("a");
        let enough = async {
            while work.0.lock().unwrap().len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), enough).await.unwrap();
        stop.send_replace(true);
        task.await.unwrap();
        assert_eq!(*work.0.lock().unwrap(), ["a", "a", "a"]);
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let most = Duration::from_secs(10);
        assert_eq!([1, 2, 3, 9].map(|n| backoff(n, most)), [200, 400, 800, 10_000]);
    }
}
