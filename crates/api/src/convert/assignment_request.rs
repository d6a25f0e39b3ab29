//! AssignmentRequests, and the windows of assignments that they have changed, as the rules read them.
use super::{created, names_among};
use crate::{
    AssignmentRequest, EligibleAssignment,
    assignment::Window as ApiWindow,
    assignment_request::{Action as ApiAction, AssignmentRequestState, AssignmentRequestStatus},
    request::UidRef,
};
use curfew_core::{
    approval::DecisionFacts,
    assignment_request::{Action, Change, Facts, Frozen, Outcome, Request, SCHEMA, State, effective, widens},
    ids::Ref,
    policy_inputs::{Assignment, Window},
    resolved::Schema,
};
use kube::ResourceExt;
use std::sync::Arc;

/// The window of an assignment as its spec says.
pub fn spec_window(assignment: &EligibleAssignment) -> Window {
    match &assignment.spec.window {
        ApiWindow::Permanent(_) => Window::Permanent,
        ApiWindow::Between(between) => Window::Between(between.start, between.end),
    }
}

/// What an AssignmentRequest has made of it, as the status says.
pub fn change(assignment: &EligibleAssignment) -> Option<&Change> {
    assignment.status.as_ref()?.change.as_ref()
}

/// When an assignment holds: as its status says, which only the operator writes. Before access begins, [`without_unproven_change`] is asked.
pub fn window(assignment: &EligibleAssignment) -> Window {
    effective(spec_window(assignment), change(assignment))
}

/// What has made the window of an assignment wider than its spec says.
pub fn widening(assignment: &EligibleAssignment) -> Option<&Change> {
    change(assignment).filter(|change| widens(spec_window(assignment), change))
}

/// When an assignment holds, as the operator shows it: by its spec where the operator has found that a wider window is not proven. Only for
/// people; access does not rest on it.
pub fn shown_window(assignment: &EligibleAssignment) -> Window {
    let shown = || assignment.status.as_ref()?.display.as_ref().map(|display| display.ends.clone());
    match (spec_window(assignment), window(assignment)) {
        (spec @ Window::Between(_, by_spec), Window::Between(_, end))
            if by_spec != end && widening(assignment).is_some() && shown().is_some_and(|shown| shown == by_spec.to_string()) =>
        {
            spec
        }
        (_, window) => window,
    }
}

/// An assignment whose change was not proven to be approved: its spec holds.
#[must_use]
pub fn without_unproven_change(assignment: &EligibleAssignment, facts: Assignment) -> Assignment {
    Assignment { window: spec_window(assignment), ..facts }
}

/// An AssignmentRequest as a person wrote it; `manager` is whether RBAC gives them `manage` on the assignment.
pub fn assignment_request_facts(request: &AssignmentRequest, manager: Option<bool>) -> Facts {
    let reference = |of: &UidRef| Ref { name: of.name.clone(), uid: of.uid.clone() };
    Facts {
        namespace: request.namespace().unwrap_or_default(),
        uid: request.uid().unwrap_or_default(),
        created: created(request),
        requester: request.spec.requester.clone().unwrap_or_default(),
        action: match &request.spec.action {
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
