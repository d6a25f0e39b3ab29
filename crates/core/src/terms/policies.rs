//! What the AccessPolicies of a namespace let it offer, and to whom. The first one that allows all of it counts.
use super::{Offer, Refusal, refuse};
use crate::{
    approval::ApprovalStage,
    policy_inputs::{ApprovalFloor, Assignment, Policy, PolicyInputs, System, Template, Window},
    quorum,
    reason::Reason,
};

/// How many refusing policies are named in a message.
const MAX_NAMED_POLICIES: usize = 3;

/// The first policy, in name order, that covers the template's namespace and passes; otherwise why each does not, first that
/// which comes nearest.
pub(crate) fn first_allowing<'a>(
    t: &Template,
    h: &PolicyInputs<'a>,
    passes: impl Fn(&Policy) -> Result<(), Refusal>,
) -> Result<&'a Policy, Refusal> {
    let mut covering: Vec<&Policy> = h.policies.iter().filter(|p| p.namespaces.contains(&t.namespace)).collect();
    covering.sort_by(|a, b| a.reference.name.cmp(&b.reference.name));
    let mut refusals: Vec<(u8, Refusal)> = Vec::new();
    for p in covering {
        match (check_policy_usable(p), passes(p)) {
            (Ok(()), Ok(())) => return Ok(p),
            (Ok(()), Err(e)) => refusals.push((nearness(e.reason), e)),
            // It would allow all of it, were it in force.
            (Err(e), Ok(())) => refusals.push((u8::MAX, e)),
            (Err(e), Err(_)) => refusals.push((0, e)),
        }
    }
    refusals.sort_by_key(|(nearness, _)| std::cmp::Reverse(*nearness));
    let Some((_, nearest)) = refusals.first() else {
        return refuse(
            Reason::OutsidePolicy,
            format!("no AccessPolicy covers namespace {}, and nothing can be granted without one; ask the security team", t.namespace),
        );
    };
    let mut messages: Vec<String> = refusals.iter().take(MAX_NAMED_POLICIES).map(|(_, e)| e.message.clone()).collect();
    let more = refusals.len() - messages.len();
    if more > 0 {
        messages.push(format!("{more} more policies refuse it, too"));
    }
    refuse(nearest.reason, messages.join("; "))
}

/// How many of a policy's rules were passed before the one with this reason, in their order.
const fn nearness(reason: Reason) -> u8 {
    match reason {
        Reason::BelowFloor | Reason::NotEligible => 2,
        Reason::JustificationRequired | Reason::TicketRequired => 3,
        Reason::OverMaximum => 4,
        _ => 1,
    }
}

fn check_policy_usable(p: &Policy) -> Result<(), Refusal> {
    let name = &p.reference.name;
    if p.suspended {
        return refuse(Reason::Suspended, format!("policy {name} is suspended; ask its owner"));
    }
    match p.unsupported.first() {
        Some(what) => refuse(Reason::Unsupported, format!("policy {name} uses {what}, which this build does not support")),
        None => match p.approval.as_ref().and_then(quorum::floor_unreachable) {
            Some(why) => refuse(Reason::NobodyCanApprove, format!("policy {name} can never be met: {why}")),
            None => Ok(()),
        },
    }
}

/// Whether a policy lets its namespaces offer this role on this system, with these stages of approval.
pub(super) fn check_policy_offers(
    p: &Policy,
    t: &Template,
    stages: &[ApprovalStage],
    s: &System,
    offer: &Offer,
    h: &PolicyInputs<'_>,
) -> Result<(), Refusal> {
    check_policy_reaches(p, s, offer, h).and_then(|()| check_floor(p, t, stages))
}

/// Whether a policy lets its namespaces give this on this system at all.
pub(super) fn check_policy_reaches(p: &Policy, s: &System, offer: &Offer, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    check_names(p, s, offer)?;
    if !p.persistence
        && let Some(what) = offer.permissions.persistence(&offer.scope, &offer.inventory, h.operator_namespace)
    {
        return refuse(
            Reason::OutsidePolicy,
            format!("policy {} would need allow.persistence: true for what may outlive the grant: {what}", p.reference.name),
        );
    }
    Ok(())
}

/// Whether a policy lets its namespaces offer this role on one of its systems at all, as far as that does not depend on the target.
pub(crate) fn check_names_role(p: &Policy, t: &Template, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let unread = PolicyInputs { inventory: None, ..*h };
    let names = |s: &&System| Offer::of(t, s.provider, &unread).and_then(|offer| check_names(p, s, &offer)).is_ok();
    let found = h.systems.iter().filter(|s| t.systems.include(&s.name, &s.labels)).find(names);
    let (policy, role) = (&p.reference.name, &t.reference.name);
    found.map_or_else(|| refuse(Reason::OutsidePolicy, format!("policy {policy} does not allow role {role}")), |_| Ok(()))
}

/// Whether a policy names the system, the permissions and the scope.
fn check_names(p: &Policy, s: &System, offer: &Offer) -> Result<(), Refusal> {
    let name = &p.reference.name;
    let outside = |what: String| refuse(Reason::OutsidePolicy, format!("policy {name} does not allow {what}"));
    if !p.systems.include(&s.name, &s.labels) {
        return outside(format!("system {}", s.name));
    }
    let (Some(patterns), Some(widest)) = (p.permissions.of(s.provider), p.scope.of(s.provider)) else {
        return outside(format!("systems of provider {}", s.provider.as_str()));
    };
    if let Some(permission) = offer.permissions.not_allowed(&patterns) {
        return outside(permission);
    }
    if let Some(beyond) = offer.scope.beyond(&widest) {
        return outside(format!("access to {beyond}"));
    }
    Ok(())
}

/// The floor is met when some of these stages has a quorum no smaller, and approvers that all stand, literally, in `from`, those of its
/// escalation, too. All stages must pass, in whichever order, so one is enough.
pub(crate) fn check_floor(p: &Policy, t: &Template, stages: &[ApprovalStage]) -> Result<(), Refusal> {
    let Some(ApprovalFloor { quorum, from }) = &p.approval else { return Ok(()) };
    let met = stages.iter().any(|s| s.quorum >= *quorum && s.all_approvers().all(|a| from.contains(a)));
    if met {
        return Ok(());
    }
    let from = from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    refuse(
        Reason::BelowFloor,
        format!(
            "policy {} asks for a stage of at least {quorum} of which every approver is one of {from}, and role {} has none",
            p.reference.name, t.reference.name
        ),
    )
}

/// Whether a policy lets this subject be made eligible, in this window.
pub(crate) fn check_policy_eligible(p: &Policy, e: &Assignment) -> Result<(), Refusal> {
    let (policy, name) = (&p.reference.name, &e.reference.name);
    if !p.eligible.contains(&e.subject) {
        return refuse(Reason::OutsidePolicy, format!("policy {policy} does not let {} be made eligible", e.subject));
    }
    if e.delegated && !p.delegated {
        return refuse(
            Reason::OutsidePolicy,
            format!(
                "assignment {name} allows delegation, and policy {policy} does not; set allow.delegated: true in the policy to allow it"
            ),
        );
    }
    match e.window {
        Window::Permanent if !p.permanent_eligibility => {
            refuse(Reason::OutsidePolicy, format!("assignment {name} is permanent, and policy {policy} does not allow that"))
        }
        Window::Between(from, to) if to.millis_since(from) > p.max_eligibility.secs() * 1000 => {
            refuse(Reason::OutsidePolicy, format!("assignment {name} is longer than the {} that policy {policy} allows", p.max_eligibility))
        }
        Window::Between(..) | Window::Permanent => Ok(()),
    }
}
