//! What stands in Identity Center already: the assignment of a permission set, and the membership in a group. AWS cannot end either, so
//! Curfew does, and status says so.
//!
//! Nothing can be reserved here, so a write has a time limit (see the slots of the protocol), which is looked at just before it is sent.
//! There is one copy of each: one that was there before the first grant is kept.
//!
//! **Names.** A plan has the name of a user, and names change. So the id that a write was about is stored with the Grant, and counts
//! before the name, also where other Grants hold the slot of that name. Where neither leads to a user, it is not known whose access it was:
//! absence is proven only if no user has it.
//!
//! **Writes that run.** AWS lists an assignment when it is made, and makes it some time after it has accepted it. So before absence is
//! believed, AWS is asked for what it is still making.
use super::{
    Aws,
    center::{Assignee, InAccount},
    identity::Caller,
    operations::Progress,
};
use crate::{
    api::grant::Artifact,
    providers::port::{ApplyOutcome, ProviderError, RevokeOutcome},
};
use aws_sdk_ssoadmin::types::PrincipalType;
use curfew_core::{
    grant::OperationKind,
    target::aws::{
        Access, Group, PermissionSetContent, Plan,
        plan::{PlannedAssignment, PlannedMembership},
    },
    time::Time,
};

/// The kinds of what is written here, among the artifacts of a Grant. Their `uid` is the id of the user.
const ASSIGNMENT: &str = "AccountAssignment";
const MEMBERSHIP: &str = "GroupMembership";

/// What is known of the assignment of a permission set.
enum Assigned {
    /// This user has it.
    To(Assignee),
    /// AWS is making it: the request.
    Running(String),
    /// The user does not have it.
    Nobody,
}

/// The message about an assignment that AWS is making.
pub fn still_running(set: &str, request: &str) -> String {
    format!("an assignment of {set} is still being created by AWS (request {request})")
}

fn nameless(user: &str, what: &str) -> String {
    format!(
        "IAM Identity Center has no user {user}, so it is not known whose {what} is to end; give the same user that name again, or remove it by hand and abandon the Grant"
    )
}

fn again(message: String) -> ProviderError {
    ProviderError::Transient { message, retry_after: None }
}

impl Aws {
    /// Whose access this is: by the id that was stored when it was written, and otherwise by name. `None` if there is no such user.
    async fn holder_of(&self, user: &str, known: &[Artifact], kind: &str) -> Result<Option<String>, ProviderError> {
        match known.iter().find(|artifact| artifact.kind == kind) {
            Some(stored) => Ok(Some(stored.uid.clone())),
            None => self.user_id(user).await,
        }
    }

    /// Whether what this grant has written is of another user than the one who has the name now. A slot has the name of a user, so what
    /// others hold of it is then not this grant's.
    pub(super) async fn was_renamed(&self, plan: &Plan, known: &[Artifact]) -> Result<bool, ProviderError> {
        let user = match &plan.access {
            Access::Assignment(a) => &a.user,
            Access::Membership(m) => &m.user,
            Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => return Ok(false),
        };
        match known.iter().find(|artifact| [ASSIGNMENT, MEMBERSHIP].contains(&artifact.kind.as_str())) {
            Some(stored) => Ok(self.user_id(user).await?.as_ref() != Some(&stored.uid)),
            None => Ok(false),
        }
    }

    /// Whether this user has it, or any user where none is named. What AWS was making before the second list is in it.
    async fn assigned(&self, at: InAccount<'_>, user: Option<&str>) -> Result<Assigned, ProviderError> {
        let fits = |who: &Assignee| who.kind == PrincipalType::User && user.is_none_or(|user| who.id == user);
        if let Some(who) = self.assignees(at).await?.into_iter().find(fits) {
            return Ok(Assigned::To(who));
        }
        if let Some(request) = self.being_assigned(at.set, Some(at.account), user).await? {
            return Ok(Assigned::Running(request));
        }
        Ok(self.assignees(at).await?.into_iter().find(fits).map_or(Assigned::Nobody, Assigned::To))
    }

