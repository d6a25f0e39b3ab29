//! Findings with their evidence.
use super::{Limited, format_of, render};
use crate::{
    output::document::{Column, Document, List},
    report::{Finding, FindingType, Report},
    serve::{
        query::{Query, View, has_part, passes},
        systems::Missing,
        views::Answer,
    },
};
use serde_json::json;

/// The list.
pub(super) fn rows(all: &[&Finding], more: usize) -> List {
    let row = |finding: &&Finding| {
        vec![
            finding.severity.to_string(),
            finding.kind.title().to_owned(),
            finding.subject.clone(),
            finding.summary.clone(),
            finding.evidence.join("; "),
            finding.recommendation.clone(),
        ]
    };
    List {
        heading: "Findings".into(),
        columns: vec![
            Column::text("severity", "severity"),
            Column::text("type", "type"),
            Column::text("subject", "subject"),
            Column::text("summary", "finding"),
            Column::csv("evidence"),
            Column::text("recommendation", "recommendation"),
        ],
        rows: all.iter().map(row).collect(),
        more,
        empty: "no finding",
        ..List::default()
    }
}

/// The findings that the filters let pass, the gravest first.
pub(super) fn list(system: &str, report: &Report, query: &Query) -> Result<Answer, Missing> {
    let asked = |finding: &&Finding| {
        passes(&query.types, &finding.kind)
            && passes(&query.severities, &finding.severity)
            && has_part(query.part.as_deref(), &finding.subject)
    };
    let all: Vec<&Finding> = report.findings.iter().filter(asked).collect();
    let counts = FindingType::ALL.iter().map(|kind| {
        let number = all.iter().filter(|finding| finding.kind == *kind).count();
        vec![kind.severity().to_string(), kind.title().to_owned(), number.to_string()]
    });
    let counts: Vec<Vec<String>> = counts.filter(|row| row[2] != "0").collect();
    let Limited { rows: shown, more } = Limited::new(all, query)?;
    let value = json!({"format": format_of(View::Findings), "system": system, "items": shown, "more": more});
    render(query, &value, || Document {
        title: format!("Findings of {system}"),
        lists: vec![
            List {
                heading: "By type".into(),
                columns: vec![Column::text("severity", "severity"), Column::text("type", "type"), Column::number("count", "count")],
                rows: counts,
                empty: "no finding matches",
                ..List::default()
            },
            rows(&shown, more),
        ],
        main: 1,
        ..Document::default()
    })
}
