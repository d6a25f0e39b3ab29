//! What is measured of a process and of each system, and the page about it.
use super::{
    shared, snapshot,
    status::{day, finding, report, row},
    system,
};
use curfew_analytics::{
    history::DailyScore,
    live::{
        metrics::{Metrics, Scored},
        status::against_targets,
    },
    report::{FindingType, IdentityKind, Report},
    store::Counts,
};
use curfew_api::system::Targets;
use serde_json::json;
use std::{fmt::Write, path::Path};

const TARGETS: Targets = Targets { system: 10, human: 67, guest: 33, workload: 33, super_identities: 5 };

/// A person who may do everything, and findings that need no history and one that does.
fn shown(metrics: &Metrics, system: &str, history: Option<&[DailyScore]>) -> Report {
    let rows = vec![row("alice@example.com", IdentityKind::Human, 1.0), row("bob@example.com", IdentityKind::Human, 0.0)];
    let report = report(rows, vec![finding(FindingType::Escalation), finding(FindingType::UnusedBinding)]);
    let targets = against_targets(&report, &TARGETS);
    let scored = history.map(|history| Scored { history, targets: &targets });
    metrics.show(system, &report, scored.as_ref());
    report
}

/// Each metric, with every label.
fn all(metrics: &Metrics) {
    metrics.published("prod", 1);
    metrics.fresh("prod", true, Some(true));
    metrics.heard("prod", [5].into_iter(), 10);
    metrics.failed("prod");
    metrics.scored("prod", 1);
    metrics.events("prod", &Counts { events: 5, new: 1, duplicates: 1, late: 1, expired: 1, future: 1, folded: 1, unnamed: 1 });
    metrics.broken("prod", 1);
    metrics.refused("prod");
    shown(metrics, "prod", Some(&[day(60, 50), day(83, 40), day(90, 45)]));
}

/// The names of the labels in a line of the text format.
fn labels(line: &str) -> Vec<&str> {
    let inner = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inner, _)| inner);
    inner.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).collect()
}

#[test]
fn the_page_of_the_metrics_is_up_to_date() {
    let metrics = Metrics::new();
    all(&metrics);
    let text = metrics.text();
    let mut page = String::from(
        "<!-- Written by UPDATE=1 cargo test --package curfew-analytics --test live; edits are lost. -->\n# Metrics of curfew-analytics\n\n\
         Served at `/metrics` of port 8080 by `curfew-analytics run`. No label has the name of a user or of another identity. The dashboard\n\
         `charts/curfew/dashboards/pci.json` shows them, and `charts/curfew/analytics-alerts.yaml` has the alerts; the\n\
         [runbooks](../runbooks/README.md) say what to do.\n\n| Metric | Type | Labels | What it is |\n|---|---|---|---|\n",
    );
    for (name, help) in text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')) {
        let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect("a type");
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        let sample = text.lines().find(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
        let sample = sample.unwrap_or_else(|| panic!("no sample of {name} in {text}"));
        let labels: Vec<String> = labels(sample).iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/analytics-metrics.md");
    snapshot::assert_stored(&path, &page, "cargo test --package curfew-analytics --test live");
}

/// The labels are those of a closed list: names of identities cannot be among their values.
#[test]
fn labels_are_systems_and_closed_lists() {
    let metrics = Metrics::new();
    all(&metrics);
    let text = metrics.text();
    assert!(!text.contains("example.com"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        for label in labels(line) {
            assert!(["system", "kind", "band", "type", "severity", "days", "target", "outcome"].contains(&label), "{line}");
        }
    }
    for line in [
        r#"curfew_pci_score_change{system="prod",days="7"} 5"#,
        r#"curfew_pci_score_change{system="prod",days="30"} -5"#,
        r#"curfew_pci_findings{system="prod",type="escalation",severity="high"} 1"#,
        r#"curfew_pci_findings{system="prod",type="super",severity="medium"} 0"#,
        r#"curfew_pci_target_limit{system="prod",target="system"} 10"#,
        r#"curfew_pci_target_value{system="prod",target="human"} 100"#,
        r#"curfew_pci_identities{system="prod",kind="human",band="high"} 1"#,
        r#"curfew_analytics_events_reduced_total{system="prod"} 2"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in {text}");
    }
    // No identity is a guest: nothing is compared with that target.
    assert!(!text.contains(r#"target="guest""#), "{text}");
}

/// Without usage everything looks unused: neither scores nor what rests on use are shown.
#[test]
fn what_rests_on_use_is_shown_only_if_use_is_known() {
    let metrics = Metrics::new();
    shown(&metrics, "prod", Some(&[day(83, 40), day(90, 45)]));
    shown(&metrics, "prod", None);
    let text = metrics.text();
    for absent in ["curfew_pci_score{", "curfew_pci_score_change{", "curfew_pci_identities{", "curfew_pci_target_", "unusedBinding"] {
        assert!(!text.lines().any(|line| !line.starts_with('#') && line.contains(absent)), "{absent} in {text}");
    }
    assert!(text.contains(r#"curfew_pci_findings{system="prod",type="escalation",severity="high"} 1"#), "{text}");
    assert!(text.contains(r#"curfew_pci_confidence{system="prod"} "#), "{text}");
}

#[test]
fn a_system_that_is_gone_leaves_no_series() {
    let directory = tempfile::tempdir().unwrap();
    let shared = shared(directory.path());
    let without = shared.metrics.text();
    shared.insert(system("prod", json!({"usage": [{"auditWebhook": {}}]})));
    shared.measure("prod", all);
    assert!(shared.metrics.text().contains("curfew_pci_score{"), "{}", shared.metrics.text());
    shared.remove("prod");
    assert_eq!(shared.metrics.text(), without);
    // A run that was stopped ends after that.
    shared.measure("prod", all);
    assert_eq!(shared.metrics.text(), without);
}

#[test]
fn the_newest_event_is_never_in_the_future_and_never_goes_back() {
    let metrics = Metrics::new();
    let newest =
        || metrics.text().lines().find(|line| line.starts_with("curfew_analytics_newest_event_timestamp_seconds{")).map(str::to_owned);
    let known = |at: i64| Some(format!("curfew_analytics_newest_event_timestamp_seconds{{system=\"prod\"}} {at}"));
    metrics.heard("prod", [].into_iter(), 1_000);
    // More than a day ahead: it is not kept.
    metrics.heard("prod", [90_000].into_iter(), 1_000);
    assert_eq!(newest(), None);
    metrics.heard("prod", [400, 300].into_iter(), 1_000);
    metrics.heard("prod", [200].into_iter(), 1_000);
    assert_eq!(newest(), known(400));
    metrics.heard("prod", [1_500].into_iter(), 1_000);
    assert_eq!(newest(), known(1_000));
    metrics.unheard("prod");
    assert_eq!(newest(), None);
}

/// A system that nobody wants to be measured is not one whose usage is missing.
#[test]
fn a_system_without_a_source_has_no_series_about_usage() {
    let metrics = Metrics::new();
    metrics.fresh("prod", true, Some(false));
    metrics.fresh("prod", false, None);
    let text = metrics.text();
    assert!(
        !text.contains("curfew_analytics_usage_fresh{") && text.contains(r#"curfew_analytics_inventory_fresh{system="prod"} 0"#),
        "{text}"
    );
}
