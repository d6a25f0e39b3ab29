//! Initial states, and budgets of faults.
use super::{
    ApprovalRules, Binding, Budget, Gr, History, Policies, Req, Role, Tick, World, decision_bits,
    model::{Model, Past, Setting},
    mutants::Mutant,
};
use curfew_core::{grant::State as GrantState, reason::Reason, request::State};

/// A named initial state.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub slow: [Tick; 2],
    /// The request has a start.
    pub scheduled: bool,
    /// The request extends another one.
    pub extends: bool,
    /// Every reachable state is searched; otherwise as many as the limit allows.
    pub complete: bool,
    pub begin: fn() -> World,
}

const fn whole(name: &'static str, slow: [Tick; 2], begin: fn() -> World) -> Scenario {
    Scenario { name, slow, scheduled: false, extends: false, complete: true, begin }
}
const fn bounded(name: &'static str, slow: [Tick; 2], begin: fn() -> World) -> Scenario {
    Scenario { name, slow, scheduled: false, extends: false, complete: false, begin }
}
const fn scheduled(of: Scenario) -> Scenario {
    Scenario { scheduled: true, ..of }
}

const fn extending(of: Scenario) -> Scenario {
    Scenario { extends: true, ..of }
}

/// The invariants are checked from all of these.
pub const ALL: &[Scenario] = &[
    bounded("requested", [0, 0], requested),
    bounded("requested, replica 0 a tick slow", [1, 0], requested),
    bounded("approved, and deleted and re-created", [0, 0], approved),
    bounded("about to time out", [0, 0], about_to_time_out),
    bounded("about to time out, replica 0 a tick slow", [1, 0], about_to_time_out),
    bounded("two parallel stages", [0, 0], two_stages),
    bounded("two parallel stages, replica 0 a tick slow", [1, 0], two_stages),
    bounded("an escalation", [0, 0], escalation),
    bounded("an escalation, replica 0 a tick slow", [1, 0], escalation),
    bounded("a shorter approval", [0, 0], shorter),
    bounded("Activating written by another client, longer than approved", [0, 0], || World {
        request: shorter().request.map(|r| Req { state: State::Activating, expires: Some(super::DURATION + 1), ..r }),
        decisions: decision_bits::CAROL_APPROVES,
        budget: Budget { crashes: 0, ..usual_budget() },
        histories: [History { first: Some(super::DURATION + 1), approved: true, ..History::default() }, History::default()],
        ..shorter()
    }),
    whole("deleted and re-created, and not approved", [0, 0], recreated),
    whole("Activating stored, no crash", [0, 0], || World { budget: Budget { crashes: 0, ..usual_budget() }, ..activating() }),
    bounded("Activating stored", [0, 0], activating),
    bounded("Activating stored, dave denies", [0, 0], || denied(activating())),
    whole("Activating written by another client, not approved", [0, 0], || World {
        decisions: 0,
        histories: [History { approved: false, ..activating().histories[0] }, History::default()],
        ..activating()
    }),
    whole("Grant created", [0, 0], created),
    bounded("Grant created, replica 0 a tick slow", [1, 0], created),
    bounded("Grant created, replica 1 a tick slow", [0, 1], created),
    bounded("Grant created, replica 0 two ticks slow", [2, 0], created),
    bounded("Grant created, two effects fail", [0, 0], || World { budget: Budget { faults: 2, ..usual_budget() }, ..created() }),
    whole("reserved", [0, 0], reserved),
    whole("reserved, the request may be deleted", [0, 0], || World {
        budget: Budget { deletes: 1, crashes: 0, ..usual_budget() },
        ..reserved()
    }),
    bounded("reserved, dave denies", [0, 0], || denied(reserved())),
    whole("armed", [0, 0], armed),
    bounded("armed, dave denies", [0, 0], || denied(armed())),
    whole("Active at the deadline", [0, 0], at_the_deadline),
    bounded("Active at the deadline, replica 0 a tick slow", [1, 0], at_the_deadline),
    bounded("Active, changed by a person", [0, 0], || World { budget: Budget { target_changes: 1, ..usual_budget() }, ..active() }),
    bounded("Active, the Grant is deleted", [0, 0], || World { budget: Budget { grant_deletes: 1, ..usual_budget() }, ..active() }),
    bounded("Active, the role vanishes", [0, 0], || World { budget: Budget { role_changes: 3, ..usual_budget() }, ..active() }),
    bounded("Active, the role vanishes at the deadline, replica 0 a tick slow", [1, 0], || World {
        budget: Budget { role_changes: 2, crashes: 0, ..usual_budget() },
        ..at_the_deadline()
    }),
    bounded("withheld, changed by a person", [0, 0], || World {
        budget: Budget { role_changes: 1, target_changes: 1, crashes: 0, ..usual_budget() },
        ..withheld()
    }),
    bounded("withheld, two effects fail", [0, 0], || World {
        budget: Budget { role_changes: 1, faults: 2, crashes: 0, ..usual_budget() },
        ..withheld()
    }),
    whole("Revoking", [0, 0], revoking),
    whole("request deleted while Granting", [0, 0], deleted_while_granting),
    bounded("request deleted while Granting, and re-created", [0, 0], || World {
        budget: Budget { creates: 1, faults: 1, ..usual_budget() },
        ..deleted_while_granting()
    }),
    scheduled(bounded("scheduled: approved, and deleted and re-created", [0, 0], approved)),
    scheduled(bounded("scheduled: approved, replica 0 a tick slow", [1, 0], approved)),
    scheduled(bounded("Scheduled, replica 0 a tick slow", [1, 0], waiting_for_its_start)),
    scheduled(bounded("Scheduled, two effects fail", [0, 0], || World {
        budget: Budget { faults: 2, ..waiting_for_its_start().budget },
        ..waiting_for_its_start()
    })),
    extending(bounded("extending: approved", [0, 0], extension_approved)),
    extending(bounded("extending: approved, replica 0 a tick slow", [1, 0], extension_approved)),
    extending(bounded("extending: awaits approval", [0, 0], extension_waiting)),
    extending(bounded("extending: active, two effects fail", [0, 0], || World {
        budget: Budget { faults: 2, ..extension_active().budget },
        ..extension_active()
    })),
];

