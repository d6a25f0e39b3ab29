//! How a Grant's pass is answered. Revoking asks for nothing but the Grant and its target (I3).
use super::status as grant_status;
use crate::{
    api::{
        Grant,
        grant::{Artifact, GrantSpec, GrantStatus},
        request::{ActivationRequestStatus, RequestState},
    },
    controllers::{Context, audit_events, convert, request::seconds},
    kube_writes::{self, WriteOutcome},
    providers::{EnforcedBy, Provider, ProviderError, ReserveOutcome, RevokeOutcome},
    runtime::driver::EffectHandler,
};
use async_trait::async_trait;
use curfew_core::{
    grant::{self as core, Observation, OwnerState, State},
    ids,
    reason::Reason,
    reconcile::{Effect, Outcome, Reservation},
    resolved::{KubernetesPlan, Plan},
    time::Time,
};
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Answers with the API server and the target, for one Grant.
pub struct GrantEffects {
    ctx: Arc<Context>,
    id: String,
    known: Mutex<Known>,
}

struct Known {
    grant: Grant,
    /// What we have just armed, before it stands in status.
    armed: Option<Vec<Artifact>>,
    trouble: Option<String>,
    /// How long the target asked us to wait.
    wait: Option<Duration>,
    /// Its request was looked for live and is not there any more. The stores may not know that yet.
    orphaned: bool,
}

impl GrantEffects {
    /// For a Grant as the stores show it.
    pub fn new(ctx: Arc<Context>, grant: Grant) -> Self {
        let known = Known { grant, armed: None, trouble: None, wait: None, orphaned: false };
        GrantEffects { ctx, id: known.grant.name_any(), known: Mutex::new(known) }
    }

