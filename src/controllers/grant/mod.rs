//! Grants: driven by the deadline index, not by a generic controller.
//!
//! Every replica revokes; only the holder of a permit grants. A follower leaves what is due to a leader that lives and works, for a
//! bounded time (`core/follow.rs`), so that two replicas do not race for each delete.
pub mod abandon;
mod content;
pub mod early_end;
mod effects;
mod matches_request;
mod status;
mod target_effects;
mod traced;

use super::{Context, convert, request::slots};
use crate::timing::timing;
use crate::{
    api::Grant,
    kube_writes, providers,
    runtime::{
        driver::drive,
        engine::{NextRun, Place, Placement, Reconciler, WorkQueue},
        expectations::Expectations,
        rounds::Rounds,
    },
};
use async_trait::async_trait;
use curfew_core::{
    follow::{self, Patience, Progress},
    grant::State,
    lanes::Urgency,
    reconcile::{Reconcile, Verify},
    requeue::Requeue,
    resolved::Schema,
    time::Time,
};
use effects::GrantEffects;
use kube::{Api, ResourceExt};
use matches_request::wants;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// The resource of requests.
const REQUESTS: &str = "activationrequests";

/// How soon to look again when the watch lags behind our own write, in milliseconds.
const LAG_MS: i64 = 100;
/// The longest pause that a target can ask for: a due revocation waits no longer than this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// That the content of a Grant must be read.
#[derive(Clone, Copy, Debug)]
struct Unread {
    /// When.
    at: Time,
    /// It has changed.
    changed: bool,
}

/// The controller of Grants.
pub struct GrantController {
    ctx: Arc<Context>,
    /// Grants whose request must be read live: after its deletion, and on a relist and in the heartbeat where no watch shows it.
    unverified: Mutex<BTreeSet<String>>,
    /// Grants whose content must be read: after it has changed, on a relist, and in the heartbeat.
    unread: Mutex<BTreeMap<String, Unread>>,
    expectations: Expectations<String>,
}

impl GrantController {
    /// A controller that expects no writes yet.
    pub fn new(ctx: Arc<Context>) -> Self {
        GrantController { ctx, unverified: Mutex::default(), unread: Mutex::default(), expectations: Expectations::default() }
    }

    /// Lets the next reconcile of this Grant read its request live. A process that only revokes has no right to do so.
    pub fn verify_owner(&self, id: &str) {
        if !self.ctx.authority.only_revokes() {
            self.unverified.lock().insert(id.to_owned());
        }
    }

    /// Lets the next reconcile of this Grant read the content of what it gives, which has changed.
    pub fn verify_content(&self, id: &str) {
        self.read_content_of(id, true);
    }

    /// Lets the next reconcile of this Grant look at its content, and read its request live unless the stores show that and may be believed.
    /// Where they are to be believed and a list of requests is under way, both are left to its end, when every Grant is looked at again, and to
    /// the heartbeat: what was approved is in the request, too.
    pub fn look_again(&self, id: &str, believe: bool) {
        if believe && self.ctx.stores.ages.is_listing(REQUESTS) {
            return;
        }
        if !(believe && self.ctx.stores.grant(id).is_some_and(|grant| shows_owner(&self.ctx, &grant))) {
            self.verify_owner(id);
        }
        self.read_content_of(id, false);
    }

    /// A follower reads a moment later than the leader. A process that only revokes cannot read what was approved.
    fn read_content_of(&self, id: &str, changed: bool) {
        if self.ctx.authority.only_revokes() {
            return;
        }
        let delay = if self.ctx.authority.leads() { 0 } else { timing().follower_delay_millis };
        let at = Time::from_millis(self.ctx.now().as_millis() + delay);
        self.unread.lock().entry(id.to_owned()).or_insert(Unread { at, changed }).changed |= changed;
    }

    /// What must be read now.
    fn take_unread(&self, id: &str) -> Option<Unread> {
        let mut unread = self.unread.lock();
        let now = unread.get(id).is_some_and(|unread| unread.at <= self.ctx.now());
        if now { unread.remove(id) } else { None }
    }

    /// Whether something has happened to its request, or to what it gives.
    fn is_marked(&self, id: &str) -> bool {
        self.unverified.lock().contains(id) || self.unread.lock().contains_key(id)
    }

    fn known(&self, id: &str) -> Option<Grant> {
        self.ctx.stores.grant(id).map(|grant| grant.as_ref().clone())
    }

