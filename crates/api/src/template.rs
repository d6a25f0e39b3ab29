//! RoleTemplate: a named set of permissions, and the rules for using it.
use super::{
    policy::{MfaRule, SystemsRef},
    schema,
};
use curfew_core::{
    approval::ApprovalStage,
    duration::{Duration, Period},
    target::{Empty, PermissionsByProvider, ScopeByProvider},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named set of permissions on one or many systems, and the rules for using it.
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
    doc = "A named set of permissions on one or many systems, and the rules for using it. People ask for it with an ActivationRequest; an EligibleAssignment says who may.",
    printcolumn(name = "Systems", type_ = "string", json_path = ".status.display.systems"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Max", type_ = "string", json_path = ".status.display.max"),
    printcolumn(name = "Approval", type_ = "string", json_path = ".status.display.approval"),
    printcolumn(name = "Eligible", type_ = "integer", json_path = ".status.eligible"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.active")
)]
#[serde(rename_all = "camelCase")]
pub struct RoleTemplateSpec {
    /// What the role is for, in a sentence that an approver understands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// The systems it spans; a request names one if there are several.
    pub systems: SystemsRef,
    /// What it holds, by provider. Every role named must exist, and the operator must be allowed to bind it.
    pub permissions: PermissionsByProvider,
    /// Its widest reach; assignments and requests may narrow it, never widen it.
    pub scope: ScopeByProvider,
    /// The rules for activating it.
    pub activation: Activation,
    /// The rules for assigning it.
    pub assignment: AssignmentRules,
    /// `true` stops new grants and ends what is active.
    #[serde(default)]
    pub suspend: bool,
}

/// The rules for activating a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activation {
    /// How long the access may last.
    pub duration: DurationRule,
    /// Whether a request must say why. Default: `Required`.
    #[serde(default)]
    pub justification: Justification,
    /// Which ticket a request must name, or `none: {}`. Anything else is `Unsupported` in this build.
    pub ticket: TicketRule,
    /// How fresh MFA must be, or `none: {}`. Anything else is `Unsupported` in this build.
    pub mfa: MfaRule,
    /// Who must approve.
    pub approval: Approval,
    /// How many may be active, or `none: {}`. Anything else is `Unsupported` in this build.
    pub limits: Limits,
    /// Access before approval in an emergency, reviewed afterwards. Not built yet: a template with it is `Unsupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// How long the access may last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.default) || duration(self.default) <= duration(self.max)", "message": "default must not be longer than max"}]))]
pub struct DurationRule {
    /// Where a request does not say, such as `1h`. Default: `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Duration>,
    /// The longest, such as `4h`. The policy's and CurfewConfig's maximum hold too.
    pub max: Duration,
}

/// Whether a request must say why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Justification {
    /// It must.
    #[default]
    Required,
    /// It may.
    Optional,
}

/// Which ticket a request must name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum TicketRule {
    /// None.
    None(Empty),
    /// One whose number matches this regular expression. `Unsupported` in this build.
    Pattern(#[schemars(length(min = 1, max = 253))] String),
}

/// Who must approve: exactly one of these ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// Nobody, said in words.
    None(Empty),
    /// All of these stages must pass, in this order.
    Stages(
        #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic", "x-kubernetes-validations" = [{"rule": STAGE_SUBJECTS, "message": "names that begin with system: are Kubernetes' own and cannot approve"}]))]
         Vec<ApprovalStage>,
    ),
    /// All of these stages must pass, in any order. Not built yet: `Unsupported`.
    Parallel(#[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))] Vec<ApprovalStage>),
}

const STAGE_SUBJECTS: &str =
    "self.all(x, x.approvers.all(s, !(has(s.user) && s.user.startsWith('system:')) && !(has(s.group) && s.group.startsWith('system:'))))";

/// How many may be active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Limits {
    /// No limit.
    None(Empty),
    /// At most so many. `Unsupported` in this build.
    AtMost(AtMost),
}

/// At most so many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AtMost {
    /// Of this role at a time.
    #[schemars(range(min = 1, max = 10000))]
    pub active: u16,
    /// Of this role at a time for one subject.
    #[schemars(range(min = 1, max = 10000))]
    pub per_subject: u16,
}

/// Access before approval in an emergency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakGlass {
    /// The channels that are told at once.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub notify: Vec<String>,
}

/// The rules for assigning a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRules {
    /// For eligibility.
    pub eligible: AssignmentRule,
    /// For standing access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<AssignmentRule>,
}

/// How long an assignment may last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRule {
    /// Whether it may last for ever. The policy must allow it too.
    pub permanent: bool,
    /// The longest window, such as `365d`. Default: the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Period>,
}

/// What Curfew has found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleTemplateStatus {
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the role can be used; if not, the message says what to change.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How many assignments make somebody eligible.
    #[serde(default)]
    pub eligible: i32,
    /// How many requests are active.
    #[serde(default)]
    pub active: i32,
    /// For the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<TemplateDisplay>,
}

/// For the columns of kubectl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateDisplay {
    /// The systems in one line.
    #[schemars(length(max = 1024))]
    pub systems: String,
    /// The longest duration that all rules together allow.
    #[schemars(length(max = 64))]
    pub max: String,
    /// Who approves, in one line.
    #[schemars(length(max = 1024))]
    pub approval: String,
}
