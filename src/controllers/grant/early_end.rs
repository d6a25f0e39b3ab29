//! An end that comes before the deadline. What ends the access without the operator was made for the deadline; it is told at once, so
//! that an operator that dies before it has revoked leaves no access behind.
use crate::{
    api::Grant,
    controllers::{Context, convert},
    providers::ProviderError,
};
use kube::ResourceExt;
use std::time::Duration;

/// How long the target may take. The revocation follows in any case.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Lets the target end the access of this Grant now, if the deadline that it knows is still to come. Called after the end is stored.
pub async fn expire_now(ctx: &Context, grant: &Grant) {
    if grant.spec.plan.planned_deadline().is_none_or(|deadline| deadline <= ctx.now()) {
        return;
    }
    let told = tokio::time::timeout(TIMEOUT, tell(ctx, grant)).await;
    let error = match told {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer in {TIMEOUT:?}"),
    };
    tracing::info!(grant = grant.name_any(), error, "the target cannot be told of an early end; the access is revoked all the same");
}

async fn tell(ctx: &Context, grant: &Grant) -> Result<(), ProviderError> {
    let target = ctx.registry.reach(&grant.spec.system.connection).await?;
    let system = ctx.stores.system(&grant.spec.system.reference.name);
    target.confirm(&convert::granted_target(grant, system.as_deref())).await?;
    let known = grant.status.as_ref().map(|status| status.artifacts.as_slice()).unwrap_or_default();
    target.expire_now(&grant.spec.plan, known).await
}
