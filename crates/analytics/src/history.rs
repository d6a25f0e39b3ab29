//! What a window of days can show: how much of it the logs cover, which identities are too new for findings from history, and who is left
//! out.
use std::collections::BTreeSet;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// The time in which a use counts: after `since`, up to and including `until`. Unix seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The last second before it.
    pub since: i64,
    /// Its last second.
    pub until: i64,
}

impl Window {
    /// A window of `seconds` that ends at `until`.
    pub fn ending(until: i64, seconds: i64) -> Self {
        Self { since: until.saturating_sub(seconds), until }
    }
    /// Whether the time is in it.
    pub fn contains(&self, at: i64) -> bool {
        self.since < at && at <= self.until
    }
    /// Its length in days; a part of a day counts as a day.
    pub fn days(&self) -> u32 {
        u32::try_from((self.until - self.since + DAY - 1) / DAY).unwrap_or(u32::MAX).max(1)
    }
    /// Whether what came into being at `created` is younger than the window, so that what it has not done yet proves nothing.
    pub fn exempts(&self, created: Option<i64>) -> bool {
        created.is_some_and(|created| created > self.since)
    }
}

/// The days on which the logs have events, each counted from the end of the window.
pub fn covered(window: Window, hours: &BTreeSet<i64>) -> u32 {
    let inside = hours.iter().map(|hour| hour * 3600 + 3599).filter(|end| *end > window.since && end - 3599 <= window.until);
    let days: BTreeSet<i64> = inside.map(|end| (window.until - end.min(window.until)) / DAY).collect();
    u32::try_from(days.len()).unwrap_or(u32::MAX).min(window.days())
}

/// Covered days as a share of the window's. Below 1 nothing is recommended to be revoked for lack of use.
pub fn confidence(window: Window, covered: u32) -> f64 {
    f64::from(covered.min(window.days())) / f64::from(window.days())
}

/// The tag that leaves an identity out of scores.
pub const EXCLUDE_FROM_PCI: &str = "ck_exclude_from_pci";
/// The tag that leaves an identity out of findings.
pub const EXCLUDE_FROM_REPORTS: &str = "ck_exclude_from_reports";

/// The two tags. They are independent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Excluded {
    /// No score, and no part in the system's.
    pub from_pci: bool,
    /// No findings.
    pub from_reports: bool,
}

/// Whether the value of a tag sets it. The tag alone does; `false` and `no` do not.
pub fn is_set(value: &str) -> bool {
    !["false", "no", "0"].iter().any(|off| value.eq_ignore_ascii_case(off))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_counts_days_with_events() {
        let window = Window::ending(1_000 * DAY, 90 * DAY);
        let hour = |days_before: i64| (1_000 * DAY - days_before * DAY - 7200) / 3600;
        let half: BTreeSet<i64> = (0..45).map(hour).collect();
        assert_eq!((window.days(), covered(window, &half)), (90, 45));
        assert!((confidence(window, 45) - 0.5).abs() < 1e-12);
        // A day with many hours is one day; days before the window and after it do not count.
        let more: BTreeSet<i64> = half.iter().flat_map(|h| [*h, h - 1]).chain([hour(91), hour(-2)]).collect();
        assert_eq!(covered(window, &more), 45);
        assert!((confidence(window, covered(window, &(0..200).map(hour).collect())) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_younger_than_the_window_is_exempt() {
        let window = Window::ending(100 * DAY, 90 * DAY);
        assert!(window.exempts(Some(10 * DAY + 1)) && !window.exempts(Some(10 * DAY)) && !window.exempts(None));
        assert!(window.contains(100 * DAY) && !window.contains(10 * DAY) && !window.contains(100 * DAY + 1));
    }
}
