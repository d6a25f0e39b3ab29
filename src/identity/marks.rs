//! Admission policies that protect the objects that Curfew creates in a cluster: bindings whose names begin with `curfew:`, Job
//! fuses, and every binding, Job or Pod with its label.
//!
//! Without them a user with `edit` rights could keep a binding alive with a finalizer, widen it, or remove the label so that the
//! sweep does not find it. Deleting a binding is not restricted beyond RBAC, since it only removes access.
use super::{CANARY_BINDING, REVOKER, SWEEP, is_account, is_controller, is_operator, rule, validating};
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
                {"name": "operator", "expression": is_operator()},
                {"name": "takes", "expression": format!("({}) && request.operation != 'CREATE'", is_revoker())},
                {"name": "controller", "expression": controllers},
                {"name": "subjects", "expression": "object == null ? [] : object.?subjects.orValue([])"},
                {"name": "oldSubjects", "expression": "oldObject == null ? [] : oldObject.?subjects.orValue([])"},
                {"name": "deadline", "expression": "object == null ? 0 : object.?spec.?activeDeadlineSeconds.orValue(0)"},
                {"name": "oldDeadline", "expression": "oldObject == null ? 0 : oldObject.?spec.?activeDeadlineSeconds.orValue(0)"},
            ],
            "validations": [
                rule(format!("request.operation != 'CREATE' || object.metadata.?name.orValue('') != '{CANARY_BINDING}'"), "this name is reserved: the refusal to create it proves that this policy is in force"),
                rule("variables.operator || variables.takes || (request.operation != 'CREATE' && variables.controller)", "only Curfew may change objects that it created; deleting one of its bindings is allowed and ends the access"),
                rule("!variables.takes || object == null || variables.subjects.all(s, s in variables.oldSubjects)", "this account only revokes: it must not add a subject to a binding"),
                // A deadline is only brought forward, and nothing else of a Job keeps it from ending.
                rule(
                    "!variables.takes || object == null || !has(object.spec) || (variables.deadline <= variables.oldDeadline && variables.deadline > 0 \
                     && !object.spec.?suspend.orValue(false) && object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([]))",
                    "this account only revokes: it must not keep a Job from ending",
                ),
                rule(
                    "!variables.takes || object == null || (object.metadata.?labels.orValue({}) == oldObject.metadata.?labels.orValue({}) \
                     && object.metadata.?finalizers.orValue([]).all(f, f in oldObject.metadata.?finalizers.orValue([])))",
                    "this account only revokes: it must not change labels or add a finalizer",
                ),
            ],
        }),
    );
    all.extend(owners());
    all
}

/// Returns a CEL expression that is true for the accounts that only take access away.
fn is_revoker() -> String {
    format!("{} || {}", is_account(REVOKER), is_account(SWEEP))
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
    // A binding is owned by its Job, so its finalizers are taken off by a write that names an owner.
    let keeps_owners = format!(
        "({}) && request.operation == 'UPDATE' && object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])",
        is_revoker()
    );
    let mut all = validating(
        "curfew-owners",
        json!({
            "matchConstraints": rules,
            "matchConditions": [{"name": "curfew-object-as-owner", "expression": owned}],
            "validations": [rule(format!("{} || {controllers} || ({keeps_owners})", is_operator()), "only Curfew may change objects that it created, and other objects must not name them as owner")],
        }),
    );
    all[0]["spec"]["failurePolicy"] = json!("Ignore");
    all
}
