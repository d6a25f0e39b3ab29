//! Evidence that survives the objects (I7): append-only lines, one for each decision and effect, chained per writer.
//!
//! An intent is recorded *before* the Grant is written, and a sink that does not take it keeps the Grant from being written.
//! Everything else is told and never waited for: no sink delays a revocation (I8). What a pass is about to commit is told
//! before the commit, so that a crash in between tells it twice rather than never.
//!
//! | File | What it holds |
//! |---|---|
//! | `record.rs`, `chain.rs` | one line, and its place in its writer's chain |
//! | `verify.rs`, `history.rs` | what `curfew audit` makes of such lines |
//! | `sinks.rs`, `writer.rs` | where they go, and the one task that writes them |
pub mod chain;
pub mod history;
pub mod record;
mod sinks;
pub mod verify;
mod writer;

pub use record::{CountedDecision, EventData, EventKind};
pub use writer::{AuditLog, Setup};
