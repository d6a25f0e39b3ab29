//! ActiveAssignments: standing access. One reconcile reads top to bottom: plan the activations, foresee what the next one would be granted,
//! request it, publish status.
//!
//! The operator gives standing access by ActivationRequests of its own, which go the way of every other request: so each has a Grant, a
//! fence, a deadline that never moves, and an end that is proven. This controller only creates them. What they rest on is judged again, live,
//! by the request's controller, which also ends them when it no longer holds.
pub mod activation;
mod status;

use super::{Context, WaitingForProof, convert, dereference};
use crate::{
    api::{ActiveAssignment, conditions},
    kube_writes::{self, WriteOutcome},
    runtime::{
        engine::{NextRun, Placement, Reconciler},
        stores::Key,
    },
    timing::timing,
};
use async_trait::async_trait;
use curfew_core::{
    admission::Provenance,
    duration::Duration as Ceiling,
    occurrences::{Occurrence, Pace, plan},
    reason::Reason,
    requeue::Requeue,
    resolved::Terms,
    terms::Refusal,
    time::Time,
};
use kube::ResourceExt;
use status::Found;
use std::{sync::Arc, time::Duration};

/// How soon to look again where the API server's clock is behind this node's, in milliseconds.
const LAG_MS: i64 = 100;

/// The controller of ActiveAssignments.
pub struct ActiveAssignmentController {
    ctx: Arc<Context>,
}

impl ActiveAssignmentController {
    /// A controller over this state.
    pub fn new(ctx: Arc<Context>) -> Self {
        ActiveAssignmentController { ctx }
    }

    async fn run(&self, key: &Key) -> kube::Result<NextRun> {
        let ctx = &self.ctx;
        let Some(object) = ctx.stores.active_assignment(key).filter(|object| object.metadata.deletion_timestamp.is_none()) else {
            return Ok(NextRun::of(Requeue::OnChange));
        };
        if !ctx.authority.leads() {
            return Ok(NextRun::of(Requeue::OnChange));
        }
        let facts = convert::active_assignment(&object, &ctx.admission());
        if facts.provenance == Provenance::Pending {
            ctx.wait_for_proof(WaitingForProof::Standing(key.clone()), [convert::seen(&*object)]);
        }

        // Plan (pure): from the window and from what is requested already.
        let ceiling = ctx.stores.config().map_or_else(|| Ceiling::from_secs(86_400), |config| config.spec.ceilings.duration.clone());
        let held = activation::held(ctx, &object.uid().unwrap_or_default());
        let present: Vec<Occurrence> = held.iter().map(|held| held.when).collect();
        let now = ctx.now();
        let planned = plan(&facts.schedule(), Pace::under(&ceiling), &present, now);

        // Foresee (stores, and the target where it has no watch).
        let verdict = match planned.create.or(planned.current) {
            Some(when) => Some(self.foresee(&object, &when).await),
            None => None,
        };

        // Request it (client). What of this has changed meanwhile is judged by the request's controller.
        let requested = match (planned.create, &verdict) {
            (Some(when), Some(Ok(terms))) => self.request(&object, &when, terms).await,
            (_, _) => Ok(None),
        };
        let obstacle =
            requested.as_ref().map_or_else(|error| Some(format!("the next activation cannot be requested: {error}")), Clone::clone);

        // Publish.
        let waits = verdict.as_ref().is_some_and(|found| matches!(found, Err(why) if is_unknown(why)));
        let found = Found { facts: &facts, verdict: verdict.map(|found| found.map(drop)), held: &held, obstacle };
        status::publish(ctx, &object, &status::status(&object, &found, now)).await?;
        requested?;
        let wake = planned.wake.map(|at| at.max(Time::from_millis(ctx.now().as_millis() + LAG_MS)));
        let requeue = match wake {
            _ if waits => Requeue::Backoff,
            Some(at) => Requeue::At(at),
            None => Requeue::OnChange,
        };
        Ok(NextRun { deadline: wake, ..NextRun::of(requeue) })
    }

    /// What this activation would be granted now, if it were requested.
    async fn foresee(&self, object: &Arc<ActiveAssignment>, when: &Occurrence) -> Result<Terms, Refusal> {
        let request = activation::as_created(activation::request(object, when), self.ctx.now());
        dereference::foresee(&self.ctx, request, object.clone()).await
    }

    /// Requests an activation. Returns why it is not to be had, if one of its name has ended: what a person has ended is not begun again.
    async fn request(&self, object: &ActiveAssignment, when: &Occurrence, terms: &Terms) -> kube::Result<Option<String>> {
        let ctx = &self.ctx;
        let Some(permit) = ctx.authority.permit() else { return Ok(None) };
        if !ctx.audit.has_room() {
            return Ok(None);
        }
        let mut request = activation::request(object, when);
        let name = activation::name(ctx, object, when, terms);
        request.metadata.name = Some(name.clone());
        match kube_writes::request_activation(&ctx.client, &request, &permit).await {
            WriteOutcome::Failed(error) => Err(error),
            WriteOutcome::Stored(Some(_)) | WriteOutcome::Conflict => Ok(None),
            WriteOutcome::Stored(None) => self.ended(object, &name).await,
        }
    }

    /// How the activation of this name has ended, in words; nothing if it has not: the watch shows it soon.
    async fn ended(&self, object: &ActiveAssignment, name: &str) -> kube::Result<Option<String>> {
        let namespace = object.namespace().unwrap_or_default();
        let Some(request) = kube_writes::requests(&self.ctx.client, &namespace).get_opt(name).await? else { return Ok(None) };
        let Some(status) = request.status.filter(|status| status.state.and_then(|state| state.outcome()).is_some()) else {
            return Ok(None);
        };
        let why = conditions::find(&status.conditions, "Complete").map(|complete| complete.reason.clone()).or(status.reason);
        let state = status.state.map(|state| format!("{state:?}")).unwrap_or_default();
        let why = why.unwrap_or_default();
        Ok(Some(format!(
            "activation {name} has ended as {state} ({why}) and is not repeated; an edit of the assignment or its role begins another one, and so does its next time"
        )))
    }
}

/// Whether it is unknown at the moment what would be granted.
fn is_unknown(refusal: &Refusal) -> bool {
    matches!(refusal.reason, Reason::NotProvenYet | Reason::TargetUnreachable)
}

#[async_trait]
impl Reconciler<Key> for ActiveAssignmentController {
    async fn reconcile(&self, key: &Key) -> NextRun {
        self.run(key).await.unwrap_or_else(|error| {
            tracing::warn!(namespace = key.0, name = key.1, %error, "cannot continue the access of an ActiveAssignment; it is tried again");
            NextRun::of(Requeue::Backoff)
        })
    }
    fn lane(&self, _: &Key) -> Placement {
        Placement::anywhere()
    }
    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}
