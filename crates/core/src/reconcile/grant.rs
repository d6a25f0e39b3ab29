//! The reconcile of a Grant.
use super::{Effect, Outcome, Reconcile, Reservation, Verify};
use crate::{
    admission::Provenance,
    grant::{self, Decision, Grant, Intent, Observation, OperationKind, OwnerState, SlotOwners, State},
    requeue::Requeue,
    target::{Content, Fence, SlotSet},
    time::Time,
};

/// A running reconcile of a Grant.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrantReconcile {
    grant: Grant,
    observation: Option<Observation>,
    filled: Option<SlotSet>,
    /// When the owners were read before the survey. The survey counts for as long as a write may take: a Grant that held a slot
    /// then cannot have ended within that.
    surveying_since: Option<Time>,
    slot_owners: Option<SlotOwners>,
    write_until: Option<Time>,
    owner: OwnerState,
    content: Option<Content>,
    verify: Verify,
    abandoned: bool,
    pending: Pending,
}

/// The effect whose outcome is awaited.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Pending {
    Nothing,
    Reading,
    Committing(Grant),
    Reserving,
    ReadingWithheld(SlotSet),
    Rechecking(Write),
    Writing,
    Polling(OperationKind),
    Withholding,
    /// Before the last write of a restoration: these parts, by these objects.
    Verifying(SlotSet, Reservation),
    Restoring(SlotSet),
    Revoking,
    /// Removes a reservation whose Grant is gone or has ended.
    Discarding,
    Last,
}

/// What follows a recheck.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Write {
    Arm(Reservation),
    Restore(SlotSet, Reservation),
    Apply { until: Time },
}

impl GrantReconcile {
    pub(super) fn new(grant: Grant, verify: Verify, abandoned: bool) -> Self {
        GrantReconcile {
            grant,
            observation: None,
            filled: None,
            surveying_since: None,
            slot_owners: None,
            write_until: None,
            owner: OwnerState::NotRead,
            content: None,
            verify,
            abandoned,
            pending: Pending::Nothing,
        }
    }

    pub(super) fn next(mut self, outcome: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        let stored = self.grant.clone();
        match (std::mem::replace(&mut self.pending, Pending::Nothing), outcome) {
            (Pending::Nothing, Outcome::Start) => self.evaluate(now, permit),
            // A survey is refused before anything is written, where the target will never take the write.
            (Pending::Reading | Pending::Reserving | Pending::Writing, Outcome::Refused) => {
                self.commit(Grant { state: State::Revoking, refused: true, ..stored })
            }
            (Pending::Reading, outcome) => self.read(outcome, now, permit),
            (Pending::Committing(next), Outcome::Stored(version)) => {
                self.committed(Grant { version, ..next });
                self.evaluate(now, permit)
            }
            (Pending::Reserving, Outcome::Reserved(r)) => self.perform(Pending::Rechecking(Write::Arm(r)), Effect::Recheck),
            (Pending::Reserving, Outcome::Occupied) => self.commit(Grant { state: State::Revoking, ..stored }),
            (Pending::Rechecking(write), Outcome::Rechecked(live, owner, others)) => self.recheck(write, live, owner, others, now, permit),
            (Pending::ReadingWithheld(parts), Outcome::Reserved(r)) => {
                self.perform(Pending::Rechecking(Write::Restore(parts, r)), Effect::Recheck)
            }
            (Pending::Verifying(parts, r), Outcome::Content(content)) => self.restore(parts, r, content, now, permit),
            (Pending::Restoring(parts), Outcome::Done) => self.commit(Grant { withheld: stored.withheld.without(parts), ..stored }),
            // That it is gone shows the next run: the change of the objects triggers it.
            (Pending::Withholding, Outcome::Done) => self.finish(Requeue::At(stored.expires_at)),
            (Pending::Withholding | Pending::ReadingWithheld(_) | Pending::Restoring(_), _) => self.finish(Requeue::Backoff),
            (Pending::Writing, Outcome::Done) => self.commit(grant::after_apply(&stored)),
            (Pending::Writing, Outcome::Started(operation)) => self.commit(Grant { operation: Some(operation), ..stored }),
            (Pending::Polling(kind), outcome) => self.polled(kind, outcome, now),
            (Pending::Revoking, Outcome::Gone) => self.commit(grant::after_removal(&stored, now)),
            (Pending::Revoking, Outcome::Started(operation)) => {
                self.commit(Grant { state: State::Revoking, operation: Some(operation), ..stored })
            }
            // A removal that could not be proven is stored as such, so that its age shows.
            (Pending::Revoking, _) if self.grant.state == State::Active => {
                let next = Grant { state: State::Revoking, ..stored };
                self.perform(Pending::Last, Effect::CommitGrant(next))
            }
            (Pending::Revoking | Pending::Last, _) | (_, Outcome::Failed) => self.finish(Requeue::Backoff),
            (_, _) => self.finish(Requeue::Stale),
        }
    }

