//! What is removed, and how much there is.
use super::{
    SYSTEMS, Store, WATERMARKS,
    block::decode,
    days::{DAYS, DayInfo},
    error::Result,
    identities::{IDENTITY_SCORES, prune},
    names::{NAMES, NUMBERS, TEXTS},
    rows::{USAGE, damaged},
    scores::{SCORES, SYSTEM, prune_scores},
    seen::{MINUTES, SEEN},
};
use crate::history::{DAY, Day};
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};
use roaring::RoaringBitmap;

/// What [`Store::expire`] removed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Removed {
    /// Days of usage of a system.
    pub days: u64,
    /// Names that nothing refers to.
    pub names: u64,
    /// Watermarks of sources that were not read for as long as usage is kept.
    pub sources: u64,
    /// Scores of a system or folder on a day.
    pub scores: u64,
    /// Identities of which no score is kept.
    pub identities: u64,
}

/// How much of a system there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// The system.
    pub system: String,
    /// Days with events.
    pub days: u32,
    /// The first and the last of them.
    pub span: Option<(Day, Day)>,
    /// Events that were counted, read again, and late, on these days.
    pub events: (u64, u64, u64),
    /// Names.
    pub names: u32,
    /// Sources with a watermark.
    pub sources: usize,
    /// Hashes of events.
    pub hashes: u64,
}

impl Store {
    /// Removes what is older than the limits say, and names that are no longer needed. Call it once a day, with the time in Unix seconds.
    ///
    /// One transaction per system, and readers go on; a writer waits for it.
    ///
    /// # Errors
    /// If a value is damaged, and of the disk.
    pub fn expire(&self, now: i64) -> Result<Removed> {
        let today = Day::of(now);
        let mut removed = Removed::default();
        for name in self.systems()? {
            let transaction = self.write()?;
            let number = transaction.open_table(SYSTEMS)?.get(&*name)?.map(|found| found.value());
            if let Some(system) = number {
                let first = today.back(self.limits.usage_days.saturating_sub(1));
                removed.days += remove_days(&transaction, system, Day(0), first)?;
                removed.sources += remove_sources(&transaction, system, now - i64::from(self.limits.usage_days) * DAY)?;
                removed.identities += prune(&transaction, system, today.back(self.limits.score_days.saturating_sub(1)))?;
                removed.names += remove_names(&transaction, system)?;
            }
            transaction.commit()?;
        }
        let transaction = self.write()?;
        removed.scores += prune_scores(&transaction, today.back(self.limits.score_days.saturating_sub(1)))?;
        transaction.commit()?;
        Ok(removed)
    }

