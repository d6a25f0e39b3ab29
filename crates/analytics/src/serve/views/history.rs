//! Scores by day.
use super::{DAYS, find, format_of, or_dash, points, render, signed};
use crate::{
    bands::Band,
    history::{Change, DailyScore, Day, Moved, Point, change, moved, since},
    output::{
        charts,
        document::{Column, Document, List},
        html,
    },
    report::IdentityKind,
    serve::{
        query::{Query, View},
        systems::{Missing, Systems},
        views::Answer,
    },
};
use serde::Serialize;
use serde_json::json;
use std::cmp::Reverse;

/// How many identities are listed whose scores moved.
const MOVERS: usize = 10;

/// The changes of an identity's score in the last days up to `until`, a point for each day.
pub(super) fn daily(changes: &[Point], until: Day, days: u32) -> Vec<(Day, Option<u8>)> {
    let first = until.back(days.saturating_sub(1)).0;
    let at = |day: u32| changes.iter().rfind(|point| point.day.0 <= day).filter(|point| point.exists);
    (first..=until.0).filter_map(|day| at(day).map(|point| (Day(day), point.score))).collect()
}

/// The scores of an identity by day.
pub(super) fn rows_of(changes: &[Point], until: Day, days: u32) -> List {
    let daily: Vec<(i64, u8)> = daily(changes, until, days).iter().filter_map(|(day, score)| Some((i64::from(day.0), (*score)?))).collect();
    let chart = (daily.len() > 1).then(|| charts::trend(&daily));
    let first = until.back(days.saturating_sub(1));
    let shown = |i: &usize| changes.get(i + 1).is_none_or(|next| next.day > first);
    let row = |i: usize| {
        let point = &changes[i];
        let before = i.checked_sub(1).and_then(|before| changes[before].score);
        let moved = point.score.zip(before).map(|(now, before)| i16::from(now) - i16::from(before));
        vec![point.day.to_string(), or_dash(point.score), or_dash(point.score.map(Band::of)), signed(moved), note(point)]
    };
    List {
        heading: "Changes of the score, the newest first".into(),
        chart,
        columns: vec![
            Column::text("day", "from"),
            Column::number("score", "score"),
            Column::text("band", "band"),
            Column::number("change", "change"),
            Column::text("note", "note"),
        ],
        rows: (0..changes.len()).filter(shown).rev().map(row).collect(),
        empty: NONE,
        ..List::default()
    }
}

fn note(point: &Point) -> String {
    match (point.exists, point.score) {
        (false, _) => "did not exist".into(),
        (true, None) => "excluded from scores".into(),
        (true, Some(_)) => String::new(),
    }
}

/// Since when an identity is in its band, in words.
pub(super) fn since_in_words(changes: &[Point]) -> Option<String> {
    since(changes).map(|since| format!("{}{}", since.day, if since.at_least { " or before" } else { "" }))
}

const NONE: &str = "no score was stored yet: the first one comes with the first analysis";

/// The scores of a system, the newest day first.
fn rows(days: &[DailyScore]) -> List {
    let before = |i: usize| i.checked_sub(1).map(|before| i16::from(days[i].score) - i16::from(days[before].score));
    let row = |(i, day): (usize, &DailyScore)| {
        let changed = i.checked_sub(1).is_some_and(|before| days[before].catalogue != day.catalogue);
        vec![
            day.day.to_string(),
            day.score.to_string(),
            Band::of(day.score).to_string(),
            signed(before(i)),
            format!("{:.6}", day.x),
            format!("{:.2}", day.confidence),
            day.counted.to_string(),
            if changed { "another catalogue".into() } else { String::new() },
        ]
    };
    let mut rows: Vec<Vec<String>> = days.iter().enumerate().map(row).collect();
    rows.reverse();
    List {
        heading: "Score by day, the newest first".into(),
        chart: (days.len() > 1).then(|| charts::trend(&points(days))),
        columns: vec![
            Column::text("day", "day"),
            Column::number("score", "score"),
            Column::text("band", "band"),
            Column::number("change", "change"),
            Column { name: "x", heading: None, is_number: true },
            Column::number("confidence", "confidence"),
            Column::number("identities", "identities"),
            Column::text("note", "note"),
        ],
        rows,
        empty: NONE,
        ..List::default()
    }
}

