//! Grant: the record of one access, stored before the first write to the target. Written only by the operator.
use super::{schema, system::Provider};
use curfew_core::{
    digest::Digest,
    fingerprint::Fingerprint,
    principal::{Subject, UserInfo},
    resolved::{Extended, SystemRef},
    target::{Plan, Principal},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record of one access: what is written to which target, for whom and until when.
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
    doc = "The record of one access: what is written to which target, for whom, until when, how to reach the target, and what was observed there. Written only by the operator. It contains everything that is needed to revoke the access.",
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system.name"),
    printcolumn(name = "Principal", type_ = "string", json_path = ".status.display.principal"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Enforced-By", type_ = "string", json_path = ".status.enforcedBy"),
    printcolumn(name = "Request", type_ = "string", json_path = ".spec.request.name")
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.system == oldSelf.system && self.request == oldSelf.request && self.principal == oldSelf.principal && has(self.schema) == has(oldSelf.schema) && (!has(self.schema) || self.schema == oldSelf.schema) && self.plan == oldSelf.plan && self.digest == oldSelf.digest && has(self.review) == has(oldSelf.review) && (!has(self.review) || self.review == oldSelf.review)", "message": "a Grant is frozen, except that expiresAt may move earlier"},
    {"rule": "self.expiresAt <= oldSelf.expiresAt", "message": "expiresAt may only move earlier", "fieldPath": ".expiresAt"}
]))]
#[serde(rename_all = "camelCase")]
pub struct GrantSpec {
    /// The form of this spec. A build that meets a higher number than its own only revokes the Grant when it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The target and how to reach it. Contains no credentials.
    pub system: GrantSystem,
    /// The request that this Grant was created for.
    pub request: GrantRequest,
    /// The principal that holds the access at the target.
    pub principal: Principal,
    /// What is written to the target.
    pub plan: Plan,
    /// The digest that the approvals name.
    pub digest: Digest,
    /// When the access ends. May only move earlier.
    pub expires_at: Time,
    /// Of a break-glass access: what a review needs once the request is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<GrantReview>,
}

/// What a review of a break-glass access needs once its request is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantReview {
    /// The login of the requester, without its groups: none of this person's logins can review.
    pub requester: UserInfo,
    /// Who can review, beside managers: the approvers of all stages that were frozen for the request.
    #[schemars(length(max = 512), extend("x-kubernetes-list-type" = "atomic"))]
    pub reviewers: Vec<Subject>,
}

impl GrantSpec {
    /// Where the slots of its plan are counted.
    pub fn slot_domain(&self) -> &str {
        self.plan.slot_domain(&self.system.reference.target)
    }
}

/// The target of a Grant and how to reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantSystem {
    /// The AuthorizationSystem, its uid and the identity that the target reports for itself.
    #[serde(flatten)]
    pub reference: SystemRef,
    /// The connection to the target, copied when the Grant was created.
    pub connection: Provider,
    /// The address, CA and keys of the target when the Grant was created. What shows others proves no absence, unless the AuthorizationSystem has recorded or accepted them since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// The request that a Grant was created for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantRequest {
    /// Namespace of the ActivationRequest.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// `metadata.name` of the ActivationRequest.
    #[schemars(length(max = 253))]
    pub name: String,
    /// `metadata.uid` of the ActivationRequest.
    #[schemars(length(max = 128))]
    pub uid: String,
    /// User name of the requester.
    #[schemars(length(max = 1024))]
    pub requester: String,
    /// The subject that receives the access.
    pub beneficiary: Subject,
    /// The RoleTemplate, in the same namespace. Grants of older builds do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub role: Option<String>,
    /// The request that it extends, if it extends one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<Extended>,
    /// The values of the requester's login under the alias keys, so that another login of the requester cannot abandon the Grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub aliases: Vec<String>,
    /// The uid of the requester's login, where CurfewConfig says that one uid is one person: another login with it is the same person.
    #[serde(default, rename = "requesterUid", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub requester_uid: Option<String>,
}

/// The life cycle state of a Grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GrantState {
    /// The intent is stored; the target may or may not have been written to.
    Granting,
    /// The access was observed at the target.
    Active,
    /// The access is being removed. While its presence is unknown it counts as present.
    Revoking,
    /// It was observed that nothing of the access remains at the target.
    Ended,
    /// Released by a person because the target no longer exists. The removal is not proven.
    Abandoned,
    /// A state of a newer build. What it means is unknown here, so it counts as present.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unknown,
}

/// What was observed at the target. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The life cycle state. Absent means `Granting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<GrantState>,
    /// `Active`, `Revoked`, `Drifted`, `Outgrown`, `Refused`; `Partial` while part of the access is not there, `Revocable` once the
    /// operator has lacked a right at the target that it needs to revoke, and `Effective` once the target has said that something denies the
    /// access.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What existed at the target before the first write. Nothing for Kubernetes, where the bindings are named after the Grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// The objects that were written to the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2048), extend("x-kubernetes-list-type" = "atomic"))]
    pub artifacts: Vec<Artifact>,
    /// Parts of the plan, by index, that are kept without access: their role does not exist. They get their access back when it exists again with no more than what was approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub withheld: Vec<u8>,
    /// Namespaces of the plan that no longer exist. What was written there is gone with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub gone: Vec<String>,
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
    /// `Target` if the target ends the access by itself, `Curfew` if only the operator and the sweep do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub enforced_by: Option<String>,
    /// When the access was first observed at the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Time>,
    /// When the access was last observed exactly as planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// When it was observed that nothing of the access remains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// How many revocation attempts have failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_error: Option<String>,
}

/// What existed at the target before the first write.
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
    /// What a newer build has started.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unknown,
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
    /// RoleBinding, ClusterRoleBinding, or Job (the fuse that ends a RoleBinding while no operator runs).
    #[schemars(length(max = 63))]
    pub kind: String,
    /// `namespace/name` of the object, or `name` if it is cluster-scoped.
    #[schemars(length(max = 512))]
    pub id: String,
    /// `metadata.uid` of the object.
    #[schemars(length(max = 128))]
    pub uid: String,
}

/// A write that may still be in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InFlight {
    /// The replica that sends the write.
    #[schemars(length(max = 253))]
    pub holder: String,
    /// The replica sends nothing after this time.
    pub until: Time,
}
