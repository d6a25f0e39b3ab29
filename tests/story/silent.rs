//! Connections that go silent without being closed look like a cluster in which nothing happens.
use super::{decide, request};
use crate::attacks::ends;
use anyhow::{Result, bail, ensure};
use curfew_testkit::{Operator, OperatorSpec, SOON, Wire, World, eventually, operator_binary};

#[tokio::test]
async fn a_silent_connection_is_noticed_within_seconds() -> Result<()> {
    let (w, wire, operator) = wired("silent").await?;
    ensure!(watches_by(&operator.log()) == Some("HTTP/2.0"), "the API server of the tests speaks HTTP/2");
    a_revocation_is_heard(&w, &wire).await?;
    says(&operator, "200 OK").await?;

    wire.cut();
    says(&operator, "the API server has not answered the watch of").await?;
    wire.restore();
    says(&operator, "ok, granting").await
}

/// HTTP/1.1 has no PING: each watch ends after a few seconds instead, also where the API server has spoken HTTP/2 before.
#[tokio::test]
async fn a_silent_connection_without_pings_is_noticed_within_seconds() -> Result<()> {
    let (w, wire, operator) = wired("silent-http1").await?;
    w.cp.restart_without_http2().await?;
    eventually("the watches to go on", SOON, || async { Ok((watches_by(&operator.log()) == Some("HTTP/1.1")).then_some(())) }).await?;
    w.granting().await?;
    a_revocation_is_heard(&w, &wire).await
}

/// A world with an operator behind a network that can go silent, which grants.
async fn wired(name: &str) -> Result<(World, Wire, Operator)> {
    let w = World::first(name).await?;
    let wire = Wire::to(&w.cp)?;
    let user = wire.user(&w.cp.service_account("curfew-system", "curfew-operator").await?)?;
    let spec = OperatorSpec { binary: operator_binary()?, name: "operator".into(), user, envs: Vec::new(), args: Vec::new() };
    let operator = Operator::spawn(&w.cp, &spec)?;
    w.granting().await?;
    Ok((w, wire, operator))
}

/// The protocol of the last watches, as this log says it.
fn watches_by(log: &str) -> Option<&str> {
    let line = log.lines().rfind(|line| line.contains("the API server answers watches by another protocol than before"))?;
    ["HTTP/1.1", "HTTP/2.0"].into_iter().find(|protocol| line.contains(protocol))
}

async fn a_revocation_is_heard(w: &World, wire: &Wire) -> Result<()> {
    let (alice, carol) = (w.alice()?, w.carol()?);
    // An API server that was just started serves custom resources a moment after it is ready.
    eventually("the request to be taken", SOON, || async { Ok(alice.apply(&request("held", "1h")).await?.success().ok()) }).await?;
    w.state_is("held", "AwaitingApproval").await?;
    decide(w, &carol, "held", "Approve").await?;
    w.access_is(&alice, true, SOON).await?;

    wire.lose_connections();
    decide(w, &alice, "held", "Revoke").await?;
    ends(w, &alice, SOON, "a revocation is not heard over a silent connection").await
}

/// Waits until `/readyz` says these words.
async fn says(operator: &Operator, words: &str) -> Result<()> {
    eventually(&format!("/readyz to say {words:?}"), SOON + SOON, || async {
        let answer = operator.get("/readyz").await?;
        if answer.contains(words) { Ok(Some(())) } else { bail!("{answer}") }
    })
    .await
}
