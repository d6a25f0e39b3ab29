//! The four steps around both machines (gather, decide, commit, perform), once, as a value that asks.
//!
//! A [`Pass`] is the shell without its I/O. It says what it needs next ([`Ask`]), and takes the [`Answer`] to go on. The
//! operator's driver answers with real reads and writes; the explorer in `tests/` answers with a world of stale stores,
//! crashes, pauses and clocks that differ. So what is checked is what runs.
use crate::{
    admission::Provenance,
    approval::DecisionFacts,
    grant::{self, Grant, Observation, OwnerState},
    request::{self, GrantView, Request, Requeue, Status, Terms, Version},
    terms::Refusal,
    time::Time,
};
use std::sync::Arc;

/// What one replica knows about a request. From its stores, any part may be older than the others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// The request, if there is one.
    pub request: Option<Request>,
    /// The decisions about it.
    pub decisions: Arc<Vec<DecisionFacts>>,
    /// What it would be if it were resolved now.
    pub terms: Arc<Result<Terms, Refusal>>,
    /// Its Grant.
    pub grant: GrantView,
    /// Extra keys that name one person behind several logins.
    pub alias_keys: Arc<Vec<String>>,
}

/// A place held at the target: the uid and version of each object that was reserved, in the order of the plan.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reservation(pub Arc<Vec<(Arc<str>, Version)>>);

/// What a [`Pass`] needs next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Request: read everything about it live.
    ReadLive,
    /// Request: store this status if the request still has this version.
    CommitRequest(Request),
    /// Request: write the Grant. Needs the permit.
    CreateGrant {
        /// The request as it was committed.
        request: Request,
        /// When the Grant ends.
        expires_at: Time,
    },
    /// Either: let the Grant end at this time, if that is earlier.
    BringForward(Time),
    /// Grant: is the request there, live?
    ReadOwner,
    /// Grant: what does the target show?
    Observe,
    /// Grant: hold a place at the target without giving any access. Needs the permit.
    Reserve,
    /// Grant: read the Grant and its request live.
    Recheck,
    /// Grant: turn the reservation into the access, if it is still the very same. Needs the permit.
    Arm(Reservation),
    /// Grant: store this, if it still has this version.
    CommitGrant(Grant),
    /// Grant: take the access away, reservations included.
    Revoke,
    /// Grant: remove the finalizer of the deleted object.
    RemoveFinalizer,
    /// Done; look again then.
    Done(Requeue),
}

/// What came of an [`Ask`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Begin.
    Start,
    /// To `Refresh`.
    Refreshed(View),
    /// To a commit, with the new version; to `BringForward`, with the end that stands now.
    Stored(Version),
    /// To `BringForward` by a Grant's own pass: how it is stored now.
    BroughtForward(Grant),
    /// To `ReadBehind`.
    Owner(OwnerState),
    /// To `Observe`.
    Observed(Observation),
    /// To `Reserve`.
    Reserved(Reservation),
    /// To `Reserve`: a stranger's object stands in the place.
    Occupied,
    /// To `Recheck`.
    Rechecked(Option<Grant>, OwnerState),
    /// To `CreateGrant`, `Arm`, `Release`: it was done.
    Done,
    /// To `Revoke`: the target has shown that nothing is left.
    Gone,
    /// The object has changed since it was read; nothing was written.
    Conflict,
    /// It failed, or there is no telling.
    Failed,
}

/// A request or a Grant on its way through the four steps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reconcile {
    /// Of a request.
    Request(RequestReconcile),
    /// Of a Grant.
    Grant(GrantReconcile),
}

/// A request on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestReconcile {
    view: View,
    fresh: bool,
    pending: PendingEffect,
}

/// A Grant on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrantReconcile {
    grant: Grant,
    observation: Option<Observation>,
    owner: OwnerState,
    verify_owner: bool,
    abandoned: bool,
    pending: PendingEffect,
}

/// What was asked last.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum PendingEffect {
    Nothing,
    Reading,
    CommittingRequest(Status),
    CommittingGrant(Grant),
    Reserving,
    Rechecking(Reservation),
    Arming,
    Revoking,
    Tidying,
    Last,
}

