use super::*;
use crate::explain::Outcome;
use serde_json::{Value, json};

fn now() -> Time {
    Time::parse("2026-11-23T08:00:00Z").unwrap()
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn condition(type_: &str, status: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": "X", "message": message, "observedGeneration": 1, "lastTransitionTime": "2026-11-23T07:00:00Z"})
}

fn none() -> Value {
    json!({"none": {}})
}

fn config() -> Value {
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "CurfewConfig", "metadata": {"name": "curfew"},
        "spec": {"ceilings": {"duration": "24h"}, "retention": "30d", "identity": {"aliases": none(), "uids": {"personal": {}}, "deciderProof": none()}},
        "status": {"conditions": [condition("AdmissionEnforced", "True", "in force")]}})
}

fn role() -> Value {
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "metadata": {"name": "admin", "namespace": "payments", "uid": "r", "generation": 1},
        "spec": {"systems": {"names": ["prod"]}, "permissions": {"kubernetes": {"clusterRoles": ["payments-admin"]}},
            "scope": {"kubernetes": {"namespaces": ["payments", "canary"]}},
            "activation": {"duration": {"default": "1h", "max": "8h"}, "ticket": none(), "mfa": none(), "limits": none(),
                "approval": {"stages": [{"name": "owners", "approvers": [{"group": "leads"}, {"group": "devs"}], "quorum": 1, "timeout": "4h"}]}},
            "assignment": {"eligible": {"permanent": true}}},
        "status": {"conditions": [condition("Ready", "True", "allowed by policy payments")], "display": {"systems": "prod", "max": "4h", "approval": "1 owners"}}})
}

fn assignment(subject: Value) -> Value {
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": "devs", "namespace": "payments", "uid": "e"},
        "spec": {"roleRef": {"name": "admin"}, "subject": subject, "scope": {"kubernetes": {"namespaces": ["payments"]}}, "window": {"permanent": {}}}})
}

fn policy() -> Value {
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": "payments", "uid": "p"},
        "spec": {"namespaces": {"names": ["payments"]}, "systems": {"names": ["prod"]}, "permissions": {"kubernetes": {"clusterRoles": ["payments-admin"]}},
            "scope": {"kubernetes": {"namespaces": ["payments", "canary"]}}, "eligible": [{"group": "devs"}], "max": {"duration": "4h", "eligibility": "365d"},
            "min": {"approval": none(), "justification": true, "mfa": none(), "ticket": none()}, "allow": {"permanentEligibility": true}}})
}

fn system(mode: &str) -> Value {
    json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": "prod", "uid": "s"},
        "spec": {"mode": mode, "provider": {"kubernetes": {"inCluster": {}}}}, "status": {"target": {"id": "t"}}})
}

fn gap(what: &str) -> Gap {
    Gap { what: what.into(), why: format!("your role needs the rule for {what}") }
}

/// What Alice of the group devs could read.
fn facts(duration: Option<&str>) -> Facts {
    let login: UserInfo = object(json!({"username": "alice", "groups": ["devs"]}));
    let mut spec = json!({"roleRef": {"name": "admin"}, "justification": "roll back"});
    if let Some(duration) = duration {
        spec["duration"] = json!(duration);
    }
    Facts {
        now: now(),
        request: as_created(object(spec), &login, &[], "payments", now()),
        login,
        config: Ok(Some(object(config()))),
        template: Ok(object(role())),
        assignments: Ok(vec![object(assignment(json!({"group": "devs"})))]),
        windows: Windows::new(),
        policies: Ok(vec![object(policy())]),
        systems: Ok(vec![object(system("ReadWrite"))]),
        extended: None,
    }
}

/// The same with the rights of `curfew-requester`: neither policies nor systems.
fn requester(duration: Option<&str>) -> Facts {
    Facts { policies: Err(gap("accesspolicies")), systems: Err(gap("authorizationsystems")), ..facts(duration) }
}

