//! Early rejection: an admission policy refuses a request that violates the rules of its RoleTemplate before it is stored, and
//! at `--dry-run=server`.
//!
//! This is a convenience and not a protection. The same rules are in `core/terms.rs`, and a request that this policy admits
//! (because the API server does not have the template yet, or because of a limit of the AccessPolicy or the cluster) ends as
//! `Denied` there. A missing template therefore admits the request.
use super::{conditions, match_constraints, validating};
use crate::api::{GROUP, VERSION};
use serde_json::{Value, json};

/// Returns the policy, whose parameters are the RoleTemplates of the request's namespace, and its binding.
///
/// Its `failurePolicy` is `Ignore`: an API server that starts before it serves the CRDs looks for the kind of the parameters
/// again only after half a minute, and would refuse every request until then.
pub fn policies() -> Vec<Value> {
    let validation = |expression: &str, message: &str, message_expression: &str| json!({"expression": expression, "message": message, "messageExpression": message_expression, "reason": "Invalid"});
    let conditions = conditions::validations().map(|(expression, message, words)| validation(&expression, message, &words));
    let mut all = validating(
        "curfew-answers",
        json!({
            "paramKind": {"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "RoleTemplate"},
            "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE"], &["activationrequests"]),
            "matchConditions": [{"name": "this-role", "expression": "params != null && params.metadata.name == object.spec.roleRef.name"}, {"name": "asked-by-people", "expression": "!has(object.spec.activeAssignment)"}],
            "variables": conditions::variables(),
            "validations": [
                validation("!params.spec.?suspend.orValue(false)",
                    "the role is suspended; ask its owner",
                    "'role ' + params.metadata.name + ' is suspended; ask its owner'"),
                validation("!has(object.spec.duration) || duration(object.spec.duration) <= duration(params.spec.activation.duration.max)",
                    "longer than the role allows; ask for less time",
                    "'asked for ' + object.spec.duration + ', but role ' + params.metadata.name + ' allows at most ' + params.spec.activation.duration.max"),
                validation("params.spec.activation.?justification.orValue('Required') != 'Required' || object.spec.?justification.orValue('').trim() != ''",
                    "the role asks for a justification; say why in spec.justification",
                    "'role ' + params.metadata.name + ' asks for a justification; say why in spec.justification'"),
                validation("!object.spec.?breakGlass.orValue(false) || has(params.spec.activation.breakGlass)",
                    "the role does not allow break-glass; leave out breakGlass, and approvers decide",
                    "'role ' + params.metadata.name + ' does not allow break-glass; create a request without breakGlass, which approvers decide'"),
                validation("!object.spec.?breakGlass.orValue(false) || object.spec.?justification.orValue('').trim() != ''",
                    "break-glass asks for a justification; say why in spec.justification",
                    "'break-glass asks for a justification; say why in spec.justification'"),
                validation("!object.spec.?breakGlass.orValue(false) || (!has(object.spec.startTime) && !has(object.spec.beneficiary))",
                    "break-glass begins at once, and is for a person who asks for herself; leave out startTime and beneficiary",
                    "'break-glass begins at once, and is for a person who asks for herself; leave out startTime and beneficiary'"),
                validation("!object.spec.?breakGlass.orValue(false) || !has(object.spec.extends)",
                    "an extension needs its own approval, and break-glass has none; leave out extends or breakGlass",
                    "'an extension needs its own approval, and break-glass has none; leave out extends, or leave out breakGlass'"),
                // A lower bound of what the chain will be: what is extended has lasted for a while.
                validation("!has(object.spec.extends) || has(params.spec.activation.?extension.atMost)",
                    "the role cannot be extended",
                    "'role ' + params.metadata.name + ' cannot be extended: it has no activation.extension.atMost; request it again when the access has ended'"),
                validation("!has(object.spec.extends) || !has(object.spec.duration) || !has(params.spec.activation.?extension.atMost) || duration(object.spec.duration) <= duration(params.spec.activation.extension.atMost.chain)",
                    "longer than the role allows for a chain of extensions; ask for less time",
                    "'asked for ' + object.spec.duration + ', but role ' + params.metadata.name + ' allows ' + params.spec.activation.extension.atMost.chain + ' in all (activation.extension); ask for less time'"),
                // The least that it could be: what else the person has held in the day is known to the operator.
                validation("!has(object.spec.duration) || !has(params.spec.activation.?extension.atMost) || duration(object.spec.duration) <= duration(params.spec.activation.extension.atMost.perDay)",
                    "longer than the role may be held in a day; ask for less time",
                    "'asked for ' + object.spec.duration + ', but role ' + params.metadata.name + ' allows ' + params.spec.activation.extension.atMost.perDay + ' per day (activation.extension); ask for less time'"),
                // The API server fills in the time of creation before it evaluates this; at a dry run, too.
                validation("!has(object.spec.startTime) || timestamp(object.spec.startTime) <= timestamp(object.metadata.creationTimestamp) + duration('720h')",
                    "startTime is more than 30 days ahead; create the request later",
                    "'startTime ' + object.spec.startTime + ' is more than 30 days after the request is made; create it later'"),
            ],
        }),
    );
    if let Some(validations) = all[0]["spec"]["validations"].as_array_mut() {
        validations.extend(narrowing(validation));
        validations.extend(conditions);
    }
    // The parameters are all templates of the namespace; the match condition selects the one that the request names.
    all[0]["spec"]["failurePolicy"] = json!("Ignore");
    all[1]["spec"]["paramRef"] = json!({"selector": {}, "parameterNotFoundAction": "Allow"});
    all
}

