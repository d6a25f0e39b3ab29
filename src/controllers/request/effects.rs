//! The effects of a request's reconcile.
use super::{
    break_glass, fresh_decisions,
    known::Known,
    slots,
    status::{self, StatusInputs},
};
use crate::{
    api::{
        ActivationRequest,
        grant::{GrantRequest, GrantReview, GrantSpec, GrantSystem},
    },
    controllers::{
        Context,
        audit_events::{self, Authentications},
        dereference::{self, Source},
        grant::early_end,
    },
    kube_writes::{self, WriteOutcome},
    observe::seconds_between,
    runtime::{changes, driver::EffectHandler, stores::Key},
};
use async_trait::async_trait;
use curfew_core::{
    admission::Provenance,
    conditions::evidence::evidence,
    ids,
    limits::{self, Holder, Limit, Slot, Slots},
    principal::{MAX_ALIAS, UserInfo},
    reconcile::{Effect, Outcome},
    request::{Request, State},
    resolved::SCHEMA,
    text::{brief, clip},
    time::Time,
};
use kube::ResourceExt;
use parking_lot::Mutex;
use std::sync::Arc;

/// Performs the effects of one request with the API server.
pub struct RequestEffects {
    ctx: Arc<Context>,
    key: Key,
    known: Mutex<Known>,
    /// The limits of the request and their slots, as they were listed last, without those that were found to be held by nobody.
    listed: Mutex<Option<(Vec<Limit>, Slots)>>,
}

impl RequestEffects {
    /// The effects of a request as the stores show it.
    pub fn new(ctx: Arc<Context>, key: Key, known: Known) -> Self {
        RequestEffects { ctx, key, known: Mutex::new(known), listed: Mutex::default() }
    }

    /// What this reconcile knows by now.
    pub fn known(&self) -> Known {
        self.known.lock().clone()
    }

    async fn read_live(&self) -> Outcome {
        let decisions = fresh_decisions::since_commit(&self.ctx, &self.key, &self.known()).await;
        match dereference::dereference_with(&self.ctx, &self.key, Source::Live, decisions).await {
            Ok(dereferenced) => match Known::new(&self.ctx, dereferenced).await {
                Some(known) => {
                    let mut current = self.known.lock();
                    *current = Known { limit: current.limit.take(), ..known.clone() };
                    Outcome::Refreshed(known.view)
                }
                // Deleted meanwhile: what is known stays, and a commit of it conflicts.
                None => Outcome::Conflict,
            },
            Err(error) => self.failed("read live", &error),
        }
    }

    async fn commit(&self, next: &Request) -> Outcome {
        let known = self.known();
        let (object, tally) = (&known.object, known.tally_for(next));
        let of = StatusInputs::of(&known, &self.ctx.install);
        // Of what goes on, the next look tells the error that stands then.
        let error = of.error.filter(|_| matches!(next.status.state, State::Ended(..)));
        let inputs = StatusInputs { tally: &tally, error, ..of };
        let at = self.now();
        let status = status::status(object, &next.status, &inputs, at);
        // Before the commit: a crash in between records it twice rather than never.
        if let Some((kind, event)) =
            audit_events::request_event(object, &status, next.status.state, &known.counted_decisions(&tally), self.people(&known))
        {
            self.ctx.audit.append_transition(&next.uid, kind, event);
        }
        let api = kube_writes::requests(&self.ctx.client, &self.key.0);
        match kube_writes::commit(&api, &self.key.1, &next.version, object.status.as_ref(), &status).await {
            WriteOutcome::Stored(stored) => {
                self.announce(&stored, next);
                self.ctx.traces.request(object, &stored, known.grant.as_deref(), at);
                self.ctx.notify(object.status.as_ref(), &stored);
                let version = stored.resource_version().unwrap_or_default();
                self.known.lock().stored(stored, next, tally);
                Outcome::Stored(version.into())
            }
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(error) => self.failed("store the status of", &error),
        }
    }

    /// How requester and author were authenticated, for the audit log. Of an author only while the ActiveAssignment exists.
    fn people(&self, known: &Known) -> Authentications {
        let keys = known.view.people.login_keys.mfa.as_ref();
        // What was accepted was proven, and stays so.
        let proven = known.request.provenance == Provenance::Verified || known.request.status.frozen.is_some();
        let shown = |login: &UserInfo| if proven { evidence(keys, login) } else { None };
        let resolved = known.request.status.frozen.as_ref().map(|frozen| frozen.terms.resolved.clone());
        let standing = known.object.spec.active_assignment.as_ref();
        let standing = standing.and_then(|named| self.ctx.stores.active_assignment(&(self.key.0.clone(), named.name.clone())));
        let same = standing.filter(|found| resolved.is_none_or(|resolved| found.uid().as_ref() == Some(&resolved.assignment.uid)));
        Authentications {
            requester: shown(&known.request.requester),
            author: same.and_then(|found| found.spec.author.as_ref().and_then(&shown)),
        }
    }

