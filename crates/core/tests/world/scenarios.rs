//! Initial states, and budgets of faults.
use super::{
    ApprovalRules, BOTH, Binding, Budget, Gr, History, Kind, Policies, Req, Role, SlotObject, Tick, World, decision_bits,
    model::{Model, Past, Setting},
    mutants::Mutant,
};
use curfew_core::{
    approval::review::ReviewState,
    grant::State as GrantState,
    reason::{Reason, TerminalState},
    request::State,
};

/// A named initial state.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub slow: [Tick; 2],
    /// The request has a start.
    pub scheduled: bool,
    /// The request extends another one.
    pub extends: bool,
    pub kind: Kind,
    /// How many replicas there are.
    pub replicas: usize,
    /// The last tick of the world.
    pub horizon: Tick,
    /// Every reachable state is searched; otherwise as many as the limit allows.
    pub complete: bool,
    /// How many states are searched at least where not all are.
    pub at_least: usize,
    pub begin: fn() -> World,
}

const fn whole(name: &'static str, slow: [Tick; 2], begin: fn() -> World) -> Scenario {
    Scenario {
        name,
        slow,
        scheduled: false,
        extends: false,
        kind: Kind::Lives,
        replicas: 2,
        horizon: 3,
        complete: true,
        at_least: 0,
        begin,
    }
}
const fn bounded(name: &'static str, slow: [Tick; 2], begin: fn() -> World) -> Scenario {
    Scenario {
        name,
        slow,
        scheduled: false,
        extends: false,
        kind: Kind::Lives,
        replicas: 2,
        horizon: 3,
        complete: false,
        at_least: 1_000_000,
        begin,
    }
}
const fn scheduled(of: Scenario) -> Scenario {
    Scenario { scheduled: true, ..of }
}

const fn extending(of: Scenario) -> Scenario {
    Scenario { extends: true, ..of }
}
/// Fewer states of it, since longer runs search it in [`LARGER`].
const fn in_part(name: &'static str, begin: fn() -> World) -> Scenario {
    Scenario { at_least: 150_000, ..bounded(name, [0, 0], begin) }
}
/// The same without any time that passes.
const fn at_once(of: Scenario) -> Scenario {
    Scenario { horizon: 0, ..of }
}
/// The same of one replica.
const fn alone(of: Scenario) -> Scenario {
    Scenario { replicas: 1, ..of }
}

/// The same where the parent is there, too.
const fn with_parent(of: Scenario) -> Scenario {
    Scenario { kind: Kind::ParentAndChild, ..extending(of) }
}
const fn siblings(of: Scenario) -> Scenario {
    Scenario { kind: Kind::Siblings, ..extending(of) }
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
        requests: shorter().requests.map(|r| r.map(|r| Req { state: State::Activating, expires: Some(super::DURATION + 1), ..r })),
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
    alone(whole("break-glass", [0, 0], break_glass)),
    alone(whole("break-glass, denied", [0, 0], || World {
        budget: Budget { decisions: decision_bits::DAVE_DENIES, ..Budget::default() },
        ..break_glass()
    })),
    alone(whole("break-glass, not allowed any more", [0, 0], || World {
        budget: Budget { edits: 1, ..Budget::default() },
        ..break_glass()
    })),
    alone(whole("break-glass active, with reviews", [0, 0], || {
        reviewed_in(break_glass_active(), Budget { crashes: 1, faults: 1, ..Budget::default() })
    })),
    alone(whole("break-glass over, with reviews, deleted and re-created", [0, 0], || {
        reviewed_in(break_glass_over(), Budget { deletes: 1, creates: 1, grant_reviews: 1, crashes: 1, ..Budget::default() })
    })),
    alone(whole("two ordered stages", [0, 0], ordered)),
    alone(whole("a quorum of two", [0, 0], quorum)),
    alone(with_parent(in_part("extending, with the parent", parent_and_child))),
    alone(with_parent(in_part("extending, with the parent, which may be deleted", deleted_parent))),
    at_once(siblings(in_part("two extensions at the same moment", two_extensions))),
];

