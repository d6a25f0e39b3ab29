//! The effects that concern the roles behind a Grant: how they stand, and what is withheld while one does not exist.
use super::effects::GrantEffects;
use crate::{api::ActivationRequest, controllers::convert, kube_writes, providers::ProviderError};
use curfew_core::{
    reconcile::Outcome,
    resolved::{Resolved, SCHEMA},
    target::{Content, SlotSet},
};
use kube::ResourceExt;

impl GrantEffects {
    /// How the content of what the Grant gives stands. What a watch shows to be within what was frozen is believed unless `live`:
    /// a change that it does not show yet triggers another reconcile.
    async fn read_content(&self, live: bool) -> Result<Outcome, ProviderError> {
        let grant = self.grant();
        let plan = &grant.spec.plan;
        if plan.parts().is_empty() {
            return Ok(Outcome::Content(Content::Within { missing: SlotSet::NONE }));
        }
        if self.ctx.authority.only_revokes() {
            return Ok(Outcome::Content(Content::Unknown));
        }
        let Some(frozen) = self.frozen().await else { return Ok(Outcome::Content(Content::Unknown)) };
        let (permissions, scope) = (frozen.permissions.named(), frozen.permissions.provider().placeless_scope());
        let target = self.target().await?;
        let within = Content::Within { missing: SlotSet::NONE };
        let cached = target.cached_inventory(&permissions, &scope).filter(|_| !live);
        if cached.is_some_and(|cached| frozen.permissions.content(plan, &cached) == within) {
            return Ok(Outcome::Content(within));
        }
        let now = target.inventory(&permissions, &scope).await?;
        self.confirm_again(&*target).await?;
        Ok(Outcome::Content(frozen.permissions.content(plan, &now)))
    }

    /// What was frozen for this Grant, as its request holds it. The Grant's digest tells that it is the same.
    async fn frozen(&self) -> Option<Resolved> {
        let grant = self.grant();
        let of = &grant.spec.request;
        let approved = |request: &ActivationRequest| {
            let status = request.status.as_ref().filter(|_| request.uid().as_deref() == Some(of.uid.as_str()))?;
            let resolved = status.resolved.as_ref()?;
            let digest = if resolved.schema == SCHEMA { Some(resolved.digest()) } else { status.digest };
            (digest == Some(grant.spec.digest)).then(|| resolved.clone())
        };
        let stored = self.ctx.stores.request(&(of.namespace.clone(), of.name.clone()));
        if let Some(frozen) = stored.and_then(|request| approved(&request)) {
            return Some(frozen);
        }
        match kube_writes::requests(&self.ctx.client, &of.namespace).get_opt(&of.name).await {
            Ok(found) => found.and_then(|request| approved(&request)),
            Err(e) => {
                drop(self.failed("read what was approved", &e));
                None
            }
        }
    }

    pub(super) async fn withhold(&self, parts: SlotSet) -> Result<Outcome, ProviderError> {
        let grant = self.grant();
        let known = grant.status.as_ref().map(|s| s.artifacts.clone()).unwrap_or_default();
        self.target().await?.withhold(&self.id, &grant.spec.plan, &known, parts).await?;
        let names = self.named(parts);
        tracing::warn!(grant = self.id, names, "the access is withheld, since its role does not exist");
        let message =
            format!("{names} does not exist; its bindings have no subjects until it exists again with no more than what was approved");
        self.ctx.events.publish(&grant, true, "Withheld", "Withhold", &message);
        Ok(Outcome::Done)
    }

    pub(super) async fn read_withheld(&self, parts: SlotSet) -> Result<Outcome, ProviderError> {
        let grant = self.grant();
        let found = self.target().await?.read_withheld(&self.id, &grant.spec.plan, parts, Some(convert::created(&grant))).await?;
        Ok(found.map_or(Outcome::Conflict, Outcome::Reserved))
    }

    /// These parts of the plan, in words.
    fn named(&self, parts: SlotSet) -> String {
        let all = self.grant().spec.plan.parts();
        parts.iter().filter_map(|part| all.get(usize::from(part)).cloned()).collect::<Vec<_>>().join(", ")
    }

    pub(super) async fn content_or_unknown(&self, live: bool) -> Outcome {
        self.read_content(live).await.unwrap_or_else(|e| {
            drop(self.failed("read the roles at the target", &e));
            Outcome::Content(Content::Unknown)
        })
    }
}
