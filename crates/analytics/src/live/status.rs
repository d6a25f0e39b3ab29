//! From a report to what stands in the status of an AuthorizationSystem. Bounded: lists have a fixed length, and names are shortened.
use crate::{
    aggregate,
    bands::Band,
    history::{DailyScore, InBands, change},
    report::{FindingType, IdentityKind, Report, Row},
    score::{index, rounded},
};
use curfew_api::system::{self, BandCounts, Exceeded, FindingCount, Folder, Pci, Score, Targets, TopIdentity, TrendDay};
use curfew_core::{text::clip, time::Time};
use serde::Serialize;

/// How many identities with high scores are listed.
pub const TOP: usize = 10;
/// How many days of scores are listed.
pub const TREND: usize = 90;
/// How many folders are listed.
pub const FOLDERS: usize = 8;
/// The longest name of an identity, in bytes.
const NAME: usize = 253;
/// The longest name of a way to escalate.
const METHOD: usize = 128;
/// The longest version of a catalogue.
const VERSION: usize = 253;
/// How many days a change is told over.
const WEEK: u32 = 7;

/// The name of a value in JSON.
pub fn wire(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The same with a capital letter, as status writes names.
fn capital(value: &impl Serialize) -> String {
    let name = wire(value);
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn band(band: Band) -> system::Band {
    match band {
        Band::Low => system::Band::Low,
        Band::Medium => system::Band::Medium,
        Band::High => system::Band::High,
    }
}

/// A score with its band.
pub fn scored(score: u8) -> Score {
    Score { score, band: band(Band::of(score)) }
}

/// The `x` of the identities that count: what a folder adds up.
pub fn shares(report: &Report) -> Vec<f64> {
    report.identities.iter().filter(|row| row.counted).filter_map(|row| row.x).collect()
}

/// The score of a folder: that of all identities of its systems together.
pub fn folder(label: &str, value: &str, systems: &[&[f64]]) -> (Folder, f64) {
    let x = aggregate::share(systems.iter().flat_map(|shares| shares.iter().copied()));
    (Folder { label: label.into(), value: value.into(), systems: number(systems.len()), score: scored(rounded(index(x))) }, x)
}

/// What is published of a report. `history`: one score for each day, the oldest first, with that of this report.
pub fn pci(report: &Report, history: &[DailyScore], targets: Option<&Targets>, folders: Vec<Folder>, at: Time) -> Pci {
    let system = &report.system;
    let counts = |kind: &IdentityKind| report.distribution.get(kind).filter(|bands| bands.low + bands.medium + bands.high > 0);
    let identities = report.distribution.keys().filter_map(|kind| {
        let bands = counts(kind)?;
        Some((wire(kind), BandCounts { low: number(bands.low), medium: number(bands.medium), high: number(bands.high) }))
    });
    // Rows are sorted, the highest score first.
    let top = report.identities.iter().filter(|row| row.counted && row.score.is_some_and(|score| score > 0)).take(TOP);
    let trend = &history[history.len().saturating_sub(TREND)..];
    Pci {
        score: system.score,
        band: band(system.band),
        change_7d: change(history, WEEK).map(|change| change.points),
        confidence: confidence(report.window.confidence),
        identities: identities.collect(),
        counted: number(system.counted),
        excluded: number(system.excluded),
        new: number(system.new),
        super_identities: number(system.super_identities),
        with_live_grants: number(report.identities.iter().filter(|row| row.counted && !row.live_grants.is_empty()).count()),
        top: top.map(top_identity).collect(),
        trend: trend.iter().map(|day| TrendDay { day: day.day.to_string(), score: day.score }).collect(),
        folders: folders.into_iter().take(FOLDERS).collect(),
        targets_exceeded: targets.map(|targets| exceeded(report, targets)).unwrap_or_default(),
        evaluated_at: Some(at.floor_secs()),
        catalog_version: clip(report.catalogue.version.as_str(), VERSION),
    }
}

/// Two digits, rounded down: `1.00` means all days.
fn confidence(share: f64) -> String {
    format!("{:.2}", (share * 100.0 + 1e-9).floor() / 100.0)
}

fn top_identity(row: &Row) -> TopIdentity {
    TopIdentity {
        name: clip(row.name.as_str(), NAME),
        kind: wire(&row.kind),
        score: scored(row.score.unwrap_or_default()),
        escalation: row.escalation.as_deref().map(|method| clip(method, METHOD)),
    }
}

/// The target for an identity of this kind. Groups have none, since their members do, nor have keys, since their users do.
fn target_of(kind: IdentityKind, targets: &Targets) -> Option<(&'static str, u8)> {
    match kind {
        IdentityKind::Human => Some(("human", targets.human)),
        IdentityKind::Workload | IdentityKind::Role | IdentityKind::Function => Some(("workload", targets.workload)),
        IdentityKind::Group | IdentityKind::AccessKey => None,
    }
}

/// What is compared with a target of a system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AgainstTarget {
    /// The name of the target in `spec.analytics.targets`.
    pub target: &'static str,
    /// Its value.
    pub limit: u16,
    /// The score of the system, the highest score among the identities, or the number of super identities.
    pub value: u32,
    /// How many identities exceed it; `None` if it is not about each of them.
    pub identities: Option<u32>,
}

/// Each target with what is compared with it. One for a kind of identities of which there is none is left out.
pub fn against_targets(report: &Report, targets: &Targets) -> Vec<AgainstTarget> {
    let (limit, value) = (targets.system.into(), report.system.score.into());
    let mut all = vec![AgainstTarget { target: "system", limit, value, identities: None }];
    for name in ["human", "guest", "workload"] {
        let scores = report.identities.iter().filter(|row| row.counted).filter_map(|row| {
            let (target, limit) = target_of(row.kind, targets).filter(|(target, _)| *target == name)?;
            Some((target, limit, row.score?))
        });
        let scores: Vec<(&str, u8, u8)> = scores.collect();
        if let Some((target, limit, value)) = scores.iter().max_by_key(|(.., score)| *score) {
            let identities = Some(number(scores.iter().filter(|(.., score)| score > limit).count()));
            all.push(AgainstTarget { target, limit: (*limit).into(), value: (*value).into(), identities });
        }
    }
    let value = number(report.system.super_identities);
    all.push(AgainstTarget { target: "superIdentities", limit: targets.super_identities, value, identities: None });
    all
}

fn exceeded(report: &Report, targets: &Targets) -> Vec<Exceeded> {
    let above = against_targets(report, targets).into_iter().filter(|one| one.value > one.limit.into());
    above.map(|one| Exceeded { target: one.target.into(), limit: one.limit, value: one.value, identities: one.identities }).collect()
}

/// The findings that need no history: they stand also while nothing is known about use.
const FROM_INVENTORY: [FindingType; 9] = [
    FindingType::Escalation,
    FindingType::SecretAccess,
    FindingType::Super,
    FindingType::SecurityTools,
    FindingType::TrustsEveryone,
    FindingType::ExternalAccess,
    FindingType::FullAdminPolicy,
    FindingType::NoMfa,
    FindingType::RootKey,
];

/// How many findings there are of each type, also none. Without usage, only those types that do not rest on it.
pub fn shown_findings(report: &Report, with_usage: bool) -> impl Iterator<Item = (FindingType, usize)> {
    let all = report.finding_counts.iter().map(|(kind, count)| (*kind, *count));
    all.filter(move |(kind, _)| with_usage || FROM_INVENTORY.contains(kind))
}

/// How many findings there are of each type of which there are any. Without usage, only those types that do not rest on it.
pub fn findings(report: &Report, with_usage: bool) -> Vec<FindingCount> {
    let counts = shown_findings(report, with_usage).filter(|(_, count)| *count > 0);
    counts.map(|(kind, count)| FindingCount { kind: name_of(kind), severity: capital(&kind.severity()), count: number(count) }).collect()
}

/// The name of a type of findings in status.
pub fn name_of(kind: FindingType) -> String {
    match kind {
        FindingType::Super => "SuperIdentity".into(),
        kind => capital(&kind),
    }
}

/// What the store keeps of a report as the score of a day.
pub fn daily(report: &Report, at: i64) -> DailyScore {
    let bands = report
        .distribution
        .iter()
        .map(|(kind, bands)| (wire(kind), InBands { low: number(bands.low), medium: number(bands.medium), high: number(bands.high) }));
    DailyScore {
        day: crate::history::Day::of(at),
        score: report.system.score,
        x: report.system.x,
        confidence: report.window.confidence,
        counted: number(report.system.counted),
        bands: bands.collect(),
        findings: report.finding_counts.iter().map(|(kind, count)| (wire(kind), number(*count))).collect(),
        catalogue: report.catalogue.version.clone(),
    }
}
