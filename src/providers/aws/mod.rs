//! AWS: policies of an IAM user, a role of its own per grant, or IAM Identity Center.
//!
//! What the rules are is in `curfew_core::target::aws`; here is what is asked of AWS. Every call has a time limit, none is tried again
//! here, and each error means what [`errors`] says. What stops late writes is said beside the writes: [`own_policies`], [`role`],
//! [`identity_center`].
mod accounts;
#[cfg(feature = "aws")]
mod center;
#[cfg(feature = "aws")]
mod client;
#[cfg(feature = "aws")]
mod errors;
#[cfg(feature = "aws")]
mod identity;
#[cfg(feature = "aws")]
mod identity_center;
#[cfg(feature = "aws")]
mod inventory;
pub mod least_privilege;
#[cfg(feature = "aws")]
mod lists;
#[cfg(feature = "aws")]
mod managed;
#[cfg(feature = "aws")]
mod memory;
#[cfg(feature = "aws")]
mod operations;
#[cfg(feature = "aws")]
mod own_policies;
#[cfg(feature = "aws")]
mod people;
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
#[cfg(feature = "aws")]
mod role;
#[cfg(feature = "aws")]
mod role_ends;
#[cfg(feature = "aws")]
mod simulation;
#[cfg(feature = "aws")]
mod standing;
#[cfg(all(test, feature = "aws"))]
mod tests;
#[cfg(feature = "aws")]
mod user;

pub use accounts::Accounts;
#[cfg(feature = "aws")]
pub use client::{Clients, Connections};
#[cfg(feature = "aws")]
pub use provider::Aws;

use curfew_core::{
    lanes::Limits,
    target::aws::{Access, Plan},
};
#[cfg(feature = "aws")]
use futures::{Stream, StreamExt, stream};

/// Does all of this, four at a time. The results come in the order of the work, and none begins after the caller has stopped asking.
#[cfg(feature = "aws")]
fn in_parts<F: Future>(work: impl IntoIterator<Item = F>) -> impl Stream<Item = F::Output> {
    stream::iter(work.into_iter().collect::<Vec<F>>()).buffered(4)
}

/// How fast and how wide an account is used. AWS publishes no rates for IAM; what is known is that all callers of an account share
/// them, and that they are low. A grant is about five calls and its end about three, so this is at most some 20 calls a second. Ends do
/// not wait for this rate. Where AWS throttles, calls follow its pace (see [`client`]).
const ACCOUNT: Limits = Limits { width: 5, per_minute: Some(300), batch: 1 };

/// The same of an instance of IAM Identity Center: 20 calls a second for all its callers together, and few assignments that are not
/// finished at a time (<https://docs.aws.amazon.com/singlesignon/latest/userguide/limits.html>).
const INSTANCE: Limits = Limits { width: 3, per_minute: Some(120), batch: 1 };

/// The lane of a plan and its limits. All accounts that an instance of IAM Identity Center assigns access to share one lane, and what is
/// written to IAM has one for each account.
pub fn lane(system: &str, plan: &Plan) -> (String, Limits) {
    let instance = match &plan.access {
        Access::User(_) | Access::Role(_) => return (system.to_owned(), ACCOUNT),
        Access::PermissionSet(set) => &set.instance,
        Access::Assignment(assignment) => &assignment.instance,
        Access::Membership(membership) => &membership.instance,
    };
    (instance.clone(), INSTANCE)
}
