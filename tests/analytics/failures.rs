//! What goes wrong: analytics is killed while events come, and what it does not know is said.
use crate::plane::{Plane, SYSTEM, TOKEN};
use anyhow::{Result, ensure};
use curfew_testkit::{Operator, SOON, World, eventually, metric};
use serde_json::{Value, json};
use std::time::Duration;

/// Deliveries, and events in each.
const DELIVERIES: u32 = 40;
const EVENTS: u32 = 25;
/// What no catalogue has, so that a report counts these requests by name.
const PATH: &str = "/counted/by/name";

fn delivery(number: u32) -> String {
    let event = |i: u32| {
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("{number}-{i}"), "stage": "ResponseComplete", "verb": "get",
            "user": {"username": "poster", "groups": ["system:authenticated"]}, "requestURI": PATH, "responseStatus": {"code": 200},
            "requestReceivedTimestamp": now()})
    };
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": (0..EVENTS).map(event).collect::<Vec<_>>()}).to_string()
}

fn now() -> String {
    k8s_openapi::jiff::Timestamp::now().to_string()
}

/// A request of alice that is active for an hour, and one that ends by itself soon.
async fn granted(world: &World) -> Result<Operator> {
    let operator = world.operator("operator").await?;
    world.granting().await?;
    world.unapproved_role().await?;
    let alice = world.alice()?;
    alice
        .create(
            "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: short, namespace: payments}, \
                 spec: {roleRef: {name: unapproved}, duration: 20s, justification: look}}",
        )
        .await?
        .success()?;
    world.state_is("short", "Active").await?;
    Ok(operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_analytics_at_any_moment_loses_no_event_and_counts_none_twice() -> Result<()> {
    let plane = Plane::start("analytics-kills").await?;
    let mut analytics = plane.analytics().await?;
    let operator = granted(&plane.world).await?;
    // A delivery is posted until it is answered, as an API server does. Some are posted again after that.
    let bodies: Vec<String> = (0..DELIVERIES).map(delivery).collect();
    let client = plane.client()?;
    let posting = async {
        for (number, body) in (0u32..).zip(&bodies) {
            for _ in 0..if number % 7 == 3 { 2 } else { 1 } {
                eventually("a delivery to be taken", SOON, || async { Ok((plane.post(&client, TOKEN, body).await? == 200).then_some(())) })
                    .await?;
            }
        }
        anyhow::Ok(())
    };
    let killing = async {
        for pause in [50, 130, 20, 210, 80] {
            // Moments that differ, not times to wait for something.
            tokio::time::sleep(Duration::from_millis(pause)).await;
            analytics.kill();
            analytics = plane.analytics().await?;
        }
        anyhow::Ok(())
    };
    let (posted, killed) = tokio::join!(posting, killing);
    posted?;
    killed?;

    // Stopped, it holds nothing up: the access ends at its deadline.
    analytics.pause();
    plane.world.state_is("short", "Expired").await?;
    plane.world.access_is(&plane.world.alice()?, false, SOON).await?;
    analytics.resume();

    let asks = plane.questions().await?;
    eventually("every event to be counted once", SOON, || async {
        let counted = asks.report().await?["input"]["unmapped"][format!("get {PATH}")].clone();
        ensure!(counted == DELIVERIES * EVENTS, "{counted} of {}", DELIVERIES * EVENTS);
        Ok(Some(()))
    })
    .await?;
    drop(operator);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_said_and_what_is_not_allowed_is_refused() -> Result<()> {
    let plane = Plane::start("analytics-refusals").await?;
    let admin = plane.world.admin()?;
    let patch = async |analytics: Value| {
        let patch = json!({"spec": {"analytics": analytics}}).to_string();
        admin.api(&["patch", "authsys", SYSTEM, "--type=merge", "-p", &patch]).await?.success()
    };
    let analytics = plane.analytics().await?;
    let condition = |status: &Value, kind: &str| {
        let all = status["conditions"].as_array().into_iter().flatten();
        all.clone().find(|one| one["type"] == kind).cloned().unwrap_or_default()
    };
    plane.status("a score", |status| status["pci"]["score"].as_u64()).await?;

    // Another token, no token, another system, something else than events.
    let client = plane.client()?;
    let wrong = TOKEN.replace('0', "1");
    ensure!(plane.post(&client, &wrong, &delivery(0)).await? == 401 && plane.post(&client, "", &delivery(0)).await? == 401);
    ensure!(plane.post(&client, TOKEN, "{\"kind\":\"PodList\"}").await? == 400 && plane.post(&client, TOKEN, "{").await? == 400);
    let metrics = analytics.metrics().await?;
    let refused = format!("curfew_analytics_audit_refused_total{{system=\"{SYSTEM}\"}}");
    ensure!(metric(&metrics, &refused).is_some_and(|count| count >= 4.0), "{metrics}");

    // A log directory is read on, beside the webhook: what is in both counts once.
    let line = delivery(7).replace('\n', "");
    std::fs::write(analytics.logs().join("older/audit.log"), format!("{line}\n{line}\n"))?;
    ensure!(plane.post(&client, TOKEN, &delivery(7)).await? == 200);
    let asks = plane.questions().await?;
    eventually("events of both sources to count once", SOON, || async {
        let counted = asks.report().await?["input"]["unmapped"][format!("get {PATH}")].clone();
        ensure!(counted == EVENTS, "{counted} of {EVENTS}");
        Ok(Some(()))
    })
    .await?;

    // What cannot be read is told until the file changes.
    let path = analytics.logs().join("older/broken.log");
    std::fs::write(&path, format!("{line}\nnot an event\n"))?;
    let usage = |status: &Value| Some(condition(status, "UsageFresh")).filter(|one| one["reason"] == "Problems");
    let told = plane.status("the broken line to be told", usage).await?;
    ensure!(told["message"].as_str().is_some_and(|message| message.contains("broken.log")), "{told}");
    std::fs::remove_file(path)?;
    let usage = |status: &Value| Some(condition(status, "UsageFresh")).filter(|one| one["status"] == "True");
    plane.status("nothing to be broken any more", usage).await?;

    // Without a source everything would look unused: no score, and the reason.
    patch(json!({"usage": null})).await?;
    let none = |status: &Value| Some(condition(status, "UsageFresh")).filter(|one| one["reason"] == "NoSource");
    plane.status("no source", none).await?;
    ensure!(plane.post(&client, TOKEN, &delivery(1)).await? == 404);

    // Its account writes what it measures, and nothing that a grant rests on.
    let account = plane.world.cp.service_account("curfew-system", "curfew-analytics").await?;
    for forged in [
        json!({"status": {"target": {"id": "another"}}}),
        json!({"status": {"emergencyUse": null, "grants": {"active": 7, "overdue": 0}}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}),
    ] {
        let ask = ["patch", "authsys", SYSTEM, "--subresource=status", "--type=merge", "-p", &forged.to_string()];
        let refused = account.api(&ask).await?.refused()?;
        ensure!(refused.contains("curfew-ledger"), "{forged}: {refused}");
    }
    for denied in [&["get", "secrets", "-n", "curfew-system"][..], &["delete", "authsys", SYSTEM], &["get", "grants"]] {
        ensure!(account.kubectl(denied).await?.refused()?.contains("orbidden"), "{denied:?}");
    }
    Ok(())
}