/// From each of these the search finds a violation without the protection.
pub const MUTANTS: &[(Mutant, Scenario)] = &[
    (Mutant::CommitThenPerform, whole("Grant created", [0, 0], created)),
    (Mutant::NoFence, whole("Grant created", [0, 0], created)),
    (Mutant::RecheckOnly, whole("Grant created", [0, 0], created)),
    (Mutant::ReserveOnly, whole("Grant created, replica 0 a tick slow", [1, 0], created)),
    (Mutant::ArmCreates, whole("Grant created", [0, 0], created)),
    (
        Mutant::ArmNamesNoUid,
        whole("reserved, the request may be deleted", [0, 0], || World {
            budget: Budget { deletes: 1, crashes: 0, ..usual_budget() },
            ..reserved()
        }),
    ),
    (Mutant::OwnDeleteProvesGranting, whole("Grant created, replica 0 a tick slow", [1, 0], created)),
    (Mutant::NoLiveReread, whole("approved", [0, 0], approved)),
    (Mutant::EndedWithoutRevoking, whole("Activating stored, dave denies", [0, 0], || denied(activating()))),
    (Mutant::RecheckIgnoresRequest, whole("Activating stored, dave denies", [0, 0], || denied(activating()))),
    (Mutant::OwnerNeverVerified, whole("request deleted while armed", [0, 0], || World { request: None, ..armed() })),
    (Mutant::ContentNeverVerified, whole("Active, without its role", [0, 0], without_role)),
    (Mutant::NothingWithheld, whole("Active, without its role", [0, 0], without_role)),
    (
        Mutant::RestoredUnseen,
        whole("withheld, the role comes and goes", [0, 0], || World {
            budget: Budget { role_changes: 2, crashes: 0, lease_moves: 0, ..usual_budget() },
            grants: withheld().grants,
            ..without_role()
        }),
    ),
    (
        Mutant::ArmCreates,
        whole("withheld, removed by a person", [0, 0], || World {
            role: Role::Frozen,
            budget: Budget { target_changes: 1, crashes: 0, lease_moves: 0, ..usual_budget() },
            ..withheld()
        }),
    ),
    (Mutant::PermitIgnored, whole("Grant created", [0, 0], created)),
    (Mutant::RevokeNeedsThePermit, whole("armed", [0, 0], armed)),
    (Mutant::SelfApproval, whole("requested", [0, 0], requested)),
    (Mutant::AnyDigest, whole("deleted and re-created", [0, 0], recreated)),
    (Mutant::TimeoutsIgnored, bounded("about to time out", [0, 0], about_to_time_out)),
    (Mutant::OneStageIsEnough, bounded("two parallel stages", [0, 0], two_stages)),
    (Mutant::PersonCountsTwice, bounded("two parallel stages", [0, 0], two_stages)),
    (Mutant::EscalationIgnored, bounded("an escalation", [0, 0], escalation)),
    (Mutant::ShorteningIgnored, bounded("a shorter approval", [0, 0], shorter)),
    (Mutant::TermsNotCompared, whole("approved", [0, 0], approved)),
    (Mutant::UnknownIsUnchanged, whole("approved", [0, 0], approved)),
    (Mutant::DeadlineComputedAgain, whole("Activating stored", [0, 0], activating)),
    (Mutant::BeginsWhenApproved, scheduled(bounded("approved, with a start to come", [0, 0], approved))),
    (
        Mutant::RunsFromActivation,
        scheduled(bounded("Scheduled, a tick after its start", [0, 0], || World { now: super::START + 1, ..waiting_for_its_start() })),
    ),
    (Mutant::BeginsAfterItsParent, extending(bounded("extending: approved", [0, 0], extension_approved))),
    (Mutant::CountsFromActivation, extending(bounded("extending: approved", [0, 0], extension_approved))),
    (Mutant::ParentIgnored, extending(bounded("extending: awaits approval", [0, 0], extension_waiting))),
    (Mutant::ParentIgnored, extending(bounded("extending: active", [0, 0], extension_active))),
    (Mutant::NoLiveReread, extending(bounded("extending: approved", [0, 0], extension_approved))),
    (Mutant::ScheduledIgnoresDecisions, scheduled(bounded("Scheduled", [0, 0], waiting_for_its_start))),
    (Mutant::NoLiveReread, scheduled(bounded("Scheduled", [0, 0], waiting_for_its_start))),
    (Mutant::RequestsWithoutSwap, whole("approved", [0, 0], approved)),
    (Mutant::GrantsWithoutSwap, whole("Grant created", [0, 0], created)),
];

