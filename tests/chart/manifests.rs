//! What people install: the chart with each of its optional parts, `deploy/` and `crds/`. The API server takes every object with each
//! field known. What was rendered, and the schemas of that server, are written out for `hack/manifests/check`.
use super::objects::{directory, objects, template};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, User, eventually, path, root};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};

/// Sets of values that together turn on what is off by default.
const VARIANTS: [(&str, &[&str]); 4] = [
    ("default", &[]),
    (
        "pod-monitor",
        &[
            "--set=monitoring.podMonitor.enabled=true",
            "--set=monitoring.prometheusRule.enabled=true",
            "--set=monitoring.dashboards.enabled=true",
            "--set=quotas.namespaces={search}",
            "--set=extraLabels.team=platform",
            "--set=operator.tolerations[0].operator=Exists",
            "--set=image.pullPolicy=Always",
            "--set=networkPolicy.auditSinks.ports={8443}",
            "--set=networkPolicy.notifications.ports={587}",
            "--set=operator.extraVolumes[0].name=audit",
            "--set-json=operator.extraVolumes[0].emptyDir={}",
            "--set=operator.extraVolumeMounts[0].name=audit",
            "--set=operator.extraVolumeMounts[0].mountPath=/audit",
        ],
    ),
    ("service-monitor", &["--set=monitoring.serviceMonitor.enabled=true", "--set=monitoring.prometheusRule.enabled=true"]),
    // An image by digest, as a release has it: that is what the linter reads.
    (
        "analytics",
        &[
            "--set=analytics.enabled=true",
            "--set=analytics.storage.className=fast",
            "--set=image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "--set=uninstall.force=true",
        ],
    ),
];

fn out(dir: &str) -> PathBuf {
    root().join("target/manifests").join(dir)
}

/// Sends everything to the API server of a cluster on which the chart is installed.
pub async fn are_valid(admin: &User) -> Result<()> {
    let kinds = root().join("hack/manifests/crds");
    for kind in ["podmonitors", "servicemonitors", "prometheusrules", "kustomizations"] {
        let file = kinds.join(format!("{kind}.json"));
        admin.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()]).await?.success()?;
    }
    admin.api(&["create", "namespace", "search"]).await?.success()?;
    let dry = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"];
    let _ = fs::remove_dir_all(out("rendered"));
    fs::create_dir_all(out("rendered"))?;
    for (name, args) in VARIANTS {
        let manifests = template(args)?.success()?;
        fs::write(out("rendered").join(format!("{name}.yaml")), &manifests)?;
        eventually("the API server to know the kinds of other products", SOON, || async {
            admin.kubectl_stdin(&[&dry[..], &["-f", "-"]].concat(), &manifests).await?.success().map(Some)
        })
        .await
        .with_context(|| format!("the chart as {name}"))?;
    }
    let kustomized = admin.kubectl(&["kustomize", &path("deploy")]).await?.success()?;
    ensure!(objects(&kustomized)? == directory("deploy")?, "kubectl kustomize deploy/ gives other objects than its files");
    for from in [["-k", "crds"], ["-k", "deploy"], ["-f", "deploy/analytics"]] {
        admin.kubectl(&[&dry[..], &[from[0], &path(from[1])]].concat()).await?.success().with_context(|| from[1].to_owned())?;
    }
    schemas(admin).await
}

/// Writes what the API server says of its kinds and of those of the CRDs (OpenAPI v3), one file for each group and version.
async fn schemas(admin: &User) -> Result<()> {
    let _ = fs::remove_dir_all(out("openapi"));
    fs::create_dir_all(out("openapi"))?;
    let index: Value = serde_json::from_str(&admin.kubectl(&["get", "--raw", "/openapi/v3"]).await?.success()?)?;
    let paths = index["paths"].as_object().context("no paths")?;
    let versions: Vec<_> = paths.keys().filter(|path| path.split('/').count() == if path.starts_with("apis/") { 3 } else { 2 }).collect();
    ensure!(
        versions.iter().any(|path| *path == "api/v1") && versions.iter().any(|path| *path == "apis/curfew.dev/v1alpha1"),
        "{versions:?}"
    );
    for version in versions {
        let schema = admin.kubectl(&["get", "--raw", &format!("/openapi/v3/{version}")]).await?.success()?;
        fs::write(out("openapi").join(format!("{}.json", version.replace('/', "_"))), schema)?;
    }
    Ok(())
}

/// A part of the chart that is off by default, and that no variant turns on, would be rendered for the first time by a user.
#[test]
fn every_part_that_is_off_by_default_is_checked_in_some_variant() -> Result<()> {
    let values: Value = serde_saphyr::from_str(&fs::read_to_string(path("charts/curfew/values.yaml"))?)?;
    let (mut off, mut rest) = (BTreeSet::new(), vec![(String::new(), &values)]);
    while let Some((at, value)) = rest.pop() {
        match value {
            Value::Object(fields) => rest.extend(fields.iter().map(|(key, value)| (format!("{at}.{key}"), value))),
            Value::Bool(false) => drop(off.insert(at.trim_start_matches('.').to_owned())),
            _ => {}
        }
    }
    ensure!(off.contains("analytics.enabled") && off.len() > 5, "{off:?}");
    for value in off {
        let on = format!("--set={value}=true");
        ensure!(VARIANTS.iter().any(|(_, args)| args.contains(&on.as_str())), "no variant of tests/chart/manifests.rs has {on}");
    }
    Ok(())
}
