//! What is published of a report.
use curfew_analytics::{
    assemble::{distribution, finding_counts, system},
    bands::Band,
    history::{DAY, DailyScore, Day},
    live::{
        publish::{self, Measured},
        status::{FOLDERS, TOP, daily, findings, folder, name_of, pci, shares},
    },
    report::*,
};
use curfew_api::{
    conditions::Is,
    system::{AuthorizationSystemStatus, Pci, Targets},
};
use curfew_core::time::Time;
use serde_json::json;

pub fn row(name: &str, kind: IdentityKind, x: f64) -> Row {
    let score = curfew_analytics::score::rounded(curfew_analytics::score::index(x));
    Row {
        name: name.into(),
        kind,
        score: Some(score),
        band: Some(Band::of(score)),
        x: Some(x),
        granted_share: x,
        confidence: 0.5,
        counted: true,
        built_in: false,
        new: false,
        excluded_from_pci: false,
        excluded_from_reports: false,
        missing: false,
        last_used: None,
        members: 0,
        permissions: PermissionCounts::default(),
        live_grants: Vec::new(),
        standing_score: None,
        escalation: Some("m".repeat(500)),
        because: Vec::new(),
    }
}

pub fn report(identities: Vec<Row>, findings: Vec<Finding>) -> Report {
    Report {
        format: "f".into(),
        provider: Provider::Kubernetes,
        name: None,
        catalogue: CatalogueSummary { version: "v".repeat(1_000), permissions: 1, mass: 1.0, assumed: 0, methods: 0 },
        window: WindowSummary { since: String::new(), until: String::new(), days: 90, covered_days: 89, confidence: 89.0 / 90.0 },
        system: system(&identities, &findings),
        distribution: distribution(&identities, &IdentityKind::ALL),
        finding_counts: finding_counts(&findings, &FindingType::ALL),
        identities,
        findings,
        input: InputSummary::default(),
    }
}

pub fn finding(kind: FindingType) -> Finding {
    let (subject, summary, recommendation) = (String::new(), String::new(), String::new());
    Finding { kind, severity: kind.severity(), subject, summary, evidence: Vec::new(), recommendation }
}

pub fn day(number: u32, score: u8) -> DailyScore {
    DailyScore { day: Day(number), score, ..DailyScore::default() }
}

#[test]
fn the_largest_status_is_below_32_kib_and_fits_the_schema() {
    // Every list is full, and every name is as long as it may be, of characters that take most bytes in JSON.
    let name = |i: usize| format!("{i}{}", "\u{1}😀\\\"".repeat(400));
    let kinds = IdentityKind::ALL;
    let rows: Vec<Row> = (0..10_000).map(|i| row(&name(i), kinds[i % kinds.len()], 1.0)).collect();
    let findings_of_all: Vec<Finding> = FindingType::ALL.iter().flat_map(|kind| vec![finding(*kind); 5_000]).collect();
    let report = report(rows, findings_of_all);
    let history: Vec<DailyScore> = (0..400).map(|number| day(20_000 + number, 100)).collect();
    let all = shares(&report);
    let folders = (0..20).map(|_| folder(&"k".repeat(317), &"v".repeat(63), &[&all]).0).collect();
    let targets = Targets { system: 0, human: 0, guest: 0, workload: 0, super_identities: 0 };
    let status = AuthorizationSystemStatus {
        pci: Some(pci(&report, &history, Some(&targets), folders, Time::from_secs(1_795_000_000))),
        findings: findings(&report, true),
        ..AuthorizationSystemStatus::default()
    };
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.len() < 32 << 10, "{}", text.len());
    let published = status.pci.unwrap();
    assert_eq!((published.top.len(), published.trend.len(), published.folders.len()), (TOP, 90, FOLDERS));
    assert_eq!(status.findings.len(), FindingType::ALL.len());
    // The limits of the schema, in characters.
    assert!(published.top.iter().all(|one| one.name.chars().count() <= 512 && one.escalation.as_ref().unwrap().len() <= 128));
    assert!(published.catalog_version.len() <= 253 && published.trend.iter().all(|day| day.day.len() == 10));
    assert!(status.findings.iter().all(|one| one.kind.len() <= 64 && one.severity.len() <= 16));
    assert!(published.targets_exceeded.iter().all(|one| one.target.len() <= 32) && published.targets_exceeded.len() <= 8);
}

#[test]
fn targets_that_are_exceeded_are_named_and_equal_is_not_exceeded() {
    let mut excluded = row("excluded", IdentityKind::Human, 1.0);
    excluded.counted = false;
    let rows =
        vec![row("p", IdentityKind::Human, 1.0), row("q", IdentityKind::Human, 0.02), row("w", IdentityKind::Workload, 0.02), excluded];
    let report = report(rows, vec![finding(FindingType::Super); 3]);
    let (system, of_w) = (report.system.score, report.identities[2].score.unwrap());
    let exceeded = |targets: Targets| {
        let pci = pci(&report, &[], Some(&targets), Vec::new(), Time::from_secs(0));
        pci.targets_exceeded.into_iter().map(|one| (one.target, u32::from(one.limit), one.value, one.identities)).collect::<Vec<_>>()
    };
    let met = Targets { system, human: 100, guest: 0, workload: of_w, super_identities: 3 };
    assert_eq!(exceeded(met.clone()), []);
    let human = exceeded(Targets { human: 10, ..met.clone() });
    assert_eq!(human, [("human".into(), 10, 100, Some(2))], "the one that is excluded does not count");
    assert_eq!(exceeded(Targets { workload: of_w - 1, ..met.clone() }), [("workload".into(), u32::from(of_w) - 1, of_w.into(), Some(1))]);
    assert_eq!(exceeded(Targets { system: system - 1, ..met.clone() }), [("system".into(), u32::from(system) - 1, system.into(), None)]);
    assert_eq!(exceeded(Targets { super_identities: 2, ..met }), [("superIdentities".into(), 2, 3, None)]);
}

