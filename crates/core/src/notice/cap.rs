//! How many notifications one recipient gets in an hour, and how many of them may be of one namespace. What is not sent is counted, and told by one summary when the hour is over.
use crate::time::Time;
use std::collections::BTreeMap;

/// The length of the window, in seconds. It begins with the first notification of a recipient.
const WINDOW_SECS: i64 = 3600;
/// The most counts that a channel keeps, one for each recipient and namespace. Of further ones nothing is sent until a window ends.
pub const MAX_COUNTED: usize = 10_000;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Count {
    since: Time,
    sent: u32,
    suppressed: u32,
    /// How many were sent of each namespace.
    by: BTreeMap<String, u32>,
}

impl Count {
    fn beginning(now: Time) -> Self {
        Count { since: now, sent: 0, suppressed: 0, by: BTreeMap::new() }
    }
}

/// The counts of one channel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cap {
    counts: BTreeMap<String, Count>,
    /// How many counts there are, over all recipients and namespaces.
    kept: usize,
    /// How many were not sent to recipients of whom no count is kept.
    uncounted: u32,
}

impl Cap {
    /// Whether one more of this namespace may be sent to this recipient, which is counted either way. The order of the rules:
    ///
    /// 1. A recipient of whom no count can be kept gets nothing. 2. All namespaces together get `per_hour`. 3. One namespace gets half of what
    ///    the others have left of it, rounded up, so that requests without sense in one leave room for those of another.
    pub fn admits(&mut self, recipient: &str, namespace: &str, per_hour: u32, now: Time) -> bool {
        let is_new = |counts: &BTreeMap<String, Count>| counts.get(recipient).is_none_or(|count| !count.by.contains_key(namespace));
        if is_new(&self.counts) {
            self.drop_quiet(now);
            if self.kept >= MAX_COUNTED {
                return self.refuses_uncounted(recipient);
            }
        }
        let count = self.counts.entry(recipient.to_owned()).or_insert_with(|| Count::beginning(now));
        // One with suppressed notifications keeps its window until the summary is taken.
        if is_over(count, now) && count.suppressed == 0 {
            self.kept -= count.by.len();
            *count = Count::beginning(now);
        }
        let own = count.by.get(namespace).copied().unwrap_or(0);
        let left_by_others = per_hour.saturating_sub(count.sent - own);
        if count.sent < per_hour && own < left_by_others.div_ceil(2) {
            count.sent += 1;
            let counted = count.by.insert(namespace.to_owned(), own + 1);
            self.kept += usize::from(counted.is_none());
            return true;
        }
        count.suppressed = count.suppressed.saturating_add(1);
        false
    }

    /// Too many counts are kept: one that has a count is told by its summary, any other is counted here.
    fn refuses_uncounted(&mut self, recipient: &str) -> bool {
        match self.counts.get_mut(recipient) {
            Some(count) => count.suppressed = count.suppressed.saturating_add(1),
            None => self.uncounted = self.uncounted.saturating_add(1),
        }
        false
    }

    /// Takes what is to be told of the windows that are over: the recipients, and how many notifications each was not sent.
    pub fn take_summaries(&mut self, now: Time) -> Vec<(String, u32)> {
        let over = |count: &Count| is_over(count, now);
        let due = self.counts.iter().filter(|(_, count)| over(count) && count.suppressed > 0);
        let due: Vec<(String, u32)> = due.map(|(recipient, count)| (recipient.clone(), count.suppressed)).collect();
        self.counts.retain(|_, count| !over(count));
        self.kept = self.counts.values().map(|count| count.by.len()).sum();
        due
    }

    /// When the next summary is due; `None` while nothing was suppressed.
    pub fn next_summary(&self) -> Option<Time> {
        self.counts.values().filter(|count| count.suppressed > 0).map(|count| count.since.plus_secs(WINDOW_SECS)).min()
    }

    /// How many were not sent to recipients of whom no count is kept.
    pub fn uncounted(&self) -> u32 {
        self.uncounted
    }

