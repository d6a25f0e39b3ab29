//! What people and machines see: columns, conditions, Events, health, metrics.
use super::{decide, request};
use crate::support::{SOON, World, eventually};
use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One HTTP GET.
async fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The value of a metric without labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn columns_conditions_events_health_and_metrics() -> Result<()> {
    let (w, operator) = World::running("seen").await?;
    let address = eventually("the operator to say where it listens", SOON, || async {
        let log = operator.log();
        let at = log.find("\"address\":\"").map(|i| log[i + 11..].split('"').next().unwrap_or_default().to_owned());
        Ok(at)
    })
    .await?;
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
    let metrics = get(&address, "/metrics").await?;
    assert_eq!(value(&metrics, "curfew_grants_active"), Some(1.0), "{metrics}");
    w.state_is("seen", "Expired").await?;

    ensure!(get(&address, "/healthz").await?.contains("200 OK"));
    let ready = get(&address, "/readyz").await?;
    ensure!(ready.contains("200 OK") && ready.contains("ok, granting"), "{ready}");
    let metrics = get(&address, "/metrics").await?;
    assert_eq!(value(&metrics, "curfew_grants_overdue"), Some(0.0));
    assert_eq!(value(&metrics, "curfew_gate_closed"), Some(1.0));
    assert_eq!(value(&metrics, "curfew_revocation_lag_seconds_count"), Some(1.0), "{metrics}");
    assert_eq!(value(&metrics, "curfew_activation_duration_seconds_count"), Some(1.0));
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
