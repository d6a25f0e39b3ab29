//! What a template would grant in an account, and why it cannot.
use super::{
    document::{Document, Effect},
    granted::{
        GrantedBy, GrantedGroup, GrantedPermissionSet, GrantedPermissions, GrantedPolicies, GrantedPolicy, GrantedRole, GrantedStandingSet,
    },
    in_short,
    permissions::{DEFAULT_SESSION_SECS, Inventory, Named, PermissionSetContent, Permissions, PolicyContent, Way},
    plan::{Copied, Documents, attached, documents},
    scope::{GrantedScope, Scope},
    split::{MAX_PERMISSION_SET_CHARS, MAX_POLICY_CHARS, split},
};
use crate::{duration::Duration, target::Unresolvable, time::Time};

/// A deadline after every date of a document, so that no other deadline makes it longer.
const ANY_TIME: Time = Time::from_secs(253_402_300_799);

/// The most policies that are attached to one user or role in a new account (IAM User Guide, "IAM and AWS STS quotas"). Whether a policy is
/// copied depends on the content alone, and not on the quota of the account.
const ATTACHED: usize = 10;

/// The most that an approval holds: a request and its Grant each hold the documents, and objects are limited.
const MAX_FROZEN_BYTES: usize = 131_072;

/// The sessions that a role may have, in seconds (IAM API Reference, CreateRole).
const SESSIONS: std::ops::RangeInclusive<i64> = 3600..=43_200;

/// Whether everything that is named exists and can be granted in the scope.
///
/// # Errors
/// What is missing or cannot be granted, in words.
pub fn check_permissions(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
    granted(permissions, scope, inventory).map(drop)
}

/// The same: a scope in AWS names nothing that must exist.
///
/// # Errors
/// What is missing or cannot be granted, in words.
pub fn check(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
    check_permissions(permissions, scope, inventory)
}

/// What is granted in the scope, with its content. Lists are sorted: the order in which a template lists them changes no digest.
///
/// # Errors
/// What is missing, or that the scope reaches none of the permissions.
pub fn resolve(
    permissions: &Permissions,
    scope: &Scope,
    inventory: &Inventory,
) -> Result<(GrantedPermissions, GrantedScope), Unresolvable> {
    let (granted, documents) = granted(permissions, scope, inventory).map_err(Unresolvable::NotReady)?;
    if documents.is_some_and(|d| !d.allows()) {
        return Err(Unresolvable::NothingReached);
    }
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list.dedup();
        list
    };
    let scope = GrantedScope {
        partition: inventory.partition.clone(),
        account: inventory.account.clone(),
        regions: sorted(&scope.regions),
        resources: sorted(&scope.resources),
    };
    Ok((granted, scope))
}

