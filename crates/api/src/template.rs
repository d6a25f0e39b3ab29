//! RoleTemplate: a named set of permissions and the rules for activating it.
use super::{
    config::{AuthenticationContextKey, MfaKeys},
    policy::{Limits, MfaRule, SystemsRef},
    schema,
};
use curfew_core::{
    approval::ApprovalStage,
    conditions::ticket,
    duration::{Duration, Period},
    target::{Empty, PermissionsByProvider, ScopeByProvider},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named set of permissions in one or more systems, and the rules for activating it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "RoleTemplate",
    plural = "roletemplates",
    shortname = "rtpl",
    category = "curfew",
    namespaced,
    status = "RoleTemplateStatus",
    derive = "PartialEq",
    doc = "A named set of permissions in one or more systems, and the rules for activating it. An EligibleAssignment says who may activate it; an ActivationRequest does so.",
    printcolumn(name = "Systems", type_ = "string", json_path = ".status.display.systems"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Max", type_ = "string", json_path = ".status.display.max"),
    printcolumn(name = "Approval", type_ = "string", json_path = ".status.display.approval"),
    printcolumn(name = "Eligible", type_ = "integer", json_path = ".status.eligible"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.active"),
    printcolumn(name = "Requires", type_ = "string", json_path = ".status.display.requires", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct RoleTemplateSpec {
    /// The purpose of the role, in a sentence for approvers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// The AuthorizationSystems of the role. If there are several, a request must name one.
    pub systems: SystemsRef,
    /// The permissions of the role, by provider. Every Kubernetes role named here must exist, and the operator must be allowed to bind it.
    pub permissions: PermissionsByProvider,
    /// The widest scope of the role. Assignments and requests may narrow it, but not widen it.
    pub scope: ScopeByProvider,
    /// The rules for activating it.
    pub activation: Activation,
    /// The rules for assigning it.
    pub assignment: AssignmentRules,
    /// `true` stops new grants and ends active access of this role.
    #[serde(default)]
    pub suspend: bool,
}

/// The rules for activating a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activation {
    /// The permitted duration of the access.
    pub duration: DurationRule,
    /// Whether a request must have a justification. Default: `Required`.
    #[serde(default)]
    pub justification: Justification,
    /// The ticket that a request must name, or `none: {}`. Its notation is checked; no ticket system is asked.
    pub ticket: TicketRule,
    /// The greatest age of the requester's MFA when the request is created, or `none: {}`. Needs `identity.mfa` in CurfewConfig.
    pub mfa: MfaRule,
    /// The authentication context that the requester's login must carry when the request is created, such as `c1` of Entra. Needs `identity.authenticationContext` in CurfewConfig. There is no fallback to MFA. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [{"rule": schema::ONE_CLAIM, "message": schema::ONE_CLAIM_MESSAGE}]))]
    pub authentication_context: Option<String>,
    /// Who must approve.
    pub approval: Approval,
    /// How many requests may be active at a time, or `none: {}`.
    pub limits: Limits,
    /// How far an active request may be extended by another one, which needs its own approval, or `none: {}`. Default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<ExtensionRule>,
    /// Allows break-glass in an emergency: a request with `breakGlass: true` waits for no approval, and another person must review it afterwards, who is an approver of a stage or a manager. Until then its requester cannot use break-glass again. A policy must allow it, too (`allow.breakGlass`), and the role needs an approval stage. Default: no break-glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// The permitted duration of an access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": super::schema::DEFAULT_WITHIN_MAX, "message": "default must not be longer than max"}]))]
pub struct DurationRule {
    /// The duration if a request does not name one, such as `1h`. Default: `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Duration>,
    /// The longest duration, such as `4h`. The limits of the AccessPolicy and of CurfewConfig apply, too.
    pub max: Duration,
}

/// Whether a request must have a justification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Justification {
    /// A request without a justification is refused.
    #[default]
    Required,
    /// A request may omit the justification.
    Optional,
}

/// The ticket that a request must name. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum TicketRule {
    /// No ticket is required.
    None(Empty),
    /// A ticket of any system whose number matches this regular expression (RE2), such as `^INC-[0-9]+$`. It may match a part of the number.
    Pattern(#[schemars(length(min = 1, max = ticket::MAX_PATTERN), extend("x-kubernetes-validations" = schema::ticket_pattern()))] String),
    /// A ticket of one of these systems whose number matches.
    Required(RequiredTicket),
}

/// A ticket of one of several systems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequiredTicket {
    /// The regular expression (RE2) that the number must match, such as `^INC-[0-9]+$`. It may match a part of the number; `.` matches any.
    #[schemars(length(min = 1, max = ticket::MAX_PATTERN), extend("x-kubernetes-validations" = schema::ticket_pattern()))]
    pub pattern: String,
    /// The accepted ticket systems, as requests name them in `spec.ticket.system`. They are compared exactly.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub systems: Vec<String>,
}

/// Who must approve. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// No approval is required. Explicit, so that an omitted field is an error.
    None(Empty),
    /// All of these stages must pass, in this order, each by other people.
    Stages(
        #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = stage_rules()))]
        Vec<ApprovalStage>,
    ),
    /// All of these stages must pass, in any order, each by other people. All are open from acceptance.
    Parallel(
        #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = stage_rules()))]
        Vec<ApprovalStage>,
    ),
}

/// The rules of a list of stages, for CEL.
fn stage_rules() -> serde_json::Value {
    let reserved = |list: &str| {
        format!("{list}.all(s, !(has(s.user) && s.user.startsWith('system:')) && !(has(s.group) && s.group.startsWith('system:')))")
    };
    let subjects =
        format!("self.all(x, {}) && self.all(x, !has(x.escalation) || {})", reserved("x.approvers"), reserved("x.escalation.approvers"));
    serde_json::json!([
        {"rule": subjects, "message": "names that begin with system: are reserved for Kubernetes and cannot approve"},
        {"rule": schema::ESCALATES_IN_TIME, "message": "escalation.after must be shorter than the timeout of the stage, which is 24h by default"},
    ])
}

/// How far an active request may be extended. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum ExtensionRule {
    /// Not at all.
    None(Empty),
    /// Up to these ceilings, of which each is refused and never cut to fit. `max.duration` of the AccessPolicy and `ceilings.duration` of CurfewConfig limit the whole chain, too.
    AtMost(ExtensionCeilings),
}

