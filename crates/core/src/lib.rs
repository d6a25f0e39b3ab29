//! The rules of Curfew: who may hold what until when, and how it is taken away.
//!
//! Facts in, decisions out. Nothing here does I/O, reads a clock or awaits; the crate has no dependency that could.
//! The operator's driver and the model checker in `tests/` both run exactly this code.
//!
//! | Room | What it holds |
//! |---|---|
//! | [`time`], [`duration`], [`digest`], [`principal`], [`scope`], [`reason`], [`ids`] | values |
//! | [`house`], [`terms`], [`persistence`], [`resolved`] | template × assignment × policy × system → what would be granted |
//! | [`approval`], [`messages`] | whose word counts, and what people are told |
//! | [`request`], [`grant`] | the two machines |
//! | [`gate`], [`sweep`] | what may be trusted by its time of creation, and what nothing justifies |
//! | [`deadlines`], [`lanes`] | when, and in which order |
//! | [`pass`] | the four steps around them, as a value that asks |
pub mod admission;
pub mod approval;
pub mod deadlines;
pub mod digest;
pub mod duration;
pub mod grant;
pub mod ids;
pub mod lanes;
pub mod messages;
pub mod persistence;
pub mod policy_inputs;
pub mod principal;
pub mod reason;
pub mod reconcile;
pub mod request;
pub mod resolved;
pub mod scope;
pub mod sweep;
pub mod terms;
pub mod time;
