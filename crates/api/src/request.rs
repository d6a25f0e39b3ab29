//! ActivationRequest: an immutable request for a role that is used once.
use super::{assignment::NameRef, policy::Beneficiary, schema};
use curfew_core::{
    approval::Verb,
    digest::Digest,
    duration::{Duration, Period},
    limits::MAX_SLOTS,
    principal::UserInfo,
    reason::TerminalState,
    resolved::Resolved,
    target::{PermissionsByProvider, ScopeByProvider},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request to activate a role.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "ActivationRequest",
    plural = "activationrequests",
    shortname = "areq",
    category = "curfew",
    namespaced,
    status = "ActivationRequestStatus",
    derive = "PartialEq",
    selectable = ".status.state",
    selectable = ".spec.requester.username",
    doc = "A request to activate a role, immutable and used once. Create it with a new name or generateName. Delete it to end the access early.",
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requester.username"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.roleRef.name"),
    printcolumn(name = "System", type_ = "string", json_path = ".status.resolved.system.name"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Waiting-For", type_ = "string", json_path = ".status.waitingFor"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.display.expires"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "For", type_ = "string", json_path = ".status.display.beneficiary", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", priority = 1),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = 1),
    printcolumn(name = "Enforced-By", type_ = "string", json_path = ".status.enforcedBy", priority = 1),
    printcolumn(name = "Extends", type_ = "string", json_path = ".spec.extends.name", priority = 1),
    printcolumn(name = "Extended-By", type_ = "string", json_path = ".status.extendedBy.name", priority = 1)
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a request is immutable; create a new one"},
    {"rule": "has(self.requester)", "message": schema::NO_REQUESTER},
    {"rule": "!(has(self.extends) && has(self.startTime))", "message": "an extension begins as soon as it is approved, and ends its duration after the end of what it extends: leave out startTime"}
]))]
#[serde(rename_all = "camelCase")]
pub struct ActivationRequestSpec {
    /// The RoleTemplate, in the same namespace. The operator finds the EligibleAssignment that makes you eligible.
    pub role_ref: NameRef,
    /// Duration of the access from `startTime`, from the end of what it `extends`, or from activation, such as `45m`. Default: the template's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Why you need the access. Approvers read this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub justification: Option<String>,
    /// The ticket that explains the request, in the notation that the role asks for. Recorded in the audit log; no ticket system is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// The AuthorizationSystem. Required if the role spans several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub system: Option<String>,
    /// Start of the access in UTC, if not immediately; at most 30 days after the request is created. The duration runs from it, also if the approval comes later. Until then an approved request is `Scheduled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// A narrower scope than the assignment's, for the provider of the system. Exactly this is granted; one that reaches further is `Invalid (WiderScope)`. Default: the scope of the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::ONE_PROVIDER, "message": "a request is for one system: write the scope for the provider of that system alone"}, {"rule": schema::SCOPE_WITHOUT_PATTERNS, "message": "name each namespace in full"}]))]
    pub scope: Option<ScopeByProvider>,
    /// Fewer permissions than the assignment's, for the provider of the system, as the role names them. Exactly these are granted; others are `Invalid (WiderPermissions)`. Default: the permissions of the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::ONE_PROVIDER, "message": "a request is for one system: write the permissions for the provider of that system alone"}, {"rule": schema::NO_PERMISSION_PATTERNS, "message": schema::NO_PERMISSION_PATTERNS_MESSAGE}]))]
    pub permissions: Option<PermissionsByProvider>,
    /// Who receives the access: a user or a service account, whom an EligibleAssignment names literally. Default: the requester. A person may name those whom `requestorAdmins` of the AccessPolicy lists for them; a service account may name those whose assignment allows delegation. Neither the requester nor the beneficiary may approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::NO_SYSTEM_BENEFICIARY, "message": "names that begin with system: are reserved for Kubernetes; name a service account in serviceAccount"}]))]
    pub beneficiary: Option<Beneficiary>,
    /// The ActiveAssignment whose access the operator gives by this request. Set by the operator alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_assignment: Option<UidRef>,
    /// The active request that this one extends, in the same namespace, for the same role, system and beneficiary. It needs its own approval, begins as soon as it has it, and ends `duration` after the end of what it extends, which does not move. It gives no more than that, and ends with it if that ends early. The role must allow it (`activation.extension`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<UidRef>,
    /// `true`: break-glass, for an emergency. The access begins without waiting for approval, and is told at once: a Warning Event, the channels of notifications, the alert CurfewBreakGlass, the audit log. Another person must review it afterwards; until then you cannot use break-glass again, in any role. Role and policy must allow it, and a justification is required. Not with `startTime`, `beneficiary` or `extends`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<bool>,
    /// The latest end of the access, in UTC. After it the request is not activated, so that an old copy from Git has no effect. Required for service accounts, at most 7 days ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// How long the request is kept after its end, such as `14d`. Default: `7d`. At most `retention` of CurfewConfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Period>,
    /// The identity of the requester. Filled in by the API server; leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<UserInfo>,
}

/// A ticket in a ticket system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// The ticket system, such as `jira`.
    #[schemars(length(min = 1, max = 63))]
    pub system: String,
    /// The ticket number.
    #[schemars(length(min = 1, max = 253))]
    pub number: String,
}

/// A reference to an object by name and uid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UidRef {
    /// `metadata.name` of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `metadata.uid` of the object.
    #[schemars(length(min = 1, max = 128))]
    pub uid: String,
}

