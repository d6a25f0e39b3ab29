//! AssignmentRequest: an immutable request to extend, renew or remove an EligibleAssignment.
use super::{
    request::{ApprovalStatus, CountedDecision, UidRef},
    schema,
};
use curfew_core::{assignment_request::Terms, digest::Digest, duration::Period, principal::UserInfo, time::Time};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request to change when an EligibleAssignment makes its subject eligible.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "AssignmentRequest",
    plural = "assignmentrequests",
    shortname = "asreq",
    category = "curfew",
    namespaced,
    status = "AssignmentRequestStatus",
    derive = "PartialEq",
    selectable = ".status.state",
    selectable = ".spec.requester.username",
    doc = "A request to extend, renew or remove an EligibleAssignment, immutable and used once. What is approved is written into the status of the assignment; its spec, which Git owns, stays as it is.",
    printcolumn(name = "Requester", type_ = "string", json_path = ".spec.requester.username"),
    printcolumn(name = "Action", type_ = "string", json_path = ".status.display.action"),
    printcolumn(name = "Assignment", type_ = "string", json_path = ".status.display.assignment"),
    printcolumn(name = "Until", type_ = "string", json_path = ".status.display.until"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Waiting-For", type_ = "string", json_path = ".status.waitingFor"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Role", type_ = "string", json_path = ".status.resolved.role.name", priority = 1),
    printcolumn(name = "Subject", type_ = "string", json_path = ".status.display.subject", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", priority = 1),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = 1)
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a request is immutable; create a new one"},
    {"rule": "has(self.requester)", "message": schema::NO_REQUESTER}
]))]
#[serde(rename_all = "camelCase")]
pub struct AssignmentRequestSpec {
    /// What is asked for. Exactly one member is set.
    pub action: Action,
    /// Why. Approvers read this.
    #[schemars(length(min = 1, max = 1024))]
    pub justification: String,
    /// How long the request is kept after its end, such as `14d`. Default: `7d`. At most `retention` of CurfewConfig. While the assignment has the window that was approved, the request is kept as its proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<Period>,
    /// The identity of the requester. Filled in by the API server; leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<UserInfo>,
}

/// What is asked for. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// A later end, asked for in the last 14 days before the end: by the user whom the assignment names, or by whom RBAC gives `manage` on it. Members of a group cannot. It needs the approval that `assignment.approval` of the role asks for.
    Extend(Extend),
    /// A new window, asked for within 30 days after the end, by the same people, with the same approval.
    Renew(Renew),
    /// The end of eligibility, now, by the user whom the assignment names. It takes effect without approval, and ends active access that rests on the assignment.
    Remove(Remove),
}

/// A later end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Extend {
    /// The EligibleAssignment, in the same namespace.
    pub assignment: UidRef,
    /// The new end, in UTC. Template and policy must allow the window from the old start to it.
    pub until: Time,
}

/// A new window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Renew {
    /// The EligibleAssignment, in the same namespace.
    pub assignment: UidRef,
    /// The new start, in UTC. Default: the creation of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Time>,
    /// The new end, in UTC.
    pub until: Time,
}

/// The end, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Remove {
    /// The EligibleAssignment, in the same namespace.
    pub assignment: UidRef,
}

impl Action {
    /// The assignment that it is about.
    pub fn assignment(&self) -> &UidRef {
        match self {
            Action::Extend(Extend { assignment, .. }) | Action::Renew(Renew { assignment, .. }) | Action::Remove(Remove { assignment }) => {
                assignment
            }
        }
    }
}

/// The life cycle state of an AssignmentRequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AssignmentRequestState {
    /// Not reconciled yet.
    Pending,
    /// Waiting for the decisions of approvers.
    AwaitingApproval,
    /// Final: the assignment has the window.
    Applied,
    /// Final: not allowed.
    Denied,
    /// Final: not approved in time.
    TimedOut,
    /// Final: withdrawn.
    Cancelled,
    /// Final: could not be resolved or trusted.
    Invalid,
    /// A state of a newer build: the request is left to it.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unknown,
}

impl AssignmentRequestState {
    /// Whether it is final.
    pub const fn has_ended(self) -> bool {
        use AssignmentRequestState::{Applied, AwaitingApproval, Cancelled, Denied, Invalid, Pending, TimedOut, Unknown};
        match self {
            Applied | Denied | TimedOut | Cancelled | Invalid => true,
            Pending | AwaitingApproval | Unknown => false,
        }
    }
}

/// The state of the request. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentRequestStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The life cycle state, for people; tools should read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AssignmentRequestState>,
    /// The reason for the state, in CamelCase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Explains the state and says what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// `Accepted`, `Approved`, `Applied` and `Complete`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The digest of `resolved`. An approval must name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What will be changed, fixed when the request was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Terms>,
    /// The open approval stages, with the approvals that each has and needs: `owners 0/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub waiting_for: Option<String>,
    /// The state of the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The Deny or Revoke that ended the request, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<CountedDecision>,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<AssignmentRequestDisplay>,
}

/// Values for the columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRequestDisplay {
    /// `extend`, `renew` or `remove`.
    #[schemars(length(max = 16))]
    pub action: String,
    /// Name of the EligibleAssignment.
    #[schemars(length(max = 253))]
    pub assignment: String,
    /// Whom it makes eligible, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub subject: Option<String>,
    /// The end that is asked for, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub until: Option<String>,
}