    /// One log line for each transition, and an Event for those that people wait for: it is scheduled or active, or it has ended.
    fn announce(&self, stored: &ActivationRequest, next: &Request) {
        let status = stored.status.clone().unwrap_or_default();
        let state = status.state.map_or_else(String::new, |s| format!("{s:?}"));
        let (reason, message) = (status.reason.unwrap_or_default(), status.message.unwrap_or_default());
        tracing::info!(request.uid = %next.uid, namespace = self.key.0, name = self.key.1, state, reason, message, "request");
        let bad = matches!(next.status.state, State::Ended(outcome, _) if status::is_refusal(outcome));
        if matches!(next.status.state, State::Scheduled | State::Active | State::Ended(..)) {
            self.ctx.events.publish(stored, bad, &state, "Decide", &message);
            // The owners of the role see the outcome, too.
            if let Some(role) = self.ctx.stores.template(&changes::template_of(stored)) {
                let note = format!("request {} of {}: {message}", self.key.1, brief(&next.requester.username));
                self.ctx.events.publish_first(&*role, bad, &state, "Decide", &note);
            }
        }
        if next.break_glass && next.status.state == State::Activating {
            self.ctx.metrics.break_glass.inc();
            break_glass::tell(&self.ctx, stored, next, false);
        }
        // A beneficiary who has not asked learns of it here, and in the column FOR.
        if let (State::AwaitingApproval, Some(note)) = (next.status.state, status::requested_for_another(next)) {
            self.ctx.events.publish(stored, false, &state, "Request", &note);
        }
        self.announce_extension(stored, next);
        if let (State::Active, Some(at)) = (next.status.state, next.status.activated_at) {
            let asked = stored.spec.start_time.map_or(next.created, |start| start.max(next.created));
            self.ctx.metrics.activation_duration.observe(seconds_between(asked, at));
        }
    }

    /// Who holds the access that is extended learns of its extension where that access is shown.
    fn announce_extension(&self, stored: &ActivationRequest, next: &Request) {
        let (State::Activating, Some(extended), Some(end)) = (next.status.state, changes::extended(stored), next.status.expires_at) else {
            return;
        };
        if let Some(parent) = self.ctx.stores.request(&extended) {
            let note = format!("request {} was approved and extends this access until {end}", self.key.1);
            self.ctx.events.publish(&*parent, false, "Extended", "Decide", &note);
        }
    }

    async fn list_slots(&self, of: &[Limit]) -> Outcome {
        let known = self.known();
        match slots::list(&self.ctx, &known.object, of).await {
            Ok(listed) => {
                *self.listed.lock() = Some((of.to_vec(), listed.clone()));
                self.explain_limit();
                Outcome::Slots(listed)
            }
            Err(error) => self.failed("list the slots for", &error),
        }
    }

    async fn create_slot(&self, name: &str) -> Outcome {
        match slots::create(&self.ctx, &self.key, &self.known().request.uid, name).await {
            Some(WriteOutcome::Stored(())) => Outcome::Done,
            Some(WriteOutcome::Conflict) => Outcome::Occupied,
            Some(WriteOutcome::Failed(error)) => self.failed("take a slot for", &error),
            None => Outcome::Failed,
        }
    }

    async fn take_over_slot(&self, slot: &Slot, from: &Holder) -> Outcome {
        match slots::take_over(&self.ctx, &self.key, &self.known().request.uid, slot, from).await {
            Some(WriteOutcome::Stored(())) => Outcome::Done,
            Some(WriteOutcome::Conflict) => Outcome::Occupied,
            Some(WriteOutcome::Failed(error)) => self.failed("take over a slot for", &error),
            None => Outcome::Failed,
        }
    }

    async fn delete_slot(&self, slot: &Slot) -> Outcome {
        match kube_writes::slots::delete(&self.ctx.client, slot).await {
            Ok(()) => {
                if let Some((_, listed)) = &mut *self.listed.lock() {
                    listed.taken.retain(|taken| taken.uid != slot.uid);
                }
                self.explain_limit();
                Outcome::Done
            }
            Err(error) => self.failed("delete a slot that nobody holds, for", &error),
        }
    }

    /// Which limit is reached as far as this run has found: a request that was found to hold nothing is not named as its holder.
    fn explain_limit(&self) {
        let listed = self.listed.lock();
        let mut known = self.known.lock();
        known.limit = listed.as_ref().and_then(|(limits, slots)| limits::explain(limits, slots, &known.request.uid, &self.ctx.install));
    }

    async fn release_slots(&self) -> Outcome {
        let known = self.known();
        match slots::release(&self.ctx, &known.request, known.view.grant).await {
            Ok(()) => Outcome::Done,
            Err(error) => self.failed("release the slots of", &error),
        }
    }

