//! `terms::explain` against `terms::resolve`: the verdict is the same, and what refuses is told.
use crate::fixture::{Fixture, NOW, fixture, group, long, namespaces, reference, window};
use curfew_core::{
    extension::ExtensionLimits,
    limits::{Limit, LimitOf, Maxima},
    policy_inputs::{Assignment, Policy},
    reason::Reason,
    terms::{
        explain::{Explanation, Rule, explain},
        resolve,
    },
};

const UNREAD: Option<&str> = Some("only the operator reads it");

fn explained(change: impl FnOnce(&mut Fixture)) -> Explanation {
    let mut f = fixture();
    // As for a person, who does not see the target.
    f.unreachable = UNREAD;
    change(&mut f);
    explain(&f.asked, &f.inputs())
}

fn refusing(explained: &Explanation) -> Vec<Rule> {
    explained.rules.iter().filter(|judged| judged.answer.is_err()).map(|judged| judged.rule).collect()
}

#[test]
fn what_everything_allows_is_told_rule_by_rule() {
    let told = explained(|_| ());
    assert_eq!((told.refusal.as_ref(), refusing(&told)), (None, Vec::new()));
    let rules: Vec<_> = told.rules.iter().map(|judged| judged.rule).collect();
    let expected = [
        Rule::Request,
        Rule::Login,
        Rule::Role,
        Rule::System,
        Rule::Duration,
        Rule::Policy,
        Rule::Target,
        Rule::Justification,
        Rule::Eligibility,
    ];
    assert_eq!(rules, expected);
    let words: Vec<_> = told.rules.iter().map(|judged| judged.answer.clone().unwrap()).collect();
    assert!(words[4].contains("45m, of at most 4h") && words[8].contains("assignment devs names group devs, without an end"), "{words:?}");
}

/// One change, and the rule that refuses for it.
type Case = (Rule, fn(&mut Fixture));

const CASES: &[Case] = &[
    (Rule::Request, |f| f.asked.unsupported = vec!["breakGlass".into()]),
    (Rule::Login, |f| f.aliases = vec!["curfew.dev/person".into()]),
    (Rule::Role, |f| f.template = None),
    (Rule::Role, |f| f.template().suspended = true),
    (Rule::System, |f| f.systems[0].grants_allowed = false),
    (Rule::System, |f| f.systems.clear()),
    (Rule::System, |f| f.systems[0].missing_rights = Some("it may only read".into())),
    (Rule::Narrowing, |f| f.asked.scope = Some(namespaces(&["elsewhere"]))),
    (Rule::Start, |f| f.asked.start = Some(NOW.plus_secs(31 * 86_400))),
    (Rule::Duration, |f| f.asked.duration = Some(long("5h"))),
    (Rule::Duration, |f| f.ceiling = None),
    (Rule::Policy, |f| f.policies.clear()),
    (Rule::Policy, |f| f.policies[0].approval.as_mut().unwrap().quorum = 2),
    (Rule::Target, |f| f.template().not_bindable = Some("the verb bind is missing".into())),
    (Rule::Justification, |f| f.asked.justification = None),
    (Rule::BreakGlass, |f| f.asked.break_glass = true),
    (Rule::BreakGlass, |f| (f.asked.break_glass, f.template().break_glass) = (true, true)),
    (Rule::Eligibility, |f| f.assignments.clear()),
    (Rule::Eligibility, |f| f.assignments[0].suspended = true),
    (Rule::Eligibility, |f| f.assignments[0].window = window(-60, 60)),
    (Rule::Eligibility, |f| f.policies[0].max_duration = long("30m")),
    (Rule::Eligibility, |f| f.policies[0].eligible = vec![group("others")]),
];

#[test]
fn the_rule_that_refuses_is_told_with_its_reason() {
    for (i, (rule, change)) in CASES.iter().enumerate() {
        let told = explained(change);
        assert_eq!(refusing(&told), [*rule], "case {i}: {told:?}");
        assert!(told.refusal.is_some(), "case {i}");
    }
}

