//! Admission policy that protects the slots of limits: Leases in the operator's namespace whose names begin with `curfew-slot-`.
//!
//! A slot that anybody could delete would let one request more hold a role than its limit allows; one that anybody could create would
//! keep people out.
use super::{CANARY_SLOT, NAMESPACE, is_controller, is_operator, rule, validating};
use curfew_core::limits::SLOT_PREFIX;
use serde_json::{Value, json};

/// Returns the policy and its binding. It looks at Leases of one namespace: those of nodes are written every few seconds.
pub fn policies() -> Vec<Value> {
    let named = |object: &str| format!("({object} != null && {object}.metadata.?name.orValue('').startsWith('{SLOT_PREFIX}'))");
    let cleaner = is_controller(&["namespace-controller", "generic-garbage-collector"]);
    validating(
        "curfew-slots",
        json!({
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
                "objectSelector": {},
                "resourceRules": [{"apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["leases"], "scope": "*"}],
            },
            "matchConditions": [{"name": "curfew-slot", "expression": format!("{} || {}", named("object"), named("oldObject"))}],
            "validations": [
                rule(
                    format!("request.operation != 'CREATE' || object.metadata.?name.orValue('') != '{CANARY_SLOT}'"),
                    "this name is reserved: the refusal to create it proves that this policy is in force",
                ),
                rule(
                    format!("{} || (request.operation == 'DELETE' && {cleaner})", is_operator()),
                    "the slots of limits are taken and released by the operator alone, which also hands them over to extensions; end a request to release its slot",
                ),
            ],
        }),
    )
}
