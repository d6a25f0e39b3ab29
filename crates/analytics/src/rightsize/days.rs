//! On which days something was used: evidence that does not change if an event is read twice or late.
use crate::history::{DAY, Window};

/// How many days before the newest use are kept.
const KEPT: i64 = 128;

/// The days of the uses of one thing, and the last use. Days are those of UTC.
///
/// It keeps days and not a number of requests, so that files may overlap and come in any order. It does not grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Days {
    /// The last use, in Unix seconds.
    last: i64,
    /// Bit n: used n days before the day of the last use.
    days: u128,
    /// The last use that succeeded: a request that was allowed may still fail.
    succeeded: Option<i64>,
}

impl Days {
    /// One use.
    pub fn at(at: i64, succeeded: bool) -> Self {
        Self { last: at, days: 1, succeeded: succeeded.then_some(at) }
    }
    /// Adds the uses of another one.
    pub fn merge(&mut self, other: &Self) {
        let (older, newer) = if self.last <= other.last { (*self, *other) } else { (*other, *self) };
        let between = newer.last.div_euclid(DAY) - older.last.div_euclid(DAY);
        let older_days = if between < KEPT { older.days << between } else { 0 };
        *self = Self { last: newer.last, days: newer.days | older_days, succeeded: self.succeeded.max(other.succeeded) };
    }
    /// The last use, in Unix seconds.
    pub fn last(&self) -> i64 {
        self.last
    }
    /// Whether a use is in the window. A window ends with the newest event, so nothing is after it.
    pub fn within(&self, window: Window) -> bool {
        window.contains(self.last)
    }
    /// Whether a use in the window succeeded.
    pub fn succeeded(&self, window: Window) -> bool {
        self.succeeded.is_some_and(|at| window.contains(at))
    }
    /// On how many days that the window touches there was a use; at most 128.
    pub fn count(&self, window: Window) -> u32 {
        if !self.within(window) {
            return 0;
        }
        let reach = self.last.div_euclid(DAY) - (window.since + 1).div_euclid(DAY);
        let mask = if reach + 1 >= KEPT { u128::MAX } else { (1u128 << (reach + 1)) - 1 };
        (self.days & mask).count_ones()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_do_not_depend_on_order_or_repetition() {
        let uses = [(3 * DAY, true), (3 * DAY + 5, false), (1, false), (200 * DAY, true), (199 * DAY, false), (80 * DAY, true)];
        let fold = |order: &[usize]| {
            order.iter().map(|i| Days::at(uses[*i].0, uses[*i].1)).reduce(|mut all, one| {
                all.merge(&one);
                all
            })
        };
        let all = fold(&[0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(Some(all), fold(&[5, 4, 3, 3, 2, 1, 0, 0]));
        assert_eq!((all.last(), all.count(Window::ending(200 * DAY, 90 * DAY))), (200 * DAY, 2));
        // Day 80 is 120 days before the last use and is kept; day 3 and day 0 are not.
        assert_eq!(all.count(Window::ending(200 * DAY, 1_000 * DAY)), 3);
        assert_eq!(all.count(Window::ending(100 * DAY, 90 * DAY)), 0, "the window ends before the last use");
    }

    #[test]
    fn a_use_that_failed_is_told_from_one_that_succeeded() {
        let window = Window::ending(10 * DAY, 5 * DAY);
        let mut days = Days::at(9 * DAY, false);
        assert!(days.within(window) && !days.succeeded(window));
        days.merge(&Days::at(2 * DAY, true));
        assert!(!days.succeeded(window), "that success is older than the window");
        days.merge(&Days::at(8 * DAY, true));
        assert!(days.succeeded(window));
    }
}
