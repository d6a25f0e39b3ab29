//! Protections taken away, one at a time. Each of them must be found.
//!
//! A mutant stands between the real `Reconcile` and the world and alters what passes, or makes the world worse. The library has
//! no switch for any of it.
use curfew_core::{
    grant::{Grant, Observation, Operation, OperationKind, OwnerState, SlotOwners, State},
    reconcile::{Effect, Outcome},
    requeue::Requeue,
    target::Guarantees,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// The rules as they are.
    None,
    /// The answer to a removal is taken for the end: the settle time is zero.
    AnswerIsProof,
    /// After the settle time nothing is read: absence is taken for granted.
    NoSecondLook,
    /// What shows up again after a removal is not removed again.
    ShownAgainStays,
    /// The settle time does not include the difference between two clocks.
    SettleIgnoresClocks,
    /// Absence is believed as soon as the Grant is active.
    DriftBelievedAtOnce,
    /// The Grant is not read again between the reservation and the arm.
    NoRecheck,
    /// The target arms what a revoker has deleted.
    ArmCreates,
    /// The arm does not check which object has the name.
    ArmNamesNoUid,
    /// Runs start from stale caches, as a third process could. At IAM the check of the id and the arm are two calls, so a policy that is
    /// deleted and created again between them is attached. What bounds this is the date in the policy (ADR 7).
    ThirdProcess,
    /// The target deletes what is being assigned, and finishes the assignment afterwards. That it is asked for what it is assigning
    /// before the deletion is not enough: it may accept an arm in between.
    DeletionNotRefused,
    /// An arm that the target has accepted is taken for the access.
    AcceptedIsDone,
    /// An operation that has failed, or that the target does not know any more, is taken for absence.
    FailureIsAbsence,
    /// The success of an asynchronous removal is taken for the end.
    RemovalIsProof,
    /// A Grant that has stored neither `Active` nor an operation ends at once: its arm is taken for one that was never sent.
    NotStoredIsNotWritten,
    /// A replica that takes over forgets the stored operation.
    OperationForgotten,
    /// Writing goes on without lease or admission proof.
    PermitIgnored,
}

/// What a mutant remembers of a run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Memory {
    /// The Grant from which it started.
    pub grant: Grant,
    /// The target has said that an operation has failed.
    pub failed: bool,
}

/// What a mutant makes of an effect.
pub enum Altered {
    Unchanged,
    Replaced(Effect),
    /// The effect is left out, and this is taken for its outcome.
    Skipped(Outcome),
}

impl Mutant {
    /// Whether it uses [`Memory`].
    pub fn remembers(self) -> bool {
        matches!(self, Mutant::NoRecheck | Mutant::ShownAgainStays | Mutant::FailureIsAbsence | Mutant::RemovalIsProof)
    }

    /// Whether a run may start from the Grant as it was created.
    pub fn starts_from_stale_caches(self) -> bool {
        self == Mutant::ThirdProcess
    }

    /// Whether an operation takes effect although its object was deleted.
    pub fn lets_orphans_finish(self) -> bool {
        matches!(self, Mutant::DeletionNotRefused | Mutant::ArmCreates)
    }

    /// The Grant from which a run starts.
    pub fn alter_grant(self, grant: Grant) -> Grant {
        let settle = |settle_secs| Guarantees { settle_secs, ..grant.guarantees };
        match self {
            Mutant::AnswerIsProof if grant.state == State::Revoking => Grant { guarantees: settle(0), ..grant },
            Mutant::SettleIgnoresClocks => Grant { guarantees: settle(grant.guarantees.settle_secs.saturating_sub(1)), ..grant },
            Mutant::OperationForgotten => Grant { operation: None, ..grant },
            Mutant::DriftBelievedAtOnce => Grant { active_since: None, ..grant },
            _ => grant,
        }
    }

    pub fn alter_outcome(self, effect: &Effect, outcome: Outcome) -> Outcome {
        match (self, effect, outcome) {
            (Mutant::AcceptedIsDone, Effect::Arm(_), Outcome::Started(_)) => Outcome::Done,
            // The run does not know that an end was stored instead.
            (Mutant::FailureIsAbsence | Mutant::RemovalIsProof | Mutant::NotStoredIsNotWritten, Effect::CommitGrant(g), _)
                if g.state == State::Ended =>
            {
                Outcome::Conflict
            }
            (_, _, outcome) => outcome,
        }
    }

    pub fn alter_effect(self, effect: &Effect, state: State, memory: Option<&Memory>) -> Altered {
        let revoking = state == State::Revoking;
        match (self, effect, memory) {
            (Mutant::NoSecondLook, Effect::Observe { .. }, _) if revoking => Altered::Skipped(Outcome::Observed(Observation::Absent)),
            (Mutant::NoRecheck, Effect::Recheck, Some(then)) => {
                Altered::Skipped(Outcome::Rechecked(Some(then.grant.clone()), OwnerState::Wanted, SlotOwners::FREE))
            }
            (Mutant::ShownAgainStays, Effect::Revoke { .. }, Some(then)) if then.grant.removed_at.is_some() => {
                Altered::Replaced(Effect::Done(Requeue::Backoff))
            }
            (Mutant::FailureIsAbsence, Effect::CommitGrant(g), Some(then)) if revoking && then.failed && g.operation.is_none() => ended(g),
            (Mutant::NotStoredIsNotWritten, Effect::CommitGrant(g), _)
                if state == State::Granting && g.state == State::Revoking && g.operation.is_none() =>
            {
                ended(g)
            }
            (Mutant::RemovalIsProof, Effect::CommitGrant(g), Some(then)) if !then.failed && g.operation.is_none() => {
                let removes = |o: &Operation| o.kind == OperationKind::Revoke;
                if then.grant.operation.as_ref().is_some_and(removes) { ended(g) } else { Altered::Unchanged }
            }
            _ => Altered::Unchanged,
        }
    }
}

fn ended(g: &Grant) -> Altered {
    Altered::Replaced(Effect::CommitGrant(Grant { state: State::Ended, ..g.clone() }))
}
