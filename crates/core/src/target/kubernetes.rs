//! The rules of Kubernetes: ClusterRoles and Roles, bound in namespaces or in the whole cluster.
//!
//! A grant writes bindings of its own ([`names`]), so grants never share anything and standing bindings are never touched. A
//! binding without subjects is the reservation.
pub mod fuse;
pub mod held;
pub mod lasting;
pub mod names;
pub mod persistence;
pub mod reach;
mod types;

use super::{Empty, Guarantees, PlanNames, SettingsByProvider, Unresolvable, patterns};
use crate::{ids::Ref, principal::Subject, time::Time};
pub use fuse::{Fuse, Settings};
pub use held::{changed_since, content, held, lacks, named_permissions, named_scope, part_of_each, parts_in_words};
use names::BindingName;
pub use reach::{ineffective, obstacle};
pub use types::*;

/// What may outlive the end of an access.
pub const SESSION_TAIL: &str = "requests already under way: open exec, port-forward and watch streams end when they close; kubelets and aggregated API servers that are asked directly may go by a cached answer, by default for 5 minutes and 10 seconds";

/// The first thing that `inner` reaches beyond `outer`, in words.
pub fn beyond(inner: &Scope, outer: &Scope) -> Option<String> {
    match (inner, outer) {
        (_, Scope::ClusterWide(_)) => None,
        (Scope::ClusterWide(_), Scope::Namespaces(_)) => Some("the whole cluster".into()),
        (Scope::Namespaces(inner), Scope::Namespaces(outer)) => inner.iter().find(|n| !outer.contains(n)).map(|n| format!("namespace {n}")),
    }
}

/// The namespaces that both reach.
pub fn intersection(a: &Scope, b: &Scope) -> Option<Scope> {
    match (a, b) {
        (scope, Scope::ClusterWide(_)) | (Scope::ClusterWide(_), scope) => Some(scope.clone()),
        (Scope::Namespaces(a), Scope::Namespaces(b)) => {
            let both: Vec<_> = a.iter().filter(|n| b.contains(n)).cloned().collect();
            (!both.is_empty()).then_some(Scope::Namespaces(both))
        }
    }
}

/// The namespaces of both, to be read; a scope of the whole cluster names none.
pub fn naming<'a>(scope: &'a Scope, others: impl Iterator<Item = &'a Scope>) -> Scope {
    let mut names: Vec<String> = std::iter::once(scope).chain(others).flat_map(|scope| scope.namespaces().iter().cloned()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { scope.clone() } else { Scope::Namespaces(names) }
}

/// The namespaces, or the whole cluster.
pub fn reach_in_words(scope: &Scope) -> String {
    match scope {
        Scope::ClusterWide(_) => "the whole cluster".to_owned(),
        Scope::Namespaces(names) => format!("{} {}", if names.len() == 1 { "namespace" } else { "namespaces" }, names.join(", ")),
    }
}

/// Each role, in words.
pub fn permissions_in_words(permissions: &Permissions) -> Vec<String> {
    let cluster_roles = permissions.cluster_roles.iter().map(|r| role_in_words(RoleKind::ClusterRole, None, r));
    let roles = permissions.roles.iter().map(|r| role_in_words(RoleKind::Role, Some(&r.namespace), &r.name));
    cluster_roles.chain(roles).collect()
}

/// The first role that is not offered, in words.
pub fn exceeds(asked: &Permissions, offered: &Permissions) -> Option<String> {
    lacks(offered, asked)
}

/// The first Role of a namespace outside of the scope, in words.
pub fn outside(permissions: &Permissions, scope: &Scope) -> Option<String> {
    let role = permissions.roles.iter().find(|r| !scope.reaches(&r.namespace));
    role.map(|r| role_in_words(RoleKind::Role, Some(&r.namespace), &r.name))
}

/// The first role that a policy's patterns do not allow, in words.
pub fn not_allowed(permissions: &Permissions, patterns: &Permissions) -> Option<String> {
    let cluster_role = |role: &&String| !patterns.cluster_roles.iter().any(|pattern| patterns::allows(pattern, role));
    let role = |role: &&RoleName| !patterns.roles.iter().any(|p| p.namespace == role.namespace && patterns::allows(&p.name, &role.name));
    let cluster_roles = permissions.cluster_roles.iter().find(cluster_role).map(|r| format!("ClusterRole {r}"));
    cluster_roles.or_else(|| permissions.roles.iter().find(role).map(|r| format!("Role {} of namespace {}", r.name, r.namespace)))
}

/// The first name in a policy that has a `*` where it stands for nothing.
pub fn not_a_pattern(patterns: &Permissions) -> Option<&str> {
    let names = patterns.cluster_roles.iter().chain(patterns.roles.iter().map(|r| &r.name));
    names.map(String::as_str).find(|name| patterns::is_wrong(name))
}

