//! A world of three requests for one role with limits, their Grants, the slots, and two workers of the operator: of one replica, or of two of which one
//! leads.
//!
//! | File | What it holds |
//! |---|---|
//! | this file | the data, and the rules that are taken away |
//! | [`model`] | conversion between this data and the library's types; runs `Reconcile::next` and remembers its results |
//! | [`moves`] | every event that can happen next, what each effect does, and what must hold |
//! | [`scenarios`] | initial states and budgets |
//!
//! A Grant is what the other models have shown of it: it is armed only if its request is seen to want it at that moment, and it ends at any
//! time. Pauses need no event: between an effect and its execution anything may happen.
pub mod model;
pub mod moves;
pub mod scenarios;

pub use moves::{Broken, Event};

use curfew_core::{approval::review::ReviewState, request::State};

pub const REQUESTS: usize = 3;
/// The slots: two of the role, one of each holder, and that of the extension of the first request.
pub const NAMES: usize = 2 + REQUESTS + 1;
pub const OF_HOLDER: usize = 2;

/// A stored request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Req {
    pub state: State,
    /// The slots that its status names, as bits.
    pub slots: u8,
    /// How far the review of a break-glass access has come.
    pub review: ReviewState,
}

impl Req {
    pub const NEW: Req = Req { state: State::Pending, slots: 0, review: ReviewState::NotRequired };
}

/// The Grant of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gr {
    None,
    Granting,
    Active,
    /// Armed before, and not proven gone.
    Revoking,
    Ended,
}

/// A slot that exists. Every object has a uid of its own; one that was taken over has another holder.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SlotObject {
    pub holder: u8,
    pub uid: u8,
    /// From which request its holder, an extension, has taken it over.
    pub from: Option<u8>,
}

/// Which of the requests extend the first one, and so are one access with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extends {
    Nothing,
    /// The third one; the second is another person's.
    One,
    /// The second and the third.
    Two,
}

impl Extends {
    pub fn includes(self, i: usize) -> bool {
        match self {
            Extends::Nothing => false,
            Extends::One => i == 2,
            Extends::Two => i > 0,
        }
    }
}

/// What may still happen. Sets of requests are bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    pub crashes: u8,
    pub lease_moves: u8,
    pub faults: u8,
    pub deletes: u8,
    pub denials: u8,
    /// Slots that a person deletes past the admission policy, of requests that have no Grant and that no replica looks at.
    pub slot_deletes: u8,
    /// Requests that another person may review, and that their requester may try to.
    pub reviews: u8,
    pub own_reviews: u8,
}

/// The whole state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub requests: [Option<Req>; REQUESTS],
    pub grants: [Gr; REQUESTS],
    /// Requests that were denied.
    pub denied: u8,
    /// Requests whose access was there; those that another person, and those that the requester has reviewed.
    pub had_access: u8,
    pub reviewed: u8,
    pub own_reviewed: u8,
    pub slots: [Option<SlotObject>; NAMES],
    pub next_uid: u8,
    /// Which worker has the permit; [`BOTH`] if they are reconciles of one process.
    pub leader: u8,
    /// By worker: its running reconcile, as a number in the model; 0 means none.
    pub tasks: [u32; 2],
    pub budget: Budget,
}

/// Both workers are of the replica that leads.
pub const BOTH: u8 = 2;

impl World {
    pub fn has_permit(&self, worker: usize) -> bool {
        self.leader == BOTH || usize::from(self.leader) == worker
    }
    pub fn has_access(&self, i: usize) -> bool {
        matches!(self.grants[i], Gr::Active | Gr::Revoking)
    }
}

/// Rules taken away, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// The rules as they are.
    None,
    /// A request begins without a slot.
    NoSlots,
    /// A slot is written whether or not it exists, as PUT and server-side apply do.
    SlotsOverwritten,
    /// A request that is `Revoking` holds no slot.
    FreeWhileRevoking,
    /// A request that does not exist holds no slot, even if its Grant gives access.
    FreeWhenDeleted,
    /// A slot is deleted by its name, without its uid.
    DeletedByName,
    /// The slots are not looked at before the Grant is created.
    NotRechecked,
    /// What has ended keeps its slots.
    NeverReleased,
    /// The end of a break-glass access frees its lock.
    LockFreeAtEnd,
    /// The deletion of its request does.
    LockFreeWhenDeleted,
    /// A review by the requester counts.
    OwnReviewCounts,
    /// What was reviewed keeps its lock.
    LockKeptWhenReviewed,
    /// An extension begins without a slot of the role.
    ExtensionNotCounted,
    /// What an extension has taken over is free once the extension has ended, also where what it extended has not.
    FreeWhileExtended,
    /// A slot is taken over also where another request holds it by then.
    TakenOverBlindly,
    /// A slot is deleted by its uid, also where it was taken over since.
    DeletedThoughTakenOver,
    /// A request has any number of extensions.
    AnyNumberOfExtensions,
}