/// The ceilings of extensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionCeilings {
    /// The longest access in all, from the activation of the first request to the end of the last extension, such as `8h`.
    pub chain: Duration,
    /// For how long of any 24 hours a person may hold the role, such as `12h`, by extensions and by new requests, with any of their logins. Counted from the Grants of the role, which are kept for a day after their end at least.
    pub per_day: Duration,
}

/// Access without approval in an emergency, which another person must review.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakGlass {
    /// The channels of CurfewConfig (`spec.notifications.channels`, by name) that are told of each use, and every four hours until its review, regardless of their level, their recipients and the rules. Others are told as CurfewConfig says. A name that no channel has is named by the condition `Ready`. Each use is told by a Warning Event, the alert CurfewBreakGlass and the audit log, too.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub notify: Vec<String>,
}

/// The rules for assigning a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentRules {
    /// Rules for eligible assignments.
    pub eligible: AssignmentRule,
    /// Rules for standing access (ActiveAssignment). Default: none is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<AssignmentRule>,
    /// Who must approve AssignmentRequests that extend or renew an assignment of this role. Without it they are refused. The floor of the AccessPolicy holds for it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<AssignmentApproval>,
    /// `true`: the last assignment that makes a user or a group eligible for this role is not removed by an AssignmentRequest (`LastHolder`). An assignment that ends, or is deleted or changed in Git, is not kept; the condition `HasHolder` shows how many holders are left. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect_last_holder: bool,
}

/// Who must approve a change of an assignment, in one or two stages. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum AssignmentApproval {
    /// All of these stages must pass, in this order, each by other people.
    Stages(
        #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = stage_rules()))]
        Vec<ApprovalStage>,
    ),
    /// All of these stages must pass, in any order, each by other people. All are open from acceptance.
    Parallel(
        #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = stage_rules()))]
        Vec<ApprovalStage>,
    ),
}

/// The permitted length of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRule {
    /// Whether the assignment may have no end. The policy must allow it, too.
    pub permanent: bool,
    /// The longest window, such as `365d`. Default: the policy's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Period>,
}

/// What the operator has observed. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleTemplateStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the role can be activated; otherwise the message says what to change. `HasHolder`, where the role protects its last holder: whether an assignment makes a user or a group eligible for it now.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The number of assignments that are Ready.
    #[serde(default)]
    pub eligible: i32,
    /// The number of active requests.
    #[serde(default)]
    pub active: i32,
    /// What the login of a requester is looked at for, where the template asks for it. Admission answers by it at apply time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginConditions>,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<TemplateDisplay>,
}

/// The extra keys of a requester's login that the conditions of a template are looked up under, from CurfewConfig.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginConditions {
    /// What proves MFA, if the template requires it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<MfaKeys>,
    /// What lists the authentication contexts, if the template requires one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_context: Option<AuthenticationContextKey>,
}

/// Values for the columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateDisplay {
    /// The systems as one line.
    #[schemars(length(max = 1024))]
    pub systems: String,
    /// The longest duration that template, policy and CurfewConfig together allow.
    #[schemars(length(max = 64))]
    pub max: String,
    /// The approvers as one line.
    #[schemars(length(max = 1024))]
    pub approval: String,
    /// What a request needs beside approval, as one line: justification, ticket, MFA, authentication context.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub requires: String,
}
