//! Grants: driven by the deadline index, not by a generic controller.
//!
//! Every replica revokes; only the holder of a permit grants. A follower waits a moment with what is due, so that two
//! replicas do not race for each delete, and then does it all the same.
pub mod abandon;
mod effects;
mod status;

use super::{Context, convert};
use crate::{
    api::Grant,
    kube_writes::{self, WriteOutcome},
    runtime::{
        driver::drive,
        engine::{NextRun, Reconciler},
        expectations::Expectations,
    },
};
use async_trait::async_trait;
use curfew_core::{grant::State, lanes::Urgency, reconcile::Reconcile, request::Requeue, time::Time};
use effects::GrantEffects;
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How much later than the leader a follower takes up what is due.
const FOLLOWERS_WAIT: i64 = 2_000;
/// How soon to look again when the watch lags behind our own write.
const AGAIN_MS: i64 = 100;
/// A target may ask to be left alone for so long; then it is asked again, whatever it wants.
const WAITS_AT_MOST: Duration = Duration::from_secs(10);
/// How often everything live is looked at again, whatever the watches say.
const HEARTBEAT_SECS: i64 = 60;

/// The work on Grants.
pub struct GrantController {
    ctx: Arc<Context>,
    /// Grants whose request must be asked for: after a delete, on start, in the heartbeat.
    doubts: Mutex<BTreeSet<String>>,
    /// Until when a target asked not to be asked again, for this Grant.
    waits: Mutex<BTreeMap<String, Time>>,
    recent: Expectations<String>,
}

impl GrantController {
    /// With everything a controller is given.
    pub fn new(ctx: Arc<Context>) -> Self {
        GrantController { ctx, doubts: Mutex::default(), waits: Mutex::default(), recent: Expectations::default() }
    }

    /// The next pass of this Grant asks live for its request.
    pub fn verify_owner(&self, id: &str) {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    fn known(&self, id: &str) -> Option<Grant> {
        self.ctx.stores.grants.get(&ObjectRef::new(id)).map(|g| (*g).clone())
    }

    /// When this replica takes up a Grant that is due then.
    fn due_here_at(&self, due: Time) -> Time {
        if self.ctx.authority.leads() { due } else { Time::from_millis(due.as_millis() + FOLLOWERS_WAIT) }
    }

    /// Until when this Grant's target asked to be left alone. Our own note of that trouble would requeue us at once.
    fn waits(&self, id: &str) -> Option<Time> {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *waits.get(id)?;
        if self.ctx.now() < until {
            return Some(until);
        }
        waits.remove(id);
        None
    }

    fn wait(&self, id: &str, asked: Duration) {
        let millis = i64::try_from(asked.min(WAITS_AT_MOST).as_millis()).unwrap_or(i64::MAX);
        let until = Time::from_millis(self.ctx.now().as_millis() + millis);
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), until);
    }

    async fn delete_if_expired(&self, g: &Grant) -> NextRun {
        let ctx = &self.ctx;
        let retention = ctx.stores.config().map(|c| c.spec.retention.secs());
        // Of what was abandoned nobody knows when it ended.
        let ended = g.status.as_ref().and_then(|s| s.revoked_at).unwrap_or(g.spec.expires_at);
        let over = Some(ended).zip(retention).map(|(t, r)| t.plus_secs(r));
        let quiet = NextRun { requeue: Requeue::OnChange, deadline: over };
        if !ctx.authority.leads() || over.is_none_or(|t| ctx.now() < t) {
            return quiet;
        }
        match kube_writes::delete_expired(&Api::all(ctx.client.clone()), g).await {
            Ok(()) => quiet,
            Err(e) => {
                tracing::info!(grant = g.name_any(), error = %e, "cannot delete a Grant past its retention");
                NextRun { requeue: Requeue::Backoff, deadline: None }
            }
        }
    }

    /// Shows what keeps a revocation from coming through. It decides nothing.
    async fn record_error(&self, ports: &GrantEffects) {
        let Some((g, trouble)) = ports.error() else { return };
        self.ctx.metrics.revocation_failures.inc();
        // The same trouble again is no news, and news of one's own would requeue one at once.
        if g.status.as_ref().and_then(|s| s.last_error.as_deref()) == Some(trouble.as_str()) {
            return;
        }
        let next = status::with_error(&g, &trouble);
        let api: Api<Grant> = Api::all(self.ctx.client.clone());
        let version = g.resource_version().unwrap_or_default();
        if let WriteOutcome::Failed(e) = kube_writes::commit(&api, &g.name_any(), &version, g.status.as_ref(), &next).await {
            tracing::info!(grant = g.name_any(), error = %e, "cannot note what went wrong");
        }
    }
}