    /// Whether the slot is filled, by Curfew or by others.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] if there is no such user: nothing is written for one.
    pub(super) async fn is_filled(&self, plan: &Plan) -> Result<bool, ProviderError> {
        match &plan.access {
            Access::Assignment(a) => {
                let who = self.assignee(&a.user).await?;
                self.has_assignment(plan, a, Some(&who.id)).await
            }
            Access::Membership(m) => {
                let who = self.assignee(&m.user).await?;
                Ok(self.membership(&m.group, &who.id).await?.is_some())
            }
            Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => Ok(false),
        }
    }

    /// Whether the access of this plan stands.
    pub(super) async fn is_standing(&self, plan: &Plan, known: &[Artifact]) -> Result<bool, ProviderError> {
        match &plan.access {
            Access::Assignment(a) => {
                let id = self.holder_of(&a.user, known, ASSIGNMENT).await?;
                self.has_assignment(plan, a, id.as_deref()).await
            }
            Access::Membership(m) => match self.holder_of(&m.user, known, MEMBERSHIP).await? {
                Some(id) => Ok(self.membership(&m.group, &id).await?.is_some()),
                None => Err(again(nameless(&m.user, "membership"))),
            },
            Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => Ok(false),
        }
    }

    async fn has_assignment(&self, plan: &Plan, a: &PlannedAssignment, user: Option<&str>) -> Result<bool, ProviderError> {
        let at = InAccount { set: &a.permission_set, account: &plan.account };
        match (self.assigned(at, user).await?, user) {
            (Assigned::To(_), Some(_)) => Ok(true),
            (Assigned::To(_), None) => Err(again(nameless(&a.user, "assignment"))),
            (Assigned::Running(request), _) => Err(again(still_running(at.set, &request))),
            (Assigned::Nobody, _) => Ok(false),
        }
    }

    /// Assigns the standing permission set.
    pub(super) async fn apply_assignment(&self, plan: &Plan, a: &PlannedAssignment, until: Time) -> Result<ApplyOutcome, ProviderError> {
        let at = InAccount { set: &a.permission_set, account: &plan.account };
        let who = self.assignee(&a.user).await?;
        let artifact = Artifact { kind: ASSIGNMENT.into(), id: a.permission_set.clone(), uid: who.id.clone() };
        self.assign_once(at, &who, artifact, Some(until)).await
    }

    /// Makes the user a member of the standing group.
    pub(super) async fn apply_membership(&self, m: &PlannedMembership, until: Time) -> Result<ApplyOutcome, ProviderError> {
        let who = self.assignee(&m.user).await?;
        self.join(&m.group, &who.id, until).await?;
        Ok(ApplyOutcome::Done(vec![Artifact { kind: MEMBERSHIP.into(), id: m.group.clone(), uid: who.id }]))
    }

    /// Ends the assignment. That there is none is confirmed by a later read.
    pub(super) async fn revoke_assignment(
        &self,
        plan: &Plan,
        a: &PlannedAssignment,
        known: &[Artifact],
    ) -> Result<RevokeOutcome, ProviderError> {
        let at = InAccount { set: &a.permission_set, account: &plan.account };
        let id = self.holder_of(&a.user, known, ASSIGNMENT).await?;
        let who = match (self.assigned(at, id.as_deref()).await?, id) {
            (Assigned::To(who), Some(_)) => who,
            (Assigned::To(who), None) => {
                return Ok(RevokeOutcome::Remains(format!("{}; user {} has it", nameless(&a.user, "assignment"), who.id)));
            }
            (Assigned::Running(request), _) => return Ok(RevokeOutcome::Remains(still_running(at.set, &request))),
            (Assigned::Nobody, _) => return Ok(RevokeOutcome::Gone),
        };
        Ok(match self.unassign(at, &who).await? {
            Progress::Done => RevokeOutcome::Gone,
            Progress::Running(id) => RevokeOutcome::Started(self.operation(OperationKind::Revoke, &[id])),
            Progress::Failed(why) => RevokeOutcome::Remains(format!("the assignment of {} is not removed: {why}", a.permission_set)),
        })
    }

    /// Ends the membership.
    pub(super) async fn revoke_membership(&self, m: &PlannedMembership, known: &[Artifact]) -> Result<RevokeOutcome, ProviderError> {
        let Some(user) = self.holder_of(&m.user, known, MEMBERSHIP).await? else {
            return Ok(RevokeOutcome::Remains(nameless(&m.user, "membership")));
        };
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
