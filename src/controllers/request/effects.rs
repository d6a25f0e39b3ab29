//! How a request's pass is answered.
use super::status;
use crate::{
    api::{
        ActivationRequest,
        grant::{GrantRequest, GrantSpec, GrantSystem},
    },
    audit::{CountedDecision, EventKind},
    controllers::{
        Context, audit_events, convert,
        dereference::{self, Source},
    },
    kube_writes::{self, WriteOutcome},
    runtime::{driver::EffectHandler, stores::Key},
};
use async_trait::async_trait;
use curfew_core::{
    ids,
    reconcile::{Effect, Outcome, View},
    request::{Request, State},
    resolved::SCHEMA,
    time::Time,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::sync::{Arc, Mutex, PoisonError};

/// Answers with the API server, for one request.
pub struct RequestEffects {
    ctx: Arc<Context>,
    key: Key,
    /// The object and what it rests on, as the pass knows them.
    known: Mutex<(ActivationRequest, View)>,
}

impl RequestEffects {
    /// For a request as the stores show it.
    pub fn new(ctx: Arc<Context>, key: Key, object: ActivationRequest, view: View) -> Self {
        RequestEffects { ctx, key, known: Mutex::new((object, view)) }
    }

    /// The version that we know of.
    pub fn version(&self) -> String {
        self.known().0.resource_version().unwrap_or_default()
    }

    fn known(&self) -> (ActivationRequest, View) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn remember(&self, object: ActivationRequest, view: Option<View>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.0 = object;
        known.1 = view.unwrap_or_else(|| known.1.clone());
    }

    async fn refresh(&self) -> Outcome {
        match dereference::dereference(&self.ctx, &self.key, Source::Live).await {
            Ok(around) => {
                let view = around.view(&self.ctx).await;
                if let Some(object) = around.request {
                    self.remember(object, Some(view.clone()));
                }
                Outcome::Refreshed(view)
            }
            Err(e) => self.failed("read live", &e),
        }
    }

    async fn commit(&self, next: &Request) -> Outcome {
        let (object, view) = self.known();
        let grant = self.ctx.stores.grants.get(&ObjectRef::new(&ids::grant_id(&self.ctx.install, &next.uid)));
        let enforced_by = grant.as_ref().and_then(|g| g.status.as_ref()?.enforced_by.as_deref());
        let around = status::StatusContext { install: &self.ctx.install, trouble: None, enforced_by };
        let status = status::status(&object, &next.status, &view, around, self.now());
        let api = kube_writes::requests(&self.ctx.client, &self.key.0);
        if let Some((what, event)) = audit_events::request_event(&object, &status, next.status.state, &self.counted_decisions()) {
            self.ctx.audit.append(what, event);
        }
        match kube_writes::commit(&api, &self.key.1, &next.version, object.status.as_ref(), &status).await {
            WriteOutcome::Stored(stored) => {
                self.announce(&stored, next).await;
                let version = stored.resource_version().unwrap_or_default();
                self.remember(stored, None);
                Outcome::Stored(version.into())
            }
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(e) => self.failed("store the status of", &e),
        }
    }

    /// One Event and one line for each transition.
    async fn announce(&self, stored: &ActivationRequest, next: &Request) {
        let status = stored.status.clone().unwrap_or_default();
        let state = status.state.map_or_else(String::new, |s| format!("{s:?}"));
        let (reason, message) = (status.reason.unwrap_or_default(), status.message.unwrap_or_default());
        tracing::info!(request.uid = %next.uid, namespace = self.key.0, name = self.key.1, state, reason, message, "request");
        let bad = matches!(next.status.state, State::Ended(outcome, _) if status::is_refusal(outcome));
        self.ctx.events.publish(stored, bad, &state, "Decide", &message).await;
        if let (Some(role), State::Active | State::Ended(..)) = (self.role(), next.status.state) {
            let note = format!("request {} of {}: {message}", self.key.1, next.requester.username);
            self.ctx.events.publish_for(&role, bad, &state, "Decide", &note).await;
        }
        if let (State::Active, Some(at)) = (next.status.state, next.status.activated_at) {
            self.ctx.metrics.activation_duration.observe(seconds(at.millis_since(next.created)));
        }
    }

    /// The role that was asked for, if it exists: whoever owns it sees what comes of it.
    fn role(&self) -> Option<ObjectReference> {
        let name = self.known().0.spec.role_ref.name;
        let found = self.ctx.stores.templates.get(&ObjectRef::new(&name).within(&self.key.0))?;
        Some(found.object_ref(&()))
    }

    async fn create_grant(&self, request: &Request, expires_at: Time) -> Outcome {
        let Some(permit) = self.ctx.authority.permit() else { return Outcome::Failed };
        let Some(frozen) = &request.status.frozen else { return Outcome::Failed };
        let r = &frozen.terms.resolved;
        let id = ids::grant_id(&self.ctx.install, &request.uid);
        let Some(connection) = self.connection(&r.system.name) else { return Outcome::Failed };
        let Some(plan) = r.plan(&self.ctx.install, &id, expires_at) else { return Outcome::Failed };
        let spec = GrantSpec {
            schema: Some(SCHEMA),
            system: GrantSystem { reference: r.system.clone(), connection },
            request: GrantRequest {
                namespace: self.key.0.clone(),
                name: self.key.1.clone(),
                uid: request.uid.to_string(),
                requester: r.requester.clone(),
                beneficiary: r.beneficiary.clone(),
                aliases: self.aliases(request),
            },
            principal: r.principal.clone(),
            plan,
            digest: frozen.terms.digest,
            expires_at,
        };
        let event = audit_events::intent(&self.known().0, &spec, &id, &self.counted_decisions());
        if !self.ctx.audit.append_and_wait(EventKind::GrantIntended, event).await {
            tracing::warn!(
                namespace = self.key.0,
                name = self.key.1,
                "evidence of the intent was not taken by every sink; nothing is granted"
            );
            return Outcome::Failed;
        }
        // Waiting for a sink takes time, and what permitted it may be over.
        if self.ctx.authority.permit().is_none() || self.now() >= expires_at {
            return Outcome::Failed;
        }
        match kube_writes::create_grant(&self.ctx.client, &id, spec, &permit).await {
            WriteOutcome::Stored(made) => {
                if let Some(grant) = made {
                    self.ctx.record_created(&grant);
                }
                Outcome::Done
            }
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(e) => self.failed("write the Grant of", &e),
        }
    }

    /// Whose word counted, in the order of the stages.
    fn counted_decisions(&self) -> Vec<CountedDecision> {
        let (object, view) = self.known();
        let request = convert::request(&object, &self.ctx.admission());
        let tally = curfew_core::request::tally_decisions(&request, &view.decisions, &view.alias_keys);
        let said = |i: &usize| {
            let w = &view.decisions[*i];
            CountedDecision { name: w.decider.username.clone(), decision: format!("{:?}", w.verb), at: w.created }
        };
        tally.stages.iter().flat_map(|s| s.approved.iter().map(said)).collect()
    }

    /// What the requester is known by behind other logins.
    fn aliases(&self, request: &Request) -> Vec<String> {
        let keys = self.known().1.alias_keys;
        let of = |k: &String| request.requester.extra.get(k).cloned().unwrap_or_default();
        keys.iter().flat_map(of).take(64).collect()
    }

    fn connection(&self, system: &str) -> Option<crate::api::system::Provider> {
        let found = self.ctx.stores.systems.find(|s| s.name_any() == system)?;
        Some(found.spec.provider.clone())
    }

    async fn bring_forward(&self, request_uid: &str, to: Time) -> Outcome {
        let id = ids::grant_id(&self.ctx.install, request_uid);
        match kube_writes::bring_forward(&self.ctx.client, &id, to).await {
            WriteOutcome::Stored(g) => Outcome::Stored(g.resource_version().unwrap_or_default().into()),
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(e) => self.failed("bring forward the Grant of", &e),
        }
    }

    fn failed(&self, what: &str, e: &kube::Error) -> Outcome {
        tracing::warn!(namespace = self.key.0, name = self.key.1, error = %e, "cannot {what} the request");
        Outcome::Failed
    }
}

/// Milliseconds as seconds, for histograms.
#[allow(clippy::cast_precision_loss)]
pub fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

#[async_trait]
impl EffectHandler for RequestEffects {
    async fn perform(&self, ask: &Effect) -> Outcome {
        match ask {
            Effect::ReadLive => self.refresh().await,
            Effect::CommitRequest(next) => self.commit(next).await,
            Effect::CreateGrant { request, expires_at } => self.create_grant(request, *expires_at).await,
            Effect::BringForward(to) => {
                let uid = self.known().0.uid().unwrap_or_default();
                self.bring_forward(&uid, *to).await
            }
            Effect::ReadOwner
            | Effect::Observe { .. }
            | Effect::Survey
            | Effect::ReadSlotOwners
            | Effect::Reserve
            | Effect::Recheck
            | Effect::Arm(_)
            | Effect::Apply { .. }
            | Effect::Poll(_)
            | Effect::CommitGrant(_)
            | Effect::Revoke { .. }
            | Effect::RemoveFinalizer
            | Effect::Done(_) => Outcome::Failed,
        }
    }
    fn now(&self) -> Time {
        self.ctx.now()
    }
    fn permit(&self) -> bool {
        self.ctx.authority.permit().is_some()
    }
}
