//! Initial states, and budgets of faults.
use super::{
    Budget, GRANTS, Gr, SLOTS, Slot, World,
    model::{Model, Setting},
    mutants::Mutant,
};
use curfew_core::grant::State;

/// How many states are searched where a scenario has more than a test can search. Every mutant is found within fewer.
pub const LIMIT: usize = 800_000;

/// A named initial state.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// Every reachable state is searched; otherwise [`LIMIT`] of them.
    pub complete: bool,
    pub setting: Setting,
    pub begin: fn() -> World,
}

/// An operation takes effect up to one tick after it was accepted, reads lag by one tick more, and what is sent is sent a tick
/// before its limit at the latest: one tick settles.
const SAME_CLOCKS: Setting = Setting {
    slow: [0, 0],
    write: 1,
    settle: 1,
    operation: 1,
    expiry: false,
    plans: [&[0], &[0], &[0]],
    deadlines: [2, 4, 4],
    replicas: 2,
    horizon: 5,
    mutant: Mutant::None,
};
/// Replica 0's clock is a tick behind, and the settle time includes that.
const SLOW: Setting = Setting { slow: [1, 0], settle: 2, horizon: 6, deadlines: [3, 6, 6], ..SAME_CLOCKS };
const LONG_WRITES: Setting = Setting { write: 2, deadlines: [3, 6, 6], horizon: 6, ..SAME_CLOCKS };
const EXPIRY: Setting = Setting { expiry: true, ..SAME_CLOCKS };
const SECOND_SLOT: Setting = Setting { plans: [&[0, 1], &[0], &[1]], ..SAME_CLOCKS };
/// An operation lasts longer than reads need to settle, so only its stored name tells that it still runs. Then one replica must
/// run alone, since an operation whose name is not stored is only covered by the settle time.
const LONG_OPERATION: Setting = Setting { operation: 7, replicas: 1, horizon: 16, ..SAME_CLOCKS };

const fn whole(name: &'static str, setting: Setting, begin: fn() -> World) -> Scenario {
    Scenario { name, complete: true, setting, begin }
}
const fn bounded(name: &'static str, setting: Setting, begin: fn() -> World) -> Scenario {
    Scenario { name, complete: false, setting, begin }
}

const CREATED: Scenario = bounded("one Grant, its request may be deleted", SAME_CLOCKS, one_created);
const CREATED_SLOW: Scenario = bounded("one Grant, replica 0 a tick slow", SLOW, one_created);
const CREATED_LONG: Scenario = bounded("one Grant, two ticks to write", LONG_WRITES, one_created);
const CREATED_FAULTS: Scenario = bounded("one Grant, faults, a crash, a lease that moves", SAME_CLOCKS, || World {
    budget: Budget { crashes: 1, lease_moves: 1, faults: 1, ..one_created().budget },
    ..one_created()
});
const BOTH_CREATED: Scenario = bounded("two Grants created", SAME_CLOCKS, both_created);
const BOTH_CREATED_SLOW: Scenario = bounded("two Grants created, replica 0 a tick slow", SLOW, both_created);
const JOINED: Scenario = bounded("a Grant joins one that may end at any time", SAME_CLOCKS, joined);
const JOINED_LONG: Scenario = bounded("a Grant joins one that may end at any time, two ticks to write", LONG_WRITES, joined);
const BOTH_ACTIVE: Scenario = bounded("two Grants active, both requests may be deleted", SAME_CLOCKS, both_active);
const NEXT: Scenario = whole("one Grant ends, another is created", SAME_CLOCKS, next_created);
const NEXT_SLOW: Scenario = whole("one Grant ends, another is created, replica 0 a tick slow", SLOW, next_created);
const NEXT_LONG: Scenario = whole("one Grant ends, another is created, two ticks to write", LONG_WRITES, next_created);
const NEXT_FAULTS: Scenario = bounded("one Grant ends, another is created, faults and a crash", SAME_CLOCKS, || World {
    budget: Budget { faults: 1, crashes: 1, lease_moves: 1, ..next_created().budget },
    ..next_created()
});
const THREE: Scenario = whole("two of three Grants end", SAME_CLOCKS, two_of_three_end);
const SECOND: Scenario =
    bounded("a second slot, shared with a third Grant", SECOND_SLOT, || World { slots: [Slot::WRITTEN; SLOTS], ..two_of_three_end() });
const STANDING: Scenario =
    bounded("standing access, two Grants created", SAME_CLOCKS, || World { slots: [Slot::STANDING, Slot::EMPTY], ..both_created() });
const ADDED: Scenario = bounded("one Grant ends, a person adds access, another Grant is created", SAME_CLOCKS, || World {
    budget: Budget { adds: 1, ..next_created().budget },
    ..next_created()
});
const REMOVED: Scenario = bounded("a person removes standing access between two surveys", SAME_CLOCKS, standing_removed);
const EXPIRES: Scenario = bounded("two Grants created, the target ends access itself", EXPIRY, both_created);
const LONG: Scenario = bounded("an operation longer than the settle time, one replica", LONG_OPERATION, long_operation);

