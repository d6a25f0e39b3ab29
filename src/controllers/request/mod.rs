//! ActivationRequests. One reconcile reads top to bottom: dereference, evaluate and run effects, publish status.
mod break_glass;
mod effects;
pub mod extended;
mod fresh_decisions;
pub mod held;
mod known;
pub mod slots;
pub(in crate::controllers) mod status;
pub(in crate::controllers) mod waiting;

use super::{
    Context, convert, decision,
    dereference::{self, Source},
    emergency,
};
use crate::timing::timing;
use crate::{
    api::{ActivationRequest, request::RequestState},
    controllers::decision::status::{RequestRef, Verdict},
    kube_writes::{self, WriteOutcome},
    runtime::{
        changes::{self, DecisionSubject},
        driver::drive,
        engine::{self, NextRun, Place, Placement, Reconciler},
        expectations::Expectations,
        stores::Key,
    },
    traces::life::About,
};
use async_trait::async_trait;
use curfew_core::{
    lanes::{Limits, Urgency, fair},
    reason::Reason,
    reconcile::Reconcile,
    requeue::Requeue,
    resolved::Schema,
    time::Time,
};
use effects::RequestEffects;
use known::Known;
use kube::{Api, ResourceExt};
use std::{sync::Arc, time::Duration};

/// How soon to look again when the watch lags behind our own write, in milliseconds.
const LAG_MS: i64 = 100;

/// The lane of requests whose system is not known: no system can have this name. It is narrow: most of them make no sense, and a flood of
/// them keeps the API server busy with a few calls at a time.
const NO_SYSTEM: &str = "?";
const NARROW: Limits = Limits { width: 2, per_minute: None, batch: 1 };

/// The controller of ActivationRequests.
pub struct RequestController {
    ctx: Arc<Context>,
    expectations: Expectations<Key>,
}

impl RequestController {
    /// A controller that expects no writes yet.
    pub fn new(ctx: Arc<Context>) -> Self {
        RequestController { ctx, expectations: Expectations::default() }
    }

    /// Lets its trace know what is stored. Nothing else depends on it, so a read that fails costs spans.
    async fn trace(&self, key: &Key, stored: &ActivationRequest) {
        let (traces, grant) = (&self.ctx.traces, |request: &ActivationRequest| {
            self.ctx.stores.grant(request.status.as_ref()?.grant_ref.as_ref()?.name.as_str())
        });
        if !traces.take_wanted(About::Activation, key) {
            return traces.request_seen(stored, || grant(stored), false, self.ctx.now());
        }
        // Of what has ended the stores keep little.
        match Api::<ActivationRequest>::namespaced(self.ctx.client.clone(), &key.0).get_opt(&key.1).await {
            Ok(Some(live)) => traces.request_seen(&live, || grant(&live), true, self.ctx.now()),
            Ok(None) => {}
            Err(error) => tracing::info!(namespace = key.0, name = key.1, %error, "cannot read a request for its trace"),
        }
    }

    async fn run(&self, key: &Key) -> kube::Result<NextRun> {
        let ctx = &self.ctx;
        let outdated = self.expectations.take_outdated(key);
        let Some(stored) = ctx.stores.request(key) else { return Ok(NextRun::of(Requeue::OnChange)) };
        let before = stored.resource_version().unwrap_or_default();
        if !outdated && self.expectations.is_stale(key, &before) {
            return Ok(NextRun::of(Requeue::At(Time::from_millis(ctx.now().as_millis() + LAG_MS))));
        }
        // Everything about it is left to the build that wrote it; its Grant ends at its own deadline.
        if convert::request_schema(&stored) == Schema::Newer {
            return Ok(NextRun::of(Requeue::OnChange));
        }
        self.trace(key, &stored).await;
        if !outdated && self.is_complete(key, &stored) {
            return Ok(NextRun::of(Requeue::OnChange));
        }
        if !ctx.audit.has_room() && !is_granted(&stored) {
            return Ok(NextRun::of(Requeue::Backoff));
        }
        emergency::tell(ctx, &*stored, stored.spec.requester.as_ref(), stored.status.is_none()).await?;
        tracing::debug!(request.uid = stored.uid(), namespace = key.0, name = key.1, "reconcile");

        // Dereference: from the watches, or live after a conflict, and who is a manager from the API server (client).
        let source = if outdated { Source::Live } else { Source::Stores };
        let dereferenced = dereference::dereference(ctx, key, source).await?;
        let Some(known) = Known::new(ctx, dereferenced).await else { return Ok(NextRun::of(Requeue::OnChange)) };

        // Evaluate (pure), and run the effects that it requests (client).
        let reconcile = Reconcile::request(known.view.clone());
        let effects = RequestEffects::new(ctx.clone(), key.clone(), known);
        let requeue = match drive(&effects, reconcile).await {
            // A start goes by the API server's clock, and the engine by this node's, which may be ahead.
            Requeue::At(at) if at <= ctx.now() => Requeue::At(Time::from_millis(ctx.now().as_millis() + LAG_MS)),
            requeue => requeue,
        };
        let known = effects.known();
        if known.object.resource_version().unwrap_or_default() != before {
            self.expectations.expect_after(key, &before);
        }
        if requeue == Requeue::Stale {
            self.expectations.outdated(key);
        }

        break_glass::tell_again(ctx, &known.object, &known.request);
        // Publish status from what this run knows (client). An error here changes nothing about when it runs again.
        if let Err(error) = self.publish(key, &known).await {
            tracing::info!(namespace = key.0, name = key.1, %error, "cannot publish the status of a request");
        }
        // Verdicts that the audit log had no room for are published later.
        let later = || ctx.now().plus_secs(i64::try_from(self.max_backoff().as_secs()).unwrap_or(i64::MAX));
        Ok(NextRun { deadline: (!ctx.audit.has_room()).then(later), ..NextRun::of(requeue) })
    }

