//! The rules of Curfew: who may hold which access until when, and how it is removed.
//!
//! Facts in, decisions out. Nothing here does I/O, reads a clock or awaits; the crate has no dependency that could.
//! The operator's driver and the model checker in `tests/` both run exactly this code.
//!
//! | Modules | What they hold |
//! |---|---|
//! | [`time`], [`duration`], [`digest`], [`principal`], [`folding`], [`text`], [`reason`], [`ids`], [`requeue`] | values |
//! | [`target`] | what differs between providers: permissions, scope, content, plan, principal |
//! | [`policy_inputs`], [`terms`], [`resolved`] | template × assignment × policy × system → what would be granted |
//! | [`conditions`] | ticket, MFA and authentication context: what a request and a login must show |
//! | [`extension`] | what a request extends, and how much of a day its beneficiary has held the role |
//! | [`readiness`] | whether systems, policies, templates and assignments can be used |
//! | [`approval`], [`verdict`], [`messages`] | which decisions count, and what users are told |
//! | [`request`], [`grant`], [`slots`] | the two state machines, and accesses that grants share |
//! | [`limits`] | how many requests may hold a role at a time |
//! | [`notice`] | which events people are told of, and who |
//! | [`occurrences`] | when standing access is there, and by which activations |
//! | [`admission`], [`sweep`] | what may be trusted by its creation time, and what no Grant justifies |
//! | [`deadlines`], [`lanes`] | when, and in which order |
//! | [`reconcile`] | the steps around the state machines, as a value that requests effects |
pub mod admission;
pub mod approval;
pub mod assignment_request;
pub mod conditions;
pub mod deadlines;
pub mod digest;
pub mod duration;
pub mod emergency;
pub mod extension;
pub mod fingerprint;
pub mod folding;
pub mod follow;
pub mod grant;
pub mod ids;
pub mod lanes;
pub mod limits;
pub mod messages;
pub mod notice;
pub mod occurrences;
pub mod policy_inputs;
pub mod principal;
pub mod quorum;
pub mod readiness;
pub mod reason;
pub mod reconcile;
pub mod request;
pub mod requeue;
pub mod resolved;
pub mod retention;
pub mod shared_read;
pub mod slots;
pub mod sweep;
pub mod target;
pub mod terms;
pub mod text;
pub mod time;
pub mod verdict;
