//! ActiveAssignments: standing access. One reconcile reads top to bottom: plan the activations, foresee what the next one would be granted,
//! request it, publish status.
//!
//! The operator gives standing access by ActivationRequests of its own, which go the way of every other request: so each has a Grant, a
//! fence, a deadline that never moves, and an end that is proven. This controller only creates them. What they rest on is judged again, live,
//! by the request's controller, which also ends them when it no longer holds.
pub mod activation;
mod status;

use super::{Context, WaitingForProof, convert, dereference, emergency, milestones};
use crate::{
    api::{ActivationRequest, ActiveAssignment},
    authority::Permit,
    kube_writes::{self, WriteOutcome},
    notify,
    runtime::{
        changes,
        crash::{self, When},
        engine::{NextRun, Place, Placement, Reconciler},
        stores::Key,
    },
    timing::timing,
};
use async_trait::async_trait;
use curfew_core::{
    admission::Provenance,
    duration::Duration as Ceiling,
    notice::assignment,
    occurrences::{
        Occurrence, Pace,
        attempts::{MAX_ATTEMPTS, repeated_at},
        plan,
    },
    principal::Subject,
    reason::Reason,
    requeue::Requeue,
    resolved::Terms,
    terms::Refusal,
    time::Time,
};
use kube::ResourceExt;
use status::{Found, Published};
use std::{sync::Arc, time::Duration};

/// How soon to look again where the API server's clock is behind this node's, in milliseconds.
const LAG_MS: i64 = 100;

/// The controller of ActiveAssignments.
pub struct ActiveAssignmentController {
    ctx: Arc<Context>,
}

impl ActiveAssignmentController {
    /// A controller over this state.
    pub fn new(ctx: Arc<Context>) -> Self {
        ActiveAssignmentController { ctx }
    }

    async fn run(&self, key: &Key) -> kube::Result<NextRun> {
        let ctx = &self.ctx;
        let Some(object) = ctx.stores.active_assignment(key).filter(|object| object.metadata.deletion_timestamp.is_none()) else {
            return Ok(NextRun::of(Requeue::OnChange));
        };
        if !ctx.authority.leads() {
            return Ok(NextRun::of(Requeue::OnChange));
        }
        if object.status.is_none() && !ctx.audit.has_room() {
            return Ok(NextRun::of(Requeue::Backoff));
        }
        emergency::tell(ctx, &*object, object.spec.author.as_ref(), object.status.is_none()).await?;
        let (facts, lack) = dereference::standing(ctx, &object);
        if facts.provenance == Provenance::Pending {
            ctx.wait_for_proof(WaitingForProof::Standing(key.clone()), [convert::seen(&*object)]);
        }

        // Plan (pure): from the window and from what is requested already.
        let ceiling = ctx.stores.config().map_or_else(|| Ceiling::from_secs(86_400), |config| config.spec.ceilings.duration.clone());
        let held = activation::held(ctx, &object.uid().unwrap_or_default());
        let present: Vec<Occurrence> = held.iter().map(|held| held.when).collect();
        let now = ctx.now();
        let planned = plan(&facts.schedule(), Pace::under(&ceiling), &present, now);

        // Foresee (stores, and the target where it has no watch).
        let verdict = match planned.create.or(planned.current) {
            Some(when) => Some(self.foresee(&object, &when).await),
            None => None,
        };

        // Request it (client). What of this has changed meanwhile is judged by the request's controller.
        let asked = match (planned.create, &verdict) {
            (Some(when), Some(Ok(terms))) => self.request(&object, &when, terms).await,
            (_, _) => Ok(Asked::Done),
        };
        let obstacle = match &asked {
            Ok(asked) => asked.obstacle(),
            Err(error) => Some(format!("the next activation cannot be requested: {error}")),
        };

        // Publish.
        let waits = verdict.as_ref().is_some_and(|found| matches!(found, Err(why) if is_unknown(why)));
        let found = Found { facts: &facts, lack, verdict: verdict.map(|found| found.map(drop)), held: &held, obstacle };
        let mut next = status::status(&object, &found, now);
        let life = milestones::life(&next.conditions, facts.schedule().until, now);
        let due = milestones::due(&life, &mut next.told);
        let published = status::publish(ctx, &object, &next).await?;
        if let (Published::Stored(stored), Some(milestone)) = (&published, due) {
            ctx.tell(&**stored, &[notify::of_standing(stored, milestone, life.end, self.approvers(&object))]);
        }
        let soonest = Time::from_millis(ctx.now().as_millis() + LAG_MS);
        let stale = matches!(published, Published::Stale);
        let requeue = if stale { Requeue::Stale } else { requeue(&asked?, waits, planned.wake, soonest) };
        let wake = planned.wake.into_iter().chain(assignment::next(&life)).min();
        Ok(NextRun { deadline: wake.map(|at| at.max(soonest)), ..NextRun::of(requeue) })
    }

