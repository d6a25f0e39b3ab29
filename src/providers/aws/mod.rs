//! AWS: policies of an IAM user, a role of its own per grant, or IAM Identity Center.
//!
//! What the rules are is in `curfew_core::target::aws`; here is what is asked of AWS. Every call has a time limit, none is tried again
//! here, and each error means what [`errors`] says. What stops late writes is said beside the writes: [`own_policies`], [`role`],
//! [`identity_center`].
#[cfg(feature = "aws")]
mod client;
#[cfg(feature = "aws")]
mod errors;
#[cfg(feature = "aws")]
mod identity;
#[cfg(feature = "aws")]
mod inventory;
pub mod least_privilege;
#[cfg(feature = "aws")]
mod managed;
#[cfg(feature = "aws")]
mod memory;
#[cfg(feature = "aws")]
mod own_policies;
#[cfg(feature = "aws")]
mod policies;
#[cfg(feature = "aws")]
mod provider;
#[cfg(feature = "aws")]
mod quotas;
#[cfg(all(test, feature = "aws"))]
mod replay;
#[cfg(feature = "aws")]
mod rights;
#[cfg(all(test, feature = "aws"))]
mod tests;
#[cfg(feature = "aws")]
mod user;

#[cfg(feature = "aws")]
pub use client::Connections;
#[cfg(feature = "aws")]
pub use provider::Aws;

use crate::api::system::AwsConnection;
use curfew_core::lanes::Limits;

/// How many calls of one list run at a time.
#[cfg(feature = "aws")]
const LIST_AT_ONCE: usize = 4;

/// How fast and how wide an account is used. AWS publishes no rates for IAM; what is known is that all callers of an account share
/// them, and that they are low. A grant is about five calls and its end about three, so this is at most some 20 calls a second.
/// Where AWS throttles all the same, the lane pauses.
const ACCOUNT: Limits = Limits { width: 5, per_minute: Some(300), batch: 1 };

/// With Identity Center: 20 calls a second for the whole instance, and 15 assignments that are not finished at a time
/// (<https://docs.aws.amazon.com/singlesignon/latest/userguide/limits.html>).
const INSTANCE: Limits = Limits { width: 3, per_minute: Some(120), batch: 1 };

/// The limits of a connection's lane.
pub const fn limits(connection: &AwsConnection) -> Limits {
    if connection.identity_center.is_some() { INSTANCE } else { ACCOUNT }
}
