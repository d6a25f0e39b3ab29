//! Prometheus metrics. Labels contain systems, kinds and types, never names of identities.
use super::status::wire;
use crate::{bands::Band, report::Report};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{collections::HashMap, sync::atomic::AtomicU64};

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
}

/// Events by outcome.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct EventLabels {
    /// The name of the AuthorizationSystem.
    pub system: String,
    /// `stored`, `duplicate`, `late`, `expired`, `future` or `broken`.
    pub outcome: String,
}

/// The labels of a system's report.
type Shown = (Vec<BandLabels>, Vec<FindingLabels>);
/// A number with a fraction.
type Float = Gauge<f64, AtomicU64>;

/// All metrics, with their registry.
#[derive(Debug, Default)]
pub struct Metrics {
    registry: Registry,
    score: Family<SystemLabel, Gauge>,
    confidence: Family<SystemLabel, Float>,
    identities: Family<BandLabels, Gauge>,
    findings: Family<FindingLabels, Gauge>,
    evaluated: Family<SystemLabel, Gauge>,
    failures: Family<SystemLabel, Counter>,
    scored: Family<SystemLabel, Counter>,
    events: Family<EventLabels, Counter>,
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
        r.register("pci_score", "Permission Creep Index of the system, 0 to 100", m.score.clone());
        r.register("pci_confidence", "Share of the window's days of which use is known", m.confidence.clone());
        r.register("pci_identities", "Identities by kind and band", m.identities.clone());
        r.register("pci_findings", "Findings by type", m.findings.clone());
        r.register("analytics_evaluated_timestamp_seconds", "When the system was analysed last", m.evaluated.clone());
        r.register("analytics_failures", "Analyses without a result, and results that could not be published", m.failures.clone());
        r.register(
            "analytics_scored_identities",
            "Identities that were scored, because their holdings or the catalogue had changed",
            m.scored.clone(),
        );
        r.register("analytics_events", "Events that were read, by outcome", m.events.clone());
        r.register("analytics_audit_refused", "Deliveries of audit events that were refused", m.refused.clone());
        r.register("analytics_store_bytes", "Size of the usage store", m.store.clone());
        metrics
    }

    /// The text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Shows a report; the score only if it was published.
    pub fn show(&self, system: &str, report: &Report, has_score: bool, at: i64) {
        let label = SystemLabel { system: system.to_owned() };
        self.forget_report(system);
        if has_score {
            self.score.get_or_create(&label).set(report.system.score.into());
        }
        self.confidence.get_or_create(&label).set(report.window.confidence);
        self.evaluated.get_or_create(&label).set(at);
        let (mut bands, mut findings) = (Vec::new(), Vec::new());
        for (kind, counts) in &report.distribution {
            for band in Band::ALL {
                let labels = BandLabels { system: system.to_owned(), kind: wire(kind), band: wire(&band) };
                self.identities.get_or_create(&labels).set(i64::try_from(counts.of(band)).unwrap_or(i64::MAX));
                bands.push(labels);
            }
        }
        for (kind, count) in &report.finding_counts {
            let labels = FindingLabels { system: system.to_owned(), r#type: wire(kind) };
            self.findings.get_or_create(&labels).set(i64::try_from(*count).unwrap_or(i64::MAX));
            findings.push(labels);
        }
        self.shown.lock().insert(system.to_owned(), (bands, findings));
    }

    fn forget_report(&self, system: &str) {
        let label = SystemLabel { system: system.to_owned() };
        self.score.remove(&label);
        self.confidence.remove(&label);
        if let Some((bands, findings)) = self.shown.lock().remove(system) {
            for labels in &bands {
                self.identities.remove(labels);
            }
            for labels in &findings {
                self.findings.remove(labels);
            }
        }
    }

    /// Removes what is known of a system that is gone.
    pub fn forget(&self, system: &str) {
        self.forget_report(system);
        self.evaluated.remove(&SystemLabel { system: system.to_owned() });
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
