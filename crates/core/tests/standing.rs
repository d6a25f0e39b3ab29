//! Standing access: what the operator may request for an ActiveAssignment, and what ends it.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    admission::{AdmissionHistory, Provenance},
    policy_inputs::{Progress, StandingRule, Window},
    principal::{Subject, UserInfo},
    reason::Reason,
    terms::{Refusal, resolve},
    time::Time,
};
use fixture::{
    Fixture, NOW, active, fixture, group, logged_in, long, namespaces, reference,
    standing::{of as assignment, prepare},
    window, with_mfa,
};

fn standing() -> Fixture {
    let mut f = fixture();
    prepare(&mut f);
    f
}

fn refusal(f: &Fixture) -> Option<Refusal> {
    resolve(&f.asked, &f.inputs()).err()
}

/// A change of the inputs, and the reason and words with which it is refused.
type Case = (fn(&mut Fixture), Reason, &'static str);

fn check(cases: &[Case], before: impl Fn(&mut Fixture)) {
    for (i, (change, reason, words)) in cases.iter().enumerate() {
        let mut f = standing();
        before(&mut f);
        change(&mut f);
        let refused = refusal(&f).unwrap_or_else(|| panic!("case {i} ({words}) is allowed"));
        assert!(refused.reason == *reason && refused.message.contains(words), "case {i}: {refused:?}, expected {reason} {words}");
    }
}

#[test]
fn standing_access_needs_no_approval_ticket_or_limit() {
    let mut f = standing();
    f.policies[0].ticket = true;
    f.template().limits = Some(curfew_core::limits::Maxima { active: 1, per_subject: 1 });
    let terms = resolve(&f.asked, &f.inputs()).unwrap();
    let r = &terms.resolved;
    assert!(r.is_standing() && r.approval.is_empty() && terms.limits.is_empty(), "{r:?}");
    assert_eq!((&r.beneficiary, &r.assignment, r.duration.to_string().as_str()), (&group("devs"), &reference("devs"), "10h"));
    assert_eq!(serde_json::to_value(&**r).unwrap()["author"], "olga");
}

#[test]
fn only_the_operator_requests_it_and_only_for_an_assignment_that_exists() {
    for other in
        ["alice", "system:serviceaccount:curfew-system:curfew-sweep", "system:serviceaccount:payments:curfew-operator", "curfew-operator"]
    {
        let mut f = standing();
        f.asked.requester.username = other.into();
        let refused = refusal(&f).expect(other);
        assert!(refused.reason == Reason::NotEligible && refused.message.contains("only the operator requests"), "{refused:?}");
        // Whether it is active makes no difference.
        f.asked.progress = Progress::Granted(NOW.plus_secs(60));
        assert_eq!(refusal(&f).expect(other).reason, Reason::NotEligible);
    }
    let gone: &[Case] = &[
        (|f| f.active = None, Reason::NotEligible, "no ActiveAssignment devs with uid devs-uid"),
        (|f| assignment(f).assignment.reference.uid = "other".into(), Reason::NotEligible, "no ActiveAssignment devs with uid devs-uid"),
        (|f| assignment(f).assignment.role = "other".into(), Reason::NotEligible, "for role admin any more"),
        (|f| assignment(f).system = Some("other".into()), Reason::NotEligible, "no ActiveAssignment"),
        (|f| f.asked.beneficiary = Some(Subject::User("mallory".into())), Reason::NotEligible, "is for group devs"),
        (|f| assignment(f).assignment.subject = Subject::User("alice".into()), Reason::NotEligible, "is for user alice"),
    ];
    check(gone, |_| {});
    let mut f = standing();
    f.admission = AdmissionHistory { since: Some(NOW.plus_secs(60)), proven: Some(NOW.plus_secs(90)), ..AdmissionHistory::default() };
    assert_eq!(refusal(&f).unwrap().reason, Reason::AdmissionNotEnforced);
}

#[test]
fn what_ends_it_is_judged_at_all_times() {
    let cases: &[Case] = &[
        (|f| assignment(f).assignment.suspended = true, Reason::Suspended, "assignment devs is suspended"),
        (|f| f.template().suspended = true, Reason::Suspended, "role admin is suspended"),
        (|f| f.policies[0].suspended = true, Reason::Suspended, "policy payments is suspended"),
        (|f| f.systems[0].suspended = true, Reason::Suspended, "system prod is suspended"),
        (|f| f.template().standing = None, Reason::OutsidePolicy, "allows no standing access"),
        (
            |f| f.template().standing = Some(StandingRule { permanent: true, max: "1d".parse().ok() }),
            Reason::OutsidePolicy,
            "longer than the 1d",
        ),
        (|f| f.policies[0].standing = false, Reason::OutsidePolicy, "allow.activeAssignments: true"),
        (|f| f.policies[0].eligible.clear(), Reason::OutsidePolicy, "not in eligible"),
        (|f| f.policies[0].max_eligibility = "1d".parse().unwrap(), Reason::OutsidePolicy, "longer than the 1d that policy"),
        (|f| f.policies.clear(), Reason::OutsidePolicy, "no AccessPolicy covers"),
        (|f| assignment(f).assignment.window = window(-3600, 60), Reason::OutsideWindow, "does not give access from"),
        (|f| assignment(f).assignment.window = window(-60, 86_400), Reason::OutsideWindow, "does not give access from"),
        (
            |f| {
                assignment(f).assignment.window = Window::Permanent;
                f.template().standing = Some(StandingRule { permanent: false, max: None });
            },
            Reason::OutsidePolicy,
            "is permanent, and role admin",
        ),
        (
            |f| {
                assignment(f).assignment.window = Window::Permanent;
                f.policies[0].permanent_eligibility = false;
            },
            Reason::OutsidePolicy,
            "allow.permanentEligibility",
        ),
    ];
    check(cases, |_| {});
    check(cases, |f| active(f, NOW.plus_secs(9 * 3600)));
    let narrowed: &[Case] =
        &[(|f| assignment(f).assignment.scope = Some(namespaces(&["canary"])), Reason::TemplateChanged, "no longer reaches")];
    check(narrowed, |f| {
        assignment(f).assignment.scope = Some(namespaces(&["payments"]));
        active(f, NOW.plus_secs(9 * 3600));
    });
}

#[test]
fn what_concerns_the_beginning_ends_nothing_that_is_active() {
    let cases: &[Case] = &[
        (|f| assignment(f).justification = " \u{200b}".into(), Reason::JustificationRequired, "has no justification"),
        (|f| assignment(f).provenance = Provenance::Unverified, Reason::AdmissionNotEnforced, "who created it is unknown"),
        (|f| assignment(f).provenance = Provenance::Pending, Reason::NotProvenYet, ""),
        (with_mfa, Reason::UnprovenLogin, "curfew.dev/amr"),
        (|f| f.ceiling = Some(long("1h")), Reason::OverMaximum, "CurfewConfig's ceiling"),
        (|f| f.policies[0].mfa = Some(long("1h")), Reason::BelowFloor, "asks for MFA"),
        (|f| f.systems[0].grants_allowed = false, Reason::ReadOnly, "ReadOnly"),
        (
            |f| assignment(f).author.username = "system:serviceaccount:flux:agent".into(),
            Reason::OutsidePolicy,
            "a person must create it, or the policy sets allow.delegated: true",
        ),
    ];
    check(cases, |_| {});
    for (change, _, words) in cases {
        let mut f = standing();
        active(&mut f, NOW.plus_secs(9 * 3600));
        change(&mut f);
        assert_eq!(refusal(&f), None, "{words}");
        // While it waits it is held to them.
        f.asked.approved = None;
        f.asked.progress = Progress::Accepted;
        assert!(refusal(&f).is_some(), "{words}");
    }
}

#[test]
fn the_author_needs_mfa_where_the_role_asks_for_it() {
    let login = |f: &mut Fixture, methods: &[&str], age: i64| {
        logged_in(f, methods, age);
        assignment(f).author.extra = std::mem::take(&mut f.asked.requester.extra);
    };
    let mut f = standing();
    with_mfa(&mut f);
    // The login was 10 minutes old when the assignment was created, an hour ago.
    login(&mut f, &["mfa"], 3600 + 600);
    assert_eq!(refusal(&f), None);
    login(&mut f, &["mfa"], 3600 + 16 * 60);
    let told = refusal(&f).unwrap();
    assert!(told.reason == Reason::MfaRequired && told.message.contains("the user who creates assignment devs"), "{told:?}");
    login(&mut f, &["pwd"], 3600 + 60);
    assert_eq!(refusal(&f).unwrap().reason, Reason::MfaRequired);
    // A service account has none, and needs the policy's word instead.
    assignment(&mut f).author = UserInfo { username: "system:serviceaccount:flux:agent".into(), ..UserInfo::default() };
    assert_eq!(refusal(&f).unwrap().reason, Reason::OutsidePolicy);
    f.policies[0].delegated = true;
    assert_eq!(refusal(&f), None);
}

#[test]
fn a_reserved_name_has_no_standing_access() {
    let mut reserved = standing();
    assignment(&mut reserved).assignment.subject = group("system:masters");
    let told = refusal(&reserved).unwrap();
    assert!(told.reason == Reason::OutsidePolicy && told.message.contains("Kubernetes reserves"), "{told:?}");
}

#[test]
fn windows_have_a_shortest_and_occurrences_a_longest_length() {
    let mut short = standing();
    assignment(&mut short).assignment.window = window(-3600, -3310);
    let told = refusal(&short).unwrap();
    assert!(told.reason == Reason::OutsidePolicy && told.message.contains("less than the 5m"), "{told:?}");
    let recurring = |duration: &str| {
        let mut f = standing();
        let every = serde_json::json!({"every": {"day": {}}, "times": ["00:00"], "duration": duration});
        let midnight = Time::from_millis(NOW.as_millis() / 86_400_000 * 86_400_000);
        assignment(&mut f).assignment.window = window(-86_400 * 2, 86_400 * 2);
        assignment(&mut f).recurrence = serde_json::from_value(every).ok();
        f.asked.start = Some(midnight);
        f.asked.duration = Some(long("10m"));
        f
    };
    assert!(refusal(&recurring("24h")).unwrap().message.contains("at most 23h"));
    let mut f = recurring("1h");
    assert_eq!(refusal(&f), None);
    f.asked.duration = Some(long("61m"));
    assert_eq!(refusal(&f).unwrap().reason, Reason::OutsideWindow);
}
