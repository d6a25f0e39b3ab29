//! Policy documents from statements, within the limits of IAM (IAM User Guide, "IAM and AWS STS quotas").
use super::{
    narrow::{Proposed, Reach},
    patterns::{names, prefixes},
};
use crate::aws::{
    catalogue::Actions,
    policy::{Effect, Listed},
};
use clap::ValueEnum;
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The largest managed policy, in characters without white space.
pub const MANAGED: usize = 6_144;
/// All inline policies of a role together.
pub const OF_ROLE: usize = 10_240;
/// All inline policies of a group together.
pub const OF_GROUP: usize = 5_120;
/// All inline policies of a user together.
pub const OF_USER: usize = 2_048;
/// How many managed policies a user, group or role has, unless the quota was raised.
pub const MAX_ATTACHED: usize = 10;

/// When actions are written as prefixes with `*`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub enum Wildcards {
    /// If the policy is too large without them.
    #[default]
    WhenNeeded,
    /// Wherever they match nothing else today.
    Always,
    /// Never.
    Never,
}

/// How many characters a document has, without white space. Text in quotes has none in the shortest form but its own, which IAM does not count.
pub fn characters(document: &Value) -> usize {
    document.to_string().chars().filter(|c| !c.is_whitespace()).count()
}

fn one_or_many(list: Vec<String>) -> Value {
    match <[String; 1]>::try_from(list) {
        Ok([one]) => one.into(),
        Err(list) => list.into(),
    }
}

/// A statement as JSON.
pub fn statement(actions: &Actions, proposed: &Proposed, short: bool) -> Value {
    let allow = proposed.effect == Effect::Allow;
    let mut value = json!({"Effect": if allow { "Allow" } else { "Deny" }});
    match &proposed.denied {
        Some(Listed::These(list)) => value["Action"] = one_or_many(list.clone()),
        Some(Listed::AllBut(list)) => value["NotAction"] = one_or_many(list.clone()),
        None => {
            let list = if short { prefixes(actions, &proposed.actions) } else { names(actions, &proposed.actions) };
            value["Action"] = one_or_many(list);
        }
    }
    let list = |list: &BTreeSet<String>| one_or_many(list.iter().cloned().collect());
    match &proposed.reach {
        Reach::These(these) => value["Resource"] = list(these),
        Reach::AllBut(except) => value["NotResource"] = list(except),
    }
    for (operator, key, values) in &proposed.conditions {
        value["Condition"][operator][key] = one_or_many(values.clone());
    }
    value
}

fn document(statements: Vec<Value>) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// The whole policy as one document.
pub fn whole(actions: &Actions, statements: &[Proposed], short: bool) -> Value {
    document(statements.iter().map(|proposed| statement(actions, proposed, short)).collect())
}

/// The policy as documents of at most so many characters, and whether wildcards were needed.
pub fn split(actions: &Actions, statements: &[Proposed], limit: usize, wildcards: Wildcards) -> (Vec<Value>, bool) {
    let one = |short: bool| {
        let whole = whole(actions, statements, short);
        (characters(&whole) <= limit).then_some(whole)
    };
    let short = match wildcards {
        Wildcards::Never => false,
        Wildcards::Always => true,
        Wildcards::WhenNeeded => one(false).is_none(),
    };
    if let Some(whole) = one(short) {
        return (vec![whole], short);
    }
    let empty = characters(&document(Vec::new()));
    let mut pieces: Vec<Value> = Vec::new();
    statements.iter().for_each(|proposed| pieces.extend(cut(actions, proposed, short, limit - empty)));
    // First fit, the largest first.
    pieces.sort_by_key(|piece| std::cmp::Reverse(characters(piece)));
    let mut bins: Vec<(usize, Vec<Value>)> = Vec::new();
    for piece in pieces {
        let size = characters(&piece) + 1;
        match bins.iter_mut().find(|(used, _)| used + size <= limit) {
            Some((used, list)) => {
                *used += size;
                list.push(piece);
            }
            None => bins.push((empty + size, vec![piece])),
        }
    }
    (bins.into_iter().map(|(_, statements)| document(statements)).collect(), short)
}

/// A statement in parts of at most so many characters: half of the actions each, or half of the resources. What has neither stays whole.
fn cut(actions: &Actions, proposed: &Proposed, short: bool, limit: usize) -> Vec<Value> {
    let whole = statement(actions, proposed, short);
    if characters(&whole) < limit {
        return vec![whole];
    }
    let halves: [Proposed; 2] = if proposed.actions.len() > 1 {
        let (a, b) = in_two(proposed.actions.iter().collect());
        [a, b].map(|half| Proposed { actions: half.into_iter().collect::<RoaringBitmap>(), ..proposed.clone() })
    } else if let (Effect::Allow, Reach::These(these)) = (proposed.effect, &proposed.reach)
        && these.len() > 1
    {
        let (a, b) = in_two(these.iter().cloned().collect());
        [a, b].map(|half| Proposed { reach: Reach::These(half.into_iter().collect()), ..proposed.clone() })
    } else {
        return vec![whole];
    };
    halves.iter().flat_map(|half| cut(actions, half, short, limit)).collect()
}

fn in_two<T>(mut list: Vec<T>) -> (Vec<T>, Vec<T>) {
    let rest = list.split_off(list.len() / 2);
    (list, rest)
}
