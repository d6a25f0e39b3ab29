//! AssignmentRequests. One reconcile reads top to bottom: dereference, decide, run effects, publish status.
//!
//! Its effect is one write: the new window into the status of the assignment, by compare-and-swap, or the new assignment, where there is none
//! of its name. Where a role protects its last holder, a removal writes to the holder that is left before. If the operator dies between that
//! and the end of the request, the next run finds the window or the assignment in place. What rests on it is in [`proof`].
mod known;
pub mod object;
pub mod proof;
mod status;

use super::{
    Context, convert, decision,
    decision::status::{RequestRef, Verdict},
    dereference::Source,
    emergency,
};
use crate::{
    api::{AssignmentRequest, assignment_request::Action},
    audit::EventKind,
    kube_writes::{self, WriteOutcome},
    runtime::{
        changes::{self, DecisionSubject},
        crash::{self, When},
        engine::{NextRun, Place, Placement, Reconciler},
        expectations::Expectations,
        keyed_locks::KeyedLocks,
        stores::Key,
    },
    timing::timing,
    traces::life::About,
};
use async_trait::async_trait;
use curfew_core::{
    approval::Counted,
    assignment_request::{
        AssignmentKind, State,
        decide::{Decision, Inputs, decide},
    },
    lanes::{Limits, Urgency, fair},
    reason::Reason,
    requeue::Requeue,
    resolved::Schema,
    time::Time,
};
use known::Known;
use kube::{Api, ResourceExt};
use object::Object;
use status::Next;
use std::{sync::Arc, time::Duration};

/// The limits of a namespace's lane: as narrow as that of decisions.
const LIMITS: Limits = Limits { width: 2, per_minute: None, batch: 1 };
/// How many steps a run takes at most: live read, acceptance, live read, change, live read, end.
const MAX_STEPS: usize = 8;
/// How soon to look again when the watch lags behind our own write, in milliseconds.
const LAG_MS: i64 = 100;

/// The controller of AssignmentRequests.
pub struct AssignmentRequestController {
    ctx: Arc<Context>,
    expectations: Expectations<Key>,
    /// Held by a removal, by namespace: a role and its holders are in one.
    removals: KeyedLocks<String>,
}

/// The assignment of the name that a request gives, as the stores show it.
pub fn assignment_of(ctx: &Context, request: &AssignmentRequest) -> Option<Object> {
    let (namespace, name, _) = changes::assignment_of(request);
    match request.spec.action.of() {
        AssignmentKind::Eligible => ctx.stores.assignment(&(namespace, name)).map(Object::Eligible),
        AssignmentKind::Active => ctx.stores.active_assignment(&(namespace, name)).map(Object::Active),
    }
}

/// Whether an assignment has the window of this request, or exists because of it: then the request is its proof, and is kept.
pub fn is_in_effect(ctx: &Context, request: &AssignmentRequest) -> bool {
    let Some(assignment) = assignment_of(ctx, request) else { return false };
    let by = [assignment.change().map(|change| change.by.uid.clone()), assignment.origin().map(|origin| origin.uid.clone())];
    request.uid().is_some_and(|uid| by.contains(&Some(uid)))
}

impl AssignmentRequestController {
    /// A controller that expects no writes yet.
    pub fn new(ctx: Arc<Context>) -> Self {
        AssignmentRequestController { ctx, expectations: Expectations::default(), removals: KeyedLocks::default() }
    }

    async fn run(&self, key: &Key) -> kube::Result<Requeue> {
        let ctx = &self.ctx;
        let outdated = self.expectations.take_outdated(key);
        let Some(stored) = ctx.stores.assignment_request(key) else {
            if ctx.authority.leads() {
                ctx.traces.deleted(About::Assignment, key, ctx.now());
            }
            return Ok(Requeue::OnChange);
        };
        let before = stored.resource_version().unwrap_or_default();
        if !outdated && self.expectations.is_stale(key, &before) {
            return Ok(Requeue::At(Time::from_millis(ctx.now().as_millis() + LAG_MS)));
        }
        ctx.traces.assignment_seen(&stored, false, ctx.now());
        if ctx.traces.take_wanted(About::Assignment, key) {
            // Of what has ended the stores keep little. Nothing else depends on it, so a read that fails costs spans.
            match Api::<AssignmentRequest>::namespaced(ctx.client.clone(), &key.0).get_opt(&key.1).await {
                Ok(Some(live)) => ctx.traces.assignment_seen(&live, true, ctx.now()),
                Ok(None) => {}
                Err(error) => tracing::info!(namespace = key.0, name = key.1, %error, "cannot read a request for its trace"),
            }
        }
        if !ctx.authority.leads() || convert::assignment_request_schema(&stored) == Schema::Newer {
            return Ok(Requeue::OnChange);
        }
        if self.is_complete(key, &stored) {
            return Ok(Requeue::OnChange);
        }
        if !ctx.audit.has_room() {
            return Ok(Requeue::Backoff);
        }
        emergency::tell(ctx, &*stored, stored.spec.requester.as_ref(), stored.status.is_none()).await?;
        // Of removals in a namespace one is decided about at a time: two that rest on each other's assignment would both fail, again and again.
        let removes = matches!(stored.spec.action, Action::Remove(_));
        let _alone = if removes { Some(self.removals.lock(&key.0).await) } else { None };
        // Dereference: from the watches, or live after a conflict.
        let source = if outdated { Source::Live } else { Source::Stores };
        let Some(known) = Known::read(ctx, key, source).await? else { return Ok(Requeue::OnChange) };
        let (known, requeue) = self.steps(key, known).await?;
        if known.object.resource_version().unwrap_or_default() != before {
            self.expectations.expect_after(key, &before);
        }
        if requeue == Requeue::Stale {
            self.expectations.outdated(key);
        } else if let Err(error) = self.publish(key, &known).await {
            tracing::info!(namespace = key.0, name = key.1, %error, "cannot publish the status of an AssignmentRequest");
        }
        Ok(requeue)
    }

