//! Why something is as it is: one CamelCase word each, and whether it makes a request `Denied` or `Invalid`.
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The reasons of `api.md`, in its order: refusals, what cannot be resolved or trusted, how a request ends,
        /// what keeps a template from being ready, what became of a decision.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name,)+ }
        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),+];
            /// The word as it stands in status.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name)),+ }
            }
        }
    };
}
reasons! {
    /// No assignment makes this person eligible.
    NotEligible,
    /// The access would not fit into the assignment's window.
    OutsideWindow,
    /// More than the template, the policy or the ceiling allows.
    OverMaximum,
    /// Too many are active already.
    LimitReached,
    /// Template, assignment, policy or system is suspended.
    Suspended,
    /// The system only discovers and scores.
    ReadOnly,
    /// The role asks for a justification and none was given.
    JustificationRequired,
    /// The role named does not exist.
    NoSuchRole,
    /// The role spans several systems and the request names none of them.
    AmbiguousSystem,
    /// The template is not ready; its own reason says why.
    NotReady,
    /// More was asked than the role reaches.
    WiderScope,
    /// What was approved is no longer what would be granted.
    TemplateChanged,
    /// Made while the admission policies were not proven to be in force.
    AdmissionNotEnforced,
    /// Made a moment ago: whether the admission policies were in force is proven within seconds. It ends nothing.
    NotProvenYet,
    /// No approval that counts stands behind it.
    NotApproved,
    /// It needs a rule that this build does not have.
    Unsupported,
    /// The target cannot be asked now, so nobody can tell what would be granted. It ends nothing and begins nothing.
    TargetUnreachable,
    /// The target says that the grant can never work.
    TargetRefused,
    /// A request of this name was used before.
    AlreadyConsumed,
    /// An approver or manager said no.
    DeniedByApprover,
    /// The requester or beneficiary took it back before it was active.
    Withdrawn,
    /// An approver or manager ended it.
    RevokedByApprover,
    /// The requester or beneficiary ended it.
    RevokedByHolder,
    /// The request was deleted. It has no status that could say so: evidence does.
    RequestDeleted,
    /// What was granted was changed or removed at the target.
    Drifted,
    /// Its time is over.
    DeadlinePassed,
    /// The approvers did not answer in time.
    ApprovalTimedOut,
    /// The operator may not bind one of the roles.
    NotBindable,
    /// Weaker than the policy's floor.
    BelowFloor,
    /// Outside of every policy that covers this namespace.
    OutsidePolicy,
    /// The approvers can never fill the quorum.
    NobodyCanApprove,
    /// An older AuthorizationSystem stands for the same target.
    DuplicateTarget,
    /// Requester and beneficiary do not decide in their own matter.
    SelfDecision,
    /// Neither approver nor manager.
    NotEntitled,
    /// The approval names another digest than what would be granted.
    DigestMismatch,
    /// The login carries none of the proof that the configuration asks of deciders.
    UnprovenLogin,
    /// About nothing that exists.
    NotFound,
    /// This person's approval counts already, or is not needed any more.
    AlreadyCounted,
    /// Its turn has not come.
    Waiting,
    /// What it is about has ended.
    AlreadyEnded,
    /// Its target is gone for good, and a person has released it without proof.
    Abandoned,
    /// All is well.
    AsExpected,
}

/// How a request ends, once nothing is left at the target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum TerminalState {
    /// Active until its deadline.
    Expired,
    /// Ended early, from `Active` on.
    Revoked,
    /// Resolved but not allowed.
    Denied,
    /// Taken back before it was active.
    Cancelled,
    /// Not approved in time.
    TimedOut,
    /// Not to be resolved or not to be trusted.
    Invalid,
    /// Never active by its deadline.
    Failed,
}

impl Reason {
    /// How a request ends for this reason, given whether it was ever active.
    pub const fn terminal_state(self, was_active: bool) -> TerminalState {
        use Reason::*;
        match (self, was_active) {
            (DeadlinePassed, true) => TerminalState::Expired,
            (DeadlinePassed, false) => TerminalState::Failed,
            (ApprovalTimedOut, _) => TerminalState::TimedOut,
            (_, true) => TerminalState::Revoked,
            (RevokedByHolder | RequestDeleted | Withdrawn, false) => TerminalState::Cancelled,
            (Drifted | AsExpected | Abandoned | TargetRefused, false) => TerminalState::Failed,
            (
                NotEligible
                | OutsideWindow
                | OverMaximum
                | LimitReached
                | Suspended
                | ReadOnly
                | JustificationRequired
                | DeniedByApprover
                | RevokedByApprover
                | SelfDecision
                | NotEntitled,
                false,
            ) => TerminalState::Denied,
            (
                NoSuchRole | AmbiguousSystem | NotReady | WiderScope | TemplateChanged | AdmissionNotEnforced | NotProvenYet | NotApproved
                | Unsupported | TargetUnreachable | AlreadyConsumed | NotBindable | BelowFloor | OutsidePolicy | NobodyCanApprove
                | DuplicateTarget | DigestMismatch | NotFound | AlreadyCounted | Waiting | AlreadyEnded | UnprovenLogin,
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
    fn a_reason_decides_how_it_ends() {
        assert_eq!(Reason::Suspended.terminal_state(false), TerminalState::Denied);
        assert_eq!(Reason::Suspended.terminal_state(true), TerminalState::Revoked);
        assert_eq!(Reason::TemplateChanged.terminal_state(false), TerminalState::Invalid);
        assert_eq!(Reason::RevokedByHolder.terminal_state(false), TerminalState::Cancelled);
        assert_eq!(Reason::DeadlinePassed.terminal_state(false), TerminalState::Failed);
        assert_eq!("Drifted".parse(), Ok(Reason::Drifted));
    }
}