/// The life cycle state of a request. It summarises the conditions for people; tools should read the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RequestState {
    /// Not reconciled yet.
    Pending,
    /// Waiting for the decisions of approvers.
    AwaitingApproval,
    /// Approved, waiting for its start time.
    Scheduled,
    /// The access is being written to the target.
    Activating,
    /// The access was observed at the target.
    Active,
    /// The access is being removed.
    Revoking,
    /// Final: was active until its deadline, or its window has passed before it was activated.
    Expired,
    /// Final: ended before its deadline.
    Revoked,
    /// Final: not allowed.
    Denied,
    /// Final: withdrawn before it was active.
    Cancelled,
    /// Final: not approved in time.
    TimedOut,
    /// Final: could not be resolved or trusted.
    Invalid,
    /// Final: was not active by its deadline.
    Failed,
    /// A state of a newer build: the request is left to it.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unknown,
}

impl From<TerminalState> for RequestState {
    fn from(o: TerminalState) -> Self {
        match o {
            TerminalState::Expired => RequestState::Expired,
            TerminalState::Revoked => RequestState::Revoked,
            TerminalState::Denied => RequestState::Denied,
            TerminalState::Cancelled => RequestState::Cancelled,
            TerminalState::TimedOut => RequestState::TimedOut,
            TerminalState::Invalid => RequestState::Invalid,
            TerminalState::Failed => RequestState::Failed,
        }
    }
}

impl RequestState {
    /// The outcome of a final state; `None` for every other state.
    pub const fn outcome(self) -> Option<TerminalState> {
        match self {
            RequestState::Expired => Some(TerminalState::Expired),
            RequestState::Revoked => Some(TerminalState::Revoked),
            RequestState::Denied => Some(TerminalState::Denied),
            RequestState::Cancelled => Some(TerminalState::Cancelled),
            RequestState::TimedOut => Some(TerminalState::TimedOut),
            RequestState::Invalid => Some(TerminalState::Invalid),
            RequestState::Failed => Some(TerminalState::Failed),
            RequestState::Pending
            | RequestState::AwaitingApproval
            | RequestState::Scheduled
            | RequestState::Activating
            | RequestState::Active
            | RequestState::Revoking
            | RequestState::Unknown => None,
        }
    }
}

/// The state of the request. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivationRequestStatus {
    /// The form of this status. A build that meets a higher number than its own leaves the request alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The life cycle state, for people; tools should read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RequestState>,
    /// The reason for the state, in CamelCase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Explains the state and says what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// `Accepted`, `Approved`, `Active`, `Complete`, and `Stalled` for a revocation that does not succeed.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The digest of `resolved`. An approval must name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What will be granted, fixed when the request was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// The open approval stages, with the approvals that each has and needs: `owners 0/1`. At most three of them, and the number of the others. `escalated`: the people of the stage's escalation may approve, too. Of a scheduled request its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub waiting_for: Option<String>,
    /// The state of the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// The Grant that holds the access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_ref: Option<NameRef>,
    /// When the access was first observed at the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Time>,
    /// When the access ends. Stored before the first write to the target; it never moves later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The request that extends this access, once it was approved: the access goes on by that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended_by: Option<ExtendedBy>,
    /// When it was observed that nothing of the access remains at the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The slots that the request holds, of the limits of its role and policy, as the one extension of another request, and as a lock on further break-glass: names of Leases in the operator's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_SLOTS), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub slots: Vec<String>,
    /// The Deny or Revoke that ended the request, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<CountedDecision>,
    /// `Target` if the target ends the access by itself, `Curfew` if only the operator and the sweep do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub enforced_by: Option<String>,
    /// What may continue after the end, such as open sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub session_tail: Option<String>,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<RequestDisplay>,
}

/// The state of the approval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// When the request was accepted, which opened the first stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Time>,
    /// The time by which the open stage must be approved: its timeout after its opening; of several open stages the earliest. After it the request ends as `TimedOut`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// The stages, in the order of the template.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub stages: Vec<StageStatus>,
}

/// The state of one approval stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageStatus {
    /// Name of the stage in the template.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The number of approvals that the stage needs.
    pub quorum: u8,
    /// The number of approvals that counted.
    pub approved: u8,
    /// The decisions that counted.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub decisions: Vec<CountedDecision>,
    /// The time by which the stage must be approved, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// From when the people of the stage's escalation may approve, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalates_at: Option<Time>,
    /// Whether that time has come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub escalated: bool,
    /// Approvals that count once the stage is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub waiting: Vec<CountedDecision>,
}

/// A decision that counted, or that waits for its stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountedDecision {
    /// User name of the decider.
    #[schemars(length(max = 1024))]
    pub decider: String,
    /// The verb of the decision.
    pub decision: Verb,
    /// Creation time of the decision.
    pub at: Time,
    /// The longest duration that an approval allows, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// `metadata.uid` of the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub uid: Option<String>,
}

/// The request that extends another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtendedBy {
    /// `metadata.name` of the request.
    #[schemars(length(max = 253))]
    pub name: String,
    /// `metadata.uid` of the request.
    #[schemars(length(max = 128))]
    pub uid: String,
    /// When its access ends.
    pub expires_at: Time,
}

/// Values for the columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestDisplay {
    /// The end of the access, once it is approved; empty once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub expires: Option<String>,
    /// The beneficiary as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub beneficiary: Option<String>,
}