#[test]
fn numbers_are_those_of_the_report_and_of_the_history() {
    let mut granted = row("g", IdentityKind::Human, 0.5);
    granted.live_grants = vec!["id".into()];
    let report =
        report(vec![row("a", IdentityKind::Workload, 1.0), granted, row("z", IdentityKind::Human, 0.0)], vec![finding(FindingType::Super)]);
    let history = [day(100, 50), day(103, 60), day(107, 41)];
    let published = pci(&report, &history, None, Vec::new(), Time::from_secs(90 * DAY));
    assert_eq!((published.score, published.counted, published.with_live_grants), (report.system.score, 3, 1));
    assert_eq!((published.change_7d, published.confidence.as_str()), (Some(-9), "0.98"), "rounded down: 1.00 means every day");
    assert_eq!(published.top.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "g"], "who uses everything is not in the list");
    assert_eq!(
        json!(published.identities),
        json!({"human": {"low": 1, "medium": 0, "high": 1}, "workload": {"low": 0, "medium": 0, "high": 1}})
    );
    let of_day = daily(&report, 100 * DAY + 5);
    assert_eq!((of_day.day, of_day.score, of_day.counted), (Day(100), report.system.score, 3));
    assert_eq!(pci(&report, &[day(107, 41)], None, Vec::new(), Time::from_secs(0)).change_7d, None);
}

#[test]
fn a_folder_is_all_identities_of_its_systems_together() {
    // Five idle administrators are medium and six are high, however they are spread.
    let score = |systems: &[&[f64]]| folder("env", "prod", systems).0.score.score;
    assert_eq!((score(&[&[1.0; 5]]), score(&[&[1.0; 6]])), (66, 69));
    assert_eq!((score(&[&[1.0; 2], &[1.0; 3]]), score(&[&[1.0; 3], &[1.0; 3], &[]])), (66, 69));
    assert_eq!(folder("env", "prod", &[&[1.0], &[]]).0.systems, 2);
}

#[test]
fn without_usage_only_findings_that_need_none_are_published() {
    let report = report(vec![row("a", IdentityKind::Human, 1.0)], FindingType::ALL.iter().map(|kind| finding(*kind)).collect());
    let names = |with_usage| findings(&report, with_usage).into_iter().map(|one| one.kind).collect::<Vec<_>>();
    assert_eq!(names(true).len(), FindingType::ALL.len());
    let few = names(false);
    assert!(few.contains(&"SuperIdentity".to_owned()) && few.contains(&"Escalation".to_owned()), "{few:?}");
    assert!(
        [FindingType::Inactive, FindingType::OverprovisionedActive, FindingType::UnusedBinding, FindingType::UnusedRole]
            .iter()
            .all(|kind| !few.contains(&name_of(*kind)))
    );
}

/// A system whose status has conditions of the operator, and one of analytics.
fn published() -> curfew_api::AuthorizationSystem {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3});
    let conditions = [condition("Ready", "True"), condition("InventoryFresh", "True"), condition("UsageFresh", "True")];
    serde_json::from_value(
        json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": "s", "generation": 3},
        "spec": {"provider": {"kubernetes": {"inCluster": {}}}},
        "status": {"conditions": conditions, "target": {"id": "t"}, "grants": {"active": 1, "overdue": 0},
            "pci": {"score": 4, "band": "Low", "evaluatedAt": "2026-01-01T00:00:00Z"}}}),
    )
    .unwrap()
}

fn measured(usage: Is) -> Measured {
    let pci = Pci { score: 4, evaluated_at: Some(Time::from_secs(1_795_000_000)), ..Pci::default() };
    Measured { pci: Some(pci), findings: Vec::new(), inventory: (Is::True, "R", "m".into()), usage: (usage, "R", "m".into()) }
}

#[test]
fn only_what_is_measured_is_applied_and_only_when_it_differs() {
    let (object, now) = (published(), Time::from_secs(1_795_000_000));
    let same = publish::status(&object, &measured(Is::True), now);
    assert_eq!(same.as_object().unwrap().keys().collect::<Vec<_>>(), ["conditions", "pci"], "{same}");
    let types: Vec<&str> = same["conditions"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["InventoryFresh", "UsageFresh"]);
    assert!(publish::is_shown(&object, &same), "only the time of the evaluation differs");
    let other = publish::status(&object, &measured(Is::False), now);
    assert!(!publish::is_shown(&object, &other));
    // The time of a transition is that of the one that changed.
    let times: Vec<&str> = other["conditions"].as_array().unwrap().iter().map(|one| one["lastTransitionTime"].as_str().unwrap()).collect();
    assert!(times[0] == "2026-01-01T00:00:00Z" && times[1] != times[0], "{times:?}");
    let none = publish::status(&object, &Measured { pci: None, ..measured(Is::False) }, now);
    assert!(none.get("pci").is_none() && !publish::is_shown(&object, &none), "what is not measured any more is taken away");
}
