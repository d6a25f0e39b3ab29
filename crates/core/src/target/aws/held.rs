//! What an active grant holds, compared with what the template names and the account holds now. A copy cannot grow; what is attached by
//! reference can.
use super::{
    coverage,
    document::Document,
    granted::{GrantedBy, GrantedPermissions, GrantedPolicies, GrantedPolicy, GrantedStandingSet},
    permissions::{
        DEFAULT_SESSION_SECS, IdentityCenter, Inventory, Named, PermissionSetContent, Permissions, Policies, PolicyContent, PolicyObject,
        RolePolicies, Way,
    },
    plan::Plan,
    scope::GrantedScope,
};
use crate::{
    duration::Duration,
    target::{Content, Held, SlotSet, Unresolvable},
};

/// The names of what is held.
pub fn named_permissions(held: &GrantedPermissions) -> Permissions {
    let named = |policies: &GrantedPolicies| {
        let managed: Vec<String> = policies.managed.iter().map(|p| p.arn.clone()).collect();
        let inline = policies.inline.as_ref().and_then(|text| serde_json::from_str(text).ok()).map(PolicyObject);
        (managed, inline)
    };
    match held {
        GrantedPermissions::User(policies) => {
            let (managed_policies, inline_policy) = named(policies);
            Permissions { user: Some(Policies { managed_policies, inline_policy }), ..Permissions::default() }
        }
        GrantedPermissions::Role(role) => {
            let (managed_policies, inline_policy) = named(&role.policies);
            let max_session = Some(Duration::from_secs(role.max_session_secs));
            Permissions { role: Some(RolePolicies { managed_policies, inline_policy, max_session }), ..Permissions::default() }
        }
        GrantedPermissions::PermissionSet(set) => {
            let (managed_policies, inline_policy) = named(&set.policies);
            center(IdentityCenter { managed_policies, inline_policy, ..IdentityCenter::default() })
        }
        GrantedPermissions::StandingSet(set) => {
            center(IdentityCenter { permission_set: Some(set.arn.clone()), ..IdentityCenter::default() })
        }
        GrantedPermissions::Group(group) => center(IdentityCenter { group: Some(group.id.clone()), ..IdentityCenter::default() }),
    }
}

fn center(identity_center: IdentityCenter) -> Permissions {
    Permissions { identity_center: Some(identity_center), ..Permissions::default() }
}

/// The first permission of `held` that these do not name, in words.
pub fn lacks(permissions: &Permissions, held: &Permissions) -> Option<String> {
    let Ok(held) = held.way() else { return Some("what it held".into()) };
    let lacking = |named: Named<'_>, now: Named<'_>| {
        let arn = named.managed.iter().find(|arn| !now.managed.contains(arn));
        arn.map(|arn| format!("managed policy {arn}")).or_else(|| match (named.inline_document(), now.inline_document()) {
            (Ok(None), _) => None,
            (Ok(Some(held)), Ok(Some(now))) => coverage::beyond(&held, &now, "inlinePolicy"),
            _ => Some("its inlinePolicy".into()),
        })
    };
    match (held, permissions.way()) {
        (Way::User(held), Ok(Way::User(now))) | (Way::PermissionSet(held), Ok(Way::PermissionSet(now))) => lacking(held, now),
        (Way::Role(held, session), Ok(Way::Role(now, longest))) => {
            let secs = |d: Option<&Duration>| d.map_or(DEFAULT_SESSION_SECS, Duration::secs);
            let longer =
                (secs(session) > secs(longest)).then(|| format!("sessions of {}", session.map(ToString::to_string).unwrap_or_default()));
            lacking(held, now).or(longer)
        }
        (Way::Standing(held), Ok(Way::Standing(now))) => (held != now).then(|| format!("permission set {held}")),
        (Way::Group(held), Ok(Way::Group(now))) => (held != now).then(|| format!("group {held}")),
        (Way::User(_), _) => Some("policies of the IAM user".into()),
        (Way::Role(..), _) => Some("an IAM role of its own".into()),
        (Way::PermissionSet(_), _) => Some("a permission set of its own".into()),
        (Way::Standing(arn), _) => Some(format!("permission set {arn}")),
        (Way::Group(id), _) => Some(format!("group {id}")),
    }
}

/// The account as the copies of a grant show it: their documents are those that were frozen.
pub fn as_granted(permissions: &GrantedPermissions, mut now: Inventory) -> Inventory {
    let policies = match permissions {
        GrantedPermissions::User(policies) => policies,
        GrantedPermissions::Role(role) => &role.policies,
        GrantedPermissions::PermissionSet(set) => &set.policies,
        GrantedPermissions::StandingSet(_) | GrantedPermissions::Group(_) => return now,
    };
    for copy in policies.managed.iter().filter(|p| p.by == GrantedBy::Copy) {
        now.policies.retain(|p| p.arn != copy.arn);
        now.policies.push(PolicyContent { arn: copy.arn.clone(), document: copy.document.clone() });
    }
    now
}

/// How something that was frozen stands now.
enum Now {
    Within,
    Missing(String),
    /// It cannot be read, so it is not known whether it allows more: that ends nothing.
    Unknown,
    Grown(String),
}

