//! The scores of identities: for each the days on which its score changed.
use super::{
    IdentityScore, Limits, Store,
    codec::{Reader, Writer},
    error::{Result, StoreError},
    names::{NAMES, Names, Sort, TEXTS, Texts, bounded},
};
use crate::history::{Day, Point};
use redb::{ReadableTable, TableDefinition, WriteTransaction};
use std::collections::BTreeMap;

/// (system, identity) to its [`Point`]s.
pub const IDENTITY_SCORES: TableDefinition<(u32, u32), &[u8]> = TableDefinition::new("identity_scores");

/// The code of an identity that is excluded from scores. Smaller codes are scores.
const EXCLUDED: u8 = 101;
/// The code of an identity that no longer exists.
const GONE: u8 = 102;

/// An identity by name. A user and a group can have the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Whether it is a group.
    pub group: bool,
}

/// The name of an identity's scores in the dictionary.
fn key(name: &str, group: bool) -> String {
    bounded(&format!("{}{name}", if group { "group:" } else { "one:" })).into_owned()
}

fn subject(key: &str) -> Option<Subject> {
    let (kind, name) = key.split_once(':')?;
    Some(Subject { name: name.to_owned(), group: kind == "group" })
}

fn encode(points: &[Point]) -> Vec<u8> {
    let mut writer = Writer::new();
    let mut before = 0;
    for point in points {
        let code = match (point.score, point.exists) {
            (_, false) => GONE,
            (Some(score), true) => score.min(100),
            (None, true) => EXCLUDED,
        };
        writer.number(u64::from(point.day.0 - before));
        writer.raw(&[code]);
        if code < EXCLUDED {
            writer.bits(point.x.unwrap_or_default());
        }
        before = point.day.0;
    }
    writer.finish()
}

fn decode(bytes: &[u8], identity: u32) -> Result<Vec<Point>> {
    let read = || -> std::result::Result<Vec<Point>, String> {
        let (mut reader, mut points, mut day) = (Reader::new(bytes)?, Vec::new(), 0u32);
        while !reader.is_at_end() {
            day = day.checked_add(reader.small()?).ok_or("a day of more than 32 bits")?;
            let code = reader.byte()?;
            points.push(match code {
                GONE => Point { day: Day(day), exists: false, score: None, x: None },
                EXCLUDED => Point { day: Day(day), exists: true, score: None, x: None },
                score @ 0..=100 => Point { day: Day(day), exists: true, score: Some(score), x: Some(reader.bits()?) },
                other => return Err(format!("the code {other}")),
            });
        }
        Ok(points)
    };
    read().map_err(|why| StoreError::Damaged { table: "identity_scores", why: format!("identity {identity}: {why}") })
}

/// Notes the value of a day that is not before the last. Whether anything changed.
fn note(points: &mut Vec<Point>, now: Point) -> bool {
    let same = |point: &Point| Point { day: now.day, ..*point } == now;
    let today = points.last().filter(|point| point.day >= now.day).copied();
    if today.is_some_and(|point| same(&point)) {
        return false;
    }
    if today.is_some() {
        points.pop();
    }
    if !points.last().is_some_and(same) {
        points.push(now);
        return true;
    }
    today.is_some()
}

/// Stores the scores of all identities of a system.
pub fn put(transaction: &WriteTransaction, system: u32, limits: &Limits, day: Day, scores: &[IdentityScore]) -> Result<()> {
    let mut table = transaction.open_table(IDENTITY_SCORES)?;
    let mut known: BTreeMap<u32, Vec<Point>> = BTreeMap::new();
    for entry in table.range((system, 0)..=(system, u32::MAX))? {
        let (key, value) = entry?;
        let identity = key.value().1;
        known.insert(identity, decode(value.value(), identity)?);
    }
    let mut names = Names::open(transaction, system, limits)?;
    let mut changed: BTreeMap<u32, Vec<Point>> = BTreeMap::new();
    for score in scores {
        let Some(identity) = names.id(&key(&score.name, score.group), Sort::Needed)? else { continue };
        let mut points = known.remove(&identity).unwrap_or_default();
        let x = score.x.filter(|_| score.score.is_some());
        if note(&mut points, Point { day, exists: true, score: score.score, x }) {
            changed.insert(identity, points);
        }
    }
    names.close()?;
    for (identity, mut points) in known {
        if note(&mut points, Point { day, exists: false, score: None, x: None }) {
            changed.insert(identity, points);
        }
    }
    for (identity, points) in changed {
        table.insert((system, identity), &*encode(&points))?;
    }
    Ok(())
}

