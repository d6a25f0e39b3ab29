//! What an assignment and a request leave of what a role offers. Both only take away: what is not inside is refused by name, and never cut
//! off, so that what was asked for is what an approval is about.
//!
//! A scope or a list of permissions has an entry for each provider. An assignment that omits a provider reaches and gives nothing there; a
//! request is for one system, and an entry for another provider than that system's is refused. Absent as a whole, both stand for all that
//! the role or the assignment gives.
use super::{Offer, Refusal, refuse, refuse_unresolvable};
use crate::{
    policy_inputs::{Assignment, RequestFacts, System, Template},
    reason::Reason,
    target::{
        GrantedPermissions, GrantedScope, Inventory, Permissions, PermissionsByProvider, ProviderKind, Scope, ScopeByProvider, Unresolvable,
    },
    text::brief,
};

/// Permissions and scope at one provider.
#[derive(Clone, Debug)]
struct Part {
    permissions: Permissions,
    scope: Scope,
}

/// Whether a request asks for no more than its role has. Judged before anybody's eligibility, so that everybody is told the same. The order
/// of the rules: an entry for another provider, the scope, the permissions, and a permission outside of the scope that is asked for.
pub(super) fn check_asked(a: &RequestFacts, s: &System, offer: &Offer, t: &Template) -> Result<(), Refusal> {
    let other = |what: &str, provider: ProviderKind| {
        format!(
            "{what} has an entry for provider {}, and system {} is of provider {}; leave that entry out",
            provider.as_str(),
            s.name,
            s.provider.as_str()
        )
    };
    let scopes = a.scope.iter().flat_map(ScopeByProvider::entries).map(|scope| scope.provider());
    let permissions = a.permissions.iter().flat_map(PermissionsByProvider::entries).map(|permissions| permissions.provider());
    if let Some(provider) = scopes.into_iter().find(|provider| *provider != s.provider) {
        return refuse(Reason::WiderScope, other("spec.scope", provider));
    }
    if let Some(provider) = permissions.into_iter().find(|provider| *provider != s.provider) {
        return refuse(Reason::WiderPermissions, other("spec.permissions", provider));
    }
    asked(a, offer.part(), &format!("role {}", t.reference.name)).map(drop)
}

/// Whether an assignment gives no more than its role: of what is active that is not asked, since [`check_covers`] compares what is held. What
/// its policies deny is compared where `inventory` is known. The order of the rules:
/// the scope, the permissions, a permission outside of the scope, and a policy that denies and is left out, each in the order of the providers.
pub(super) fn check_assignment(e: &Assignment, t: &Template, inventory: Option<&Inventory>) -> Result<(), Refusal> {
    let (name, role) = (&e.reference.name, &t.reference.name);
    for scope in e.scope.iter().flat_map(ScopeByProvider::entries) {
        let beyond = t.scope.of(scope.provider()).map_or_else(|| Some(systems_of(scope.provider())), |outer| scope.beyond(&outer));
        if let Some(beyond) = beyond {
            return refuse(Reason::OutsidePolicy, format!("assignment {name} reaches {beyond}, which role {role} does not"));
        }
    }
    for permissions in e.permissions.iter().flat_map(PermissionsByProvider::entries) {
        let provider = permissions.provider();
        let offered = t.permissions.of(provider);
        let more = offered.as_ref().map_or_else(|| Some(systems_of(provider)), |offered| permissions.exceeds(offered));
        if let Some(more) = more {
            return refuse(Reason::OutsidePolicy, format!("assignment {name} gives {more}, which role {role} does not"));
        }
        let outside = e.scope.as_ref().and_then(|scope| scope.of(provider)).and_then(|scope| permissions.outside(&scope));
        if let Some(outside) = outside {
            return refuse(Reason::OutsidePolicy, format!("assignment {name} gives {outside}, which its own scope does not reach"));
        }
        let known = inventory.filter(|inventory| inventory.provider() == provider);
        let lost = known.zip(offered).and_then(|(inventory, offered)| permissions.loses_denial(&offered, inventory));
        if let Some(lost) = lost {
            return refuse(
                Reason::OutsidePolicy,
                format!(
                    "assignment {name} leaves out {lost}, and so would give more than role {role}; its owner must name that policy, too"
                ),
            );
        }
    }
    Ok(())
}

/// Whether an assignment still gives all that is held. It may be wider than its role by now, which gives nothing: what is held lies within
/// both.
pub(super) fn check_covers(e: &Assignment, t: &Template, held: &Offer) -> Result<(), Refusal> {
    let provider = held.scope.provider();
    let elsewhere = || Some(systems_of(provider));
    let beyond = e.scope.as_ref().and_then(|all| all.of(provider).map_or_else(elsewhere, |reach| held.scope.beyond(&reach)));
    let lacking = e.permissions.as_ref().and_then(|all| all.of(provider).map_or_else(elsewhere, |given| given.lacks(&held.permissions)));
    let (name, role) = (&e.reference.name, &t.reference.name);
    match (beyond, lacking) {
        (Some(what), _) => {
            refuse(Reason::TemplateChanged, format!("assignment {name} for role {role} no longer reaches {what}, which was approved"))
        }
        (None, Some(what)) => {
            refuse(Reason::TemplateChanged, format!("assignment {name} for role {role} no longer gives {what}, which was approved"))
        }
        (None, None) => Ok(()),
    }
}