/// What a request may ask for less of, where names decide: the namespaces and roles of a cluster, and a provider that the role has.
fn narrowing(validation: impl Fn(&str, &str, &str) -> Value) -> Vec<Value> {
    let missing = |field: &str, provider: &str| {
        validation(
            &format!("!has(object.spec.{field}) || !has(object.spec.{field}.{provider}) || has(params.spec.{field}.{provider})"),
            &format!("spec.{field} has an entry for a provider that the role does not have"),
            &format!("'spec.{field} has an entry for provider {provider}, and role ' + params.metadata.name + ' has none'"),
        )
    };
    // Both are objects of Kubernetes, as far as the role has them, too.
    let both = |field: &str, rest: &str| {
        format!("!has(object.spec.{field}) || !has(object.spec.{field}.kubernetes) || !has(params.spec.{field}.kubernetes) || ({rest})")
    };
    let (role, told) = ("params.metadata.name", "; kubectl describe rtpl shows what it has");
    vec![
        missing("scope", "kubernetes"),
        missing("scope", "aws"),
        missing("permissions", "kubernetes"),
        missing("permissions", "aws"),
        validation(
            &both(
                "scope",
                "has(params.spec.scope.kubernetes.clusterWide) || (has(object.spec.scope.kubernetes.namespaces) \
                 && object.spec.scope.kubernetes.namespaces.all(n, n in params.spec.scope.kubernetes.namespaces))",
            ),
            "spec.scope is wider than the scope of the role",
            &format!("'spec.scope is wider than the scope of role ' + {role} + '{told}'"),
        ),
        validation(
            &both(
                "permissions",
                "(!has(object.spec.permissions.kubernetes.clusterRoles) || object.spec.permissions.kubernetes.clusterRoles.all(r, \
                 r in params.spec.permissions.kubernetes.?clusterRoles.orValue([]))) \
                 && (!has(object.spec.permissions.kubernetes.roles) || object.spec.permissions.kubernetes.roles.all(r, \
                 params.spec.permissions.kubernetes.?roles.orValue([]).exists(o, o.name == r.name && o.namespace == r.namespace)))",
            ),
            "spec.permissions asks for more than the role has",
            &format!("'spec.permissions asks for more than role ' + {role} + ' has{told}'"),
        ),
    ]
}
