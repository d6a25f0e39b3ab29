//! ActivationRequests: gather, drive a pass, and show people where it stands.
pub(crate) mod decisions;
mod ports;
mod render;

use super::{
    Context,
    gather::{self, Source},
};
use crate::{
    api::request::RequestState,
    ledger::{self, Written},
    runtime::{
        drive::drive,
        engine::{Next, Work},
        recent::Recent,
        stores::Key,
    },
};
use async_trait::async_trait;
use curfew_core::{lanes::Urgency, pass::Pass, request::Wake, time::Time};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use ports::RequestPorts;
pub(crate) use ports::seconds;
use std::{sync::Arc, time::Duration};

/// The work on requests.
pub struct Requests {
    ctx: Arc<Context>,
    recent: Recent<Key>,
}

impl Requests {
    /// With everything a controller is given.
    pub fn new(ctx: Arc<Context>) -> Self {
        Requests { ctx, recent: Recent::default() }
    }

    async fn pass(&self, key: &Key) -> kube::Result<Wake> {
        let around = gather::around(&self.ctx, key, Source::Stores).await?;
        let view = around.view(&self.ctx).await;
        let Some(object) = around.request.clone() else { return Ok(Wake::OnChange) };
        let (uid, before) = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
        if self.recent.is_stale(key, &before) {
            return Ok(Wake::At(Time::from_millis(self.ctx.now().as_millis() + 100)));
        }
        let ports = RequestPorts::new(self.ctx.clone(), key.clone(), object, view.clone());
        tracing::debug!(request.uid = uid, namespace = key.0, name = key.1, "pass");
        let wake = drive(&ports, Pass::request(view)).await;
        if ports.version() != before {
            self.recent.wrote(key, &before);
        }
        Ok(wake)
    }

    /// What people see beside the state: who is waited for, what was counted, until when it is kept.
    async fn show(&self, key: &Key) -> kube::Result<Option<Time>> {
        let ctx = &self.ctx;
        if !ctx.authority.leads() {
            return Ok(None);
        }
        let around = gather::around(ctx, key, Source::Stores).await?;
        let Some(object) = &around.request else { return Ok(None) };
        if self.recent.is_stale(key, &object.resource_version().unwrap_or_default()) {
            return Ok(None);
        }
        let view = around.view(ctx).await;
        let Some(request) = &view.request else { return Ok(None) };
        let trouble = around.grant.as_ref().and_then(|g| g.status.as_ref()?.last_error.as_deref());
        let enforced_by = around.grant.as_ref().and_then(|g| g.status.as_ref()?.enforced_by.as_deref());
        let next =
            render::status(object, &request.status, &view, render::Around { install: &ctx.install, trouble, enforced_by }, ctx.now());
        if object.status.as_ref() != Some(&next) && object.status.is_some() {
            let api = ledger::requests(&ctx.client, &key.0);
            let version = object.resource_version().unwrap_or_default();
            if let Written::Failed(e) = ledger::commit(&api, &key.1, &version, object.status.as_ref(), &next).await {
                return Err(e);
            }
        }
        decisions::count(ctx, &around, &view).await?;
        let kept = render::kept_until(object);
        if kept.is_some_and(|t| ctx.now() >= t) {
            ledger::forget(&ledger::requests(&ctx.client, &key.0), object).await?;
        }
        Ok(kept)
    }
}

#[async_trait]
impl Work<Key> for Requests {
    async fn run(&self, key: &Key) -> Next {
        let wake = match self.pass(key).await {
            Ok(wake) => wake,
            Err(e) => {
                tracing::warn!(namespace = key.0, name = key.1, error = %e, "cannot gather what is around a request");
                Wake::Backoff
            }
        };
        // What was committed comes back by the watch and is shown then.
        let deadline = match self.show(key).await {
            Ok(kept) => kept,
            Err(e) => {
                tracing::info!(namespace = key.0, name = key.1, error = %e, "cannot write what people see");
                None
            }
        };
        Next { wake, deadline }
    }

    /// One lane for each system: to look at a request is to ask its target, and one that never answers fills only its own.
    fn lane(&self, key: &Key) -> (String, Urgency, Time) {
        let Some(known) = self.ctx.stores.requests.get(&ObjectRef::new(&key.1).within(&key.0)) else {
            return (String::new(), Urgency::Other, Time::from_millis(0));
        };
        let state = known.status.as_ref().and_then(|s| s.state);
        // What may have to end goes before what may begin.
        let held = matches!(state, Some(RequestState::Activating | RequestState::Active | RequestState::Revoking));
        let urgency = if held { Urgency::Revoke } else { Urgency::Other };
        (gather::system_name(&self.ctx.stores, &known).unwrap_or_default(), urgency, super::facts::created(&*known))
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}
