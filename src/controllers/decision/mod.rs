//! AccessDecisions: judges those about Grants and those about nothing. A review about a Grant is judged by [`review`].
//!
//! A decision about a request is judged by that request's own reconcile, which has the tally. Both publish through [`status`].
mod review;
pub mod status;

use super::{Context, WaitingForProof, convert, emergency, grant::abandon};
use crate::timing::timing;
use crate::{
    api::{AccessDecision, Grant},
    kube_writes,
    runtime::{
        changes::{self, DecisionSubject},
        engine::{NextRun, Place, Placement, Reconciler},
        stores::Key,
    },
};
use async_trait::async_trait;
use curfew_core::{
    admission::Provenance,
    approval::{Counted, Verb, stalls_at},
    lanes::{Limits, Urgency, fair},
    requeue::Requeue,
    resolved::Schema,
    time::Time,
    verdict,
};
use kube::{Api, ResourceExt};
use status::RequestRef;
pub use status::is_settled;
use std::{sync::Arc, time::Duration};

/// The limits of a namespace's lane.
const LIMITS: Limits = Limits { width: 2, per_minute: None, batch: 1 };

/// The controller of AccessDecisions.
pub struct DecisionController {
    ctx: Arc<Context>,
}

impl DecisionController {
    /// A controller that has judged nothing yet.
    pub fn new(ctx: Arc<Context>) -> Self {
        DecisionController { ctx }
    }

    async fn judge(&self, key: &Key) -> kube::Result<Requeue> {
        let ctx = &self.ctx;
        let Some(decision) = ctx.stores.decision(key).filter(|decision| ctx.authority.leads() && !is_settled(decision)) else {
            return Ok(Requeue::OnChange);
        };
        if !ctx.audit.has_room() {
            return Ok(Requeue::Backoff);
        }
        emergency::tell(ctx, &*decision, decision.spec.decider.as_ref(), decision.status.is_none()).await?;
        if ctx.judged.is_stale(key, &decision.resource_version().unwrap_or_default()) {
            return Ok(Requeue::At(Time::from_millis(ctx.now().as_millis() + 100)));
        }
        match changes::subject(&decision) {
            DecisionSubject::Request(request) if ctx.stores.requests.summary(&request).is_some() => Ok(Requeue::OnChange),
            DecisionSubject::AssignmentRequest(request) if ctx.stores.assignment_requests.summary(&request).is_some() => {
                Ok(Requeue::OnChange)
            }
            // Only a live read proves that the request does not exist. One that the watch has not brought yet judges the
            // decision when it arrives.
            DecisionSubject::Request((namespace, name)) => {
                let exists = kube_writes::requests(&ctx.client, &namespace).get_opt(&name).await?.is_some();
                self.judge_about_nothing(&decision, exists).await
            }
            DecisionSubject::AssignmentRequest((namespace, name)) => {
                let exists = kube_writes::assignment_requests(&ctx.client, &namespace).get_opt(&name).await?.is_some();
                self.judge_about_nothing(&decision, exists).await
            }
            DecisionSubject::Grant(id) => match ctx.stores.grant(&id) {
                Some(grant) => self.judge_about_grant(&decision, &grant).await,
                None => {
                    let exists = Api::<Grant>::all(ctx.client.clone()).get_opt(&id).await?.is_some();
                    self.judge_about_nothing(&decision, exists).await
                }
            },
        }
    }

    async fn judge_about_nothing(&self, decision: &AccessDecision, exists: bool) -> kube::Result<Requeue> {
        if !exists {
            status::publish(&self.ctx, decision, verdict::ABOUT_NOTHING.into(), None).await?;
        }
        Ok(Requeue::OnChange)
    }

    /// Judges a decision about a Grant. A change of the Grant triggers it again, so only time and proofs are waited for here.
    async fn judge_about_grant(&self, decision: &AccessDecision, grant: &Grant) -> kube::Result<Requeue> {
        if convert::grant_schema(grant) == Schema::Newer {
            return Ok(Requeue::OnChange);
        }
        let request = RequestRef { name: &grant.spec.request.name, uid: &grant.spec.request.uid };
        if decision.spec.decision == Verb::Review {
            return review::judge(&self.ctx, decision, grant, request).await;
        }
        let (counted, provenance) = match verdict::about_grant(convert::grant_state(grant)) {
            Some(counted) => (counted, Provenance::Verified),
            None => abandon::evaluate(&self.ctx, grant, decision).await?,
        };
        status::publish(&self.ctx, decision, counted.into(), Some(request)).await?;
        let stalls_at = stalls_at(grant.spec.expires_at, timing().stalled_secs);
        Ok(match counted {
            Counted::Waiting if provenance == Provenance::Pending => {
                self.ctx.wait_for_proof(WaitingForProof::Decision(changes::key(decision)), [convert::seen(decision)]);
                Requeue::Backoff
            }
            Counted::Waiting if self.ctx.now() < stalls_at => Requeue::At(stalls_at),
            Counted::Waiting | Counted::Yes | Counted::No(_) => Requeue::OnChange,
        })
    }
}

#[async_trait]
impl Reconciler<Key> for DecisionController {
    async fn reconcile(&self, key: &Key, _: &Place<Key>) -> NextRun {
        NextRun::of(self.judge(key).await.unwrap_or_else(|error| {
            tracing::info!(namespace = key.0, decision = key.1, %error, "cannot judge a decision; it is tried again");
            Requeue::Backoff
        }))
    }

    /// A narrow lane for each namespace, so that a flood in one keeps the API server busy with a few calls at a time and holds up no
    /// other.
    fn lane(&self, key: &Key) -> Placement {
        let Some(decision) = self.ctx.stores.decision(key) else { return Placement::anywhere() };
        let decider = decision.spec.decider.as_ref().map(|decider| decider.username.as_str()).unwrap_or_default();
        let waiting = self.ctx.stores.open_decisions_by(&key.0, decider);
        let due = fair(super::convert::created(&*decision), waiting);
        Placement { lane: key.0.clone(), limits: LIMITS, urgency: Urgency::Other, due }
    }

    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}
