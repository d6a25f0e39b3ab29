//! Which assignment and policy together allow a request.
use super::{
    Offer, Refusal,
    approval::check_approval,
    break_glass, check_accepted_by_target, check_justification, conditions, extension, narrowing, per_day,
    policies::{check_policy_eligible, check_policy_offers, first_allowing},
    refuse,
    requestors::{check_may_ask, is_for_another},
    schedule,
    windows::check_assignment_window,
};
use crate::{
    duration::Duration,
    policy_inputs::{Assignment, Policy, PolicyInputs, Progress, RequestFacts, System, Template},
    principal::Subject,
    reason::Reason,
    text::brief,
    time::Time,
};

/// An assignment and a policy that together allow a request.
pub(super) struct Eligibility<'a> {
    pub assignment: &'a Assignment,
    pub policy: &'a Policy,
    pub duration: Duration,
}

/// The first assignment, in name order, with the first policy, in name order, that allow all of it.
pub(super) fn eligible<'a>(
    a: &RequestFacts,
    holder: &Subject,
    t: &Template,
    system: &System,
    offer: &Offer,
    h: &PolicyInputs<'a>,
) -> Result<Eligibility<'a>, Refusal> {
    let duration = duration(a, t, h)?;
    let stages = a.approved.as_ref().map_or(&t.approval, |held| &held.approval);
    let offers = |p: &Policy| {
        check_policy_offers(p, t, stages, system, offer, h).and_then(|()| conditions::check_mfa_floor(p, t, a.approved.is_some()))
    };
    first_allowing(t, h, offers).map_err(|e| Refusal {
        reason: if e.reason == Reason::Suspended { e.reason } else { Reason::NotReady },
        message: format!("role {} is not ready: {}", t.reference.name, e.message),
        ..e
    })?;
    if !matches!(a.progress, Progress::Granted(_)) {
        check_accepted_by_target(t).and_then(|()| offer.check_obstacle()).and_then(|()| check_approval(t, h)).map_err(|e| Refusal {
            reason: Reason::NotReady,
            message: format!("role {} is not ready: {}", t.reference.name, e.message),
            ..e
        })?;
    }
    if t.justification {
        check_justification(a, || format!("role {}", t.reference.name))?;
    }
    extension::check_ceilings(a, t, &duration, h)?;
    per_day::check(a, t, holder, &duration, h)?;
    schedule::check_login_age(t.requires_mfa(), &t.reference.name, (a.created, a.start), a.progress)?;
    conditions::check_request(a, t, h)?;
    let machine = a.requester.is_system_identity();
    let literal = is_only_named(a, holder);
    let none = format!(
        "no EligibleAssignment for role {} names {}{}; kubectl get eas -n {} lists them",
        t.reference.name,
        brief(&if literal { holder.to_string() } else { a.requester.username.clone() }),
        if literal { " itself, and the groups of a user who is only named are not known" } else { " or one of their groups" },
        a.namespace
    );
    let mut why = Refusal::new(Reason::NotEligible, none);
    for assignment in naming(a, holder, t, h) {
        let end = match a.progress {
            Progress::Granted(end) => end,
            Progress::New | Progress::Accepted => schedule::end(a, h.now, &duration),
        };
        if machine && !assignment.delegated {
            let forbidden = format!(
                "{} is not a person, and assignment {} does not allow a service account to request; set delegation: Allowed in the assignment to allow it",
                brief(&a.requester.username),
                assignment.reference.name
            );
            why = Refusal::new(Reason::NotEligible, forbidden);
            continue;
        }
        let narrowed = || match a.approved {
            Some(_) => narrowing::check_covers(assignment, t, offer),
            None => narrowing::check_assignment(assignment, t, h.inventory).and_then(|()| narrowing::check_given(offer, assignment, a, t)),
        };
        let within = check_not_after(a, end).and_then(|()| check_assignment_window(a, assignment, t, h.now, end)).and_then(|()| narrowed());
        let found = within.and_then(|()| {
            first_allowing(t, h, |p| {
                offers(p)
                    .and_then(|()| check_policy_eligible(p, assignment))
                    .and_then(|()| check_may_ask(p, a, holder))
                    .and_then(|()| break_glass::check_policy(p, a))
                    .and_then(|()| conditions::check_policy_ticket(p, a))
                    .and_then(|()| if p.justification { check_justification(a, || format!("policy {}", p.reference.name)) } else { Ok(()) })
                    .and_then(|()| check_maximum(&duration, &p.max_duration, || format!("policy {}", p.reference.name)))
                    .and_then(|()| extension::check_policy(p, a, &duration))
            })
        });
        match found {
            Ok(policy) => return Ok(Eligibility { assignment, policy, duration }),
            Err(e) if matches!(e.reason, Reason::OutsidePolicy | Reason::NotApproved) => why = Refusal { reason: Reason::NotEligible, ..e },
            Err(e) => why = e,
        }
    }
    Err(why)
}

