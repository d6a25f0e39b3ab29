//! A proposed role.
use super::{find, format_of, or_dash, render};
use crate::{
    output::document::{Column, Document, List},
    report::Report,
    rightsize::outline::Permission,
    serve::{
        query::{Form, Query, View},
        systems::{Missing, Systems},
        views::Answer,
    },
};
use serde_json::json;

/// The least role for an identity, with its evidence. Nothing is applied.
pub(super) fn propose(systems: &dyn Systems, system: &str, report: &Report, query: &Query) -> Result<Answer, Missing> {
    let row = find(report, query)?;
    let proposal = systems.rightsize(system, row, &query.rightsize())?;
    if query.form == Form::Yaml {
        return Ok(Answer { form: Form::Yaml, body: proposal.outline.yaml() });
    }
    let value = json!({
        "format": format_of(View::Rightsize), "system": system, "identity": row.name, "kind": row.kind,
        "proposal": proposal.details,
        "documents": proposal.outline.documents.iter().map(|(_, document)| document).collect::<Vec<_>>(),
    });
    let evidence = |of: &Permission| {
        vec![
            of.permission.clone(),
            of.places.clone(),
            of.why.clone(),
            or_dash(of.days.map(|days| days.to_string())),
            or_dash(of.last_used.clone()),
        ]
    };
    let single = |heading: &str, name, texts: &[String], empty| List {
        heading: heading.into(),
        columns: vec![Column::text(name, name)],
        rows: texts.iter().map(|text| vec![text.clone()]).collect(),
        empty,
        ..List::default()
    };
    render(query, &value, || Document {
        title: format!("The least role for {} in {system}", row.name),
        facts: proposal.facts.clone(),
        lists: vec![
            List {
                heading: "Permissions, and why each is in it".into(),
                columns: vec![
                    Column::text("permission", "permission"),
                    Column::text("place", "in"),
                    Column::text("why", "why"),
                    Column::number("days", "days"),
                    Column::text("last_used", "last used"),
                ],
                rows: proposal.outline.permissions.iter().map(evidence).collect(),
                empty: "nothing was used, so no role is proposed",
                ..List::default()
            },
            single("Existing roles that cover it", "role", &proposal.existing, "none"),
            single("Replaces this standing access", "access", &proposal.outline.replaces, "nothing"),
            single("Know before you apply it", "note", &proposal.outline.notes, "nothing"),
        ],
        verbatim: Some(("To review and apply; nothing was applied", proposal.outline.yaml())),
        ..Document::default()
    })
}