fn outcome(explained: &Explained, rule: &str) -> (Outcome, String) {
    let line = explained.rules.iter().find(|line| line.rule == rule).unwrap_or_else(|| panic!("no rule {rule}: {explained:#?}"));
    (line.outcome, line.detail.clone())
}

#[test]
fn an_eligible_user_is_told_what_would_happen() {
    let told = judge(&facts(Some("45m")));
    assert_eq!((told.verdict, told.exit_code(), told.ends.as_deref()), (Outcome::Ok, 0, None), "{told:#?}");
    assert!(told.rules.iter().all(|line| line.outcome == Outcome::Ok), "{told:#?}");
    assert_eq!(told.writes, ["ClusterRole payments-admin in payments"], "the assignment narrows it");
    assert_eq!((told.duration.as_deref(), told.until.as_deref()), (Some("45m"), Some("2026-11-23T08:45:00Z")));
    assert!(told.ended_by.as_ref().is_some_and(|by| by.contains("enforcedBy: Target")), "{told:#?}");
    assert_eq!(told.approval, ["owners: 1 of group leads, group devs, within 4h; you are listed, and your own approval does not count"]);
    let text = super::super::view::text(&told);
    assert!(text.starts_with("alice may request role admin in namespace payments") && text.contains("eligibility     ok"), "{text}");
}

#[test]
fn what_may_not_be_read_is_unknown_with_the_rule_and_taken_from_status_where_it_stands() {
    let told = judge(&requester(None));
    assert_eq!((told.verdict, told.exit_code()), (Outcome::Ok, 0), "{told:#?}");
    let (system, why) = outcome(&told, "system");
    assert!(system == Outcome::Unknown && why.contains("needs the rule for authorizationsystems"), "{why}");
    assert_eq!(outcome(&told, "policy"), (Outcome::Ok, "the operator says: allowed by policy payments".into()));
    // The smallest maximum stands in the status of the role.
    let told = judge(&requester(Some("6h")));
    assert_eq!((told.verdict, told.ends.as_deref(), told.exit_code()), (Outcome::NotOk, Some("Denied"), 4));
    assert!(outcome(&told, "eligibility").1.contains("asked for 6h") && outcome(&told, "eligibility").1.contains("at most 4h"));
    let mut unjudged = requester(None);
    unjudged.template.as_mut().unwrap().metadata.generation = Some(2);
    let told = judge(&unjudged);
    assert_eq!((told.verdict, outcome(&told, "policy").0, told.exit_code()), (Outcome::Unknown, Outcome::Unknown, 3));
}

#[test]
fn a_user_who_is_not_eligible_is_told_so() {
    let mut facts = facts(None);
    facts.assignments = Ok(vec![object(assignment(json!({"group": "others"})))]);
    let told = judge(&facts);
    assert_eq!((told.verdict, told.ends.as_deref()), (Outcome::NotOk, Some("Denied")));
    let (eligibility, why) = outcome(&told, "eligibility");
    assert!(eligibility == Outcome::NotOk && why.contains("no EligibleAssignment for role admin names alice"), "{why}");
    facts.assignments = Err(gap("eligibleassignments"));
    let told = judge(&facts);
    assert_eq!((told.verdict, outcome(&told, "eligibility").0), (Outcome::Unknown, Outcome::Unknown), "not read is not absent");
}

