//! When standing access is there, and by which activations it is given. Pure.
//!
//! An ActiveAssignment has a window: one period, or one for each occurrence that repeats. The operator gives its access by activations of
//! limited length, one after the other, as if a person requested it each time: so each has a deadline that never moves (I2). A period that is
//! longer than one of them is a chain, in which each begins some time before the one before ends. Within that time an operator may be away
//! without an interruption.
//!
//! The begin and end of each activation depend on the window alone and not on when a replica looks, so that their names are the same for every
//! replica and after every restart.
pub mod attempts;
pub mod recurrence;

pub use recurrence::Recurrence;

use crate::{duration::Duration, time::Time};

/// The longest activation, in seconds: a day.
const LONGEST_SECS: i64 = 86_400;
/// The longest overlap of two activations of a chain, in seconds.
const LONGEST_OVERLAP_SECS: i64 = 3_600;
/// How long before its begin an activation is requested, in seconds.
const LEAD_SECS: i64 = 300;

/// A stretch of time, in whole seconds. The end does not belong to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Occurrence {
    /// From here on.
    pub start: Time,
    /// Until here.
    pub end: Time,
}

impl Occurrence {
    /// Whether all of another one lies within it.
    pub fn covers(&self, other: &Occurrence) -> bool {
        self.start <= other.start && other.end <= self.end
    }
    /// How long it is, in seconds.
    pub const fn secs(&self) -> i64 {
        self.end.millis_since(self.start) / 1000
    }
}

/// The window of standing access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule<'a> {
    /// Not before this.
    pub from: Time,
    /// Not after this; nothing means that it has no end.
    pub until: Option<Time>,
    /// The occurrences within; nothing means all of the time.
    pub recurrence: Option<&'a Recurrence>,
}

impl Schedule<'_> {
    /// The bounds, in whole seconds within them.
    fn bounds(&self) -> Occurrence {
        let from = if self.from == self.from.floor_secs() { self.from } else { self.from.floor_secs().plus_secs(1) };
        Occurrence { start: from, end: self.until.unwrap_or(Time::from_millis(i64::MAX)).floor_secs() }
    }

    /// The first period that ends after this time: it has begun, or is to come. `None` if there is none any more. An occurrence that reaches
    /// beyond the bounds is cut there.
    pub fn first_ending_after(&self, at: Time) -> Option<Occurrence> {
        let bounds = self.bounds();
        let at = at.max(bounds.start);
        let period = match self.recurrence {
            None => bounds,
            Some(recurrence) => {
                let found = recurrence.first_ending_after(at)?;
                Occurrence { start: found.start.max(bounds.start), end: found.end.min(bounds.end) }
            }
        };
        (period.start < period.end && period.end > at).then_some(period)
    }

    /// Whether an activation lies within one period.
    pub fn contains(&self, activation: &Occurrence) -> bool {
        self.first_ending_after(activation.start).is_some_and(|period| period.covers(activation))
    }
}

/// How long activations last, and how far those of a chain overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    longest: i64,
}

impl Pace {
    /// Under this ceiling: at most a day, and never longer than it.
    pub fn under(ceiling: &Duration) -> Self {
        Pace { longest: ceiling.secs().clamp(1, LONGEST_SECS) }
    }
    /// How long an activation lasts at most, in seconds.
    pub const fn longest_secs(self) -> i64 {
        self.longest
    }
    /// How long before the end of one the next begins, in seconds: a quarter, and at most an hour.
    pub fn overlap_secs(self) -> i64 {
        (self.longest / 4).min(LONGEST_OVERLAP_SECS)
    }
    /// From the begin of one to that of the next, in seconds.
    fn step(self) -> i64 {
        (self.longest - self.overlap_secs()).max(1)
    }

    /// The activation of a period with the latest begin that is not after this time, or its first one.
    fn activation(self, period: &Occurrence, at: Time) -> Occurrence {
        let beyond = (period.secs() - self.longest).max(0);
        let last = beyond / self.step() + i64::from(beyond % self.step() > 0);
        let number = (at.millis_since(period.start) / 1000 / self.step()).clamp(0, last);
        let start = period.start.plus_secs(number * self.step());
        Occurrence { start, end: start.plus_secs(self.longest).min(period.end) }
    }
}

/// What is to be done about an assignment at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planned {
    /// The activation by which the assignment is judged: the present one, or the next.
    pub current: Option<Occurrence>,
    /// The activation to request now. It is asked for again until it is held.
    pub create: Option<Occurrence>,
    /// When to look again, if nothing changes before that.
    pub wake: Option<Time>,
}

/// Which activation to request, where these are held already. `held` are those that have not ended. At most one of them is to come: no more
/// than one is requested ahead. The order of the rules:
///
/// 1. a window that has passed needs none; 2. while one is to come, nothing is requested; 3. a period that is held to its end is left, and
///    the next one looked at; 4. of a period that nothing is held of now, the activation of this moment; 5. otherwise the next of its chain, from
///    `LEAD_SECS` before its begin.
pub fn plan(schedule: &Schedule<'_>, pace: Pace, held: &[Occurrence], now: Time) -> Planned {
    let Some(present) = schedule.first_ending_after(now) else { return Planned { current: None, create: None, wake: None } };
    let current = Some(pace.activation(&present, now.max(present.start)));
    if let Some(next) = held.iter().map(|activation| activation.start).filter(|start| *start > now).min() {
        return Planned { current, create: None, wake: Some(next) };
    }
    let from = now.max(present.start);
    let covered = covered_until(held, from);
    let (period, at) = match schedule.first_ending_after(present.end) {
        None if covered >= present.end => return Planned { current, create: None, wake: Some(present.end) },
        Some(next) if covered >= present.end => (next, next.start),
        Some(_) | None if covered > from => (present, covered.plus_secs(-pace.overlap_secs())),
        Some(_) | None => (present, from),
    };
    let activation = pace.activation(&period, at);
    let due = activation.start.plus_secs(-LEAD_SECS);
    if now < due {
        return Planned { current, create: None, wake: Some(due) };
    }
    // What cannot be held, since a person has ended it, is followed by the next one.
    let next = pace.activation(&period, activation.start.plus_secs(pace.step()));
    let after = if next.start > activation.start { Some(next.start) } else { schedule.first_ending_after(period.end).map(|p| p.start) };
    let wake = after.or(schedule.until).map(|at| at.max(now.plus_secs(1)));
    Planned { current, create: Some(activation), wake }
}

/// Until when these cover all of the time from here on.
fn covered_until(held: &[Occurrence], from: Time) -> Time {
    let mut all = held.to_vec();
    all.sort_unstable();
    all.iter().fold(from, |until, activation| if activation.start <= until { until.max(activation.end) } else { until })
}

#[cfg(test)]
mod tests;
