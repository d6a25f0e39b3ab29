//! Who may ask for a new assignment, and which; and what may be asked for of standing access.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    approval::StageOrder,
    assignment_request::{
        Action, ActionKind, AssignmentKind, Facts, Gives, Span, Terms,
        resolve::{Current, resolve},
    },
    policy_inputs::{Assignment, StandingRule, Unproven, Window},
    principal::{Subject, UserInfo},
    reason::Reason,
    target::{PermissionsByProvider, ScopeByProvider, kubernetes},
    terms::{assignment_ready, resolve as resolve_request},
    time::Time,
};
use fixture::{Fixture, NOW, fixture, group, reference, window};
use std::sync::Arc;

const DAY: i64 = 86_400;

/// A role whose assignments the leads approve, a policy that lets Alice be eligible, and no assignment.
fn around() -> Fixture {
    let mut f = fixture();
    f.assignments.clear();
    f.policies[0].eligible.push(Subject::User("alice".into()));
    let template = f.template.as_mut().unwrap();
    template.assignment_approval = Some((template.approval.clone(), StageOrder::Sequential));
    f
}

/// What Alice wants: to be eligible for the whole role, for a day.
fn wanted() -> Assignment {
    Assignment {
        reference: curfew_core::ids::Ref { name: "alice".into(), uid: String::new() },
        subject: Subject::User("alice".into()),
        window: window(0, DAY),
        ..fixture().assignments[0].clone()
    }
}

fn asked_by(name: &str, groups: &[&str], manager: Option<bool>, wanted: Assignment) -> Facts {
    let groups = Arc::new(groups.iter().map(ToString::to_string).collect());
    let requester = UserInfo { username: name.into(), groups, ..UserInfo::default() };
    let (action, of) = (Action::New(Box::new(wanted)), AssignmentKind::Eligible);
    Facts { namespace: "payments".into(), uid: "r1".into(), created: NOW, requester, action, of, manager }
}

fn ask(f: &Fixture, facts: &Facts) -> Result<Terms, Reason> {
    let current = f.assignments.first().map(|assignment| Current { assignment, spec: assignment.window, others_unknown: false });
    resolve(facts, current, &f.inputs()).map_err(|refusal| refusal.reason)
}

fn alice(f: &Fixture, wanted: Assignment) -> Result<Terms, Reason> {
    ask(f, &asked_by("alice", &["devs"], Some(false), wanted))
}

#[test]
fn what_is_asked_for_is_frozen_and_nothing_else() {
    let terms = alice(&around(), wanted()).unwrap();
    assert_eq!((terms.action, terms.kind, terms.assignment.name.as_str()), (ActionKind::New, AssignmentKind::Eligible, "alice"));
    assert_eq!(terms.window, Span { start: NOW, end: NOW.plus_secs(DAY) });
    assert_eq!((terms.before, terms.replaces, terms.gives.clone()), (None, None, Some(Gives::default())));
    assert!(!terms.approval.is_empty(), "nobody is made eligible without an approval");
    let narrower = ScopeByProvider { kubernetes: Some(kubernetes::Scope::Namespaces(vec!["canary".into()])), ..ScopeByProvider::default() };
    let narrowed = alice(&around(), Assignment { scope: Some(narrower), ..wanted() }).unwrap();
    assert_ne!(narrowed.digest(), terms.digest(), "an approval is about the scope, too");
}

