//! Deletes ended requests and decisions past their retention (`curfew_core::retention`). A decision is kept at least as long as
//! what it is about exists. Grants are deleted by their own controller.
use super::{
    Context, assignment_request,
    convert::{self, Assigned},
};
use crate::{
    api::{AccessDecision, ActivationRequest, AssignmentRequest, EligibleAssignment, conditions, request::RequestState},
    kube_writes,
    runtime::{
        changes::{self, AssignmentRequestGroup, DecisionSubject, subject},
        projection,
    },
    timing::timing,
};
use curfew_core::{
    approval::review::ReviewState,
    assignment_request::origin,
    duration::Period,
    reason::Reason,
    retention::{self, Kept},
    time::Time,
};
use futures::{StreamExt, stream};
use kube::ResourceExt;
use std::sync::Arc;

/// How many objects are deleted at a time.
const CONCURRENCY: usize = 4;

/// Deletes what is past its retention until the process ends.
pub async fn run(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(timing().retention_every).await;
        if ctx.authority.leads() && ctx.authority.synced() {
            delete_expired(&ctx).await;
        }
    }
}

async fn delete_expired(ctx: &Context) {
    let (now, retention) = (ctx.now(), ctx.stores.config().map(|config| config.spec.retention));
    let requests = ctx.stores.requests.state_filter(|request| request_kept_until(request, retention).is_some_and(|end| now >= end));
    let delete = stream::iter(requests).for_each_concurrent(CONCURRENCY, async |request| {
        let api = kube_writes::requests(&ctx.client, &request.namespace().unwrap_or_default());
        if let Err(error) = kube_writes::delete_expired(&api, &*request).await {
            tracing::info!(name = request.name_any(), namespace = request.namespace(), %error, "cannot delete a request past its retention");
        }
    });
    delete.await;
    let applied = ctx.stores.assignment_requests.state_filter(|request| {
        assignment_request_kept_until(request, retention).is_some_and(|end| now >= end) && !assignment_request::is_in_effect(ctx, request)
    });
    let delete = stream::iter(applied).for_each_concurrent(CONCURRENCY, async |request| {
        let api = kube_writes::assignment_requests(&ctx.client, &request.namespace().unwrap_or_default());
        if let Err(error) = kube_writes::delete_expired(&api, &*request).await {
            tracing::info!(name = request.name_any(), namespace = request.namespace(), %error, "cannot delete a request past its retention");
        }
    });
    delete.await;
    // It takes eligibility away, so it needs what every change of access needs.
    if ctx.authority.permit().is_some() {
        delete_requested_assignments(ctx, now).await;
    }
    let Some(retention) = retention else { return };
    let decisions =
        ctx.stores.decisions.state_filter(|decision| now >= decision_kept_until(decision, retention) && !subject_exists(ctx, decision));
    let delete = stream::iter(decisions).for_each_concurrent(CONCURRENCY, async |decision| {
        let api = kube_writes::decisions(&ctx.client, &decision.namespace().unwrap_or_default());
        if let Err(error) = kube_writes::delete_expired(&api, &*decision).await {
            tracing::info!(name = decision.name_any(), namespace = decision.namespace(), %error, "cannot delete a decision past its retention");
        }
    });
    delete.await;
}

/// Deletes what the operator has created for an AssignmentRequest, some time after its end. What people have written is theirs.
async fn delete_requested_assignments(ctx: &Context, now: Time) {
    let is_over = |assignment: &EligibleAssignment| assignment_kept_until(assignment).is_some_and(|end| now >= end);
    let over = ctx.stores.assignments.state_filter(|assignment| {
        let about = |uid: String| {
            let (namespace, name) = changes::key(assignment);
            ctx.stores.live_assignment_requests(&AssignmentRequestGroup::Assignment((namespace, name, uid)))
        };
        is_over(assignment) && assignment.uid().is_some_and(|uid| about(uid).is_empty())
    });
    let delete = stream::iter(over).for_each_concurrent(CONCURRENCY, async |assignment| {
        if let Err(error) = kube_writes::delete_requested_assignment(&ctx.client, &assignment).await {
            tracing::info!(name = assignment.name_any(), namespace = assignment.namespace(), %error, "cannot delete an assignment past its retention");
        }
    });
    delete.await;
}

/// When an assignment that the operator created may be deleted; `None` for every other assignment, and if a GitOps tool applies it.
fn assignment_kept_until(assignment: &EligibleAssignment) -> Option<Time> {
    let of_operator = assignment.origin().is_some() && !projection::is_tracked(assignment);
    origin::kept_until(Some(convert::window(assignment)).filter(|_| of_operator)?)
}

/// Until when an ended request is kept; `None` while it has not ended, and where a GitOps tool or an outstanding review keeps it.
fn request_kept_until(request: &ActivationRequest, retention: Option<Period>) -> Option<Time> {
    let status = request.status.as_ref()?;
    status.state.and_then(RequestState::outcome)?;
    let kept = match convert::review(status) {
        ReviewState::Required => Kept::UntilReviewed,
        ReviewState::NotRequired | ReviewState::Reviewed if projection::is_tracked(request) => Kept::ByGitOps,
        ReviewState::NotRequired | ReviewState::Reviewed => Kept::ForAWhile,
    };
    retention::request(status.ended_at?, request.spec.ttl_after_finished, retention, kept)
}

/// The same for an AssignmentRequest. One whose window an assignment has is kept as its proof ([`assignment_request::is_in_effect`]).
fn assignment_request_kept_until(request: &AssignmentRequest, retention: Option<Period>) -> Option<Time> {
    let ended_at = request.status.as_ref()?.ended_at?;
    let kept = if projection::is_tracked(request) { Kept::ByGitOps } else { Kept::ForAWhile };
    retention::request(ended_at, request.spec.ttl_after_finished, retention, kept)
}

fn decision_kept_until(decision: &AccessDecision, retention: Period) -> Time {
    let counted = decision.status.as_ref().and_then(|status| conditions::find(&status.conditions, "Counted"));
    let never = counted.is_some_and(|counted| counted.status == "False" && counted.reason == Reason::NotFound.as_str());
    retention::decision(convert::created(decision), never, retention, timing().about_nothing_secs)
}

fn subject_exists(ctx: &Context, decision: &AccessDecision) -> bool {
    match subject(decision) {
        DecisionSubject::Request(request) => ctx.stores.request(&request).is_some(),
        DecisionSubject::AssignmentRequest(request) => ctx.stores.assignment_request(&request).is_some(),
        DecisionSubject::Grant(id) => ctx.stores.grant(&id).is_some(),
    }
}
