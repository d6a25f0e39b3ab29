//! Grants: driven by the deadline index, not by a generic controller.
//!
//! Every replica revokes; only the holder of a permit grants. A follower waits a moment with what is due, so that two
//! replicas do not race for each delete, and then does it all the same.
pub mod abandon;
mod effects;
mod status;

use crate::timing::timing;
use super::{Context, convert};
use crate::{
    api::Grant,
    kube_writes, providers,
    runtime::{
        driver::drive,
        engine::{NextRun, Placement, Reconciler},
        expectations::Expectations,
    },
};
use async_trait::async_trait;
use curfew_core::{grant::State, lanes::Urgency, reconcile::Reconcile, requeue::Requeue, time::Time};
use effects::GrantEffects;
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How soon to look again when the watch lags behind our own write.
const AGAIN_MS: i64 = 100;
/// The longest pause that a target can ask for: a due revocation waits no longer than this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The work on Grants.
pub struct GrantController {
    ctx: Arc<Context>,
    /// Grants whose request must be asked for: after a delete, on start, in the heartbeat.
    unverified: Mutex<BTreeSet<String>>,
    recent: Expectations<String>,
}

impl GrantController {
    /// With everything a controller is given.
    pub fn new(ctx: Arc<Context>) -> Self {
        GrantController { ctx, unverified: Mutex::default(), recent: Expectations::default() }
    }

    /// The next pass of this Grant asks live for its request.
    pub fn verify_owner(&self, id: &str) {
        self.unverified.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    fn known(&self, id: &str) -> Option<Grant> {
        self.ctx.stores.grants.get(&ObjectRef::new(id)).map(|g| (*g).clone())
    }

    /// When this replica takes up a Grant that is due then.
    fn due_here_at(&self, due: Time) -> Time {
        if self.ctx.authority.leads() { due } else { Time::from_millis(due.as_millis() + timing().follower_delay_millis) }
    }

    async fn delete_if_expired(&self, g: &Grant) -> NextRun {
        let ctx = &self.ctx;
        let retention = ctx.stores.config().map(|c| c.spec.retention.secs());
        // Of what was abandoned nobody knows when it ended.
        let ended = g.status.as_ref().and_then(|s| s.revoked_at).unwrap_or(g.spec.expires_at);
        let over = Some(ended).zip(retention).map(|(t, r)| t.plus_secs(r));
        let quiet = NextRun { deadline: over, ..NextRun::of(Requeue::OnChange) };
        if !ctx.authority.leads() || over.is_none_or(|t| ctx.now() < t) {
            return quiet;
        }
        match kube_writes::delete_expired(&Api::all(ctx.client.clone()), g).await {
            Ok(()) => quiet,
            Err(e) => {
                tracing::info!(grant = g.name_any(), error = %e, "cannot delete a Grant past its retention");
                NextRun::of(Requeue::Backoff)
            }
        }
    }
}

#[async_trait]
impl Reconciler<String> for GrantController {
    async fn reconcile(&self, id: &String) -> NextRun {
        let Some(g) = self.known(id) else { return NextRun::of(Requeue::OnChange) };
        let core = self.ctx.grant_facts(&g);
        if self.recent.is_stale(id, &core.version) {
            return NextRun::of(Requeue::At(Time::from_millis(self.ctx.now().as_millis() + AGAIN_MS)));
        }
        if matches!(core.state, State::Ended | State::Abandoned) && !core.deleting {
            abandon::is_abandoned(&self.ctx, &g).await;
            return self.delete_if_expired(&g).await;
        }
        let now = self.ctx.now();
        let due = matches!(core.state, State::Revoking) || now >= core.expires_at || core.deleting;
        if due && !self.ctx.authority.leads() && now < self.due_here_at(core.expires_at) && core.state != State::Revoking {
            return NextRun::of(Requeue::At(self.due_here_at(core.expires_at)));
        }
        let verify_owner = self.unverified.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        tracing::debug!(grant = id, request.uid = g.spec.request.uid, state = ?core.state, verify_owner, "reconcile");
        let (expires_at, before) = (core.expires_at, core.version.clone());
        let effects = GrantEffects::new(self.ctx.clone(), g);
        let mut requeue = drive(&effects, Reconcile::grant(core, verify_owner)).await;
        // What people say about it is heard only after what is due was done: nobody delays an end by talking.
        let said = abandon::is_abandoned(&self.ctx, &effects.grant()).await;
        if said && effects.state() == State::Revoking {
            requeue = drive(&effects, Reconcile::abandoned(self.ctx.grant_facts(&effects.grant()))).await;
        }
        if effects.state() == State::Active && self.ctx.authority.leads() {
            effects.show_enforced().await;
        }
        if effects.version() != *before {
            self.recent.expect_after(id, &before);
        }
        if requeue == Requeue::Backoff {
            if verify_owner {
                self.verify_owner(id);
            }
            if effects.error().is_some() {
                self.ctx.metrics.revocation_failures.inc();
            }
            effects.record_error().await;
        }
        let pause_lane = effects.retry_after().map(|asked| {
            let millis = i64::try_from(asked.min(MAX_RETRY_AFTER).as_millis()).unwrap_or(i64::MAX);
            Time::from_millis(self.ctx.now().as_millis() + millis)
        });
        let requeue = if let Requeue::At(t) = requeue { Requeue::At(self.due_here_at(t)) } else { requeue };
        // Whatever came of this pass, the deadline is not lost.
        let deadline = if matches!(effects.state(), State::Ended | State::Abandoned) { None } else { Some(self.due_here_at(expires_at)) };
        NextRun { requeue, deadline, pause_lane }
    }

    fn lane(&self, id: &String) -> Placement {
        let Some(g) = self.known(id) else { return Placement::anywhere() };
        let due = g.spec.expires_at;
        let urgent = due <= self.ctx.now() || convert::grant_state(&g) == State::Revoking;
        Placement {
            lane: g.spec.system.reference.name.clone(),
            limits: providers::limits(&g.spec.system.connection),
            urgency: if urgent { Urgency::Revoke } else { Urgency::Other },
            due,
        }
    }

    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}

/// Puts everything live in doubt, every minute.
pub async fn heartbeat(ctx: Arc<Context>, revoker: Arc<GrantController>, inbox: crate::runtime::engine::WorkQueue<String>) {
    loop {
        tokio::time::sleep(timing().heartbeat).await;
        for g in ctx.stores.grants.state() {
            if !matches!(convert::grant_state(&g), State::Ended | State::Abandoned) {
                revoker.verify_owner(&g.name_any());
                inbox.push(g.name_any());
            }
        }
    }
}
