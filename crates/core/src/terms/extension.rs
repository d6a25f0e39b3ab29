//! Whether a request may extend another one. An extension is a request of its own, with approvals and a Grant of its own: it begins as soon
//! as it is approved, beside what it extends, and ends its duration after the deadline of that, which nothing moves.
//!
//! What concerns the beginning is judged until the extension is `Activating`: a role, policy or configuration that allows less by then ends
//! what waits, and nothing that is granted. That what it extends has ended early ends it at any time.
use super::{Offer, Refusal, refuse};
use crate::{
    duration::Duration,
    extension::{Extension, Parent},
    policy_inputs::{Policy, PolicyInputs, Progress, RequestFacts, System, Template},
    principal::Subject,
    reason::Reason,
    resolved::{Extended, Resolved},
    target::{GrantedPermissions, GrantedScope, Unresolvable},
    text::brief,
    time::Time,
};

/// Whether what an accepted extension extends has not ended early. The order of the rules:
///
/// 1. with a start of its own it is refused by name; 2. a person has ended what it extends, or its Grant was brought forward, which counts
///    whenever it is seen: it was done before the deadline; 3. before that deadline it has ended for another reason, or does not exist.
///
/// From the deadline on the state of what it extends does not matter. What is unknown ends nothing.
pub(super) fn check_parent(a: &RequestFacts, now: Time) -> Result<(), Refusal> {
    let Some(e) = &a.extends else { return Ok(()) };
    if a.start.is_some() {
        return refuse(
            Reason::Unsupported,
            "the request uses extends together with startTime, which this build does not support: an extension begins once it is approved; create a request without startTime",
        );
    }
    let before_deadline = e.until().is_none_or(|until| now < until);
    let ended = |how: &str| {
        refuse(Reason::ParentEnded, format!("request {}, which this one extends, {how} before its deadline; create a new request", e.name))
    };
    match (a.progress, &e.parent) {
        (Progress::New, _) => Ok(()),
        (_, Parent::Ended(reason))
            if is_by_person(*reason) || e.is_brought_forward() || (before_deadline && *reason != Reason::DeadlinePassed) =>
        {
            ended(&format!("ended ({reason})"))
        }
        (_, Parent::Absent) if before_deadline || e.is_brought_forward() => ended("was deleted"),
        (_, _) if e.is_brought_forward() => ended("was ended"),
        (_, Parent::Unknown | Parent::Absent | Parent::NotActive | Parent::Active(_) | Parent::Ended(_)) => Ok(()),
    }
}

/// Whether a person has ended an access: a request is only ended so before its deadline is found to have passed.
const fn is_by_person(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RevokedByApprover | Reason::RevokedByHolder | Reason::DeniedByApprover | Reason::Withdrawn | Reason::RequestDeleted
    )
}

/// What a request extends, as it stands in what is resolved. The order of the rules, of which 2 to 8 are for a request that was not accepted
/// yet, since none of what they compare can change:
///
/// 1. the Grant of what it extends is kept; 2. it can be read; 3. it exists with this uid; 4. it is active; 5. its deadline has not come;
/// 6. it has itself taken over, if it is an extension, so that a chain is never more than two at a time; 7. it is for the same role, system
///    and beneficiary; 8. of the same requester, of the beneficiary, or of a person whom the policy lists for that beneficiary (see
///    `requestors`).
///
/// What is active has what was frozen.
pub(super) fn resolve(a: &RequestFacts, t: &Template, s: &System, holder: &Subject, now: Time) -> Result<Option<Extended>, Refusal> {
    let Some(e) = &a.extends else { return Ok(None) };
    match a.progress {
        _ if a.approved.is_some() => return Ok(e.frozen.clone()),
        Progress::New => check_new(a, e, t, s, holder, now)?,
        Progress::Accepted | Progress::Granted(_) => {}
    }
    match &e.granted {
        Some(granted) => Ok(Some(granted.clone())),
        None => nothing(e, "has no Grant that is kept"),
    }
}

fn nothing<T>(e: &Extension, why: &str) -> Result<T, Refusal> {
    let name = &e.name;
    refuse(Reason::NothingToExtend, format!("request {name} {why}, so it cannot be extended; create a request without spec.extends"))
}

