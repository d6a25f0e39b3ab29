//! AccessPolicy: what the teams of a namespace may hand out.
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

/// What the teams of a namespace may hand out: systems, permissions, scopes, subjects and limits.
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
    doc = "What the teams of a namespace may hand out, like a LimitRange: systems, permissions and scopes, who may be made eligible, maximum and minimum requirements. Without a policy nothing may be handed out. If several policies cover a namespace they are tried in name order; one of them must allow everything.",
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".status.display.namespaces"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Templates", type_ = "integer", json_path = ".status.templates"),
    printcolumn(name = "Below-Floor", type_ = "integer", json_path = ".status.belowFloor"),
    printcolumn(name = "Limits", type_ = "string", json_path = ".status.display.limits", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicySpec {
    /// The namespaces that the policy covers.
    pub namespaces: NamespaceNames,
    /// The AuthorizationSystems in which access may be granted.
    pub systems: SystemsRef,
    /// The roles that may be handed out, by provider: exact names, or `*` as a whole last segment (`payments:*`).
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::PATTERNS, "message": schema::PATTERNS_MESSAGE}]))]
    pub permissions: PermissionsByProvider,
    /// The widest scope, by provider. Nothing may be granted at a provider that is omitted.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::SCOPE_WITHOUT_PATTERNS, "message": "name each namespace in full, or write clusterWide: {}"}]))]
    pub scope: ScopeByProvider,
    /// Who may be made eligible. The subject of an assignment must be listed here literally.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = [{"rule": schema::NO_SYSTEM_SUBJECTS, "message": "names that begin with system: are reserved for Kubernetes and cannot be made eligible"}]))]
    pub eligible: Vec<Subject>,
    /// Maximum durations.
    pub max: PolicyMax,
    /// Minimum requirements that every template must meet.
    pub min: PolicyMin,
    /// How many requests that this policy allows may be active at a time, for all roles together. Default: no limit; the column LIMITS shows which is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Exceptions. Each is forbidden unless it is `true` here.
    #[serde(default)]
    pub allow: Allow,
    /// Which people may request access for whom. The beneficiary must be eligible by an assignment that names them literally, and neither of the two may approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub requestor_admins: Vec<RequestorAdmin>,
    /// `true` stops new grants and ends active access that no other policy allows.
    #[serde(default)]
    pub suspend: bool,
}

/// Namespaces by name. There is no label selector, because anyone who may label a namespace could add it to the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceNames {
    /// Namespace names.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = [{"rule": schema::NO_PATTERNS, "message": "name each namespace in full"}]))]
    pub names: Vec<String>,
}

/// AuthorizationSystems by name or by label. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum SystemsRef {
    /// Names of AuthorizationSystems.
    Names(
        #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = [{"rule": schema::NO_PATTERNS, "message": "name each system in full, or select systems by label"}]))]
         Vec<String>,
    ),
    /// The AuthorizationSystems with these labels.
    Selector(LabelSelector),
}

/// Selects objects by label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// All of these labels must be present with these values.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub match_labels: BTreeMap<String, String>,
}

/// Maximum durations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyMax {
    /// The longest duration of an access, such as `8h`.
    pub duration: Duration,
    /// The longest window of an EligibleAssignment or ActiveAssignment, such as `365d`.
    pub eligibility: Period,
}

/// Minimum requirements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyMin {
    /// The weakest approval that a template may require; `none: {}` allows activation without approval.
    pub approval: ApprovalFloor,
    /// Whether a template must require a justification.
    pub justification: bool,
    /// The greatest age of MFA that a template may allow, or `none: {}`. A template that asks for older MFA, or for none, is `BelowFloor`.
    pub mfa: MfaRule,
    /// Whether every request must name a ticket, or `none: {}`. A template need not ask for one: the stricter of both holds.
    pub ticket: TicketFloor,
}

/// The weakest approval that a template may require. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum ApprovalFloor {
    /// No approval is required.
    None(Empty),
    /// Some stage of the template must be at least this strict.
    AtLeast(AtLeast),
}

/// The minimum quorum and the subjects it may come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtLeast {
    /// The least number of distinct people.
    #[schemars(range(min = 1, max = 16))]
    pub quorum: u8,
    /// The permitted approvers. Every approver of that stage must be listed here literally.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = [{"rule": schema::NO_SYSTEM_SUBJECTS, "message": "names that begin with system: are reserved for Kubernetes and cannot approve"}]))]
    pub from: Vec<Subject>,
}

