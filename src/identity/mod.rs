//! Authenticated identity: the admission policies that record and verify it, the RBAC roles, and the admission check ([`admission_check`]).
//!
//! There is no webhook server. The API server evaluates built-in admission policies in its own process, so no server must be
//! kept available and none fails open when it is down. The policies are built here as values, written to `deploy/` by
//! `make generate`, and compared with the live objects by [`admission_check`].
pub mod admission_check;
pub mod analytics;
pub mod answer;
pub mod cluster;
mod conditions;
mod crd_versions;
pub mod finished;
pub mod flow;
pub mod install;
pub mod limit_slots;
pub mod marks;
pub mod people;
pub mod prove;
pub mod rbac;
pub mod stamp;
pub mod workloads;

/// The namespace of the operator.
pub const NAMESPACE: &str = "curfew-system";
/// The name of the operator's service account.
pub const OPERATOR: &str = "curfew-operator";
/// The name of the Lease that holds what the replicas keep about notifications.
pub const NOTIFICATIONS: &str = "curfew-notifications";
/// The name of the service account of `curfew run --revoke-only`.
pub const REVOKER: &str = "curfew-revoker";
/// The name of the sweep's service account.
pub const SWEEP: &str = "curfew-sweep";
/// The name of the service account of `curfew live-grants`, which runs before an uninstallation.
pub const UNINSTALL: &str = "curfew-uninstall";
/// The name of the service account of `curfew-analytics run`, of its workload and of its Service.
pub const ANALYTICS: &str = "curfew-analytics";
/// The reserved object name of the admission check's canaries. The policies refuse it to every user, including the operator.
pub const CANARY: &str = "curfew-admission-canary";
/// A ClusterRole without rules, which the canary binding refers to.
pub const CANARY_ROLE: &str = "curfew-admission-canary";
/// The reserved name of the canary binding.
pub const CANARY_BINDING: &str = "curfew:admission-canary";
/// The reserved name of the canary slot.
pub const CANARY_SLOT: &str = "curfew-slot-admission-canary";

use crate::api::PART_OF;
use serde_json::{Value, json};

/// Returns every admission policy with its binding, in the order in which they are installed.
pub fn policies() -> Vec<Value> {
    [validating_policies(), mutating_policies()].concat()
}

/// Returns what protects: the validating policies with their bindings, which every supported Kubernetes has.
pub fn validating_policies() -> Vec<Value> {
    let own_objects = [marks::policies(), limit_slots::policies()].concat();
    labelled([stamp::exact(), prove::policies(), own_objects, answer::policies(), finished::policies()].concat())
}

/// Returns the mutating policies with their bindings, which Kubernetes has from 1.36 on.
pub fn mutating_policies() -> Vec<Value> {
    labelled(stamp::mutating_policies())
}

fn labelled(mut all: Vec<Value>) -> Vec<Value> {
    all.iter_mut().for_each(|object| object["metadata"]["labels"] = json!({PART_OF.0: PART_OF.1}));
    all
}

/// Returns a CEL expression that is true if the operator makes the API request.
fn is_operator() -> String {
    is_account(OPERATOR)
}

/// Returns a CEL expression that is true if this service account of the operator's namespace makes the API request.
fn is_account(name: &str) -> String {
    format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{name}'")
}

/// Returns a CEL expression that is true if one of these Kubernetes controllers makes the API request, under its own service
/// account or as the controller-manager.
fn is_controller(names: &[&str]) -> String {
    let mut all: Vec<_> = names.iter().map(|name| format!("'system:serviceaccount:kube-system:{name}'")).collect();
    all.push("'system:kube-controller-manager'".into());
    format!("request.userInfo.username in [{}]", all.join(", "))
}

/// Returns one validation of a policy, which refuses with 403 Forbidden.
fn rule(expression: impl Into<String>, message: &str) -> Value {
    json!({"expression": expression.into(), "message": message, "reason": "Forbidden"})
}

fn match_constraints(group: &str, version: &str, operations: &[&str], resources: &[&str]) -> Value {
    json!({
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "resourceRules": [{"apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": resources, "scope": "*"}],
    })
}

/// Returns a ValidatingAdmissionPolicy and the binding that puts it in force in all namespaces. Every default is written out, so
/// that the live object must be equal.
fn validating(name: &str, spec: Value) -> Vec<Value> {
    let mut spec = spec;
    spec["failurePolicy"] = json!("Fail");
    vec![
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policies that let a write pass if they cannot be evaluated, and why that is safe.
    const FAIL_OPEN: &[(&str, &str)] = &[
        ("curfew-answers", "a convenience; the rules are in core/terms.rs"),
        ("curfew-finished", "warns, and refuses nothing"),
        ("curfew-stamp-requests", "the schema refuses a request without requester, and curfew-requests one with another requester"),
        ("curfew-stamp-assignment-requests", "the same for an AssignmentRequest"),
        ("curfew-keys-of-assignment-requests", "the same for an AssignmentRequest"),
        ("curfew-stamp-decisions", "the same for a decider"),
        ("curfew-keys-of-requests", "keeps other values out of the record; a record counts only for the keys that it has"),
        ("curfew-keys-of-decisions", "the same for a decider"),
        ("curfew-stamp-assignments", "the same for the author of an ActiveAssignment"),
        ("curfew-keys-of-assignments", "the same for the author of an ActiveAssignment"),
        ("curfew-owners", "matches every write in the cluster, and without it a binding ends later and not never"),
    ];

    #[test]
    fn a_policy_fails_open_only_for_a_reason_and_always_where_it_has_parameters() {
        for policy in policies().iter().filter(|p| p["kind"].as_str().is_some_and(|kind| kind.ends_with("AdmissionPolicy"))) {
            let name = policy["metadata"]["name"].as_str().unwrap_or_default();
            let excused = FAIL_OPEN.iter().any(|(excused, _)| *excused == name);
            assert_eq!(policy["spec"]["failurePolicy"], if excused { "Ignore" } else { "Fail" }, "{name}");
            // An API server that starts before it serves the CRDs does not know the kind of the parameters for half a minute.
            assert!(excused || policy["spec"]["paramKind"].is_null(), "{name} has parameters and refuses all writes meanwhile");
        }
    }
}