/// What is granted, and what its policies say where they are written by Curfew.
fn granted(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Result<(GrantedPermissions, Option<Documents>), String> {
    match permissions.way()? {
        Way::User(named) => {
            let read = Read::of(named, inventory)?;
            read.denies().map_or(Ok(()), Err)?;
            let documents = read.written(scope)?;
            Ok((GrantedPermissions::User(read.policies), Some(documents)))
        }
        Way::Role(named, session) => {
            let max_session_secs = session_secs(session)?;
            let (policies, documents) = Read::of(named, inventory)?.by_reference(scope, fits_role)?;
            Ok((GrantedPermissions::Role(GrantedRole { policies, max_session_secs }), Some(documents)))
        }
        Way::PermissionSet(named) => {
            let instance = instance(inventory)?;
            let (policies, documents) = Read::of(named, inventory)?.by_reference(scope, fits_permission_set)?;
            Ok((GrantedPermissions::PermissionSet(GrantedPermissionSet { instance, policies }), Some(documents)))
        }
        Way::Standing(arn) => {
            let instance = whole_account(scope, &format!("permission set {arn}")).and_then(|()| instance(inventory))?;
            let found = inventory.permission_set.as_ref().filter(|set| set.arn == arn);
            let set = found.ok_or_else(|| format!("permission set {arn} does not exist in the target"))?;
            let policies = standing(set)?;
            Ok((
                GrantedPermissions::StandingSet(GrantedStandingSet { instance, arn: set.arn.clone(), name: set.name.clone(), policies }),
                None,
            ))
        }
        Way::Group(id) => {
            let instance = whole_account(scope, &format!("group {id}")).and_then(|()| instance(inventory))?;
            let found = inventory.group.as_ref().filter(|group| group.id == id);
            let group = found.ok_or_else(|| format!("group {id} does not exist in the target"))?;
            Ok((GrantedPermissions::Group(GrantedGroup { instance, id: group.id.clone(), name: group.name.clone() }), None))
        }
    }
}

/// The policies that a template names, as they are frozen, and as they were read: with the names of their statements.
struct Read {
    policies: GrantedPolicies,
    documents: Vec<Copied>,
}

impl Read {
    /// All as copies.
    fn of(named: Named<'_>, inventory: &Inventory) -> Result<Self, String> {
        let mut arns: Vec<&String> = named.managed.iter().collect();
        arns.sort();
        arns.dedup();
        let read = |arn: &&String| {
            let found = inventory.policy(arn).ok_or_else(|| format!("managed policy {arn} does not exist in the target"))?;
            let document = Document::parse(&found.document).map_err(|what| format!("managed policy {arn} {what}"))?;
            Ok(Copied { arn: Some((*arn).clone()), document })
        };
        let mut documents = arns.iter().map(read).collect::<Result<Vec<_>, String>>()?;
        let inline = named.inline_document()?;
        let managed = documents.iter().filter_map(|one| Some(policy(one.arn.as_deref()?, &one.document, GrantedBy::Copy))).collect();
        let policies = GrantedPolicies { managed, inline: inline.as_ref().map(Document::text) };
        documents.extend(inline.map(|document| Copied { arn: None, document }));
        Ok(Read { policies, documents })
    }

    /// The first Deny statement, in words: attached to an IAM user, it would hold for what the user may do anyway, and for other grants.
    fn denies(&self) -> Option<String> {
        let denying = |one: &Copied| {
            let statement = one.document.statements().iter().find(|s| s.rule.effect == Effect::Deny)?;
            Some(format!(
                "{} of {} denies, and on an IAM user that would also take what the user has without this grant; use permissions.aws.role, or a policy that only allows",
                statement.name,
                one.name()
            ))
        };
        self.documents.iter().find_map(denying)
    }

    /// What is written for it in a scope.
    fn written(&self, scope: &Scope) -> Result<Documents, String> {
        let attached = attached(&self.policies);
        let copied: Vec<Copied> =
            self.documents.iter().filter(|one| !one.arn.as_ref().is_some_and(|arn| attached.contains(arn))).cloned().collect();
        documents(&copied, attached, (&scope.regions, &scope.resources), ANY_TIME)
    }

    /// With the largest policies of AWS attached by reference, one after the other, until the rest fits. Only on an identity of the grant's
    /// own, where a denial ends them.
    fn by_reference(mut self, scope: &Scope, fits: fn(&Documents) -> bool) -> Result<(GrantedPolicies, Documents), String> {
        loop {
            let written = self.written(scope)?;
            let copies = self.policies.managed.iter_mut().filter(|p| p.by == GrantedBy::Copy && p.arn.contains(":iam::aws:policy/"));
            match copies.max_by_key(|p| p.document.len()) {
                Some(largest) if !fits(&written) => largest.by = GrantedBy::Reference,
                _ => return Ok((self.policies, written)),
            }
        }
    }
}

fn instance(inventory: &Inventory) -> Result<String, String> {
    inventory.instance.clone().ok_or_else(|| "the system has no instance of IAM Identity Center; set provider.aws.identityCenter".into())
}

/// What stands already cannot be narrowed.
fn whole_account(scope: &Scope, what: &str) -> Result<(), String> {
    let narrowed = !scope.regions.is_empty() || !scope.resources.is_empty();
    if narrowed { Err(format!("{what} stands already and cannot be narrowed; give the role the scope account")) } else { Ok(()) }
}

fn session_secs(session: Option<&Duration>) -> Result<u32, String> {
    let secs = session.map_or(DEFAULT_SESSION_SECS, Duration::secs);
    match u32::try_from(secs) {
        Ok(secs) if SESSIONS.contains(&i64::from(secs)) => Ok(secs),
        _ => Err(format!(
            "maxSession {} is not possible; the sessions of a role last from 1h to 12h",
            session.map(ToString::to_string).unwrap_or_default()
        )),
    }
}

/// The policies of a standing permission set.
fn standing(set: &PermissionSetContent) -> Result<GrantedPolicies, String> {
    let read = |p: &PolicyContent| {
        let document = Document::parse(&p.document).map_err(|what| format!("managed policy {} {what}", p.arn))?;
        Ok(policy(&p.arn, &document, GrantedBy::Reference))
    };
    let mut managed = set.policies.iter().map(read).collect::<Result<Vec<_>, String>>()?;
    managed.sort_by(|a, b| a.arn.cmp(&b.arn));
    let read = |text: &String| Document::parse(text).map(|d| d.text()).map_err(|what| format!("the inline policy of {} {what}", set.arn));
    Ok(GrantedPolicies { managed, inline: set.inline.as_ref().map(read).transpose()? })
}

fn policy(arn: &str, document: &Document, by: GrantedBy) -> GrantedPolicy {
    GrantedPolicy { arn: arn.to_owned(), by, digest: document.digest(), document: document.text() }
}

fn fits_role(documents: &Documents) -> bool {
    split(&documents.written, MAX_POLICY_CHARS).is_ok_and(|parts| parts.len() + documents.attached.len() <= ATTACHED)
}

fn fits_permission_set(documents: &Documents) -> bool {
    documents.written.chars() <= MAX_PERMISSION_SET_CHARS && documents.attached.len() <= ATTACHED
}

/// Why every grant would fail although everything exists: what is written is larger than AWS takes, in words with the numbers.
pub fn obstacle(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Option<String> {
    let (granted, documents) = granted(permissions, scope, inventory).ok()?;
    let bytes = frozen_bytes(&granted);
    if bytes > MAX_FROZEN_BYTES {
        return Some(format!(
            "these policies are {bytes} bytes, and a request can freeze {MAX_FROZEN_BYTES}; name fewer or smaller policies"
        ));
    }
    let documents = documents?;
    let chars = documents.written.chars();
    match granted {
        GrantedPermissions::PermissionSet(_) => (chars > MAX_PERMISSION_SET_CHARS).then(|| {
            format!(
                "these policies have {chars} characters, and a permission set has room for {MAX_PERMISSION_SET_CHARS}; name fewer or smaller policies"
            )
        }),
        GrantedPermissions::User(_) => too_many(&documents, chars, usize::from(inventory.quotas.attached_per_user), "user"),
        GrantedPermissions::Role(_) => too_many(&documents, chars, usize::from(inventory.quotas.attached_per_role), "role"),
        GrantedPermissions::StandingSet(_) | GrantedPermissions::Group(_) => None,
    }
}

/// The size of the documents that an approval holds.
fn frozen_bytes(granted: &GrantedPermissions) -> usize {
    let of = |policies: &GrantedPolicies| {
        policies.managed.iter().map(|p| p.document.len()).sum::<usize>() + policies.inline.as_ref().map_or(0, String::len)
    };
    match granted {
        GrantedPermissions::User(policies) => of(policies),
        GrantedPermissions::Role(role) => of(&role.policies),
        GrantedPermissions::PermissionSet(set) => of(&set.policies),
        GrantedPermissions::StandingSet(set) => of(&set.policies),
        GrantedPermissions::Group(_) => 0,
    }
}

fn too_many(documents: &Documents, chars: usize, quota: usize, identity: &str) -> Option<String> {
    let count = match split(&documents.written, MAX_POLICY_CHARS) {
        Ok(parts) => parts.len() + documents.attached.len(),
        Err(what) => return Some(what),
    };
    (count > quota).then(|| {
        format!(
            "these policies have {chars} characters and need {count} managed policies of {MAX_POLICY_CHARS}, and this account attaches at most {quota} to a {identity}; name fewer or smaller policies, or raise the quota"
        )
    })
}

/// The Allow statements that give nothing in the scope, in words.
pub fn ineffective(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Option<String> {
    let (_, documents) = granted(permissions, scope, inventory).ok()?;
    let dropped = documents?.dropped;
    in_short(&dropped, ", ", "statements").map(|statements| format!("in this scope nothing is given by {statements}"))
}

/// Each policy with the digest of its content, in words.
pub fn granted_privileges(permissions: &GrantedPermissions) -> Vec<String> {
    let of = |policies: &GrantedPolicies| {
        let managed = policies.managed.iter().map(|p| format!("managed policy {} ({})", p.arn, p.digest));
        let inline = policies.inline.iter().filter_map(|text| Document::parse(text).ok()).map(|d| format!("inlinePolicy ({})", d.digest()));
        managed.chain(inline).collect::<Vec<_>>()
    };
    match permissions {
        GrantedPermissions::User(policies) => of(policies),
        GrantedPermissions::Role(role) => of(&role.policies),
        GrantedPermissions::PermissionSet(set) => of(&set.policies),
        GrantedPermissions::StandingSet(set) => {
            let mut all = vec![format!("permission set {} ({})", set.name, set.arn)];
            all.extend(of(&set.policies));
            all
        }
        GrantedPermissions::Group(group) => {
            vec![format!("group {} of IAM Identity Center ({}), with what it has in every account", group.name, group.id)]
        }
    }
}

#[cfg(test)]
mod tests;
