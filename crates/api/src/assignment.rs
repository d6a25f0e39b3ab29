//! EligibleAssignment: makes a subject eligible to activate a role.
use super::schema;
#[cfg(feature = "simulated")]
use curfew_core::target::simulated;
use curfew_core::{
    assignment_request::{Change, Origin},
    notice::assignment::Milestone,
    principal::Subject,
    target::{Empty, PermissionsByProvider, ScopeByProvider, aws, kubernetes},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Makes a subject eligible to activate a role within a time window.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "EligibleAssignment",
    plural = "eligibleassignments",
    shortname = "eas",
    category = "curfew",
    namespaced,
    status = "EligibleAssignmentStatus",
    derive = "PartialEq",
    selectable = ".spec.subject.group",
    selectable = ".spec.subject.user",
    doc = "Makes a subject eligible to activate a role within a time window. It grants no access by itself: an ActivationRequest asks for access.",
    printcolumn(name = "Subject", type_ = "string", json_path = ".status.display.subject"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.roleRef.name"),
    printcolumn(name = "Ends", type_ = "string", json_path = ".status.display.ends"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Requested-By", type_ = "string", json_path = ".spec.requestedBy.name", priority = 1)
)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": schema::ORIGIN_STAYS, "message": schema::ORIGIN_STAYS_MESSAGE}]))]
#[serde(rename_all = "camelCase")]
pub struct EligibleAssignmentSpec {
    /// The RoleTemplate, in the same namespace.
    pub role_ref: NameRef,
    /// Who is eligible: a user, a group or a service account. User and group names that begin with `system:` are refused.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!(has(self.user) && self.user.startsWith('system:')) && !(has(self.group) && self.group.startsWith('system:'))", "message": "names that begin with system: are reserved for Kubernetes and cannot be made eligible"}]))]
    pub subject: Subject,
    /// Where the role may be activated: `all: {}` is the full scope of the role; an entry for a provider narrows it there. A provider without an entry is out of reach.
    pub scope: AssignmentScope,
    /// Which of the role's permissions may be activated, by provider, as the role names them. Default: all of them. With an entry for one provider, nothing may be activated at the others. A request that names no permissions gets exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::NO_PERMISSION_PATTERNS, "message": schema::NO_PERMISSION_PATTERNS_MESSAGE}]))]
    pub permissions: Option<PermissionsByProvider>,
    /// When the subject is eligible. `permanent: {}` must be allowed by both the template and the policy.
    pub window: Window,
    /// Whether a service account may request access for itself, or a GitOps agent for a person. Default: `Forbidden`. `Allowed` requires `allow.delegated: true` in the policy, and then two people must approve each request.
    #[serde(default)]
    pub delegation: Delegation,
    /// Why the subject is eligible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub justification: Option<String>,
    /// `true` stops new grants and ends active access that no other assignment allows.
    #[serde(default)]
    pub suspend: bool,
    /// The AssignmentRequest that has asked for this assignment. Set by the operator alone, which has created it; take it out to keep the assignment without the request. It makes eligible only as long as that request exists and its approvals of exactly this subject, role, window, scope and permissions count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<Origin>,
}

/// A reference by name to an object in the same namespace, or to a cluster-scoped object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NameRef {
    /// `metadata.name` of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The scope of an assignment: `all: {}` alone for the full scope of the role, or one entry for each provider. A provider that is left out is out of reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "x-kubernetes-validations" = [{"rule": "!has(self.all) || !(has(self.kubernetes) || has(self.aws))", "message": "write all: {} alone, or one entry for each provider"}]))]
#[serde(rename_all = "camelCase")]
pub struct AssignmentScope {
    /// The full scope of the role. It stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Empty>,
    /// A narrower scope in a Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<kubernetes::Scope>,
    /// A narrower scope in an AWS account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<aws::Scope>,
    /// Only this in a simulated directory, for tests only.
    #[cfg(feature = "simulated")]
    #[schemars(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<simulated::Scope>,
}

impl AssignmentScope {
    /// The narrower scope; `None` if it is as wide as the role. One with both, which the API server refuses, is the narrower one.
    pub fn narrowed(&self) -> Option<ScopeByProvider> {
        let scope = ScopeByProvider {
            kubernetes: self.kubernetes.clone(),
            aws: self.aws.clone(),
            #[cfg(feature = "simulated")]
            simulated: self.simulated.clone(),
        };
        (self.all.is_none() || scope != ScopeByProvider::default()).then_some(scope)
    }
}

/// When an assignment applies. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Window {
    /// Between two times.
    Between(Between),
    /// Without an end.
    Permanent(Empty),
}

/// A window between two times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.start < self.end", "message": "start must be before end"},
    {"rule": "self.end - self.start >= duration('5m') || self.start >= self.end", "message": "an assignment lasts at least 5m"},
]))]
pub struct Between {
    /// Start of the window, in UTC.
    pub start: Time,
    /// End of the window, in UTC.
    pub end: Time,
}

/// Whether an identity other than the beneficiary may create requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delegation {
    /// Only the beneficiary may.
    #[default]
    Forbidden,
    /// A service account or a GitOps agent may, too.
    Allowed,
}

/// What the operator has observed. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EligibleAssignmentStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the subject is eligible; otherwise the message says what to change. `Expired`: the window has passed.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The window that an AssignmentRequest has given the assignment, in place of the one in `spec`. As soon as that is edited, `spec` holds again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Of which events of its life people were told already, so that each is told once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub told: BTreeSet<Milestone>,
    /// How many removals of other assignments have rested on this one: the last holder of a role is not removed, and this one was the holder that was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relied_on: Option<i64>,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<AssignmentDisplay>,
}

/// Values for the columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentDisplay {
    /// The subject as text, such as `group payments-devs`.
    #[schemars(length(max = 1024))]
    pub subject: String,
    /// The end of the window, as text.
    #[schemars(length(max = 64))]
    pub ends: String,
}
