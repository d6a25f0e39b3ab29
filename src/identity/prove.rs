//! The proof: nobody forges who asked, who decided, or what came of it (I6).
//!
//! Each rule answers an attack that was tried on a real API server; `tests/identity/` keeps them.
use super::{CANARY, is_controller, is_operator, match_constraints, rule, validating};
use crate::api::{GROUP, VERSION};
use serde_json::{Value, json};

/// The validating policies over our own kinds, and their bindings.
pub fn policies() -> Vec<Value> {
    [requests(), decisions(), ledger()].concat()
}

/// Namespace deletion and garbage collection must not hang on our guards.
fn is_cleaner() -> String {
    is_controller(&["namespace-controller", "generic-garbage-collector"])
}

fn requests() -> Vec<Value> {
    let mut rules = vec![canary()];
    rules.extend(stamp("requester"));
    rules.extend(metadata());
    rules.push(rule(
        "request.operation != 'DELETE' || variables.operator || variables.cleaner \
         || request.userInfo.username == oldObject.spec.?requester.?username.orValue('') \
         || request.userInfo.username == oldObject.spec.?beneficiary.?user.orValue('') \
         || authorizer.group('curfew.dev').resource('activationrequests').namespace(oldObject.metadata.namespace).name(oldObject.metadata.name).check('manage').allowed()",
        "a request is deleted by its requester, its beneficiary, or a manager (RBAC verb manage on it)",
    ));
    over("curfew-requests", "activationrequests", rules)
}

fn decisions() -> Vec<Value> {
    let mut rules = vec![canary()];
    rules.extend(stamp("decider"));
    rules.push(rule(
        "request.operation != 'CREATE' || !request.userInfo.username.startsWith('system:')",
        "decisions are made by people: service accounts and other system: identities cannot decide",
    ));
    rules.extend(metadata());
    rules.push(rule(
        "request.operation != 'DELETE' || variables.operator || variables.cleaner",
        "a decision is evidence and stays; to take back an approval, create another decision with Deny or Revoke",
    ));
    over("curfew-decisions", "accessdecisions", rules)
}

fn over(name: &str, resource: &str, rules: Vec<Value>) -> Vec<Value> {
    validating(
        name,
        json!({
            "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE", "UPDATE", "DELETE"], &[resource]),
            "variables": [
                {"name": "operator", "expression": is_operator()},
                {"name": "cleaner", "expression": is_cleaner()},
                {"name": "mine", "expression": "variables.operator || variables.cleaner || request.operation == 'DELETE'"},
                {"name": "oldFinalizers", "expression": "oldObject == null ? [] : oldObject.metadata.?finalizers.orValue([])"},
                {"name": "oldOwners", "expression": "oldObject == null ? [] : oldObject.metadata.?ownerReferences.orValue([])"},
                {"name": "oldLabels", "expression": "oldObject == null ? {} : oldObject.metadata.?labels.orValue({})"},
                {"name": "oldAnnotations", "expression": "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"},
                {"name": "labels", "expression": "object == null ? {} : object.metadata.?labels.orValue({})"},
                {"name": "annotations", "expression": "object == null ? {} : object.metadata.?annotations.orValue({})"},
            ],
            "validations": rules,
        }),
    )
}

/// Nobody creates the canary, the operator included: that it is refused, by this policy's name, proves the policy is in force.
fn canary() -> Value {
    rule(
        format!("request.operation != 'CREATE' || object.metadata.?name.orValue('') != '{CANARY}'"),
        "this name is reserved: that nobody can create it proves that this policy is in force",
    )
}

/// The stamp must be equal to the login. Lists by `==`: `sets.equivalent` breaks the cost limit at 800 groups.
fn stamp(field: &str) -> Vec<Value> {
    let with = |what: &str, absent: &str| {
        format!(
            "request.operation != 'CREATE' || object.spec.?{field}.?{what}.orValue({absent}) == request.userInfo.?{what}.orValue({absent})"
        )
    };
    let must =
        |what: &str| format!("{field}.{what} must be your own, as this server authenticated you; leave {field} out and it is filled in");
    vec![
        rule(
            format!("request.operation != 'CREATE' || object.spec.?{field}.?username.orValue('') == request.userInfo.username"),
            &must("username"),
        ),
        rule(with("uid", "''"), &must("uid")),
        rule(with("groups", "[]"), &must("groups")),
        rule(with("extra", "{}"), &must("extra")),
    ]
}

/// What would let somebody else's object decide over ours: owners get it collected, finalizers keep it, reserved keys mislead us.
fn metadata() -> Vec<Value> {
    let keys = |new: &str, old: &str| {
        format!(
            "variables.mine || (variables.{new}.all(k, !k.startsWith('curfew.dev/') || (k in variables.{old} && variables.{new}[k] == variables.{old}[k])) \
             && variables.{old}.all(k, !k.startsWith('curfew.dev/') || k in variables.{new}))"
        )
    };
    vec![
        rule(
            "variables.mine || object.metadata.?finalizers.orValue([]) == variables.oldFinalizers",
            "finalizers are set by the operator alone",
        ),
        rule(
            "variables.mine || object.metadata.?ownerReferences.orValue([]) == variables.oldOwners",
            "ownerReferences are not allowed here: whoever owns the owner could have this deleted",
        ),
        rule(keys("labels", "oldLabels"), "labels under curfew.dev/ are set by the operator alone"),
        rule(keys("annotations", "oldAnnotations"), "annotations under curfew.dev/ are set by the operator alone"),
    ]
}

/// Status and Grants are the operator's word, and nobody else's.
fn ledger() -> Vec<Value> {
    const STATUS: &[&str] = &[
        "curfewconfigs/status",
        "authorizationsystems/status",
        "accesspolicies/status",
        "roletemplates/status",
        "eligibleassignments/status",
        "activationrequests/status",
        "accessdecisions/status",
        "grants/status",
        "grants",
    ];
    let rules = vec![
        canary(),
        rule(
            is_operator(),
            "status and Grants are written by the operator alone; ask with an ActivationRequest, decide with an AccessDecision",
        ),
    ];
    validating(
        "curfew-ledger",
        json!({"matchConstraints": match_constraints(GROUP, VERSION, &["CREATE", "UPDATE", "DELETE"], STATUS), "validations": rules}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;

    #[test]
    fn the_status_of_every_kind_is_guarded() {
        let guarded = ledger()[0]["spec"]["matchConstraints"]["resourceRules"][0]["resources"].to_string();
        for crd in api::crds() {
            assert!(guarded.contains(&format!("\"{}/status\"", crd.spec.names.plural)), "{} is not guarded", crd.spec.names.plural);
        }
    }
}
