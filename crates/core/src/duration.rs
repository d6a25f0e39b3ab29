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

/// A text is not a duration or period. The message quotes the text and gives an example.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotALength {
    text: String,
    kind: &'static str,
    example: &'static str,
}

impl fmt::Display for NotALength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a {}; write it as {}", self.text, self.kind, self.example)
    }
}
impl std::error::Error for NotALength {}

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
        let err = || NotALength { text: s.into(), kind: "duration", example: "1h30m" };
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
        let err = || NotALength { text: s.into(), kind: "period", example: "90d" };
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
        assert_eq!("4 hours".parse::<Duration>().unwrap_err().to_string(), "\"4 hours\" is not a duration; write it as 1h30m");
    }

    #[test]
    fn periods_are_whole_days() {
        assert_eq!("90d".parse::<Period>().unwrap().secs(), 90 * 86_400);
        for text in ["0d", "90", "+9d", "12345d", "d", "1h"] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
        assert_eq!("90".parse::<Period>().unwrap_err().to_string(), "\"90\" is not a period; write it as 90d");
    }
}
