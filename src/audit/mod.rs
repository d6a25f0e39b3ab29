//! The audit log, which outlives the objects it describes (I7): append-only JSON lines, one for each decision and effect,
//! hash-chained per writer.
//!
//! The record of an intent must be stored by every sink *before* the Grant is written; if a sink fails, the Grant is not
//! written. All other records are sent without waiting, so that no sink delays a revocation (I8). A reconcile sends its records
//! before it commits, so that a crash in between duplicates a record and does not lose it. While too many records wait, only what
//! ends access goes on.
//!
//! | File | Content |
//! |---|---|
//! | `record.rs`, `chain.rs` | one audit record, and its position in the chain of its writer |
//! | `verify.rs`, `history.rs` | the checks and queries of `curfew audit` |
//! | `sinks.rs`, `writer.rs` | the audit sinks, and the one task that writes to them |
//! | `recent.rs`, `intents.rs`, `backlog.rs` | what is not recorded again, and how many records wait |
mod backlog;
pub mod chain;
pub mod history;
mod intents;
mod recent;
pub mod record;
mod sinks;
pub mod verify;
mod writer;

pub use record::{CountedDecision, EventData, EventKind};
pub use writer::{AuditLog, Setup};
