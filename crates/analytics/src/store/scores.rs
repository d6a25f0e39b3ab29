//! The scores of each day.
use super::{
    Store,
    codec::{Reader, Writer},
    error::{Result, StoreError},
    identities,
    names::MAX_TEXT,
    system_number,
};
use crate::history::{DailyScore, Day};
use redb::{ReadableTable, TableDefinition, WriteTransaction};

/// (kind of series, name, day) to a [`DailyScore`] as JSON behind a version byte.
pub const SCORES: TableDefinition<(u8, &str, u32), &[u8]> = TableDefinition::new("scores");
/// The series of a system.
pub const SYSTEM: u8 = 0;
/// The series of a folder.
const FOLDER: u8 = 1;

/// The score of an identity.
#[derive(Clone, PartialEq, Debug)]
pub struct IdentityScore {
    /// Its name.
    pub name: String,
    /// Whether it is a group: a user can have the same name.
    pub group: bool,
    /// 0 to 100; `None` if it is excluded from scores.
    pub score: Option<u8>,
    /// Its unused mass as a share of the catalogue's; `None` if it is excluded from scores.
    pub x: Option<f64>,
}

/// The scores of a system on one day. A later snapshot of the same day takes its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// The system's.
    pub score: DailyScore,
    /// Its identities'. Those of the snapshot before that are not here no longer exist.
    pub identities: Vec<IdentityScore>,
}

/// JSON, after the exact bits of the fractions: JSON readers may round the last one.
fn encode(score: &DailyScore) -> Result<Vec<u8>> {
    let mut writer = Writer::new();
    writer.bits(score.x);
    writer.bits(score.confidence);
    writer
        .raw(&serde_json::to_vec(score).map_err(|error| StoreError::Invalid(format!("the score of {} has no JSON: {error}", score.day)))?);
    Ok(writer.finish())
}

fn decode(bytes: &[u8], name: &str, day: u32) -> Result<DailyScore> {
    let read = || -> std::result::Result<DailyScore, String> {
        let mut reader = Reader::new(bytes)?;
        let (x, confidence) = (reader.bits()?, reader.bits()?);
        let score: DailyScore = serde_json::from_slice(reader.rest()).map_err(|error| error.to_string())?;
        Ok(DailyScore { x, confidence, ..score })
    };
    read().map_err(|why| StoreError::Damaged { table: "scores", why: format!("{name} on {}: {why}", Day(day)) })
}

impl Store {
    /// Stores the scores of a day.
    ///
    /// # Errors
    /// If the store has scores of a later day, and as [`Store::ingest`].
    pub fn put_snapshot(&self, system: &str, snapshot: &Snapshot) -> Result<()> {
        let transaction = self.write()?;
        let number = system_number(&transaction, system)?;
        let day = snapshot.score.day;
        if let Some(newest) = newest(&transaction, SYSTEM, system)?.filter(|newest| *newest > day) {
            return Err(StoreError::Invalid(format!(
                "the store has scores of {system} for {newest}, which is after {day}: check the clock"
            )));
        }
        transaction.open_table(SCORES)?.insert((SYSTEM, system, day.0), &*encode(&snapshot.score)?)?;
        identities::put(&transaction, number, &self.limits, day, &snapshot.identities)?;
        transaction.commit()?;
        Ok(())
    }

    /// Stores the score of a folder on a day.
    ///
    /// # Errors
    /// If the name is too long, and of the disk.
    pub fn put_folder(&self, folder: &str, score: &DailyScore) -> Result<()> {
        if folder.len() > MAX_TEXT {
            return Err(StoreError::Invalid(format!(
                "the name of a folder has at most {MAX_TEXT} bytes, and this one has {}",
                folder.len()
            )));
        }
        let transaction = self.write()?;
        transaction.open_table(SCORES)?.insert((FOLDER, folder, score.day.0), &*encode(score)?)?;
        transaction.commit()?;
        Ok(())
    }

    /// The scores of a system, the oldest first. A day on which no analysis ran has none.
    ///
    /// # Errors
    /// If a value is damaged, and of the disk.
    pub fn history(&self, system: &str) -> Result<Vec<DailyScore>> {
        self.series(SYSTEM, system)
    }

    /// The scores of a folder, the oldest first.
    ///
    /// # Errors
    /// As [`Store::history`].
    pub fn history_of_folder(&self, folder: &str) -> Result<Vec<DailyScore>> {
        self.series(FOLDER, folder)
    }

    fn series(&self, kind: u8, name: &str) -> Result<Vec<DailyScore>> {
        let table = self.read()?.open_table(SCORES)?;
        let range = table.range((kind, name, 0)..=(kind, name, u32::MAX))?;
        range
            .map(|entry| {
                let (key, value) = entry?;
                decode(value.value(), name, key.value().2)
            })
            .collect()
    }
}

fn newest(transaction: &WriteTransaction, kind: u8, name: &str) -> Result<Option<Day>> {
    let table = transaction.open_table(SCORES)?;
    let mut range = table.range((kind, name, 0)..=(kind, name, u32::MAX))?;
    Ok(range.next_back().transpose()?.map(|(key, _)| Day(key.value().2)))
}

/// Removes the scores before a day.
pub fn prune_scores(transaction: &WriteTransaction, first: Day) -> Result<u64> {
    let mut removed = 0;
    transaction.open_table(SCORES)?.retain(|(_, _, day), _| {
        removed += u64::from(day < first.0);
        day >= first.0
    })?;
    Ok(removed)
}
