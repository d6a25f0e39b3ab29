//! When a replica that does not lead begins to revoke what is due. Pure.
//!
//! Every replica revokes. If all began at once, each would delete what another deletes. So a follower waits while the lease is
//! renewed and what is overdue becomes less, and then begins at the other end. For no access does it wait longer than a bound: a
//! leader that lives and does not revoke, or that is slower than its work grows, delays an end by no more than that (I2, I8).
use crate::time::Time;
use std::{collections::HashMap, hash::Hash};

/// For how long others are left alone with what is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Milliseconds without progress after which this replica begins.
    pub quiet_millis: i64,
    /// Milliseconds after which it begins in any case.
    pub bound_millis: i64,
}

/// What is seen of those who should end the access first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// They show that they live: the lease was renewed a moment ago.
    pub alive: bool,
    /// When they last ended something that was overdue.
    pub at: Option<Time>,
}

/// When an access that is overdue since then may be revoked here.
pub fn begins_at(since: Time, seen: Progress, patience: Patience) -> Time {
    let progress = seen.at.filter(|_| seen.alive).map_or(since, |at| at.max(since));
    plus_millis(progress, patience.quiet_millis).min(plus_millis(since, patience.bound_millis))
}

/// The place in a lane of what a follower revokes: the latest first, and of one deadline the last names first. The leader goes the
/// other way, so the two meet once. Deadlines are whole seconds.
pub fn from_the_other_end(due: Time, name: &str) -> Time {
    let first = name.get(..3).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    Time::from_millis(-due.as_millis() - first * 999 / 0xfff)
}

/// What is due and has not ended, as one replica sees it.
#[derive(Clone, Debug)]
pub struct Overdue<Id> {
    since: HashMap<Id, Time>,
    ended: Option<Time>,
    ended_by_others: Option<Time>,
}

impl<Id> Default for Overdue<Id> {
    fn default() -> Self {
        Overdue { since: HashMap::new(), ended: None, ended_by_others: None }
    }
}

impl<Id: Eq + Hash> Overdue<Id> {
    /// Records that this is overdue; returns since when. The first moment that was recorded counts.
    pub fn add(&mut self, id: Id, since: Time) -> Time {
        *self.since.entry(id).or_insert(since)
    }
    /// Records that this has ended, here or by another replica. What was never recorded as overdue does not count.
    pub fn end(&mut self, id: &Id, now: Time, here: bool) {
        if self.since.remove(id).is_some() {
            self.ended = Some(now);
            self.ended_by_others = if here { self.ended_by_others } else { Some(now) };
        }
    }
    /// When the number of what is overdue last fell.
    pub const fn fell(&self) -> Option<Time> {
        self.ended
    }
    /// When it last fell by the work of others: what ends here says nothing about them.
    pub const fn fell_by_others(&self) -> Option<Time> {
        self.ended_by_others
    }
}

fn plus_millis(t: Time, millis: i64) -> Time {
    Time::from_millis(t.as_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Time = Time::from_secs(1_000);
    const PATIENCE: Patience = Patience { quiet_millis: 2_000, bound_millis: 8_000 };

    fn begins(alive: bool, at: Option<i64>) -> i64 {
        begins_at(DUE, Progress { alive, at: at.map(|millis| plus_millis(DUE, millis)) }, PATIENCE).millis_since(DUE)
    }

    #[test]
    fn a_follower_waits_while_the_lease_is_renewed_and_the_overdue_become_fewer() {
        assert_eq!(begins(true, Some(100)), 2_100);
        assert_eq!(begins(true, Some(5_000)), 7_000);
    }

    #[test]
    fn it_begins_when_nothing_falls_or_the_lease_is_not_renewed() {
        assert_eq!(begins(true, None), 2_000);
        assert_eq!(begins(false, Some(100)), 2_000, "what fell before the leader died counts for nothing");
        assert_eq!(begins(true, Some(-60_000)), 2_000, "what fell before this was due says nothing of it");
    }

    #[test]
    fn it_waits_for_no_access_longer_than_the_bound() {
        assert_eq!(begins(true, Some(7_900)), 8_000);
        assert_eq!(begins(true, Some(60_000)), 8_000);
    }

    #[test]
    fn its_own_work_and_the_end_of_what_was_not_due_do_not_count_for_others() {
        let mut overdue = Overdue::default();
        assert_eq!((overdue.add("a", DUE), overdue.add("a", DUE.plus_secs(9))), (DUE, DUE), "the first moment counts");
        overdue.add("b", DUE);
        overdue.end(&"a", DUE.plus_secs(1), true);
        overdue.end(&"never due", DUE.plus_secs(2), false);
        assert_eq!((overdue.fell(), overdue.fell_by_others()), (Some(DUE.plus_secs(1)), None));
        overdue.end(&"b", DUE.plus_secs(3), false);
        assert_eq!(overdue.fell_by_others(), Some(DUE.plus_secs(3)));
        overdue.end(&"b", DUE.plus_secs(4), false);
        assert_eq!(overdue.fell_by_others(), Some(DUE.plus_secs(3)), "it ends once");
    }

    #[test]
    fn leader_and_follower_meet_once() {
        let all = [(DUE, "0aa1"), (DUE, "7bb2"), (DUE, "fcc3"), (DUE.plus_secs(1), "0001")];
        let mut leader = all;
        leader.sort_unstable();
        let mut follower = all;
        follower.sort_unstable_by_key(|(due, name)| from_the_other_end(*due, name));
        follower.reverse();
        assert_eq!(leader, follower);
    }
}
