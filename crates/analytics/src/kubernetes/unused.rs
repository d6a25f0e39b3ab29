//! Findings about bindings and roles of which nothing was used.
use super::{
    dump::Binding,
    findings::{Facts, binding_name, role_name},
    inventory::{Inventory, Key},
    usage::{Activity, Usage, Use},
};
use crate::{
    assemble::finding,
    catalogue::PermissionId,
    history::Window,
    report::{Finding, FindingType},
};
use std::collections::BTreeSet;

/// Whether a user used a permission of a binding where the binding grants it, or something that the catalogue does not have and a wildcard
/// of it may have allowed.
pub fn used_by(inventory: &Inventory, usage: &Usage, window: Window, binding: &Binding, user: &str) -> bool {
    let Some(activity) = usage.users.get(user) else { return false };
    let open = inventory.expanded(binding).is_some_and(|expanded| expanded.open);
    if open && activity.unmapped.is_some_and(|at| window.contains(at)) {
        return true;
    }
    // A namespace that does not exist now has no bindings: only a ClusterRoleBinding allowed what was done there.
    let wide = binding.metadata.namespace.is_empty();
    let creates = inventory.expanded(binding).into_iter().flat_map(|expanded| &expanded.named_creates);
    let creates = creates.map(|id| (*id, inventory.places_of(binding, *id)));
    inventory.permissions_of(binding).into_iter().chain(creates).any(|(id, places)| {
        let used = |uses: &Use| {
            let mut used = inventory.used(id, uses, window);
            used.retain(&places);
            !used.is_empty() || (wide && uses.is_gone(window))
        };
        [&activity.uses, &activity.implied].into_iter().filter_map(|uses| uses.get(&id)).any(used)
    })
}

/// Whether a member of a group used a permission of a binding, or another identity did that acted as a user in the group.
pub fn used_by_group(inventory: &Inventory, usage: &Usage, window: Window, binding: &Binding, group: &str) -> bool {
    let members = inventory.identities.get(&Key::group(group)).map(|identity| &identity.members);
    let claims = |activity: &Activity| activity.claimed.get(group).is_some_and(|at| window.contains(*at));
    let claimed = usage.users.iter().filter(|(_, activity)| claims(activity)).map(|(user, _)| user);
    members.into_iter().flatten().chain(claimed).any(|user| used_by(inventory, usage, window, binding, user))
}

impl Facts<'_> {
    /// Whether a rule of a binding's role names what no request shows, so that nothing can be said about its use.
    pub(super) fn may_be_used_unseen(&self, binding: &Binding) -> bool {
        self.inventory.expanded(binding).is_some_and(|expanded| expanded.unseen)
    }

    /// Advice to remove bindings, with what to ask before if wildcards of them grant what no request shows.
    pub(super) fn with_hidden(&self, advice: &str, bindings: &[&Binding]) -> String {
        let permissions = self.inventory.permissions;
        let granted = bindings.iter().flat_map(|binding| self.inventory.permissions_of(binding));
        let hidden: BTreeSet<PermissionId> = granted.map(|(id, _)| id).filter(|id| permissions.unseen.contains(id)).collect();
        let Some(first) = hidden.first() else { return advice.to_owned() };
        let more = if hidden.len() > 1 { format!(" or one of {} more", hidden.len() - 1) } else { String::new() };
        format!("{advice} Ask first whether `{}`{more} is in use: no request shows it.", permissions.catalogue.permissions()[*first].name)
    }

    /// Whether nothing of a binding was used by its subjects, as far as the log can show it.
    fn is_unused(&self, binding: &Binding) -> bool {
        if self.may_be_used_unseen(binding) {
            return false;
        }
        !binding.subjects.iter().filter_map(Key::of).any(|key| {
            let used = if key.group { used_by_group } else { used_by };
            used(self.inventory, self.usage, self.window, binding, &key.name)
        })
    }

    fn not_used(&self) -> String {
        format!("no request in {} days used a permission of it", self.window.days())
    }

    pub(super) fn unused_bindings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for binding in self.inventory.dump.bindings.iter().filter(|binding| !binding.metadata.is_default()) {
            let subject = binding_name(binding);
            let subjects = binding.subjects.iter().map(|subject| {
                let namespace = if subject.namespace.is_empty() { String::new() } else { format!("{}/", subject.namespace) };
                format!("{} {namespace}{}", subject.kind, subject.name)
            });
            let mut evidence: Vec<String> = subjects.collect();
            evidence.insert(0, role_name(binding));
            let no_role = self.inventory.dump.role_of(binding).is_none();
            if no_role && self.inventory.dump.may_have_lost_role(binding) {
                continue;
            }
            let (summary, advice) = if no_role {
                let advice = "Delete it: a role that is created with this name is granted at once.".to_owned();
                ("names a role that does not exist".to_owned(), advice)
            } else if binding.subjects.is_empty() {
                ("has no subjects".to_owned(), "Delete it.".to_owned())
            } else if !self.window.exempts(binding.metadata.created()) && self.is_unused(binding) {
                (self.not_used(), self.if_covered(&self.with_hidden("Delete it.", &[binding])))
            } else {
                continue;
            };
            found.push(finding(FindingType::UnusedBinding, subject, summary, evidence, &advice));
        }
        found
    }

    pub(super) fn unused_roles(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let dump = self.inventory.dump;
        for ((namespace, name), role) in
            dump.roles.iter().filter(|(_, role)| !role.metadata.is_default() && !role.aggregated && !role.contributes)
        {
            let subject = if namespace.is_empty() { format!("ClusterRole {name}") } else { format!("Role {namespace}/{name}") };
            let names = |binding: &&Binding| {
                let of = if binding.role_kind == "Role" { binding.metadata.namespace.as_str() } else { "" };
                binding.role == *name && of == namespace
            };
            let bindings: Vec<&Binding> = dump.bindings.iter().filter(names).collect();
            let old = !self.window.exempts(role.metadata.created()) && !dump.may_have_lost_bindings();
            let (summary, advice) = match bindings.is_empty() {
                true if old => ("is not bound".to_owned(), "Delete it.".to_owned()),
                false if old && bindings.iter().all(|binding| self.is_unused(binding)) => {
                    (self.not_used(), self.if_covered(&self.with_hidden("Delete its bindings, then the role.", &bindings)))
                }
                _ => continue,
            };
            found.push(finding(
                FindingType::UnusedRole,
                subject,
                summary,
                bindings.iter().map(|binding| binding_name(binding)).collect(),
                &advice,
            ));
        }
        found
    }
}
