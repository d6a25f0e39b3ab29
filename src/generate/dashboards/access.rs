//! What access there is, and how it comes about.
use super::{Panel, Show};

/// The panels.
pub const PANELS: &[Panel] = &[
    Panel {
        title: "Live Grants",
        says: "Access that is there now. kubectl get grt shows who holds what, and until when.",
        unit: "none",
        show: Show::GreenFrom(0.0),
        queries: &[("max(curfew_grants_active)", "live")],
    },
    Panel {
        title: "Requests that wait for approval",
        says: "kubectl curfew list --waiting-for-me -A is the queue of an approver.",
        unit: "none",
        show: Show::GreenFrom(0.0),
        queries: &[("max(curfew_requests{state=\"AwaitingApproval\"}) or vector(0)", "waiting")],
    },
    Panel {
        title: "Activations in a day",
        says: "Requests whose access was seen at the target.",
        unit: "none",
        show: Show::GreenFrom(0.0),
        queries: &[("sum(increase(curfew_activation_duration_seconds_count[1d])) or vector(0)", "activated")],
    },
    Panel {
        title: "Break-glass",
        says: "Access that began without approval: what nobody has reviewed (the alert CurfewBreakGlass), and what began in a day. kubectl curfew list --waiting-for-me -A shows an approver what to review; a manager finds it by the condition ReviewRequired of requests.",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[
            ("max(curfew_break_glass_unreviewed)", "not reviewed"),
            ("sum(increase(curfew_break_glass_activations_total[1d])) or vector(0)", "in a day"),
        ],
    },
    Panel {
        title: "Emergency accounts",
        says: "Objects that emergency accounts (spec.emergencyAccounts of an AuthorizationSystem) have created in a day, and how long ago the last one was, if ever (the alert CurfewEmergencyAccountUsed). What they do elsewhere is in the audit log of the API server alone.",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[
            ("sum(increase(curfew_emergency_account_uses_total[1d])) or vector(0)", "objects in a day"),
            ("sum(time() - max(curfew_emergency_account_last_use_timestamp_seconds) < bool 86400) or vector(0)", "used in a day"),
        ],
    },
    Panel {
        title: "Roles without a holder",
        says: "Roles with assignment.protectLastHolder for which no assignment makes a user or a group eligible (the alert CurfewRoleWithoutHolder).",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[("max(curfew_roles_without_holder)", "roles")],
    },
    Panel {
        title: "Requests by state",
        says: "Requests that exist, ended ones until they are deleted (spec.ttlAfterFinished).",
        unit: "none",
        show: Show::Stacked,
        queries: &[("max by (state) (curfew_requests)", "{{state}}")],
    },
    Panel {
        title: "Live Grants over time",
        says: "Access that was there at a time, for all systems.",
        unit: "none",
        show: Show::Lines,
        queries: &[("max(curfew_grants_active)", "live")],
    },
    Panel {
        title: "Time from a request to its access",
        says: "It includes the wait for approvers, and for the start of a scheduled request.",
        unit: "s",
        show: Show::Lines,
        queries: &[
            ("histogram_quantile(0.5, sum by (le) (rate(curfew_activation_duration_seconds_bucket[$__rate_interval])))", "p50"),
            ("histogram_quantile(0.95, sum by (le) (rate(curfew_activation_duration_seconds_bucket[$__rate_interval])))", "p95"),
        ],
    },
    Panel {
        title: "Activations",
        says: "How many requests became active.",
        unit: "none",
        show: Show::Lines,
        queries: &[("sum(increase(curfew_activation_duration_seconds_count[$__rate_interval]))", "activated")],
    },
];
