//! API Priority and Fairness: how much of the API server the objects of people may take, and what is kept for Curfew.
//!
//! Two priority levels with a FlowSchema each. The one for Curfew's own accounts is shared with nothing else, so that no flood of
//! other calls keeps a revocation waiting in a queue. The one for people limits how many writes of requests and decisions the API
//! server works on at a time: each evaluates admission policies, which takes more processor time than most writes. Within a level
//! each user is a flow of their own, so that one who creates thousands of objects waits for their own.
//!
//! Source: <https://kubernetes.io/docs/concepts/cluster-administration/flow-control/>.
use super::{NAMESPACE, OPERATOR, REVOKER, SWEEP};
use crate::api::GROUP;
use serde_json::{Value, json};

/// The priority level of Curfew's own accounts, and of its FlowSchema.
pub const OWN: &str = "curfew-operator";
/// The priority level of the requests and decisions of people, and of its FlowSchema.
pub const PEOPLE: &str = "curfew-people";

/// Shares of the API server's concurrency for Curfew's accounts: as many as Kubernetes suggests for its own controllers (`system`).
const OWN_SHARES: u32 = 30;
/// Shares for the writes of people. With the levels of Kubernetes and the default limit of 600 calls at a time that is three at a
/// time, some hundred objects per second; others wait in a queue.
const PEOPLE_SHARES: u32 = 1;

/// Returns the priority levels and their FlowSchemas.
pub fn objects() -> Vec<Value> {
    let own =
        [OPERATOR, REVOKER, SWEEP].map(|name| json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": NAMESPACE, "name": name}}));
    let everything = [json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true})];
    let writes = [json!({
        "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        "apiGroups": [GROUP], "resources": ["activationrequests", "assignmentrequests", "accessdecisions"], "namespaces": ["*"],
    })];
    let people = [json!({"kind": "Group", "group": {"name": "system:authenticated"}})];
    vec![
        level(OWN, &json!({"nominalConcurrencyShares": OWN_SHARES, "lendablePercent": 50})),
        // It borrows nothing: what other levels do not use is left to them.
        level(PEOPLE, &json!({"nominalConcurrencyShares": PEOPLE_SHARES, "lendablePercent": 0, "borrowingLimitPercent": 0})),
        schema(OWN, 1000, &own, &everything),
        schema(PEOPLE, 1100, &people, &writes),
    ]
}

/// A limited level that queues what it cannot serve at once.
fn level(name: &str, limited: &Value) -> Value {
    let mut limited = limited.clone();
    limited["limitResponse"] = json!({"type": "Queue", "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}});
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration", "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": limited},
    })
}

/// Sends these calls of these subjects to the level of the same name. A lower precedence is tried first; those of Kubernetes for its
/// own components are below 1000, those for all other callers above 9000.
fn schema(name: &str, precedence: u32, subjects: &[Value], rules: &[Value]) -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": name}, "matchingPrecedence": precedence, "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": subjects, "resourceRules": rules}],
        },
    })
}
