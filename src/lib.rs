//! Curfew: just-in-time privileged access for Kubernetes. Every access ends at its deadline.
//!
//! ```text
//!   cli/                             run, sweep, audit                   the commands
//!   controllers/                     request grant decision readiness …  dereference, run a reconcile, publish status
//!   providers/  audit/  traces/      kubernetes; chain, sinks; spans     reads and writes of targets; the audit log; OTLP
//!   identity/  kube_writes/  observe/                                    admission; writes of Curfew's kinds; metrics, Events
//!   runtime/                         driver engine stores client         the driver, the work queues, watches and indexes
//!   authority/  timing               lease clock permit                  whether this replica may grant; time constants
//!   curfew_api                       one file for each kind              the CRDs
//!   curfew_core                      request grant slots reconcile …     the rules, without I/O
//! ```
//! Dependencies point down; `hack/lint/modules` checks it. `curfew_core` and `curfew_api` do not depend on this crate.
#![forbid(unsafe_code)]

pub mod authority;
pub mod cli;
pub mod controllers;
pub use curfew_api as api;

pub mod audit;
pub mod generate;
pub mod identity;
pub mod kube_writes;
pub mod notify;
pub mod observe;
pub mod providers;
pub mod runtime;
pub mod timing;
pub mod traces;