fn denied(w: World) -> World {
    World { budget: Budget { decisions: decision_bits::DAVE_DENIES, ..w.budget }, ..w }
}

/// One crash and one move of the lease.
const fn usual_budget() -> Budget {
    Budget {
        decisions: 0,
        crashes: 1,
        lease_moves: 1,
        faults: 0,
        edits: 0,
        deletes: 0,
        creates: 0,
        grant_deletes: 0,
        target_changes: 0,
        role_changes: 0,
    }
}

fn blank() -> World {
    World {
        now: 0,
        request: Some(Req::new(0)),
        decisions: 0,
        policies: Policies::Plain,
        approval: ApprovalRules::OneStage,
        role: Role::Frozen,
        grants: [None; 2],
        bindings: [Binding::NONE; 2],
        next_uid: 0,
        leader: 0,
        tasks: [[0; 2]; 2],
        past: 0,
        budget: usual_budget(),
        histories: [History::default(); 2],
        broken: None,
    }
}

pub fn requested() -> World {
    let decisions = decision_bits::CAROL_APPROVES | decision_bits::DAVE_DENIES | decision_bits::ALICE_REVOKES;
    World { budget: Budget { decisions, edits: 1, ..usual_budget() }, ..blank() }
}

/// Carol has a tick left to approve.
pub fn about_to_time_out() -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((Policies::Plain, 0)), ..Req::new(0) };
    let budget = Budget { decisions: decision_bits::CAROL_APPROVES, crashes: 0, ..usual_budget() };
    World { now: super::APPROVAL - 1, request: Some(request), budget, ..blank() }
}

fn awaiting(approval: ApprovalRules, decisions: u16) -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((Policies::Plain, 0)), ..Req::new(0) };
    World { request: Some(request), approval, budget: Budget { decisions, crashes: 0, ..usual_budget() }, ..blank() }
}

/// Carol and erin may approve, in either order.
pub fn two_stages() -> World {
    awaiting(ApprovalRules::Parallel, decision_bits::CAROL_APPROVES | decision_bits::ERIN_APPROVES)
}

/// Carol may approve a stage that escalates to her in a tick.
pub fn escalation() -> World {
    awaiting(ApprovalRules::Escalated, decision_bits::CAROL_APPROVES)
}

/// Carol may approve for a shorter time than was asked for.
pub fn shorter() -> World {
    awaiting(ApprovalRules::Shortened, decision_bits::CAROL_APPROVES)
}

/// Carol has approved; what is left is to go wrong.
pub fn approved() -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((Policies::Plain, 0)), ..Req::new(0) };
    let budget =
        Budget { decisions: decision_bits::DAVE_DENIES | decision_bits::CAROL_REVOKES, edits: 1, deletes: 1, creates: 1, ..usual_budget() };
    World { request: Some(request), decisions: decision_bits::CAROL_APPROVES, budget, ..blank() }
}

