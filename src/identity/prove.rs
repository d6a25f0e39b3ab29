//! Validating admission policies: requester, decider, author, status and Grants cannot be forged (I6).
//!
//! Each rule refuses an attack that `tests/identity/` tries on a real API server.
use super::{ANALYTICS, CANARY, REVOKER, is_account, is_controller, is_operator, match_constraints, rule, validating};
use crate::api::{GROUP, VERSION};
use serde_json::{Value, json};

/// How the name of an activation of standing access ends: with a hash and a time. The operator creates them under names that follow from
/// what they rest on, and a request of another user with such a name would be in its way.
const ACTIVATION_NAME: &str = "-[0-9a-f]{10}-[0-9]{8}t[0-9]{6}z$";

/// Returns the validating policies for Curfew's own kinds, and their bindings.
pub fn policies() -> Vec<Value> {
    [requests(), assignment_requests(), decisions(), assignments(), eligible_assignments(), operator_writes()].concat()
}

/// The controllers for namespace deletion and garbage collection, which the policies must not block.
fn is_cleaner() -> String {
    is_controller(&["namespace-controller", "generic-garbage-collector"])
}

fn requests() -> Vec<Value> {
    let mut rules = vec![canary()];
    rules.extend(identity("requester"));
    rules.push(rule(
        "request.operation != 'CREATE' || !has(object.spec.activeAssignment) || variables.operator",
        "activeAssignment is set by the operator alone, which requests the access of an ActiveAssignment; leave it out",
    ));
    rules.push(rule(
        format!("request.operation != 'CREATE' || variables.operator || !object.metadata.?name.orValue('').matches('{ACTIVATION_NAME}')"),
        "a name that ends as those of the activations of an ActiveAssignment is reserved for the operator; choose another one",
    ));
    rules.extend(metadata());
    rules.push(rule(
        "request.operation != 'DELETE' || variables.operator || variables.cleaner \
         || request.userInfo.username == oldObject.spec.?requester.?username.orValue('') \
         || request.userInfo.username == oldObject.spec.?beneficiary.?user.orValue('') \
         || oldObject.spec.?beneficiary.?serviceAccount.hasValue() && request.userInfo.username == 'system:serviceaccount:' \
         + oldObject.spec.beneficiary.serviceAccount.namespace + ':' + oldObject.spec.beneficiary.serviceAccount.name \
         || authorizer.group('curfew.dev').resource('activationrequests').namespace(oldObject.metadata.namespace).name(oldObject.metadata.name).check('manage').allowed()",
        "a request is deleted by its requester, its beneficiary, or a manager (RBAC verb manage on it)",
    ));
    policy("curfew-requests", "activationrequests", rules)
}

fn assignment_requests() -> Vec<Value> {
    let mut rules = vec![canary()];
    rules.extend(identity("requester"));
    rules.extend(metadata());
    rules.push(rule(
        "request.operation != 'DELETE' || variables.operator || variables.cleaner \
         || request.userInfo.username == oldObject.spec.?requester.?username.orValue('') \
         || authorizer.group('curfew.dev').resource('assignmentrequests').namespace(oldObject.metadata.namespace).name(oldObject.metadata.name).check('manage').allowed()",
        "an AssignmentRequest is deleted by its requester or a manager (RBAC verb manage on it); without it the window that it gave makes nobody eligible any more",
    ));
    policy("curfew-assignment-requests", "assignmentrequests", rules)
}

fn decisions() -> Vec<Value> {
    let mut rules = vec![canary()];
    rules.extend(identity("decider"));
    rules.push(rule(
        "request.operation != 'CREATE' || !request.userInfo.username.startsWith('system:')",
        "decisions are made by people: service accounts and other system: identities cannot decide",
    ));
    rules.extend(metadata());
    // One that counts for nothing may go: its audit record is written before its status says so.
    let managed = |field: &str, resource: &str| {
        format!(
            "(has(oldObject.spec.about.{field}) && authorizer.group('curfew.dev').resource('{resource}').namespace(oldObject.metadata.namespace)\
             .name(oldObject.spec.about.{field}.name).check('manage').allowed())"
        )
    };
    let managed =
        format!("({} || {})", managed("activationRequest", "activationrequests"), managed("assignmentRequest", "assignmentrequests"));
    rules.push(rule(
        format!(
            "request.operation != 'DELETE' || variables.operator || variables.cleaner \
             || (oldObject.?status.?conditions.orValue([]).exists(c, c.type == 'Counted' && c.status == 'False') \
             && {managed})"
        ),
        "a decision is an audit record and cannot be deleted, except by a manager (RBAC verb manage on the request) once it is Counted=False; \
         to take back an approval, create another decision with Deny or Revoke",
    ));
    policy("curfew-decisions", "accessdecisions", rules)
}

