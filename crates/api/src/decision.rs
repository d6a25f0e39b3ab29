//! AccessDecision: one immutable act about one thing.
use super::{assignment::NameRef, schema};
use curfew_core::{approval::Verb, digest::Digest, principal::UserInfo};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One person's act about one thing.
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
    doc = "One person's act about one thing, immutable: approve, deny, revoke, or abandon a Grant whose target is gone for good. An approval names the digest of what was seen, so it can count for nothing else.",
    printcolumn(name = "About", type_ = "string", json_path = ".status.display.about"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.decider.username"),
    printcolumn(name = "Counted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Counted\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Counted\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a decision is immutable; to take back an approval, create another decision with Deny or Revoke"},
    {"rule": "has(self.decider)", "message": "decider is filled in by the server; this server cannot (Kubernetes before 1.36): use kubectl curfew approve, deny or revoke"},
    {"rule": "self.decision != 'Approve' || has(self.digest)", "message": "digest is required to Approve: kubectl get areq -o wide shows what you are approving", "fieldPath": ".digest"},
    {"rule": "self.decision != 'Abandon' || has(self.digest)", "message": "digest is required to Abandon: kubectl get grt NAME -o jsonpath={.spec.digest}", "fieldPath": ".digest"},
    {"rule": "self.decision == 'Abandon' ? has(self.about.grant) : true", "message": "Abandon is about a grant", "fieldPath": ".about"}
]))]
#[serde(rename_all = "camelCase")]
pub struct AccessDecisionSpec {
    /// What it is about: exactly one thing.
    pub about: About,
    /// What you saw, from `kubectl get areq -o wide`. Required to Approve, and to Abandon (the Grant's own); a Deny or Revoke counts whatever it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `Approve` (an approver of a stage), `Deny` (an approver or manager), `Revoke` (these, the requester or the beneficiary), `Abandon` (a Grant whose target is gone for good).
    pub decision: Verb,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,
    /// Who decides. Filled in by the API server; leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<UserInfo>,
}

/// What a decision is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// A request of this namespace.
    ActivationRequest(RequestRef),
    /// A Grant, to release it: `Abandon` alone counts.
    Grant(NameRef),
}

/// A request by name, and by uid if you like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestRef {
    /// The request's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its uid: then the decision counts for no other request of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub uid: Option<String>,
}

/// What became of it. Written by the operator alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessDecisionStatus {
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Counted`: True, False with the reason, or Unknown while its stage is not open yet.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// For the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<DecisionDisplay>,
}

/// For the columns of kubectl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionDisplay {
    /// What it is about, in one word.
    #[schemars(length(max = 512))]
    pub about: String,
}
