//! What every provider's report has in common: sums over rows and findings, and the order of both.
use crate::{
    aggregate,
    bands::Band,
    history::Window,
    report::{Bands, Finding, FindingType, IdentityKind, Row, SystemSummary, WindowSummary},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The version of the report's JSON.
pub const FORMAT: &str = "curfew.dev/pci-report/1";
/// How many permissions explain a score.
pub const MAX_BECAUSE: usize = 8;
/// An active identity is overprovisioned from this share of unused mass on: the lower edge of the band Medium.
pub const MEDIUM_SHARE: f64 = 0.0091;
/// The share of the catalogue from which on an identity holds nearly everything.
pub const SUPER_SHARE: f64 = 0.9;
/// The most lines of evidence.
const MAX_EVIDENCE: usize = 12;

/// A moment in RFC 3339.
pub fn written(at: i64) -> String {
    Timestamp::from_second(at).map_or_else(|_| at.to_string(), |time| time.to_string())
}

/// A share for people.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A finding with the severity of its type, and evidence that is cut with a count.
pub fn finding(kind: FindingType, subject: String, summary: String, mut evidence: Vec<String>, recommendation: &str) -> Finding {
    let more = evidence.len().saturating_sub(MAX_EVIDENCE);
    if more > 0 {
        evidence.truncate(MAX_EVIDENCE - 1);
        evidence.push(format!("and {} more", more + 1));
    }
    Finding { kind, severity: kind.severity(), subject, summary, evidence, recommendation: recommendation.to_owned() }
}

/// What to do about power that was not used. With less than the whole window in the logs, nothing is recommended to be removed.
pub fn if_covered(confidence: f64, advice: &str) -> String {
    if confidence >= 1.0 {
        return advice.to_owned();
    }
    format!(
        "The logs cover {:.0} % of the window: collect them for the whole window before you remove anything for lack of use.",
        confidence * 100.0
    )
}

/// Rows by score, the highest first.
pub fn sort_rows(rows: &mut [Row]) {
    rows.sort_by(|a, b| b.x.unwrap_or(-1.0).total_cmp(&a.x.unwrap_or(-1.0)).then_with(|| (a.kind, &a.name).cmp(&(b.kind, &b.name))));
}

/// Findings by severity, the gravest first.
pub fn sort_findings(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (a.severity, a.kind, &a.subject).cmp(&(b.severity, b.kind, &b.subject)));
}

/// Identities by kind and band, without those of the system itself.
pub fn distribution(rows: &[Row], kinds: &[IdentityKind]) -> BTreeMap<IdentityKind, Bands> {
    let mut distribution: BTreeMap<IdentityKind, Bands> = kinds.iter().map(|kind| (*kind, Bands::default())).collect();
    for row in rows.iter().filter(|row| !row.built_in) {
        if let Some(band) = row.band {
            distribution.entry(row.kind).or_default().add(band);
        }
    }
    distribution
}

/// How many findings there are of each type; of `types` also if there is none.
pub fn finding_counts(findings: &[Finding], types: &[FindingType]) -> BTreeMap<FindingType, usize> {
    let mut counts: BTreeMap<FindingType, usize> = types.iter().map(|kind| (*kind, 0)).collect();
    findings.iter().for_each(|finding| *counts.entry(finding.kind).or_default() += 1);
    counts
}

/// The window and what the logs cover of it.
pub fn window_summary(window: Window, covered_days: u32, confidence: f64) -> WindowSummary {
    WindowSummary { since: written(window.since), until: written(window.until), days: window.days(), covered_days, confidence }
}

/// The score of the system: the aggregate of the rows that count.
pub fn system(rows: &[Row], findings: &[Finding]) -> SystemSummary {
    let shares = || rows.iter().filter(|row| row.counted).filter_map(|row| row.x);
    let score = aggregate::pci(shares());
    let of_company = || rows.iter().filter(|row| !row.built_in);
    SystemSummary {
        score,
        band: Band::of(score),
        x: aggregate::share(shares()),
        counted: shares().count(),
        excluded: of_company().filter(|row| row.excluded_from_pci).count(),
        new: of_company().filter(|row| row.new && row.counted).count(),
        built_in: rows.iter().filter(|row| row.built_in).count(),
        groups_with_members: of_company().filter(|row| row.kind == IdentityKind::Group && !row.counted && !row.excluded_from_pci).count(),
        super_identities: findings.iter().filter(|finding| finding.kind == FindingType::Super).count(),
    }
}