impl Reconcile {
    /// Of a request, as this replica's stores show it.
    pub fn request(view: View) -> Self {
        Reconcile::Request(RequestReconcile { view, fresh: false, pending: PendingEffect::Nothing })
    }
    /// Of a Grant. With `doubt`, its request is asked about first.
    pub fn grant(grant: Grant, doubt: bool) -> Self {
        Reconcile::Grant(GrantReconcile {
            grant,
            observation: None,
            owner: OwnerState::NotRead,
            verify_owner: doubt,
            abandoned: false,
            pending: PendingEffect::Nothing,
        })
    }
    /// Of a Grant that a person has released without proof.
    pub fn abandoned(grant: Grant) -> Self {
        Reconcile::Grant(GrantReconcile {
            grant,
            observation: None,
            owner: OwnerState::NotRead,
            verify_owner: false,
            abandoned: true,
            pending: PendingEffect::Nothing,
        })
    }
    /// One step. `now` and `permit` are read for each step, never remembered.
    #[must_use]
    pub fn next(self, answer: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        match self {
            Reconcile::Request(p) => p.next(answer, now, permit),
            Reconcile::Grant(p) => p.next(answer, now, permit),
        }
    }
}

// === impl RequestPass ===

impl RequestReconcile {
    fn next(mut self, answer: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        match (std::mem::replace(&mut self.pending, PendingEffect::Nothing), answer) {
            (PendingEffect::Nothing, Outcome::Start) => self.evaluate(now, permit),
            (PendingEffect::Reading, Outcome::Refreshed(live)) => {
                // What we are about to rest on must be what we committed: another version is another decision's work.
                let version = |v: &View| v.request.as_ref().map(|r| (r.uid.clone(), r.version.clone()));
                if version(&live) != version(&self.view) {
                    return self.finish(Requeue::Now);
                }
                self.view = live;
                self.fresh = true;
                self.evaluate(now, permit)
            }
            (PendingEffect::CommittingRequest(status), Outcome::Stored(version)) => {
                if let Some(r) = &mut self.view.request {
                    r.status = status;
                    r.version = version;
                }
                self.fresh = false;
                self.evaluate(now, permit)
            }
            (PendingEffect::Last, _) => self.finish(Requeue::Backoff),
            (_, Outcome::Failed) => self.finish(Requeue::Backoff),
            (_, _) => self.finish(Requeue::Now),
        }
    }

    fn evaluate(mut self, now: Time, permit: bool) -> (Reconcile, Effect) {
        use request::Decision;
        let Some(request) = self.view.request.clone() else { return self.finish(Requeue::OnChange) };
        let v = &self.view;
        let facts = request::Inputs {
            now,
            request: &request,
            terms: &v.terms,
            decisions: &v.decisions,
            alias_keys: &v.alias_keys,
            grant: v.grant,
            permit,
            fresh: self.fresh,
        };
        let (doing, ask) = match request::decide(&facts) {
            Decision::Wait(wake) => return self.finish(wake),
            Decision::ReadLive => (PendingEffect::Reading, Effect::ReadLive),
            Decision::Commit(status) => {
                (PendingEffect::CommittingRequest(status.clone()), Effect::CommitRequest(Request { status, ..request }))
            }
            Decision::CreateGrant { expires_at } => (PendingEffect::Last, Effect::CreateGrant { request, expires_at }),
            Decision::BringForward => (PendingEffect::Last, Effect::BringForward(now)),
        };
        self.pending = doing;
        (Reconcile::Request(self), ask)
    }

    fn finish(self, wake: Requeue) -> (Reconcile, Effect) {
        (Reconcile::Request(self), Effect::Done(wake))
    }
}

// === impl GrantPass ===

