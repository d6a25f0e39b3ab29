//! AssignmentRequest: an immutable request for a new EligibleAssignment, or to extend, renew or remove an assignment.
use super::{
    assignment::{AssignmentScope, NameRef},
    request::{ApprovalStatus, CountedDecision},
    schema,
};
use curfew_core::{
    assignment_request::{AssignmentKind, Terms},
    digest::Digest,
    duration::Period,
    principal::{Subject, UserInfo},
    target::PermissionsByProvider,
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request for a new EligibleAssignment, or to change when an assignment holds.
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
    doc = "A request for a new EligibleAssignment, or to extend, renew or remove an assignment, immutable and used once. A new one is created by the operator. Any other change is written into the status of the assignment; its spec, which Git owns, stays as it is.",
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
    /// How long the request is kept after its end, such as `14d`. Default: `7d`. At most `retention` of CurfewConfig. While the assignment has the window that was approved, or exists because of this request, the request is kept as its proof.
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
    /// An EligibleAssignment that does not exist yet: by the user whom it is to name, or by whom RBAC gives `manage` on all EligibleAssignments of the namespace. It needs the approval that `assignment.approval` of the role asks for. Then the operator creates it.
    New(Box<New>),
    /// A later end, asked for in the last 14 days before the end: by the user whom the assignment names, or by whom RBAC gives `manage` on it. Members of a group cannot. It needs the approval that `assignment.approval` of the role asks for.
    Extend(Extend),
    /// A new window, asked for within 30 days after the end, by the same people, with the same approval.
    Renew(Renew),
    /// The end of the assignment, now, by the user whom it names. It takes effect without approval, and ends active access that rests on the assignment.
    Remove(Remove),
}

/// A new EligibleAssignment. What it says is what its spec will say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.start) || self.until - self.start >= duration('5m')", "message": "an assignment lasts at least 5m"}]))]
#[serde(rename_all = "camelCase")]
pub struct New {
    /// The name that the EligibleAssignment gets. There must be none of that name.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"))]
    pub name: String,
    /// The RoleTemplate, in the same namespace.
    pub role_ref: NameRef,
    /// Who will be eligible: a user, a group or a service account. User and group names that begin with `system:` are refused.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "!(has(self.user) && self.user.startsWith('system:')) && !(has(self.group) && self.group.startsWith('system:'))", "message": "names that begin with system: are reserved for Kubernetes and cannot be made eligible"}]))]
    pub subject: Subject,
    /// Where the role may be activated: `all: {}` is the full scope of the role; an entry for a provider narrows it there. A provider without an entry is out of reach.
    pub scope: AssignmentScope,
    /// Which of the role's permissions may be activated, by provider, as the role names them. Default: all of them. With an entry for one provider, nothing may be activated at the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": schema::NO_PERMISSION_PATTERNS, "message": schema::NO_PERMISSION_PATTERNS_MESSAGE}]))]
    pub permissions: Option<PermissionsByProvider>,
    /// The start of the window, in UTC. Default: the creation of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Time>,
    /// The end of the window, in UTC. Template and policy must allow the window from its start to it.
    pub until: Time,
}

/// The assignment that a request is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRef {
    /// `EligibleAssignment`, which is the default, or `ActiveAssignment`.
    #[serde(default)]
    pub kind: AssignmentKind,
    /// `metadata.name` of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `metadata.uid` of the object.
    #[schemars(length(min = 1, max = 128))]
    pub uid: String,
}

/// A later end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Extend {
    /// The assignment, in the same namespace.
    pub assignment: AssignmentRef,
    /// The new end, in UTC. Template and policy must allow the window from the old start to it.
    pub until: Time,
}

/// A new window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Renew {
    /// The assignment, in the same namespace.
    pub assignment: AssignmentRef,
    /// The new start, in UTC. Default: the creation of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Time>,
    /// The new end, in UTC.
    pub until: Time,
}

/// The end, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Remove {
    /// The assignment, in the same namespace.
    pub assignment: AssignmentRef,
}

impl Action {
    /// The assignment that it is about; nothing for a new one.
    pub fn assignment(&self) -> Option<&AssignmentRef> {
        match self {
            Action::New(_) => None,
            Action::Extend(Extend { assignment, .. }) | Action::Renew(Renew { assignment, .. }) | Action::Remove(Remove { assignment }) => {
                Some(assignment)
            }
        }
    }
    /// The name of that assignment, or of the new one.
    pub fn assignment_name(&self) -> &str {
        match self {
            Action::New(new) => &new.name,
            Action::Extend(Extend { assignment, .. }) | Action::Renew(Renew { assignment, .. }) | Action::Remove(Remove { assignment }) => {
                &assignment.name
            }
        }
    }
    /// The kind of that assignment.
    pub fn of(&self) -> AssignmentKind {
        self.assignment().map_or(AssignmentKind::Eligible, |assignment| assignment.kind)
    }
}

/// The life cycle state of an AssignmentRequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AssignmentRequestState {
    /// Not reconciled yet.
    Pending,
    /// Waiting for the decisions of approvers.
    AwaitingApproval,
    /// Final: the assignment has the window, or was created.
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
    /// The uid of the assignment that was created for it. It proves no other assignment of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub assignment_uid: Option<String>,
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
    /// `new`, `extend`, `renew` or `remove`.
    #[schemars(length(max = 16))]
    pub action: String,
    /// Name of the assignment, of an ActiveAssignment as `aas/NAME`.
    #[schemars(length(max = 257))]
    pub assignment: String,
    /// Whom it makes eligible or gives access, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub subject: Option<String>,
    /// The end that is asked for, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub until: Option<String>,
}
