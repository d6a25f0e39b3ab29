//! Concurrent writes of one kind to one target, combined into fewer calls.
//!
//! The first caller sends at once. What arrives while its call is in flight goes out together in the next call, first come first
//! served, up to the size of a batch. There is one [`Combiner`] for each target and kind of write: additions and removals never
//! share a call, and a removal never waits for an addition.
//!
//! Nothing is spawned. A caller that gets the gate sends for all that wait, and leaves with its own answer; the next caller goes
//! on. The queue holds one item for each caller that waits, and no others, since a caller that is dropped takes its item along. So
//! it is bounded: a lane runs at most `width * batch` reconciles, each of which writes at most what one plan holds.
//!
//! **Time limits.** An item is sent before its `until` or not at all, and not after its caller was dropped: a removal gets its
//! time limit in that way. Whether a call in flight has left this machine is unknown, so it is cut off when the first `until` of
//! its items passes or one of its callers is dropped. The others are sent again, once; writes to targets are idempotent.
//!
//! **One bad item.** Many targets refuse a whole call for one of its items. A call that is refused as invalid or denied is sent
//! again in halves, so that the bad item fails alone.
use super::port::ProviderError;
use crate::authority::Clock;
use async_trait::async_trait;
use curfew_core::time::Time;
use parking_lot::Mutex;
use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll, time::Duration};
use tokio::sync::oneshot;

/// A write to a target that takes several items in one call.
#[async_trait]
pub trait CombinedCall: Send + Sync {
    /// What one caller wants to write.
    type Item: Send + Sync;
    /// What the target answers to it.
    type Answer: Send;

    /// Sends one call with these items, at least one. The answers have the order of the items.
    ///
    /// # Errors
    /// What concerns the whole call. A refusal of one item is an answer, if the target tells them apart.
    async fn send(&self, items: &[Self::Item]) -> Result<Vec<Result<Self::Answer, ProviderError>>, ProviderError>;
}

/// What one caller gets.
pub type Answer<C> = Result<<C as CombinedCall>::Answer, ProviderError>;

/// Combines the calls of one kind to one target.
pub struct Combiner<C: CombinedCall> {
    call: C,
    /// How many items one call takes at most.
    batch: usize,
    clock: Arc<Clock>,
    /// Held by the caller that sends.
    gate: tokio::sync::Mutex<()>,
    queue: Mutex<Queue<C>>,
}

struct Queue<C: CombinedCall> {
    next_id: u64,
    waiting: VecDeque<(C::Item, Caller<C>)>,
}

/// Where the answer to an item goes, and how the item may be sent.
struct Caller<C: CombinedCall> {
    id: u64,
    /// Nothing is sent at or after this time.
    until: Option<Time>,
    /// With how many items of the same number it may share a call, itself included. Halved by each refusal of a shared call.
    share: usize,
    /// Whether a call with this item was cut off before.
    cut_off: bool,
    answer: oneshot::Sender<Answer<C>>,
}

impl<C: CombinedCall> Caller<C> {
    fn is_late(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
    fn answer(self, answer: Answer<C>) {
        // A caller that was dropped wants no answer.
        drop(self.answer.send(answer));
    }
}

impl<C: CombinedCall> Queue<C> {
    /// What the next call takes: from the front, as much as may share a call. What is late is answered and not sent.
    fn take(&mut self, now: Time) -> Vec<(C::Item, Caller<C>)> {
        let mut taken: Vec<(C::Item, Caller<C>)> = Vec::new();
        while let Some((item, caller)) = self.waiting.pop_front() {
            if caller.is_late(now) {
                caller.answer(Err(late("it was not sent")));
                continue;
            }
            if taken.first().is_some_and(|(_, first)| first.share != caller.share || taken.len() >= first.share) {
                self.waiting.push_front((item, caller));
                break;
            }
            taken.push((item, caller));
        }
        taken
    }
}

/// A caller that waits. When it is dropped, its item leaves the queue.
struct Turn<'a, C: CombinedCall> {
    combiner: &'a Combiner<C>,
    id: u64,
    answer: oneshot::Receiver<Answer<C>>,
}

impl<C: CombinedCall> Drop for Turn<'_, C> {
    fn drop(&mut self) {
        // First, so that a call in flight does not put the item back after it was looked for here.
        self.answer.close();
        self.combiner.queue.lock().waiting.retain(|(_, caller)| caller.id != self.id);
    }
}

impl<C: CombinedCall> Combiner<C> {
    /// Sends with this call, at most `batch` items at a time; 0 counts as 1.
    pub fn new(call: C, batch: usize, clock: Arc<Clock>) -> Self {
        let queue = Mutex::new(Queue { next_id: 0, waiting: VecDeque::new() });
        Combiner { call, batch: batch.max(1), clock, gate: tokio::sync::Mutex::default(), queue }
    }

