//! The effects of a Grant's reconcile. Revoking needs nothing but the Grant and its target (I3).
use super::{
    early_end,
    matches_request::wants,
    status::{self as grant_status, Learned},
};
use crate::{
    api::Grant,
    controllers::{Context, audit_events, convert},
    kube_writes::{self, WriteOutcome},
    observe::seconds_between,
    providers::{EnforcedBy, Provider, ProviderError},
    runtime::{driver::EffectHandler, engine::Place},
};
use async_trait::async_trait;
use curfew_core::{
    fingerprint::Meant,
    grant::{self as core, OwnerState, SlotOwners, State},
    ids,
    reason::Reason,
    reconcile::{Effect, Outcome},
    resolved::Schema,
    slots::{self, OtherGrant},
    text::{MAX_MESSAGE, clip},
    time::Time,
};
use kube::{Api, ResourceExt, api::ListParams};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// Performs the effects of one Grant with the API server and the target.
pub struct GrantEffects {
    pub(super) ctx: Arc<Context>,
    pub(super) id: String,
    place: Place<String>,
    known: Mutex<Known>,
}

pub(super) struct Known {
    grant: Grant,
    /// What this reconcile has learned from the target, before it is stored in status.
    pub(super) learned: Learned,
    error: Option<String>,
    /// Of which kind the last error of the target was, for its span.
    pub(super) error_kind: Option<&'static str>,
    /// How long the target asked to wait.
    wait: Option<Duration>,
    /// A live read has shown that its request is gone. The stores may not show that yet.
    orphaned: bool,
}

impl GrantEffects {
    /// The effects of a Grant as the stores show it, of a reconcile in this place.
    pub fn new(ctx: Arc<Context>, grant: Grant, place: Place<String>) -> Self {
        let known = Known { grant, learned: Learned::default(), error: None, error_kind: None, wait: None, orphaned: false };
        GrantEffects { ctx, id: known.grant.name_any(), place, known: Mutex::new(known) }
    }

    /// The last error of this reconcile, with the Grant.
    pub fn error(&self) -> Option<(Grant, String)> {
        let known = self.known.lock();
        known.error.clone().map(|error| (known.grant.clone(), error))
    }

