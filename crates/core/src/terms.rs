//! template × assignment × policy × system → [`Terms`], or a [`Refusal`] that names the rule, the value and the limit.
//!
//! Nothing is clamped in silence, and nothing widens by being absent. The same rules make a template `Ready` and a
//! request resolvable, so that they cannot disagree.
mod approval;
mod break_glass;
mod conditions;
mod eligibility;
mod emergency;
pub mod explain;
mod extension;
mod holder;
mod narrowing;
mod origin;
mod per_day;
mod policies;
mod requestors;
mod schedule;
pub mod standing;
mod windows;

use crate::{
    admission::Provenance,
    approval::{ApprovalStage, StageOrder},
    limits::Limit,
    messages,
    policy_inputs::{ApprovedTerms, Assignment, Policy, PolicyInputs, Progress, RequestFacts, System, Template},
    reason::Reason,
    resolved::{Resolved, SCHEMA, Terms},
    target::{Held, Inventory, Permissions, ProviderKind, Scope, Unresolvable},
};

pub(crate) use approval::check_stages;
use approval::{check_approval, check_quorum_reachable};
use eligibility::eligible;
use holder::resolve_principal;
pub(crate) use origin::check_origin;
use policies::check_policy_offers;
pub(crate) use policies::{check_floor, check_names_role, check_policy_eligible, first_allowing};
pub(crate) use requestors::check_recognised;
use requestors::resolve_beneficiary;
pub(crate) use windows::{check_shortest_window, check_within_role};

/// Why not: the reason, and a message for people.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Refusal {
    /// The reason, as one word.
    pub reason: Reason,
    /// The rule, the value, the limit, and what to do about it.
    pub message: String,
    /// What the request was accepted by does not exist. That may only be so between its deletion and its re-creation.
    pub absent: bool,
}

impl Refusal {
    /// For this reason, of something that exists.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Refusal { reason, message: message.into(), absent: false }
    }
}

pub(crate) fn refuse<T>(reason: Reason, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(reason, message))
}

