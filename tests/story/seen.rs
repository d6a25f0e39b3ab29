//! What people and machines see: columns, conditions, Events, health, metrics.
use super::{decide, request};
use crate::support::{SOON, World, eventually, metric};
use anyhow::{Context, Result, ensure};

#[tokio::test]
async fn columns_conditions_events_health_and_metrics() -> Result<()> {
    let (w, operator) = World::running("seen").await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    alice.apply(&request("seen", "5s")).await?.success()?;
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
    let metrics = operator.get("/metrics").await?;
    assert_eq!(metric(&metrics, "curfew_grants_active"), Some(1.0), "{metrics}");
    w.state_is("seen", "Expired").await?;

    ensure!(operator.get("/healthz").await?.contains("200 OK"));
    let ready = operator.get("/readyz").await?;
    ensure!(ready.contains("200 OK") && ready.contains("ok, granting"), "{ready}");
    let metrics = operator.get("/metrics").await?;
    assert_eq!(metric(&metrics, "curfew_grants_overdue"), Some(0.0));
    assert_eq!(metric(&metrics, "curfew_admission_enforced"), Some(1.0));
    assert_eq!(metric(&metrics, "curfew_revocation_lag_seconds_count"), Some(1.0), "{metrics}");
    assert_eq!(metric(&metrics, "curfew_activation_duration_seconds_count"), Some(1.0));
    ensure!(metrics.contains("curfew_requests{state=\"Expired\"} 1"), "{metrics}");

    for (kind, name) in [("ActivationRequest", "seen"), ("RoleTemplate", "payments-admin")] {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        eventually(&format!("Events on {kind} {name}"), SOON, || async {
            let events = w.field(&["events", "-n", "payments", "--field-selector", &fields], "{.items[*].reason}").await?;
            Ok((events.contains("Active") && events.contains("Expired")).then_some(()))
        })
        .await?;
    }
    let uid = w.field(&["areq", "-n", "payments", "seen"], "{.metadata.uid}").await?;
    let line = operator.log().lines().find(|l| l.contains(&uid) && l.contains("\"state\":\"Active\"")).map(str::to_owned);
    line.context("no structured log line with the request's uid").map(drop)
}
