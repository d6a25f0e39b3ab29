//! Counts the API calls of one grant lifecycle (approve → expire) by verb, from the audit log of the API server.
//!
//! It reports counts and not times, so the result is the same on any machine. `make bench` prints it.
#[path = "../tests/support/mod.rs"]
mod support;

use anyhow::{Context, Result};
use std::{collections::BTreeMap, path::Path, time::Duration};
use support::{ControlPlane, World, eventually};

const LIFECYCLES: usize = 10;
const OPERATOR: &str = "system:serviceaccount:curfew-system:curfew-operator";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("audit.jsonl");
    let world = World::first_on(ControlPlane::start_with("bench", Some(log.clone())).await?).await?;
    let _operator = world.operator("bench").await?;
    world.granting().await?;
    let (alice, carol) = (world.alice()?, world.carol()?);
    let before = count(&log)?;
    for i in 0..LIFECYCLES {
        let name = format!("b{i}");
        let request = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: payments}}, spec: {{roleRef: {{name: payments-admin}}, duration: 5s, justification: bench}}}}"
        );
        alice.apply(&request).await?.success()?;
        world.state_is(&name, "AwaitingApproval").await?;
        let digest = world.field(&["areq", "-n", "payments", &name], "{.status.digest}").await?;
        let decision = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: d{i}, namespace: payments}}, spec: {{about: {{activationRequest: {{name: {name}}}}}, digest: '{digest}', decision: Approve}}}}"
        );
        carol.apply(&decision).await?.success()?;
        world.state_is(&name, "Active").await?;
    }
    eventually("every request to have expired", Duration::from_secs(60), || async {
        let states = world.field(&["areq", "-n", "payments"], "{.items[*].status.state}").await?;
        Ok((states.split(' ').filter(|s| *s == "Expired").count() == LIFECYCLES).then_some(()))
    })
    .await?;
    report(&before, &count(&log)?);
    Ok(())
}

/// Returns the number of the operator's calls so far, by verb and resource. Periodic calls (lease, admission check, watches) are left
/// out.
fn count(log: &Path) -> Result<BTreeMap<String, usize>> {
    let log = std::fs::read_to_string(log).context("cannot read the audit log of the API server")?;
    let mut calls = BTreeMap::new();
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line)?;
        let object = &event["objectRef"];
        let (verb, resource) = (event["verb"].as_str().unwrap_or_default(), object["resource"].as_str().unwrap_or_default());
        let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
        let periodic = matches!(resource, "leases" | "customresourcedefinitions" | "curfewconfigs") || resource.contains("admissionpolic");
        let canary = object["name"] == "curfew-admission-canary" || event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun"));
        if event["user"]["username"] == OPERATOR && verb != "watch" && !periodic && !canary {
            *calls.entry(format!("{verb} {resource}{subresource}")).or_default() += 1;
        }
    }
    Ok(calls)
}

#[allow(clippy::cast_precision_loss)]
fn report(before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>) {
    println!("API calls of the operator per lifecycle, average of {LIFECYCLES} (minimum: 11 writes, with reservation and Grant):");
    let (mut reads, mut writes) = (0.0, 0.0);
    for (call, total) in after {
        let average = (total - before.get(call).unwrap_or(&0)) as f64 / LIFECYCLES as f64;
        if average == 0.0 {
            continue;
        }
        println!("  {average:5.1}  {call}");
        if call.starts_with("get") || call.starts_with("list") { reads += average } else { writes += average }
    }
    println!("reads {reads:.1}, writes {writes:.1}");
}
