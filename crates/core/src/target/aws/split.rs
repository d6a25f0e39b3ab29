//! Divides a document over as many policies as it needs. Statements stand for themselves, so that several policies on one identity say what
//! one would. A statement that is too large for one policy is divided by its actions, then by its resources.
use super::document::{Document, Listed, Rule, Statement};

/// The longest managed policy in characters, without white space (IAM User Guide, "IAM and AWS STS quotas").
pub const MAX_POLICY_CHARS: usize = 6_144;
/// The longest inline policy of a permission set in characters, without white space (IAM Identity Center User Guide, "IAM Identity Center
/// quotas").
pub const MAX_PERMISSION_SET_CHARS: usize = 10_240;

/// The documents, each of at most `max` characters, in an order that depends on the content alone.
///
/// # Errors
/// The statement that is too large and cannot be divided, in words.
pub fn split(document: &Document, max: usize) -> Result<Vec<Document>, String> {
    let mut policies: Vec<(usize, Vec<Statement>)> = Vec::new();
    let empty = Document::default().chars();
    for statement in document.statements() {
        let mut parts = Vec::new();
        divide(statement, max.saturating_sub(empty), &mut parts)?;
        for part in parts {
            let chars = chars(&part.rule);
            // A comma stands before each but the first.
            match policies.iter_mut().find(|(used, _)| used + 1 + chars <= max) {
                Some((used, statements)) => {
                    *used += 1 + chars;
                    statements.push(part);
                }
                None => policies.push((empty + chars, vec![part])),
            }
        }
    }
    Ok(policies.into_iter().map(|(_, statements)| Document::of(statements)).collect())
}

fn chars(rule: &Rule) -> usize {
    rule.to_json().to_string().chars().count()
}

/// A statement in parts of at most `max` characters.
fn divide(statement: &Statement, max: usize, parts: &mut Vec<Statement>) -> Result<(), String> {
    let rule = &statement.rule;
    let size = chars(rule);
    if size <= max {
        parts.push(statement.clone());
        return Ok(());
    }
    let halves = match (&rule.actions, &rule.resources) {
        (Listed::These(actions), _) if actions.len() > 1 => {
            halves(actions).map(|half| Rule { actions: Listed::These(half), ..rule.clone() })
        }
        (_, Listed::These(resources)) if resources.len() > 1 => {
            halves(resources).map(|half| Rule { resources: Listed::These(half), ..rule.clone() })
        }
        _ => return Err(format!("{} has {size} characters and cannot be divided, and a policy has room for {max}", statement.name)),
    };
    for rule in halves {
        divide(&Statement { name: statement.name.clone(), rule }, max, parts)?;
    }
    Ok(())
}

fn halves(list: &[String]) -> [Vec<String>; 2] {
    let (first, second) = list.split_at(list.len() / 2);
    [first.to_vec(), second.to_vec()]
}

#[cfg(test)]
mod tests;
