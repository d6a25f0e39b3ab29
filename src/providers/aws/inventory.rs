//! What an account holds of what a template names: managed policies at their default versions, a standing permission set, a group.
use super::{Aws, in_parts};
use crate::providers::port::ProviderError;
use curfew_core::target::aws::{Inventory, Permissions, PolicyContent, Quotas};
use futures::TryStreamExt;

impl Aws {
    /// Reads all of it, live. What does not exist is left out.
    pub(super) async fn read_inventory(&self, permissions: &Permissions) -> Result<Inventory, ProviderError> {
        let caller = self.confirmed_caller().await?;
        let quotas = self.quotas().await?;
        let way = permissions.way().map_err(ProviderError::Invalid)?;
        let named = way.named().map(|named| named.managed).unwrap_or_default();
        let center = permissions.identity_center.as_ref();
        let (policies, permission_set, group) = futures::try_join!(
            self.contents(named),
            self.standing_set(center.and_then(|center| center.permission_set.as_deref()), &caller),
            self.standing_group(center.and_then(|center| center.group.as_deref())),
        )?;
        let short = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        Ok(Inventory {
            partition: caller.partition().to_owned(),
            account: caller.account,
            instance: self.connection.identity_center.as_ref().map(|center| center.instance_arn.clone()),
            policies,
            permission_set,
            group,
            quotas: Quotas {
                attached_per_user: short(quotas.most_attached_to_user),
                attached_per_role: short(quotas.most_attached_to_role),
            },
        })
    }

    /// The policies of these ARNs that exist, in order, with the documents of their default versions.
    pub(super) async fn contents(&self, arns: &[String]) -> Result<Vec<PolicyContent>, ProviderError> {
        let reads = arns.iter().map(|arn| async move {
            let Some(found) = self.policy(arn).await? else { return Ok(None) };
            let document = self.default_document(&found).await?;
            Ok::<_, ProviderError>(Some(PolicyContent { arn: arn.clone(), document: document.to_string() }))
        });
        let all: Vec<_> = in_parts(reads).try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }
}