    fn read(mut self, outcome: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        match outcome {
            Outcome::Owner(owner) => self.owner = owner,
            Outcome::Content(content) => self.content = Some(content),
            Outcome::Observed(observation) => self.observation = Some(observation),
            Outcome::Filled(slots) => {
                self.filled = Some(slots);
                self.slot_owners = None;
            }
            Outcome::SlotOwners(owners) => self.slot_owners = Some(owners),
            Outcome::BroughtForward(grant) => self.grant = grant,
            Outcome::Failed => return self.finish(Requeue::Backoff),
            _ => return self.finish(Requeue::Stale),
        }
        self.evaluate(now, permit)
    }

    /// Reads from before a commit do not count after it: another owner of a slot reads this one's state, too. Only the answer
    /// to our own write is proof of the access.
    fn committed(&mut self, stored: Grant) {
        let until = |g: &Grant| g.intent.and_then(|i| i.until);
        // Every run may remove until a limit that it has stored, even if another run has stored the same.
        if stored.state == State::Revoking || until(&stored) != until(&self.grant) {
            self.write_until = until(&stored);
        }
        let shown = stored.state == State::Active && self.grant.state == State::Granting;
        // To take the access of what is missing, nothing else must be known.
        let withholds = !stored.withheld.without(self.grant.withheld).is_empty();
        self.observation = (shown || withholds).then_some(Observation::Present);
        // What was written gives what its content is now.
        self.verify.content |= shown;
        self.filled = None;
        self.surveying_since = None;
        self.slot_owners = None;
        self.grant = stored;
    }

    fn evaluate(mut self, now: Time, permit: bool) -> (Reconcile, Effect) {
        if self.filled.is_some() && self.surveying_since.is_some_and(|t| now >= t.plus_secs(self.write_secs())) {
            self.filled = None;
            self.slot_owners = None;
        }
        let inputs = grant::Inputs {
            now,
            grant: &self.grant,
            observation: self.observation,
            filled: self.filled,
            slot_owners: self.slot_owners,
            write_until: self.write_until,
            owner: self.owner,
            verify_owner: self.verify.owner,
            content: self.content,
            verify_content: self.verify.content,
            permit,
            abandoned: self.abandoned,
        };
        match grant::decide(&inputs) {
            Decision::Wait(requeue) => self.finish(requeue),
            Decision::ReadOwner => self.perform(Pending::Reading, Effect::ReadOwner),
            Decision::Observe { except } => self.perform(Pending::Reading, Effect::Observe { except }),
            Decision::ReadContent => self.perform(Pending::Reading, Effect::ReadContent),
            Decision::Withhold(parts) => self.perform(Pending::Withholding, Effect::Withhold(parts)),
            Decision::Restore(parts) => self.perform(Pending::ReadingWithheld(parts), Effect::ReadWithheld(parts)),
            Decision::Survey => self.perform(Pending::Reading, Effect::Survey),
            Decision::ReadSlotOwners => {
                if self.filled.is_none() {
                    self.surveying_since = Some(now);
                }
                self.perform(Pending::Reading, Effect::ReadSlotOwners)
            }
            Decision::BringForward => self.perform(Pending::Reading, Effect::BringForward(now)),
            Decision::Commit(next) => self.commit(next),
            Decision::Reserve => self.perform(Pending::Reserving, Effect::Reserve),
            Decision::Apply { until } => self.perform(Pending::Rechecking(Write::Apply { until }), Effect::Recheck),
            Decision::Poll => match self.grant.operation.clone() {
                Some(operation) => self.perform(Pending::Polling(operation.kind), Effect::Poll(operation)),
                None => self.finish(Requeue::Stale),
            },
            Decision::Revoke { keep, until } => self.perform(Pending::Revoking, Effect::Revoke { keep, until }),
            Decision::RemoveFinalizer => self.perform(Pending::Last, Effect::RemoveFinalizer),
        }
    }

