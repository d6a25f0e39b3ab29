//! ActivationRequest: one immutable, one-shot request for a role.
use super::{assignment::NameRef, policy::Beneficiary, schema};
use curfew_core::{
    approval::Verb,
    digest::Digest,
    duration::{Duration, Period},
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

/// One request for a role.
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
    doc = "One request for a role, immutable and used once. Create it with a fresh name or generateName; delete it to give the access back at once.",
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
    printcolumn(name = "Enforced-By", type_ = "string", json_path = ".status.enforcedBy", priority = 1)
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a request is immutable; create a new one"},
    {"rule": "has(self.requester)", "message": "requester is filled in by the server; this server cannot (Kubernetes before 1.36): use kubectl curfew request"}
]))]
#[serde(rename_all = "camelCase")]
pub struct ActivationRequestSpec {
    /// The RoleTemplate in this namespace. The operator finds the assignment that makes you eligible.
    pub role_ref: NameRef,
    /// How long, from the moment of activation, such as `45m`. Default: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Why you need it; approvers read this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub justification: Option<String>,
    /// The ticket behind it. Kept as evidence; not checked by this build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// The system, if the role spans several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub system: Option<String>,
    /// When to begin, instead of at once. Not built yet: a request with it is `Invalid (Unsupported)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Narrower than the role. Not built yet: a request with it is `Invalid (Unsupported)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeByProvider>,
    /// Fewer than the role's. Not built yet: a request with it is `Invalid (Unsupported)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<PermissionsByProvider>,
    /// Whom it is for, if not you. A service account may name one where the assignment allows delegation; from a person it is not built yet: `Invalid (Unsupported)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beneficiary: Option<Beneficiary>,
    /// The active request that this one takes over from. Not built yet: a request with it is `Invalid (Unsupported)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<UidRef>,
    /// Before approval, in an emergency. Not built yet: a request with it is `Invalid (Unsupported)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<bool>,
    /// No access starts or lasts beyond this time, so that a copy from Git is dead on arrival. A service account must say it, at most 7 days ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// How long the ended request is kept, such as `30d`. Default: `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Period>,
    /// Who asks. Filled in by the API server; leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<UserInfo>,
}

/// A ticket in another system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// The system that holds it, such as `jira`.
    #[schemars(length(min = 1, max = 63))]
    pub system: String,
    /// Its number there.
    #[schemars(length(min = 1, max = 253))]
    pub number: String,
}

/// An object by name and uid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UidRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The object's uid.
    #[schemars(length(min = 1, max = 128))]
    pub uid: String,
}

/// Where a request stands, for people; the conditions are the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RequestState {
    /// Not looked at yet.
    Pending,
    /// People decide.
    AwaitingApproval,
    /// Approved, waiting for its start.
    Scheduled,
    /// On its way to the target.
    Activating,
    /// The access is there.
    Active,
    /// It is being taken away.
    Revoking,
    /// Over: active until its deadline.
    Expired,
    /// Over: ended early.
    Revoked,
    /// Over: not allowed.
    Denied,
    /// Over: taken back before it was active.
    Cancelled,
    /// Over: not approved in time.
    TimedOut,
    /// Over: not to be resolved or trusted.
    Invalid,
    /// Over: never active by its deadline.
    Failed,
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
    /// How it ended, if it did.
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
            | RequestState::Revoking => None,
        }
    }
}

/// What Curfew has found out and done. Written by the operator alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivationRequestStatus {
    /// The form of this status. A build that meets a higher number than its own leaves the request alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands, in one word, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RequestState>,
    /// Why, in one CamelCase word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Why, for people, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// `Accepted`, `Approved`, `Active`, `Complete`, and `Stalled` for a stuck revocation.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The digest of `resolved`: what an approval must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What would be granted, frozen when the request was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// The stage that is open, and how many of its people have approved: `owners 0/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub waiting_for: Option<String>,
    /// Who has approved what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// The Grant that holds the access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_ref: Option<NameRef>,
    /// Since when the access is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Time>,
    /// When it ends. Stored before anything is written to the target; nothing moves it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When the target had shown that nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// `Target` if the target ends the access by itself, `Curfew` if the operator must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub enforced_by: Option<String>,
    /// What may outlive the end, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub session_tail: Option<String>,
    /// For the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<RequestDisplay>,
}

/// Who has approved what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalStatus {
    /// When the approvers must have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Stage by stage.
    #[serde(default)]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub stages: Vec<StageStatus>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageStatus {
    /// Its name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// How many it needs.
    pub quorum: u8,
    /// How many it has.
    pub approved: u8,
    /// Whose word counted.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub decisions: Vec<CountedDecision>,
}

/// One word that counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountedDecision {
    /// Who.
    #[schemars(length(max = 1024))]
    pub decider: String,
    /// What.
    pub decision: Verb,
    /// When.
    pub at: Time,
}

/// For the columns of kubectl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestDisplay {
    /// When it ends; empty once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub expires: Option<String>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub beneficiary: Option<String>,
}