    /// Removes everything of a system that is gone. Scores of folders stay, since a folder can span systems.
    ///
    /// # Errors
    /// Of the disk.
    pub fn forget(&self, name: &str) -> Result<()> {
        let transaction = self.write()?;
        let number = transaction.open_table(SYSTEMS)?.remove(name)?.map(|found| found.value());
        if let Some(system) = number {
            remove_days(&transaction, system, Day(0), Day(u32::MAX))?;
            remove_sources(&transaction, system, i64::MAX)?;
            transaction.open_table(IDENTITY_SCORES)?.retain_in((system, 0)..=(system, u32::MAX), |_, _| false)?;
            remove_names(&transaction, system)?;
            transaction.open_table(NUMBERS)?.remove(system)?;
            transaction.open_table(SCORES)?.retain_in((SYSTEM, name, 0)..=(SYSTEM, name, u32::MAX), |_, _| false)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Gives space that was freed back to the disk. The file is rewritten in place, a little at a time; no other transaction may be open.
    ///
    /// # Errors
    /// Of the disk.
    pub fn shrink(&mut self) -> Result<bool> {
        Ok(self.database.compact()?)
    }

    /// How much there is of each system.
    ///
    /// # Errors
    /// If a value is damaged, and of the disk.
    pub fn stats(&self) -> Result<Vec<Stats>> {
        let names = self.systems()?;
        names.into_iter().map(|system| self.stats_of(system)).collect()
    }

    fn stats_of(&self, system: String) -> Result<Stats> {
        let days = self.days(&system, Day(0), Day(u32::MAX))?;
        let transaction = self.read()?;
        let number = self.system(&transaction, &system)?.unwrap_or_default();
        let sum = |of: fn(&DayInfo) -> u64| days.iter().map(|(_, info)| of(info)).sum();
        Ok(Stats {
            days: u32::try_from(days.len()).unwrap_or(u32::MAX),
            span: days.first().zip(days.last()).map(|(first, last)| (first.0, last.0)),
            events: (sum(|info| info.events), sum(|info| info.duplicates), sum(|info| info.late)),
            names: transaction.open_table(NUMBERS)?.get(number)?.map_or(0, |found| found.value().1),
            sources: self.watermarks(&system)?.len(),
            hashes: sum(|info| info.hashes),
            system,
        })
    }

    /// How many bytes of the file are in use, and how many rows each table has.
    ///
    /// # Errors
    /// Of the disk.
    pub fn size(&self) -> Result<(u64, Vec<(&'static str, u64)>)> {
        let transaction = self.read()?;
        let tables = vec![
            ("usage_daily", transaction.open_table(USAGE)?.len()?),
            ("names", transaction.open_table(NAMES)?.len()?),
            ("watermarks", transaction.open_table(WATERMARKS)?.len()?),
            ("seen", transaction.open_table(SEEN)?.len()?),
            ("days", transaction.open_table(DAYS)?.len()?),
            ("scores", transaction.open_table(SCORES)?.len()?),
            ("identity_scores", transaction.open_table(IDENTITY_SCORES)?.len()?),
        ];
        drop(transaction);
        let transaction = self.write()?;
        let stats = transaction.stats()?;
        transaction.abort()?;
        Ok((stats.allocated_pages() * stats.page_size() as u64, tables))
    }
}

/// Removes the days before `end`.
fn remove_days(transaction: &WriteTransaction, system: u32, from: Day, end: Day) -> Result<u64> {
    let mut days = transaction.open_table(DAYS)?;
    let mut count = 0;
    days.retain_in((system, from.0)..(system, end.0), |_, _| {
        count += 1;
        false
    })?;
    if count > 0 {
        transaction.open_table(USAGE)?.retain_in((system, from.0, 0)..(system, end.0, 0), |_, _| false)?;
        let minute = |day: Day| day.0.saturating_mul(MINUTES);
        transaction.open_table(SEEN)?.retain_in((system, minute(from))..(system, minute(end)), |_, _| false)?;
    }
    Ok(count)
}

/// Removes the watermarks that were set before this time.
fn remove_sources(transaction: &WriteTransaction, system: u32, before: i64) -> Result<u64> {
    let mut table = transaction.open_table(WATERMARKS)?;
    let mut old = Vec::new();
    for entry in table.range((system, "")..)? {
        let (key, value) = entry?;
        let (of, source) = key.value();
        if of != system {
            break;
        }
        if value.value().0 < before {
            old.push(source.to_owned());
        }
    }
    for source in &old {
        table.remove((system, &**source))?;
    }
    Ok(old.len() as u64)
}

/// Removes the names to which no row and no score refers.
fn remove_names(transaction: &WriteTransaction, system: u32) -> Result<u64> {
    let mut used = RoaringBitmap::new();
    for entry in transaction.open_table(USAGE)?.range((system, 0, 0)..=(system, u32::MAX, u32::MAX))? {
        let (key, value) = entry?;
        let (_, day, identity) = key.value();
        used.insert(identity);
        for (what, _) in decode(value.value()).map_err(|why| damaged(day, identity, &why))? {
            used.extend([what.operation, what.resource, what.context]);
        }
    }
    for entry in transaction.open_table(IDENTITY_SCORES)?.range((system, 0)..=(system, u32::MAX))? {
        used.insert(entry?.0.value().1);
    }
    let mut names = transaction.open_table(NAMES)?;
    let mut texts = transaction.open_table(TEXTS)?;
    let mut removed = 0;
    for entry in texts.extract_from_if((system, 0)..=(system, u32::MAX), |(_, number), _| !used.contains(number))? {
        names.remove((system, entry?.1.value()))?;
        removed += 1;
    }
    let mut numbers = transaction.open_table(NUMBERS)?;
    let (given, present) = numbers.get(system)?.map_or((0, 0), |found| found.value());
    numbers.insert(system, (given, present.saturating_sub(removed)))?;
    Ok(u64::from(removed))
}

/// Removes the hashes of the oldest days if there are more than so many, until a tenth is free.
pub fn drop_oldest_hashes(transaction: &WriteTransaction, max: u64) -> Result<()> {
    let mut days = transaction.open_table(DAYS)?;
    let mut found: Vec<(u32, u32, DayInfo)> = Vec::new();
    for entry in days.iter()? {
        let (key, value) = entry?;
        let (system, day) = key.value();
        let info = DayInfo::decode(value.value(), day)?;
        if !info.sealed {
            found.push((day, system, info));
        }
    }
    let mut sum: u64 = found.iter().map(|(.., info)| info.hashes).sum();
    if sum <= max {
        return Ok(());
    }
    found.sort_by_key(|(day, system, _)| (*day, *system));
    let mut seen = transaction.open_table(SEEN)?;
    for (day, system, info) in found {
        if sum <= max - max / 10 {
            break;
        }
        let first = day.saturating_mul(MINUTES);
        seen.retain_in((system, first)..(system, first.saturating_add(MINUTES)), |_, _| false)?;
        sum -= info.hashes;
        days.insert((system, day), &*DayInfo { hashes: 0, sealed: true, ..info }.encode())?;
    }
    Ok(())
}
