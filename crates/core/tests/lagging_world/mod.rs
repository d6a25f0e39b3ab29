//! A small world in which the real [`Reconcile`](curfew_core::reconcile::Reconcile) of one Grant runs behind a reservation, at a
//! target whose reads lag behind its writes.
//!
//! | Target | Reserve | Arm | Revoke |
//! |---|---|---|---|
//! | [`Target::Iam`] | CreatePolicy | GetPolicy, then AttachUserPolicy by name | DetachUserPolicy, DeletePolicy |
//! | [`Target::Center`] | CreatePermissionSet | CreateAccountAssignment, an operation that lasts | DeleteAccountAssignment, an operation that lasts; DeletePermissionSet |
//!
//! | File | What it holds |
//! |---|---|
//! | this file | the data: the Grant, its object at the target, operations of the target, the whole state |
//! | [`model`] | conversion between this data and the library's types; runs `Reconcile::next` and remembers its results |
//! | [`target`] | what the API server does for each effect, and what both targets have in common |
//! | [`aws`] | the calls of the two targets, one by one |
//! | [`moves`] | every event that can happen next |
//! | [`invariants`] | I1 to I4 and I8, in terms of the world |
//! | [`scenarios`] | initial states and budgets of faults |
//! | [`mutants`] | protections taken away, one at a time |
//!
//! A read shows any content that the object has had since the last tick: it may be older than a write, or newer. Writes take
//! effect in one order. An effect that makes several calls is performed call by call, so a process can stop between two of them.
pub mod aws;
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

pub fn time(t: Tick) -> Time {
    Time::from_secs(EPOCH_SECS + i64::from(t))
}
pub fn tick(t: Time) -> Tick {
    Tick::try_from(t.as_millis() / 1000 - EPOCH_SECS).expect("the world's times are ticks")
}

/// What the Grant is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// IAM: a policy, attached to a user. It is attached by name, and its id is read before.
    Iam,
    /// IAM Identity Center: a permission set, assigned to a user by operations that last. It is assigned by an id that no other
    /// permission set has.
    Center,
}

/// The stored Grant. Its content is its version: `revision` counts where content could come back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gr {
    pub state: State,
    pub expires: Tick,
    pub drifted: bool,
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
        Gr { state: State::Granting, expires, drifted: false, operation: None, active_since: None, removed_at: None, revision: 0 }
    }
}

/// What the policy or permission set gives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Content {
    /// It does not exist.
    Nothing,
    /// It is attached to nothing, or assigned to no user.
    Reserved,
    Given,
}

/// The policy or permission set that has the Grant's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Object {
    /// Each object has its own; 0 is none.
    pub uid: u8,
    pub content: Content,
    /// Contents and uids that it has had since the last tick, as bits: a read shows one of them.
    contents: u8,
    uids: u8,
}

impl Object {
    pub const NONE: Object = Object::settled(0, Content::Nothing);
    pub const RESERVED: Object = Object::settled(1, Content::Reserved);
    pub const GIVEN: Object = Object::settled(1, Content::Given);

    const fn settled(uid: u8, content: Content) -> Self {
        Object { uid, content, contents: 1 << content as u8, uids: 1 << uid }
    }
    pub fn put(&mut self, uid: u8, content: Content) {
        let now = Object::settled(uid, content);
        *self = Object { contents: self.contents | now.contents, uids: self.uids | now.uids, ..now };
    }
    /// Reads show what is there.
    pub fn settle(&mut self) {
        *self = Object::settled(self.uid, self.content);
    }
    /// Whether a read may show this content.
    pub fn may_show(self, content: Content) -> bool {
        self.contents & 1 << content as u8 != 0
    }
    /// Whether a read may show the object of this uid; 0 is none.
    pub fn may_show_uid(self, uid: u8) -> bool {
        self.uids & 1 << uid != 0
    }
}

/// An operation that the target has accepted and that has not taken effect yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Running {
    pub id: u8,
    pub kind: OperationKind,
    /// The object that it is about.
    pub uid: u8,
    /// It takes effect no later than in this tick.
    pub due: Tick,
}

/// What may still go wrong, and what people may still do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    pub crashes: u8,
    pub lease_moves: u8,
    /// Effects that fail, or whose answer is lost, operations that fail, and wrong answers about them.
    pub faults: u8,
    /// Whether the request may be deleted.
    pub deletes: u8,
    /// Writes that the target may carry out asynchronously.
    pub operations: u8,
}

/// What a replica does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Work {
    /// Its running reconcile, as a number in the model; 0 means none.
    pub task: u32,
    /// The first call of its effect was made.
    pub second_call: bool,
    /// For the invariants: a read has shown it that nothing was there, while the access was.
    pub misled: bool,
}

/// The whole state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub now: Tick,
    pub grant: Gr,
    /// Its request is gone.
    pub gone: bool,
    pub object: Object,
    pub next_uid: u8,
    pub operations: [Option<Running>; 2],
    pub next_operation: u8,
    /// Operations that have failed, as bits.
    pub failed: u8,
    /// Which replica holds the lease.
    pub leader: u8,
    pub replicas: [Work; 2],
    pub budget: Budget,
    /// For the invariants: a removal has deleted the object.
    pub revoked: bool,
    /// A step that the state does not show was wrong.
    pub broken: Option<invariants::Broken>,
}

impl World {
    /// Whether an operation that gives the access runs, for the object that is there.
    pub fn is_being_given(&self) -> bool {
        self.operations.iter().flatten().any(|o| o.kind == OperationKind::Apply && o.uid == self.object.uid)
    }
}
