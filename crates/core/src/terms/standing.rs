//! Standing access: what the operator itself requests for an ActiveAssignment, one activation after the other.
//!
//! Such a request is trusted only if the API server has authenticated the operator's own service account as its requester, and the
//! ActiveAssignment that it names exists under that uid and still says so. Nobody approves it: who may have standing access is decided by role
//! and policy, and by who created the assignment. What a policy asks of activations (stages, ticket, `max.duration`) does not bind it, and the
//! role's limits do not count it: they are about what people request.
//!
//! | Rule | Bounds |
//! |---|---|
//! | who created it, their login and MFA, a justification, the shortest window, the ceiling of CurfewConfig | the beginning of each activation |
//! | suspension, the window, the role's `assignment.active`, the policy's `allow.activeAssignments`, `eligible` and `max.eligibility`, what role and policy give | all of it: what no longer holds ends what is active |
//!
//! So a stricter rule about the author stops the next activation, at the latest within a day, and a request that waits does not evade it.
use super::{
    Offer, Refusal, check_accepted_by_target, check_shortest_window,
    conditions::{check_mfa_floor, check_template, refuse_context, refuse_mfa},
    eligibility::{Eligibility, check_maximum},
    narrowing,
    policies::{check_policy_reaches, first_allowing},
    refuse, resolve_trusted,
    windows::check_length,
};
use crate::{
    admission::Provenance,
    conditions::{authentication_context, mfa},
    duration::Duration,
    messages,
    occurrences::Occurrence,
    policy_inputs::{
        ActiveAssignment, Assignment, OPERATOR_ACCOUNT, Policy, PolicyInputs, Progress, RequestFacts, System, Template, Window,
    },
    principal::{ServiceAccount, Subject},
    reason::Reason,
    resolved::Terms,
    text::{brief, is_blank},
};

/// Only the operator requests anything for an ActiveAssignment.
pub(super) fn check_requester(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let own = Subject::ServiceAccount(ServiceAccount { namespace: h.operator_namespace.into(), name: OPERATOR_ACCOUNT.into() });
    match &a.active_assignment {
        Some(named) if a.requester.service_account().as_ref() != Some(&own) => refuse(
            Reason::NotEligible,
            format!(
                "only the operator requests access for ActiveAssignment {}; {} must leave spec.activeAssignment out",
                brief(&named.name),
                brief(&a.requester.username)
            ),
        ),
        Some(_) | None => Ok(()),
    }
}

/// What the operator would be granted for an ActiveAssignment, if it requested this now. It is judged whether or not such a request exists.
///
/// # Errors
/// The rule that refuses it, in the order of [`super::resolve`].
pub fn foresee(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<Terms, Refusal> {
    resolve_trusted(a, h)
}

/// The ActiveAssignment that a request names; nothing if it names none.
pub(super) fn assignment_of<'a>(a: &RequestFacts, h: &PolicyInputs<'a>) -> Result<Option<&'a ActiveAssignment>, Refusal> {
    let Some(named) = &a.active_assignment else { return Ok(None) };
    match h.active_assignment {
        Some(active) if active.assignment.reference == *named && active.assignment.role == a.role && is_same_system(active, a) => {
            Ok(Some(active))
        }
        Some(_) | None => refuse(
            Reason::NotEligible,
            format!("there is no ActiveAssignment {} with uid {} for role {} any more", brief(&named.name), brief(&named.uid), a.role),
        ),
    }
}

/// A request names the system of its assignment. Where that names none, it is the only one of the role, on which the request was accepted.
fn is_same_system(active: &ActiveAssignment, a: &RequestFacts) -> bool {
    active.system.is_none() || active.system == a.system
}

/// Who holds the access: whom the assignment names. A request says the same, where it can name them.
pub(super) fn holder(a: &RequestFacts, active: &ActiveAssignment) -> Result<Subject, Refusal> {
    let subject = &active.assignment.subject;
    let named = !matches!(subject, Subject::Group(_));
    match &a.beneficiary {
        Some(beneficiary) if beneficiary == subject => Ok(subject.clone()),
        None if !named => Ok(subject.clone()),
        Some(_) | None => refuse(
            Reason::NotEligible,
            format!("ActiveAssignment {} is for {}", active.assignment.reference.name, brief(&subject.to_string())),
        ),
    }
}

