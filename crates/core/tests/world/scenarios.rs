//! Named initial states, and which of them find which mutant.
use super::{
    Budget, History, Kind, Req, Role, Tick, World, decision_bits,
    model::{Model, Past, Setting},
    mutants::Mutant,
    starts::{
        about_to_time_out, activating, active, approved, armed, at_the_deadline, break_glass, break_glass_active, break_glass_over,
        claimed, created, deleted_parent, deleted_while_granting, denied, escalation, extension_active, extension_approved,
        extension_waiting, ordered, parent_and_child, quorum, recreated, requested, reserved, reviewed_in, revoking, shorter,
        two_extensions, two_stages, usual_budget, waiting_for_its_start, withheld, without_role,
    },
};
use curfew_core::request::State;

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
