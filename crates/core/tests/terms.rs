//! template × assignment × policy × system: every refusal by its reason, and what the digest covers.
#[allow(dead_code)]
mod fixture;
mod terms_active;
mod terms_aws;
mod terms_explain;

use curfew_core::{
    admission::AdmissionHistory,
    approval::{ApprovalStage, Escalation, StageOrder},
    digest::Digest,
    policy_inputs::{AcceptedBy, ApprovalFloor, Policy, Progress, System, Systems},
    principal::{ServiceAccount, Subject},
    readiness,
    reason::Reason,
    resolved::Terms,
    target::{Empty, ScopeByProvider, kubernetes, kubernetes::persistence},
    terms::{Refusal, assignment_ready, ready},
};
use fixture::{Fixture, NOW, active, content, delegated, fixture, group, long, namespaces, reference, roles, window, with};
use std::sync::Arc;
use terms_active::while_active;

/// The refusal has this reason, and its message contains this text.
fn refused(reason: Reason, words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = with(change).expect_err(words);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
}

#[test]
fn what_everything_allows_is_resolved() {
    let terms = with(|_| ()).unwrap();
    assert_eq!((terms.resolved.policy.name.as_str(), terms.resolved.assignment.name.as_str()), ("payments", "devs"));
    assert_eq!((terms.resolved.duration.to_string().as_str(), terms.resolved.approval.len()), ("45m", 1));
}

#[test]
fn what_cannot_be_resolved_is_invalid_by_name() {
    refused(Reason::AdmissionNotEnforced, "create a new request", |f| f.admission = AdmissionHistory::default());
    refused(Reason::AdmissionNotEnforced, "create a new request", |f| f.admission.since = Some(NOW.plus_secs(1)));
    refused(Reason::Unsupported, "breakGlass", |f| f.asked.unsupported = vec!["breakGlass".into()]);
    refused(Reason::NoSuchRole, "RoleTemplate admin", |f| f.template = None);
    refused(Reason::Unsupported, "activation.mfa", |f| f.template().unsupported = vec!["activation.mfa".into()]);
    refused(Reason::AmbiguousSystem, "mars", |f| f.asked.system = Some("mars".into()));
    refused(Reason::AmbiguousSystem, "prod, test", |f| {
        let second = System { name: "test".into(), ..f.systems[0].clone() };
        f.systems.push(second);
        f.template().systems = Systems::Labels([("env".to_owned(), "prod".to_owned())].into());
    });
    refused(Reason::NotReady, "not connected", |f| f.systems[0].target = None);
    refused(Reason::NotReady, "older", |f| f.systems[0].duplicate_of = Some("elder".into()));
    refused(Reason::NotReady, "payments-admin does not exist", |f| f.kubernetes().roles.clear());
    refused(Reason::NotReady, "namespace canary does not exist", |f| drop(f.kubernetes().namespaces.pop()));
    refused(Reason::NotReady, "the verb", |f| f.template().not_bindable = Some("the verb bind is missing".into()));
    refused(Reason::NotReady, "the Job", |f| f.template().refused_by_target = Some("the namespace refuses the Job".into()));
    refused(Reason::UnprovenLogin, "curfew.dev/person", |f| f.aliases = vec!["curfew.dev/person".into()]);
}

#[test]
fn a_name_grants_once() {
    refused(Reason::AlreadyConsumed, "another name", |f| f.asked.is_name_used = true);
    let again = |progress| {
        with(|f| {
            f.asked.is_name_used = true;
            f.asked.progress = progress;
        })
    };
    // An older Grant of the name that is seen late stops what has not begun, and nothing that is granted.
    assert_eq!(again(Progress::Accepted).expect_err("used").reason, Reason::AlreadyConsumed);
    assert!(again(Progress::Granted(NOW.plus_secs(60))).is_ok());
}

#[test]
fn a_person_with_alias_keys_must_ask_in_person() {
    refused(Reason::NotEligible, "erin must create the request", |f| {
        delegated(f);
        f.asked.beneficiary = Some(Subject::User("erin".into()));
        f.aliases = vec!["person".into()];
    });
}