/// Whether role and policy allow the access of an ActiveAssignment. The order of the rules:
///
/// 1. suspended; 2. a setting that this build does not support; 3. what only concerns the beginning: who created it; 4. the holder; 5. the
///    role's rules for standing access; 6. whether the window has this activation; 7. what it gives of the role; 8. whether the target would
///    accept it; 9. each policy, in name order: the first that allows all of it.
pub(super) fn entitled<'a>(
    a: &RequestFacts,
    active: &'a ActiveAssignment,
    t: &Template,
    system: &System,
    offer: &Offer,
    h: &PolicyInputs<'a>,
) -> Result<Eligibility<'a>, Refusal> {
    let (e, name) = (&active.assignment, &active.assignment.reference.name);
    if e.suspended {
        return refuse(Reason::Suspended, format!("assignment {name} is suspended; ask its owner"));
    }
    if let Some(what) = e.unsupported.first() {
        return refuse(Reason::Unsupported, format!("assignment {name} uses {what}, which this build does not support"));
    }
    let begins = a.approved.is_none();
    if begins {
        check_author(active, t, h)?;
        check_shortest(active)?;
    }
    check_holder(active, system)?;
    check_role(e, t)?;
    let duration = check_activation(a, active, h)?.clone();
    match begins {
        true => narrowing::check_assignment(e, t, h.inventory).and_then(|()| narrowing::check_given(offer, e, a, t))?,
        false => narrowing::check_covers(e, t, offer)?,
    }
    if !matches!(a.progress, Progress::Granted(_)) {
        check_accepted_by_target(t).and_then(|()| offer.check_obstacle())?;
    }
    let policy = first_allowing(t, h, |p| {
        check_policy_reaches(p, system, offer, h)
            .and_then(|()| check_mfa_floor(p, t, !begins))
            .and_then(|()| check_policy(p, e))
            .and_then(|()| if begins { check_delegated(p, active) } else { Ok(()) })
    })?;
    Ok(Eligibility { assignment: e, policy, duration })
}

/// Who created an assignment, and by which login. The order of the rules: 1. created while admission was not enforced; 2. no justification;
/// 3. whether the conditions of the role can be met at all; 4. MFA; 5. the authentication context. A service account has no login of a person:
/// what it writes needs `allow.delegated` of the policy instead ([`check_delegated`]).
fn check_author(active: &ActiveAssignment, t: &Template, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let name = &active.assignment.reference.name;
    match active.provenance {
        Provenance::Verified => {}
        Provenance::Pending => return refuse(Reason::NotProvenYet, messages::hint(Reason::NotProvenYet)),
        Provenance::Unverified => {
            return refuse(
                Reason::AdmissionNotEnforced,
                format!(
                    "assignment {name} was made while Curfew's admission policies were not proven to be in force, so who created it is unknown; create it again"
                ),
            );
        }
    }
    if is_blank(&active.justification) {
        return refuse(Reason::JustificationRequired, format!("assignment {name} has no justification; say why in spec.justification"));
    }
    let role = format!("role {}", t.reference.name);
    check_template(t, h.login_keys).map_err(|e| Refusal { message: format!("{role} is not ready: {}", e.message), ..e })?;
    if active.author.is_system_identity() {
        return Ok(());
    }
    let author = format!("{role}, of the user who creates assignment {name},");
    if let Some(max_age) = &t.mfa {
        let found = mfa::check(h.login_keys.mfa.as_ref(), &active.author, max_age, active.created);
        found.or_else(|lack| refuse_mfa(&author, max_age, &lack))?;
    }
    match (&t.authentication_context, &h.login_keys.authentication_context) {
        (Some(context), Some(key)) => {
            authentication_context::check(&active.author, key, context).or_else(|lack| refuse_context(&author, context, &lack))
        }
        (Some(_), None) | (None, _) => Ok(()),
    }
}

/// Whether a policy lets a service account, such as a GitOps agent, create standing access.
fn check_delegated(p: &Policy, active: &ActiveAssignment) -> Result<(), Refusal> {
    let (policy, name) = (&p.reference.name, &active.assignment.reference.name);
    match active.author.is_system_identity() && !p.delegated {
        true => refuse(
            Reason::OutsidePolicy,
            format!(
                "{} is not a person, and policy {policy} does not let a service account create standing access such as assignment {name}; a person must create it, or the policy sets allow.delegated: true",
                brief(&active.author.username)
            ),
        ),
        false => Ok(()),
    }
}

