//! The charts of the HTML report, as SVG inside the page.
use crate::{
    bands::{Band, HIGH, MEDIUM},
    history::Day,
    report::{Bands, IdentityKind, Report},
};
use std::{collections::BTreeMap, fmt::Write};

/// Scores that share a bubble.
const STEP: u8 = 5;
const WIDTH: f64 = 760.0;
const LEFT: f64 = 90.0;
const ROW: f64 = 64.0;

/// The space for half a bubble at either end.
const MARGIN: f64 = 30.0;

fn x_of(score: f64) -> f64 {
    LEFT + MARGIN + (WIDTH - LEFT - 30.0 - 2.0 * MARGIN) * score / 100.0
}

fn class(band: Band) -> &'static str {
    match band {
        Band::Low => "low",
        Band::Medium => "medium",
        Band::High => "high",
    }
}

/// In place of a chart without identities.
const NOBODY: &str = "<p>no identity has a score</p>";

/// A bubble: how many identities, and the sum of their scores.
#[derive(Clone, Copy, Default)]
struct Bubble {
    number: usize,
    sum: usize,
}

fn bubbles(report: &Report) -> BTreeMap<(IdentityKind, Band, u8), Bubble> {
    let mut bubbles: BTreeMap<_, Bubble> = BTreeMap::new();
    for row in report.identities.iter().filter(|row| !row.built_in && !row.excluded_from_reports) {
        if let (Some(score), Some(band)) = (row.score, row.band) {
            let bubble = bubbles.entry((row.kind, band, score / STEP)).or_default();
            bubble.number += 1;
            bubble.sum += usize::from(score);
        }
    }
    bubbles
}

fn zones(height: f64) -> String {
    let mut out = String::new();
    for (band, from, to, last) in [(Band::Low, 0, MEDIUM, MEDIUM - 1), (Band::Medium, MEDIUM, HIGH, HIGH - 1), (Band::High, HIGH, 100, 100)]
    {
        let left = x_of(f64::from(from)) - if from == 0 { MARGIN } else { 0.0 };
        let right = x_of(f64::from(to)) + if to == 100 { MARGIN } else { 0.0 };
        let _ = write!(
            out,
            "<rect class=\"{} zone\" x=\"{left:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height}\"/>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{band} {from}&#8211;{last}</text>",
            class(band),
            right - left,
            (left + right) / 2.0,
            height + 26.0
        );
    }
    out
}

/// Where identities are between 0 and 100: one row per kind, one bubble for each five points of a band, its area the number of identities.
pub fn heat_map(report: &Report) -> String {
    let bubbles = bubbles(report);
    let most = bubbles.values().map(|bubble| bubble.number).max().unwrap_or(1) as f64;
    let kinds: Vec<IdentityKind> = IdentityKind::ALL.into_iter().filter(|kind| bubbles.keys().any(|(of, ..)| of == kind)).collect();
    if kinds.is_empty() {
        return NOBODY.into();
    }
    let height = ROW * kinds.len() as f64;
    let mut out =
        format!("<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"Identities by score\">", height + 34.0);
    out += &zones(height);
    for (i, kind) in kinds.iter().enumerate() {
        let y = ROW * (i as f64 + 0.5);
        let _ = write!(out, "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{kind}</text>", LEFT - 12.0, y + 5.0);
        for ((_, band, _), Bubble { number, sum }) in bubbles.iter().filter(|((of, ..), _)| of == kind) {
            let (mean, radius) = (*sum as f64 / *number as f64, 8.0 + 20.0 * (*number as f64 / most).sqrt());
            let x = x_of(mean);
            let _ = write!(
                out,
                "<g><title>{number} {kind}: score {mean:.0} on average</title><circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>\
                 <text class=\"count\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{number}</text></g>",
                class(*band),
                y + 5.0
            );
        }
    }
    out + "</svg></div>"
}

