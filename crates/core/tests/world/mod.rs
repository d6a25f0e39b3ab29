//! A small world in which the real [`Reconcile`](curfew_core::reconcile::Reconcile) runs: two requests ([`Kind`]: mostly one which may be
//! deleted and re-created under the same name), their Grants, one binding each at the target, two replicas and the people around them.
//!
//! The content of the API server and of the target is plain data of a few bytes, so that millions of states fit into memory and
//! are compared exactly, not by fingerprint. A running reconcile is the library's own `Reconcile`, interned: a state holds its
//! number. Only `Reconcile::next` runs the rules under test.
//!
//! | File | What it holds |
//! |---|---|
//! | this file | the data: objects, replicas, the whole state |
//! | [`model`] | conversion between this data and the library's types; runs `Reconcile::next` and remembers its results |
//! | [`parent`] | what an extension finds of what it extends: the rules of the library, asked once for each case |
//! | [`effects`] | what the API server and the target do for each effect |
//! | [`locks`] | the one slot that the requests may compete for, and the review of a Grant |
//! | [`moves`] | every event that can happen next |
//! | [`invariants`] | I1 to I4 and I8, in terms of the world |
//! | [`attended`] | what a leader must bring about that looks at a state |
//! | [`scenarios`] | initial states and budgets of faults |
//! | [`mutants`] | protections taken away, one at a time |
//!
//! Stale caches: a reconcile may start from any combination of earlier versions of its parts (request, decisions, policies,
//! Grant: four watches). Real caches never go back, so this covers more than they do, and the state needs no cache.
pub mod attended;
pub mod effects;
pub mod invariants;
pub mod locks;
pub mod model;
pub mod moves;
pub mod mutants;
pub mod parent;
pub mod scenarios;
mod starts;

use curfew_core::{
    approval::review::ReviewState,
    grant::{OwnerState, State as GrantState},
    request::{GrantView, State},
    time::Time,
};
use std::hash::{Hash, Hasher};

/// The world's clock counts in these.
pub type Tick = u8;
const TICK_SECS: i64 = 60;
const EPOCH_SECS: i64 = 6_000;
/// How long the access lasts, how long the approvers have from acceptance, and when a stage escalates, in ticks.
pub const DURATION: Tick = 1;
pub const APPROVAL: Tick = 2;
/// When a scheduled request starts, and how long its access lasts: long enough to begin late.
pub const START: Tick = 1;
pub const SCHEDULED_DURATION: Tick = 2;
/// When the access ends that an extension extends.
pub const UNTIL: Tick = 2;
pub const ESCALATION: Tick = 1;
/// Later than every deadline, on every clock.
pub const MUCH_LATER: Tick = 100;

pub fn time(t: Tick) -> Time {
    Time::from_secs(EPOCH_SECS + TICK_SECS * i64::from(t))
}
pub fn tick(t: Time) -> Tick {
    Tick::try_from((t.as_millis() / 1000 - EPOCH_SECS) / TICK_SECS).expect("the world's times are ticks")
}

/// What the two requests of a world are to one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// They have one name: the second is created after the first was deleted.
    Lives,
    /// The first extends the second, which is active when the world begins, until [`UNTIL`].
    ParentAndChild,
    /// Both extend a third one, which is active until [`UNTIL`] and not modelled further. Nobody needs to approve them.
    Siblings,
}

/// A stored request; [`Kind`] says what the two are.
///
/// Its version is its content: it only ever moves forward (`invariants` checks that), so no content comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Req {
    pub generation: u8,
    pub state: State,
    /// The policies at acceptance, and when that was.
    pub frozen: Option<(Policies, Tick)>,
    pub expires: Option<Tick>,
    pub active: bool,
    /// Its status names the slot.
    pub slot: bool,
    /// How far the review of a break-glass access has come.
    pub review: ReviewState,
}

impl Req {
    pub const fn new(generation: u8) -> Self {
        Req { generation, state: State::Pending, frozen: None, expires: None, active: false, slot: false, review: ReviewState::NotRequired }
    }
    /// Whether it wants its grant.
    pub fn wants(self, generation: u8) -> bool {
        self.generation == generation && matches!(self.state, State::Activating | State::Active)
    }
}

/// A stored Grant; its version is its content, too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gr {
    pub expires: Tick,
    pub state: GrantState,
    pub drifted: bool,
    pub deleting: bool,
    /// It was stored `Active` once (`grantedAt`).
    pub was_active: bool,
    /// Its only part is withheld.
    pub withheld: bool,
    pub outgrown: bool,
}

impl Gr {
    pub const fn new(expires: Tick) -> Self {
        Gr { expires, state: GrantState::Granting, drifted: false, deleting: false, was_active: false, withheld: false, outgrown: false }
    }
    pub fn is_terminal(self) -> bool {
        matches!(self.state, GrantState::Ended | GrantState::Abandoned)
    }
}

