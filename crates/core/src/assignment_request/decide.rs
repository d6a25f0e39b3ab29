//! The state machine of an AssignmentRequest. Pure.
use super::{ActionKind, AssignmentKind, Change, Frozen, Origin, Outcome, Request, State, Terms, tally_decisions};
use crate::{
    approval::{DecisionFacts, Tally, Verb},
    messages,
    principal::Recognition,
    reason::Reason,
    requeue::Requeue,
    terms::Refusal,
    time::Time,
};

/// Everything that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The time.
    pub now: Time,
    /// The request as it is stored.
    pub request: &'a Request,
    /// What it would be if it were resolved now, or why it cannot be.
    pub terms: &'a Result<Terms, Refusal>,
    /// The decisions about it.
    pub decisions: &'a [DecisionFacts],
    /// How one person is recognised behind two logins.
    pub people: &'a Recognition,
    /// The change in the status of the assignment.
    pub change: Option<&'a Change>,
    /// The mark of the assignment, if the operator has created it for an AssignmentRequest.
    pub origin: Option<&'a Origin>,
    /// The name of another request about the same assignment that has not ended, and comes before this one ([`is_earlier`]).
    pub earlier: Option<&'a str>,
    /// Lease held, admission proven, clock sane, stores synced.
    pub permit: bool,
    /// All of this was read live after the last commit.
    pub fresh: bool,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing now.
    Wait(Requeue),
    /// Read everything live, and decide again.
    ReadLive,
    /// Freeze this, store `AwaitingApproval`, and decide again.
    Accept(Box<Frozen>),
    /// Write the change into the status of the assignment, if it is still the one that was read, and decide again.
    Apply(Change),
    /// Create the assignment with this mark, if there is none of its name, and decide again.
    Create(Origin),
    /// Store the end.
    End(Outcome, Reason, String),
}

/// The place of a request among those about the same assignment, the first of which is decided about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// Whether it was accepted: then approvers may have looked at it.
    pub accepted: bool,
    /// When it was created, in whole seconds.
    pub created: Time,
    /// Its uid.
    pub uid: &'a str,
}

/// Whether a request comes before another one about the same assignment: accepted before not accepted, then by creation, and of one second
/// by uid. Every replica that has read both agrees on it. Two that were accepted at the same time, by replicas of which neither had read
/// the other's request, are told apart as soon as both are read, which is before anything is written: so no lock is needed.
pub fn is_earlier(one: &Place<'_>, other: &Place<'_>) -> bool {
    let key = |place: &Place<'_>| (!place.accepted, place.created);
    (key(one), one.uid) < (key(other), other.uid)
}

/// Decides. The order of the rules:
///
/// 1. A request that has ended stays ended.
/// 2. If the assignment has the change or the mark of this request, the request has been applied, regardless of what came later: the operator
///    may have died between the two writes.
/// 3. Without the permit nothing begins or ends. What is unknown ends nothing either.
/// 4. Terms that do not hold, and another digest than was frozen, end it, on facts read live. So a stricter role or policy is not evaded by
///    waiting.
/// 5. Another request about the same assignment that comes before it and has not ended refuses it. What only takes away does not wait: the
///    other one then ends by rule 4, since the window for which it was approved is another one.
/// 6. `Pending` is accepted and frozen, on facts read live.
/// 7. `AwaitingApproval` ends by a Deny or Revoke, or by the timeout of the open stage, both on live facts.
/// 8. It ends if its window has passed meanwhile.
/// 9. When every stage has passed, and no Deny or Revoke is still to be judged, the change is written, or the new assignment is created, on
///    facts read live. A request without stages, which only takes away, gets there at once.
pub fn decide(f: &Inputs<'_>) -> Decision {
    let request = f.request;
    let frozen = match (request.state, &request.frozen) {
        (State::Ended(_), _) => return Decision::Wait(Requeue::OnChange),
        (State::AwaitingApproval, Some(frozen)) => Some(frozen),
        (State::AwaitingApproval | State::Pending, _) => None,
    };
    if let Some(frozen) = frozen.filter(|frozen| is_in_place(f, frozen)) {
        return Decision::End(Outcome::Applied, Reason::AsExpected, applied(&frozen.terms));
    }
    if !f.permit {
        return Decision::Wait(Requeue::OnChange);
    }
    let terms = match f.terms {
        Err(e) if matches!(e.reason, Reason::NotProvenYet | Reason::TargetUnreachable) => return Decision::Wait(Requeue::Backoff),
        Err(_) | Ok(_) if !f.fresh && (frozen.is_none() || changed(f, frozen)) => return Decision::ReadLive,
        Err(e) => return end(e.reason, e.message.clone()),
        Ok(terms) => terms,
    };
    if let Some(frozen) = frozen.filter(|frozen| frozen.terms.digest() != terms.digest()) {
        return end(Reason::TemplateChanged, what_changed(terms, &frozen.terms));
    }
    if let Some(earlier) = f.earlier.filter(|_| terms.action != ActionKind::Remove) {
        let name = &terms.assignment.name;
        let message =
            format!("request {earlier} about assignment {name} waits already; wait until it is decided, and create a new request");
        return if f.fresh { end(Reason::LimitReached, message) } else { Decision::ReadLive };
    }
    match frozen {
        None => Decision::Accept(Box::new(Frozen { terms: terms.clone(), accepted_at: f.now.floor_secs() })),
        Some(frozen) => decide_accepted(f, frozen),
    }
}

