//! A directory that has no reservations, one copy of each membership, slow writes and lagging reads, under the real operator.
use crate::plane::{Roles, SLOWLY, world};
use anyhow::{Result, anyhow, ensure};
use curfew_testkit::{DirectoryConfig, Operator, Throttle, World};
use std::time::Duration;
use tokio::sync::OnceCell;

/// One plane and one operator for all of these: each test has a directory, roles and a member of its own.
async fn shared() -> Result<&'static World> {
    static WORLD: OnceCell<(World, Operator)> = OnceCell::const_new();
    let started = WORLD.get_or_try_init(|| async {
        let w = world("simulated").await?;
        let operator = w.operator("operator").await?;
        anyhow::Ok((w, operator))
    });
    started.await.map(|(w, _)| w)
}

async fn roles(name: &'static str, config: DirectoryConfig) -> Result<Roles<'static>> {
    let roles = Roles::install(shared().await?, name, config).await?;
    roles.ready().await?;
    Ok(roles)
}

/// End dates are not obeyed, so only the operator ends anything.
fn difficult() -> DirectoryConfig {
    DirectoryConfig { expiry: false, ..DirectoryConfig::difficult() }
}

#[tokio::test]
async fn a_membership_begins_with_the_approval_and_ends_at_the_deadline() -> Result<()> {
    let r = roles("basic", difficult()).await?;
    r.ask("basic", "basic", "20s").await?;
    r.access_stays(false, Duration::from_secs(1)).await?;
    r.decide("basic", "Approve").await?;
    r.access_is(true).await?;
    r.state_is("basic", "Active").await?;
    let grant = r.grant("basic").await?;
    ensure!(r.w.field(&["grt", &grant], "{.status.enforcedBy}").await? == "Curfew");
    r.access_is(false).await?;
    r.state_is("basic", "Expired").await?;
    r.ended("basic").await?;
    r.access_stays(false, Duration::from_secs(3)).await?;
    // A removal may be repeated; it is idempotent.
    ensure!(matches!(r.writes(), (1, 1..)), "{:?}", r.writes());
    // Every write named the time after which nothing is sent, and came before it.
    for call in r.directory.log().iter().filter(|c| c.method == "POST") {
        let limit = call.not_after.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        ensure!(limit.is_some_and(|t| call.at <= t.as_millisecond()), "{call:?}");
    }
    Ok(())
}

/// The first to end never cuts the second, and the last one removes the membership. With end dates that the directory obeys,
/// the second grant has to move the end date that the first one wrote.
async fn overlapping(name: &'static str, expiry: bool) -> Result<()> {
    let r = roles(name, DirectoryConfig { expiry, ..DirectoryConfig::difficult() }).await?;
    let (first, second, too) = (format!("{name}-first"), format!("{name}-second"), format!("{name}-too"));
    r.active(name, &first, "25s").await?;
    r.active(&too, &second, "60s").await?;
    let first_ends = async {
        r.state_is(&first, "Expired").await?;
        r.ended(&first).await
    };
    // The access is used all the time, until the first grant has ended with everything that it does.
    tokio::select! {
        ended = first_ends => ended?,
        cut = r.access_stays(true, SLOWLY) => cut.and(Err(anyhow!("the first grant does not end")))?,
    }
    r.access_stays(true, Duration::from_secs(3)).await?;
    r.access_is(false).await?;
    r.state_is(&second, "Expired").await?;
    r.ended(&second).await?;
    r.access_stays(false, Duration::from_secs(3)).await
}

#[tokio::test]
async fn the_first_of_two_overlapping_grants_leaves_the_membership_to_the_second() -> Result<()> {
    overlapping("overlap", false).await
}

#[tokio::test]
async fn the_second_of_two_overlapping_grants_moves_the_end_date_of_the_membership() -> Result<()> {
    overlapping("overlap-dates", true).await
}

#[tokio::test]
async fn a_standing_membership_is_neither_written_nor_removed() -> Result<()> {
    let r = roles("standing", difficult()).await?;
    r.directory.set_by_hand(crate::plane::GROUP, &r.member()?.name, true)?;
    // Longer than the reads lag: a membership that reads do not show yet cannot be told from none.
    r.access_stays(true, Duration::from_secs(4)).await?;
    r.active("standing", "standing", "15s").await?;
    r.state_is("standing", "Expired").await?;
    r.ended("standing").await?;
    r.access_stays(true, Duration::from_secs(3)).await?;
    ensure!(r.writes() == (0, 0), "{:?}", r.writes());
    Ok(())
}

#[tokio::test]
async fn an_early_revocation_ends_the_access_as_soon_as_the_directory_lets_it() -> Result<()> {
    let young = DirectoryConfig { min_age_millis: 20_000, does_not_exist_millis: 6_000, ..difficult() };
    let r = roles("early", young).await?;
    r.active("early", "early", "1h").await?;
    r.decide("early", "Revoke").await?;
    r.access_is(false).await?;
    r.state_is("early", "Revoked").await?;
    r.ended("early").await?;
    r.access_stays(false, Duration::from_secs(3)).await?;
    ensure!(r.directory.count("DELETE", "/members/", 400) > 0, "no removal was refused");
    ensure!(matches!(r.writes(), (1, 1..)), "{:?}", r.writes());
    Ok(())
}

#[tokio::test]
async fn a_revocation_comes_through_at_a_directory_that_throttles() -> Result<()> {
    let r = roles("throttled", DirectoryConfig { throttle: Some(Throttle { burst: 4.0, per_second: 1.5 }), ..difficult() }).await?;
    r.ask("throttled", "throttled", "40s").await?;
    r.decide("throttled", "Approve").await?;
    r.access_is(true).await?;
    r.access_is(false).await?;
    r.one_of("throttled", &["Expired", "Failed"]).await?;
    r.ended("throttled").await?;
    ensure!(r.directory.log().iter().any(|c| c.status == 429), "nothing was throttled");
    Ok(())
}

#[tokio::test]
async fn the_directory_is_said_to_end_a_membership_only_while_it_obeys_end_dates() -> Result<()> {
    let r = roles("expiry", DirectoryConfig::difficult()).await?;
    r.active("expiry", "expiry", "30m").await?;
    let grant = r.grant("expiry").await?;
    let shown = async |who: &str| {
        // The operator looks again once a minute.
        let limit = SLOWLY + SLOWLY;
        r.w.field_fits(&["grt", &grant], "{.status.enforcedBy}", &format!("to be {who}"), limit, |now| now == who).await
    };
    shown("Target").await?;
    r.directory.configure(difficult());
    shown("Curfew").await?;
    r.directory.configure(DirectoryConfig::difficult());
    shown("Target").await
}
