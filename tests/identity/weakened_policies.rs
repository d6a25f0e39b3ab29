//! The admission check reports what differs from the built object. A cluster of its own, because it is broken on purpose.
use crate::attacks::resisted;
use anyhow::{Result, ensure};
use curfew::identity::admission_check::{self, AdmissionCheck, Compared};
use curfew_core::digest::Digest;
use curfew_testkit::{SOON, World, eventually, path};

/// The check as the operator repeats it: it remembers what it has compared.
struct Checks<'w> {
    w: &'w World,
    compared: Option<Compared>,
}

impl Checks<'_> {
    async fn now(&mut self) -> Result<AdmissionCheck> {
        Ok(admission_check::probe(&self.w.cp.admin().await?, &mut self.compared).await?)
    }
    async fn reopened_by(&mut self, what: &str, words: &str) -> Result<()> {
        let check = self.now().await?;
        resisted(!check.enforced(), &format!("{what}: admission still counts as enforced"))?;
        let problems = check.problems.join("; ");
        ensure!(problems.contains(words), "{what}: {problems}");
        Ok(())
    }
    /// Waits until admission is enforced; the digest.
    async fn mended(&mut self, what: &str) -> Result<Digest> {
        let client = self.w.cp.admin().await?;
        eventually(&format!("admission to be enforced again after {what}"), SOON, || async {
            let check = admission_check::probe(&client, &mut None).await?;
            Ok(check.enforced().then_some(()))
        })
        .await?;
        let (check, fresh) = (self.now().await?, admission_check::probe(&client, &mut None).await?);
        ensure!(check.enforced() && check.digest == fresh.digest, "a check that remembers finds {check:?}, one that does not {fresh:?}");
        Ok(check.digest)
    }
}

#[tokio::test]
async fn admission_check_fails_on_any_difference_from_the_built_policies() -> Result<()> {
    let w = World::install("admission-check").await?;
    let admin = w.admin()?;
    let policies = path("deploy/30-policies.yaml");
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", &policies];
    let mut checks = Checks { w: &w, compared: None };
    let before = checks.mended("the installation").await?;
    ensure!(checks.compared.is_some(), "nothing is remembered of what was compared");

    admin.api(&["delete", "validatingadmissionpolicybinding", "curfew-requests"]).await?.success()?;
    checks.reopened_by("a deleted binding", "ValidatingAdmissionPolicyBinding curfew-requests is missing").await?;
    admin.kubectl(&apply).await?.success()?;
    assert_ne!(checks.mended("a deleted binding").await?, before, "a gap leaves its trace in the digest");

    let selector = r#"{"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {"guarded": "yes"}}}}}"#;
    admin.api(&["patch", "validatingadmissionpolicybinding", "curfew-decisions", "--type=merge", "-p", selector]).await?.success()?;
    checks.reopened_by("a foreign selector", "ValidatingAdmissionPolicyBinding curfew-decisions differs from the built object").await?;
    admin.kubectl(&apply).await?.success()?;
    checks.reopened_by("a manifest that was applied again", "curfew-decisions differs from the built object").await?;
    admin.api(&["delete", "validatingadmissionpolicybinding", "curfew-decisions"]).await?.success()?;
    admin.kubectl(&apply).await?.success()?;
    checks.mended("a foreign selector").await?;

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
    checks.reopened_by("a rule that was taken out", "ValidatingAdmissionPolicy curfew-ledger differs from the built object").await?;
    admin.kubectl(&apply).await?.success()?;
    checks.mended("a rule that was taken out").await?;

    let rules = r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"}]"#;
    admin.api(&["patch", "crd", "activationrequests.curfew.dev", "--type=json", "-p", rules]).await?.success()?;
    checks
        .reopened_by("a CRD without its rules", "CustomResourceDefinition activationrequests.curfew.dev differs from the built object")
        .await?;
    Ok(())
}
