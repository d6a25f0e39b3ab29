//! Multi-factor authentication, as the extra keys of a login prove it: one of the accepted methods, and an authentication that is neither
//! older than the rule allows nor in the future.
//!
//! The evidence belongs to the login with which a request or decision was created, and is judged at the time of that creation. Time that
//! passes while a request waits makes it no older, and an active grant does not depend on it.
use super::claims::{NotAList, members};
pub use crate::principal::MfaKeys as Keys;
use crate::{duration::Duration, principal::UserInfo, text::brief, time::Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far an authentication may lie in the future: the clocks of identity provider and API server differ by no more.
pub const SKEW_SECS: i64 = 10;

/// MFA that a stage asks of its approvers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Requirement {
    /// How old the authentication may be when the decision is created, such as `15m`.
    #[serde(rename = "maxAge")]
    pub max_age: Duration,
}

/// What a login lacks of MFA.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lack {
    /// CurfewConfig does not say which keys prove MFA.
    NotConfigured,
    /// Keys were not configured when the login was recorded: what it has under them is unknown.
    NotRecorded(Vec<String>),
    /// A service account has no login of a person.
    NotAPerson(String),
    /// No value under the key of the methods.
    NoMethods(Keys),
    /// A value under the key of the methods that is not a list.
    UnreadableMethods(Keys, String),
    /// Other methods.
    OtherMethods(Keys, Vec<String>),
    /// No value under the key of the time.
    NoTime(Keys),
    /// Several values under the key of the time: which of them is meant is unknown.
    SeveralTimes(Keys, usize),
    /// A value under the key of the time that is not a number of seconds.
    UnreadableTime(Keys, String),
    /// Authenticated at this time, which was so many seconds before.
    TooOld(Time, i64),
    /// Authenticated at this time, which was so many seconds later.
    InFuture(Time, i64),
}

/// When the login was authenticated with an accepted method. The order of the rules: 1. not configured; 2. a service account; 3. not
/// recorded; 4. methods that are unreadable, absent or not accepted; 5. a time that is absent, several times, or unreadable.
///
/// # Errors
/// What is missing.
pub fn authenticated_at(keys: Option<&Keys>, login: &UserInfo) -> Result<Time, Lack> {
    let keys = keys.ok_or(Lack::NotConfigured)?;
    if login.is_system_identity() {
        return Err(Lack::NotAPerson(login.username.clone()));
    }
    let unrecorded: Vec<String> =
        [&keys.methods_key, &keys.time_key].into_iter().filter(|key| !login.extra.contains_key(*key)).cloned().collect();
    if !unrecorded.is_empty() {
        return Err(Lack::NotRecorded(unrecorded));
    }
    let methods = members(login, &keys.methods_key).map_err(|NotAList(value)| Lack::UnreadableMethods(keys.clone(), value))?;
    if methods.is_empty() {
        return Err(Lack::NoMethods(keys.clone()));
    }
    if !methods.iter().any(|method| keys.methods.contains(method)) {
        return Err(Lack::OtherMethods(keys.clone(), methods));
    }
    let times: Vec<&str> = login.extra_values(&keys.time_key).collect();
    match times.as_slice() {
        [] => Err(Lack::NoTime(keys.clone())),
        [one] => unix_seconds(one.trim()).map(Time::from_secs).ok_or_else(|| Lack::UnreadableTime(keys.clone(), (*one).to_owned())),
        several => Err(Lack::SeveralTimes(keys.clone(), several.len())),
    }
}

/// How old the MFA of a login is at this time, in milliseconds; negative by at most [`SKEW_SECS`]. A request that starts later than it was
/// created asks for the age at its start.
///
/// # Errors
/// What is missing, or that it lies in the future.
pub fn age_at(keys: Option<&Keys>, login: &UserInfo, at: Time) -> Result<i64, Lack> {
    age_of(authenticated_at(keys, login)?, at)
}