    /// What went wrong last, and on which Grant.
    pub fn error(&self) -> Option<(Grant, String)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.trouble.clone().map(|t| (known.grant.clone(), t))
    }

    /// How long the target asked us to wait, if it did.
    pub fn wait(&self) -> Option<Duration> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).wait
    }

    /// Where it stands after this pass.
    pub fn state(&self) -> State {
        convert::grant_state(&self.grant())
    }

    /// The version that we know of.
    pub fn version(&self) -> String {
        self.grant().resource_version().unwrap_or_default()
    }

    /// The Grant as this pass knows it.
    pub fn grant(&self) -> Grant {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).grant.clone()
    }
    fn change(&self, f: impl FnOnce(&mut Known)) {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn failed(&self, what: &str, why: &impl std::fmt::Display) -> Outcome {
        tracing::warn!(grant = self.id, error = %why, "cannot {what}");
        let trouble: String = format!("cannot {what}: {why}").chars().take(1000).collect();
        self.change(|k| k.trouble = Some(trouble));
        Outcome::Failed
    }

    /// The target, if it is the one that was meant: a connection may lead elsewhere by now.
    async fn target(&self) -> Result<Arc<dyn Provider>, ProviderError> {
        let system = self.grant().spec.system;
        let target = self.ctx.registry.reach(&system.connection).await?;
        target.confirm(&system.reference.target).await?;
        Ok(target)
    }

    /// Absence counts only if the target is still the one that was meant after it was shown.
    async fn confirm_again(&self, target: &dyn Provider) -> Result<(), ProviderError> {
        target.confirm(&self.grant().spec.system.reference.target).await
    }

    /// Live: is the request there, the same one, and does it want its grant?
    async fn read_owner(&self) -> kube::Result<OwnerState> {
        let of = self.grant().spec.request;
        let found = kube_writes::requests(&self.ctx.client, &of.namespace).get_opt(&of.name).await?;
        let same = found.filter(|r| r.uid().as_deref() == Some(of.uid.as_str()) && r.metadata.deletion_timestamp.is_none());
        self.change(|k| k.orphaned = same.is_none());
        let grant = self.grant();
        let install = &self.ctx.install;
        let ours = |s: &ActivationRequestStatus| {
            let same = matches_request(&self.id, &grant.spec, s, install);
            if !same {
                tracing::error!(grant = self.id, "the Grant is not what its request says; it is ended");
            }
            same
        };
        let state = same.and_then(|r| r.status).filter(ours).and_then(|s| s.state);
        Ok(match state {
            Some(RequestState::Activating | RequestState::Active) => OwnerState::Wanted,
            Some(_) | None => OwnerState::Gone,
        })
    }

    /// Why it ends. Nobody is asked: a revocation needs nothing but the Grant and its target.
    fn why(&self, g: &Grant, next: &core::Grant) -> Option<Reason> {
        let of = &g.spec.request;
        let orphaned = self.known.lock().unwrap_or_else(PoisonError::into_inner).orphaned;
        let stored = self.ctx.stores.requests.get(&ObjectRef::new(&of.name).within(&of.namespace));
        let request = stored.filter(|r| !orphaned && r.uid().as_deref() == Some(of.uid.as_str()));
        audit_events::why(g, next.drifted, request.as_deref(), self.now())
    }

    async fn recheck(&self) -> kube::Result<Outcome> {
        let grants: Api<Grant> = Api::all(self.ctx.client.clone());
        let (live, behind) = futures::try_join!(grants.get_opt(&self.id), self.read_owner())?;
        let core = live.as_ref().map(|g| self.ctx.grant_facts(g));
        if let Some(live) = live {
            self.change(|k| k.grant = live);
        }
        Ok(Outcome::Rechecked(core, behind))
    }

    async fn commit(&self, next: &core::Grant) -> Outcome {
        let grant = self.grant();
        let armed = self.known.lock().unwrap_or_else(PoisonError::into_inner).armed.clone();
        let enforced = if next.state == State::Active { self.enforced().await } else { EnforcedBy::Curfew };
        let status = grant_status::status(&grant, next, armed, enforced, self.now());
        let grants: Api<Grant> = Api::all(self.ctx.client.clone());
        // Before the commit: a crash in between tells it twice rather than never.
        if let Some((what, event)) = audit_events::grant_event(&grant, &status, next.state, self.why(&grant, next)) {
            self.ctx.audit.append(what, event);
        }
        match kube_writes::commit(&grants, &self.id, &next.version, grant.status.as_ref(), &status).await {
            WriteOutcome::Stored(stored) => {
                self.announce(&stored, next);
                let version = stored.resource_version().unwrap_or_default();
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
            self.ctx.metrics.revocation_lag.observe(seconds(self.now().millis_since(next.expires_at).max(0)));
        }
    }

    /// Who ends the access if we do not, as far as it is seen at this moment.
    async fn enforced(&self) -> EnforcedBy {
        let plan = self.grant().spec.plan;
        match self.target().await {
            Ok(target) => target.enforced(&plan).await.unwrap_or(EnforcedBy::Curfew),
            Err(_) => EnforcedBy::Curfew,
        }
    }

    /// Shows who ends the access, if that has changed while it is active.
    pub async fn show_enforced(&self) {
        let grant = self.grant();
        let now = self.enforced().await.as_str();
        let Some(status) = grant.status.as_ref().filter(|s| s.enforced_by.as_deref() != Some(now)) else { return };
        let next = GrantStatus { enforced_by: Some(now.into()), ..status.clone() };
        let grants: Api<Grant> = Api::all(self.ctx.client.clone());
        let version = grant.resource_version().unwrap_or_default();
        match kube_writes::commit(&grants, &self.id, &version, grant.status.as_ref(), &next).await {
            WriteOutcome::Stored(stored) => {
                tracing::info!(grant = self.id, enforced_by = now, "who ends the access has changed");
                self.change(|k| k.grant = stored);
            }
            WriteOutcome::Conflict => {}
            WriteOutcome::Failed(e) => tracing::info!(grant = self.id, error = %e, "cannot show who ends the access"),
        }
    }

    async fn bring_forward(&self, to: Time) -> Outcome {
        match kube_writes::bring_forward(&self.ctx.client, &self.id, to).await {
            WriteOutcome::Stored(g) => {
                let core = self.ctx.grant_facts(&g);
                self.change(|k| k.grant = g);
                Outcome::BroughtForward(core)
            }
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(e) => self.failed("bring the end forward", &e),
        }
    }

    async fn observe(&self) -> Outcome {
        let plan = self.grant().spec.plan;
        let look = async {
            let target = self.target().await?;
            let seen = target.observe(&plan).await?;
            self.confirm_again(&*target).await.map(|()| seen)
        };
        Outcome::Observed(look.await.unwrap_or_else(|e| {
            drop(self.failed("look at the target", &e));
            Observation::Unknown
        }))
    }

    async fn reserve(&self) -> Result<Outcome, ProviderError> {
        let Some(permit) = self.ctx.authority.permit() else { return Ok(Outcome::Failed) };
        let grant = self.grant();
        Ok(match self.target().await?.reserve(&self.id, &grant.spec.plan, &permit).await? {
            ReserveOutcome::Reserved(r) => Outcome::Reserved(r),
            ReserveOutcome::Occupied(what) => {
                drop(self.failed("reserve", &what));
                self.ctx.events.publish(&grant, true, "Occupied", "Reserve", &what).await;
                Outcome::Occupied
            }
        })
    }

    async fn arm(&self, reservation: &Reservation) -> Result<Outcome, ProviderError> {
        let Some(permit) = self.ctx.authority.permit() else { return Ok(Outcome::Failed) };
        let plan = self.grant().spec.plan;
        let artifacts = self.target().await?.arm(&self.id, &plan, reservation, &permit).await?;
        self.change(|k| k.armed = Some(artifacts));
        Ok(Outcome::Done)
    }

    async fn revoke(&self) -> Result<Outcome, ProviderError> {
        let grant = self.grant();
        let known = grant.status.as_ref().map(|s| s.artifacts.clone()).unwrap_or_default();
        let target = self.target().await?;
        Ok(match target.revoke(&self.id, &grant.spec.plan, &known).await? {
            RevokeOutcome::Gone => {
                self.confirm_again(&*target).await?;
                Outcome::Gone
            }
            RevokeOutcome::Remains(what) => self.failed("prove that nothing is left", &what),
        })
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
            self.change(|k| k.wait = e.retry_after());
            self.failed(what, &e)
        })
    }
}

