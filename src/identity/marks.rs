//! Admission policies that protect the objects that Curfew creates in a cluster: bindings whose names begin with `curfew:`, Job
//! fuses, and every binding, Job or Pod with its label.
//!
//! Without them a user with `edit` rights could keep a binding alive with a finalizer, widen it, or remove the label so that the
//! sweep does not find it. Deleting a binding is not restricted beyond RBAC, since it only removes access.
use super::{CANARY_BINDING, NAMESPACE, SWEEP, is_controller, is_operator, rule, validating};
use curfew_core::{ids::GRANT_LABEL, target::kubernetes::names::BINDING_PREFIX};
use serde_json::{Value, json};

/// Regular expression for the names of Job fuses.
const FUSE: &str = "^curfew-[0-9a-f]{16}-[0-9]+$";

/// Returns the policies for bindings, Jobs and the Pods that a Job could select, and their policy bindings.
pub fn policies() -> Vec<Value> {
    let marked = |object: &str| {
        format!(
            "({object} != null && ({object}.metadata.?name.orValue('').startsWith('{BINDING_PREFIX}') || {object}.metadata.?generateName.orValue('').startsWith('{BINDING_PREFIX}') \
             || {object}.metadata.?name.orValue('').matches('{FUSE}') || '{GRANT_LABEL}' in {object}.metadata.?labels.orValue({{}})))"
        )
    };
    let sweep = format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{SWEEP}'");
    let controllers =
        is_controller(&["namespace-controller", "generic-garbage-collector", "job-controller", "ttl-after-finished-controller"]);
    let rules = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["rolebindings", "clusterrolebindings"], "scope": "*"},
        {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["jobs", "jobs/status"], "scope": "*"},
        // A Pod that matches the selector of a Job fuse could keep the Job from finishing.
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"], "scope": "*"},
    ]});
    let mut all = validating(
        "curfew-marks",
        json!({
            "matchConstraints": rules,
            "matchConditions": [{"name": "curfew-object", "expression": format!("{} || {}", marked("object"), marked("oldObject"))}],
            "variables": [
                {"name": "owner", "expression": format!("{} || {sweep}", is_operator())},
                {"name": "controller", "expression": controllers},
            ],
            "validations": [
                rule(format!("request.operation != 'CREATE' || object.metadata.?name.orValue('') != '{CANARY_BINDING}'"), "this name is reserved: the refusal to create it proves that this policy is in force"),
                rule("variables.owner || (request.operation != 'CREATE' && variables.controller)", "only Curfew may change objects that it created; deleting one of its bindings is allowed and ends the access"),
            ],
        }),
    );
    all.extend(owners());
    all
}

/// Returns the policy that keeps all other objects from naming an object of Curfew as their owner. A dependent with a finalizer
/// blocks the foreground deletion of its owner, and a finished Job is deleted in the foreground.
///
/// The policy matches every write in the cluster, so it checks only this, and its `failurePolicy` is `Ignore`.
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
            "matchConditions": [{"name": "curfew-object-as-owner", "expression": owned}],
            "validations": [rule(format!("{} || {controllers}", is_operator()), "only Curfew may change objects that it created, and other objects must not name them as owner")],
        }),
    );
    all[0]["spec"]["failurePolicy"] = json!("Ignore");
    all
}
