//! Who may do what: identities with the bindings that reach them, and the places in which these count.
use super::{
    CLUSTER,
    dump::{Binding, Dump, Metadata, Subject},
    membership::{account, account_name, fixed_groups, is_of_everyone, is_reserved, kind_of_user},
    permissions::Permissions,
    rules::{Expanded, expand},
    usage::{Usage, Use},
};
use crate::{
    catalogue::PermissionId,
    history::{EXCLUDE_FROM_PCI, EXCLUDE_FROM_REPORTS, Excluded, Window, is_set},
    places::Places,
    report::IdentityKind,
    score::{Holding, Holdings},
};
use std::collections::{BTreeMap, BTreeSet};

/// A binding that reaches an identity, by itself or through a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The index of the binding in the dump.
    pub binding: usize,
    /// The group.
    pub via: Option<String>,
}

/// One identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What it is.
    pub kind: IdentityKind,
    /// Whether it belongs to Kubernetes: its name or its account does, and nothing but the API server's own bindings name it.
    pub built_in: bool,
    /// A service account that does not exist.
    pub missing: bool,
    /// When it came into being, as far as the dump shows.
    pub created: Option<i64>,
    /// Its tags.
    pub excluded: Excluded,
    /// What reaches it.
    pub grants: Vec<Grant>,
    /// The users that were seen in this group.
    pub members: BTreeSet<String>,
}

/// Names that the command line excludes, in addition to tags: users and groups have no object that could carry one.
#[derive(Clone, Default, Debug)]
pub struct Exclusions {
    /// As `ck_exclude_from_pci`.
    pub from_pci: BTreeSet<String>,
    /// As `ck_exclude_from_reports`.
    pub from_reports: BTreeSet<String>,
}

/// The inventory of a cluster.
pub struct Inventory<'a> {
    /// The dump.
    pub dump: &'a Dump,
    /// The catalogue.
    pub permissions: &'a Permissions,
    /// The identities.
    pub identities: BTreeMap<Key, Identity>,
    /// What each role grants.
    expanded: BTreeMap<(String, String), Expanded>,
    places: BTreeMap<&'a str, u32>,
}

/// An identity's name. A user and a group may have the same name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// Whether it is a group.
    pub group: bool,
    /// The name.
    pub name: String,
}

impl Key {
    /// A user, also a service account by its user name.
    pub fn user(name: impl Into<String>) -> Self {
        Self { group: false, name: name.into() }
    }
    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { group: true, name: name.into() }
    }
    /// The identity that a subject names. A service account needs a namespace.
    pub fn of(subject: &Subject) -> Option<Self> {
        match subject.kind.as_str() {
            "Group" => Some(Self::group(&subject.name)),
            "User" => Some(Self::user(&subject.name)),
            "ServiceAccount" if !subject.namespace.is_empty() => Some(Self::user(account_name(&subject.namespace, &subject.name))),
            _ => None,
        }
    }
}

impl<'a> Inventory<'a> {
    /// Finds every identity that the dump or the log names.
    pub fn build(dump: &'a Dump, permissions: &'a Permissions, usage: &Usage, window: Window, exclusions: &Exclusions) -> Self {
        let places = dump.namespaces.iter().zip(CLUSTER + 1..).map(|(namespace, place)| (namespace.as_str(), place)).collect();
        let expanded = dump.roles.iter().map(|(key, role)| (key.clone(), expand(role, permissions))).collect();
        let mut inventory = Self { dump, permissions, identities: BTreeMap::new(), expanded, places };
        let mut direct: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
        for (index, binding) in dump.bindings.iter().enumerate() {
            for key in binding.subjects.iter().filter_map(Key::of) {
                let list = direct.entry(key).or_default();
                if list.last() != Some(&index) {
                    list.push(index);
                }
            }
        }
        let accounts = dump.accounts.keys().map(|(namespace, name)| Key::user(account_name(namespace, name)));
        let all: BTreeSet<Key> = direct.keys().cloned().chain(accounts).chain(usage.users.keys().map(Key::user)).collect();
        for key in all {
            let identity = inventory.identity(&key, &direct, usage, window, exclusions);
            inventory.identities.insert(key, identity);
        }
        inventory.members(usage, window);
        inventory
    }