    /// Decides (pure) and runs the effects, until there is nothing to do now.
    async fn steps(&self, key: &Key, mut known: Known) -> kube::Result<(Known, Requeue)> {
        let ctx = &self.ctx;
        for _ in 0..MAX_STEPS {
            let inputs = Inputs {
                now: ctx.now(),
                request: &known.request,
                terms: &known.terms,
                decisions: &known.facts,
                people: &known.people,
                change: known.assignment.as_ref().and_then(Object::change),
                origin: known.assignment.as_ref().and_then(Object::origin),
                earlier: known.earlier.as_deref(),
                permit: ctx.authority.permit().is_some(),
                fresh: known.live,
            };
            let next = match decide(&inputs) {
                Decision::Wait(requeue) => return Ok((known, requeue)),
                Decision::ReadLive => match Known::read(ctx, key, Source::Live).await? {
                    Some(live) => {
                        known = live;
                        continue;
                    }
                    None => return Ok((known, Requeue::OnChange)),
                },
                applied @ (Decision::Apply(_) | Decision::Create(_)) => match self.apply(&known, applied).await {
                    // What stands then is read, and ends the request.
                    WriteOutcome::Stored(()) => {
                        let Some(live) = Known::read(ctx, key, Source::Live).await? else { return Ok((known, Requeue::OnChange)) };
                        known = live;
                        continue;
                    }
                    WriteOutcome::Conflict => return Ok((known, Requeue::Stale)),
                    WriteOutcome::Failed(error) => match status::refusal(&error) {
                        Some(why) => {
                            known.obstacle = Some(why);
                            return Ok((known, Requeue::Backoff));
                        }
                        None => return Err(error),
                    },
                },
                Decision::Accept(frozen) => Next { state: State::AwaitingApproval, frozen: Some(*frozen), end: None },
                Decision::End(outcome, reason, message) => {
                    Next { state: State::Ended(outcome), frozen: known.request.frozen.clone(), end: Some((reason, message)) }
                }
            };
            match self.commit(key, &known, next).await {
                WriteOutcome::Stored(stored) => known.stored(stored),
                WriteOutcome::Conflict => return Ok((known, Requeue::Stale)),
                WriteOutcome::Failed(error) => return Err(error),
            }
        }
        Ok((known, Requeue::Backoff))
    }

    /// Writes what was approved. Needs the permit; without it, or if the assignment has changed since it was read, it is tried again.
    async fn apply(&self, known: &Known, decision: Decision) -> WriteOutcome<()> {
        let ctx = &self.ctx;
        let Some(permit) = ctx.authority.permit() else { return WriteOutcome::Conflict };
        // First the holder that is left: who removes that one at the same time finds it changed, or has changed it before.
        if let Some(left) = &known.left {
            match kube_writes::rely_on(&ctx.client, left, &permit).await {
                WriteOutcome::Stored(_) => {}
                WriteOutcome::Conflict => return WriteOutcome::Conflict,
                WriteOutcome::Failed(error) => return WriteOutcome::Failed(error),
            }
        }
        // Before the write: a crash in between records it twice rather than never.
        ctx.audit.append_transition(&known.request.uid, EventKind::AssignmentChanged, status::event(known, None));
        let note = status::applied_note(&known.object);
        match (decision, &known.assignment) {
            (Decision::Create(origin), _) => {
                let Some(asked) = convert::asked_assignment(&known.object) else { return WriteOutcome::Conflict };
                crash::stop(When::Before, "CreateAssignment");
                let created = kube_writes::create_assignment(&ctx.client, asked, origin, &permit).await;
                crash::stop(When::After, "CreateAssignment");
                self.told(created, "Requested", &note)
            }
            (Decision::Apply(change), Some(Object::Eligible(assignment))) => {
                crash::stop(When::Before, "ChangeAssignment");
                self.told(kube_writes::change_assignment(&ctx.client, assignment, change, &permit).await, "WindowChanged", &note)
            }
            (Decision::Apply(change), Some(Object::Active(assignment))) => {
                crash::stop(When::Before, "ChangeAssignment");
                self.told(kube_writes::change_standing(&ctx.client, assignment, change, &permit).await, "WindowChanged", &note)
            }
            (_, _) => WriteOutcome::Conflict,
        }
    }

