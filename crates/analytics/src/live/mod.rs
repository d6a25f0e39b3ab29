//! The process `curfew-analytics run`: it measures every AuthorizationSystem, publishes its score, and answers questions.
//!
//! ```text
//!  API servers ── audit events ──▶ intake ─┐
//!  log directories ──▶ logs ───────────────┼─▶ store ── fold ─┐
//!  cluster (watches), account ── who may do what ─────────────┴─▶ analysis ─▶ status, metrics, questions
//! ```
//!
//! Nothing here is needed to grant or to revoke. The process has an account of its own, can read no Secret through the API, and of what Curfew stores it
//! writes `pci`, `findings` and two conditions of the status of systems. An event is answered once it is on the disk, and counts once however
//! often it comes. What can be computed without I/O is in [`status`] and in the modules of the providers.
#[cfg(feature = "aws")]
pub mod account;
pub mod analysis;
pub mod cluster;
pub mod endpoints;
pub mod evaluate;
pub mod intake;
pub mod logs;
pub mod memo;
pub mod metrics;
pub mod process;
pub mod publish;
pub mod questions;
pub mod settings;
pub mod state;
pub mod status;
pub mod systems;
pub mod trail;