/// A Grant is what its request says, to the letter: somebody who got past the guard could have written another under its name.
fn matches_request(id: &str, g: &GrantSpec, s: &ActivationRequestStatus, install: &str) -> bool {
    let (Some(r), Some(end)) = (&s.resolved, s.expires_at) else { return false };
    let plan = Plan::Kubernetes(KubernetesPlan::of(r, install, id, end));
    let whose =
        ids::grant_id(install, &g.request.uid) == id && g.request.requester == r.requester && g.request.beneficiary == r.beneficiary;
    let what = g.digest == r.digest() && g.principal.name == r.principal && g.plan == plan;
    whose && what && g.system.reference == r.system && g.expires_at <= end
}

#[async_trait]
impl EffectHandler for GrantEffects {
    async fn perform(&self, ask: &Effect) -> Outcome {
        match ask {
            Effect::ReadOwner => self.read_owner().await.map_or_else(|e| self.failed("ask for the request", &e), Outcome::Owner),
            Effect::Observe => self.observe().await,
            Effect::Reserve => self.or_failed("reserve", self.reserve().await),
            Effect::Recheck => self.recheck().await.unwrap_or_else(|e| self.failed("recheck", &e)),
            Effect::Arm(r) => self.or_failed("arm", self.arm(r).await),
            Effect::CommitGrant(next) => self.commit(next).await,
            Effect::Revoke => self.or_failed("revoke", self.revoke().await),
            Effect::BringForward(to) => self.bring_forward(*to).await,
            Effect::RemoveFinalizer => self.release().await,
            Effect::ReadLive | Effect::CommitRequest(_) | Effect::CreateGrant { .. } | Effect::Done(_) => Outcome::Failed,
        }
    }
    fn now(&self) -> Time {
        self.ctx.now()
    }
    fn permit(&self) -> bool {
        self.ctx.authority.permit().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_core::resolved::Resolved;
    use serde_json::{Value, json};

    const INSTALL: &str = "0123abcd";
    const END: &str = "2026-11-25T12:00:00Z";

    fn status() -> ActivationRequestStatus {
        let reference = |name: &str| json!({"name": name, "uid": name, "generation": 1});
        let resolved = json!({
            "version": "v1", "request": "r1", "requester": "alice", "beneficiary": {"user": "alice"}, "principal": "alice",
            "system": {"name": "staging", "uid": "s1", "target": "t1"},
            "role": reference("role"), "assignment": reference("assignment"), "policy": reference("policy"),
            "permissions": [{"kind": "ClusterRole", "name": "payments-admin", "uid": "c1", "rules": "0123456789abcdef"}],
            "scope": {"namespaces": [reference("payments")]}, "duration": "1h", "approval": [],
        });
        serde_json::from_value(json!({"resolved": resolved, "expiresAt": END})).unwrap()
    }

    fn matches(id: &str, change: impl FnOnce(&mut Value)) -> bool {
        let status = status();
        let r: &Resolved = status.resolved.as_ref().unwrap();
        let plan = Plan::Kubernetes(KubernetesPlan::of(r, INSTALL, id, status.expires_at.unwrap()));
        let mut grant = json!({
            "system": {"name": "staging", "uid": "s1", "target": "t1", "connection": {"kubernetes": {"inCluster": {}}}},
            "request": {"namespace": "payments", "name": "r", "uid": "r1", "requester": "alice", "beneficiary": {"user": "alice"}},
            "principal": {"name": "alice"}, "plan": plan, "digest": r.digest(), "expiresAt": END,
        });
        change(&mut grant);
        matches_request(id, &serde_json::from_value(grant).unwrap(), &status, INSTALL)
    }

    #[test]
    fn a_grant_is_what_its_request_says_to_the_letter() {
        let id = ids::grant_id(INSTALL, "r1");
        assert!(matches(&id, |_| ()));
        assert!(matches(&id, |g| g["expiresAt"] = "2026-11-25T11:00:00Z".into()), "its end may move earlier");
        assert!(!matches("00000000000000a1", |_| ()), "under another name");
        type Forgery = (&'static str, fn(&mut Value));
        let forged: [Forgery; 9] = [
            ("a later end", |g| g["expiresAt"] = "2026-11-25T13:00:00Z".into()),
            ("another cluster", |g| g["system"]["name"] = "prod".into()),
            ("another target", |g| g["system"]["target"] = "t2".into()),
            ("another request", |g| g["request"]["uid"] = "r2".into()),
            ("another requester", |g| g["request"]["requester"] = "mallory".into()),
            ("another beneficiary", |g| g["request"]["beneficiary"]["user"] = "mallory".into()),
            ("another principal", |g| g["principal"]["name"] = "mallory".into()),
            ("another role", |g| g["plan"]["kubernetes"]["bindings"][0]["role"] = "cluster-admin".into()),
            ("another digest", |g| g["digest"] = "0000000000000000".into()),
        ];
        for (what, change) in forged {
            assert!(!matches(&id, change), "{what}");
        }
    }
}
