//! Whether one document allows no more than another one. In doubt it allows more.
use super::{
    document::{Conditions, Document, Effect, Listed, Rule},
    wildcard::{action_covers, action_overlaps, resource_covers, resource_overlaps},
};

/// The first statement by which `now` allows more than `then`, in words: an Allow statement that no Allow statement of `then` covers, or a
/// Deny statement of `then` that is gone.
pub fn beyond(now: &Document, then: &Document) -> Option<String> {
    let of = |document: &'_ Document, effect| -> Vec<Rule> {
        document.statements().iter().filter(|s| s.rule.effect == effect).map(|s| s.rule.clone()).collect()
    };
    let allowed = of(then, Effect::Allow);
    let more = now.statements().iter().filter(|s| s.rule.effect == Effect::Allow).find(|s| !is_covered(&s.rule, &allowed));
    if let Some(more) = more {
        return Some(more.name.clone());
    }
    let denied = of(now, Effect::Deny);
    let gone = then.statements().iter().filter(|s| s.rule.effect == Effect::Deny).find(|s| !is_covered(&s.rule, &denied));
    gone.map(|gone| format!("without {}, which denies", gone.name))
}

/// Whether every request that a rule is about is one that a single rule of these is about.
fn is_covered(rule: &Rule, by: &[Rule]) -> bool {
    parts(&rule.actions).iter().all(|actions| {
        parts(&rule.resources).iter().all(|resources| by.iter().any(|general| covers(general, actions, resources, &rule.conditions)))
    })
}

/// Each pattern alone, since another rule may cover each. What is excepted stays together.
fn parts(listed: &Listed) -> Vec<Listed> {
    match listed {
        Listed::These(list) => list.iter().map(|one| Listed::These(vec![one.clone()])).collect(),
        Listed::AllBut(_) => vec![listed.clone()],
    }
}

fn covers(general: &Rule, actions: &Listed, resources: &Listed, conditions: &Conditions) -> bool {
    listed_covers(&general.actions, actions, action_covers, action_overlaps)
        && listed_covers(&general.resources, resources, resource_covers, resource_overlaps)
        && conditions_cover(&general.conditions, conditions)
}

type Compare = fn(&str, &str) -> bool;

fn listed_covers(general: &Listed, specific: &Listed, covers: Compare, overlaps: Compare) -> bool {
    match (general, specific) {
        (Listed::These(general), Listed::These(specific)) => specific.iter().all(|s| general.iter().any(|g| covers(g, s))),
        (Listed::AllBut(except), Listed::These(specific)) => specific.iter().all(|s| !except.iter().any(|e| overlaps(e, s))),
        (Listed::AllBut(except), Listed::AllBut(specific)) => except.iter().all(|e| specific.iter().any(|s| covers(s, e))),
        (Listed::These(general), Listed::AllBut(_)) => general.iter().any(|g| g == "*"),
    }
}

/// Operators by which more values allow more, and those by which more values allow less. All others must be equal.
const WIDER_WITH_VALUES: [&str; 6] = ["ArnEquals", "ArnLike", "IpAddress", "StringEquals", "StringEqualsIgnoreCase", "StringLike"];
const NARROWER_WITH_VALUES: [&str; 6] =
    ["ArnNotEquals", "ArnNotLike", "NotIpAddress", "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike"];

/// Whether every request that meets the specific conditions meets the general ones.
fn conditions_cover(general: &Conditions, specific: &Conditions) -> bool {
    general.iter().all(|(operator, keys)| {
        keys.iter().all(|(key, values)| {
            let of_operator = specific.get(operator).into_iter().flatten();
            let found = of_operator.filter(|(other, _)| other.eq_ignore_ascii_case(key)).map(|(_, values)| values).next();
            let Some(found) = found else { return false };
            match operator.as_str() {
                operator if WIDER_WITH_VALUES.contains(&operator) => !found.is_empty() && found.iter().all(|v| values.contains(v)),
                operator if NARROWER_WITH_VALUES.contains(&operator) => values.iter().all(|v| found.contains(v)),
                _ => values == found,
            }
        })
    })
}

#[cfg(test)]
mod tests;
