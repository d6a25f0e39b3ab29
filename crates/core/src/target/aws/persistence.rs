//! What the holder of a grant could create that outlives it.
use super::{
    document::{Document, Effect, Listed, Rule},
    permissions::{Inventory, Permissions, Way},
    scope::Scope,
    wildcard::{action_covers, action_overlaps},
};

pub mod catalogue;

use catalogue::{LASTING, Lasting};

/// How many actions are named in a message.
const MAX_NAMED: usize = 3;

/// What the holder could create that outlives the grant, in words; `None` if everything ends with it.
pub fn persistence(permissions: &Permissions, _: &Scope, inventory: &Inventory, _: &str) -> Option<String> {
    let documents = match permissions.way().ok()? {
        Way::Group(id) => return Some(format!("members of group {id} can do what is not known here")),
        Way::Standing(_) => {
            let set = inventory.permission_set.as_ref()?;
            let managed = set.policies.iter().map(|p| (format!("managed policy {}", p.arn), Document::parse(&p.document)));
            let inline = set.inline.iter().map(|text| (format!("the inline policy of permission set {}", set.name), Document::parse(text)));
            managed.chain(inline).collect::<Vec<_>>()
        }
        Way::User(named) | Way::Role(named, _) | Way::PermissionSet(named) => {
            let managed = named.managed.iter().filter_map(|arn| inventory.policy(arn));
            let managed = managed.map(|p| (format!("managed policy {}", p.arn), Document::parse(&p.document)));
            let inline = named.inline_document().transpose().map(|document| ("inlinePolicy".to_owned(), document));
            managed.chain(inline).collect()
        }
    };
    let can = |(name, document): &(String, Result<Document, String>)| match document {
        Ok(document) => lasting(document).map(|rights| format!("{name} can {rights}")),
        Err(what) => Some(format!("{name} {what}")),
    };
    let all: Vec<String> = documents.iter().filter_map(can).collect();
    in_short(&all, "; ", "policies")
}

/// The first of several words, and how many more there are.
fn in_short(all: &[String], between: &str, what: &str) -> Option<String> {
    match all.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        _ if all.is_empty() => None,
        None => Some(all.join(between)),
        Some(more) => Some(format!("{}{between}{more} more {what} likewise", all[..MAX_NAMED].join(between))),
    }
}

/// What a document lets its holder create that outlives the grant, with the actions, in words.
pub fn lasting(document: &Document) -> Option<String> {
    let of = |effect| document.statements().iter().map(|s| &s.rule).filter(move |rule| rule.effect == effect);
    let allowed = |action: &str| of(Effect::Allow).any(|rule| reaches(&rule.actions, action));
    let denied = |action: &str| of(Effect::Deny).any(|rule| is_total(rule) && contains(&rule.actions, action));
    let can = |right: &Lasting| {
        let action = right.actions.iter().find(|action| allowed(action) && !denied(action))?;
        Some(format!("{} ({action})", right.allows))
    };
    let all: Vec<String> = LASTING.iter().filter_map(can).collect();
    in_short(&all, ", ", "rights")
}

/// Whether some action of the pattern is meant.
fn reaches(actions: &Listed, action: &str) -> bool {
    match actions {
        Listed::These(list) => list.iter().any(|pattern| action_overlaps(pattern, action)),
        Listed::AllBut(except) => !except.iter().any(|pattern| action_covers(pattern, action)),
    }
}

/// Whether every action of the pattern is meant.
fn contains(actions: &Listed, action: &str) -> bool {
    match actions {
        Listed::These(list) => list.iter().any(|pattern| action_covers(pattern, action)),
        Listed::AllBut(except) => !except.iter().any(|pattern| action_overlaps(pattern, action)),
    }
}

/// Whether a denial holds for every resource, whatever the request.
fn is_total(rule: &Rule) -> bool {
    rule.conditions.is_empty() && matches!(&rule.resources, Listed::These(list) if list.iter().any(|r| r == "*"))
}

#[cfg(test)]
mod tests;
