//! Counters and gauges. Labels name systems and states, never users or requests.
use curfew_core::time::Time;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// A state as a label.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct StateLabel {
    /// The state.
    pub state: String,
}

/// Every metric of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Grants that are not ended.
    pub grants_active: Gauge,
    /// Of these, past their deadline.
    pub grants_overdue: Gauge,
    /// From the deadline to the proof that the access is gone, in seconds.
    pub revocation_lag: Histogram,
    /// From the request's creation to the access, in seconds.
    pub activation_duration: Histogram,
    /// Attempts to revoke that failed and are retried.
    pub revocation_failures: Counter,
    /// Requests by state, as the stores show them.
    pub requests: Family<StateLabel, Gauge>,
    /// 1 while the admission policies are proven to be in force.
    pub admission_enforced: Gauge,
    /// 1 while this replica holds the lease.
    pub leads: Gauge,
    /// Bindings that the sweep has removed.
    pub swept: Counter,
    /// Bindings without a Grant that the sweep holds back, because there are implausibly many.
    pub sweep_held_back: Gauge,
    /// Deliveries of audit records that a sink did not take.
    pub audit_failures: Counter,
    /// Audit records that wait for a sink.
    pub audit_backlog: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let lag = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];
        let mut m = Metrics {
            registry: Registry::with_prefix("curfew"),
            grants_active: Gauge::default(),
            grants_overdue: Gauge::default(),
            revocation_lag: Histogram::new(lag),
            activation_duration: Histogram::new([0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0]),
            revocation_failures: Counter::default(),
            requests: Family::default(),
            admission_enforced: Gauge::default(),
            leads: Gauge::default(),
            swept: Counter::default(),
            sweep_held_back: Gauge::default(),
            audit_failures: Counter::default(),
            audit_backlog: Gauge::default(),
        };
        let r = &mut m.registry;
        r.register("grants_active", "Grants that are not ended", m.grants_active.clone());
        r.register("grants_overdue", "Grants past their deadline that are not ended", m.grants_overdue.clone());
        r.register("revocation_lag_seconds", "From the deadline to the proof that the access is gone", m.revocation_lag.clone());
        r.register("activation_duration_seconds", "From the creation of a request to its access", m.activation_duration.clone());
        r.register("revocation_failures", "Revocations that did not come through at once", m.revocation_failures.clone());
        r.register("requests", "Requests by state", m.requests.clone());
        r.register("admission_enforced", "1 while the admission policies are proven to be in force", m.admission_enforced.clone());
        r.register("swept", "Bindings that the sweep has removed", m.swept.clone());
        r.register(
            "sweep_held_back",
            "Bindings without a Grant that the sweep holds back, because there are implausibly many",
            m.sweep_held_back.clone(),
        );
        r.register("audit_failures", "Deliveries of audit records that a sink did not take", m.audit_failures.clone());
        r.register("audit_backlog", "Audit records that wait for a sink", m.audit_backlog.clone());
        r.register("leader", "1 while this replica holds the lease", m.leads.clone());
        m
    }
}

/// Seconds from one time to another for a histogram; zero if the second is not later.
#[allow(clippy::cast_precision_loss)]
pub fn seconds_between(from: Time, to: Time) -> f64 {
    to.millis_since(from).max(0) as f64 / 1000.0
}

impl Metrics {
    /// The metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        if encode(&mut out, &self.registry).is_err() {
            out.clear();
        }
        out
    }
}
