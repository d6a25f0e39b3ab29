//! What waits for one channel: bounded, urgent notifications first. Pure.
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How many notifications wait for a channel, at most.
pub const MOST_WAITING: usize = 1024;

/// The queue of one channel.
#[derive(Debug)]
pub struct Queue<T> {
    urgent: VecDeque<Waiting<T>>,
    others: VecDeque<Waiting<T>>,
    /// Whether one was taken and is not done yet.
    busy: bool,
}

/// A notification in a queue.
#[derive(Clone, Debug)]
pub struct Waiting<T> {
    /// The notification.
    pub item: T,
    /// Whether it is sent before those that are not urgent.
    pub urgent: bool,
    /// When it was queued.
    pub since: Instant,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { urgent: VecDeque::new(), others: VecDeque::new(), busy: false }
    }
}

impl<T> Queue<T> {
    /// Queues one. Returns how many are lost by it: where too many wait, one that is not urgent gives its place to one that is.
    pub fn push(&mut self, waiting: Waiting<T>) -> u64 {
        let full = self.urgent.len() + self.others.len() >= MOST_WAITING;
        if full && (!waiting.urgent || self.others.pop_back().is_none()) {
            return 1;
        }
        let queue = if waiting.urgent { &mut self.urgent } else { &mut self.others };
        queue.push_back(waiting);
        u64::from(full)
    }

    /// Takes the next one.
    pub fn take(&mut self) -> Option<Waiting<T>> {
        let next = self.urgent.pop_front().or_else(|| self.others.pop_front());
        self.busy = next.is_some();
        next
    }

    /// The one that was taken is sent, or given up.
    pub fn done(&mut self) {
        self.busy = false;
    }

    /// Puts those back to the front that take the place of the one that was taken.
    pub fn put_back(&mut self, waiting: impl DoubleEndedIterator<Item = Waiting<T>>) {
        self.busy = false;
        for waiting in waiting.rev() {
            let queue = if waiting.urgent { &mut self.urgent } else { &mut self.others };
            queue.push_front(waiting);
        }
    }

    /// Puts the one that was taken behind all others, also if it is urgent: what is not taken for now delays nothing else.
    pub fn put_last(&mut self, waiting: Waiting<T>) {
        self.busy = false;
        self.others.push_back(waiting);
    }

    /// Whether nothing waits, and nothing is being sent.
    pub fn is_idle(&self) -> bool {
        !self.busy && self.urgent.is_empty() && self.others.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.urgent.len() + self.others.len()
    }

    /// How long the oldest has waited.
    pub fn oldest(&self, now: Instant) -> Duration {
        let oldest = self.urgent.iter().chain(&self.others).map(|waiting| now.saturating_duration_since(waiting.since)).max();
        oldest.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(item: usize, urgent: bool) -> Waiting<usize> {
        Waiting { item, urgent, since: Instant::now() }
    }

    #[test]
    fn what_is_urgent_goes_first_and_what_failed_goes_before_what_came_later() {
        let mut queue = Queue::default();
        let lost: u64 = [(1, false), (2, true), (3, false)].into_iter().map(|(item, urgent)| queue.push(waiting(item, urgent))).sum();
        assert_eq!(lost, 0);
        let first = queue.take().unwrap();
        assert_eq!(first.item, 2);
        queue.put_back([first].into_iter());
        let order: Vec<_> = std::iter::from_fn(|| queue.take().map(|next| next.item)).collect();
        assert_eq!((order, queue.is_idle()), (vec![2, 1, 3], true));
        queue.push(waiting(4, false));
        let taken = queue.take().unwrap();
        assert!(!queue.is_idle(), "it is being sent");
        queue.put_back([5, 6].map(|item| Waiting { item, ..taken.clone() }).into_iter());
        assert_eq!((queue.take().map(|n| n.item), queue.take().map(|n| n.item)), (Some(5), Some(6)));
    }

    #[test]
    fn what_is_put_last_goes_after_all_others() {
        let mut queue = Queue::default();
        let lost: u64 = [(1, true), (2, false)].into_iter().map(|(item, urgent)| queue.push(waiting(item, urgent))).sum();
        assert_eq!(lost, 0);
        let first = queue.take().unwrap();
        queue.put_last(first);
        assert_eq!((queue.take().map(|n| n.item), queue.take().map(|n| n.item), queue.take().is_none()), (Some(2), Some(1), true));
        assert!(queue.is_idle());
    }

    #[test]
    fn a_full_queue_loses_what_is_not_urgent_and_says_so() {
        let mut queue = Queue::default();
        let lost: u64 = (0..MOST_WAITING + 3).map(|item| queue.push(waiting(item, false))).sum();
        assert_eq!((lost, queue.len()), (3, MOST_WAITING));
        assert_eq!((queue.push(waiting(9999, true)), queue.len()), (1, MOST_WAITING), "it takes the place of the last");
        assert_eq!((queue.take().map(|n| n.item), queue.take().map(|n| n.item)), (Some(9999), Some(0)));
        let mut urgent = Queue::default();
        let lost: u64 = (0..=MOST_WAITING).map(|item| urgent.push(waiting(item, true))).sum();
        assert_eq!((lost, urgent.len()), (1, MOST_WAITING));
    }
}