    fn identity(&self, key: &Key, direct: &BTreeMap<Key, Vec<usize>>, usage: &Usage, window: Window, exclusions: &Exclusions) -> Identity {
        let name = key.name.as_str();
        let is_account = !key.group && account(name).is_some();
        let own = direct.get(key).map(Vec::as_slice).unwrap_or_default();
        let mut grants: Vec<Grant> = own.iter().map(|binding| Grant { binding: *binding, via: None }).collect();
        for via in if key.group { BTreeSet::new() } else { groups_of(name, usage, window) } {
            let reached = direct.get(&Key::group(&via)).into_iter().flatten();
            // What every identity has by default cannot be taken from one, and says nothing about it.
            let counts = |binding: &&usize| !(is_of_everyone(&via) && self.dump.bindings[**binding].metadata.is_default());
            grants.extend(reached.filter(counts).map(|binding| Grant { binding: *binding, via: Some(via.clone()) }));
        }
        let object = account(name)
            .filter(|_| is_account)
            .and_then(|(namespace, account)| self.dump.accounts.get(&(namespace.to_owned(), account.to_owned())));
        // Also through groups: a binding of the company's own for a group makes its members count. One for a group of everyone says nothing about
        // a component of Kubernetes: it counts for the people in the group, or for the group.
        let component = kind_of_user(name) == IdentityKind::Workload;
        let of_everyone = |grant: &Grant| component && grant.via.as_deref().is_some_and(is_of_everyone);
        let only_defaults = grants.iter().all(|grant| of_everyone(grant) || self.dump.bindings[grant.binding].metadata.is_default());
        let first = grants.iter().map(|grant| self.dump.bindings[grant.binding].metadata.created()).min().flatten();
        Identity {
            kind: if key.group { IdentityKind::Group } else { kind_of_user(name) },
            built_in: only_defaults && (is_reserved(name) || (is_account && !own.is_empty())),
            missing: is_account && object.is_none(),
            created: object.map_or(first, Metadata::created),
            excluded: excluded(name, object, exclusions),
            grants,
            members: BTreeSet::new(),
        }
    }

    /// Notes in each group who was seen in it.
    fn members(&mut self, usage: &Usage, window: Window) {
        let users: Vec<String> = self.identities.keys().filter(|key| !key.group).map(|key| key.name.clone()).collect();
        for user in users {
            for group in groups_of(&user, usage, window) {
                if let Some(identity) = self.identities.get_mut(&Key::group(group)) {
                    identity.members.insert(user.clone());
                }
            }
        }
    }

    /// The place of a namespace.
    pub fn place(&self, namespace: &str) -> Option<u32> {
        self.places.get(namespace).copied()
    }

    /// What a binding grants: its role expanded, if the role exists.
    pub fn expanded(&self, binding: &Binding) -> Option<&Expanded> {
        let namespace = if binding.role_kind == "Role" { binding.metadata.namespace.as_str() } else { "" };
        self.expanded.get(&(namespace.to_owned(), binding.role.clone()))
    }

    /// The places in which a binding grants a permission on resources; none if the permission is not one of a namespace and the binding is.
    pub fn places_of(&self, binding: &Binding, permission: PermissionId) -> Places {
        let total = self.permissions.catalogue.permissions()[permission].resources;
        match binding.metadata.namespace.as_str() {
            "" => Places::first(total),
            namespace if total > 1 => self.places.get(namespace).copied().into_iter().collect(),
            _ => Places::default(),
        }
    }

    /// The places in which a permission was used in the window.
    pub fn used(&self, permission: PermissionId, uses: &Use, window: Window) -> Places {
        let total = self.permissions.catalogue.permissions()[permission].resources;
        uses.places(window, total, self.permissions.one.contains(&permission))
    }

    /// Every permission of a binding with its places.
    pub fn permissions_of(&self, binding: &Binding) -> Vec<(PermissionId, Places)> {
        let Some(expanded) = self.expanded(binding) else { return Vec::new() };
        let resources = expanded.resources.keys().map(|id| (*id, self.places_of(binding, *id)));
        let urls = expanded.urls.iter().filter(|_| binding.metadata.namespace.is_empty()).map(|id| (*id, Places::first(1)));
        resources.chain(urls).filter(|(_, places)| !places.is_empty()).collect()
    }

    /// Whether a group counts through a member: one was seen that counts itself.
    pub fn counts_by_members(&self, identity: &Identity) -> bool {
        let member = |user: &String| self.identities.get(&Key::user(user));
        identity.members.iter().filter_map(member).any(|member| !member.built_in && !member.excluded.from_pci)
    }

