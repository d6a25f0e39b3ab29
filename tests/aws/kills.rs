//! The operator is killed or paused around every effect in AWS, and while each of its calls is on its way. What it has sent may arrive
//! much later.
use crate::plane::{Access, Plane, SLOWLY, Setup, emulators, free_lease, parked};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Operator, SOON, eventually};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// One of two planes whose operators are killed: one test at a time on each.
async fn plane(n: usize) -> Result<MutexGuard<'static, Plane>> {
    static PLANES: [OnceCell<Mutex<Plane>>; 2] = [const { OnceCell::const_new() }; 2];
    let start = || async { anyhow::Ok(Mutex::new(Plane::start(&format!("aws-kills-{n}")).await?)) };
    let plane = PLANES[n].get_or_try_init(start).await?.lock().await;
    free_lease(&plane.w).await?;
    Ok(plane)
}

/// Kills an operator, and starts another one that need not wait for the lease.
async fn succeeded(plane: &Plane, victim: &Operator, name: &str) -> Result<Operator> {
    victim.kill();
    free_lease(&plane.w).await?;
    plane.operator(name, &[]).await
}

#[tokio::test]
async fn with_the_operator_dead_aws_refuses_at_the_deadline() -> Result<()> {
    let plane = plane(0).await?;
    let a = Access::install(&plane, "dead", Setup::user()).await?;
    let operator = plane.operator("dies", &[]).await?;
    a.ready().await?;
    a.active("dead", "dead", "12s").await?;
    a.access_is(true).await?;
    operator.kill();
    ensure!(a.has_access().await?, "the access does not depend on the operator's life");
    let ends: jiff::Timestamp = a.of_request("dead", "{.status.expiresAt}").await?.parse()?;
    a.access_is(false).await?;
    let late = jiff::Timestamp::now().duration_since(ends);
    ensure!((0..5).contains(&late.as_secs()), "it ended {late:?} after the deadline");
    ensure!(a.own_policies().await?.len() == 1, "no operator has removed it");
    free_lease(&plane.w).await?;
    let heir = plane.operator("heir-of-dead", &[]).await?;
    a.over("dead", &["Expired"]).await?;
    heir.kill();
    Ok(())
}

#[tokio::test]
async fn killed_before_and_after_every_effect_on_a_user() -> Result<()> {
    let points = ["before:Reserve", "after:Reserve", "after:Recheck", "before:Arm", "after:Arm", "before:Revoke", "after:Revoke"];
    let plane = plane(0).await?;
    killed_at(&plane, "effects", Setup::user(), &points).await
}

#[tokio::test]
async fn killed_after_every_effect_on_a_role() -> Result<()> {
    let points = ["after:Reserve", "before:Arm", "after:Arm", "before:Revoke", "after:Revoke"];
    let plane = plane(1).await?;
    killed_at(&plane, "role-effects", Setup::role(), &points).await
}

/// The operator is killed at each of these points; another one ends the grant on time and leaves nothing.
async fn killed_at(plane: &Plane, name: &'static str, setup: Setup, points: &[&str]) -> Result<()> {
    let a = Access::install(plane, name, setup).await?;
    for point in points {
        let request = format!("{name}-{}", point.to_lowercase().replace(':', "-"));
        free_lease(&plane.w).await?;
        let victim = plane.operator(&format!("victim-{request}"), &[("CURFEW_PARK_AT", point)]).await?;
        a.ready().await?;
        a.ask(name, &request, "6s").await?;
        a.decide(&request, "Approve").await?;
        parked(&victim, point).await?;
        let heir = succeeded(plane, &victim, &format!("heir-{request}")).await?;
        a.over(&request, &["Expired", "Failed"]).await.with_context(|| format!("killed {point}"))?;
        heir.kill();
    }
    Ok(())
}

/// The call is held on its way, the operator is killed, another one brings the grant to its end, and only then the call arrives.
#[tokio::test]
async fn calls_that_arrive_after_the_end_change_nothing() -> Result<()> {
    let plane = plane(1).await?;
    let a = Access::install(&plane, "late", Setup::user()).await?;
    let proxy = emulators().await?.proxy();
    for action in ["CreatePolicy", "AttachUserPolicy", "DetachUserPolicy", "DeletePolicy"] {
        let request = format!("late-{}", action.to_lowercase());
        free_lease(&plane.w).await?;
        let victim = plane.operator(&format!("victim-{request}"), &[]).await?;
        a.ready().await?;
        let held = proxy.hold(1, a.of_operator(action));
        a.ask("late", &request, "1h").await?;
        a.decide(&request, "Approve").await?;
        let ending = matches!(action, "DetachUserPolicy" | "DeletePolicy");
        if ending {
            a.state_is(&request, &["Active"]).await?;
            a.decide(&request, "Revoke").await?;
        }
        held.arrived(SLOWLY).await.with_context(|| action)?;
        let heir = succeeded(&plane, &victim, &format!("heir-{request}")).await?;
        if !ending {
            a.state_is(&request, &["Active"]).await?;
            a.decide(&request, "Revoke").await?;
        }
        a.over(&request, &["Revoked"]).await.with_context(|| action)?;
        held.release();
        a.access_stays(false, Duration::from_secs(2)).await.with_context(|| format!("a late {action}"))?;
        // A policy that is created late is attached to nothing, and the sweep finds it.
        eventually("the sweep to remove what came late", SLOWLY, || async { Ok(a.nothing_is_left().await.is_ok().then_some(())) }).await?;
        heir.kill();
    }
    let attached = proxy.calls(a.of_operator("AttachUserPolicy"));
    ensure!(attached.iter().any(|c| c.code.as_deref() == Some("NoSuchEntity")), "no late attachment has met its fence: {attached:?}");
    Ok(())
}

/// The leader is stopped before it arms, another replica revokes, and the leader wakes up.
#[tokio::test]
async fn a_leader_that_wakes_up_after_the_revocation_cannot_arm() -> Result<()> {
    let plane = plane(1).await?;
    for (name, setup, arm) in [("paused", Setup::user(), "AttachUserPolicy"), ("paused-role", Setup::role(), "UpdateAssumeRolePolicy")] {
        let a = Access::install(&plane, name, setup).await?;
        free_lease(&plane.w).await?;
        let leader = plane.operator(&format!("leader-{name}"), &[("CURFEW_PARK_AT", "before:Arm")]).await?;
        a.ready().await?;
        let other = plane.operator(&format!("other-{name}"), &[]).await?;
        a.ask(name, name, "10m").await?;
        a.decide(name, "Approve").await?;
        parked(&leader, "before:Arm").await?;
        ensure!(!a.has_any_access().await?, "a reservation gives no access");
        free_lease(&plane.w).await?;
        a.decide(name, "Revoke").await?;
        a.ended(name).await?;
        leader.resume();
        eventually("the leader to go on", SOON, || async { Ok((!leader.is_stopped()).then_some(())) }).await?;
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            ensure!(!a.has_any_access().await?, "the leader has armed what was revoked");
        }
        ensure!(leader.is_running() && other.is_running());
        ensure!(a.calls(arm, 200).await? == 0, "a late write came through");
        a.nothing_is_left().await?;
        leader.kill();
        other.kill();
    }
    Ok(())
}
