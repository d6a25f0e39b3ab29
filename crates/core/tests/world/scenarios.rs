//! Where to begin, and with what budget of misfortune.
use super::{
    Binding, Budget, Ghost, Gr, Held, House, Req, Tick, World,
    model::{Model, Past, Setting},
    mutants::Mutant,
    say,
};
use curfew_core::{grant::State as GrantState, reason::Reason, request::State};

/// A beginning with a name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub slow: [Tick; 2],
    /// Every reachable state is to be seen; otherwise as many as the limit allows.
    pub complete: bool,
    pub begin: fn() -> World,
}

const fn whole(name: &'static str, slow: [Tick; 2], begin: fn() -> World) -> Scenario {
    Scenario { name, slow, complete: true, begin }
}
const fn bounded(name: &'static str, slow: [Tick; 2], begin: fn() -> World) -> Scenario {
    Scenario { name, slow, complete: false, begin }
}

/// What holds is tried from all of these.
pub const ALL: &[Scenario] = &[
    bounded("asked", [0, 0], asked),
    bounded("asked, replica 0 a tick slow", [1, 0], asked),
    bounded("approved, and deleted and re-created", [0, 0], approved),
    whole("deleted and re-created, and not approved", [0, 0], recreated),
    whole("Activating stored, nobody crashes", [0, 0], || World { budget: Budget { crashes: 0, ..life() }, ..activating() }),
    bounded("Activating stored", [0, 0], activating),
    bounded("Activating stored, dave denies", [0, 0], || denied(activating())),
    whole("Activating written by somebody else, and nobody has approved", [0, 0], || World {
        words: 0,
        ghosts: [Ghost { approved: false, ..activating().ghosts[0] }, Ghost::default()],
        ..activating()
    }),
    whole("Grant born", [0, 0], born),
    bounded("Grant born, replica 0 a tick slow", [1, 0], born),
    bounded("Grant born, replica 1 a tick slow", [0, 1], born),
    bounded("Grant born, replica 0 two ticks slow", [2, 0], born),
    bounded("Grant born, two asks fail", [0, 0], || World { budget: Budget { faults: 2, ..life() }, ..born() }),
    whole("reserved", [0, 0], reserved),
    whole("reserved, the request may be deleted", [0, 0], || World { budget: Budget { deletes: 1, crashes: 0, ..life() }, ..reserved() }),
    bounded("reserved, dave denies", [0, 0], || denied(reserved())),
    whole("armed", [0, 0], armed),
    bounded("armed, dave denies", [0, 0], || denied(armed())),
    whole("Active at the deadline", [0, 0], at_the_deadline),
    bounded("Active at the deadline, replica 0 a tick slow", [1, 0], at_the_deadline),
    bounded("Active, changed by hand", [0, 0], || World { budget: Budget { hands: 1, ..life() }, ..active() }),
    bounded("Active, the Grant is deleted", [0, 0], || World { budget: Budget { grant_deletes: 1, ..life() }, ..active() }),
    whole("Revoking", [0, 0], revoking),
    whole("request deleted while Granting", [0, 0], deleted_while_granting),
    bounded("request deleted while Granting, and re-created", [0, 0], || World {
        budget: Budget { creates: 1, faults: 1, ..life() },
        ..deleted_while_granting()
    }),
];

/// What each protection is for: from here something breaks without it.
pub const MUTANTS: &[(Mutant, Scenario)] = &[
    (Mutant::CommitThenPerform, whole("Grant born", [0, 0], born)),
    (Mutant::NoFence, whole("Grant born", [0, 0], born)),
    (Mutant::RecheckOnly, whole("Grant born", [0, 0], born)),
    (Mutant::ReserveOnly, whole("Grant born, replica 0 a tick slow", [1, 0], born)),
    (Mutant::ArmCreates, whole("Grant born", [0, 0], born)),
    (
        Mutant::ArmNamesNoUid,
        whole("reserved, the request may be deleted", [0, 0], || World {
            budget: Budget { deletes: 1, crashes: 0, ..life() },
            ..reserved()
        }),
    ),
    (Mutant::OwnDeleteProvesTooMuch, whole("Grant born, replica 0 a tick slow", [1, 0], born)),
    (Mutant::NoLiveReread, whole("approved", [0, 0], approved)),
    (Mutant::OverWithoutRevoking, whole("Activating stored, dave denies", [0, 0], || denied(activating()))),
    (Mutant::RecheckIgnoresTheRequest, whole("Activating stored, dave denies", [0, 0], || denied(activating()))),
    (Mutant::NeverInDoubt, whole("request deleted while armed", [0, 0], || World { request: None, ..armed() })),
    (Mutant::PermitIgnored, whole("Grant born", [0, 0], born)),
    (Mutant::RevokeNeedsThePermit, whole("armed", [0, 0], armed)),
    (Mutant::SelfApproval, whole("asked", [0, 0], asked)),
    (Mutant::AnyDigest, whole("deleted and re-created", [0, 0], recreated)),
    (Mutant::TermsNotCompared, whole("approved", [0, 0], approved)),
    (Mutant::UnknownIsUnchanged, whole("approved", [0, 0], approved)),
    (Mutant::DeadlineReckonedAnew, whole("Activating stored", [0, 0], activating)),
    (Mutant::RequestsWithoutSwap, whole("approved", [0, 0], approved)),
    (Mutant::GrantsWithoutSwap, whole("Grant born", [0, 0], born)),
];

