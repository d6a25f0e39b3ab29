//! Prometheus metrics. Labels contain systems, kinds and types, never names of identities.
use super::status::{AgainstTarget, shown_findings, wire};
use crate::{
    bands::Band,
    history::{DAY, DailyScore, change},
    report::Report,
};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// The label `system`.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct SystemLabel {
    /// The name of the AuthorizationSystem.
    pub system: String,
}

/// Identities of a system.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct BandLabels {
    /// The name of the AuthorizationSystem.
    pub system: String,
    /// What they are, as reports name it.
    pub kind: String,
    /// `low`, `medium` or `high`.
    pub band: String,
}

/// Findings of a system.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct FindingLabels {
    /// The name of the AuthorizationSystem.
    pub system: String,
    /// The type, as reports name it.
    pub r#type: String,
    /// `high`, `medium` or `low`: that of the type.
    pub severity: String,
}

/// How a score has changed.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct ChangeLabels {
    /// The name of the AuthorizationSystem.
    pub system: String,
    /// Over how many days: one of [`CHANGES`].
    pub days: u32,
}

/// A target of a system.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct TargetLabels {
    /// The name of the AuthorizationSystem.
    pub system: String,
    /// The name of the target in `spec.analytics.targets`.
    pub target: String,
}

/// Events by outcome.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct EventLabels {
    /// The name of the AuthorizationSystem.
    pub system: String,
    /// One of [`OUTCOMES`].
    pub outcome: String,
}

/// The outcomes of events.
const OUTCOMES: [&str; 6] = ["stored", "duplicate", "late", "expired", "future", "broken"];
/// Over how many days a change of the score is told.
pub const CHANGES: [u32; 2] = [7, 30];
/// The labels of a system's report.
#[derive(Debug, Default)]
struct Shown {
    bands: Vec<BandLabels>,
    findings: Vec<FindingLabels>,
    targets: Vec<TargetLabels>,
}
/// A number with a fraction.
type Float = Gauge<f64, AtomicU64>;

/// What is published of a report beside its findings: there is none of it while nothing is known about use.
#[derive(Debug)]
pub struct Scored<'a> {
    /// One score for each day, the oldest first, with that of the report.
    pub history: &'a [DailyScore],
    /// The targets of the system.
    pub targets: &'a [AgainstTarget],
}

/// All metrics, with their registry.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
    score: Family<SystemLabel, Gauge>,
    change: Family<ChangeLabels, Gauge>,
    target_limits: Family<TargetLabels, Gauge>,
    target_values: Family<TargetLabels, Gauge>,
    confidence: Family<SystemLabel, Float>,
    identities: Family<BandLabels, Gauge>,
    findings: Family<FindingLabels, Gauge>,
    evaluated: Family<SystemLabel, Gauge>,
    inventory_fresh: Family<SystemLabel, Gauge>,
    usage_fresh: Family<SystemLabel, Gauge>,
    newest_event: Family<SystemLabel, Gauge>,
    failures: Family<SystemLabel, Counter>,
    scored: Family<SystemLabel, Counter>,
    events: Family<EventLabels, Counter>,
    reduced: Family<SystemLabel, Counter>,
    refused: Family<SystemLabel, Counter>,
    store: Gauge,
    /// The labels in use, by system: what is not measured any more is removed.
    shown: Mutex<HashMap<String, Shown>>,
}