/// Resolves a request. The order of the rules:
///
/// 1. made while admission was not enforced; 2. a name that has granted before; 3. asks for something that this build does not
///    support; 4. a login without the alias that is configured, an emergency account, a start too far ahead, or what it extends has ended early; 5. role;
///    6. system; 7. content, and whether it asks for more than the role has; 8. for whom it may be, break-glass, and what it extends;
///    9. the duration, the justification, the ceilings of an extension, that per day, and the conditions of the role; 10. each assignment that makes
///    the beneficiary eligible, in name order, with each policy, in name order: the first pair that allows all of it; 11. an extension
///    gives no more than what it extends; 12. the holder is not an emergency account of the system, by any name.
///
/// Of what the operator requests for an ActiveAssignment, [`standing`] judges in place of 4, and of 8 to 10.
///
/// What is active is judged by what was approved, and not by what the role says now: the role must still name all of it, assignment
/// and policy must still allow it, and nothing of it may allow more than was frozen. What no longer exists at the target is noted.
pub fn resolve(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<Terms, Refusal> {
    resolve_now(a, h).map_err(|e| Refusal { absent: e.reason != Reason::Suspended && accepted_by_absent(a, h), ..e })
}

/// Whether the role, assignment or policy by which a request was accepted does not exist.
fn accepted_by_absent(a: &RequestFacts, h: &PolicyInputs<'_>) -> bool {
    a.accepted_by.as_ref().is_some_and(|by| {
        let assignment = || match &a.active_assignment {
            Some(_) => h.active_assignment.is_some(),
            None => h.assignments.iter().any(|e| e.reference.name == by.assignment),
        };
        let policy = || h.policies.iter().any(|p| p.reference.name == by.policy);
        h.template.is_none() || !assignment() || !policy()
    })
}

fn resolve_now(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<Terms, Refusal> {
    match (a.progress, h.admission.provenance_of(&a.uid, a.created)) {
        (Progress::Granted(_), _) | (_, Provenance::Verified) => {}
        (Progress::New | Progress::Accepted, Provenance::Pending) => {
            return refuse(Reason::NotProvenYet, messages::hint(Reason::NotProvenYet));
        }
        (Progress::New | Progress::Accepted, Provenance::Unverified) => {
            return refuse(
                Reason::AdmissionNotEnforced,
                "made while Curfew's admission policies were not proven to be in force, so the requester is unknown; create a new request",
            );
        }
    }
    standing::check_requester(a, h)?;
    check_name(a)?;
    resolve_trusted(a, h)
}

/// The same of a request whose requester is known.
fn resolve_trusted(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<Terms, Refusal> {
    if let Some(what) = a.unsupported.first() {
        return refuse(
            Reason::Unsupported,
            format!("the request uses {what}, which this build does not support; create a request without it"),
        );
    }
    check_login(a, h)?;
    emergency::check_requester(a, h)?;
    schedule::check_start(a)?;
    extension::check_parent(a, h.now)?;
    let Some(t) = h.template else {
        return refuse(
            Reason::NoSuchRole,
            format!("there is no RoleTemplate {} in namespace {}; kubectl get rtpl -n {} lists them", a.role, a.namespace, a.namespace),
        );
    };
    check_usable(t)?;
    let system = pick_system(a, t, h)?;
    let target = check_system(system, a.approved.is_some())?;
    let offer = match &a.approved {
        Some(approved) => Offer::of(t, system.provider, h)?.held(approved, t)?,
        None => Offer::of(t, system.provider, h)?,
    };
    // Eligibility is judged whether or not the target can be read: a person who lost it loses the access.
    if h.unreachable.is_none() && a.approved.is_none() {
        offer.check_permissions()?;
    }
    if a.approved.is_none() {
        narrowing::check_asked(a, system, &offer, t)?;
    }
    // What allows more now is another access, regardless of who may have it.
    let held = match (&a.approved, h.unreachable) {
        (Some(approved), None) => {
            let by = a.accepted_by.as_ref().map(|by| by.assignment.as_str()).unwrap_or_default();
            let held = approved.permissions.held(&approved.scope, &offer.inventory);
            held.or_else(|e| refuse_unresolvable(e, by, &t.reference.name))?
        }
        (None, _) | (_, Some(_)) => Held::default(),
    };
    let standing = standing::assignment_of(a, h)?;
    let (holder, extends, pair) = match standing {
        Some(active) => (standing::holder(a, active)?, None, standing::entitled(a, active, t, system, &offer, h)?),
        None => {
            let holder = resolve_beneficiary(a, h)?;
            break_glass::check_request(a, t, &holder)?;
            let extends = extension::resolve(a, t, system, &holder, h.now)?;
            let pair = eligible(a, &holder, t, system, &offer, h)?;
            (holder, extends, pair)
        }
    };
    emergency::check_holder(a, &holder, system)?;
    if let Some(why) = h.unreachable {
        return refuse_unreachable(why);
    }
    check_rights(system, a)?;
    let (permissions, scope) = match &a.approved {
        Some(approved) => (approved.permissions.clone(), approved.scope.clone()),
        None => narrowing::resolve(&offer, pair.assignment, a, t)?,
    };
    extension::check_not_wider(a, &permissions, &scope, &offer)?;
    let gone = (!held.gone.is_empty()).then(|| held.gone.join(", ").into());
    let (role, policy) = ((t.reference.name.as_str(), t.limits), (pair.policy.reference.name.as_str(), pair.policy.limits));
    let counted = if standing.is_none() { Limit::counted(&a.namespace, role, policy, &holder) } else { Vec::new() };
    let counted = counted.into_iter().map(|limit| match &extends {
        Some(extended) => limit.taken_over_from(&extended.uid),
        None => limit,
    });
    let extension = extends.as_ref().map(|extended| Limit::of_extension(&extended.name, &extended.uid));
    let limits = break_glass::locks(a, h)?.into_iter().chain(extension).chain(counted).collect();
    let principal = resolve_principal(&holder, a, system, (&permissions, &scope), h)?;
    emergency::check_principal(a, &principal, system)?;
    let terms = Terms::new(Resolved {
        schema: SCHEMA,
        request: a.uid.clone(),
        requester: a.requester.username.clone(),
        principal,
        beneficiary: holder,
        system: system.to_ref(target),
        role: t.reference.clone(),
        assignment: pair.assignment.reference.clone(),
        policy: pair.policy.reference.clone(),
        permissions,
        scope,
        duration: pair.duration,
        start: a.start,
        extends,
        approval: match &a.approved {
            // Who must approve is settled by then.
            Some(held) => held.approval.clone(),
            None if standing.is_some() => Vec::new(),
            None if a.requester.is_system_identity() => require_two_approvers(t)?,
            None => t.approval.clone(),
        },
        order: if standing.is_some() { StageOrder::Sequential } else { t.order },
        author: standing.map(|active| active.author.username.clone()),
        break_glass: a.break_glass,
    });
    Ok(Terms { gone, limits, ..terms })
}

/// Whether a template can be used at all: the policy that allows it, or why none does.
pub fn ready<'a>(t: &Template, h: &PolicyInputs<'a>) -> Result<&'a Policy, Refusal> {
    check_usable(t)?;
    let systems: Vec<_> = h.systems.iter().filter(|s| t.systems.include(&s.name, &s.labels)).collect();
    let Some(first) = systems.first() else {
        return refuse(
            Reason::NotReady,
            format!("role {} names no AuthorizationSystem that exists; kubectl get authsys lists them", t.reference.name),
        );
    };
    if systems.iter().all(|s| s.target.is_none()) {
        return refuse(
            Reason::NotReady,
            format!("system {} is not connected yet; kubectl describe authsys {} says why", first.name, first.name),
        );
    }
    let offer = Offer::of(t, first.provider, h)?;
    if let Some(why) = h.unreachable {
        return refuse_unreachable(why);
    }
    if let Some(what) = &first.missing_rights {
        return refuse(Reason::NotReady, format!("system {}: {what}", first.name));
    }
    offer.permissions.check(&offer.scope, &offer.inventory).or_else(|what| refuse(Reason::NotReady, what))?;
    offer.check_obstacle()?;
    check_approval(t, h)?;
    break_glass::check_template(t)?;
    conditions::check_template(t, h.login_keys)?;
    let offers =
        |p: &Policy| check_policy_offers(p, t, &t.approval, first, &offer, h).and_then(|()| conditions::check_mfa_floor(p, t, false));
    let policy = first_allowing(t, h, offers)?;
    // Only where a policy allows the role is it any use to let the operator bind it.
    check_accepted_by_target(t).map(|()| policy)
}

/// What the template's own controller found: whether the operator may bind the roles, and whether the target would accept the rest.
fn check_accepted_by_target(t: &Template) -> Result<(), Refusal> {
    match (&t.not_bindable, &t.refused_by_target) {
        (Some(message), _) => refuse(Reason::NotBindable, message.clone()),
        (None, Some(message)) => refuse(Reason::TargetRefused, message.clone()),
        (None, None) => Ok(()),
    }
}

/// What of a template that is ready gives nothing, in words.
pub fn ineffective(t: &Template, h: &PolicyInputs<'_>) -> Option<String> {
    let first = h.systems.iter().find(|s| t.systems.include(&s.name, &s.labels))?;
    let offer = Offer::of(t, first.provider, h).ok()?;
    offer.permissions.ineffective(&offer.scope, &offer.inventory)
}

/// Whether an assignment could be used: that its role and a policy allow it.
pub fn assignment_ready(e: &Assignment, t: Option<&Template>, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    if e.suspended {
        return refuse(Reason::Suspended, format!("assignment {} is suspended; ask its owner", e.reference.name));
    }
    if let Some(what) = e.unsupported.first() {
        return refuse(Reason::Unsupported, format!("assignment {} uses {what}, which this build does not support", e.reference.name));
    }
    let Some(t) = t else {
        return refuse(Reason::NoSuchRole, format!("there is no RoleTemplate {} in this namespace; kubectl get rtpl lists them", e.role));
    };
    check_origin(e)?;
    narrowing::check_assignment(e, t, h.inventory)?;
    check_shortest_window(e)?;
    check_within_role(e, t)?;
    emergency::check_assignment(e, t, h)?;
    first_allowing(t, h, |p| check_policy_eligible(p, e)).map(|_| ())
}

/// Suspended and unsupported templates cannot be used.
pub(crate) fn check_usable(t: &Template) -> Result<(), Refusal> {
    if t.suspended {
        return refuse(Reason::Suspended, format!("role {} is suspended; ask its owner", t.reference.name));
    }
    match t.unsupported.first() {
        Some(what) => refuse(Reason::Unsupported, format!("role {} uses {what}, which this build does not support", t.reference.name)),
        None => Ok(()),
    }
}

fn pick_system<'a>(a: &RequestFacts, t: &Template, h: &PolicyInputs<'a>) -> Result<&'a System, Refusal> {
    let all: Vec<&System> = h.systems.iter().filter(|s| t.systems.include(&s.name, &s.labels)).collect();
    let names = || all.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    match (&a.system, all.as_slice()) {
        (None, [one]) => Ok(one),
        (_, []) => refuse(
            Reason::NotReady,
            format!("role {} names no AuthorizationSystem that exists; kubectl get authsys lists them", t.reference.name),
        ),
        (None, _) => refuse(
            Reason::AmbiguousSystem,
            format!("role {} spans {}; name one in spec.system of a new request", t.reference.name, names()),
        ),
        (Some(n), _) => match all.iter().find(|s| s.name == *n) {
            Some(s) => Ok(s),
            None => {
                refuse(Reason::AmbiguousSystem, format!("role {} does not reach a system {n}; it reaches {}", t.reference.name, names()))
            }
        },
    }
}

