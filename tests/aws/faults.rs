//! An AWS that is busy, unavailable, slow to show its writes, or loses answers.
use crate::plane::{Access, SLOWLY, Setup, emulators, shared};
use anyhow::{Result, ensure};
use curfew_testkit::{Throttle, aws::Fault};
use std::time::{Duration, Instant};

async fn access(name: &'static str) -> Result<Access<'static>> {
    let access = Access::install(shared().await?, name, Setup::user()).await?;
    access.ready().await?;
    Ok(access)
}

/// Writes that take effect and whose answers are lost, and writes that are refused for a moment.
#[tokio::test]
async fn writes_without_an_answer_are_neither_lost_nor_doubled() -> Result<()> {
    let (a, proxy) = (access("lost").await?, emulators().await?.proxy());
    for action in ["CreatePolicy", "AttachUserPolicy", "DetachUserPolicy", "DeletePolicy"] {
        proxy.fault(1, Fault::LoseAnswer, a.of_operator(action));
        proxy.fault(1, Fault::Refuse(503, "ServiceUnavailable"), a.of_operator(action));
    }
    a.active("lost", "lost", "1h").await?;
    a.access_is(true).await?;
    ensure!(a.own_policies().await?.len() == 1);
    a.decide("lost", "Revoke").await?;
    a.over("lost", &["Revoked"]).await?;
    for action in ["CreatePolicy", "AttachUserPolicy", "DetachUserPolicy", "DeletePolicy"] {
        ensure!(a.calls(action, 503).await? == 1 && a.calls(action, 0).await? == 1, "{action} was not disturbed");
    }
    Ok(())
}

/// Reads show a write, and access follows it, only seconds later.
#[tokio::test]
async fn reads_that_lag_end_no_grant_and_prove_no_end() -> Result<()> {
    let (a, proxy) = (access("lagging").await?, emulators().await?.proxy());
    proxy.lag(&a.account.id, Duration::from_secs(3));
    a.active("lagging", "lagging", "1h").await?;
    a.access_is(true).await?;
    a.access_stays(true, Duration::from_secs(4)).await?;
    ensure!(a.of_request("lagging", "{.status.state}").await? == "Active");
    a.decide("lagging", "Revoke").await?;
    a.state_is("lagging", &["Revoked"]).await?;
    a.ended("lagging").await?;
    proxy.lag(&a.account.id, Duration::ZERO);
    a.nothing_is_left().await?;
    a.access_stays(false, Duration::from_secs(1)).await
}

/// One account is throttled so that nothing gets through; another one's grants end meanwhile.
#[tokio::test]
async fn an_account_that_throttles_delays_no_other() -> Result<()> {
    let (busy, other) = (access("busy").await?, access("quiet").await?);
    busy.active("busy", "busy", "1h").await?;
    other.active("quiet", "quiet", "1h").await?;
    let proxy = emulators().await?.proxy();
    proxy.throttle(&busy.account.id, Some(Throttle { burst: 0.0, per_second: 0.0 }));
    busy.decide("busy", "Revoke").await?;
    busy.state_is("busy", &["Revoking"]).await?;
    other.decide("quiet", "Revoke").await?;
    other.over("quiet", &["Revoked"]).await?;
    // The access that could not be revoked is still there, and shown so.
    ensure!(busy.has_access().await? && busy.of_request("busy", "{.status.state}").await? == "Revoking");
    proxy.throttle(&busy.account.id, Some(Throttle { burst: 2.0, per_second: 2.0 }));
    busy.over("busy", &["Revoked"]).await?;
    proxy.throttle(&busy.account.id, None);
    Ok(())
}

/// A grant whose revocation cannot reach AWS is Revoking, and AWS ends it all the same.
#[tokio::test]
async fn aws_ends_what_the_operator_cannot_reach() -> Result<()> {
    let (a, proxy) = (access("unreachable").await?, emulators().await?.proxy());
    a.active("unreachable", "unreachable", "12s").await?;
    a.access_is(true).await?;
    let account = a.account.id.clone();
    let person = a.user.aws.keys.access_key.clone();
    let outage = proxy.fault(usize::MAX, Fault::Refuse(503, "ServiceUnavailable"), move |c| c.account == account && c.key != person);
    let begun = Instant::now();
    a.access_is(false).await?;
    ensure!(begun.elapsed() < SLOWLY);
    a.state_is("unreachable", &["Revoking"]).await?;
    ensure!(a.own_policies().await?.len() == 1, "it is still there, and gives nothing");
    proxy.no_fault(outage);
    a.over("unreachable", &["Expired"]).await
}
