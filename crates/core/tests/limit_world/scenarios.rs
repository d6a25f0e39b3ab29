//! Initial states, and budgets.
use super::{
    BOTH, Budget, Extends, Gr, Mutant, NAMES, OF_HOLDER, REQUESTS, Req, SlotObject, World,
    model::{Model, Setting},
};
use curfew_core::{
    reason::{Reason, TerminalState},
    request::State,
};

/// A named initial state.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// The limit of the role.
    pub active: u16,
    pub one_holder: bool,
    pub break_glass: bool,
    pub extends: Extends,
    /// Every reachable state is searched; otherwise as many as the limit allows.
    pub complete: bool,
    pub begin: fn() -> World,
}

const fn of_role(name: &'static str, begin: fn() -> World) -> Scenario {
    Scenario { name, active: 1, one_holder: false, break_glass: false, extends: Extends::Nothing, complete: true, begin }
}

const fn extended(extends: Extends, name: &'static str, begin: fn() -> World) -> Scenario {
    Scenario { extends, ..of_role(name, begin) }
}

/// All requests are for break-glass, and of one person; the role itself has room for both.
const fn of_person(name: &'static str, begin: fn() -> World) -> Scenario {
    Scenario { name, active: 2, one_holder: true, break_glass: true, extends: Extends::Nothing, complete: true, begin }
}

/// The invariants are checked from all of these.
pub const ALL: &[Scenario] = &[
    of_role("two ask at the same moment", two_ask),
    of_role("two ask, one crash", || with(two_ask, |b| b.crashes = 1)),
    of_role("two ask, one effect fails", || with(two_ask, |b| b.faults = 1)),
    of_role("two ask, and are deleted", || with(two_ask, |b| b.deletes = 3)),
    of_role("two ask, and one is denied", || with(two_ask, |b| b.denials = 1)),
    of_role("one holds, one asks, and the first is deleted or denied", || with(one_holds, |b| (b.deletes, b.denials) = (1, 1))),
    of_role("two ask for what an ended one left behind", left_behind),
    of_role("two ask, and a slot is deleted by hand", || with(two_ask, |b| b.slot_deletes = 1)),
    Scenario {
        name: "one holder asks twice, limit of the role two",
        active: 2,
        one_holder: true,
        break_glass: false,
        extends: Extends::Nothing,
        complete: true,
        begin: two_ask,
    },
    Scenario {
        name: "three ask, limit two",
        active: 2,
        one_holder: false,
        break_glass: false,
        extends: Extends::Nothing,
        complete: false,
        begin: three_ask,
    },
    extended(Extends::One, "one holds and extends, another one asks", one_extends),
    extended(Extends::One, "one holds and extends, another one asks, one crash", || quietly(|b| b.crashes = 1)),
    extended(Extends::One, "one holds and extends, another one asks, and the extension is denied", || quietly(|b| b.denials = 4)),
    extended(Extends::One, "one holds and extends, another one asks, and both of the first are deleted", || quietly(|b| b.deletes = 5)),
    Scenario {
        complete: false,
        ..extended(Extends::Two, "one holds and extends twice, and one extension is denied", || quietly(|b| b.denials = 2))
    },
    Scenario { complete: false, ..of_person("break-glass twice, with reviews", || with(two_ask, |b| (b.reviews, b.own_reviews) = (3, 1))) },
    Scenario {
        complete: false,
        ..of_person("break-glass twice, with a deletion and reviews", || with(two_ask, |b| (b.reviews, b.deletes) = (3, 1)))
    },
];