/// Whether a login has MFA that is not older than this at the time when the request or decision was created. Both bounds are inclusive.
///
/// # Errors
/// What is missing.
pub fn check(keys: Option<&Keys>, login: &UserInfo, max_age: &Duration, created: Time) -> Result<(), Lack> {
    let since = authenticated_at(keys, login)?;
    let age = age_of(since, created)?;
    if age > max_age.secs() * 1000 { Err(Lack::TooOld(since, whole_secs(age))) } else { Ok(()) }
}

fn age_of(since: Time, at: Time) -> Result<i64, Lack> {
    let age = at.millis_since(since);
    if age < -SKEW_SECS * 1000 { Err(Lack::InFuture(since, whole_secs(age.saturating_neg()))) } else { Ok(age) }
}

/// Rounded up, so that what exceeds a limit is not shown as equal to it.
fn whole_secs(millis: i64) -> i64 {
    millis.saturating_add(999) / 1000
}

/// The most digits of a time in seconds. A time in milliseconds has more since 2001.
const MAX_DIGITS: usize = 11;

/// Seconds since 1970: a whole number, or one as CEL's `string()` writes the number of a JSON token (`1.79538534e+09`). Fractions are
/// rounded down, which makes a login older.
fn unix_seconds(text: &str) -> Option<i64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (number, exponent) = match text.split_once("e+") {
        Some((number, exponent)) => (number, exponent.parse::<usize>().ok().filter(|_| digits(exponent))?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    if !digits(whole) || fraction.is_some_and(|fraction| !digits(fraction)) || whole.len() + exponent > MAX_DIGITS {
        return None;
    }
    // The point moves by the exponent; digits behind it are dropped, and missing ones are zeros.
    let moved = fraction.unwrap_or_default().bytes().chain(std::iter::repeat(b'0')).take(exponent);
    format!("{whole}{}", moved.map(char::from).collect::<String>()).parse().ok()
}

/// An age for people: the shortest notation of a duration.
fn words(secs: i64) -> String {
    if secs <= 0 { "0s".into() } else { Duration::from_secs(u32::try_from(secs).unwrap_or(u32::MAX)).to_string() }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, mapping) = ("log in again with MFA, and create it again", "the platform team must correct the claim mapping");
        match self {
            Lack::NotConfigured => f.write_str("CurfewConfig has no spec.identity.mfa any more; the platform team must set it"),
            Lack::NotRecorded(keys) => f.write_str(&crate::messages::recorded_without(keys)),
            Lack::NotAPerson(name) => write!(f, "{} is not a person and has no MFA; a person must create the request", brief(name)),
            Lack::NoMethods(keys) => {
                write!(f, "the login has no value under extra key {}, which names its methods; {step}", keys.methods_key)
            }
            Lack::UnreadableMethods(keys, value) => {
                write!(f, "extra key {} of the login has {}, which is not a list of methods; {mapping}", keys.methods_key, brief(value))
            }
            Lack::OtherMethods(keys, found) => {
                let (found, accepted) = (brief(&found.join(", ")), keys.methods.join(", "));
                write!(f, "the login has {found} under extra key {}, and none of {accepted}; {step}", keys.methods_key)
            }
            Lack::NoTime(keys) => write!(f, "the login has no value under extra key {}, which tells its time; {step}", keys.time_key),
            Lack::SeveralTimes(keys, count) => {
                write!(f, "the login has {count} values under extra key {}, and which of them counts is unknown; {mapping}", keys.time_key)
            }
            Lack::UnreadableTime(keys, value) => {
                write!(
                    f,
                    "extra key {} of the login has {}, which is not a time in seconds since 1970; {mapping}",
                    keys.time_key,
                    brief(value)
                )
            }
            Lack::TooOld(since, age) => write!(f, "the login of {since} was {} old when this was created; {step}", words(*age)),
            Lack::InFuture(since, ahead) => {
                write!(f, "the login of {since} was {} in the future when this was created; {step}", words(*ahead))
            }
        }
    }
}

#[cfg(test)]
mod tests;