#[test]
fn a_person_asks_for_herself_and_a_manager_for_others() {
    let f = around();
    let who = |name: &str, groups: &[&str], manager, wanted| ask(&f, &asked_by(name, groups, manager, wanted)).map(drop);
    assert_eq!(who("alice", &[], Some(false), wanted()), Ok(()));
    assert_eq!(who("alice", &[], None, wanted()), Ok(()), "no access review decides about her own");
    assert_eq!(who("mallory", &[], Some(false), wanted()), Err(Reason::NotEntitled));
    assert_eq!(who("Alice", &[], Some(false), wanted()), Err(Reason::NotEntitled), "another spelling is another name");
    assert_eq!(who("max", &[], Some(true), wanted()), Ok(()));
    assert_eq!(who("max", &[], None, wanted()), Err(Reason::NotProvenYet), "what cannot be read refuses nothing");
    let devs = || Assignment { subject: group("devs"), ..wanted() };
    assert_eq!(who("alice", &["devs"], Some(false), devs()), Err(Reason::NotEntitled), "members do not ask for their group");
    assert_eq!(who("max", &["devs"], Some(true), devs()), Ok(()));
    let machine = "system:serviceaccount:payments:deployer";
    assert_eq!(who(machine, &[], Some(true), wanted()), Err(Reason::NotEligible), "people ask");
    // Of another person the other logins must be recognised.
    let mut aliased = around();
    aliased.aliases = vec!["person".into()];
    let mut max = asked_by("max", &[], Some(true), wanted());
    max.requester.extra = [("person".to_owned(), vec!["7".to_owned()])].into();
    assert_eq!(ask(&aliased, &max).map(drop), Err(Reason::NotEligible));
}

#[test]
fn nothing_that_exists_is_taken_over() {
    let mut f = around();
    f.assignments = vec![Assignment { reference: reference("alice"), ..wanted() }];
    assert_eq!(alice(&f, wanted()), Err(Reason::AlreadyExists), "also one of the same content");
    let unproven = Some(Unproven { by: "r0".into(), why: "does not exist any more".into() });
    f.assignments[0].unproven = unproven;
    assert_eq!(alice(&f, wanted()), Err(Reason::AlreadyExists), "also one that makes nobody eligible");
}

#[test]
fn role_and_policy_bound_it_and_nothing_is_clamped() {
    let refused = |change: fn(&mut Fixture), wanted: Assignment| {
        let mut f = around();
        change(&mut f);
        alice(&f, wanted).map(drop)
    };
    let lasts = |from: i64, until: i64| Assignment { window: window(from, until), ..wanted() };
    let kept = |_: &mut Fixture| {};
    assert_eq!(refused(kept, lasts(0, 300)), Ok(()));
    assert_eq!(refused(kept, lasts(0, 299)), Err(Reason::OutsideWindow), "at least 5m");
    assert_eq!(refused(kept, lasts(-1, DAY)), Err(Reason::OutsideWindow), "not into the past");
    assert_eq!(refused(kept, lasts(DAY, DAY + 299)), Err(Reason::OutsideWindow));
    assert_eq!(refused(kept, lasts(DAY, DAY)), Err(Reason::OutsideWindow));
    assert_eq!(refused(kept, lasts(0, 365 * DAY)), Ok(()));
    assert_eq!(refused(kept, lasts(0, 365 * DAY + 1)), Err(Reason::OutsidePolicy));
    assert_eq!(refused(|f| f.policies[0].max_eligibility = "30d".parse().unwrap(), lasts(0, 31 * DAY)), Err(Reason::OutsidePolicy));
    let role = |f: &mut Fixture, max: &str| f.template.as_mut().unwrap().max_eligibility = Some(max.parse().unwrap());
    let mut f = around();
    role(&mut f, "30d");
    assert_eq!(alice(&f, lasts(0, 31 * DAY)).map(drop), Err(Reason::OutsidePolicy));
    assert_eq!(refused(kept, Assignment { window: Window::Permanent, ..wanted() }), Err(Reason::OutsideWindow));
    assert_eq!(refused(|f| f.policies[0].eligible.retain(|s| matches!(s, Subject::Group(_))), wanted()), Err(Reason::OutsidePolicy));
    let wide = ScopeByProvider { kubernetes: Some(kubernetes::Scope::Namespaces(vec!["elsewhere".into()])), ..ScopeByProvider::default() };
    assert_eq!(refused(kept, Assignment { scope: Some(wide), ..wanted() }), Err(Reason::OutsidePolicy));
    let more = kubernetes::Permissions { cluster_roles: vec!["cluster-admin".into()], roles: Vec::new() };
    let more = PermissionsByProvider { kubernetes: Some(more), ..PermissionsByProvider::default() };
    assert_eq!(refused(kept, Assignment { permissions: Some(more), ..wanted() }), Err(Reason::OutsidePolicy));
    let emergency = |f: &mut Fixture| f.systems[0].emergency_accounts = vec![Subject::User("alice".into())];
    assert_eq!(refused(emergency, wanted()), Err(Reason::EmergencyAccount));
    assert_eq!(refused(|f| f.template.as_mut().unwrap().assignment_approval = None, wanted()), Err(Reason::NobodyCanApprove));
    let none = |f: &mut Fixture| f.template.as_mut().unwrap().assignment_approval = Some((Vec::new(), StageOrder::Sequential));
    assert_eq!(refused(none, wanted()), Err(Reason::NobodyCanApprove), "nobody approves by absence");
    let friends =
        |f: &mut Fixture| f.template.as_mut().unwrap().assignment_approval.as_mut().unwrap().0[0].approvers = vec![group("friends")];
    assert_eq!(refused(friends, wanted()), Err(Reason::BelowFloor));
    assert_eq!(refused(|f| f.template = None, wanted()), Err(Reason::NoSuchRole));
    assert_eq!(refused(|f| f.template.as_mut().unwrap().suspended = true, wanted()), Err(Reason::Suspended));
    assert_eq!(refused(|f| f.policies[0].suspended = true, wanted()), Err(Reason::Suspended));
    assert_eq!(
        refused(|f| f.policies[0].systems = curfew_core::policy_inputs::Systems::Names(vec!["other".into()]), wanted()),
        Err(Reason::OutsidePolicy)
    );
    assert_eq!(refused(|f| f.admission.since = Some(NOW.plus_secs(5)), wanted()), Err(Reason::AdmissionNotEnforced));
}

