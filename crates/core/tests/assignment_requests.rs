//! Who may ask that an assignment is extended, renewed or given up, when, and for how long: each boundary to the second.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    approval::StageOrder,
    assignment_request::{
        Action, AssignmentKind, Facts, Span, Terms,
        resolve::{Current, EXTENDABLE_SECS, RENEWABLE_SECS, resolve},
    },
    policy_inputs::{Assignment, Window},
    principal::{Subject, UserInfo},
    reason::Reason,
    time::Time,
};
use fixture::{Fixture, NOW, fixture, group, reference, window};
use std::sync::Arc;

const DAY: i64 = 86_400;

/// Alice's own assignment in this window, with leads who may extend it.
fn of(window: Window) -> Fixture {
    let mut f = fixture();
    let alice = Subject::User("alice".into());
    f.assignments = vec![Assignment { window, subject: alice.clone(), ..f.assignments[0].clone() }];
    f.policies[0].eligible.push(alice);
    let template = f.template.as_mut().unwrap();
    template.assignment_approval = Some((template.approval.clone(), StageOrder::Sequential));
    f
}

fn asked_by(name: &str, groups: &[&str], action: Action) -> Facts {
    let groups = Arc::new(groups.iter().map(ToString::to_string).collect());
    let requester = UserInfo { username: name.into(), groups, ..UserInfo::default() };
    Facts {
        namespace: "payments".into(),
        uid: "r1".into(),
        created: NOW,
        requester,
        action,
        of: AssignmentKind::Eligible,
        manager: Some(false),
    }
}

fn answer(f: &Fixture, facts: &Facts) -> Result<Terms, Reason> {
    let current = Current { assignment: &f.assignments[0], spec: f.assignments[0].window, others_unknown: false };
    resolve(facts, Some(current), &f.inputs()).map_err(|refusal| refusal.reason)
}

fn until(secs: i64) -> Time {
    NOW.plus_secs(secs)
}

fn extend(secs: i64) -> Action {
    Action::Extend { assignment: reference("devs"), until: until(secs) }
}

fn renew(secs: i64) -> Action {
    Action::Renew { assignment: reference("devs"), start: None, until: until(secs) }
}

fn remove() -> Action {
    Action::Remove { assignment: reference("devs") }
}

fn alice(f: &Fixture, action: Action) -> Result<Span, Reason> {
    answer(f, &asked_by("alice", &[], action)).map(|terms| terms.window)
}

#[test]
fn extended_in_the_last_14_days_and_renewed_for_30_days() {
    for end in [-RENEWABLE_SECS - 1, -RENEWABLE_SECS, -1, 0, 1, EXTENDABLE_SECS, EXTENDABLE_SECS + 1] {
        let f = of(window(end - 3600, end));
        let extension = alice(&f, extend(EXTENDABLE_SECS + 3600));
        let renewal = alice(&f, renew(3600));
        let may_extend = (1..=EXTENDABLE_SECS).contains(&end);
        let may_renew = (-RENEWABLE_SECS..=0).contains(&end);
        assert_eq!(extension.is_ok(), may_extend, "{end}: {extension:?}");
        assert_eq!(renewal.is_ok(), may_renew, "{end}: {renewal:?}");
        assert!(!(may_extend && may_renew), "never both");
        for refused in [extension, renewal].into_iter().filter_map(Result::err) {
            assert_eq!(refused, Reason::OutsideWindow);
        }
    }
}

