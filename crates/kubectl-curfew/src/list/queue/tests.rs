use super::*;
use serde_json::{Value, json};

const ACCEPTED: &str = "2026-11-23T08:00:00Z";

fn now() -> Time {
    Time::parse("2026-11-23T08:30:00Z").unwrap()
}

fn login(name: &str, groups: &[&str]) -> UserInfo {
    serde_json::from_value(json!({"username": name, "groups": groups})).unwrap()
}

fn decider(name: &str, groups: &[&str]) -> Decider {
    Decider { login: login(name, groups), people: Recognition::STRICT.clone(), proof: Vec::new(), emergency: Vec::new(), now: now() }
}

/// Alice's request for a role with two stages: one of the owners, then one of security.
fn request(name: &str, accepted: &str) -> ActivationRequest {
    let stage = |name: &str, group: &str| json!({"name": name, "approvers": [{"group": group}, {"user": "carol"}], "quorum": 1});
    let resolved = json!({"schema": 3, "request": name, "requester": "alice", "beneficiary": {"user": "alice"},
        "principal": {"kubernetes": {"user": "alice"}}, "system": {"name": "prod", "uid": "s", "target": "t"},
        "role": {"name": "admin", "uid": "r"}, "assignment": {"name": "a", "uid": "a"}, "policy": {"name": "p", "uid": "p"},
        "permissions": {"kubernetes": {"roles": [{"kind": "ClusterRole", "name": "admin", "uid": "c", "rules": "0".repeat(64)}]}},
        "scope": {"kubernetes": {"namespaces": [{"name": "payments", "uid": "n"}]}}, "duration": "1h",
        "approval": [stage("owners", "leads"), stage("security", "sec")]});
    let digest = serde_json::from_value::<curfew_core::resolved::Resolved>(resolved.clone()).unwrap().digest();
    let waits = |name: &str| json!({"name": name, "quorum": 1, "approved": 0, "decisions": []});
    serde_json::from_value(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
        "metadata": {"name": name, "namespace": "payments", "uid": name, "creationTimestamp": accepted},
        "spec": {"roleRef": {"name": "admin"}, "justification": "roll back", "requester": {"username": "alice", "groups": ["devs"]}},
        "status": {"state": "AwaitingApproval", "digest": digest, "resolved": resolved,
            "approval": {"acceptedAt": accepted, "deadline": "2026-11-24T08:00:00Z", "stages": [waits("owners"), waits("security")]}}}))
    .unwrap()
}

fn approved(by: &UserInfo, request: &ActivationRequest) -> AccessDecision {
    let mut decision = approval(request, &Decider { login: by.clone(), ..decider("x", &[]) });
    decision.metadata.namespace = request.namespace();
    decision.metadata.uid = Some(by.username.clone());
    decision.metadata.creation_timestamp = Some(kube_time(Time::parse("2026-11-23T08:10:00Z").unwrap()));
    decision
}

/// The stages of the queue of this person, with these decisions made before.
fn queue_of(who: &Decider, decisions: Option<&[AccessDecision]>) -> Vec<String> {
    waiting(vec![request("one", ACCEPTED)], decisions, who).into_iter().map(|entry| entry.stage).collect()
}

#[test]
fn only_what_the_approval_would_bring_on_now_is_in_the_queue() {
    let (lead, sec, carol) = (decider("lou", &["leads"]), decider("sam", &["sec"]), decider("carol", &[]));
    assert_eq!(queue_of(&lead, Some(&[])), ["owners"]);
    assert_eq!(queue_of(&sec, Some(&[])), Vec::<String>::new(), "the second stage is not open");
    assert_eq!(queue_of(&carol, Some(&[])), ["owners"]);
    assert_eq!(queue_of(&decider("mallory", &[]), Some(&[])), Vec::<String>::new(), "not an approver");
    assert_eq!(queue_of(&decider("Alice", &["leads"]), Some(&[])), Vec::<String>::new(), "the requester under another spelling");

    let by_lead = [approved(&lead.login, &request("one", ACCEPTED))];
    assert_eq!(queue_of(&lead, Some(&by_lead)), Vec::<String>::new(), "has decided");
    assert_eq!(queue_of(&sec, Some(&by_lead)), ["security"]);
    assert_eq!(queue_of(&carol, Some(&by_lead)), ["security"]);
    let denied = AccessDecision { spec: AccessDecisionSpec { decision: Verb::Deny, ..by_lead[0].spec.clone() }, ..by_lead[0].clone() };
    assert_eq!(queue_of(&carol, Some(&[denied])), Vec::<String>::new(), "it is about to end");
    // Of a request that takes its name later, and of another namespace, nothing is concluded.
    let mut elsewhere = by_lead[0].clone();
    elsewhere.metadata.namespace = Some("shop".into());
    assert_eq!(queue_of(&lead, Some(&[elsewhere])), ["owners"]);
}