/// The content of each role that the template names, in its order. All of them must exist: a binding to a role that does not
/// exist yet would grant everything that the role becomes.
fn contents<'a>(permissions: &Permissions, scope: &Scope, inventory: &'a Inventory) -> Result<Vec<&'a RoleContent>, String> {
    let cluster_roles = permissions.cluster_roles.iter().map(|name| (RoleKind::ClusterRole, None, name));
    let roles = permissions.roles.iter().map(|r| (RoleKind::Role, Some(&r.namespace), &r.name));
    cluster_roles
        .chain(roles)
        .map(|(kind, namespace, name)| {
            if let Some(outside) = namespace.filter(|n| !scope.reaches(n)) {
                return Err(format!("Role {name} of namespace {outside} is outside of the template's scope"));
            }
            let found = inventory.role(kind, namespace.map(String::as_str), name);
            found.ok_or_else(|| format!("{} does not exist in the target", role_in_words(kind, namespace.map(String::as_str), name)))
        })
        .collect()
}

fn scope_with_uids(scope: &Scope, inventory: &Inventory) -> Result<GrantedScope, String> {
    let find = |name: &String| {
        let found = inventory.namespaces.iter().find(|r| r.name == *name).cloned();
        found.ok_or_else(|| format!("namespace {name} does not exist in the target"))
    };
    match scope {
        Scope::ClusterWide(_) => Ok(GrantedScope::ClusterWide(Empty {})),
        Scope::Namespaces(names) => {
            let mut found: Vec<Ref> = names.iter().map(find).collect::<Result<_, _>>()?;
            found.sort();
            found.dedup();
            Ok(GrantedScope::Namespaces(found))
        }
    }
}

/// Whether every role exists, and every Role is in the scope.
///
/// # Errors
/// What is missing, in words.
pub fn check_permissions(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
    contents(permissions, scope, inventory).map(drop)
}

/// Whether every role and namespace exists, and every Role is in the scope.
///
/// # Errors
/// What is missing, in words.
pub fn check(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
    contents(permissions, scope, inventory)?;
    scope_with_uids(scope, inventory).map(drop)
}

/// The roles that the scope reaches, with their content, and the namespaces with their uids, both sorted: the order in which a
/// template lists them changes no digest.
///
/// # Errors
/// What is missing, or that the scope reaches none of the roles.
pub fn resolve(
    permissions: &Permissions,
    scope: &Scope,
    inventory: &Inventory,
) -> Result<(GrantedPermissions, GrantedScope), Unresolvable> {
    let reached = Permissions {
        cluster_roles: permissions.cluster_roles.clone(),
        roles: permissions.roles.iter().filter(|r| scope.reaches(&r.namespace)).cloned().collect(),
    };
    let contents = contents(&reached, scope, inventory).map_err(Unresolvable::NotReady)?;
    if contents.is_empty() {
        return Err(Unresolvable::NothingReached);
    }
    let scope = scope_with_uids(scope, inventory).map_err(Unresolvable::NotReady)?;
    let mut roles: Vec<GrantedRole> = contents.into_iter().map(granted_role).collect();
    roles.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
    roles.dedup();
    Ok((GrantedRoles { roles }, scope))
}

fn granted_role(r: &RoleContent) -> GrantedRole {
    let content = r.content.clone().unwrap_or_default();
    GrantedRole { kind: r.kind, name: r.name.clone(), namespace: r.namespace.clone(), uid: r.uid.clone(), rules: r.rules, content }
}

/// How many roles are named in a message.
const MAX_NAMED_ROLES: usize = 3;

/// What the holder could create that outlives the grant: by the content of the roles, or because the scope includes a namespace
/// from which the holder could become the operator.
pub fn persistence(permissions: &Permissions, scope: &Scope, inventory: &Inventory, operator_namespace: &str) -> Option<String> {
    let privileged = ["kube-system", operator_namespace].into_iter().find(|n| scope.reaches(n));
    if let Some(namespace) = privileged {
        return Some(format!("a scope that includes namespace {namespace}, from where its holder could become the operator"));
    }
    // A role that no longer exists gives nothing; what else is held is judged all the same.
    let there = Permissions {
        cluster_roles: permissions
            .cluster_roles
            .iter()
            .filter(|n| inventory.role(RoleKind::ClusterRole, None, n).is_some())
            .cloned()
            .collect(),
        roles: permissions
            .roles
            .iter()
            .filter(|r| inventory.role(RoleKind::Role, Some(&r.namespace), &r.name).is_some())
            .cloned()
            .collect(),
    };
    let contents = contents(&there, scope, inventory).unwrap_or_default();
    let can = |r: &&RoleContent| {
        r.persistence.as_ref().map(|rights| format!("{} can {rights}", role_in_words(r.kind, r.namespace.as_deref(), &r.name)))
    };
    let roles: Vec<String> = contents.iter().filter_map(can).collect();
    match roles.len().checked_sub(MAX_NAMED_ROLES).filter(|more| *more > 0) {
        _ if roles.is_empty() => None,
        None => Some(roles.join("; ")),
        Some(more) => Some(format!("{}; {more} more roles likewise", roles[..MAX_NAMED_ROLES].join("; "))),
    }
}