/// Whether a window is long enough, and its occurrences can be obeyed (PIM-024, PM-083).
fn check_shortest(active: &ActiveAssignment) -> Result<(), Refusal> {
    check_shortest_window(&active.assignment)?;
    let name = &active.assignment.reference.name;
    match active.recurrence.as_ref().map_or(Ok(()), |recurrence| recurrence.check()) {
        Ok(()) => Ok(()),
        Err(why) => refuse(Reason::OutsidePolicy, format!("window of assignment {name}: {why}")),
    }
}

/// Whether the holder can have standing access on this system.
fn check_holder(active: &ActiveAssignment, system: &System) -> Result<(), Refusal> {
    let (name, subject) = (&active.assignment.reference.name, &active.assignment.subject);
    match subject {
        subject if subject.is_reserved() => {
            refuse(Reason::OutsidePolicy, format!("assignment {name} names {subject}, an identity that Kubernetes reserves"))
        }
        Subject::Group(_) if !system.provider.knows_groups() => refuse(
            Reason::Unsupported,
            format!(
                "assignment {name} names {}, and a group cannot hold access on systems of provider {}; create one assignment for each member",
                brief(&subject.to_string()),
                system.provider.as_str()
            ),
        ),
        Subject::User(_) | Subject::Group(_) | Subject::ServiceAccount(_) => Ok(()),
    }
}

/// Whether a role allows standing access of this length.
pub(crate) fn check_role(e: &Assignment, t: &Template) -> Result<(), Refusal> {
    let (name, role) = (&e.reference.name, &t.reference.name);
    let Some(rule) = t.standing else {
        return refuse(
            Reason::OutsidePolicy,
            format!("role {role} allows no standing access such as assignment {name}; its owner can set assignment.active"),
        );
    };
    check_length(e, role, rule.permanent, rule.max)
}

/// How long this activation lasts, if the window has it and no single one is longer than CurfewConfig allows.
fn check_activation<'a>(a: &'a RequestFacts, active: &ActiveAssignment, h: &PolicyInputs<'_>) -> Result<&'a Duration, Refusal> {
    let name = &active.assignment.reference.name;
    let (Some(start), Some(duration)) = (a.start, a.approved.as_ref().map(|held| &held.duration).or(a.duration.as_ref())) else {
        return refuse(Reason::OutsideWindow, format!("the request for assignment {name} has no startTime or duration"));
    };
    let end = match a.progress {
        Progress::Granted(end) => end,
        Progress::New | Progress::Accepted => start.plus_secs(duration.secs()),
    };
    if !active.schedule().contains(&Occurrence { start, end }) {
        return refuse(Reason::OutsideWindow, format!("assignment {name} does not give access from {start} to {end}"));
    }
    match (h.ceiling, a.progress) {
        (_, Progress::Granted(_)) => Ok(duration),
        (Some(ceiling), _) => check_maximum(duration, ceiling, || "CurfewConfig's ceiling".into()).map(|()| duration),
        (None, _) => refuse(
            Reason::NotProvenYet,
            "there is no CurfewConfig named curfew, so nothing is granted and this request waits; kubectl apply -f deploy/ brings one",
        ),
    }
}

/// Whether a policy lets this subject have standing access, in this window. It is bounded as eligibility is.
pub(crate) fn check_policy(p: &Policy, e: &Assignment) -> Result<(), Refusal> {
    let (policy, name) = (&p.reference.name, &e.reference.name);
    let outside = |what: String| refuse(Reason::OutsidePolicy, what);
    match e.window {
        _ if !p.standing => outside(format!(
            "policy {policy} does not allow standing access such as assignment {name}; set allow.activeAssignments: true in the policy to allow it"
        )),
        _ if !p.eligible.contains(&e.subject) => {
            outside(format!("policy {policy} does not let {} have access: it is not in eligible", e.subject))
        }
        Window::Permanent if !p.permanent_eligibility => {
            outside(format!("assignment {name} is permanent, and policy {policy} does not allow that (allow.permanentEligibility)"))
        }
        Window::Between(from, to) if to.millis_since(from) > p.max_eligibility.secs() * 1000 => {
            outside(format!("assignment {name} is longer than the {} that policy {policy} allows", p.max_eligibility))
        }
        Window::Between(..) | Window::Permanent => Ok(()),
    }
}
