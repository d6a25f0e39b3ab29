//! When a request may start.
use super::{Refusal, refuse};
use crate::{
    duration::Duration,
    extension::Extension,
    policy_inputs::{Progress, RequestFacts},
    reason::Reason,
    time::Time,
};

/// How long before its start a request may be made, in days. The groups of the requester are recorded when the request is made and cannot
/// be read again: a person who leaves a group afterwards stays eligible by the record.
pub(super) const MAX_DAYS_AHEAD: i64 = 30;

/// How old a login with MFA may be when the access starts, in hours: it is as old as the request, which recorded it.
const MAX_LOGIN_AGE_HOURS: i64 = 24;

/// When the access ends that is granted as soon as possible: the duration runs from the start, also if it is granted later, and from the end
/// of what it extends.
pub(super) fn end(a: &RequestFacts, now: Time, duration: &Duration) -> Time {
    let extends = || a.extends.as_ref().and_then(Extension::until);
    a.start.or_else(extends).unwrap_or(now).plus_secs(duration.secs())
}

/// A start too far ahead is refused. What is granted already has started.
pub(super) fn check_start(a: &RequestFacts) -> Result<(), Refusal> {
    let latest = a.created.plus_secs(MAX_DAYS_AHEAD * 86_400);
    match (a.start, a.progress) {
        (Some(start), Progress::New | Progress::Accepted) if start > latest => refuse(
            Reason::OutsideWindow,
            format!("startTime {start} is more than {MAX_DAYS_AHEAD} days after the request was made; create it later"),
        ),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Where the role needs MFA, the login that is recorded in the request must be young enough when the access starts. It is a rule about
/// the beginning: a role that begins to need MFA ends what waits, and nothing that is granted.
pub(super) fn check_login_age(
    mfa_required: bool,
    role: &str,
    (created, start): (Time, Option<Time>),
    progress: Progress,
) -> Result<(), Refusal> {
    let latest = created.plus_secs(MAX_LOGIN_AGE_HOURS * 3600);
    match (start, progress) {
        (Some(start), Progress::New | Progress::Accepted) if mfa_required && start > latest => refuse(
            Reason::OutsideWindow,
            format!("role {role} needs a login with MFA at most {MAX_LOGIN_AGE_HOURS}h before startTime {start}; create the request later"),
        ),
        (Some(_) | None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000_000);
    const DAY: i64 = 86_400;

    #[test]
    fn a_login_with_mfa_is_at_most_a_day_old_at_the_start() {
        for (mfa, start, fits) in [(false, Some(9 * DAY), true), (true, None, true), (true, Some(DAY), true), (true, Some(DAY + 1), false)]
        {
            let check = |progress| check_login_age(mfa, "admin", (NOW, start.map(|secs| NOW.plus_secs(secs))), progress);
            assert_eq!((check(Progress::New).is_ok(), check(Progress::Accepted).is_ok()), (fits, fits), "{mfa} {start:?}");
            assert!(check(Progress::Granted(NOW)).is_ok(), "what is granted goes on");
        }
        let told = check_login_age(true, "admin", (NOW, Some(NOW.plus_secs(2 * DAY))), Progress::New).unwrap_err().message;
        assert!(told.contains("at most 24h before startTime 1970-01-14T13:46:40Z; create"), "{told}");
    }
}
