//! Fewer and shorter patterns for the same actions: prefixes with `*` that match nothing else in the catalogue.
//!
//! The largest subtrees of the tree of prefixes that are needed as a whole. For patterns of that form and without any action beyond the need,
//! no smaller list exists (the rule of policyuniverse and policy_sentry). A prefix is exact for this version of the catalogue only: an action
//! that AWS adds later may match it.
use crate::aws::{catalogue::Actions, usage::ActionId};
use roaring::RoaringBitmap;

/// The names of actions, in the order of the catalogue.
pub fn names(actions: &Actions, needed: &RoaringBitmap) -> Vec<String> {
    needed.iter().map(|action| actions.name(action).to_owned()).collect()
}

/// The fewest prefixes that match exactly these actions.
pub fn prefixes(actions: &Actions, needed: &RoaringBitmap) -> Vec<String> {
    let mut patterns = Vec::new();
    let mut rest = needed.iter().peekable();
    while let Some(first) = rest.next() {
        let length = shortest(actions, needed, first);
        let prefix = length.map(|length| &actions.lower_name(first)[..length]);
        let mut several = false;
        while prefix.is_some_and(|prefix| rest.next_if(|next| actions.lower_name(*next).starts_with(prefix)).is_some()) {
            several = true;
        }
        // The pattern as AWS writes the names; a prefix of one action is that action.
        patterns.push(match length.filter(|_| several) {
            Some(length) => format!("{}*", &actions.name(first)[..length]),
            None => actions.name(first).to_owned(),
        });
    }
    patterns
}

/// The length of the shortest prefix of an action, at least its service, with which no action begins that is not needed. `None` if even its
/// whole name is the beginning of such an action.
fn shortest(actions: &Actions, needed: &RoaringBitmap, action: ActionId) -> Option<usize> {
    let name = actions.lower_name(action);
    // Names are sorted: of the actions that are not needed, one of the two nearest has most in common with it.
    let before = (0..action).rev().find(|id| !needed.contains(*id));
    let after = (action + 1..actions.len()).find(|id| !needed.contains(*id));
    let beyond = |border: Option<ActionId>| border.map_or(0, |border| common(name, actions.lower_name(border)) + 1);
    let service = name.find(':').map_or(0, |at| at + 1);
    let length = beyond(before).max(beyond(after)).max(service);
    (length <= name.len()).then_some(length)
}

/// How many bytes two names have in common at their beginning. Names are ASCII.
fn common(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}