/// Who may create an assignment is a matter of RBAC; who it was is proven here. Its spec is frozen by the CRD.
fn assignments() -> Vec<Value> {
    let mut rules = vec![canary()];
    rules.extend(identity("author"));
    rules.extend(metadata());
    policy("curfew-assignments", "activeassignments", rules)
}

/// What the operator creates and deletes is what an AssignmentRequest has asked for, and carries its mark; nobody else sets the mark. Who may
/// create an assignment otherwise is a matter of RBAC. No proof rests on this: access by a marked assignment needs the request and its
/// approvals. So there is no canary. The CRD allows an update to remove the mark, and not to add or change it.
fn eligible_assignments() -> Vec<Value> {
    let rules = vec![
        rule(
            "request.operation != 'CREATE' || variables.operator || !has(object.spec.requestedBy)",
            "requestedBy is set by the operator alone, for what an AssignmentRequest has asked for; leave it out, or ask with an AssignmentRequest",
        ),
        rule(
            "!variables.operator || (request.operation == 'CREATE' ? has(object.spec.requestedBy) : has(oldObject.spec.requestedBy))",
            "the operator creates and deletes only assignments that an AssignmentRequest has asked for",
        ),
    ];
    validating(
        "curfew-eligible-assignments",
        json!({
            "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE", "DELETE"], &["eligibleassignments"]),
            "variables": [{"name": "operator", "expression": is_operator()}],
            "validations": rules,
        }),
    )
}

fn policy(name: &str, resource: &str, rules: Vec<Value>) -> Vec<Value> {
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

/// Refuses the canary to every user, including the operator: a refusal that names this policy proves that the policy is in force.
fn canary() -> Value {
    rule(
        format!("request.operation != 'CREATE' || object.metadata.?name.orValue('') != '{CANARY}'"),
        "this name is reserved: the refusal to create it proves that this policy is in force",
    )
}

/// Requires that the identity in `field` equals `request.userInfo`. Lists are compared with `==`, because `sets.equivalent` exceeds
/// the CEL cost limit at 800 groups.
fn identity(field: &str) -> Vec<Value> {
    let equals = |attribute: &str, absent: &str| {
        format!(
            "request.operation != 'CREATE' || object.spec.?{field}.?{attribute}.orValue({absent}) == request.userInfo.?{attribute}.orValue({absent})"
        )
    };
    let message = |attribute: &str| {
        format!("{field}.{attribute} must be your own, as this server authenticated you; leave {field} out and it is filled in")
    };
    vec![
        rule(
            format!("request.operation != 'CREATE' || object.spec.?{field}.?username.orValue('') == request.userInfo.username"),
            &message("username"),
        ),
        rule(equals("uid", "''"), &message("uid")),
        rule(equals("groups", "[]"), &message("groups")),
        // Each recorded key is proven by itself: an empty list says that the login does not have it. Which keys there are is not
        // decided here, and a key that is not recorded proves nothing.
        rule(
            format!(
                "request.operation != 'CREATE' || object.spec.?{field}.?extra.orValue({{}}).all(k, \
                 object.spec.{field}.extra[k] == request.userInfo.?extra[?k].orValue([]))"
            ),
            &message("extra"),
        ),
    ]
}

/// Protects metadata with side effects: an owner reference can delete the object, a finalizer can keep it, and the labels and
/// annotations under `curfew.dev/` are input of the operator.
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
            "ownerReferences are not allowed here: deleting the owner would delete this object",
        ),
        rule(keys("labels", "oldLabels"), "labels under curfew.dev/ are set by the operator alone"),
        rule(keys("annotations", "oldAnnotations"), "annotations under curfew.dev/ are set by the operator alone"),
    ]
}