#[test]
fn an_assignment_whose_request_proves_nothing_makes_nobody_eligible() {
    let mut f = around();
    f.assignments = vec![Assignment { reference: reference("alice"), ..wanted() }];
    let ready = |f: &Fixture| assignment_ready(&f.assignments[0], f.template.as_ref(), &f.inputs()).map_err(|e| e.reason);
    assert_eq!(ready(&f), Ok(()));
    let activates = |f: &mut Fixture| resolve_request(&f.asked, &f.inputs()).map(drop).map_err(|refusal| refusal.reason);
    assert_eq!(activates(&mut f), Ok(()));
    f.assignments[0].unproven = Some(Unproven { by: "asked".into(), why: "does not exist any more".into() });
    assert_eq!((ready(&f), activates(&mut f)), (Err(Reason::NotApproved), Err(Reason::NotEligible)));
    // One that was written by hand makes her eligible beside it.
    f.assignments.push(Assignment { reference: reference("by-hand"), ..wanted() });
    assert_eq!(activates(&mut f), Ok(()));
    // It is not extended either: the extension would rest on nothing.
    let until = NOW.plus_secs(2 * DAY);
    let action = Action::Extend { assignment: reference("alice"), until };
    assert_eq!(ask(&f, &Facts { action, ..asked_by("alice", &[], Some(false), wanted()) }), Err(Reason::NotApproved));
}

/// Alice has standing access, which role and policy allow for at most 60 days.
fn standing(window: Window) -> Fixture {
    let mut f = around();
    f.assignments = vec![Assignment { reference: reference("standing"), window, ..wanted() }];
    f.template.as_mut().unwrap().standing = Some(StandingRule { permanent: false, max: Some("60d".parse().unwrap()) });
    f.policies[0].standing = true;
    f
}

fn of_standing(f: &Fixture, action: Action) -> Result<Terms, Reason> {
    ask(f, &Facts { action, of: AssignmentKind::Active, ..asked_by("alice", &[], Some(false), wanted()) })
}

fn until(secs: i64) -> Time {
    NOW.plus_secs(secs)
}

