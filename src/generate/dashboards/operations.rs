//! Whether Curfew does its work, and in time.
use super::{Panel, Show};

/// The panels.
pub const PANELS: &[Panel] = &[
    Panel {
        title: "Overdue Grants",
        says: "Access past its deadline that is not proven gone. Above zero for two minutes is the alert CurfewGrantOverdue.",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[("max(curfew_grants_overdue)", "overdue")],
    },
    Panel {
        title: "Admission enforced",
        says: "1 while the admission policies are proven to be in force. At 0 nothing is granted.",
        unit: "none",
        show: Show::GreenFrom(1.0),
        queries: &[("max(curfew_admission_enforced)", "enforced")],
    },
    Panel {
        title: "Leader",
        says: "The replicas that hold the lease: 1. At 0 nothing is granted, and every replica revokes.",
        unit: "none",
        show: Show::GreenFrom(1.0),
        queries: &[("sum(curfew_leader)", "leader")],
    },
    Panel {
        title: "Panics in a day",
        says: "Each is a defect that concerns one object; its work is tried again. The log has the object.",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[("sum(increase(curfew_panics_total[1d])) or vector(0)", "panics")],
    },
    Panel {
        title: "Time from a deadline to the proof that the access is gone",
        says: "By how much access outlasts its deadline. Above 5 s at p99 is the alert CurfewRevocationSlow.",
        unit: "s",
        show: Show::Lines,
        queries: &[
            ("histogram_quantile(0.5, sum by (le) (rate(curfew_revocation_lag_seconds_bucket[$__rate_interval])))", "p50"),
            ("histogram_quantile(0.99, sum by (le) (rate(curfew_revocation_lag_seconds_bucket[$__rate_interval])))", "p99"),
        ],
    },
    Panel {
        title: "Attempts to revoke that failed",
        says: "Attempts that failed or did not remove everything. They are repeated until the access is gone.",
        unit: "none",
        show: Show::Lines,
        queries: &[("sum(increase(curfew_revocation_failures_total[$__rate_interval]))", "failed")],
    },
    Panel {
        title: "Age of the oldest watch",
        says: "Since the API server last answered. Deadlines are kept without it; early ends are seen late.",
        unit: "s",
        show: Show::Lines,
        queries: &[("max by (pod) (curfew_watch_age_seconds)", "{{pod}}")],
    },
    Panel {
        title: "Sweep",
        says: "Bindings without a Grant: removed, or kept because so many at once suggest that Grants are missing.",
        unit: "none",
        show: Show::Lines,
        queries: &[("sum(increase(curfew_swept_total[$__rate_interval]))", "removed"), ("max(curfew_sweep_held_back)", "kept")],
    },
    Panel {
        title: "Audit records that wait for a sink",
        says: "They are in memory. At 10,000, requests and decisions wait, too.",
        unit: "none",
        show: Show::Lines,
        queries: &[("max by (pod) (curfew_audit_backlog)", "{{pod}}")],
    },
    Panel {
        title: "Deliveries to an audit sink that failed",
        says: "While a sink takes no records, nothing new is granted.",
        unit: "none",
        show: Show::Lines,
        queries: &[("sum(increase(curfew_audit_failures_total[$__rate_interval]))", "failed")],
    },
    Panel {
        title: "Notifications",
        says: "Nothing waits for them. What is lost was given up after an hour, or was too much (the alert CurfewNotificationsUndelivered); what is held back is beyond maxPerHour of its recipient, who gets a summary.",
        unit: "none",
        show: Show::Lines,
        queries: &[
            ("sum(increase(curfew_notifications_sent_total[$__rate_interval]))", "sent"),
            ("sum(increase(curfew_notifications_failures_total[$__rate_interval]))", "failed attempts"),
            ("sum(increase(curfew_notifications_lost_total[$__rate_interval]))", "lost"),
            ("sum(increase(curfew_notifications_suppressed_total[$__rate_interval]))", "held back"),
        ],
    },
    Panel {
        title: "Oldest notification that waits",
        says: "How long it has waited for its channel. The condition NotificationsDelivered of CurfewConfig names the channel and the error.",
        unit: "s",
        show: Show::Lines,
        queries: &[("max by (pod) (curfew_notifications_oldest_seconds)", "{{pod}}")],
    },
    Panel {
        title: "Spans of traces",
        says: "Only where traces are on. Nothing waits for the collector: what it does not take after some tries, or what finds no place, is lost. The log has the error.",
        unit: "none",
        show: Show::Lines,
        queries: &[
            ("sum(increase(curfew_trace_spans_total[$__rate_interval]))", "taken"),
            ("sum(increase(curfew_trace_export_failures_total[$__rate_interval]))", "failed exports"),
            ("sum by (reason) (increase(curfew_trace_spans_lost_total[$__rate_interval]))", "lost: {{reason}}"),
        ],
    },
];
