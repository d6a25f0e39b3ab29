//! The report as one HTML file: no script, no resource from elsewhere; it opens offline and prints.
use super::charts::{distribution, heat_map, trend};
use crate::report::{Report, Row, Severity};
use curfew_core::text::printable;
use std::fmt::Write;

/// How many identities are listed.
const TOP: usize = 50;

/// A number of days, in words.
pub fn days(number: u32) -> String {
    format!("{number} day{}", if number == 1 { "" } else { "s" })
}

/// Text for HTML, also inside attributes. Invisible characters are shown.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

const STYLE: &str = include_str!("report.css");

fn tile(value: impl std::fmt::Display, label: &str, class: &str) -> String {
    format!("<div class=\"tile {class}\"><b>{value}</b><span>{}</span></div>", escape(label))
}

fn tiles(report: &Report) -> String {
    let (system, window) = (&report.system, &report.window);
    let band = system.band.to_string();
    let high = report.findings.iter().filter(|finding| finding.severity == Severity::High).count();
    let of = report.name.as_deref().unwrap_or("the system");
    [
        tile(system.score, &format!("Permission Creep Index of {of} ({band})"), &band),
        tile(system.counted, "identities counted", ""),
        tile(
            system.super_identities,
            "super identities (five or fewer are recommended)",
            if system.super_identities > 5 { "high" } else { "" },
        ),
        tile(high, &format!("findings of high severity, {} in all", report.findings.len()), if high > 0 { "high" } else { "low" }),
        tile(
            format!("{:.0} %", window.confidence * 100.0),
            &format!("confidence: events on {} of {}", window.covered_days, days(window.days)),
            "",
        ),
    ]
    .concat()
}

fn identity(row: &Row) -> String {
    let (score, band) = (row.score.map_or("-".into(), |s| s.to_string()), row.band.map_or("-".into(), |b| b.to_string()));
    let mut because = String::new();
    for part in &row.because {
        let _ = write!(
            because,
            "<tr><td class=\"n\">{:.1} %</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            part.share * 100.0,
            escape(&part.permission),
            escape(&part.granted),
            escape(&part.used),
            escape(&part.by)
        );
    }
    let why = if because.is_empty() {
        String::new()
    } else {
        format!(
            "<tr class=\"why\"><td colspan=\"8\"><details><summary>why</summary><table><tr><th class=\"n\">share</th><th>permission</th><th>granted in</th><th>used in</th><th>by</th></tr>{because}</table></details></td></tr>"
        )
    };
    format!(
        "<tr><td class=\"n {band}\">{score}</td><td class=\"t\">{band}</td><td class=\"t\">{}</td><td class=\"name\">{}{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"t\">{}</td></tr>{why}",
        row.kind,
        escape(&row.name),
        if row.new { " <i>new</i>" } else { "" },
        row.permissions.granted,
        row.permissions.used,
        row.permissions.high_risk_not_fully_used,
        escape(row.last_used.as_deref().unwrap_or("-"))
    )
}

fn identities(report: &Report) -> String {
    let all: Vec<&Row> =
        report.identities.iter().filter(|row| !row.built_in && !row.excluded_from_reports && row.permissions.granted > 0).collect();
    let rows: String = all.iter().take(TOP).map(|row| identity(row)).collect();
    let more = all.len().saturating_sub(TOP);
    let rest = if more > 0 { format!("<p>{more} more have lower scores: -o csv and -o json list all.</p>") } else { String::new() };
    format!(
        "<div class=\"wide\"><table><thead><tr><th class=\"n\">score</th><th>band</th><th>kind</th><th>identity</th><th class=\"n\">granted</th>\
         <th class=\"n\">used</th><th class=\"n\">high-risk, not fully used</th><th>last used</th></tr></thead><tbody>{rows}</tbody></table></div>{rest}"
    )
}