#[test]
fn everything_that_is_in_the_way_is_told_at_once() {
    let told = explained(|f| {
        f.systems[0].grants_allowed = false;
        f.asked.duration = Some(long("5h"));
        f.asked.justification = None;
        f.assignments.clear();
    });
    assert_eq!(refusing(&told), [Rule::System, Rule::Duration, Rule::Justification, Rule::Eligibility]);
    assert_eq!(told.refusal.unwrap().reason, Reason::ReadOnly, "the first one decides");
}

#[test]
fn one_assignment_that_fits_is_enough() {
    let told = explained(|f| {
        let ended = Assignment { reference: reference("a-ended"), window: window(-60, -1), ..f.assignments[0].clone() };
        f.assignments.push(ended);
    });
    assert_eq!((told.refusal.as_ref(), refusing(&told)), (None, vec![Rule::Eligibility]));
}

/// Every pair of changes: the verdict is that of `resolve`, and where it refuses, some rule says so.
#[test]
fn the_verdict_is_that_of_resolve() {
    for (_, first) in CASES {
        for (_, second) in CASES {
            let mut f = fixture();
            f.unreachable = UNREAD;
            // Changes of parts that another change has taken away are left out.
            let whole = |f: &Fixture| f.template.is_some() && !f.systems.is_empty() && !f.policies.is_empty() && !f.assignments.is_empty();
            first(&mut f);
            if !whole(&f) {
                continue;
            }
            second(&mut f);
            let told = explain(&f.asked, &f.inputs());
            // As the operator judges it, which reads the target.
            f.unreachable = None;
            let decided = resolve(&f.asked, &f.inputs()).err();
            assert_eq!(told.refusal, decided);
            assert_eq!(told.refusal.is_some(), !refusing(&told).is_empty(), "{told:?}");
        }
    }
}

/// Beyond one request: break-glass, limits and the ceiling of extensions, by the policy that would allow the request.
#[test]
fn what_lies_beyond_one_request_is_told_by_the_policy_that_would_allow_it() {
    let most = |active| Some(Maxima { active, per_subject: 1 });
    let told = explained(|f| {
        f.template().limits = most(5);
        f.template().extension = Some(ExtensionLimits { chain: long("10h"), per_day: long("6h") });
        // In name order the first that offers the role; it does not let this person have it.
        let second = f.policies[0].clone();
        f.policies[0].limits = most(1);
        f.policies[0].eligible = vec![group("others")];
        f.policies.push(Policy { reference: reference("second"), limits: most(9), break_glass: true, max_duration: long("3h"), ..second });
        f.template().break_glass = true;
    });
    let beyond = told.beyond.expect("role, system and holder are known");
    assert_eq!((beyond.policy.as_deref(), beyond.break_glass), (Some("second"), Ok("second".to_owned())));
    let limits: Vec<_> = beyond.limits.iter().map(|limit| (limit.at_most, limit.of.clone())).collect();
    let second = LimitOf::Policy("second".into());
    assert_eq!(limits, [(1, LimitOf::Role), (5, LimitOf::Role), (1, second.clone()), (9, second)]);
    assert_eq!(beyond.locks.map(|locks| locks.iter().all(Limit::is_lock)), Ok(true));
    let chain = beyond.chain.expect("it can be extended");
    assert_eq!((chain.longest, chain.by.as_str(), chain.per_day), (long("3h"), "policy second", long("6h")));

    let refused = explained(|_| ()).beyond.expect("role, system and holder are known");
    assert_eq!(refused.break_glass.map_err(|refusal| refusal.reason), Err(Reason::OutsidePolicy));
    assert_eq!((refused.limits.len(), refused.chain), (0, None));
    assert_eq!(explained(|f| f.template = None).beyond, None);
}
