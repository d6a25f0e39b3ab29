//! Objects that another version of Curfew has written: what this one can read of them begins nothing and ends nothing but what is due.
use super::convert;
use crate::api::{AccessDecision, ActivationRequest, CurfewConfig, Grant};
use curfew_core::{
    admission::AdmissionHistory,
    grant::{self, Inputs, OwnerState, State},
    reason::Reason,
    requeue::Requeue,
    resolved::{SCHEMA, Schema},
    time::Time,
};
use serde_json::{Value, json};

const END: &str = "2026-11-25T12:00:00Z";

fn resolved() -> Value {
    let reference = |name: &str| json!({"name": name, "uid": name});
    json!({
        "schema": 2, "request": "r1", "requester": "alice", "beneficiary": {"user": "alice"}, "principal": {"kubernetes": {"user": "alice"}},
        "system": {"name": "staging", "uid": "s1", "target": "t1"},
        "role": reference("role"), "assignment": reference("assignment"), "policy": reference("policy"),
        "permissions": {"kubernetes": {"roles": [{"kind": "ClusterRole", "name": "edit", "uid": "c1", "rules": "0".repeat(64)}]}},
        "scope": {"kubernetes": {"namespaces": [reference("payments")]}}, "duration": "1h", "approval": [],
    })
}

/// A request with this status, as far as it can be read.
fn request(status: Value) -> ActivationRequest {
    let object = json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "r", "namespace": "payments", "uid": "r1"},
        "spec": {"roleRef": {"name": "role"}, "quota": {"newer": true}}, "status": status,
    });
    serde_json::from_value(object).unwrap()
}

/// A Grant with this schema number and status.
fn grant(schema: u32, status: Value) -> Grant {
    let binding = json!({"name": "curfew:0123abcd:00000000000000a1:20261125T120000Z:0", "namespace": "payments", "roleKind": "ClusterRole", "role": "edit"});
    let object = json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "Grant", "metadata": {"name": "00000000000000a1"},
        "spec": {
            "schema": schema, "system": {"name": "staging", "uid": "s1", "target": "t1", "connection": {"kubernetes": {"inCluster": {}}}, "zone": "newer"},
            "request": {"namespace": "payments", "name": "r", "uid": "r1", "requester": "alice", "beneficiary": {"user": "alice"}},
            "principal": {"kubernetes": {"user": "alice"}}, "plan": {"kubernetes": {"subject": {"user": "alice"}, "bindings": [binding]}},
            "digest": "0".repeat(64), "expiresAt": END, "warnAt": END,
        },
        "status": status,
    });
    serde_json::from_value(object).unwrap()
}

fn decided(object: &Grant, secs_to_end: i64) -> grant::Decision {
    let inputs = |grant, now| Inputs {
        now,
        grant,
        observation: None,
        filled: None,
        slot_owners: None,
        write_until: None,
        owner: OwnerState::Gone,
        verify_owner: true,
        content: None,
        verify_content: false,
        permit: true,
        abandoned: false,
    };
    grant::decide(&inputs(&convert::grant(object, &AdmissionHistory::default(), true), object.spec.expires_at.plus_secs(-secs_to_end)))
}

#[test]
fn a_grant_of_a_newer_version_is_left_alone_until_it_is_due_and_then_revoked() {
    let newer = [
        grant(SCHEMA + 1, json!({"state": "Active"})),
        grant(SCHEMA + 1, json!({"state": "Extending", "extension": {"by": "carol"}})),
        grant(SCHEMA, json!({"state": "Extending"})),
        grant(SCHEMA, json!({"state": "Granting", "operation": {"id": "o1", "kind": "Extend", "pollAt": END}})),
    ];
    for object in &newer {
        assert_eq!(convert::grant_schema(object), Schema::Newer);
        assert_eq!(decided(object, 1), grant::Decision::Wait(Requeue::At(object.spec.expires_at)), "{:?}", object.status);
        let due = decided(object, 0);
        let revokes = matches!(&due, grant::Decision::Revoke { .. } | grant::Decision::Commit(grant::Grant { state: State::Revoking, .. }));
        assert!(revokes, "{due:?}");
    }
    assert_eq!(
        convert::grant_schema(&grant(SCHEMA, json!({"state": "Active", "extension": {}}))),
        Schema::Known,
        "a field alone says nothing"
    );
}