impl Metrics {
    /// Registers all of them.
    pub fn new() -> Self {
        let mut metrics = Self { registry: Registry::with_prefix("curfew"), ..Self::default() };
        let m = &mut metrics;
        let r = &mut m.registry;
        r.register("pci_score", "Permission Creep Index of the system, 0 to 100; absent while nothing is known about use", m.score.clone());
        r.register(
            "pci_score_change",
            "By how many points the score differs from that of so many days ago; absent without one",
            m.change.clone(),
        );
        r.register(
            "pci_target_limit",
            "Target of the system: a score from 0 to 100, or a number of super identities",
            m.target_limits.clone(),
        );
        r.register(
            "pci_target_value",
            "What is compared with the target: the system's score, the highest score of an identity, or the number of super identities",
            m.target_values.clone(),
        );
        r.register("pci_confidence", "Share of the window's days of which use is known, 0 to 1", m.confidence.clone());
        r.register("pci_identities", "Identities by kind and band; absent while nothing is known about use", m.identities.clone());
        r.register(
            "pci_findings",
            "Findings by type and severity; without usage only the types that do not rest on it",
            m.findings.clone(),
        );
        r.register(
            "analytics_evaluated_timestamp_seconds",
            "When a result of the system was published last, in seconds since 1970; absent before the first one of the process",
            m.evaluated.clone(),
        );
        r.register(
            "analytics_inventory_fresh",
            "1 if the last analysis could read who may do what (condition InventoryFresh)",
            m.inventory_fresh.clone(),
        );
        r.register(
            "analytics_usage_fresh",
            "1 if at the last analysis every source of usage worked (condition UsageFresh); absent for a system without a source",
            m.usage_fresh.clone(),
        );
        r.register(
            "analytics_newest_event_timestamp_seconds",
            "When the newest event happened that was stored, in seconds since 1970; to the hour for events from before the process",
            m.newest_event.clone(),
        );
        r.register("analytics_failures", "Analyses without a result, and results that could not be published", m.failures.clone());
        r.register(
            "analytics_scored_identities",
            "Identities that were scored, because their holdings or the catalogue had changed",
            m.scored.clone(),
        );
        r.register("analytics_events", "Events that were read, by outcome", m.events.clone());
        r.register(
            "analytics_events_reduced",
            "Events of which the usage store keeps less because a limit is reached: they count as a use of everything that is granted",
            m.reduced.clone(),
        );
        r.register("analytics_audit_refused", "Deliveries of audit events that were refused", m.refused.clone());
        r.register("analytics_store_bytes", "Size of the usage store in bytes, read hourly", m.store.clone());
        metrics
    }

