//! The dictionary: each text once per system, with a number.
use super::{
    Limits,
    block::EMPTY,
    error::{Result, StoreError},
};
use curfew_core::text::clip;
use redb::{ReadableTable, Table, TableDefinition};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::HashMap, rc::Rc};

/// (system, text) to number.
pub const NAMES: TableDefinition<(u32, &str), u32> = TableDefinition::new("names");
/// (system, number) to text.
pub const TEXTS: TableDefinition<(u32, u32), &str> = TableDefinition::new("texts");
/// system to the number of names that were given and of those that are there.
pub const NUMBERS: TableDefinition<u32, (u32, u32)> = TableDefinition::new("numbers");

/// The longest identity, operation or resource, in bytes. ARNs have up to 2,048.
pub const MAX_TEXT: usize = 4096;
/// The longest context, in bytes. An audit event has up to 1.5 MiB.
pub const MAX_CONTEXT: usize = 1 << 20;
/// How many names a transaction keeps in memory.
const MAX_CACHED: usize = 200_000;

/// What a name is for, which decides what happens when the dictionary is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// An identity or an operation. They have a reserve of a quarter.
    Needed,
    /// A resource or a context: the empty text stands for what has no room.
    Optional,
}

/// Shortens a text that is too long. The mark at its end tells texts with the same beginning apart.
pub fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return Cow::Borrowed(text);
    }
    let digest = Sha256::digest(text.as_bytes());
    let mark: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Cow::Owned(format!("{}#{mark}", clip(text, MAX_TEXT - 17)))
}

/// The dictionary of one system, in a write transaction.
pub struct Names<'t> {
    system: u32,
    names: Table<'t, (u32, &'static str), u32>,
    texts: Table<'t, (u32, u32), &'static str>,
    numbers: Table<'t, u32, (u32, u32)>,
    cache: HashMap<Box<str>, u32>,
    given: u32,
    present: u32,
    max: u32,
}

impl<'t> Names<'t> {
    /// Opens it.
    ///
    /// # Errors
    /// Of the disk.
    pub fn open(transaction: &'t redb::WriteTransaction, system: u32, limits: &Limits) -> Result<Self> {
        let (names, texts, numbers) = (transaction.open_table(NAMES)?, transaction.open_table(TEXTS)?, transaction.open_table(NUMBERS)?);
        let (given, present) = numbers.get(system)?.map_or((0, 0), |found| found.value());
        Ok(Self { system, names, texts, numbers, cache: HashMap::new(), given, present, max: limits.names })
    }

    /// The number of a text. `None` if there is no room for it.
    ///
    /// # Errors
    /// If there is no room for a name that is needed, and of the disk.
    pub fn id(&mut self, text: &str, sort: Sort) -> Result<Option<u32>> {
        if text.is_empty() {
            return Ok(Some(EMPTY));
        }
        if let Some(id) = self.cache.get(text) {
            return Ok(Some(*id));
        }
        let known = self.names.get((self.system, text))?.map(|found| found.value());
        let id = match known {
            Some(id) => id,
            None => match self.add(text, sort)? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        if self.cache.len() >= MAX_CACHED {
            self.cache.clear();
        }
        self.cache.insert(text.into(), id);
        Ok(Some(id))
    }

    fn add(&mut self, text: &str, sort: Sort) -> Result<Option<u32>> {
        let room = match sort {
            Sort::Optional => self.max - self.max / 4,
            Sort::Needed => self.max,
        };
        let next = self.given.checked_add(1).filter(|_| self.present < room);
        let Some(next) = next else {
            return match sort {
                Sort::Optional => Ok(None),
                Sort::Needed => Err(StoreError::Full {
                    what: format!("the system has {} names of identities, operations and resources", self.present),
                    next: "Keep fewer days of usage, or raise the limit of names",
                }),
            };
        };
        (self.given, self.present) = (next, self.present + 1);
        self.names.insert((self.system, text), next)?;
        self.texts.insert((self.system, next), text)?;
        Ok(Some(next))
    }

    /// Writes how many there are.
    ///
    /// # Errors
    /// Of the disk.
    pub fn close(mut self) -> Result<()> {
        self.numbers.insert(self.system, (self.given, self.present))?;
        Ok(())
    }
}

/// Texts by number, in a read transaction.
pub struct Texts<'t, T: ReadableTable<(u32, u32), &'static str>> {
    system: u32,
    table: &'t T,
    cache: HashMap<u32, Rc<str>>,
}

impl<'t, T: ReadableTable<(u32, u32), &'static str>> Texts<'t, T> {
    /// Those of a system.
    pub fn new(system: u32, table: &'t T) -> Self {
        Self { system, table, cache: HashMap::new() }
    }
    /// The text with a number.
    ///
    /// # Errors
    /// If no text has it, and of the disk.
    pub fn get(&mut self, id: u32) -> Result<Rc<str>> {
        if let Some(text) = self.cache.get(&id) {
            return Ok(text.clone());
        }
        let text: Rc<str> = match id {
            EMPTY => "".into(),
            id => match self.table.get((self.system, id))? {
                Some(found) => found.value().into(),
                None => return Err(StoreError::Damaged { table: "texts", why: format!("no name has the number {id}") }),
            },
        };
        if self.cache.len() >= MAX_CACHED {
            self.cache.clear();
        }
        self.cache.insert(id, text.clone());
        Ok(text)
    }
}
