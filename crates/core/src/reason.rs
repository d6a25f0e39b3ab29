//! Reasons in status, in CamelCase, and the outcome that each of them gives a request.
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The reason for a state or condition. In this order: refusals, requests that cannot be resolved or trusted, ends of a
        /// request, templates that are not ready, decisions.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }
        impl Reason {
            /// All reasons, in the order of declaration.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),+];
            /// The text in status.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name)),+ }
            }
            /// What it means, for the reference in docs/.
            pub const fn description(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc),+)),+ }
            }
        }
    };
}
reasons! {
    /// No assignment makes the beneficiary eligible.
    NotEligible,
    /// The account is an emergency account, which Curfew never touches, and whose approvals do not count.
    EmergencyAccount,
    /// The assignment is the last one that makes anybody eligible for its role, which protects it.
    LastHolder,
    /// The access would begin before or end after the assignment's window.
    OutsideWindow,
    /// The duration exceeds the limit of the template, the policy or CurfewConfig; that of an approval exceeds what was asked for.
    OverMaximum,
    /// The maximum number of active requests is reached.
    LimitReached,
    /// An earlier break-glass access of this person is not reviewed, so another one is refused.
    ReviewOutstanding,
    /// The role does not allow a request to extend another one.
    NotExtendable,
    /// The request that this one extended has ended before its deadline.
    ParentEnded,
    /// The template, assignment, policy or system is suspended.
    Suspended,
    /// The mode of the system is `ReadOnly`.
    ReadOnly,
    /// The role requires a justification and the request has none.
    JustificationRequired,
    /// The role or policy requires a ticket, and the request names none that is accepted.
    TicketRequired,
    /// The login has no MFA, or it is older than the role or the approval stage allows.
    MfaRequired,
    /// The login does not carry the authentication context that the role requires.
    AuthenticationContextRequired,
    /// The RoleTemplate does not exist.
    NoSuchRole,
    /// The role spans several systems and the request names none of them.
    AmbiguousSystem,
    /// The template is not ready; the reason of its own condition says why.
    NotReady,
    /// The request asks for a wider scope than the role has.
    WiderScope,
    /// The request asks for permissions that the role does not give.
    WiderPermissions,
    /// The request that this one extends is not active, or is not one of the same access.
    NothingToExtend,
    /// What would be granted differs from what was approved.
    TemplateChanged,
    /// Created while the admission policies were not proven to be in force.
    AdmissionNotEnforced,
    /// Created since the last admission proof; the next one follows within seconds. Temporary: it does not end a request.
    NotProvenYet,
    /// No counted approval supports it.
    NotApproved,
    /// It needs a feature that this build does not implement.
    Unsupported,
    /// The target cannot be read, so what would be granted is unknown. Temporary: nothing is granted and no request ends because of it.
    TargetUnreachable,
    /// The target says that the grant can never work.
    TargetRefused,
    /// A request with this name was used before.
    AlreadyConsumed,
    /// There is an assignment of the name that is asked for.
    AlreadyExists,
    /// An approver or manager denied the request.
    DeniedByApprover,
    /// The requester or beneficiary withdrew the request before it was active.
    Withdrawn,
    /// An approver or manager ended the access.
    RevokedByApprover,
    /// The requester or beneficiary ended the access.
    RevokedByHolder,
    /// The request was deleted. Used in audit records and the Grant, because the request has no status any more.
    RequestDeleted,
    /// The access was changed or removed at the target.
    Drifted,
    /// The deadline has passed.
    DeadlinePassed,
    /// The window of a request with a start has passed before it was activated, or what it extends has ended before.
    WindowPassed,
    /// The approvals were not complete in time.
    ApprovalTimedOut,
    /// The operator lacks the verb `bind` on one of the roles.
    NotBindable,
    /// The template does not meet the policy's minimum requirements.
    BelowFloor,
    /// No policy that covers the namespace allows it.
    OutsidePolicy,
    /// The listed approvers cannot reach the quorum.
    NobodyCanApprove,
    /// An older AuthorizationSystem has the same target.
    DuplicateTarget,
    /// The decider is the requester or the beneficiary.
    SelfDecision,
    /// The decider is neither an approver nor a manager.
    NotEntitled,
    /// The digest in the decision differs from the digest of what would be granted.
    DigestMismatch,
    /// The login lacks the extra keys that CurfewConfig requires.
    UnprovenLogin,
    /// The decision refers to an object that does not exist.
    NotFound,
    /// An approval of this person counts already, or no further approval is needed.
    AlreadyCounted,
    /// The request is for break-glass, for which no approval is asked.
    NothingToApprove,
    /// Nothing is there to review: the request is not for break-glass, or has given no access by the time of the decision.
    NothingToReview,
    /// The break-glass access is reviewed.
    AlreadyReviewed,
    /// The review names a Grant whose request exists, and must name that request.
    RequestExists,
    /// One of the stages that list the approver asks for a comment, and the approval has none; or it is a review without one.
    CommentRequired,
    /// The approver is listed for the escalation of a stage, which has not come yet.
    NotEscalatedYet,
    /// An earlier stage is pending.
    Waiting,
    /// The request or Grant has ended.
    AlreadyEnded,
    /// The target no longer exists, and a person has released the Grant without proof of removal.
    Abandoned,
    /// The object is in the expected state.
    AsExpected,
}