#[test]
fn without_the_decisions_the_status_tells_the_stage() {
    let (lead, sec) = (decider("lou", &["leads"]), decider("sam", &["sec"]));
    assert_eq!(queue_of(&lead, None), ["owners"]);
    assert_eq!(queue_of(&sec, None), Vec::<String>::new());
    let mut half = request("one", ACCEPTED);
    let stage = &mut half.status.as_mut().unwrap().approval.as_mut().unwrap().stages[0];
    stage.approved = 1;
    stage.decisions = serde_json::from_value(json!([{"decider": "carol", "decision": "Approve", "at": ACCEPTED}])).unwrap();
    let stages = |who: &Decider| waiting(vec![half.clone()], None, who).into_iter().map(|entry| entry.stage).collect::<Vec<_>>();
    assert_eq!(stages(&lead), Vec::<String>::new(), "its stage has passed");
    assert_eq!(stages(&decider("carol", &["sec"])), Vec::<String>::new(), "has decided");
}

#[test]
fn of_parallel_stages_that_which_lists_the_approver_is_in_the_queue_and_an_escalation_when_it_has_come() {
    let mut open = request("one", ACCEPTED);
    let status = open.status.as_mut().unwrap();
    let resolved = status.resolved.as_mut().unwrap();
    let escalation = json!({"after": "20m", "approvers": [{"user": "erin"}]});
    resolved.order = curfew_core::approval::StageOrder::Parallel;
    resolved.approval[1].escalation = serde_json::from_value(escalation).unwrap();
    resolved.approval[1].comment = curfew_core::approval::CommentRule::Required;
    status.digest = Some(resolved.digest());
    for stage in &mut status.approval.as_mut().unwrap().stages {
        stage.deadline = Time::parse("2026-11-24T08:00:00Z");
    }
    status.approval.as_mut().unwrap().stages[1].escalates_at = Time::parse("2026-11-23T08:20:00Z");
    let early = |who: Decider| Decider { now: Time::parse("2026-11-23T08:10:00Z").unwrap(), ..who };
    for decisions in [Some(&[][..]), None] {
        let of = |who: Decider| waiting(vec![open.clone()], decisions, &who).into_iter().map(|entry| entry.stage).collect::<Vec<_>>();
        assert_eq!(of(decider("sam", &["sec"])), ["security"]);
        assert_eq!(of(decider("lou", &["leads"])), ["owners"]);
        assert_eq!(of(decider("erin", &[])), ["security"]);
        assert_eq!(of(early(decider("erin", &[]))), Vec::<String>::new(), "it has not escalated");
    }
}

#[test]
fn a_login_without_proof_has_no_queue_and_is_told_why() {
    let unproven_lead = Decider { proof: vec!["badge".into()], ..decider("lou", &["leads"]) };
    assert_eq!(queue_of(&unproven_lead, Some(&[])), Vec::<String>::new());
    assert_eq!(unproven(&unproven_lead).unwrap(), "the login has no value for badge");
    assert!(unproven(&decider("system:serviceaccount:ci:bot", &[])).unwrap().contains("people"));
    assert_eq!(unproven(&decider("lou", &[])), None);
}

#[test]
fn the_oldest_comes_first_with_the_command_that_approves_it() {
    let open = vec![request("young", "2026-11-23T08:20:00Z"), request("old", ACCEPTED)];
    let entries = waiting(open, Some(&[]), &decider("lou", &["leads"]));
    let told = table_of(&entries, now(), true);
    let lines: Vec<&str> = told.lines().collect();
    let digest = entries[0].request.status.as_ref().unwrap().digest.unwrap();
    assert!(lines[1].contains("old") && lines[1].ends_with(&format!("kubectl curfew approve old -n payments --digest {digest}")), "{told}");
    assert!(lines[1].contains("30m") && lines[2].contains("10m") && lines[1].contains("roll back"), "{told}");
    let value: Value = serde_json::to_value(&entries[1].request).unwrap();
    assert_eq!(value["metadata"]["name"], "young");
}
