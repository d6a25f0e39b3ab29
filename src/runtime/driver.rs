//! The driver of a reconcile: performs the effects that it requests, one after the other. Every crash test parks here.
use super::crash::{self, When};
use async_trait::async_trait;
use curfew_core::{
    reconcile::{Effect, Outcome, Reconcile},
    requeue::Requeue,
    time::Time,
};
use std::time::{Duration, Instant};

/// How long one effect may take. A slower one counts as failed: its outcome is unknown, and unknown counts as present.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Performs the effects of a reconcile.
#[async_trait]
pub trait EffectHandler: Send + Sync {
    /// Performs one effect. An error is an outcome, too.
    async fn perform(&self, effect: &Effect) -> Outcome;
    /// An effect was performed, or not within [`LIMIT`], which is a failure. For those who watch; nothing follows from it.
    fn performed(&self, _effect: &Effect, _began: Time, _took: Duration, _outcome: &Outcome) {}
    /// What comes after an effect and before the next one: more urgent work may go first. Not limited by [`LIMIT`].
    async fn between(&self, _effect: &Effect, _outcome: &Outcome) {}
    /// The time, read for each step.
    fn now(&self) -> Time;
    /// Whether granting is allowed, read for each step.
    fn permit(&self) -> bool;
}

/// Drives a reconcile to its end.
pub async fn drive(handler: &impl EffectHandler, reconcile: Reconcile) -> Requeue {
    let (mut reconcile, mut effect) = reconcile.next(Outcome::Start, handler.now(), handler.permit());
    loop {
        if let Effect::Done(requeue) = effect {
            return requeue;
        }
        crash::point(When::Before, &effect);
        let (began, clock) = (handler.now(), Instant::now());
        let outcome = tokio::time::timeout(LIMIT, handler.perform(&effect)).await.unwrap_or_else(|_| {
            tracing::warn!(effect = crash::name(&effect), "no answer in {LIMIT:?}");
            Outcome::Failed
        });
        handler.performed(&effect, began, clock.elapsed(), &outcome);
        tracing::debug!(effect = crash::name(&effect), outcome = name_of(&outcome), "step");
        crash::point(When::After, &effect);
        handler.between(&effect, &outcome).await;
        (reconcile, effect) = reconcile.next(outcome, handler.now(), handler.permit());
    }
}

/// An outcome in one word, for the log.
fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Start
        | Outcome::Refreshed(_)
        | Outcome::Owner(_)
        | Outcome::Observed(_)
        | Outcome::Filled(_)
        | Outcome::Content(_)
        | Outcome::SlotOwners(_)
        | Outcome::Slots(_)
        | Outcome::HoldsSlot(_)
        | Outcome::Rechecked(..) => "read",
        Outcome::Stored(_) | Outcome::BroughtForward(_) | Outcome::Reserved(_) | Outcome::Done | Outcome::Succeeded => "done",
        Outcome::Started(_) => "started",
        Outcome::Running(_) => "running",
        Outcome::Occupied => "occupied",
        Outcome::Refused => "refused",
        Outcome::Gone => "gone",
        Outcome::Conflict => "conflict",
        Outcome::Failed | Outcome::OperationFailed => "failed",
    }
}
