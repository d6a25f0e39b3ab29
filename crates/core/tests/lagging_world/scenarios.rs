//! Initial states, and budgets of faults.
use super::{
    Budget, Gr, Object, Running, Target, Tick, Work, World,
    model::{Model, Setting},
    mutants::Mutant,
};
use curfew_core::grant::{OperationKind, State};

/// A named initial state, from which every reachable state is searched.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub setting: Setting,
    pub now: Tick,
    pub state: State,
    pub object: Object,
    /// An operation that the target has accepted, and that no process knows of.
    pub operation: Option<Running>,
    pub budget: Budget,
}

/// Reads lag by one tick: one tick settles.
const IAM: Setting = Setting {
    target: Target::Iam,
    slow: [0, 0],
    settle: 1,
    deadline: 1,
    operation: 0,
    stale_caches: false,
    horizon: 3,
    mutant: Mutant::None,
};
/// Replica 0's clock is a tick behind, and the settle time includes that.
const IAM_SLOW: Setting = Setting { slow: [1, 0], settle: 2, horizon: 4, ..IAM };
const IAM_LATER: Setting = Setting { deadline: 2, horizon: 4, ..IAM };
/// An operation takes effect up to one tick after it was accepted.
const CENTER: Setting = Setting { target: Target::Center, operation: 1, ..IAM };
const CENTER_SLOW: Setting = Setting { slow: [1, 0], settle: 2, horizon: 4, ..CENTER };
const CENTER_STALE: Setting = Setting { stale_caches: true, horizon: 2, ..CENTER };
const CENTER_SHORT: Setting = Setting { horizon: 2, ..CENTER };
const CENTER_LATER: Setting = Setting { deadline: 2, horizon: 4, ..CENTER };
/// An operation lasts longer than reads need to settle.
const CENTER_LONG: Setting = Setting { operation: 2, horizon: 3, ..CENTER };
const CENTER_LONGER: Setting = Setting { operation: 3, horizon: 5, ..CENTER };

const NOTHING: Budget = Budget { crashes: 0, lease_moves: 0, faults: 0, deletes: 0, operations: 0 };
const LEASE: Budget = Budget { lease_moves: 1, ..NOTHING };
const DELETED: Budget = Budget { deletes: 1, ..NOTHING };
const DELETED_AND_LEASE: Budget = Budget { deletes: 1, ..LEASE };
const DELETED_AND_CRASH: Budget = Budget { crashes: 1, ..DELETED };
const ALL_THREE: Budget = Budget { crashes: 1, ..DELETED_AND_LEASE };

const fn created(name: &'static str, setting: Setting, budget: Budget) -> Scenario {
    Scenario { name, setting, now: 0, state: State::Granting, object: Object::NONE, operation: None, budget }
}
const fn due(name: &'static str, setting: Setting, budget: Budget) -> Scenario {
    Scenario { now: setting.deadline, state: State::Active, object: Object::GIVEN, ..created(name, setting, budget) }
}
/// The process that has sent the arm has died before it has stored the operation.
const fn accepted(name: &'static str, setting: Setting, budget: Budget) -> Scenario {
    let operation = Running { id: 1, kind: OperationKind::Apply, uid: 1, due: setting.operation };
    Scenario { object: Object::RESERVED, operation: Some(operation), ..created(name, setting, budget) }
}
const fn operations(operations: u8, budget: Budget) -> Budget {
    Budget { operations, ..budget }
}
const fn faults(faults: u8, budget: Budget) -> Budget {
    Budget { faults, ..budget }
}

const IAM_CREATED: Scenario = created("IAM: created, the request may be deleted, the lease moves", IAM_LATER, DELETED_AND_LEASE);
const IAM_CREATED_SLOW: Scenario =
    created("IAM: created, the request may be deleted, the lease moves, replica 0 a tick slow", IAM_SLOW, DELETED_AND_LEASE);
const IAM_CRASH: Scenario = created("IAM: created, the request may be deleted, a crash", IAM, DELETED_AND_CRASH);
const IAM_FAULTS: Scenario = created("IAM: created, two effects fail, the lease moves", IAM, faults(2, LEASE));
const IAM_DUE: Scenario = due("IAM: Active at the deadline, two effects fail, a crash", IAM, Budget { crashes: 1, ..faults(2, NOTHING) });
const CENTER_CREATED: Scenario =
    created("Identity Center: created, the request may be deleted, the lease moves", CENTER, operations(1, DELETED_AND_LEASE));
const CENTER_CREATED_SLOW: Scenario =
    created("Identity Center: created, the lease moves, replica 0 a tick slow", CENTER_SLOW, operations(1, LEASE));
const CENTER_CREATED_STALE: Scenario =
    created("Identity Center: created, the request may be deleted, the lease moves, stale caches", CENTER_STALE, DELETED_AND_LEASE);
const CENTER_CREATED_LONG: Scenario =
    created("Identity Center: created, the lease moves, operations longer than the settle time", CENTER_LONG, operations(2, LEASE));