/// The greatest age of MFA. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum MfaRule {
    /// MFA is not required.
    None(Empty),
    /// MFA must not be older than this when the request is created, such as `15m`.
    MaxAge(Duration),
}

/// Whether a ticket is required. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum TicketFloor {
    /// A ticket is not required.
    None(Empty),
    /// Every request must name a ticket, also where the template asks for none.
    Required(Empty),
}

/// How many requests may be active at a time. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Limits {
    /// No limit.
    None(Empty),
    /// Maximum numbers. A request counts from its approval to its end, also while it is scheduled. One that is approved when the maximum is reached ends as `Denied (LimitReached)`. A lower maximum ends nothing that is active.
    AtMost(AtMost),
}

/// Maximum numbers of active requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AtMost {
    /// Active requests for this role, or by this policy.
    #[schemars(range(min = 1, max = 10000))]
    pub active: u16,
    /// Those of them with one beneficiary.
    #[schemars(range(min = 1, max = 10000))]
    pub per_subject: u16,
}

/// Exceptions that are forbidden unless they are `true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Allow {
    /// Assignments with `window.permanent`.
    pub permanent_eligibility: bool,
    /// Standing access without activation (ActiveAssignment), for the subjects in `eligible`, as long as `max.eligibility` allows. `max.duration` and `min.approval` do not bind it.
    pub active_assignments: bool,
    /// Whether roles may allow break-glass: access that waits for no approval, and is reviewed afterwards.
    pub break_glass: bool,
    /// Assignments with `delegation: Allowed`: a service account may request access for itself, or a GitOps agent for a person.
    pub delegated: bool,
    /// Roles that let their holder create access that outlives the grant (Curfew's own kinds, tokens, bindings, certificates,
    /// impersonation, Pods and workloads, objects that a controller applies), and any scope, cluster-wide ones included, that contains
    /// kube-system or the operator's namespace, where the holder could become the operator.
    pub persistence: bool,
}

/// Who may request access for whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestorAdmin {
    /// The user or group that may create the requests. A service account requests for others by `delegation` of an assignment instead.
    #[schemars(extend("x-kubernetes-validations" = [
        {"rule": "!(has(self.user) && self.user.startsWith('system:')) && !(has(self.group) && self.group.startsWith('system:'))", "message": "names that begin with system: are reserved for Kubernetes and cannot be requestor admins"},
        {"rule": "!has(self.serviceAccount)", "message": "requestor admins are people: a service account requests for others where an EligibleAssignment sets delegation: Allowed, with two approvers and notAfter"}
    ]))]
    pub subject: Subject,
    /// The users and service accounts for whom the subject may request access, each by name. Groups and patterns cannot be listed.
    #[serde(rename = "for")]
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = [{"rule": schema::NO_SYSTEM_BENEFICIARIES, "message": "names that begin with system: are reserved for Kubernetes; name a service account in serviceAccount"}]))]
    pub for_: Vec<Beneficiary>,
}

/// Whom access can be requested for: a user or a service account, never a group. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Beneficiary {
    /// A user name, as the API server authenticates it.
    User(#[schemars(length(min = 1, max = 253))] String),
    /// A service account.
    ServiceAccount(ServiceAccount),
}

/// What the operator has observed. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicyStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the policy is in effect; otherwise the message says what to change.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How many templates the policy allows.
    #[serde(default)]
    pub templates: i32,
    /// How many templates in its namespaces do not meet its minimum requirements.
    #[serde(default)]
    pub below_floor: i32,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<PolicyDisplay>,
}

/// Values for the columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyDisplay {
    /// The namespaces as one line.
    #[schemars(length(max = 1024))]
    pub namespaces: String,
    /// The limits in force as one line: `none`, or `5 active, 1 per subject`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub limits: String,
}

impl From<Beneficiary> for Subject {
    fn from(b: Beneficiary) -> Self {
        match b {
            Beneficiary::User(n) => Subject::User(n),
            Beneficiary::ServiceAccount(a) => Subject::ServiceAccount(a),
        }
    }
}
