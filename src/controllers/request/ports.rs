//! How a request's pass is answered.
use super::render;
use crate::{
    api::{
        ActivationRequest,
        grant::{GrantRequest, GrantSpec, GrantSystem, Principal},
    },
    controllers::{
        Context, facts,
        gather::{self, Source},
        tell,
    },
    evidence::{Said, What},
    ledger::{self, Written},
    runtime::{drive::Ports, stores::Key},
};
use async_trait::async_trait;
use curfew_core::{
    ids,
    pass::{Answer, Ask, View},
    request::{Request, State},
    resolved::{KubernetesPlan, Plan},
    time::Time,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt, runtime::reflector::ObjectRef};
use std::sync::{Arc, Mutex, PoisonError};

/// Answers with the API server, for one request.
pub struct RequestPorts {
    ctx: Arc<Context>,
    key: Key,
    /// The object and what it rests on, as the pass knows them.
    known: Mutex<(ActivationRequest, View)>,
}

impl RequestPorts {
    /// For a request as the stores show it.
    pub fn new(ctx: Arc<Context>, key: Key, object: ActivationRequest, view: View) -> Self {
        RequestPorts { ctx, key, known: Mutex::new((object, view)) }
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

    async fn refresh(&self) -> Answer {
        match gather::around(&self.ctx, &self.key, Source::Live).await {
            Ok(around) => {
                let view = around.view(&self.ctx).await;
                if let Some(object) = around.request {
                    self.remember(object, Some(view.clone()));
                }
                Answer::Fresh(view)
            }
            Err(e) => self.failed("read live", &e),
        }
    }

    async fn commit(&self, next: &Request) -> Answer {
        let (object, view) = self.known();
        let grant = self.ctx.stores.grants.get(&ObjectRef::new(&ids::grant(&self.ctx.install, &next.uid)));
        let enforced_by = grant.as_ref().and_then(|g| g.status.as_ref()?.enforced_by.as_deref());
        let around = render::Around { install: &self.ctx.install, trouble: None, enforced_by };
        let status = render::status(&object, &next.status, &view, around, self.now());
        let api = ledger::requests(&self.ctx.client, &self.key.0);
        if let Some((what, facts)) = tell::request(&object, &status, next.status.state, &self.words()) {
            self.ctx.evidence.tell(what, facts);
        }
        match ledger::commit(&api, &self.key.1, &next.version, object.status.as_ref(), &status).await {
            Written::Stored(stored) => {
                self.announce(&stored, next).await;
                let version = stored.resource_version().unwrap_or_default();
                self.remember(stored, None);
                Answer::Stored(version.into())
            }
            Written::Conflict => Answer::Conflict,
            Written::Failed(e) => self.failed("store the status of", &e),
        }
    }

    /// One Event and one line for each transition.
    async fn announce(&self, stored: &ActivationRequest, next: &Request) {
        let status = stored.status.clone().unwrap_or_default();
        let state = status.state.map_or_else(String::new, |s| format!("{s:?}"));
        let (reason, message) = (status.reason.unwrap_or_default(), status.message.unwrap_or_default());
        tracing::info!(request.uid = %next.uid, namespace = self.key.0, name = self.key.1, state, reason, message, "request");
        let bad = matches!(next.status.state, State::Over(outcome, _) if render::is_refusal(outcome));
        self.ctx.events.tell(stored, bad, &state, "Decide", &message).await;
        if let (Some(role), State::Active | State::Over(..)) = (self.role(), next.status.state) {
            let note = format!("request {} of {}: {message}", self.key.1, next.requester.username);
            self.ctx.events.tell_of(&role, bad, &state, "Decide", &note).await;
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

    async fn create_grant(&self, request: &Request, expires_at: Time) -> Answer {
        let Some(permit) = self.ctx.authority.permit() else { return Answer::Failed };
        let Some(frozen) = &request.status.frozen else { return Answer::Failed };
        let r = &frozen.terms.resolved;
        let id = ids::grant(&self.ctx.install, &request.uid);
        let Some(connection) = self.connection(&r.system.name) else { return Answer::Failed };
        let spec = GrantSpec {
            system: GrantSystem { reference: r.system.clone(), connection },
            request: GrantRequest {
                namespace: self.key.0.clone(),
                name: self.key.1.clone(),
                uid: request.uid.to_string(),
                requester: r.requester.clone(),
                beneficiary: r.beneficiary.clone(),
                aliases: self.aliases(request),
            },
            principal: Principal { name: r.principal.clone() },
            plan: Plan::Kubernetes(KubernetesPlan::of(r, &self.ctx.install, &id, expires_at)),
            digest: frozen.terms.digest,
            expires_at,
        };
        let facts = tell::intent(&self.known().0, &spec, &id, &self.words());
        if !self.ctx.evidence.intend(What::GrantIntended, facts).await {
            tracing::warn!(
                namespace = self.key.0,
                name = self.key.1,
                "evidence of the intent was not taken by every sink; nothing is granted"
            );
            return Answer::Failed;
        }
        // Waiting for a sink takes time, and what permitted it may be over.
        if self.ctx.authority.permit().is_none() || self.now() >= expires_at {
            return Answer::Failed;
        }
        match ledger::create_grant(&self.ctx.client, &id, spec, &permit).await {
            Written::Stored(made) => {
                if let Some(grant) = made {
                    self.ctx.made(&grant);
                }
                Answer::Done
            }
            Written::Conflict => Answer::Conflict,
            Written::Failed(e) => self.failed("write the Grant of", &e),
        }
    }

    /// Whose word counted, in the order of the stages.
    fn words(&self) -> Vec<Said> {
        let (object, view) = self.known();
        let request = facts::request(&object, &self.ctx.gate());
        let tally = curfew_core::request::count(&request, &view.words, &view.alias_keys);
        let said = |i: &usize| {
            let w = &view.words[*i];
            Said { name: w.by.username.clone(), decision: format!("{:?}", w.verb), at: w.at }
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

    async fn bring_forward(&self, request_uid: &str, to: Time) -> Answer {
        let id = ids::grant(&self.ctx.install, request_uid);
        match ledger::bring_forward(&self.ctx.client, &id, to).await {
            Written::Stored(g) => Answer::Stored(g.resource_version().unwrap_or_default().into()),
            Written::Conflict => Answer::Conflict,
            Written::Failed(e) => self.failed("bring forward the Grant of", &e),
        }
    }

    fn failed(&self, what: &str, e: &kube::Error) -> Answer {
        tracing::warn!(namespace = self.key.0, name = self.key.1, error = %e, "cannot {what} the request");
        Answer::Failed
    }
}

/// Milliseconds as seconds, for histograms.
#[allow(clippy::cast_precision_loss)]
pub fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

#[async_trait]
impl Ports for RequestPorts {
    async fn answer(&self, ask: &Ask) -> Answer {
        match ask {
            Ask::Refresh => self.refresh().await,
            Ask::CommitRequest(next) => self.commit(next).await,
            Ask::CreateGrant { request, expires_at } => self.create_grant(request, *expires_at).await,
            Ask::BringForward(to) => {
                let uid = self.known().0.uid().unwrap_or_default();
                self.bring_forward(&uid, *to).await
            }
            Ask::ReadBehind
            | Ask::Observe
            | Ask::Reserve
            | Ask::Recheck
            | Ask::Arm(_)
            | Ask::CommitGrant(_)
            | Ask::Revoke
            | Ask::Release
            | Ask::Done(_) => Answer::Failed,
        }
    }
    fn now(&self) -> Time {
        self.ctx.now()
    }
    fn permit(&self) -> bool {
        self.ctx.authority.permit().is_some()
    }
}