/// What templates, assignments, policies and systems say. It changes at most once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Policies {
    Plain,
    /// Another digest, the same effects.
    OtherApprovers,
    /// Other effects.
    Wider,
    /// Nothing would be granted.
    Suspended,
    /// The target is unreachable, so what would be granted is unknown.
    Unreachable,
    /// What the request extends has ended before its deadline.
    ParentEnded,
    /// What the request extends cannot be extended.
    NothingToExtend,
    /// The policy does not allow break-glass.
    NoBreakGlass,
    /// As `Plain`, and break-glass, as only a forged status says.
    ClaimsBreakGlass,
}

impl Policies {
    /// In the order of their numbers.
    pub const ALL: [Policies; 9] = [
        Policies::Plain,
        Policies::OtherApprovers,
        Policies::Wider,
        Policies::Suspended,
        Policies::Unreachable,
        Policies::ParentEnded,
        Policies::NothingToExtend,
        Policies::NoBreakGlass,
        Policies::ClaimsBreakGlass,
    ];
}

/// Who must approve, and for how long. It does not change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ApprovalRules {
    /// One stage, which carol can fill.
    OneStage,
    /// Two stages in any order: carol can fill both, and erin the second.
    Parallel,
    /// One stage of dave's; carol is listed for its escalation.
    Escalated,
    /// A tick more than [`DURATION`] was asked for, and carol approves that long.
    Shortened,
    /// Two stages in order: carol can fill both, and erin the second.
    Sequential,
    /// One stage of two people: carol and erin.
    Quorum,
    /// One stage, which carol can fill; the request is for break-glass, so nobody is asked.
    BreakGlass,
    /// Nobody is asked.
    Nobody,
}

/// The role that the binding names, compared with what was frozen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Frozen,
    Missing,
    /// It allows more.
    Grown,
}

/// The binding at the target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Binding {
    /// Every object has its own; 0 is none.
    pub uid: u8,
    pub content: Content,
    /// How often it was changed.
    pub version: u8,
}

/// What a binding holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Content {
    Nothing,
    Reserved,
    /// It was armed, and its subjects were taken.
    Withheld,
    Armed,
    /// Armed, and a person has added a subject.
    Widened,
}

impl Binding {
    pub const NONE: Binding = Binding { uid: 0, content: Content::Nothing, version: 0 };
    pub const RESERVED: Binding = Binding { uid: 1, content: Content::Reserved, version: 1 };
    pub const ARMED: Binding = Binding { uid: 1, content: Content::Armed, version: 2 };
    pub const WITHHELD: Binding = Binding { uid: 1, content: Content::Withheld, version: 3 };
    /// The same object with other content has another version.
    pub fn put(&mut self, content: Content) {
        if self.content != content {
            (self.content, self.version) = (content, self.version + 1);
        }
    }
    pub fn armed(self) -> bool {
        self.content >= Content::Armed
    }
}

/// The slot that the requests compete for: the lock on further break-glass, or that of the one extension. Every object has a uid of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SlotObject {
    pub holder: u8,
    pub uid: u8,
}

/// Decisions about the request, as bits. A decision made while the second request exists, or about the parent, sets the bit four places
/// higher. When carol and erin approve the first request is told by the two bits of [`made_at`](decision_bits::made_at).
pub mod decision_bits {
    /// With the digest of the first request, as carol saw it; alice's own Approve is always there.
    pub const CAROL_APPROVES: u16 = 1;
    pub const DAVE_DENIES: u16 = 2;
    pub const CAROL_REVOKES: u16 = 4;
    pub const ALICE_REVOKES: u16 = 8;
    pub const STOPS: u16 = DAVE_DENIES | CAROL_REVOKES | ALICE_REVOKES;
    pub const LATE: u8 = 4;
    /// The same digest as carol's.
    pub const ERIN_APPROVES: u16 = 1 << 10;

    /// Reviews of the access: by carol, by alice, who had it, and by carol before there was any.
    pub const CAROL_REVIEWS: u16 = 1 << 13;
    pub const ALICE_REVIEWS: u16 = 1 << 14;
    pub const CAROL_REVIEWS_EARLY: u16 = 1 << 15;
    pub const REVIEWS: u16 = CAROL_REVIEWS | ALICE_REVIEWS | CAROL_REVIEWS_EARLY;
    /// Those of the first request, and those of the second.
    pub const FIRST: u16 = !(15 << LATE);
    pub const SECOND: u16 = 15 << LATE;

    /// The place of the bits that tell when this approval was made.
    fn made(approval: u16) -> u8 {
        if approval == ERIN_APPROVES { 11 } else { 8 }
    }
    /// The tick at which the first request was approved by carol, or by erin.
    pub fn approved_at(decisions: u16, approval: u16) -> super::Tick {
        (decisions >> made(approval)) as super::Tick & 3
    }
    /// The bits of a decision that is made at this tick.
    pub fn made_at(decision: u16, tick: super::Tick) -> u16 {
        let timed = matches!(decision, CAROL_APPROVES | ERIN_APPROVES);
        if timed { decision | u16::from(tick & 3) << made(decision) } else { decision }
    }
}

