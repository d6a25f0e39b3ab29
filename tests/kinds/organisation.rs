//! examples/organisation: every file belongs to a cluster, every object is accepted, and what needs no AWS is Ready.
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, World, eventually, path};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, process::Command};

/// All files of a folder that kustomize reads.
fn manifests(dir: &Path, into: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let file = entry?.path();
        if file.is_dir() {
            manifests(&file, into)?;
        } else if file.extension().is_some_and(|e| e == "yaml") && !file.ends_with("kustomization.yaml") {
            into.insert(file.display().to_string());
        }
    }
    Ok(())
}

/// `kind/name` of each object of a list, and whether it is Ready for its current generation.
fn names(list: &Value) -> Vec<(String, bool)> {
    let text = |object: &Value, at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ready = |object: &Value| {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let current = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
        current && conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
    };
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|o| (format!("{}/{}", text(o, "/kind"), text(o, "/metadata/name")), ready(o))).collect()
}

#[test]
fn the_files_are_what_the_generator_writes() -> Result<()> {
    let out = Command::new(path("examples/organisation/generate")).arg("--check").output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

#[tokio::test]
async fn every_file_is_valid_and_what_needs_no_aws_is_ready() -> Result<()> {
    let w = World::first("organisation").await?;
    let _operator = w.operator("operator").await?;
    w.granting().await?;
    let admin = w.admin()?;
    let (root, mut files) = (path("examples/organisation"), BTreeSet::new());
    for folder in ["platform", "teams"] {
        manifests(&Path::new(&root).join(folder), &mut files)?;
    }
    let mut clusters = 0;
    for cluster in std::fs::read_dir(Path::new(&root).join("clusters"))? {
        let dir = cluster?.path().display().to_string();
        let built = admin.kubectl(&["kustomize", &dir]).await?.success()?;
        clusters += 1;
        let accounts = built.matches("accountId:").count();
        ensure!(accounts == if dir.ends_with("/mgmt") { 40 } else { 0 }, "{dir} has {accounts} accounts");
    }
    ensure!(clusters == 6, "{clusters} clusters");
    for file in &files {
        let folder = Path::new(file).parent().context("no folder")?;
        let listed = std::fs::read_to_string(folder.join("kustomization.yaml"))?;
        let name = Path::new(file).file_name().and_then(|n| n.to_str()).context("no name")?;
        ensure!(listed.contains(&format!("- {name}\n")), "{file} is in no kustomization");
    }

    let mgmt = format!("{root}/clusters/mgmt");
    admin.kubectl(&["apply", "--server-side", "--force-conflicts", "--validate=strict", "-k", &mgmt]).await?.success()?;
    let not_ready = || async {
        let all = admin.kubectl(&["get", "apol,authsys,rtpl,eas", "-A", "-o", "json"]).await?.success()?;
        let all = names(&serde_json::from_str(&all)?);
        ensure!(all.len() >= 113, "only {} objects", all.len());
        anyhow::Ok(all.into_iter().filter(|(_, ready)| !ready).map(|(name, _)| name).collect::<Vec<_>>())
    };
    // There is no AWS here: only the accounts, and the roles in them with their assignments, are not Ready.
    let aws = |name: &String| name.contains("/aws-");
    eventually("all but AWS to be Ready", SOON * 4, || async {
        let rest: Vec<_> = not_ready().await?.into_iter().filter(|name| !aws(name)).collect();
        if rest.is_empty() { Ok(Some(())) } else { anyhow::bail!("not Ready: {rest:?}") }
    })
    .await?;
    // The accounts were judged, and each says why.
    let why = "{range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].reason}{\"\\n\"}{end}";
    eventually("the accounts to be judged", SOON * 4, || async {
        let told = admin.kubectl(&["get", "authsys", "-o", &format!("jsonpath={why}")]).await?.success()?;
        let judged = told.lines().filter(|l| l.starts_with("aws-") && l.split_whitespace().nth(1).is_some()).count();
        Ok((judged == 40 && !told.contains("Unsupported")).then_some(()))
    })
    .await
}
