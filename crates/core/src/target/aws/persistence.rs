//! What the holder of a grant could create that outlives it.
use super::{
    document::{Document, Effect, Listed, Rule},
    in_short,
    permissions::{Inventory, Permissions, Way},
    scope::Scope,
    wildcard::Actions,
};

pub mod catalogue;

use catalogue::{LASTING, Lasting};

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

/// What a document lets its holder create that outlives the grant, with the actions, in words.
pub fn lasting(document: &Document) -> Option<String> {
    let rules = |effect| document.statements().iter().map(|s| &s.rule).filter(move |rule| rule.effect == effect);
    let prepared = |rule: &Rule| (Actions::of(rule.actions.patterns()), matches!(rule.actions, Listed::These(_)));
    let allow: Vec<_> = rules(Effect::Allow).map(prepared).collect();
    let deny: Vec<_> = rules(Effect::Deny).filter(|rule| is_total(rule)).map(prepared).collect();
    // Some action of the pattern is meant, and every action of the pattern is meant.
    let allowed = |action: &str| allow.iter().any(|(list, these)| if *these { list.overlap(action) } else { !list.cover(action) });
    let denied = |action: &str| deny.iter().any(|(list, these)| if *these { list.cover(action) } else { !list.overlap(action) });
    let can = |right: &Lasting| {
        let action = right.actions.iter().find(|action| allowed(action) && !denied(action))?;
        Some(format!("{} ({action})", right.allows))
    };
    let all: Vec<String> = LASTING.iter().filter_map(can).collect();
    in_short(&all, ", ", "rights")
}

/// Whether a Deny statement applies to every request and every resource.
fn is_total(rule: &Rule) -> bool {
    rule.conditions.is_empty() && matches!(&rule.resources, Listed::These(list) if list.iter().any(|r| r == "*"))
}

#[cfg(test)]
mod tests;