/// Whether an assignment gives what a request asks for, as far as names tell.
pub(super) fn check_given(offer: &Offer, e: &Assignment, a: &RequestFacts, t: &Template) -> Result<(), Refusal> {
    left(offer, e, a, t).map(drop)
}

/// What a request under this assignment would be granted: exactly what it asks for, or all that the assignment gives.
pub(super) fn resolve(
    offer: &Offer,
    e: &Assignment,
    a: &RequestFacts,
    t: &Template,
) -> Result<(GrantedPermissions, GrantedScope), Refusal> {
    let (name, role) = (&e.reference.name, &t.reference.name);
    let given = given(offer, e, t)?;
    let left = left(offer, e, a, t)?;
    if let Some(lost) = left.permissions.loses_denial(&given.permissions, &offer.inventory) {
        return refuse(
            Reason::WiderPermissions,
            format!("spec.permissions leaves out {lost}, and so would give more than role {role}; name that policy, too"),
        );
    }
    let resolved = left.permissions.resolve(&left.scope, &offer.inventory);
    resolved.or_else(|why| match (asked_field(a), why) {
        (Some((field, reason)), Unresolvable::NothingReached) => {
            refuse(reason, format!("{field} leaves nothing of what role {role} gives; ask for more of it"))
        }
        // The whole can be granted, and this part of it cannot be cut out.
        (Some((field, reason)), Unresolvable::NotReady(what)) if given.permissions.resolve(&given.scope, &offer.inventory).is_ok() => {
            refuse(reason, format!("{field} cannot be granted: {what}"))
        }
        (_, why) => refuse_unresolvable(why, name, role),
    })
}

/// The field by which a request is narrower, and the reason that names it.
fn asked_field(a: &RequestFacts) -> Option<(&'static str, Reason)> {
    match (&a.scope, &a.permissions) {
        (Some(_), _) => Some(("spec.scope", Reason::WiderScope)),
        (None, Some(_)) => Some(("spec.permissions", Reason::WiderPermissions)),
        (None, None) => None,
    }
}

fn left(offer: &Offer, e: &Assignment, a: &RequestFacts, t: &Template) -> Result<Part, Refusal> {
    asked(a, given(offer, e, t)?, &format!("assignment {} for role {}", e.reference.name, t.reference.name))
}

/// What an assignment leaves of its role. That it gives no more was checked.
fn given(offer: &Offer, e: &Assignment, t: &Template) -> Result<Part, Refusal> {
    let (name, role, provider) = (&e.reference.name, &t.reference.name, offer.scope.provider());
    let Part { permissions, scope } = offer.part();
    let scope = match &e.scope {
        None => Some(scope),
        Some(all) => all.of(provider).and_then(|narrower| scope.intersection(&narrower)),
    };
    let permissions = match &e.permissions {
        None => Some(permissions),
        Some(all) => all.of(provider),
    };
    match (permissions, scope) {
        (Some(permissions), Some(scope)) => Ok(Part { permissions, scope }),
        (_, None) => refuse(Reason::NotEligible, format!("assignment {name} reaches nothing of role {role}")),
        (None, Some(_)) => {
            refuse(Reason::NotEligible, format!("assignment {name} gives nothing of role {role} at {}", systems_of(provider)))
        }
    }
}

/// What a request asks for, which must be within `given`; all of that where it asks for nothing in particular.
fn asked(a: &RequestFacts, given: Part, by: &str) -> Result<Part, Refusal> {
    let provider = given.scope.provider();
    let scope = match &a.scope {
        None => given.scope,
        Some(all) => {
            let scope = all.of(provider);
            let beyond = scope.as_ref().map_or_else(|| Some(systems_of(provider)), |scope| scope.beyond(&given.scope));
            match (scope, beyond) {
                (Some(scope), None) => scope,
                (_, beyond) => {
                    let (beyond, allowed) = (brief(&beyond.unwrap_or_default()), brief(&given.scope.in_words()));
                    return refuse(
                        Reason::WiderScope,
                        format!("spec.scope reaches {beyond}, which {by} does not; it reaches {allowed}, and a request may ask for less"),
                    );
                }
            }
        }
    };
    let permissions = match &a.permissions {
        None => given.permissions,
        Some(all) => {
            let permissions = all.of(provider);
            let more = permissions.as_ref().map_or_else(|| Some(systems_of(provider)), |asked| asked.exceeds(&given.permissions));
            match (permissions, more) {
                (Some(permissions), None) => permissions,
                (_, more) => {
                    let (more, allowed) = (brief(&more.unwrap_or_default()), brief(&given.permissions.in_words().join(", ")));
                    return refuse(
                        Reason::WiderPermissions,
                        format!(
                            "spec.permissions asks for {more}, which {by} does not give; it gives {allowed}, and a request may ask for fewer"
                        ),
                    );
                }
            }
        }
    };
    // What the role names for another place is not reached and not granted; what the request itself names must be.
    match a.permissions.as_ref().and_then(|_| permissions.outside(&scope)) {
        Some(outside) => refuse(
            Reason::WiderPermissions,
            format!(
                "spec.permissions asks for {outside}, which {} does not reach; leave it out, or ask for that place, too",
                if a.scope.is_some() { "spec.scope" } else { by }
            ),
        ),
        None => Ok(Part { permissions, scope }),
    }
}

fn systems_of(provider: ProviderKind) -> String {
    format!("systems of provider {}", provider.as_str())
}

impl Offer {
    fn part(&self) -> Part {
        Part { permissions: self.permissions.clone(), scope: self.scope.clone() }
    }
}
