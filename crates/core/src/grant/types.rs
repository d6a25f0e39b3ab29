//! What a decision about a Grant is made from, and what it can be.
use crate::{
    admission::Provenance,
    ids::Version,
    requeue::Requeue,
    resolved::Schema,
    target::{Content, Guarantees, SlotSet},
    time::Time,
};
use std::sync::Arc;

/// A state of a Grant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// The intent is stored; the target may or may not have been written.
    Granting,
    /// The target has shown the access.
    Active,
    /// The access is being removed; unknown counts as present.
    Revoking,
    /// The target has shown that nothing is left.
    Ended,
    /// A person has released a Grant whose target no longer exists. It justifies nothing.
    Abandoned,
}

impl State {
    /// Whether the Grant has ended, with proof or without.
    pub const fn is_terminal(self) -> bool {
        matches!(self, State::Ended | State::Abandoned)
    }
}

/// What the target shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Observation {
    /// Exactly what was granted.
    Present,
    /// Nothing.
    Absent,
    /// Every object of the grant is there, and some give no access.
    Disarmed {
        /// Parts of the plan with an object that gives none.
        any: SlotSet,
        /// Parts of the plan of which none gives any.
        all: SlotSet,
    },
    /// Less or more than was granted.
    Drifted,
    /// The target could not be read.
    Unknown,
}

/// What is known about the request that owns a Grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OwnerState {
    /// It was not read.
    NotRead,
    /// It exists, is the same one, and wants its grant.
    Wanted,
    /// It is gone, is another one, or has ended.
    Gone,
}

/// What is known about the other Grants that fill slots of the same plan, read live.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SlotOwners {
    /// Another Grant is removing one of the slots, or has ended so recently that reads of the target cannot be believed.
    Unsettled {
        /// As in `Settled`: a third Grant may hold a slot that two others are leaving.
        held: SlotSet,
        /// As in `Settled`.
        standing: SlotSet,
    },
    /// None is.
    Settled {
        /// Slots that another Grant holds: it is active, or has stored the intent to write.
        held: SlotSet,
        /// Of these, the slots that every Grant which holds them recorded as filled before its first write. None of these Grants
        /// removes them.
        standing: SlotSet,
    },
}

impl SlotOwners {
    /// No other Grant fills any of the slots.
    pub const FREE: SlotOwners = SlotOwners::Settled { held: SlotSet::NONE, standing: SlotSet::NONE };
}

/// The stored intent to write without a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Intent {
    /// Slots that were filled before the first write, by others than Curfew. They are never written and never removed.
    pub standing: SlotSet,
    /// Nothing is sent after this: neither the write, nor in `Revoking` a removal from a shared slot. `None` once the target has
    /// confirmed the write.
    pub until: Option<Time>,
}

/// What a long-running operation of the target does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OperationKind {
    /// It creates the access.
    Apply,
    /// It removes the access.
    Revoke,
}

/// A long-running operation of the target. It is stored, so any replica can follow it and no worker waits for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Operation {
    /// The target's name for it.
    pub id: Arc<str>,
    /// What it does.
    pub kind: OperationKind,
    /// When to ask the target about it.
    pub poll_at: Time,
}

/// One stored Grant, as far as the rules need it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Grant {
    /// The version for the compare-and-swap.
    pub version: Version,
    /// Which build can judge it.
    pub schema: Schema,
    /// When it ends. May only move earlier.
    pub expires_at: Time,
    /// The state.
    pub state: State,
    /// It was ended by a change at the target.
    pub drifted: bool,
    /// It was ended because the target said that the write can never work.
    pub refused: bool,
    /// It was ended because something that it gives allows more than what was frozen.
    pub outgrown: bool,
    /// Parts of the plan that are kept without access while their content does not exist.
    pub withheld: SlotSet,
    /// The object was deleted; its finalizer holds it until nothing is left.
    pub deleting: bool,
    /// Whether admission was proven when it was created, or this process created it. If not, anyone may have written it.
    pub provenance: Provenance,
    /// What its plan declares about the target.
    pub guarantees: Guarantees,
    /// When the target first showed the access.
    pub active_since: Option<Time>,
    /// The intent to write; only where the fence is a time limit.
    pub intent: Option<Intent>,
    /// A long-running operation at the target.
    pub operation: Option<Operation>,
    /// When the target accepted the last removal; only where its reads lag behind its writes.
    pub removed_at: Option<Time>,
}

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The time.
    pub now: Time,
    /// The Grant as it is stored.
    pub grant: &'a Grant,
    /// What the target shows, if it was read in this run.
    pub observation: Option<Observation>,
    /// Which slots of the plan are filled, if they were read in this run.
    pub filled: Option<SlotSet>,
    /// The other Grants in the same slots, if they were read in this run.
    pub slot_owners: Option<SlotOwners>,
    /// The time limit that this run has stored itself. It may write, or remove from a shared slot, until then.
    pub write_until: Option<Time>,
    /// The request that owns it.
    pub owner: OwnerState,
    /// Whether the request must be read live: after a delete, at start, in the heartbeat.
    pub verify_owner: bool,
    /// How the content stands, if it was read in this run.
    pub content: Option<Content>,
    /// Whether the content must be read: after it has changed, at start, in the heartbeat.
    pub verify_content: bool,
    /// Lease held, admission proven, clock sane, caches synced.
    pub permit: bool,
    /// A person with the right to it has released it, because its target no longer exists.
    pub abandoned: bool,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// Nothing now.
    Wait(Requeue),
    /// Read live whether the request exists.
    ReadOwner,
    /// Read the target, leaving out these slots.
    Observe {
        /// Slots that are not this grant's to judge.
        except: SlotSet,
    },
    /// Read how the content of what it gives stands.
    ReadContent,
    /// Take the access of these parts, and keep their objects.
    Withhold(SlotSet),
    /// Give these parts their access back: read their objects, recheck, read the content live, arm.
    Restore(SlotSet),
    /// Read which slots of the plan are filled.
    Survey,
    /// Read live which other Grants fill the same slots.
    ReadSlotOwners,
    /// Store an earlier end: now.
    BringForward,
    /// Store this.
    Commit(Grant),
    /// Write to the target behind a reservation: reserve, recheck, arm.
    Reserve,
    /// Recheck, then write to the target within the stored time limit.
    Apply {
        /// Nothing is sent after this.
        until: Time,
    },
    /// Ask the target about the stored operation.
    Poll,
    /// Remove the access.
    Revoke {
        /// Slots that stay: they were filled before, or another Grant holds them.
        keep: SlotSet,
        /// Nothing is sent after this. Only where slots are shared: a late removal would hit the next Grant in the slot.
        until: Option<Time>,
    },
    /// Remove the finalizer of the deleted object.
    RemoveFinalizer,
}
