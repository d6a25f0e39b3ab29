//! Prometheus metrics. Labels contain states, never users or requests, so that the number of series is bounded.
use crate::runtime::panics::Panics;
use curfew_core::time::Time;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The label `state`.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct StateLabel {
    /// The name of the state, as in `status.state`.
    pub state: String,
}

/// Why a span was lost.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug, EncodeLabelValue)]
pub enum SpanLoss {
    /// The queue was full.
    QueueFull,
    /// One request and process has so many calls of its target that further ones have no span.
    TooManyCalls,
    /// The collector did not take it after some tries, or refuses it.
    ExportFailed,
    /// The collector says that it has rejected it.
    Rejected,
}

impl SpanLoss {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::TooManyCalls, Self::ExportFailed, Self::Rejected];
}

/// The label `reason`.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct SpanLossLabel {
    /// Why.
    pub reason: SpanLoss,
}

/// All metrics of the operator, with their registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The number of Grants that have not ended.
    pub grants_active: Gauge,
    /// The number of Grants that have not ended although their deadline has passed.
    pub grants_overdue: Gauge,
    /// The time from the deadline to the proof that the access is gone, in seconds.
    pub revocation_lag: Histogram,
    /// The time from the creation of a request to its access, in seconds.
    pub activation_duration: Histogram,
    /// The number of revocation attempts that failed or did not remove everything.
    pub revocation_failures: Counter,
    /// The number of requests in each state, from the caches of this replica.
    pub requests: Family<StateLabel, Gauge>,
    /// 1 while the admission policies are proven to be in force.
    pub admission_enforced: Gauge,
    /// 1 while this replica holds the lease.
    pub leads: Gauge,
    /// The seconds since the API server last answered the watch that it answered longest ago.
    pub watch_age: Gauge,
    /// The number of activations by break-glass.
    pub break_glass: Counter,
    /// The number of break-glass accesses that nobody has reviewed. Those whose request was deleted are known to the leader alone.
    pub break_glass_unreviewed: Gauge,
    /// The number of objects that emergency accounts have created and of which this replica has told.
    pub emergency_account_uses: Counter,
    /// When a use of an emergency account was told last, in seconds since 1970, as the status of the systems says; 0 if never.
    pub emergency_account_last_use: Gauge,
    /// The number of roles that protect their last holder, and that no assignment makes anybody eligible for.
    pub roles_without_holder: Gauge,
    /// The number of bindings that the sweep has removed.
    pub swept: Counter,
    /// The number of bindings without a Grant that the sweep keeps, because so many at once suggest an incomplete list of Grants.
    pub sweep_held_back: Gauge,
    /// The number of failed deliveries to an audit sink.
    pub audit_failures: Counter,
    /// The number of audit records that wait for a sink.
    pub audit_backlog: Gauge,
    /// The number of notifications that a channel has taken.
    pub notifications_sent: Counter,
    /// The number of notifications that were given up.
    pub notifications_lost: Counter,
    /// The number of attempts to deliver a notification that failed.
    pub notifications_failures: Counter,
    /// The number of notifications that a recipient was not sent, because there were too many in an hour.
    pub notifications_suppressed: Counter,
    /// The seconds that the oldest notification has waited for its channel.
    pub notifications_oldest: Gauge,
    /// The number of spans that the collector has taken.
    pub trace_spans: Counter,
    /// The number of spans that were lost.
    pub trace_spans_lost: Family<SpanLossLabel, Counter>,
    /// The number of exports of spans that failed.
    pub trace_export_failures: Counter,
    /// The panics that were caught. Each is a bug and concerns one object.
    pub panics: Panics,
}

