//! ActivationRequests: gather, drive a pass, and show people where it stands.
pub(crate) mod decisions;
mod effects;
mod status;

use crate::timing::timing;
use super::{
    Context,
    dereference::{self, Source},
};
use crate::{
    api::request::RequestState,
    kube_writes::{self, WriteOutcome},
    runtime::{
        driver::drive,
        engine::{self, NextRun, Placement, Reconciler},
        expectations::Expectations,
        stores::Key,
    },
};
use async_trait::async_trait;
use curfew_core::{lanes::Urgency, reconcile::Reconcile, requeue::Requeue, time::Time};
use effects::RequestEffects;
pub(crate) use effects::seconds;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use std::{sync::Arc, time::Duration};

/// The work on requests.
pub struct RequestController {
    ctx: Arc<Context>,
    recent: Expectations<Key>,
}

impl RequestController {
    /// With everything a controller is given.
    pub fn new(ctx: Arc<Context>) -> Self {
        RequestController { ctx, recent: Expectations::default() }
    }

    async fn drive(&self, key: &Key) -> kube::Result<Requeue> {
        let around = dereference::dereference(&self.ctx, key, Source::Stores).await?;
        let view = around.view(&self.ctx).await;
        let Some(object) = around.request.clone() else { return Ok(Requeue::OnChange) };
        let (uid, before) = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
        if self.recent.is_stale(key, &before) {
            return Ok(Requeue::At(Time::from_millis(self.ctx.now().as_millis() + 100)));
        }
        let ports = RequestEffects::new(self.ctx.clone(), key.clone(), object, view.clone());
        tracing::debug!(request.uid = uid, namespace = key.0, name = key.1, "pass");
        let requeue = drive(&ports, Reconcile::request(view)).await;
        if ports.version() != before {
            self.recent.expect_after(key, &before);
        }
        Ok(requeue)
    }

    /// What people see beside the state: who is waited for, what was counted, until when it is kept.
    async fn publish_status(&self, key: &Key) -> kube::Result<Option<Time>> {
        let ctx = &self.ctx;
        if !ctx.authority.leads() {
            return Ok(None);
        }
        let around = dereference::dereference(ctx, key, Source::Stores).await?;
        let Some(object) = &around.request else { return Ok(None) };
        if self.recent.is_stale(key, &object.resource_version().unwrap_or_default()) {
            return Ok(None);
        }
        let view = around.view(ctx).await;
        let Some(request) = &view.request else { return Ok(None) };
        let trouble = around.grant.as_ref().and_then(|g| g.status.as_ref()?.last_error.as_deref());
        let enforced_by = around.grant.as_ref().and_then(|g| g.status.as_ref()?.enforced_by.as_deref());
        let next = status::status(
            object,
            &request.status,
            &view,
            status::StatusContext { install: &ctx.install, trouble, enforced_by },
            ctx.now(),
        );
        if object.status.as_ref() != Some(&next) && object.status.is_some() {
            let api = kube_writes::requests(&ctx.client, &key.0);
            let version = object.resource_version().unwrap_or_default();
            if let WriteOutcome::Failed(e) = kube_writes::commit(&api, &key.1, &version, object.status.as_ref(), &next).await {
                return Err(e);
            }
        }
        decisions::publish_verdicts(ctx, &around, &view).await?;
        let kept = status::kept_until(object);
        if kept.is_some_and(|t| ctx.now() >= t) {
            kube_writes::delete_expired(&kube_writes::requests(&ctx.client, &key.0), object).await?;
        }
        Ok(kept)
    }
}

#[async_trait]
impl Reconciler<Key> for RequestController {
    async fn reconcile(&self, key: &Key) -> NextRun {
        let requeue = match self.drive(key).await {
            Ok(requeue) => requeue,
            Err(e) => {
                tracing::warn!(namespace = key.0, name = key.1, error = %e, "cannot gather what is around a request");
                Requeue::Backoff
            }
        };
        // What was committed comes back by the watch and is shown then.
        let deadline = match self.publish_status(key).await {
            Ok(kept) => kept,
            Err(e) => {
                tracing::info!(namespace = key.0, name = key.1, error = %e, "cannot write what people see");
                None
            }
        };
        NextRun { deadline, ..NextRun::of(requeue) }
    }

    /// One lane for each system: a reconcile may read its target, and a target that does not answer fills only its own lane.
    fn lane(&self, key: &Key) -> Placement {
        let Some(known) = self.ctx.stores.requests.get(&ObjectRef::new(&key.1).within(&key.0)) else { return Placement::anywhere() };
        let state = known.status.as_ref().and_then(|s| s.state);
        // Access that may have to end goes before access that may begin.
        let granted = matches!(state, Some(RequestState::Activating | RequestState::Active | RequestState::Revoking));
        Placement {
            lane: dereference::system_name(&self.ctx.stores, &known).unwrap_or_default(),
            limits: engine::OWN,
            urgency: if granted { Urgency::Revoke } else { Urgency::Other },
            due: super::convert::created(&*known),
        }
    }

    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}
