//! Policy documents of IAM: read, and evaluated for one request ([`decide`]). Sets of permissions are evaluated by [`super::effective`].
//!
//! What cannot be decided from what is known counts as granted: a condition on an unknown value keeps an Allow and does not apply a Deny.

pub mod condition;
pub mod context;
pub mod decide;
pub mod document;
pub mod glob;
pub mod values;
pub mod variables;

pub use condition::Truth;
pub use context::{Context, Known};
pub use decide::{Decision, Request, decide};
pub use document::{Condition, Document, Effect, Listed, Statement};