/// The same with two replicas, as far as the limit goes, in longer runs.
pub const LARGER: &[Scenario] = &[
    bounded("break-glass", [0, 0], break_glass),
    bounded("break-glass active, with reviews, replica 0 a tick slow", [1, 0], || reviewed_in(break_glass_active(), usual_budget())),
    bounded("break-glass over, with reviews, deleted and re-created", [0, 0], || {
        reviewed_in(break_glass_over(), Budget { deletes: 1, creates: 1, grant_reviews: 1, ..usual_budget() })
    }),
    bounded("two ordered stages, replica 0 a tick slow", [1, 0], ordered),
    bounded("a quorum of two", [0, 0], quorum),
    with_parent(bounded("extending, with the parent, replica 0 a tick slow", [1, 0], parent_and_child)),
    siblings(bounded("two extensions, one crash", [0, 0], || World {
        budget: Budget { crashes: 1, ..Budget::default() },
        ..two_extensions()
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
    (Mutant::OwnerNeverVerified, whole("request deleted while armed", [0, 0], || World { requests: [None; 2], ..armed() })),
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
    (Mutant::StagesInAnyOrder, alone(whole("two ordered stages", [0, 0], ordered))),
    (Mutant::OneStageIsEnough, alone(whole("two ordered stages", [0, 0], ordered))),
    (Mutant::QuorumOfOne, alone(whole("a quorum of two", [0, 0], quorum))),
    (Mutant::PersonCountsTwice, alone(whole("a quorum of two", [0, 0], quorum))),
    (Mutant::BeginsAtTheDeadline, alone(with_parent(whole("extending, with the parent", [0, 0], parent_and_child)))),
    (Mutant::ExtensionMovesDeadline, alone(with_parent(whole("extending, with the parent", [0, 0], parent_and_child)))),
    (Mutant::ParentEndsWithExtension, alone(with_parent(whole("extending, with the parent", [0, 0], parent_and_child)))),
    (Mutant::ChildEndsItsParent, alone(with_parent(whole("extending, with the parent", [0, 0], parent_and_child)))),
    (Mutant::ParentIgnored, alone(with_parent(whole("extending, with the parent", [0, 0], parent_and_child)))),
    (Mutant::NoLiveReread, alone(with_parent(whole("extending, with the parent", [0, 0], parent_and_child)))),
    (Mutant::NoLimit, at_once(siblings(whole("two extensions at the same moment", [0, 0], two_extensions)))),
    (Mutant::BreakGlassWaits, alone(whole("break-glass", [0, 0], break_glass))),
    (Mutant::NoLimit, alone(whole("break-glass", [0, 0], break_glass))),
    (Mutant::NoReviewRequired, alone(whole("break-glass active", [0, 0], break_glass_active))),
    (Mutant::OnlyWhatWasShownIsReviewed, alone(whole("break-glass", [0, 0], break_glass))),
    (Mutant::DeadlineIgnored, alone(whole("break-glass active", [0, 0], break_glass_active))),
    (Mutant::DeadlineIgnored, alone(whole("Active at the deadline", [0, 0], at_the_deadline))),
    (Mutant::DenialIgnored, whole("break-glass active, denied", [0, 0], || denied(break_glass_active()))),
    (
        Mutant::TermsNotCompared,
        whole("break-glass, not allowed any more", [0, 0], || World { budget: Budget { edits: 1, ..usual_budget() }, ..break_glass() }),
    ),
    (
        Mutant::NoLiveReread,
        whole("break-glass, not allowed any more", [0, 0], || World { budget: Budget { edits: 1, ..usual_budget() }, ..break_glass() }),
    ),
    (Mutant::StatusSaysBreakGlass, alone(whole("Activating written by another client, who claims break-glass", [0, 0], claimed))),
    (Mutant::OwnReviewCounts, whole("break-glass active, with reviews", [0, 0], || reviewed_in(break_glass_active(), usual_budget()))),
    (
        Mutant::OwnReviewCounts,
        whole("break-glass over, deleted and reviewed", [0, 0], || {
            let budget = Budget { deletes: 1, grant_reviews: 1, ..Budget::default() };
            World { budget, ..break_glass_over() }
        }),
    ),
    (Mutant::ReviewedInAdvance, whole("break-glass, reviewed before", [0, 0], || reviewed_in(break_glass(), Budget::default()))),
    (Mutant::LockFreeAtEnd, alone(whole("break-glass active", [0, 0], break_glass_active))),
    (
        Mutant::LockFreeWhenDeleted,
        whole("break-glass over, deleted and re-created", [0, 0], || World {
            budget: Budget { deletes: 1, creates: 1, ..Budget::default() },
            ..break_glass_over()
        }),
    ),
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
        grant_reviews: 0,
    }
}

fn blank() -> World {
    World {
        now: 0,
        requests: [Some(Req::new(0)), None],
        decisions: 0,
        policies: Policies::Plain,
        approval: ApprovalRules::OneStage,
        role: Role::Frozen,
        grants: [None; 2],
        bindings: [Binding::NONE; 2],
        next_uid: 0,
        slot: None,
        next_slot: 0,
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
    World { now: super::APPROVAL - 1, requests: [Some(request), None], budget, ..blank() }
}

fn awaiting(approval: ApprovalRules, decisions: u16) -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((Policies::Plain, 0)), ..Req::new(0) };
    World { requests: [Some(request), None], approval, budget: Budget { decisions, crashes: 0, ..usual_budget() }, ..blank() }
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
    World { requests: [Some(request), None], decisions: decision_bits::CAROL_APPROVES, budget, ..blank() }
}

/// Approved; its start is still to come, and until then it may be denied, and what it rests on may change.
pub fn waiting_for_its_start() -> World {
    let request = Req { state: State::Scheduled, frozen: Some((Policies::Plain, 0)), ..Req::new(0) };
    let budget = Budget { decisions: decision_bits::DAVE_DENIES | decision_bits::ALICE_REVOKES, edits: 1, ..usual_budget() };
    World { requests: [Some(request), None], decisions: decision_bits::CAROL_APPROVES, budget, ..blank() }
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
    let requests = w.requests.map(|r| r.map(|request| Req { expires: Some(end), ..request }));
    World { requests, grants, histories, budget: Budget { edits: 1, ..usual_budget() }, ..w }
}

/// The request that carol approved is gone; another one of that name awaits approval.
pub fn recreated() -> World {
    let request = Req { state: State::AwaitingApproval, frozen: Some((Policies::Plain, 0)), ..Req::new(1) };
    World { requests: [None, Some(request)], decisions: decision_bits::CAROL_APPROVES, ..blank() }
}

/// `Activating` is stored, and the deadline with it.
pub fn activating() -> World {
    let request = Req { state: State::Activating, frozen: Some((Policies::Plain, 0)), expires: Some(super::DURATION), ..Req::new(0) };
    let history = History { first: Some(super::DURATION), approved: true, ..History::default() };
    World { requests: [Some(request), None], decisions: decision_bits::CAROL_APPROVES, histories: [history, History::default()], ..blank() }
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
    let requests = w.requests.map(|r| r.map(|r| Req { state: State::Active, active: true, ..r }));
    World { requests, grants: [Some(grant), None], histories: [history, History::default()], budget: usual_budget(), ..w }
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
    let requests = w.requests.map(|r| r.map(|r| Req { state: State::Revoking(Reason::RevokedByHolder), ..r }));
    World { requests, grants: [grant, None], budget: Budget { faults: 1, ..usual_budget() }, ..w }
}

pub fn deleted_while_granting() -> World {
    World { requests: [None; 2], ..reserved() }
}

/// Carol and erin may approve one after the other, in either order.
pub fn ordered() -> World {
    quietly(awaiting(ApprovalRules::Sequential, decision_bits::CAROL_APPROVES | decision_bits::ERIN_APPROVES))
}

/// Both must approve.
pub fn quorum() -> World {
    quietly(awaiting(ApprovalRules::Quorum, decision_bits::CAROL_APPROVES | decision_bits::ERIN_APPROVES))
}

/// The lease stays where it is.
fn quietly(w: World) -> World {
    World { budget: Budget { lease_moves: 0, ..w.budget }, ..w }
}

/// Alice asks for break-glass.
pub fn break_glass() -> World {
    World { approval: ApprovalRules::BreakGlass, budget: Budget { lease_moves: 0, ..usual_budget() }, ..blank() }
}

/// The same, and she has it, with its lock.
pub fn break_glass_active() -> World {
    let w = active();
    let requests = w.requests.map(|r| r.map(|r| Req { slot: true, review: ReviewState::Required, ..r }));
    let histories = [History { had_access: true, ..w.histories[0] }, History::default()];
    let slot = Some(SlotObject { holder: 0, uid: 1 });
    World { requests, histories, slot, next_slot: 1, decisions: 0, ..World { approval: ApprovalRules::BreakGlass, ..w } }
}

/// It has ended, and is not reviewed.
pub fn break_glass_over() -> World {
    let w = break_glass_active();
    let expired = State::Ended(TerminalState::Expired, Reason::DeadlinePassed);
    let requests = w.requests.map(|r| r.map(|r| Req { state: expired, ..r }));
    let grants = [w.grants[0].map(|g| Gr { state: GrantState::Ended, ..g }), None];
    let histories = [History { ended: true, ..w.histories[0] }, History::default()];
    World { now: super::DURATION, requests, grants, histories, bindings: [Binding::NONE; 2], ..w }
}

/// Carol and alice may review it, and carol before there was access.
fn reviewed_in(w: World, budget: Budget) -> World {
    World { budget: Budget { decisions: decision_bits::REVIEWS, ..budget }, ..w }
}

/// Another client has written a status that says break-glass, and the request does not.
pub fn claimed() -> World {
    let w = activating();
    let requests = w.requests.map(|r| r.map(|r| Req { frozen: Some((Policies::ClaimsBreakGlass, 0)), ..r }));
    World {
        requests,
        decisions: 0,
        policies: Policies::Plain,
        histories: [History { approved: false, ..w.histories[0] }, History::default()],
        ..w
    }
}

/// An extension that carol has approved, and what it extends, which is active, and which a person may end.
pub fn parent_and_child() -> World {
    let (w, child) = (active(), extension_approved());
    let parent = w.requests[0].map(|r| Req { generation: 1, expires: Some(super::UNTIL), ..r });
    let grant = w.grants[0].map(|g| Gr { expires: super::UNTIL, ..g });
    let history = History { first: Some(super::UNTIL), ..w.histories[0] };
    World {
        requests: [child.requests[0], parent],
        grants: [None, grant],
        bindings: [Binding::NONE, Binding::ARMED],
        histories: [History::default(), history],
        next_uid: 1,
        budget: Budget { decisions: decision_bits::DAVE_DENIES, edits: 1, crashes: 0, ..usual_budget() },
        ..child
    }
}

/// The same, where the requests of both may be deleted.
pub fn deleted_parent() -> World {
    World { budget: Budget { deletes: 1, creates: 1, crashes: 1, ..Budget::default() }, ..parent_and_child() }
}

/// Two extensions of one request that are approved, and have not taken their slot.
pub fn two_extensions() -> World {
    let end = Some(super::UNTIL + super::DURATION);
    let activating =
        |generation| Req { state: State::Activating, frozen: Some((Policies::Plain, 0)), expires: end, ..Req::new(generation) };
    let history = History { first: end, approved: true, ..History::default() };
    World {
        requests: [Some(activating(0)), Some(activating(1))],
        approval: ApprovalRules::Nobody,
        histories: [history; 2],
        leader: BOTH,
        budget: Budget::default(),
        ..blank()
    }
}

impl Scenario {
    /// A model for this scenario, and the initial state: the caches are up to date.
    pub fn set_up(&self, mutant: Mutant) -> (Model, World) {
        let mut w = (self.begin)();
        let mut model = Model::new(Setting {
            slow: self.slow,
            horizon: self.horizon,
            scheduled: self.scheduled,
            extends: self.extends,
            kind: self.kind,
            replicas: self.replicas,
            mutant,
            approval: w.approval,
        });
        // The caches may still show a deleted request.
        let shown = w.request().map_or_else(|| activating().requests, |_| w.requests);
        let past = Past {
            requests: shown.into_iter().flatten().collect(),
            decisions: vec![w.decisions],
            all_policies: vec![w.policies],
            grants: [vec![w.grants[0]], vec![w.grants[1]]],
            parent_deleted: false,
        };
        w.past = model.pasts.number(past);
        (model, w)
    }
}
