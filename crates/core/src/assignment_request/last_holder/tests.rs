use super::*;
use crate::{
    assignment_request::sample::{around, policy},
    policy_inputs::Policy,
    principal::ServiceAccount,
    time::Time,
};

const NOW: i64 = 1_500;

const fn window(from: i64, until: i64) -> Window {
    Window::Between(Time::from_secs(from), Time::from_secs(until))
}

fn robot() -> Subject {
    Subject::ServiceAccount(ServiceAccount { namespace: "ci".into(), name: "bot".into() })
}

fn other(name: &str, subject: Subject, window: Window) -> Assignment {
    Assignment { reference: Ref { name: name.into(), uid: format!("{name}-uid") }, subject, window, ..around().assignment }
}

/// Whether Alice's assignment may be removed beside these, where policy and role allow all of their subjects.
fn judged(others: &[Assignment], change: impl FnOnce(&mut Template, &mut Assignment), unknown: bool) -> Result<Option<String>, Reason> {
    let mut a = around();
    a.template.protects_last_holder = true;
    change(&mut a.template, &mut a.assignment);
    let subjects = others.iter().map(|e| e.subject.clone()).filter(|subject| *subject != Subject::User("stranger".into()));
    a.policies = vec![Policy { eligible: policy().eligible.into_iter().chain(subjects).collect(), ..policy() }];
    let all: Vec<Assignment> = others.iter().cloned().chain([a.assignment.clone()]).collect();
    let inputs = PolicyInputs { now: Time::from_secs(NOW), assignments: &all, ..a.inputs() };
    check(&a.assignment, &a.template, &inputs, unknown).map(|left| left.map(|left| left.name.clone())).map_err(|e| e.reason)
}

#[test]
fn the_last_holder_is_kept_and_another_one_lets_it_go() {
    let group = |name: &str| Subject::Group(name.into());
    let always = window(0, 9_000);
    let kept = Err(Reason::LastHolder);
    let keep = |_: &mut Template, _: &mut Assignment| {};
    assert_eq!(judged(&[], keep, false), kept);
    for (case, left) in [
        (other("devs", group("devs"), always), Ok(Some("devs".to_owned()))),
        (other("bob", Subject::User("bob".into()), always), Ok(Some("bob".to_owned()))),
        (other("ended", group("devs"), window(0, NOW)), kept.clone()),
        (other("begins", group("devs"), window(NOW + 1, 9_000)), kept.clone()),
        (other("robot", robot(), always), kept.clone()),
        (other("outside-the-policy", Subject::User("stranger".into()), always), kept.clone()),
        (Assignment { suspended: true, ..other("suspended", group("devs"), always) }, kept.clone()),
        (Assignment { role: "view".into(), ..other("of-another-role", group("devs"), always) }, kept.clone()),
    ] {
        assert_eq!(judged(std::slice::from_ref(&case), keep, false), left, "{}", case.reference.name);
    }
}

#[test]
fn it_is_about_roles_that_ask_for_it_and_assignments_that_make_eligible() {
    assert_eq!(judged(&[], |t, _| t.protects_last_holder = false, false), Ok(None));
    assert_eq!(judged(&[], |_, e| e.suspended = true, false), Ok(None), "it makes nobody eligible");
    assert_eq!(judged(&[], |_, e| e.window = window(0, NOW), false), Ok(None), "it has ended");
    assert_eq!(judged(&[], |_, e| e.subject = robot(), false), Ok(None));
}

/// A policy that is suspended for a moment makes nobody eligible. All holders could leave meanwhile, and none would be left afterwards.
#[test]
fn what_passes_lets_no_holder_go() {
    let mut a = around();
    a.template.protects_last_holder = true;
    let devs = other("devs", Subject::Group("devs".into()), window(0, 9_000));
    let all = [devs, a.assignment.clone()];
    for policies in [Vec::new(), vec![Policy { suspended: true, ..policy() }]] {
        a.policies = policies;
        let inputs = PolicyInputs { now: Time::from_secs(NOW), assignments: &all, ..a.inputs() };
        assert!(!holds(&a.assignment, &a.template, &inputs), "nobody is eligible now");
        let judged = check(&a.assignment, &a.template, &inputs, false).map_err(|e| e.reason);
        assert_eq!(judged.map(|left| left.is_some()), Err(Reason::LastHolder));
    }
}

/// Its own window counts only if it is proven: then it makes nobody eligible, and may go.
#[test]
fn an_unproven_window_of_its_own_makes_it_no_holder() {
    let mut a = around();
    a.template.protects_last_holder = true;
    let as_read = Assignment { window: window(0, 9_000), ..a.assignment.clone() };
    let as_proven = [Assignment { window: window(0, NOW), ..a.assignment.clone() }];
    let inputs = PolicyInputs { now: Time::from_secs(NOW), assignments: &as_proven, ..a.inputs() };
    assert_eq!(check(&as_read, &a.template, &inputs, false).map_err(|e| e.reason), Ok(None));
}

#[test]
fn what_is_unknown_refuses_nothing_for_good() {
    let keep = |_: &mut Template, _: &mut Assignment| {};
    assert_eq!(judged(&[], keep, true), Err(Reason::NotProvenYet));
    let devs = other("devs", Subject::Group("devs".into()), window(0, 9_000));
    assert_eq!(judged(&[devs], keep, true), Ok(Some("devs".into())));
}

/// After a removal that is allowed, the role has a holder: the one that is named. Every pair of other assignments of a small time line.
#[test]
fn a_holder_is_left_after_each_removal() {
    let subject = |i: usize, kind: usize| match kind {
        0 => Subject::User(format!("u{i}")),
        1 => Subject::Group(format!("g{i}")),
        _ => robot(),
    };
    let times = [0, NOW - 1_000, NOW, NOW + 1, 9_000];
    let kinds = 0..3_usize;
    let mut cases = Vec::new();
    for from in times {
        for until in times {
            for kind in kinds.clone() {
                cases.extend([(from, until, kind, false), (from, until, kind, true)]);
            }
        }
    }
    let holds = |(from, until, kind, suspended): (i64, i64, usize, bool)| {
        from <= NOW && NOW < until && until - from >= 300 && kind < 2 && !suspended
    };
    for (i, first) in cases.iter().enumerate() {
        // Each one beside a few others, and alone.
        let beside = cases.iter().skip(i % 7).step_by(7).copied();
        for second in beside.map(Some).chain([None]) {
            let all: Vec<_> = [Some(*first), second].into_iter().flatten().collect();
            let assignment = |(i, (from, until, kind, suspended)): (usize, (i64, i64, usize, bool))| Assignment {
                suspended,
                ..other(&format!("a{i}"), subject(i, kind), window(from, until))
            };
            let others: Vec<Assignment> = all.iter().copied().enumerate().map(assignment).collect();
            for unknown in [false, true] {
                let left = all.iter().position(|case| holds(*case)).map(|i| format!("a{i}"));
                let expected = left.map_or(Err(if unknown { Reason::NotProvenYet } else { Reason::LastHolder }), |left| Ok(Some(left)));
                assert_eq!(judged(&others, |_, _| {}, unknown), expected, "{all:?}");
            }
        }
    }
}
