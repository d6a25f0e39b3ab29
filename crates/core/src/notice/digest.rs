//! The weekly digest (PIM-113): what it counts, and when it is sent.
use super::{NoticeEvent, transition::RequestEvent};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most roles of which a week keeps a count. The activations of further ones are counted in the total alone.
pub const MAX_ROLES: usize = 100;
/// How many roles the digest names.
pub const TOP_ROLES: usize = 5;

/// What has happened since a moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Counts {
    /// Accesses that have begun.
    pub activations: u64,
    /// Requests that ended without access.
    pub refused: u64,
    /// Accesses that have begun by break-glass.
    pub break_glass: u64,
    /// Assignments that were made, eligible and active.
    pub assigned: u64,
    /// Assignments that have ended.
    pub assignments_ended: u64,
    /// Activations by role, as `namespace/name`.
    pub roles: BTreeMap<String, u64>,
}

impl Counts {
    /// Counts an event of a request for this role.
    pub fn count(&mut self, event: &RequestEvent, role: &str) {
        match event.event {
            NoticeEvent::Activated => {
                self.activations += 1;
                if self.roles.len() < MAX_ROLES || self.roles.contains_key(role) {
                    *self.roles.entry(role.to_owned()).or_default() += 1;
                }
            }
            NoticeEvent::Refused => self.refused += 1,
            NoticeEvent::BreakGlass => self.break_glass += 1,
            NoticeEvent::Assigned | NoticeEvent::ActiveAssigned => self.assigned += 1,
            NoticeEvent::AssignmentEnded => self.assignments_ended += 1,
            NoticeEvent::ApprovalNeeded
            | NoticeEvent::Escalated
            | NoticeEvent::Scheduled
            | NoticeEvent::Ended
            | NoticeEvent::RevocationStuck
            | NoticeEvent::ReviewOutstanding
            | NoticeEvent::EmergencyAccountUsed
            | NoticeEvent::AssignmentChanged
            | NoticeEvent::AssignmentEnds
            | NoticeEvent::Digest => {}
        }
    }

