//! Deletes ended requests and decisions past their retention (`curfew_core::retention`). A decision is kept at least as long as
//! what it is about exists. Grants are deleted by their own controller.
use super::{
    Context, assignment_request,
    convert::{self, Assigned},
};
use crate::{
    api::{
        AccessDecision, ActiveAssignment, AssignmentRequest, EligibleAssignment, Grant, assignment_request::AssignmentRequestState,
        conditions,
    },
    kube_writes,
    runtime::{
        changes::{self, AssignmentRequestGroup, DecisionSubject, subject},
        kept::{Kept as _, RequestSummary},
        projection,
    },
    timing::timing,
};
use curfew_core::{
    assignment_request::{AssignmentKind, origin},
    duration::Period,
    reason::Reason,
    retention::{self, Kept},
    time::Time,
};
use futures::{StreamExt, stream};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc};

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
    let is_over = |request: RequestSummary| request.kept_until(retention).is_some_and(|end| now >= end);
    let over = ctx.stores.requests.summarise(|request| is_over(request).then_some(()));
    // Another one may have its name meanwhile.
    let requests = over.iter().filter_map(|(key, ())| ctx.stores.request(key)).filter(|request| is_over(request.summary()));
    let requests: Vec<_> = requests.collect();
    let delete = stream::iter(requests).for_each_concurrent(CONCURRENCY, async |request| {
        let api = kube_writes::requests(&ctx.client, &request.namespace().unwrap_or_default());
        if let Err(error) = kube_writes::delete_expired(&api, &*request).await {
            tracing::info!(name = request.name_any(), namespace = request.namespace(), %error, "cannot delete a request past its retention");
        }
    });
    delete.await;
    let applied = ctx.stores.assignment_requests.filter(|request| {
        assignment_request_kept_until(request, retention).is_some_and(|end| now >= end) && !assignment_request::is_in_effect(ctx, request)
    });
    let delete = stream::iter(applied).for_each_concurrent(CONCURRENCY, async |request| {
        let api = kube_writes::assignment_requests(&ctx.client, &request.namespace().unwrap_or_default());
        if assignment_request::assignment_of(ctx, &request).is_none() && may_be_a_proof(&ctx.client, &request).await {
            return;
        }
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
        ctx.stores.decisions.filter(|decision| now >= decision_kept_until(decision, retention) && !subject_exists(ctx, decision));
    let delete = stream::iter(decisions).for_each_concurrent(CONCURRENCY, async |decision| {
        if may_be_decided_about(&ctx.client, &decision).await {
            return;
        }
        let api = kube_writes::decisions(&ctx.client, &decision.namespace().unwrap_or_default());
        if let Err(error) = kube_writes::delete_expired(&api, &*decision).await {
            tracing::info!(name = decision.name_any(), namespace = decision.namespace(), %error, "cannot delete a decision past its retention");
        }
    });
    delete.await;
}

/// Whether an applied request may be the proof of an assignment that the stores do not show: one that a newer build has written and this one
/// cannot read is missing there.
async fn may_be_a_proof(client: &Client, request: &AssignmentRequest) -> bool {
    if request.status.as_ref().and_then(|status| status.state) != Some(AssignmentRequestState::Applied) {
        return false;
    }
    let (namespace, name, _) = changes::assignment_of(request);
    match request.spec.action.of() {
        AssignmentKind::Eligible => may_exist(&Api::<EligibleAssignment>::namespaced(client.clone(), &namespace), &name).await,
        AssignmentKind::Active => may_exist(&Api::<ActiveAssignment>::namespaced(client.clone(), &namespace), &name).await,
    }
}

/// The same of what a decision is about.
async fn may_be_decided_about(client: &Client, decision: &AccessDecision) -> bool {
    match subject(decision) {
        DecisionSubject::Request((namespace, name)) => may_exist(&kube_writes::requests(client, &namespace), &name).await,
        DecisionSubject::AssignmentRequest((namespace, name)) => {
            may_exist(&kube_writes::assignment_requests(client, &namespace), &name).await
        }
        DecisionSubject::Grant(name) => may_exist(&Api::<Grant>::all(client.clone()), &name).await,
    }
}

/// Whether there may be an object of this name, by its metadata, which every build can read. Without an answer there may be.
async fn may_exist<K>(api: &Api<K>, name: &str) -> bool
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    // Named, a list is one read, and the operator has the right to it.
    match api.list_metadata(&ListParams::default().fields(&format!("metadata.name={name}"))).await {
        Ok(found) => !found.items.is_empty(),
        Err(error) => {
            tracing::info!(kind = %K::kind(&()), name, %error, "cannot read whether it exists; what depends on it is kept");
            true
        }
    }
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

/// Until when an ended AssignmentRequest is kept, as for a request. One whose window an assignment has is kept as its proof ([`assignment_request::is_in_effect`]).
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
        DecisionSubject::Request(request) => ctx.stores.requests.summary(&request).is_some(),
        DecisionSubject::AssignmentRequest(request) => ctx.stores.assignment_requests.summary(&request).is_some(),
        DecisionSubject::Grant(id) => ctx.stores.grant_summary(&id).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use std::{convert::Infallible, sync::Mutex};

    /// An API server that answers each call with this code and list, and what it was asked.
    fn server(code: u16, items: Value) -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let service = tower::service_fn(move |ask: Request<Body>| {
            log.lock().unwrap().push(ask.uri().to_string());
            let list = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": items});
            let refused = json!({"kind": "Status", "status": "Failure", "reason": "InternalError", "code": code, "message": "not now"});
            let body = if code == 200 { list } else { refused };
            async move { Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()) }
        });
        (Client::new(service, "default"), asked)
    }

    fn applied(state: &str) -> AssignmentRequest {
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "AssignmentRequest", "metadata": {"name": "longer", "namespace": "payments", "uid": "r1"},
            "spec": {"justification": "x", "requester": {"username": "alice", "groups": []},
                "action": {"extend": {"assignment": {"name": "alice", "uid": "a1"}, "until": "2026-11-23T12:00:00Z"}}},
            "status": {"state": state, "conditions": []},
        });
        serde_json::from_value(object).unwrap()
    }

    /// After a rollback the stores lack what a newer build has written.
    #[tokio::test]
    async fn a_proof_is_kept_while_what_it_proves_exists_or_may_exist() {
        let item = json!([{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "alice", "namespace": "payments"}}]);
        for (code, items, state, kept) in [
            (200, item.clone(), "Applied", true),
            (200, json!([]), "Applied", false),
            (500, json!([]), "Applied", true),
            (200, item.clone(), "Denied", false),
        ] {
            let (client, asked) = server(code, items);
            assert_eq!(may_be_a_proof(&client, &applied(state)).await, kept, "{code} {state}");
            let asked = asked.lock().unwrap();
            let by_name =
                asked.iter().all(|uri| uri.contains("/namespaces/payments/eligibleassignments?") && uri.contains("metadata.name%3Dalice"));
            assert!(by_name && asked.len() == usize::from(state == "Applied"), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn a_decision_is_kept_while_what_it_is_about_exists_or_may_exist() {
        let about = |what: Value| -> AccessDecision {
            let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": "d", "namespace": "payments"},
                "spec": {"about": what, "decision": "Approve"}});
            serde_json::from_value(object).unwrap()
        };
        let item = json!([{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "x"}}]);
        for (what, path) in [
            (json!({"activationRequest": {"name": "x"}}), "/namespaces/payments/activationrequests?"),
            (json!({"assignmentRequest": {"name": "x"}}), "/namespaces/payments/assignmentrequests?"),
            (json!({"grant": {"name": "x"}}), "/v1alpha1/grants?"),
        ] {
            for (code, items, kept) in [(200, item.clone(), true), (200, json!([]), false), (503, json!([]), true)] {
                let (client, asked) = server(code, items);
                assert_eq!(may_be_decided_about(&client, &about(what.clone())).await, kept, "{what} {code}");
                assert!(asked.lock().unwrap()[0].contains(path), "{asked:?}");
            }
        }
    }
}