const CENTER_CRASH: Scenario =
    created("Identity Center: created, the request may be deleted, a crash", CENTER_SHORT, operations(1, DELETED_AND_CRASH));
const CENTER_ACCEPTED: Scenario = accepted(
    "Identity Center: accepted and not stored, the request may be deleted, a crash",
    CENTER_LONG,
    operations(1, DELETED_AND_CRASH),
);
const CENTER_ACCEPTED_ASYNC: Scenario =
    accepted("Identity Center: accepted and not stored, the request may be deleted", CENTER_LONG, operations(1, DELETED));
const CENTER_ACCEPTED_FAULTS: Scenario =
    accepted("Identity Center: accepted and not stored, an effect or an operation fails", CENTER_LONG, faults(1, operations(1, NOTHING)));
const CENTER_DUE: Scenario =
    due("Identity Center: Active at the deadline, an effect or an operation fails", CENTER_LONGER, faults(1, operations(2, NOTHING)));

/// The invariants are checked from all of these.
pub const ALL: &[Scenario] = &[
    IAM_CREATED,
    IAM_CREATED_SLOW,
    IAM_CRASH,
    IAM_FAULTS,
    IAM_DUE,
    CENTER_CREATED,
    CENTER_CREATED_SLOW,
    CENTER_CREATED_STALE,
    CENTER_CREATED_LONG,
    CENTER_CRASH,
    CENTER_ACCEPTED,
    CENTER_ACCEPTED_ASYNC,
    CENTER_ACCEPTED_FAULTS,
    CENTER_DUE,
];

/// With `LIMIT` set the invariants are checked from these, too, in as many states.
pub const LARGER: &[Scenario] = &[
    created("IAM: everything", Setting { horizon: 5, ..IAM_LATER }, faults(1, ALL_THREE)),
    created("IAM: everything, replica 0 a tick slow", IAM_SLOW, faults(1, ALL_THREE)),
    created("Identity Center: everything", CENTER_LATER, faults(1, operations(2, ALL_THREE))),
    created("Identity Center: everything, replica 0 a tick slow", CENTER_SLOW, faults(1, operations(2, ALL_THREE))),
    created("Identity Center: everything, stale caches", CENTER_STALE, faults(1, operations(2, ALL_THREE))),
    accepted("Identity Center: everything, accepted and not stored", CENTER_LONGER, faults(1, operations(2, ALL_THREE))),
];

/// From each of these the search finds a violation without the protection.
pub const MUTANTS: &[(Mutant, Scenario)] = &[
    (Mutant::AnswerIsProof, IAM_CREATED),
    (Mutant::NoSecondLook, IAM_CREATED),
    (Mutant::ShownAgainStays, IAM_CREATED),
    (Mutant::SettleIgnoresClocks, IAM_CREATED_SLOW),
    (Mutant::DriftBelievedAtOnce, IAM_CREATED),
    (Mutant::NoRecheck, IAM_CREATED),
    (Mutant::ArmCreates, IAM_CREATED),
    (Mutant::ThirdProcess, IAM_CREATED),
    (Mutant::PermitIgnored, IAM_CREATED),
    (Mutant::AnswerIsProof, CENTER_CREATED),
    (Mutant::NoSecondLook, CENTER_CREATED),
    (Mutant::ShownAgainStays, CENTER_CREATED),
    (Mutant::SettleIgnoresClocks, CENTER_CREATED_SLOW),
    (Mutant::NoRecheck, CENTER_CREATED),
    (Mutant::ArmCreates, CENTER_CREATED),
    (Mutant::ArmNamesNoUid, CENTER_CREATED_STALE),
    (Mutant::DeletionNotRefused, CENTER_CREATED),
    (Mutant::NotStoredIsNotWritten, CENTER_CREATED),
    (Mutant::AcceptedIsDone, CENTER_CREATED),
    (Mutant::FailureIsAbsence, CENTER_ACCEPTED_FAULTS),
    (Mutant::RemovalIsProof, CENTER_CREATED_LONG),
];

/// From these the search finds none: what was accepted is found at the target, also where its operation is not stored.
pub const NOT_NEEDED: &[(Mutant, Scenario)] =
    &[(Mutant::OperationForgotten, CENTER_ACCEPTED_ASYNC), (Mutant::OperationForgotten, CENTER_CREATED_LONG)];

impl Scenario {
    /// A model for this scenario, and the initial state.
    pub fn set_up(&self, mutant: Mutant) -> (Model, World) {
        let setting = Setting { mutant, ..self.setting };
        let active_since = (self.state == State::Active).then_some(0);
        let first = World {
            now: self.now,
            grant: Gr { state: self.state, active_since, ..Gr::new(setting.deadline) },
            gone: false,
            object: self.object,
            next_uid: self.object.uid,
            operations: [self.operation, None],
            next_operation: u8::from(self.operation.is_some()),
            failed: 0,
            leader: 0,
            replicas: [Work::default(); 2],
            budget: self.budget,
            revoked: false,
            broken: None,
        };
        (Model::new(setting), first)
    }
}