fn change_in_words(change: Option<&Change>) -> String {
    let Some(change) = change else { return "-".into() };
    let catalogue = if change.catalogue_changed { ", with another catalogue: not all of it is a change of the system" } else { "" };
    format!("{} since {}{catalogue}", signed(Some(change.points)), change.from)
}

/// An identity whose score moved.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mover {
    name: String,
    kind: IdentityKind,
    score: u8,
    #[serde(flatten)]
    moved: Moved,
}

/// The identities of the last analysis whose scores moved most in the last days, either way. Without an analysis there are none.
fn movers(systems: &dyn Systems, system: &str, days: u32) -> Result<Vec<Mover>, Missing> {
    let Ok(analysis) = systems.analysis(system) else { return Ok(Vec::new()) };
    let today = last_day(&analysis.report().window.until);
    // A day more than the difference needs.
    let first = systems.history(system, days.saturating_add(2))?.first().map(|score| score.day);
    let mut all = Vec::new();
    for row in &analysis.report().identities {
        let Some(score) = row.score else { continue };
        let changes = systems.history_of(system, row)?;
        if let Some(moved) = moved(&changes, first, today, days).filter(|moved| moved.points != 0) {
            all.push(Mover { name: row.name.clone(), kind: row.kind, score, moved });
        }
    }
    all.sort_by(|a, b| (Reverse(a.moved.points.abs()), &a.name).cmp(&(Reverse(b.moved.points.abs()), &b.name)));
    all.truncate(MOVERS);
    Ok(all)
}

fn rows_of_movers(movers: &[Mover], days: u32) -> List {
    let row = |mover: &Mover| {
        vec![
            mover.name.clone(),
            mover.kind.to_string(),
            mover.score.to_string(),
            Band::of(mover.score).to_string(),
            signed(Some(mover.moved.points)),
            if mover.moved.is_new { "did not exist before".into() } else { String::new() },
        ]
    };
    List {
        heading: format!("Identities whose score changed most in {}", html::days(days)),
        columns: vec![
            Column::text("identity", "identity"),
            Column::text("kind", "kind"),
            Column::number("score", "score"),
            Column::text("band", "band"),
            Column::number("change", "change"),
            Column::text("note", "note"),
        ],
        rows: movers.iter().map(row).collect(),
        empty: "no score of an identity changed, or none is known from then",
        ..List::default()
    }
}

/// The scores of a system, or of one identity.
pub(super) fn list(systems: &dyn Systems, system: &str, query: &Query) -> Result<Answer, Missing> {
    let wanted = query.days.unwrap_or(DAYS);
    if query.identity.is_some() {
        return of_identity(systems, system, query, wanted);
    }
    let days = systems.history(system, wanted)?;
    let change = change(&days, 7);
    let movers = movers(systems, system, wanted)?;
    let value = json!({"format": format_of(View::History), "system": system, "change7d": change, "items": days, "movers": movers});
    render(query, &value, || Document {
        title: format!("Score of {system} in {}", html::days(wanted)),
        facts: vec![("now", or_dash(days.last().map(|day| day.score))), ("7-day change", change_in_words(change.as_ref()))],
        lists: vec![rows(&days), rows_of_movers(&movers, wanted)],
        ..Document::default()
    })
}

fn of_identity(systems: &dyn Systems, system: &str, query: &Query, wanted: u32) -> Result<Answer, Missing> {
    let analysis = systems.analysis(system)?;
    let row = find(analysis.report(), query)?;
    let changes = systems.history_of(system, row)?;
    let since = since(&changes);
    let value = json!({
        "format": format_of(View::History), "system": system, "identity": row.name, "kind": row.kind, "since": since, "items": changes,
    });
    render(query, &value, || Document {
        title: format!("Score of {} in {system} in {}", row.name, html::days(wanted)),
        facts: vec![("now", or_dash(row.score)), ("in this band since", or_dash(since_in_words(&changes)))],
        lists: vec![rows_of(&changes, last_day(&analysis.report().window.until), wanted)],
        ..Document::default()
    })
}

/// The day of the end of a window, which is written as RFC 3339.
pub(super) fn last_day(until: &str) -> Day {
    until.parse::<jiff::Timestamp>().map_or(Day(0), |at| Day::of(at.as_second()))
}
