//! Grant: ledger and outbox. Written by the operator alone.
use super::{schema, system::Provider};
use curfew_core::{
    digest::Digest,
    principal::Subject,
    resolved::SystemRef,
    target::{Plan, Principal},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is written where, until when, for whom.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "Grant",
    plural = "grants",
    shortname = "grt",
    category = "curfew",
    status = "GrantStatus",
    derive = "PartialEq",
    doc = "What is written where, until when, for whom, how to reach it, and what the target showed. Written by the operator alone; it needs nothing else to end.",
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system.name"),
    printcolumn(name = "Principal", type_ = "string", json_path = ".status.display.principal"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Enforced-By", type_ = "string", json_path = ".status.enforcedBy"),
    printcolumn(name = "Request", type_ = "string", json_path = ".spec.request.name")
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.system == oldSelf.system && self.request == oldSelf.request && self.principal == oldSelf.principal && has(self.schema) == has(oldSelf.schema) && (!has(self.schema) || self.schema == oldSelf.schema) && self.plan == oldSelf.plan && self.digest == oldSelf.digest", "message": "a Grant is frozen, except that expiresAt may move earlier"},
    {"rule": "self.expiresAt <= oldSelf.expiresAt", "message": "expiresAt may only move earlier", "fieldPath": ".expiresAt"}
]))]
#[serde(rename_all = "camelCase")]
pub struct GrantSpec {
    /// The form of this spec. A build that meets a higher number than its own only revokes the Grant when it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// How to reach the target, and what it really is. No secrets.
    pub system: GrantSystem,
    /// The request behind it.
    pub request: GrantRequest,
    /// Who holds the access at the target.
    pub principal: Principal,
    /// What is written there.
    pub plan: Plan,
    /// The digest that was approved.
    pub digest: Digest,
    /// When it ends. May only move earlier.
    pub expires_at: Time,
}

/// How to reach the target, and what it really is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantSystem {
    /// The AuthorizationSystem, its uid and the target's own word for itself.
    #[serde(flatten)]
    pub reference: SystemRef,
    /// How to reach it, as it was when the Grant was made.
    pub connection: Provider,
}

/// The request behind a Grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantRequest {
    /// Its namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its uid.
    #[schemars(length(max = 128))]
    pub uid: String,
    /// Who asked.
    #[schemars(length(max = 1024))]
    pub requester: String,
    /// For whom.
    pub beneficiary: Subject,
    /// What the requester's login carried under the alias keys, so that no second login of theirs releases it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub aliases: Vec<String>,
}

/// Where a Grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GrantState {
    /// The intent is stored; the target may or may not have been written.
    Granting,
    /// The target has shown the access.
    Active,
    /// It is being taken away; unknown counts as present.
    Revoking,
    /// The target has shown that nothing is left.
    Ended,
    /// Released by a person because the target is gone for good.
    Abandoned,
}

/// What the target showed. Written by the operator alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantStatus {
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands. Absent means `Granting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<GrantState>,
    /// `Active`, `Revoked`, `Drifted`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What was standing there before the first write. Bindings carry the Grant's own name, so nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// What was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2048), extend("x-kubernetes-list-type" = "atomic"))]
    pub artifacts: Vec<Artifact>,
    /// A write that may still be under way, where the target offers no reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// An operation that the target has accepted and works on. Any replica follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// When the target accepted the last removal, where its reads lag behind its writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Time>,
    /// What the columns show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<GrantDisplay>,
    /// `Target` if the target ends the access by itself, `Curfew` if the operator must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub enforced_by: Option<String>,
    /// When the target first showed the access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// When the target last showed what it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// When the target had shown that nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// How often a revocation was tried in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_error: Option<String>,
}

/// What was standing before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Before {
    /// Slots of the plan, by index, that were filled before. They are never written and never removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub standing: Vec<u8>,
}

/// A long-running operation of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The target's name for it.
    #[schemars(length(max = 1024))]
    pub id: String,
    /// What it does.
    pub kind: OperationKind,
    /// When the target is asked about it.
    pub poll_at: Time,
}

/// What a long-running operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperationKind {
    /// It creates the access.
    Apply,
    /// It removes the access.
    Revoke,
}

/// What the columns show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantDisplay {
    /// Who holds the access, in the target's terms.
    #[schemars(length(max = 1024))]
    pub principal: String,
}

/// One thing that was written into a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// RoleBinding, ClusterRoleBinding, or the Job that ends a RoleBinding if nobody else does.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Its name, with the namespace before it where it has one.
    #[schemars(length(max = 512))]
    pub id: String,
    /// Its uid.
    #[schemars(length(max = 128))]
    pub uid: String,
}

/// A write that may still be under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InFlight {
    /// Which replica sends it.
    #[schemars(length(max = 253))]
    pub holder: String,
    /// Nothing is sent after this.
    pub until: Time,
}