    fn drop_quiet(&mut self, now: Time) {
        if self.kept >= MAX_COUNTED {
            self.counts.retain(|_, count| !is_over(count, now) || count.suppressed > 0);
            self.kept = self.counts.values().map(|count| count.by.len()).sum();
        }
    }
}

fn is_over(count: &Count, now: Time) -> bool {
    now >= count.since.plus_secs(WINDOW_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recipient_gets_so_many_in_an_hour_and_one_summary_of_the_others() {
        let (mut cap, t) = (Cap::default(), Time::from_secs);
        // Each is of another namespace.
        let sent = |cap: &mut Cap, who: &str, n: usize, at: i64| (0..n).filter(|i| cap.admits(who, &format!("{i}"), 3, t(at))).count();
        assert_eq!((sent(&mut cap, "carol", 5, 0), sent(&mut cap, "dana", 2, 10)), (3, 2));
        assert_eq!(cap.next_summary(), Some(t(3600)));
        assert_eq!((cap.take_summaries(t(3599)), sent(&mut cap, "carol", 1, 3599)), (vec![], 0));
        assert_eq!(cap.take_summaries(t(3600)), [("carol".to_owned(), 3)]);
        assert_eq!((cap.take_summaries(t(3600)), cap.next_summary()), (vec![], None), "it is told once");
        assert_eq!((sent(&mut cap, "carol", 5, 3600), sent(&mut cap, "dana", 5, 3610)), (3, 3), "a new hour");
    }

    #[test]
    fn what_was_suppressed_is_told_also_if_others_come_after_the_hour() {
        let (mut cap, t) = (Cap::default(), Time::from_secs);
        assert!(cap.admits("carol", "a", 1, t(0)) && !cap.admits("carol", "b", 1, t(1)) && !cap.admits("carol", "a", 1, t(4000)));
        assert_eq!(cap.take_summaries(t(4000)), [("carol".to_owned(), 2)]);
        assert!(cap.admits("carol", "a", 1, t(4000)));
    }

    #[test]
    fn the_number_of_counts_is_bounded() {
        let (mut cap, t) = (Cap::default(), Time::from_secs);
        let sent = (0..MAX_COUNTED + 5).filter(|i| cap.admits(&i.to_string(), "a", 3, t(0))).count();
        assert_eq!((sent, cap.uncounted(), cap.counts.len()), (MAX_COUNTED, 5, MAX_COUNTED));
        assert!(!cap.admits("0", "another namespace", 3, t(1)), "no count is kept of it");
        assert_eq!(cap.take_summaries(t(3600)), [("0".to_owned(), 1)]);
        assert!(cap.admits("another", "a", 3, t(3600)) && (cap.counts.len(), cap.kept) == (1, 1), "the windows are over");
        // Many namespaces of one recipient count as many.
        let mut cap = Cap::default();
        let sent = (0..MAX_COUNTED + 5).filter(|i| cap.admits("carol", &i.to_string(), u32::MAX, t(0))).count();
        assert_eq!((sent, cap.kept), (MAX_COUNTED, MAX_COUNTED));
    }

    #[test]
    fn requests_without_sense_of_one_namespace_leave_room_for_those_of_another() {
        let (mut cap, t) = (Cap::default(), Time::from_secs(0));
        let sent = |cap: &mut Cap, namespace: &str, n: usize| (0..n).filter(|_| cap.admits("chat", namespace, 60, t)).count();
        assert_eq!(sent(&mut cap, "noisy", 500), 30);
        assert_eq!((sent(&mut cap, "payments", 5), sent(&mut cap, "noisy", 500)), (5, 0));
        // Also where several do it: each next one halves what is left.
        let others: Vec<usize> = ["b", "c", "d"].map(|namespace| sent(&mut cap, namespace, 500)).into();
        assert_eq!(others, [13, 6, 3]);
        assert_eq!(sent(&mut cap, "payments", 1), 0, "it has had more than half of what is left: {cap:?}");
        assert_eq!(sent(&mut cap, "shop", 1), 1);
        let all: u32 = cap.counts["chat"].by.values().sum();
        assert!(all == cap.counts["chat"].sent && all <= 60, "never more than the channel takes");
    }
}
