//! The dashboards of Grafana: what Curfew does and whether it does it in time, from its own metrics. There are no users in metrics, so who
//! holds what is asked of the API server, by the commands that the dashboards name.
use serde_json::{Value, json};

/// How a panel shows its queries.
enum Show {
    /// The last value, green, and red from this value on.
    RedFrom(f64),
    /// The last value, red, and green from this value on.
    GreenFrom(f64),
    /// Lines over time, in this unit of Grafana.
    Lines(&'static str),
    /// Lines over time, one on top of the other.
    Stacked,
}

struct Panel {
    title: &'static str,
    /// What it means, and what to do if it is not as it should be.
    says: &'static str,
    show: Show,
    /// PromQL, and the legend. Each is over all replicas.
    queries: &'static [(&'static str, &'static str)],
}

const OPERATIONS: &[Panel] = &[
    Panel {
        title: "Overdue Grants",
        says: "Access past its deadline that is not proven gone. Above zero for two minutes is the alert CurfewGrantOverdue.",
        show: Show::RedFrom(1.0),
        queries: &[("max(curfew_grants_overdue)", "overdue")],
    },
    Panel {
        title: "Admission enforced",
        says: "1 while the admission policies are proven to be in force. At 0 nothing is granted.",
        show: Show::GreenFrom(1.0),
        queries: &[("max(curfew_admission_enforced)", "enforced")],
    },
    Panel {
        title: "Leader",
        says: "The replicas that hold the lease: 1. At 0 nothing is granted, and every replica revokes.",
        show: Show::GreenFrom(1.0),
        queries: &[("sum(curfew_leader)", "leader")],
    },
    Panel {
        title: "Panics in a day",
        says: "Each is a defect that concerns one object; its work is tried again. The log has the object.",
        show: Show::RedFrom(1.0),
        queries: &[("sum(increase(curfew_panics_total[1d])) or vector(0)", "panics")],
    },
    Panel {
        title: "Time from a deadline to the proof that the access is gone",
        says: "By how much access outlasts its deadline. Above 5 s at p99 is the alert CurfewRevocationSlow.",
        show: Show::Lines("s"),
        queries: &[
            ("histogram_quantile(0.5, sum by (le) (rate(curfew_revocation_lag_seconds_bucket[$__rate_interval])))", "p50"),
            ("histogram_quantile(0.99, sum by (le) (rate(curfew_revocation_lag_seconds_bucket[$__rate_interval])))", "p99"),
        ],
    },
    Panel {
        title: "Attempts to revoke that failed",
        says: "Attempts that failed or did not remove everything. They are repeated until the access is gone.",
        show: Show::Lines("short"),
        queries: &[("sum(increase(curfew_revocation_failures_total[$__rate_interval]))", "failed")],
    },
    Panel {
        title: "Age of the oldest watch",
        says: "Since the API server last answered. Deadlines are kept without it; early ends are seen late.",
        show: Show::Lines("s"),
        queries: &[("max by (pod) (curfew_watch_age_seconds)", "{{pod}}")],
    },
    Panel {
        title: "Sweep",
        says: "Bindings without a Grant: removed, or kept because so many at once suggest that Grants are missing.",
        show: Show::Lines("short"),
        queries: &[("sum(increase(curfew_swept_total[$__rate_interval]))", "removed"), ("max(curfew_sweep_held_back)", "kept")],
    },
    Panel {
        title: "Audit records that wait for a sink",
        says: "They are in memory. At 10,000, requests and decisions wait, too.",
        show: Show::Lines("short"),
        queries: &[("max by (pod) (curfew_audit_backlog)", "{{pod}}")],
    },
    Panel {
        title: "Deliveries to an audit sink that failed",
        says: "While a sink takes no records, nothing new is granted.",
        show: Show::Lines("short"),
        queries: &[("sum(increase(curfew_audit_failures_total[$__rate_interval]))", "failed")],
    },
    Panel {
        title: "Notifications",
        says: "Nothing waits for them. What is lost was given up after an hour, or was too much (the alert CurfewNotificationsUndelivered); what is held back is beyond maxPerHour of its recipient, who gets a summary.",
        show: Show::Lines("short"),
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
        show: Show::Lines("s"),
        queries: &[("max by (pod) (curfew_notifications_oldest_seconds)", "{{pod}}")],
    },
];

const ACCESS: &[Panel] = &[
    Panel {
        title: "Live Grants",
        says: "Access that is there now. kubectl get grt shows who holds what, and until when.",
        show: Show::GreenFrom(0.0),
        queries: &[("max(curfew_grants_active)", "live")],
    },
    Panel {
        title: "Requests that wait for approval",
        says: "kubectl curfew list --waiting-for-me -A is the queue of an approver.",
        show: Show::GreenFrom(0.0),
        queries: &[("max(curfew_requests{state=\"AwaitingApproval\"}) or vector(0)", "waiting")],
    },
    Panel {
        title: "Activations in a day",
        says: "Requests whose access was seen at the target.",
        show: Show::GreenFrom(0.0),
        queries: &[("sum(increase(curfew_activation_duration_seconds_count[1d])) or vector(0)", "activated")],
    },
    Panel {
        title: "Break-glass",
        says: "Access that began without approval: what nobody has reviewed (the alert CurfewBreakGlass), and what began in a day. kubectl curfew list --waiting-for-me -A shows an approver what to review; a manager finds it by the condition ReviewRequired of requests.",
        show: Show::RedFrom(1.0),
        queries: &[
            ("max(curfew_break_glass_unreviewed)", "not reviewed"),
            ("sum(increase(curfew_break_glass_activations_total[1d])) or vector(0)", "in a day"),
        ],
    },
    Panel {
        title: "Emergency accounts",
        says: "Objects that emergency accounts (spec.emergencyAccounts of an AuthorizationSystem) have created in a day, and how long ago the last one was, if ever (the alert CurfewEmergencyAccountUsed). What they do elsewhere is in the audit log of the API server alone.",
        show: Show::RedFrom(1.0),
        queries: &[
            ("sum(increase(curfew_emergency_account_uses_total[1d])) or vector(0)", "objects in a day"),
            ("sum(time() - max(curfew_emergency_account_last_use_timestamp_seconds) < bool 86400) or vector(0)", "used in a day"),
        ],
    },
    Panel {
        title: "Roles without a holder",
        says: "Roles with assignment.protectLastHolder for which no assignment makes a user or a group eligible (the alert CurfewRoleWithoutHolder).",
        show: Show::RedFrom(1.0),
        queries: &[("max(curfew_roles_without_holder)", "roles")],
    },
    Panel {
        title: "Requests by state",
        says: "Requests that exist, ended ones until they are deleted (spec.ttlAfterFinished).",
        show: Show::Stacked,
        queries: &[("max by (state) (curfew_requests)", "{{state}}")],
    },
    Panel {
        title: "Live Grants over time",
        says: "Access that was there at a time, for all systems.",
        show: Show::Lines("short"),
        queries: &[("max(curfew_grants_active)", "live")],
    },
    Panel {
        title: "Time from a request to its access",
        says: "It includes the wait for approvers, and for the start of a scheduled request.",
        show: Show::Lines("s"),
        queries: &[
            ("histogram_quantile(0.5, sum by (le) (rate(curfew_activation_duration_seconds_bucket[$__rate_interval])))", "p50"),
            ("histogram_quantile(0.95, sum by (le) (rate(curfew_activation_duration_seconds_bucket[$__rate_interval])))", "p95"),
        ],
    },
    Panel {
        title: "Activations",
        says: "How many requests became active.",
        show: Show::Lines("short"),
        queries: &[("sum(increase(curfew_activation_duration_seconds_count[$__rate_interval]))", "activated")],
    },
];

/// Each dashboard by the name of its file, as JSON.
pub fn files() -> [(&'static str, String); 2] {
    [
        ("operations.json", dashboard("curfew-operations", "Curfew: operations", OPERATIONS)),
        ("access.json", dashboard("curfew-access", "Curfew: access", ACCESS)),
    ]
}

fn dashboard(uid: &str, title: &str, panels: &[Panel]) -> String {
    let source =
        json!({"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0});
    let document = json!({
        "uid": uid, "title": title, "tags": ["curfew"], "schemaVersion": 39, "version": 1, "editable": false, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "timezone": "utc",
        "templating": {"list": [source]},
        "panels": placed(panels),
    });
    serde_json::to_string_pretty(&document).expect("JSON is text") + "\n"
}

/// Panels with one value are four in a row, the others two.
fn placed(panels: &[Panel]) -> Vec<Value> {
    let (mut x, mut y, mut row) = (0, 0, 0);
    let mut place = |panel: &Panel| {
        let (width, height) = match panel.show {
            Show::RedFrom(_) | Show::GreenFrom(_) => (6, 4),
            Show::Lines(_) | Show::Stacked => (12, 8),
        };
        if x + width > 24 || (row != height && x > 0) {
            (x, y) = (0, y + row);
        }
        row = height;
        let at = json!({"x": x, "y": y, "w": width, "h": height});
        x += width;
        at
    };
    panels.iter().zip(1..).map(|(panel, id)| drawn(panel, id, &place(panel))).collect()
}

fn drawn(panel: &Panel, id: u32, place: &Value) -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let target = |(n, (query, legend)): (usize, &(&str, &str))| {
        let name = char::from(b"ABCDEFGH"[n % 8]).to_string();
        json!({"refId": name, "datasource": source, "expr": query, "legendFormat": legend})
    };
    let steps = |from: f64, below: &str, above: &str| json!([{"color": below, "value": null}, {"color": above, "value": from}]);
    let (kind, defaults, options) = match &panel.show {
        Show::RedFrom(from) => ("stat", json!({"thresholds": {"mode": "absolute", "steps": steps(*from, "green", "red")}}), stat()),
        Show::GreenFrom(from) => ("stat", json!({"thresholds": {"mode": "absolute", "steps": steps(*from, "red", "green")}}), stat()),
        Show::Lines(unit) => ("timeseries", json!({"unit": unit, "min": 0}), lines()),
        Show::Stacked => (
            "timeseries",
            json!({"unit": "short", "min": 0, "custom": {"fillOpacity": 20, "stacking": {"mode": "normal", "group": "A"}}}),
            lines(),
        ),
    };
    json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.says, "gridPos": place, "datasource": source,
        "targets": panel.queries.iter().enumerate().map(target).collect::<Vec<_>>(),
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
    })
}

fn stat() -> Value {
    json!({"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false}, "colorMode": "value", "graphMode": "none"})
}

fn lines() -> Value {
    json!({"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}})
}