    /// Tells of an assignment that was written.
    fn told<K>(&self, written: WriteOutcome<K>, reason: &str, note: &str) -> WriteOutcome<()>
    where
        K: kube::Resource<DynamicType = ()>,
    {
        match written {
            WriteOutcome::Stored(stored) => {
                self.ctx.events.publish(&stored, false, reason, "Decide", note);
                WriteOutcome::Stored(())
            }
            WriteOutcome::Conflict => {
                tracing::info!(note, "the assignment has changed since it was read; it is judged again");
                WriteOutcome::Conflict
            }
            WriteOutcome::Failed(error) => WriteOutcome::Failed(error),
        }
    }

    async fn commit(&self, key: &Key, known: &Known, next: Next) -> WriteOutcome<AssignmentRequest> {
        let ctx = &self.ctx;
        let at = ctx.now();
        let status = status::status(known, &next, at);
        let kind = match next.state {
            State::Ended(_) => EventKind::AssignmentRequestEnded,
            State::Pending | State::AwaitingApproval => EventKind::AssignmentRequestAccepted,
        };
        ctx.audit.append_transition(&known.request.uid, kind, status::event(known, Some(&status)));
        let api = kube_writes::assignment_requests(&ctx.client, &key.0);
        let version = known.object.resource_version().unwrap_or_default();
        let outcome = kube_writes::commit(&api, &key.1, &version, known.object.status.as_ref(), &status).await;
        if let WriteOutcome::Stored(stored) = &outcome {
            ctx.notify_of_change(known.object.status.as_ref(), stored);
            ctx.traces.assignment(&known.object, stored, at);
            let state = status.state.map_or_else(String::new, |state| format!("{state:?}"));
            let message = status.message.unwrap_or_default();
            tracing::info!(uid = %known.request.uid, namespace = key.0, name = key.1, state, message, "AssignmentRequest");
            if let State::Ended(outcome) = next.state {
                ctx.events.publish(stored, status::is_refusal(outcome), &state, "Decide", &message);
            }
        }
        outcome
    }

    /// Whether an ended request has nothing left to publish: every decision about it has its final verdict.
    fn is_complete(&self, key: &Key, request: &AssignmentRequest) -> bool {
        let decisions = || self.ctx.stores.decisions_about(&DecisionSubject::AssignmentRequest(key.clone()));
        changes::assignment_request_has_ended(request) && decisions().iter().all(|decision| decision::is_settled(decision))
    }

    /// Writes what users see beside the state: who is waited for, and what each decision counts.
    async fn publish(&self, key: &Key, known: &Known) -> kube::Result<()> {
        let ctx = &self.ctx;
        let object = &known.object;
        let shown = object.status.as_ref().filter(|_| !changes::assignment_request_has_ended(object));
        if let Some(old) = shown {
            let next = status::status(known, &Next::unchanged(known), ctx.now());
            let api = kube_writes::assignment_requests(&ctx.client, &key.0);
            let version = object.resource_version().unwrap_or_default();
            if *old != next {
                match kube_writes::commit(&api, &key.1, &version, Some(old), &next).await {
                    WriteOutcome::Stored(stored) => ctx.notify_of_change(Some(old), &stored),
                    WriteOutcome::Conflict => {}
                    WriteOutcome::Failed(error) => return Err(error),
                }
            }
        }
        let request = RequestRef { name: &key.1, uid: &known.request.uid };
        let mut all = Ok(());
        for (decision, counted, why) in known.verdicts() {
            let request = (counted != Counted::No(Reason::NotFound)).then_some(request);
            // One that cannot be written keeps no other waiting.
            all = all.and(decision::status::publish(ctx, decision, Verdict { counted, why }, request).await.map(drop));
        }
        all
    }
}

#[async_trait]
impl Reconciler<Key> for AssignmentRequestController {
    async fn reconcile(&self, key: &Key, _: &Place<Key>) -> NextRun {
        NextRun::of(self.run(key).await.unwrap_or_else(|error| {
            tracing::info!(namespace = key.0, name = key.1, %error, "cannot judge an AssignmentRequest; it is tried again");
            Requeue::Backoff
        }))
    }

    /// A narrow lane for each namespace, so that a flood in one keeps the API server busy with a few calls at a time.
    fn lane(&self, key: &Key) -> Placement {
        let Some(request) = self.ctx.stores.assignment_request(key) else { return Placement::anywhere() };
        Placement { lane: key.0.clone(), limits: LIMITS, urgency: Urgency::Other, due: fair(convert::created(&*request), 0) }
    }

    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}
