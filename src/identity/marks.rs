//! What Curfew made in a cluster is its own: bindings whose names begin `curfew:`, and whatever carries its label.
//!
//! A holder of `edit` could otherwise keep a binding alive by a finalizer, widen it, or take the label off so that nobody
//! finds it. A plain DELETE of a binding stays open to whom RBAC allows it: it only takes access away.
use super::{CANARY_BINDING, NAMESPACE, SWEEP, is_controller, is_operator, rule, validating};
use curfew_core::{ids::GRANT_LABEL, target::kubernetes::names::BINDING_PREFIX};
use serde_json::{Value, json};

/// How every Job fuse is called.
const FUSE: &str = "^curfew-[0-9a-f]{16}-[0-9]+$";

/// The guards over bindings, Jobs and the Pods that a Job could select, and their bindings.
pub fn policies() -> Vec<Value> {
    let marked = |o: &str| {
        format!(
            "({o} != null && ({o}.metadata.?name.orValue('').startsWith('{BINDING_PREFIX}') || {o}.metadata.?generateName.orValue('').startsWith('{BINDING_PREFIX}') \
             || {o}.metadata.?name.orValue('').matches('{FUSE}') || '{GRANT_LABEL}' in {o}.metadata.?labels.orValue({{}})))"
        )
    };
    let sweep = format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{SWEEP}'");
    let controllers =
        is_controller(&["namespace-controller", "generic-garbage-collector", "job-controller", "ttl-after-finished-controller"]);
    let rules = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["rolebindings", "clusterrolebindings"], "scope": "*"},
        {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["jobs", "jobs/status"], "scope": "*"},
        // A Pod that answers to a fuse's selector keeps it from burning.
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"], "scope": "*"},
    ]});
    let mut all = validating(
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
    );
    all.extend(owners());
    all
}

/// Nothing names what Curfew made as its owner: whoever is owned and held by a finalizer would hold its owner, too, as soon as
/// that is deleted in the foreground, which is how a finished Job goes.
///
/// It looks at every write in the cluster, so it looks for one thing, and lets pass what it cannot read.
fn owners() -> Vec<Value> {
    let named = format!(
        "o.?kind.orValue('') in ['RoleBinding', 'ClusterRoleBinding'] && o.?name.orValue('').startsWith('{BINDING_PREFIX}') \
         || o.?kind.orValue('') == 'Job' && o.?name.orValue('').matches('{FUSE}')"
    );
    let owned = format!("object != null && object.?metadata.?ownerReferences.orValue([]).exists(o, {named})");
    let rules = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [
        {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["*"], "scope": "*"},
    ]});
    let controllers = is_controller(&["namespace-controller", "generic-garbage-collector"]);
    let mut all = validating(
        "curfew-owners",
        json!({
            "matchConstraints": rules,
            "matchConditions": [{"name": "owned-by-ours", "expression": owned}],
            "validations": [rule(format!("{} || {controllers}", is_operator()), "what Curfew made is changed by Curfew alone, and owns nothing of anybody else's")],
        }),
    );
    all[0]["spec"]["failurePolicy"] = json!("Ignore");
    all
}
