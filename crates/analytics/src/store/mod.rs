//! The usage store: who did what on which day, how far each log was read, and the scores of each day, in one file on disk.
//!
//! The engine is redb: a copy-on-write B-tree, one writer beside any number of readers, and a transaction that a crash leaves whole or not at
//! all. One transaction holds the rows of a batch and the watermark of its source, so a process that is killed reads on where the rows end.
//!
//! The schema is that of a table of a distributed engine (docs/analytics-store.md):
//!
//! | Table | Key | Value |
//! |---|---|---|
//! | `usage_daily` | system, day, identity | operation, resource, context: count and last time, each |
//! | `names`, `texts` | system, text or number | the dictionary |
//! | `watermarks` | system, source | how far the source was read |
//! | `seen` | system, minute | hashes of the events that were counted |
//! | `days` | system, day | hours with events, numbers of events |
//! | `scores` | kind of series, name, day | the score of a system or folder |
//! | `identity_scores` | system, identity | the days on which its score changed |
mod block;
mod codec;
mod days;
mod error;
mod export;
mod identities;
mod ingest;
mod names;
mod queries;
mod retention;
mod rows;
mod scores;
mod seen;

pub use days::DayInfo;
pub use error::{Result, StoreError};
pub use export::Form;
pub use identities::Subject;
pub use queries::Used;
pub use retention::{Removed, Stats};
pub use rows::Row;
pub use scores::{IdentityScore, Snapshot};

use crate::history::Day;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction, backends::FileBackend,
};
use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

/// The format of the file.
const FORMAT: u64 = 1;
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SYSTEMS: TableDefinition<&str, u32> = TableDefinition::new("systems");
/// (system, source) to the Unix second of the last batch, and the watermark.
const WATERMARKS: TableDefinition<(u32, &str), (i64, &str)> = TableDefinition::new("watermarks");
/// Memory for pages of the file.
const CACHE: usize = 32 << 20;

/// Operations that begin with this mark are not uses: refused and failed requests, and other stages of requests.
pub const NOT_A_USE: char = '!';

/// Something that an identity did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageEvent<'a> {
    /// The event's identifier in its log. With the other fields it tells whether the event was counted before.
    pub id: Cow<'a, str>,
    /// Who.
    pub identity: Cow<'a, str>,
    /// What, in the provider's words, so that a later catalogue can read it: `get core/pods`, `s3:GetObject`. See [`NOT_A_USE`].
    pub operation: Cow<'a, str>,
    /// On what: namespaces, ARNs. Each becomes a row; the count is that of the first one, so the counts of all rows add up to the events.
    pub resources: Vec<Cow<'a, str>>,
    /// What else decides about the use: groups and impersonation, the access key. Few values for an identity.
    pub context: Cow<'a, str>,
    /// When, in Unix seconds.
    pub at: i64,
}

/// Where events come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch<'a> {
    /// The AuthorizationSystem.
    pub system: &'a str,
    /// The log within the system.
    pub source: &'a str,
    /// How far the source was read with these events, in the reader's words. `None` keeps what is stored: a source that is pushed has none.
    pub watermark: Option<&'a str>,
    /// The time, in Unix seconds. It says which days are too old or in the future.
    pub now: i64,
}

/// How the events of a batch were counted. `events` is the sum of `new`, `duplicates`, `late`, `expired` and `future`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// All.
    pub events: u64,
    /// Counted.
    pub new: u64,
    /// Known, and not counted again.
    pub duplicates: u64,
    /// Of a day whose hashes are gone ([`Limits::hashes`]). The use and its time are kept, but it is not counted: it may be known.
    pub late: u64,
    /// Older than [`Limits::usage_days`], and not kept.
    pub expired: u64,
    /// More than a day in the future, and not kept.
    pub future: u64,
    /// Resources and contexts for which [`Limits::names`] or [`Limits::rows`] left no room. The use is kept without them, which counts as a
    /// use of everything that is granted: what was used is never called unused.
    pub folded: u64,
    /// Operations for which [`Limits::rows`] left no room. Only the activity of the identity is kept.
    pub unnamed: u64,
}

