//! Times of records.

/// Unix seconds of a time as CloudTrail writes it, such as `2026-11-26T13:55:53Z`; other forms of RFC 3339 are read, too, and fractions are dropped.
pub fn seconds(time: &[u8]) -> Option<i64> {
    plain(time).or_else(|| {
        let time: jiff::Timestamp = std::str::from_utf8(time).ok()?.parse().ok()?;
        Some(time.as_second())
    })
}

fn plain(time: &[u8]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1, b'Z'] = time else { return None };
    let two = |tens: &u8, ones: &u8| {
        let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
        Some(digit(tens)? * 10 + digit(ones)?)
    };
    let (year, month, day) = (two(y0, y1)? * 100 + two(y2, y3)?, two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = days.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=*length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 (Hinnant, chrono-Compatible Low-Level Date Algorithms).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{plain, seconds};

    #[test]
    fn the_quick_way_agrees_with_the_library() {
        for day in (0..60_000).map(|n| n * 86_399 - 900_000_000) {
            let text = jiff::Timestamp::from_second(day).unwrap().to_string();
            assert_eq!(plain(text.as_bytes()), Some(day), "{text}");
        }
        for (text, expected) in [
            ("2026-11-26T13:55:53.9Z", Some(1_795_701_353)),
            ("2026-11-26T14:55:53+01:00", Some(1_795_701_353)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
