//! Grants: driven by the deadline index, not by a generic controller.
//!
//! Every replica revokes; only the holder of a permit grants. A follower waits a moment with what is due, so that two
//! replicas do not race for each delete, and then does it all the same.
pub mod abandon;
mod ports;
mod render;

use super::{Context, facts};
use crate::{
    api::Grant,
    ledger::{self, Written},
    runtime::{
        drive::drive,
        engine::{Next, Work},
        recent::Recent,
    },
};
use async_trait::async_trait;
use curfew_core::{grant::Stage, lanes::Urgency, pass::Pass, request::Wake, time::Time};
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};
use ports::GrantPorts;
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
pub struct Revoker {
    ctx: Arc<Context>,
    /// Grants whose request must be asked for: after a delete, on start, in the heartbeat.
    doubts: Mutex<BTreeSet<String>>,
    /// Until when a target asked not to be asked again, for this Grant.
    waits: Mutex<BTreeMap<String, Time>>,
    recent: Recent<String>,
}

impl Revoker {
    /// With everything a controller is given.
    pub fn new(ctx: Arc<Context>) -> Self {
        Revoker { ctx, doubts: Mutex::default(), waits: Mutex::default(), recent: Recent::default() }
    }

    /// The next pass of this Grant asks live for its request.
    pub fn doubt(&self, id: &str) {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    fn known(&self, id: &str) -> Option<Grant> {
        self.ctx.stores.grants.get(&ObjectRef::new(id)).map(|g| (*g).clone())
    }

    /// When this replica takes up a Grant that is due then.
    fn mine_at(&self, due: Time) -> Time {
        if self.ctx.authority.leads() { due } else { Time::from_millis(due.as_millis() + FOLLOWERS_WAIT) }
    }

    /// Until when this Grant's target asked to be left alone. Our own note of that trouble would wake us at once.
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

    async fn keep(&self, g: &Grant) -> Next {
        let ctx = &self.ctx;
        let retention = ctx.stores.config().map(|c| c.spec.retention.secs());
        // Of what was abandoned nobody knows when it ended.
        let ended = g.status.as_ref().and_then(|s| s.revoked_at).unwrap_or(g.spec.expires_at);
        let over = Some(ended).zip(retention).map(|(t, r)| t.plus_secs(r));
        let quiet = Next { wake: Wake::OnChange, deadline: over };
        if !ctx.authority.leads() || over.is_none_or(|t| ctx.now() < t) {
            return quiet;
        }
        match ledger::forget(&Api::all(ctx.client.clone()), g).await {
            Ok(()) => quiet,
            Err(e) => {
                tracing::info!(grant = g.name_any(), error = %e, "cannot delete a Grant past its retention");
                Next { wake: Wake::Backoff, deadline: None }
            }
        }
    }

    /// Shows what keeps a revocation from coming through. It decides nothing.
    async fn note_trouble(&self, ports: &GrantPorts) {
        let Some((g, trouble)) = ports.trouble() else { return };
        self.ctx.metrics.revocation_failures.inc();
        // The same trouble again is no news, and news of one's own would wake one at once.
        if g.status.as_ref().and_then(|s| s.last_error.as_deref()) == Some(trouble.as_str()) {
            return;
        }
        let next = render::trouble(&g, &trouble);
        let api: Api<Grant> = Api::all(self.ctx.client.clone());
        let version = g.resource_version().unwrap_or_default();
        if let Written::Failed(e) = ledger::commit(&api, &g.name_any(), &version, g.status.as_ref(), &next).await {
            tracing::info!(grant = g.name_any(), error = %e, "cannot note what went wrong");
        }
    }
}

#[async_trait]
impl Work<String> for Revoker {
    async fn run(&self, id: &String) -> Next {
        let Some(g) = self.known(id) else { return Next { wake: Wake::OnChange, deadline: None } };
        let core = self.ctx.read(&g);
        if self.recent.is_stale(id, &core.version) {
            return Next { wake: Wake::At(Time::from_millis(self.ctx.now().as_millis() + AGAIN_MS)), deadline: None };
        }
        if matches!(core.stage, Stage::Ended | Stage::Abandoned) && !core.deleting {
            self.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            abandon::released(&self.ctx, &g).await;
            return self.keep(&g).await;
        }
        if let Some(until) = self.waits(id) {
            return Next { wake: Wake::At(until), deadline: None };
        }
        let now = self.ctx.now();
        let due = matches!(core.stage, Stage::Revoking) || now >= core.expires_at || core.deleting;
        if due && !self.ctx.authority.leads() && now < self.mine_at(core.expires_at) && core.stage != Stage::Revoking {
            return Next { wake: Wake::At(self.mine_at(core.expires_at)), deadline: None };
        }
        let doubt = self.doubts.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        tracing::debug!(grant = id, request.uid = g.spec.request.uid, stage = ?core.stage, doubt, "pass");
        let (expires_at, before) = (core.expires_at, core.version.clone());
        let ports = GrantPorts::new(self.ctx.clone(), g);
        let mut wake = drive(&ports, Pass::grant(core, doubt)).await;
        // What people say about it is heard only after what is due was done: nobody delays an end by talking.
        let said = abandon::released(&self.ctx, &ports.grant()).await;
        if said && ports.stage() == Stage::Revoking {
            wake = drive(&ports, Pass::abandoned(self.ctx.read(&ports.grant()))).await;
        }
        if ports.stage() == Stage::Active && self.ctx.authority.leads() {
            ports.show_enforced().await;
        }
        if ports.version() != *before {
            self.recent.wrote(id, &before);
        }
        if wake == Wake::Backoff {
            if doubt {
                self.doubt(id);
            }
            if let Some(asked) = ports.wait() {
                self.wait(id, asked);
            }
            self.note_trouble(&ports).await;
        }
        let wake = if let Wake::At(t) = wake { Wake::At(self.mine_at(t)) } else { wake };
        // Whatever came of this pass, the deadline is not lost.
        let deadline = if matches!(ports.stage(), Stage::Ended | Stage::Abandoned) { None } else { Some(self.mine_at(expires_at)) };
        Next { wake, deadline }
    }

    fn lane(&self, id: &String) -> (String, Urgency, Time) {
        let Some(g) = self.known(id) else { return ("unknown".into(), Urgency::Other, Time::from_millis(0)) };
        let due = g.spec.expires_at;
        let urgent = due <= self.ctx.now() || facts::stage(&g) == Stage::Revoking;
        (g.spec.system.reference.name.clone(), if urgent { Urgency::Revoke } else { Urgency::Other }, due)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Puts everything live in doubt, every minute.
pub async fn heartbeat(ctx: Arc<Context>, revoker: Arc<Revoker>, inbox: crate::runtime::engine::Inbox<String>) {
    let every = Duration::from_secs(HEARTBEAT_SECS.unsigned_abs());
    loop {
        tokio::time::sleep(every).await;
        for g in ctx.stores.grants.state() {
            if !matches!(facts::stage(&g), Stage::Ended | Stage::Abandoned) {
                revoker.doubt(&g.name_any());
                inbox.push(g.name_any());
            }
        }
    }
}