    /// Before the write that gives access, everything that may have changed is read live. Behind a reservation, a change after
    /// this read makes the arm fail, since a revoker deletes the reservation; with a time limit, the end waits for the limit.
    fn recheck(
        mut self,
        write: Write,
        live: Option<Grant>,
        owner: OwnerState,
        others: SlotOwners,
        now: Time,
        permit: bool,
    ) -> (Reconcile, Effect) {
        let reserved = matches!(write, Write::Arm(_));
        let Some(live) = live else { return self.discard(reserved) };
        let same_intent = live.intent == self.grant.intent;
        self.grant = live;
        let may_write = !self.grant.deleting && now < self.grant.expires_at && self.grant.provenance == Provenance::Verified && permit;
        match (self.grant.state, owner, write) {
            (State::Granting, OwnerState::Wanted, Write::Arm(r)) if may_write => self.perform(Pending::Writing, Effect::Arm(r)),
            (State::Active, OwnerState::Wanted, Write::Restore(parts, r)) if may_write => {
                self.perform(Pending::Verifying(parts, r), Effect::ReadContentLive)
            }
            (State::Granting, OwnerState::Wanted, Write::Apply { .. }) if matches!(others, SlotOwners::Unsettled { .. }) => {
                self.finish(Requeue::Backoff)
            }
            (State::Granting, OwnerState::Wanted, Write::Apply { until }) if may_write && same_intent && now < until => {
                let except = self.grant.intent.map_or(SlotSet::NONE, |i: Intent| i.standing);
                self.perform(Pending::Writing, Effect::Apply { until, except })
            }
            (State::Granting, OwnerState::Gone, _) | (State::Active, OwnerState::Gone, Write::Restore(..)) => {
                self.owner = OwnerState::Gone;
                self.evaluate(now, permit)
            }
            (State::Ended | State::Abandoned, ..) => self.discard(reserved),
            (State::Granting | State::Active | State::Revoking, ..) => self.finish(Requeue::Stale),
        }
    }

    /// The last look before the access of these parts is given back: their content may have vanished or grown since. A revoker
    /// deletes the objects, and another withholding changes their version, so a late arm fails.
    fn restore(mut self, parts: SlotSet, r: Reservation, content: Content, now: Time, permit: bool) -> (Reconcile, Effect) {
        let exists = matches!(content, Content::Within { missing } if missing.intersection(parts).is_empty());
        if exists && permit && now < self.grant.expires_at {
            return self.perform(Pending::Restoring(parts), Effect::Arm(r));
        }
        (self.content, self.observation) = (Some(content), None);
        self.evaluate(now, permit)
    }

    /// A reservation of a Grant that is gone or has ended is removed. Without one, nothing was written.
    fn discard(self, reserved: bool) -> (Reconcile, Effect) {
        if reserved {
            self.perform(Pending::Discarding, Effect::Revoke { keep: SlotSet::NONE, until: None })
        } else {
            self.finish(Requeue::OnChange)
        }
    }

    fn polled(self, kind: OperationKind, outcome: Outcome, now: Time) -> (Reconcile, Effect) {
        let over = Grant { operation: None, ..self.grant.clone() };
        match (outcome, kind, self.grant.state) {
            (Outcome::Running(at), ..) => self.finish(Requeue::At(at)),
            (Outcome::Succeeded, OperationKind::Apply, State::Granting) => self.commit(grant::after_apply(&over)),
            (Outcome::Succeeded, OperationKind::Revoke, _) => self.commit(grant::after_removal(&over, now)),
            (Outcome::Succeeded | Outcome::OperationFailed, ..) => self.commit(over),
            _ => self.finish(Requeue::Backoff),
        }
    }

    fn write_secs(&self) -> i64 {
        match self.grant.guarantees.fence {
            Fence::TimeLimit { write_secs } => i64::from(write_secs),
            Fence::Reservation => 0,
        }
    }

    fn commit(self, next: Grant) -> (Reconcile, Effect) {
        self.perform(Pending::Committing(next.clone()), Effect::CommitGrant(next))
    }

    fn perform(mut self, pending: Pending, effect: Effect) -> (Reconcile, Effect) {
        self.pending = pending;
        (Reconcile::Grant(self), effect)
    }

    fn finish(self, requeue: Requeue) -> (Reconcile, Effect) {
        (Reconcile::Grant(self), Effect::Done(requeue))
    }
}
