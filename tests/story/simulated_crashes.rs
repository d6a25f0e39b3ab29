//! The operator is killed or stopped around the effects that change a directory. Nothing but a stored time limit stops a late
//! write there, and no reservation tells a write that came through from one that did not.
use crate::plane::{Roles, free_lease, parked, world};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{DirectoryConfig, SOON, World, eventually};
use std::time::Duration;

/// End dates are not obeyed, so only the operator ends anything.
fn difficult() -> DirectoryConfig {
    DirectoryConfig { expiry: false, ..DirectoryConfig::difficult() }
}

/// The operator is killed at `point`; another replica brings the request to its end.
async fn killed(w: &World, roles: &Roles<'_>, role: &str, point: &str) -> Result<()> {
    let request = format!("killed-{}", point.to_lowercase().replace(':', "-"));
    free_lease(w).await?;
    let victim = w.operator_with(&format!("victim-{request}"), &[("CURFEW_PARK_AT", point)]).await?;
    roles.ready().await?;
    roles.ask(role, &request, "30s").await?;
    roles.decide(&request, "Approve").await?;
    parked(&victim, point).await?;
    victim.kill();
    free_lease(w).await?;
    let heir = w.operator(&format!("heir-{request}")).await?;
    roles.access_is(true).await.with_context(|| format!("killed {point}: no access"))?;
    roles.access_is(false).await.with_context(|| format!("killed {point}: the access stays"))?;
    roles.one_of(&request, &["Expired", "Failed"]).await?;
    roles.ended(&request).await?;
    roles.access_stays(false, Duration::from_secs(3)).await?;
    let writes = roles.writes();
    ensure!(writes.0 == 1, "killed {point}: the membership was added {} times", writes.0);
    heir.kill();
    Ok(())
}

#[tokio::test]
async fn killed_before_the_write_and_resumed_by_another_replica() -> Result<()> {
    let w = world("killed-before").await?;
    let roles = Roles::install(&w, "killed-before", difficult()).await?;
    killed(&w, &roles, "killed-before", "before:Apply").await
}

#[tokio::test]
async fn killed_after_the_write_and_resumed_by_another_replica() -> Result<()> {
    let w = world("killed-after").await?;
    let roles = Roles::install(&w, "killed-after", difficult()).await?;
    killed(&w, &roles, "killed-after", "after:Apply").await
}

/// The leader is stopped before its write, another replica revokes, and the leader goes on `late` or at once.
async fn paused(name: &'static str, late: bool) -> Result<()> {
    let w = world(name).await?;
    let roles = Roles::install(&w, name, difficult()).await?;
    let leader = w.operator_with("leader", &[("CURFEW_PARK_AT", "before:Apply")]).await?;
    roles.ready().await?;
    let other = w.operator("other").await?;
    roles.ask(name, name, "10m").await?;
    roles.decide(name, "Approve").await?;
    parked(&leader, "before:Apply").await?;
    ensure!(!roles.has_access()?, "a stored intent gives no access");
    free_lease(&w).await?;
    roles.decide(name, "Revoke").await?;
    let grant = roles.grant(name).await?;
    if late {
        roles.ended(name).await?;
        leader.resume();
    } else {
        leader.resume();
        roles.ended(name).await?;
    }
    eventually("the leader to go on", SOON, || async { Ok((!leader.is_stopped()).then_some(())) }).await?;
    // It has tried to write once it has gone on; after the end nothing may give access for a moment.
    roles.access_stays(false, Duration::from_secs(8)).await?;
    ensure!(leader.is_running() && other.is_running());
    ensure!(w.field(&["grt", &grant], "{.status.state}").await? == "Ended");
    if late {
        ensure!(roles.writes() == (0, 0), "a late write was sent: {:?}", roles.writes());
    }
    Ok(())
}

#[tokio::test]
async fn a_leader_that_goes_on_after_the_revocation_writes_nothing() -> Result<()> {
    paused("paused-late", true).await
}

#[tokio::test]
async fn what_a_leader_writes_within_its_time_limit_is_removed_before_the_grant_ends() -> Result<()> {
    paused("paused-soon", false).await
}
