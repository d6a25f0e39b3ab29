//! A target that records its calls and answers when the test lets it.
use super::*;
use tokio::{sync::Semaphore, task::JoinHandle};

struct Target {
    calls: Mutex<Vec<Vec<&'static str>>>,
    /// A permit for each call that is answered.
    answers: Semaphore,
    /// What a call is answered that contains this item.
    error: Option<(&'static str, ProviderError)>,
}

struct Fake(Arc<Target>);

#[async_trait]
impl CombinedCall for Fake {
    type Item = &'static str;
    type Answer = String;
    async fn send(&self, items: &[&'static str]) -> Result<Vec<Result<String, ProviderError>>, ProviderError> {
        self.0.calls.lock().push(items.to_vec());
        self.0.answers.acquire().await.expect("an open semaphore").forget();
        if let Some((bad, e)) = &self.0.error
            && items.contains(bad)
        {
            return Err(e.clone());
        }
        let one = |i: &&str| if *i == "gone" { Err(ProviderError::Gone) } else { Ok(format!("{i} done")) };
        Ok(items.iter().map(one).collect())
    }
}

type Asked = JoinHandle<Result<String, ProviderError>>;

struct Case {
    target: Arc<Target>,
    combiner: Arc<Combiner<Fake>>,
}

impl Case {
    fn new(batch: usize, error: Option<(&'static str, ProviderError)>) -> Self {
        let target = Arc::new(Target { calls: Mutex::default(), answers: Semaphore::new(0), error });
        let combiner = Arc::new(Combiner::new(Fake(target.clone()), batch, Arc::new(Clock::default())));
        Case { target, combiner }
    }
    /// Callers in this order. Each has come to its place before the next one.
    async fn ask(&self, items: &[&'static str]) -> Vec<Asked> {
        self.ask_until(items, None).await
    }
    async fn ask_until(&self, items: &[&'static str], until: Option<Time>) -> Vec<Asked> {
        let mut asked = Vec::new();
        for item in items.iter().copied() {
            let combiner = self.combiner.clone();
            asked.push(tokio::spawn(async move { combiner.call(item, until).await }));
            settled().await;
        }
        asked
    }
    async fn answer(&self, calls: usize) {
        self.target.answers.add_permits(calls);
        settled().await;
    }
    fn calls(&self) -> Vec<Vec<&'static str>> {
        self.target.calls.lock().clone()
    }
    /// Nothing is left behind.
    fn is_empty(&self) -> bool {
        self.combiner.queue.lock().waiting.is_empty() && self.combiner.gate.try_lock().is_ok()
    }
}

/// Until all tasks of this runtime, which has one thread, wait for something.
async fn settled() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn results(asked: Vec<Asked>) -> Vec<Result<String, ProviderError>> {
    let mut all = Vec::new();
    for a in asked {
        all.push(tokio::time::timeout(Duration::from_secs(10), a).await.expect("an answer").expect("a caller"));
    }
    all
}

fn done(items: &[&str]) -> Vec<Result<String, ProviderError>> {
    items.iter().map(|i| Ok(format!("{i} done"))).collect()
}

fn in_millis(ms: i64) -> Time {
    Time::from_millis(Clock::default().now().as_millis() + ms)
}

#[tokio::test]
async fn the_first_is_sent_at_once_and_what_arrives_meanwhile_together_up_to_a_batch() {
    let case = Case::new(3, None);
    let asked = case.ask(&["a", "b", "c", "d", "e"]).await;
    assert_eq!(case.calls(), [vec!["a"]]);
    case.answer(1).await;
    assert_eq!(case.calls(), [vec!["a"], vec!["b", "c", "d"]]);
    case.answer(2).await;
    assert_eq!(case.calls()[2], ["e"]);
    assert_eq!(results(asked).await, done(&["a", "b", "c", "d", "e"]));
    assert!(case.is_empty());
}

#[tokio::test]
async fn each_caller_gets_its_own_answer_and_a_batch_of_zero_is_one_of_one() {
    let case = Case::new(0, None);
    let asked = case.ask(&["a", "gone", "b"]).await;
    case.answer(3).await;
    assert_eq!(case.calls(), [["a"], ["gone"], ["b"]]);
    assert_eq!(results(asked).await, [Ok("a done".into()), Err(ProviderError::Gone), Ok("b done".into())]);
    let case = Case::new(9, None);
    let asked = case.ask(&["a", "gone", "b"]).await;
    case.answer(2).await;
    assert_eq!(case.calls()[1], ["gone", "b"]);
    assert_eq!(results(asked).await, [Ok("a done".into()), Err(ProviderError::Gone), Ok("b done".into())]);
}

#[tokio::test]
async fn an_error_of_the_whole_call_is_given_to_each_of_its_items() {
    let busy = ProviderError::Transient { message: "busy".into(), retry_after: Some(Duration::from_secs(7)) };
    for error in [busy, ProviderError::Gone] {
        let case = Case::new(9, Some(("b", error.clone())));
        let asked = case.ask(&["a", "b", "c"]).await;
        case.answer(2).await;
        assert_eq!(case.calls(), [vec!["a"], vec!["b", "c"]], "it is not sent again");
        assert_eq!(results(asked).await, [Ok("a done".into()), Err(error.clone()), Err(error)]);
        assert!(case.is_empty());
    }
}

#[tokio::test]
async fn a_refused_call_is_sent_again_in_halves_so_that_a_bad_item_fails_alone() {
    for error in [ProviderError::Invalid("no such user".into()), ProviderError::Denied("not your group".into())] {
        let case = Case::new(5, Some(("bad", error.clone())));
        let mut asked = case.ask(&["first", "a", "b", "c", "bad", "d", "e"]).await;
        case.answer(9).await;
        let expected =
            [vec!["first"], vec!["a", "b", "c", "bad", "d"], vec!["a", "b", "c"], vec!["bad", "d"], vec!["bad"], vec!["d"], vec!["e"]];
        assert_eq!(case.calls(), expected);
        assert_eq!(results(vec![asked.remove(4)]).await, [Err(error)]);
        assert_eq!(results(asked).await, done(&["first", "a", "b", "c", "d", "e"]));
        assert!(case.is_empty());
    }
}

#[tokio::test]
async fn a_caller_that_is_dropped_while_it_waits_is_not_sent_and_leaves_the_queue() {
    let case = Case::new(9, None);
    let mut asked = case.ask(&["a", "b", "c"]).await;
    asked.remove(1).abort();
    settled().await;
    assert_eq!(case.combiner.queue.lock().waiting.len(), 1);
    case.answer(2).await;
    assert_eq!(case.calls(), [["a"], ["c"]]);
    assert_eq!(results(asked).await, done(&["a", "c"]));
    assert!(case.is_empty());
}

#[tokio::test]
async fn the_caller_that_sends_is_dropped_and_the_others_send_what_is_left() {
    let case = Case::new(9, None);
    let mut asked = case.ask(&["a", "b", "c", "d"]).await;
    case.answer(1).await;
    assert_eq!(case.calls()[1], ["b", "c", "d"]);
    // The gate is fair, so b sends.
    asked.remove(1).abort();
    settled().await;
    assert_eq!(case.calls()[2..], [["c", "d"]]);
    case.answer(1).await;
    assert_eq!(results(asked).await, done(&["a", "c", "d"]));
    assert!(case.is_empty());
}

/// The gate is free a moment before the caller that was dropped has left the queue; another thread may send in between.
#[tokio::test]
async fn the_caller_that_sends_is_not_put_back_when_it_is_dropped() {
    let case = Case::new(9, None);
    let (sender, _other) = (case.combiner.enqueue("a", None), case.combiner.enqueue("b", None));
    let sending = tokio::time::timeout(Duration::from_millis(1), case.combiner.send_next(sender.id)).await;
    assert!(sending.is_err(), "the target does not answer");
    assert_eq!(case.calls(), [["a", "b"]]);
    let left: Vec<_> = case.combiner.queue.lock().waiting.iter().map(|(item, _)| *item).collect();
    assert_eq!(left, ["b"]);
}

#[tokio::test]
async fn a_caller_that_is_dropped_in_flight_cuts_the_call_off_and_the_others_are_sent_again_once() {
    let case = Case::new(9, None);
    let mut asked = case.ask(&["a", "b", "c", "d", "e"]).await;
    case.answer(1).await;
    asked.remove(4).abort();
    settled().await;
    assert_eq!(case.calls()[1..], [vec!["b", "c", "d", "e"], vec!["b", "c", "d"]]);
    asked.remove(3).abort();
    settled().await;
    assert_eq!(case.calls().len(), 3, "calls to a target that does not answer do not pile up");
    let rest = results(asked).await;
    assert_eq!(rest[0], Ok("a done".into()));
    assert!(rest[1..].iter().all(|r| matches!(r, Err(ProviderError::Transient { retry_after: None, .. }))), "{rest:?}");
    assert!(case.is_empty());
}

#[tokio::test]
async fn what_is_late_when_its_call_would_go_out_is_not_sent() {
    let case = Case::new(9, None);
    let first = case.ask(&["a"]).await;
    let limit = in_millis(30);
    let late = case.ask_until(&["late"], Some(limit)).await;
    let timely = case.ask_until(&["timely"], Some(in_millis(60_000))).await;
    while Clock::default().now() < limit {
        tokio::task::yield_now().await;
    }
    case.answer(2).await;
    assert_eq!(case.calls(), [["a"], ["timely"]]);
    assert!(matches!(&results(late).await[..], [Err(ProviderError::Transient { retry_after: None, .. })]));
    assert_eq!(results(first).await, done(&["a"]));
    assert_eq!(results(timely).await, done(&["timely"]));
    // Nothing waits in front of it, and it is late all the same.
    assert!(case.combiner.call("late", Some(in_millis(0))).await.is_err());
    assert_eq!(case.calls().len(), 2);
    assert!(case.is_empty());
}

#[tokio::test]
async fn a_call_in_flight_is_cut_off_at_the_first_time_limit_and_the_others_are_sent_again() {
    let case = Case::new(9, None);
    let first = case.ask(&["a"]).await;
    let limit = in_millis(2_000);
    let late = case.ask_until(&["late"], Some(limit)).await;
    let timely = case.ask_until(&["timely"], Some(in_millis(60_000))).await;
    case.answer(1).await;
    assert_eq!(case.calls()[1], ["late", "timely"]);
    assert!(matches!(&results(late).await[..], [Err(ProviderError::Transient { retry_after: None, .. })]));
    assert!(Clock::default().now() >= limit);
    settled().await;
    assert_eq!(case.calls()[2..], [["timely"]]);
    case.answer(1).await;
    assert_eq!(results(first).await, done(&["a"]));
    assert_eq!(results(timely).await, done(&["timely"]));
    assert!(case.is_empty());
}
