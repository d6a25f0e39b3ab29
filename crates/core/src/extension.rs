//! The facts of an extension: what it extends, and for how long a person has held the role before. The rules are in `terms`.
use crate::{
    duration::Duration,
    reason::Reason,
    resolved::{Extended, Resolved},
    time::Time,
};
use std::sync::Arc;

const DAY_SECS: i64 = 86_400;

/// `activation.extension` of a role that can be extended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtensionLimits {
    /// How long a chain of extensions lasts at most, from the first activation to the last end.
    pub chain: Duration,
    /// For how long of any 24 hours its beneficiary may hold the role, by extensions and by new requests.
    pub per_day: Duration,
}

/// What a request extends, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extension {
    /// The name of the request that is extended.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Where it stands.
    pub parent: Parent,
    /// What its Grant says, if it has one. A Grant is kept for a day after its end at least, and only the operator writes it.
    pub granted: Option<Extended>,
    /// What was frozen, if the extension was accepted.
    pub frozen: Option<Extended>,
}

/// Where a request stands that another one extends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parent {
    /// It cannot be read, or a newer build has written it.
    Unknown,
    /// It does not exist: none has this name, or that one has another uid.
    Absent,
    /// It has not become active yet, or its Grant is not that of what its status says.
    NotActive,
    /// Its access is there: what was granted, which its Grant names by digest.
    Active(Arc<Resolved>),
    /// It ends, or has ended, for this reason.
    Ended(Reason),
}

impl Extension {
    /// When the access of what is extended ends, if that is known: what was frozen stays, also where that ends earlier by now.
    pub fn until(&self) -> Option<Time> {
        self.frozen.as_ref().or(self.granted.as_ref()).map(|extended| extended.until)
    }

    /// Whether the end of what is extended was brought forward since that was frozen.
    pub fn is_brought_forward(&self) -> bool {
        matches!((&self.frozen, &self.granted), (Some(frozen), Some(granted)) if granted.until < frozen.until)
    }
}

/// A time in which a person holds access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// Its beginning.
    pub from: Time,
    /// Its end.
    pub to: Time,
}

impl Span {
    /// How many milliseconds of it lie in another one.
    fn within(self, other: Span) -> i64 {
        self.to.min(other.to).millis_since(self.from.max(other.from)).max(0)
    }
}

/// The most seconds of any 24 hours that `held` and `added` fill together, of the 24 hours that contain a part of `added`. Access that
/// overlaps counts once. Begun seconds count.
///
/// Of all these windows the fullest begins or ends where a span begins or ends, so only those are looked at.
pub fn most_per_day(held: &[Span], added: Span) -> u32 {
    let near = Span { from: added.from.plus_secs(-DAY_SECS), to: added.to.plus_secs(DAY_SECS) };
    let merged = merge(held.iter().copied().filter(|span| span.within(near) > 0).chain([added]).collect());
    let windows = merged.iter().flat_map(|span| {
        [Span { from: span.from, to: span.from.plus_secs(DAY_SECS) }, Span { from: span.to.plus_secs(-DAY_SECS), to: span.to }]
    });
    // The window that ends with what is added, too: it may have been merged into a longer span.
    let own = Span { from: added.to.plus_secs(-DAY_SECS), to: added.to };
    let concerned = windows.chain([own]).filter(|window| window.within(added) > 0);
    let most = concerned.map(|window| merged.iter().map(|span| span.within(window)).sum::<i64>()).max().unwrap_or(0);
    u32::try_from((most + 999) / 1000).unwrap_or(u32::MAX)
}

/// The spans in order, those that meet as one.
fn merge(mut all: Vec<Span>) -> Vec<Span> {
    all.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in all {
        match merged.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            Some(_) | None => merged.push(span),
        }
    }
    merged
}

/// From when on an access of `lasts` seconds fits into `limit` seconds of any 24 hours beside what is held, in whole seconds and not before
/// `now`: once all of that has ended, and enough of it is more than 24 hours before the end of the new access. `None` if it is longer than
/// the limit by itself. An access that overlaps what is held, and so counts for less, may fit earlier.
pub fn fits_from(held: &[Span], lasts: i64, limit: i64, now: Time) -> Option<Time> {
    let mut room = limit.checked_sub(lasts).filter(|room| *room >= 0)?.saturating_mul(1000);
    let merged = merge(held.to_vec());
    let over = merged.last().map_or(now, |last| last.to.max(now));
    // From the last one back: the day of the new access begins where what it contains of them fills the rest of the limit.
    for span in merged.iter().rev() {
        let millis = span.to.millis_since(span.from);
        if millis > room {
            let begins = Time::from_millis(span.to.as_millis() - room);
            return Some(begun_second_over(over.max(begins.plus_secs(DAY_SECS - lasts))));
        }
        room -= millis;
    }
    Some(begun_second_over(over))
}

