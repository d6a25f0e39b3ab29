//! Protections taken away, one at a time. Each of them must be found.
//!
//! A mutant stands between the real `Reconcile` and the world and alters what passes, or makes the world worse. The library has
//! no switch for any of it.
use super::Tick;
use curfew_core::{
    grant::{Grant, Intent, OperationKind, SlotOwners, State},
    reconcile::{Effect, Outcome},
    requeue::Requeue,
    target::{Guarantees, SlotSet},
    time::Time,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// The rules as they are.
    None,
    /// A Grant that ends does not ask who else holds its slots.
    OwnersNotCounted,
    /// The other owners are read before `Revoking` is stored.
    OwnersReadTooEarly,
    /// While one Grant leaves a slot, the others that hold it are not seen.
    LeavingHidesHolders,
    /// A Grant leaves a slot that it has written to one that recorded it as filled before.
    StandingHolderCounts,
    /// The other owners are read after the survey, and not before it.
    OwnersReadOnlyAfterSurvey,
    /// The other owners are not read again before a write.
    OwnersNotRechecked,
    /// The end does not wait for the time limit of writes and removals.
    LimitNotAwaited,
    /// The end does not wait until reads have settled.
    AbsenceBelievedAtOnce,
    /// The settle time does not include the difference between two clocks.
    SettleIgnoresClocks,
    /// Access that was there before is not recorded.
    StandingNotRecorded,
    /// Access that another Grant has written is taken for access that was there before.
    StandingIgnoresOwners,
    /// A replica that takes over forgets the stored operation.
    OperationForgotten,
    /// `Revoking` does not wait for the operation that creates the access.
    OperationNotAwaited,
    /// "Does not exist" in answer to a removal is taken for the end.
    DoesNotExistIsProof,
    /// The write is sent before its intent is stored.
    IntentNotStored,
    /// A write is sent after its time limit.
    WriteSentLate,
    /// A removal is sent after its time limit.
    RemovalSentLate,
    /// The time limit of a removal is not stored.
    RemovalLimitNotStored,
    /// Writing goes on without lease or admission proof.
    PermitIgnored,
    /// A run writes within the time limit that another run has stored, without a recheck.
    AnyRunWrites,
}

/// What a mutant remembers of a run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Memory {
    /// The other owners when the run started.
    pub owners: SlotOwners,
    /// A commit that was left out.
    pub skipped: Option<Intent>,
    /// The other owners were read.
    pub owners_read: bool,
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
        matches!(self, Mutant::OwnersReadTooEarly | Mutant::IntentNotStored | Mutant::OwnersReadOnlyAfterSurvey)
    }

    /// The Grant from which a run starts.
    pub fn alter_grant(self, grant: Grant) -> Grant {
        let revoking = grant.state == State::Revoking;
        let is_apply = grant.operation.as_ref().is_some_and(|o| o.kind == OperationKind::Apply);
        match self {
            Mutant::LimitNotAwaited if revoking && grant.removed_at.is_some() => {
                Grant { intent: grant.intent.map(|i| Intent { until: None, ..i }), ..grant }
            }
            Mutant::AbsenceBelievedAtOnce => Grant { guarantees: Guarantees { settle_secs: 0, ..grant.guarantees }, ..grant },
            Mutant::SettleIgnoresClocks => {
                let settle_secs = grant.guarantees.settle_secs.saturating_sub(1);
                Grant { guarantees: Guarantees { settle_secs, ..grant.guarantees }, ..grant }
            }
            Mutant::OperationForgotten => Grant { operation: None, ..grant },
            Mutant::OperationNotAwaited if revoking && is_apply => Grant { operation: None, ..grant },
            _ => grant,
        }
    }

    pub fn alter_outcome(self, effect: &Effect, outcome: Outcome, state: State, memory: Option<&Memory>) -> Outcome {
        let revoking = state == State::Revoking;
        match (self, effect, outcome) {
            (Mutant::OwnersNotCounted, Effect::ReadSlotOwners, Outcome::SlotOwners(_)) if revoking => Outcome::SlotOwners(SlotOwners::FREE),
            (Mutant::OwnersReadTooEarly, Effect::ReadSlotOwners, Outcome::SlotOwners(now)) if revoking => {
                Outcome::SlotOwners(memory.map_or(now, |m| m.owners))
            }
            (Mutant::LeavingHidesHolders, _, Outcome::SlotOwners(SlotOwners::Unsettled { .. })) => {
                Outcome::SlotOwners(SlotOwners::Unsettled { held: SlotSet::NONE, standing: SlotSet::NONE })
            }
            (Mutant::StandingHolderCounts, _, Outcome::SlotOwners(SlotOwners::Settled { held, .. })) if revoking => {
                Outcome::SlotOwners(SlotOwners::Settled { held, standing: SlotSet::NONE })
            }
            (Mutant::OwnersNotRechecked, _, Outcome::Rechecked(grant, owner, _)) => Outcome::Rechecked(grant, owner, SlotOwners::FREE),
            (Mutant::StandingNotRecorded, _, Outcome::Filled(_)) => Outcome::Filled(SlotSet::NONE),
            (Mutant::StandingIgnoresOwners, Effect::ReadSlotOwners, Outcome::SlotOwners(_)) if !revoking => {
                Outcome::SlotOwners(SlotOwners::FREE)
            }
            (Mutant::IntentNotStored, _, Outcome::Rechecked(Some(grant), owner, owners)) => {
                let intent = memory.and_then(|m| m.skipped).or(grant.intent);
                Outcome::Rechecked(Some(Grant { intent, ..grant }), owner, owners)
            }
            (_, _, outcome) => outcome,
        }
    }

    pub fn alter_effect(
        self,
        effect: &Effect,
        state: State,
        memory: Option<&mut Memory>,
        now: Time,
        permit: bool,
        settle: Tick,
    ) -> Altered {
        match (self, effect, memory) {
            (Mutant::IntentNotStored, Effect::CommitGrant(g), Some(memory))
                if state == State::Granting && g.state == State::Granting && g.operation.is_none() && memory.skipped.is_none() =>
            {
                memory.skipped = g.intent;
                Altered::Skipped(Outcome::Stored(g.version.clone()))
            }
            (Mutant::OwnersReadOnlyAfterSurvey, Effect::ReadSlotOwners, Some(memory))
                if state == State::Granting && !memory.owners_read =>
            {
                memory.owners_read = true;
                Altered::Skipped(Outcome::SlotOwners(SlotOwners::FREE))
            }
            (Mutant::RemovalLimitNotStored, Effect::CommitGrant(g), _)
                if state == State::Revoking && g.state == State::Revoking && g.removed_at.is_none() && g.operation.is_none() =>
            {
                Altered::Skipped(Outcome::Stored(g.version.clone()))
            }
            (Mutant::DoesNotExistIsProof, Effect::CommitGrant(g), _) if g.state == State::Revoking && g.removed_at == Some(now) => {
                Altered::Replaced(Effect::CommitGrant(Grant { state: State::Ended, ..g.clone() }))
            }
            (Mutant::AnyRunWrites, Effect::Done(Requeue::At(t)), _) if state == State::Granting && permit => {
                let until = t.plus_secs(-i64::from(settle));
                Altered::Replaced(Effect::Apply { until, except: SlotSet::NONE })
            }
            _ => Altered::Unchanged,
        }
    }
}
