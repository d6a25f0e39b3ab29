//! The states in which access may be there: a request follows its Grant to its end.
use super::{
    Decision, Frozen, GrantView, Inputs, State, Status, absent_until, finish, review, tally_decisions, terms_invalidated_by, terms_unknown,
    transition_to, wait, with_slots,
};
use crate::{
    admission::Provenance,
    approval::{DecisionFacts, Tally, Verb},
    reason::Reason,
    requeue::Requeue,
    time::Time,
};

/// The clocks of two replicas are within this of each other, or neither grants.
const CLOCKS_DIFFER_SECS: i64 = 10;

pub(super) fn decide_revoking(f: &Inputs<'_>, reason: Reason) -> Decision {
    match f.grant {
        GrantView::Live { .. } => Decision::BringForward,
        GrantView::Ended { .. } => finish(f, reason),
        GrantView::None if f.fresh => finish(f, reason),
        GrantView::None => Decision::ReadLive,
    }
}

pub(super) fn decide_granted(f: &Inputs<'_>) -> Decision {
    let status = &f.request.status;
    let sum = tally_decisions(f.request, f.decisions, f.people);
    if let GrantView::Ended { drifted, refused, outgrown, .. } = f.grant {
        let reason = match grant_end_reason(f, drifted, refused, outgrown) {
            Reason::DeadlinePassed => stopped_in_time(f, &sum).unwrap_or(Reason::DeadlinePassed),
            reason => reason,
        };
        return finish(f, reason);
    }
    if let Some(stop) = sum.stopped_by {
        return transition_to(f, State::Revoking(stop.reason));
    }
    if let Some(reason) = terms_invalidated_by(f) {
        return match absent_until(f) {
            _ if !f.fresh => Decision::ReadLive,
            // Nothing begins meanwhile.
            Some(until) => Decision::Wait(Requeue::At(until)),
            None => transition_to(f, State::Revoking(reason)),
        };
    }
    let due = status.expires_at.is_none_or(|t| f.now >= t);
    match (status.state, f.grant) {
        (_, GrantView::Live { revoking: true, drifted, refused, outgrown, .. }) => {
            transition_to(f, State::Revoking(grant_end_reason(f, drifted, refused, outgrown)))
        }
        (State::Activating, GrantView::Live { active_since: Some(since), .. }) => {
            let review = review::when_active(f.request);
            Decision::Commit(Status { state: State::Active, activated_at: Some(since), review, ..status.clone() })
        }
        (_, GrantView::Live { .. }) => wait(f, Requeue::OnChange),
        (_, GrantView::None) if due => transition_to(f, State::Revoking(Reason::DeadlinePassed)),
        // The Grant of an active request is missing: only a live read counts.
        (State::Active, GrantView::None) if f.fresh => transition_to(f, State::Revoking(Reason::Drifted)),
        (State::Active, GrantView::None) => Decision::ReadLive,
        (_, GrantView::None) if !f.permit => Decision::Wait(status.expires_at.map_or(Requeue::Backoff, Requeue::At)),
        (_, GrantView::None) if !f.fresh => Decision::ReadLive,
        (_, GrantView::None) if terms_unknown(f) || f.decisions.iter().any(|w| may_stop(f, &sum, w)) => Decision::Wait(Requeue::Backoff),
        (_, GrantView::None | GrantView::Ended { .. }) => decide_create(f, &sum),
    }
}