/// The number of identities in each band, one bar per kind.
pub fn distribution(report: &Report) -> String {
    let most =
        report.distribution.values().map(|bands| Band::ALL.iter().map(|band| bands.of(*band)).sum::<usize>()).max().unwrap_or(1).max(1)
            as f64;
    let total = |bands: &Bands| Band::ALL.iter().map(|band| bands.of(*band)).sum::<usize>();
    let kinds: Vec<_> = report.distribution.iter().filter(|(_, bands)| total(bands) > 0).collect();
    if kinds.is_empty() {
        return NOBODY.into();
    }
    let height = 44.0 * kinds.len() as f64;
    let mut out = format!("<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Identities by band\">");
    for (i, (kind, bands)) in kinds.into_iter().enumerate() {
        let (y, mut x) = (44.0 * i as f64 + 6.0, LEFT);
        let _ = write!(out, "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{kind}</text>", LEFT - 12.0, y + 21.0);
        for band in Band::ALL.into_iter().filter(|band| bands.of(*band) > 0) {
            let width = (WIDTH - LEFT - 30.0) * bands.of(band) as f64 / most;
            let _ = write!(
                out,
                "<g><title>{} {kind}: {band}</title><rect class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"32\"/>\
                 <text class=\"count\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
                bands.of(band),
                class(band),
                x + width / 2.0,
                y + 21.0,
                bands.of(band)
            );
            x += width;
        }
    }
    out + "</svg></div>"
}

/// A day since 1970-01-01 as a date.
fn date(day: i64) -> String {
    Day(u32::try_from(day).unwrap_or(0)).to_string()
}

/// The height of a trend.
const HEIGHT: f64 = 220.0;
/// The space below it for dates.
const BELOW: f64 = 26.0;

/// Scores by day as a line over the three bands; days without a score are a gap. `days` is ascending: days since 1970-01-01.
pub fn trend(days: &[(i64, u8)]) -> String {
    let (Some((first, _)), Some((last, now))) = (days.first(), days.last()) else { return String::new() };
    let span = (last - first).max(1) as f64;
    let x = |day: i64| LEFT + (WIDTH - LEFT - 60.0) * (day - first) as f64 / span;
    let y = |score: f64| 8.0 + (HEIGHT - 16.0) * (1.0 - score / 100.0);
    let right = WIDTH - 60.0;
    let (least, most) = (days.iter().map(|(_, s)| *s).min().unwrap_or(0), days.iter().map(|(_, s)| *s).max().unwrap_or(0));
    let label = format!("Score by day from {} to {}: from {least} to {most}, now {now}", date(*first), date(*last));
    let mut out = format!("<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{label}\">", HEIGHT + BELOW);
    for (band, from, to) in [(Band::Low, 0, MEDIUM), (Band::Medium, MEDIUM, HIGH), (Band::High, HIGH, 100)] {
        let (top, bottom) = (y(f64::from(to)), y(f64::from(from)));
        let _ = write!(
            out,
            "<rect class=\"{} zone\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{band}</text>",
            class(band),
            right - LEFT,
            bottom - top,
            LEFT - 12.0,
            (top + bottom) / 2.0 + 5.0
        );
    }
    let mut before = None;
    let mut path = String::new();
    for (day, score) in days {
        let step = if before == Some(day - 1) { 'L' } else { 'M' };
        let _ = write!(path, "{step}{:.1} {:.1}", x(*day), y(f64::from(*score)));
        before = Some(*day);
    }
    let _ = write!(out, "<path class=\"line\" d=\"{path}\"/>");
    for (day, score) in days {
        let _ = write!(
            out,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"><title>{}: {score}</title></circle>",
            x(*day),
            y(f64::from(*score)),
            date(*day)
        );
    }
    let _ = write!(
        out,
        "<text class=\"label now\" x=\"{:.1}\" y=\"{:.1}\">{now}</text>\
         <text class=\"axis\" x=\"{LEFT}\" y=\"{below:.1}\">{}</text>\
         <text class=\"axis\" x=\"{right:.1}\" y=\"{below:.1}\" text-anchor=\"end\">{}</text></svg></div>",
        right + 10.0,
        y(f64::from(*now)) + 5.0,
        date(*first),
        date(*last),
        below = HEIGHT + BELOW - 6.0
    );
    out
}
