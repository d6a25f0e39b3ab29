//! A report as text for a terminal.
use crate::{
    bands::Band,
    report::{FindingType, Provider, Report, Row, UNKNOWN},
};
use curfew_core::text::{clip, printable};
use std::fmt::Write;

/// How many identities and findings of a type are printed; the other forms have all.
const TOP: usize = 15;
/// The widest name, in bytes.
const MAX_NAME: usize = 64;

/// A name that cannot imitate other output.
fn name(text: &str) -> String {
    clip(printable(text), MAX_NAME)
}

/// Columns as wide as their widest cell; the last one is not padded.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .enumerate()
            .map(|(i, cell)| if i + 1 == count { cell.clone() } else { format!("{cell:<width$}", width = widths[i]) });
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn head(report: &Report) -> String {
    let (system, window, catalogue) = (&report.system, &report.window, &report.catalogue);
    let mut out = String::new();
    let of = report.name.as_deref().map_or("the system".into(), name);
    let _ = writeln!(out, "Permission Creep Index of {of}: {} ({})", system.score, system.band);
    let _ = writeln!(out, "  window      {} days until {}", window.days, window.until);
    let note = if window.confidence < 1.0 { "; what is called unused may be used on the other days" } else { "" };
    let _ = writeln!(
        out,
        "  confidence  {:.2}: the logs have events on {} of {} days{note}",
        window.confidence, window.covered_days, window.days
    );
    let _ = writeln!(
        out,
        "  counted     {} identities ({} new); not counted: {} excluded, {} groups with members, {} of {} itself",
        system.counted, system.new, system.excluded, system.groups_with_members, system.built_in, report.provider
    );
    let _ = writeln!(
        out,
        "  catalogue   {}: {} permissions ({} from roles only), mass {}",
        catalogue.version, catalogue.permissions, catalogue.assumed, catalogue.mass
    );
    out
}

fn distribution(report: &Report) -> String {
    let mut rows = vec![vec!["KIND".into(), "LOW 0-33".into(), "MEDIUM 34-67".into(), "HIGH 68-100".into()]];
    for (kind, bands) in &report.distribution {
        rows.push([vec![kind.to_string()], Band::ALL.iter().map(|band| bands.of(*band).to_string()).collect()].concat());
    }
    format!("\nIdentities by band\n{}", columns(&rows))
}

fn flags(row: &Row) -> String {
    let flags = [
        (row.new, "new"),
        (row.missing, "does not exist"),
        (row.members > 0 && !row.counted, "by its members"),
        (row.excluded_from_pci, "excluded"),
    ];
    let mut set: Vec<String> = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()).collect();
    if let Some(standing) = row.standing_score {
        set.push(format!("{} live grants, {standing} without", row.live_grants.len()));
    }
    set.join(", ")
}

fn identities(report: &Report) -> String {
    let all: Vec<&Row> =
        report.identities.iter().filter(|row| !row.built_in && !row.excluded_from_reports && row.permissions.granted > 0).collect();
    let header = ["SCORE", "BAND", "KIND", "IDENTITY", "GRANTED", "USED", "HIGH-RISK UNUSED", "LAST USED", "NOTE"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for row in all.iter().take(TOP) {
        rows.push(vec![
            row.score.map_or("-".into(), |score| score.to_string()),
            row.band.map_or("-".into(), |band| band.to_string()),
            row.kind.to_string(),
            name(&row.name),
            row.permissions.granted.to_string(),
            row.permissions.used.to_string(),
            row.permissions.high_risk_not_fully_used.to_string(),
            row.last_used.clone().unwrap_or_else(|| "-".into()),
            flags(row),
        ]);
    }
    let more = all.len().saturating_sub(TOP);
    let rest = if more > 0 { format!("  and {more} more: -o csv and -o json list all\n") } else { String::new() };
    let mut out = format!("\nIdentities with grants, the highest score first\n{}{rest}", columns(&rows));
    out += "\nWhy\n";
    for row in all.iter().filter(|row| !row.because.is_empty()).take(TOP / 3) {
        let _ = writeln!(out, "  {} ({})", name(&row.name), row.score.unwrap_or_default());
        for part in row.because.iter().take(3) {
            let (permission, by) = (printable(&part.permission), printable(&part.by));
            let (share, granted, used) = (part.share * 100.0, places(&part.granted), places(&part.used));
            let _ = writeln!(out, "    {share:>5.1} %  {permission}: granted {granted}, used {used}; {by}");
        }
    }
    out
}

/// Places in a sentence.
fn places(names: &str) -> String {
    if names == "nowhere" || names == UNKNOWN { names.into() } else { format!("in {names}") }
}

fn findings(report: &Report) -> String {
    let mut out = String::from("\nFindings\n");
    let counts = report.finding_counts.iter();
    let counts = counts.map(|(kind, count)| vec![kind.severity().to_string(), kind.title().to_owned(), count.to_string()]);
    out += &columns(&[vec![vec!["SEVERITY".into(), "TYPE".into(), "COUNT".into()]], counts.collect()].concat());
    for kind in FindingType::ALL {
        let all: Vec<_> = report.findings.iter().filter(|finding| finding.kind == kind).collect();
        if all.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n  {} ({})", kind.title(), kind.severity());
        for finding in all.iter().take(TOP) {
            let _ = writeln!(out, "    {}: {}", name(&finding.subject), printable(&finding.summary));
            for line in finding.evidence.iter().take(3) {
                let _ = writeln!(out, "      {}", printable(line));
            }
            if finding.evidence.len() > 3 {
                let _ = writeln!(out, "      and {} more", finding.evidence.len() - 3);
            }
            let _ = writeln!(out, "      => {}", finding.recommendation);
        }
        if all.len() > TOP {
            let _ = writeln!(out, "    and {} more: -o json and the page of --report list all", all.len() - TOP);
        }
    }
    out
}

fn input(report: &Report) -> String {
    let input = &report.input;
    let (lines, stages) = match report.provider {
        Provider::Kubernetes => (format!("{} lines, ", input.lines), format!("{} of other stages, ", input.other_stages)),
        Provider::Aws => (String::new(), String::new()),
    };
    let mut out = String::from("\nRead\n");
    let _ = writeln!(
        out,
        "  {} log files, {lines}{} events: {} uses, {} refused or failed, {stages}{} after the window",
        input.files, input.events, input.uses, input.not_successful, input.after_window
    );
    for (what, names) in
        [("lines of an unknown version", &input.unknown_versions), ("uses without a permission in the catalogue", &input.unmapped)]
    {
        if !names.is_empty() {
            let list: Vec<String> = names.iter().take(5).map(|(name, n)| format!("{} x {n}", printable(name))).collect();
            let more = if names.len() > 5 { format!(" and {} more names", names.len() - 5) } else { String::new() };
            let _ = writeln!(out, "  {} {what}: {}{more}", names.values().sum::<u64>(), list.join(", "));
        }
    }
    for note in &input.notes {
        let _ = writeln!(out, "  {note}");
    }
    if input.problem_count > 0 {
        let _ = writeln!(out, "  {} problems with files; standard error names the first ones", input.problem_count);
    }
    out
}

/// The report as text.
pub fn table(report: &Report) -> String {
    [head(report), distribution(report), identities(report), findings(report), input(report)].concat()
}
