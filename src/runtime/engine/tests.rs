//! What the engine runs, when, and in which order.
use super::*;
use parking_lot::Mutex;

/// Runs an engine on these ids until `done`, and stops it.
async fn run_until<Id, W>(work: &Arc<W>, ids: impl IntoIterator<Item = Id>, panics: &Panics, limit: Duration, done: impl Fn() -> bool)
where
    Id: Clone + Ord + Hash + Debug + Send + Sync + 'static,
    W: Reconciler<Id>,
{
    let (engine, inbox) = Engine::new("test", work.clone(), Arc::new(Clock::default()), panics.clone());
    let pulse = engine.pulse();
    let (stop, stopped) = watch::channel(false);
    ids.into_iter().for_each(|id| inbox.push(id));
    let task = tokio::spawn(engine.run(stopped));
    let enough = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(limit, enough).await.unwrap();
    assert_eq!(pulse.check(std::time::Instant::now()), Ok(()));
    stop.send_replace(true);
    task.await.unwrap();
}

/// For what takes milliseconds.
const SOON: Duration = Duration::from_secs(10);

struct Once(Mutex<Vec<&'static str>>, Clock);

#[async_trait]
impl Reconciler<&'static str> for Once {
    async fn reconcile(&self, id: &&'static str, _: &Place<&'static str>) -> NextRun {
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
    run_until(&work, ["a"], &Panics::default(), SOON, || work.0.lock().len() >= 3).await;
    assert_eq!(*work.0.lock(), ["a", "a", "a"]);
}

#[tokio::test]
async fn what_arrives_before_the_beginning_waits_for_it() {
    let work = Arc::new(Once(Mutex::default(), Clock::default()));
    let (engine, inbox) = Engine::new("test", work.clone(), Arc::new(Clock::default()), Panics::default());
    let (begin, begins) = oneshot::channel::<()>();
    let (stop, stopped) = watch::channel(false);
    inbox.push("a");
    let task = tokio::spawn(engine.run_from(async { drop(begins.await) }, stopped.clone()));
    // It has been polled, and the id is there.
    (0..100).for_each(|_| inbox.push("a"));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(work.0.lock().is_empty());
    begin.send(()).unwrap();
    let ran = async {
        while work.0.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, ran).await.unwrap();
    stop.send_replace(true);
    task.await.unwrap();
    let (waiting, _inbox) = Engine::new("test", work, Arc::new(Clock::default()), Panics::default());
    let waiting = waiting.run_from(std::future::pending(), stopped);
    tokio::time::timeout(SOON, waiting).await.expect("it is told to stop before it has begun");
}

/// Each reconcile waits until all three have begun.
struct Together(tokio::sync::Barrier, Mutex<Vec<u8>>);

#[async_trait]
impl Reconciler<u8> for Together {
    async fn reconcile(&self, id: &u8, _: &Place<u8>) -> NextRun {
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
    run_until(&work, 1..=6, &Panics::default(), SOON, || work.1.lock().len() >= 6).await;
    let mut ran = work.1.lock().clone();
    ran[..3].sort_unstable();
    ran[3..].sort_unstable();
    assert_eq!(ran, [1, 2, 3, 4, 5, 6], "the lane holds one batch at a time, the earliest first");
}

/// Panics for one id at each place where the engine calls it, and counts the runs of each.
struct Poisoned(Mutex<HashMap<&'static str, u32>>);

#[async_trait]
impl Reconciler<&'static str> for Poisoned {
    async fn reconcile(&self, id: &&'static str, _: &Place<&'static str>) -> NextRun {
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
    let runs = |id| work.0.lock().get(id).copied().unwrap_or_default();
    let begun = std::time::Instant::now();
    // A run is counted when it begins, its panic when it ends.
    let enough = || runs("reconcile") >= 4 && runs("lane") >= 1 && runs("again") >= 10 && panics.count("test") >= 5;
    run_until(&work, ["reconcile", "lane", "again"], &panics, Duration::from_secs(120), enough).await;
    assert!(begun.elapsed() >= Duration::from_millis(200 + 300 + 300), "the pauses grow to their limit: {:?}", begun.elapsed());
}

/// Removes and then records, in a lane for one.
struct Ends(Mutex<Vec<(&'static str, u8)>>);

#[async_trait]
impl Reconciler<u8> for Ends {
    async fn reconcile(&self, id: &u8, place: &Place<u8>) -> NextRun {
        self.0.lock().push(("removes", *id));
        place.give_way().await;
        self.0.lock().push(("records", *id));
        NextRun::of(Requeue::OnChange)
    }
    fn lane(&self, id: &u8) -> Placement {
        let limits = Limits { width: 1, per_minute: None, batch: 1 };
        Placement { lane: "one".into(), limits, urgency: Urgency::Revoke, due: Time::from_secs((*id).into()) }
    }
    fn max_backoff(&self) -> Duration {
        Duration::from_millis(10)
    }
}

#[tokio::test]
async fn all_that_is_due_is_removed_before_the_first_end_is_recorded() {
    let work = Arc::new(Ends(Mutex::default()));
    run_until(&work, 1..=3, &Panics::default(), SOON, || work.0.lock().len() >= 6).await;
    let ran = work.0.lock().clone();
    assert_eq!(ran, [("removes", 1), ("removes", 2), ("removes", 3), ("records", 1), ("records", 2), ("records", 3)]);
}

/// Gives way in a lane for one, where another that never ends has the place.
struct Stops(tokio::sync::Notify, Mutex<Vec<u8>>);

#[async_trait]
impl Reconciler<u8> for Stops {
    async fn reconcile(&self, id: &u8, place: &Place<u8>) -> NextRun {
        self.1.lock().push(*id);
        if *id == 1 {
            place.give_way().await;
        } else {
            self.0.notified().await;
        }
        self.1.lock().push(*id);
        NextRun::of(Requeue::OnChange)
    }
    fn lane(&self, id: &u8) -> Placement {
        let limits = Limits { width: 1, per_minute: None, batch: 1 };
        Placement { lane: "one".into(), limits, urgency: Urgency::Revoke, due: Time::from_secs((*id).into()) }
    }
    fn max_backoff(&self) -> Duration {
        Duration::from_millis(10)
    }
}

#[tokio::test]
async fn an_engine_that_stops_lets_nothing_wait() {
    let work = Arc::new(Stops(tokio::sync::Notify::new(), Mutex::default()));
    let (engine, inbox) = Engine::new("test", work.clone(), Arc::new(Clock::default()), Panics::default());
    let (stop, stopped) = watch::channel(false);
    [1, 2].into_iter().for_each(|id| inbox.push(id));
    let task = tokio::spawn(engine.run(stopped));
    let holds = |count| {
        let work = work.clone();
        let reached = async move {
            while work.1.lock().len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, reached)
    };
    holds(2).await.expect("one waits, and the other holds the place");
    stop.send_replace(true);
    holds(3).await.expect("what waited goes on");
    work.0.notify_one();
    tokio::time::timeout(SOON, task).await.expect("it ends").unwrap();
    assert_eq!(*work.1.lock(), [1, 2, 1, 2]);
}

#[test]
fn pauses_grow_up_to_a_limit() {
    let most = Duration::from_secs(10);
    assert_eq!([1, 2, 3, 9].map(|n| backoff(FAILURE_MS, n, most)), [200, 400, 800, 10_000]);
    assert_eq!([1, 2, 3, 9, 10].map(|n| backoff(SOON_MS, n, most)), [20, 40, 80, 5_120, 10_000]);
}
