//! A small world in which the real [`Reconcile`](curfew_core::reconcile::Reconcile) of Grants runs: up to three Grants of one
//! principal, whose plans share a slot, at a target that is everything Kubernetes is not.
//!
//! | File | What it holds |
//! |---|---|
//! | this file | the data: Grants, slots, operations of the target, the whole state |
//! | [`model`] | conversion between this data and the library's types; runs `Reconcile::next` and remembers its results |
//! | [`target`] | what the API server and the target do for each effect |
//! | [`moves`] | every event that can happen next |
//! | [`invariants`] | I1 to I5, in terms of the world |
//! | [`scenarios`] | initial states and budgets of faults |
//! | [`mutants`] | protections taken away, one at a time |
//!
//! A slot is a bare bit. Nothing at the target tells which Grant, or which person, has filled it. Between an effect and its
//! execution anything may happen for any time, which also covers stale caches.
pub mod invariants;
pub mod model;
pub mod moves;
pub mod mutants;
pub mod scenarios;
pub mod target;

use curfew_core::{
    grant::{OperationKind, State},
    time::Time,
};

/// The world's clock counts seconds.
pub type Tick = u8;
const EPOCH_SECS: i64 = 6_000;
/// Later than every deadline, on every clock.
pub const MUCH_LATER: Tick = 100;
/// The end of an access that does not expire at the target.
pub const NEVER: Tick = Tick::MAX;
pub const GRANTS: usize = 3;
pub const SLOTS: usize = 2;

pub fn time(t: Tick) -> Time {
    Time::from_secs(EPOCH_SECS + i64::from(t))
}
pub fn tick(t: Time) -> Tick {
    Tick::try_from(t.as_millis() / 1000 - EPOCH_SECS).expect("the world's times are ticks")
}

/// A stored Grant. Its content is its version: `revision` counts where content could come back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gr {
    pub state: State,
    pub expires: Tick,
    pub drifted: bool,
    /// The intent: which slots of the plan were filled before, as bits, and the time limit.
    pub intent: Option<(u8, Option<Tick>)>,
    pub operation: Option<StoredOperation>,
    pub active_since: Option<Tick>,
    pub removed_at: Option<Tick>,
    pub revision: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StoredOperation {
    pub id: u8,
    pub kind: OperationKind,
    pub poll_at: Tick,
}

impl Gr {
    pub const fn new(expires: Tick) -> Self {
        Gr {
            state: State::Granting,
            expires,
            drifted: false,
            intent: None,
            operation: None,
            active_since: None,
            removed_at: None,
            revision: 0,
        }
    }
    /// Active since the first tick, by its own write.
    pub const fn active(expires: Tick) -> Self {
        Gr { state: State::Active, intent: Some((0, None)), active_since: Some(0), ..Gr::new(expires) }
    }
}

/// One access at the target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    pub filled: bool,
    /// It changed in this tick: reads may show either value, and the target may refuse to remove it.
    pub changed: bool,
    /// When the target ends it by itself.
    pub expires: Tick,
    /// For the invariants: a Grant's write filled it.
    pub by_curfew: bool,
    /// For the invariants: a person filled it before any Grant could have written it.
    pub standing: bool,
}

impl Slot {
    pub const EMPTY: Slot = Slot { filled: false, changed: false, expires: NEVER, by_curfew: false, standing: false };
    pub const WRITTEN: Slot = Slot { filled: true, by_curfew: true, ..Slot::EMPTY };
    pub const STANDING: Slot = Slot { filled: true, standing: true, ..Slot::EMPTY };
}

/// An operation that the target has accepted and that has not taken effect yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Running {
    pub id: u8,
    pub kind: OperationKind,
    pub grant: u8,
    /// The world's slots that it changes, as bits.
    pub slots: u8,
    /// It takes effect no later than in this tick.
    pub due: Tick,
}

/// What may still go wrong, and what people may still do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    pub crashes: u8,
    pub lease_moves: u8,
    /// Effects that fail, or whose answer is lost, or answers of the target that are wrong.
    pub faults: u8,
    /// Requests that may be deleted, as bits.
    pub deletes: u8,
    /// Grants that may still be created, as bits, with their deadlines.
    pub creates: u8,
    /// Accesses that a person may add and remove.
    pub adds: u8,
    pub removes: u8,
    /// Writes that the target may carry out asynchronously.
    pub operations: u8,
}

/// The whole state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub now: Tick,
    pub grants: [Option<Gr>; GRANTS],
    /// Grants whose request is gone, as bits.
    pub gone: u8,
    pub slots: [Slot; SLOTS],
    pub operations: [Option<Running>; 2],
    pub next_operation: u8,
    /// Which replica holds the lease.
    pub leader: u8,
    /// By replica: its running reconcile, as a number in the model; 0 means none.
    pub tasks: [u32; 2],
    pub budget: Budget,
    /// For the invariants: Grants of which the target has accepted a write, as bits.
    pub wrote: u8,
    /// For the invariants: a person has removed access, or the target has ended it.
    pub disturbed: bool,
    /// A step that the state does not show was wrong.
    pub broken: Option<invariants::Broken>,
}