/// What keeps the store from growing without a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Days of usage that are kept. Default 100: a window of 90, and time to notice that a source was down.
    pub usage_days: u32,
    /// Days of scores that are kept. Default 400: more than a year of trend.
    pub score_days: u32,
    /// Hashes of events that are kept, in all systems. Default 32 million, about 200 MB. Beyond it, the oldest days lose theirs.
    pub hashes: u64,
    /// Names of a system: identities, operations, resources, contexts. Default 4 million; resources and contexts may take three quarters.
    pub names: u32,
    /// Rows of an identity on one day. Default 100,000.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { usage_days: 100, score_days: 400, hashes: 32_000_000, names: 4_000_000, rows: 100_000 }
    }
}

/// The store. All functions block. Readers see the state of the last commit, and a second writer waits for the first. After
/// [`StoreError::Storage`], open it again.
#[derive(Debug)]
pub struct Store {
    database: Database,
    limits: Limits,
}

impl Store {
    /// Opens a store, or makes an empty one. After a crash the last committed state is there at once.
    ///
    /// A new store gets its name when it is complete. So a file with this name is whole, and one with `.new` behind its name, which a crash
    /// left, is made again.
    ///
    /// # Errors
    /// If another process has it open, a newer version wrote it, or it is not a store.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        if path.exists() {
            return Self::prepared(open_file(path)?, limits);
        }
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        match open_file(&new).and_then(|database| Self::prepared(database, limits)) {
            Ok(store) => return store.named(&new, path),
            Err(error @ StoreError::Locked(_)) => return Err(error),
            Err(_) => {}
        }
        // It was cut while it was made, or there is no room for it, which the second try tells.
        let _ = fs::remove_file(&new);
        Self::prepared(open_file(&new)?, limits)?.named(&new, path)
    }

    /// Gives a complete file its name, durably.
    fn named(self, from: &Path, to: &Path) -> Result<Self> {
        let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let renamed = fs::rename(from, to).and_then(|()| fs::File::open(directory)?.sync_all());
        renamed.map_err(|error| StoreError::Open { path: to.to_owned(), why: Box::new(redb::Error::Io(error)) })?;
        Ok(self)
    }

    /// A store on something else than a file, such as memory ([`redb::backends::InMemoryBackend`]).
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn with_backend(backend: impl StorageBackend, limits: Limits) -> Result<Self> {
        let opened = builder().create_with_backend(backend);
        let database = opened.map_err(|error| StoreError::Storage(Box::new(error.into())))?;
        Self::prepared(database, limits)
    }

    /// Makes the tables, so that readers find them.
    fn prepared(database: Database, limits: Limits) -> Result<Self> {
        let store = Self { database, limits };
        let found = match store.read()?.open_table(META) {
            Ok(meta) => meta.get("format")?.map(|found| found.value()),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        match found {
            Some(FORMAT) => return Ok(store),
            Some(found) => return Err(StoreError::Newer { found, known: FORMAT }),
            None => {}
        }
        let transaction = store.write()?;
        {
            transaction.open_table(META)?.insert("format", FORMAT)?;
            transaction.open_table(SYSTEMS)?;
            transaction.open_table(WATERMARKS)?;
            transaction.open_table(names::NAMES)?;
            transaction.open_table(names::TEXTS)?;
            transaction.open_table(names::NUMBERS)?;
            transaction.open_table(rows::USAGE)?;
            transaction.open_table(days::DAYS)?;
            transaction.open_table(seen::SEEN)?;
            transaction.open_table(scores::SCORES)?;
            transaction.open_table(identities::IDENTITY_SCORES)?;
        }
        transaction.commit()?;
        Ok(store)
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn read(&self) -> Result<ReadTransaction> {
        Ok(self.database.begin_read()?)
    }

    /// A transaction that is on the disk when its commit returns. It is written in two phases, because users choose texts that are in it: with
    /// one phase, a crash may take a page with chosen bytes for a commit.
    fn write(&self) -> Result<WriteTransaction> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }

    /// The number of a system, if the store knows it.
    fn system(&self, transaction: &ReadTransaction, system: &str) -> Result<Option<u32>> {
        Ok(transaction.open_table(SYSTEMS)?.get(system)?.map(|found| found.value()))
    }

    /// The names of the systems.
    ///
    /// # Errors
    /// Of the disk.
    pub fn systems(&self) -> Result<Vec<String>> {
        let table = self.read()?.open_table(SYSTEMS)?;
        table.iter()?.map(|entry| Ok(entry?.0.value().to_owned())).collect()
    }

    /// How far a source was read, as its last batch said.
    ///
    /// # Errors
    /// Of the disk.
    pub fn watermark(&self, system: &str, source: &str) -> Result<Option<String>> {
        let transaction = self.read()?;
        let Some(system) = self.system(&transaction, system)? else { return Ok(None) };
        let found = transaction.open_table(WATERMARKS)?.get((system, source))?.map(|found| found.value().1.to_owned());
        Ok(found)
    }

    /// The sources of a system with their watermarks, sorted.
    ///
    /// # Errors
    /// Of the disk.
    pub fn watermarks(&self, system: &str) -> Result<Vec<(String, String)>> {
        let transaction = self.read()?;
        let Some(system) = self.system(&transaction, system)? else { return Ok(Vec::new()) };
        let table = transaction.open_table(WATERMARKS)?;
        let (mut found, range) = (Vec::new(), table.range((system, "")..)?);
        for entry in range {
            let (key, value) = entry?;
            let (of, source) = key.value();
            if of != system {
                break;
            }
            found.push((source.to_owned(), value.value().1.to_owned()));
        }
        Ok(found)
    }

    /// What is known of the days of a system, from the first of these to the last.
    ///
    /// # Errors
    /// If a value is damaged, and of the disk.
    pub fn days(&self, system: &str, from: Day, to: Day) -> Result<Vec<(Day, DayInfo)>> {
        let transaction = self.read()?;
        let Some(system) = self.system(&transaction, system)? else { return Ok(Vec::new()) };
        let table = transaction.open_table(days::DAYS)?;
        let range = table.range((system, from.0)..=(system, to.0))?;
        range
            .map(|entry| {
                let (key, value) = entry?;
                let day = key.value().1;
                Ok((Day(day), DayInfo::decode(value.value(), day)?))
            })
            .collect()
    }

    /// The hours with events on these days, in hours since the Unix epoch: the coverage of a window.
    ///
    /// # Errors
    /// As [`Store::days`].
    pub fn hours(&self, system: &str, from: Day, to: Day) -> Result<Vec<i64>> {
        Ok(self.days(system, from, to)?.iter().flat_map(|(day, info)| info.hours(day.0)).collect())
    }
}

