//! An upgrade that fails half way: the chart of another version, with other CRDs and policies, whose replicas never become ready. Helm takes it
//! back, and meanwhile nothing that is live lasts longer.
use super::life::{Life, now};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, eventually, path};
use std::path::Path;

/// A refusal of the policies, which the other version words differently: so no operator of this build proves admission under it.
const WORDS: &str = "status and Grants are written by the operator alone";
const FIELD: &str = "{.spec.versions[0].schema.openAPIV3Schema.properties.status.properties.later.type}";

/// The chart as another version: a policy with other words, and a field more in a CRD.
fn other_version(to: &Path) -> Result<String> {
    let chart = to.join("curfew");
    let copied = std::process::Command::new("cp").args(["-r", &path("charts/curfew")]).arg(&chart).status()?;
    ensure!(copied.success(), "the chart cannot be copied");
    let change = |file: &str, change: &dyn Fn(&str) -> Option<String>| {
        let file = chart.join(file);
        let text = std::fs::read_to_string(&file)?;
        let changed = change(&text).with_context(|| format!("{} cannot be changed", file.display()))?;
        anyhow::Ok(std::fs::write(file, changed)?)
    };
    change("generated/policies.yaml", &|text| text.contains(WORDS).then(|| text.replace(WORDS, &format!("{WORDS}, always"))))?;
    change("crds/activationrequests.curfew.dev.yaml", &|text| {
        let mut crd: serde_json::Value = serde_saphyr::from_str(text).ok()?;
        let status = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties")?;
        status["later"] = serde_json::json!({"type": "string", "description": "A field of another version."});
        Some(crd.to_string())
    })?;
    Ok(chart.display().to_string())
}

impl Life {
    /// CRDs, policies and Pods are changed by one upgrade, which does not become ready and is taken back. The access ends on time all the same.
    pub(super) async fn an_upgrade_that_fails_with_a_live_grant(&self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let chart = other_version(folder.path())?;
        let (begun, before) = (now()?, self.kubelet.running("curfew-operator-"));
        let deadline = self.active("failing", "15s").await?;
        let upgrade = async {
            let values =
                ["--atomic", "--timeout=22s", "--reuse-values", "--set-string=operator.podAnnotations.example\\.com/round=3", &chart];
            let out = self.admin.helm(&[&["upgrade"][..], &super::life::RELEASE, &values].concat()).await?;
            println!("the upgrade has failed {} ms after the deadline", now()?.millis_since(deadline));
            out.refused()
        };
        let crd = ["crd", "activationrequests.curfew.dev"];
        let changed = eventually("the CRD of the other version", SOON, || async {
            Ok(Some(self.w.field(&crd, FIELD).await?).filter(|kind| kind == "string"))
        });
        let (refusal, ended, changed) = tokio::join!(upgrade, self.ends_at(deadline), changed);
        ended.context("while an upgrade failed")?;
        changed?;
        let refusal = refusal?;
        ensure!(refusal.contains("rolled back"), "{refusal}");
        ensure!(now()?.millis_since(deadline) > 0, "the upgrade had failed before the access was due");
        self.w.state_is("failing", "Expired").await?;
        // Everything is as before, and the replicas that worked were not replaced.
        ensure!(self.w.field(&crd, FIELD).await?.is_empty(), "the CRD of the other version is left");
        ensure!(before.iter().all(|pod| self.kubelet.running("curfew-operator-").contains(pod)), "a replica that worked was replaced");
        self.enforced(begun).await?;
        self.w.granting().await
    }
}