#[test]
fn the_new_window_begins_where_it_was_asked_for() {
    let f = of(window(-100, 100));
    assert_eq!(alice(&f, extend(700)), Ok(Span { start: until(-100), end: until(700) }));
    assert_eq!(alice(&f, extend(100)), Err(Reason::OutsideWindow), "not longer");
    let ended = of(window(-200, -100));
    assert_eq!(alice(&ended, renew(300)), Ok(Span { start: NOW, end: until(300) }));
    assert_eq!(alice(&ended, renew(299)), Err(Reason::OutsideWindow), "less than 5m");
    let later = |start: i64| Action::Renew { assignment: reference("devs"), start: Some(until(start)), until: until(1000) };
    assert_eq!(alice(&ended, later(500)), Ok(Span { start: until(500), end: until(1000) }));
    assert_eq!(alice(&ended, later(-1)), Err(Reason::OutsideWindow), "not into the past");
    assert_eq!(alice(&ended, later(701)), Err(Reason::OutsideWindow), "less than 5m from its start");
    // An extension in the last seconds lasts for 5m from now, not from the start.
    assert_eq!(alice(&of(window(-1000, 10)), extend(299)), Err(Reason::OutsideWindow));
}

#[test]
fn the_window_as_a_whole_is_within_role_and_policy() {
    let f = of(window(-360 * DAY, DAY));
    assert!(alice(&f, extend(5 * DAY)).is_ok());
    assert_eq!(alice(&f, extend(5 * DAY + 1)), Err(Reason::OutsidePolicy), "role and policy allow 365d");
    let mut f = of(window(-50 * DAY, DAY));
    f.template.as_mut().unwrap().max_eligibility = Some("60d".parse().unwrap());
    assert_eq!(alice(&f, extend(11 * DAY)), Err(Reason::OutsidePolicy));
    assert!(alice(&f, extend(10 * DAY)).is_ok());
    let mut f = of(window(-50 * DAY, DAY));
    f.policies[0].max_eligibility = "60d".parse().unwrap();
    assert_eq!(alice(&f, extend(11 * DAY)), Err(Reason::OutsidePolicy));
    f.policies[0].eligible.clear();
    assert_eq!(alice(&f, extend(2 * DAY)), Err(Reason::OutsidePolicy), "no longer eligible at all");
    assert_eq!(alice(&of(Window::Permanent), extend(DAY)), Err(Reason::OutsideWindow), "nothing to extend");
}

#[test]
fn the_person_who_is_named_asks_and_a_manager() {
    let mut f = of(window(-100, 100));
    let ask = |f: &Fixture, name: &str, groups: &[&str], action: Action, manager| {
        answer(f, &Facts { manager, ..asked_by(name, groups, action) }).map(drop)
    };
    assert_eq!(ask(&f, "mallory", &[], extend(700), Some(false)), Err(Reason::NotEntitled));
    assert_eq!(ask(&f, "Alice", &[], extend(700), Some(false)), Err(Reason::NotEntitled), "another spelling is another name");
    assert_eq!(ask(&f, "max", &[], extend(700), Some(true)), Ok(()));
    assert_eq!(ask(&f, "max", &[], extend(700), None), Err(Reason::NotProvenYet), "what cannot be read refuses nothing");
    assert_eq!(ask(&f, "max", &[], remove(), Some(true)), Err(Reason::NotEntitled), "giving up is for herself");
    assert_eq!(ask(&f, "system:serviceaccount:payments:deployer", &[], extend(700), Some(true)), Err(Reason::NotEligible));
    // Members of a group cannot (PIM-063).
    f.assignments[0].subject = group("devs");
    assert_eq!(ask(&f, "alice", &["devs"], extend(700), Some(false)), Err(Reason::NotEntitled));
    assert_eq!(ask(&f, "alice", &["devs"], remove(), Some(false)), Err(Reason::NotEntitled));
    assert_eq!(ask(&f, "max", &[], extend(700), Some(true)), Ok(()));
}

