//! A reconcile as a value without I/O: the steps around both state machines (dereference, decide, commit, perform), once.
//!
//! A [`Reconcile`] says which [`Effect`] it needs next and takes its [`Outcome`] to go on. The operator's driver performs effects
//! with real reads and writes; the model checker in `tests/` performs them against a world of stale caches, crashes, pauses and
//! clocks that differ. So the code that is checked is the code that runs.
mod grant;
mod request;

pub use grant::GrantReconcile;
pub use request::RequestReconcile;

use crate::{
    approval::DecisionFacts,
    grant::{Grant, Observation, Operation, OwnerState, SlotOwners},
    ids::Version,
    limits::{Holder, Limit, Slot, Slots},
    principal::Recognition,
    request::{GrantView, Request},
    requeue::Requeue,
    resolved::Terms,
    target::{Content, SlotSet},
    terms::Refusal,
    time::Time,
};
use std::sync::Arc;

/// What one replica knows about a request. In a view from its caches, any part may be older than the others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// The request, if it exists.
    pub request: Option<Request>,
    /// The decisions about it.
    pub decisions: Arc<Vec<DecisionFacts>>,
    /// What would be granted if the request were resolved now.
    pub terms: Arc<Result<Terms, Refusal>>,
    /// Its Grant.
    pub grant: GrantView,
    /// How one person is recognised behind two logins.
    pub people: Arc<Recognition>,
    /// Since when this process has seen, without a break, that something does not exist by which the request was accepted.
    pub absent_since: Option<Time>,
}

/// The uid and version of a reserved object.
pub type Reserved = (Arc<str>, Version);

/// A reservation at the target: the uid and version of each reserved object, in the order of the plan. Where there is none,
/// nothing is armed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reservation(pub Arc<Vec<Option<Reserved>>>);

/// What a reconcile of a Grant must read, whether or not it would otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Verify {
    /// Its request, live.
    pub owner: bool,
    /// The content of what it gives.
    pub content: bool,
}

/// What a [`Reconcile`] needs next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Request: read everything about it live.
    ReadLive,
    /// Request: store this status if the request still has this version.
    CommitRequest(Request),
    /// Request: list the slots of these limits.
    ListSlots(Arc<[Limit]>),
    /// Request: create the slot of this name for it. Needs the permit.
    CreateSlot(Arc<str>),
    /// Request: take over a slot for it, if it is still this very version of it. Needs the permit.
    TakeOverSlot {
        /// The slot.
        slot: Slot,
        /// The request that is extended.
        from: Holder,
    },
    /// Request: read live whether the holder of this slot holds it still.
    VerifySlot(Slot),
    /// Request: delete this slot, if it is still this very object.
    DeleteSlot(Slot),
    /// Request: delete every slot that it holds. It has ended.
    ReleaseSlots,
    /// Request: write the Grant. Needs the permit.
    CreateGrant {
        /// The request as it was committed.
        request: Request,
        /// When the Grant ends.
        expires_at: Time,
    },
    /// Both: let the Grant end at this time, if that is earlier.
    BringForward(Time),
    /// Grant: read live whether its request exists and wants it.
    ReadOwner,
    /// Grant: read what the target shows, leaving out these slots.
    Observe {
        /// Slots that are not this grant's to judge.
        except: SlotSet,
    },
    /// Grant: read which slots of the plan are filled at the target.
    Survey,
    /// Grant: read live which other Grants fill the same slots.
    ReadSlotOwners,
    /// Grant: read how the content of what it gives stands, compared with what was frozen. What is not within is read live.
    ReadContent,
    /// Grant: take the access of these parts of the plan, and keep their objects.
    Withhold(SlotSet),
    /// Grant: read the objects of these parts live, without creating any.
    ReadWithheld(SlotSet),
    /// Grant: the same as `ReadContent`, live.
    ReadContentLive,
    /// Grant: create a reservation at the target, which gives no access. Needs the permit.
    Reserve,
    /// Grant: read the Grant, its request and the other owners of its slots live.
    Recheck,
    /// Grant: turn the reservation into the access, if it is untouched. Needs the permit.
    Arm(Reservation),
    /// Grant: write the access, and send nothing after `until`. Needs the permit.
    Apply {
        /// The last moment at which the write may be sent.
        until: Time,
        /// Slots that were filled before and are not written.
        except: SlotSet,
    },
    /// Grant: ask the target about this operation.
    Poll(Operation),
    /// Grant: store this if it still has this version.
    CommitGrant(Grant),
    /// Grant: remove the access, reservations included.
    Revoke {
        /// Slots that stay.
        keep: SlotSet,
        /// The last moment at which the removal may be sent; only where slots are shared.
        until: Option<Time>,
    },
    /// Grant: remove the finalizer of the deleted object.
    RemoveFinalizer,
    /// The reconcile is done; run it again then.
    Done(Requeue),
}

