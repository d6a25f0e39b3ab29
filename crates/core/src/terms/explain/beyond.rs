//! What people ask about a role beyond whether one request would be refused: break-glass, limits, and how long extensions may go on.
use super::super::{
    Offer, Refusal, break_glass, conditions,
    eligibility::eligible,
    pick_system,
    policies::{check_policy_offers, first_allowing},
    requestors::resolve_beneficiary,
};
use crate::{
    duration::Duration,
    limits::Limit,
    policy_inputs::{Policy, PolicyInputs, RequestFacts, System, Template},
};

/// The answers to these questions, of which none needs the content of the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beyond {
    /// The policy that would allow the requester break-glass, beside the role, or why it would be refused.
    pub break_glass: Result<String, Refusal>,
    /// The locks under which break-glass of the requester would be looked for.
    pub locks: Result<Vec<Limit>, Refusal>,
    /// The limits that the request would count towards.
    pub limits: Vec<Limit>,
    /// The policy whose limits these are, if one allows the role.
    pub policy: Option<String>,
    /// How long the role can be held by extensions; `None` if it cannot be extended.
    pub chain: Option<Chain>,
}

/// How long a role can be held by extensions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// From the first activation to the last end: the least of what role, policy and CurfewConfig allow.
    pub longest: Duration,
    /// Which of them allows no more.
    pub by: String,
    /// Of any 24 hours.
    pub per_day: Duration,
}

/// Of a request for this role. `None` where the system or the holder is not known.
///
/// The policy is the one that would allow the request. Where it would be refused, it is the first one that lets the namespace offer the role.
pub(super) fn of(a: &RequestFacts, h: &PolicyInputs<'_>, t: &Template) -> Option<Beyond> {
    let system = pick_system(a, t, h).ok()?;
    let holder = resolve_beneficiary(a, h).ok()?;
    let offer = Offer::of(t, system.provider, h).ok()?;
    let policy = eligible(a, &holder, t, system, &offer, h).map(|pair| pair.policy).or_else(|_| offering(t, system, &offer, h, |_| Ok(())));
    let policy = policy.ok();
    let name = |policy: &Policy| policy.reference.name.clone();
    let of_policy = (policy.map_or("", |policy| policy.reference.name.as_str()), policy.and_then(|policy| policy.limits));
    let counted = Limit::counted(&a.namespace, (&t.reference.name, t.limits), of_policy, &holder);
    let extended = a.extends.as_ref().map(|extends| extends.uid.as_str());
    let limits = counted.into_iter().map(|limit| match extended {
        Some(uid) => limit.taken_over_from(uid),
        None => limit,
    });
    let asked = RequestFacts { break_glass: true, ..a.clone() };
    Some(Beyond {
        break_glass: break_glass(&asked, t, system, h),
        locks: break_glass::locks(&asked, h),
        limits: limits.collect(),
        policy: policy.map(name),
        chain: chain(t, policy, h),
    })
}

/// The policy that allows the break-glass of a request, beside the role.
pub(super) fn break_glass(a: &RequestFacts, t: &Template, system: &System, h: &PolicyInputs<'_>) -> Result<String, Refusal> {
    let holder = resolve_beneficiary(a, h)?;
    break_glass::check_request(a, t, &holder)?;
    let offer = Offer::of(t, system.provider, h)?;
    offering(t, system, &offer, h, |policy| break_glass::check_policy(policy, a)).map(|policy| policy.reference.name.clone())
}

fn offering<'a>(
    t: &Template,
    system: &System,
    offer: &Offer,
    h: &PolicyInputs<'a>,
    also: impl Fn(&Policy) -> Result<(), Refusal>,
) -> Result<&'a Policy, Refusal> {
    first_allowing(t, h, |p| {
        check_policy_offers(p, t, &t.approval, system, offer, h)
            .and_then(|()| conditions::check_mfa_floor(p, t, false))
            .and_then(|()| also(p))
    })
}

fn chain(t: &Template, policy: Option<&Policy>, h: &PolicyInputs<'_>) -> Option<Chain> {
    let limits = t.extension.as_ref()?;
    let role = (&limits.chain, format!("role {} (activation.extension)", t.reference.name));
    let of_policy = policy.map(|policy| (&policy.max_duration, format!("policy {}", policy.reference.name)));
    let ceiling = h.ceiling.map(|ceiling| (ceiling, "CurfewConfig's ceiling".to_owned()));
    let all = [Some(role), of_policy, ceiling];
    let (longest, by) = all.into_iter().flatten().min_by_key(|(longest, _)| longest.secs())?;
    Some(Chain { longest: longest.clone(), by, per_day: limits.per_day.clone() })
}
