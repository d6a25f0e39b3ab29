//! Records of AWS CloudTrail: who used what.
//!
//! [`find`] lists the log files of a trail, [`Reader`] streams them in bounded memory and tells every [`Use`] to a sink, and
//! [`Fold`](super::usage::Fold) rolls them up. Only `logs` opens files. [`operations::used`] maps what was called to the actions of IAM.
mod buffer;
mod counts;
mod frames;
mod hash;
mod identity;
mod implied;
mod logs;
mod named;
pub mod operations;
mod reader;
mod record;
mod resources;
mod scan;
mod seen;
pub mod table;
mod time;

pub use counts::{Counts, Names};
pub use hash::Map;
pub use implied::Implied;
pub use logs::{Logs, find, read};
pub use reader::{Reader, Use};