    /// The counts of both.
    #[must_use]
    pub fn plus(mut self, other: &Counts) -> Self {
        self.activations = self.activations.saturating_add(other.activations);
        self.refused = self.refused.saturating_add(other.refused);
        self.break_glass = self.break_glass.saturating_add(other.break_glass);
        self.assigned = self.assigned.saturating_add(other.assigned);
        self.assignments_ended = self.assignments_ended.saturating_add(other.assignments_ended);
        for (role, count) in &other.roles {
            if self.roles.len() < MAX_ROLES || self.roles.contains_key(role) {
                let sum = self.roles.entry(role.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        self
    }

    /// Takes away what was stored. What was counted since stays.
    pub fn minus(&mut self, stored: &Counts) {
        self.activations = self.activations.saturating_sub(stored.activations);
        self.refused = self.refused.saturating_sub(stored.refused);
        self.break_glass = self.break_glass.saturating_sub(stored.break_glass);
        self.assigned = self.assigned.saturating_sub(stored.assigned);
        self.assignments_ended = self.assignments_ended.saturating_sub(stored.assignments_ended);
        for (role, count) in &stored.roles {
            if let Some(left) = self.roles.get_mut(role) {
                *left = left.saturating_sub(*count);
            }
        }
        self.roles.retain(|_, count| *count > 0);
    }

    /// The roles with the most activations, the most first.
    pub fn top_roles(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.roles.iter().map(|(role, count)| (role.as_str(), *count)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(TOP_ROLES);
        all
    }
}

/// What one replica after the other keeps: it is stored, and changed by compare-and-swap alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Week {
    /// Since when it counts.
    pub since: Time,
    /// Until when reminders were looked at.
    pub checked: Time,
    /// What has happened since.
    #[serde(default)]
    pub counts: Counts,
    /// Which channel is done with which use of break-glass ([`done`]), as long as people must be told of it: what is missing here is told by
    /// the next process.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub done: BTreeSet<String>,
}

/// The most entries of [`Week::done`]. What is beyond is told again after a restart.
pub const MAX_DONE: usize = 1000;

/// That a channel is done with the use of break-glass by the request of this uid: it has taken the notification, or it was given up.
pub fn done(uid: &str, channel: &str) -> String {
    format!("{uid}/{channel}")
}

impl Week {
    /// A week that begins now.
    pub fn beginning(now: Time) -> Self {
        Week { since: now, checked: now, counts: Counts::default(), done: BTreeSet::new() }
    }

    /// With what channels are done with now, and without what nobody has to be told of any more; `outstanding` says of a uid whether people
    /// must be told of its break-glass.
    #[must_use]
    pub fn with_done(mut self, done: &BTreeSet<String>, outstanding: impl Fn(&str) -> bool) -> Self {
        self.done.extend(done.iter().cloned());
        self.done.retain(|done| done.split_once('/').is_some_and(|(uid, _)| outstanding(uid)));
        while self.done.len() > MAX_DONE {
            self.done.pop_last();
        }
        self
    }

    /// With what has happened in a replica, after a look at `now`. If the week is over, the next one begins, and the first is to be
    /// told. Time that has run backwards ends no week, and no reminder comes again.
    #[must_use]
    pub fn advance(self, counts: &Counts, now: Time, length_secs: i64) -> (Week, Option<Week>) {
        let whole = Week { since: self.since, checked: self.checked.max(now), counts: self.counts.plus(counts), done: self.done };
        if now < whole.since.plus_secs(length_secs) {
            return (whole, None);
        }
        let next = Week { since: now, checked: whole.checked, counts: Counts::default(), done: whole.done.clone() };
        (next, Some(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(role: &str, events: &[NoticeEvent]) -> Counts {
        let mut counts = Counts::default();
        events.iter().for_each(|event| counts.count(&RequestEvent { event: *event, stage: None }, role));
        counts
    }

    #[test]
    fn a_week_ends_once_and_what_has_happened_in_it_is_told_by_role() {
        let (day, t) = (86_400, Time::from_secs);
        use NoticeEvent::{Activated, BreakGlass, Ended, Refused};
        let (week, told) = Week::beginning(t(0)).advance(&counted("a/x", &[Activated, Activated, Ended]), t(day), 7 * day);
        assert_eq!(told, None);
        let (next, told) = week.advance(&counted("b/y", &[Activated, Refused, BreakGlass]), t(7 * day), 7 * day);
        let told = told.unwrap();
        assert_eq!((told.counts.activations, told.counts.refused, told.counts.break_glass), (3, 1, 1));
        assert_eq!(told.counts.top_roles(), [("a/x", 2), ("b/y", 1)]);
        assert_eq!((next.since, &next.counts, told.since), (t(7 * day), &Counts::default(), t(0)));
        assert_eq!(next.advance(&Counts::default(), t(7 * day + 1), 7 * day).1, None);
    }

    #[test]
    fn what_was_stored_is_not_counted_again() {
        let (first, second) = (counted("a/x", &[NoticeEvent::Activated]), counted("b/y", &[NoticeEvent::Activated, NoticeEvent::Refused]));
        let mut since = first.clone().plus(&second);
        since.minus(&first);
        assert_eq!(since, second);
        since.minus(&second);
        assert_eq!(since, Counts::default());
    }

    #[test]
    fn what_channels_are_done_with_is_kept_until_nobody_has_to_be_told_of_it() {
        let all = |names: &[(&str, &str)]| names.iter().map(|(uid, channel)| done(uid, channel)).collect::<BTreeSet<_>>();
        let week = Week::beginning(Time::from_secs(0)).with_done(&all(&[("u1", "chat"), ("u2", "chat")]), |_| true);
        let (week, _) = week.advance(&Counts::default(), Time::from_secs(10), 10);
        assert_eq!(week.done, all(&[("u1", "chat"), ("u2", "chat")]), "also when a week ends");
        let week = week.with_done(&all(&[("u2", "mail")]), |uid| uid == "u2");
        assert_eq!(week.done, all(&[("u2", "chat"), ("u2", "mail")]));
        let many: BTreeSet<String> = (0..2 * MAX_DONE).map(|i| done(&format!("{i}"), "chat")).collect();
        assert_eq!(week.with_done(&many, |_| true).done.len(), MAX_DONE);
    }

    #[test]
    fn time_that_runs_backwards_ends_no_week() {
        let t = Time::from_secs;
        let (week, told) = Week::beginning(t(1000)).advance(&Counts::default(), t(900), 100);
        assert_eq!((week.since, week.checked, told), (t(1000), t(1000), None));
    }

    #[test]
    fn the_number_of_roles_is_bounded_and_the_total_is_not() {
        let mut counts = Counts::default();
        for role in 0..MAX_ROLES + 50 {
            counts.count(&RequestEvent { event: NoticeEvent::Activated, stage: None }, &format!("ns/{role:04}"));
        }
        let both = counts.clone().plus(&counted("ns/another", &[NoticeEvent::Activated]));
        assert_eq!((counts.roles.len(), both.roles.len(), both.activations), (MAX_ROLES, MAX_ROLES, 151));
        assert_eq!(both.top_roles().len(), TOP_ROLES);
    }
}
