//! When a request may start.
use super::{Refusal, refuse};
use crate::{
    duration::Duration,
    policy_inputs::{Progress, RequestFacts},
    reason::Reason,
    time::Time,
};

/// How long before its start a request may be made, in days. The groups of the requester are recorded when the request is made and cannot
/// be read again: a person who leaves a group afterwards stays eligible by the record.
pub(super) const MAX_DAYS_AHEAD: i64 = 30;

/// How old a login with MFA may be when the access starts, in hours: it is as old as the request, which recorded it.
const MAX_LOGIN_AGE_HOURS: i64 = 24;

/// When the access ends that is granted as soon as possible: the duration runs from the start, also if it is granted later.
pub(super) fn end(a: &RequestFacts, now: Time, duration: &Duration) -> Time {
    a.start.unwrap_or(now).plus_secs(duration.secs())
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
pub(super) fn check_login_age(mfa_required: bool, a: &RequestFacts, role: &str) -> Result<(), Refusal> {
    let latest = a.created.plus_secs(MAX_LOGIN_AGE_HOURS * 3600);
    match (a.start, a.progress) {
        (Some(start), Progress::New | Progress::Accepted) if mfa_required && start > latest => refuse(
            Reason::OutsideWindow,
            format!(
                "role {role} needs a login with MFA that is at most {MAX_LOGIN_AGE_HOURS}h old at startTime {start}, and yours is recorded \
                 in the request of {}; create the request within {MAX_LOGIN_AGE_HOURS}h of its start",
                a.created
            ),
        ),
        (Some(_) | None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::UserInfo;

    const NOW: Time = Time::from_secs(1_000_000);
    const DAY: i64 = 86_400;

    fn asked(start: Option<i64>, progress: Progress) -> RequestFacts {
        RequestFacts {
            namespace: "payments".into(),
            uid: "r1".into(),
            created: NOW,
            requester: UserInfo::default(),
            role: "admin".into(),
            duration: None,
            start: start.map(|secs| NOW.plus_secs(secs)),
            justification: None,
            ticket: None,
            scope: None,
            permissions: None,
            is_name_used: false,
            beneficiary: None,
            not_after: None,
            system: None,
            unsupported: Vec::new(),
            progress,
            accepted_by: None,
            approved: None,
        }
    }

    #[test]
    fn a_start_is_at_most_thirty_days_ahead() {
        for (start, fits) in [(None, true), (Some(-DAY), true), (Some(30 * DAY), true), (Some(30 * DAY + 1), false)] {
            for progress in [Progress::New, Progress::Accepted] {
                assert_eq!(check_start(&asked(start, progress)).is_ok(), fits, "{start:?}");
            }
            assert!(check_start(&asked(start, Progress::Granted(NOW))).is_ok(), "what is granted goes on");
        }
    }

    #[test]
    fn a_login_with_mfa_is_at_most_a_day_old_at_the_start() {
        for (mfa, start, fits) in [(false, Some(9 * DAY), true), (true, None, true), (true, Some(DAY), true), (true, Some(DAY + 1), false)]
        {
            let check = |progress| check_login_age(mfa, &asked(start, progress), "admin");
            assert_eq!((check(Progress::New).is_ok(), check(Progress::Accepted).is_ok()), (fits, fits), "{mfa} {start:?}");
            assert!(check(Progress::Granted(NOW)).is_ok());
        }
        let told = check_login_age(true, &asked(Some(2 * DAY), Progress::New), "admin").unwrap_err().message;
        assert!(told.contains("at most 24h old at startTime 1970-01-14T13:46:40Z") && told.contains("within 24h of its start"), "{told}");
    }
}
