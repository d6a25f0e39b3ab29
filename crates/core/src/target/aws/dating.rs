//! The date after which a statement says nothing: `DateLessThan aws:CurrentTime`, beside the conditions that it has already (IAM User Guide,
//! "AWS global condition context keys" and "IAM JSON policy elements: Condition operators").
//!
//! All conditions of a statement must hold, and of the values of one key one is enough. So a date that stands under the same operator and
//! key cannot simply be joined by another one: the earlier of both takes its place. Deny statements end at the same moment as what they
//! restrict, so that nothing of a grant concerns its holder any longer, even if nobody removes it.
use super::document::{Document, Rule, Statement};
use crate::time::Time;

/// The operator of dates.
pub const BEFORE: &str = "DateLessThan";
/// The key of the date and time of a request.
pub const CURRENT_TIME: &str = "aws:CurrentTime";
/// The same in seconds since 1970.
const EPOCH_TIME: &str = "aws:EpochTime";

/// The document in which every statement ends at the deadline.
///
/// # Errors
/// The statement that cannot be dated, in words.
pub fn dated(document: &Document, deadline: Time) -> Result<Document, String> {
    let one = |s: &Statement| {
        let rule = dated_rule(&s.rule, deadline);
        rule.map(|rule| Statement { name: s.name.clone(), rule }).ok_or_else(|| {
            format!("{} cannot be given an end, since its conditions use {BEFORE} with {CURRENT_TIME} and {EPOCH_TIME} already", s.name)
        })
    };
    document.statements().iter().map(one).collect::<Result<_, _>>().map(Document::of)
}

/// A rule that ends at the deadline; `None` if its conditions leave no room for the date.
fn dated_rule(rule: &Rule, deadline: Time) -> Option<Rule> {
    let mut rule = rule.clone();
    let keys = rule.conditions.entry(BEFORE.to_owned()).or_default();
    let spelled = |name: &str| keys.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    match (spelled(CURRENT_TIME), spelled(EPOCH_TIME)) {
        (None, _) => drop(keys.insert(CURRENT_TIME.to_owned(), vec![deadline.floor_secs().to_string()])),
        (Some(key), epoch) => match (latest(&keys[&key]), epoch) {
            (Some(latest), _) if latest <= deadline.floor_secs() => {}
            (Some(_), _) => drop(keys.insert(key, vec![deadline.floor_secs().to_string()])),
            // The date that is there is not known, and must hold, too.
            (None, None) => drop(keys.insert(EPOCH_TIME.to_owned(), vec![(deadline.floor_secs().as_millis() / 1000).to_string()])),
            (None, Some(_)) => return None,
        },
    }
    Some(rule)
}

/// The latest of several dates; `None` if one of them cannot be read. They are written as in ISO 8601, or in seconds since 1970.
fn latest(values: &[String]) -> Option<Time> {
    let date = |text: &String| match text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse().ok().map(Time::from_secs),
        false => Time::parse(text),
    };
    values.iter().map(date).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The end of a document, as far as all of its statements have one: the latest. `None` if a statement has none that can be read.
pub fn end(document: &Document) -> Option<Time> {
    let end = |s: &Statement| {
        let keys = s.rule.conditions.get(BEFORE)?;
        let of = |name: &str| keys.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, values)| latest(values));
        of(CURRENT_TIME).or_else(|| of(EPOCH_TIME))
    };
    document.statements().iter().map(end).collect::<Option<Vec<_>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests;
