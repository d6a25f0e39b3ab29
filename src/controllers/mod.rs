//! Gather facts, drive a pass, write status: one file for each kind that is only judged, one folder for each machine.
pub mod admission;
pub mod audit_events;
pub mod context;
pub mod convert;
pub mod dereference;
pub mod gauges;
pub mod grant;
pub mod readiness;
pub mod request;
pub mod retention;
pub mod router;
pub mod sweeper;

pub use context::Context;