#[test]
fn standing_access_is_extended_renewed_and_given_up_by_its_own_rules() {
    let extend = |secs: i64| Action::Extend { assignment: reference("standing"), until: until(secs) };
    let renew = |secs: i64| Action::Renew { assignment: reference("standing"), start: None, until: until(secs) };
    let remove = || Action::Remove { assignment: reference("standing") };
    let f = standing(window(-DAY, DAY));
    let terms = of_standing(&f, extend(10 * DAY)).unwrap();
    assert_eq!((terms.kind, terms.window), (AssignmentKind::Active, Span { start: until(-DAY), end: until(10 * DAY) }));
    assert_eq!(of_standing(&f, extend(60 * DAY)), Err(Reason::OutsidePolicy), "61 days in all, and the role allows 60d of standing access");
    assert_eq!(of_standing(&standing(window(-DAY, 15 * DAY)), extend(20 * DAY)), Err(Reason::OutsideWindow), "in the last 14 days");
    assert!(of_standing(&standing(window(-2 * DAY, -DAY)), renew(DAY)).is_ok());
    let not_allowed = |change: fn(&mut Fixture)| {
        let mut f = standing(window(-DAY, DAY));
        change(&mut f);
        of_standing(&f, extend(10 * DAY)).map(drop)
    };
    assert_eq!(not_allowed(|f| f.policies[0].standing = false), Err(Reason::OutsidePolicy));
    assert_eq!(not_allowed(|f| f.template.as_mut().unwrap().standing = None), Err(Reason::OutsidePolicy));
    assert_eq!(not_allowed(|f| f.template.as_mut().unwrap().assignment_approval = None), Err(Reason::NobodyCanApprove));
    // Giving it up needs nothing, and no holder of eligibility is left behind by it.
    let mut protected = standing(window(-DAY, DAY));
    protected.template.as_mut().unwrap().protects_last_holder = true;
    protected.policies.clear();
    let given_up = of_standing(&protected, remove()).unwrap();
    assert_eq!((given_up.window.end, given_up.approval.is_empty()), (NOW, true));
    let by_mallory = Facts { action: remove(), of: AssignmentKind::Active, ..asked_by("mallory", &[], Some(true), wanted()) };
    assert_eq!(ask(&f, &by_mallory), Err(Reason::NotEntitled));
}

/// Of every combination of window and limits: it is refused, or it is what was asked for, within what role and policy allow.
#[test]
fn what_is_accepted_is_what_was_asked_for_and_allowed() {
    let lengths = [0, 299, 300, DAY, 30 * DAY, 30 * DAY + 1, 90 * DAY, 90 * DAY + 1];
    for (role_days, policy_days) in [(30, 90), (90, 30), (30, 30), (90, 90)] {
        let mut f = around();
        f.template.as_mut().unwrap().max_eligibility = Some(format!("{role_days}d").parse().unwrap());
        f.policies[0].max_eligibility = format!("{policy_days}d").parse().unwrap();
        for from in [-DAY, -1, 0, 1, 3 * DAY] {
            for secs in lengths {
                for (name, manager) in [("alice", true), ("alice", false), ("bob", true), ("bob", false)] {
                    let asked = Assignment { subject: Subject::User(name.into()), window: window(from, from + secs), ..wanted() };
                    let allowed = secs >= 300 && from >= 0 && secs <= role_days.min(policy_days) * DAY && name == "alice";
                    let found = ask(&f, &asked_by("alice", &[], Some(manager), asked.clone()));
                    assert_eq!(found.is_ok(), allowed, "{from} {secs} {name} {manager}: {found:?}");
                    let Ok(terms) = found else { continue };
                    assert_eq!(Window::Between(terms.window.start, terms.window.end), asked.window);
                    assert_eq!((&terms.subject, terms.gives), (&asked.subject, Some(Gives::of(&asked))));
                    assert!(!terms.approval.is_empty());
                }
            }
        }
    }
}