#[test]
fn a_role_whose_quorum_cannot_be_reached_is_not_ready() {
    let impossible = |f: &mut Fixture| {
        let stage = &mut f.template.as_mut().unwrap().approval[0];
        (stage.approvers, stage.quorum) = (vec![Subject::User("carol".into())], 2);
        f.policies[0].approval = None;
    };
    refused(Reason::NotReady, "needs 2 approvers and lists 1", impossible);
    assert_eq!(template_ready(impossible), Some(Reason::NobodyCanApprove));
}

#[test]
fn what_makes_every_grant_fail_stops_new_grants_and_ends_no_active_one() {
    let obstacles: [fn(&mut Fixture); 2] =
        [|f| f.kubernetes().roles[0].without_rules = true, |f| f.kubernetes().terminating = vec!["canary".into()]];
    for obstacle in obstacles {
        refused(Reason::NotReady, "role admin is not ready", obstacle);
        assert_eq!(template_ready(obstacle), Some(Reason::NotReady));
        let active = with(|f| {
            obstacle(f);
            f.asked.progress = Progress::Granted(NOW.plus_secs(600));
        });
        assert!(active.is_ok(), "{active:?}");
    }
}

/// The approvers of a stage, and its quorum.
type Listed = (&'static [&'static str], u8);

#[test]
fn every_stage_needs_people_of_its_own() {
    let user = |name: &str| Subject::User(name.into());
    let stages = |f: &mut Fixture, lists: &[Listed]| {
        let first = f.template().approval[0].clone();
        let stage = |(i, (names, quorum)): (usize, &Listed)| {
            let approvers = names.iter().map(|n| if *n == "leads" { group(n) } else { user(n) }).collect();
            ApprovalStage { name: format!("stage-{i}"), approvers, quorum: *quorum, ..first.clone() }
        };
        f.template().approval = lists.iter().enumerate().map(stage).collect();
        f.policies[0].approval = None;
    };
    let cases: &[(&[Listed], Option<Reason>)] = &[
        (&[(&["carol"], 1), (&["dave"], 1)], None),
        (&[(&["carol"], 1), (&["carol"], 1)], Some(Reason::NobodyCanApprove)),
        (&[(&["carol", "dave"], 1), (&["carol"], 1)], None),
        (&[(&["carol", "dave"], 2), (&["carol", "erin"], 1)], None),
        (&[(&["carol", "dave"], 2), (&["dave", "carol"], 1)], Some(Reason::NobodyCanApprove)),
        (&[(&["carol", "dave"], 1), (&["dave", "erin"], 1), (&["carol", "erin"], 1)], None),
        (&[(&["carol"], 1), (&["leads", "carol"], 1)], None),
        (&[(&["carol", "carol"], 2)], Some(Reason::NobodyCanApprove)),
    ];
    for (lists, expected) in cases {
        assert_eq!(template_ready(|f| stages(f, lists)), *expected, "{lists:?}");
    }
}

#[test]
fn an_escalation_is_held_to_the_floor_and_comes_before_the_timeout() {
    let escalates = |after: &str, to: &str| {
        let escalation = Some(Escalation { after: long(after), approvers: vec![group(to)] });
        move |f: &mut Fixture| f.template().approval[0].escalation = escalation
    };
    assert_eq!(template_ready(escalates("23h", "oncall")), None);
    assert_eq!(template_ready(escalates("24h", "oncall")), Some(Reason::NotReady), "a stage waits for a day");
    assert_eq!(template_ready(escalates("23h", "others")), Some(Reason::BelowFloor));
    // In any order the people of the stages are distinct, too, and an escalation brings more of them.
    let two = |escalated: bool| {
        move |f: &mut Fixture| {
            let one = ApprovalStage { approvers: vec![Subject::User("carol".into())], ..f.template().approval[0].clone() };
            let escalation = Escalation { after: long("1h"), approvers: vec![Subject::User("dave".into())] };
            let second = ApprovalStage { escalation: escalated.then_some(escalation), ..one.clone() };
            (f.template().approval, f.template().order) = (vec![one, second], StageOrder::Parallel);
            f.policies[0].approval = None;
        }
    };
    assert_eq!((template_ready(two(false)), template_ready(two(true))), (Some(Reason::NobodyCanApprove), None));
}

