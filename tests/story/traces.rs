//! One trace for each request, by all processes that have worked on it; and a collector that is away costs spans and nothing else.
use super::{decide, request};
use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use curfew_testkit::{Answers, Collector, Operator, ReceivedSpan, SOON, World, eventually, metric};
use std::collections::BTreeSet;

/// The id of a request's trace.
async fn trace(w: &World, name: &str) -> Result<String> {
    Ok(w.field(&["areq", "-n", "payments", name], "{.metadata.uid}").await?.replace('-', ""))
}

fn names(spans: &[ReceivedSpan]) -> BTreeSet<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// What the trace of a request that was approved and has expired has at least.
const PHASES: [&str; 8] =
    ["activation request", "accept", "wait for approval", "activate", "store intent", "write to target", "access", "revoke"];

fn has_phases(spans: &[ReceivedSpan]) -> Result<()> {
    let missing: Vec<_> = PHASES.iter().filter(|phase| !names(spans).contains(**phase)).collect();
    ensure!(missing.is_empty(), "{missing:?} are missing in {:?}", names(spans));
    Ok(())
}

/// Asks for access and approves it.
async fn activate(w: &World, name: &str, duration: &str) -> Result<()> {
    w.alice()?.apply(&request(name, duration)).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    decide(w, &w.carol()?, name, "Approve").await?;
    w.state_is(name, "Active").await
}

async fn lost(operator: &Operator) -> Result<f64> {
    let metrics = operator.get("/metrics").await?;
    let reasons = ["QueueFull", "ExportFailed"].map(|reason| format!("curfew_trace_spans_lost_total{{reason=\"{reason}\"}}"));
    Ok(reasons.iter().filter_map(|name| metric(&metrics, name)).sum())
}