/// Removes what was before a day. The last change before it stays, because it is the value on that day. Returns how many identities have
/// nothing left.
pub fn prune(transaction: &WriteTransaction, system: u32, first: Day) -> Result<u64> {
    let mut table = transaction.open_table(IDENTITY_SCORES)?;
    let mut changed = Vec::new();
    for entry in table.range((system, 0)..=(system, u32::MAX))? {
        let (key, value) = entry?;
        let identity = key.value().1;
        let points = decode(value.value(), identity)?;
        let keep = points.iter().rposition(|point| point.day <= first).unwrap_or(0);
        let left = &points[keep..];
        let is_gone = left.iter().all(|point| !point.exists && point.day < first);
        if is_gone || keep > 0 {
            changed.push((identity, if is_gone { Vec::new() } else { left.to_vec() }));
        }
    }
    let mut removed = 0;
    for (identity, points) in changed {
        if points.is_empty() {
            table.remove((system, identity))?;
            removed += 1;
        } else {
            table.insert((system, identity), &*encode(&points))?;
        }
    }
    Ok(removed)
}

impl Store {
    /// The days on which the score of an identity changed, the oldest first. A value holds until the next one.
    ///
    /// # Errors
    /// If a value is damaged, and of the disk.
    pub fn history_of(&self, system: &str, name: &str, group: bool) -> Result<Vec<Point>> {
        let transaction = self.read()?;
        let Some(system) = self.system(&transaction, system)? else { return Ok(Vec::new()) };
        let names = transaction.open_table(NAMES)?;
        let Some(identity) = names.get((system, &*key(name, group)))?.map(|found| found.value()) else { return Ok(Vec::new()) };
        match transaction.open_table(IDENTITY_SCORES)?.get((system, identity))? {
            Some(found) => decode(found.value(), identity),
            None => Ok(Vec::new()),
        }
    }

    /// The same for every identity of a system.
    ///
    /// # Errors
    /// As [`Store::history_of`].
    pub fn histories(&self, system: &str) -> Result<BTreeMap<Subject, Vec<Point>>> {
        let transaction = self.read()?;
        let Some(system) = self.system(&transaction, system)? else { return Ok(BTreeMap::new()) };
        let (table, texts) = (transaction.open_table(IDENTITY_SCORES)?, transaction.open_table(TEXTS)?);
        let (mut texts, mut found) = (Texts::new(system, &texts), BTreeMap::new());
        for entry in table.range((system, 0)..=(system, u32::MAX))? {
            let (key, value) = entry?;
            let identity = key.value().1;
            if let Some(subject) = subject(&texts.get(identity)?) {
                found.insert(subject, decode(value.value(), identity)?);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_kept_and_the_last_of_a_day_wins() {
        let at = |day, score: Option<u8>| Point { day: Day(day), exists: true, score, x: score.map(f64::from) };
        let mut points = Vec::new();
        let steps = [(1, Some(5), true), (2, Some(5), false), (3, Some(6), true), (3, Some(6), false), (3, Some(7), true), (4, None, true)];
        for (day, score, changes) in steps {
            assert_eq!(note(&mut points, at(day, score)), changes, "{day} {score:?}");
        }
        assert_eq!(points, [at(1, Some(5)), at(3, Some(7)), at(4, None)]);
        // Back to the value before: the day has no change.
        assert!(note(&mut points, at(4, Some(7))));
        assert_eq!(points, [at(1, Some(5)), at(3, Some(7))]);
        let gone = Point { day: Day(9), exists: false, score: None, x: None };
        points.push(gone);
        assert_eq!(decode(&encode(&points), 1).unwrap(), points);
        assert_eq!(subject(&key("a:b", true)), Some(Subject { name: "a:b".into(), group: true }));
    }
}
