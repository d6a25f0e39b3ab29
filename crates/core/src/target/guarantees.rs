//! What the protocol knows of a plan and its target, whichever provider it is: how a late write is stopped, which parts of a plan there
//! are, and how they stand.
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// What is left of what an active grant holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// What no longer exists at the target and gives nothing, in words.
    pub gone: Vec<String>,
}

/// What stops a write that is sent late, by a paused process or a client that retries (design §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Fence {
    /// An object that gives no access is created first. Only that very object can be turned into the access, and revocation
    /// deletes it, so a late write fails at the target.
    Reservation,
    /// The target offers nothing of that kind. The intent to write is stored with a time limit, nothing is sent after it, and
    /// the end of the grant waits for it.
    TimeLimit {
        /// Seconds between storing the intent and the last moment at which the write may be sent.
        write_secs: u32,
    },
}

/// What a plan declares about its target: everything that the protocol needs to know of the provider, stored with the Grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Guarantees {
    /// What stops late writes.
    pub fence: Fence,
    /// Seconds after the last write until reads can be believed: read lag, operations that were accepted and still run, and the
    /// difference between the clocks of two replicas. Zero where an answer of the target is proof at once.
    pub settle_secs: u32,
    /// How many slots the plan fills: accesses of which the target can hold only one copy, shared by overlapping grants.
    /// Zero where each grant writes objects of its own. At most [`SlotSet::MAX`].
    pub slots: u8,
}

impl Guarantees {
    /// Objects of the grant's own, a reservation, and answers that are proof at once.
    pub const OWN_OBJECTS: Guarantees = Guarantees { fence: Fence::Reservation, settle_secs: 0, slots: 0 };
}

/// How the content of what a Grant gives stands, compared with what was frozen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Content {
    /// Nothing allows more than what was frozen.
    Within {
        /// Parts of the plan whose content does not exist. Its creator would decide what they give.
        missing: SlotSet,
    },
    /// Something allows more.
    Grown,
    /// The content, or what was frozen, could not be read.
    Unknown,
}

/// A set of slots, or of parts, of one plan, by index. A part is what one permission gives: the bindings of one role.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SlotSet(u64);

impl SlotSet {
    /// The highest number of slots in one plan.
    pub const MAX: u8 = 64;
    /// No slot.
    pub const NONE: SlotSet = SlotSet(0);

    /// All slots of a plan that has `count` of them.
    pub const fn all(count: u8) -> Self {
        if count >= Self::MAX { SlotSet(u64::MAX) } else { SlotSet((1 << count) - 1) }
    }
    /// This set with one more slot; indices from [`SlotSet::MAX`] on are ignored.
    #[must_use]
    pub const fn with(self, index: u8) -> Self {
        if index >= Self::MAX { self } else { SlotSet(self.0 | 1 << index) }
    }
    /// Whether it holds the slot.
    pub const fn contains(self, index: u8) -> bool {
        index < Self::MAX && self.0 & 1 << index != 0
    }
    /// Slots of either.
    #[must_use]
    pub const fn union(self, other: SlotSet) -> Self {
        SlotSet(self.0 | other.0)
    }
    /// Slots of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: SlotSet) -> Self {
        SlotSet(self.0 & !other.0)
    }
    /// Slots of both.
    #[must_use]
    pub const fn intersection(self, other: SlotSet) -> Self {
        SlotSet(self.0 & other.0)
    }
    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The indices, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..Self::MAX).filter(move |i| self.contains(*i))
    }
}

impl FromIterator<u8> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u8>>(indices: I) -> Self {
        indices.into_iter().fold(SlotSet::NONE, SlotSet::with)
    }
}

/// The names that a Grant's target objects carry: grant, install and deadline.
#[derive(Clone, Copy, Debug)]
pub struct PlanNames<'a> {
    /// The install id.
    pub install: &'a str,
    /// The grant id.
    pub grant: &'a str,
    /// When the grant ends at the latest.
    pub deadline: Time,
}
