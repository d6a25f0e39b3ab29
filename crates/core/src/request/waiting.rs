//! The states in which nothing is granted yet: a request is judged again with each change, until it begins or ends.
use super::{
    Decision, Frozen, Inputs, State, Status, absent_until, finish, tally_decisions, terms_invalidated_by, terms_unknown, transition_to,
    wait, with_slots,
};
use crate::{
    approval::{DecisionFacts, Tally, Verb},
    limits::Answer,
    reason::{Reason, TerminalState},
    requeue::Requeue,
    resolved::Terms,
    time::Time,
};

pub(super) fn decide_pending(f: &Inputs<'_>) -> Decision {
    match f.terms {
        Err(_) if terms_unknown(f) => Decision::Wait(Requeue::Backoff),
        Err(refusal) if f.fresh => finish(f, refusal.reason),
        Err(_) => Decision::ReadLive,
        Ok(terms) => accept(f, terms),
    }
}

/// Accepts and freezes what was resolved, unless its window has passed or a limit is reached: then approvers are not asked.
/// Where nobody is asked, the slots are taken at once, and are not looked at before.
fn accept(f: &Inputs<'_>, terms: &Terms) -> Decision {
    let asks = !terms.resolved.required_stages().is_empty();
    match f.slots {
        _ if !f.fresh && (has_passed(f, terms) || (asks && !terms.limits.is_empty())) => Decision::ReadLive,
        _ if has_passed(f, terms) => finish(f, Reason::WindowPassed),
        Some(Answer::Full) => finish(f, Reason::LimitReached),
        Some(Answer::Locked) => finish(f, Reason::ReviewOutstanding),
        None if asks && !terms.limits.is_empty() => Decision::CheckLimits(terms.limits.clone()),
        Some(Answer::Free | Answer::Taken(_)) | None => {
            let frozen = Frozen { terms: terms.clone(), accepted_at: f.now.floor_secs() };
            Decision::Commit(Status { state: State::AwaitingApproval, frozen: Some(frozen), ..Status::NEW })
        }
    }
}

pub(super) fn decide_awaiting(f: &Inputs<'_>) -> Decision {
    match decide_accepted(f) {
        Err(decision) => *decision,
        Ok((frozen, sum)) => match sum.deadline() {
            Some(deadline) => decide_open_stage(f, frozen, &sum, deadline),
            None if has_passed_for(f, frozen, &sum) => finish(f, Reason::WindowPassed),
            None if terms_unknown(f) => Decision::Wait(Requeue::Backoff),
            None => begin(f, frozen, &sum),
        },
    }
}

/// Before its start it waits, whether or not it is known what would be granted. From then on it begins, at any time while its window
/// lasts: an operator that was not there at the start begins it later, and it ends when it was promised to end.
pub(super) fn decide_scheduled(f: &Inputs<'_>) -> Decision {
    let (frozen, sum) = match decide_accepted(f) {
        Err(decision) => return *decision,
        Ok(accepted) => accepted,
    };
    let start = frozen.terms.resolved.start.filter(|start| f.now < *start);
    match start {
        _ if has_passed_for(f, frozen, &sum) => finish(f, Reason::WindowPassed),
        // The approvals no longer suffice: the configuration may have changed. What is unknown ends nothing.
        _ if !terms_unknown(f) && !sum.approved() => match () {
            () if !f.fresh => Decision::ReadLive,
            () if f.decisions.iter().any(DecisionFacts::is_pending) => Decision::Wait(Requeue::Backoff),
            () => finish(f, Reason::NotApproved),
        },
        Some(start) => wait(f, Requeue::At(start)),
        None if terms_unknown(f) => Decision::Wait(Requeue::Backoff),
        None => begin(f, frozen, &sum),
    }
}

/// What ends every request that was accepted: terms that no longer hold, and a Deny or Revoke; otherwise what was frozen and the tally.
fn decide_accepted<'a>(f: &Inputs<'a>) -> Result<(&'a Frozen, Tally), Box<Decision>> {
    let Some(frozen) = &f.request.status.frozen else {
        return Err(Box::new(transition_to(f, State::Ended(TerminalState::Invalid, Reason::TemplateChanged))));
    };
    if let Some(reason) = terms_invalidated_by(f) {
        return Err(Box::new(match absent_until(f) {
            _ if !f.fresh => Decision::ReadLive,
            Some(until) => Decision::Wait(Requeue::At(until)),
            None => finish(f, reason),
        }));
    }
    let sum = tally_decisions(f.request, f.decisions, f.people);
    match sum.stopped_by {
        Some(stop) => Err(Box::new(finish(f, stop.reason))),
        None => Ok((frozen, sum)),
    }
}

/// Whether all of the window of a request with a start has passed, or what it extends has ended.
fn has_passed(f: &Inputs<'_>, terms: &Terms) -> bool {
    terms.resolved.too_late_from(&terms.resolved.duration).is_some_and(|end| f.now >= end)
}

/// The same once it is approved: the approvals may have made the window shorter.
fn has_passed_for(f: &Inputs<'_>, frozen: &Frozen, sum: &Tally) -> bool {
    let resolved = &frozen.terms.resolved;
    resolved.too_late_from(sum.duration(&resolved.duration)).is_some_and(|end| f.now >= end)
}

/// A stage is open until its deadline, and no longer than the window that it is about. When it escalates its status says who may approve
/// from then on.
fn decide_open_stage(f: &Inputs<'_>, frozen: &Frozen, sum: &Tally, deadline: Time) -> Decision {
    let may_be_in_time = |w: &DecisionFacts| w.verb == Verb::Approve && w.is_pending() && w.created < deadline;
    let resolved = &frozen.terms.resolved;
    let ends = [resolved.too_late_from(&resolved.duration), sum.next_escalation(f.now)];
    let next = ends.into_iter().flatten().fold(deadline, Time::min);
    match () {
        () if has_passed(f, &frozen.terms) => finish(f, Reason::WindowPassed),
        () if f.now < deadline => wait(f, Requeue::At(next)),
        () if !f.fresh => Decision::ReadLive,
        () if f.decisions.iter().any(may_be_in_time) => Decision::Wait(Requeue::Backoff),
        () => finish(f, Reason::ApprovalTimedOut),
    }
}

/// What is approved takes its slots. It begins now, or waits for its start.
fn begin(f: &Inputs<'_>, frozen: &Frozen, sum: &Tally) -> Decision {
    let (status, resolved) = (f.request.status.clone(), &frozen.terms.resolved);
    match with_slots(f, true, |reason| finish(f, reason)) {
        Err(decision) => *decision,
        Ok(slots) if resolved.start.is_some_and(|start| f.now < start) => {
            Decision::Commit(Status { state: State::Scheduled, slots, ..status })
        }
        Ok(slots) => {
            let lasts = sum.duration(&resolved.duration);
            let end = resolved.fixed_end(lasts).unwrap_or_else(|| f.now.plus_secs(lasts.secs()).floor_secs());
            Decision::Commit(Status { state: State::Activating, expires_at: Some(end), slots, ..status })
        }
    }
}
