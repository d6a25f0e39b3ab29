//! Who is who: the admission policies that stamp and prove it, the rights that go with it, and the gate that watches both.
//!
//! There is no webhook server. Built-in admission policies do it in the API server's own process: nothing to keep
//! available, and nothing that fails open when it is down. They are built here as values, printed to `deploy/` by
//! `make generate`, and compared with what is live by the [`gate`].
pub mod admission_check;
pub mod answer;
pub mod cluster;
pub mod install;
pub mod marks;
pub mod prove;
pub mod rbac;
pub mod stamp;

pub use curfew_api::{OPERATOR_ACCOUNT as OPERATOR, OPERATOR_NAMESPACE as NAMESPACE};

/// The service account of the sweep.
pub const SWEEP: &str = "curfew-sweep";
/// A name that nobody may create, the operator included: the gate's canary.
pub const CANARY: &str = "curfew-admission-canary";
/// A role without rules, for the canary among bindings to refer to.
pub const CANARY_ROLE: &str = "curfew-admission-canary";
/// The canary among bindings.
pub const CANARY_BINDING: &str = "curfew:admission-canary";

use serde_json::{Value, json};

/// Every admission policy with its binding, in the order in which they are installed.
pub fn policies() -> Vec<Value> {
    [stamp::policies(), prove::policies(), marks::policies(), answer::policies()].concat()
}

/// `true` in CEL if it is the operator who asks.
fn is_operator() -> String {
    format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{OPERATOR}'")
}

/// `true` in CEL if one of these controllers of Kubernetes asks, under an account of its own or under the controller-manager's.
fn is_controller(names: &[&str]) -> String {
    let mut all: Vec<_> = names.iter().map(|n| format!("'system:serviceaccount:kube-system:{n}'")).collect();
    all.push("'system:kube-controller-manager'".into());
    format!("request.userInfo.username in [{}]", all.join(", "))
}

/// One rule of a policy.
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

/// A ValidatingAdmissionPolicy and the binding that puts it in force everywhere. Every default is written out, so that the
/// live object must equal it to the letter.
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
