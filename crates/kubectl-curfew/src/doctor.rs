//! `kubectl curfew doctor`: what is wrong with an installation, and the command that mends it.
mod built;
mod installation;
mod objects;
mod observe;

use crate::{
    context::{CliContext, NO_ANSWER},
    output::{Cell, Colour, Format, Printed, document, is_colourful, put, table},
};
use curfew_core::text::printable;
use observe::Observed;
use serde::Serialize;

/// Find what is wrong with this installation, and the command that mends it.
///
/// Looks at the API server, the CRDs, the admission policies, CurfewConfig, the operator, the revoker and the sweep, and at every object of
/// Curfew that is not Ready, stuck or overdue. Changes nothing. What you may not read is told with the RBAC rule to ask for.
#[derive(clap::Args, Debug)]
#[command(after_help = concat!(
    "Exit codes:\n",
    "  0  nothing is wrong; there may be warnings\n",
    "  1  something is wrong\n",
    "  2  nothing wrong was found, and not everything could be judged; or wrong usage\n\n",
    "Example:\n",
    "  kubectl curfew doctor\n",
    "  kubectl curfew doctor -o json"
))]
pub struct Doctor {
    #[command(flatten)]
    printed: Printed,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Access is not granted, not revoked or not protected as it should be.
    Error,
    /// It works, and something is missing or meant otherwise.
    Warning,
    /// It could not be judged.
    Unknown,
}

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Finding {
    /// How bad.
    pub(crate) severity: Severity,
    /// What was found.
    pub(crate) what: String,
    /// Why it matters.
    pub(crate) why: String,
    /// The command that mends it, or shows more.
    pub(crate) command: String,
}

impl Finding {
    /// Something is wrong.
    pub(crate) fn error(what: impl Into<String>, why: impl Into<String>, command: impl Into<String>) -> Self {
        Finding { severity: Severity::Error, what: what.into(), why: why.into(), command: command.into() }
    }
    /// Something could be better.
    pub(crate) fn warning(what: impl Into<String>, why: impl Into<String>, command: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, ..Finding::error(what, why, command) }
    }
}

pub async fn run(me: &CliContext, args: &Doctor) -> anyhow::Result<u8> {
    let observed = observe::observe(me).await;
    let findings = judge(&observed);
    match args.printed.output {
        format @ (Format::Json | Format::Yaml) => put(document(&findings, format)?)?,
        Format::Table | Format::Wide | Format::Name => put(text(&findings, is_colourful()))?,
    }
    Ok(exit_code(&findings))
}

/// Everything that is found, the worst first.
fn judge(observed: &Observed) -> Vec<Finding> {
    let mut all = installation::findings(observed);
    all.extend(objects::findings(observed));
    all.extend(unread(observed));
    all.sort_by_key(|finding| finding.severity);
    all
}

/// What could not be read, as one finding: the rules to ask for.
fn unread(observed: &Observed) -> Option<Finding> {
    let gaps = observed.gaps();
    let mut what: Vec<&str> = Vec::new();
    let mut rules: Vec<&str> = Vec::new();
    for gap in &gaps {
        for (all, one) in [(&mut what, gap.what.as_str()), (&mut rules, gap.why.as_str())] {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    if let [only] = rules[..]
        && only.starts_with(NO_ANSWER)
    {
        return Some(Finding::error("the API server", only, "kubectl cluster-info"));
    }
    (!gaps.is_empty()).then(|| Finding {
        severity: Severity::Unknown,
        what: format!("not read: {}", what.join(", ")),
        why: format!("nothing is known about it; {}", rules.join("; ")),
        command: "kubectl auth can-i --list".into(),
    })
}

fn exit_code(findings: &[Finding]) -> u8 {
    let has = |severity| findings.iter().any(|finding| finding.severity == severity);
    match () {
        () if has(Severity::Error) => 1,
        () if has(Severity::Unknown) => 2,
        () => 0,
    }
}

fn text(findings: &[Finding], in_colour: bool) -> String {
    let mut out = String::new();
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => Cell::coloured("error", Colour::Red),
            Severity::Warning => Cell::coloured("warning", Colour::Yellow),
            Severity::Unknown => Cell::coloured("unknown", Colour::Yellow),
        };
        let row = |label: Cell, value: &str| vec![label, Cell::from(printable(value))];
        out.push_str(&table(
            &[row(severity, &finding.what), row("".into(), &finding.why), row("".into(), &format!("$ {}", finding.command))],
            in_colour,
        ));
        out.push('\n');
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    out.push_str(&match (errors, warnings, count(Severity::Unknown)) {
        (0, 0, 0) => "nothing is wrong\n".to_owned(),
        (0, warnings, 0) => format!("nothing is wrong; {warnings} warnings\n"),
        (0, warnings, _) => format!("nothing wrong was found, and not everything could be judged; {warnings} warnings\n"),
        (errors, warnings, _) => format!("{errors} errors, {warnings} warnings\n"),
    });
    out
}

#[cfg(test)]
mod tests;
