//! What an operator asks after a start.
use super::request;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Component, ControlPlane, SOON, Stage, World, eventually, metric};
use serde_json::Value;

const LIVE: usize = 8;

/// The lists that it reads first, which are streamed, show every live request, its decisions and its Grant. Of a request that was deleted while
/// no operator ran, the access ends.
#[tokio::test]
async fn an_operator_that_starts_reads_nothing_about_a_live_grant_by_itself() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("audit.jsonl");
    let w = World { cp: ControlPlane::start_with("restart", Stage::First, Some(log.clone())).await? };
    let first = w.operator("first").await?;
    w.granting().await?;
    w.unapproved_role().await?;
    let alice = w.alice()?;
    let ask = |name: &str| request(name, "1h").replace("payments-admin", "unapproved");
    for i in 0..LIVE {
        alice.apply(&ask(&format!("live-{i}"))).await?.success()?;
    }
    for i in 0..LIVE {
        w.state_is(&format!("live-{i}"), "Active").await?;
    }
    let grants = w.field(&["grants"], "{.items[*].metadata.name}").await?;
    let grants: Vec<&str> = grants.split_whitespace().collect();
    ensure!(grants.len() == LIVE, "{grants:?}");
    let deleted = w.field(&["areq", "-n", "payments", "live-0"], "{.status.grantRef.name}").await?;
    first.kill();
    // No watch tells of it: only the list that it is missing from.
    w.admin()?.api(&["delete", "areq", "-n", "payments", "live-0", "--wait=false"]).await?.success()?;
    let before = std::fs::read_to_string(&log)?.lines().count();
    let second = w.operator("second").await?;
    w.field_is(&["grants", &deleted], "{.status.state}", "Ended").await?;
    eventually("the second operator to have seen every Grant", SOON, || async {
        let live = metric(&second.get("/metrics").await?, "curfew_grants_active");
        Ok((live == Some(f64::from(u32::try_from(LIVE - 1)?))).then_some(()))
    })
    .await?;
    // It leads, and has looked at everything that was there when it began.
    alice.apply(&request("after", "15s").replace("payments-admin", "unapproved")).await?.success()?;
    w.state_is("after", "Active").await?;
    let mut reads = Vec::new();
    for line in std::fs::read_to_string(&log)?.lines().skip(before) {
        let event: Value = serde_json::from_str(line).context("an audit event")?;
        let (uri, by) = (event["requestURI"].as_str().unwrap_or_default(), event["user"]["username"].as_str().unwrap_or_default());
        let one = uri.contains("live-") || grants.iter().any(|id| uri.contains(id));
        let one = one && !uri.contains("live-0") && !uri.contains(&*deleted);
        if by.ends_with(":curfew-operator") && one && matches!(event["verb"].as_str(), Some("get" | "list")) {
            reads.push(uri.to_owned());
        }
    }
    ensure!(reads.is_empty(), "{} reads of what lists have shown:\n{}", reads.len(), reads.join("\n"));

    // What is due ends although one list is never complete. The fuse is kept from ending it.
    let due = w.field(&["areq", "-n", "payments", "after"], "{.status.grantRef.name}").await?;
    second.kill();
    w.cp.pause(Component::ControllerManager);
    w.admin()?.api(&["delete", "crd", "activeassignments.curfew.dev"]).await?.success()?;
    let third = w.operator("third").await?;
    w.field_is(&["grants", &due], "{.status.state}", "Ended").await?;
    ensure!(!third.log().contains("stores are synced"), "a list of what does not exist was complete");

    // The second operator's lists were the beginning of its watches, and of what was stored then.
    let text = std::fs::read_to_string(&log)?;
    let asked = text.lines().skip(before).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let asked = asked.filter(|event| event["user"]["username"].as_str().is_some_and(|by| by.ends_with(":curfew-operator")));
    let (watches, lists): (Vec<String>, Vec<String>) = asked
        .filter_map(|event| Some(event["requestURI"].as_str()?.to_owned()))
        .filter(|uri| uri.starts_with("/apis/curfew.dev/v1alpha1/activationrequests?"))
        .partition(|uri| uri.contains("watch=true"));
    let streams: Vec<&String> = watches.iter().filter(|uri| uri.contains("sendInitialEvents=true")).collect();
    ensure!(!streams.is_empty() && streams.iter().all(|uri| !uri.contains("resourceVersion=")), "{watches:?}");
    ensure!(lists.is_empty(), "{lists:?}");
    Ok(())
}