/// Whether the groups of the holder are unknown, because the holder is only named.
fn is_only_named(a: &RequestFacts, holder: &Subject) -> bool {
    a.requester.is_system_identity() || is_for_another(a, holder)
}

/// The assignments for a role that name the holder, in name order.
pub(super) fn naming<'a>(a: &RequestFacts, holder: &Subject, t: &Template, h: &PolicyInputs<'a>) -> Vec<&'a Assignment> {
    let literal = is_only_named(a, holder);
    let named = |e: &Assignment| if literal { e.subject == *holder } else { e.subject.includes(&a.requester) };
    let mut all: Vec<&Assignment> = h.assignments.iter().filter(|e| e.role == t.reference.name && named(e)).collect();
    all.sort_by(|x, y| x.reference.name.cmp(&y.reference.name));
    all
}

/// The longest lifetime of a machine's request: the tool that syncs it would otherwise re-create it without an end.
const MAX_NOT_AFTER_DAYS: i64 = 7;

/// All of it must be over by `notAfter`, and a machine must say one.
fn check_not_after(a: &RequestFacts, end: Time) -> Result<(), Refusal> {
    match a.not_after {
        None if a.requester.is_system_identity() => refuse(
            Reason::OutsideWindow,
            "a service account must set spec.notAfter, so that a request that is applied again later is refused",
        ),
        Some(t) if a.requester.is_system_identity() && t > a.created.plus_secs(MAX_NOT_AFTER_DAYS * 86_400) => {
            refuse(Reason::OutsideWindow, format!("notAfter {t} is more than {MAX_NOT_AFTER_DAYS} days after the request was made"))
        }
        Some(t) if end > t => {
            refuse(Reason::OutsideWindow, format!("the access would last until {}, beyond notAfter {t}", end.floor_secs()))
        }
        Some(_) | None => Ok(()),
    }
}

/// The duration asked for, within what the template and the ceiling allow.
pub(super) fn duration(a: &RequestFacts, t: &Template, h: &PolicyInputs<'_>) -> Result<Duration, Refusal> {
    let held = a.approved.as_ref().map(|held| &held.duration);
    let d = held.or(a.duration.as_ref()).or(t.default_duration.as_ref()).unwrap_or(&t.max_duration);
    check_maximum(d, &t.max_duration, || format!("role {}", t.reference.name))?;
    match h.ceiling {
        Some(c) => check_maximum(d, c, || "CurfewConfig's ceiling".into())?,
        // A lost configuration stops new grants; it takes nothing away, and what waits goes on waiting.
        None if matches!(a.progress, Progress::Granted(_)) => {}
        None => {
            return refuse(
                Reason::NotProvenYet,
                "there is no CurfewConfig named curfew, so nothing is granted and this request waits; kubectl apply -f deploy/ brings one",
            );
        }
    }
    Ok(d.clone())
}

pub(super) fn check_maximum(asked: &Duration, limit: &Duration, whose: impl Fn() -> String) -> Result<(), Refusal> {
    if asked > limit {
        return refuse(Reason::OverMaximum, format!("asked for {asked}, but {} allows at most {limit}", whose()));
    }
    Ok(())
}
