//! Mutating admission policies: the API server fills in requester, decider and author from the authenticated user, so that plain
//! `kubectl apply` works.
//!
//! They fill in the field only if it is absent. A forged value is kept, so that the validating policy refuses it with a message.
//!
//! Of the extra attributes of a login only those are recorded that CurfewConfig names: others may be secrets, or differ in each
//! request. A key that the login does not have is recorded with an empty list, so that a record shows which keys were looked at.
//! [`prove`](super::prove) proves a record without parameters, key by key, and `curfew_core::principal` trusts it only for the keys
//! that it has: a list of keys that is missing, old or forged makes logins unproven and proves nothing.
//!
//! The parameter is a ConfigMap, which the leader fills from CurfewConfig. CurfewConfig itself cannot be the parameter: an API server
//! that starts before it serves the CRDs looks for the kind again only after half a minute, and would fill in nothing until then.
use super::{CANARY, NAMESPACE, match_constraints, validating};
use crate::api::{GROUP, VERSION};
use serde_json::{Value, json};

/// The ConfigMap in the operator's namespace that lists the extra keys to record.
pub const KEYS: &str = "curfew-identity-keys";
/// The member of its data: one key per line.
pub const KEYS_DATA: &str = "keys";
/// What is recorded before the operator has written the ConfigMap: the key of the CurfewConfig that is shipped.
pub const DEFAULT_KEY: &str = "authentication.kubernetes.io/credential-id";

const FIELDS: [(&str, &str, &str); 4] = [
    ("requests", "activationrequests", "requester"),
    ("assignment-requests", "assignmentrequests", "requester"),
    ("decisions", "accessdecisions", "decider"),
    ("assignments", "activeassignments", "author"),
];

/// Returns the mutating policies and their bindings. An API server that does not serve their kinds, as Kubernetes before 1.36, does
/// without: a client that leaves the field out is refused, and `kubectl curfew` sends it.
pub fn mutating_policies() -> Vec<Value> {
    FIELDS.iter().flat_map(|(name, resource, field)| mutating(&format!("curfew-stamp-{name}"), resource, field)).collect()
}

/// Returns the validating policies that keep other keys out, and their bindings.
pub fn exact() -> Vec<Value> {
    FIELDS.iter().flat_map(|(name, resource, field)| exact_keys(&format!("curfew-keys-of-{name}"), resource, field)).collect()
}

/// Returns the ConfigMap without data: what applies the manifests again leaves the operator's data alone.
pub fn keys() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": KEYS, "namespace": NAMESPACE}})
}

fn param_kind() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap"})
}

fn param_ref() -> Value {
    json!({"name": KEYS, "namespace": NAMESPACE, "parameterNotFoundAction": "Allow"})
}

fn keys_variable() -> Value {
    json!({"name": "keys", "expression": format!("params.?data[?'{KEYS_DATA}'].orValue('{DEFAULT_KEY}').split('\\n').filter(k, k != '')")})
}

/// What is not filled in is refused by the schema, with a message, so the policy may fail open.
fn mutating(name: &str, resource: &str, field: &str) -> Vec<Value> {
    // JSONPatch, because an apply configuration may not touch atomic lists. `map` makes a list of the API server's own type, which has no
    // JSON form, one of CEL.
    let patch = format!(
        "[JSONPatch{{op: 'add', path: '/spec/{field}', value: Object.spec.{field}{{\
         username: request.userInfo.username, uid: request.userInfo.?uid.orValue(''), \
         groups: request.userInfo.?groups.orValue([]), extra: {{}}}}}}] + \
         variables.keys.map(k, JSONPatch{{op: 'add', path: '/spec/{field}/extra/' + jsonpatch.escapeKey(k), \
         value: request.userInfo.?extra[?k].orValue([]).map(v, v)}})"
    );
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Ignore",
                "paramKind": param_kind(),
                "reinvocationPolicy": "Never",
                "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE"], &[resource]),
                "matchConditions": [{"name": "no-stamp-yet", "expression": format!("has(object.spec) && !has(object.spec.{field})")}],
                "variables": [keys_variable()],
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "paramRef": param_ref()},
        }),
    ]
}

/// Refuses a record that a client has sent with other keys than those that are configured. What protects is elsewhere, so it may fail open.
fn exact_keys(name: &str, resource: &str, field: &str) -> Vec<Value> {
    let extra = format!("object.spec.{field}.?extra.orValue({{}})");
    let validation = |expression: String, message: &str, why: String| json!({"expression": expression, "message": message, "messageExpression": why, "reason": "Forbidden"});
    let own = |attribute: &str, absent: &str| {
        format!("object.spec.{field}.?{attribute}.orValue({absent}) == request.userInfo.?{attribute}.orValue({absent})")
    };
    // One refusal is shown of several: that of a forged record, or of the reserved name, comes from the policy that proves it.
    let condition = format!(
        "object.metadata.?name.orValue('') != '{CANARY}' && has(object.spec.{field}) && {} && {} && {}",
        own("username", "''"),
        own("uid", "''"),
        own("groups", "[]")
    );
    let mut all = validating(
        name,
        json!({
            "paramKind": param_kind(),
            "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE"], &[resource]),
            "matchConditions": [{"name": "own-record", "expression": condition}],
            "variables": [keys_variable()],
            "validations": [
                validation(
                    format!("variables.keys.all(k, k in {extra})"),
                    &format!("{field}.extra must be your own, with every key that CurfewConfig names; leave {field} out and it is filled in; if it was left out, CurfewConfig has just changed, so try again"),
                    format!("'{field}.extra must be your own, with every key that CurfewConfig names (an empty list where your login has none): ' \
                             + variables.keys.filter(k, !(k in {extra})).join(', ') + '; leave {field} out and it is filled in; if it was left out, CurfewConfig has just changed, so try again'"),
                ),
                validation(
                    format!("{extra}.all(k, k in variables.keys)"),
                    &format!("{field}.extra may have no keys but those that CurfewConfig names; leave {field} out and it is filled in; if it was left out, CurfewConfig has just changed, so try again"),
                    format!("'{field}.extra may have no keys but those that CurfewConfig names, and it has ' \
                             + {extra}.map(k, k).filter(k, !(k in variables.keys)).join(', ') + '; leave {field} out and it is filled in; if it was left out, CurfewConfig has just changed, so try again'"),
                ),
            ],
        }),
    );
    all[0]["spec"]["failurePolicy"] = json!("Ignore");
    all[1]["spec"]["paramRef"] = param_ref();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{crds, schema::RECORDED};
    use std::collections::BTreeSet;

    /// What the policies fill in, what `kubectl curfew stamp` fills in, and the kinds that have such a field, are the same.
    #[test]
    fn every_kind_that_records_a_login_is_stamped_by_policies_and_plugin() {
        let (mut kinds, mut plurals) = (BTreeSet::new(), BTreeSet::new());
        for crd in crds() {
            let (names, spec) = (crd.spec.names.clone(), serde_json::to_value(&crd.spec.versions[0].schema).expect("JSON"));
            for field in ["requester", "decider", "author"] {
                // A Grant copies the requester's name; it records no login.
                if spec.pointer(&format!("/openAPIV3Schema/properties/spec/properties/{field}/properties/username")).is_some() {
                    kinds.insert((names.kind.clone(), field));
                    plurals.insert((names.plural.clone(), field));
                }
            }
        }
        assert_eq!(kinds, RECORDED.map(|(kind, field)| (kind.to_owned(), field)).into());
        assert_eq!(plurals, FIELDS.map(|(_, plural, field)| (plural.to_owned(), field)).into());
    }
}