/// The final state of a request, once nothing of the access remains at the target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum TerminalState {
    /// Was active until its deadline, or its window has passed before it was activated.
    Expired,
    /// Was active and ended before its deadline.
    Revoked,
    /// Was resolved but not allowed.
    Denied,
    /// Was withdrawn before it was active.
    Cancelled,
    /// Was not approved in time.
    TimedOut,
    /// Could not be resolved or trusted.
    Invalid,
    /// Was not active by its deadline.
    Failed,
}

impl TerminalState {
    /// All of them.
    pub const ALL: [TerminalState; 7] = [
        TerminalState::Expired,
        TerminalState::Revoked,
        TerminalState::Denied,
        TerminalState::Cancelled,
        TerminalState::TimedOut,
        TerminalState::Invalid,
        TerminalState::Failed,
    ];
}

impl Reason {
    /// The outcome of a request that ends for this reason. `was_active`: whether the access was ever observed at the target.
    pub const fn terminal_state(self, was_active: bool) -> TerminalState {
        use Reason::*;
        match (self, was_active) {
            (DeadlinePassed, true) | (WindowPassed, _) => TerminalState::Expired,
            (DeadlinePassed, false) => TerminalState::Failed,
            (ApprovalTimedOut, _) => TerminalState::TimedOut,
            (_, true) => TerminalState::Revoked,
            (RevokedByHolder | RequestDeleted | Withdrawn, false) => TerminalState::Cancelled,
            (Drifted | AsExpected | Abandoned | TargetRefused, false) => TerminalState::Failed,
            (
                NotEligible
                | EmergencyAccount
                | LastHolder
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
                | DeniedByApprover
                | RevokedByApprover
                | SelfDecision
                | NotEntitled,
                false,
            ) => TerminalState::Denied,
            (
                NoSuchRole | AmbiguousSystem | NotReady | WiderScope | WiderPermissions | NothingToExtend | TemplateChanged
                | AdmissionNotEnforced | NotProvenYet | NotApproved | Unsupported | TargetUnreachable | AlreadyConsumed | AlreadyExists
                | NotBindable | BelowFloor | OutsidePolicy | NobodyCanApprove | DuplicateTarget | DigestMismatch | NotFound
                | AlreadyCounted | CommentRequired | NotEscalatedYet | Waiting | AlreadyEnded | UnprovenLogin | NothingToApprove
                | NothingToReview | AlreadyReviewed | RequestExists,
                false,
            ) => TerminalState::Invalid,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl std::str::FromStr for Reason {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Reason::ALL.iter().copied().find(|r| r.as_str() == s).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_depends_on_reason_and_earlier_activation() {
        assert_eq!(Reason::Suspended.terminal_state(false), TerminalState::Denied);
        assert_eq!(Reason::Suspended.terminal_state(true), TerminalState::Revoked);
        assert_eq!(Reason::TemplateChanged.terminal_state(false), TerminalState::Invalid);
        assert_eq!(Reason::RevokedByHolder.terminal_state(false), TerminalState::Cancelled);
        assert_eq!(Reason::DeadlinePassed.terminal_state(false), TerminalState::Failed);
        assert_eq!("Drifted".parse(), Ok(Reason::Drifted));
    }
}