    /// Who may approve requests for the role of an assignment.
    fn approvers(&self, object: &ActiveAssignment) -> Vec<Subject> {
        let role = self.ctx.stores.template(&(object.namespace().unwrap_or_default(), object.spec.role_ref.name.clone()));
        role.iter().flat_map(|role| convert::template(role).approval).flat_map(|stage| stage.approvers).collect()
    }

    /// What this activation would be granted now, if it were requested.
    async fn foresee(&self, object: &Arc<ActiveAssignment>, when: &Occurrence) -> Result<Terms, Refusal> {
        let request = activation::as_created(activation::request(object, when), self.ctx.now());
        dereference::foresee(&self.ctx, request, object.clone()).await
    }

    /// Requests an activation, or says why not. Under a name that has ended nothing is requested again; under the name that follows from it
    /// an activation is, that nobody has ended.
    async fn request(&self, object: &ActiveAssignment, when: &Occurrence, terms: &Terms) -> kube::Result<Asked> {
        let ctx = &self.ctx;
        if !ctx.audit.has_room() {
            return Ok(Asked::NotNow(
                "the audit sinks are too far behind, so nothing new is requested; kubectl describe curfewconfig curfew says why",
            ));
        }
        let mut request = activation::request(object, when);
        let mut name = activation::name(ctx, object, when, terms);
        for attempts in 1..=MAX_ATTEMPTS {
            request.metadata.name = Some(name.clone());
            let Some(permit) = ctx.authority.permit() else {
                return Ok(Asked::NotNow("the operator may not grant at the moment; kubectl describe curfewconfig curfew says why"));
            };
            let Some(over) = self.request_once(&request, &permit).await? else { return Ok(Asked::Done) };
            match activation::ended(&over).and_then(|ended| repeated_at(&ended, attempts)) {
                Some(at) if ctx.now() < at => return Ok(Asked::Again(at, told(&over, &format!("is requested again at {at}")))),
                Some(_) => name = activation::name_after(object, when, &over.uid().unwrap_or_default()),
                None => {
                    let next = "is not repeated; an edit of the assignment or its role begins another one, and so does its next time";
                    return Ok(Asked::Over(told(&over, next)));
                }
            }
        }
        Ok(Asked::Done)
    }

    /// Requests an activation under this name. Returns the request of this name that has ended, if there is one.
    async fn request_once(&self, request: &ActivationRequest, permit: &Permit) -> kube::Result<Option<Arc<ActivationRequest>>> {
        let (client, key) = (&self.ctx.client, changes::key(request));
        // A store may be behind, and an end is final.
        if let Some(known) = self.ctx.stores.request(&key).filter(|known| changes::has_ended(known)) {
            return Ok(Some(known));
        }
        crash::stop(When::Before, "RequestActivation");
        let keys = self.ctx.stores.config().map(|config| config.spec.identity.recorded_keys()).unwrap_or_default();
        match kube_writes::request_activation(client, request, &keys, permit).await {
            WriteOutcome::Failed(error) => Err(error),
            WriteOutcome::Stored(Some(_)) | WriteOutcome::Conflict => Ok(None),
            WriteOutcome::Stored(None) => {
                let found = kube_writes::requests(client, &key.0).get_opt(&key.1).await?;
                // One that has not ended is shown by the watch soon.
                Ok(found.filter(changes::has_ended).map(Arc::new))
            }
        }
    }
}

