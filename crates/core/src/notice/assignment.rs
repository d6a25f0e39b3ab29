//! Which events the life of an assignment has (PIM-065).
use super::NoticeEvent;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is told once in the life of an assignment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Milestone {
    /// It makes eligible, or gives access, for the first time.
    Assigned,
    /// It ends within 14 days.
    EndsIn14Days,
    /// It ends within a day.
    EndsInADay,
    /// It has ended.
    Ended,
}

impl Milestone {
    /// The event that it is of an ActiveAssignment.
    pub const fn event_of_standing(self) -> NoticeEvent {
        match self {
            Milestone::Assigned => NoticeEvent::ActiveAssigned,
            Milestone::EndsIn14Days | Milestone::EndsInADay | Milestone::Ended => self.event(),
        }
    }

    /// The event that it is of an EligibleAssignment.
    pub const fn event(self) -> NoticeEvent {
        match self {
            Milestone::Assigned => NoticeEvent::Assigned,
            Milestone::EndsIn14Days | Milestone::EndsInADay => NoticeEvent::AssignmentEnds,
            Milestone::Ended => NoticeEvent::AssignmentEnded,
        }
    }
}

/// The life of an assignment at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// Since when it is `Ready`, if it is.
    pub ready_since: Option<Time>,
    /// When it ends; nothing means that it is permanent.
    pub end: Option<Time>,
    /// The time.
    pub now: Time,
}

/// For so long an assignment counts as new after it became ready.
const NEW_SECS: i64 = 3600;

/// What of the life of an assignment is to be told now, and what counts as told from then on (PIM-065): that it was made, and that it
/// ends in 14 days, in one day, and that it has ended. An end that is near already when an assignment is made, or first seen, is told by
/// the nearest milestone alone. Of one that never became ready nothing is told, and of one that has been ready for an hour not that it
/// was made: it stood there before this build recorded what was told.
pub fn milestones(life: &Life, told: &BTreeSet<Milestone>) -> (Option<Milestone>, BTreeSet<Milestone>) {
    let mut all = told.clone();
    if !told.contains(&Milestone::Assigned) {
        let Some(since) = life.ready_since else { return (None, all) };
        all.insert(Milestone::Assigned);
        // Who is told of an assignment is told of its end, too.
        all.extend(reached(life));
        return ((life.now < since.plus_secs(NEW_SECS)).then_some(Milestone::Assigned), all);
    }
    let reached = reached(life);
    let due = reached.iter().next_back().copied().filter(|latest| !told.contains(latest));
    all.extend(reached);
    // An end that was moved later is told again when it comes near.
    all.retain(|milestone| *milestone == Milestone::Assigned || reached_contains(life, *milestone));
    (due, all)
}

/// The milestones of the end that are reached.
fn reached(life: &Life) -> BTreeSet<Milestone> {
    [Milestone::EndsIn14Days, Milestone::EndsInADay, Milestone::Ended].into_iter().filter(|m| reached_contains(life, *m)).collect()
}

fn reached_contains(life: &Life, milestone: Milestone) -> bool {
    at(life.end, milestone).is_some_and(|at| life.now >= at)
}

/// When a milestone of the end is reached.
fn at(end: Option<Time>, milestone: Milestone) -> Option<Time> {
    const DAY: i64 = 86_400;
    match milestone {
        Milestone::Assigned => None,
        Milestone::EndsIn14Days => Some(end?.plus_secs(-14 * DAY)),
        Milestone::EndsInADay => Some(end?.plus_secs(-DAY)),
        Milestone::Ended => end,
    }
}

/// When the next milestone of the end is reached.
pub fn next(life: &Life) -> Option<Time> {
    let all = [Milestone::EndsIn14Days, Milestone::EndsInADay, Milestone::Ended].into_iter();
    all.filter_map(|milestone| at(life.end, milestone)).filter(|at| life.now < *at).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_an_assignment_is_told_step_by_step_and_each_step_once() {
        let (day, start) = (86_400, Time::from_secs(0));
        let end = start.plus_secs(100 * day);
        let at = |days: i64| Life { ready_since: (days < 100).then_some(start), end: Some(end), now: start.plus_secs(days * day) };
        let mut told = BTreeSet::new();
        let mut steps = Vec::new();
        for days in [0, 1, 86, 87, 98, 99, 100, 101] {
            let (due, now_told) = milestones(&at(days), &told);
            steps.extend(due.map(|milestone| (days, milestone)));
            told = now_told;
        }
        let expected = [(0, Milestone::Assigned), (86, Milestone::EndsIn14Days), (99, Milestone::EndsInADay), (100, Milestone::Ended)];
        assert_eq!(steps, expected);
        // The end is moved later, and comes near again.
        let later = |days: i64| Life { ready_since: Some(start), end: Some(start.plus_secs(200 * day)), now: start.plus_secs(days * day) };
        let (due, told) = milestones(&later(101), &told);
        assert_eq!((due, told.len()), (None, 1));
        assert_eq!(milestones(&later(190), &told).0, Some(Milestone::EndsIn14Days));
        assert_eq!(
            [85, 86, 99, 100].map(|days| next(&at(days))),
            [Some(start.plus_secs(86 * day)), Some(start.plus_secs(99 * day)), Some(end), None]
        );
    }

    #[test]
    fn an_end_that_is_near_already_is_told_by_its_nearest_milestone_alone() {
        let life = |ready: bool, now| Life {
            ready_since: ready.then_some(Time::from_secs(0)),
            end: Some(Time::from_secs(3600)),
            now: Time::from_secs(now),
        };
        assert_eq!(milestones(&life(false, 10), &BTreeSet::new()), (None, BTreeSet::new()), "it never was ready");
        let (due, told) = milestones(&life(true, 10), &BTreeSet::new());
        assert_eq!((due, told.len()), (Some(Milestone::Assigned), 3));
        assert_eq!(milestones(&life(true, 20), &told).0, None);
        assert_eq!(milestones(&life(false, 3600), &told).0, Some(Milestone::Ended));
        let permanent = |now| Life { ready_since: Some(Time::from_secs(0)), end: None, now: Time::from_secs(now) };
        assert_eq!(milestones(&permanent(0), &BTreeSet::new()).0, Some(Milestone::Assigned));
        let old = milestones(&permanent(NEW_SECS), &BTreeSet::new());
        assert_eq!(old, (None, [Milestone::Assigned].into()), "it stood there before");
    }
}