/// The target's identity, if the system may be granted on. `ReadOnly` ends nothing that is active, and lets nothing else become
/// active, however far it has come.
fn check_system(s: &System, active: bool) -> Result<&str, Refusal> {
    if s.deleting {
        return refuse(Reason::NotReady, format!("system {} is being deleted", s.name));
    }
    if s.suspended {
        return refuse(Reason::Suspended, format!("system {} is suspended; ask its owner", s.name));
    }
    if let Some(what) = s.unsupported.first() {
        return refuse(Reason::Unsupported, format!("system {} uses {what}, which this build does not support", s.name));
    }
    if let Some(older) = &s.duplicate_of {
        return refuse(Reason::NotReady, format!("system {} has the same target as the older {older}; use that one", s.name));
    }
    if !s.grants_allowed && !active {
        return refuse(
            Reason::ReadOnly,
            format!("system {} is ReadOnly and grants nothing; its platform team can set spec.mode: ReadWrite", s.name),
        );
    }
    s.target.as_deref().map_or_else(
        || refuse(Reason::NotReady, format!("system {} is not connected yet; kubectl describe authsys {} says why", s.name, s.name)),
        Ok,
    )
}

fn refuse_unresolvable<T>(why: Unresolvable, assignment: &str, role: &str) -> Result<T, Refusal> {
    match why {
        Unresolvable::NotReady(what) => refuse(Reason::NotReady, what),
        Unresolvable::Changed(what) => refuse(Reason::TemplateChanged, what),
        Unresolvable::NothingReached => {
            let what = format!("assignment {assignment} reaches nothing of what role {role} holds");
            refuse(Reason::NotEligible, what)
        }
    }
}

