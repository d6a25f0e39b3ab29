//! Which events were counted: 48 bits of a hash for each, by the minute of the event.
//!
//! An event that is read again has the same time, so one short block answers whether it is known, and events that arrive in about the order
//! of time touch few blocks. Two events of one minute have the same 48 bits with a probability of n / 2^48 for n events in the minute; then
//! the use is kept and only the count is one too low.
use super::{
    UsageEvent,
    codec::{Reader, Writer},
    error::{Result, StoreError},
};
use redb::{ReadableTable, Table, TableDefinition};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// (system, minute since the Unix epoch) to a block of sorted hashes.
pub const SEEN: TableDefinition<(u32, u32), &[u8]> = TableDefinition::new("seen");

/// Bytes of a hash.
const WIDTH: usize = 6;
/// How many hashes a transaction keeps in memory.
const MAX_CACHED: usize = 1_000_000;

/// Minutes of a day.
pub const MINUTES: u32 = 1440;

/// The hash of an event. It covers what is counted, so an identifier that a client chose, such as the header Audit-ID, hides no other use.
fn hash(event: &UsageEvent) -> u64 {
    let mut hasher = Sha256::new();
    let resource = event.resources.first().map_or("", |resource| resource);
    for part in [&*event.id, &*event.identity, &*event.operation, resource, &*event.context] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(event.at.to_be_bytes());
    hasher.finalize().iter().take(WIDTH).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn decode(bytes: &[u8]) -> std::result::Result<BTreeSet<u64>, String> {
    let (chunks, rest) = Reader::new(bytes)?.rest().as_chunks::<WIDTH>();
    if !rest.is_empty() {
        return Err(format!("{} bytes too many", rest.len()));
    }
    Ok(chunks.iter().map(|chunk| chunk.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))).collect())
}

fn encode(hashes: &BTreeSet<u64>) -> Vec<u8> {
    let mut writer = Writer::new();
    for hash in hashes {
        writer.raw(&hash.to_be_bytes()[8 - WIDTH..]);
    }
    writer.finish()
}

/// The hashes of one system, in a write transaction.
pub struct Seen<'t> {
    system: u32,
    table: Table<'t, (u32, u32), &'static [u8]>,
    cache: HashMap<u32, (BTreeSet<u64>, bool)>,
    cached: usize,
}

impl<'t> Seen<'t> {
    /// Opens them.
    ///
    /// # Errors
    /// Of the disk.
    pub fn open(transaction: &'t redb::WriteTransaction, system: u32) -> Result<Self> {
        Ok(Self { system, table: transaction.open_table(SEEN)?, cache: HashMap::new(), cached: 0 })
    }

    /// Notes an event. Whether it was not known.
    ///
    /// # Errors
    /// If a block is damaged, and of the disk.
    pub fn add(&mut self, event: &UsageEvent, minute: u32) -> Result<bool> {
        if self.cached >= MAX_CACHED {
            self.flush()?;
        }
        if !self.cache.contains_key(&minute) {
            let damaged = |why| StoreError::Damaged { table: "seen", why: format!("minute {minute}: {why}") };
            let block = match self.table.get((self.system, minute))? {
                Some(found) => decode(found.value()).map_err(damaged)?,
                None => BTreeSet::new(),
            };
            self.cached += block.len() + 1;
            self.cache.insert(minute, (block, false));
        }
        let Some((block, changed)) = self.cache.get_mut(&minute) else { return Ok(true) };
        let new = block.insert(hash(event));
        *changed |= new;
        self.cached += usize::from(new);
        Ok(new)
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// Of the disk.
    pub fn flush(&mut self) -> Result<()> {
        let mut changed: Vec<(u32, BTreeSet<u64>)> =
            self.cache.drain().filter(|(_, (_, changed))| *changed).map(|(minute, (block, _))| (minute, block)).collect();
        changed.sort_by_key(|(minute, _)| *minute);
        for (minute, block) in changed {
            self.table.insert((self.system, minute), &*encode(&block))?;
        }
        self.cached = 0;
        Ok(())
    }
}
