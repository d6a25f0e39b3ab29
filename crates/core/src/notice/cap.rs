//! How many notifications one recipient gets in an hour. What is not sent is counted, and told by one summary when the hour is over.
use crate::time::Time;
use std::collections::BTreeMap;

/// The length of the window, in seconds. It begins with the first notification of a recipient.
const WINDOW_SECS: i64 = 3600;
/// The most recipients of whom a channel keeps a count. Further ones are not sent anything until a window ends.
pub const MAX_COUNTED: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Count {
    since: Time,
    sent: u32,
    suppressed: u32,
}

/// The counts of one channel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cap {
    counts: BTreeMap<String, Count>,
    /// How many were not sent to recipients of whom no count is kept.
    uncounted: u32,
}

impl Cap {
    /// Whether one more may be sent to this recipient, which is counted either way.
    pub fn admits(&mut self, recipient: &str, per_hour: u32, now: Time) -> bool {
        if !self.counts.contains_key(recipient) {
            self.drop_quiet(now);
            if self.counts.len() >= MAX_COUNTED {
                self.uncounted = self.uncounted.saturating_add(1);
                return false;
            }
        }
        let count = self.counts.entry(recipient.to_owned()).or_insert(Count { since: now, sent: 0, suppressed: 0 });
        // One with suppressed notifications keeps its window until the summary is taken.
        if is_over(count, now) && count.suppressed == 0 {
            *count = Count { since: now, sent: 0, suppressed: 0 };
        }
        if count.sent < per_hour {
            count.sent += 1;
            return true;
        }
        count.suppressed = count.suppressed.saturating_add(1);
        false
    }

    /// Takes what is to be told of the windows that are over: the recipients, and how many notifications each was not sent.
    pub fn take_summaries(&mut self, now: Time) -> Vec<(String, u32)> {
        let over = |count: &Count| is_over(count, now);
        let due = self.counts.iter().filter(|(_, count)| over(count) && count.suppressed > 0);
        let due: Vec<(String, u32)> = due.map(|(recipient, count)| (recipient.clone(), count.suppressed)).collect();
        self.counts.retain(|_, count| !over(count));
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
        if self.counts.len() >= MAX_COUNTED {
            self.counts.retain(|_, count| !is_over(count, now) || count.suppressed > 0);
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
        let sent = |cap: &mut Cap, who: &str, n: usize, at: i64| (0..n).filter(|_| cap.admits(who, 3, t(at))).count();
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
        assert!(cap.admits("carol", 1, t(0)) && !cap.admits("carol", 1, t(1)) && !cap.admits("carol", 1, t(4000)));
        assert_eq!(cap.take_summaries(t(4000)), [("carol".to_owned(), 2)]);
        assert!(cap.admits("carol", 1, t(4000)));
    }

    #[test]
    fn the_number_of_counts_is_bounded() {
        let (mut cap, t) = (Cap::default(), Time::from_secs);
        let sent = (0..MAX_COUNTED + 5).filter(|i| cap.admits(&i.to_string(), 3, t(0))).count();
        assert_eq!((sent, cap.uncounted(), cap.counts.len()), (MAX_COUNTED, 5, MAX_COUNTED));
        assert!(cap.admits("another", 3, t(3600)) && cap.counts.len() == 1, "the windows are over");
    }
}
