//! What users see of an ActiveAssignment.
use super::activation::Held;
use crate::{
    api::{
        ActiveAssignment,
        active_assignment::{AUTHOR_PROVEN, ActiveAssignmentStatus},
        assignment::AssignmentDisplay,
        conditions::{Is, set},
        request::RequestState,
    },
    controllers::{Context, convert::Assigned},
    kube_writes::{self, WriteOutcome},
};
use curfew_core::{
    admission::Provenance,
    assignment_request::proof::Lack,
    policy_inputs::ActiveAssignment as Facts,
    readiness,
    reason::Reason,
    terms::Refusal,
    text::{MAX_MESSAGE, clip},
    time::Time,
};
use kube::{Api, ResourceExt};

/// What a reconcile has found about an assignment.
pub struct Found<'a> {
    /// The assignment as the rules read it.
    pub facts: &'a Facts,
    /// What the proof of the window lacks that an AssignmentRequest has given it: then the facts have the window of the spec.
    pub lack: Option<Lack>,
    /// Whether its present or next activation would be granted, if there is one.
    pub verdict: Option<Result<(), Refusal>>,
    /// The activations that have not ended.
    pub held: &'a [Held],
    /// Why the next activation could not be requested, in words.
    pub obstacle: Option<String>,
}

/// The status for what was found.
pub fn status(object: &ActiveAssignment, found: &Found<'_>, now: Time) -> ActiveAssignmentStatus {
    let generation = object.metadata.generation;
    let schedule = found.facts.schedule();
    let ends = schedule.until.map_or_else(|| "never".to_owned(), |end| end.to_string());
    let old = object.status.clone().unwrap_or_default();
    let mut next = ActiveAssignmentStatus {
        observed_generation: generation,
        display: Some(AssignmentDisplay { subject: clip(found.facts.assignment.subject.to_string(), MAX_MESSAGE), ends }),
        ..old
    };
    let all = &mut next.conditions;
    let expected = Reason::AsExpected.as_str();
    match found.facts.provenance {
        Provenance::Verified => {
            set(all, AUTHOR_PROVEN, Is::True, expected, "the API server has authenticated who created it", generation, now)
        }
        // Also where a status that was written in the gap says otherwise: it must not count once the gap is forgotten.
        Provenance::Unverified => {
            let message = "it was created while the admission policies were not proven to be in force";
            set(all, AUTHOR_PROVEN, Is::False, Reason::AdmissionNotEnforced.as_str(), message, generation, now);
        }
        Provenance::Pending => {}
    }
    let unknown = |reason: Reason| matches!(reason, Reason::NotProvenYet | Reason::TargetUnreachable);
    let change = object.change().zip(found.lack);
    match readiness::without_proof(readiness::active_assignment(found.facts, found.verdict.clone(), now), change) {
        Ok(message) => set(all, "Ready", Is::True, expected, message, generation, now),
        Err(why) => {
            set(all, "Ready", if unknown(why.reason) { Is::Unknown } else { Is::False }, why.reason.as_str(), why.message, generation, now)
        }
    }
    let is_active = |held: &&Held| held.request.status.as_ref().and_then(|status| status.state) == Some(RequestState::Active);
    let until = found.held.iter().filter(is_active).map(|held| held.when.end).max();
    match (until, &found.obstacle) {
        (Some(end), None) => set(all, "Active", Is::True, expected, format!("the activation of now lasts until {end}"), generation, now),
        (Some(end), Some(why)) => set(all, "Active", Is::True, "NotContinued", format!("only until {end}: {why}"), generation, now),
        (None, Some(why)) => set(all, "Active", Is::False, "NotActivated", why.as_str(), generation, now),
        (None, None) => set(all, "Active", Is::False, "NotActivated", "no activation is active", generation, now),
    }
    let expired = schedule.first_ending_after(now).is_none();
    let (reason, message) = if expired { (Reason::WindowPassed, "the window has passed") } else { (Reason::AsExpected, "") };
    set(all, "Expired", Is::from(expired), reason.as_str(), message, generation, now);
    next
}

/// The result of writing a status.
pub enum Published {
    /// It stood there already.
    Unchanged,
    /// It was written.
    Stored(Box<ActiveAssignment>),
    /// The object has changed since it was read. The change may be our own, which triggers nothing: the caller runs again.
    Stale,
}

/// Writes a status if it differs.
///
/// # Errors
/// If the API server does not answer.
pub async fn publish(ctx: &Context, object: &ActiveAssignment, next: &ActiveAssignmentStatus) -> kube::Result<Published> {
    if object.status.as_ref() == Some(next) {
        return Ok(Published::Unchanged);
    }
    let api: Api<ActiveAssignment> = Api::namespaced(ctx.client.clone(), &object.namespace().unwrap_or_default());
    let version = object.resource_version().unwrap_or_default();
    match kube_writes::commit(&api, &object.name_any(), &version, object.status.as_ref(), next).await {
        WriteOutcome::Failed(error) => Err(error),
        WriteOutcome::Stored(stored) => Ok(Published::Stored(Box::new(stored))),
        WriteOutcome::Conflict => Ok(Published::Stale),
    }
}
