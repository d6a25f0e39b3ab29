//! The effects of a Grant's reconcile at its target: what it shows, what is written, and what is removed.
use super::effects::GrantEffects;
use crate::{
    api::{Grant, grant::Artifact},
    controllers::convert,
    providers::{ApplyOutcome, EnforcedBy, Observed, OperationState, ProviderError, ReserveOutcome, RevokeOutcome},
    runtime::driver::{EffectHandler, LIMIT},
};
use curfew_core::{
    grant::{Observation, Operation, State},
    reconcile::{Outcome, Reservation},
    target::SlotSet,
    time::Time,
};
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

/// The result of work that may go on only before `until`; `None` if that came first. The clock is read before each step of the work, and
/// not by a timer alone: a process that was stopped and goes on after `until` must not take the next step, which may send a call.
async fn before<T>(until: Time, now: impl Fn() -> Time, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let steps = poll_fn(|context| if now() >= until { Poll::Ready(None) } else { work.as_mut().poll(context).map(Some) });
    let left = u64::try_from(until.millis_since(now())).unwrap_or(0);
    tokio::time::timeout(Duration::from_millis(left), steps).await.ok().flatten()
}

/// What the Grant's status says that was written.
fn written_before(grant: &Grant) -> Vec<Artifact> {
    grant.status.as_ref().map(|status| status.artifacts.clone()).unwrap_or_default()
}

impl GrantEffects {
    /// What ends the access if the operator does not, as the target shows it now.
    pub(super) async fn enforced(&self) -> EnforcedBy {
        let plan = self.grant().spec.plan;
        match self.target().await {
            Ok(target) => target.enforced_by(&plan).await.unwrap_or(EnforcedBy::Curfew),
            Err(_) => EnforcedBy::Curfew,
        }
    }

    /// What denies the access although it is written; nothing where the target could not be asked.
    pub(super) async fn denial(&self) -> Option<Option<String>> {
        let plan = self.grant().spec.plan;
        self.target().await.ok()?.denial(&plan).await.ok()
    }

    pub(super) async fn observe(&self, except: SlotSet) -> Outcome {
        let grant = self.grant();
        let since = convert::created(&grant);
        let read = async {
            let target = self.target().await?;
            let observed = target.observe(&grant.spec.plan, &written_before(&grant), except, Some(since)).await?;
            self.confirm_again(&*target).await.map(|()| observed)
        };
        match read.await {
            Ok(Observed { observation, gone }) => {
                self.change(|k| k.learned.gone = Some(gone));
                Outcome::Observed(observation)
            }
            Err(e) => {
                self.change(|k| k.error_kind = Some(e.kind()));
                drop(self.failed("read the target", &e));
                Outcome::Observed(Observation::Unknown)
            }
        }
    }

    pub(super) async fn survey(&self) -> Result<Outcome, ProviderError> {
        let plan = self.grant().spec.plan;
        match self.target().await?.survey(&plan).await {
            Ok(filled) => Ok(Outcome::Filled(filled)),
            Err(e) => self.refused("look for what is there", e).await,
        }
    }

    pub(super) async fn reserve(&self) -> Result<Outcome, ProviderError> {
        let Some(permit) = self.ctx.authority.permit() else { return Ok(Outcome::Failed) };
        let grant = self.grant();
        match self.target().await?.reserve(&self.id, &grant.spec.plan, &permit).await {
            Ok(ReserveOutcome::Reserved(r)) => Ok(Outcome::Reserved(r)),
            Ok(ReserveOutcome::Occupied(what)) => {
                drop(self.failed("reserve", &what));
                self.ctx.events.publish(&grant, true, "Occupied", "Reserve", &what);
                Ok(Outcome::Occupied)
            }
            Err(e) => self.refused("reserve", e).await,
        }
    }

    pub(super) async fn arm(&self, reservation: &Reservation) -> Result<Outcome, ProviderError> {
        let Some(permit) = self.ctx.authority.permit() else { return Ok(Outcome::Failed) };
        let plan = self.grant().spec.plan;
        let target = self.target().await?;
        self.applied("arm", target.arm(&self.id, &plan, reservation, &permit).await).await
    }

    /// The write is sent before `until` or not at all: connecting to the target takes time, too.
    pub(super) async fn apply(&self, except: SlotSet, until: Time) -> Result<Outcome, ProviderError> {
        let plan = self.grant().spec.plan;
        let target = self.target().await?;
        let Some(permit) = self.ctx.authority.permit().filter(|_| self.now() < until) else { return Ok(Outcome::Failed) };
        match before(until, || self.now(), target.apply(&self.id, &plan, except, until, &permit)).await {
            Some(outcome) => self.applied("write", outcome).await,
            None => Ok(self.failed("write", &"the target did not answer in time")),
        }
    }

