//! The one slot that the requests may compete for, and the review of a Grant. The library says who holds a slot, and whether a review counts.
use super::{
    Kind, SlotObject, World, decision_bits, grant_view,
    invariants::Broken,
    model::{Model, Reply},
    mutants::Mutant,
    time,
};
use curfew_core::{
    approval::{
        Counted,
        review::{ReviewedGrant, evaluate_about_grant},
    },
    principal::Subject,
    request::{State, holds_slot, may_have_given_access},
};

/// How many slots one world can have had.
const SLOTS: u8 = 4;

impl Model {
    pub fn create_slot(&self, w: &mut World, generation: u8) -> Reply {
        if w.slot.is_some() {
            return Reply::Occupied;
        }
        // Replicas that start from stale caches could go on without end; this bounds the states.
        if w.next_slot == SLOTS {
            return Reply::Failed;
        }
        w.next_slot += 1;
        w.slot = Some(SlotObject { holder: generation, uid: w.next_slot });
        Reply::Done
    }

    /// Deletes this very object.
    pub fn delete_slot(&self, w: &mut World, slot: SlotObject) -> Reply {
        w.slot = w.slot.filter(|stored| *stored != slot);
        Reply::Done
    }

    /// Deletes the slot of a request that does not hold it any more.
    pub fn release_slot(&mut self, w: &mut World, generation: u8) -> Reply {
        if let Some(slot) = w.slot.filter(|slot| slot.holder == generation)
            && !self.holds(w, slot)
        {
            w.slot = None;
        }
        Reply::Done
    }

    pub fn holds(&mut self, w: &World, slot: SlotObject) -> bool {
        let l = usize::from(slot.holder);
        let request = w.requests[l].map(|r| self.request(r));
        match (self.setting.mutant, w.requests[l].map(|r| r.state)) {
            (Mutant::LockFreeAtEnd, Some(State::Ended(..))) | (Mutant::LockFreeWhenDeleted, None) => false,
            _ => holds_slot(&self.slot(slot), request.as_ref(), grant_view(w.grants[l])),
        }
    }

    /// A person reviews the first Grant, whose request is deleted: what counts frees the lock.
    pub fn review_grant(&mut self, w: &mut World, review: u16) {
        let (Some(grant), true) = (w.grants[0], w.requests[0].is_none()) else { return };
        let alice = Subject::User("alice".into());
        let about = ReviewedGrant {
            namespace: "payments",
            request: "request-0",
            request_exists: false,
            created: time(0),
            requester: &self.alice(),
            beneficiary: &alice,
            reviewers: &[Subject::User("carol".into())],
            gave_access: may_have_given_access(grant_view(Some(grant))),
            people: &self.people(),
        };
        let Some(mut word) = self.decisions(review).pop() else { return };
        if self.setting.mutant == Mutant::OwnReviewCounts {
            word.decider = self.carol();
        }
        if evaluate_about_grant(&word, "payments", &about) != Counted::Yes {
            return;
        }
        if review != decision_bits::CAROL_REVIEWS {
            w.broken = w.broken.or(Some(Broken::ReviewedByNobodyElse));
        }
        w.histories[0].reviewed = true;
        w.slot = w.slot.filter(|slot| slot.holder != 0);
    }

    /// Whether the slot is missing although the access that it stands for is not over, or not reviewed; or both siblings have access.
    pub fn slot_violation(&self, w: &World) -> Option<Broken> {
        if self.setting.is_break_glass() {
            let outstanding = |l: usize| w.histories[l].had_access && !w.histories[l].reviewed;
            let locked = |l: usize| w.slot.is_some_and(|slot| usize::from(slot.holder) == l);
            return match () {
                () if outstanding(0) && w.histories[1].had_access => Some(Broken::NotReviewed),
                () if [0, 1].into_iter().any(|l| outstanding(l) && !locked(l)) => Some(Broken::NotLocked),
                () => None,
            };
        }
        let both = self.setting.kind == Kind::Siblings && w.bindings.iter().all(|binding| binding.armed());
        both.then_some(Broken::TwoExtensions)
    }
}
