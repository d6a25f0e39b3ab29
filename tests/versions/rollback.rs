//! The CRDs of an older release over what a newer one has stored: `helm rollback` applies them, as part of the release.
use super::{apply, crds, passed_by::grant, read};
use anyhow::{Result, ensure};
use curfew::api::VERSION;
use curfew_testkit::{User, World};
use serde_json::{Value, json};

/// A field that a later release adds, and where.
const LATER: &str = "later";
const LATER_IN: [&str; 2] = ["spec.plan.kubernetes", "status"];

/// The operator writes, as which only an administrator of the cluster can.
const OPERATOR: &str = "--as=system:serviceaccount:curfew-system:curfew-operator";
/// With every right: of the operator the policies look at the name alone.
const GROUP: &str = "--as-group=system:masters";

async fn write_status(admin: &User, status: &Value) -> Result<()> {
    let patch = json!({"status": status}).to_string();
    let args = ["patch", "grt", "newer", OPERATOR, GROUP, "--subresource=status", "--type=merge", "-p", &patch];
    admin.kubectl(&args).await?.success().map(drop)
}

#[tokio::test]
async fn older_crds_lose_nothing_that_a_newer_release_has_stored() -> Result<()> {
    let w = World::install("versions-rollback").await?;
    let admin = w.admin()?;
    // A later release has a field more in the plan, and in the status.
    let newer = crds(|crd| {
        if crd["spec"]["names"]["kind"] == "Grant" {
            for path in LATER_IN {
                let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
                let at = path.split('.').fold(schema, |schema, name| &mut schema["properties"][name]);
                at["properties"][LATER] = json!({"type": "string"});
            }
        }
    })?;
    apply(&admin, &newer, &[VERSION]).await?;
    let stored = grant("newer").replace("plan: {kubernetes: {", &format!("plan: {{kubernetes: {{{LATER}: kept, "));
    admin.kubectl_stdin(&["create", OPERATOR, GROUP, "-f", "-"], &stored).await?.success()?;
    write_status(&admin, &json!({"state": "Active", LATER: "kept"})).await?;
    // The older release ends it: a write of the status, and one of the spec.
    apply(&admin, &crds(|_| ())?, &[VERSION]).await?;
    write_status(&admin, &json!({"state": "Revoking"})).await?;
    let earlier = r#"{"spec": {"expiresAt": "2098-01-01T00:00:00Z"}}"#;
    admin.kubectl(&["patch", "grt", "newer", OPERATOR, GROUP, "--type=merge", "-p", earlier]).await?.success()?;
    // The plan is frozen all the same.
    let wider = r#"{"spec": {"plan": {"kubernetes": {"subject": {"user": "x"}}}}}"#;
    let refusal = admin.kubectl(&["patch", "grt", "newer", OPERATOR, GROUP, "--type=merge", "-p", wider]).await?.refused()?;
    ensure!(refusal.contains("frozen"), "{refusal}");
    apply(&admin, &newer, &[VERSION]).await?;
    let kept = format!("{{.spec.plan.kubernetes.{LATER}}} {{.status.{LATER}}} {{.status.state}} {{.spec.expiresAt}}");
    let kept = read(&admin, VERSION, "grants", &["newer"], &kept).await?;
    ensure!(kept == "kept kept Revoking 2098-01-01T00:00:00Z", "the older CRDs have lost what the newer release has stored: {kept}");
    Ok(())
}
