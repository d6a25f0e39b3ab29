//! The end of a role: nobody is let in any more, every session ends, what the role has is taken, and then it is deleted.
//!
//! **Sessions that are open.** They end with the permissions of their role. The first write of a revocation after the trust policy is
//! a denial of everything to the sessions that were issued before (`aws:TokenIssueTime`; IAM User Guide, "Revoke IAM role temporary
//! security credentials"). The role is the grant's own, so nobody else is concerned.
//!
//! **Order.** What is attached by reference has no date: a policy of the role's own ends it. So that one stays until every reference
//! is taken, and what closes the sessions goes last. Within this order each step is tried, also after one that failed.
use super::{
    Aws,
    errors::{Call, if_there, put_off},
    in_parts,
    own_policies::Place,
    policies::{Deleted, Holder},
    role::{RoleState, holder, is_ours, same_trust},
    user::all_gone,
};
use crate::{
    api::grant::Artifact,
    providers::port::{ProviderError, RevokeOutcome},
};
use curfew_core::target::aws::{
    Plan, names,
    plan::{PlannedRole, trust},
};
use futures::StreamExt;

/// Sessions that are issued for so long after their role was closed are closed, too: IAM needs a moment until it lets nobody in. No
/// session of this role may go on, so a bound for clocks that differ costs nothing.
const CLOSING_SECS: i64 = 300;

/// Whether a role lets anybody in.
fn is_open(found: &RoleState) -> bool {
    !same_trust(found.trust.as_ref(), &trust::inert())
}

/// Whether a role is this grant's, and whether it may let anybody in.
#[derive(Clone, Copy)]
struct Standing {
    ours: bool,
    open: bool,
}

impl Aws {
    /// What was armed is this grant's, and a read of its trust policy may be old. What may not have been could be another's, under its
    /// name.
    async fn standing_of(&self, plan: &Plan, role: &PlannedRole, known: &[Artifact]) -> Result<Standing, ProviderError> {
        let arn = names::role_arn(&plan.partition, &plan.account, &role.name);
        let armed = known.iter().any(|artifact| artifact.id == arn);
        let found = self.role(&role.name).await?.filter(|found| armed || is_ours(found, role));
        Ok(Standing { ours: found.is_some(), open: found.as_ref().is_some_and(|found| armed || is_open(found)) })
    }

    /// Removes role and policies.
    pub(super) async fn revoke_role(&self, plan: &Plan, role: &PlannedRole, known: &[Artifact]) -> Result<RevokeOutcome, ProviderError> {
        let (holder, mut failed) = (holder(role), None);
        let Standing { ours, open } = self.standing_of(plan, role, known).await?;
        if ours {
            put_off(self.end_sessions(&role.name, open).await, &mut failed)?;
            self.take_references(&holder, &role.attached).await?;
        }
        let removals = Place::all(plan, &role.policies, &holder).map(|at| self.remove_own_policy(at, known));
        let outcome = match all_gone(in_parts(removals).collect().await) {
            Ok(RevokeOutcome::Gone) if ours => self.delete_role(&role.name).await,
            other => other,
        };
        match (outcome, failed) {
            (Ok(RevokeOutcome::Gone), _) => Ok(RevokeOutcome::Gone),
            (_, Some(first)) => Err(first),
            (other, None) => other,
        }
    }

    /// Closes the role of a grant that ends before its deadline.
    pub(super) async fn expire_role(&self, plan: &Plan, role: &PlannedRole, known: &[Artifact]) -> Result<(), ProviderError> {
        let Standing { ours, open } = self.standing_of(plan, role, known).await?;
        if ours { self.end_sessions(&role.name, open).await } else { Ok(()) }
    }

    /// Removes a role that the sweep has found.
    pub(super) async fn remove_role(&self, found: &RoleState) -> Result<RevokeOutcome, ProviderError> {
        let mut failed = None;
        put_off(self.end_sessions(&found.name, is_open(found)).await, &mut failed)?;
        match (self.delete_role(&found.name).await, failed) {
            (Ok(RevokeOutcome::Gone), _) => Ok(RevokeOutcome::Gone),
            (_, Some(first)) => Err(first),
            (other, None) => other,
        }
    }