/// What happened once, for the invariants alone: no rule reads it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct History {
    /// The first deadline that was stored with `Activating`.
    pub first: Option<Tick>,
    /// At that commit: approved by the quorum; refused or taken back; other terms than those that were frozen.
    pub approved: bool,
    pub stopped: bool,
    pub changed: bool,
    /// A Grant of this request was stored `Active`, `Ended`.
    pub was_active: bool,
    pub ended: bool,
    /// A person has removed the binding of an active Grant.
    pub removed: bool,
    /// The role allowed what was frozen at some time since the access was withheld last.
    pub role_was_frozen: bool,
    /// There was a break-glass access, and another person has reviewed it.
    pub had_access: bool,
    pub reviewed: bool,
}

/// What may still go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    /// Decisions that may still be made.
    pub decisions: u16,
    pub crashes: u8,
    pub lease_moves: u8,
    /// Effects that fail, or whose answer is lost.
    pub faults: u8,
    /// Edits of templates and policies.
    pub edits: u8,
    /// Deletions of the request, and its re-creations.
    pub deletes: u8,
    pub creates: u8,
    /// Deletions of a Grant object by an administrator.
    pub grant_deletes: u8,
    /// Changes at the target by people.
    pub target_changes: u8,
    /// Changes of the role.
    pub role_changes: u8,
    /// Reviews of the first Grant, once its request is deleted.
    pub grant_reviews: u8,
}

/// The whole state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct World {
    pub now: Tick,
    pub requests: [Option<Req>; 2],
    pub decisions: u16,
    pub policies: Policies,
    pub approval: ApprovalRules,
    pub role: Role,
    /// By the life of the request: its Grant and its binding have names of their own.
    pub grants: [Option<Gr>; 2],
    pub bindings: [Binding; 2],
    pub next_uid: u8,
    pub slot: Option<SlotObject>,
    pub next_slot: u8,
    /// Which replica holds the lease; [`BOTH`] if they are two tasks of one process.
    pub leader: u8,
    /// By replica: the reconcile of the request and that of the Grant, as numbers in the model; 0 means none. Both run concurrently.
    pub tasks: [[u32; 2]; 2],
    /// What the caches may still show, as a number in the model.
    pub past: u32,
    pub budget: Budget,
    pub histories: [History; 2],
    /// A step that no state shows any more was wrong.
    pub broken: Option<invariants::Broken>,
}

/// Of a state only what tells most states apart is hashed, a few words of it: a search spends most of its time here. Which states are equal is
/// compared field by field.
impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let [[a, b], [c, d]] = self.tasks.map(|of_replica| of_replica.map(u64::from));
        let binding = |b: Binding| u64::from_le_bytes([b.uid, b.content as u8, b.version, 0, 0, 0, 0, 0]);
        let budget = self.budget;
        let left = [
            budget.crashes,
            budget.lease_moves,
            budget.faults,
            budget.edits,
            budget.deletes + 4 * budget.creates,
            budget.grant_deletes + 4 * budget.grant_reviews,
            budget.target_changes,
            budget.role_changes,
        ];
        let history = |h: History| u64::from(h.approved) | u64::from(h.stopped) << 1 | u64::from(h.changed) << 2;
        let slot = self.slot.map_or(0, |slot| slot.uid);
        let rest = [self.now, self.policies as u8, self.role as u8, self.leader, self.next_uid, slot, 0, 0];
        let exists = u64::from(self.requests[0].is_some()) | u64::from(self.requests[1].is_some()) << 1;
        hasher.write_u64(a << 32 | b);
        hasher.write_u64(c << 32 | d);
        hasher.write_u64(u64::from(self.past) << 32 | u64::from(self.decisions) << 16 | u64::from(budget.decisions));
        hasher.write_u64(u64::from_le_bytes(left));
        hasher.write_u64(u64::from_le_bytes(rest));
        hasher.write_u64(binding(self.bindings[0]) | binding(self.bindings[1]) << 24 | history(self.histories[0]) << 56 | exists << 60);
    }
}

/// Both workers are of the replica that leads.
pub const BOTH: u8 = 2;
/// No replica leads.
pub const NOBODY: u8 = 3;

impl World {
    pub fn has_permit(&self, replica: usize) -> bool {
        self.leader == BOTH || usize::from(self.leader) == replica
    }
    /// Whether the request that owns a Grant exists and wants it, read live.
    pub fn owner(&self, generation: u8) -> OwnerState {
        if self.requests[usize::from(generation)].is_some_and(|r| r.wants(generation)) { OwnerState::Wanted } else { OwnerState::Gone }
    }
    /// The only request of its name, where both have one name.
    pub fn request(&self) -> Option<Req> {
        self.requests[0].or(self.requests[1])
    }
}

/// The Grant as a request's reconcile sees it.
pub fn grant_view(g: Option<Gr>) -> GrantView {
    let Some(g) = g else { return GrantView::None };
    let active_since = g.was_active.then_some(time(0));
    if g.is_terminal() {
        GrantView::Ended { active_since, drifted: g.drifted, refused: false, outgrown: g.outgrown, abandoned: false }
    } else {
        let revoking = g.state == GrantState::Revoking;
        GrantView::Live { active_since, revoking, drifted: g.drifted, refused: false, outgrown: g.outgrown }
    }
}
