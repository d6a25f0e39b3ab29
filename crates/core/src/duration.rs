//! Durations in the notation of the API: [`Duration`] (`45m`, `1h30m`) and [`Period`] (`90d`).
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The pattern of a [`Duration`] in the CRD schemas.
pub const DURATION_PATTERN: &str = "^([1-9][0-9]{0,4}(s|m|h)){1,3}$";
/// The pattern of a [`Period`] in the CRD schemas.
pub const PERIOD_PATTERN: &str = "^[1-9][0-9]{0,3}d$";

/// A positive duration in whole seconds, written as `45m`, `1h30m` or `90s`. Keeps its notation; equality and order use the seconds.
#[derive(Clone, Debug)]
pub struct Duration {
    written: Box<str>,
    secs: u32,
}

/// A positive number of days, written as `90d`. Separate from [`Duration`] because CEL's `duration()` does not accept days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Period {
    days: u16,
}

/// A text is not a duration or period. The message quotes the text, and says how to write what it seems to mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotALength {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Duration,
    Period,
}

impl fmt::Display for NotALength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, number) = (&self.text, !self.text.is_empty() && self.text.bytes().all(|b| b.is_ascii_digit()));
        match self.kind {
            Kind::Duration if number => {
                write!(f, "{text:?} is not a duration: a number needs a unit; write it as {text}s, {text}m or {text}h")
            }
            Kind::Duration => write!(f, "{text:?} is not a duration; write it as {}", duration_meant(text).as_deref().unwrap_or("1h30m")),
            Kind::Period if number => write!(f, "{text:?} is not a period: a number needs a unit; write it as {text}d"),
            Kind::Period => write!(f, "{text:?} is not a period; write it as {}", period_meant(text).as_deref().unwrap_or("90d")),
        }
    }
}
impl std::error::Error for NotALength {}

/// Days, also as in ISO 8601, that are written in hours. CEL estimates the length of a text that is computed from a number as unlimited,
/// and a CRD with such a rule is refused: so what needs arithmetic is listed.
pub const DAYS: &[(&str, &str)] = &[("1d", "24h"), ("2d", "48h"), ("3d", "72h"), ("7d", "168h")];
/// Weeks and hours that are written in days.
pub const WEEKS_AND_HOURS: &[(&str, &str)] =
    &[("1w", "7d"), ("2w", "14d"), ("4w", "28d"), ("52w", "364d"), ("24h", "1d"), ("48h", "2d"), ("72h", "3d"), ("168h", "7d")];

fn listed(lower: &str, table: &[(&str, &str)]) -> Option<String> {
    let text = lower.strip_prefix('p').unwrap_or(lower);
    table.iter().find(|(other, _)| *other == text).map(|(_, written)| (*written).to_owned())
}

/// The parts of a text that are not zero, without leading zeros: each has at most so many digits, and one of the units, in this order.
fn parts(mut text: &str, digits: usize, units: &[char]) -> Option<String> {
    let mut out = String::new();
    for unit in units {
        let length = text.bytes().take_while(u8::is_ascii_digit).count();
        let Some(rest) = text[length..].strip_prefix(*unit).filter(|_| (1..=digits).contains(&length)) else { continue };
        let number = text[..length].trim_start_matches('0');
        if !number.is_empty() {
            out.push_str(number);
            out.push(*unit);
        }
        text = rest;
    }
    (text.is_empty() && !out.is_empty()).then_some(out)
}

/// How other notations of a duration are written: that of Go with parts of zero (`1h0m0s`), and ISO 8601 (`PT1H`), in any case.
fn duration_meant(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    listed(&lower, DAYS).or_else(|| parts(lower.strip_prefix("pt").unwrap_or(&lower), 5, &['h', 'm', 's']))
}

/// How other notations of a period are written: ISO 8601 (`P30D`, `P4W`), weeks, hours.
fn period_meant(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    listed(&lower, WEEKS_AND_HOURS).or_else(|| parts(lower.strip_prefix('p').unwrap_or(&lower), 4, &['d']))
}

impl Duration {
    /// The duration in seconds.
    pub fn secs(&self) -> i64 {
        i64::from(self.secs)
    }
    /// A duration of `secs` seconds in the shortest notation.
    pub fn from_secs(secs: u32) -> Self {
        let parts = [(secs / 3600, 'h'), (secs % 3600 / 60, 'm'), (secs % 60, 's')];
        let written: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, u)| format!("{n}{u}")).collect();
        Duration { written: written.into(), secs }
    }
}