    /// Lets nobody in any more, and ends every session. A role that does not exist does both. One that lets nobody in may still have
    /// sessions: a run before this one may have got no further.
    async fn end_sessions(&self, name: &str, open: bool) -> Result<(), ProviderError> {
        let mut failed = None;
        match open {
            true => put_off(if_there(self.set_trust(name, &trust::inert()).await).map(drop), &mut failed)?,
            false if self.inline_of_role(name).await?.iter().any(|policy| policy == trust::CLOSED) => return Ok(()),
            false => {}
        }
        let closing = trust::closing(self.clock.now().plus_secs(CLOSING_SECS));
        put_off(if_there(self.put_role_policy(name, trust::CLOSED, &closing).await).map(drop), &mut failed)?;
        failed.map_or(Ok(()), Err)
    }

    /// Takes what is attached by reference.
    ///
    /// # Errors
    /// If one of them may be left: then nothing that ends it may be taken.
    async fn take_references(&self, holder: &Holder, arns: &[String]) -> Result<(), ProviderError> {
        let mut failed = None;
        for arn in arns {
            put_off(self.detach(holder, arn).await, &mut failed)?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Deletes a role, with everything that it has. What does not exist is success.
    pub(super) async fn delete_role(&self, name: &str) -> Result<RevokeOutcome, ProviderError> {
        self.empty_role(name).await?;
        // A reservation that was paused may attach a policy between the list and the deletion.
        if self.try_delete_role(name).await? == Deleted::Gone
            || self.empty_role(name).await? && self.try_delete_role(name).await? == Deleted::Gone
        {
            return Ok(RevokeOutcome::Gone);
        }
        Ok(RevokeOutcome::Remains(format!(
            "role {name} lets nobody in and has no permissions, and something holds it; remove it from every instance profile, then it is deleted"
        )))
    }

    async fn try_delete_role(&self, name: &str) -> Result<Deleted, ProviderError> {
        let call = Call { action: "iam:DeleteRole", on: name };
        match self.clients().await.iam.delete_role().role_name(name).send().await {
            Ok(_) => Ok(Deleted::Gone),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_delete_conflict_exception()) => Ok(Deleted::InUse),
            Err(e) => if_there(Err::<(), _>(call.failed(e))).map(|_| Deleted::Gone),
        }
    }

    /// Takes everything that a role has, and deletes the policies that are of its grant; whether it had anything.
    async fn empty_role(&self, name: &str) -> Result<bool, ProviderError> {
        let holder = Holder::Role(name.to_owned());
        let (attached, mut inline) = futures::try_join!(self.attached_to_role(name), self.inline_of_role(name))?;
        let (own, references): (Vec<_>, Vec<_>) =
            attached.unwrap_or_default().into_iter().partition(|arn| arn.contains(&format!(":policy{}", names::PATH)));
        let had = !(own.is_empty() && references.is_empty() && inline.is_empty());
        self.take_references(&holder, &references).await?;
        let grant = names::parse(name).map(|(mark, _)| mark);
        for arn in own {
            self.detach(&holder, &arn).await?;
            let of = arn.rsplit('/').next().and_then(names::parse).map(|(mark, _)| mark);
            if grant.is_some() && of == grant {
                self.delete_policy(&arn).await?;
            }
        }
        // What it denies has nothing left that allows it.
        inline.sort_by_key(|policy| policy == trust::CLOSED);
        for policy in inline {
            let call = Call { action: "iam:DeleteRolePolicy", on: name };
            let deleted = self.clients().await.iam.delete_role_policy().role_name(name).policy_name(policy).send().await;
            if_there(deleted.map_err(|e| call.failed(e)))?;
        }
        Ok(had)
    }
}
