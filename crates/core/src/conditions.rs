//! Conditions of activation: what a request must name, and what the login of a requester or an approver must show. Pure.
//!
//! [`crate::terms`] turns a condition that is not met into a refusal, and [`crate::approval`] into an approval that does not count. A
//! condition binds the beginning: what is active is not judged by it again.
pub mod authentication_context;
mod claims;
pub mod evidence;
pub mod mfa;
pub mod ticket;

pub use crate::principal::LoginKeys;
