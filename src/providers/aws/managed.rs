//! What carries Curfew's names in an account: policies and roles below `/curfew/`, and permission sets. Read by name and not by
//! tag: a tag can be put on anything, and a name never changes.
use super::{
    Aws, identity_center, own_policies,
    policies::Holder,
    role::{self, RoleState},
};
use crate::{
    api::grant::Artifact,
    providers::port::{ManagedObject, ProviderError, RevokeOutcome},
};
use aws_sdk_iam::types::PolicyUsageType;
use curfew_core::{ids::Mark, target::aws::names};
use std::time::Duration;

/// How long the permission sets of an instance may take to be listed and described. What is listed of IAM does not wait longer for them.
const SETS_LIMIT: Duration = Duration::from_secs(20);

impl Aws {
    /// Everything that carries a mark, of any install. A list that cannot be read keeps nothing on the others from being swept.
    ///
    /// # Errors
    /// If a list cannot be read, and the others show nothing.
    pub(super) async fn find_marked(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        self.confirmed_caller().await?;
        let (mut all, mut failed) = (Vec::new(), None);
        let sets = async {
            let slow = || ProviderError::Transient {
                message: "IAM Identity Center did not list its permission sets in time".into(),
                retry_after: None,
            };
            tokio::time::timeout(SETS_LIMIT, self.marked_sets()).await.unwrap_or_else(|_| Err(slow()))
        };
        let (policies, roles, sets) = futures::join!(self.marked_policies(), self.marked_roles(), sets);
        for list in [policies, roles, sets] {
            match list {
                Ok(found) => all.extend(found),
                Err(error) => {
                    tracing::warn!(%error, "a part of what carries Curfew's names cannot be listed; the others are swept");
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(first) if all.is_empty() => Err(first),
            Some(_) | None => Ok(all),
        }
    }

    async fn marked_policies(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        let marked = self.policies_below(names::PATH).await?.into_iter().filter_map(|policy| {
            let (mark, _) = names::parse(&policy.name)?;
            let artifact = Artifact { kind: own_policies::KIND.into(), id: policy.arn, uid: policy.id.to_string() };
            Some(ManagedObject { mark, artifact, created: policy.created })
        });
        Ok(marked.collect())
    }

    async fn marked_roles(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        let marked = self.roles_below(names::PATH).await?.into_iter().filter_map(|role| {
            let (mark, _) = names::parse(&role.name)?;
            Some(ManagedObject { mark, artifact: Artifact { kind: role::KIND.into(), id: role.name, uid: role.id }, created: role.created })
        });
        Ok(marked.collect())
    }

    async fn marked_sets(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        if self.connection.identity_center.is_none() {
            return Ok(Vec::new());
        }
        let marked = self.sets().await?.into_iter().filter_map(|set| {
            let mark = names::parse_permission_set(&set.name)?;
            let artifact = Artifact { kind: identity_center::KIND.into(), id: set.arn.clone(), uid: set.arn };
            Some(ManagedObject { mark, artifact, created: set.created })
        });
        Ok(marked.collect())
    }

    /// Removes this very object, and reports whether it is gone.
    pub(super) async fn remove_marked(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
        self.confirmed_caller().await?;
        let Artifact { kind, id, uid } = &found.artifact;
        match kind.as_str() {
            own_policies::KIND => match self.policy(id).await? {
                // Another id under that name is another object, which the next sweep finds.
                Some(policy) if *policy.id == **uid => self.remove_marked_policy(id, &found.mark).await,
                Some(_) | None => Ok(RevokeOutcome::Gone),
            },
            role::KIND => match self.role(id).await? {
                Some(role) if role.id == *uid => self.remove_role(&role).await,
                Some(_) | None => Ok(RevokeOutcome::Gone),
            },
            identity_center::KIND => match self.is_of_grant(id, &found.mark.grant).await? {
                true => self.remove_set(self.connection.account_id.clone(), id).await,
                // Others have created it under such a name.
                false => Ok(RevokeOutcome::Gone),
            },
            other => Err(ProviderError::Invalid(format!("{other} {id} is not a kind of object that the sweep removes in AWS"))),
        }
    }

    /// Removes a policy, unless the role of its grant has it: what the role has by reference may be ended by this policy alone. Who has it
    /// is asked, and not how many: that number may be old.
    async fn remove_marked_policy(&self, arn: &str, mark: &Mark) -> Result<RevokeOutcome, ProviderError> {
        for holder in self.holders(arn, PolicyUsageType::PermissionsPolicy).await? {
            let Holder::Role(name) = holder else { continue };
            if names::parse(&name).is_some_and(|(of, _)| of == *mark) && self.role(&name).await?.is_some_and(|role| is_below(&role)) {
                return Ok(RevokeOutcome::Remains(format!("role {name} has policy {arn}, and it is removed with that role")));
            }
        }
        self.delete_policy(arn).await
    }
}

fn is_below(role: &RoleState) -> bool {
    role.arn.contains(&format!(":role{}", names::PATH))
}