/// Only the operator writes status subresources and Grants; the process that only revokes and the one that measures write parts.
fn operator_writes() -> Vec<Value> {
    const STATUS: &[&str] = &[
        "curfewconfigs/status",
        "authorizationsystems/status",
        "accesspolicies/status",
        "roletemplates/status",
        "eligibleassignments/status",
        "activeassignments/status",
        "activationrequests/status",
        "assignmentrequests/status",
        "accessdecisions/status",
        "grants/status",
        "grants",
    ];
    let rules = vec![
        canary(),
        rule(
            format!("{} || variables.revokes || variables.measures || variables.rewrites", is_operator()),
            "status and Grants are written by the operator alone; ask with an ActivationRequest, decide with an AccessDecision",
        ),
    ];
    validating(
        "curfew-ledger",
        json!({
            "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE", "UPDATE", "DELETE"], STATUS),
            "variables": [
                {"name": "resource", "expression": "request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)"},
                {"name": "updates", "expression": format!("{} && request.operation == 'UPDATE'", is_account(REVOKER))},
                {"name": "revokes", "expression": format!("variables.updates && ({})", revoker_writes())},
                {"name": "rewrites", "expression": format!("request.operation == 'UPDATE' && variables.resource == 'grants' && {}", unchanged())},
                {"name": "measures", "expression": format!("{} && request.operation == 'UPDATE' && {}", is_account(ANALYTICS), analytics_writes())},
            ],
            "validations": rules,
        }),
    )
}

/// Returns a CEL expression for what the process that only revokes may write: a Grant on its way to its end, its own audit heads, and
/// nothing that access could rest on.
fn revoker_writes() -> String {
    let state = |object: &str| format!("{object}.?status.?state.orValue('')");
    let same = |field: &str| format!("object.?{field} == oldObject.?{field}");
    let (new, old) = (state("object"), state("oldObject"));
    // The CRD's own rules let the end of a Grant only move earlier and freeze the rest of its spec.
    let ends = format!("variables.resource == 'grants/status' && ({new} == {old} || {new} in ['Revoking', 'Ended'])");
    let releases = format!(
        "variables.resource == 'grants' && {} && {} && object.metadata.?finalizers.orValue([]).all(f, f in oldObject.metadata.?finalizers.orValue([])) \
         && (object.metadata.?finalizers == oldObject.metadata.?finalizers || {old} in ['Ended', 'Abandoned'])",
        same("metadata.?labels"),
        same("metadata.?ownerReferences")
    );
    // The API server fills in an empty list where there is none.
    let anchors = format!(
        "variables.resource == 'curfewconfigs/status' && {} \
         && object.?status.?conditions.orValue([]) == oldObject.?status.?conditions.orValue([])",
        ["admission", "clusterKeys", "observedGeneration"].map(|field| same(&format!("status.?{field}"))).join(" && ")
    );
    format!("({ends}) || ({releases}) || ({anchors})")
}

/// Returns a CEL expression that is true if a Grant is written again as it is. A migration of the stored version does that, with every object.
fn unchanged() -> String {
    let parts = ["?spec", "?status", "metadata.?labels", "metadata.?annotations", "metadata.?finalizers", "metadata.?ownerReferences"];
    parts.map(|part| format!("object.{part} == oldObject.{part}")).join(" && ")
}

/// Returns a CEL expression for what `curfew-analytics run` may write: what it has measured of a system, and nothing that a grant rests on.
fn analytics_writes() -> String {
    let same = |field: &str| format!("object.?status.?{field} == oldObject.?status.?{field}");
    let fields = ["observedGeneration", "target", "emergencyUse", "grants", "display"].map(same).join(" && ");
    let own = format!("[{}]", curfew_api::conditions::OF_ANALYTICS.map(|name| format!("'{name}'")).join(", "));
    let others = |object: &str| format!("{object}.?status.?conditions.orValue([]).filter(c, !(c.type in {own}))");
    format!("variables.resource == 'authorizationsystems/status' && {fields} && {} == {}", others("object"), others("oldObject"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;

    #[test]
    fn the_status_of_every_kind_is_guarded() {
        let guarded = operator_writes()[0]["spec"]["matchConstraints"]["resourceRules"][0]["resources"].to_string();
        for crd in api::crds() {
            assert!(guarded.contains(&format!("\"{}/status\"", crd.spec.names.plural)), "{} is not guarded", crd.spec.names.plural);
        }
    }
}