    /// The holdings of an identity: the union of its grants, and its uses in the window; those of a group are its members'.
    pub fn holdings(&self, key: &Key, usage: &Usage, window: Window) -> Holdings {
        self.holdings_with(key, usage, window, |_| true, |_| true)
    }

    /// The ids of the live grants of Curfew whose bindings reach an identity.
    pub fn live_grants(&self, identity: &Identity) -> BTreeSet<String> {
        identity.grants.iter().filter_map(|grant| self.dump.bindings[grant.binding].grant().map(str::to_owned)).collect()
    }

    /// As [`Inventory::scored_holdings`], without what live grants of Curfew grant.
    pub fn standing_holdings(&self, key: &Key, usage: &Usage, window: Window) -> Holdings {
        self.holdings_with(key, usage, window, |user| self.is_scored(key, user), |binding| binding.grant().is_none())
    }

    fn is_scored(&self, key: &Key, user: &str) -> bool {
        !key.group || self.identities.get(&Key::user(user)).is_none_or(|member| !member.excluded.from_pci)
    }

    /// The holdings from which its score comes. What a member did who is left out of scores does not count for its group either.
    pub fn scored_holdings(&self, key: &Key, usage: &Usage, window: Window) -> Holdings {
        self.holdings_with(key, usage, window, |user| self.is_scored(key, user), |_| true)
    }

    fn holdings_with(
        &self,
        key: &Key,
        usage: &Usage,
        window: Window,
        counts: impl Fn(&str) -> bool,
        grants: impl Fn(&Binding) -> bool,
    ) -> Holdings {
        let mut held: BTreeMap<PermissionId, Holding> = BTreeMap::new();
        let Some(identity) = self.identities.get(key) else { return Holdings::new() };
        for binding in identity.grants.iter().map(|grant| &self.dump.bindings[grant.binding]).filter(|binding| grants(binding)) {
            for (id, places) in self.permissions_of(binding) {
                held.entry(id).or_default().granted.extend(&places);
            }
        }
        for activity in self.users(key).into_iter().filter(|user| counts(user)).filter_map(|user| usage.users.get(user)) {
            for (id, uses) in activity.uses.iter().chain(&activity.implied) {
                let places = self.used(*id, uses, window);
                if !places.is_empty() {
                    held.entry(*id).or_default().used.extend(&places);
                }
            }
        }
        held.into_iter().collect()
    }

    /// The users whose uses are those of an identity: itself, or the members of a group.
    pub fn users<'b>(&'b self, key: &'b Key) -> Vec<&'b str> {
        match self.identities.get(key) {
            Some(identity) if key.group => identity.members.iter().map(String::as_str).collect(),
            _ => vec![&key.name],
        }
    }

    /// Names places for people.
    pub fn describe(&self, permission: PermissionId, places: &Places) -> String {
        let total = self.permissions.catalogue.permissions()[permission].resources;
        if places.is_empty() {
            return "nowhere".into();
        }
        if places.contains(CLUSTER) && (total == 1 || places.len() == total) {
            return "the whole cluster".into();
        }
        let names: Vec<&str> = self.places.iter().filter(|(_, place)| places.contains(**place)).map(|(name, _)| *name).collect();
        match names.len() {
            0 => "namespaces that do not exist now".into(),
            1..=3 => names.join(", "),
            n => format!("{n} of {} namespaces", self.places.len()),
        }
    }
}

/// The groups of a user: those that its kind is always in, and those of its logins in the window.
fn groups_of(user: &str, usage: &Usage, window: Window) -> BTreeSet<String> {
    let seen = usage.users.get(user).into_iter().flat_map(|activity| &activity.groups);
    seen.filter(|(_, at)| window.contains(**at)).map(|(group, _)| group.clone()).chain(fixed_groups(user)).collect()
}

fn excluded(name: &str, object: Option<&Metadata>, exclusions: &Exclusions) -> Excluded {
    let tagged = |key: &str| object.and_then(|object| object.tag(key)).is_some_and(is_set);
    Excluded {
        from_pci: tagged(EXCLUDE_FROM_PCI) || exclusions.from_pci.contains(name),
        from_reports: tagged(EXCLUDE_FROM_REPORTS) || exclusions.from_reports.contains(name),
    }
}
