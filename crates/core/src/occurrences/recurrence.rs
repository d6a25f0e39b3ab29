//! Occurrences that repeat: each day, on days of the week, or on days of the month, at times of the day in UTC. Each begins on its own day and
//! lasts as long as the others, also beyond midnight. A month without one of the days has no occurrence for it.
use super::Occurrence;
use crate::{duration::Duration, target::Empty, time::Time};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

const DAY_SECS: i64 = 86_400;
/// The longest occurrence each day or week, in hours (PM-083).
const MAX_HOURS: i64 = 23;
/// The longest occurrence each month, in hours (PM-083): 28 days.
const MAX_HOURS_MONTHLY: i64 = 672;
/// From the 31st of a month to that of the next month that has one, in days, at most: August to October.
const MAX_DAYS_BETWEEN: i64 = 62;

/// Occurrences that repeat.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recurrence {
    /// The days on which an occurrence begins.
    pub every: Every,
    /// The times of the day at which one begins, in UTC, such as `09:00`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "set")))]
    pub times: Vec<TimeOfDay>,
    /// How long each lasts, such as `8h`. At most 23h, and 672h if it repeats each month. No occurrence may begin before another one ends.
    pub duration: Duration,
}

/// The days on which an occurrence begins. Exactly one member is set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Every {
    /// Each day.
    Day(Empty),
    /// These days of each week.
    Week(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 7), extend("x-kubernetes-list-type" = "set")))] Vec<Weekday>),
    /// These days of each month, from 1 to 31. A month without such a day has no occurrence for it.
    Month(
        #[cfg_attr(
            feature = "schema",
            schemars(length(min = 1, max = 31), inner(range(min = 1, max = 31)), extend("x-kubernetes-list-type" = "set"))
        )]
        Vec<u8>,
    ),
}

/// A day of the week, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Weekday {
    /// The first day of the week.
    Monday,
    /// The second day.
    Tuesday,
    /// The third day.
    Wednesday,
    /// The fourth day.
    Thursday,
    /// The fifth day.
    Friday,
    /// The sixth day.
    Saturday,
    /// The last day.
    Sunday,
}

impl Weekday {
    const fn number(self) -> i64 {
        self as i64
    }
}

/// A time of the day in UTC, in seconds since midnight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimeOfDay(u32);

/// The notation of a time of the day: hours and minutes, and seconds if they are not zero.
pub const TIME_OF_DAY_PATTERN: &str = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$";

impl TimeOfDay {
    /// Seconds since midnight.
    pub const fn secs(self) -> i64 {
        self.0 as i64
    }
}

impl FromStr for TimeOfDay {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let number = |part: &str, below: u32| {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u32>().ok().filter(|n| digits && *n < below)
        };
        let found = match parts.as_slice() {
            [h, m] => number(h, 24).zip(number(m, 60)).map(|(h, m)| h * 3600 + m * 60),
            [h, m, s] => number(h, 24).zip(number(m, 60)).zip(number(s, 60)).map(|((h, m), s)| h * 3600 + m * 60 + s),
            _ => None,
        };
        found.map(TimeOfDay).ok_or_else(|| format!("{text:?} is not a time of the day in UTC; write it as 09:00 or 09:00:30"))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (h, m, s) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        if s == 0 { write!(f, "{h:02}:{m:02}") } else { write!(f, "{h:02}:{m:02}:{s:02}") }
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for TimeOfDay {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeOfDay".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": TIME_OF_DAY_PATTERN, "maxLength": 8})
    }
}

