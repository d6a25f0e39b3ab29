use super::*;
use serde_json::{Value, json};

fn template(generation: i64, status: Value) -> RoleTemplate {
    let spec = json!({
        "systems": {"names": ["staging"]}, "permissions": {"kubernetes": {"clusterRoles": ["edit"]}},
        "scope": {"kubernetes": {"namespaces": ["payments"]}},
        "activation": {"duration": {"max": "8h"}, "approval": {"none": {}}, "mfa": {"none": {}}, "ticket": {"none": {}},
            "limits": {"none": {}}, "justification": "Required"},
        "assignment": {"eligible": {"permanent": false}},
    });
    let object = json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "spec": spec, "status": status,
        "metadata": {"name": "edit", "namespace": "payments", "uid": "t1", "generation": generation},
    });
    serde_json::from_value(object).unwrap()
}

fn ready(message: &str, reason: &str) -> Value {
    let ready =
        json!({"type": "Ready", "status": "True", "reason": reason, "message": message, "lastTransitionTime": "2026-11-25T12:00:00Z"});
    json!({"conditions": [ready]})
}

#[test]
fn a_status_that_no_rule_reads_changes_nothing() {
    let old = template(1, ready("allowed by policy a", "AsExpected"));
    let change = |new: &RoleTemplate| template_change((Some(&old), Some(new)));
    let concerned = Some(Change::Resolution(Concerned::Templates([("payments".to_owned(), "edit".to_owned())].into())));
    assert_eq!(change(&old), None);
    assert_eq!(change(&template(1, ready("allowed by policy b", "AsExpected"))), None);
    assert_eq!(change(&template(2, ready("allowed by policy a", "AsExpected"))), concerned);
    assert_eq!(change(&template(1, ready("allowed by policy a", "NotBindable"))), concerned);
    assert_eq!(template_change((Some(&old), None)), concerned, "deleted");
    assert_eq!(template_change((None, Some(&old))), concerned, "created");
}

#[test]
fn a_policy_concerns_the_namespaces_that_it_no_longer_covers() {
    let policy = |generation: i64, namespaces: &[&str]| -> AccessPolicy {
        let spec = json!({
            "namespaces": {"names": namespaces}, "systems": {"names": ["staging"]}, "permissions": {}, "scope": {}, "eligible": [],
            "max": {"duration": "8h", "eligibility": "365d"},
            "min": {"approval": {"none": {}}, "justification": false, "mfa": {"none": {}}, "ticket": {"none": {}}},
            "allow": {"permanentEligibility": false, "delegated": false, "persistence": false},
        });
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessPolicy", "spec": spec,
            "metadata": {"name": "p", "uid": "p1", "generation": generation},
        });
        serde_json::from_value(object).unwrap()
    };
    let (old, new) = (policy(1, &["payments", "billing"]), policy(2, &["payments"]));
    let both = Change::Resolution(Concerned::Namespaces(["billing".to_owned(), "payments".to_owned()].into()));
    assert_eq!(policy_change((Some(&old), Some(&new))), Some(both));
    assert_eq!(policy_change((Some(&new), Some(&new))), None);
}

#[test]
fn rbac_objects_without_a_generation_are_compared_by_their_rules() {
    let role = |verbs: &[&str], note: &str| -> ClusterRole {
        let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]);
        serde_json::from_value(json!({"metadata": {"name": "view", "resourceVersion": note}, "rules": rules})).unwrap()
    };
    let (old, same, wider) = (role(&["get"], "1"), role(&["get"], "2"), role(&["get", "list"], "3"));
    assert_eq!(cluster_role_change((Some(&old), Some(&same))), None);
    let concerned = Change::Resolution(Concerned::Source(ContentSource::ClusterRole("view".into())));
    assert_eq!(cluster_role_change((Some(&old), Some(&wider))), Some(concerned.clone()));
    assert_eq!(cluster_role_change((Some(&old), None)), Some(concerned));
}

