//! Narrows Allow statements to regions and resources. What cannot be narrowed without giving more or less than both say is refused by the
//! name of its statement.
use super::{
    document::{Document, Effect, Listed, Rule, Statement},
    wildcard::{resource_covers, resource_intersection, resource_overlaps},
};

/// The key of the region to which a request goes (IAM User Guide, "AWS global condition context keys").
pub const REGION: &str = "aws:RequestedRegion";
const EQUALS: &str = "StringEquals";
/// Regions have no wildcards in their names, so this is the same, and may stand beside the other.
const LIKE: &str = "StringLike";

/// A document within a scope, and what of it gives nothing there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Narrowed {
    /// What is left.
    pub document: Document,
    /// The names of the Allow statements that give nothing in the scope.
    pub dropped: Vec<String>,
}

/// The document whose Allow statements reach only these regions and resources; empty lists mean all. Deny statements stay as they are.
///
/// # Errors
/// The statement that cannot be narrowed, in words.
pub fn narrowed(document: &Document, regions: &[String], resources: &[String]) -> Result<Narrowed, String> {
    let (mut left, mut dropped) = (Vec::new(), Vec::new());
    for statement in document.statements() {
        let rule = match statement.rule.effect {
            Effect::Deny => Some(statement.rule.clone()),
            Effect::Allow => {
                let rule = in_regions(&statement.rule, regions).map_err(|why| format!("{} {why}", statement.name))?;
                let rule = rule.map(|rule| on_resources(&rule, resources)).transpose();
                rule.map_err(|why| format!("{} {why}", statement.name))?.flatten()
            }
        };
        match rule {
            Some(rule) => left.push(Statement { name: statement.name.clone(), rule }),
            None => dropped.push(statement.name.clone()),
        }
    }
    Ok(Narrowed { document: Document::of(left), dropped })
}

/// A rule in these regions alone; nothing if it names others alone.
fn in_regions(rule: &Rule, regions: &[String]) -> Result<Option<Rule>, String> {
    if regions.is_empty() {
        return Ok(Some(rule.clone()));
    }
    let mut rule = rule.clone();
    let spelled = |rule: &Rule, operator: &str| {
        let keys = rule.conditions.get(operator)?;
        keys.keys().find(|key| key.eq_ignore_ascii_case(REGION)).cloned()
    };
    let (operator, key, values) = match (spelled(&rule, EQUALS), spelled(&rule, LIKE)) {
        (None, _) => (EQUALS, REGION.to_owned(), regions.to_vec()),
        (Some(key), like) => {
            let there = &rule.conditions[EQUALS][&key];
            match there.iter().any(|value| value.contains("${")) {
                false => (EQUALS, key, there.iter().filter(|value| regions.contains(value)).cloned().collect()),
                true if like.is_none() => (LIKE, REGION.to_owned(), regions.to_vec()),
                true => return Err(format!("cannot be narrowed to regions, since its conditions on {REGION} use policy variables")),
            }
        }
    };
    if values.is_empty() {
        return Ok(None);
    }
    let mut values = values;
    values.sort();
    rule.conditions.entry(operator.to_owned()).or_default().insert(key, values);
    Ok(Some(rule))
}

/// A rule on these resources alone; nothing if it names others alone.
fn on_resources(rule: &Rule, scope: &[String]) -> Result<Option<Rule>, String> {
    if scope.is_empty() {
        return Ok(Some(rule.clone()));
    }
    let mut left: Vec<String> = Vec::new();
    match &rule.resources {
        Listed::These(list) => {
            for (resource, within) in list.iter().flat_map(|r| scope.iter().map(move |s| (r, s))) {
                let both = resource_intersection(resource, within).map_err(|_| overlap(resource, within))?;
                left.extend(both);
            }
        }
        Listed::AllBut(except) => {
            for within in scope.iter().filter(|within| !except.iter().any(|e| resource_covers(e, within))) {
                match except.iter().find(|e| resource_overlaps(e, within)) {
                    Some(e) => return Err(format!("cannot be narrowed to {within}, since its NotResource {e} excepts a part of that")),
                    None => left.push(within.clone()),
                }
            }
        }
    }
    left.sort();
    left.dedup();
    Ok((!left.is_empty()).then(|| Rule { resources: Listed::These(left), ..rule.clone() }))
}

fn overlap(resource: &str, within: &str) -> String {
    format!("cannot be narrowed to {within}, since its resource {resource} reaches a part of that which no single ARN stands for")
}

#[cfg(test)]
mod tests;