/// One binding for each role and namespace, named so that grant, install and deadline can be read off it without any other object.
pub fn plan(permissions: &GrantedPermissions, scope: &GrantedScope, subject: &Subject, names: PlanNames<'_>) -> Plan {
    let everywhere: Vec<Option<&str>> = match scope {
        GrantedScope::ClusterWide(_) => vec![None],
        GrantedScope::Namespaces(n) => n.iter().map(|n| Some(n.name.as_str())).collect(),
    };
    let mut bindings = Vec::new();
    for role in &permissions.roles {
        let namespaces = role.namespace.as_deref().map_or_else(|| everywhere.clone(), |n| vec![Some(n)]);
        for namespace in namespaces {
            let name = BindingName::of(names, bindings.len()).text();
            bindings.push(PlannedBinding { name, namespace: namespace.map(str::to_owned), role_kind: role.kind, role: role.name.clone() });
        }
    }
    Plan { subject: subject.clone(), bindings, fuse: Fuse::default() }
}

/// The bindings of the widest reach of a template, without names and subject.
pub fn probe(permissions: &Permissions, scope: &Scope) -> Plan {
    let everywhere: Vec<Option<String>> = match scope {
        Scope::ClusterWide(_) => vec![None],
        Scope::Namespaces(names) => names.iter().cloned().map(Some).collect(),
    };
    let binding = |role_kind, namespace, role: &str| PlannedBinding { name: String::new(), namespace, role_kind, role: role.to_owned() };
    let cluster_roles = permissions.cluster_roles.iter();
    let cluster_roles = cluster_roles.flat_map(|r| everywhere.iter().map(move |n| binding(RoleKind::ClusterRole, n.clone(), r)));
    let roles = permissions.roles.iter().map(|r| binding(RoleKind::Role, Some(r.namespace.clone()), &r.name));
    Plan { subject: Subject::User(String::new()), bindings: cluster_roles.chain(roles).collect(), fuse: Fuse::default() }
}

/// The plan as it is written under these settings.
pub fn configured(plan: Plan, settings: &SettingsByProvider) -> Plan {
    Plan { fuse: settings.kubernetes.fuse.clone(), ..plan }
}

/// Whether two plans give the same access. What ends it without the operator does not belong to the access.
pub fn gives_the_same(plan: &Plan, other: &Plan) -> bool {
    plan.subject == other.subject && plan.bindings == other.bindings
}

/// Bindings are objects of the grant's own, reserved without subjects, and the API server's answer is proof at once.
pub fn guarantees(_: &Plan) -> Guarantees {
    Guarantees::OWN_OBJECTS
}

/// None: no two grants share a binding.
pub fn slots(_: &Plan) -> Vec<String> {
    Vec::new()
}

/// The deadline in the names of the bindings.
pub fn planned_deadline(plan: &Plan) -> Option<Time> {
    plan.bindings.first().and_then(|b| BindingName::parse(&b.name)).map(|n| n.deadline)
}

/// Each binding in words.
pub fn privileges(plan: &Plan) -> Vec<String> {
    let place = |namespace: &Option<String>| namespace.as_ref().map_or_else(|| "in the whole cluster".to_owned(), |n| format!("in {n}"));
    plan.bindings.iter().map(|b| format!("{:?} {} {}", b.role_kind, b.role, place(&b.namespace))).collect()
}

/// What ends the bindings while no operator runs, as far as the plan shows it: a Job for each binding of a namespace, unless that is
/// configured off; nothing for one of the whole cluster.
pub fn ended_without_operator(plan: &Plan) -> Option<&'static str> {
    let all_in_namespaces = plan.bindings.iter().all(|binding| binding.namespace.is_some());
    (all_in_namespaces && plan.fuse.job().is_some()).then_some("a Job that owns each binding expires soon after the deadline")
}

/// The namespaces, or the whole cluster.
pub fn scope_in_words(scope: &GrantedScope) -> String {
    match scope {
        GrantedScope::ClusterWide(_) => "the whole cluster".to_owned(),
        GrantedScope::Namespaces(n) => n.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// A role by kind, name and, for a Role, namespace.
fn role_in_words(kind: RoleKind, namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| format!("{kind:?} {name}"), |n| format!("{kind:?} {name} of namespace {n}"))
}

/// Each role with the digest of its rules, in words.
pub fn granted_privileges(permissions: &GrantedPermissions) -> Vec<String> {
    permissions.roles.iter().map(|r| format!("{} ({})", role_in_words(r.kind, r.namespace.as_deref(), &r.name), r.rules)).collect()
}

#[cfg(test)]
mod tests;
