//! What is known of each day of a system.
use super::{
    codec::{Reader, Writer},
    error::{Result, StoreError},
};
use redb::TableDefinition;

/// (system, day) to [`DayInfo`].
pub const DAYS: TableDefinition<(u32, u32), &[u8]> = TableDefinition::new("days");

/// One day of a system.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DayInfo {
    /// One bit for each hour, UTC, with events.
    pub hours: u32,
    /// Events that were counted.
    pub events: u64,
    /// Events that were read again.
    pub duplicates: u64,
    /// Events that came when the hashes of the day were gone: their use is kept, and they are not counted.
    pub late: u64,
    /// How many hashes are kept.
    pub hashes: u64,
    /// Whether the hashes are gone.
    pub sealed: bool,
}

impl DayInfo {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let numbers = [u64::from(self.hours), self.events, self.duplicates, self.late, self.hashes, u64::from(self.sealed)];
        numbers.into_iter().for_each(|number| writer.number(number));
        writer.finish()
    }
    /// Reads it.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn decode(bytes: &[u8], day: u32) -> Result<Self> {
        let read = || -> std::result::Result<Self, String> {
            let mut reader = Reader::new(bytes)?;
            Ok(Self {
                hours: reader.small()?,
                events: reader.number()?,
                duplicates: reader.number()?,
                late: reader.number()?,
                hashes: reader.number()?,
                sealed: reader.number()? > 0,
            })
        };
        read().map_err(|why| StoreError::Damaged { table: "days", why: format!("day {day}: {why}") })
    }
    /// The hours with events, in hours since the Unix epoch.
    pub fn hours(&self, day: u32) -> impl Iterator<Item = i64> + '_ {
        (0..24).filter(|hour| self.hours >> hour & 1 == 1).map(move |hour| i64::from(day) * 24 + hour)
    }
}
