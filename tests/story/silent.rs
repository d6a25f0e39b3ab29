//! Connections that go silent without being closed look like a cluster in which nothing happens.
use super::{decide, request};
use crate::attacks::ends;
use anyhow::{Result, bail};
use curfew_testkit::{Operator, OperatorSpec, SOON, Wire, World, eventually, operator_binary};

#[tokio::test]
async fn a_silent_connection_is_noticed_within_seconds() -> Result<()> {
    let w = World::first("silent").await?;
    let wire = Wire::to(&w.cp)?;
    let user = wire.user(&w.cp.service_account("curfew-system", "curfew-operator").await?)?;
    let operator = Operator::spawn(
        &w.cp,
        &OperatorSpec { binary: operator_binary()?, name: "operator".into(), user, envs: Vec::new(), args: Vec::new() },
    )?;
    w.granting().await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    alice.apply(&request("held", "1h")).await?.success()?;
    w.state_is("held", "AwaitingApproval").await?;
    decide(&w, &carol, "held", "Approve").await?;
    w.access_is(&alice, true, SOON).await?;

    wire.lose_connections();
    decide(&w, &alice, "held", "Revoke").await?;
    ends(&w, &alice, SOON, "a revocation is not heard over a silent connection").await?;
    says(&operator, "200 OK").await?;

    wire.cut();
    says(&operator, "the API server has not answered the watch of").await?;
    wire.restore();
    says(&operator, "ok, granting").await
}

/// Waits until `/readyz` says these words.
async fn says(operator: &Operator, words: &str) -> Result<()> {
    eventually(&format!("/readyz to say {words:?}"), SOON + SOON, || async {
        let answer = operator.get("/readyz").await?;
        if answer.contains(words) { Ok(Some(())) } else { bail!("{answer}") }
    })
    .await
}