#[tokio::test]
async fn a_request_has_one_trace_by_all_processes_and_a_collector_that_is_away_delays_nothing() -> Result<()> {
    let w = World::first("traces").await?;
    let collector = Collector::default();
    let endpoint = collector.serve_https(w.cp.dir()).await?;
    let authority = w.cp.dir().join("ca.crt").display().to_string();
    let envs = |delay: &'static str| {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.clone()),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", authority.clone()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a-token".to_owned()),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300".to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", delay.to_owned()),
        ]
    };
    let (slow, quick) = (envs("60000"), envs("50"));
    let slow: Vec<_> = slow.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let quick: Vec<_> = quick.iter().map(|(key, value)| (*key, value.as_str())).collect();

    // The leader is killed before it has exported anything, also of a request that has ended. A process that only revokes ends the access, the next leader the request.
    let victim = w.operator_with("victim", &slow).await?;
    w.granting().await?;
    activate(&w, "over", "2s").await?;
    w.state_is("over", "Expired").await?;
    let over = trace(&w, "over").await?;
    activate(&w, "killed", "15s").await?;
    let killed = trace(&w, "killed").await?;
    ensure!(collector.requests() == 0, "a span that waits for others was exported");
    victim.kill();
    let _revoker = w.revoker_with("revoker", &quick).await?;
    w.field_is(&["grt"], "{.items[0].status.state}", "Ended").await?;
    let by_revoker = eventually("the spans of the process that only revokes", SOON, || async {
        Ok(Some(collector.spans(&killed)).filter(|spans| names(spans).contains("revoke")))
    })
    .await?;
    ensure!(by_revoker.iter().all(|span| span.resource["curfew.component"] == "revoker"), "{by_revoker:#?}");
    ensure!(names(&by_revoker).contains("target revoke"), "{by_revoker:#?}");
    w.admin()?.api(&["delete", "lease", "-n", "curfew-system", "--all"]).await?.success()?;
    let heir = w.operator_with("heir", &quick).await?;
    w.state_is("killed", "Expired").await?;
    let spans = collector.whole(&killed).await?;
    has_phases(&spans)?;
    let root = spans.iter().find(|span| span.parent.is_empty()).context("a root")?;
    ensure!(root.attributes["curfew.state"] == "Expired", "the next leader has taken it for deleted: {root:#?}");
    ensure!(collector.times(&killed, "activation request") == 1, "one root span");
    // The request that had ended before the kill has its trace by the next leader.
    has_phases(&collector.whole(&over).await?)?;

    // Without a kill each span comes once, with what identifies the access, and without names of people.
    w.granting().await?;
    activate(&w, "traced", "4s").await?;
    w.state_is("traced", "Expired").await?;
    let id = trace(&w, "traced").await?;
    let spans = collector.whole(&id).await?;
    has_phases(&spans)?;
    for name in PHASES {
        ensure!(collector.times(&id, name) == 1, "{name} came {} times", collector.times(&id, name));
    }
    for call in ["target reserve", "target arm", "target revoke"] {
        ensure!(names(&spans).contains(call), "no {call} in {:?}", names(&spans));
    }
    let root = spans.iter().find(|span| span.parent.is_empty()).context("a root")?;
    let grant = w.field(&["areq", "-n", "payments", "traced"], "{.status.grantRef.name}").await?;
    for (key, value) in [
        ("k8s.namespace.name", "payments"),
        ("curfew.request.name", "traced"),
        ("curfew.role", "payments-admin"),
        ("curfew.provider", "kubernetes"),
        ("curfew.system", "this-cluster"),
        ("curfew.grant", grant.as_str()),
        ("curfew.state", "Expired"),
        ("curfew.reason", "DeadlinePassed"),
    ] {
        ensure!(root.attributes.get(key).is_some_and(|found| found == value), "{key}: {root:#?}");
    }
    ensure!(spans.iter().all(|span| !span.failed && span.resource["service.instance.id"] == "heir"), "{spans:#?}");
    let told = format!("{spans:?}");
    ensure!(["alice", "carol", "example.com", "roll back"].iter().all(|word| !told.contains(word)), "{told}");
    ensure!(collector.authorizations() == BTreeSet::from(["Bearer a-token".to_owned()]), "{:?}", collector.authorizations());

    // A request that is deleted while it waits has a root span, too.
    w.alice()?.apply(&request("withdrawn", "1h")).await?.success()?;
    w.state_is("withdrawn", "AwaitingApproval").await?;
    let withdrawn = trace(&w, "withdrawn").await?;
    w.alice()?.api(&["delete", "areq", "-n", "payments", "withdrawn"]).await?.success()?;
    let spans = collector.whole(&withdrawn).await?;
    ensure!(names(&spans) == BTreeSet::from(["activation request", "accept", "wait for approval"]), "{spans:#?}");

    // A collector that hangs, and one that refuses: the access begins and ends as if there were none, and what is lost is counted.
    for (answers, name) in [(Answers::Hangs, "hung"), (Answers::Refuses, "refused")] {
        collector.set(answers);
        let before = lost(&heir).await?;
        activate(&w, name, "4s").await?;
        w.state_is(name, "Expired").await?;
        let time = async |field: &str| {
            let text = w.field(&["areq", "-n", "payments", name], field).await?;
            Time::parse(&text).with_context(|| format!("{field}: {text}"))
        };
        let late = time("{.status.endedAt}").await?.millis_since(time("{.status.expiresAt}").await?);
        ensure!((0..=5_000).contains(&late), "{name}: revoked {late} ms after the deadline");
        eventually(&format!("the lost spans of {name} to be counted"), SOON, || async { Ok((lost(&heir).await? > before).then_some(())) })
            .await?;
    }
    collector.set(Answers::Takes);
    activate(&w, "after", "4s").await?;
    w.state_is("after", "Expired").await?;
    collector.whole(&trace(&w, "after").await?).await?;

    // Settings that cannot be obeyed are told and cost traces alone.
    let wrong = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let without = w.operator_with("without", &wrong).await?;
    let told = ["traces are off", "OTEL_EXPORTER_OTLP_PROTOCOL is grpc; set it to http/json"];
    let is_told = || told.iter().all(|words| without.log().contains(words));
    eventually("the wrong setting to be told", SOON, || async { Ok(is_told().then_some(())) }).await?;
    drop(heir);
    w.admin()?.api(&["delete", "lease", "-n", "curfew-system", "--all"]).await?.success()?;
    w.granting().await?;
    activate(&w, "untraced", "4s").await?;
    w.state_is("untraced", "Expired").await?;
    ensure!(collector.spans(&trace(&w, "untraced").await?).is_empty(), "no spans without traces");
    Ok(())
}