impl GrantReconcile {
    fn next(mut self, answer: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        match (std::mem::replace(&mut self.pending, PendingEffect::Nothing), answer) {
            (PendingEffect::Nothing, Outcome::Start) => self.evaluate(now, permit),
            (PendingEffect::Reading, Outcome::Owner(behind)) => {
                self.owner = behind;
                self.evaluate(now, permit)
            }
            (PendingEffect::Reading, Outcome::Observed(seen)) => {
                self.observation = Some(seen);
                self.evaluate(now, permit)
            }
            (PendingEffect::Reading, Outcome::BroughtForward(grant)) => {
                self.grant = grant;
                self.evaluate(now, permit)
            }
            (PendingEffect::CommittingGrant(next), Outcome::Stored(version)) => {
                self.grant = Grant { version, ..next };
                self.evaluate(now, permit)
            }
            (PendingEffect::Reserving, Outcome::Reserved(r)) => self.perform(PendingEffect::Rechecking(r), Effect::Recheck),
            (PendingEffect::Reserving, Outcome::Occupied) => self.commit(grant::State::Revoking, false),
            (PendingEffect::Rechecking(r), Outcome::Rechecked(live, behind)) => self.recheck(r, live, behind, now, permit),
            (PendingEffect::Arming, Outcome::Done) => {
                // The answer to our own write is the proof.
                self.observation = Some(Observation::Present);
                self.commit(grant::State::Active, false)
            }
            (PendingEffect::Revoking, Outcome::Gone) => {
                let drifted = self.grant.drifted;
                self.commit(grant::State::Ended, drifted)
            }
            // What could not be proven gone is stored as such, so that its age shows.
            (PendingEffect::Revoking, _) if self.grant.state == grant::State::Active => self.commit_and_wait(grant::State::Revoking),
            (PendingEffect::Revoking, _) => self.finish(Requeue::Backoff),
            (PendingEffect::Last, _) => self.finish(Requeue::Backoff),
            (_, Outcome::Failed) => self.finish(Requeue::Backoff),
            (_, _) => self.finish(Requeue::Now),
        }
    }

    fn evaluate(self, now: Time, permit: bool) -> (Reconcile, Effect) {
        use grant::Decision;
        let facts = grant::Inputs {
            now,
            grant: &self.grant,
            observation: self.observation,
            owner: self.owner,
            verify_owner: self.verify_owner,
            permit,
            abandoned: self.abandoned,
        };
        match grant::decide(&facts) {
            Decision::Wait(wake) => self.finish(wake),
            Decision::ReadOwner => self.perform(PendingEffect::Reading, Effect::ReadOwner),
            Decision::Observe => self.perform(PendingEffect::Reading, Effect::Observe),
            Decision::BringForward => self.perform(PendingEffect::Reading, Effect::BringForward(now)),
            Decision::Commit(stage) => {
                let drifted = self.grant.drifted;
                self.commit(stage, drifted)
            }
            Decision::CommitDrift => self.commit(grant::State::Revoking, true),
            Decision::Grant => self.perform(PendingEffect::Reserving, Effect::Reserve),
            Decision::Revoke => self.perform(PendingEffect::Revoking, Effect::Revoke),
            Decision::RemoveFinalizer => self.perform(PendingEffect::Last, Effect::RemoveFinalizer),
        }
    }

    /// Between reserving and arming everything that may have changed is read live. A revoker deletes the reservation, so
    /// what changes after this look makes the arm fail at the target.
    fn recheck(mut self, r: Reservation, live: Option<Grant>, behind: OwnerState, now: Time, permit: bool) -> (Reconcile, Effect) {
        let Some(live) = live else { return self.perform(PendingEffect::Tidying, Effect::Revoke) };
        self.grant = live;
        let granting = self.grant.state == grant::State::Granting
            && !self.grant.deleting
            && now < self.grant.expires_at
            && self.grant.provenance == Provenance::Verified;
        match (self.grant.state, behind) {
            (grant::State::Granting, OwnerState::Wanted) if granting && permit => self.perform(PendingEffect::Arming, Effect::Arm(r)),
            (grant::State::Granting, OwnerState::Gone) => {
                self.owner = OwnerState::Gone;
                self.evaluate(now, permit)
            }
            (grant::State::Ended | grant::State::Abandoned, _) => self.perform(PendingEffect::Tidying, Effect::Revoke),
            (grant::State::Granting | grant::State::Active | grant::State::Revoking, _) => self.finish(Requeue::Now),
        }
    }

    fn commit(self, stage: grant::State, drifted: bool) -> (Reconcile, Effect) {
        let next = Grant { state: stage, drifted, ..self.grant.clone() };
        self.perform(PendingEffect::CommittingGrant(next.clone()), Effect::CommitGrant(next))
    }

    fn commit_and_wait(self, stage: grant::State) -> (Reconcile, Effect) {
        let next = Grant { state: stage, ..self.grant.clone() };
        self.perform(PendingEffect::Last, Effect::CommitGrant(next))
    }

    fn perform(mut self, doing: PendingEffect, ask: Effect) -> (Reconcile, Effect) {
        self.pending = doing;
        (Reconcile::Grant(self), ask)
    }

    fn finish(self, wake: Requeue) -> (Reconcile, Effect) {
        (Reconcile::Grant(self), Effect::Done(wake))
    }
}