    async fn read(&self, id: &str) -> kube::Result<Option<Grant>> {
        Api::all(self.ctx.client.clone()).get_opt(id).await
    }

    /// When this replica revokes a Grant that is due since then: the leader at once, a follower when the leader does not.
    fn begins_at(&self, id: &str, since: Time) -> Time {
        let mut overdue = self.ctx.overdue.lock();
        let since = overdue.add(id.to_owned(), since);
        if self.ctx.authority.leads() {
            return since;
        }
        let seen = Progress { alive: self.ctx.authority.leader_is_alive(), at: overdue.fell_by_others() };
        let patience = Patience { quiet_millis: timing().follower_delay_millis, bound_millis: timing().follower_bound_millis };
        follow::begins_at(since, seen, patience)
    }

    async fn delete_if_expired(&self, grant: &Grant) -> NextRun {
        let ctx = &self.ctx;
        let retention = ctx.stores.config().map(|c| c.spec.retention.secs());
        // When an abandoned Grant ended is unknown, so its end as planned counts.
        let ended = grant.status.as_ref().and_then(|status| status.revoked_at).unwrap_or(grant.spec.expires_at);
        let over = Some(ended).zip(retention).map(|(t, r)| t.plus_secs(r));
        let quiet = NextRun { deadline: over, ..NextRun::of(Requeue::OnChange) };
        if !ctx.authority.leads() || over.is_none_or(|t| ctx.now() < t) {
            return quiet;
        }
        // A break-glass access that is not reviewed keeps its Grant, which says who may review once the request is deleted.
        if grant.spec.review.is_some() {
            match slots::locks_of(ctx, &grant.spec.request.uid).await {
                Ok(locks) if locks.is_empty() => {}
                Ok(_) => {
                    let later = i64::try_from(timing().retention_every.as_secs()).unwrap_or(i64::MAX);
                    return NextRun { deadline: Some(ctx.now().plus_secs(later)), ..NextRun::of(Requeue::OnChange) };
                }
                Err(error) => {
                    tracing::info!(grant = grant.name_any(), %error, "cannot read whether a Grant past its retention is reviewed");
                    return NextRun::of(Requeue::Backoff);
                }
            }
        }
        match kube_writes::delete_expired(&Api::all(ctx.client.clone()), grant).await {
            Ok(()) => quiet,
            Err(error) => {
                tracing::info!(grant = grant.name_any(), %error, "cannot delete a Grant past its retention");
                NextRun::of(Requeue::Backoff)
            }
        }
    }
}

