//! AssignmentRequests: a person asks for a new EligibleAssignment, or to extend, renew or remove an assignment. Pure.
//!
//! What is approved changes the *effective window* of an assignment and nothing else: the operator writes a [`Change`] into the
//! assignment's status, and the spec, which Git owns, stays as it is. A new assignment is an object of its own, which the operator creates
//! with a mark ([`Origin`]).
//!
//! | Module | What it decides |
//! |---|---|
//! | [`window`] | when an assignment holds, by its spec and the change in its status |
//! | [`decide`] | the state machine of an AssignmentRequest |
//! | [`origin`] | whether an assignment is the one that a request has asked for |
//! | [`proof`] | whether a change in a status, or a new assignment, was really approved, before access rests on it |
//! | [`resolve`] | who may ask for what, and when |
//! | [`last_holder`] | whether the last assignment that makes anybody eligible would be removed |
pub mod decide;
pub mod last_holder;
pub mod origin;
pub mod proof;
pub mod resolve;
pub mod window;

#[cfg(test)]
mod sample;

pub use origin::{Gives, Origin};
pub use window::{Change, Span, effective, widens};

use crate::{
    approval::{ApprovalStage, ApprovalSubject, DecisionFacts, StageOrder, Tally, tally},
    digest::Digest,
    ids::Ref,
    policy_inputs::Assignment,
    principal::{Recognition, Subject, UserInfo},
    reason::Reason,
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The form of [`Terms`] that this build writes. A build that meets a higher number leaves the request alone.
pub const SCHEMA: u32 = 1;

/// The kind of an assignment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AssignmentKind {
    /// Makes eligible.
    #[default]
    #[serde(rename = "EligibleAssignment")]
    Eligible,
    /// Gives standing access.
    #[serde(rename = "ActiveAssignment")]
    Active,
}

impl AssignmentKind {
    /// As in `kind` of an object.
    pub const fn as_str(self) -> &'static str {
        match self {
            AssignmentKind::Eligible => "EligibleAssignment",
            AssignmentKind::Active => "ActiveAssignment",
        }
    }
    /// The plural, which RBAC names.
    pub const fn plural(self) -> &'static str {
        match self {
            AssignmentKind::Eligible => "eligibleassignments",
            AssignmentKind::Active => "activeassignments",
        }
    }
    /// The short name.
    pub const fn short(self) -> &'static str {
        match self {
            AssignmentKind::Eligible => "eas",
            AssignmentKind::Active => "aas",
        }
    }
    /// The flag of the plugin that tells which kind is meant, after a blank.
    pub const fn flag(self) -> &'static str {
        match self {
            AssignmentKind::Eligible => "",
            AssignmentKind::Active => " --active",
        }
    }
    const fn is_eligible(&self) -> bool {
        matches!(self, AssignmentKind::Eligible)
    }
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// An EligibleAssignment that does not exist yet. Its uid is empty, and its window begins with the creation of the request if the
    /// request says no start.
    New(Box<Assignment>),
    /// A later end, before the present one.
    Extend {
        /// The assignment.
        assignment: Ref,
        /// The new end.
        until: Time,
    },
    /// A new window, after the last one has ended.
    Renew {
        /// The assignment.
        assignment: Ref,
        /// The new start; the creation of the request if it says none.
        start: Option<Time>,
        /// The new end.
        until: Time,
    },
    /// The end, now.
    Remove {
        /// The assignment.
        assignment: Ref,
    },
}

impl Action {
    /// The assignment that it is about.
    pub const fn assignment(&self) -> &Ref {
        match self {
            Action::New(wanted) => &wanted.reference,
            Action::Extend { assignment, .. } | Action::Renew { assignment, .. } | Action::Remove { assignment } => assignment,
        }
    }
    /// Its kind.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Action::New(_) => ActionKind::New,
            Action::Extend { .. } => ActionKind::Extend,
            Action::Renew { .. } => ActionKind::Renew,
            Action::Remove { .. } => ActionKind::Remove,
        }
    }
}

/// The kind of an [`Action`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ActionKind {
    /// An assignment that does not exist yet.
    New,
    /// A later end, before the present one.
    Extend,
    /// A new window, after the last one has ended.
    Renew,
    /// The end, now.
    Remove,
}

impl ActionKind {
    /// The name of the action, as in a request and a command.
    pub const fn as_str(self) -> &'static str {
        match self {
            ActionKind::New => "new",
            ActionKind::Extend => "extend",
            ActionKind::Renew => "renew",
            ActionKind::Remove => "remove",
        }
    }
    /// The verb, for messages.
    pub const fn verb(self) -> &'static str {
        match self {
            ActionKind::New => "make",
            ActionKind::Extend => "extend",
            ActionKind::Renew => "renew",
            ActionKind::Remove => "remove",
        }
    }
}

/// An AssignmentRequest as a person wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// When it was created: the windows in which it may be asked for go by this time, so that no delay of the operator decides.
    pub created: Time,
    /// Who asks.
    pub requester: UserInfo,
    /// What for.
    pub action: Action,
    /// The kind of the assignment.
    pub of: AssignmentKind,
    /// Whether RBAC gives the requester `manage` on the assignment, and for a new one on all of the namespace; `None` while the access
    /// review fails.
    pub manager: Option<bool>,
}

