//! The reconcile of a request.
use super::{Effect, Outcome, Reconcile, View};
use crate::{
    request::{self, Decision, Request, Status},
    requeue::Requeue,
    time::Time,
};

/// A running reconcile of a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestReconcile {
    view: View,
    /// The view was read live after our last commit.
    fresh: bool,
    pending: Pending,
}

/// The effect whose outcome is awaited.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Pending {
    Nothing,
    Reading,
    Committing(Status),
    Last,
}

impl RequestReconcile {
    pub(super) fn new(view: View) -> Self {
        RequestReconcile { view, fresh: false, pending: Pending::Nothing }
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
            (Pending::Committing(status), Outcome::Stored(version)) => {
                if let Some(r) = &mut self.view.request {
                    r.status = status;
                    r.version = version;
                }
                self.fresh = false;
                self.evaluate(now, permit)
            }
            (Pending::Last, _) | (_, Outcome::Failed) => self.finish(Requeue::Backoff),
            (_, _) => self.finish(Requeue::Stale),
        }
    }

    fn evaluate(mut self, now: Time, permit: bool) -> (Reconcile, Effect) {
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
        };
        let (pending, effect) = match request::decide(&inputs) {
            Decision::Wait(requeue) => return self.finish(requeue),
            Decision::ReadLive => (Pending::Reading, Effect::ReadLive),
            Decision::Commit(status) => (Pending::Committing(status.clone()), Effect::CommitRequest(Request { status, ..request })),
            Decision::CreateGrant { expires_at } => (Pending::Last, Effect::CreateGrant { request, expires_at }),
            Decision::BringForward => (Pending::Last, Effect::BringForward(now)),
        };
        self.pending = pending;
        (Reconcile::Request(self), effect)
    }

    fn finish(self, requeue: Requeue) -> (Reconcile, Effect) {
        (Reconcile::Request(self), Effect::Done(requeue))
    }
}
