//! Gather facts, drive a pass, write status: one file for each kind that is only judged, one folder for each machine.
pub mod context;
pub mod facts;
pub mod gatekeeper;
pub mod gather;
pub mod house;
pub mod request;
pub mod retention;
pub mod revoker;
pub mod router;
pub mod status;
pub mod sweeper;
pub mod tell;

pub use context::Context;
