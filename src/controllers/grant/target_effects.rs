//! The effects of a Grant's reconcile at its target: what it shows, what is written, and what is removed.
use super::effects::GrantEffects;
use crate::{
    controllers::convert,
    providers::{ApplyOutcome, EnforcedBy, Observed, OperationState, ProviderError, ReserveOutcome, RevokeOutcome},
    runtime::driver::EffectHandler,
};
use curfew_core::{
    grant::{Observation, Operation, State},
    reconcile::{Outcome, Reservation},
    target::SlotSet,
    time::Time,
};
use std::time::Duration;

impl GrantEffects {
    /// What ends the access if the operator does not, as the target shows it now.
    pub(super) async fn enforced(&self) -> EnforcedBy {
        let plan = self.grant().spec.plan;
        match self.target().await {
            Ok(target) => target.enforced_by(&plan).await.unwrap_or(EnforcedBy::Curfew),
            Err(_) => EnforcedBy::Curfew,
        }
    }

    pub(super) async fn observe(&self, except: SlotSet) -> Outcome {
        let plan = self.grant().spec.plan;
        let since = convert::created(&self.grant());
        let read = async {
            let target = self.target().await?;
            let observed = target.observe(&plan, except, Some(since)).await?;
            self.confirm_again(&*target).await.map(|()| observed)
        };
        match read.await {
            Ok(Observed { observation, gone }) => {
                self.change(|k| k.learned.gone = Some(gone));
                Outcome::Observed(observation)
            }
            Err(e) => {
                drop(self.failed("read the target", &e));
                Outcome::Observed(Observation::Unknown)
            }
        }
    }

    pub(super) async fn survey(&self) -> Result<Outcome, ProviderError> {
        let plan = self.grant().spec.plan;
        Ok(Outcome::Filled(self.target().await?.survey(&plan).await?))
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
        let (Some(permit), left) = (self.ctx.authority.permit(), until.millis_since(self.now())) else { return Ok(Outcome::Failed) };
        if left <= 0 {
            return Ok(Outcome::Failed);
        }
        let limit = Duration::from_millis(left.unsigned_abs());
        match tokio::time::timeout(limit, target.apply(&self.id, &plan, except, until, &permit)).await {
            Ok(outcome) => self.applied("write", outcome).await,
            Err(_) => Ok(self.failed("write", &"the target did not answer in time")),
        }
    }

    async fn applied(&self, what: &str, outcome: Result<ApplyOutcome, ProviderError>) -> Result<Outcome, ProviderError> {
        match outcome {
            Ok(ApplyOutcome::Done(artifacts)) => {
                // Of an active Grant only a part was armed.
                if self.state() == State::Granting {
                    self.change(|k| k.learned.armed = Some(artifacts));
                }
                Ok(Outcome::Done)
            }
            Ok(ApplyOutcome::Started(operation, artifacts)) => {
                self.change(|k| k.learned.armed = Some(artifacts));
                Ok(Outcome::Started(operation))
            }
            Err(e) => self.refused(what, e).await,
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
        let known = grant.status.as_ref().map(|s| s.artifacts.clone()).unwrap_or_default();
        let target = self.target().await?;
        let left = until.map(|t| t.millis_since(self.now()));
        if left.is_some_and(|left| left <= 0) {
            return Ok(Outcome::Failed);
        }
        let removal = target.revoke(&self.id, &grant.spec.plan, &known, keep);
        let outcome = match left {
            Some(left) => match tokio::time::timeout(Duration::from_millis(left.unsigned_abs()), removal).await {
                Ok(outcome) => outcome?,
                Err(_) => return Ok(self.failed("revoke", &"the target did not answer in time")),
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
