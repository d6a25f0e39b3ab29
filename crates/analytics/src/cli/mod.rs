//! The command line: reads files, runs the analysis, prints the report.
use crate::{
    files::{self, Found, Problems},
    history::Window,
    kubernetes::{
        analysis::analyse,
        dump::Dump,
        event::{Line, parse},
        inventory::{Exclusions, Inventory},
        kinds::Discovery,
        permissions::Permissions,
        usage::Usage,
    },
    output::{csv, html, table},
    progress::Progress,
    report::{InputSummary, Report},
};
use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use curfew_core::{duration::Period, text::printable};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// How many problems with files are printed.
const MAX_PRINTED: usize = 10;
/// How many names of unknown versions are kept apart.
const MAX_VERSIONS: usize = 100;

/// How much power goes unused: who may do what, who did what, and the Permission Creep Index (0 to 100) of each identity and of the system.
#[derive(Parser, Debug)]
#[command(name = "curfew-analytics", version)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Analyze(Box<Analyze>),
}

/// Analyse files, without a cluster.
///
/// Compares what RBAC grants with what the audit log shows, scores each identity, and lists findings with their evidence. Scores: 0 to 33 low,
/// 34 to 67 medium, 68 to 100 high. Nothing is sent anywhere, and nothing is changed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl get clusterroles,roles,clusterrolebindings,rolebindings,serviceaccounts,namespaces -A -o json > rbac.json
  curfew-analytics analyze --kubernetes-rbac rbac.json --audit-log /var/log/kubernetes/audit/
  curfew-analytics analyze --kubernetes-rbac rbac.json --audit-log audit.log --audit-log older/ --report pci.html
  curfew-analytics analyze --kubernetes-rbac rbac.json --audit-log audit/ -o json | jq '.identities[] | select(.band == \"high\") | .name'

Audit logs are written by the API server (--audit-log-path; audit policy: level Metadata for all requests): JSON lines of audit.k8s.io/v1,
plain or gzip. Files may overlap and come in any order: reading an event twice changes no result.

Discovery of your cluster, which adds your custom resources to the catalogue (default: the kinds of Kubernetes itself, and those in roles):
  (kubectl get --raw /api/v1; for v in $(kubectl api-versions | grep /); do kubectl get --raw /apis/$v; done) > discovery.json

Exit status: 0 if the analysis is complete, also if lines or files could not be read (standard error names them); 1 for an error; 2 for a
wrong command line.")]
struct Analyze {
    /// What kubectl printed of roles, bindings, service accounts and namespaces (see the examples); plain or gzip.
    #[arg(long, value_name = "FILE")]
    kubernetes_rbac: PathBuf,
    /// An audit log, or a directory of audit logs. Repeat it for more.
    #[arg(long, value_name = "PATH", required = true)]
    audit_log: Vec<PathBuf>,
    /// Discovery documents of the cluster.
    #[arg(long, value_name = "FILE")]
    discovery: Option<PathBuf>,
    /// How far back a use counts, in days.
    #[arg(long, value_name = "DAYS", default_value = "90d")]
    window: Period,
    /// The end of the window, such as 2026-11-26T12:00:00Z. Default: the newest event.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Leave this user, service account (system:serviceaccount:NAMESPACE:NAME) or group out of scores, as the label ck_exclude_from_pci does.
    #[arg(long, value_name = "NAME")]
    exclude_from_pci: Vec<String>,
    /// Leave this identity out of findings and lists, as the label ck_exclude_from_reports does.
    #[arg(long, value_name = "NAME")]
    exclude_from_reports: Vec<String>,
    /// The form of standard output: a table for people, JSON with everything, or CSV with one row per identity.
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Form,
    /// Also write a report with charts: one HTML file that opens offline and prints.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Form {
    Table,
    Json,
    Csv,
}

/// Runs the command.
///
/// # Errors
/// If a file is missing or not what it should be, or an output cannot be written.
pub fn run(cli: Cli) -> Result<()> {
    match cli.verb {
        Verb::Analyze(args) => analyze(&args),
    }
}

