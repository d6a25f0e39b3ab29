//! What stands in Identity Center already: the assignment of a permission set, and the membership in a group. AWS cannot end either, so
//! Curfew does, and status says so.
//!
//! Nothing can be reserved here, so a write has a time limit (see the slots of the protocol). There is one copy of each: one that was
//! there before the first grant is kept.
use super::{
    Aws,
    center::{InAccount, Progress},
    identity::Caller,
};
use crate::{
    api::grant::Artifact,
    providers::port::{ApplyOutcome, ProviderError, RevokeOutcome},
};
use curfew_core::{
    grant::OperationKind,
    target::aws::{
        Access, Group, PermissionSetContent, Plan,
        plan::{PlannedAssignment, PlannedMembership},
    },
    time::Time,
};
use std::time::Duration;

impl Aws {
    /// Does this until then: the calls before the write take time, too, and nothing may be sent later.
    pub(super) async fn within<T>(&self, until: Time, work: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        let late = || ProviderError::Transient { message: "the time limit of the write has passed".into(), retry_after: None };
        let left = until.millis_since(self.clock.now());
        if left <= 0 {
            return Err(late());
        }
        tokio::time::timeout(Duration::from_millis(left.unsigned_abs()), work).await.unwrap_or_else(|_| Err(late()))
    }

    /// Whether the user has it, granted by Curfew or by others.
    pub(super) async fn is_standing(&self, plan: &Plan) -> Result<bool, ProviderError> {
        match &plan.access {
            Access::Assignment(a) => {
                let Some(id) = self.user_id(&a.user).await? else { return Ok(false) };
                let at = InAccount { set: &a.permission_set, account: &plan.account };
                Ok(self.assignees(at).await?.iter().any(|who| who.id == id))
            }
            Access::Membership(m) => match self.user_id(&m.user).await? {
                Some(id) => Ok(self.membership(&m.group, &id).await?.is_some()),
                None => Ok(false),
            },
            Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => Ok(false),
        }
    }

    /// Assigns the standing permission set.
    pub(super) async fn apply_assignment(&self, plan: &Plan, a: &PlannedAssignment) -> Result<ApplyOutcome, ProviderError> {
        let at = InAccount { set: &a.permission_set, account: &plan.account };
        let artifact = Artifact { kind: "AccountAssignment".into(), id: a.permission_set.clone(), uid: plan.account.clone() };
        self.assign_once(at, &a.user, artifact).await
    }

    /// Makes the user a member of the standing group.
    pub(super) async fn apply_membership(&self, m: &PlannedMembership) -> Result<ApplyOutcome, ProviderError> {
        let who = self.assignee(&m.user).await?;
        self.join(&m.group, &who.id).await?;
        Ok(ApplyOutcome::Done(vec![Artifact { kind: "GroupMembership".into(), id: m.group.clone(), uid: who.id }]))
    }

    /// Ends the assignment. That there is none is confirmed by a later read.
    pub(super) async fn revoke_assignment(&self, plan: &Plan, a: &PlannedAssignment) -> Result<RevokeOutcome, ProviderError> {
        let Some(id) = self.user_id(&a.user).await? else { return Ok(RevokeOutcome::Gone) };
        let at = InAccount { set: &a.permission_set, account: &plan.account };
        let Some(who) = self.assignees(at).await?.into_iter().find(|who| who.id == id) else { return Ok(RevokeOutcome::Gone) };
        Ok(match self.unassign(at, &who).await? {
            Progress::Done => RevokeOutcome::Gone,
            Progress::Running(id) => RevokeOutcome::Started(self.operation(OperationKind::Revoke, &[id])),
            Progress::Failed(why) => RevokeOutcome::Remains(format!("the assignment of {} is not removed: {why}", a.permission_set)),
        })
    }

    /// Ends the membership.
    pub(super) async fn revoke_membership(&self, m: &PlannedMembership) -> Result<RevokeOutcome, ProviderError> {
        let Some(user) = self.user_id(&m.user).await? else { return Ok(RevokeOutcome::Gone) };
        if let Some(membership) = self.membership(&m.group, &user).await? {
            self.leave(&membership).await?;
        }
        Ok(RevokeOutcome::Gone)
    }

    /// A standing permission set with its content; `None` if none is named, or it does not exist.
    pub(super) async fn standing_set(&self, arn: Option<&str>, caller: &Caller) -> Result<Option<PermissionSetContent>, ProviderError> {
        let Some(arn) = arn else { return Ok(None) };
        let Some(found) = self.describe_set(arn).await? else { return Ok(None) };
        let (policies, inline) = futures::try_join!(self.policies_of(arn, caller.partition()), self.inline_of(arn))?;
        let policies = self.contents(&policies).await?;
        Ok(Some(PermissionSetContent { arn: found.arn, name: found.name, policies, inline }))
    }

    /// A standing group; `None` if none is named, or it does not exist.
    pub(super) async fn standing_group(&self, id: Option<&str>) -> Result<Option<Group>, ProviderError> {
        let Some(id) = id else { return Ok(None) };
        Ok(self.group_name(id).await?.map(|name| Group { id: id.to_owned(), name }))
    }
}