/// What an approval of an AssignmentRequest is about. The approval names its digest.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The schema of this form; digests of different schemas are never compared.
    pub schema: u32,
    /// The uid of the AssignmentRequest.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub request: String,
    /// The user name of the requester.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub requester: String,
    /// What is asked for.
    pub action: ActionKind,
    /// The kind of the assignment. Left out for an EligibleAssignment.
    #[serde(default, skip_serializing_if = "AssignmentKind::is_eligible")]
    pub kind: AssignmentKind,
    /// The assignment. The uid of a new one, which does not exist yet, is empty.
    pub assignment: Ref,
    /// Whom it makes eligible, or gives access.
    pub subject: Subject,
    /// The RoleTemplate.
    pub role: Ref,
    /// The AccessPolicy that allows it. Left out for `Remove`, which no policy has to allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Ref>,
    /// The window of the assignment's spec. Left out if that is permanent. If it is edited later, what was approved has no effect any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Span>,
    /// When the subject is eligible until now. Left out if that is permanent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Span>,
    /// When the subject will be eligible.
    pub window: Span,
    /// What a new assignment gives of the role. Left out for all other actions, which leave that as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives: Option<Gives>,
    /// The stages that must approve. Empty for `Remove`, which takes effect at once.
    #[cfg_attr(feature = "schema", schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic")))]
    pub approval: Vec<ApprovalStage>,
    /// In which order the stages must pass. Left out where it is one after the other.
    #[serde(default, skip_serializing_if = "StageOrder::is_sequential")]
    pub order: StageOrder,
}

impl Terms {
    /// The digest that an approval names.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }

    /// What the operator writes into the status of the assignment.
    pub fn change(&self, name: &str) -> Change {
        let by = Ref { name: name.to_owned(), uid: self.request.clone() };
        Change { window: self.window, replaces: self.replaces, action: self.action, by, digest: self.digest() }
    }

    /// What the operator marks a new assignment with.
    pub fn origin(&self, name: &str) -> Origin {
        Origin { name: name.to_owned(), uid: self.request.clone(), digest: self.digest() }
    }
}

/// What was frozen when an AssignmentRequest was accepted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Frozen {
    /// The terms of that moment.
    pub terms: Terms,
    /// That moment, which opened the first stage of the approval.
    pub accepted_at: Time,
}

/// How an AssignmentRequest has ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The assignment has the new window, or was created.
    Applied,
    /// Not allowed.
    Denied,
    /// Not approved in time.
    TimedOut,
    /// Withdrawn.
    Cancelled,
    /// Could not be resolved or trusted.
    Invalid,
}

impl Outcome {
    /// The outcome of a request that ends for this reason without an effect.
    pub const fn of(reason: Reason) -> Self {
        use crate::reason::TerminalState;
        match reason.terminal_state(false) {
            TerminalState::Denied | TerminalState::Revoked => Outcome::Denied,
            TerminalState::TimedOut | TerminalState::Expired => Outcome::TimedOut,
            TerminalState::Cancelled => Outcome::Cancelled,
            TerminalState::Invalid | TerminalState::Failed => Outcome::Invalid,
        }
    }
}

/// A state of an AssignmentRequest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Not evaluated yet.
    Pending,
    /// Accepted and frozen; approvers decide.
    AwaitingApproval,
    /// It has ended. This is final.
    Ended(Outcome),
}

/// One stored AssignmentRequest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Arc<str>,
    /// When the API server created it.
    pub created: Time,
    /// The authenticated identity that created it.
    pub requester: Arc<UserInfo>,
    /// Whom the assignment makes eligible, as it was frozen: neither they nor the requester may approve.
    pub state: State,
    /// What was frozen.
    pub frozen: Option<Frozen>,
    /// The uid of the assignment that was created for it, once it has ended by that. `None` also where an older build has ended it.
    pub made: Option<String>,
}

/// Counts the decisions about a request against what it froze.
pub fn tally_decisions(request: &Request, decisions: &[DecisionFacts], people: &Recognition) -> Tally {
    tally(&subject(request, people), decisions)
}

/// Why a decision does not count, or what it waits for, in words, where the reason alone does not say it.
pub fn explain_decision(request: &Request, decisions: &[DecisionFacts], tally: &Tally, i: usize, people: &Recognition) -> Option<String> {
    crate::approval::explain(&subject(request, people), decisions, tally, i)
}

fn subject<'a>(request: &'a Request, people: &'a Recognition) -> ApprovalSubject<'a> {
    let none: &[ApprovalStage] = &[];
    let frozen = request.frozen.as_ref();
    ApprovalSubject {
        uid: &request.uid,
        created: request.created,
        requester: &request.requester,
        beneficiary: frozen.map(|f| &f.terms.subject),
        digest: frozen.map(|f| f.terms.digest()),
        accepted_at: frozen.map_or(request.created, |f| f.accepted_at),
        stages: frozen.map_or(none, |f| &f.terms.approval),
        order: frozen.map_or(StageOrder::Sequential, |f| f.terms.order),
        duration: None,
        people,
        break_glass: false,
        reviewable_since: None,
    }
}
