//! AssignmentRequests that are refused, and how one ends.
use super::aws::Row;
use crate::fixture::{Fixture, NOW, fixture, group, reference, window};
use curfew_core::{
    admission::Provenance,
    approval::{DecisionFacts, StageOrder, Verb},
    assignment_request::{
        Action, ActionKind, AssignmentKind, Change, Facts, Frozen, Request, Span, State, Terms,
        decide::{Decision, Inputs, decide},
        proof::Lack,
        resolve::{Current, resolve},
    },
    digest::Digest,
    policy_inputs::{Assignment, Unproven, Window},
    principal::{Recognition, Subject, UserInfo},
    readiness,
    resolved::Ref,
    terms::Refusal,
    time::Time,
};
use std::sync::Arc;

const DAY: i64 = 86_400;

fn of(window: Window) -> Fixture {
    let mut f = fixture();
    let alice = Subject::User("alice".into());
    f.assignments = vec![Assignment { window, subject: alice.clone(), ..f.assignments[0].clone() }];
    f.policies[0].eligible.push(alice);
    let template = f.template();
    template.assignment_approval = Some((template.approval.clone(), StageOrder::Sequential));
    f
}

fn by(name: &str, groups: &[&str], action: Action) -> Facts {
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

fn extend(secs: i64) -> Action {
    Action::Extend { assignment: reference("devs"), until: NOW.plus_secs(secs) }
}

fn renew(start: Option<i64>, secs: i64) -> Action {
    Action::Renew { assignment: reference("devs"), start: start.map(|start| NOW.plus_secs(start)), until: NOW.plus_secs(secs) }
}

/// A new one of the name of the one that there is.
fn wanted() -> Assignment {
    let f = of(window(0, 700));
    Assignment { reference: Ref { uid: String::new(), ..f.assignments[0].reference.clone() }, ..f.assignments[0].clone() }
}

fn remove() -> Action {
    Action::Remove { assignment: reference("devs") }
}

fn resolved(f: &Fixture, facts: &Facts, others_unknown: bool) -> Result<Terms, Refusal> {
    let current = f.assignments.first().map(|assignment| Current { assignment, spec: assignment.window, others_unknown });
    resolve(facts, current, &f.inputs())
}

/// Why it is refused.
pub fn refused() -> Vec<Row> {
    let soon = || of(window(-100, 100));
    let ended = || of(window(-200, -100));
    let changed = |change: fn(&mut Fixture)| {
        let mut f = of(window(-100, 100));
        change(&mut f);
        f
    };
    let alice = |action| by("alice", &[], action);
    let protected = || {
        let mut f = of(window(-100, 15 * DAY));
        f.template().protects_last_holder = true;
        f
    };
    let protected = (protected(), protected());
    let unread = Facts { manager: None, ..by("max", &[], extend(700)) };
    let mut numbered = Facts { manager: Some(true), ..by("max", &[], extend(700)) };
    numbered.requester.extra = [("person".to_owned(), vec!["7".to_owned()])].into();
    let cases = [
        ("a service account", soon(), by("system:serviceaccount:payments:deployer", &[], extend(700))),
        ("no alias", changed(|f| f.aliases = vec!["person".into()]), alice(extend(700))),
        ("an assignment that does not exist", changed(|f| f.assignments.clear()), alice(extend(700))),
        ("another assignment of that name", changed(|f| f.assignments[0].reference.uid = "a2".into()), alice(extend(700))),
        ("no such role", changed(|f| f.template = None), alice(extend(700))),
        ("a role that is away for a moment", changed(|f| f.template = None), alice(remove())),
        ("another person", soon(), by("mallory", &[], extend(700))),
        ("another person gives up", soon(), by("mallory", &[], remove())),
        ("a member of the group", changed(|f| f.assignments[0].subject = group("devs")), by("alice", &["devs"], extend(700))),
        ("unknown who is a manager", soon(), unread),
        ("a manager, with aliases", changed(|f| f.aliases = vec!["person".into()]), numbered),
        ("the last holder gives up", protected.0, alice(remove())),
        ("the last holder gives up, and another one is not known", protected.1, alice(remove())),
        (
            "an emergency account, as a manager",
            changed(|f| f.systems[0].emergency_accounts = vec![Subject::User("max".into())]),
            Facts { manager: Some(true), ..by("max", &[], extend(700)) },
        ),
        ("given up after the end", ended(), alice(remove())),
        ("permanent", of(Window::Permanent), alice(extend(700))),
        ("extended after the end", ended(), alice(extend(700))),
        ("extended too early", of(window(-100, 15 * DAY)), alice(extend(16 * DAY))),
        ("not longer", soon(), alice(extend(50))),
        ("renewed before the end", soon(), alice(renew(None, 700))),
        ("renewed too late", of(window(-40 * DAY, -31 * DAY)), alice(renew(None, 700))),
        ("renewed into the past", ended(), alice(renew(Some(-50), 700))),
        ("less than 5m", ended(), alice(renew(None, 100))),
        ("a new one of a name that is taken", soon(), alice(Action::New(Box::new(wanted())))),
        ("a new one for another person", changed(|f| f.assignments.clear()), by("mallory", &[], Action::New(Box::new(wanted())))),
        (
            "a new one from the past",
            changed(|f| f.assignments.clear()),
            alice(Action::New(Box::new(Assignment { window: window(-50, 700), ..wanted() }))),
        ),
        (
            "a new one without an end",
            changed(|f| f.assignments.clear()),
            alice(Action::New(Box::new(Assignment { window: Window::Permanent, ..wanted() }))),
        ),
        (
            "another uid of standing access",
            changed(|f| f.assignments[0].reference.uid = "a2".into()),
            Facts { of: AssignmentKind::Active, ..alice(extend(700)) },
        ),
        ("standing access extended after the end", ended(), Facts { of: AssignmentKind::Active, ..alice(extend(700)) }),
        ("standing access that the role does not allow", soon(), Facts { of: AssignmentKind::Active, ..alice(extend(700)) }),
        ("no approver", changed(|f| f.template().assignment_approval = None), alice(extend(700))),
        ("no stage", changed(|f| f.template().assignment_approval = Some((Vec::new(), StageOrder::Sequential))), alice(extend(700))),
    ];
    let row = |(case, f, facts): (&'static str, Fixture, Facts)| {
        let refusal = resolved(&f, &facts, case.ends_with("is not known")).expect_err(case);
        (case.to_owned(), refusal.reason.as_str(), refusal.message)
    };
    cases.into_iter().map(row).collect()
}

/// `Ready` of an assignment whose wider window is not proven, for each reason, and where the window of its spec lasts.
pub fn without_proof() -> Vec<Row> {
    let span = Span { start: NOW.plus_secs(-200), end: NOW.plus_secs(700) };
    let by = Ref { name: "longer".into(), uid: "r1".into() };
    let change = Change { window: span, replaces: None, action: ActionKind::Renew, by, digest: Digest::from_bits(1) };
    let ended = of(window(-800, -100));
    let judged =
        |f: &Fixture, lack| readiness::assignment_without_proof(&f.assignments[0], (&change, lack), f.template.as_ref(), &f.inputs());
    let all = [Lack::Request, Lack::Terms, Lack::Content, Lack::Made, Lack::Admission, Lack::Recognition, Lack::Approvers, Lack::Approvals];
    let row = |lack| {
        let refusal = judged(&ended, lack).expect_err("the window has ended");
        (format!("{lack:?}"), refusal.reason.as_str(), refusal.message)
    };
    let asked_for = |why: &str| {
        let unproven = Some(Unproven { by: "asked".into(), why: why.into() });
        let f = of(window(-800, 100));
        let asked = Assignment { unproven, ..f.assignments[0].clone() };
        let refusal = readiness::assignment(&asked, f.template.as_ref(), &f.inputs()).expect_err("it makes nobody eligible");
        ("one that a request has asked for".to_owned(), refusal.reason.as_str(), refusal.message)
    };
    let lasting = judged(&of(window(-800, 100)), Lack::Request).expect("the window of the spec lasts");
    all.into_iter()
        .map(row)
        .chain([("the window of the spec lasts".to_owned(), "AsExpected", lasting), asked_for(&Lack::Content.to_string())])
        .collect()
}

/// Whether anybody is eligible for a role that protects its last holder.
pub fn holders() -> Vec<Row> {
    let mut f = of(window(-100, 15 * DAY));
    let second = Assignment { reference: reference("oncall"), ..f.assignments[0].clone() };
    f.template().protects_last_holder = true;
    let all = [f.assignments[0].clone(), second];
    let row = |count: usize| {
        let (_, reason, message) = readiness::has_holder(f.template.as_ref().expect("a role"), &all[..count], &f.inputs());
        (format!("{count} assignments"), reason, message)
    };
    (0..3).map(row).collect()
}

/// By a lead, in time.
fn approval(terms: &Terms) -> DecisionFacts {
    let decider = UserInfo { username: "carol".into(), groups: Arc::new(vec!["leads".into()]), ..UserInfo::default() };
    DecisionFacts {
        uid: "d1".into(),
        decider: Arc::new(decider),
        verb: Verb::Approve,
        digest: Some(terms.digest()),
        duration: None,
        commented: false,
        request_uid: None,
        created: NOW,
        manager: Some(false),
        proven: true,
        provenance: Provenance::Verified,
        counted_before: false,
        emergency: false,
    }
}

fn decided(frozen: Terms, now: Terms, earlier: Option<&str>, written: bool, at: Time) -> Decision {
    decided_with(frozen, now, earlier, written, at, &[])
}

fn decided_with(frozen: Terms, now: Terms, earlier: Option<&str>, written: bool, at: Time, decisions: &[DecisionFacts]) -> Decision {
    let requester = Arc::new(UserInfo { username: "alice".into(), ..UserInfo::default() });
    let change = frozen.change("longer");
    let frozen = Some(Frozen { terms: frozen, accepted_at: NOW });
    let request =
        Request { name: "longer".into(), uid: "r1".into(), created: NOW, requester, state: State::AwaitingApproval, frozen, made: None };
    let people = Recognition { alias_keys: Vec::new(), ..Recognition::STRICT.clone() };
    let change = Some(&change).filter(|_| written);
    let origin = request.frozen.as_ref().map(|frozen| frozen.terms.origin("longer"));
    let origin = origin.as_ref().filter(|_| written);
    let (terms, permit, fresh) = (&Ok(now), true, true);
    decide(&Inputs { now: at, request: &request, terms, decisions, people: &people, change, origin, earlier, permit, fresh })
}

/// How it ends.
pub fn ends() -> Vec<Row> {
    let f = of(window(-100, 100));
    let extension = resolved(&f, &by("alice", &[], extend(700)), false).expect("an extension");
    let removal = resolved(&f, &by("alice", &[], remove()), false).expect("a removal");
    let nothing = Fixture { assignments: Vec::new(), ..of(window(-100, 100)) };
    let new = resolved(&nothing, &by("alice", &[], Action::New(Box::new(wanted()))), false).expect("a new one");
    let standing = |terms: &Terms| Terms { kind: AssignmentKind::Active, ..terms.clone() };
    let other = |change: fn(&mut Terms)| {
        let mut terms = extension.clone();
        change(&mut terms);
        terms
    };
    let passed = decided_with(extension.clone(), extension.clone(), None, false, NOW.plus_secs(700), &[approval(&extension)]);
    let cases = [
        ("another one waits", decided(extension.clone(), extension.clone(), Some("first"), false, NOW)),
        ("applied", decided(extension.clone(), extension.clone(), None, true, NOW)),
        ("made", decided(new.clone(), new.clone(), None, true, NOW)),
        ("standing access extended", decided(standing(&extension), standing(&extension), None, true, NOW)),
        ("standing access given up", decided(standing(&removal), standing(&removal), None, true, NOW)),
        ("given up", decided(removal.clone(), removal.clone(), None, true, NOW)),
        ("another window in Git", decided(extension.clone(), other(|t| t.before = Some(Span { start: NOW, end: NOW })), None, false, NOW)),
        ("another policy", decided(extension.clone(), other(|t| t.policy = None), None, false, NOW)),
        ("another role", decided(extension.clone(), other(|t| t.role.uid = "t2".into()), None, false, NOW)),
        ("other approvers", decided(extension.clone(), other(|t| t.approval.clear()), None, false, NOW)),
        ("approved when the window had passed", passed),
        ("something else", decided(extension.clone(), other(|t| t.action = ActionKind::Renew), None, false, NOW)),
    ];
    let row = |(case, decision): (&'static str, Decision)| match decision {
        Decision::End(_, reason, text) => (case.to_owned(), reason.as_str(), text),
        other => panic!("{case}: {other:?}"),
    };
    cases.into_iter().map(row).collect()
}
