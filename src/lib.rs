//! Curfew: just-in-time privileged access for Kubernetes. Every privilege goes home on time.
//!
//! ```text
//!   cli/                              run sweep audit                    what users start
//!   controllers/                      request grant decision readiness   dereference, evaluate, run effects, publish status
//!   providers/  audit/                kubernetes; records and sinks      writes to targets; what outlives the objects
//!   identity/  kube_writes/  observe/ admission policies; status writes; metrics, health endpoints, Events
//!   runtime/                          driver engine watches indexes      what the controllers run on
//!   authority/                        lease clock permit                 whether this replica may grant
//!   api/                              one file for each kind             what users write
//!   curfew_core                       request grant terms verdict …      the rules: pure
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
