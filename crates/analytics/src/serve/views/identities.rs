//! Identities: the list, and one with everything about it.
use super::{DAYS, Limited, confidence_in_words, find, format_of, or_dash, permissions_of, render, window_in_words};
use crate::{
    output::document::{Column, Document, List},
    report::{Contribution, Finding, Report, Row},
    serve::{
        query::{IdentityState, Query, View, has_part, passes},
        systems::{Analysis, Missing, Systems},
        views::{Answer, findings, history, permissions},
    },
};
use serde_json::json;
use std::collections::BTreeSet;

/// The states of an identity.
fn states(row: &Row) -> BTreeSet<IdentityState> {
    let inactive = row.last_used.is_none() && row.permissions.granted > 0;
    [
        (row.last_used.is_some(), IdentityState::Active),
        (inactive, IdentityState::Inactive),
        (row.new, IdentityState::New),
        (row.excluded_from_pci, IdentityState::Excluded),
    ]
    .into_iter()
    .filter_map(|(is, state)| is.then_some(state))
    .collect()
}

/// Whether the filters for identities let one pass. What is tagged `ck_exclude_from_reports` is in no list.
pub(super) fn is_listed(row: &Row, query: &Query) -> bool {
    let band = query.bands.is_empty() || row.band.is_some_and(|band| query.bands.contains(&band));
    !row.excluded_from_reports && (query.built_in || !row.built_in) && band && passes(&query.kinds, &row.kind)
}

pub(super) fn note(row: &Row) -> String {
    let notes = [
        (row.new, "new"),
        (row.missing, "does not exist"),
        (row.members > 0 && !row.counted && !row.excluded_from_pci, "counted by its members"),
        (row.excluded_from_pci, "excluded from scores"),
        (row.built_in, "built in"),
    ];
    notes.iter().filter(|(is, _)| *is).map(|(_, note)| *note).collect::<Vec<_>>().join(", ")
}

/// The identities that the filters let pass, the highest score first.
pub(super) fn list(system: &str, report: &Report, query: &Query) -> Result<Answer, Missing> {
    let in_state = |row: &Row| query.identity_states.is_empty() || !states(row).is_disjoint(&query.identity_states);
    let named = |row: &Row| has_part(query.identity.as_deref(), &row.name);
    let all: Vec<&Row> = report.identities.iter().filter(|row| is_listed(row, query) && in_state(row) && named(row)).collect();
    let Limited { rows, more } = Limited::new(all, query)?;
    let value = json!({"format": format_of(View::Identities), "system": system, "items": rows, "more": more});
    let row = |row: &&Row| {
        vec![
            or_dash(row.score),
            or_dash(row.band),
            row.kind.to_string(),
            row.name.clone(),
            row.permissions.granted.to_string(),
            row.permissions.used.to_string(),
            row.permissions.high_risk_not_fully_used.to_string(),
            or_dash(row.last_used.clone()),
            row.escalation.clone().unwrap_or_default(),
            note(row),
        ]
    };
    render(query, &value, || Document {
        title: format!("Identities of {system}"),
        lists: vec![List {
            heading: "The highest score first".into(),
            columns: vec![
                Column::number("score", "score"),
                Column::text("band", "band"),
                Column::text("kind", "kind"),
                Column::text("name", "identity"),
                Column::number("permissions_granted", "granted"),
                Column::number("permissions_used", "used"),
                Column::number("high_risk_not_fully_used", "high-risk unused"),
                Column::text("last_used", "last used"),
                Column::text("escalation", "escalation"),
                Column::text("note", "note"),
            ],
            rows: rows.iter().map(row).collect(),
            more,
            empty: "no identity matches",
            ..List::default()
        }],
        ..Document::default()
    })
}

/// One identity: granted, used, unused, last used, why this score, and what was found.
pub(super) fn one(systems: &dyn Systems, system: &str, analysis: &dyn Analysis, query: &Query) -> Result<Answer, Missing> {
    let report = analysis.report();
    let row = find(report, query)?;
    let all = permissions_of(analysis, row)?;
    let found: Vec<&Finding> = report.findings.iter().filter(|finding| finding.subject == row.name).collect();
    let changes = systems.history_of(system, row)?;
    let value = json!({
        "format": format_of(View::Identity), "system": system, "window": report.window, "identity": row, "permissions": all,
        "findings": found, "history": changes, "since": crate::history::since(&changes),
    });
    let shown = Limited::new(all.iter().map(|used| (row, used)).collect(), query)?;
    let window = &report.window;
    render(query, &value, || {
        let counts = &row.permissions;
        let unused = counts.granted.saturating_sub(counts.used + counts.not_shown);
        let mut facts = vec![
            ("score", format!("{}{}", or_dash(row.score), row.band.map(|band| format!(" ({band})")).unwrap_or_default())),
            ("in this band since", or_dash(history::since_in_words(&changes))),
            ("kind", row.kind.to_string()),
            ("granted", format!("{} permissions, {:.1} % of what an administrator holds", counts.granted, row.granted_share * 100.0)),
            ("used", format!("{} of them", counts.used)),
            ("unused", format!("{unused}; {} high-risk ones are not used everywhere", counts.high_risk_not_fully_used)),
            ("not shown", format!("{}: no request would show a use", counts.not_shown)),
            ("last used", row.last_used.clone().unwrap_or_else(|| format!("not in {}", window_in_words(window)))),
            ("confidence", confidence_in_words(window)),
        ];
        facts.retain(|(label, _)| *label != "not shown" || counts.not_shown > 0);
        facts.extend(row.escalation.clone().map(|method| ("escalation", method)));
        facts.extend(Some(note(row)).filter(|note| !note.is_empty()).map(|note| ("note", note)));
        let mut lists = vec![because(&row.because), permissions::rows("Permissions", shown.rows, shown.more, false)];
        lists.push(findings::rows(&found, 0));
        lists.push(history::rows_of(&changes, history::last_day(&window.until), query.days.unwrap_or(DAYS)));
        Document { title: format!("{} in {system}", row.name), facts, lists, main: 1, ..Document::default() }
    })
}

fn because(parts: &[Contribution]) -> List {
    let row = |part: &Contribution| {
        vec![format!("{:.1} %", part.share * 100.0), part.permission.clone(), part.granted.clone(), part.used.clone(), part.by.clone()]
    };
    List {
        heading: "Why this score".into(),
        columns: vec![
            Column::number("share", "share"),
            Column::text("permission", "permission"),
            Column::text("granted", "granted in"),
            Column::text("used", "used in"),
            Column::text("by", "by"),
        ],
        rows: parts.iter().map(row).collect(),
        empty: "nothing is unused",
        ..List::default()
    }
}