/// What is left of what is held. Copies are the grant's own, and so all of them are.
///
/// # Errors
/// What allows more now, or that nothing is left.
pub fn held(permissions: &GrantedPermissions, _: &GrantedScope, inventory: &Inventory) -> Result<Held, Unresolvable> {
    let mut gone = Vec::new();
    for now in compared(permissions, inventory) {
        match now {
            Now::Within | Now::Unknown => {}
            Now::Missing(what) => gone.push(what),
            Now::Grown(what) => return Err(Unresolvable::Changed(what)),
        }
    }
    match permissions {
        GrantedPermissions::StandingSet(set) if inventory.permission_set.as_ref().is_none_or(|now| now.arn != set.arn) => {
            Err(Unresolvable::NotReady(format!("permission set {} does not exist in the target", set.arn)))
        }
        GrantedPermissions::Group(group) if inventory.group.as_ref().is_none_or(|now| now.id != group.id) => {
            Err(Unresolvable::NotReady(format!("group {} does not exist in the target", group.id)))
        }
        _ => Ok(Held { gone }),
    }
}

/// How the content of what a plan gives stands now. Policies that are attached cannot be deleted, so a missing one is not known. Neither is
/// one that cannot be read, such as one with an element that is newer than this build. New grants of it are refused.
pub fn content(permissions: &GrantedPermissions, _: &Plan, inventory: &Inventory) -> Content {
    let all = compared(permissions, inventory);
    match () {
        () if all.iter().any(|now| matches!(now, Now::Grown(_))) => Content::Grown,
        () if all.iter().any(|now| matches!(now, Now::Missing(_) | Now::Unknown)) => Content::Unknown,
        () => Content::Within { missing: SlotSet::NONE },
    }
}

/// None: no part of a plan in AWS is withheld.
pub fn parts_in_words(_: &Plan) -> Vec<String> {
    Vec::new()
}

/// Everything that is attached by reference, as it stands now.
fn compared(permissions: &GrantedPermissions, inventory: &Inventory) -> Vec<Now> {
    let by_reference = |policies: &GrantedPolicies| -> Vec<Now> {
        let attached = policies.managed.iter().filter(|p| p.by == GrantedBy::Reference);
        attached.map(|frozen| policy_now(frozen, inventory.policy(&frozen.arn).map(|now| now.document.as_str()))).collect()
    };
    match permissions {
        GrantedPermissions::User(policies) => by_reference(policies),
        GrantedPermissions::Role(role) => by_reference(&role.policies),
        GrantedPermissions::PermissionSet(set) => by_reference(&set.policies),
        GrantedPermissions::Group(_) => Vec::new(),
        GrantedPermissions::StandingSet(set) => {
            let Some(now) = inventory.permission_set.as_ref().filter(|now| now.arn == set.arn) else {
                return vec![Now::Missing(format!("permission set {}", set.arn))];
            };
            standing(set, now)
        }
    }
}

/// Everything that a standing permission set gives, as it stands now. A policy that it lost gives nothing; what it denied counts.
fn standing(set: &GrantedStandingSet, now: &PermissionSetContent) -> Vec<Now> {
    let frozen = |arn: &str| set.policies.managed.iter().find(|p| p.arn == arn);
    let more = now.policies.iter().filter(|p| frozen(&p.arn).is_none());
    let more = more.map(|p| Now::Grown(format!("permission set {} has managed policy {} now, too", set.name, p.arn)));
    let document = |arn: &str| now.policies.iter().find(|p| p.arn == arn).map(|p| p.document.as_str());
    let policies = set.policies.managed.iter().map(|p| document_now(&p.document, document(&p.arn), &format!("managed policy {}", p.arn)));
    let name = format!("the inline policy of permission set {}", set.name);
    let inline = match (&set.policies.inline, &now.inline) {
        (None, None) => None,
        (None, Some(_)) => Some(Now::Grown(format!("permission set {} has an inline policy now", set.name))),
        (Some(frozen), now) => Some(document_now(frozen, now.as_deref(), &name)),
    };
    more.chain(policies).chain(inline).collect()
}

fn policy_now(frozen: &GrantedPolicy, now: Option<&str>) -> Now {
    let name = format!("managed policy {}", frozen.arn);
    if now.is_none() {
        return Now::Missing(name);
    }
    document_now(&frozen.document, now, &name)
}

/// Nothing allows nothing, and denies nothing.
fn document_now(frozen: &str, now: Option<&str>, name: &str) -> Now {
    let grown = |what: String| Now::Grown(format!("{name} allows more than what was approved: {what}"));
    match (Document::parse(frozen), now.map_or_else(|| Ok(Document::default()), Document::parse)) {
        (Ok(frozen), Ok(now)) => coverage::beyond(&now, &frozen, "it").map_or(Now::Within, grown),
        (Err(_), _) | (_, Err(_)) => Now::Unknown,
    }
}

/// The first permission that differs from what was frozen, in words.
pub fn changed_since(now: &GrantedPermissions, frozen: &GrantedPermissions) -> Option<String> {
    let policies = |permissions: &'_ GrantedPermissions| match permissions {
        GrantedPermissions::User(policies) => Some(policies.clone()),
        GrantedPermissions::Role(role) => Some(role.policies.clone()),
        GrantedPermissions::PermissionSet(set) => Some(set.policies.clone()),
        GrantedPermissions::StandingSet(set) => Some(set.policies.clone()),
        GrantedPermissions::Group(_) => None,
    };
    let (now, frozen) = (policies(now)?, policies(frozen)?);
    let then = |arn: &str| frozen.managed.iter().find(|p| p.arn == arn);
    let managed = now.managed.iter().find_map(|p| match then(&p.arn) {
        None => Some(format!("managed policy {} is new in the role", p.arn)),
        Some(then) if then.document != p.document => Some(format!("the document of managed policy {} has changed", p.arn)),
        Some(_) => None,
    });
    managed.or_else(|| (now.inline != frozen.inline).then(|| "inlinePolicy has changed".to_owned()))
}

#[cfg(test)]
mod tests;
