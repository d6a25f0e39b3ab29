//! Where a test can park the process: before and after every ask of every pass. It changes no rule; release builds lack it.
use curfew_core::reconcile::Effect;

/// Which side of an ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// It was decided and not sent.
    Before,
    /// It was answered and nothing was made of the answer.
    After,
}

/// The name of an ask, as in `CURFEW_PARK_AT=before:Arm`.
pub fn name(ask: &Effect) -> &'static str {
    match ask {
        Effect::ReadLive => "ReadLive",
        Effect::CommitRequest(_) => "CommitRequest",
        Effect::CreateGrant { .. } => "CreateGrant",
        Effect::BringForward(_) => "BringForward",
        Effect::ReadOwner => "ReadOwner",
        Effect::Observe { .. } => "Observe",
        Effect::Reserve => "Reserve",
        Effect::Recheck => "Recheck",
        Effect::Arm(_) => "Arm",
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

/// Stops the process here, once, if a test asked for it: as a debugger or a hypervisor would, without any warning.
#[cfg(feature = "crash-points")]
pub fn point(when: When, ask: &Effect) {
    use std::sync::atomic::{AtomicBool, Ordering};
    static PARKED: AtomicBool = AtomicBool::new(false);
    let side = match when {
        When::Before => "before",
        When::After => "after",
    };
    let here = format!("{side}:{}", name(ask));
    if std::env::var("CURFEW_PARK_AT").is_ok_and(|p| p == here) && !PARKED.swap(true, Ordering::AcqRel) {
        tracing::warn!(at = here, "parked by a test");
        if let Err(e) = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP) {
            tracing::error!(error = %e, "could not park");
        }
    }
}

/// Nothing, in a build without crash points.
#[cfg(not(feature = "crash-points"))]
pub fn point(_: When, _: &Effect) {}
