//! What a window of days can show: how much of it the logs cover, which identities are too new for findings from history, and who is left
//! out. And what a row of daily scores shows: the change over a week, the trend, and since when an identity is in its band.
use crate::bands::Band;
use jiff::{SignedDuration, civil::Date};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

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

/// A day of the calendar in UTC, in days since 1970-01-01. Its text is `2026-11-27`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Day(pub u32);

/// The first day.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

impl Day {
    /// The day of a time in Unix seconds. What is before 1970 is on the first day.
    pub fn of(at: i64) -> Self {
        Self(u32::try_from(at.div_euclid(DAY).max(0)).unwrap_or(u32::MAX))
    }
    /// Its first second.
    pub fn start(self) -> i64 {
        i64::from(self.0) * DAY
    }
    /// So many days before.
    pub fn back(self, days: u32) -> Self {
        Self(self.0.saturating_sub(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match EPOCH.checked_add(SignedDuration::from_secs(self.start())) {
            Ok(date) => f.pad(&date.to_string()),
            // After the year 9999.
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

impl FromStr for Day {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let date: Date = text.parse().map_err(|_| format!("{text} is not a day such as 2026-11-27"))?;
        u32::try_from(date.duration_since(EPOCH).as_secs() / DAY).map(Self).map_err(|_| format!("{text} is before 1970"))
    }
}

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How many identities are in each band.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InBands {
    /// 0 to 33.
    pub low: u32,
    /// 34 to 67.
    pub medium: u32,
    /// 68 to 100.
    pub high: u32,
}

/// The score of a system or a folder on one day.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DailyScore {
    /// The day.
    pub day: Day,
    /// 0 to 100.
    pub score: u8,
    /// The aggregate before the map to 0 to 100.
    pub x: f64,
    /// Covered days as a share of the window.
    pub confidence: f64,
    /// How many identities count.
    pub counted: u32,
    /// Identities by kind, as reports name it, and band.
    pub bands: BTreeMap<String, InBands>,
    /// Findings by type, as reports name it.
    pub findings: BTreeMap<String, u32>,
    /// The version of the catalogue. Scores of different versions do not compare.
    pub catalogue: String,
}

/// The score of an identity from one day on, until the next point.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The first day.
    pub day: Day,
    /// Whether the identity exists.
    pub exists: bool,
    /// 0 to 100; null if it is excluded from scores, or does not exist.
    pub score: Option<u8>,
    /// Its unused mass as a share of the catalogue's.
    pub x: Option<f64>,
}

/// How much a score moved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The newest score minus the earlier one.
    pub points: i16,
    /// The day of the earlier one.
    pub from: Day,
    /// The day of the newest one.
    pub to: Day,
    /// Whether the catalogue changed in between, so that not all of it is a change of the system.
    pub catalogue_changed: bool,
}

/// How the newest score of a series, the oldest first, differs from that of `days` before.
///
/// If no analysis ran on that day, the last one before it counts, unless it is more than as many days older. `None` if there is none.
pub fn change(history: &[DailyScore], days: u32) -> Option<Change> {
    let newest = history.last()?;
    let then = newest.day.back(days);
    let earlier = history.iter().rev().find(|score| score.day <= then).filter(|score| score.day >= then.back(days))?;
    (earlier.day < newest.day).then(|| Change {
        points: i16::from(newest.score) - i16::from(earlier.score),
        from: earlier.day,
        to: newest.day,
        catalogue_changed: earlier.catalogue != newest.catalogue,
    })
}

/// One entry for each of `days` days up to `today`, the oldest first: the score, or `None` if no analysis ran on it.
pub fn trend(history: &[DailyScore], today: Day, days: u32) -> Vec<(Day, Option<u8>)> {
    let scores: BTreeMap<Day, u8> = history.iter().map(|score| (score.day, score.score)).collect();
    let first = today.back(days.saturating_sub(1));
    (first.0..=today.0).map(|day| (Day(day), scores.get(&Day(day)).copied())).collect()
}

/// Since when something is as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Since {
    /// The first day.
    pub day: Day,
    /// Whether nothing is known of the day before: it may be so for longer.
    pub at_least: bool,
}

/// Since when an identity is in the band of its score (PM-008), by its points, the oldest first. `None` if it has no score now.
pub fn since(points: &[Point]) -> Option<Since> {
    let band = |point: &Point| point.score.map(Band::of);
    let now = band(points.last()?)?;
    let first = points.iter().rposition(|point| band(point) != Some(now)).map_or(0, |before| before + 1);
    Some(Since { day: points[first].day, at_least: first == 0 })
}

/// How the score of an identity differs from that of some days before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// The score now minus the score then, which is 0 for one that did not exist.
    pub points: i16,
    /// Whether it did not exist then.
    pub is_new: bool,
}

