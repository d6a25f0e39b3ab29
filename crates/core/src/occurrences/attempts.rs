//! How often an activation of standing access is requested. Pure.
//!
//! The name of an activation is used once, so that what a person has ended is not repeated. What has ended without a person, and without
//! having given access, is requested again under another name, after a pause that grows: a gap of admission, a target that is away or a
//! right that is missing for a moment must not take the access for the rest of a day. What the rules refuse then is not requested at all.
use crate::{
    reason::{Reason, TerminalState},
    time::Time,
};

/// How often one activation is requested at most. With their pauses these attempts take about 14 hours.
pub const MAX_ATTEMPTS: u32 = 10;
/// The pause before the second attempt, in seconds.
const FIRST_PAUSE_SECS: i64 = 5;
/// Each pause is so many times as long as the one before.
const GROWTH: i64 = 3;

/// The end of the request for an activation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// Its outcome.
    pub outcome: TerminalState,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Time,
}

/// When an activation is requested again whose request has ended; `attempts` have been made, at least one. `None` if it is not. The order
/// of the rules:
///
/// 1. what has given access is not repeated, also where no person has ended it: a change at the target stands, and a role that has grown must
///    not be granted by nobody's decision; 2. nor what a person has ended; 3. nor after [`MAX_ATTEMPTS`]; 4. otherwise after a pause.
pub fn repeated_at(ended: &Ended, attempts: u32) -> Option<Time> {
    let again = !has_given_access(ended.outcome) && !is_by_a_person(ended.reason) && attempts < MAX_ATTEMPTS;
    again.then(|| ended.at.plus_secs(FIRST_PAUSE_SECS * GROWTH.pow(attempts.saturating_sub(1).min(MAX_ATTEMPTS))))
}

/// Whether a request with this outcome was active, or its time has passed.
const fn has_given_access(outcome: TerminalState) -> bool {
    match outcome {
        TerminalState::Expired | TerminalState::Revoked => true,
        TerminalState::Denied | TerminalState::Cancelled | TerminalState::TimedOut | TerminalState::Invalid | TerminalState::Failed => {
            false
        }
    }
}

/// Whether a person has ended a request that ended for this reason. A name that was used before is one whose request a person has deleted.
const fn is_by_a_person(reason: Reason) -> bool {
    use Reason::*;
    match reason {
        DeniedByApprover | RevokedByApprover | RevokedByHolder | Withdrawn | RequestDeleted | Abandoned | AlreadyConsumed => true,
        NotEligible
        | OutsideWindow
        | OverMaximum
        | LimitReached
        | ReviewOutstanding
        | NotExtendable
        | ParentEnded
        | Suspended
        | ReadOnly
        | JustificationRequired
        | TicketRequired
        | MfaRequired
        | AuthenticationContextRequired
        | NoSuchRole
        | AlreadyExists
        | AmbiguousSystem
        | NotReady
        | WiderScope
        | WiderPermissions
        | NothingToExtend
        | TemplateChanged
        | AdmissionNotEnforced
        | NotProvenYet
        | NotApproved
        | Unsupported
        | TargetUnreachable
        | TargetRefused
        | Drifted
        | DeadlinePassed
        | WindowPassed
        | ApprovalTimedOut
        | NotBindable
        | BelowFloor
        | OutsidePolicy
        | NobodyCanApprove
        | DuplicateTarget
        | SelfDecision
        | NotEntitled
        | DigestMismatch
        | UnprovenLogin
        | NotFound
        | AlreadyCounted
        | NothingToApprove
        | NothingToReview
        | AlreadyReviewed
        | RequestExists
        | CommentRequired
        | NotEscalatedYet
        | Waiting
        | AlreadyEnded
        | EmergencyAccount
        | LastHolder
        | AsExpected => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(outcome: TerminalState, reason: Reason, attempts: u32) -> Option<i64> {
        let at = Time::from_secs(1_000_000);
        repeated_at(&Ended { outcome, reason, at }, attempts).map(|time| time.millis_since(at) / 1000)
    }

    #[test]
    fn what_nobody_has_ended_is_repeated_a_few_times_with_pauses_that_grow() {
        for (outcome, reason) in [
            (TerminalState::Invalid, Reason::AdmissionNotEnforced),
            (TerminalState::Invalid, Reason::NotReady),
            (TerminalState::Invalid, Reason::NotBindable),
            (TerminalState::Invalid, Reason::TemplateChanged),
            (TerminalState::Failed, Reason::TargetRefused),
            (TerminalState::Failed, Reason::Drifted),
            (TerminalState::Failed, Reason::DeadlinePassed),
        ] {
            let pauses: Vec<i64> = (1..=MAX_ATTEMPTS + 1).filter_map(|attempts| again(outcome, reason, attempts)).collect();
            assert_eq!(pauses, [5, 15, 45, 135, 405, 1_215, 3_645, 10_935, 32_805], "{outcome:?} {reason}");
        }
    }

    #[test]
    fn what_a_person_has_ended_or_what_has_given_access_is_not_repeated() {
        for (outcome, reason) in [
            (TerminalState::Denied, Reason::DeniedByApprover),
            (TerminalState::Denied, Reason::RevokedByApprover),
            (TerminalState::Cancelled, Reason::RevokedByHolder),
            (TerminalState::Cancelled, Reason::Withdrawn),
            (TerminalState::Invalid, Reason::AlreadyConsumed),
            (TerminalState::Failed, Reason::Abandoned),
            (TerminalState::Revoked, Reason::RevokedByApprover),
            (TerminalState::Revoked, Reason::Drifted),
            (TerminalState::Revoked, Reason::TemplateChanged),
            (TerminalState::Revoked, Reason::AdmissionNotEnforced),
            (TerminalState::Expired, Reason::DeadlinePassed),
        ] {
            assert_eq!(again(outcome, reason, 1), None, "{outcome:?} {reason}");
        }
    }
}