    async fn applied(&self, what: &str, outcome: Result<ApplyOutcome, ProviderError>) -> Result<Outcome, ProviderError> {
        match outcome {
            Ok(ApplyOutcome::Done(artifacts)) => {
                self.written(artifacts);
                Ok(Outcome::Done)
            }
            Ok(ApplyOutcome::Started(operation, artifacts)) => {
                self.written(artifacts);
                Ok(Outcome::Started(operation))
            }
            Err(e) => self.refused(what, e).await,
        }
    }

    /// Keeps what was written, for status. Of an active Grant only a part is armed again.
    fn written(&self, artifacts: Vec<Artifact>) {
        if self.state() == State::Granting {
            self.change(|k| k.learned.armed = Some(artifacts));
        }
    }

    /// A write that can never succeed fails the Grant; every other error is tried again.
    async fn refused(&self, what: &str, e: ProviderError) -> Result<Outcome, ProviderError> {
        let ProviderError::Invalid(why) = &e else { return Err(e) };
        drop(self.failed(what, &e));
        self.ctx.events.publish(&self.grant(), true, "TargetRefused", "Grant", why);
        Ok(Outcome::Refused)
    }

    /// Where slots are shared, a removal has a time limit, too: sent later, it could take the access of a newer grant.
    pub(super) async fn revoke(&self, keep: SlotSet, until: Option<Time>) -> Result<Outcome, ProviderError> {
        let grant = self.grant();
        let known = written_before(&grant);
        let target = self.target().await?;
        if until.is_some_and(|until| until <= self.now()) {
            return Ok(Outcome::Failed);
        }
        let removal = target.revoke(&self.id, &grant.spec.plan, &known, keep);
        let outcome = match until {
            Some(until) => match before(until, || self.now(), removal).await {
                Some(outcome) => outcome?,
                None => return Ok(self.failed("revoke", &"the target did not answer in time")),
            },
            None => removal.await?,
        };
        Ok(match outcome {
            RevokeOutcome::Gone => {
                self.confirm_again(&*target).await?;
                Outcome::Gone
            }
            RevokeOutcome::Disarmed(what) => {
                self.confirm_again(&*target).await?;
                self.ctx.events.publish(&grant, true, "Disarmed", "Revoke", &what);
                self.change(|k| k.learned.disarmed = Some(what));
                Outcome::Gone
            }
            RevokeOutcome::Started(operation) => Outcome::Started(operation),
            RevokeOutcome::Remains(what) => self.failed("prove that nothing is left", &what),
        })
    }

    /// The identity of the target was confirmed when the access was found to be gone; what is removed here is told by its uid.
    pub(super) async fn tidy(&self) {
        let grant = self.grant();
        let work = async {
            let target = self.ctx.registry.reach(&grant.spec.system.connection).await?;
            target.tidy(&grant.spec.plan, &written_before(&grant)).await;
            Ok::<_, ProviderError>(())
        };
        match tokio::time::timeout(LIMIT, work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(grant = self.id, %error, "cannot remove what was to end the access; it ends by itself"),
            Err(_) => tracing::info!(grant = self.id, "what was to end the access is not removed in {LIMIT:?}; it ends by itself"),
        }
    }

    pub(super) async fn poll(&self, operation: &Operation) -> Result<Outcome, ProviderError> {
        Ok(match self.target().await?.poll(operation).await? {
            OperationState::Running(at) => Outcome::Running(at),
            OperationState::Succeeded => Outcome::Succeeded,
            OperationState::Failed(why) => {
                drop(self.failed("finish the operation", &why));
                Outcome::OperationFailed
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Work of two steps. The process is stopped between them, and goes on at this second.
    async fn goes_on_at(secs: i64) -> (Option<()>, bool) {
        let (clock, sent) = (Cell::new(Time::from_secs(0)), Cell::new(false));
        let work = async {
            clock.set(Time::from_secs(secs));
            tokio::task::yield_now().await;
            sent.set(true);
        };
        let outcome = before(Time::from_secs(10), || clock.get(), work).await;
        (outcome, sent.get())
    }

    #[tokio::test]
    async fn nothing_is_sent_by_a_process_that_goes_on_after_the_time_limit() {
        assert_eq!(goes_on_at(9).await, (Some(()), true));
        assert_eq!(goes_on_at(10).await, (None, false));
    }

    #[tokio::test]
    async fn work_without_an_answer_ends_with_the_time_limit() {
        assert_eq!(before(Time::from_millis(10), || Time::from_millis(0), std::future::pending::<()>()).await, None);
    }
}