/// Her second login would be compared with the manager, and with her name alone: it could approve.
#[test]
fn a_manager_asks_for_a_person_only_where_all_of_their_logins_are_recognised() {
    let employee = "employee-id";
    let mut f = of(window(-100, 100));
    f.aliases = vec![employee.into()];
    let ask = |f: &Fixture, name: &str, number: &str, manager| {
        let mut facts = Facts { manager, ..asked_by(name, &[], extend(700)) };
        facts.requester.extra = [(employee.to_owned(), vec![number.to_owned()])].into();
        answer(f, &facts).map(drop)
    };
    assert_eq!(ask(&f, "max", "7", Some(true)), Err(Reason::NotEligible));
    assert_eq!(ask(&f, "alice-adm", "42", Some(true)), Err(Reason::NotEligible), "also for herself, by the other login");
    assert_eq!(ask(&f, "alice", "42", Some(false)), Ok(()), "her own record has the number");
    f.aliases_are_names = true;
    assert_eq!(ask(&f, "max", "max", Some(true)), Ok(()), "a login of hers says that she is alice");
    // Of a group nobody is named; its members are recognised by it.
    f.aliases_are_names = false;
    f.assignments[0].subject = group("devs");
    assert_eq!(ask(&f, "max", "7", Some(true)), Ok(()));
}

#[test]
fn nobody_approves_by_absence_and_the_floor_holds() {
    let refused = |change: fn(&mut Fixture)| {
        let mut f = of(window(-100, 100));
        change(&mut f);
        alice(&f, extend(700)).unwrap_err()
    };
    let stages = |f: &mut Fixture, list| f.template.as_mut().unwrap().assignment_approval = list;
    assert_eq!(refused(|f| f.template.as_mut().unwrap().assignment_approval = None), Reason::NobodyCanApprove);
    assert_eq!(
        refused(|f| f.template.as_mut().unwrap().assignment_approval = Some((Vec::new(), StageOrder::Sequential))),
        Reason::NobodyCanApprove
    );
    let mut f = of(window(-100, 100));
    let mut others = f.template.as_ref().unwrap().approval.clone();
    others[0].approvers = vec![group("friends")];
    stages(&mut f, Some((others.clone(), StageOrder::Sequential)));
    assert_eq!(alice(&f, extend(700)), Err(Reason::BelowFloor));
    others[0].approvers = vec![Subject::User("carol".into())];
    others[0].quorum = 2;
    stages(&mut f, Some((others, StageOrder::Sequential)));
    assert_eq!(alice(&f, extend(700)), Err(Reason::NobodyCanApprove), "one person cannot be two");
    assert_eq!(refused(|f| f.template.as_mut().unwrap().suspended = true), Reason::Suspended);
    assert_eq!(refused(|f| f.assignments[0].suspended = true), Reason::Suspended);
    assert_eq!(refused(|f| f.policies[0].suspended = true), Reason::Suspended);
    assert_eq!(refused(|f| f.template = None), Reason::NoSuchRole);
    assert_eq!(refused(|f| f.assignments[0].reference.uid = "another".into()), Reason::NotFound);
    assert_eq!(refused(|f| f.admission.since = Some(NOW.plus_secs(5))), Reason::AdmissionNotEnforced);
    assert_eq!(refused(|f| f.aliases = vec!["person".into()]), Reason::UnprovenLogin);
}

#[test]
fn giving_up_needs_nothing_else() {
    let mut f = of(window(-100, 100));
    f.template = None;
    f.policies.clear();
    // A role that is away for a moment may be one that is replaced, and may protect its last holder.
    let ago = |secs: i64| Facts { created: NOW.plus_secs(-secs), ..asked_by("alice", &[], remove()) };
    assert_eq!(answer(&f, &ago(59)).map(|terms| terms.window), Err(Reason::NotProvenYet));
    let terms = answer(&f, &ago(60)).unwrap();
    assert_eq!((terms.window, terms.approval.is_empty()), (Span { start: until(-100), end: until(-60) }, true));
    assert_eq!(alice(&of(window(100, 900)), remove()), Ok(Span { start: NOW, end: NOW }), "before it has begun");
    assert_eq!(alice(&of(Window::Permanent), remove()).map(|span| span.end), Ok(NOW));
    assert_eq!(alice(&of(window(-100, 0)), remove()), Err(Reason::OutsideWindow), "it has ended");
}
