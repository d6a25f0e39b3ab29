//! A warning when a request that has ended is applied again, such as a file of yesterday: nothing follows from that.
//!
//! The API server answers an apply that changes nothing without a write, so no watch shows it. An admission policy sees it all the
//! same, and its warning reaches the person or the tool that applies. `kubectl apply` without `--server-side` compares by itself and
//! sends nothing at all where nothing differs.
use super::{is_controller, is_operator, match_constraints, validating};
use crate::api::{GROUP, VERSION, request::RequestState};
use curfew_core::reason::TerminalState;
use serde_json::{Value, json};

/// Returns the policy, which warns and never refuses, and its binding.
pub fn policies() -> Vec<Value> {
    let ended = TerminalState::ALL.map(|state| format!("'{:?}'", RequestState::from(state))).join(", ");
    let state = "oldObject.?status.?state.orValue('')";
    let mut all = validating(
        "curfew-finished",
        json!({
            "matchConstraints": match_constraints(GROUP, VERSION, &["UPDATE"], &["activationrequests"]),
            "matchConditions": [
                {"name": "has-ended", "expression": format!("{state} in [{ended}]")},
                {"name": "by-people", "expression": format!("!({}) && !({})", is_operator(), is_controller(&["namespace-controller", "generic-garbage-collector"]))},
            ],
            "validations": [{
                "expression": "false",
                "message": "the request has ended and grants nothing any more; create a new request with another name",
                "messageExpression": format!("'request ' + object.metadata.name + ' has ended as ' + {state} + ' and grants nothing any more; create a new request with another name'"),
                "reason": "Invalid",
            }],
        }),
    );
    all[0]["spec"]["failurePolicy"] = json!("Ignore");
    all[1]["spec"]["validationActions"] = json!(["Warn"]);
    all
}
