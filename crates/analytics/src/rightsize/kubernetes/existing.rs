//! The ClusterRoles that exist and fit best, such as `view` and `edit`, in place of new roles.
use super::{
    needs::{Need, Needs, Part},
    observed::Access,
    standing::includes,
};
use crate::{
    kubernetes::{dump::Role, inventory::Inventory, rules::expand},
    places::Places,
    reach::reach,
    rightsize::select::{Candidate, best},
};
use roaring::RoaringBitmap;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How many roles a choice has at most, for each scope.
const MAX_ROLES: usize = 3;

/// Existing roles for one scope.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Existing {
    /// The namespaces in which they are bound; empty: in the whole cluster.
    pub bound_in: Vec<String>,
    /// The ClusterRoles; empty if no choice of three allows everything.
    pub roles: Vec<String>,
    /// The weight of what they grant beyond the need, as a share of the catalogue's.
    pub excess: f64,
    /// Whether no other choice has less excess.
    pub exact: bool,
    /// What no existing role allows, by name; at most ten.
    pub not_covered: Vec<String>,
}

/// The best choice for the whole cluster and for the namespaces.
pub fn existing(inventory: &Inventory, needs: &Needs) -> Vec<Existing> {
    let mut found = Vec::new();
    let scopes = [vec![&Part::Cluster], needs.parts.keys().filter(|part| **part != Part::Cluster).collect()];
    for parts in scopes {
        let mut wanted: BTreeMap<Access, Need> = BTreeMap::new();
        for (access, need) in parts.iter().filter_map(|part| needs.parts.get(part)).flatten() {
            let names = wanted.get(access).map_or(need.names.clone(), |there| {
                there.names.clone().zip(need.names.clone()).map(|(a, b)| a.into_iter().chain(b).collect())
            });
            wanted.insert(access.clone(), Need { names, ..need.clone() });
        }
        if !wanted.is_empty() {
            let of = |part: &&Part| if let Part::Namespace(name) = part { Some(name.clone()) } else { None };
            found.push(choose(inventory, &wanted, parts.iter().filter_map(of).collect()));
        }
    }
    found
}

fn choose(inventory: &Inventory, needs: &BTreeMap<Access, Need>, bound_in: Vec<String>) -> Existing {
    let permissions = inventory.permissions;
    // Roles of Kubernetes itself are for its components, and one that grants everything, such as `cluster-admin`, limits nothing.
    let offered = |((namespace, name), role): &(&(String, String), &Role)| {
        let reserved = name.starts_with("system:") || name.starts_with("curfew-");
        namespace.is_empty() && !reserved && !expand(role, permissions).everything
    };
    let roles: Vec<(&String, &Role)> = inventory.dump.roles.iter().filter(offered).map(|((_, name), role)| (name, role)).collect();
    let index = |list: Vec<u32>| list.into_iter().collect::<RoaringBitmap>();
    let number = |id: usize| u32::try_from(id).unwrap_or(u32::MAX);
    let candidate = |(_, role): &(&String, &Role)| {
        let covers = needs.iter().zip(0u32..).filter(|((access, need), _)| allows(role, access, need, &bound_in)).map(|(_, at)| at);
        let expanded = expand(role, permissions);
        let urls = if bound_in.is_empty() { expanded.urls } else { Vec::new() };
        Candidate { covers: covers.collect(), grants: index(expanded.resources.keys().copied().chain(urls).map(number).collect()) }
    };
    let candidates: Vec<Candidate> = roles.iter().map(candidate).collect();
    let covered = candidates.iter().fold(RoaringBitmap::new(), |all, candidate| all | &candidate.covers);
    let not_covered: Vec<String> =
        needs.keys().zip(0u32..).filter(|(_, at)| !covered.contains(*at)).map(|(access, _)| access.name()).take(10).collect();
    let ids = |access: &Access| -> Vec<usize> {
        match access {
            Access::Resource { group, resource, verb } => permissions.of_request(verb, group, resource).into_iter().collect(),
            Access::Url { path, verb } => permissions.of_url(verb, path).collect(),
        }
    };
    let needed = index(needs.keys().flat_map(ids).map(number).collect());
    let weight = |id: u32| {
        let permission = &permissions.catalogue.permissions()[id as usize];
        let total = permission.resources;
        let places = if bound_in.is_empty() { total } else { u32::try_from(bound_in.len()).unwrap_or(total).min(total) };
        // A permission of the cluster is not granted by a RoleBinding.
        if !bound_in.is_empty() && total == 1 { 0.0 } else { permission.weight * reach(places, total) }
    };
    let all: RoaringBitmap = (0..u32::try_from(needs.len()).unwrap_or(u32::MAX)).collect();
    let found = best(&all, &candidates, &needed, weight, MAX_ROLES);
    Existing {
        roles: found.iter().flat_map(|found| &found.chosen).map(|at| roles[*at].0.clone()).collect(),
        excess: found.as_ref().map_or(0.0, |found| found.excess / permissions.catalogue.mass()),
        exact: found.is_none_or(|found| found.exact),
        bound_in,
        not_covered,
    }
}

/// Whether a role alone allows a need where it is bound.
fn allows(role: &Role, access: &Access, need: &Need, bound_in: &[String]) -> bool {
    if matches!(access, Access::Url { .. }) && !bound_in.is_empty() {
        return false;
    }
    let rules = || role.rules.iter().filter(|rule| includes(rule, access));
    let named = || rules().flat_map(|rule| &rule.resource_names).collect::<BTreeSet<_>>();
    rules().any(|rule| rule.resource_names.is_empty() || matches!(access, Access::Url { .. }))
        || need.names.as_ref().is_some_and(|names| !names.is_empty() && names.iter().all(|name| named().contains(name)))
}

/// The places of a part.
pub fn places(inventory: &Inventory, part: &Part, total: u32) -> Places {
    match part {
        Part::Cluster => Places::first(total),
        Part::Namespace(name) if total > 1 => inventory.place(name).into_iter().collect(),
        Part::Namespace(_) => Places::default(),
    }
}