    /// Writes one item, in one call with others where possible. Nothing is sent at or after `until`, nor after this future is
    /// dropped.
    ///
    /// # Errors
    /// What the target answers to this item or to its whole call; [`ProviderError::Transient`] if `until` has passed, or if the
    /// outcome is unknown because calls with this item were cut off.
    pub async fn call(&self, item: C::Item, until: Option<Time>) -> Answer<C> {
        let mut turn = self.enqueue(item, until);
        let id = turn.id;
        loop {
            tokio::select! {
                biased;
                answer = &mut turn.answer => return answer.unwrap_or_else(|_| Err(unknown("the call was cut off"))),
                _sending = self.gate.lock() => self.send_next(id).await,
            }
        }
    }

    fn enqueue(&self, item: C::Item, until: Option<Time>) -> Turn<'_, C> {
        let (answer, receiver) = oneshot::channel();
        let mut queue = self.queue.lock();
        let id = queue.next_id;
        queue.next_id += 1;
        queue.waiting.push_back((item, Caller { id, until, share: self.batch, cut_off: false, answer }));
        Turn { combiner: self, id, answer: receiver }
    }

    /// One call with what waits at the front of the queue. Only under the gate.
    async fn send_next(&self, sender: u64) {
        let taken = self.queue.lock().take(self.clock.now());
        if taken.is_empty() {
            return;
        }
        let (items, callers) = taken.into_iter().unzip();
        let mut flight = Flight { combiner: self, sender, items, callers };
        match flight.send().await {
            Some(outcome) => flight.land(outcome),
            None => flight.cut_off(),
        }
    }
}

/// A call in flight, sent by one of its callers or by one that waits behind them.
struct Flight<'a, C: CombinedCall> {
    combiner: &'a Combiner<C>,
    sender: u64,
    items: Vec<C::Item>,
    callers: Vec<Caller<C>>,
}

impl<C: CombinedCall> Flight<'_, C> {
    /// The outcome of the call; `None` if it was cut off, because a time limit has passed or a caller was dropped.
    async fn send(&mut self) -> Option<Result<Vec<Answer<C>>, ProviderError>> {
        let now = self.combiner.clock.now();
        let first_limit = self.callers.iter().filter_map(|c| c.until).min();
        let left = first_limit.map(|until| Duration::from_millis(until.millis_since(now).max(0).unsigned_abs()));
        let callers = &mut self.callers;
        let dropped = poll_fn(|cx| {
            let any = callers.iter_mut().any(|c| c.answer.poll_closed(cx).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        });
        let limit = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = dropped => None,
            () = limit => None,
            outcome = self.combiner.call.send(&self.items) => Some(outcome),
        }
    }

    /// Gives each caller its answer, or halves a call that was refused as a whole.
    fn land(mut self, outcome: Result<Vec<Answer<C>>, ProviderError>) {
        match outcome {
            Err(ProviderError::Invalid(_) | ProviderError::Denied(_)) if self.callers.len() > 1 => {
                let share = self.callers.len().div_ceil(2);
                self.callers.iter_mut().for_each(|c| c.share = share);
                self.put_back();
            }
            Err(e) => self.callers.drain(..).for_each(|c| c.answer(Err(e.clone()))),
            Ok(answers) => {
                let missing = || Some(Err(unknown("the answer to the call leaves it out")));
                let answers = answers.into_iter().map(Some).chain(std::iter::repeat_with(missing));
                self.callers.drain(..).zip(answers.flatten()).for_each(|(c, answer)| c.answer(answer));
            }
        }
    }

    /// What was sent once and may be sent again waits again; the outcome of the rest is unknown.
    fn cut_off(&mut self) {
        let now = self.combiner.clock.now();
        let all = std::mem::take(&mut self.items).into_iter().zip(std::mem::take(&mut self.callers));
        for (item, mut caller) in all {
            if caller.is_late(now) {
                caller.answer(Err(late("whether it was done is unknown")));
            } else if caller.cut_off {
                caller.answer(Err(unknown("calls with others were cut off twice")));
            } else {
                caller.cut_off = true;
                self.items.push(item);
                self.callers.push(caller);
            }
        }
        self.put_back();
    }

    /// Puts everything back to the front of the queue, in order, except what no caller waits for.
    fn put_back(&mut self) {
        let mut queue = self.combiner.queue.lock();
        for (item, caller) in self.items.drain(..).zip(self.callers.drain(..)).rev() {
            if !caller.answer.is_closed() {
                queue.waiting.push_front((item, caller));
            }
        }
    }
}

impl<C: CombinedCall> Drop for Flight<'_, C> {
    /// With callers left, the one that sends was dropped in the middle of the call. It is gone, and the others go on.
    fn drop(&mut self) {
        if let Some(i) = self.callers.iter().position(|c| c.id == self.sender) {
            self.items.remove(i);
            self.callers.remove(i);
        }
        if !self.callers.is_empty() {
            self.cut_off();
        }
    }
}

fn late(what: &str) -> ProviderError {
    unknown(&format!("the time limit of the write has passed; {what}"))
}

fn unknown(message: &str) -> ProviderError {
    ProviderError::Transient { message: message.into(), retry_after: None }
}

#[cfg(test)]
mod tests;