#[test]
fn the_order_of_the_stages_is_frozen() {
    let one = with(|_| ()).unwrap();
    let parallel = with(|f| f.template().order = StageOrder::Parallel).unwrap();
    assert_ne!(one.digest, parallel.digest);
    assert!(!serde_json::to_string(&*one.resolved).unwrap().contains("\"order\""), "what does not use it is stored as before");
    assert_eq!(parallel.resolved.changed_since(&one.resolved), "the approvers have changed");
}

#[test]
fn a_floor_that_nobody_can_meet_is_not_in_force() {
    let floor = |quorum, from: &[Subject]| Some(ApprovalFloor { quorum, from: from.to_vec() });
    let (carol, dave) = (Subject::User("carol".into()), Subject::User("dave".into()));
    let bot = Subject::ServiceAccount(ServiceAccount { namespace: "ci".into(), name: "bot".into() });
    for (approval, met) in [
        (floor(2, &[carol.clone(), carol.clone()]), false),
        (floor(2, &[carol.clone(), bot]), false),
        (floor(2, &[carol.clone(), dave]), true),
        (floor(16, &[carol, group("leads")]), true),
        (None, true),
    ] {
        let mut f = fixture();
        f.policies[0].approval = approval.clone();
        let verdict = readiness::policy(&f.policies[0]).err().map(|e| e.reason);
        assert_eq!(verdict, (!met).then_some(Reason::NobodyCanApprove), "{approval:?}");
        if !met {
            assert_eq!(template_ready(|f| f.policies[0].approval = approval), Some(Reason::NobodyCanApprove));
        }
    }
}

#[test]
fn the_policy_that_comes_nearest_is_told_first_and_the_others_after_it() {
    let told = |change: &dyn Fn(&mut Fixture)| {
        let mut f = fixture();
        let lasting = "write RoleBindings (rule 1: rolebindings.rbac.authorization.k8s.io)";
        f.kubernetes().roles[0].persistence = Some(lasting.into());
        let other = Policy { reference: reference("z-other"), permissions: roles(&["view"]), ..f.policies[0].clone() };
        f.policies.push(other);
        change(&mut f);
        ready(f.template.as_ref().unwrap(), &f.inputs()).expect_err("refused")
    };
    let both = told(&|_| ());
    assert!(both.message.starts_with("policy payments would need allow.persistence: true"), "{both:?}");
    assert!(both.message.contains("policy z-other does not allow ClusterRole payments-admin"), "{both:?}");
    // A policy that only misses the floor comes nearer than one that does not allow the role, in whichever order.
    for name in ["a-first", "zz-last"] {
        let below = told(&|f| {
            let floor = Some(ApprovalFloor { quorum: 2, from: vec![group("leads")] });
            let policy = Policy { reference: reference(name), persistence: true, approval: floor, ..f.policies[0].clone() };
            f.policies.push(policy);
        });
        assert!(below.reason == Reason::BelowFloor && below.message.starts_with(&format!("policy {name} ")), "{below:?}");
        let suspended =
            told(&|f| f.policies.push(Policy { reference: reference(name), persistence: true, suspended: true, ..f.policies[0].clone() }));
        assert!(suspended.reason == Reason::Suspended && suspended.message.starts_with(&format!("policy {name} ")), "{suspended:?}");
    }
    let many = told(&|f| {
        let more = (0..20).map(|i| Policy { reference: reference(&format!("p-{i:02}")), ..f.policies[1].clone() });
        f.policies.extend(more.collect::<Vec<_>>());
    });
    assert!(many.message.ends_with("; 19 more policies refuse it, too") && many.message.len() < 800, "{many:?}");
}

#[test]
fn an_unreachable_target_is_unknown_and_not_gone() {
    let away = |f: &mut Fixture| {
        f.unreachable = Some("connection refused");
        f.kubernetes().roles.clear();
    };
    refused(Reason::TargetUnreachable, "connection refused", away);
    refused(Reason::Suspended, "suspended", |f| {
        away(f);
        f.systems[0].suspended = true;
    });
    assert_eq!(template_ready(away), Some(Reason::TargetUnreachable));
}

