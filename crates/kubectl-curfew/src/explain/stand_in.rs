//! Stand-ins for objects that a user may not read, so that all other rules can be judged. They refuse nothing: what the operator has found
//! of the real ones is told by the conditions of the role.
use curfew_api::{AccessPolicy, EligibleAssignment, RoleTemplate};
use curfew_core::{
    policy_inputs::{System, Systems, Template},
    principal::Subject,
    target::ProviderKind,
};
use kube::ResourceExt;
use serde_json::json;

/// The name of a policy that is not shown.
const POLICY: &str = "of this namespace";

/// A policy that allows the role as it is, for as long as the status of the role says.
pub(super) fn policy(role: &RoleTemplate, assignments: &[EligibleAssignment]) -> Option<AccessPolicy> {
    let spec = &role.spec;
    let shown = role.status.as_ref().and_then(|status| status.display.as_ref()).map(|display| display.max.clone());
    let longest = shown.filter(|max| !max.is_empty()).unwrap_or_else(|| spec.activation.duration.max.to_string());
    let mut eligible: Vec<&Subject> = assignments.iter().map(|assignment| &assignment.spec.subject).collect();
    let nobody = Subject::User("nobody".into());
    if eligible.is_empty() {
        eligible.push(&nobody);
    }
    let none = json!({"none": {}});
    let object = json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": POLICY},
        "spec": {
            "namespaces": {"names": [role.namespace()]}, "systems": spec.systems, "permissions": spec.permissions, "scope": spec.scope,
            "eligible": eligible, "max": {"duration": longest, "eligibility": "9999d"},
            "min": {"approval": none, "justification": false, "mfa": none, "ticket": none},
            "allow": {"permanentEligibility": true, "activeAssignments": true, "breakGlass": true, "delegated": true, "persistence": true},
        },
    });
    serde_json::from_value(object).ok()
}

/// A system that grants, for each that the role names; one for a selector. `named` is the one that the request names.
pub(super) fn systems(template: &Template, named: Option<&str>) -> Vec<System> {
    let provider = ProviderKind::ALL.iter().copied().find(|kind| template.permissions.of(*kind).is_some());
    let (names, labels) = match &template.systems {
        Systems::Names(names) => (names.clone(), Default::default()),
        Systems::Labels(labels) => (vec![named.unwrap_or("that the role selects").to_owned()], labels.clone()),
    };
    let system = |name: String| System {
        uid: name.clone(),
        provider: provider.unwrap_or(ProviderKind::Kubernetes),
        labels: labels.clone(),
        target: Some(String::new()),
        grants_allowed: true,
        deleting: false,
        suspended: false,
        duplicate_of: None,
        missing_rights: None,
        principals: None,
        emergency_accounts: Vec::new(),
        unsupported: Vec::new(),
        name,
    };
    names.into_iter().map(system).collect()
}