impl FromStr for Duration {
    type Err = NotALength;
    fn from_str(s: &str) -> Result<Self, NotALength> {
        let err = || NotALength { text: s.into(), kind: Kind::Duration };
        let (mut secs, mut number, mut parts) = (0u32, String::new(), 0);
        for c in s.chars() {
            match c {
                '0'..='9' => number.push(c),
                's' | 'm' | 'h' => {
                    let unit = match c {
                        's' => 1,
                        'm' => 60,
                        _ => 3600,
                    };
                    // At most three parts of five digits, so the sum stays far below the limit of u32.
                    if number.is_empty() || number.starts_with('0') || number.len() > 5 || parts == 3 {
                        return Err(err());
                    }
                    secs += number.parse::<u32>().map_err(|_| err())? * unit;
                    number.clear();
                    parts += 1;
                }
                _ => return Err(err()),
            }
        }
        if !number.is_empty() || parts == 0 {
            return Err(err());
        }
        Ok(Duration { written: s.into(), secs })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.secs == other.secs
    }
}
impl Eq for Duration {}
impl PartialOrd for Duration {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Duration {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.secs.cmp(&other.secs)
    }
}
impl std::hash::Hash for Duration {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.secs.hash(state);
    }
}

impl Period {
    /// The period in seconds: 86400 for each day.
    pub fn secs(self) -> i64 {
        i64::from(self.days) * 86_400
    }
}

impl FromStr for Period {
    type Err = NotALength;
    fn from_str(s: &str) -> Result<Self, NotALength> {
        let err = || NotALength { text: s.into(), kind: Kind::Period };
        let days = s.strip_suffix('d').filter(|n| !n.starts_with('0') && n.len() <= 4 && n.bytes().all(|b| b.is_ascii_digit()));
        Ok(Period { days: days.and_then(|n| n.parse().ok()).ok_or_else(err)? })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.days)
    }
}

macro_rules! as_string {
    ($t:ident, $pattern:expr) => {
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $t {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($t).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern, "maxLength": 18})
            }
        }
    };
}
as_string!(Duration, DURATION_PATTERN);
as_string!(Period, PERIOD_PATTERN);

#[cfg(test)]
mod tests {
    use super::*;

    /// Also tried on an API server, with every field: `tests/kinds/lengths.rs`.
    const DURATIONS: &[(&str, &str)] = &[
        ("1h0m0s", "1h"),
        ("PT1H", "1h"),
        ("pt1h30m", "1h30m"),
        ("PT3600S", "3600s"),
        ("10d", "1h30m"),
        ("P1D", "24h"),
        ("1d", "24h"),
        ("01h", "1h"),
        ("60", "60s, 60m or 60h"),
        ("0s", "1h30m"),
        ("-1h", "1h30m"),
        ("4 hours", "1h30m"),
        ("1h1m1s1s", "1h30m"),
        ("1.5h", "1h30m"),
        ("999999h", "1h30m"),
        ("é", "1h30m"),
    ];
    const PERIODS: &[(&str, &str)] = &[
        ("P30D", "30d"),
        ("365", "365d"),
        ("030d", "30d"),
        ("4w", "28d"),
        ("P2W", "14d"),
        ("48h", "2d"),
        ("36h", "90d"),
        ("3w", "90d"),
        ("0d", "90d"),
        ("1y", "90d"),
        ("12345d", "90d"),
    ];

    #[test]
    fn durations_parse_and_keep_their_notation() {
        for (text, secs) in [("45m", 2700), ("1h30m", 5400), ("90s", 90), ("1h1m1s", 3661), ("99999s", 99_999)] {
            let d: Duration = text.parse().unwrap();
            assert_eq!((d.secs(), d.to_string().as_str()), (secs, text));
        }
        assert_eq!("90m".parse::<Duration>(), "1h30m".parse());
        assert_eq!(Duration::from_secs(5400).to_string(), "1h30m");
    }

    #[test]
    fn invalid_duration_is_refused_with_an_example() {
        for text in ["", "0s", "-5m", "5", "1d", "1h 5m", "1h1m1s1s", "100000s", "05m"] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
        assert!("99999h".repeat(13).parse::<Duration>().is_err(), "more seconds than a number holds");
    }

    #[test]
    fn other_notations_are_answered_with_the_value_in_this_one() {
        for (text, told) in DURATIONS {
            let error = text.parse::<Duration>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("\"{text}\" is not a duration")) && error.ends_with(&format!("write it as {told}")),
                "{error}"
            );
        }
        for (text, told) in PERIODS {
            let error = text.parse::<Period>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("\"{text}\" is not a period")) && error.ends_with(&format!("write it as {told}")),
                "{error}"
            );
        }
        for text in DURATIONS.iter().filter(|(_, told)| !told.contains(' ')).map(|(_, told)| told) {
            assert!(text.parse::<Duration>().is_ok(), "{text}");
        }
        assert!(PERIODS.iter().all(|(_, told)| told.parse::<Period>().is_ok()));
    }

    #[test]
    fn periods_are_whole_days() {
        assert_eq!("90d".parse::<Period>().unwrap().secs(), 90 * 86_400);
        for text in ["0d", "90", "+9d", "12345d", "d", "1h"] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }
}
