//! Fewer permissions than a role names: which of its policies a request or an assignment may leave out.
//!
//! The way of access stays the same. Managed policies are left out by name, and the inline policy as a whole. A policy that denies cannot be
//! left out: the others would give more without it.
use super::{
    document::{Document, Effect},
    held::lacks,
    permissions::{Inventory, Named, Permissions, Way},
    scope::Scope,
};

/// The first permission that is not offered as it is written, in words. An inline policy must be the same document: what lies within it is
/// another one.
pub fn exceeds(asked: &Permissions, offered: &Permissions) -> Option<String> {
    let way = match asked.way() {
        Ok(way) => way,
        Err(what) => return Some(format!("what cannot be granted: {what}")),
    };
    lacks(offered, asked).or_else(|| {
        let offered = offered.way().ok().and_then(|way| way.named());
        let (asked, offered) = (inline(way.named()?)?, offered.and_then(inline));
        (Some(asked) != offered).then(|| "another inlinePolicy".to_owned())
    })
}

/// The inline policy in canonical form; nothing if there is none, or it cannot be read.
fn inline(named: Named<'_>) -> Option<String> {
    named.inline_document().ok().flatten().map(|document| document.text())
}

/// None: no policy is bound to a place.
pub fn outside(_: &Permissions, _: &Scope) -> Option<String> {
    None
}

/// The first policy that is left out and denies, or that cannot be read, in words.
pub fn loses_denial(asked: &Permissions, offered: &Permissions, inventory: &Inventory) -> Option<String> {
    let named = |permissions: &'_ Permissions| {
        permissions.way().ok().and_then(|way| way.named().map(|named| (named.managed.to_vec(), named.inline.is_some())))
    };
    let ((asked, with_inline), (offered_arns, _)) = (named(asked)?, named(offered)?);
    let left_out = offered_arns.iter().filter(|arn| !asked.contains(arn));
    let managed = left_out.filter_map(|arn| {
        let document = inventory.policy(arn).map(|found| Document::parse(&found.document));
        denies(document.and_then(Result::ok).as_ref()).map(|what| format!("managed policy {arn}, {what}"))
    });
    let inline = || {
        let document = offered.way().ok()?.named()?.inline_document();
        match document {
            _ if with_inline => None,
            Ok(None) => None,
            Ok(Some(document)) => denies(Some(&document)),
            Err(_) => denies(None),
        }
        .map(|what| format!("inlinePolicy, {what}"))
    };
    managed.chain(inline()).next()
}

/// Why a policy cannot be left out, in words that follow its name.
fn denies(document: Option<&Document>) -> Option<&'static str> {
    match document {
        None => Some("which cannot be read"),
        Some(document) if document.statements().iter().any(|s| s.rule.effect == Effect::Deny) => Some("which denies"),
        Some(_) => None,
    }
}

/// Each policy by name, or what stands already, in words.
pub fn permissions_in_words(permissions: &Permissions) -> Vec<String> {
    let of = |way: &Way<'_>| match way {
        Way::User(named) | Way::Role(named, _) | Way::PermissionSet(named) => {
            let managed = named.managed.iter().map(|arn| format!("managed policy {arn}"));
            managed.chain(named.inline.map(|_| "inlinePolicy".to_owned())).collect::<Vec<_>>()
        }
        Way::Standing(arn) => vec![format!("permission set {arn}")],
        Way::Group(id) => vec![format!("group {id} of IAM Identity Center")],
    };
    permissions.ways().iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests;
