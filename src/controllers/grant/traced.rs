//! Spans of a Grant's calls of its target, and of a life that no request ends any more.
use super::effects::GrantEffects;
use crate::{
    api::Grant,
    controllers::Context,
    runtime::driver::LIMIT,
    traces::{life::Phase, recorder::Call},
};
use curfew_core::{
    grant::{Observation, State},
    reconcile::{Effect, Outcome},
    time::Time,
};
use kube::ResourceExt;
use std::time::Duration;

impl GrantEffects {
    /// Makes a span of a call of the target, while access is written or removed. While it is active, nothing but the deadline changes it, and
    /// the looks at it would fill the trace.
    pub(super) fn trace(&self, effect: &Effect, began: Time, took: Duration, outcome: &Outcome) {
        let Some(name) = call(effect).filter(|_| self.ctx.traces.are_on()) else { return };
        let mut kind = None;
        self.change(|known| kind = known.error_kind.take());
        let phase = match (effect, self.state()) {
            // At the deadline nothing is stored before the removal.
            (Effect::Revoke { .. }, State::Granting | State::Active | State::Revoking) | (_, State::Revoking) => Phase::Revoke,
            (_, State::Granting) => Phase::Target,
            (_, State::Active | State::Ended | State::Abandoned) => return,
        };
        let end = Time::from_millis(began.as_millis().saturating_add(i64::try_from(took.as_millis()).unwrap_or(i64::MAX)));
        let error = error(outcome, kind, took >= LIMIT);
        self.ctx.traces.call(|| self.grant(), Call { name, phase, start: began, end, error });
    }
}

/// The name of a call's span; `None` for what calls no target.
fn call(effect: &Effect) -> Option<&'static str> {
    Some(match effect {
        Effect::Observe { .. } => "target observe",
        Effect::Survey => "target survey",
        Effect::Reserve => "target reserve",
        Effect::Arm(_) => "target arm",
        Effect::Apply { .. } => "target write",
        Effect::Poll(_) => "target poll",
        Effect::Revoke { .. } => "target revoke",
        Effect::ReadLive
        | Effect::CommitRequest(_)
        | Effect::ListSlots(_)
        | Effect::CreateSlot(_)
        | Effect::TakeOverSlot { .. }
        | Effect::VerifySlot(_)
        | Effect::DeleteSlot(_)
        | Effect::ReleaseSlots
        | Effect::CreateGrant { .. }
        | Effect::BringForward(_)
        | Effect::ReadOwner
        | Effect::ReadSlotOwners
        | Effect::ReadContent
        | Effect::Withhold(_)
        | Effect::ReadWithheld(_)
        | Effect::ReadContentLive
        | Effect::Recheck
        | Effect::CommitGrant(_)
        | Effect::RemoveFinalizer
        | Effect::Done(_) => return None,
    })
}

/// The kind of error of an outcome, if it is one.
fn error(outcome: &Outcome, kind: Option<&'static str>, timed_out: bool) -> Option<&'static str> {
    match outcome {
        Outcome::Failed if timed_out => Some("timeout"),
        Outcome::Failed | Outcome::Observed(Observation::Unknown) => Some(kind.unwrap_or("failed")),
        Outcome::OperationFailed => Some("operation_failed"),
        Outcome::Refused => Some("invalid"),
        Outcome::Occupied => Some("occupied"),
        Outcome::Start
        | Outcome::Refreshed(_)
        | Outcome::Slots(_)
        | Outcome::HoldsSlot(_)
        | Outcome::Stored(_)
        | Outcome::BroughtForward(_)
        | Outcome::Owner(_)
        | Outcome::Observed(_)
        | Outcome::Filled(_)
        | Outcome::SlotOwners(_)
        | Outcome::Content(_)
        | Outcome::Reserved(_)
        | Outcome::Rechecked(..)
        | Outcome::Done
        | Outcome::Started(_)
        | Outcome::Running(_)
        | Outcome::Succeeded
        | Outcome::Gone
        | Outcome::Conflict => None,
    }
}

/// A Grant that has ended, and whose request was deleted: the leader ends its trace.
pub(super) fn orphan(ctx: &Context, grant: &Grant) {
    let of = &grant.spec.request;
    let exists = || {
        let request = ctx.stores.request(&(of.namespace.clone(), of.name.clone()));
        request.is_some_and(|request| request.uid().as_deref() == Some(of.uid.as_str()))
    };
    // Until every list is read, one that is not in the stores may exist.
    if ctx.traces.are_on() && ctx.authority.leads() && ctx.authority.synced() && !exists() {
        ctx.traces.orphan(grant, ctx.now());
    }
}
