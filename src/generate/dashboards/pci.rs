//! How much privilege goes unused, and whether that is known: the metrics of `curfew-analytics run`.
use super::{Panel, Show};

/// What metrics cannot say, since no label has the name of an identity.
const IDENTITIES: &str = "\
Metrics have no names of identities. Ask for them; RBAC on the system decides who may:

| Question | Command |
|---|---|
| Which identities changed most in a week, or in a month? | `kubectl curfew history -s SYSTEM --days 7`, `kubectl curfew history -s SYSTEM --days 30` |
| Which have the highest scores? | `kubectl curfew pci SYSTEM` |
| When did the score of one change, and what made it up? | `kubectl curfew history -s SYSTEM --identity NAME`, `kubectl curfew identity NAME -s SYSTEM` |
";

/// The panels.
pub const PANELS: &[Panel] = &[
    Panel {
        title: "Highest score",
        says: "The highest Permission Creep Index of the chosen systems. 0 to 33 is low, 34 to 67 medium, 68 to 100 high. It holds no system whose usage is not known.",
        unit: "none",
        show: Show::Score,
        queries: &[("max(curfew_pci_score{system=~\"$system\"})", "PCI")],
    },
    Panel {
        title: "Systems with a high score",
        says: "Systems whose score is 68 or more. kubectl curfew pci SYSTEM says what makes it up.",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[("count(max by (system) (curfew_pci_score{system=~\"$system\"}) >= 68) or vector(0)", "systems")],
    },
    Panel {
        title: "Identities with a high score",
        says: "Identities that hold much more power than they use. kubectl curfew usage identities --band high lists them.",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[("sum(curfew_pci_identities{system=~\"$system\",band=\"high\"}) or vector(0)", "identities")],
    },
    Panel {
        title: "Findings to act on now",
        says: "Findings of high severity, such as a way to escalate. kubectl curfew findings --severity high has the evidence and what to do.",
        unit: "none",
        show: Show::RedFrom(1.0),
        queries: &[("sum(curfew_pci_findings{system=~\"$system\",severity=\"high\"}) or vector(0)", "findings")],
    },
    Panel {
        title: "Heat map: score of each system over time",
        says: "Green is low, orange medium, red high. A gap: nothing was known about use, or curfew-analytics did not run.",
        unit: "none",
        show: Show::HeatMap,
        queries: &[("max by (system) (curfew_pci_score{system=~\"$system\"})", "{{system}}")],
    },
    Panel {
        title: "Score of each system, and its target",
        says: "The limits of the bands are at 34 and 68; a target (spec.analytics.targets.system) is a dashed line. A score also rises while Curfew grants access that is not used yet, and falls when that ends.",
        unit: "none",
        show: Show::Scores,
        queries: &[
            ("max by (system) (curfew_pci_score{system=~\"$system\"})", "{{system}}"),
            ("max by (system) (curfew_pci_target_limit{system=~\"$system\",target=\"system\"})", "{{system}} target"),
        ],
    },
    Panel {
        title: "Targets that are exceeded",
        says: "By how many points the score of the system, or the highest score of an identity, is over its target, or how many super identities are too many. After a day it is the alert CurfewPciOverTarget.",
        unit: "none",
        show: Show::BarsRedFrom(1.0),
        queries: &[(
            "sort_desc(max by (system, target) (curfew_pci_target_value{system=~\"$system\"}) - max by (system, target) (curfew_pci_target_limit{system=~\"$system\"}) > 0)",
            "{{system}}: {{target}}",
        )],
    },
    Panel {
        title: "Rose most in 7 days",
        says: "By how many points. It is the difference to the last score of that day, which curfew-analytics keeps, so it does not depend on how long Prometheus keeps data.",
        unit: "none",
        show: Show::Movers("red"),
        queries: &[("topk(10, max by (system) (curfew_pci_score_change{system=~\"$system\",days=\"7\"}) > 0)", "{{system}}")],
    },
    Panel {
        title: "Fell most in 7 days",
        says: "By how many points. A new version of the catalogue changes scores, too: kubectl curfew history -s SYSTEM says so.",
        unit: "none",
        show: Show::Movers("green"),
        queries: &[("topk(10, -min by (system) (curfew_pci_score_change{system=~\"$system\",days=\"7\"}) > 0)", "{{system}}")],
    },
    Panel {
        title: "Rose most in 30 days",
        says: "By how many points. A system without a score from then is not shown.",
        unit: "none",
        show: Show::Movers("red"),
        queries: &[("topk(10, max by (system) (curfew_pci_score_change{system=~\"$system\",days=\"30\"}) > 0)", "{{system}}")],
    },
    Panel {
        title: "Fell most in 30 days",
        says: "By how many points. A system without a score from then is not shown.",
        unit: "none",
        show: Show::Movers("green"),
        queries: &[("topk(10, -min by (system) (curfew_pci_score_change{system=~\"$system\",days=\"30\"}) > 0)", "{{system}}")],
    },
    Panel {
        title: "Top movers among identities",
        says: "Names of identities are in no metric. These commands show them to those who may read the system.",
        unit: "none",
        show: Show::Text(IDENTITIES),
        queries: &[],
    },
    Panel {
        title: "Identities by band",
        says: "How many identities have a score in each band, over time. Identities that are left out (ck_exclude_from_pci) have no score.",
        unit: "none",
        show: Show::Stacked,
        queries: &[("sum by (band) (curfew_pci_identities{system=~\"$system\"})", "{{band}}")],
    },
    Panel {
        title: "Identities by kind and band",
        says: "Now. Kinds are human, workload and group; in AWS also role, function and accessKey.",
        unit: "none",
        show: Show::Levels,
        queries: &[("sort_desc(sum by (kind, band) (curfew_pci_identities{system=~\"$system\"}) > 0)", "{{kind}}, {{band}}")],
    },
    Panel {
        title: "Findings by severity",
        says: "High: act now. Medium: act soon. Low: tidy up. Types that rest on use are left out while nothing is known about use.",
        unit: "none",
        show: Show::Stacked,
        queries: &[("sum by (severity) (curfew_pci_findings{system=~\"$system\"})", "{{severity}}")],
    },
    Panel {
        title: "Findings by type and severity",
        says: "Now. kubectl curfew findings --type TYPE lists those of a type with their evidence.",
        unit: "none",
        show: Show::Levels,
        queries: &[("sort_desc(sum by (type, severity) (curfew_pci_findings{system=~\"$system\"}) > 0)", "{{type}}, {{severity}}")],
    },
    Panel {
        title: "Share of the window of which use is known",
        says: "Below 100 %, what looks unused may be used on the other days: remove nothing for lack of use yet. It grows by a day each day after a source was set up.",
        unit: "percentunit",
        show: Show::BarsGreenFrom(1.0),
        queries: &[("sort(min by (system) (curfew_pci_confidence{system=~\"$system\"}))", "{{system}}")],
    },
    Panel {
        title: "Age of the newest event",
        says: "A cluster is never silent, since its components renew leases: from 6 h on the source does not deliver. Of an account without a call that may be in order.",
        unit: "s",
        show: Show::BarsRedFrom(21_600.0),
        queries: &[(
            "sort_desc(time() - max by (system) (curfew_analytics_newest_event_timestamp_seconds{system=~\"$system\"}))",
            "{{system}}",
        )],
    },
    Panel {
        title: "What is known",
        says: "Green while both are read as they should be: who may do what, and who did what. The conditions InventoryFresh and UsageFresh of the AuthorizationSystem have the reason. Systems without a source of usage are not shown.",
        unit: "none",
        show: Show::States,
        queries: &[(
            "min by (system) (curfew_analytics_inventory_fresh{system=~\"$system\"}) * min by (system) (curfew_analytics_usage_fresh{system=~\"$system\"})",
            "{{system}}",
        )],
    },
    Panel {
        title: "Age of the last result",
        says: "Each system is analysed hourly (--every), and after changes of roles and bindings. From 3 h on it is the alert CurfewAnalyticsOutdated an hour later.",
        unit: "s",
        show: Show::BarsRedFrom(10_800.0),
        queries: &[(
            "sort_desc(time() - max by (system) (curfew_analytics_evaluated_timestamp_seconds{system=~\"$system\"}))",
            "{{system}}",
        )],
    },
    Panel {
        title: "Events by outcome",
        says: "stored: counted. duplicate: came again, and counted once. late: kept, but not counted, since it may be known. expired: older than what is kept. future: more than a day ahead. broken: not readable.",
        unit: "none",
        show: Show::Lines,
        queries: &[("sum by (outcome) (increase(curfew_analytics_events_total{system=~\"$system\"}[$__rate_interval]))", "{{outcome}}")],
    },
    Panel {
        title: "Refused deliveries, and analyses that failed",
        says: "Of the chosen systems. An API server drops audit events whose delivery is refused for about half a minute: the alert CurfewAuditEventsRefused names the system. The log of curfew-analytics has the reason of each.",
        unit: "none",
        show: Show::Lines,
        queries: &[
            ("sum(increase(curfew_analytics_audit_refused_total{system=~\"$system\"}[$__rate_interval])) or vector(0)", "refused"),
            ("sum(increase(curfew_analytics_failures_total{system=~\"$system\"}[$__rate_interval])) or vector(0)", "failed"),
        ],
    },
    Panel {
        title: "Size of the usage store",
        says: "It follows from the number of different uses on a day, and keeps 100 days of them. The file does not become smaller. Its volume is analytics.storage.size of the chart.",
        unit: "bytes",
        show: Show::Lines,
        queries: &[("max(curfew_analytics_store_bytes)", "store")],
    },
    Panel {
        title: "Work",
        says: "Identities that were scored again because their holdings or the catalogue changed, and events of which the store keeps less because one of its limits is reached (docs/analytics-store.md).",
        unit: "none",
        show: Show::Lines,
        queries: &[
            ("sum(increase(curfew_analytics_scored_identities_total{system=~\"$system\"}[$__rate_interval]))", "identities scored"),
            ("sum(increase(curfew_analytics_events_reduced_total{system=~\"$system\"}[$__rate_interval]))", "events kept in part"),
        ],
    },
];
