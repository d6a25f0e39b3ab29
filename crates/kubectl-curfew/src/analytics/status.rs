//! What the status of an AuthorizationSystem tells about unused power.
use crate::output::{Cell, Colour, is_colourful, table};
use clap::ValueEnum;
use curfew_api::{
    AuthorizationSystem,
    conditions::{self, INVENTORY_FRESH, USAGE_FRESH},
    system::{Band, FindingCount, Pci},
};
use curfew_core::text::printable;
use kube::ResourceExt;
use serde::Serialize;

/// The order of a list of systems.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(super) enum Sort {
    /// The highest score first.
    #[default]
    Score,
    /// The largest rise in seven days first.
    Change,
    /// By name.
    Name,
}

/// What the status of one system tells.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Of<'a> {
    name: String,
    provider: Option<&'a str>,
    pci: Option<&'a Pci>,
    findings: &'a [FindingCount],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

impl<'a> Of<'a> {
    pub(super) fn new(system: &'a AuthorizationSystem) -> Self {
        let status = system.status.as_ref();
        let told = |kind| status.and_then(|status| conditions::find(&status.conditions, kind));
        let problems = [INVENTORY_FRESH, USAGE_FRESH].into_iter().filter_map(told).filter(|condition| condition.status != "True");
        Of {
            name: system.name_any(),
            provider: status.and_then(|status| status.display.as_ref()).map(|display| display.provider.as_str()),
            pci: status.and_then(|status| status.pci.as_ref()),
            findings: status.map(|status| status.findings.as_slice()).unwrap_or_default(),
            problems: problems.map(|condition| format!("{}: {}", condition.reason, condition.message)).collect(),
        }
    }
}

impl Sort {
    /// The systems in this order; those without a score are last.
    pub(super) fn sorted(self, all: &[AuthorizationSystem]) -> Vec<Of<'_>> {
        let mut all: Vec<Of> = all.iter().map(Of::new).collect();
        let key = |of: &Of| match self {
            Sort::Score => of.pci.map(|pci| i32::from(pci.score)),
            Sort::Change => of.pci.and_then(|pci| pci.change_7d).map(i32::from),
            Sort::Name => None,
        };
        all.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
        all
    }
}

fn score(score: u8, band: Band) -> Cell {
    let colour = match band {
        Band::Low => Colour::Green,
        Band::Medium => Colour::Yellow,
        Band::High => Colour::Red,
    };
    Cell::coloured(score.to_string(), colour)
}

fn signed(change: Option<i16>) -> String {
    change.map_or_else(|| "-".into(), |change| if change > 0 { format!("+{change}") } else { change.to_string() })
}

/// The systems, one a line.
pub(super) fn list(all: &[Of<'_>]) -> String {
    if all.is_empty() {
        return "no AuthorizationSystem; docs/howto/analytics.md says how a system is analysed\n".into();
    }
    let header = ["NAME", "PROVIDER", "PCI", "BAND", "7D", "CONFIDENCE", "COUNTED", "SUPER", "EVALUATED", "PROBLEM"];
    let mut rows: Vec<Vec<Cell>> = vec![header.map(Cell::from).to_vec()];
    for of in all {
        let dash = || Cell::from("-");
        let problem = of.problems.first().cloned().unwrap_or_else(|| if of.pci.is_none() { "not analysed".into() } else { String::new() });
        let mut row: Vec<Cell> = vec![of.name.clone().into(), of.provider.unwrap_or("-").into()];
        match of.pci {
            Some(pci) => row.extend([
                score(pci.score, pci.band),
                format!("{:?}", pci.band).into(),
                signed(pci.change_7d).into(),
                pci.confidence.clone().into(),
                pci.counted.to_string().into(),
                pci.super_identities.to_string().into(),
                pci.evaluated_at.map_or_else(|| "-".to_owned(), |at| at.floor_secs().to_string()).into(),
            ]),
            None => row.extend((0..7).map(|_| dash())),
        }
        row.push(problem.into());
        rows.push(row);
    }
    table(&rows, is_colourful())
}

/// One system with everything that its status has.
pub(super) fn one(system: &AuthorizationSystem) -> String {
    let of = Of::new(system);
    let mut out = String::new();
    for problem in &of.problems {
        out.push_str(&format!("{}\n", printable(problem)));
    }
    let Some(pci) = of.pci else {
        return out + &format!("{} has no score yet; docs/howto/analytics.md says what it needs\n", of.name);
    };
    out.push_str(&facts(&of, pci));
    out.push_str(&heading("Identities by band", distribution(pci)));
    out.push_str(&heading("Highest", top(pci)));
    out.push_str(&heading("Findings", findings(of.findings)));
    out.push_str(&heading("Targets exceeded", targets(pci)));
    out.push_str(&heading("Folders", folders(pci)));
    out
}

fn facts(of: &Of<'_>, pci: &Pci) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut fact = |label: &str, value: Cell| rows.push(vec![label.into(), value]);
    fact("system", of.name.clone().into());
    fact("PCI", score(pci.score, pci.band));
    fact("band", format!("{:?}", pci.band).into());
    fact("7-day change", signed(pci.change_7d).into());
    fact("confidence", pci.confidence.clone().into());
    fact(
        "identities",
        format!("{} count ({} new, {} with access by Curfew), {} excluded", pci.counted, pci.new, pci.with_live_grants, pci.excluded)
            .into(),
    );
    fact("super identities", format!("{} (five or fewer are recommended)", pci.super_identities).into());
    if let Some((first, last)) = pci.trend.first().zip(pci.trend.last()) {
        fact("trend", format!("{}  {} to {}", spark(pci), first.day, last.day).into());
    }
    if let Some(at) = pci.evaluated_at {
        fact("evaluated", at.floor_secs().to_string().into());
    }
    fact("catalogue", pci.catalog_version.clone().into());
    table(&rows, is_colourful())
}

/// The trend as small bars, of which each stands for a day.
fn spark(pci: &Pci) -> String {
    const BARS: [char; 8] = ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
    pci.trend.iter().map(|day| BARS[usize::from(day.score.min(100)) * (BARS.len() - 1) / 100]).collect()
}

/// A table under its heading; nothing without rows.
fn heading(title: &str, rows: Vec<Vec<Cell>>) -> String {
    if rows.len() < 2 { String::new() } else { format!("\n{title}\n{}", table(&rows, is_colourful())) }
}

fn distribution(pci: &Pci) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = vec![["KIND", "LOW 0-33", "MEDIUM 34-67", "HIGH 68-100"].map(Cell::from).to_vec()];
    let line = |(kind, bands): (&String, &curfew_api::system::BandCounts)| {
        vec![kind.clone().into(), bands.low.to_string().into(), bands.medium.to_string().into(), bands.high.to_string().into()]
    };
    rows.extend(pci.identities.iter().map(line));
    rows
}