/// How the score of an identity differs from that of `days` before `today`, by its points, the oldest first. `first` is the first day of which
/// anything is known: an identity without a point by then did not exist. `None` if it has no score now, or it is not known what was then.
pub fn moved(changes: &[Point], first: Option<Day>, today: Day, days: u32) -> Option<Moved> {
    let now = changes.last()?.score?;
    let then = today.back(days);
    match changes.iter().rfind(|point| point.day <= then) {
        Some(Point { exists: true, score, .. }) => score.map(|before| Moved { points: i16::from(now) - i16::from(before), is_new: false }),
        Some(_) => Some(Moved { points: now.into(), is_new: true }),
        None => first.filter(|first| *first <= then).map(|_| Moved { points: now.into(), is_new: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_moved_by_the_difference_to_what_it_was_then() {
        let at = |day, score: Option<u8>| Point { day: Day(day), exists: true, score, x: None };
        let gone = |day| Point { exists: false, ..at(day, None) };
        let moved = |points: &[Point], first: u32| moved(points, Some(Day(first)), Day(100), 7).map(|moved| (moved.points, moved.is_new));
        assert_eq!(moved(&[at(10, Some(20)), at(93, Some(30)), at(94, Some(80))], 1), Some((50, false)));
        assert_eq!(moved(&[at(10, Some(80)), at(100, Some(5))], 1), Some((-75, false)));
        // Nothing has changed since; it came later; it was gone then.
        assert_eq!(moved(&[at(10, Some(20))], 1), Some((0, false)));
        assert_eq!(
            (moved(&[at(95, Some(20))], 93), moved(&[at(10, Some(9)), gone(50), at(99, Some(20))], 1)),
            (Some((20, true)), Some((20, true)))
        );
        // Nothing is known of that day; excluded then; excluded or gone now.
        assert_eq!((moved(&[at(95, Some(20))], 94), moved(&[at(10, None), at(99, Some(9))], 1)), (None, None));
        assert_eq!((moved(&[at(10, Some(9)), at(99, None)], 1), moved(&[at(10, Some(9)), gone(99)], 1), moved(&[], 1)), (None, None, None));
    }

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

    #[test]
    fn days_are_written_and_read() {
        let day = Day::of(1_795_700_000);
        assert_eq!((day.to_string().as_str(), day.to_string().parse()), ("2026-11-26", Ok(day)));
        assert_eq!((Day::of(-5), Day::of(DAY - 1), Day::of(DAY), Day(0).to_string().as_str()), (Day(0), Day(0), Day(1), "1970-01-01"));
        assert!("yesterday".parse::<Day>().is_err() && "1969-12-31".parse::<Day>().is_err());
        assert_eq!(serde_json::from_str::<Day>(&serde_json::to_string(&day).unwrap()).unwrap(), day);
        assert_eq!(Day(u32::MAX).to_string(), "day 4294967295");
    }

    fn scores(days: &[(u32, u8)]) -> Vec<DailyScore> {
        days.iter().map(|(day, score)| DailyScore { day: Day(*day), score: *score, ..DailyScore::default() }).collect()
    }

    #[test]
    fn the_change_of_a_week_is_to_the_score_of_that_day_or_the_last_before() {
        let points = |days: &[(u32, u8)]| change(&scores(days), 7).map(|change| (change.points, change.from.0));
        assert_eq!(points(&[(92, 9), (93, 50), (94, 60), (100, 40)]), Some((-10, 93)));
        assert_eq!(points(&[(90, 50), (94, 60), (100, 70)]), Some((20, 90)));
        // Too old to be the score of a week ago; too young; nothing.
        assert_eq!((points(&[(85, 50), (100, 40)]), points(&[(94, 1), (100, 2)]), points(&[])), (None, None, None));
        let mut history = scores(&[(93, 50), (100, 50)]);
        history[1].catalogue = "2".into();
        assert!(change(&history, 7).unwrap().catalogue_changed);
    }

    #[test]
    fn a_trend_has_an_entry_for_each_day() {
        let trend = trend(&scores(&[(1, 1), (8, 8), (10, 10)]), Day(10), 4);
        assert_eq!(trend, [(Day(7), None), (Day(8), Some(8)), (Day(9), None), (Day(10), Some(10))]);
    }

    #[test]
    fn an_identity_is_in_its_band_since_it_came_from_another() {
        let at = |day, score: Option<u8>| Point { day: Day(day), exists: true, score, x: None };
        let since = |points: &[Point]| since(points).map(|since| (since.day.0, since.at_least));
        assert_eq!(since(&[at(1, Some(80)), at(4, Some(20)), at(6, Some(33))]), Some((4, false)));
        assert_eq!(since(&[at(1, Some(70)), at(4, Some(100))]), Some((1, true)));
        assert_eq!(since(&[at(1, Some(70)), at(4, None), at(5, Some(70))]), Some((5, false)));
        assert_eq!((since(&[]), since(&[at(1, Some(70)), at(4, None)])), (None, None));
    }
}
