//! The answer at apply time: what a role's own rules refuse is refused before anything is stored, and at `--dry-run=server`.
//!
//! A convenience and no protection: the same rules stand in `core/terms.rs`, and what slips past here (a template that the API
//! server has not seen yet, a limit of the policy or the cluster) ends `Denied` there. So no template found means no answer.
use super::{match_constraints, validating};
use crate::api::{GROUP, VERSION};
use serde_json::{Value, json};

/// The policy whose parameters are the RoleTemplates of the request's namespace, and its binding.
pub fn policies() -> Vec<Value> {
    let asks = |expression: &str, message: &str, words: &str| json!({"expression": expression, "message": message, "messageExpression": words, "reason": "Invalid"});
    let mut all = validating(
        "curfew-answers",
        json!({
            "paramKind": {"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "RoleTemplate"},
            "matchConstraints": match_constraints(GROUP, VERSION, &["CREATE"], &["activationrequests"]),
            "matchConditions": [{"name": "this-role", "expression": "params != null && params.metadata.name == object.spec.roleRef.name"}],
            "validations": [
                asks("!params.spec.?suspend.orValue(false)",
                    "the role is suspended; ask whoever suspended it",
                    "'role ' + params.metadata.name + ' is suspended; ask whoever suspended it'"),
                asks("!has(object.spec.duration) || duration(object.spec.duration) <= duration(params.spec.activation.duration.max)",
                    "longer than the role allows; ask for less time",
                    "'asked for ' + object.spec.duration + ', but role ' + params.metadata.name + ' allows at most ' + params.spec.activation.duration.max"),
                asks("params.spec.activation.?justification.orValue('Required') != 'Required' || object.spec.?justification.orValue('').trim() != ''",
                    "the role asks for a justification; say why in spec.justification",
                    "'role ' + params.metadata.name + ' asks for a justification; say why in spec.justification'"),
                asks("!has(params.spec.activation.ticket.pattern) || (has(object.spec.ticket) && object.spec.ticket.number.matches(params.spec.activation.ticket.pattern))",
                    "the role asks for a ticket; name it in spec.ticket",
                    "'role ' + params.metadata.name + ' asks for a ticket whose number matches ' + params.spec.activation.ticket.pattern + '; name it in spec.ticket'"),
            ],
        }),
    );
    // Every template of the namespace; the match condition picks the one that was asked for.
    all[1]["spec"]["paramRef"] = json!({"selector": {}, "parameterNotFoundAction": "Allow"});
    all
}