    async fn create_grant(&self, request: &Request, expires_at: Time) -> Outcome {
        let Some(permit) = self.ctx.authority.permit() else { return Outcome::Failed };
        let Some(frozen) = &request.status.frozen else { return Outcome::Failed };
        let resolved = &frozen.terms.resolved;
        let id = ids::grant_id(&self.ctx.install, &request.uid);
        let Some(system) = self.ctx.stores.system(&resolved.system.name) else { return Outcome::Failed };
        let fingerprint = system.status.as_ref().and_then(|s| s.target.clone()).and_then(|target| target.fingerprint);
        let Some(plan) = resolved.plan(&self.ctx.install, &id, expires_at) else { return Outcome::Failed };
        let settings = self.ctx.stores.config().map(|config| config.spec.settings()).unwrap_or_default();
        let spec = GrantSpec {
            schema: Some(SCHEMA),
            system: GrantSystem { reference: resolved.system.clone(), connection: system.spec.provider.clone(), fingerprint },
            request: GrantRequest {
                namespace: self.key.0.clone(),
                name: self.key.1.clone(),
                uid: request.uid.to_string(),
                requester: resolved.requester.clone(),
                beneficiary: resolved.beneficiary.clone(),
                role: Some(resolved.role.name.clone()),
                extends: resolved.extends.clone(),
                aliases: self.aliases(request),
                requester_uid: self.requester_uid(request),
            },
            principal: resolved.principal.clone(),
            plan: plan.configured(&settings),
            digest: frozen.terms.digest,
            expires_at,
            review: grant_review(request),
        };
        let known = self.known();
        let event = audit_events::intent(&known.object, &spec, &id, &known.counted_decisions(&known.tally), self.people(&known));
        if !self.ctx.audit.append_intent(&id, event).await {
            tracing::warn!(
                namespace = self.key.0,
                name = self.key.1,
                "an audit sink did not take the record of the intent; nothing is granted"
            );
            return Outcome::Failed;
        }
        // Waiting for a sink takes time: the permit or the deadline may have passed.
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
            WriteOutcome::Failed(error) => self.failed("write the Grant of", &error),
        }
    }

    /// What the requester's login carries under the alias keys.
    fn aliases(&self, request: &Request) -> Vec<String> {
        let people = self.known().view.people;
        request.requester.aliases(&people.alias_keys).take(64).map(|alias| clip(alias, MAX_ALIAS)).collect()
    }

    /// The uid of the requester's login, where that is one person's.
    fn requester_uid(&self, request: &Request) -> Option<String> {
        request.requester.personal_uid(self.known().view.people.uids).map(str::to_owned)
    }

    async fn bring_forward(&self, request_uid: &str, to: Time) -> Outcome {
        let id = ids::grant_id(&self.ctx.install, request_uid);
        match kube_writes::bring_forward(&self.ctx.client, &id, to).await {
            WriteOutcome::Stored(grant) => {
                early_end::expire_now(&self.ctx, &grant).await;
                Outcome::Stored(grant.resource_version().unwrap_or_default().into())
            }
            WriteOutcome::Conflict => Outcome::Conflict,
            WriteOutcome::Failed(error) => self.failed("bring forward the Grant of", &error),
        }
    }

    fn failed(&self, what: &str, error: &kube::Error) -> Outcome {
        tracing::warn!(namespace = self.key.0, name = self.key.1, %error, "cannot {what} the request");
        Outcome::Failed
    }
}

/// What a review needs once the request is deleted.
fn grant_review(request: &Request) -> Option<GrantReview> {
    let resolved = &request.status.frozen.as_ref()?.terms.resolved;
    let requester = UserInfo { groups: Arc::default(), ..(*request.requester).clone() };
    request.break_glass.then(|| GrantReview { requester, reviewers: resolved.reviewers() })
}

#[async_trait]
impl EffectHandler for RequestEffects {
    async fn perform(&self, effect: &Effect) -> Outcome {
        match effect {
            Effect::ReadLive => self.read_live().await,
            Effect::CommitRequest(next) => self.commit(next).await,
            Effect::ListSlots(limits) => self.list_slots(limits).await,
            Effect::CreateSlot(name) => self.create_slot(name).await,
            Effect::TakeOverSlot { slot, from } => self.take_over_slot(slot, from).await,
            Effect::VerifySlot(slot) => match slots::is_held(&self.ctx, slot).await {
                Ok(held) => Outcome::HoldsSlot(held),
                Err(error) => self.failed("read who holds a slot for", &error),
            },
            Effect::DeleteSlot(slot) => self.delete_slot(slot).await,
            Effect::ReleaseSlots => self.release_slots().await,
            Effect::CreateGrant { request, expires_at } => self.create_grant(request, *expires_at).await,
            Effect::BringForward(to) => {
                let uid = self.known().object.uid().unwrap_or_default();
                self.bring_forward(&uid, *to).await
            }
            Effect::ReadOwner
            | Effect::Observe { .. }
            | Effect::Survey
            | Effect::ReadContent
            | Effect::ReadContentLive
            | Effect::Withhold(_)
            | Effect::ReadWithheld(_)
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
    /// Whether a start has come is told by the API server's clock, which this node's may be ahead of: nothing begins early.
    fn now(&self) -> Time {
        let waits_for_start = {
            let known = self.known.lock();
            let waits = matches!(known.request.status.state, State::Pending | State::AwaitingApproval | State::Scheduled);
            waits && known.object.spec.start_time.is_some()
        };
        if waits_for_start { self.ctx.authority.clock.at_least() } else { self.ctx.now() }
    }
    fn permit(&self) -> bool {
        self.ctx.authority.permit().is_some()
    }
}