fn top(pci: &Pci) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = vec![["PCI", "KIND", "IDENTITY", "ESCALATION"].map(Cell::from).to_vec()];
    rows.extend(pci.top.iter().map(|identity| {
        let escalation = identity.escalation.clone().unwrap_or_default();
        vec![
            score(identity.score.score, identity.score.band),
            identity.kind.clone().into(),
            identity.name.clone().into(),
            escalation.into(),
        ]
    }));
    rows
}

fn findings(all: &[FindingCount]) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = vec![["SEVERITY", "TYPE", "COUNT"].map(Cell::from).to_vec()];
    rows.extend(all.iter().map(|of| vec![of.severity.clone().into(), of.kind.clone().into(), of.count.to_string().into()]));
    rows
}

fn targets(pci: &Pci) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = vec![["TARGET", "LIMIT", "VALUE", "IDENTITIES"].map(Cell::from).to_vec()];
    rows.extend(pci.targets_exceeded.iter().map(|target| {
        let identities = target.identities.map(|number| number.to_string()).unwrap_or_default();
        vec![target.target.clone().into(), target.limit.to_string().into(), target.value.to_string().into(), identities.into()]
    }));
    rows
}

fn folders(pci: &Pci) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = vec![["LABEL", "VALUE", "SYSTEMS", "PCI"].map(Cell::from).to_vec()];
    rows.extend(pci.folders.iter().map(|folder| {
        let number = folder.systems.to_string();
        vec![folder.label.clone().into(), folder.value.clone().into(), number.into(), score(folder.score.score, folder.score.band)]
    }));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn system(name: &str, pci: &serde_json::Value, conditions: &serde_json::Value) -> AuthorizationSystem {
        serde_json::from_value(json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": name},
            "spec": {"provider": {"kubernetes": {"inCluster": {}}}},
            "status": {"conditions": conditions, "pci": pci, "findings": [{"type": "SuperIdentity", "severity": "Medium", "count": 2}]},
        }))
        .unwrap()
    }

    fn pci(score: u8, change: Option<i16>) -> serde_json::Value {
        json!({"score": score, "band": "Medium", "change7d": change, "confidence": "0.50", "counted": 7, "superIdentities": 2,
            "identities": {"human": {"low": 1, "medium": 2, "high": 3}},
            "top": [{"name": "eve\u{1b}[2J", "kind": "human", "score": 99, "band": "High", "escalation": "pods-exec"}],
            "trend": [{"day": "2026-11-26", "score": 0}, {"day": "2026-11-27", "score": 100}],
            "targetsExceeded": [{"target": "human", "limit": 67, "value": 99, "identities": 1}],
            "folders": [{"label": "env", "value": "prod", "systems": 2, "score": 50, "band": "Medium"}]})
    }

    #[test]
    fn lists_are_sorted_by_score_or_change_and_what_has_none_is_last() {
        let all = [
            system("a", &pci(40, Some(9)), &json!([])),
            system("b", &pci(60, Some(-3)), &json!([])),
            system(
                "c",
                &json!(null),
                &json!([{"type": "UsageFresh", "status": "False", "reason": "NoUsageSource", "message": "no source",
                "lastTransitionTime": "2026-11-27T00:00:00Z"}]),
            ),
        ];
        let names = |sort: Sort| sort.sorted(&all).iter().map(|of| of.name.clone()).collect::<String>();
        assert_eq!([names(Sort::Score), names(Sort::Change), names(Sort::Name)], ["bac", "abc", "abc"]);
        let text = list(&Sort::Score.sorted(&all));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("b ") && lines[1].contains("-3") && lines[2].contains("+9"), "{text}");
        assert!(lines[3].contains("NoUsageSource: no source"), "{text}");
    }

    #[test]
    fn one_system_shows_all_of_its_status_and_no_name_controls_the_terminal() {
        let text = one(&system("a", &pci(40, None), &json!([])));
        for part in [
            "system",
            "7-day change       -",
            "2 (five or fewer",
            "human",
            "eve\\u{1b}[2J",
            "pods-exec",
            "SuperIdentity",
            "67",
            "env",
            "\u{2581}\u{2588}",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        assert!(one(&system("a", &json!(null), &json!([]))).contains("has no score yet"));
    }
}