impl Default for Metrics {
    fn default() -> Self {
        let lag = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];
        let mut metrics = Metrics {
            registry: Registry::with_prefix("curfew"),
            grants_active: Gauge::default(),
            grants_overdue: Gauge::default(),
            revocation_lag: Histogram::new(lag),
            activation_duration: Histogram::new([0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86_400.0]),
            revocation_failures: Counter::default(),
            requests: Family::default(),
            admission_enforced: Gauge::default(),
            leads: Gauge::default(),
            watch_age: Gauge::default(),
            break_glass: Counter::default(),
            break_glass_unreviewed: Gauge::default(),
            emergency_account_uses: Counter::default(),
            emergency_account_last_use: Gauge::default(),
            roles_without_holder: Gauge::default(),
            swept: Counter::default(),
            sweep_held_back: Gauge::default(),
            audit_failures: Counter::default(),
            audit_backlog: Gauge::default(),
            notifications_sent: Counter::default(),
            notifications_lost: Counter::default(),
            notifications_failures: Counter::default(),
            notifications_suppressed: Counter::default(),
            notifications_oldest: Gauge::default(),
            trace_spans: Counter::default(),
            trace_spans_lost: Family::default(),
            trace_export_failures: Counter::default(),
            panics: Panics::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("grants_active", "Number of Grants that have not ended", metrics.grants_active.clone());
        registry.register("grants_overdue", "Number of Grants past their deadline that have not ended", metrics.grants_overdue.clone());
        registry.register(
            "revocation_lag_seconds",
            "Time from the deadline to the proof that the access is gone, in seconds",
            metrics.revocation_lag.clone(),
        );
        registry.register(
            "activation_duration_seconds",
            "Time from the creation of a request to its access, in seconds",
            metrics.activation_duration.clone(),
        );
        registry.register(
            "revocation_failures",
            "Number of revocation attempts that failed or did not remove everything",
            metrics.revocation_failures.clone(),
        );
        registry.register("requests", "Number of ActivationRequests in each state", metrics.requests.clone());
        registry.register(
            "admission_enforced",
            "1 while the admission policies are proven to be in force",
            metrics.admission_enforced.clone(),
        );
        registry.register(
            "watch_age_seconds",
            "Seconds since the connection of the watch that was answered longest ago brought anything",
            metrics.watch_age.clone(),
        );
        registry.register("swept", "Number of bindings that the sweep has removed", metrics.swept.clone());
        registry.register(
            "sweep_held_back",
            "Number of bindings without a Grant that the sweep keeps because they are implausibly many",
            metrics.sweep_held_back.clone(),
        );
        registry.register("audit_failures", "Number of failed deliveries to an audit sink", metrics.audit_failures.clone());
        registry.register("audit_backlog", "Number of audit records that wait for a sink", metrics.audit_backlog.clone());
        registry.register("break_glass_activations", "Number of activations by break-glass, without approval", metrics.break_glass.clone());
        registry.register(
            "break_glass_unreviewed",
            "Number of break-glass accesses that nobody has reviewed",
            metrics.break_glass_unreviewed.clone(),
        );
        registry.register(
            "emergency_account_uses",
            "Number of objects that emergency accounts have created",
            metrics.emergency_account_uses.clone(),
        );
        registry.register(
            "emergency_account_last_use_timestamp_seconds",
            "When a use of an emergency account was told last, in seconds since 1970; 0 if never",
            metrics.emergency_account_last_use.clone(),
        );
        registry.register(
            "roles_without_holder",
            "Number of roles that protect their last holder and that nobody is eligible for",
            metrics.roles_without_holder.clone(),
        );
        metrics.register_notifications();
        metrics.register_traces();
        let registry = &mut metrics.registry;
        registry.register("panics", "Number of panics in the work for one object; the work is tried again", metrics.panics.counter());
        registry.register("leader", "1 while this replica holds the lease", metrics.leads.clone());
        metrics
    }
}

/// Seconds from one time to another for a histogram; zero if the second is not later.
#[allow(clippy::cast_precision_loss)]
pub fn seconds_between(from: Time, to: Time) -> f64 {
    to.millis_since(from).max(0) as f64 / 1000.0
}

impl Metrics {
    fn register_notifications(&mut self) {
        let registry = &mut self.registry;
        registry.register("notifications_sent", "Number of notifications that a channel has taken", self.notifications_sent.clone());
        registry.register("notifications_lost", "Number of notifications that were given up", self.notifications_lost.clone());
        registry.register(
            "notifications_failures",
            "Number of attempts to deliver a notification that failed",
            self.notifications_failures.clone(),
        );
        registry.register(
            "notifications_suppressed",
            "Number of notifications that a recipient was not sent because of maxPerHour",
            self.notifications_suppressed.clone(),
        );
        registry.register(
            "notifications_oldest_seconds",
            "Seconds that the oldest notification has waited for its channel",
            self.notifications_oldest.clone(),
        );
    }

    fn register_traces(&mut self) {
        let registry = &mut self.registry;
        registry.register("trace_spans", "Number of spans that the collector has taken", self.trace_spans.clone());
        registry.register("trace_spans_lost", "Number of spans that were lost, by reason", self.trace_spans_lost.clone());
        // Of a series that begins with its first value, Prometheus sees no increase.
        for reason in SpanLoss::ALL {
            drop(self.trace_spans_lost.get_or_create(&SpanLossLabel { reason }));
        }
        registry.register("trace_export_failures", "Number of exports of spans that failed", self.trace_export_failures.clone());
    }

    /// Counts spans that are lost.
    pub fn lose_spans(&self, reason: SpanLoss, count: u64) {
        if count > 0 {
            self.trace_spans_lost.get_or_create(&SpanLossLabel { reason }).inc_by(count);
        }
    }

    /// Returns all metrics in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        if encode(&mut out, &self.registry).is_err() {
            out.clear();
        }
        out
    }
}
