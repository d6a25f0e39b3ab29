//! Control planes that several files share, because their tests do not disturb one another: each test has requests, roles and
//! users of its own.
use anyhow::Result;
use curfew_testkit::{Operator, World};
use tokio::sync::OnceCell;

/// The example, without an operator: for what the API server alone answers.
pub async fn without_operator() -> Result<&'static World> {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    WORLD.get_or_try_init(|| World::first("shared-api")).await
}

/// The example, and one operator that is ready to grant. The cluster obeys ResourceQuotas.
pub async fn with_operator() -> Result<&'static World> {
    static WORLD: OnceCell<(World, Operator)> = OnceCell::const_new();
    let (w, _) = WORLD.get_or_try_init(|| World::running_with_quotas("shared")).await?;
    Ok(w)
}