fn analyze(args: &Analyze) -> Result<()> {
    let dump =
        Dump::parse(&files::text(&args.kubernetes_rbac)?).with_context(|| format!("{} is not usable", args.kubernetes_rbac.display()))?;
    let discovery = args.discovery.as_deref().map(discovery).transpose()?;
    let logs = files::find(&args.audit_log)?;
    let permissions = Permissions::build(discovery, &dump);
    let now = Timestamp::now().as_second();
    let mut usage = Usage::new(&permissions, &dump.namespaces, args.until.map_or(now, Timestamp::as_second));
    let mut problems = Problems::default();
    dump.broken.iter().for_each(|why| problems.add(&args.kubernetes_rbac, None, format!("left out: {why}")));
    let input = read(&logs, &mut usage, problems);
    if usage.counts.events == 0 {
        tell(&input);
        bail!("no event of audit.k8s.io/v1 in {}; give the API server's audit logs, written as JSON", listed(&args.audit_log));
    }
    let until = args.until.map(Timestamp::as_second).or(usage.newest).unwrap_or(now);
    let window = Window::ending(until, args.window.secs());
    let exclusions = Exclusions {
        from_pci: args.exclude_from_pci.iter().cloned().collect(),
        from_reports: args.exclude_from_reports.iter().cloned().collect(),
    };
    let inventory = Inventory::build(&dump, &permissions, &usage, window, &exclusions);
    for name in exclusions.from_pci.union(&exclusions.from_reports) {
        if !inventory.identities.keys().any(|key| key.name == *name) {
            bail!("no identity is called {}; run the command without this name and with -o json to see the names", printable(name));
        }
    }
    let report = analyse(&inventory, &usage, window, input);
    tell(&report.input);
    if let Some(path) = &args.report {
        std::fs::write(path, html::html(&report)).with_context(|| format!("cannot write the report {}", path.display()))?;
    }
    print(&report, args.output)
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn discovery(path: &Path) -> Result<Discovery> {
    Discovery::parse(&files::text(path)?).with_context(|| format!("{} is not usable", path.display()))
}

/// Streams every log into the usage.
fn read(logs: &[Found], usage: &mut Usage, mut problems: Problems) -> InputSummary {
    let (mut input, mut versions) = (InputSummary { files: logs.len() as u64, ..InputSummary::default() }, BTreeMap::new());
    let mut progress = Progress::new("reading audit logs", logs.iter().map(|log| log.size).sum());
    for log in logs {
        input.lines += files::lines(
            &log.path,
            &mut problems,
            |bytes| progress.add(bytes),
            |problems, number, line| match parse(line) {
                Line::Empty => {}
                Line::Events { events, broken } => {
                    events.iter().for_each(|event| usage.record(event));
                    if let Some(broken) = broken {
                        problems.count += broken.count - 1;
                        problems.add(&log.path, Some(number), format!("not an audit event: {}", broken.first));
                    }
                }
                Line::Unknown(name) => {
                    let name = curfew_core::text::brief(&name);
                    let full = versions.len() >= MAX_VERSIONS && !versions.contains_key(&name);
                    *versions.entry(if full { "others".to_owned() } else { name }).or_default() += 1;
                }
                Line::Broken(why) => problems.add(&log.path, Some(number), format!("not an audit event: {why}")),
            },
        );
    }
    progress.end();
    input.unknown_versions = versions;
    (input.problem_count, input.problems) = (problems.count, problems.first);
    input
}

/// Names the first problems with files on standard error.
fn tell(input: &InputSummary) {
    for problem in input.problems.iter().take(MAX_PRINTED) {
        let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
        say(&format!("{}{line}: {}", printable(&problem.file), printable(&problem.message)));
    }
    if input.problem_count > MAX_PRINTED as u64 {
        say(&format!("and {} more problems; -o json lists a hundred", input.problem_count - MAX_PRINTED as u64));
    }
}

/// Prints a warning. If nobody reads standard error, the report is made all the same.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// Prints the report. A reader that closes the pipe early, such as `head`, is not an error.
fn print(report: &Report, form: Form) -> Result<()> {
    let text = match form {
        Form::Table => table::table(report),
        Form::Json => serde_json::to_string_pretty(report)? + "\n",
        Form::Csv => csv::csv(report),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}
