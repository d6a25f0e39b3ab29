//! The controllers: each dereferences what it needs, lets the core decide, runs effects and publishes status. Kinds that are only
//! judged have one file, kinds with a state machine a folder.
pub mod active_assignment;
pub mod admission;
pub mod assignment_request;
pub mod audit_events;
pub mod context;
pub mod decision;
pub mod dereference;
pub mod emergency;
pub mod endpoints;
pub mod gauges;
pub mod grant;
pub mod identity_keys;
pub mod live_reads;
mod milestones;
pub mod readiness;
pub mod request;
pub mod retention;
pub mod router;
pub mod sweeper;
#[cfg(test)]
mod version_skew;

pub use crate::api::convert;
pub use context::{Context, WaitingForProof};