    /// How long the target asked to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.known.lock().wait
    }

    /// The state of the Grant by now.
    pub fn state(&self) -> State {
        convert::grant_state(&self.grant())
    }

    /// The version of the Grant that is known.
    pub fn version(&self) -> String {
        self.grant().resource_version().unwrap_or_default()
    }

    /// The Grant as this reconcile knows it.
    pub fn grant(&self) -> Grant {
        self.known.lock().grant.clone()
    }
    pub(super) fn change(&self, f: impl FnOnce(&mut Known)) {
        f(&mut self.known.lock());
    }

    pub(super) fn failed(&self, what: &str, why: &impl std::fmt::Display) -> Outcome {
        tracing::warn!(grant = self.id, error = %why, "cannot {what}");
        let error = clip(format!("cannot {what}: {why}"), MAX_MESSAGE);
        self.change(|known| known.error = Some(error));
        Outcome::Failed
    }

    /// The target, after its identity was confirmed: the connection may lead elsewhere by now.
    pub(super) async fn target(&self) -> Result<Arc<dyn Provider>, ProviderError> {
        let target = self.ctx.registry.reach(&self.grant().spec.system.connection).await?;
        target.confirm(&self.meant()).await?;
        Ok(target)
    }

    /// Absence counts only if the identity of the target is confirmed again after it was read.
    pub(super) async fn confirm_again(&self, target: &dyn Provider) -> Result<(), ProviderError> {
        target.confirm(&self.meant()).await
    }

    fn meant(&self) -> Meant {
        let grant = self.grant();
        let system = self.ctx.stores.system(&grant.spec.system.reference.name);
        convert::granted_target(&grant, system.as_deref())
    }

    /// Reads live whether the request exists, is the same one, and still wants its Grant. `None` if a newer build has written it, so that
    /// this one cannot tell: then the Grant goes on, and nothing is written for it.
    async fn read_owner(&self) -> kube::Result<Option<OwnerState>> {
        let of = self.grant().spec.request;
        let found = kube_writes::requests(&self.ctx.client, &of.namespace).get_opt(&of.name).await?;
        let same = found.filter(|r| r.uid().as_deref() == Some(of.uid.as_str()) && r.metadata.deletion_timestamp.is_none());
        self.change(|k| k.orphaned = same.is_none());
        if same.as_ref().is_some_and(|request| convert::request_schema(request) == Schema::Newer) {
            return Ok(None);
        }
        let Some(request) = same else { return Ok(Some(OwnerState::Gone)) };
        let grant = self.grant();
        if wants(&self.id, &grant.spec, &request, &self.ctx.install) {
            return Ok(Some(OwnerState::Wanted));
        }
        let state = request.status.and_then(|status| status.state);
        tracing::info!(
            grant = self.id,
            ?state,
            "the request does not want this Grant, or the Grant differs from what it says; it is ended"
        );
        Ok(Some(OwnerState::Gone))
    }

    /// Why the Grant ends, without any call: a revocation needs nothing but the Grant and its target.
    fn why(&self, g: &Grant, next: &core::Grant) -> Option<Reason> {
        let of = &g.spec.request;
        let orphaned = self.known.lock().orphaned;
        let stored = self.ctx.stores.request(&(of.namespace.clone(), of.name.clone()));
        let request = stored.filter(|r| !orphaned && r.uid().as_deref() == Some(of.uid.as_str()));
        if next.outgrown {
            return Some(Reason::TemplateChanged);
        }
        audit_events::why(g, next.drifted, request.as_deref(), self.now())
    }

    async fn recheck(&self) -> kube::Result<Outcome> {
        let grants: Api<Grant> = Api::all(self.ctx.client.clone());
        let (live, owner, others) = futures::try_join!(grants.get_opt(&self.id), self.read_owner(), self.slot_owners())?;
        let core = live.as_ref().map(|g| self.ctx.grant_facts(g));
        if let Some(live) = live {
            self.change(|k| k.grant = live);
        }
        Ok(match owner {
            Some(owner) => Outcome::Rechecked(core, owner, others),
            None => self.failed("recheck", &"its request was written by a newer version of Curfew"),
        })
    }

    /// Reads live which other Grants fill the slots of this plan: on the same target, or on any that shares the slots.
    async fn slot_owners(&self) -> kube::Result<SlotOwners> {
        let grant = self.grant();
        let (mine, guarantees) = (grant.spec.plan.slots(), grant.spec.plan.guarantees());
        if mine.is_empty() {
            return Ok(SlotOwners::FREE);
        }
        let domain = grant.spec.slot_domain();
        let same_domain = ListParams::default().labels(&format!("{}={}", ids::TARGET_LABEL, ids::target_label(domain)));
        let all = Api::<Grant>::all(self.ctx.client.clone()).list(&same_domain).await?;
        let others: Vec<_> = all.items.iter().filter(|g| g.uid() != grant.uid() && g.spec.slot_domain() == domain).collect();
        let read: Vec<_> = others.iter().map(|g| (g.spec.plan.slots(), self.ctx.grant_facts(g))).collect();
        let others = read.iter().map(|(slots, g)| OtherGrant { slots, state: g.state, intent: g.intent, removed_at: g.removed_at });
        Ok(slots::owners(&mine, others, guarantees.settle_secs, self.now()))
    }

    async fn commit(&self, next: &core::Grant) -> Outcome {
        let grant = self.grant();
        let learned = self.known.lock().learned.clone();
        let enforced = if next.state == State::Active { self.enforced().await } else { EnforcedBy::Curfew };
        let at = self.now();
        let mut status = grant_status::status(&grant, next, learned, enforced, &self.ctx.replica, at);
        if next.refused {
            status.last_error = self.error().map(|(_, error)| error).or(status.last_error);
        }
        let grants: Api<Grant> = Api::all(self.ctx.client.clone());
        // Before the commit: a crash in between records it twice rather than never.
        if let Some((what, event)) = audit_events::grant_event(&grant, &status, next.state, self.why(&grant, next)) {
            self.ctx.audit.append_transition(&grant.uid().unwrap_or_default(), what, event);
        }
        match kube_writes::commit(&grants, &self.id, &next.version, grant.status.as_ref(), &status).await {
            WriteOutcome::Stored(stored) => {
                self.announce(&stored, next);
                self.ctx.traces.grant(&grant, &stored, at);
                let version = stored.resource_version().unwrap_or_default();
                if next.state == State::Revoking && convert::grant_state(&grant) != State::Revoking && self.now() < next.expires_at {
                    early_end::expire_now(&self.ctx, &stored).await;
                }
                self.change(|k| k.grant = stored);
                Outcome::Stored(version.into())
            }
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(e) => self.failed("store the Grant", &e),
        }
    }

    fn announce(&self, g: &Grant, next: &core::Grant) {
        let of = &g.spec.request;
        tracing::info!(grant = self.id, request.uid = of.uid, namespace = of.namespace, name = of.name, stage = ?next.state, drifted = next.drifted, "grant");
        if next.state == State::Ended {
            self.ctx.metrics.revocation_lag.observe(seconds_between(next.expires_at, self.now()));
        }
    }

    /// Publishes what ends the access if the operator does not, what of it is gone, whether the operator has the rights to end it, and
    /// whether something denies it, when that has changed.
    pub async fn show_guarantees(&self) {
        let grant = self.grant();
        let Some(status) = &grant.status else { return };
        let now = self.enforced().await.as_str();
        let system = self.ctx.stores.system(&grant.spec.system.reference.name);
        let same = system.filter(|system| system.uid().as_deref() == Some(grant.spec.system.reference.uid.as_str()));
        let missing = same.as_ref().and_then(|s| s.status.as_ref()).and_then(|s| convert::missing_rights(&s.conditions));
        let denial = self.denial().await;
        let known = grant_status::Guarantees { enforced_by: now, missing_rights: missing, denial: denial.clone() };
        let mut next = grant_status::with_guarantees(&grant, known, self.now());
        let guarantees_changed = next != *status;
        next.gone = self.known.lock().learned.gone.clone().unwrap_or(next.gone);
        if next == *status {
            return;
        }
        grant_status::set_partial(&mut next, &grant, self.now());
        if let Some(missing) = missing.filter(|_| guarantees_changed) {
            self.ctx.events.publish(&grant, true, "MissingRights", "Revoke", missing);
        }
        if let Some(denial) = denial.flatten().filter(|_| guarantees_changed) {
            self.ctx.events.publish(&grant, true, "DeniedByTarget", "Verify", &denial);
        }
        let grants: Api<Grant> = Api::all(self.ctx.client.clone());
        let version = grant.resource_version().unwrap_or_default();
        match kube_writes::commit(&grants, &self.id, &version, grant.status.as_ref(), &next).await {
            WriteOutcome::Stored(stored) => {
                tracing::info!(grant = self.id, enforced_by = now, missing, gone = ?next.gone, "what ends or shows the access has changed");
                self.change(|k| k.grant = stored);
            }
            WriteOutcome::Conflict => {}
            WriteOutcome::Failed(e) => {
                tracing::info!(grant = self.id, error = %e, "cannot publish what ends or shows the access")
            }
        }
    }

    async fn bring_forward(&self, to: Time) -> Outcome {
        match kube_writes::bring_forward(&self.ctx.client, &self.id, to).await {
            WriteOutcome::Stored(g) => {
                early_end::expire_now(&self.ctx, &g).await;
                let core = self.ctx.grant_facts(&g);
                self.change(|k| k.grant = g);
                Outcome::BroughtForward(core)
            }
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(e) => self.failed("bring the end forward", &e),
        }
    }

    /// Stores the last error in status, if it differs from the stored one. No rule reads it.
    pub async fn record_error(&self) {
        let Some((g, error)) = self.error() else { return };
        if g.status.as_ref().and_then(|s| s.last_error.as_deref()) == Some(error.as_str()) {
            return;
        }
        if convert::grant_state(&g) == State::Revoking {
            self.ctx.events.publish(&g, true, "NotRevoked", "Revoke", &error);
        }
        let next = grant_status::with_error(&g, &error);
        let api: Api<Grant> = Api::all(self.ctx.client.clone());
        let version = g.resource_version().unwrap_or_default();
        match kube_writes::commit(&api, &self.id, &version, g.status.as_ref(), &next).await {
            WriteOutcome::Stored(stored) => self.change(|k| k.grant = stored),
            WriteOutcome::Conflict => {}
            WriteOutcome::Failed(e) => tracing::info!(grant = self.id, error = %e, "cannot store the last error"),
        }
    }

    async fn release(&self) -> Outcome {
        match kube_writes::remove_revoke_finalizer(&self.ctx.client, &self.grant()).await {
            WriteOutcome::Stored(()) => Outcome::Done,
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(e) => self.failed("let the deleted Grant go", &e),
        }
    }

    fn or_failed(&self, what: &str, answer: Result<Outcome, ProviderError>) -> Outcome {
        answer.unwrap_or_else(|e| {
            self.change(|k| {
                k.wait = e.retry_after();
                k.error_kind = Some(e.kind());
            });
            self.failed(what, &e)
        })
    }
}

