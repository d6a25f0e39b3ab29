//! The alerts: each uses metrics that are exported, and has a runbook.
use super::objects::rendered;
use anyhow::{Context, Result, ensure};
use curfew::observe::{Metrics, StateLabel};
use curfew_testkit::root;
use serde_json::Value;
use std::collections::BTreeSet;

fn alerts() -> Result<Vec<Value>> {
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(root().join("charts/curfew/alerts.yaml"))?)?;
    Ok(rules["groups"][0]["rules"].as_array().context("no rules")?.clone())
}

/// The names under which the operator exports its metrics, as Prometheus stores them.
pub(super) fn exported() -> BTreeSet<String> {
    let (mut names, metrics) = (BTreeSet::new(), Metrics::default());
    // A series with a label begins with its first value.
    metrics.panics.count("a test");
    metrics.requests.get_or_create(&StateLabel { state: "Active".into() }).set(1);
    for line in metrics.text().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        match line.split_once(' ') {
            Some((name, "counter")) => drop(names.insert(format!("{name}_total"))),
            Some((name, "histogram")) => names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))),
            Some((name, _)) => drop(names.insert(name.to_owned())),
            None => {}
        }
    }
    names
}

/// The metrics of Curfew in an expression.
pub(super) fn metrics_in(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("curfew_")).map(str::to_owned).collect()
}

#[test]
fn every_alert_uses_metrics_that_are_exported() -> Result<()> {
    let exported = exported();
    ensure!(exported.contains("curfew_grants_overdue") && exported.len() > 10, "{exported:?}");
    for alert in alerts()? {
        let expression = alert["expr"].as_str().context("no expression")?;
        let used = metrics_in(expression);
        ensure!(!used.is_empty(), "{expression}");
        for metric in used {
            ensure!(exported.contains(&metric), "{metric} in {expression} is not exported");
        }
    }
    Ok(())
}

/// `make chart-test` runs these tests with promtool.
#[test]
fn every_alert_is_tested_to_fire_and_to_be_silent() -> Result<()> {
    let tests: Value = serde_saphyr::from_str(&std::fs::read_to_string(root().join("tests/chart/alerts.test.yaml"))?)?;
    let cases =
        || tests["tests"].as_array().into_iter().flatten().flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
    for alert in alerts()? {
        let name = alert["alert"].as_str().context("no name")?;
        let fires = |case: &Value| case["alertname"] == name && case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
        ensure!(cases().any(fires), "alerts.test.yaml has no case in which {name} fires");
        let silent = |case: &Value| case["alertname"] == name && case["exp_alerts"].as_array().is_some_and(Vec::is_empty);
        ensure!(cases().any(silent), "alerts.test.yaml has no case in which {name} is silent");
    }
    Ok(())
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() -> Result<()> {
    let mut wanted = BTreeSet::new();
    for alert in alerts()? {
        let name = alert["alert"].as_str().context("no name")?;
        ensure!(alert["annotations"]["runbook_url"] == format!("https://curfew.dev/docs/runbooks/{name}.md"), "{name}");
        ensure!(["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap_or_default()), "{name}");
        let page =
            std::fs::read_to_string(root().join(format!("docs/runbooks/{name}.md"))).with_context(|| format!("{name} has no runbook"))?;
        for section in ["## What it means", "## What to do"] {
            ensure!(page.contains(section), "docs/runbooks/{name}.md has no section {section:?}");
        }
        wanted.insert(format!("{name}.md"));
    }
    for entry in std::fs::read_dir(root().join("docs/runbooks"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(name == "README.md" || wanted.contains(&name), "docs/runbooks/{name} is about no alert");
    }
    Ok(())
}

#[test]
fn the_rule_of_the_chart_has_these_alerts_with_your_runbooks() -> Result<()> {
    let objects = rendered(&[
        "--set=monitoring.prometheusRule.enabled=true",
        "--set=monitoring.prometheusRule.runbooks=https://wiki.example.com/curfew/",
        "--set=monitoring.prometheusRule.labels.release=prometheus",
    ])?;
    let rule = objects.iter().find(|(id, _)| id.is("PrometheusRule")).map(|(_, rule)| rule).context("no PrometheusRule")?;
    ensure!(rule["metadata"]["labels"]["release"] == "prometheus");
    let rendered = rule["spec"]["groups"][0]["rules"].as_array().context("no rules")?;
    ensure!(rendered.len() == alerts()?.len());
    for (alert, plain) in rendered.iter().zip(alerts()?) {
        ensure!(alert["expr"] == plain["expr"] && alert["annotations"]["description"] == plain["annotations"]["description"]);
        let url = alert["annotations"]["runbook_url"].as_str().unwrap_or_default();
        ensure!(url == format!("https://wiki.example.com/curfew/{}.md", plain["alert"].as_str().unwrap_or_default()), "{url}");
    }
    Ok(())
}
