//! Curfew: just-in-time privileged access for Kubernetes. Every access ends at its deadline.
//!
//! ```text
//!   cli/            run sweep audit, the plugin       the commands
//!   controllers/    request revoker house router …    gather inputs, run a reconcile, publish status
//!   runtime/        drive engine stores client        the reconcile driver, the work queue, watches and caches
//!   ledger/  providers/  identity/  evidence/         writes to Curfew's kinds and to targets; admission; the audit log
//!   observe/                                          metrics, health endpoints, Events
//!   authority/      lease clock permit                decides whether this replica may grant
//!   api/            one file for each kind            the CRDs
//!   curfew_core     request grant pass terms …        the rules, without I/O
//! ```
//! Dependencies point down. `curfew_core` does not depend on this crate.
#![forbid(unsafe_code)]

pub mod authority;
pub mod cli;
pub mod controllers;
pub use curfew_api as api;

pub mod audit;
pub mod generate;
pub mod identity;
pub mod kube_writes;
pub mod observe;
pub mod providers;
pub mod runtime;
pub mod timing;
