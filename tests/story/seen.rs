//! What people and machines see: columns, conditions, Events, health, metrics.
use super::{decide, request};
use anyhow::{Context, Result, bail, ensure};
use curfew_testkit::{Operator, SOON, World, eventually, metric};

/// Waits until every one of these metrics has its value: gauges follow what happens within a second.
async fn shows(operator: &Operator, expected: &[(&str, f64)]) -> Result<()> {
    eventually(&format!("the metrics {expected:?}"), SOON, || async {
        let metrics = operator.get("/metrics").await?;
        if expected.iter().all(|(name, value)| metric(&metrics, name) == Some(*value)) { Ok(Some(())) } else { bail!("{metrics}") }
    })
    .await
}

#[tokio::test]
async fn columns_conditions_events_health_and_metrics() -> Result<()> {
    let (w, operator) = World::running("seen").await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    alice.apply(&request("seen", "30s")).await?.success()?;
    w.state_is("seen", "AwaitingApproval").await?;
    let digest = w.field(&["areq", "-n", "payments", "seen"], "{.status.digest}").await?;
    let wide = carol.kubectl(&["get", "areq", "-n", "payments", "-o", "wide"]).await?.success()?;
    for word in [
        "REQUESTER",
        "WAITING-FOR",
        "EXPIRES",
        "FOR",
        "REASON",
        "DIGEST",
        "ENFORCED-BY",
        "owners 0/1",
        digest.as_str(),
        "user alice@example.com",
    ] {
        ensure!(wide.contains(word), "no {word:?} in:\n{wide}");
    }
    let next = w.field(&["areq", "-n", "payments", "seen"], "{.status.conditions[?(@.type==\"Approved\")].message}").await?;
    ensure!(next.ends_with(&format!("kubectl curfew approve seen -n payments --digest {digest}")), "{next}");
    decide(&w, &carol, "seen", "Approve").await?;
    w.state_is("seen", "Active").await?;
    shows(&operator, &[("curfew_grants_active", 1.0)]).await?;
    w.state_is("seen", "Expired").await?;

    ensure!(operator.get("/healthz").await?.contains("200 OK"));
    let ready = operator.get("/readyz").await?;
    ensure!(ready.contains("200 OK") && ready.contains("ok, granting"), "{ready}");
    let at_the_end = [
        ("curfew_grants_overdue", 0.0),
        ("curfew_admission_enforced", 1.0),
        ("curfew_revocation_lag_seconds_count", 1.0),
        ("curfew_activation_duration_seconds_count", 1.0),
        ("curfew_requests{state=\"Expired\"}", 1.0),
    ];
    shows(&operator, &at_the_end).await?;

    for (kind, name) in [("ActivationRequest", "seen"), ("RoleTemplate", "payments-admin")] {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let both = |events: &str| events.contains("Active") && events.contains("Expired");
        let events = ["events", "-n", "payments", "--field-selector", &fields];
        w.field_fits(&events, "{.items[*].reason}", "to tell of both", SOON, both).await?;
    }
    let uid = w.field(&["areq", "-n", "payments", "seen"], "{.metadata.uid}").await?;
    let line = operator.log().lines().find(|l| l.contains(&uid) && l.contains("\"state\":\"Active\"")).map(str::to_owned);
    line.context("no structured log line with the request's uid").map(drop)
}
