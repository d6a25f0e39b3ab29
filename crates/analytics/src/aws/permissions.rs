//! Every permission of an identity of an account, with its resources by name.
use super::scored::Facts;
use crate::{
    assemble::written,
    details::{Extent, PermissionUse, UseState},
    places::Places,
    score::Holding,
};

/// Every permission that an identity holds or used in the window, in the order of the catalogue. `None`: the account has no such identity.
pub fn permissions(facts: &Facts, arn: &str) -> Option<Vec<PermissionUse>> {
    let (arn, identity) = facts.inventory.identities.get_key_value(arn)?;
    let scored = facts.scored(arn, identity);
    let one = |(id, holding): (usize, Holding)| {
        let (permission, action) = (&facts.catalogue.permissions()[id], id as u32);
        let by = if holding.granted.is_empty() { String::new() } else { facts.inventory.granted_in(identity, action) };
        PermissionUse {
            permission: permission.name.clone(),
            level: permission.level,
            weight: permission.weight,
            high_risk: permission.high_risk(),
            state: state(&holding, facts.unseen.contains(action)),
            granted: extent(facts, action, &holding.granted),
            used: extent(facts, action, &holding.used),
            last_used: last_used(facts, arn, action).map(written),
            by: Some(by).filter(|by| !by.is_empty()).into_iter().collect(),
        }
    };
    Some(scored.holdings.into_iter().map(one).collect())
}

/// The last use in the window; of a group, that of a member.
fn last_used(facts: &Facts, arn: &str, action: u32) -> Option<i64> {
    let users = facts.inventory.users(arn);
    let uses = users.iter().filter_map(|user| facts.usage.identities.get(*user)?.actions.get(&action));
    let times = uses.flat_map(|uses| uses.unnamed.iter().chain(uses.resources.values()));
    times.copied().filter(|at| facts.window.contains(*at)).max()
}

/// The place that stands for resources that are not known, such as ones that come and go. No ARN looks like it.
const OTHERS: &str = "(others)";

fn extent(facts: &Facts, action: u32, places: &Places) -> Extent {
    let (spaces, resources) = (facts.inventory.spaces, &facts.inventory.resources);
    let space = spaces.of_action(action);
    if !places.is_empty() && places.len() >= resources.count(space) {
        return Extent::Everywhere;
    }
    Extent::Places(places.iter().map(|place| resources.name(space, place).unwrap_or(OTHERS).to_owned()).collect())
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
