//! What carries Curfew's names in an account: policies and roles below `/curfew/`, and permission sets. Read by name and not by
//! tag: a tag can be put on anything, and a name never changes.
use super::{Aws, identity_center, own_policies, role};
use crate::{
    api::grant::Artifact,
    providers::port::{ManagedObject, ProviderError, RevokeOutcome},
};
use curfew_core::target::aws::names;

impl Aws {
    /// Everything that carries a mark, of any install.
    pub(super) async fn find_marked(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        self.confirmed_caller().await?;
        let policies = self.policies_below(names::PATH).await?;
        let marked = policies.into_iter().filter_map(|policy| {
            let (mark, _) = names::parse(&policy.name)?;
            let artifact = Artifact { kind: own_policies::KIND.into(), id: policy.arn, uid: policy.id.to_string() };
            Some(ManagedObject { mark, artifact, created: policy.created })
        });
        let mut all: Vec<ManagedObject> = marked.collect();
        all.extend(self.roles_below(names::PATH).await?.into_iter().filter_map(|role| {
            let (mark, _) = names::parse(&role.name)?;
            Some(ManagedObject { mark, artifact: Artifact { kind: role::KIND.into(), id: role.name, uid: role.id }, created: role.created })
        }));
        if self.connection.identity_center.is_some() {
            all.extend(self.sets().await?.into_iter().filter_map(|set| {
                let mark = names::parse_permission_set(&set.name)?;
                let artifact = Artifact { kind: identity_center::KIND.into(), id: set.arn.clone(), uid: set.arn };
                Some(ManagedObject { mark, artifact, created: set.created })
            }));
        }
        Ok(all)
    }

    /// Removes this very object, and reports whether it is gone.
    pub(super) async fn remove_marked(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
        self.confirmed_caller().await?;
        let Artifact { kind, id, uid } = &found.artifact;
        match kind.as_str() {
            own_policies::KIND => match self.policy(id).await? {
                // Another id under that name is another object, which the next sweep finds.
                Some(policy) if *policy.id == **uid => self.delete_policy(id).await,
                Some(_) | None => Ok(RevokeOutcome::Gone),
            },
            role::KIND => match self.role(id).await? {
                Some(role) if role.id == *uid => self.delete_role(id).await,
                Some(_) | None => Ok(RevokeOutcome::Gone),
            },
            identity_center::KIND => self.remove_set(self.connection.account_id.clone(), id).await,
            other => Err(ProviderError::Invalid(format!("{other} {id} is not a kind of object that the sweep removes in AWS"))),
        }
    }
}