/// Opens a file, or makes an empty one that others cannot read: it says who did what.
fn open_file(path: &Path) -> Result<Database> {
    let failed = |error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(path.to_owned()),
        error => StoreError::Open { path: path.to_owned(), why: Box::new(error.into()) },
    };
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| failed(redb::DatabaseError::Storage(error.into())))?;
    builder().create_with_backend(FileBackend::new(file).map_err(failed)?).map_err(failed)
}

/// Every page is verified when a store is opened: a file that was damaged at rest is an error then, and not a wrong answer or a panic later.
/// This reads the whole file.
fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// The number of a system in a write transaction; a new one if it is not known.
fn system_number(transaction: &WriteTransaction, system: &str) -> Result<u32> {
    let mut systems = transaction.open_table(SYSTEMS)?;
    if let Some(found) = systems.get(system)? {
        return Ok(found.value());
    }
    if system.is_empty() || system.len() > names::MAX_TEXT {
        return Err(StoreError::Invalid(format!(
            "the name of a system has 1 to {} bytes, and this one has {}",
            names::MAX_TEXT,
            system.len()
        )));
    }
    let mut meta = transaction.open_table(META)?;
    let next = meta.get("systems")?.map_or(0, |found| found.value()) + 1;
    meta.insert("systems", next)?;
    let full = |_| StoreError::Full { what: "no number is left for a new system".into(), next: "Begin a new store" };
    let number = u32::try_from(next).map_err(full)?;
    systems.insert(system, number)?;
    Ok(number)
}
