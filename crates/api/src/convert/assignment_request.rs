//! AssignmentRequests, and the windows of assignments that they have changed, as the rules read them.
use super::{assignment, created, names_among, standing::standing_assignment};
use crate::{
    ActiveAssignment, AssignmentRequest, EligibleAssignment,
    active_assignment::{Bounds, StandingWindow},
    assignment::{Between, Delegation, EligibleAssignmentSpec, Window as ApiWindow},
    assignment_request::{Action as ApiAction, AssignmentRef, AssignmentRequestState, AssignmentRequestStatus, New},
};
use curfew_core::{
    approval::DecisionFacts,
    assignment_request::{
        Action, AssignmentKind, Change, Facts, Frozen, Origin, Outcome, Request, SCHEMA, State, effective, proof::Claim, widens,
    },
    ids::Ref,
    policy_inputs::{Assignment, Unproven, Window},
    principal::Subject,
    resolved::Schema,
};
use kube::ResourceExt;
use std::sync::Arc;

/// An assignment about which AssignmentRequests can be made.
pub trait Assigned: ResourceExt {
    /// Its kind.
    const KIND: AssignmentKind;
    /// The window as its spec says; of occurrences that repeat, their bounds.
    fn spec_window(&self) -> Window;
    /// What an AssignmentRequest has made of that, as the status says.
    fn change(&self) -> Option<&Change>;
    /// The AssignmentRequest that has asked for it.
    fn origin(&self) -> Option<&Origin>;
    /// The name of its RoleTemplate.
    fn role(&self) -> &str;
    /// Whom it names.
    fn subject(&self) -> &Subject;
    /// The same as the rules read it, with the window that its status says.
    fn facts(&self) -> Assignment;
}

const fn between(of: &Between) -> Window {
    Window::Between(of.start, of.end)
}

impl Assigned for EligibleAssignment {
    const KIND: AssignmentKind = AssignmentKind::Eligible;
    fn spec_window(&self) -> Window {
        match &self.spec.window {
            ApiWindow::Permanent(_) => Window::Permanent,
            ApiWindow::Between(of) => between(of),
        }
    }
    fn change(&self) -> Option<&Change> {
        self.status.as_ref()?.change.as_ref()
    }
    fn origin(&self) -> Option<&Origin> {
        self.spec.requested_by.as_ref()
    }
    fn role(&self) -> &str {
        &self.spec.role_ref.name
    }
    fn subject(&self) -> &Subject {
        &self.spec.subject
    }
    fn facts(&self) -> Assignment {
        assignment(self)
    }
}

impl Assigned for ActiveAssignment {
    const KIND: AssignmentKind = AssignmentKind::Active;
    fn spec_window(&self) -> Window {
        match &self.spec.window {
            StandingWindow::Permanent(_) => Window::Permanent,
            StandingWindow::Between(of) => between(of),
            StandingWindow::Recurring(all) => match &all.bounds {
                Bounds::Permanent(_) => Window::Permanent,
                Bounds::Between(of) => between(of),
            },
        }
    }
    fn change(&self) -> Option<&Change> {
        self.status.as_ref()?.change.as_ref()
    }
    /// Its author is a person or an agent, and no request.
    fn origin(&self) -> Option<&Origin> {
        None
    }
    fn role(&self) -> &str {
        &self.spec.role_ref.name
    }
    fn subject(&self) -> &Subject {
        &self.spec.subject
    }
    fn facts(&self) -> Assignment {
        standing_assignment(self)
    }
}

/// When an assignment holds: as its status says, which only the operator writes. Before access begins, [`without_proof`] is asked.
pub fn window<A: Assigned>(assignment: &A) -> Window {
    effective(assignment.spec_window(), assignment.change())
}

/// What has made the window of an assignment wider than its spec says.
pub fn widening<A: Assigned>(assignment: &A) -> Option<&Change> {
    assignment.change().filter(|change| widens(assignment.spec_window(), change))
}

/// What an AssignmentRequest must prove before access begins by an assignment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ClaimKind {
    /// That it was asked for.
    Origin,
    /// That its window is wider than its spec says.
    Window,
}

/// What an assignment claims. Nothing, if it is as it was written by hand.
pub fn claims<A: Assigned>(assignment: &A) -> impl Iterator<Item = ClaimKind> {
    [ClaimKind::Origin, ClaimKind::Window].into_iter().filter(|kind| claim(assignment, *kind).is_some())
}

/// What it claims of this kind.
pub fn claim<A: Assigned>(assignment: &A, kind: ClaimKind) -> Option<Claim<'_>> {
    match kind {
        ClaimKind::Origin => assignment.origin().map(|origin| Claim::Origin(origin, assignment.spec_window())),
        ClaimKind::Window => widening(assignment).map(Claim::Window),
    }
}

/// An assignment that lacks the proof of such a claim, for this reason: without that of its window its spec holds; without that of its origin
/// it makes nobody eligible.
#[must_use]
pub fn without_proof<A: Assigned>(assignment: &A, facts: Assignment, kind: ClaimKind, why: String) -> Assignment {
    match (kind, assignment.origin()) {
        (ClaimKind::Origin, Some(origin)) => Assignment { unproven: Some(Unproven { by: origin.name.clone(), why }), ..facts },
        (ClaimKind::Origin, None) => facts,
        (ClaimKind::Window, _) => Assignment { window: assignment.spec_window(), ..facts },
    }
}

