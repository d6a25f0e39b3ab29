//! Instants and their notation. The core receives the current time as an argument and never reads a clock.
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// An instant in milliseconds since the Unix epoch, UTC.
///
/// Deadlines are stored in whole seconds, the resolution of Kubernetes, and are always rounded down, so that rounding never
/// extends an access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(i64);

impl Time {
    /// The instant `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Time(ms)
    }
    /// The instant `s` seconds after the Unix epoch.
    pub const fn from_secs(s: i64) -> Self {
        Time(s.saturating_mul(1000))
    }
    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
    /// The instant rounded down to whole seconds.
    #[must_use]
    pub const fn floor_secs(self) -> Self {
        Time(self.0.saturating_sub(self.0.rem_euclid(1000)))
    }
    /// The instant `s` seconds later.
    #[must_use]
    pub const fn plus_secs(self, s: i64) -> Self {
        Time(self.0.saturating_add(s.saturating_mul(1000)))
    }
    /// Milliseconds from `earlier` to this instant; negative if `earlier` is later.
    pub const fn millis_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
    /// Parses an RFC 3339 time; `None` if `s` is not one.
    pub fn parse(s: &str) -> Option<Self> {
        s.parse::<Timestamp>().ok().map(|t| Time(t.as_millisecond()))
    }
    /// Parses the notation of [`Time::compact`]; `None` for any other text.
    pub fn parse_compact(s: &str) -> Option<Self> {
        let (date, rest) = s.split_once('T')?;
        if !s.is_ascii() || date.len() != 8 || rest.len() != 7 {
            return None;
        }
        Time::parse(&format!("{}-{}-{}T{}:{}:{}", &date[..4], &date[4..6], &date[6..], &rest[..2], &rest[2..4], &rest[4..]))
    }
    /// The notation of deadlines in binding names, such as `20261123T081500Z`. It has no colons and sorts by time.
    pub fn compact(self) -> String {
        self.floor_secs().to_string().replace(['-', ':'], "")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "{} ms after the epoch", self.0),
        }
    }
}

/// The pattern of a [`Time`] in the CRD schemas: RFC 3339 in UTC, with a year that every parser accepts.
pub const TIME_PATTERN: &str = "^(19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z$";

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        Time::parse(&s)
            .ok_or_else(|| serde::de::Error::custom(format!("{s:?} is not an RFC 3339 time in UTC; write it as 2026-11-23T08:15:00Z")))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // The format alone accepts offsets and fractions that jiff does not parse, and one object that does not deserialize
        // would make the whole list fail.
        schemars::json_schema!({"type": "string", "format": "date-time", "pattern": TIME_PATTERN, "maxLength": 30})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_parses_rfc_3339_and_the_compact_notation() {
        let t = Time::parse("2026-11-23T08:15:00Z").unwrap();
        assert_eq!(t.to_string(), "2026-11-23T08:15:00Z");
        assert_eq!(t.compact(), "20261123T081500Z");
        assert_eq!(Time::parse_compact("20261123T081500Z"), Some(t));
        assert_eq!(Time::parse_compact("20261323T081500Z"), None);
        assert_eq!(Time::parse("tomorrow"), None);
    }

    #[test]
    fn no_arithmetic_leaves_the_range() {
        let (first, last) = (Time::from_millis(i64::MIN), Time::from_millis(i64::MAX));
        assert_eq!((last.plus_secs(1), first.plus_secs(-1), Time::from_secs(i64::MAX)), (last, first, last));
        assert_eq!((last.millis_since(first), first.millis_since(last)), (i64::MAX, i64::MIN));
        assert_eq!(first.floor_secs(), first);
        for text in ["", "T", "äääääT123456Z", "2026112\u{e9}T081500Z", "20261123T0815\u{e9}Z"] {
            assert_eq!(Time::parse_compact(text), None, "{text}");
        }
    }

    #[test]
    fn deadlines_round_down_to_whole_seconds() {
        assert_eq!(Time::from_millis(1_999).floor_secs(), Time::from_secs(1));
        assert_eq!(Time::from_millis(-1).floor_secs(), Time::from_secs(-1));
        assert_eq!(Time::from_millis(1_999).compact(), "19700101T000001Z");
    }
}
