//! Curfew: just-in-time privileged access for Kubernetes. Every privilege goes home on time.
//!
//! ```text
//!   cli/            run sweep audit, the plugin       what people start
//!   controllers/    request revoker house router …    gather facts, drive a pass, show where it stands
//!   runtime/        drive engine stores client        the one driver, the one engine, the watches
//!   ledger/  providers/  identity/  evidence/         every write: of our kinds, of targets; admission; what stays
//!   observe/                                          what is seen: metrics, health, Events
//!   authority/      lease clock permit                whether we may grant
//!   api/            one file for each kind            what users write
//!   curfew_core     request grant pass terms …        the rules: pure
//! ```
//! Dependencies point down. `curfew_core` depends on nothing here.
#![forbid(unsafe_code)]

pub use curfew_api as api;
pub mod audit;
pub mod authority;
pub mod cli;
pub mod controllers;
pub mod generate;
pub mod identity;
pub mod kube_writes;
pub mod observe;
pub mod providers;
pub mod runtime;
