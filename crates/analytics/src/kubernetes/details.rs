//! Every permission of an identity of a cluster, with its places by name.
use super::{
    CLUSTER,
    findings::{binding_name, role_name},
    inventory::{Inventory, Key},
    usage::Usage,
};
use crate::{
    catalogue::PermissionId,
    details::{Extent, PermissionUse, UseState},
    history::Window,
    places::Places,
    score::Holding,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

impl Inventory<'_> {
    /// The places of a permission by name.
    fn extent(&self, permission: PermissionId, places: &Places) -> Extent {
        let total = self.permissions.catalogue.permissions()[permission].resources;
        if places.contains(CLUSTER) && (total == 1 || places.len() == total) {
            return Extent::Everywhere;
        }
        let named = self.dump.namespaces.iter().filter(|namespace| self.place(namespace).is_some_and(|place| places.contains(place)));
        let gone = places.contains(CLUSTER).then(|| GONE.to_owned());
        Extent::Places(named.cloned().chain(gone).collect())
    }
}

/// The place that stands for namespaces that do not exist now. No namespace has such a name.
const GONE: &str = "(namespaces that do not exist now)";

/// Every permission that an identity holds or used in the window, in the order of the catalogue.
pub fn details(inventory: &Inventory, usage: &Usage, window: Window, key: &Key) -> Vec<PermissionUse> {
    let last = last_uses(inventory, usage, window, key);
    let mut by = granted_by(inventory, key);
    let one = |(id, holding): (PermissionId, Holding)| {
        let permission = &inventory.permissions.catalogue.permissions()[id];
        PermissionUse {
            permission: permission.name.clone(),
            level: permission.level,
            weight: permission.weight,
            high_risk: permission.high_risk(),
            state: state(&holding, inventory.permissions.unseen.contains(&id)),
            granted: inventory.extent(id, &holding.granted),
            used: inventory.extent(id, &holding.used),
            last_used: last.get(&id).and_then(|at| Timestamp::from_second(*at).ok()).map(|at| at.to_string()),
            by: by.remove(&id).unwrap_or_default(),
        }
    };
    inventory.holdings(key, usage, window).into_iter().map(one).collect()
}

/// The last use in the window of each permission.
fn last_uses(inventory: &Inventory, usage: &Usage, window: Window, key: &Key) -> BTreeMap<PermissionId, i64> {
    let mut last = BTreeMap::new();
    let activities = inventory.users(key).into_iter().filter_map(|user| usage.users.get(user));
    for (id, uses) in activities.flat_map(|activity| activity.uses.iter().chain(&activity.implied)) {
        if let Some(at) = uses.last().filter(|at| window.contains(*at)) {
            let newest = last.entry(*id).or_insert(at);
            *newest = at.max(*newest);
        }
    }
    last
}

/// The bindings that grant each permission.
fn granted_by(inventory: &Inventory, key: &Key) -> BTreeMap<PermissionId, Vec<String>> {
    let mut by: BTreeMap<PermissionId, Vec<String>> = BTreeMap::new();
    for grant in inventory.identities.get(key).into_iter().flat_map(|identity| &identity.grants) {
        let binding = &inventory.dump.bindings[grant.binding];
        let via = grant.via.as_ref().map(|group| format!(" through group {group}")).unwrap_or_default();
        let (name, role) = (binding_name(binding), role_name(binding));
        for (id, _) in inventory.permissions_of(binding) {
            let is_named = inventory.expanded(binding).is_some_and(|expanded| expanded.resources.get(&id) == Some(&true));
            let limited = if is_named { ", named objects only" } else { "" };
            by.entry(id).or_default().push(format!("{name} ({role}{limited}){via}"));
        }
    }
    by
}

fn state(holding: &Holding, is_unseen: bool) -> UseState {
    match (holding.granted.is_empty(), holding.used.is_empty()) {
        (true, _) => UseState::NotGranted,
        (false, true) if is_unseen => UseState::NotShown,
        (false, true) => UseState::Unused,
        (false, false) if holding.granted.within(&holding.used) => UseState::Used,
        (false, false) => UseState::PartlyUsed,
    }
}
