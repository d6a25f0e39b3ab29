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
        windows: Claims::new(),
        policies: Ok(vec![object(policy())]),
        systems: Ok(vec![object(system("ReadWrite"))]),
        extended: None,
        requests: Requests { here: Ok(Vec::new()), elsewhere: (Vec::new(), None) },
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
    assert_eq!(outcome(&told, "limits"), (Outcome::Ok, "role admin has none (activation.limits)".into()));
    assert_eq!(told.extension.as_deref(), Some("role admin cannot be extended: it has no activation.extension.atMost"));
    assert!(told.break_glass[0].starts_with("no: role admin does not allow break-glass"), "{told:#?}");
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
    facts.windows = of_window(Ok(found));
    facts.assignments = Ok(vec![object(mine)]);
    let mut floor = policy();
    floor["spec"]["eligible"] = json!([{"user": "alice"}]);
    floor["spec"]["min"]["approval"] =
        json!({"atLeast": {"quorum": 1, "from": [{"user": "carol"}, {"group": "leads"}, {"group": "devs"}]}});
    facts.policies = Ok(vec![object(floor)]);
}

/// What should prove the wider window of the assignment.
fn of_window(found: Known<windows::Found>) -> Claims {
    [("alice".to_owned(), vec![(ClaimKind::Window, found)])].into()
}

/// An assignment that a request has asked for, which was deleted: it makes nobody eligible.
#[test]
fn an_assignment_that_was_asked_for_counts_only_with_its_proof() {
    let mut facts = facts(None);
    extended(&mut facts, "carol");
    let mut asked = facts.assignments.clone().unwrap();
    asked[0].spec.requested_by = Some(object(json!({"name": "asked", "uid": "x", "digest": "0".repeat(64)})));
    facts.assignments = Ok(asked);
    let known = facts.windows.remove("alice").unwrap();
    let gone = windows::Found { request: None, decisions: Vec::new() };
    facts.windows = [("alice".to_owned(), known.into_iter().chain([(ClaimKind::Origin, Ok(gone))]).collect())].into();
    let told = judge(&facts);
    let (eligibility, why) = outcome(&told, "eligibility");
    assert_eq!((told.verdict, eligibility), (Outcome::NotOk, Outcome::NotOk), "{told:#?}");
    assert!(why.contains("AssignmentRequest asked, which asked for it, does not exist any more"), "{why}");
    facts.windows = [("alice".to_owned(), vec![(ClaimKind::Origin, Err(gap("assignmentrequests of namespace payments")))])].into();
    let (eligibility, why) = outcome(&judge(&facts), "eligibility");
    assert_eq!(eligibility, Outcome::Unknown);
    assert!(why.contains("which AssignmentRequest asked asked for, was approved is not known"), "{why}");
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
    facts.windows = of_window(Ok(windows::Found { request: None, decisions: Vec::new() }));
    assert!(outcome(&judge(&facts), "eligibility").1.ends_with("because AssignmentRequest longer does not exist any more"));
    // What proves it may not be read.
    facts.windows = of_window(Err(gap("assignmentrequests of namespace payments")));
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

/// A request of bob for the role, which is in this state and holds these slots.
fn held(name: &str, state: &str, slots: &[String], more: Value) -> ActivationRequest {
    let who = json!({"user": "bob"});
    let mut resolved = json!({"schema": 4, "request": name, "requester": "bob", "beneficiary": who, "principal": {"kubernetes": {"user": "bob"}},
        "system": {"name": "prod", "uid": "s", "target": "t"}, "role": {"name": "admin", "uid": "r"}, "assignment": {"name": "devs", "uid": "e"},
        "policy": {"name": "payments", "uid": "p"}, "permissions": {"kubernetes": {"roles": []}}, "scope": {"kubernetes": {"clusterWide": {}}},
        "duration": "1h", "approval": []});
    let mut request = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": name, "namespace": "payments", "uid": name},
        "spec": {"roleRef": {"name": "admin"}, "requester": {"username": "bob", "groups": []}},
        "status": {"state": state, "reason": "AsExpected", "conditions": [], "slots": slots}});
    if more["review"] == json!(true) {
        request["status"]["conditions"] = json!([condition("ReviewRequired", "True", "waits")]);
        resolved["breakGlass"] = json!(true);
    }
    if let Some(extended) = more["extends"].as_str() {
        request["spec"]["extends"] = json!({"name": extended, "uid": extended});
    }
    request["status"]["resolved"] = resolved;
    object(request)
}

/// The slots of the role, of bob there, and of the policy.
fn slot(limit: &curfew_core::limits::Limit, index: u16) -> String {
    curfew_core::limits::SlotName { family: &limit.family, index }.to_string()
}

