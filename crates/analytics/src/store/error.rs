//! What can go wrong with the store.
use std::{io, path::PathBuf};

/// An error of the store. After [`StoreError::Storage`] the store must be opened again: what was committed is there.
#[derive(thiserror::Error, Debug)]
pub enum StoreError {
    /// Another process has the file.
    #[error("the usage store {} is in use by another process: stop that process, or work on a copy of the file", .0.display())]
    Locked(PathBuf),
    /// The file cannot be opened.
    #[error("cannot open the usage store {}: {why}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: Box<redb::Error>,
    },
    /// A later version wrote the file.
    #[error(
        "the usage store has format {found}, and this program reads up to format {known}: use the version that wrote it, or a newer one"
    )]
    Newer {
        /// The format of the file.
        found: u64,
        /// The newest that is understood.
        known: u64,
    },
    /// A value cannot be read.
    #[error("the usage store is damaged: table {table}, {why}. Restore the file, or move it away and read the logs again")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The key, and what is wrong with its value.
        why: String,
    },
    /// A limit of the store.
    #[error("the usage store is full: {what}. {next}")]
    Full {
        /// Which limit.
        what: String,
        /// What to do.
        next: &'static str,
    },
    /// An argument that is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// The disk, or the engine.
    #[error("cannot read or write the usage store: {0}")]
    Storage(Box<redb::Error>),
    /// The output of an export.
    #[error("cannot write the export: {0}")]
    Output(#[from] io::Error),
}

macro_rules! from_redb {
    ($($kind:ident),*) => {
        $(impl From<redb::$kind> for StoreError {
            fn from(error: redb::$kind) -> Self {
                Self::Storage(Box::new(error.into()))
            }
        })*
    };
}

from_redb!(StorageError, TableError, TransactionError, CommitError, CompactionError, SetDurabilityError);

/// The result of most functions of the store.
pub type Result<T> = std::result::Result<T, StoreError>;
