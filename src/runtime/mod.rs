//! What the controllers run on: the driver of a reconcile, the engine of a controller, watches with stores and indexes.
pub mod changes;
pub mod client;
pub mod crash;
pub mod driver;
pub mod engine;
pub mod expectations;
pub mod http;
pub mod index;
pub mod liveness;
mod on_response;
pub mod own;
pub mod panics;
pub mod projection;
pub mod shared_reads;
pub mod stores;
pub mod tasks;
pub mod watch_age;
pub mod watches;
