//! The alerts: each uses metrics that are exported, and has a runbook.
use super::objects::rendered;
use anyhow::{Context, Result, ensure};
use curfew::observe::{Metrics, StateLabel};
use curfew_testkit::root;
use serde_json::Value;
use std::collections::BTreeSet;

/// The alerts of the operator, and those of `curfew-analytics`.
const FILES: [&str; 2] = ["alerts.yaml", "analytics-alerts.yaml"];
/// Metrics of others: of the kubelet, about the volume of the usage store.
const OF_OTHERS: [&str; 2] = ["kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes"];

fn alerts_of(file: &str) -> Result<Vec<Value>> {
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(root().join("charts/curfew").join(file))?)?;
    Ok(rules["groups"][0]["rules"].as_array().context("no rules")?.clone())
}

fn alerts() -> Result<Vec<Value>> {
    Ok([alerts_of(FILES[0])?, alerts_of(FILES[1])?].concat())
}

/// The names under which the operator and `curfew-analytics` export their metrics, as Prometheus stores them.
pub(super) fn exported() -> Result<BTreeSet<String>> {
    let mut names = of_the_operator();
    // A test of the crate holds the page to what it exports.
    let page = std::fs::read_to_string(root().join("docs/reference/analytics-metrics.md"))?;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let of_analytics: Vec<String> = rows.map(|(name, _)| name.to_owned()).collect();
    ensure!(of_analytics.len() > 15, "{of_analytics:?}");
    names.extend(of_analytics);
    Ok(names)
}

fn of_the_operator() -> BTreeSet<String> {
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

/// The metrics of Curfew and of the kubelet in an expression.
pub(super) fn metrics_in(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("curfew_") || word.starts_with("kubelet_")).map(str::to_owned).collect()
}

#[test]
fn every_alert_uses_metrics_that_are_exported() -> Result<()> {
    let exported = exported()?;
    ensure!(exported.contains("curfew_grants_overdue") && exported.len() > 10, "{exported:?}");
    for alert in alerts()? {
        let expression = alert["expr"].as_str().context("no expression")?;
        let used = metrics_in(expression);
        ensure!(!used.is_empty(), "{expression}");
        for metric in used {
            ensure!(exported.contains(&metric) || OF_OTHERS.contains(&metric.as_str()), "{metric} in {expression} is not exported");
        }
    }
    Ok(())
}

/// `make chart-test` runs these tests with promtool.
#[test]
fn every_alert_is_tested_to_fire_and_to_be_silent() -> Result<()> {
    for file in FILES {
        let cases_file = file.replace(".yaml", ".test.yaml");
        let tests: Value = serde_saphyr::from_str(&std::fs::read_to_string(root().join("tests/chart").join(&cases_file))?)?;
        let cases =
            || tests["tests"].as_array().into_iter().flatten().flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
        for alert in alerts_of(file)? {
            let name = alert["alert"].as_str().context("no name")?;
            let fires = |case: &Value| case["alertname"] == name && case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
            ensure!(cases().any(fires), "{cases_file} has no case in which {name} fires");
            let silent = |case: &Value| case["alertname"] == name && case["exp_alerts"].as_array().is_some_and(Vec::is_empty);
            ensure!(cases().any(silent), "{cases_file} has no case in which {name} is silent");
        }
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

/// Of an alert about a system, the summary names the system, and the description what to do next.
#[test]
fn an_alert_of_analytics_names_the_system_and_the_next_step() -> Result<()> {
    for alert in alerts_of("analytics-alerts.yaml")? {
        let text = |key: &str| alert["annotations"][key].as_str().unwrap_or_default().to_owned();
        let expression = alert["expr"].as_str().unwrap_or_default();
        if expression.contains("by (system") {
            ensure!(text("summary").contains("{{ $labels.system }}"), "{alert}");
        }
        ensure!(["kubectl ", "Make the claim "].iter().any(|step| text("description").contains(step)), "{alert}");
    }
    Ok(())
}

#[test]
fn the_page_of_the_runbooks_lists_every_alert_with_its_severity() -> Result<()> {
    let page = std::fs::read_to_string(root().join("docs/runbooks/README.md"))?;
    for alert in alerts()? {
        let (name, severity) = (alert["alert"].as_str().unwrap_or_default(), alert["labels"]["severity"].as_str().unwrap_or_default());
        let row = format!("| [{name}]({name}.md) | {severity} |");
        ensure!(page.lines().any(|line| line == row), "docs/runbooks/README.md has no row {row}");
    }
    Ok(())
}

/// The groups of the PrometheusRule that the chart renders with these values.
fn rule_of_the_chart(values: &[&str]) -> Result<Vec<Value>> {
    let objects = rendered(&[&["--set=monitoring.prometheusRule.enabled=true"], values].concat())?;
    let rule = objects.iter().find(|(id, _)| id.is("PrometheusRule")).map(|(_, rule)| rule).context("no PrometheusRule")?;
    Ok(rule["spec"]["groups"].as_array().context("no groups")?.clone())
}

#[test]
fn the_rule_of_the_chart_has_these_alerts_with_your_runbooks() -> Result<()> {
    let objects = rendered(&["--set=monitoring.prometheusRule.enabled=true", "--set=monitoring.prometheusRule.labels.release=prometheus"])?;
    let rule = objects.iter().find(|(id, _)| id.is("PrometheusRule")).map(|(_, rule)| rule).context("no PrometheusRule")?;
    ensure!(rule["metadata"]["labels"]["release"] == "prometheus");
    let runbooks = "--set=monitoring.prometheusRule.runbooks=https://wiki.example.com/curfew/";
    let groups = rule_of_the_chart(&[runbooks, "--set=analytics.enabled=true"])?;
    ensure!(groups.len() == FILES.len(), "{groups:?}");
    for (group, file) in groups.iter().zip(FILES) {
        let (rendered, plain) = (group["rules"].as_array().context("no rules")?, alerts_of(file)?);
        ensure!(rendered.len() == plain.len());
        for (alert, plain) in rendered.iter().zip(plain) {
            for field in ["/alert", "/expr", "/for", "/labels", "/annotations/summary", "/annotations/description"] {
                ensure!(alert.pointer(field) == plain.pointer(field), "{field} of {alert}");
            }
            let url = alert["annotations"]["runbook_url"].as_str().unwrap_or_default();
            ensure!(url == format!("https://wiki.example.com/curfew/{}.md", plain["alert"].as_str().unwrap_or_default()), "{url}");
        }
    }
    Ok(())
}

/// Without it, the alert that it is absent would always fire.
#[test]
fn the_alerts_of_analytics_are_installed_with_it_alone() -> Result<()> {
    let groups = rule_of_the_chart(&[])?;
    ensure!(groups.len() == 1 && groups[0]["rules"].as_array().map(Vec::len) == Some(alerts_of("alerts.yaml")?.len()), "{groups:?}");
    let text = serde_json::to_string(&groups)?;
    ensure!(!text.contains("curfew_analytics_") && !text.contains("curfew_pci_"), "{text}");
    Ok(())
}