#[test]
fn what_the_operator_found_and_what_stops_every_grant_refuses() {
    let refused = |change: fn(&mut Facts), rule: &str| {
        let mut facts = facts(None);
        change(&mut facts);
        let told = judge(&facts);
        assert_eq!((told.verdict, outcome(&told, rule).0), (Outcome::NotOk, Outcome::NotOk), "{rule}: {told:#?}");
        told
    };
    let ready = |status: &str| vec![serde_json::from_value(condition("Ready", status, "the verb bind is missing")).unwrap()];
    let mut not_ready = facts(None);
    not_ready.template.as_mut().unwrap().status.as_mut().unwrap().conditions = ready("False");
    let told = judge(&not_ready);
    assert_eq!((told.verdict, told.ends.as_deref(), told.exit_code()), (Outcome::NotOk, Some("Invalid"), 5));
    assert!(outcome(&told, "target").1.contains("the verb bind is missing"));
    refused(|f| f.systems = Ok(vec![object(system("ReadOnly"))]), "system");
    refused(|f| f.config = Ok(None), "admission");
    refused(|f| f.config.as_mut().unwrap().as_mut().unwrap().status = None, "admission");
    let far = refused(|f| f.request.spec.start_time = Some(now().plus_secs(40 * 86_400)), "start");
    assert!(outcome(&far, "start").1.contains("more than 30 days"), "{far:#?}");
    refused(|f| f.request.spec.scope = Some(object(json!({"kubernetes": {"namespaces": ["elsewhere"]}}))), "narrowing");
    let mut less = facts(None);
    less.request.spec.start_time = Some(now().plus_secs(3_600));
    less.assignments.as_mut().unwrap()[0].spec.scope = object(json!({"all": {}}));
    less.request.spec.scope = Some(object(json!({"kubernetes": {"namespaces": ["canary"]}})));
    let told = judge(&less);
    assert_eq!(
        (told.verdict, told.writes.as_slice()),
        (Outcome::Ok, &["ClusterRole payments-admin in canary".to_owned()][..]),
        "{told:#?}"
    );
    assert_eq!(told.until.as_deref(), Some("2026-11-23T10:00:00Z"));
    let cluster_wide = |f: &mut Facts| {
        f.template.as_mut().unwrap().spec.scope = object(json!({"kubernetes": {"clusterWide": {}}}));
        f.assignments.as_mut().unwrap()[0].spec.scope = object(json!({"all": {}}));
    };
    let mut wide = facts(None);
    cluster_wide(&mut wide);
    assert!(judge(&wide).ended_by.is_some_and(|by| by.contains("enforcedBy: Curfew")), "no fuse ends what is cluster-wide");
}

#[test]
fn without_the_role_nothing_is_judged() {
    let told = judge(&Facts { template: Err(gap("roletemplates")), ..facts(None) });
    assert_eq!((told.verdict, told.exit_code(), outcome(&told, "role").0), (Outcome::Unknown, 3, Outcome::Unknown));
    assert!(super::super::view::text(&told).contains("is not known"));
}

const SPEC_END: &str = "2026-11-23T07:00:00Z";
const END: &str = "2026-11-23T12:00:00Z";

/// Alice's own assignment, whose spec ended an hour ago, with another end in its status, and what should prove that.
fn extended(facts: &mut Facts, decider: &str) {
    let window = |end: &str| json!({"start": "2026-11-22T07:00:00Z", "end": end});
    let leads = json!({"name": "leads", "approvers": [{"user": "carol"}], "quorum": 1});
    let terms = json!({"schema": 1, "request": "x", "requester": "alice", "action": "Extend", "assignment": {"name": "alice", "uid": "e"},
        "subject": {"user": "alice"}, "role": {"name": "admin", "uid": "r"}, "policy": {"name": "payments", "uid": "p"},
        "replaces": window(SPEC_END), "before": window(SPEC_END), "window": window(END), "approval": [leads]});
    let digest = object::<curfew_core::assignment_request::Terms>(terms.clone()).digest();
    let change = json!({"window": window(END), "replaces": window(SPEC_END), "action": "Extend", "by": {"name": "longer", "uid": "x"}, "digest": digest});
    let mut mine = assignment(json!({"user": "alice"}));
    mine["metadata"]["name"] = json!("alice");
    mine["spec"]["window"] = json!({"between": window(SPEC_END)});
    mine["status"] = json!({"conditions": [], "change": change, "display": {"subject": "alice", "ends": END}});
    let meta = |name: &str, uid: &str, at: &str| json!({"name": name, "namespace": "payments", "uid": uid, "creationTimestamp": at});
    let request = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AssignmentRequest", "metadata": meta("longer", "x", "2026-11-23T06:00:00Z"),
        "spec": {"justification": "on call", "requester": {"username": "alice", "groups": []},
            "action": {"extend": {"assignment": {"name": "alice", "uid": "e"}, "until": END}}},
        "status": {"state": "Applied", "conditions": [], "digest": digest, "resolved": terms,
            "approval": {"acceptedAt": "2026-11-23T06:00:01Z", "stages": []}}});
    let approval = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": meta("d", "d", "2026-11-23T06:10:00Z"),
        "spec": {"about": {"assignmentRequest": {"name": "longer"}}, "digest": digest, "decision": "Approve",
            "decider": {"username": decider, "groups": []}}});
    let found = windows::Found { request: Some(object(request)), decisions: vec![object(approval)] };
    facts.windows = [("alice".to_owned(), Ok(found))].into();
    facts.assignments = Ok(vec![object(mine)]);
    let mut floor = policy();
    floor["spec"]["eligible"] = json!([{"user": "alice"}]);
    floor["spec"]["min"]["approval"] =
        json!({"atLeast": {"quorum": 1, "from": [{"user": "carol"}, {"group": "leads"}, {"group": "devs"}]}});
    facts.policies = Ok(vec![object(floor)]);
}