/// When an assignment holds, as the operator shows it: by its spec where the operator has found that a wider window is not proven. Only for
/// people; access does not rest on it.
pub fn shown_window(assignment: &EligibleAssignment) -> Window {
    let shown = || assignment.status.as_ref()?.display.as_ref().map(|display| display.ends.clone());
    match (assignment.spec_window(), window(assignment)) {
        (spec @ Window::Between(_, by_spec), Window::Between(_, end))
            if by_spec != end && widening(assignment).is_some() && shown().is_some_and(|shown| shown == by_spec.to_string()) =>
        {
            spec
        }
        (_, window) => window,
    }
}

/// The assignment that a request asks for, as the operator creates it, without the mark; nothing if it asks for none.
pub fn asked_assignment(request: &AssignmentRequest) -> Option<EligibleAssignment> {
    match &request.spec.action {
        ApiAction::New(new) => Some(asked_by(request, new)),
        ApiAction::Extend(_) | ApiAction::Renew(_) | ApiAction::Remove(_) => None,
    }
}

fn asked_by(request: &AssignmentRequest, new: &New) -> EligibleAssignment {
    let New { name, role_ref, subject, scope, permissions, start, until } = new.clone();
    let window = ApiWindow::Between(Between { start: start.unwrap_or_else(|| created(request)), end: until });
    let mut asked = EligibleAssignment::new(
        &name,
        EligibleAssignmentSpec {
            role_ref,
            subject,
            scope,
            permissions,
            window,
            delegation: Delegation::Forbidden,
            justification: Some(request.spec.justification.clone()),
            suspend: false,
            requested_by: None,
        },
    );
    asked.metadata.namespace = request.namespace();
    asked
}

/// An AssignmentRequest as a person wrote it; `manager` is whether RBAC gives them `manage` on the assignment.
pub fn assignment_request_facts(request: &AssignmentRequest, manager: Option<bool>) -> Facts {
    let reference = |of: &AssignmentRef| Ref { name: of.name.clone(), uid: of.uid.clone() };
    Facts {
        namespace: request.namespace().unwrap_or_default(),
        uid: request.uid().unwrap_or_default(),
        created: created(request),
        requester: request.spec.requester.clone().unwrap_or_default(),
        of: request.spec.action.of(),
        action: match &request.spec.action {
            ApiAction::New(new) => Action::New(Box::new(assignment(&asked_by(request, new)))),
            ApiAction::Extend(e) => Action::Extend { assignment: reference(&e.assignment), until: e.until },
            ApiAction::Renew(r) => Action::Renew { assignment: reference(&r.assignment), start: r.start, until: r.until },
            ApiAction::Remove(r) => Action::Remove { assignment: reference(&r.assignment) },
        },
        manager,
    }
}

/// An AssignmentRequest as the rules read it.
pub fn assignment_request(request: &AssignmentRequest) -> Request {
    let status = request.status.as_ref();
    Request {
        name: request.name_any(),
        uid: request.uid().unwrap_or_default().into(),
        created: created(request),
        requester: Arc::new(request.spec.requester.clone().unwrap_or_default()),
        state: match status.and_then(|s| s.state) {
            None | Some(AssignmentRequestState::Pending) => State::Pending,
            // An unknown state makes its schema a newer one, so no rule reads it.
            Some(AssignmentRequestState::AwaitingApproval | AssignmentRequestState::Unknown) => State::AwaitingApproval,
            Some(AssignmentRequestState::Applied) => State::Ended(Outcome::Applied),
            Some(AssignmentRequestState::Denied) => State::Ended(Outcome::Denied),
            Some(AssignmentRequestState::TimedOut) => State::Ended(Outcome::TimedOut),
            Some(AssignmentRequestState::Cancelled) => State::Ended(Outcome::Cancelled),
            Some(AssignmentRequestState::Invalid) => State::Ended(Outcome::Invalid),
        },
        frozen: status.and_then(frozen),
        made: status.and_then(|status| status.assignment_uid.clone()),
    }
}

fn frozen(status: &AssignmentRequestStatus) -> Option<Frozen> {
    let accepted_at = status.approval.as_ref()?.accepted_at?;
    Some(Frozen { terms: status.resolved.clone()?, accepted_at })
}

/// Which build can judge an AssignmentRequest.
pub fn assignment_request_schema(request: &AssignmentRequest) -> Schema {
    let Some(status) = &request.status else { return Schema::Known };
    let newer = status.resolved.as_ref().is_some_and(|terms| terms.schema > SCHEMA);
    if newer || status.state == Some(AssignmentRequestState::Unknown) { Schema::Newer } else { Schema::Known }
}

/// Whether the status of an AssignmentRequest names this decision: as an approval that filled a stage, or as what ended it.
pub fn assignment_request_names(status: &AssignmentRequestStatus, decision: &DecisionFacts) -> bool {
    names_among(status.approval.as_ref(), status.ended_by.as_ref(), decision)
}