fn refuse_uncovered<T>(t: &Template, what: &str) -> Result<T, Refusal> {
    refuse(Reason::TemplateChanged, format!("role {} no longer covers {what}, which was approved", t.reference.name))
}

fn refuse_unreachable<T>(why: &str) -> Result<T, Refusal> {
    refuse(Reason::TargetUnreachable, format!("the roles at the target cannot be read: {why}"))
}

/// Whether what is granted there could be revoked. Rights come back, so their absence ends nothing: what waits begins later, and what is
/// active goes on.
fn check_rights(s: &System, a: &RequestFacts) -> Result<(), Refusal> {
    match (&s.missing_rights, a.progress) {
        (None, _) => Ok(()),
        (Some(_), _) if a.approved.is_some() => Ok(()),
        (Some(what), Progress::New) => refuse(Reason::NotReady, format!("system {}: {what}", s.name)),
        (Some(what), Progress::Accepted | Progress::Granted(_)) => refuse_unreachable(&format!("system {}: {what}", s.name)),
    }
}

/// What a template offers at systems of one provider, and what the target holds of it.
struct Offer {
    permissions: Permissions,
    scope: Scope,
    inventory: Inventory,
}

impl Offer {
    /// The part of a template that concerns this provider.
    fn of(t: &Template, provider: ProviderKind, h: &PolicyInputs<'_>) -> Result<Self, Refusal> {
        let (Some(permissions), Some(scope)) = (t.permissions.of(provider), t.scope.of(provider)) else {
            let (role, provider) = (&t.reference.name, provider.as_str());
            return refuse(Reason::NotReady, format!("role {role} needs permissions and a scope for provider {provider}"));
        };
        Ok(Offer { permissions, scope, inventory: h.inventory.cloned().unwrap_or_else(|| Inventory::empty(provider)) })
    }