#[async_trait]
impl Reconciler<String> for GrantController {
    async fn reconcile(&self, id: &String, place: &Place<String>) -> NextRun {
        let outdated = self.expectations.take_outdated(id);
        let Some(cached) = self.known(id) else {
            self.ctx.overdue.lock().end(id, self.ctx.now(), false);
            self.unread.lock().remove(id);
            return NextRun::of(Requeue::OnChange);
        };
        let before = cached.resource_version().unwrap_or_default();
        let grant = match outdated.then_some(self.read(id)) {
            None => cached,
            Some(live) => match live.await {
                Ok(Some(live)) => live,
                Ok(None) => return NextRun::of(Requeue::OnChange),
                // What is due is revoked without it, too.
                Err(_) => cached,
            },
        };
        let core = self.ctx.grant_facts(&grant);
        if *core.version == *before && self.expectations.is_stale(id, &before) {
            return NextRun::of(Requeue::At(Time::from_millis(self.ctx.now().as_millis() + LAG_MS)));
        }
        let known = core.schema == Schema::Known;
        let now = self.ctx.now();
        if core.state.is_terminal() {
            self.ctx.overdue.lock().end(id, now, false);
            self.unread.lock().remove(id);
            traced::orphan(&self.ctx, &grant);
            if !core.deleting {
                return self.delete_if_expired(&grant).await;
            }
        } else if now >= core.expires_at || core.state == State::Revoking || core.deleting {
            let begins = self.begins_at(id, core.expires_at.min(now));
            if now < begins {
                return NextRun::of(Requeue::At(begins));
            }
        } else if !self.ctx.authority.begun() && !self.is_marked(id) {
            // What the first lists have not brought yet need not be read. When they are complete, every Grant is looked at.
            return NextRun { deadline: Some(core.expires_at), ..NextRun::of(Requeue::OnChange) };
        }
        let unread = self.take_unread(id);
        let verify = Verify { owner: self.unverified.lock().remove(id), content: unread.is_some() };
        tracing::debug!(grant = id, request.uid = grant.spec.request.uid, state = ?core.state, ?verify, "reconcile");
        let expires_at = core.expires_at;
        let effects = GrantEffects::new(self.ctx.clone(), grant, place.clone());
        let mut requeue = drive(&effects, Reconcile::grant(core, verify)).await;
        // Only after what is due was done: decisions must not delay an end.
        if known && effects.state() == State::Revoking && abandon::is_abandoned(&self.ctx, &effects.grant()) {
            requeue = drive(&effects, Reconcile::abandoned(self.ctx.grant_facts(&effects.grant()))).await;
        }
        if known && effects.state() == State::Active && self.ctx.authority.leads() {
            effects.show_guarantees().await;
        }
        if effects.version() != before {
            self.expectations.expect_after(id, &before);
        }
        if requeue == Requeue::Stale {
            self.expectations.outdated(id);
        }
        let again = matches!(requeue, Requeue::Backoff | Requeue::Stale);
        if let Some(unread) = unread.filter(|_| again) {
            self.read_content_of(id, unread.changed);
        }
        if verify.owner && again {
            self.verify_owner(id);
        }
        if requeue == Requeue::Backoff {
            if effects.error().is_some() {
                self.ctx.metrics.revocation_failures.inc();
            }
            effects.record_error().await;
        }
        let pause_lane = effects.retry_after().map(|asked| {
            let millis = i64::try_from(asked.min(MAX_RETRY_AFTER).as_millis()).unwrap_or(i64::MAX);
            Time::from_millis(self.ctx.now().as_millis() + millis)
        });
        let unread_at = self.unread.lock().get(id).map(|unread| unread.at);
        let requeue = match requeue {
            Requeue::At(t) => Requeue::At(unread_at.map_or(t, |at| at.min(t))),
            Requeue::OnChange => unread_at.map_or(Requeue::OnChange, Requeue::At),
            Requeue::Backoff | Requeue::Stale => requeue,
        };
        // The deadline is kept, however this reconcile ended.
        let deadline = Some(expires_at).filter(|_| !effects.state().is_terminal());
        if effects.state().is_terminal() {
            self.ctx.overdue.lock().end(id, self.ctx.now(), true);
        }
        NextRun { requeue, deadline, pause_lane }
    }

    fn lane(&self, id: &String) -> Placement {
        let Some(grant) = self.ctx.stores.grant(id) else { return Placement::anywhere() };
        let due = grant.spec.expires_at;
        // A role that has vanished may be created with more: its access is taken like one that is due.
        let urgent = due <= self.ctx.now()
            || convert::grant_state(&grant) == State::Revoking
            || self.unread.lock().get(id).is_some_and(|unread| unread.changed);
        let due = if urgent && self.ctx.authority.leader_is_alive() { follow::from_the_other_end(due, id) } else { due };
        let (lane, limits) = providers::lane(&grant.spec.system.reference.name, &grant.spec.plan);
        Placement { lane, limits, urgency: if urgent { Urgency::Revoke } else { Urgency::Other }, due }
    }

    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}

/// Reconciles every live Grant once a minute, with a look at its request and its content: in the stores where a watch is fresh and
/// shows that all is well, otherwise live. Of those on this cluster, where watches tell of each change, a thousand a minute while these
/// are answered. A process that only revokes does not read requests.
pub async fn heartbeat(ctx: Arc<Context>, controller: Arc<GrantController>, queue: WorkQueue<String>) {
    let (mut here, mut elsewhere) = (Rounds::every(timing().heartbeat), Rounds::every(timing().heartbeat));
    loop {
        let share = tokio::select! {
            share = here.share(|| ctx.stores.live_grants_here(true), || ctx.stores.most_watched()) => share,
            share = elsewhere.share(|| ctx.stores.live_grants_here(false), || usize::MAX) => share,
        };
        let fresh = ctx.stores.ages.is_fresh(REQUESTS, timing().watch_stale, Instant::now());
        for id in share {
            controller.look_again(&id, fresh);
            queue.push(id);
        }
    }
}

/// Whether the stores show a request that wants this Grant as it is.
fn shows_owner(ctx: &Context, grant: &Grant) -> bool {
    let of = &grant.spec.request;
    let request = ctx.stores.request(&(of.namespace.clone(), of.name.clone()));
    request.is_some_and(|request| wants(&grant.name_any(), &grant.spec, &request, &ctx.install))
}