#[test]
fn a_wider_window_counts_only_with_its_proof() {
    let mut facts = facts(None);
    extended(&mut facts, "carol");
    let told = judge(&facts);
    let (eligibility, why) = outcome(&told, "eligibility");
    assert_eq!((told.verdict, eligibility), (Outcome::Ok, Outcome::Ok), "{told:#?}");
    assert_eq!(why, format!("assignment alice names user alice, until {END}"));
    extended(&mut facts, "mallory");
    let told = judge(&facts);
    let (eligibility, why) = outcome(&told, "eligibility");
    assert_eq!((told.verdict, eligibility), (Outcome::NotOk, Outcome::NotOk), "{told:#?}");
    let said = format!(
        "assignment alice ended {SPEC_END} (OutsideWindow); the window until {END} does not count, because AssignmentRequest longer "
    );
    assert!(why.starts_with(&said), "{why}");
    facts.windows = [("alice".to_owned(), Ok(windows::Found { request: None, decisions: Vec::new() }))].into();
    assert!(outcome(&judge(&facts), "eligibility").1.ends_with("because AssignmentRequest longer does not exist any more"));
    // What proves it may not be read.
    facts.windows = [("alice".to_owned(), Err(gap("assignmentrequests of namespace payments")))].into();
    let told = judge(&facts);
    let (eligibility, why) = outcome(&told, "eligibility");
    assert_eq!((told.verdict, eligibility, told.exit_code()), (Outcome::Unknown, Outcome::Unknown, 3), "{told:#?}");
    assert!(why.starts_with(&format!("whether the window until {END} was approved is not known: assignmentrequests")), "{why}");
}

/// Who must approve is said by policies: without them, the operator's word counts.
#[test]
fn without_the_policies_a_wider_window_counts_as_the_operator_shows_it() {
    let told = |shown: Option<&str>| {
        let mut facts = requester(None);
        let (policies, systems) = (facts.policies.clone(), facts.systems.clone());
        extended(&mut facts, "carol");
        (facts.policies, facts.systems) = (policies, systems);
        let status = facts.assignments.as_mut().unwrap()[0].status.as_mut().unwrap();
        match shown {
            Some(end) => status.display.as_mut().unwrap().ends = end.into(),
            None => status.display = None,
        }
        outcome(&judge(&facts), "eligibility")
    };
    assert_eq!(told(Some(END)), (Outcome::Ok, format!("assignment alice names user alice, until {END}")));
    let (not_ok, why) = told(Some(SPEC_END));
    assert!(
        not_ok == Outcome::NotOk && why.ends_with(&format!("the operator has found that the window until {END} does not count")),
        "{why}"
    );
    assert_eq!(told(None).0, Outcome::Unknown);
}