/// The next whole second, or this one if it is whole.
const fn begun_second_over(at: Time) -> Time {
    Time::from_millis(at.as_millis().saturating_add(999)).floor_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn span(from: i64, to: i64) -> Span {
        Span { from: Time::from_secs(from * HOUR), to: Time::from_secs(to * HOUR) }
    }
    /// In hours.
    fn most(held: &[Span], added: Span) -> i64 {
        i64::from(most_per_day(held, added)) / HOUR
    }

    #[test]
    fn access_of_any_24_hours_is_added_up() {
        assert_eq!(most(&[], span(100, 103)), 3);
        assert_eq!(most(&[span(99, 100)], span(100, 103)), 4, "what it extends counts");
        assert_eq!(most(&[span(99, 102), span(99, 101)], span(100, 103)), 4, "what overlaps counts once");
        assert_eq!(most(&[span(70, 82)], span(100, 103)), 6, "three hours of yesterday are within a day of its end");
        assert_eq!(most(&[span(60, 76)], span(100, 103)), 3, "more than a day before");
        assert_eq!(most(&[span(110, 112)], span(100, 103)), 5, "what is to come counts, too");
        assert_eq!(most(&[span(1, 3), span(80, 90), span(95, 99)], span(100, 103)), 17);
        assert_eq!(most(&[span(50, 70)], span(100, 130)), 24, "no day has more than 24 hours");
    }

    #[test]
    fn what_does_not_fit_now_fits_from_a_moment_that_is_told() {
        let fits = |held: &[Span], lasts: i64, limit: i64| {
            fits_from(held, lasts * HOUR, limit * HOUR, Time::from_secs(100 * HOUR)).map(|at| (at.as_millis() / 1000 - 100 * HOUR) / HOUR)
        };
        assert_eq!(fits(&[], 2, 6), Some(0));
        assert_eq!(fits(&[], 7, 6), None, "longer than the limit by itself");
        assert_eq!(fits(&[span(90, 94)], 2, 6), Some(0));
        assert_eq!(fits(&[span(90, 95)], 2, 6), Some(13), "an hour of the five is a day before its end at 115");
        assert_eq!(fits(&[span(90, 96)], 6, 6), Some(14), "nothing else fits into the day");
        assert_eq!(fits(&[span(80, 84), span(98, 102)], 3, 6), Some(20), "not while there is access, and two hours of it are a day before");
        assert_eq!(fits(&[span(99, 103)], 2, 6), Some(3), "it fits once that has ended");
        assert_eq!(fits(&[span(1, 30)], 6, 6), Some(0), "more than a day before");
    }

    #[test]
    fn the_fullest_day_is_found() {
        // Compared with every window in steps of a quarter of an hour.
        let mut seed = 7u64;
        let mut next = |below: i64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(seed >> 40).unwrap_or(0) % below
        };
        for _ in 0..300 {
            let mut quarter = |from: i64, longest: i64| {
                let from = from * 900;
                Span { from: Time::from_secs(from), to: Time::from_secs(from + 900 * (1 + next(longest))) }
            };
            let held: Vec<Span> = (0..5).map(|n| quarter(n * 40, 90)).collect();
            let added = quarter(150, 40);
            let mut slowly = 0;
            for start in 0..500 {
                let window = Span { from: Time::from_secs(start * 900 - DAY_SECS), to: Time::from_secs(start * 900) };
                let filled = |at: i64| {
                    let piece = Span { from: window.from.plus_secs(at * 900), to: window.from.plus_secs(at * 900 + 900) };
                    held.iter().chain([&added]).any(|span| span.within(piece) > 0)
                };
                if window.within(added) > 0 {
                    slowly = slowly.max((0..96).filter(|at| filled(*at)).count() * 900);
                }
            }
            assert_eq!(most_per_day(&held, added) as usize, slowly, "{held:?} {added:?}");
            // What fits from a moment on fits then, and not a quarter of an hour before unless it overlaps what is held.
            let (lasts, now) = (added.to.millis_since(added.from) / 1000, Time::from_secs(0));
            for limit in [20_000, 40_000, 86_400] {
                let Some(from) = fits_from(&held, lasts, limit, now) else {
                    assert!(lasts > limit);
                    continue;
                };
                let at = |from: Time| i64::from(most_per_day(&held, Span { from, to: from.plus_secs(lasts) }));
                assert!(at(from) <= limit, "{held:?} {lasts} {limit} {from}");
                let (last, before) = (held.iter().map(|span| span.to).max().unwrap(), from.plus_secs(-900));
                assert!(before < last || at(before) > limit, "{held:?} {lasts} {limit} {from}");
            }
        }
    }
}
