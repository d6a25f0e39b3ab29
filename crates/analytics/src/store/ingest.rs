//! Events in: one transaction for a batch and its watermark.
use super::{
    Batch, Counts, Limits, Store, UsageEvent, WATERMARKS,
    block::{Block, EMPTY, Times, What, decode, encode},
    days::{DAYS, DayInfo},
    error::{Result, StoreError},
    names::{MAX_CONTEXT, MAX_TEXT, Names, Sort, bounded},
    retention::drop_oldest_hashes,
    rows::{USAGE, damaged},
    seen::Seen,
    system_number,
};
use crate::history::{DAY, Day};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::{BTreeMap, HashMap};

/// How many rows a transaction keeps in memory.
const MAX_PENDING: usize = 400_000;

impl Store {
    /// Counts events, and notes how far their source was read. Both are on the disk when this returns, or neither is.
    ///
    /// Events may come in any order and more than once. Give thousands at a time: each call waits for the disk.
    ///
    /// # Errors
    /// If an argument is too long, there is no room for an identity or operation, a value is damaged, and of the disk. Nothing changed then.
    pub fn ingest<'a>(&self, batch: &Batch, events: impl IntoIterator<Item = UsageEvent<'a>>) -> Result<Counts> {
        for (name, text) in [("source", batch.source), ("watermark", batch.watermark.unwrap_or_default())] {
            if text.len() > MAX_TEXT {
                return Err(StoreError::Invalid(format!("a {name} has at most {MAX_TEXT} bytes, and this one has {}", text.len())));
            }
        }
        let transaction = self.write()?;
        let system = system_number(&transaction, batch.system)?;
        let mut rows = Rows::open(&transaction, system, &self.limits, batch.now)?;
        for event in events {
            rows.add(&event)?;
        }
        let counts = rows.close()?;
        if let Some(watermark) = batch.watermark {
            transaction.open_table(WATERMARKS)?.insert((system, batch.source), (batch.now, watermark))?;
        }
        if counts.new > 0 {
            drop_oldest_hashes(&transaction, self.limits.hashes)?;
        }
        transaction.commit()?;
        Ok(counts)
    }
}

/// A block and whether it changed.
type Pending = (Block, bool);

/// The roll-up of one system, in a write transaction.
struct Rows<'t> {
    system: u32,
    limits: Limits,
    /// The first day that is kept, and the last that is not in the future.
    kept: (Day, Day),
    names: Names<'t>,
    seen: Seen<'t>,
    usage: Table<'t, (u32, u32, u32), &'static [u8]>,
    days: Table<'t, (u32, u32), &'static [u8]>,
    infos: BTreeMap<u32, DayInfo>,
    pending: HashMap<(u32, u32), Pending>,
    rows: usize,
    counts: Counts,
}

impl<'t> Rows<'t> {
    fn open(transaction: &'t WriteTransaction, system: u32, limits: &Limits, now: i64) -> Result<Self> {
        let today = Day::of(now);
        Ok(Self {
            system,
            limits: *limits,
            kept: (today.back(limits.usage_days.saturating_sub(1)), Day(today.0.saturating_add(1))),
            names: Names::open(transaction, system, limits)?,
            seen: Seen::open(transaction, system)?,
            usage: transaction.open_table(USAGE)?,
            days: transaction.open_table(DAYS)?,
            infos: BTreeMap::new(),
            pending: HashMap::new(),
            rows: 0,
            counts: Counts::default(),
        })
    }