/// The invariants are checked from all of these.
pub const ALL: &[Scenario] = &[
    CREATED,
    CREATED_SLOW,
    CREATED_LONG,
    CREATED_FAULTS,
    BOTH_CREATED,
    BOTH_CREATED_SLOW,
    JOINED,
    JOINED_LONG,
    BOTH_ACTIVE,
    NEXT,
    NEXT_SLOW,
    NEXT_LONG,
    NEXT_FAULTS,
    THREE,
    SECOND,
    STANDING,
    ADDED,
    REMOVED,
    EXPIRES,
    LONG,
];

/// From each of these the search finds a violation without the protection.
pub const MUTANTS: &[(Mutant, Scenario)] = &[
    (Mutant::OwnersNotCounted, BOTH_ACTIVE),
    (Mutant::OwnersReadTooEarly, BOTH_ACTIVE),
    (Mutant::LeavingHidesHolders, THREE),
    (Mutant::StandingHolderCounts, REMOVED),
    (Mutant::OwnersReadOnlyAfterSurvey, NEXT_LONG),
    (Mutant::OwnersNotRechecked, JOINED),
    (Mutant::LimitNotAwaited, NEXT_LONG),
    (Mutant::AbsenceBelievedAtOnce, CREATED),
    (Mutant::SettleIgnoresClocks, NEXT_SLOW),
    (Mutant::StandingNotRecorded, STANDING),
    (Mutant::StandingIgnoresOwners, JOINED),
    (Mutant::OperationForgotten, LONG),
    (Mutant::OperationNotAwaited, LONG),
    (Mutant::DoesNotExistIsProof, CREATED),
    (Mutant::IntentNotStored, CREATED),
    (Mutant::WriteSentLate, CREATED),
    (Mutant::RemovalSentLate, NEXT),
    (Mutant::RemovalLimitNotStored, NEXT),
    (Mutant::PermitIgnored, CREATED),
    (Mutant::AnyRunWrites, JOINED),
];

fn blank() -> World {
    World {
        now: 0,
        grants: [None; GRANTS],
        gone: 0,
        slots: [Slot::EMPTY; SLOTS],
        operations: [None; 2],
        next_operation: 0,
        leader: 0,
        tasks: [0; 2],
        budget: Budget::default(),
        wrote: 0,
        disturbed: false,
        broken: None,
    }
}

fn one_created() -> World {
    let budget = Budget { deletes: 1, operations: 1, ..Budget::default() };
    World { grants: [Some(Gr::new(2)), None, None], budget, ..blank() }
}

fn both_created() -> World {
    let budget = Budget { lease_moves: 1, operations: 1, ..Budget::default() };
    World { grants: [Some(Gr::new(2)), Some(Gr::new(3)), None], budget, ..blank() }
}

/// The second Grant starts while the first is active or leaves.
fn joined() -> World {
    let budget = Budget { deletes: 1, operations: 1, ..Budget::default() };
    World { grants: [Some(Gr::active(2)), Some(Gr::new(4)), None], wrote: 1, slots: [Slot::WRITTEN, Slot::EMPTY], budget, ..blank() }
}

fn both_active() -> World {
    let budget = Budget { deletes: 0b11, operations: 1, faults: 1, ..Budget::default() };
    World { grants: [Some(Gr::active(2)), Some(Gr::active(3)), None], wrote: 0b11, slots: [Slot::WRITTEN, Slot::EMPTY], budget, ..blank() }
}

fn next_created() -> World {
    let ends = Gr { state: State::Revoking, ..Gr::active(0) };
    let budget = Budget { creates: 0b10, operations: 1, ..Budget::default() };
    World { grants: [Some(ends), None, None], wrote: 1, slots: [Slot::WRITTEN, Slot::EMPTY], budget, ..blank() }
}

fn two_of_three_end() -> World {
    let budget = Budget { operations: 1, ..Budget::default() };
    let grants = [Some(Gr::active(0)), Some(Gr::active(0)), Some(Gr::active(4))];
    World { grants, wrote: 0b111, slots: [Slot::WRITTEN, Slot::EMPTY], budget, ..blank() }
}

fn standing_removed() -> World {
    let budget = Budget { removes: 1, lease_moves: 1, deletes: 0b10, ..Budget::default() };
    World { slots: [Slot::STANDING, Slot::EMPTY], budget, ..both_created() }
}

fn long_operation() -> World {
    let budget = Budget { operations: 2, deletes: 1, creates: 0b10, ..Budget::default() };
    World { grants: [Some(Gr::new(3)), None, None], budget, ..blank() }
}

impl Scenario {
    /// A model for this scenario, and the initial state.
    pub fn set_up(&self, mutant: Mutant) -> (Model, World) {
        let mut setting = self.setting;
        setting.mutant = mutant;
        (Model::new(setting), (self.begin)())
    }
}
