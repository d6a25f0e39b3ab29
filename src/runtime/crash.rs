//! Crash points: a test can stop the process before and after every effect. Release builds do not have them.
use curfew_core::reconcile::Effect;

/// Before or after an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// It was decided and has not been sent.
    Before,
    /// It was performed, and its outcome has not been used.
    After,
}

/// The name of an effect, as in `CURFEW_PARK_AT=before:Arm`.
pub fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::ReadLive => "ReadLive",
        Effect::CommitRequest(_) => "CommitRequest",
        Effect::ListSlots(_) => "ListSlots",
        Effect::CreateSlot(_) => "CreateSlot",
        Effect::TakeOverSlot { .. } => "TakeOverSlot",
        Effect::VerifySlot(_) => "VerifySlot",
        Effect::DeleteSlot(_) => "DeleteSlot",
        Effect::ReleaseSlots => "ReleaseSlots",
        Effect::CreateGrant { .. } => "CreateGrant",
        Effect::BringForward(_) => "BringForward",
        Effect::ReadOwner => "ReadOwner",
        Effect::Observe { .. } => "Observe",
        Effect::Reserve => "Reserve",
        Effect::Recheck => "Recheck",
        Effect::Arm(_) => "Arm",
        Effect::ReadContent => "ReadContent",
        Effect::ReadContentLive => "ReadContentLive",
        Effect::Withhold(_) => "Withhold",
        Effect::ReadWithheld(_) => "ReadWithheld",
        Effect::Survey => "Survey",
        Effect::ReadSlotOwners => "ReadSlotOwners",
        Effect::Apply { .. } => "Apply",
        Effect::Poll(_) => "Poll",
        Effect::CommitGrant(_) => "CommitGrant",
        Effect::Revoke { .. } => "Revoke",
        Effect::RemoveFinalizer => "RemoveFinalizer",
        Effect::Done(_) => "Done",
    }
}

/// Stops the process before or after this effect, if a test asks for it.
pub fn point(when: When, effect: &Effect) {
    stop(when, name(effect));
}

/// Stops the process here with SIGSTOP, once, if the environment asks for it: as a debugger or a hypervisor would. `name` is that of an
/// effect, or of a write that no reconcile of a request or a Grant makes.
#[cfg(feature = "crash-points")]
pub fn stop(when: When, name: &str) {
    use std::sync::atomic::{AtomicBool, Ordering};
    static PARKED: AtomicBool = AtomicBool::new(false);
    let side = match when {
        When::Before => "before",
        When::After => "after",
    };
    let here = format!("{side}:{name}");
    if std::env::var("CURFEW_PARK_AT").is_ok_and(|p| p == here) && !PARKED.swap(true, Ordering::AcqRel) {
        tracing::warn!(at = here, "parked by a test");
        if let Err(error) = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP) {
            tracing::error!(%error, "could not park");
        }
    }
}

/// Nothing, in a build without crash points.
#[cfg(not(feature = "crash-points"))]
pub fn stop(_: When, _: &str) {}