/// The last check before the Grant is created. Status alone is not enough: an attacker who got past the admission policy over
/// status has neither an approval nor a request that was made while admission was enforced. The end must not be later than
/// what was approved, nor the beginning earlier. Break-glass is approved by the role and policy that allow it, if the request itself asks for
/// it: neither does its status say so, nor does it spare a request its approvals. The limits are those that the role has now.
fn decide_create(f: &Inputs<'_>, sum: &Tally) -> Decision {
    let status = &f.request.status;
    let (Some(frozen), Some(expires_at)) = (&status.frozen, status.expires_at) else {
        return transition_to(f, State::Revoking(Reason::NotApproved));
    };
    let resolved = &frozen.terms.resolved;
    let lasts = sum.duration(&resolved.duration);
    let longest = resolved.fixed_end(lasts).unwrap_or_else(|| f.now.plus_secs(lasts.secs() + CLOCKS_DIFFER_SECS));
    match f.request.provenance {
        Provenance::Unverified => return transition_to(f, State::Revoking(Reason::AdmissionNotEnforced)),
        Provenance::Pending => return Decision::Wait(Requeue::Backoff),
        Provenance::Verified => {}
    }
    // The configuration may have named another key since: an approver could be the requester's second login.
    let requester = &f.request.requester;
    if !requester.is_system_identity() && !requester.is_recorded_with(&f.people.alias_keys) {
        return transition_to(f, State::Revoking(Reason::UnprovenLogin));
    }
    if sum.approved() && expires_at <= longest {
        return match resolved.start.filter(|start| f.now < *start) {
            Some(start) => Decision::Wait(Requeue::At(start)),
            None => create_with_slots(f, expires_at),
        };
    }
    // An approval without an admission proof may be the one that is missing.
    if f.decisions.iter().any(DecisionFacts::is_pending) {
        Decision::Wait(Requeue::Backoff)
    } else {
        transition_to(f, State::Revoking(Reason::NotApproved))
    }
}

/// Creates the Grant of a request that is seen to hold a slot of every limit: a status that only says so is not believed. Slots that it
/// takes only now, since the caches did not show the limit when it was approved, are stored first.
fn create_with_slots(f: &Inputs<'_>, expires_at: Time) -> Decision {
    let status = &f.request.status;
    match with_slots(f, false, |reason| transition_to(f, State::Revoking(reason))) {
        Err(decision) => *decision,
        Ok(slots) if slots.iter().all(|slot| status.slots.contains(slot)) => Decision::CreateGrant { expires_at },
        Ok(slots) => Decision::Commit(Status { slots, ..status.clone() }),
    }
}

/// Whether this decision may still stop what is approved: it was made before the approval and is not settled. A later decision
/// ends the grant when it is settled, and must not keep it from beginning: otherwise a series of decisions could delay it without
/// an end. The end of a request with a start, or of an extension, does not tell when it was approved, so there every decision is waited
/// for: the delay ends with its access.
fn may_stop(f: &Inputs<'_>, sum: &Tally, w: &DecisionFacts) -> bool {
    let status = &f.request.status;
    let lasts = |frozen: &Frozen| sum.duration(&frozen.terms.resolved.duration).secs();
    let at_once = status.frozen.as_ref().filter(|frozen| frozen.terms.resolved.counts_from().is_none());
    let begun = status.expires_at.zip(at_once).map(|(end, frozen)| end.plus_secs(-lasts(frozen)));
    matches!(w.verb, Verb::Deny | Verb::Revoke) && w.is_pending() && begun.is_none_or(|t| w.created <= t.plus_secs(1))
}

/// A Deny or Revoke that was made before the deadline counts, also where the Grant has ended at its deadline before it was seen: what extends
/// this access ends by it.
fn stopped_in_time(f: &Inputs<'_>, sum: &Tally) -> Option<Reason> {
    let stop = sum.stopped_by?;
    let made = f.decisions.get(stop.decision)?.created;
    f.request.status.expires_at.is_some_and(|end| made < end).then_some(stop.reason)
}

/// Why a Grant ended that this request did not ask to end. Another replica may have ended it at its deadline with a clock that is ahead.
fn grant_end_reason(f: &Inputs<'_>, drifted: bool, refused: bool, outgrown: bool) -> Reason {
    let due = f.request.status.expires_at.is_none_or(|t| f.now.plus_secs(CLOCKS_DIFFER_SECS) >= t);
    match () {
        () if refused => Reason::TargetRefused,
        () if outgrown => Reason::TemplateChanged,
        () if drifted || !due => Reason::Drifted,
        () => Reason::DeadlinePassed,
    }
}