#[async_trait]
impl EffectHandler for GrantEffects {
    async fn perform(&self, effect: &Effect) -> Outcome {
        match effect {
            Effect::ReadOwner => match self.read_owner().await {
                Ok(owner) => Outcome::Owner(owner.unwrap_or(OwnerState::Wanted)),
                Err(e) => self.failed("ask for the request", &e),
            },
            Effect::Observe { except } => self.observe(*except).await,
            Effect::ReadContent => self.content_or_unknown(false).await,
            Effect::ReadContentLive => self.content_or_unknown(true).await,
            Effect::Withhold(parts) => self.or_failed("withhold the access", self.withhold(*parts).await),
            Effect::ReadWithheld(parts) => self.or_failed("read what is withheld", self.read_withheld(*parts).await),
            Effect::Survey => self.or_failed("read the slots", self.survey().await),
            Effect::ReadSlotOwners => {
                self.slot_owners().await.map_or_else(|e| self.failed("read the other owners", &e), Outcome::SlotOwners)
            }
            Effect::Reserve => self.or_failed("reserve", self.reserve().await),
            Effect::Recheck => self.recheck().await.unwrap_or_else(|e| self.failed("recheck", &e)),
            Effect::Arm(r) => self.or_failed("arm", self.arm(r).await),
            Effect::Apply { until, except } => self.or_failed("write", self.apply(*except, *until).await),
            Effect::Poll(operation) => self.or_failed("ask about the operation", self.poll(operation).await),
            Effect::CommitGrant(next) => self.commit(next).await,
            Effect::Revoke { keep, until } => self.or_failed("revoke", self.revoke(*keep, *until).await),
            Effect::BringForward(to) => self.bring_forward(*to).await,
            Effect::RemoveFinalizer => self.release().await,
            Effect::ReadLive
            | Effect::CommitRequest(_)
            | Effect::ListSlots(_)
            | Effect::CreateSlot(_)
            | Effect::TakeOverSlot { .. }
            | Effect::VerifySlot(_)
            | Effect::DeleteSlot(_)
            | Effect::ReleaseSlots
            | Effect::CreateGrant { .. }
            | Effect::Done(_) => Outcome::Failed,
        }
    }
    /// What comes after a removal gives no access: other removals go first, and then what was to end this access is tidied up.
    async fn between(&self, effect: &Effect, outcome: &Outcome) {
        if matches!((effect, outcome), (Effect::Revoke { .. }, Outcome::Gone)) {
            self.place.give_way().await;
            self.tidy().await;
        }
    }
    fn performed(&self, effect: &Effect, began: Time, took: Duration, outcome: &Outcome) {
        self.trace(effect, began, took, outcome);
    }
    fn now(&self) -> Time {
        self.ctx.now()
    }
    fn permit(&self) -> bool {
        self.ctx.authority.permit().is_some()
    }
}
