//! The date after which a statement says nothing: `DateLessThan aws:CurrentTime`, beside the conditions that it has already (IAM User Guide,
//! "AWS global condition context keys" and "IAM JSON policy elements: Condition operators").
//!
//! All conditions of a statement must hold, and of the values of one key one is enough. So a date that stands under the same operator and
//! key cannot simply be joined by another one: the earlier of both takes its place. A value that has more than one reading (`2099` is a year,
//! or seconds since 1970) has none here: it stays, and the end stands beside it under the other key. Deny statements end at the same moment as
//! what they restrict, so that nothing of a grant concerns its holder any longer, even if nobody removes it.
use super::document::{Document, Rule, Statement};
use crate::time::Time;

/// The operator of dates.
pub const BEFORE: &str = "DateLessThan";
/// The key of the date and time of a request.
pub const CURRENT_TIME: &str = "aws:CurrentTime";
/// The same in seconds since 1970.
const EPOCH_TIME: &str = "aws:EpochTime";
/// The digits of seconds since 1970, from 2001 to 2286.
const EPOCH_DIGITS: usize = 10;

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
    let end = deadline.floor_secs();
    let in_time = |latest: Time| latest <= end;
    match (spelled(CURRENT_TIME), spelled(EPOCH_TIME)) {
        (None, _) => drop(keys.insert(CURRENT_TIME.to_owned(), vec![end.to_string()])),
        (Some(key), epoch) => match (latest(&keys[&key], timestamp), epoch) {
            (Some(latest), _) if in_time(latest) => {}
            (Some(_), _) => drop(keys.insert(key, vec![end.to_string()])),
            // The date that is there is not known, and must hold, too.
            (None, None) => drop(keys.insert(EPOCH_TIME.to_owned(), vec![secs(end).to_string()])),
            (None, Some(epoch)) if latest(&keys[&epoch], epoch_secs).is_some_and(in_time) => {}
            (None, Some(_)) => return None,
        },
    }
    Some(rule)
}

/// The latest of several dates; `None` if one of them cannot be read.
fn latest(values: &[String], read: fn(&str) -> Option<Time>) -> Option<Time> {
    values.iter().map(|text| read(text)).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// A whole timestamp in the one form that Curfew writes itself: `2026-11-23T08:15:00Z`.
fn timestamp(text: &str) -> Option<Time> {
    Time::parse(text).filter(|time| time.floor_secs() == *time && time.to_string() == text)
}

/// Seconds since 1970. Fewer digits might be a year.
fn epoch_secs(text: &str) -> Option<Time> {
    let whole = text.len() == EPOCH_DIGITS && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    whole.then(|| text.parse().ok().map(Time::from_secs)).flatten()
}

fn secs(time: Time) -> i64 {
    time.as_millis() / 1000
}

/// The end of a document, as far as all of its statements have one: the latest. `None` if a statement has none that can be read.
pub fn end(document: &Document) -> Option<Time> {
    let end = |s: &Statement| {
        let keys = s.rule.conditions.get(BEFORE)?;
        let values = |name: &str| keys.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, values)| values);
        let current = values(CURRENT_TIME).and_then(|values| latest(values, timestamp));
        let epoch = values(EPOCH_TIME).and_then(|values| latest(values, epoch_secs));
        // Both must hold.
        current.into_iter().chain(epoch).min()
    };
    document.statements().iter().map(end).collect::<Option<Vec<_>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests;
