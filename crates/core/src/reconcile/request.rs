//! The reconcile of a request.
use super::{Effect, Outcome, Reconcile, View};
use crate::{
    approval::review::ReviewState,
    limits::{Answer, Limit, Reply, Step, Taking},
    request::{self, Decision, Request, State, Status},
    requeue::Requeue,
    time::Time,
};
use std::sync::Arc;

/// A running reconcile of a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestReconcile {
    view: View,
    /// The view was read live after our last commit.
    fresh: bool,
    /// What was found about limits since our last commit.
    slots: Option<Answer>,
    /// This run has created slots that are not stored in the request.
    created_slots: bool,
    pending: Pending,
}

/// The effect whose outcome is awaited.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Pending {
    Nothing,
    Reading,
    Taking(Box<Taking>),
    Committing(Status),
    Releasing,
    Last,
}

impl RequestReconcile {
    pub(super) fn new(view: View) -> Self {
        RequestReconcile { view, fresh: false, slots: None, created_slots: false, pending: Pending::Nothing }
    }

    pub(super) fn next(mut self, outcome: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        match (std::mem::replace(&mut self.pending, Pending::Nothing), outcome) {
            (Pending::Nothing, Outcome::Start) => self.evaluate(now, permit),
            (Pending::Reading, Outcome::Refreshed(live)) => {
                // The decision that follows must rest on what we committed: another version is another decision's work.
                let version = |v: &View| v.request.as_ref().map(|r| (r.uid.clone(), r.version.clone()));
                if version(&live) != version(&self.view) {
                    return self.finish(Requeue::Stale);
                }
                self.view = live;
                self.fresh = true;
                self.evaluate(now, permit)
            }
            (Pending::Taking(taking), outcome) => self.continue_taking(*taking, outcome, now, permit),
            (Pending::Committing(status), Outcome::Stored(version)) => {
                // What has ended holds no slots, and what is reviewed no lock. If the process dies before, the next request finds them to be free, or the sweep does.
                let releases = matches!(status.state, State::Ended(..)) || status.review == ReviewState::Reviewed;
                let releases = releases && (self.created_slots || !status.slots.is_empty());
                if let Some(r) = &mut self.view.request {
                    r.status = status;
                    r.version = version;
                }
                (self.fresh, self.slots) = (false, None);
                match releases {
                    true if self.has_ended() => self.perform(Pending::Last, Effect::ReleaseSlots),
                    true => self.perform(Pending::Releasing, Effect::ReleaseSlots),
                    false => self.evaluate(now, permit),
                }
            }
            (Pending::Last, Outcome::Done) if self.has_ended() => self.finish(Requeue::OnChange),
            // It was reviewed while it is active, and its lock is released.
            (Pending::Releasing, Outcome::Done) => self.evaluate(now, permit),
            (Pending::Last | Pending::Releasing, _) | (_, Outcome::Failed) => self.finish(Requeue::Backoff),
            (_, _) => self.finish(Requeue::Stale),
        }
    }

    fn evaluate(self, now: Time, permit: bool) -> (Reconcile, Effect) {
        let Some(request) = self.view.request.clone() else { return self.finish(Requeue::OnChange) };
        let v = &self.view;
        let inputs = request::Inputs {
            now,
            request: &request,
            terms: &v.terms,
            decisions: &v.decisions,
            people: &v.people,
            grant: v.grant,
            permit,
            fresh: self.fresh,
            absent_since: v.absent_since,
            slots: self.slots.as_ref(),
        };
        let (pending, effect) = match request::decide(&inputs) {
            Decision::Wait(requeue) => return self.finish(requeue),
            Decision::ReadLive => (Pending::Reading, Effect::ReadLive),
            Decision::CheckLimits(limits) => return self.take(limits, &request, false),
            Decision::TakeSlots(limits) => return self.take(limits, &request, true),
            Decision::Commit(status) => (Pending::Committing(status.clone()), Effect::CommitRequest(Request { status, ..request })),
            Decision::CreateGrant { expires_at } => (Pending::Last, Effect::CreateGrant { request, expires_at }),
            Decision::BringForward => (Pending::Last, Effect::BringForward(now)),
        };
        self.perform(pending, effect)
    }

    fn take(self, limits: Arc<[Limit]>, request: &Request, takes: bool) -> (Reconcile, Effect) {
        let (taking, step) = Taking::begin(limits, request.uid.clone(), &request.status.slots, takes);
        self.perform_step(taking, step)
    }

    fn perform_step(self, taking: Taking, step: Step) -> (Reconcile, Effect) {
        let effect = match step {
            Step::List => Effect::ListSlots(taking.limits()),
            Step::Create(name) => Effect::CreateSlot(name),
            Step::TakeOver { slot, from } => Effect::TakeOverSlot { slot, from },
            Step::Verify(slot) => Effect::VerifySlot(slot),
            Step::Delete(slot) => Effect::DeleteSlot(slot),
            // It is answered where the taking goes on, and never as its first step.
            Step::Done(_) => return self.finish(Requeue::Backoff),
        };
        self.perform(Pending::Taking(Box::new(taking)), effect)
    }

    fn continue_taking(mut self, taking: Taking, outcome: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        let creates = taking.creates();
        let reply = match outcome {
            Outcome::Slots(slots) => Reply::Listed(slots),
            Outcome::Done if creates => Reply::Created,
            Outcome::Done => Reply::Deleted,
            Outcome::Occupied => Reply::Exists,
            Outcome::HoldsSlot(holds) => Reply::Holds(holds),
            _ => return self.finish(Requeue::Backoff),
        };
        self.created_slots |= reply == Reply::Created;
        match taking.next(reply) {
            Some((_, Step::Done(answer))) => {
                self.slots = Some(answer);
                self.evaluate(now, permit)
            }
            Some((taking, step)) => self.perform_step(taking, step),
            None => self.finish(Requeue::Backoff),
        }
    }

    fn has_ended(&self) -> bool {
        self.view.request.as_ref().is_some_and(|request| matches!(request.status.state, State::Ended(..)))
    }

    fn perform(mut self, pending: Pending, effect: Effect) -> (Reconcile, Effect) {
        self.pending = pending;
        (Reconcile::Request(self), effect)
    }

    fn finish(self, requeue: Requeue) -> (Reconcile, Effect) {
        (Reconcile::Request(self), Effect::Done(requeue))
    }
}