fn findings(report: &Report) -> String {
    let mut out = String::new();
    for kind in report.finding_counts.keys().copied() {
        let all: Vec<_> = report.findings.iter().filter(|finding| finding.kind == kind).collect();
        let _ = write!(out, "<h3>{} <small>{}, {}</small></h3>", kind.title(), kind.severity(), all.len());
        if all.is_empty() {
            continue;
        }
        out += "<div class=\"wide\"><table><thead><tr><th>subject</th><th>finding</th><th>recommendation</th></tr></thead><tbody>";
        for finding in all {
            let evidence: String = finding.evidence.iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
            let _ = write!(
                out,
                "<tr><td class=\"name\">{}</td><td>{}<details><summary>evidence</summary><ul>{evidence}</ul></details></td><td>{}</td></tr>",
                escape(&finding.subject),
                escape(&finding.summary),
                escape(&finding.recommendation)
            );
        }
        out += "</tbody></table></div>";
    }
    out
}

fn excluded(report: &Report) -> String {
    let names = |of: fn(&Row) -> bool| {
        let list: Vec<String> = report.identities.iter().filter(|row| of(row)).map(|row| escape(&row.name)).collect();
        if list.is_empty() { "none".into() } else { list.join(", ") }
    };
    format!(
        "<p>From scores (<code>ck_exclude_from_pci</code>): {}.<br>From findings and lists (<code>ck_exclude_from_reports</code>): {}.</p>",
        names(|row| row.excluded_from_pci),
        names(|row| row.excluded_from_reports)
    )
}

fn read(report: &Report) -> String {
    let input = &report.input;
    let mut items = vec![format!(
        "{} log files, {} lines, {} events: {} uses, {} refused or failed, {} of other stages, {} after the window",
        input.files, input.lines, input.events, input.uses, input.not_successful, input.other_stages, input.after_window
    )];
    let named = |what: &str, names: &std::collections::BTreeMap<String, u64>| {
        names.iter().map(|(name, n)| format!("{what}: {name}, {n}")).collect::<Vec<_>>()
    };
    items.extend(named("unknown version", &input.unknown_versions));
    items.extend(named("no permission in the catalogue", &input.unmapped));
    items.extend(input.notes.iter().cloned());
    items.extend(
        input
            .problems
            .iter()
            .map(|problem| format!("{}{}: {}", problem.file, problem.line.map(|n| format!(":{n}")).unwrap_or_default(), problem.message)),
    );
    format!("<ul>{}</ul>", items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect::<String>())
}

/// A page with this body, which is HTML already. It loads nothing and runs nothing.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n{body}\n</body></html>\n"
    )
}

/// The report of an analysis of files.
pub fn html(report: &Report) -> String {
    with_history(report, None, &[])
}

/// The report of a system with its scores by day: days since 1970-01-01, ascending.
pub fn with_history(report: &Report, system: Option<&str>, history: &[(i64, u8)]) -> String {
    let title = system.map_or_else(|| "Permission Creep Index".to_owned(), |system| format!("Permission Creep Index of {system}"));
    let when = format!("{} until {}; {}", days(report.window.days), report.window.until, report.catalogue.version);
    let trend = if history.len() > 1 { format!("<h2>Score by day</h2>{}\n", trend(history)) } else { String::new() };
    let body = format!(
        "<p>{}</p>\n<div class=\"tiles\">{}</div>\n{trend}<h2>Identities by score</h2>{}\n<h2>Identities by band</h2>{}\n\
         <h2>Identities</h2>{}\n<h2>Findings</h2>{}\n<h2>Left out</h2>{}\n<h2>Read</h2>{}",
        escape(&when),
        tiles(report),
        heat_map(report),
        distribution(report),
        identities(report),
        findings(report),
        excluded(report),
        read(report)
    );
    page(&title, &body)
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escape("<script>\"'&\u{202e}"), "&lt;script&gt;&quot;&#39;&amp;\\u{202e}");
    }
}
