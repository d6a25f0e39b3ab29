//! The names of what Curfew creates in AWS. They hold everything that the sweep needs to know, and never change: a tag can be put on
//! anything and proves nothing.
//!
//! The limits are those of IAM (128 characters for a policy, 64 for a role) and IAM Identity Center (32 for a permission set), all with the
//! characters `A-Z a-z 0-9 + = , . @ _ -` (IAM API Reference, CreatePolicy and CreateRole; IAM Identity Center API Reference,
//! CreatePermissionSet).
use crate::{ids::Mark, target::PlanNames, time::Time};

/// The path of every policy and role that Curfew creates.
pub const PATH: &str = "/curfew/";

/// The prefix of the name of everything that Curfew creates.
pub const PREFIX: &str = "curfew-";

/// The name of the `n`th policy of a grant, and with `n` of 0 that of its role: `curfew-<install>-<grant>-<deadline>[-n]`.
pub fn name(names: PlanNames<'_>, n: usize) -> String {
    let base = format!("{PREFIX}{}-{}-{}", names.install, names.grant, names.deadline.compact());
    if n == 0 { base } else { format!("{base}-{n}") }
}

/// Reads a name of a policy or role. Only the exact form that [`name`] writes is accepted.
pub fn parse(text: &str) -> Option<(Mark, usize)> {
    let parts: Vec<&str> = text.strip_prefix(PREFIX)?.split('-').collect();
    let (install, grant, deadline, n) = match parts.as_slice() {
        [install, grant, deadline] => (*install, *grant, *deadline, 0),
        [install, grant, deadline, n] => (*install, *grant, *deadline, n.parse().ok()?),
        _ => return None,
    };
    let deadline = Time::parse_compact(deadline)?;
    let found = name(PlanNames { install, grant, deadline }, n);
    let mark = Mark { install: install.to_owned(), grant: grant.to_owned(), deadline };
    (found == text && !install.is_empty() && !grant.is_empty()).then_some((mark, n))
}

/// The characters of a permission set's name that stand for six bits each, as in RFC 4648 §5.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The length of the part after the prefix: 17 bytes, and the last character holds four of their bits.
const CODE: usize = 23;

/// The name of the permission set of a grant: `curfew-` and 23 characters for 4 bytes of the install id, 8 of the grant id and 5 of the
/// deadline in seconds. `None` for ids that are not hexadecimal, or a deadline before 1970 or after the year 36000.
pub fn permission_set_name(names: PlanNames<'_>) -> Option<String> {
    let mut bytes = [0_u8; 17];
    from_hex(names.install, &mut bytes[..4])?;
    from_hex(names.grant, &mut bytes[4..12])?;
    let secs = u64::try_from(names.deadline.floor_secs().as_millis() / 1000).ok()?.to_be_bytes();
    if secs[..3] != [0; 3] {
        return None;
    }
    bytes[12..].copy_from_slice(&secs[3..]);
    Some(format!("{PREFIX}{}", encode(&bytes)))
}

/// Reads the name of a permission set. Only the exact form that [`permission_set_name`] writes is accepted.
pub fn parse_permission_set(text: &str) -> Option<Mark> {
    let bytes = decode(text.strip_prefix(PREFIX)?)?;
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let secs = bytes[12..].iter().fold(0_i64, |secs, byte| secs << 8 | i64::from(*byte));
    let mark = Mark { install: hex(&bytes[..4]), grant: hex(&bytes[4..12]), deadline: Time::from_secs(secs) };
    let names = PlanNames { install: &mark.install, grant: &mark.grant, deadline: mark.deadline };
    (permission_set_name(names)? == text).then_some(mark)
}

/// Lower-case hexadecimal digits for exactly these bytes.
fn from_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 2 * bytes.len() || !lower {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(())
}

fn encode(bytes: &[u8; 17]) -> String {
    let bit = |i: usize| bytes.get(i / 8).is_some_and(|byte| byte >> (7 - i % 8) & 1 == 1);
    let digit = |i: usize| (6 * i..6 * i + 6).fold(0_usize, |digit, i| digit << 1 | usize::from(bit(i)));
    (0..CODE).map(|i| char::from(DIGITS[digit(i)])).collect()
}