/// Approved; its start is still to come, and until then it may be denied, and what it rests on may change.
pub fn waiting_for_its_start() -> World {
    let request = Req { state: State::Scheduled, frozen: Some((Policies::Plain, 0)), ..Req::new(0) };
    let budget = Budget { decisions: decision_bits::DAVE_DENIES | decision_bits::ALICE_REVOKES, edits: 1, ..usual_budget() };
    World { request: Some(request), decisions: decision_bits::CAROL_APPROVES, budget, ..blank() }
}

/// An extension that carol has approved; what it extends may end early.
pub fn extension_approved() -> World {
    World { budget: Budget { decisions: 0, deletes: 0, creates: 0, ..approved().budget }, ..approved() }
}

/// The same, and carol has not approved yet.
pub fn extension_waiting() -> World {
    World {
        decisions: 0,
        budget: Budget { decisions: decision_bits::CAROL_APPROVES, ..extension_approved().budget },
        ..extension_approved()
    }
}

/// An extension that is active beside what it extends.
pub fn extension_active() -> World {
    let (end, w) = (super::UNTIL + super::DURATION, active());
    let histories = [History { first: Some(end), ..w.histories[0] }, History::default()];
    let grants = [w.grants[0].map(|grant| Gr { expires: end, ..grant }), None];
    let request = w.request.map(|request| Req { expires: Some(end), ..request });
    World { request, grants, histories, budget: Budget { edits: 1, ..usual_budget() }, ..w }
}

/// The request that carol approved is gone; another one of that name awaits approval.
pub fn recreated() -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((Policies::Plain, 0)), ..Req::new(1) };
    World { request: Some(request), decisions: decision_bits::CAROL_APPROVES, ..blank() }
}

/// `Activating` is stored, and the deadline with it.
pub fn activating() -> World {
    let request = Req { state: State::Activating, frozen: Some((Policies::Plain, 0)), expires: Some(super::DURATION), ..Req::new(0) };
    let history = History { first: Some(super::DURATION), approved: true, ..History::default() };
    World { request: Some(request), decisions: decision_bits::CAROL_APPROVES, histories: [history, History::default()], ..blank() }
}

/// The Grant was just created: the race for the target follows.
pub fn created() -> World {
    World { grants: [Some(Gr::new(super::DURATION)), None], budget: usual_budget(), ..activating() }
}

pub fn reserved() -> World {
    World { bindings: [Binding::RESERVED, Binding::NONE], next_uid: 1, ..created() }
}

pub fn armed() -> World {
    World { bindings: [Binding::ARMED, Binding::NONE], ..reserved() }
}

pub fn active() -> World {
    let w = armed();
    let grant = Gr { state: GrantState::Active, was_active: true, ..Gr::new(super::DURATION) };
    let mut history = w.histories[0];
    history.was_active = true;
    let request = w.request.map(|r| Req { state: State::Active, active: true, ..r });
    World { request, grants: [Some(grant), None], histories: [history, History::default()], budget: usual_budget(), ..w }
}

/// The role that the binding names does not exist, and nothing was done about it.
pub fn without_role() -> World {
    World { role: Role::Missing, ..active() }
}

/// The same, and the access was taken.
pub fn withheld() -> World {
    let w = without_role();
    World { grants: [w.grants[0].map(|g| Gr { withheld: true, ..g }), None], bindings: [Binding::WITHHELD, Binding::NONE], ..w }
}

pub fn at_the_deadline() -> World {
    World { now: super::DURATION, budget: Budget { decisions: decision_bits::ALICE_REVOKES, ..usual_budget() }, ..active() }
}

pub fn revoking() -> World {
    let w = active();
    let grant = w.grants[0].map(|g| Gr { state: GrantState::Revoking, ..g });
    let request = w.request.map(|r| Req { state: State::Revoking(Reason::RevokedByHolder), ..r });
    World { request, grants: [grant, None], budget: Budget { faults: 1, ..usual_budget() }, ..w }
}

pub fn deleted_while_granting() -> World {
    World { request: None, ..reserved() }
}

impl Scenario {
    /// A model for this scenario, and the initial state: the caches are up to date.
    pub fn set_up(&self, mutant: Mutant) -> (Model, World) {
        let mut w = (self.begin)();
        let mut model = Model::new(Setting {
            slow: self.slow,
            horizon: 3,
            scheduled: self.scheduled,
            extends: self.extends,
            mutant,
            approval: w.approval,
        });
        // The caches may still show a deleted request.
        let shown = w.request.or_else(|| activating().request);
        let past = Past {
            requests: shown.into_iter().collect(),
            decisions: vec![w.decisions],
            all_policies: vec![w.policies],
            grants: [vec![w.grants[0]], vec![None]],
        };
        w.past = model.pasts.number(past);
        (model, w)
    }
}