#[async_trait]
impl Reconciler<String> for GrantController {
    async fn reconcile(&self, id: &String) -> NextRun {
        let Some(g) = self.known(id) else { return NextRun { requeue: Requeue::OnChange, deadline: None } };
        let core = self.ctx.grant_facts(&g);
        if self.recent.is_stale(id, &core.version) {
            return NextRun { requeue: Requeue::At(Time::from_millis(self.ctx.now().as_millis() + AGAIN_MS)), deadline: None };
        }
        if matches!(core.state, State::Ended | State::Abandoned) && !core.deleting {
            self.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            abandon::is_abandoned(&self.ctx, &g).await;
            return self.delete_if_expired(&g).await;
        }
        if let Some(until) = self.waits(id) {
            return NextRun { requeue: Requeue::At(until), deadline: None };
        }
        let now = self.ctx.now();
        let due = matches!(core.state, State::Revoking) || now >= core.expires_at || core.deleting;
        if due && !self.ctx.authority.leads() && now < self.due_here_at(core.expires_at) && core.state != State::Revoking {
            return NextRun { requeue: Requeue::At(self.due_here_at(core.expires_at)), deadline: None };
        }
        let doubt = self.doubts.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        tracing::debug!(grant = id, request.uid = g.spec.request.uid, stage = ?core.state, doubt, "pass");
        let (expires_at, before) = (core.expires_at, core.version.clone());
        let ports = GrantEffects::new(self.ctx.clone(), g);
        let mut requeue = drive(&ports, Reconcile::grant(core, doubt)).await;
        // What people say about it is heard only after what is due was done: nobody delays an end by talking.
        let said = abandon::is_abandoned(&self.ctx, &ports.grant()).await;
        if said && ports.state() == State::Revoking {
            requeue = drive(&ports, Reconcile::abandoned(self.ctx.grant_facts(&ports.grant()))).await;
        }
        if ports.state() == State::Active && self.ctx.authority.leads() {
            ports.show_enforced().await;
        }
        if ports.version() != *before {
            self.recent.expect_after(id, &before);
        }
        if requeue == Requeue::Backoff {
            if doubt {
                self.verify_owner(id);
            }
            if let Some(asked) = ports.wait() {
                self.wait(id, asked);
            }
            self.record_error(&ports).await;
        }
        let requeue = if let Requeue::At(t) = requeue { Requeue::At(self.due_here_at(t)) } else { requeue };
        // Whatever came of this pass, the deadline is not lost.
        let deadline = if matches!(ports.state(), State::Ended | State::Abandoned) { None } else { Some(self.due_here_at(expires_at)) };
        NextRun { requeue, deadline }
    }

    fn lane(&self, id: &String) -> (String, Urgency, Time) {
        let Some(g) = self.known(id) else { return ("unknown".into(), Urgency::Other, Time::from_millis(0)) };
        let due = g.spec.expires_at;
        let urgent = due <= self.ctx.now() || convert::grant_state(&g) == State::Revoking;
        (g.spec.system.reference.name.clone(), if urgent { Urgency::Revoke } else { Urgency::Other }, due)
    }

    fn max_backoff(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Puts everything live in doubt, every minute.
pub async fn heartbeat(ctx: Arc<Context>, revoker: Arc<GrantController>, inbox: crate::runtime::engine::WorkQueue<String>) {
    let every = Duration::from_secs(HEARTBEAT_SECS.unsigned_abs());
    loop {
        tokio::time::sleep(every).await;
        for g in ctx.stores.grants.state() {
            if !matches!(convert::grant_state(&g), State::Ended | State::Abandoned) {
                revoker.verify_owner(&g.name_any());
                inbox.push(g.name_any());
            }
        }
    }
}
