//! What Curfew made in a cluster is its own: bindings whose names begin `curfew:`, and whatever carries its label.
//!
//! A holder of `edit` could otherwise keep a binding alive by a finalizer, widen it, or take the label off so that nobody
//! finds it. A plain DELETE of a binding stays open to whom RBAC allows it: it only takes access away.
use super::{CANARY_BINDING, NAMESPACE, SWEEP, is_controller, is_operator, rule, validating};
use curfew_core::ids::{BINDING_PREFIX, GRANT_LABEL};
use serde_json::{Value, json};

/// The guard over bindings and Jobs, and its binding.
pub fn policies() -> Vec<Value> {
    let marked = |o: &str| {
        format!(
            "({o} != null && ({o}.metadata.?name.orValue('').startsWith('{BINDING_PREFIX}') || {o}.metadata.?generateName.orValue('').startsWith('{BINDING_PREFIX}') \
             || '{GRANT_LABEL}' in {o}.metadata.?labels.orValue({{}})))"
        )
    };
    let sweep = format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{SWEEP}'");
    let controllers =
        is_controller(&["namespace-controller", "generic-garbage-collector", "job-controller", "ttl-after-finished-controller"]);
    let rules = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["rolebindings", "clusterrolebindings"], "scope": "*"},
        {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["jobs", "jobs/status"], "scope": "*"},
    ]});
    validating(
        "curfew-marks",
        json!({
            "matchConstraints": rules,
            "matchConditions": [{"name": "ours-before-or-after", "expression": format!("{} || {}", marked("object"), marked("oldObject"))}],
            "variables": [
                {"name": "owner", "expression": format!("{} || {sweep}", is_operator())},
                {"name": "controller", "expression": controllers},
            ],
            "validations": [
                rule(format!("request.operation != 'CREATE' || object.metadata.?name.orValue('') != '{CANARY_BINDING}'"), "this name is reserved: that nobody can create it proves that this policy is in force"),
                rule("variables.owner || (request.operation != 'CREATE' && variables.controller)", "what Curfew made is changed by Curfew alone; deleting one of its bindings is allowed and ends the access"),
            ],
        }),
    )
}