#[test]
fn what_is_not_allowed_is_denied_by_rule_value_and_limit() {
    refused(Reason::NotEligible, "alice", |f| f.assignments.clear());
    refused(Reason::NotEligible, "alice", |f| f.assignments[0].role = "other".into());
    refused(Reason::NotEligible, "names service account", |f| f.asked.requester.username = "system:serviceaccount:ci:bot".into());
    refused(Reason::NotEligible, "group strangers", |f| {
        f.assignments[0].subject = group("strangers");
        f.asked.requester.groups = Arc::new(vec!["strangers".into()]);
    });
    refused(Reason::OverMaximum, "asked for 6h, but role admin allows at most 4h", |f| f.asked.duration = Some(long("6h")));
    refused(Reason::OverMaximum, "policy payments allows at most 30m", |f| f.policies[0].max_duration = long("30m"));
    refused(Reason::OverMaximum, "ceiling allows at most 10m", |f| f.ceiling = Some(long("10m")));
    refused(Reason::JustificationRequired, "spec.justification", |f| f.asked.justification = Some(" ".into()));
    refused(Reason::ReadOnly, "prod", |f| f.systems[0].grants_allowed = false);
    refused(Reason::OutsideWindow, "begins", |f| f.assignments[0].window = window(60, 9000));
    refused(Reason::OutsideWindow, "ended", |f| f.assignments[0].window = window(-600, 0));
    refused(Reason::OutsideWindow, "30m are left, and the whole duration must fit", |f| f.assignments[0].window = window(-60, 1800));
    refused(Reason::Suspended, "suspended", |f| f.template().suspended = true);
    refused(Reason::Suspended, "suspended", |f| f.assignments[0].suspended = true);
    refused(Reason::Suspended, "suspended", |f| f.policies[0].suspended = true);
    refused(Reason::Suspended, "suspended", |f| f.systems[0].suspended = true);
}

#[test]
fn an_assignment_narrows_and_never_widens() {
    let terms = with(|f| f.assignments[0].scope = Some(namespaces(&["canary"]))).unwrap();
    assert_ne!(terms.effects, with(|_| ()).unwrap().effects);
    refused(Reason::NotEligible, "namespace elsewhere", |f| f.assignments[0].scope = Some(namespaces(&["canary", "elsewhere"])));
    refused(Reason::NotEligible, "permanent", |f| f.policies[0].permanent_eligibility = false);
    refused(Reason::NotEligible, "less than the 5m", |f| f.assignments[0].window = window(-60, 239));
    refused(Reason::NotEligible, "longer than the 365d", |f| f.assignments[0].window = window(-60, 400 * 86_400));
}

#[test]
fn policies_are_tried_in_name_order_each_as_a_whole() {
    let narrow =
        |f: &Fixture, name: &str, max: &str| Policy { reference: reference(name), max_duration: long(max), ..f.policies[0].clone() };
    let terms = with(|f| {
        let (short, first) = (narrow(f, "a-short", "10m"), narrow(f, "b-long", "2h"));
        f.policies.extend([first, short]);
    });
    assert_eq!(terms.unwrap().resolved.policy.name, "b-long", "the first, by name, that allows all of it");
    refused(Reason::NotReady, "no AccessPolicy covers", |f| f.policies.clear());
    refused(Reason::NotReady, "min.mfa", |f| f.policies[0].unsupported = vec!["min.mfa".into()]);
    refused(Reason::NotReady, "ClusterRole payments-admin", |f| f.policies[0].permissions = roles(&["view"]));
    refused(Reason::NotReady, "system prod", |f| f.policies[0].systems = Systems::Names(vec!["other".into()]));
    refused(Reason::NotReady, "namespace canary", |f| f.policies[0].scope = namespaces(&["payments"]));
}

fn template_ready(change: impl FnOnce(&mut Fixture)) -> Option<Reason> {
    let mut f = fixture();
    change(&mut f);
    ready(f.template.as_ref().unwrap(), &f.inputs()).err().map(|e| e.reason)
}