#[test]
fn a_live_grant_is_listed_under_the_roles_that_it_binds() {
    let grant = |state: &str| -> Grant {
        let who = json!({"user": "alice"});
        let binding = |n: u8, role: &str, kind: &str| {
            let name = format!("curfew:0123abcd:00000000000000a1:20261123T081500Z:{n}");
            json!({"name": name, "namespace": "payments", "roleKind": kind, "role": role})
        };
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "Grant", "metadata": {"name": "00000000000000a1"}, "status": {"state": state},
            "spec": {
                "system": {"name": "s", "uid": "u", "target": "t", "connection": {"kubernetes": {"inCluster": {}}}},
                "request": {"namespace": "payments", "name": "first", "uid": "u1", "requester": "alice", "beneficiary": who},
                "principal": {"kubernetes": {"user": "alice"}}, "digest": "0".repeat(64), "expiresAt": "2026-11-23T08:15:00Z",
                "plan": {"kubernetes": {"subject": who, "bindings": [binding(0, "view", "ClusterRole"), binding(1, "deployer", "Role")]}},
            },
        });
        serde_json::from_value(object).unwrap()
    };
    let roles = [ContentSource::ClusterRole("view".into()), ContentSource::Role("payments".into(), "deployer".into())];
    let groups = grant_groups(&grant("Active"));
    assert!(roles.into_iter().all(|role| groups.contains(&GrantGroup::Content(role))), "{groups:?}");
    let name = GrantGroup::Name(("payments".to_owned(), "first".to_owned()));
    let held = |by| GrantGroup::held("payments", "", by);
    let by_name = |name: &str| held(HeldBy::Name(name.into()));
    assert_eq!(grant_groups(&grant("Ended")), [by_name("alice"), name.clone()]);
    // Every name of the login counts, unless it has asked for another person.
    let mut other = grant("Ended");
    (other.spec.request.aliases, other.spec.request.requester_uid) = (vec!["E-7".into()], Some("u-7".into()));
    assert_eq!(grant_groups(&other), [by_name("alice"), by_name("e-7"), held(HeldBy::Uid("u-7".into())), name.clone()]);
    other.spec.request.requester = "desk".into();
    assert_eq!(grant_groups(&other), [by_name("alice"), name]);
}

#[test]
fn an_active_assignment_concerns_its_own_requests_and_those_of_the_one_before() {
    let assignment = |uid: &str, generation: i64| -> ActiveAssignment {
        let spec = json!({
            "roleRef": {"name": "edit"}, "subject": {"user": "stan"}, "scope": {"all": {}}, "window": {"permanent": {}}, "justification": "j",
        });
        let metadata = json!({"name": "on-call", "namespace": "payments", "uid": uid, "generation": generation});
        serde_json::from_value(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActiveAssignment", "metadata": metadata, "spec": spec}))
            .unwrap()
    };
    let concerned = |uids: &[&str]| {
        let uids = uids.iter().map(|uid| (*uid).to_owned()).collect();
        Some(Change::Standing(("payments".into(), "on-call".into()), uids))
    };
    let (old, edited, again) = (assignment("a1", 1), assignment("a1", 2), assignment("a2", 1));
    assert_eq!(active_assignment_change((Some(&old), Some(&old))), None);
    assert_eq!(active_assignment_change((None, Some(&old))), concerned(&["a1"]), "created");
    assert_eq!(active_assignment_change((Some(&old), Some(&edited))), concerned(&["a1"]));
    assert_eq!(active_assignment_change((Some(&old), None)), concerned(&["a1"]), "deleted");
    assert_eq!(active_assignment_change((Some(&old), Some(&again))), concerned(&["a1", "a2"]));
    // The requests of people for the same role are in another group.
    let request = |standing: Value| -> ActivationRequest {
        let mut object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "r", "namespace": "payments"},
            "spec": {"roleRef": {"name": "edit"}},
        });
        object["spec"]["activeAssignment"] = standing;
        serde_json::from_value(object).unwrap()
    };
    let own = RequestGroup::Standing("a1".into());
    assert!(request_groups(&request(json!({"name": "on-call", "uid": "a1"}))).contains(&own));
    assert!(!request_groups(&request(json!({"name": "on-call", "uid": "a2"}))).contains(&own));
    assert!(!request_groups(&request(Value::Null)).contains(&own));
}

#[test]
fn an_ended_request_is_in_no_group_unless_it_must_be_reviewed() {
    let request = |state: Value| -> ActivationRequest {
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "r", "namespace": "payments"},
            "spec": {"roleRef": {"name": "edit"}}, "status": {"state": state, "conditions": []},
        });
        serde_json::from_value(object).unwrap()
    };
    assert_eq!(request_groups(&request(json!("Active"))).len(), 3);
    let mut extension = request(json!("AwaitingApproval"));
    extension.spec.extends = Some(serde_json::from_value(json!({"name": "first", "uid": "u1"})).unwrap());
    assert!(request_groups(&extension).contains(&RequestGroup::Extending(("payments".into(), "first".into()))));
    assert!(request_groups(&request(json!("Expired"))).is_empty());
    let reviewed = |state: &str, status: &str| {
        let mut request = request(json!(state));
        let condition = json!({"type": "ReviewRequired", "status": status, "reason": "BreakGlass", "message": "",
            "lastTransitionTime": "2026-11-23T08:00:00Z"});
        request.status.as_mut().unwrap().conditions = vec![serde_json::from_value(condition).unwrap()];
        request_groups(&request)
    };
    assert_eq!(reviewed("Expired", "True"), [RequestGroup::Unreviewed]);
    assert!(reviewed("Active", "True").contains(&RequestGroup::Unreviewed));
    assert!(reviewed("Expired", "False").is_empty() && reviewed("Active", "False").len() == 3);
}
