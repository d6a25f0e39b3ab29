//! The quotas of IAM, counted before anything is written: an error of AWS in the middle of a grant says less.
//!
//! Numbers and defaults: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>. What an account really has is
//! read from GetAccountSummary; where the operator may not read that, the defaults count.
use super::{Aws, errors::Call};
use crate::providers::port::ProviderError;
use std::collections::HashMap;

/// For how long a summary is believed. It may be too low by what was created meanwhile; then AWS refuses, and says so.
pub const BELIEVED_SECS: i64 = 60;

/// What an account has, and how much of it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// Customer-managed policies in the account.
    pub policies: u32,
    /// How many there may be.
    pub most_policies: u32,
    /// Roles in the account.
    pub roles: u32,
    /// How many there may be.
    pub most_roles: u32,
    /// How many policies may be attached to one user.
    pub most_attached_to_user: u32,
    /// How many policies may be attached to one role.
    pub most_attached_to_role: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas { policies: 0, most_policies: 1_500, roles: 0, most_roles: 1_000, most_attached_to_user: 10, most_attached_to_role: 10 }
    }
}

impl Quotas {
    fn of(summary: &HashMap<String, i32>) -> Self {
        let default = Quotas::default();
        let read = |key: &str, default: u32| summary.get(key).and_then(|n| u32::try_from(*n).ok()).unwrap_or(default);
        Quotas {
            policies: read("Policies", default.policies),
            most_policies: read("PoliciesQuota", default.most_policies),
            roles: read("Roles", default.roles),
            most_roles: read("RolesQuota", default.most_roles),
            most_attached_to_user: read("AttachedPoliciesPerUserQuota", default.most_attached_to_user),
            most_attached_to_role: read("AttachedPoliciesPerRoleQuota", default.most_attached_to_role),
        }
    }

    /// Why so many more policies do not fit beside those that a user has, in words. `None` if they do.
    pub fn full_user(&self, user: &str, attached: usize, new: usize) -> Option<String> {
        full(
            (attached, new, self.most_attached_to_user),
            &format!("policies attached to user {user}"),
            "detach some, put them into a group, or raise \"Managed policies attached to an IAM user\" in Service Quotas",
        )
    }
    /// Why so many policies do not fit on one role.
    pub fn full_role(&self, new: usize) -> Option<String> {
        full(
            (0, new, self.most_attached_to_role),
            "policies attached to the role of a grant",
            "grant less in one template, or raise \"Managed policies attached to an IAM role\" in Service Quotas",
        )
    }
    /// Why so many more policies do not fit into the account.
    pub fn full_policies(&self, new: usize) -> Option<String> {
        full(
            (count(self.policies), new, self.most_policies),
            "customer-managed policies in the account",
            "delete some that are not used, or raise \"Customer managed policies in an AWS account\" in Service Quotas",
        )
    }
    /// Why so many more roles do not fit into the account.
    pub fn full_roles(&self, new: usize) -> Option<String> {
        full(
            (count(self.roles), new, self.most_roles),
            "roles in the account",
            "delete some that are not used, or raise \"Roles per account\" in Service Quotas",
        )
    }
}

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn full((used, new, most): (usize, usize, u32), what: &str, remedy: &str) -> Option<String> {
    let over = used.saturating_add(new) > count(most);
    over.then(|| format!("a quota of AWS is full: {used} {what}, {new} more are needed, and {most} are allowed; {remedy}"))
}

impl Aws {
    /// What the account has, read within the last minute.
    pub(super) async fn quotas(&self) -> Result<Quotas, ProviderError> {
        let now = self.clock.now();
        if let Some(known) = self.summary.get(now) {
            return Ok(known);
        }
        let call = Call { action: "iam:GetAccountSummary", on: "the account" };
        let quotas = match self.clients().await.iam.get_account_summary().send().await.map_err(|e| call.failed(e)) {
            Ok(read) => {
                let all = read.summary_map().into_iter().flatten();
                Quotas::of(&all.map(|(key, n)| (key.as_str().to_owned(), *n)).collect())
            }
            // AWS counts for itself. What it refuses is said then.
            Err(ProviderError::Denied(why)) => {
                tracing::info!(why, "the quotas of the account are not known; the defaults of AWS count");
                Quotas::default()
            }
            Err(e) => return Err(e),
        };
        self.summary.insert(now, quotas);
        Ok(quotas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_quota_is_named_with_its_numbers_and_a_remedy() {
        let summary = [("PoliciesQuota", 1_500), ("Policies", 1_499), ("AttachedPoliciesPerUserQuota", 20), ("RolesQuota", 5_000)];
        let quotas = Quotas::of(&summary.into_iter().map(|(key, n)| (key.to_owned(), n)).collect());
        assert_eq!((quotas.full_user("alice", 18, 2), quotas.full_policies(1), quotas.full_roles(1)), (None, None, None));
        let user = quotas.full_user("alice", 19, 2).unwrap();
        assert!(user.contains("19 policies attached to user alice, 2 more are needed, and 20 are allowed; detach"), "{user}");
        assert!(quotas.full_policies(2).unwrap().contains("1499 customer-managed policies in the account, 2 more"));
        assert!(quotas.full_role(11).unwrap().contains("and 10 are allowed"), "what the summary leaves out has its default");
    }
}
