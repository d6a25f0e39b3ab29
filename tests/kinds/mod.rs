//! The kinds as their users meet them: examples that apply and are judged, schemas that refuse by name, `explain` that teaches.
use crate::shared::without_operator;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, eventually, path, root};

mod examples;

/// Applies `yaml` as admin, strictly, and gives back the refusal.
async fn refused(yaml: &str) -> Result<String> {
    without_operator().await?.admin()?.api_stdin(&["apply", "--validate=strict", "-f", "-"], yaml).await?.refused()
}

/// An example with one thing exchanged.
fn changed(file: &str, from: &str, to: &str) -> Result<String> {
    let text = std::fs::read_to_string(root().join("examples").join(file))?;
    let first = text.split("\n---\n").find(|d| d.contains(from)).with_context(|| format!("{file} has no {from:?}"))?;
    Ok(first.replacen(from, to, 1))
}

#[tokio::test]
async fn what_the_schema_refuses_it_refuses_by_name() -> Result<()> {
    let table = [
        ("api/roletemplate.yaml", "permissions:\n", "permisions: {}\n  permissions:\n", "permisions"),
        ("api/roletemplate.yaml", "quorum: 1", "quorum: one", "quorum"),
        ("api/roletemplate.yaml", "quorum: 1", "quorum: 0", "quorum"),
        ("api/roletemplate.yaml", "ticket: {none: {}}", "ticket: {none: {}, pattern: x}", "ticket"),
        ("api/roletemplate.yaml", "mfa: {none: {}}", "mfa: {}", "mfa"),
        ("api/roletemplate.yaml", "max: 4h", "max: 4 hours", "spec.activation.duration.max"),
        ("api/roletemplate.yaml", "max: 4h", "max: 0h", "spec.activation.duration.max"),
        ("api/roletemplate.yaml", "default: 1h", "default: 5h", "default must not be longer than max"),
        ("api/roletemplate.yaml", "[{group: payments-leads}, {user: carol@example.com}]", "[]", "approvers"),
        ("api/roletemplate.yaml", "{group: payments-leads}", "{group: 'system:masters'}", "reserved for Kubernetes"),
        ("api/accesspolicy.yaml", "  scope: # required", "  scop: # required", "scop"),
        ("api/accesspolicy.yaml", "{group: payments-devs}", "{user: 'system:admin'}", "reserved for Kubernetes"),
        ("api/accesspolicy.yaml", "eligibility: 365d", "eligibility: 365", "eligibility"),
        ("api/eligibleassignment.yaml", "{group: payments-devs}", "{group: a, user: b}", "subject"),
        ("api/eligibleassignment.yaml", "{group: payments-devs}", "{group: 'system:authenticated'}", "reserved for Kubernetes"),
        ("api/eligibleassignment.yaml", "end: \"2026-12-31T00:00:00Z\"", "end: \"2025-12-31T00:00:00Z\"", "start must be before end"),
        ("api/curfewconfig.yaml", "{name: curfew}", "{name: other}", "its name is curfew"),
    ];
    for (file, from, to, names) in table {
        let refusal = refused(&changed(file, from, to)?).await?;
        ensure!(refusal.contains(names), "{file} with {to:?}: expected {names:?} in: {refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_decision_must_say() -> Result<()> {
    let carol = without_operator().await?.carol()?;
    for (from, to, names) in [
        ("digest: 7f3a9c21d0b4e6f1", "comment2: x", "comment2"),
        ("  digest: 7f3a9c21d0b4e6f1", "  #", "digest is required to Approve"),
        ("digest: 7f3a9c21d0b4e6f1", "digest: ABC", "digest"),
        ("decision: Approve", "decision: Maybe", "decision"),
        ("decision: Approve", "decision: Abandon", "Abandon is about a grant"),
        ("{activationRequest: {name: payments-viewer-x7k2p}}", "{}", "about"),
    ] {
        let yaml = changed("api/accessdecision.yaml", from, to)?;
        let refusal = carol.api_stdin(&["create", "--validate=strict", "-f", "-"], &yaml).await?.refused()?;
        ensure!(refusal.contains(names), "{to:?}: expected {names:?} in: {refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn another_target_is_another_system() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    let other = r#"{"spec": {"provider": {"kubernetes": {"inCluster": null, "kubeconfigSecretRef": {"name": "a", "key": "b"}}}}}"#;
    let refusal = admin.api(&["patch", "authsys", "this-cluster", "--type=merge", "-p", other]).await?.refused()?;
    ensure!(refusal.contains("provider is immutable"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn a_raw_post_with_a_typo_opens_no_door() -> Result<()> {
    // A client that does not validate strictly: the unknown field is pruned, and what protects is missing then.
    let admin = without_operator().await?.admin()?;
    let yaml = changed("api/roletemplate.yaml", "  scope: # required", "  scpe: # required")?;
    let refusal = admin.api_stdin(&["apply", "--validate=ignore", "-f", "-"], &yaml).await?.refused()?;
    ensure!(refusal.contains("spec.scope"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn explain_teaches_every_kind() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    for (what, words) in [
        ("curfewconfig.spec.ceilings", "longest"),
        ("authorizationsystem.spec.mode", "never grants"),
        ("accesspolicy.spec.min.approval", "approv"),
        ("roletemplate.spec.activation.approval.stages.quorum", "distinct people"),
        ("eligibleassignment.spec.window", "permanent"),
        ("activationrequest.spec.requester", "leave it out"),
        ("accessdecision.spec.digest", "kubectl get areq -o wide"),
        ("grant.spec.expiresAt", "only move earlier"),
    ] {
        let text = eventually(&format!("explain {what}"), SOON, || async { Ok(Some(admin.kubectl(&["explain", what]).await?.success()?)) })
            .await?;
        ensure!(text.contains(words), "{what}: expected {words:?} in: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_plain_files_of_deploy_apply() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    for dir in ["crds", "deploy"] {
        admin.kubectl(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", &path(dir)]).await?.success()?;
    }
    Ok(())
}
