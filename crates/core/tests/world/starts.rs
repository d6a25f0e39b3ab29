//! Worlds from which searches start, and budgets of faults.
use super::{ApprovalRules, BOTH, Binding, Budget, Gr, History, Policies, Req, Role, SlotObject, World, decision_bits};
use curfew_core::{
    approval::review::ReviewState,
    grant::State as GrantState,
    reason::{Reason, TerminalState},
    request::State,
};

pub fn denied(w: World) -> World {
    World { budget: Budget { decisions: decision_bits::DAVE_DENIES, ..w.budget }, ..w }
}

/// One crash and one move of the lease.
pub const fn usual_budget() -> Budget {
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

pub fn blank() -> World {
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

pub fn awaiting(approval: ApprovalRules, decisions: u16) -> World {
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
pub fn quietly(w: World) -> World {
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
pub fn reviewed_in(w: World, budget: Budget) -> World {
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
