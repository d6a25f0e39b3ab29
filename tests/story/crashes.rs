//! The process is killed at every effect of a grant's life, before it is performed and after its outcome. From every state, the
//! next process ends the grant on time and leaves nothing behind.
use super::{decide, request};
use anyhow::{Context, Result};
use curfew_testkit::{Component, SOON, World, eventually};
use std::time::Duration;

const POINTS: &[&str] = &[
    "before:CommitRequest",
    "after:CommitRequest",
    "before:ReadLive",
    "before:CreateGrant",
    "after:CreateGrant",
    "before:Reserve",
    "after:Reserve",
    "after:Recheck",
    "before:Arm",
    "after:Arm",
    "before:CommitGrant",
    "after:CommitGrant",
    "before:Revoke",
    "after:Revoke",
];

#[tokio::test]
async fn killed_at_every_ask_before_there_is_a_grant() -> Result<()> {
    killed_at(&POINTS[..5]).await
}

#[tokio::test]
async fn killed_at_every_ask_of_arming() -> Result<()> {
    killed_at(&POINTS[5..10]).await
}

#[tokio::test]
async fn killed_at_every_ask_from_commit_to_revocation() -> Result<()> {
    killed_at(&POINTS[10..]).await
}

async fn killed_at(points: &[&str]) -> Result<()> {
    let w = World::first("crashes").await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    for (i, point) in points.iter().enumerate() {
        let name = format!("crash-{i}");
        // The one before has been killed and holds the lease still: nobody waits for that in a test of something else.
        w.admin()?.api(&["delete", "lease", "-n", "curfew-system", "--all"]).await?.success()?;
        let victim = w.operator_with(&format!("victim-{i}"), &[("CURFEW_PARK_AT", point)]).await?;
        w.granting().await?;
        alice.apply(&request(&name, "4s")).await?.success()?;
        // It may be parked before it has accepted the request; then nobody can approve yet.
        let parked = || async { Ok(victim.is_stopped().then_some(())) };
        let asked = || async {
            Ok((w.field(&["areq", "-n", "payments", &name], "{.status.state}").await? == "AwaitingApproval" || victim.is_stopped())
                .then_some(()))
        };
        eventually("the request to be looked at", SOON, asked).await?;
        let mut approved = false;
        if !victim.is_stopped() {
            decide(&w, &carol, &name, "Approve").await?;
            approved = true;
        }
        eventually(&format!("the operator to be parked {point}"), SOON, parked).await?;
        victim.kill();
        w.admin()?.api(&["delete", "lease", "-n", "curfew-system", "--all"]).await?.success()?;
        let heir = w.operator(&format!("heir-{i}")).await?;
        if !approved {
            w.state_is(&name, "AwaitingApproval").await?;
            decide(&w, &carol, &name, "Approve").await?;
        }
        over(&w, &name).await.with_context(|| format!("killed {point}"))?;
        w.access_is(&alice, false, Duration::from_secs(1)).await.with_context(|| format!("killed {point}"))?;
        heir.kill();
    }
    Ok(())
}

/// Waits until a request has run its course: `Expired`, or `Failed` if the crash took all of its time.
async fn over(w: &World, name: &str) -> Result<()> {
    let over = |state: &str| matches!(state, "Expired" | "Failed");
    w.field_fits(&["areq", "-n", "payments", name], "{.status.state}", "to be over", Duration::from_secs(60), over).await?;
    let left = w.field(&["rolebinding", "-n", "payments", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}").await?;
    anyhow::ensure!(left.is_empty(), "bindings are left: {left}");
    Ok(())
}

#[tokio::test]
async fn an_api_server_that_is_away_at_the_deadline() -> Result<()> {
    let (w, _operator) = World::running("away").await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    alice.apply(&request("away", "20s")).await?.success()?;
    w.state_is("away", "AwaitingApproval").await?;
    decide(&w, &carol, "away", "Approve").await?;
    // Before this, the outcome of the write is not stored yet, and a grant that ends then is Failed.
    w.state_is("away", "Active").await?;
    w.access_is(&alice, true, SOON).await?;
    let ends = w.field(&["areq", "-n", "payments", "away"], "{.status.expiresAt}").await?;
    let ends = curfew_core::time::Time::parse(&ends).context("no deadline")?;
    w.cp.kill(Component::ApiServer);
    let clock = curfew::authority::Clock::default();
    eventually("the deadline to pass", SOON, || async { Ok((clock.now() > ends).then_some(())) }).await?;
    w.cp.restart(Component::ApiServer).await?;
    as_soon_as_it_is_back(&w).await?;
    w.access_is(&alice, false, Duration::from_secs(40)).await?;
    w.state_is("away", "Expired").await?;
    decide(&w, &carol, "early-0", "Approve").await?;
    w.state_is("early-0", "Active").await
}

/// Requests made in the first moments of an API server: each is accepted, or refused in a way that says to try again, and each that is
/// accepted is judged. What only answers early may not stand in the way: its parameters are not known yet.
async fn as_soon_as_it_is_back(w: &World) -> Result<()> {
    let alice = w.alice()?;
    for i in 0..5 {
        let name = format!("early-{i}");
        eventually(&format!("request {name} to be accepted"), SOON, || async {
            let out = alice.create(&request(&name, "1h")).await?;
            let final_answer = ["Invalid", "is invalid", "denied request"].iter().any(|words| out.stderr.contains(words));
            if final_answer { Ok(Some(Err(anyhow::anyhow!("{name}: {}", out.stderr)))) } else { Ok(out.ok.then_some(Ok(()))) }
        })
        .await??;
    }
    for i in 0..5 {
        w.state_is(&format!("early-{i}"), "AwaitingApproval").await?;
    }
    Ok(())
}
