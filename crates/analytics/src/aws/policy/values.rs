//! Comparison of one value of a request with one of a policy (IAM User Guide, "IAM JSON policy elements: Condition operators").
use super::glob::covers;
use jiff::Timestamp;
use std::{cmp::Ordering, net::IpAddr};

/// What an operator compares, without what stands before and after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `StringEquals`, `BinaryEquals`.
    Text,
    /// `StringEqualsIgnoreCase`.
    TextIgnoringCase,
    /// `StringLike`, and the operators of ARNs, which compare like it.
    Pattern,
    /// `NumericEquals` and the like.
    Number(Order),
    /// `DateEquals` and the like.
    Date(Order),
    /// `Bool`.
    Bool,
    /// `IpAddress`.
    Address,
}

/// Which order holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Equal.
    Equal,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

impl Order {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// An operator and whether it is negated. `None` if the operator is not known.
pub fn operator(name: &str) -> Option<(Comparison, bool)> {
    use Comparison::{Address, Bool, Date, Number, Pattern, Text, TextIgnoringCase};
    let of = match name {
        "stringequals" | "binaryequals" => (Text, false),
        "stringnotequals" => (Text, true),
        "stringequalsignorecase" => (TextIgnoringCase, false),
        "stringnotequalsignorecase" => (TextIgnoringCase, true),
        "stringlike" | "arnequals" | "arnlike" => (Pattern, false),
        "stringnotlike" | "arnnotequals" | "arnnotlike" => (Pattern, true),
        "numericequals" => (Number(Order::Equal), false),
        "numericnotequals" => (Number(Order::Equal), true),
        "numericlessthan" => (Number(Order::Less), false),
        "numericlessthanequals" => (Number(Order::AtMost), false),
        "numericgreaterthan" => (Number(Order::Greater), false),
        "numericgreaterthanequals" => (Number(Order::AtLeast), false),
        "dateequals" => (Date(Order::Equal), false),
        "datenotequals" => (Date(Order::Equal), true),
        "datelessthan" => (Date(Order::Less), false),
        "datelessthanequals" => (Date(Order::AtMost), false),
        "dategreaterthan" => (Date(Order::Greater), false),
        "dategreaterthanequals" => (Date(Order::AtLeast), false),
        "bool" => (Bool, false),
        "ipaddress" => (Address, false),
        "notipaddress" => (Address, true),
        _ => return None,
    };
    Some(of)
}

/// Whether a value of the request fits one of the policy. `None` if one of them is not of the kind that the operator compares, so that the
/// comparison fails whether it is negated or not.
pub fn fits(comparison: Comparison, actual: &str, expected: &str) -> Option<bool> {
    Some(match comparison {
        Comparison::Text => actual == expected,
        Comparison::TextIgnoringCase => actual.to_lowercase() == expected.to_lowercase(),
        Comparison::Pattern => covers(expected, actual),
        Comparison::Number(order) => order.holds(number(actual)?.partial_cmp(&number(expected)?)?),
        Comparison::Date(order) => order.holds(moment(actual)?.cmp(&moment(expected)?)),
        Comparison::Bool => actual.eq_ignore_ascii_case(expected),
        Comparison::Address => within(actual, expected).unwrap_or(false),
    })
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Nanoseconds since the epoch, of a date in ISO 8601 or of seconds since the epoch (IAM User Guide, "Date condition operators").
fn moment(text: &str) -> Option<i128> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_nanosecond());
    }
    if let Ok(date) = text.parse::<jiff::civil::DateTime>() {
        return date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp().as_nanosecond());
    }
    number(text).filter(|seconds| seconds.abs() < 1e15).map(|seconds| (seconds * 1e9) as i128)
}

/// Whether an address is in a range in CIDR notation, or is the address.
fn within(actual: &str, range: &str) -> Option<bool> {
    let actual: IpAddr = actual.parse().ok()?;
    let (base, prefix) = match range.split_once('/') {
        Some((base, prefix)) => (base.parse::<IpAddr>().ok()?, Some(prefix.parse::<u32>().ok()?)),
        None => (range.parse::<IpAddr>().ok()?, None),
    };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(four) => (u128::from(four.to_bits()), 32),
        IpAddr::V6(six) => (six.to_bits(), 128),
    };
    let ((a, size), (b, other)) = (bits(actual), bits(base));
    let prefix = prefix.unwrap_or(size);
    if prefix > other {
        return None;
    }
    let shift = size.saturating_sub(prefix);
    Some(size == other && (shift == 128 || a >> shift == b >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_compared_as_the_guide_says() {
        let of = |name: &str, actual: &str, expected: &str| fits(operator(name).unwrap().0, actual, expected);
        assert_eq!((of("stringlike", "a/b", "a*"), of("stringequals", "a", "A")), (Some(true), Some(false)));
        assert_eq!((of("numericlessthan", "5", "10"), of("numericlessthan", "x", "10")), (Some(true), None));
        assert_eq!(of("datelessthan", "2026-01-01T00:00:00Z", "1767225601"), Some(true));
        assert_eq!(of("dategreaterthan", "2026-01-02", "2026-01-01T23:59:59Z"), Some(true));
        assert_eq!((of("ipaddress", "10.1.2.3", "10.0.0.0/8"), of("ipaddress", "11.1.2.3", "10.0.0.0/8")), (Some(true), Some(false)));
        assert_eq!((of("ipaddress", "2001:db8::1", "2001:db8::/32"), of("ipaddress", "2001:db8::1", "::/0")), (Some(true), Some(true)));
        assert_eq!((of("ipaddress", "10.0.0.1", "::/0"), of("ipaddress", "10.0.0.1", "10.0.0.1")), (Some(false), Some(true)));
        assert_eq!(operator("stringmaybe"), None);
    }
}