/// From each of these the search finds a violation without the rule.
pub const MUTANTS: &[(Mutant, Scenario)] = &[
    (Mutant::NoSlots, of_role("two ask at the same moment", two_ask)),
    (Mutant::SlotsOverwritten, of_role("two ask at the same moment", two_ask)),
    (Mutant::FreeWhileRevoking, of_role("one holds, one asks", one_holds)),
    (Mutant::FreeWhenDeleted, of_role("one holds, one asks, and the first is deleted", || with(one_holds, |b| b.deletes = 1))),
    (Mutant::DeletedByName, of_role("two ask for what an ended one left behind", left_behind)),
    (Mutant::NotRechecked, of_role("two ask, and a slot is deleted by hand", || with(two_ask, |b| b.slot_deletes = 1))),
    (Mutant::NeverReleased, of_role("one holds, one asks", one_holds)),
    (Mutant::LockFreeAtEnd, of_person("break-glass twice", two_ask)),
    (Mutant::LockFreeWhenDeleted, of_person("break-glass twice, with a deletion", || with(two_ask, |b| b.deletes = 1))),
    (Mutant::OwnReviewCounts, of_person("break-glass twice, reviewed by the requester", || with(two_ask, |b| b.own_reviews = 1))),
    (Mutant::LockKeptWhenReviewed, of_person("break-glass, reviewed", || with(two_ask, |b| b.reviews = 3))),
    (Mutant::ExtensionNotCounted, extended(Extends::One, "one holds and extends, another one asks", one_extends)),
    (
        Mutant::FreeWhileExtended,
        extended(Extends::One, "one holds and extends, another one asks, and the extension is denied", || {
            with(one_extends, |b| b.denials = 4)
        }),
    ),
    (Mutant::TakenOverBlindly, extended(Extends::One, "one holds and extends, another one asks", one_extends)),
    (Mutant::DeletedThoughTakenOver, extended(Extends::One, "one holds and extends, another one asks", one_extends)),
    (Mutant::AnyNumberOfExtensions, extended(Extends::Two, "one holds and extends twice", one_extends)),
];

fn with(begin: fn() -> World, change: fn(&mut Budget)) -> World {
    let mut w = begin();
    change(&mut w.budget);
    w
}

fn two_ask() -> World {
    World {
        requests: [Some(Req::NEW), Some(Req::NEW), None],
        grants: [Gr::None; REQUESTS],
        denied: 0,
        had_access: 0,
        reviewed: 0,
        own_reviewed: 0,
        slots: [None; NAMES],
        next_uid: 0,
        leader: BOTH,
        tasks: [0; 2],
        budget: Budget { lease_moves: 1, ..Budget::default() },
    }
}

fn three_ask() -> World {
    World { requests: [Some(Req::NEW); 3], ..two_ask() }
}

/// The first has access and the slots, the second asks.
fn one_holds() -> World {
    let mut w = two_ask();
    w.requests[0] = Some(Req { state: State::Active, slots: 1 | 1 << OF_HOLDER, ..Req::NEW });
    w.grants[0] = Gr::Active;
    w.slots[0] = Some(SlotObject { holder: 0, uid: 0, from: None });
    w.slots[OF_HOLDER] = Some(SlotObject { holder: 0, uid: 1, from: None });
    w.next_uid = 2;
    w
}

/// The first has access and the slots; the others ask, of which one or both extend it.
fn one_extends() -> World {
    World { requests: [one_holds().requests[0], Some(Req::NEW), Some(Req::NEW)], ..one_holds() }
}

/// The same where the permit stays, with this budget.
fn quietly(change: fn(&mut Budget)) -> World {
    let mut w = with(one_extends, change);
    w.budget.lease_moves = 0;
    w
}

/// The operator died after the first had ended, before its slots were released.
fn left_behind() -> World {
    let mut w = one_holds();
    let expired = State::Ended(TerminalState::Expired, Reason::DeadlinePassed);
    w.requests = [Some(Req { state: expired, ..w.requests[0].unwrap_or(Req::NEW) }), Some(Req::NEW), Some(Req::NEW)];
    w.grants[0] = Gr::Ended;
    w
}

impl Scenario {
    /// A model for this scenario, and the initial state.
    pub fn set_up(&self, mutant: Mutant) -> (Model, World) {
        (
            Model::new(Setting {
                active: self.active,
                one_holder: self.one_holder,
                break_glass: self.break_glass,
                extends: self.extends,
                mutant,
            }),
            (self.begin)(),
        )
    }
}
