//! The charts of the HTML report, as SVG inside the page.
use crate::{
    bands::{Band, HIGH, MEDIUM},
    report::{IdentityKind, Report},
};
use std::{collections::BTreeMap, fmt::Write};

/// Scores that share a bubble.
const STEP: u8 = 5;
const WIDTH: f64 = 760.0;
const LEFT: f64 = 90.0;
const ROW: f64 = 64.0;

fn x_of(score: f64) -> f64 {
    LEFT + (WIDTH - LEFT - 30.0) * score / 100.0
}

fn class(band: Band) -> &'static str {
    match band {
        Band::Low => "low",
        Band::Medium => "medium",
        Band::High => "high",
    }
}

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
        let (left, right) = (x_of(f64::from(from)), x_of(f64::from(to)));
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
    let height = ROW * IdentityKind::ALL.len() as f64;
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"Identities by score\">", height + 34.0);
    out += &zones(height);
    for (i, kind) in IdentityKind::ALL.iter().enumerate() {
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
    out + "</svg>"
}

/// The number of identities in each band, one bar per kind.
pub fn distribution(report: &Report) -> String {
    let most =
        report.distribution.values().map(|bands| Band::ALL.iter().map(|band| bands.of(*band)).sum::<usize>()).max().unwrap_or(1).max(1)
            as f64;
    let height = 44.0 * report.distribution.len() as f64;
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Identities by band\">");
    for (i, (kind, bands)) in report.distribution.iter().enumerate() {
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
    out + "</svg>"
}
