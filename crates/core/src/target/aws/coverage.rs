//! Whether one document allows no more than another one. In doubt it allows more.
use super::{
    document::{Conditions, Document, Effect, Listed, Rule},
    wildcard::{Actions, resource_covers, resource_overlaps},
};
use std::collections::BTreeSet;

/// The first statement by which `now` allows more than `then`, in words: an Allow statement that no Allow statement of `then` covers, or a
/// Deny statement of `then` that is gone. `of` names the document.
pub fn beyond(now: &Document, then: &Document, of: &str) -> Option<String> {
    let rules = |document: &Document, effect| -> Vec<General> {
        let rules = document.statements().iter().map(|s| &s.rule).filter(|rule| rule.effect == effect);
        rules.map(|rule| General { rule: rule.clone(), actions: Actions::of(rule.actions.patterns()) }).collect()
    };
    let allowed = rules(then, Effect::Allow);
    let more = now.statements().iter().filter(|s| s.rule.effect == Effect::Allow).find(|s| !is_covered(&s.rule, &allowed));
    if let Some(more) = more {
        return Some(format!("{} of {of}", more.name));
    }
    let denied = rules(now, Effect::Deny);
    let gone = then.statements().iter().filter(|s| s.rule.effect == Effect::Deny).find(|s| !is_covered(&s.rule, &denied));
    gone.map(|gone| format!("{of} without {}, which denies", gone.name))
}

/// A rule, with its actions prepared for many comparisons.
struct General {
    rule: Rule,
    actions: Actions,
}

/// Whether every request that a rule is about is one that a single rule of these is about. Each action and each resource may be covered by
/// another one, so each of them is compared once, and only the results are combined.
fn is_covered(rule: &Rule, by: &[General]) -> bool {
    if by.iter().any(|general| general.rule == *rule) {
        return true;
    }
    let by: Vec<&General> = by.iter().filter(|general| conditions_cover(&general.rule.conditions, &rule.conditions)).collect();
    let which = |listed: &Listed, cover: fn(&General, &Listed) -> bool| -> BTreeSet<Vec<bool>> {
        parts(listed).iter().map(|part| by.iter().map(|general| cover(general, part)).collect()).collect()
    };
    let of_actions = which(&rule.actions, actions_cover);
    let of_resources = which(&rule.resources, |general, part| resources_cover(&general.rule.resources, part));
    let both = |a: &[bool], r: &[bool]| a.iter().zip(r).any(|(action, resource)| *action && *resource);
    of_actions.iter().all(|actions| of_resources.iter().all(|resources| both(actions, resources)))
}

/// Each pattern alone, since another rule may cover each. What is excepted stays together.
fn parts(listed: &Listed) -> Vec<Listed> {
    match listed {
        Listed::These(list) => list.iter().map(|one| Listed::These(vec![one.clone()])).collect(),
        Listed::AllBut(_) => vec![listed.clone()],
    }
}

fn actions_cover(general: &General, specific: &Listed) -> bool {
    match (&general.rule.actions, specific) {
        (Listed::These(_), Listed::These(specific)) => specific.iter().all(|s| general.actions.cover(s)),
        (Listed::AllBut(_), Listed::These(specific)) => !specific.iter().any(|s| general.actions.overlap(s)),
        (Listed::AllBut(except), Listed::AllBut(specific)) => {
            let specific = Actions::of(specific);
            except.iter().all(|e| specific.cover(e))
        }
        (Listed::These(all), Listed::AllBut(_)) => all.iter().any(|g| g == "*"),
    }
}

fn resources_cover(general: &Listed, specific: &Listed) -> bool {
    match (general, specific) {
        (Listed::These(general), Listed::These(specific)) => specific.iter().all(|s| general.iter().any(|g| resource_covers(g, s))),
        (Listed::AllBut(except), Listed::These(specific)) => specific.iter().all(|s| !except.iter().any(|e| resource_overlaps(e, s))),
        (Listed::AllBut(except), Listed::AllBut(specific)) => except.iter().all(|e| specific.iter().any(|s| resource_covers(s, e))),
        (Listed::These(all), Listed::AllBut(_)) => all.iter().any(|g| g == "*"),
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