/// The outcome of an [`Effect`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Begin.
    Start,
    /// Of `ReadLive`.
    Refreshed(View),
    /// Of `ListSlots`.
    Slots(Slots),
    /// Of `VerifySlot`.
    HoldsSlot(bool),
    /// Of a commit: the new version; of a request's `BringForward`: the version that is stored now.
    Stored(Version),
    /// Of a Grant's `BringForward`: the Grant as it is stored now.
    BroughtForward(Grant),
    /// Of `ReadOwner`.
    Owner(OwnerState),
    /// Of `Observe`.
    Observed(Observation),
    /// Of `Survey`.
    Filled(SlotSet),
    /// Of `ReadSlotOwners`.
    SlotOwners(SlotOwners),
    /// Of `ReadContent` and `ReadContentLive`.
    Content(Content),
    /// Of `Reserve` and `ReadWithheld`.
    Reserved(Reservation),
    /// Of `Reserve`: an object that is not Curfew's has the name. Of `CreateSlot`: another request holds it. Of `TakeOverSlot`: it has
    /// changed, or is gone.
    Occupied,
    /// Of `Reserve`, `Arm` and `Apply`: the target says that this can never work.
    Refused,
    /// Of `Recheck`.
    Rechecked(Option<Grant>, OwnerState, SlotOwners),
    /// Of `CreateGrant`, `CreateSlot`, `TakeOverSlot`, `DeleteSlot`, `ReleaseSlots`, `Arm`, `Apply`, `Withhold`, `RemoveFinalizer`: it was done.
    Done,
    /// Of `Arm`, `Apply` and `Revoke`: the target has accepted it and works on it.
    Started(Operation),
    /// Of `Poll`: it still runs; ask again then.
    Running(Time),
    /// Of `Poll`: it has succeeded.
    Succeeded,
    /// Of `Poll`: it has failed, or the target does not know it. Nothing follows from that about the access.
    OperationFailed,
    /// Of `Revoke`: the target has accepted the removal, and nothing is left as far as it knows.
    Gone,
    /// The object has changed since it was read; nothing was written.
    Conflict,
    /// It failed, or the outcome is unknown.
    Failed,
}

/// A running reconcile of a request or a Grant.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reconcile {
    /// Of a request.
    Request(RequestReconcile),
    /// Of a Grant.
    Grant(GrantReconcile),
}

impl Reconcile {
    /// Of a request, from this replica's caches, which may be stale.
    pub fn request(view: View) -> Self {
        Reconcile::Request(RequestReconcile::new(view))
    }
    /// Of a Grant, which reads first what must be verified.
    pub fn grant(grant: Grant, verify: Verify) -> Self {
        Reconcile::Grant(GrantReconcile::new(grant, verify, false))
    }
    /// Of a Grant that a person has released without proof.
    pub fn abandoned(grant: Grant) -> Self {
        Reconcile::Grant(GrantReconcile::new(grant, Verify::default(), true))
    }
    /// One step. `now` and `permit` are read for each step and never kept.
    #[must_use]
    pub fn next(self, outcome: Outcome, now: Time, permit: bool) -> (Reconcile, Effect) {
        match self {
            Reconcile::Request(r) => r.next(outcome, now, permit),
            Reconcile::Grant(g) => g.next(outcome, now, permit),
        }
    }
}
