//! The answers. Each is a pure function of what the systems give and of the question.
mod findings;
mod history;
mod identities;
mod permissions;
mod rightsize;
mod tasks;

use super::{
    query::{Form, Query, View},
    systems::{Analysis, Missing, System, Systems},
};
use crate::{
    history::DailyScore,
    output::{
        csv,
        document::{Column, Document, List},
        html, table,
    },
    report::{Report, Row, WindowSummary},
};
use serde::Serialize;
use serde_json::json;

/// How many rows a text shows if no limit is given.
const ROWS_OF_TEXT: usize = 50;
/// How many rows a page shows if no limit is given.
const ROWS_OF_PAGE: usize = 1_000;
/// How many rows an answer has at most if no limit is given.
const MAX_ROWS: usize = 200_000;
/// How many days a history has if it is not asked for more.
pub(crate) const DAYS: u32 = 90;

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Its form.
    pub form: Form,
    /// Its text.
    pub body: String,
}

impl Query {
    /// How many rows an answer has.
    fn rows(&self) -> usize {
        self.limit.unwrap_or(match self.form {
            Form::Table | Form::Yaml => ROWS_OF_TEXT,
            Form::Html => ROWS_OF_PAGE,
            Form::Json | Form::Csv => MAX_ROWS,
        })
    }
}

/// Rows up to the limit, and how many there are more.
struct Limited<T> {
    rows: Vec<T>,
    more: usize,
}

impl<T> Limited<T> {
    /// Takes the first ones. A CSV has no place for the number of those left out, so without a limit of the caller's own it has all or fails.
    fn new(mut rows: Vec<T>, query: &Query) -> Result<Self, Missing> {
        let more = rows.len().saturating_sub(query.rows());
        if more > 0 && query.limit.is_none() && query.form == Form::Csv {
            let most = query.rows();
            return Err(Missing::Invalid(format!("there are more than {most} rows: add a filter, or limit= with a number of rows")));
        }
        rows.truncate(query.rows());
        Ok(Self { rows, more })
    }
}

/// An answer in the form that is asked for.
fn render(query: &Query, value: &impl Serialize, document: impl FnOnce() -> Document) -> Result<Answer, Missing> {
    let body = match query.form {
        Form::Json => serde_json::to_string_pretty(value).map_err(|e| Missing::Failed(format!("cannot write JSON: {e}")))? + "\n",
        Form::Table | Form::Yaml => document().text(),
        Form::Csv => document().csv(),
        Form::Html => document().html(),
    };
    Ok(Answer { form: query.form, body })
}

/// The version of the JSON of a view.
fn format_of(view: View) -> String {
    format!("curfew.dev/pci-{}/1", view.name())
}

/// A number, or a dash.
fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// A window, in words.
fn window_in_words(window: &WindowSummary) -> String {
    format!("{} until {}", html::days(window.days), window.until)
}

/// How much of a window the logs cover, in words.
fn confidence_in_words(window: &WindowSummary) -> String {
    format!("{:.2}: events on {} of {}", window.confidence, window.covered_days, html::days(window.days))
}

/// A change of a score, with its sign.
fn signed(change: Option<i16>) -> String {
    change.map_or_else(|| "-".into(), |change| if change > 0 { format!("+{change}") } else { change.to_string() })
}

/// The systems that the caller may read.
///
/// # Errors
/// If they cannot be written.
pub fn systems(systems: &[System], query: &Query) -> Result<Answer, Missing> {
    let value = json!({"format": format_of(View::Systems), "items": systems});
    let row = |system: &System| {
        vec![
            system.name.clone(),
            system.provider.clone(),
            or_dash(system.score),
            or_dash(system.band),
            signed(system.change_7d),
            or_dash(system.confidence.map(|confidence| format!("{confidence:.2}"))),
            or_dash(system.evaluated_at.clone()),
            system.problem.clone().unwrap_or_default(),
        ]
    };
    render(query, &value, || Document {
        title: "Permission Creep Index by system".into(),
        lists: vec![List {
            heading: "Systems".into(),
            columns: vec![
                Column::text("system", "system"),
                Column::text("provider", "provider"),
                Column::number("score", "score"),
                Column::text("band", "band"),
                Column::number("change_7d", "7 days"),
                Column::number("confidence", "confidence"),
                Column::text("evaluated_at", "evaluated"),
                Column::text("problem", "problem"),
            ],
            rows: systems.iter().map(row).collect(),
            empty: "no system that you may read is analysed",
            ..List::default()
        }],
        ..Document::default()
    })
}