#[test]
fn a_template_is_ready_only_if_a_request_could_be_granted() {
    assert_eq!(template_ready(|_| ()), None);
    assert_eq!(template_ready(|f| f.template().approval[0].approvers.push(group("anybody"))), Some(Reason::BelowFloor));
    assert_eq!(template_ready(|f| f.template().approval.clear()), Some(Reason::BelowFloor));
    assert_eq!(template_ready(|f| f.policies[0].approval.as_mut().unwrap().quorum = 2), Some(Reason::BelowFloor));
    assert_eq!(template_ready(|f| f.template().approval[0].approvers = vec![group("oncall")]), None, "a subset of the floor is as strict");
    assert_eq!(template_ready(|f| f.policies[0].permissions = roles(&["view"])), Some(Reason::OutsidePolicy));
    assert_eq!(template_ready(|f| f.template().not_bindable = Some("no".into())), Some(Reason::NotBindable));
    assert_eq!(template_ready(|f| f.template().refused_by_target = Some("no".into())), Some(Reason::TargetRefused));
    assert_eq!(
        template_ready(|f| {
            f.template().approval[0].quorum = 2;
            f.template().approval[0].approvers = vec![Subject::User("carol".into()), Subject::User("carol".into())];
        }),
        Some(Reason::NobodyCanApprove)
    );
}

#[test]
fn permissions_that_outlive_a_grant_need_the_policy() {
    let lasting = |f: &mut Fixture| f.kubernetes().roles[0].persistence = Some("create tokens of service accounts".into());
    assert_eq!(template_ready(lasting), Some(Reason::OutsidePolicy));
    let home = |f: &mut Fixture| {
        for scope in [&mut f.template.as_mut().unwrap().scope, &mut f.policies[0].scope] {
            *scope = namespaces(&["curfew-system"]);
        }
        f.kubernetes().namespaces = vec![reference("curfew-system")];
    };
    assert_eq!(template_ready(home), Some(Reason::OutsidePolicy));
    let allowed = |f: &mut Fixture| {
        home(f);
        lasting(f);
        f.policies[0].persistence = true;
    };
    assert_eq!(template_ready(allowed), None);
}

#[test]
fn an_assignment_is_ready_only_within_its_role_and_policy() {
    let check = |change: fn(&mut Fixture)| {
        let mut f = fixture();
        change(&mut f);
        assignment_ready(&f.assignments[0], f.template.as_ref(), &f.inputs()).err().map(|e| e.reason)
    };
    assert_eq!(check(|_| ()), None);
    assert_eq!(check(|f| f.assignments[0].subject = Subject::Group("system:masters".into())), Some(Reason::OutsidePolicy));
    assert_eq!(check(|f| f.assignments[0].subject = group("strangers")), Some(Reason::OutsidePolicy));
    assert_eq!(check(|f| f.template = None), Some(Reason::NoSuchRole));
    assert_eq!(check(|f| f.assignments[0].unsupported = vec!["delegation".into()]), Some(Reason::Unsupported));
}

#[test]
fn the_digest_covers_what_is_granted_and_who_decides() {
    let plain = with(|_| ()).unwrap();
    let same = |change: fn(&mut Fixture)| with(change).unwrap().digest == plain.digest;
    assert!(same(|f| f.template().max_duration = long("5h")), "a limit is not part of the effects");
    assert!(!same(|f| f.asked.uid = "r2".into()), "a re-created request is another one");
    assert!(!same(|f| f.kubernetes().roles[0].rules = Digest::from_bits(2)), "a role that has grown is another one");
    assert!(!same(|f| f.kubernetes().roles[0].uid = "d".into()), "a re-created role is another one, for those who wait");
    assert!(!same(|f| f.kubernetes().namespaces[0].uid = "other".into()), "a re-created namespace is another one");
    assert!(!same(|f| f.asked.duration = Some(long("46m"))));
    assert!(!same(|f| f.policies[0].reference.uid = "other".into()), "another policy is another digest");
    let fewer = with(|f| f.template().approval[0].approvers = vec![group("oncall")]).unwrap();
    assert!(fewer.digest != plain.digest && fewer.effects == plain.effects, "the approvers are approved, and are not part of the effects");
}

