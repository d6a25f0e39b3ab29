//! AccessDecision: one immutable decision about a request or a Grant.
use super::{assignment::NameRef, schema};
use curfew_core::{approval::Verb, digest::Digest, duration::Duration, principal::UserInfo};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One person's immutable decision about a request or a Grant.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "AccessDecision",
    plural = "accessdecisions",
    shortname = "adec",
    category = "curfew",
    namespaced,
    status = "AccessDecisionStatus",
    derive = "PartialEq",
    selectable = ".spec.about.activationRequest.name",
    selectable = ".spec.about.assignmentRequest.name",
    doc = "One person's immutable decision: approve, deny or revoke a request, review one for break-glass, or abandon a Grant whose target no longer exists. An approval names the digest of what was reviewed, so it cannot count for anything else.",
    printcolumn(name = "About", type_ = "string", json_path = ".status.display.about"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.decider.username"),
    printcolumn(name = "Counted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Counted\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Counted\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a decision is immutable; to take back an approval, create another decision with Deny or Revoke"},
    {"rule": "has(self.decider)", "message": schema::NO_DECIDER},
    {"rule": "self.decision != 'Approve' || has(self.digest)", "message": "digest is required to Approve: kubectl get areq -o wide shows what you are approving", "fieldPath": ".digest"},
    {"rule": "self.decision != 'Abandon' || has(self.digest)", "message": "digest is required to Abandon: kubectl get grt NAME -o jsonpath={.spec.digest}", "fieldPath": ".digest"},
    {"rule": "self.decision == 'Abandon' ? has(self.about.grant) : true", "message": "Abandon is about a grant", "fieldPath": ".about"},
    {"rule": "self.decision != 'Review' || (has(self.comment) && self.comment.trim() != '')", "message": "a review needs a comment: say what you found", "fieldPath": ".comment"},
    {"rule": "!has(self.duration) || self.decision == 'Approve'", "message": "only an approval has a duration: it shortens the access", "fieldPath": ".duration"},
    {"rule": "!has(self.duration) || !has(self.about.assignmentRequest)", "message": "an AssignmentRequest is approved as it is; duration shortens an access", "fieldPath": ".duration"}
]))]
#[serde(rename_all = "camelCase")]
pub struct AccessDecisionSpec {
    /// The request or Grant that the decision is about. Exactly one member is set.
    pub about: About,
    /// The digest that you reviewed, from `kubectl get areq -o wide`. Required for `Approve`, and for `Abandon`, which takes the Grant's digest. `Deny` and `Revoke` count regardless of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `Approve` (an approver of a stage), `Deny` (an approver or a manager), `Revoke` (an approver, a manager, the requester or the beneficiary), `Abandon` (releases a Grant whose target no longer exists; needs the verb `abandon`), `Review` (a break-glass access is reviewed; an approver or a manager, and never the requester; needs a comment).
    pub decision: Verb,
    /// The longest duration of the access that you approve, such as `15m`. The access lasts for the shortest one of the approvals that count. Longer than what was asked for does not count. Only with `Approve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Why you decided so. Recorded in the audit log. The role may require it for approvals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,
    /// The identity of the decider. Filled in by the API server; leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<UserInfo>,
}

/// The object that a decision is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// An ActivationRequest in the same namespace.
    ActivationRequest(RequestRef),
    /// An AssignmentRequest in the same namespace.
    AssignmentRequest(RequestRef),
    /// A Grant. Only `Abandon` counts, and `Review` where its request was deleted.
    Grant(NameRef),
}

/// A reference to a request by name and, optionally, uid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRef {
    /// `metadata.name` of the request.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `metadata.uid` of the request. With it the decision does not count for another request of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub uid: Option<String>,
}

/// Whether the decision counted. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessDecisionStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Counted`: True, False with the reason, or Unknown while an earlier stage is pending.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<DecisionDisplay>,
}

/// Values for the columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionDisplay {
    /// Name of the request or Grant.
    #[schemars(length(max = 512))]
    pub about: String,
}
