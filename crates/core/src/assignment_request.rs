//! AssignmentRequests: a person asks to extend, renew or remove an EligibleAssignment. Pure.
//!
//! What is approved changes the *effective window* of the assignment and nothing else: the operator writes a [`Change`] into the
//! assignment's status, and the spec, which Git owns, stays as it is.
//!
//! | Module | What it decides |
//! |---|---|
//! | [`window`] | when an assignment holds, by its spec and the change in its status |
//! | [`decide`] | the state machine of an AssignmentRequest |
//! | [`proof`] | whether the change in a status was really approved, before access rests on it |
//! | [`resolve`] | who may ask for what, and when |
//! | [`last_holder`] | whether the last assignment that makes anybody eligible would be removed |
pub mod decide;
pub mod last_holder;
pub mod proof;
pub mod resolve;
pub mod window;

#[cfg(test)]
mod sample;

pub use window::{Change, Span, effective, widens};

use crate::{
    approval::{ApprovalStage, ApprovalSubject, DecisionFacts, StageOrder, Tally, tally},
    digest::Digest,
    ids::Ref,
    principal::{Recognition, Subject, UserInfo},
    reason::Reason,
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The form of [`Terms`] that this build writes. A build that meets a higher number leaves the request alone.
pub const SCHEMA: u32 = 1;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
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
            Action::Extend { assignment, .. } | Action::Renew { assignment, .. } | Action::Remove { assignment } => assignment,
        }
    }
    /// Its kind.
    pub const fn kind(&self) -> ActionKind {
        match self {
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
    /// A later end, before the present one.
    Extend,
    /// A new window, after the last one has ended.
    Renew,
    /// The end, now.
    Remove,
}

impl ActionKind {
    /// The verb, for messages.
    pub const fn verb(self) -> &'static str {
        match self {
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
    /// Whether RBAC gives the requester `manage` on the assignment; `None` while the access review fails.
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
    /// The EligibleAssignment.
    pub assignment: Ref,
    /// Whom it makes eligible.
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
    /// The assignment has the new window.
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