    /// What is active: no more than that must be allowed, and the role must still name all of it.
    fn held(self, approved: &ApprovedTerms, t: &Template) -> Result<Self, Refusal> {
        let (permissions, scope) = (approved.permissions.named(), approved.scope.named());
        let lacking = self.permissions.lacks(&permissions).or_else(|| scope.beyond(&self.scope));
        match lacking {
            Some(what) => refuse_uncovered(t, &what),
            None => Ok(Offer { permissions, scope, inventory: approved.permissions.as_granted(self.inventory) }),
        }
    }

    /// All permissions that are named must exist: a grant of one that does not exist yet would give everything it becomes.
    fn check_permissions(&self) -> Result<(), Refusal> {
        self.permissions.check_permissions(&self.scope, &self.inventory).or_else(|what| refuse(Reason::NotReady, what))
    }

    /// What only stops new grants: an active one has its bindings, and goes on.
    fn check_obstacle(&self) -> Result<(), Refusal> {
        self.permissions.obstacle(&self.scope, &self.inventory).map_or(Ok(()), |what| refuse(Reason::NotReady, what))
    }
}

/// A request that was deleted after it granted, and applied again from the same file, grants nothing: a name grants once, as long as its
/// Grant is kept.
fn check_name(a: &RequestFacts) -> Result<(), Refusal> {
    match a.progress {
        Progress::New | Progress::Accepted if a.is_name_used => refuse(Reason::AlreadyConsumed, messages::hint(Reason::AlreadyConsumed)),
        Progress::New | Progress::Accepted | Progress::Granted(_) => Ok(()),
    }
}

fn check_justification(a: &RequestFacts, whose: impl Fn() -> String) -> Result<(), Refusal> {
    if a.justification.as_deref().is_none_or(|j| j.trim().is_empty()) {
        return refuse(Reason::JustificationRequired, format!("{} asks for a justification; say why in spec.justification", whose()));
    }
    Ok(())
}

/// Whether the requester's other logins can be recognised. What is granted already goes on: another configuration proves nothing against it.
fn check_login(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    match (a.progress, &a.requester) {
        (Progress::Granted(_), _) => Ok(()),
        (_, requester) if requester.is_system_identity() => Ok(()),
        (_, requester) if requester.is_recorded_with(h.alias_keys) && !requester.has_required_alias(h.alias_keys) => refuse(
            Reason::UnprovenLogin,
            format!(
                "your login carries none of the extra keys {} that identity.aliases in CurfewConfig requires; log in directly, not by impersonation",
                h.alias_keys.join(", ")
            ),
        ),
        (_, requester) if !requester.is_recorded_with(h.alias_keys) => {
            refuse(Reason::UnprovenLogin, messages::recorded_without(h.alias_keys))
        }
        _ => Ok(()),
    }
}

/// What a machine asks for needs two people: where the stages ask for fewer, the last one asks for more.
fn require_two_approvers(t: &Template) -> Result<Vec<ApprovalStage>, Refusal> {
    let mut stages = t.approval.clone();
    let people: usize = stages.iter().map(|s| usize::from(s.quorum)).sum();
    let Some(last) = stages.last_mut() else {
        return refuse(
            Reason::BelowFloor,
            format!("what a service account asks for needs two approvers, and role {} has no stage; add one to the role", t.reference.name),
        );
    };
    last.quorum += u8::try_from(2usize.saturating_sub(people)).unwrap_or(0);
    check_quorum_reachable(&stages)?;
    Ok(stages)
}
