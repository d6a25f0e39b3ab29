//! The one driver: it answers what a pass asks. Every crash test parks here.
use super::crash::{self, When};
use async_trait::async_trait;
use curfew_core::{
    reconcile::{Effect, Outcome, Reconcile},
    requeue::Requeue,
    time::Time,
};
use std::time::Duration;

/// How long one ask may take. What takes longer counts as failed: nobody knows, and unknown is present.
const LIMIT: Duration = Duration::from_secs(20);

/// What can answer a pass.
#[async_trait]
pub trait EffectHandler: Send + Sync {
    /// Does what is asked. Whatever goes wrong is an answer, too.
    async fn perform(&self, ask: &Effect) -> Outcome;
    /// The time, read anew for each step.
    fn now(&self) -> Time;
    /// Whether granting is allowed, read anew for each step.
    fn permit(&self) -> bool;
}

/// Drives a pass to its end.
pub async fn drive(ports: &impl EffectHandler, pass: Reconcile) -> Requeue {
    let (mut pass, mut ask) = pass.next(Outcome::Start, ports.now(), ports.permit());
    loop {
        if let Effect::Done(wake) = ask {
            return wake;
        }
        crash::point(When::Before, &ask);
        let answer = tokio::time::timeout(LIMIT, ports.perform(&ask)).await.unwrap_or_else(|_| {
            tracing::warn!(ask = crash::name(&ask), "no answer in {LIMIT:?}");
            Outcome::Failed
        });
        tracing::debug!(ask = crash::name(&ask), answer = outcome(&answer), "step");
        crash::point(When::After, &ask);
        (pass, ask) = pass.next(answer, ports.now(), ports.permit());
    }
}

/// What came of an ask, in one word for the log.
fn outcome(a: &Outcome) -> &'static str {
    match a {
        Outcome::Start
        | Outcome::Refreshed(_)
        | Outcome::Owner(_)
        | Outcome::Observed(_)
        | Outcome::Filled(_)
        | Outcome::SlotOwners(_)
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
