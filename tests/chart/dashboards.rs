//! The dashboards: each panel uses metrics that are exported, says what it means, and has a place of its own.
use super::{
    alerts::{exported, metrics_in},
    objects::rendered,
};
use anyhow::{Context, Result, ensure};
use curfew_testkit::root;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) const FILES: [&str; 3] = ["operations.json", "access.json", "pci.json"];

pub(super) fn dashboard(file: &str) -> Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(root().join("charts/curfew/dashboards").join(file))?)?)
}

pub(super) fn panels(dashboard: &Value) -> Result<&Vec<Value>> {
    dashboard["panels"].as_array().context("no panels")
}

#[test]
fn every_panel_shows_metrics_that_are_exported() -> Result<()> {
    let (exported, mut shown) = (exported()?, BTreeSet::new());
    for file in FILES {
        for panel in panels(&dashboard(file)?)? {
            let title = panel["title"].as_str().context("no title")?;
            ensure!(panel["description"].as_str().is_some_and(|text| text.len() > 20), "{title} has no description");
            if panel["type"] == "text" {
                ensure!(panel["options"]["content"].as_str().is_some_and(|text| text.len() > 20), "{title} has no text");
                continue;
            }
            ensure!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
            let targets = panel["targets"].as_array().context("no queries")?;
            ensure!(!targets.is_empty(), "{title} has no query");
            for target in targets {
                let expression = target["expr"].as_str().context("no expression")?;
                let used = metrics_in(expression);
                ensure!(!used.is_empty(), "{title}: {target}");
                for metric in used {
                    ensure!(exported.contains(&metric), "{title}: {metric} is not exported");
                    shown.insert(metric);
                }
            }
        }
    }
    // A histogram is shown by one of its series, and its sum says nothing.
    let base = |name: &str| ["_bucket", "_count", "_sum"].iter().fold(name.to_owned(), |name, end| name.trim_end_matches(end).to_owned());
    let shown: BTreeSet<String> = shown.iter().map(|name| base(name)).collect();
    let left: Vec<&String> = exported.iter().filter(|name| !shown.contains(&base(name))).collect();
    ensure!(left.is_empty(), "no panel shows {left:?}");
    Ok(())
}

#[test]
fn no_two_panels_have_one_place_or_one_id() -> Result<()> {
    for file in FILES {
        let (dashboard, mut cells, mut ids) = (dashboard(file)?, BTreeSet::new(), BTreeSet::new());
        for panel in panels(&dashboard)? {
            ensure!(ids.insert(panel["id"].as_u64().context("no id")?), "{file}: {panel}");
            let at = |key: &str| panel["gridPos"][key].as_u64().with_context(|| format!("{file}: no {key}"));
            let (x, y, w, h) = (at("x")?, at("y")?, at("w")?, at("h")?);
            ensure!(x + w <= 24, "{file}: {panel} is too wide");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                ensure!(cells.insert(cell), "{file}: {} is over another panel", panel["title"]);
            }
        }
    }
    Ok(())
}

#[test]
fn the_chart_has_the_dashboards_for_the_sidecar_of_grafana() -> Result<()> {
    let without = rendered(&[])?;
    ensure!(!without.keys().any(|id| id.name() == "curfew-dashboards"));
    let enabled = "--set=monitoring.dashboards.enabled=true";
    let objects = rendered(&[enabled, "--set=monitoring.dashboards.annotations.grafana_folder=Security", "--set=analytics.enabled=true"])?;
    let found = objects.iter().find(|(id, _)| id.is("ConfigMap") && id.name() == "curfew-dashboards");
    let (_, map) = found.context("no ConfigMap curfew-dashboards")?;
    ensure!(map["metadata"]["labels"]["grafana_dashboard"] == "1" && map["metadata"]["annotations"]["grafana_folder"] == "Security");
    for file in FILES {
        let text = map["data"][format!("curfew-{file}")].as_str().with_context(|| format!("no {file}"))?;
        ensure!(serde_json::from_str::<Value>(text)? == dashboard(file)?, "{file}");
    }
    // One about what does not run would be empty.
    let objects = rendered(&[enabled])?;
    let (_, map) = objects.iter().find(|(id, _)| id.is("ConfigMap") && id.name() == "curfew-dashboards").context("no ConfigMap")?;
    let data = map["data"].as_object().context("no data")?;
    ensure!(data.len() == FILES.len() - 1 && !data.contains_key("curfew-pci.json"), "{:?}", data.keys());
    Ok(())
}

/// The systems of `pci.json` are chosen from, and each query about systems is about the chosen ones.
#[test]
fn the_chosen_systems_are_in_every_query_about_systems() -> Result<()> {
    let pci = dashboard("pci.json")?;
    let names: Vec<&str> = pci["templating"]["list"].as_array().into_iter().flatten().filter_map(|v| v["name"].as_str()).collect();
    ensure!(names == ["datasource", "system"], "{names:?}");
    for panel in panels(&pci)? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            ensure!(target["datasource"]["uid"] == "${datasource}", "{target}");
            let expression = target["expr"].as_str().unwrap_or_default();
            // Each selector of a metric: what follows its name.
            for (at, name) in metrics_in(expression).iter().filter_map(|name| Some((expression.find(name.as_str())?, name))) {
                let selector = &expression[at + name.len()..];
                ensure!(selector.starts_with("{system=~\"$system\"") || name == "curfew_analytics_store_bytes", "{name} in {expression}");
            }
        }
    }
    Ok(())
}