fn decode(text: &str) -> Option<[u8; 17]> {
    if text.len() != CODE {
        return None;
    }
    let mut bytes = [0_u8; 17];
    for (i, c) in text.bytes().enumerate() {
        let digit = DIGITS.iter().position(|d| *d == c)?;
        for j in 0..6 {
            let (at, set) = (6 * i + j, digit >> (5 - j) & 1 == 1);
            match bytes.get_mut(at / 8) {
                Some(byte) if set => *byte |= 1 << (7 - at % 8),
                _ => {}
            }
        }
    }
    Some(bytes)
}

/// The tags of everything that Curfew creates, for people and for the search; the mark is in the name.
pub fn tags(mark: &Mark) -> [(&'static str, String); 3] {
    [
        ("curfew.dev/install", mark.install.clone()),
        (crate::ids::GRANT_LABEL, mark.grant.clone()),
        ("curfew.dev/deadline", mark.deadline.floor_secs().to_string()),
    ]
}

/// The ARN of a policy that Curfew creates.
pub fn policy_arn(partition: &str, account: &str, name: &str) -> String {
    format!("arn:{partition}:iam::{account}:policy{PATH}{name}")
}

/// The ARN of a role that Curfew creates.
pub fn role_arn(partition: &str, account: &str, name: &str) -> String {
    format!("arn:{partition}:iam::{account}:role{PATH}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(deadline: Time) -> PlanNames<'static> {
        PlanNames { install: "0123abcd", grant: "00000000000000a1", deadline }
    }

    fn deadline() -> Time {
        Time::parse("2026-11-23T08:15:00Z").unwrap()
    }

    #[test]
    fn a_name_is_read_only_in_its_exact_form() {
        let (base, third) = (name(names(deadline()), 0), name(names(deadline()), 3));
        assert_eq!(base, "curfew-0123abcd-00000000000000a1-20261123T081500Z");
        assert_eq!(third, format!("{base}-3"));
        let mark = Mark { install: "0123abcd".into(), grant: "00000000000000a1".into(), deadline: deadline() };
        assert_eq!((parse(&base), parse(&third)), (Some((mark.clone(), 0)), Some((mark, 3))));
        for bad in [
            format!("{base}-0"),
            format!("{base}-03"),
            format!("{base}-x"),
            format!("{base}-3-4"),
            base.replace("curfew", "Curfew"),
            base.replace("20261123", "20261323"),
            "curfew-a-b".into(),
            "curfew---20261123T081500Z".into(),
            String::new(),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
        // IAM: 64 characters for a role, 128 for a policy; a grant has at most 20 policies.
        assert!(base.len() <= 64 && name(names(deadline()), 19).len() <= 128);
    }

    /// A generator with a seed, so that a failure can be repeated.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 11
    }

    #[test]
    fn the_name_of_a_permission_set_has_at_most_32_characters_and_is_read_back() {
        let mut seed = 11;
        for round in 0..5_000 {
            let install = format!("{:08x}", random(&mut seed) as u32);
            let grant = format!("{:016x}", random(&mut seed) << 13 ^ random(&mut seed));
            let secs = match round {
                0 => 0,
                1 => (1 << 40) - 1,
                _ => (random(&mut seed) % (1 << 40)) as i64,
            };
            let deadline = Time::from_secs(secs);
            let name = permission_set_name(PlanNames { install: &install, grant: &grant, deadline }).unwrap();
            assert!(name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b)), "{name}");
            assert_eq!(parse_permission_set(&name), Some(Mark { install, grant, deadline }), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_permission_set_is_read_only_in_its_exact_form() {
        let good = permission_set_name(names(deadline())).unwrap();
        assert_eq!(good, "curfew-ASOrzQAAAAAAAAChAGsD9gQ");
        let mut end = good.clone();
        // The last character holds two bits that are always zero.
        end.replace_range(good.len() - 1.., "x");
        for bad in [end, good[1..].to_owned(), format!("{good}A"), good[..good.len() - 1].to_owned(), good.replace('A', "."), String::new()]
        {
            assert_eq!(parse_permission_set(&bad), None, "{bad}");
        }
        let other = |install, grant, deadline| permission_set_name(PlanNames { install, grant, deadline });
        assert_eq!(other("install1", "00000000000000a1", deadline()), None, "not hexadecimal");
        assert_eq!(other("0123ABCD", "00000000000000a1", deadline()), None, "upper case would be read back in lower case");
        assert_eq!(other("0123abcd", "a1", deadline()), None);
        assert_eq!(other("0123abcd", "00000000000000a1", Time::from_secs(-1)), None);
        assert_eq!(other("0123abcd", "00000000000000a1", Time::from_secs(1 << 40)), None);
    }
}