/// The answer about one system.
///
/// # Errors
/// If there is no such system or identity, or the question has no answer.
pub fn answer(systems: &dyn Systems, system: &str, view: View, query: &Query) -> Result<Answer, Missing> {
    let at = || systems.analysis(system);
    match view {
        View::Systems => self::systems(&systems.list(), query),
        View::Report => report(systems, system, at()?.report(), query),
        View::Summary => tasks::summary(system, &*at()?, query),
        View::Identities => identities::list(system, at()?.report(), query),
        View::Identity => identities::one(systems, system, &*at()?, query),
        View::Permissions | View::Unused => permissions::list(system, &*at()?, view, query),
        View::Tasks => tasks::tasks(system, &*at()?, query),
        View::Resources => tasks::resources(system, &*at()?, query),
        View::Findings => findings::list(system, at()?.report(), query),
        View::History => history::list(systems, system, query),
        View::Rightsize => rightsize::propose(systems, system, at()?.report(), query),
    }
}

fn report(systems: &dyn Systems, system: &str, report: &Report, query: &Query) -> Result<Answer, Missing> {
    let body = match query.form {
        Form::Json => serde_json::to_string_pretty(report).map_err(|e| Missing::Failed(format!("cannot write JSON: {e}")))? + "\n",
        Form::Table | Form::Yaml => table::table(report),
        Form::Csv => csv::csv(report),
        Form::Html => html::with_history(report, Some(system), &points(&systems.history(system, DAYS)?)),
    };
    Ok(Answer { form: query.form, body })
}

/// Days and scores for a chart.
fn points(days: &[DailyScore]) -> Vec<(i64, u8)> {
    days.iter().map(|day| (i64::from(day.day.0), day.score)).collect()
}

/// The identity that a question names.
fn find<'a>(report: &'a Report, query: &Query) -> Result<&'a Row, Missing> {
    let name = query.identity.as_deref().unwrap_or_default();
    let named: Vec<&Row> =
        report.identities.iter().filter(|row| row.name == name && super::query::passes(&query.kinds, &row.kind)).collect();
    match named[..] {
        [row] => Ok(row),
        [] => {
            let part = name.to_lowercase();
            let similar = report.identities.iter().filter(|row| !row.built_in && row.name.to_lowercase().contains(&part));
            let similar: Vec<&str> = similar.map(|row| row.name.as_str()).take(3).collect();
            let hint = if similar.is_empty() { String::new() } else { format!("; there is {}", similar.join(", ")) };
            Err(Missing::Identity(format!("no identity is called {name}{hint}; the list of identities has all names")))
        }
        _ => {
            let kinds: Vec<String> = named.iter().map(|row| super::query::wire(&row.kind)).collect();
            Err(Missing::Invalid(format!("{name} is the name of several identities: add kind={}", kinds.join(" or kind="))))
        }
    }
}

/// Every permission of an identity, those that matter most first.
fn permissions_of(analysis: &dyn Analysis, row: &Row) -> Result<Vec<crate::details::PermissionUse>, Missing> {
    let mut all = analysis.permissions(row)?;
    all.sort_by(|a, b| a.state.cmp(&b.state).then(b.weight.total_cmp(&a.weight)).then_with(|| a.permission.cmp(&b.permission)));
    Ok(all)
}