/// The result of asking for an activation.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    /// It is made, or there is nothing to request.
    Done,
    /// It cannot be made now, for this reason.
    NotNow(&'static str),
    /// The one before has ended, as these words say, and at this time it is made again.
    Again(Time, String),
    /// The one before has ended, as these words say, and it is not made again.
    Over(String),
}

impl Asked {
    /// Why the activation is not requested, in words.
    fn obstacle(&self) -> Option<String> {
        match self {
            Asked::Done => None,
            Asked::NotNow(why) => Some((*why).to_owned()),
            Asked::Again(_, why) | Asked::Over(why) => Some(why.clone()),
        }
    }
}

/// How the last request has ended, and what follows, in words.
fn told(over: &ActivationRequest, follows: &str) -> String {
    let status = over.status.as_ref();
    let state = status.and_then(|status| status.state).map(|state| format!("{state:?}")).unwrap_or_default();
    let why = status.and_then(|status| status.reason.clone()).unwrap_or_default();
    format!("activation {} has ended as {state} ({why}) and {follows}", over.name_any())
}

/// When to look again. `waits`: what would be granted is unknown at the moment; `wake`: when the plan has something to do, not before
/// `soonest`. What cannot be done now, and of which no watch tells when it can, is tried again after a pause.
fn requeue(asked: &Asked, waits: bool, wake: Option<Time>, soonest: Time) -> Requeue {
    match (asked, wake) {
        _ if waits => Requeue::Backoff,
        (Asked::NotNow(_), _) => Requeue::Backoff,
        (Asked::Again(at, _), _) => Requeue::At(wake.map_or(*at, |wake| wake.min(*at)).max(soonest)),
        (Asked::Done | Asked::Over(_), Some(at)) => Requeue::At(at.max(soonest)),
        (Asked::Done | Asked::Over(_), None) => Requeue::OnChange,
    }
}

/// Whether it is unknown at the moment what would be granted.
fn is_unknown(refusal: &Refusal) -> bool {
    matches!(refusal.reason, Reason::NotProvenYet | Reason::TargetUnreachable)
}

#[async_trait]
impl Reconciler<Key> for ActiveAssignmentController {
    async fn reconcile(&self, key: &Key, _: &Place<Key>) -> NextRun {
        self.run(key).await.unwrap_or_else(|error| {
            tracing::warn!(namespace = key.0, name = key.1, %error, "cannot continue the access of an ActiveAssignment; it is tried again");
            NextRun::of(Requeue::Backoff)
        })
    }
    fn lane(&self, _: &Key) -> Placement {
        Placement::anywhere()
    }
    fn max_backoff(&self) -> Duration {
        timing().max_backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_requested_now_is_tried_again_and_not_only_at_the_next_activation() {
        let at = Time::from_secs;
        let (now, soon, tomorrow) = (at(100), at(105), at(86_400));
        let again = |time| Asked::Again(time, String::new());
        let over = Asked::Over(String::new());
        for (asked, waits, wake, expected) in [
            (Asked::NotNow("no room"), false, Some(tomorrow), Requeue::Backoff),
            (Asked::NotNow("no room"), false, None, Requeue::Backoff),
            (Asked::Done, true, Some(tomorrow), Requeue::Backoff),
            (again(soon), false, Some(tomorrow), Requeue::At(soon)),
            (again(tomorrow), false, Some(soon), Requeue::At(soon)),
            (again(at(99)), false, None, Requeue::At(now)),
            (Asked::Done, false, Some(tomorrow), Requeue::At(tomorrow)),
            (over.clone(), false, Some(at(1)), Requeue::At(now)),
            (over.clone(), false, None, Requeue::OnChange),
        ] {
            assert_eq!(requeue(&asked, waits, wake, now), expected, "{asked:?} {waits} {wake:?}");
        }
    }

    #[test]
    fn status_says_why_an_activation_is_not_requested() {
        assert_eq!(Asked::Done.obstacle(), None);
        for asked in [Asked::NotNow("later"), Asked::Again(Time::from_secs(1), "later".into()), Asked::Over("later".into())] {
            assert_eq!(asked.obstacle().as_deref(), Some("later"));
        }
    }
}
