//! EligibleAssignment: this subject may activate that role.
use super::schema;
#[cfg(feature = "simulated")]
use curfew_core::target::simulated;
use curfew_core::{
    principal::Subject,
    target::{Empty, Scope, kubernetes},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// This subject may activate that role, in this window.
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
    doc = "This subject may activate that role, in this window. It is no access yet: an ActivationRequest asks for it.",
    printcolumn(name = "Subject", type_ = "string", json_path = ".status.display.subject"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.roleRef.name"),
    printcolumn(name = "Ends", type_ = "string", json_path = ".status.display.ends"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct EligibleAssignmentSpec {
    /// The RoleTemplate in this namespace.
    pub role_ref: NameRef,
    /// Who may: a user, a group or a service account. Kubernetes' own names (`system:`) are refused.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!(has(self.user) && self.user.startsWith('system:')) && !(has(self.group) && self.group.startsWith('system:'))", "message": "names that begin with system: are Kubernetes' own and cannot be made eligible"}]))]
    pub subject: Subject,
    /// How far: `all: {}` alone is as wide as the role.
    pub scope: AssignmentScope,
    /// When: `permanent: {}` needs template and policy to allow it.
    pub window: Window,
    /// Whether a service account may ask for itself or a GitOps agent for a person. Default: `Forbidden`. `Allowed` needs the policy's `allow.delegated`, and then two people must approve.
    #[serde(default)]
    pub delegation: Delegation,
    /// Why they are eligible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub justification: Option<String>,
    /// `true` stops new grants and ends what is active under it alone.
    #[serde(default)]
    pub suspend: bool,
}

/// An object of this namespace by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NameRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How far an assignment reaches: as wide as the role, or narrower by provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum AssignmentScope {
    /// As wide as the role.
    All(Empty),
    /// Only this in a Kubernetes cluster.
    Kubernetes(kubernetes::Scope),
    /// Only this in a simulated directory, for tests only.
    #[cfg(feature = "simulated")]
    #[schemars(skip)]
    Simulated(simulated::Scope),
}

impl AssignmentScope {
    /// The narrower scope; `None` if it is as wide as the role.
    pub fn narrowed(&self) -> Option<Scope> {
        match self {
            AssignmentScope::All(_) => None,
            AssignmentScope::Kubernetes(scope) => Some(Scope::Kubernetes(scope.clone())),
            #[cfg(feature = "simulated")]
            AssignmentScope::Simulated(scope) => Some(Scope::Simulated(scope.clone())),
        }
    }
}

/// When an assignment holds: exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Window {
    /// From here to there.
    Between(Between),
    /// Without end.
    Permanent(Empty),
}

/// From here to there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self.start < self.end", "message": "start must be before end"}]))]
pub struct Between {
    /// From when, in UTC.
    pub start: Time,
    /// Until when, in UTC.
    pub end: Time,
}

/// Whether somebody else than the person may ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delegation {
    /// Only the person.
    #[default]
    Forbidden,
    /// Also a service account or a GitOps agent.
    Allowed,
}

/// What Curfew has found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EligibleAssignmentStatus {
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: it makes somebody eligible; if not, the message says what to change.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// For the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<AssignmentDisplay>,
}

/// For the columns of kubectl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentDisplay {
    /// The subject in words.
    #[schemars(length(max = 512))]
    pub subject: String,
    /// When it ends.
    #[schemars(length(max = 64))]
    pub ends: String,
}
