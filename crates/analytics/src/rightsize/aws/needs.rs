//! What an identity of AWS needs: its actions in the window, each with the resources.
use crate::{
    aws::{
        catalogue::Actions,
        inventory::Inventory,
        policy::glob::covers,
        usage::{ActionId, Usage},
    },
    history::Window,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many ARNs of one resource type a statement names; with more, what they have in common.
const MAX_ARNS: usize = 10;
/// How many resources a statement names for one action; with more, it names all that the standing access does.
const MAX_WANTED: usize = 24;

/// One action.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Need {
    /// The last use, in Unix seconds.
    pub last: i64,
    /// Whether a record names no resource.
    pub unnamed: bool,
    /// The resources, by ARN.
    pub arns: BTreeSet<String>,
}

/// The actions of an identity in the window; of a group those of its members.
pub fn needs(inventory: &Inventory, usage: &Usage, arn: &str, window: Window) -> BTreeMap<ActionId, Need> {
    let mut needs: BTreeMap<ActionId, Need> = BTreeMap::new();
    for activity in inventory.users(arn).into_iter().filter_map(|user| usage.identities.get(user)) {
        for (action, uses) in &activity.actions {
            let unnamed = uses.unnamed.filter(|at| window.contains(*at));
            let arns: Vec<(&String, i64)> =
                uses.resources.iter().filter(|(_, at)| window.contains(**at)).map(|(arn, at)| (arn, *at)).collect();
            let Some(last) = arns.iter().map(|(_, at)| *at).chain(unnamed).max() else { continue };
            let need = needs.entry(*action).or_default();
            need.last = need.last.max(last);
            need.unnamed |= unnamed.is_some();
            need.arns.extend(arns.into_iter().map(|(arn, _)| arn.clone()));
        }
    }
    needs
}

/// The resources that a statement has to name so that no observed call is denied. `None`: every resource.
///
/// A call can need a resource of each type of the action, and its record may name some of them. For a type without a resource in the records
/// every resource of the type is named.
pub fn wanted(actions: &Actions, action: ActionId, need: &Need, partition: &str) -> Option<BTreeSet<String>> {
    let types: BTreeSet<&str> = actions.resource_types(action).iter().map(|id| actions.resource_type(*id).arn_pattern.as_str()).collect();
    if types.is_empty() || need.unnamed || need.arns.is_empty() {
        return None;
    }
    let globs: Vec<String> = types.iter().map(|pattern| glob(pattern, partition)).collect();
    let mut rest: BTreeSet<&String> = need.arns.iter().collect();
    let mut wanted = BTreeSet::new();
    // The longest shape first: the ARN of an object also fits the shape of a bucket.
    let mut by_length: Vec<&String> = globs.iter().collect();
    by_length.sort_by_key(|glob| std::cmp::Reverse(glob.len()));
    for glob in by_length {
        let (own, other): (BTreeSet<&String>, BTreeSet<&String>) = rest.into_iter().partition(|arn| covers(glob, arn));
        rest = other;
        wanted.extend(generalised(&own, glob));
    }
    // A resource of no type of the action says that the types are not understood.
    (rest.is_empty() && wanted.len() <= MAX_WANTED).then_some(wanted)
}

/// The ARNs, or what they have in common if there are many; of none, every resource of the type.
fn generalised(arns: &BTreeSet<&String>, glob: &str) -> BTreeSet<String> {
    if arns.len() <= MAX_ARNS && !arns.is_empty() {
        return arns.iter().map(|arn| literal(arn)).collect();
    }
    let (Some(first), Some(last)) = (arns.first(), arns.last()) else { return [glob.to_owned()].into() };
    let common: String = first.chars().zip(last.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let fixed = glob.find('*').unwrap_or(glob.len());
    let pattern = format!("{}*", literal(&common));
    [if common.len() > fixed { pattern } else { glob.to_owned() }].into()
}

/// An ARN as a pattern that matches it: its characters that mean something in policies become `?`, which matches any one character.
fn literal(arn: &str) -> String {
    arn.replace(['*', '$'], "?")
}

/// The shape of the ARNs of a type, with `*` for every variable but the partition.
fn glob(pattern: &str, partition: &str) -> String {
    let mut text = pattern.replace("${Partition}", partition);
    while let Some(start) = text.find("${") {
        let end = text[start..].find('}').map_or(text.len(), |end| start + end + 1);
        text.replace_range(start..end, "*");
    }
    text
}
