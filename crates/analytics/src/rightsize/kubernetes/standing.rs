//! The standing access of an identity: what its bindings allow, as the API server's RBAC authorizer reads them, and how to take it away.
use super::observed::{Access, Place};
use crate::kubernetes::{
    dump::{Binding, Rule},
    findings::{binding_name, role_name},
    inventory::{Inventory, Key},
    membership::{fixed_groups, is_of_everyone},
    permissions::url_matches,
    rules::matches,
};
use serde::Serialize;
use std::collections::BTreeSet;

/// The label of the bindings that Curfew writes.
const GRANT: &str = "curfew.dev/grant";

/// What bindings allow of one access in one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    /// Nothing.
    Not,
    /// Named objects only.
    Named(BTreeSet<String>),
    /// All of it.
    All,
}

/// The bindings that reach an identity.
pub struct Standing<'a> {
    inventory: &'a Inventory<'a>,
    /// What it can lose.
    own: Vec<&'a Binding>,
    /// What everyone has by default, which nobody takes from one identity.
    default: Vec<&'a Binding>,
}

impl<'a> Standing<'a> {
    /// The bindings of an identity.
    pub fn new(inventory: &'a Inventory<'a>, key: &Key) -> Self {
        let dump = inventory.dump;
        let grants = inventory.identities.get(key).into_iter().flat_map(|identity| &identity.grants);
        let groups = if key.group { vec!["system:authenticated".to_owned()] } else { fixed_groups(&key.name) };
        let everyone = |binding: &&Binding| {
            let names = |subject| Key::of(subject).is_some_and(|of| of.group && groups.contains(&of.name) && is_of_everyone(&of.name));
            binding.metadata.is_default() && binding.subjects.iter().any(names)
        };
        Self {
            inventory,
            own: grants.map(|grant| &dump.bindings[grant.binding]).collect(),
            default: dump.bindings.iter().filter(everyone).collect(),
        }
    }
    /// What the identity can lose of this access.
    pub fn held(&self, access: &Access, place: &Place) -> Held {
        self.allowed_by(&self.own, access, place)
    }
    /// Whether everyone has all of this access by default.
    pub fn by_default(&self, access: &Access, place: &Place) -> bool {
        self.allowed_by(&self.default, access, place) == Held::All
    }
    /// The rules of its bindings, each with the place.
    pub fn rules(&self) -> impl Iterator<Item = (Place, &'a Rule)> + '_ {
        self.own.iter().flat_map(|binding| {
            let place = match binding.metadata.namespace.as_str() {
                "" => Place::Cluster,
                namespace => Place::Namespace(namespace.into()),
            };
            self.inventory.dump.role_of(binding).into_iter().flat_map(|role| &role.rules).map(move |rule| (place.clone(), rule))
        })
    }

    fn allowed_by(&self, bindings: &[&'a Binding], access: &Access, place: &Place) -> Held {
        let reaches = |binding: &&&Binding| {
            let at = binding.metadata.namespace.as_str();
            at.is_empty() || matches!((place, access), (Place::Namespace(namespace), Access::Resource { .. }) if namespace == at)
        };
        let mut names = BTreeSet::new();
        for rule in bindings.iter().filter(reaches).filter_map(|binding| self.inventory.dump.role_of(binding)).flat_map(|role| &role.rules)
        {
            if !includes(rule, access) {
                continue;
            }
            if rule.resource_names.is_empty() || matches!(access, Access::Url { .. }) {
                return Held::All;
            }
            names.extend(rule.resource_names.iter().cloned());
        }
        if names.is_empty() { Held::Not } else { Held::Named(names) }
    }
}

/// Whether a rule includes an access, regardless of the names of objects.
pub fn includes(rule: &Rule, access: &Access) -> bool {
    match access {
        Access::Resource { group, resource, verb } => matches(rule, verb, group, resource),
        Access::Url { path, verb } => {
            rule.verbs.iter().any(|known| known == "*" || known == verb) && rule.non_resource_urls.iter().any(|url| url_matches(url, path))
        }
    }
}

/// How a standing binding is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// The binding is deleted: it names nobody else.
    Delete,
    /// The identity is taken out of the binding's subjects.
    RemoveSubject,
    /// The identity leaves the group, or the group gets a smaller role: the binding is the group's.
    Group,
    /// Nothing: the API server restores the binding at its next start. The identity leaves the group that it names.
    Default,
    /// Nothing: Curfew ends it.
    Grant,
}

impl Action {
    /// What to do, for people.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Delete => "delete it",
            Self::RemoveSubject => "remove the identity from its subjects",
            Self::Group => "take the identity out of the group, or right-size the group",
            Self::Default => "it belongs to Kubernetes, which restores it: take the identity out of its group",
            Self::Grant => "none: Curfew ends it",
        }
    }
}

/// A standing binding that the proposal replaces.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// The binding.
    pub binding: String,
    /// The role that it grants.
    pub role: String,
    /// The group through which it reaches the identity.
    pub through: Option<String>,
    /// What to do.
    pub action: Action,
    /// The command that does it, if it is one. Nothing runs it.
    pub command: Option<String>,
}

/// The standing bindings of an identity, in the order of the dump.
pub fn removals(inventory: &Inventory, key: &Key) -> Vec<Removal> {
    let grants = inventory.identities.get(key).into_iter().flat_map(|identity| &identity.grants);
    grants.map(|grant| removal(&inventory.dump.bindings[grant.binding], key, grant.via.as_deref())).collect()
}

fn removal(binding: &Binding, key: &Key, via: Option<&str>) -> Removal {
    let places: Vec<usize> =
        binding.subjects.iter().enumerate().filter(|(_, subject)| Key::of(subject).as_ref() == Some(key)).map(|(at, _)| at).collect();
    let action = match via {
        _ if binding.metadata.labels.contains_key(GRANT) => Action::Grant,
        _ if binding.metadata.is_default() => Action::Default,
        Some(_) => Action::Group,
        None if places.len() == binding.subjects.len() => Action::Delete,
        None => Action::RemoveSubject,
    };
    let command = match action {
        Action::Delete => Some(format!("kubectl delete {}", target(binding))),
        Action::RemoveSubject => Some(format!("kubectl patch {} --type=json -p {}", target(binding), quoted(&patch(binding, &places)))),
        Action::Group | Action::Default | Action::Grant => None,
    };
    Removal { binding: binding_name(binding), role: role_name(binding), through: via.map(str::to_owned), action, command }
}

/// The binding as arguments of kubectl.
fn target(binding: &Binding) -> String {
    let name = quoted(&binding.metadata.name);
    match binding.metadata.namespace.as_str() {
        "" => format!("clusterrolebinding {name}"),
        namespace => format!("rolebinding {name} -n {}", quoted(namespace)),
    }
}

/// A JSON patch that removes these subjects, from the last to the first. It fails if another subject is in that place by then.
fn patch(binding: &Binding, places: &[usize]) -> String {
    let steps = places.iter().rev().flat_map(|at| {
        let test = serde_json::json!({"op": "test", "path": format!("/subjects/{at}/name"), "value": binding.subjects[*at].name});
        [test, serde_json::json!({"op": "remove", "path": format!("/subjects/{at}")})]
    });
    serde_json::Value::Array(steps.collect()).to_string()
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
