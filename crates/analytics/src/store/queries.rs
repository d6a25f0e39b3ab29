//! The questions that people ask of the roll-up. docs/analytics-store.md has the same in SQL, and a test compares the answers.
use super::{NOT_A_USE, Store, error::Result};
use crate::history::Day;
use std::collections::BTreeMap;

/// The uses of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Used {
    /// How many.
    pub count: u64,
    /// The last one, in Unix seconds.
    pub last: i64,
}

impl Used {
    fn add(uses: &mut Option<Self>, count: u64, last: i64) {
        *uses = Some(match *uses {
            Some(used) => Self { count: used.count.saturating_add(count), last: used.last.max(last) },
            None => Self { count, last },
        });
    }
}

/// By identity, then by operation.
type ByOperation = BTreeMap<String, BTreeMap<String, Used>>;

impl Store {
    /// What each identity used on these days.
    ///
    /// # Errors
    /// As [`Store::fold`], and the same below.
    pub fn used(&self, system: &str, from: Day, to: Day) -> Result<ByOperation> {
        let mut found: BTreeMap<String, BTreeMap<String, Option<Used>>> = BTreeMap::new();
        self.fold(system, from, to, |row| {
            if !row.operation.starts_with(NOT_A_USE) {
                Used::add(entry(entry(&mut found, row.identity), row.operation), row.count, row.last);
            }
        })?;
        let some =
            |operations: BTreeMap<String, Option<Used>>| operations.into_iter().filter_map(|(name, used)| Some((name, used?))).collect();
        Ok(found.into_iter().map(|(identity, operations)| (identity, some(operations))).collect())
    }

    /// When each identity did something for the last time, on all days that are kept.
    ///
    /// # Errors
    /// See above.
    pub fn last_used(&self, system: &str) -> Result<BTreeMap<String, i64>> {
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        self.fold(system, Day(0), Day(u32::MAX), |row| {
            if !row.operation.starts_with(NOT_A_USE) {
                let last = entry(&mut found, row.identity);
                *last = row.last.max(*last);
            }
        })?;
        Ok(found)
    }

    /// What each identity used before these days and not on them.
    ///
    /// # Errors
    /// See above.
    pub fn no_longer_used(&self, system: &str, from: Day, to: Day) -> Result<ByOperation> {
        if from == Day(0) {
            return Ok(ByOperation::new());
        }
        let mut before = self.used(system, Day(0), from.back(1))?;
        for (identity, operations) in self.used(system, from, to)? {
            if let Some(known) = before.get_mut(&identity) {
                known.retain(|operation, _| !operations.contains_key(operation));
            }
        }
        before.retain(|_, operations| !operations.is_empty());
        Ok(before)
    }

    /// How many uses each identity had on each of these days.
    ///
    /// # Errors
    /// See above.
    pub fn daily(&self, system: &str, from: Day, to: Day) -> Result<BTreeMap<(Day, String), u64>> {
        let mut found: BTreeMap<Day, BTreeMap<String, u64>> = BTreeMap::new();
        self.fold(system, from, to, |row| {
            if !row.operation.starts_with(NOT_A_USE) {
                let count = entry(found.entry(row.day).or_default(), row.identity);
                *count = count.saturating_add(row.count);
            }
        })?;
        Ok(found.into_iter().flat_map(|(day, counts)| counts.into_iter().map(move |(identity, count)| ((day, identity), count))).collect())
    }
}

/// The value of a name. It copies the name only if it is new.
fn entry<'m, V: Default>(map: &'m mut BTreeMap<String, V>, name: &str) -> &'m mut V {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    // The name is there.
    map.get_mut(name).expect("it was inserted")
}