#[test]
fn limits_are_told_with_what_is_in_use_free_and_held_by_whom() {
    use curfew_core::limits::{Limit, Maxima};
    let at_most = |active, per_subject| json!({"atMost": {"active": active, "perSubject": per_subject}});
    let limited = |active: u16| {
        let mut facts = facts(None);
        let (mut role, mut policy) = (role(), policy());
        role["spec"]["activation"]["limits"] = at_most(active, 1);
        policy["spec"]["limits"] = at_most(3, 2);
        (facts.template, facts.policies) = (Ok(object(role)), Ok(vec![object(policy)]));
        facts
    };
    let bob = Subject::User("bob".into());
    let [_, of_role] = Limit::of_role("payments", "admin", &bob, Maxima::ANY);
    let lines = |facts: &Facts| -> Vec<(Outcome, String)> {
        judge(facts).rules.into_iter().filter(|line| line.rule == "limits").map(|line| (line.outcome, line.detail)).collect()
    };
    let mut facts = limited(5);
    let requests = vec![
        held("first", "Active", &[slot(&of_role, 0)], json!({})),
        // It has taken over the slot of the first: one slot.
        held("longer", "Active", &[slot(&of_role, 0)], json!({"extends": "first"})),
        held("later", "Scheduled", &[slot(&of_role, 2)], json!({})),
        held("over", "Expired", &[slot(&of_role, 3)], json!({})),
        held("waits", "AwaitingApproval", &[], json!({})),
        // Active since before there was a limit.
        held("older", "Active", &[], json!({})),
    ];
    facts.requests.here = Ok(requests.clone());
    let told = lines(&facts);
    let texts: Vec<&str> = told.iter().map(|(_, detail)| detail.as_str()).collect();
    let expected = [
        "role admin for alice: 0 of 1 in use, 1 free",
        "role admin: 3 of 5 in use, 2 free, by payments/later, payments/longer and 1 more",
        "policy payments for alice: 0 of 2 in use, 2 free",
        // None of them holds a slot of the policy, which has its limit since a moment ago.
        "policy payments: 3 of 3 in use, by 3 that were active before the limit; a request is refused until one ends (LimitReached)",
    ];
    assert_eq!(texts, expected);
    assert_eq!((judge(&facts).verdict, judge(&facts).ends.as_deref()), (Outcome::NotOk, Some("Denied")));
    // What may not be read is not none.
    facts.requests = Requests { here: Ok(requests), elsewhere: (Vec::new(), Some(gap("activationrequests of all namespaces"))) };
    facts.policies = Err(gap("accesspolicies"));
    let told = lines(&facts);
    assert_eq!(told[1].0, Outcome::Ok, "{told:?}");
    assert!(told[2].0 == Outcome::Unknown && told[2].1.starts_with("whether the policy has limits is not known"), "{told:?}");
    facts.requests.here = Err(gap("activationrequests of namespace payments"));
    let told = lines(&facts);
    assert!(told[1].0 == Outcome::Unknown && told[1].1.starts_with("role admin: at least 0 of 5 in use; activationrequests"), "{told:?}");
    let mut full = limited(1);
    full.requests.here = Ok(vec![held("first", "Active", &[slot(&of_role, 0)], json!({}))]);
    let told = judge(&full);
    assert_eq!((told.verdict, told.exit_code()), (Outcome::NotOk, 4), "{told:#?}");
    assert!(lines(&full)[1].1.starts_with("role admin: 1 of 1 in use, by payments/first;"), "{:?}", lines(&full));
}

#[test]
fn break_glass_is_told_with_what_follows_and_what_locks_it() {
    use curfew_core::limits::Limit;
    let mut facts = facts(None);
    let (mut role, mut floor) = (role(), policy());
    role["spec"]["activation"]["breakGlass"] = json!({"notify": []});
    role["spec"]["activation"]["extension"] = json!({"atMost": {"chain": "10h", "perDay": "6h"}});
    facts.template = Ok(object(role));
    let told = judge(&facts);
    assert!(told.break_glass[0].starts_with("no: policy payments does not allow break-glass (allow.breakGlass)"), "{told:#?}");
    let chain = "at most 4h from the first activation to the last end (policy payments), and 6h of any 24 hours (role admin);";
    assert!(told.extension.as_ref().is_some_and(|text| text.starts_with(chain)), "{told:#?}");
    floor["spec"]["allow"]["breakGlass"] = json!(true);
    facts.policies = Ok(vec![object(floor)]);
    let told = judge(&facts);
    assert!(told.break_glass[0].starts_with("yes") && told.break_glass[1].contains("review it (group leads, group devs, or a manager)"));
    assert!(told.break_glass[2].starts_with("no request locks you"), "{told:#?}");
    assert!(told.rules.iter().all(|line| line.rule != "lock"), "nobody asks for it: {told:#?}");
    // Locked by a request of another namespace, which has ended.
    let lock = &Limit::of_break_glass(&facts.login, &[], Uids::Personal).unwrap()[0];
    let mut used = held("used", "Expired", &[slot(lock, 0)], json!({"review": true}));
    used.metadata.namespace = Some("canary".into());
    facts.requests.elsewhere.0 = vec![used];
    let told = judge(&facts);
    assert!(told.break_glass[2].contains("request used in namespace canary") && told.verdict == Outcome::Ok, "{told:#?}");
    facts.request.spec.break_glass = Some(true);
    let told = judge(&facts);
    assert_eq!((told.verdict, told.ends.as_deref(), outcome(&told, "lock").0), (Outcome::NotOk, Some("Denied"), Outcome::NotOk));
    assert_eq!(outcome(&told, "break-glass"), (Outcome::Ok, "allowed by role admin and policy payments".into()));
    facts.requests.elsewhere = (Vec::new(), Some(gap("activationrequests of all namespaces")));
    let told = judge(&facts);
    assert!(told.verdict == Outcome::Ok && outcome(&told, "lock").0 == Outcome::Unknown, "{told:#?}");
}
