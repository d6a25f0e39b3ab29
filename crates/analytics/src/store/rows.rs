//! Rows out.
use super::{
    Store,
    block::{self, EMPTY, decode},
    error::{Result, StoreError},
    names::{NAMES, TEXTS, Texts, bounded},
};
use crate::history::{DAY, Day};
use redb::{ReadableTable, TableDefinition};
use std::ops::ControlFlow;

/// (system, day, identity) to the [`block::Rows`] of the day.
pub const USAGE: TableDefinition<(u32, u32, u32), &[u8]> = TableDefinition::new("usage_daily");

/// One row of `usage_daily`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    /// The day, UTC.
    pub day: Day,
    /// Who.
    pub identity: &'a str,
    /// What. See [`super::NOT_A_USE`].
    pub operation: &'a str,
    /// On what; empty if the events name nothing, or all of it.
    pub resource: &'a str,
    /// What else decides about the use; empty if nothing does.
    pub context: &'a str,
    /// How many events; 0 if their count is in the row of another resource of the same events, or they were late.
    pub count: u64,
    /// The last time on this day, in Unix seconds.
    pub last: i64,
}

/// The error of a block that cannot be read.
pub fn damaged(day: u32, identity: u32, why: &str) -> StoreError {
    StoreError::Damaged { table: "usage_daily", why: format!("{}, identity {identity}: {why}", Day(day)) }
}

impl Store {
    /// Calls `each` with every row of these days: by day, then by identity, in the order in which identities were first seen. Memory: a cache of
    /// names.
    ///
    /// # Errors
    /// If a value is damaged, and of the disk.
    pub fn fold(&self, system: &str, from: Day, to: Day, mut each: impl FnMut(&Row)) -> Result<()> {
        self.try_fold(system, from, to, |row| {
            each(row);
            ControlFlow::<()>::Continue(())
        })?;
        Ok(())
    }

    /// The same, until `each` breaks.
    ///
    /// # Errors
    /// As [`Store::fold`].
    pub fn try_fold<B>(&self, system: &str, from: Day, to: Day, mut each: impl FnMut(&Row) -> ControlFlow<B>) -> Result<Option<B>> {
        let transaction = self.read()?;
        let Some(system) = self.system(&transaction, system)? else { return Ok(None) };
        let (usage, texts) = (transaction.open_table(USAGE)?, transaction.open_table(TEXTS)?);
        let mut texts = Texts::new(system, &texts);
        for entry in usage.range((system, from.0, 0)..=(system, to.0, u32::MAX))? {
            let (key, value) = entry?;
            let (_, day, identity) = key.value();
            let block = decode(value.value()).map_err(|why| damaged(day, identity, &why))?;
            if let ControlFlow::Break(value) = rows(&mut texts, day, identity, &block, &mut each)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Calls `each` with every row of one identity on these days.
    ///
    /// # Errors
    /// As [`Store::fold`].
    pub fn fold_identity(&self, system: &str, identity: &str, from: Day, to: Day, mut each: impl FnMut(&Row)) -> Result<()> {
        let transaction = self.read()?;
        let Some(system) = self.system(&transaction, system)? else { return Ok(()) };
        let number = match identity {
            "" => Some(EMPTY),
            name => transaction.open_table(NAMES)?.get((system, &*bounded(name)))?.map(|found| found.value()),
        };
        let Some(number) = number else { return Ok(()) };
        let (usage, texts) = (transaction.open_table(USAGE)?, transaction.open_table(TEXTS)?);
        let days = transaction.open_table(super::days::DAYS)?;
        let mut texts = Texts::new(system, &texts);
        for entry in days.range((system, from.0)..=(system, to.0))? {
            let day = entry?.0.value().1;
            if let Some(found) = usage.get((system, day, number))? {
                let block = decode(found.value()).map_err(|why| damaged(day, number, &why))?;
                let _ = rows(&mut texts, day, number, &block, &mut |row| {
                    each(row);
                    ControlFlow::<()>::Continue(())
                })?;
            }
        }
        Ok(())
    }
}

/// The rows of a block.
fn rows<B, T: ReadableTable<(u32, u32), &'static str>>(
    texts: &mut Texts<T>,
    day: u32,
    identity: u32,
    block: &block::Rows,
    each: &mut impl FnMut(&Row) -> ControlFlow<B>,
) -> Result<ControlFlow<B>> {
    let identity = texts.get(identity)?;
    for (what, times) in block {
        let (operation, resource, context) = (texts.get(what.operation)?, texts.get(what.resource)?, texts.get(what.context)?);
        let row = Row {
            day: Day(day),
            identity: &identity,
            operation: &operation,
            resource: &resource,
            context: &context,
            count: times.count,
            last: i64::from(day) * DAY + i64::from(times.last),
        };
        if let ControlFlow::Break(value) = each(&row) {
            return Ok(ControlFlow::Break(value));
        }
    }
    Ok(ControlFlow::Continue(()))
}