    /// Whether an ended request has nothing left to publish: every decision about it has its final verdict, and break-glass is told.
    fn is_complete(&self, key: &Key, request: &ActivationRequest) -> bool {
        let decisions = || self.ctx.stores.decisions_about(&DecisionSubject::Request(key.clone()));
        let told = || !break_glass::is_untold(&self.ctx, request);
        changes::has_ended(request) && decisions().iter().all(|decision| decision::is_settled(decision)) && told()
    }

    /// Writes what users see beside the state: who is waited for, and what each decision counts. Only the leader writes.
    async fn publish(&self, key: &Key, known: &Known) -> kube::Result<()> {
        let ctx = &self.ctx;
        if !ctx.authority.leads() {
            return Ok(());
        }
        let object = &known.object;
        let next = status::status(object, &known.request.status, &status::StatusInputs::of(known, &ctx.install), ctx.now());
        if object.status.is_some() && object.status.as_ref() != Some(&next) {
            let api = kube_writes::requests(&ctx.client, &key.0);
            let version = object.resource_version().unwrap_or_default();
            match kube_writes::commit(&api, &key.1, &version, object.status.as_ref(), &next).await {
                WriteOutcome::Stored(stored) => ctx.notify(object.status.as_ref(), &stored),
                WriteOutcome::Conflict => {}
                WriteOutcome::Failed(error) => return Err(error),
            }
        }
        let request = RequestRef { name: &key.1, uid: &known.request.uid };
        let mut all = Ok(());
        for (decision, counted, why) in known.verdicts() {
            // A decision about another request of this name is not recorded under this one.
            let request = (counted != curfew_core::approval::Counted::No(Reason::NotFound)).then_some(request);
            // One that cannot be written keeps no other waiting.
            all = all.and(decision::status::publish(ctx, decision, Verdict { counted, why }, request).await.map(drop));
        }
        all
    }
}

/// Whether access may rest on this request.
fn is_granted(request: &ActivationRequest) -> bool {
    let state = request.status.as_ref().and_then(|status| status.state);
    matches!(state, Some(RequestState::Activating | RequestState::Active | RequestState::Revoking))
}

#[async_trait]
impl Reconciler<Key> for RequestController {
    async fn reconcile(&self, key: &Key, _: &Place<Key>) -> NextRun {
        self.run(key).await.unwrap_or_else(|error| {
            tracing::warn!(namespace = key.0, name = key.1, %error, "cannot read what a request depends on");
            NextRun::of(Requeue::Backoff)
        })
    }

    /// One lane for each system: a reconcile may read its target, and a target that does not answer fills only its own lane.
    fn lane(&self, key: &Key) -> Placement {
        let Some(request) = self.ctx.stores.request(key) else { return Placement::anywhere() };
        let requester = request.spec.requester.as_ref().map(|requester| requester.username.as_str()).unwrap_or_default();
        let waiting = self.ctx.stores.live_requests_by(&key.0, requester);
        let system = dereference::system_name(&self.ctx.stores, &request);
        Placement {
            limits: if system.is_some() { engine::OWN } else { NARROW },
            lane: system.unwrap_or_else(|| NO_SYSTEM.into()),
            // Access that may have to end goes before access that may begin.
            urgency: if is_granted(&request) { Urgency::Revoke } else { Urgency::Other },
            due: fair(convert::created(&*request), waiting),
        }
    }

    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}
