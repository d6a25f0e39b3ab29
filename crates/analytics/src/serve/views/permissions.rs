//! Permissions by identity: what is granted, what was used, what was not.
use super::{Limited, confidence_in_words, find, format_of, identities::is_listed, permissions_of, render, window_in_words};
use crate::{
    details::{Extent, PermissionUse, UseState},
    output::document::{Column, Document, List},
    report::Row,
    serve::{
        query::{Query, View, has_part, passes, wire},
        systems::{Analysis, Missing},
        views::Answer,
    },
};
use serde_json::json;

/// How many places are named in a cell.
const NAMED: usize = 3;

/// Places for people.
pub(super) fn extent(extent: &Extent) -> String {
    let Extent::Places(places) = extent else { return "everywhere".into() };
    match places.len() {
        0 => "nowhere".into(),
        n if n <= NAMED => places.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        n => format!("{} and {} more", places.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", "), n - NAMED),
    }
}

/// Whether the filters for permissions let one pass.
pub(super) fn is_asked_for(used: &PermissionUse, query: &Query) -> bool {
    let states = query.states.is_empty() || query.states.contains(&used.state);
    states && query.high_risk.is_none_or(|high| high == used.high_risk) && has_part(query.part.as_deref(), &used.permission)
}

/// The list.
pub(super) fn rows(heading: &str, all: Vec<(&Row, &PermissionUse)>, more: usize, with_identity: bool) -> List {
    let mut columns = vec![
        Column::text("permission", "permission"),
        Column::text("level", "level"),
        Column::csv("high_risk"),
        Column::number("weight", "weight"),
        Column::text("state", "state"),
        Column::text("granted", "granted in"),
        Column::text("used", "used in"),
        Column::text("last_used", "last used"),
        Column::text("by", "by"),
    ];
    if with_identity {
        columns
            .splice(0..0, [Column::text("identity", "identity"), Column::text("kind", "kind"), Column::csv("score"), Column::csv("band")]);
    }
    let cells = |(row, used): (&Row, &PermissionUse)| {
        let own = [
            used.permission.clone(),
            wire(&used.level),
            used.high_risk.to_string(),
            used.weight.to_string(),
            used.state.name().to_owned(),
            extent(&used.granted),
            extent(&used.used),
            used.last_used.clone().unwrap_or_else(|| "-".into()),
            used.by.join("; "),
        ];
        let identity = [
            row.name.clone(),
            row.kind.to_string(),
            row.score.map(|score| score.to_string()).unwrap_or_default(),
            row.band.map(|band| band.to_string()).unwrap_or_default(),
        ];
        identity.into_iter().filter(|_| with_identity).chain(own).collect()
    };
    List {
        heading: heading.into(),
        columns,
        rows: all.into_iter().map(cells).collect(),
        more,
        empty: "no permission matches",
        ..List::default()
    }
}

/// Permissions of one identity or of all, as the filters ask.
pub(super) fn list(system: &str, analysis: &dyn Analysis, view: View, query: &Query) -> Result<Answer, Missing> {
    let report = analysis.report();
    let mut query = query.clone();
    if view == View::Unused {
        query.states = [UseState::Unused, UseState::PartlyUsed].into();
    }
    let identities: Vec<&Row> = match &query.identity {
        Some(_) => vec![find(report, &query)?],
        None => report.identities.iter().filter(|row| is_listed(row, &query)).collect(),
    };
    // Rows beyond the limit are only counted, so that an answer does not grow with the system.
    let (mut kept, mut more) = (Vec::new(), 0);
    for row in identities {
        for used in permissions_of(analysis, row)?.into_iter().filter(|used| is_asked_for(used, &query)) {
            if kept.len() <= query.rows() { kept.push((row, used)) } else { more += 1 }
        }
    }
    let Limited { rows: kept, more: last } = Limited::new(kept, &query)?;
    let more = more + last;
    let items: Vec<_> = kept.iter().map(|(row, used)| Item { identity: &row.name, kind: row.kind, score: row.score, used }).collect();
    let value = json!({"format": format_of(view), "system": system, "window": report.window, "items": items, "more": more});
    let heading = match view {
        View::Unused => "Permissions that are not used everywhere they are granted",
        _ => "Permissions",
    };
    let what = if view == View::Unused { "Unused permissions" } else { "Permissions" };
    render(&query, &value, || Document {
        title: format!("{what} of {system} in {}", window_in_words(&report.window)),
        facts: vec![("confidence", confidence_in_words(&report.window))],
        lists: vec![rows(heading, kept.iter().map(|(row, used)| (*row, used)).collect(), more, true)],
        ..Document::default()
    })
}

/// A permission with its identity, as JSON.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    identity: &'a str,
    kind: crate::report::IdentityKind,
    score: Option<u8>,
    #[serde(flatten)]
    used: &'a PermissionUse,
}

/// Whether the filters let an identity pass. Without a filter for kinds, groups do not: their members are counted themselves.
pub(super) fn is_counted(row: &Row, query: &Query) -> bool {
    let by_default = !query.kinds.is_empty() || row.kind != crate::report::IdentityKind::Group;
    is_listed(row, query) && by_default && passes(&query.kinds, &row.kind)
}