impl Recurrence {
    /// Whether it can be obeyed. The order of the rules: 1. days and times; 2. the longest duration; 3. occurrences that overlap.
    ///
    /// # Errors
    /// The value, the limit and what to do, in words.
    pub fn check(&self) -> Result<(), String> {
        let days = match &self.every {
            Every::Day(_) => true,
            Every::Week(days) => !days.is_empty(),
            Every::Month(days) => !days.is_empty() && days.iter().all(|day| (1..=31).contains(day)),
        };
        if !days || self.times.is_empty() {
            return Err("an occurrence needs a day, from 1 to 31 in a month, and a time to begin".into());
        }
        let hours = if matches!(self.every, Every::Month(_)) { MAX_HOURS_MONTHLY } else { MAX_HOURS };
        if self.duration.secs() > hours * 3600 {
            return Err(format!("an occurrence lasts {}, and at most {hours}h are possible; make it shorter", self.duration));
        }
        match self.shortest_distance() {
            Some(secs) if secs < self.duration.secs() => Err(format!(
                "an occurrence lasts {} and the next one begins {} later; make it shorter, or let fewer begin",
                self.duration,
                Duration::from_secs(u32::try_from(secs).unwrap_or(u32::MAX).max(1))
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// The shortest time from the beginning of one occurrence to that of the next, in seconds; `None` where one alone begins in a cycle and
    /// the next cycle is far enough.
    fn shortest_distance(&self) -> Option<i64> {
        // Months of each length, with the next one behind them.
        let cycles: Vec<(i64, Vec<i64>)> = match &self.every {
            Every::Day(_) => vec![(1, vec![0])],
            Every::Week(days) => vec![(7, days.iter().map(|day| day.number()).collect())],
            Every::Month(days) => {
                let of = |length: i64| (length, days.iter().map(|day| i64::from(*day) - 1).filter(|day| *day < length).collect());
                (28..=31).map(of).collect()
            }
        };
        let distances = cycles.into_iter().filter_map(|(length, days)| {
            let mut begins: Vec<i64> =
                days.iter().flat_map(|day| self.times.iter().map(move |time| day * DAY_SECS + time.secs())).collect();
            begins.sort_unstable();
            begins.dedup();
            // A month without any of the days is behind one that has them.
            let first = begins.first()? + length * DAY_SECS;
            begins.iter().zip(begins.iter().skip(1).chain([&first])).map(|(one, next)| next - one).min()
        });
        distances.min()
    }

    /// The first occurrence that ends after this time. It has begun, or is to come.
    pub fn first_ending_after(&self, from: Time) -> Option<Occurrence> {
        let secs = self.duration.secs();
        let first = from.plus_secs(-secs).as_millis().div_euclid(DAY_SECS * 1000);
        let mut times = self.times.clone();
        times.sort_unstable();
        let days = (0..=MAX_DAYS_BETWEEN + secs / DAY_SECS + 1).map(|after| first + after).filter(|day| self.begins_on(*day));
        let begins = days.flat_map(|day| times.iter().map(move |time| Time::from_secs(day * DAY_SECS + time.secs())));
        begins.map(|start| Occurrence { start, end: start.plus_secs(secs) }).find(|occurrence| occurrence.end > from)
    }

    /// Whether an occurrence begins on this day, counted from 1970-01-01.
    fn begins_on(&self, day: i64) -> bool {
        match &self.every {
            Every::Day(_) => true,
            // 1970-01-01 was a Thursday.
            Every::Week(days) => days.iter().any(|weekday| weekday.number() == (day + 3).rem_euclid(7)),
            Every::Month(days) => day_of_month(day).is_some_and(|number| days.contains(&number)),
        }
    }
}

fn day_of_month(day: i64) -> Option<u8> {
    let midnight = Timestamp::from_second(day.checked_mul(DAY_SECS)?).ok()?;
    u8::try_from(midnight.to_zoned(TimeZone::UTC).day()).ok()
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = match &self.every {
            Every::Day(_) => "each day".to_owned(),
            Every::Week(days) => days.iter().map(|day| format!("{day:?}")).collect::<Vec<_>>().join(", "),
            Every::Month(days) => {
                let days: Vec<String> = days.iter().map(u8::to_string).collect();
                format!("day {} of each month", days.join(", "))
            }
        };
        let times: Vec<String> = self.times.iter().map(ToString::to_string).collect();
        write!(f, "{days} at {} UTC for {}", times.join(", "), self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(yaml: serde_json::Value) -> Recurrence {
        serde_json::from_value(yaml).unwrap()
    }

    /// The begins after this time, so many.
    fn begins(r: &Recurrence, from: &str, count: usize) -> Vec<String> {
        let mut from = Time::parse(from).unwrap();
        let mut all = Vec::new();
        for _ in 0..count {
            let next = r.first_ending_after(from).unwrap();
            assert_eq!(next.end.millis_since(next.start), r.duration.secs() * 1000);
            all.push(next.start.to_string());
            from = next.end;
        }
        all
    }

    #[test]
    fn occurrences_begin_on_their_days_at_their_times() {
        let daily = of(serde_json::json!({"every": {"day": {}}, "times": ["22:00", "06:30:15"], "duration": "3h"}));
        let expected = ["2028-02-28T22:00:00Z", "2028-02-29T06:30:15Z", "2028-02-29T22:00:00Z", "2028-03-01T06:30:15Z"];
        assert_eq!(begins(&daily, "2028-02-29T00:59:59Z", 4), expected, "the first of them has begun the day before");
        let weekly = of(serde_json::json!({"every": {"week": ["Friday", "Monday"]}, "times": ["09:00"], "duration": "8h"}));
        let expected = ["2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z", "2026-12-04T09:00:00Z"];
        assert_eq!(begins(&weekly, "2026-11-24T00:00:00Z", 3), expected);
    }

    #[test]
    fn a_month_without_the_day_has_no_occurrence() {
        let last = of(serde_json::json!({"every": {"month": [31]}, "times": ["00:00"], "duration": "672h"}));
        let expected =
            ["2026-08-31T00:00:00Z", "2026-10-31T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z"];
        assert_eq!(begins(&last, "2026-08-30T00:00:00Z", 5), expected);
        let leap = of(serde_json::json!({"every": {"month": [29]}, "times": ["12:00"], "duration": "1h"}));
        assert_eq!(begins(&leap, "2027-01-30T00:00:00Z", 2), ["2027-03-29T12:00:00Z", "2027-04-29T12:00:00Z"]);
        assert_eq!(begins(&leap, "2028-01-30T00:00:00Z", 1), ["2028-02-29T12:00:00Z"]);
        assert_eq!(begins(&leap, "2100-01-30T00:00:00Z", 1), ["2100-03-29T12:00:00Z"], "2100 has no such day");
    }

    #[test]
    fn what_is_too_long_or_overlaps_is_refused() {
        let check = |every: serde_json::Value, times: &[&str], duration: &str| {
            of(serde_json::json!({"every": every, "times": times, "duration": duration})).check()
        };
        let (day, week, month) = (
            || serde_json::json!({"day": {}}),
            |days: &[&str]| serde_json::json!({"week": days}),
            |days: &[u8]| serde_json::json!({"month": days}),
        );
        for (every, times, duration, fits) in [
            (day(), &["09:00"][..], "23h", true),
            (day(), &["09:00"], "23h1s", false),
            (day(), &["09:00", "10:00"], "1h", true),
            (day(), &["09:00", "10:00"], "61m", false),
            (day(), &["23:00", "01:00"], "2h1s", false),
            (week(&["Sunday", "Monday"]), &["09:00"], "23h", true),
            (week(&["Monday"]), &["09:00"], "24h", false),
            (week(&["Sunday", "Monday"]), &["22:00", "01:00"], "3h", true),
            (week(&["Sunday", "Monday"]), &["22:00", "01:00"], "4h", false),
            (month(&[1]), &["00:00"], "672h", true),
            (month(&[1]), &["00:00"], "673h", false),
            (month(&[1, 15]), &["00:00"], "336h", true),
            (month(&[1, 15]), &["00:00"], "337h", false),
            (month(&[31]), &["00:00"], "672h", true),
            (month(&[1, 31]), &["00:00"], "25h", false),
            (month(&[0]), &["00:00"], "1h", false),
            (month(&[32]), &["00:00"], "1h", false),
            (month(&[]), &["00:00"], "1h", false),
            (day(), &[], "1h", false),
        ] {
            let found = check(every.clone(), times, duration);
            assert_eq!(found.is_ok(), fits, "{every} {times:?} {duration}: {found:?}");
        }
        let told = check(day(), &["09:00", "10:00"], "2h").unwrap_err();
        assert_eq!(told, "an occurrence lasts 2h and the next one begins 1h later; make it shorter, or let fewer begin");
    }

    #[test]
    fn times_of_the_day_have_one_notation() {
        for (text, secs) in [("00:00", 0), ("09:30", 34_200), ("23:59:59", 86_399)] {
            let time: TimeOfDay = text.parse().unwrap();
            assert_eq!((time.secs(), time.to_string().as_str()), (secs, text));
        }
        for text in ["24:00", "9:00", "09:60", "09:00:60", "09", "09:00Z", "+9:00", "09:00:00:00", ""] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }
}
