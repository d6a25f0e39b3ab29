//! AccessPolicy: what a namespace may hand out.
use super::schema;
use curfew_core::{
    duration::{Duration, Period},
    principal::{ServiceAccount, Subject},
    target::{Empty, PermissionsByProvider, ScopeByProvider},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a namespace may hand out.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "AccessPolicy",
    plural = "accesspolicies",
    shortname = "apol",
    category = "curfew",
    status = "AccessPolicyStatus",
    derive = "PartialEq",
    doc = "What a namespace may hand out, like a LimitRange: systems, permissions and scopes, who may be made eligible, ceilings and floors. Nothing may be handed out without one. Where several cover a namespace they are tried in name order, each as a whole.",
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".status.display.namespaces"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Templates", type_ = "integer", json_path = ".status.templates"),
    printcolumn(name = "Below-Floor", type_ = "integer", json_path = ".status.belowFloor")
)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicySpec {
    /// The namespaces whose teams it covers.
    pub namespaces: NamespaceNames,
    /// The systems that may be reached.
    pub systems: SystemsRef,
    /// The roles that may be handed out, by provider: exact names, or `*` as a whole last segment (`payments:*`).
    pub permissions: PermissionsByProvider,
    /// How far, by provider. A provider that is left out is out of reach.
    pub scope: ScopeByProvider,
    /// Who may be made eligible. An assignment's subject must stand here, literally.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = [{"rule": schema::NO_SYSTEM_SUBJECTS, "message": "names that begin with system: are Kubernetes' own and cannot be made eligible"}]))]
    pub eligible: Vec<Subject>,
    /// Ceilings.
    pub max: PolicyMax,
    /// Floors.
    pub min: PolicyMin,
    /// What is not allowed unless it says `true` here.
    #[serde(default)]
    pub allow: Allow,
    /// Who may ask on behalf of whom. Not built yet: a policy with it is `Unsupported`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub requestor_admins: Vec<RequestorAdmin>,
    /// `true` stops new grants and ends what is active under this policy alone.
    #[serde(default)]
    pub suspend: bool,
}

/// Namespaces, by name: whoever labels a namespace would join otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceNames {
    /// The names.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub names: Vec<String>,
}

/// Systems, by name or by label: exactly one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum SystemsRef {
    /// These AuthorizationSystems.
    Names(#[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))] Vec<String>),
    /// Those that carry these labels.
    Selector(LabelSelector),
}

/// Objects by label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Every one of these labels, with this value.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
}

/// Ceilings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyMax {
    /// The longest that an access may last, such as `8h`.
    pub duration: Duration,
    /// The longest that a window of eligibility may be, such as `365d`.
    pub eligibility: Period,
}

/// Floors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyMin {
    /// Who must approve at least; `none: {}` allows unapproved activation.
    pub approval: ApprovalFloor,
    /// Whether a justification must be given.
    pub justification: bool,
    /// How fresh MFA must be, or `none: {}`. Anything else is `Unsupported` in this build.
    pub mfa: MfaRule,
    /// Whether a ticket must be named, or `none: {}`. Anything else is `Unsupported` in this build.
    pub ticket: TicketFloor,
}

/// Who must approve at least.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum ApprovalFloor {
    /// Nobody needs to.
    None(Empty),
    /// Some stage of the template must be at least this strict.
    AtLeast(AtLeast),
}

/// A quorum out of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtLeast {
    /// How many distinct people at least.
    #[schemars(range(min = 1, max = 16))]
    pub quorum: u8,
    /// Every approver of that stage must stand here, literally.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = [{"rule": schema::NO_SYSTEM_SUBJECTS, "message": "names that begin with system: are Kubernetes' own and cannot approve"}]))]
    pub from: Vec<Subject>,
}

/// How fresh MFA must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum MfaRule {
    /// Not asked for.
    None(Empty),
    /// Not older than this, such as `15m`. `Unsupported` in this build.
    MaxAge(Duration),
}

/// Whether a ticket must be named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum TicketFloor {
    /// Not asked for.
    None(Empty),
    /// Asked for. `Unsupported` in this build.
    Required(Empty),
}

/// What is not allowed unless it says `true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Allow {
    /// Eligibility without end.
    pub permanent_eligibility: bool,
    /// Standing access without activation. Nothing in this build can use it.
    pub active_assignments: bool,
    /// Access before approval, in an emergency. Nothing in this build can use it.
    pub break_glass: bool,
    /// Assignments that let a service account ask for itself, or a GitOps agent for a person (`delegation: Allowed`).
    pub delegated: bool,
    /// Roles that let their holder make access which outlives the grant: tokens, bindings, certificate approval, impersonation; and any reach
    /// that includes kube-system or the operator's namespace, cluster-wide included, from where its holder could become the operator.
    pub persistence: bool,
}

/// Who may ask on behalf of whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestorAdmin {
    /// Who asks.
    pub subject: Subject,
    /// For these.
    #[serde(rename = "for")]
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub for_: Vec<Beneficiary>,
}

/// Whom access can be asked for: a user or a service account, never a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Beneficiary {
    /// A user by name.
    User(#[schemars(length(min = 1, max = 253))] String),
    /// A service account.
    ServiceAccount(ServiceAccount),
}

/// What Curfew has found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicyStatus {
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How many templates it allows.
    #[serde(default)]
    pub templates: i32,
    /// How many templates of its namespaces are weaker than its floor.
    #[serde(default)]
    pub below_floor: i32,
    /// For the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<PolicyDisplay>,
}

/// For the columns of kubectl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyDisplay {
    /// The namespaces in one line.
    #[schemars(length(max = 1024))]
    pub namespaces: String,
}

impl From<Beneficiary> for Subject {
    fn from(b: Beneficiary) -> Self {
        match b {
            Beneficiary::User(n) => Subject::User(n),
            Beneficiary::ServiceAccount(a) => Subject::ServiceAccount(a),
        }
    }
}