    /// The text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Shows a report: without `scored` nothing that would look unused because nothing is known about use.
    pub fn show(&self, system: &str, report: &Report, scored: Option<&Scored<'_>>) {
        let label = SystemLabel { system: system.to_owned() };
        self.forget_report(system);
        self.confidence.get_or_create(&label).set(report.window.confidence);
        let mut shown = Shown::default();
        if let Some(scored) = scored {
            self.score.get_or_create(&label).set(report.system.score.into());
            self.show_changes(system, scored.history);
            self.show_targets(system, scored.targets, &mut shown);
            self.show_bands(system, report, &mut shown);
        }
        for (kind, count) in shown_findings(report, scored.is_some()) {
            let labels = FindingLabels { system: system.to_owned(), r#type: wire(&kind), severity: wire(&kind.severity()) };
            self.findings.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            shown.findings.push(labels);
        }
        self.shown.lock().insert(system.to_owned(), shown);
    }

    fn show_changes(&self, system: &str, history: &[DailyScore]) {
        for days in CHANGES {
            if let Some(change) = change(history, days) {
                self.change.get_or_create(&ChangeLabels { system: system.to_owned(), days }).set(change.points.into());
            }
        }
    }

    fn show_targets(&self, system: &str, targets: &[AgainstTarget], shown: &mut Shown) {
        for target in targets {
            let labels = TargetLabels { system: system.to_owned(), target: target.target.to_owned() };
            self.target_limits.get_or_create(&labels).set(target.limit.into());
            self.target_values.get_or_create(&labels).set(target.value.into());
            shown.targets.push(labels);
        }
    }

    fn show_bands(&self, system: &str, report: &Report, shown: &mut Shown) {
        for (kind, counts) in &report.distribution {
            for band in Band::ALL {
                let labels = BandLabels { system: system.to_owned(), kind: wire(kind), band: wire(&band) };
                self.identities.get_or_create(&labels).set(i64::try_from(counts.of(band)).unwrap_or(i64::MAX));
                shown.bands.push(labels);
            }
        }
    }

    fn forget_report(&self, system: &str) {
        let label = SystemLabel { system: system.to_owned() };
        self.score.remove(&label);
        self.confidence.remove(&label);
        for days in CHANGES {
            self.change.remove(&ChangeLabels { system: system.to_owned(), days });
        }
        let Some(shown) = self.shown.lock().remove(system) else { return };
        for labels in &shown.bands {
            self.identities.remove(labels);
        }
        for labels in &shown.findings {
            self.findings.remove(labels);
        }
        for labels in &shown.targets {
            self.target_limits.remove(labels);
            self.target_values.remove(labels);
        }
    }

    /// Removes everything about a system that is gone, so that systems that come and go leave nothing.
    pub fn forget(&self, system: &str) {
        self.forget_report(system);
        let label = SystemLabel { system: system.to_owned() };
        for gauge in [&self.evaluated, &self.inventory_fresh, &self.usage_fresh, &self.newest_event] {
            gauge.remove(&label);
        }
        for counter in [&self.failures, &self.scored, &self.reduced, &self.refused] {
            counter.remove(&label);
        }
        for outcome in OUTCOMES {
            self.events.remove(&EventLabels { system: system.to_owned(), outcome: outcome.into() });
        }
    }

    /// A result was published.
    pub fn published(&self, system: &str, at: i64) {
        self.evaluated.get_or_create(&SystemLabel { system: system.to_owned() }).set(at);
    }

    /// What an analysis knows: who may do what, and who did what, `None` for a system without a source of usage.
    pub fn fresh(&self, system: &str, inventory: bool, usage: Option<bool>) {
        let label = SystemLabel { system: system.to_owned() };
        self.inventory_fresh.get_or_create(&label).set(inventory.into());
        match usage {
            Some(usage) => {
                self.usage_fresh.get_or_create(&label).set(usage.into());
            }
            None => {
                self.usage_fresh.remove(&label);
            }
        }
    }

    /// Events of these times were stored. A clock that is ahead makes no event newer than now; what is more than a day ahead is not kept.
    pub fn heard(&self, system: &str, times: impl Iterator<Item = i64>, now: i64) {
        if let Some(newest) = times.filter(|at| *at <= now + DAY).max() {
            let known = self.newest_event.get_or_create(&SystemLabel { system: system.to_owned() });
            known.inner().fetch_max(newest.min(now), Ordering::Relaxed);
        }
    }

    /// No event of a system is stored.
    pub fn unheard(&self, system: &str) {
        self.newest_event.remove(&SystemLabel { system: system.to_owned() });
    }

    /// An analysis or its publication failed.
    pub fn failed(&self, system: &str) {
        self.failures.get_or_create(&SystemLabel { system: system.to_owned() }).inc();
    }

    /// So many identities were scored.
    pub fn scored(&self, system: &str, count: u64) {
        self.scored.get_or_create(&SystemLabel { system: system.to_owned() }).inc_by(count);
    }

    /// Events were stored.
    pub fn events(&self, system: &str, counts: &crate::store::Counts) {
        let outcomes = [
            ("stored", counts.new),
            ("duplicate", counts.duplicates),
            ("late", counts.late),
            ("expired", counts.expired),
            ("future", counts.future),
        ];
        outcomes.into_iter().filter(|(_, count)| *count > 0).for_each(|(outcome, count)| self.outcome(system, outcome, count));
        if counts.folded + counts.unnamed > 0 {
            self.reduced.get_or_create(&SystemLabel { system: system.to_owned() }).inc_by(counts.folded + counts.unnamed);
        }
    }

    /// So many events could not be read.
    pub fn broken(&self, system: &str, count: u64) {
        self.outcome(system, "broken", count);
    }

    fn outcome(&self, system: &str, outcome: &str, count: u64) {
        self.events.get_or_create(&EventLabels { system: system.to_owned(), outcome: outcome.into() }).inc_by(count);
    }

    /// A delivery was refused.
    pub fn refused(&self, system: &str) {
        self.refused.get_or_create(&SystemLabel { system: system.to_owned() }).inc();
    }

    /// The size of the store.
    pub fn store_bytes(&self, bytes: u64) {
        self.store.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
