//! Which account this is, and who we are there: what STS says, and nothing that is configured.
use super::{Aws, errors::Call};
use crate::providers::port::ProviderError;

/// For how long the answer of STS is believed. An access key belongs to one account for as long as it exists, and the keys of a
/// session last longer than this.
pub const BELIEVED_SECS: i64 = 10;

/// What GetCallerIdentity answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// Who we are: a user, or a session of a role.
    pub arn: String,
}

impl Caller {
    /// The partition of every ARN of this account, such as `aws` or `aws-cn`.
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
    /// The role of a session, by name; `None` if we are a user. The path of the role is not part of the ARN of its sessions.
    pub fn role(&self) -> Option<&str> {
        self.arn.split(':').nth(5)?.strip_prefix("assumed-role/")?.split('/').next()
    }
}

impl Aws {
    /// Who we are, asked of STS within the last seconds.
    pub(super) async fn caller(&self) -> Result<Caller, ProviderError> {
        let now = self.clock.now();
        if let Some(known) = self.caller.get(now) {
            return Ok(known);
        }
        let call = Call { action: "sts:GetCallerIdentity", on: &self.connection.account_id };
        let said = self.clients().await.sts.get_caller_identity().send().await.map_err(|e| call.failed(e))?;
        let (Some(account), Some(arn)) = (said.account(), said.arn()) else {
            return Err(ProviderError::Transient { message: "sts:GetCallerIdentity names no account".into(), retry_after: None });
        };
        let caller = Caller { account: account.to_owned(), arn: arn.to_owned() };
        self.caller.insert(now, caller.clone());
        Ok(caller)
    }

    /// Absence counts only in the account that is meant, so an answer of STS from before a look that shows it is not believed after it.
    pub(super) fn ask_again_who_we_are(&self) {
        self.caller.forget(self.clock.now());
    }

    /// The same, if it is the account that is meant.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] for another account: nothing that it shows is believed, and nothing is written to it.
    pub(super) async fn confirmed_caller(&self) -> Result<Caller, ProviderError> {
        let caller = self.caller().await?;
        if caller.account == self.connection.account_id {
            return Ok(caller);
        }
        Err(ProviderError::Invalid(format!(
            "the operator's credentials lead to account {} ({}), and spec.provider.aws.accountId says {}; correct accountId, or let assumeRole name a role of that account",
            caller.account, caller.arn, self.connection.account_id
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_caller_tells_partition_and_role() {
        let caller = |arn: &str| Caller { account: "111122223333".into(), arn: arn.into() };
        let session = caller("arn:aws-cn:sts::111122223333:assumed-role/curfew/session");
        assert_eq!((session.partition(), session.role()), ("aws-cn", Some("curfew")));
        let user = caller("arn:aws:iam::111122223333:user/assumed-role/x");
        assert_eq!((user.partition(), user.role()), ("aws", None));
    }
}