fn check_new(a: &RequestFacts, e: &Extension, t: &Template, s: &System, holder: &Subject, now: Time) -> Result<(), Refusal> {
    let parent = match &e.parent {
        Parent::Active(parent) => parent,
        Parent::Unknown => {
            return refuse(Reason::NotProvenYet, format!("request {}, which this one extends, cannot be judged at the moment", e.name));
        }
        Parent::Absent => return nothing(e, &format!("with uid {} does not exist in namespace {}", e.uid, a.namespace)),
        Parent::NotActive => return nothing(e, "is not active"),
        Parent::Ended(reason) => return nothing(e, &format!("ends or has ended ({reason})")),
    };
    if let Some(until) = e.until().filter(|until| now >= *until) {
        return nothing(e, &format!("ended {until}"));
    }
    if let Some(before) = parent.extends.as_ref().filter(|before| now < before.until) {
        return nothing(e, &format!("extends request {} until {}, and has not outlasted it yet", before.name, before.until));
    }
    let requester = a.requester.username == parent.requester;
    match () {
        () if parent.role.name != t.reference.name => nothing(e, &format!("is for role {}, and not for {}", parent.role.name, a.role)),
        () if parent.system.uid != s.uid => nothing(e, &format!("is for system {}, and not for {}", parent.system.name, s.name)),
        () if parent.beneficiary != *holder => {
            nothing(e, &format!("gives access to {}, and not to {}", brief(&parent.beneficiary.to_string()), brief(&holder.to_string())))
        }
        () if a.requester.is_system_identity() && !requester => {
            nothing(e, &format!("was created by {}, and a service account extends only its own", brief(&parent.requester)))
        }
        () => Ok(()),
    }
}

/// Whether a request that was not granted yet may last as long as it would. The order of the rules: the role allows extensions; the chain is
/// within what the role, and CurfewConfig, allow. [`super::per_day`] follows.
pub(super) fn check_ceilings(a: &RequestFacts, t: &Template, duration: &Duration, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let Some((e, end)) = to_judge(a, duration) else { return Ok(()) };
    let role = &t.reference.name;
    let Some(limits) = &t.extension else {
        return refuse(
            Reason::NotExtendable,
            format!("role {role} cannot be extended: it has no activation.extension.atMost; request it again when the access has ended"),
        );
    };
    check_chain(e, end, &limits.chain, || format!("role {role} (activation.extension)"))?;
    if let Some(ceiling) = h.ceiling {
        check_chain(e, end, ceiling, || "CurfewConfig's ceiling".into())?;
    }
    Ok(())
}

/// Whether a policy allows a chain of that length: nobody is on for longer than its maximum without a fresh activation.
pub(super) fn check_policy(p: &Policy, a: &RequestFacts, duration: &Duration) -> Result<(), Refusal> {
    match to_judge(a, duration) {
        Some((e, end)) => check_chain(e, end, &p.max_duration, || format!("policy {}", p.reference.name)),
        None => Ok(()),
    }
}

/// What an extension extends, and when it would end, as long as its beginning is judged.
fn to_judge<'a>(a: &'a RequestFacts, duration: &Duration) -> Option<(&'a Extended, Time)> {
    let e = a.extends.as_ref()?;
    let extended = e.granted.as_ref().or(e.frozen.as_ref())?;
    (!matches!(a.progress, Progress::Granted(_))).then(|| (extended, extended.until.plus_secs(duration.secs())))
}

fn check_chain(e: &Extended, end: Time, limit: &Duration, whose: impl Fn() -> String) -> Result<(), Refusal> {
    let millis = end.millis_since(e.since);
    if millis <= limit.secs() * 1000 {
        return Ok(());
    }
    let lasts = Duration::from_secs(u32::try_from((millis + 999) / 1000).unwrap_or(u32::MAX).max(1));
    refuse(
        Reason::OverMaximum,
        format!("the access would last {lasts} in all, from {} to {end}, but {} allows at most {limit}", e.since.floor_secs(), whose()),
    )
}

/// Whether a request that was not accepted yet would get no more than what it extends, as it stands now. The order of the rules: permissions
/// by name, the scope, a policy that denies and is left out, and a role that allows more by now.
pub(super) fn check_not_wider(
    a: &RequestFacts,
    permissions: &GrantedPermissions,
    scope: &GrantedScope,
    offer: &Offer,
) -> Result<(), Refusal> {
    let (Some(e), Progress::New) = (&a.extends, a.progress) else { return Ok(()) };
    let Parent::Active(parent) = &e.parent else { return Ok(()) };
    let Resolved { permissions: granted, scope: reached, .. } = &**parent;
    let (asked, had) = (permissions.named(), granted.named());
    let name = &e.name;
    if let Some(more) = had.lacks(&asked) {
        let told =
            format!("an extension gives no more than what it extends, and request {name} does not give {more}; ask for fewer permissions");
        return refuse(Reason::WiderPermissions, told);
    }
    if let Some(beyond) = scope.named().beyond(&reached.named()) {
        let told = format!(
            "an extension reaches no further than what it extends, and request {name} does not reach {beyond}; ask for less in spec.scope"
        );
        return refuse(Reason::WiderScope, told);
    }
    if let Some(lost) = asked.loses_denial(&had, &offer.inventory) {
        let told = format!("the extension leaves out {lost}, and so would give more than request {name}; name that policy, too");
        return refuse(Reason::WiderPermissions, told);
    }
    match granted.held(reached, &offer.inventory) {
        Err(Unresolvable::Changed(what)) => {
            refuse(Reason::WiderPermissions, format!("compared with request {name}, {what}; create a new request"))
        }
        Err(Unresolvable::NotReady(_) | Unresolvable::NothingReached) | Ok(_) => Ok(()),
    }
}
