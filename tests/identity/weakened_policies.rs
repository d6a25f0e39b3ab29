//! The admission check reports what differs from the built object. A cluster of its own, because it is broken on purpose.
use anyhow::{Result, ensure};
use curfew::identity::admission_check;
use curfew_testkit::{SOON, World, eventually, path};

async fn reopened_by(w: &World, what: &str, words: &str) -> Result<()> {
    let client = w.cp.admin().await?;
    let verdict = admission_check::probe(&client).await?;
    ensure!(!verdict.enforced(), "{what}: admission still counts as enforced");
    let problems = verdict.problems.join("; ");
    ensure!(problems.contains(words), "{what}: {problems}");
    Ok(())
}

async fn mended(w: &World, what: &str) -> Result<()> {
    let client = w.cp.admin().await?;
    eventually(&format!("admission to be enforced again after {what}"), SOON, || async {
        Ok(admission_check::probe(&client).await?.enforced().then_some(()))
    })
    .await
}

#[tokio::test]
async fn admission_check_fails_on_any_difference_from_the_built_policies() -> Result<()> {
    let w = World::install("admission-check").await?;
    let admin = w.admin()?;
    let policies = path("deploy/30-policies.yaml");
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", &policies];
    let before = admission_check::probe(&w.cp.admin().await?).await?;
    assert!(before.enforced());

    admin.api(&["delete", "validatingadmissionpolicybinding", "curfew-requests"]).await?.success()?;
    reopened_by(&w, "a deleted binding", "ValidatingAdmissionPolicyBinding curfew-requests is missing").await?;
    admin.kubectl(&apply).await?.success()?;
    mended(&w, "a deleted binding").await?;
    assert_ne!(admission_check::probe(&w.cp.admin().await?).await?.digest, before.digest, "a gap leaves its trace in the digest");

    let selector = r#"{"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {"guarded": "yes"}}}}}"#;
    admin.api(&["patch", "validatingadmissionpolicybinding", "curfew-decisions", "--type=merge", "-p", selector]).await?.success()?;
    reopened_by(&w, "a foreign selector", "ValidatingAdmissionPolicyBinding curfew-decisions differs from the built object").await?;
    admin.kubectl(&apply).await?.success()?;
    reopened_by(&w, "a manifest that was applied again", "curfew-decisions differs from the built object").await?;
    admin.api(&["delete", "validatingadmissionpolicybinding", "curfew-decisions"]).await?.success()?;
    admin.kubectl(&apply).await?.success()?;
    mended(&w, "a foreign selector").await?;

    admin
        .api(&[
            "patch",
            "validatingadmissionpolicy",
            "curfew-ledger",
            "--type=json",
            "-p",
            r#"[{"op": "remove", "path": "/spec/validations/1"}]"#,
        ])
        .await?
        .success()?;
    reopened_by(&w, "a rule that was taken out", "ValidatingAdmissionPolicy curfew-ledger differs from the built object").await?;
    admin.kubectl(&apply).await?.success()?;
    mended(&w, "a rule that was taken out").await?;

    let rules = r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"}]"#;
    admin.api(&["patch", "crd", "activationrequests.curfew.dev", "--type=json", "-p", rules]).await?.success()?;
    reopened_by(&w, "a CRD without its rules", "CustomResourceDefinition activationrequests.curfew.dev differs from the built object")
        .await?;
    Ok(())
}