fn denied(w: World) -> World {
    World { budget: Budget { words: say::DAVE_DENIES, ..w.budget }, ..w }
}

/// One crash and one move of the lease.
const fn life() -> Budget {
    Budget { words: 0, crashes: 1, lease_moves: 1, faults: 0, edits: 0, deletes: 0, creates: 0, grant_deletes: 0, hands: 0 }
}

fn blank() -> World {
    World {
        now: 0,
        request: Some(Req::new(0)),
        words: 0,
        house: House::Plain,
        grants: [None; 2],
        bindings: [Binding::NONE; 2],
        next_uid: 0,
        leader: 0,
        minds: [[0; 2]; 2],
        past: 0,
        budget: life(),
        ghosts: [Ghost::default(); 2],
        broken: None,
    }
}

pub fn asked() -> World {
    let words = say::CAROL_APPROVES | say::DAVE_DENIES | say::ALICE_REVOKES;
    World { budget: Budget { words, edits: 1, ..life() }, ..blank() }
}

/// Carol has approved; what is left is to go wrong.
pub fn approved() -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((House::Plain, super::APPROVAL)), ..Req::new(0) };
    let budget = Budget { words: say::DAVE_DENIES | say::CAROL_REVOKES, edits: 1, deletes: 1, creates: 1, ..life() };
    World { request: Some(request), words: say::CAROL_APPROVES, budget, ..blank() }
}

/// The request that carol approved is gone; another one of that name awaits approval.
pub fn recreated() -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((House::Plain, super::APPROVAL)), ..Req::new(1) };
    World { request: Some(request), words: say::CAROL_APPROVES, ..blank() }
}

/// `Activating` is stored, and the deadline with it.
pub fn activating() -> World {
    let request =
        Req { state: State::Activating, frozen: Some((House::Plain, super::APPROVAL)), expires: Some(super::DURATION), ..Req::new(0) };
    let ghost = Ghost { first: Some(super::DURATION), approved: true, ..Ghost::default() };
    World { request: Some(request), words: say::CAROL_APPROVES, ghosts: [ghost, Ghost::default()], ..blank() }
}

/// The Grant is just born: what follows is the race for the target.
pub fn born() -> World {
    World { grants: [Some(Gr::new(super::DURATION)), None], budget: life(), ..activating() }
}

pub fn reserved() -> World {
    World { bindings: [Binding { uid: 1, held: Held::Reserved }, Binding::NONE], next_uid: 1, ..born() }
}

pub fn armed() -> World {
    World { bindings: [Binding { uid: 1, held: Held::Armed }, Binding::NONE], ..reserved() }
}

pub fn active() -> World {
    let w = armed();
    let grant = Gr { stage: GrantState::Active, lived: true, ..Gr::new(super::DURATION) };
    let mut ghost = w.ghosts[0];
    ghost.lived = true;
    let request = w.request.map(|r| Req { state: State::Active, active: true, ..r });
    World { request, grants: [Some(grant), None], ghosts: [ghost, Ghost::default()], budget: life(), ..w }
}

pub fn at_the_deadline() -> World {
    World { now: super::DURATION, budget: Budget { words: say::ALICE_REVOKES, ..life() }, ..active() }
}

pub fn revoking() -> World {
    let w = active();
    let grant = w.grants[0].map(|g| Gr { stage: GrantState::Revoking, ..g });
    let request = w.request.map(|r| Req { state: State::Revoking(Reason::RevokedByHolder), ..r });
    World { request, grants: [grant, None], budget: Budget { faults: 1, ..life() }, ..w }
}

pub fn deleted_while_granting() -> World {
    World { request: None, ..reserved() }
}

impl Scenario {
    /// A model for this beginning, and the beginning in it: the stores are up to date.
    pub fn set_up(&self, mutant: Mutant) -> (Model, World) {
        let mut model = Model::new(Setting { slow: self.slow, horizon: 3, mutant });
        let mut w = (self.begin)();
        // A deleted request is still what the stores may show.
        let shown = w.request.or_else(|| activating().request);
        let past = Past {
            requests: shown.into_iter().collect(),
            words: vec![w.words],
            houses: vec![w.house],
            grants: [vec![w.grants[0]], vec![None]],
        };
        w.past = model.pasts.number(past);
        (model, w)
    }
}