#[test]
fn a_request_of_a_newer_version_is_left_to_it() {
    let mut newer_terms = resolved();
    newer_terms["schema"] = json!(SCHEMA + 1);
    for status in [
        json!({"schema": SCHEMA + 1, "state": "Active", "resolved": resolved()}),
        json!({"schema": SCHEMA + 1, "state": "Extending", "resolved": resolved(), "extension": {"until": END}}),
        json!({"schema": SCHEMA, "state": "Extending"}),
        json!({"schema": SCHEMA, "state": "AwaitingApproval", "resolved": newer_terms, "digest": "1".repeat(64)}),
        // To finish this one would need its reason.
        json!({"schema": SCHEMA, "state": "Revoking", "reason": "QuotaExceeded"}),
    ] {
        assert_eq!(convert::request_schema(&request(status.clone())), Schema::Newer, "{status}");
    }
    for status in [
        json!({"schema": SCHEMA, "state": "Active", "resolved": resolved(), "extension": {"until": END}}),
        json!({"schema": SCHEMA, "state": "Revoking", "reason": Reason::Suspended.as_str()}),
        // It has ended; that another reason stands there changes nothing.
        json!({"schema": SCHEMA, "state": "Revoked", "reason": "QuotaExceeded"}),
        json!({"state": "Pending"}),
    ] {
        assert_eq!(convert::request_schema(&request(status.clone())), Schema::Known, "{status}");
    }
}

/// The first builds stored one deadline for all stages, and no uid of a counted decision.
#[test]
fn an_approval_of_an_older_version_goes_on() {
    let mut terms = resolved();
    let stage = |name: &str| json!({"name": name, "approvers": [{"user": "carol"}], "quorum": 1, "timeout": "1h"});
    terms["approval"] = json!([stage("owners"), stage("security")]);
    let decision = json!({"decider": "carol", "decision": "Approve", "at": "2026-11-25T10:30:00Z"});
    let stages = json!([{"name": "owners", "quorum": 1, "approved": 1, "decisions": [decision]}]);
    let status = json!({"schema": SCHEMA, "state": "AwaitingApproval", "resolved": terms, "approval": {"deadline": END, "stages": stages}});
    let read = convert::request(&request(status), &AdmissionHistory::default());
    assert_eq!(read.status.frozen.unwrap().accepted_at, Time::parse(END).unwrap().plus_secs(-7_200));
}

/// What cannot be read is absent: it neither approves nor denies, and without a readable CurfewConfig nothing is granted.
#[test]
fn what_a_newer_version_requires_is_not_overlooked() {
    let decision = |verb: &str| {
        let spec = json!({"about": {"activationRequest": {"name": "r"}}, "digest": "0".repeat(64), "decision": verb, "weight": 2});
        let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": "d"}, "spec": spec});
        serde_json::from_value::<AccessDecision>(object)
    };
    assert!(decision("Approve").is_ok() && decision("ApproveOnce").is_err());
    let config = |aliases: Value| {
        let identity = json!({"aliases": aliases, "uids": {"personal": {}}, "deciderProof": {"none": {}}, "devices": {"newer": true}});
        let spec = json!({"ceilings": {"duration": "24h", "renewals": 3}, "retention": "30d", "identity": identity});
        let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "CurfewConfig", "metadata": {"name": "curfew"}, "spec": spec});
        serde_json::from_value::<CurfewConfig>(object)
    };
    assert!(config(json!({"none": {}})).is_ok() && config(json!({"directory": {"url": "https://example.com"}})).is_err());
}
