//! What one Kubernetes lifecycle (approve → expire) costs the API server: calls by verb, counted in its audit log.
//!
//! Counts, not times: the same on any machine. `make bench` prints them.
use anyhow::{Context, Result};
use curfew_testkit::{ControlPlane, Stage, World};
use std::{collections::BTreeMap, path::Path, time::Duration};

const LIFECYCLES: usize = 10;
const OPERATOR: &str = "system:serviceaccount:curfew-system:curfew-operator";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    curfew_testkit::servers_as_shipped();
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("audit.jsonl");
    let world = World { cp: ControlPlane::start_with("bench", Stage::First, Some(log.clone())).await? };
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
    let all = |states: &str| states.split(' ').filter(|s| *s == "Expired").count() == LIFECYCLES;
    world.field_fits(&["areq", "-n", "payments"], "{.items[*].status.state}", "to be all Expired", Duration::from_secs(60), all).await?;
    report(&before, &count(&log)?);
    Ok(())
}

/// The operator's calls so far, by what they did to what. The lease and the gate tick by themselves and are left out.
fn count(log: &Path) -> Result<BTreeMap<String, usize>> {
    let log = std::fs::read_to_string(log).context("no audit log")?;
    let mut calls = BTreeMap::new();
    for line in log.lines() {
        let e: serde_json::Value = serde_json::from_str(line)?;
        let (verb, resource) = (e["verb"].as_str().unwrap_or_default(), e["objectRef"]["resource"].as_str().unwrap_or_default());
        let sub = e["objectRef"]["subresource"].as_str().map(|s| format!("/{s}")).unwrap_or_default();
        let ticking = matches!(resource, "leases" | "customresourcedefinitions" | "curfewconfigs") || resource.contains("admissionpolic");
        let canary = e["objectRef"]["name"] == "curfew-admission-canary" || e["requestURI"].as_str().is_some_and(|u| u.contains("dryRun"));
        if e["user"]["username"] == OPERATOR && verb != "watch" && !ticking && !canary {
            *calls.entry(format!("{verb} {resource}{sub}")).or_default() += 1;
        }
    }
    Ok(calls)
}

#[allow(clippy::cast_precision_loss)]
fn report(before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>) {
    println!("calls of the operator for each lifecycle, over {LIFECYCLES} (floor: 11 writes with reservation and ledger):");
    let (mut reads, mut writes) = (0.0, 0.0);
    for (what, n) in after {
        let each = (n - before.get(what).unwrap_or(&0)) as f64 / LIFECYCLES as f64;
        if each == 0.0 {
            continue;
        }
        println!("  {each:5.1}  {what}");
        if what.starts_with("get") || what.starts_with("list") { reads += each } else { writes += each }
    }
    println!("reads {reads:.1}, writes {writes:.1}");
}