    fn add(&mut self, event: &UsageEvent) -> Result<()> {
        self.counts.events += 1;
        let day = Day::of(event.at);
        if day < self.kept.0 || event.at < 0 {
            self.counts.expired += 1;
            return Ok(());
        }
        if day > self.kept.1 {
            self.counts.future += 1;
            return Ok(());
        }
        let second = u32::try_from(event.at.rem_euclid(DAY)).unwrap_or_default();
        let count = u64::from(self.is_new(event, day, second)?);
        let identity = self.needed(&event.identity)?;
        let operation = self.needed(&event.operation)?;
        let context = match event.context.len() <= MAX_CONTEXT {
            true => self.optional(&event.context)?,
            false => {
                self.counts.folded += 1;
                EMPTY
            }
        };
        let mut resources: Vec<u32> = Vec::with_capacity(event.resources.len().max(1));
        for resource in &event.resources {
            let id = self.optional(&bounded(resource))?;
            if !resources.contains(&id) {
                resources.push(id);
            }
        }
        if resources.is_empty() {
            resources.push(EMPTY);
        }
        for (number, resource) in resources.into_iter().enumerate() {
            let times = Times { count: if number == 0 { count } else { 0 }, last: second };
            self.row((day.0, identity), What { operation, resource, context }, times)?;
        }
        Ok(())
    }

    /// Whether an event counts; notes it.
    fn is_new(&mut self, event: &UsageEvent, day: Day, second: u32) -> Result<bool> {
        if !self.infos.contains_key(&day.0) {
            let found = self.days.get((self.system, day.0))?;
            let info = found.map_or(Ok(DayInfo::default()), |found| DayInfo::decode(found.value(), day.0))?;
            self.infos.insert(day.0, info);
        }
        let info = self.infos.entry(day.0).or_default();
        info.hours |= 1 << (second / 3600);
        if info.sealed {
            info.late += 1;
            self.counts.late += 1;
            return Ok(false);
        }
        let minute = u32::try_from(event.at / 60).unwrap_or(u32::MAX);
        if !self.seen.add(event, minute)? {
            info.duplicates += 1;
            self.counts.duplicates += 1;
            return Ok(false);
        }
        info.events += 1;
        info.hashes += 1;
        self.counts.new += 1;
        Ok(true)
    }

    fn needed(&mut self, text: &str) -> Result<u32> {
        Ok(self.names.id(&bounded(text), Sort::Needed)?.unwrap_or(EMPTY))
    }

    fn optional(&mut self, text: &str) -> Result<u32> {
        let id = self.names.id(text, Sort::Optional)?;
        self.counts.folded += u64::from(id.is_none());
        Ok(id.unwrap_or(EMPTY))
    }

    /// Adds to a row, or to one without a resource and context if the day of the identity is full.
    fn row(&mut self, key: (u32, u32), what: What, times: Times) -> Result<()> {
        if self.rows >= MAX_PENDING {
            self.flush()?;
        }
        if !self.pending.contains_key(&key) {
            let block = match self.usage.get((self.system, key.0, key.1))? {
                Some(found) => Block::new(decode(found.value()).map_err(|why| damaged(key.0, key.1, &why))?),
                None => Block::default(),
            };
            self.rows += block.len();
            self.pending.insert(key, (block, false));
        }
        let Some((block, changed)) = self.pending.get_mut(&key) else { return Ok(()) };
        let mut place = what;
        if block.len() >= self.limits.rows && !block.contains(&place) {
            self.counts.folded += 1;
            place = What { resource: EMPTY, context: EMPTY, ..place };
        }
        if block.len() >= self.limits.rows.saturating_mul(2) && !block.contains(&place) {
            self.counts.unnamed += 1;
            place.operation = EMPTY;
        }
        let before = block.len();
        block.add(place, times);
        self.rows += block.len() - before;
        *changed = true;
        Ok(())
    }

    /// Writes the rows, in the order of their keys.
    fn flush(&mut self) -> Result<()> {
        let mut changed: Vec<((u32, u32), Block)> =
            self.pending.drain().filter(|(_, (_, changed))| *changed).map(|(key, (block, _))| (key, block)).collect();
        changed.sort_by_key(|(key, _)| *key);
        for ((day, identity), block) in changed {
            self.usage.insert((self.system, day, identity), &*encode(&block.into_rows()))?;
        }
        self.rows = 0;
        Ok(())
    }

    fn close(mut self) -> Result<Counts> {
        self.flush()?;
        self.seen.flush()?;
        self.names.close()?;
        for (day, info) in &self.infos {
            self.days.insert((self.system, *day), &*info.encode())?;
        }
        Ok(self.counts)
    }
}