fn decide_accepted(f: &Inputs<'_>, frozen: &Frozen) -> Decision {
    let sum = tally_decisions(f.request, f.decisions, f.people);
    let may_stop = |w: &DecisionFacts| w.verb != Verb::Approve && w.is_pending();
    match (sum.stopped_by, sum.deadline()) {
        (Some(stop), _) if f.fresh => end(withdrawn(stop.reason), messages::hint(withdrawn(stop.reason)).into()),
        (Some(_), _) => Decision::ReadLive,
        (None, Some(deadline)) => decide_open_stage(f, &sum, deadline),
        (None, None) if !f.fresh => Decision::ReadLive,
        (None, None) if f.now >= frozen.terms.window.end && !frozen.terms.approval.is_empty() => {
            end(Reason::WindowPassed, format!("the window until {} has passed before it was approved", frozen.terms.window.end))
        }
        (None, None) if f.decisions.iter().any(may_stop) => Decision::Wait(Requeue::Backoff),
        (None, None) => match frozen.terms.action {
            ActionKind::New => Decision::Create(frozen.terms.origin(&f.request.name)),
            ActionKind::Extend | ActionKind::Renew | ActionKind::Remove => Decision::Apply(frozen.terms.change(&f.request.name)),
        },
    }
}

fn decide_open_stage(f: &Inputs<'_>, sum: &Tally, deadline: Time) -> Decision {
    let may_be_in_time = |w: &DecisionFacts| w.verb == Verb::Approve && w.is_pending() && w.created < deadline;
    let next = sum.next_escalation(f.now).map_or(deadline, |at| at.min(deadline));
    match () {
        () if f.now < deadline && f.decisions.iter().any(DecisionFacts::is_pending) => Decision::Wait(Requeue::Backoff),
        () if f.now < deadline => Decision::Wait(Requeue::At(next)),
        () if !f.fresh => Decision::ReadLive,
        () if f.decisions.iter().any(may_be_in_time) => Decision::Wait(Requeue::Backoff),
        () => end(Reason::ApprovalTimedOut, messages::hint(Reason::ApprovalTimedOut).into()),
    }
}

/// Whether the assignment has the change or the mark of this request.
fn is_in_place(f: &Inputs<'_>, frozen: &Frozen) -> bool {
    let (terms, name) = (&frozen.terms, &f.request.name);
    match terms.action {
        ActionKind::New => f.origin.is_some_and(|origin| *origin == terms.origin(name)),
        ActionKind::Extend | ActionKind::Renew | ActionKind::Remove => f.change.is_some_and(|change| *change == terms.change(name)),
    }
}

/// Whether it ends by its terms, as far as these show.
fn changed(f: &Inputs<'_>, frozen: Option<&Frozen>) -> bool {
    match (f.terms, frozen) {
        (Err(_), _) => true,
        (Ok(terms), Some(frozen)) => terms.digest() != frozen.terms.digest(),
        (Ok(_), None) => false,
    }
}

/// Nothing was active: who takes it back withdraws it.
fn withdrawn(reason: Reason) -> Reason {
    match reason {
        Reason::RevokedByHolder => Reason::Withdrawn,
        other => other,
    }
}

fn end(reason: Reason, message: String) -> Decision {
    Decision::End(Outcome::of(reason), reason, message)
}

fn applied(terms: &Terms) -> String {
    let (name, subject, window) = (&terms.assignment.name, &terms.subject, terms.window);
    let until = || format!("from {} until {}", window.start, window.end);
    match (terms.action, terms.kind) {
        (ActionKind::Remove, AssignmentKind::Eligible) => {
            format!("assignment {name} ended {}: it makes {subject} eligible no longer", window.end)
        }
        (ActionKind::Remove, AssignmentKind::Active) => {
            format!("assignment {name} ended {}: it gives {subject} no access any more", window.end)
        }
        (ActionKind::New | ActionKind::Extend | ActionKind::Renew, AssignmentKind::Eligible) => {
            format!("assignment {name} makes {subject} eligible {}", until())
        }
        (ActionKind::New | ActionKind::Extend | ActionKind::Renew, AssignmentKind::Active) => {
            format!("assignment {name} gives {subject} access {}", until())
        }
    }
}

/// What differs from what was frozen, in words.
fn what_changed(now: &Terms, frozen: &Terms) -> String {
    let what = match () {
        () if now.before != frozen.before || now.replaces != frozen.replaces => "the window of the assignment has changed",
        () if now.policy != frozen.policy => "another AccessPolicy decides now",
        () if now.role != frozen.role => "the RoleTemplate was deleted and created again",
        () if now.approval != frozen.approval || now.order != frozen.order => "the approvers have changed",
        () => "what was asked for has changed",
    };
    format!("{what}; {}", messages::hint(Reason::TemplateChanged))
}

#[cfg(test)]
mod tests;
