//! Curfew: just-in-time privileged access for Kubernetes. Every privilege goes home on time.
//!
//! ```text
//!            cli   observe                       what people and machines see
//!   controllers/   request  revoker  …           gather facts, drive a pass, write status
//!       runtime/   drive  engine  stores         the one driver, the one engine, the watches
//!        ledger/   providers/   identity/        every write: of our kinds, of targets, of admission
//!     authority/   lease  clock  permit          whether we may grant
//!           api/   one file per kind             what users write
//!    curfew_core   request  grant  pass  terms   the rules: pure
//! ```
//! Dependencies point down. `curfew_core` depends on nothing here.
pub mod api;
pub mod authority;
pub mod generate;
pub mod identity;
