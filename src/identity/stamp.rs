//! The stamp: who asks and who decides is filled in by the API server, so that plain `kubectl apply` works.
//!
//! It only fills what is absent: a forged stamp is left standing, for the proof to refuse it with a message.
use super::match_constraints;
use crate::api::{GROUP, VERSION};
use serde_json::{Value, json};

/// The mutating policies and their bindings.
pub fn policies() -> Vec<Value> {
    [mutating("curfew-stamp-requests", "activationrequests", "requester"), mutating("curfew-stamp-decisions", "accessdecisions", "decider")]
        .concat()
}

fn mutating(name: &str, resource: &str, field: &str) -> Vec<Value> {
    // JSONPatch, because an apply configuration may not touch atomic lists.
    let stamp = format!(
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
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": stamp}}],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name},
        }),
    ]
}