#[test]
fn what_was_accepted_by_something_that_is_missing_is_told_to_be_absent() {
    let accepted = |f: &mut Fixture| {
        f.asked.progress = Progress::Accepted;
        f.asked.accepted_by = Some(AcceptedBy { assignment: "devs".into(), policy: "payments".into() });
    };
    let absent = |change: fn(&mut Fixture)| {
        let judged = with(|f| {
            accepted(f);
            change(f);
        });
        judged.expect_err("something is missing").absent
    };
    assert!(absent(|f| f.template = None) && absent(|f| f.assignments.clear()) && absent(|f| f.policies.clear()));
    // Another policy refuses it, and the one that allowed it is missing.
    assert!(absent(|f| {
        f.policies[0].reference = reference("other");
        f.policies[0].permissions = roles(&["view"]);
    }));
    assert!(!absent(|f| f.policies[0].permissions = roles(&["view"])), "it is there, and refuses");
    assert!(!absent(|f| {
        f.assignments.clear();
        f.template().suspended = true;
    }));
    assert!(!with(|f| f.template = None).expect_err("missing").absent, "of a request that was never accepted");
}

#[test]
fn without_a_configuration_what_waits_goes_on_waiting() {
    for progress in [Progress::New, Progress::Accepted] {
        let refusal = with(|f| (f.asked.progress, f.ceiling) = (progress, None)).expect_err("no CurfewConfig");
        assert_eq!(refusal.reason, Reason::NotProvenYet);
    }
}

#[test]
fn a_service_account_asks_only_where_that_is_allowed_and_two_people_must_approve() {
    let terms = with(delegated).unwrap();
    assert_eq!((terms.resolved.principal.name().as_str(), terms.resolved.approval[0].quorum), ("alice", 2));
    // For itself.
    let own = with(|f| {
        delegated(f);
        f.asked.beneficiary = None;
        let agent = f.asked.requester.service_account().unwrap();
        f.assignments[0].subject = agent.clone();
        f.policies[0].eligible.push(agent);
    });
    assert_eq!(own.unwrap().resolved.principal.name(), "system:serviceaccount:flux:agent");
    let refused = |reason, words: &str, change: fn(&mut Fixture)| {
        refused(reason, words, |f| {
            delegated(f);
            change(f);
        });
    };
    refused(Reason::NotEligible, "set delegation: Allowed", |f| f.assignments[0].delegated = false);
    refused(Reason::NotEligible, "set allow.delegated: true", |f| f.policies[0].delegated = false);
    refused(Reason::NotEligible, "names user alice itself", |f| f.assignments[0].subject = group("devs"));
    refused(Reason::NotEligible, "a request for group devs is not possible", |f| f.asked.beneficiary = Some(group("devs")));
    refused(Reason::NotEligible, "an identity that Kubernetes reserves", |f| {
        f.asked.beneficiary = Some(Subject::User("system:admin".into()));
    });
    refused(Reason::NotEligible, "neither a person nor a service account", |f| f.asked.requester.username = "system:node:a".into());
    refused(Reason::OutsideWindow, "must set spec.notAfter", |f| f.asked.not_after = None);
    refused(Reason::OutsideWindow, "more than 7 days", |f| f.asked.not_after = Some(NOW.plus_secs(8 * 86_400)));
    refused(Reason::OutsideWindow, "beyond notAfter", |f| f.asked.not_after = Some(NOW.plus_secs(60)));
    refused(Reason::BelowFloor, "needs two approvers", |f| {
        f.template().approval.clear();
        f.policies[0].approval = None;
    });
    refused(Reason::NobodyCanApprove, "needs 2 approvers and lists 1", |f| {
        let one = vec![Subject::User("carol".into())];
        f.template().approval[0].approvers = one.clone();
        f.policies[0].approval = Some(ApprovalFloor { quorum: 1, from: one });
    });
}

#[test]
fn a_system_where_nothing_could_be_revoked_begins_nothing_and_ends_nothing() {
    let lacking = |f: &mut Fixture| f.systems[0].missing_rights = Some("it may only read".into());
    let judged = |progress: Progress| {
        with(|f| {
            lacking(f);
            f.asked.progress = progress;
        })
    };
    assert_eq!(judged(Progress::New).unwrap_err().reason, Reason::NotReady);
    for progress in [Progress::Accepted, Progress::Granted(NOW.plus_secs(600))] {
        assert_eq!(judged(progress).unwrap_err().reason, Reason::TargetUnreachable, "rights come back, and what waits goes on");
    }
    assert!(while_active(lacking).is_ok());
}
