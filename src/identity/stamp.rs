//! Mutating admission policies: the API server fills in requester and decider from the authenticated user, so that plain
//! `kubectl apply` works.
//!
//! They fill in the field only if it is absent. A forged value is kept, so that the validating policy refuses it with a message.
use super::match_constraints;
use crate::api::{GROUP, VERSION};
use serde_json::{Value, json};

/// Returns the mutating policies and their bindings.
pub fn policies() -> Vec<Value> {
    [mutating("curfew-stamp-requests", "activationrequests", "requester"), mutating("curfew-stamp-decisions", "accessdecisions", "decider")]
        .concat()
}

fn mutating(name: &str, resource: &str, field: &str) -> Vec<Value> {
    // JSONPatch, because an apply configuration may not touch atomic lists.
    let patch = format!(
        "[JSONPatch{{op: 'add', path: '/spec/{field}', value: Object.spec.{field}{{\
         username: request.userInfo.username, uid: request.userInfo.?uid.orValue(''), \
         groups: request.userInfo.?groups.orValue([]), extra: request.userInfo.?extra.orValue({{}})}}}}]"
    );
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE"], &[resource]),
                "matchConditions": [{"name": "no-stamp-yet", "expression": format!("has(object.spec) && !has(object.spec.{field})")}],
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name},
        }),
    ]
}
