//! ActiveAssignment: gives a subject access without a request, within a window.
use super::{
    assignment::{AssignmentDisplay, AssignmentScope, Between, NameRef},
    schema,
};
use curfew_core::{
    assignment_request::Change,
    notice::assignment::Milestone,
    occurrences::Recurrence,
    principal::{Subject, UserInfo},
    target::{Empty, PermissionsByProvider},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The condition that says that admission was proven to be enforced when an assignment was created. It is recorded once, because the spans of
/// proven admission are not remembered for years.
pub const AUTHOR_PROVEN: &str = "AuthorProven";

/// Gives a subject the access of a role within a window, without a request.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "ActiveAssignment",
    plural = "activeassignments",
    shortname = "aas",
    category = "curfew",
    namespaced,
    status = "ActiveAssignmentStatus",
    derive = "PartialEq",
    selectable = ".spec.subject.group",
    selectable = ".spec.subject.user",
    doc = "Gives a subject the access of a role within a window, without a request: the operator requests it, one activation after the other. The AccessPolicy must set allow.activeAssignments: true, and the role assignment.active. Suspend or delete it to end the access at once. A role that comes to hold more at its target ends the access until the next activation, or until an edit of the assignment, its role, the policy or the system.",
    printcolumn(name = "Subject", type_ = "string", json_path = ".status.display.subject"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.roleRef.name"),
    printcolumn(name = "Ends", type_ = "string", json_path = ".status.display.ends"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.conditions[?(@.type==\"Active\")].status", priority = 1),
    printcolumn(name = "Author", type_ = "string", json_path = ".spec.author.username", priority = 1)
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": schema::STANDING_IS_FROZEN, "message": schema::FROZEN_MESSAGE},
    {"rule": "has(self.author)", "message": schema::NO_AUTHOR}
]))]
#[serde(rename_all = "camelCase")]
pub struct ActiveAssignmentSpec {
    /// The RoleTemplate, in the same namespace.
    pub role_ref: NameRef,
    /// Who has the access: a user, a group or a service account. User and group names that begin with `system:` are refused. A group needs a system that knows it, such as a Kubernetes cluster.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!(has(self.user) && self.user.startsWith('system:')) && !(has(self.group) && self.group.startsWith('system:'))", "message": "names that begin with system: are reserved for Kubernetes and cannot have standing access"}]))]
    pub subject: Subject,
    /// The AuthorizationSystem. Required if the role spans several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub system: Option<String>,
    /// Where the subject has the access: `all: {}` is the full scope of the role; an entry for a provider narrows it there. A provider without an entry is out of reach.
    pub scope: AssignmentScope,
    /// Which of the role's permissions the subject has, by provider, as the role names them. Default: all of them. With an entry for one provider, none at the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::NO_PERMISSION_PATTERNS, "message": schema::NO_PERMISSION_PATTERNS_MESSAGE}, {"rule": schema::FROZEN, "message": schema::FROZEN_MESSAGE}]))]
    pub permissions: Option<PermissionsByProvider>,
    /// When the subject has the access. `permanent: {}` must be allowed by both the template (`assignment.active.permanent`) and the policy (`allow.permanentEligibility`).
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::ENDS_EARLIER, "message": schema::FROZEN_MESSAGE}]))]
    pub window: StandingWindow,
    /// Why the subject has the access without a request.
    #[schemars(length(min = 1, max = 1024))]
    pub justification: String,
    /// `true` ends the access at once, until it is `false` again.
    #[serde(default)]
    pub suspend: bool,
    /// The identity of who created the assignment. Filled in by the API server; leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::FROZEN, "message": schema::FROZEN_MESSAGE}]))]
    pub author: Option<UserInfo>,
}

/// When standing access is there. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum StandingWindow {
    /// All of the time between two times.
    Between(Between),
    /// All of the time, without an end.
    Permanent(Empty),
    /// Occurrences that repeat, in UTC.
    Recurring(Recurring),
}

/// Occurrences that repeat within bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recurring {
    /// Within which time. An occurrence that reaches beyond it is cut there.
    pub bounds: Bounds,
    /// The days, times and length of the occurrences.
    #[serde(flatten)]
    pub recurrence: Recurrence,
}

/// The bounds of occurrences that repeat. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Bounds {
    /// Between two times.
    Between(Between),
    /// Without an end.
    Permanent(Empty),
}

/// What the operator has observed. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveAssignmentStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: role and policy allow the access; otherwise the message says what to change. `Active`: the access is there now. `Expired`: the window has passed. `AuthorProven`: who created it is proven.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The window, or the bounds of its occurrences, that an AssignmentRequest has given the assignment, in place of those in `spec`. As soon as these are edited, `spec` holds again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Of which events of its life people were told already, so that each is told once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub told: BTreeSet<Milestone>,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<AssignmentDisplay>,
}
