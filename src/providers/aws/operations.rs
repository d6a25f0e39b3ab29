//! What IAM Identity Center has accepted and works on: assignments and their removals, asked about by the id of the request.
use super::{
    Aws,
    errors::{Call, if_there},
};
use crate::providers::port::ProviderError;
use aws_sdk_ssoadmin::types::{AccountAssignmentOperationStatus, StatusValues};
use curfew_core::time::Time;

/// How long AWS may take for one assignment or removal. Most take seconds.
const UNFINISHED_SECS: i64 = 900;

/// How an asynchronous write stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It is done.
    Done,
    /// AWS works on it, under this id.
    Running(String),
    /// It has failed, and why.
    Failed(String),
}

/// How far an operation is. An answer without a state, or without the request to ask about, is not an answer: AWS may work on it.
pub fn progress(call: Call<'_>, status: Option<&AccountAssignmentOperationStatus>) -> Result<Progress, ProviderError> {
    let status = status.ok_or_else(|| call.incomplete())?;
    match status.status() {
        Some(StatusValues::Succeeded) => Ok(Progress::Done),
        Some(StatusValues::Failed) => Ok(Progress::Failed(status.failure_reason().unwrap_or("it gives no reason").to_owned())),
        Some(_) => status.request_id().map(|id| Progress::Running(id.to_owned())).ok_or_else(|| call.incomplete()),
        None => Err(call.incomplete()),
    }
}

/// The same of an operation that is asked about again and again: one that AWS does not finish has failed, so that what it was for is
/// looked at again, and the Grant says why.
fn finished(call: Call<'_>, status: Option<&AccountAssignmentOperationStatus>, now: Time) -> Result<Progress, ProviderError> {
    let begun = status.and_then(|status| status.created_date()).map(|at| Time::from_secs(at.secs()));
    match progress(call, status)? {
        Progress::Running(_) if begun.is_some_and(|begun| now.millis_since(begun) > UNFINISHED_SECS * 1_000) => {
            Ok(Progress::Failed(format!("AWS has not finished it for {} minutes", UNFINISHED_SECS / 60)))
        }
        other => Ok(other),
    }
}

fn unknown() -> Progress {
    Progress::Failed("AWS does not know it any more".into())
}

impl Aws {
    /// How a write stands that AWS has accepted. One that it does not know has failed.
    pub(super) async fn assigning(&self, id: &str) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:DescribeAccountAssignmentCreationStatus", on: id };
        let asked = self.clients().await.sso.describe_account_assignment_creation_status().instance_arn(&self.center()?.instance_arn);
        let found = asked.account_assignment_creation_request_id(id).send().await.map_err(|e| call.failed(e));
        if_there(found)?.map_or_else(|| Ok(unknown()), |found| finished(call, found.account_assignment_creation_status(), self.clock.now()))
    }

    /// The same of a removal.
    pub(super) async fn unassigning(&self, id: &str) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:DescribeAccountAssignmentDeletionStatus", on: id };
        let asked = self.clients().await.sso.describe_account_assignment_deletion_status().instance_arn(&self.center()?.instance_arn);
        let found = asked.account_assignment_deletion_request_id(id).send().await.map_err(|e| call.failed(e));
        if_there(found)?.map_or_else(|| Ok(unknown()), |found| finished(call, found.account_assignment_deletion_status(), self.clock.now()))
    }
}

impl Aws {
    /// The last look at the clock before a write that has a time limit: it may have passed while an answer was awaited, or while the
    /// process stood still.
    pub(super) fn in_time(&self, Call { action, on }: Call<'_>, until: Option<Time>) -> Result<(), ProviderError> {
        if until.is_none_or(|until| self.clock.now() < until) {
            return Ok(());
        }
        Err(ProviderError::Transient {
            message: format!("{action} on {on}: the time limit of this write has passed; it is not sent"),
            retry_after: None,
        })
    }
}
