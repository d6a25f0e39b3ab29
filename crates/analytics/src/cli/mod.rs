//! The command line: reads files, runs the analysis, prints the report.
mod aws;
mod kubernetes;
mod rightsize;
mod store;

use crate::{
    output::{csv, html, table},
    report::{InputSummary, Report},
};
use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use curfew_core::{duration::Period, text::printable};
use jiff::Timestamp;
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// How many problems with files are printed.
const MAX_PRINTED: usize = 10;

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
    Rightsize(Box<rightsize::Rightsize>),
    #[cfg(feature = "live")]
    Run(Box<crate::live::settings::Run>),
    Store(store::StoreArgs),
}

/// Analyse files, without a cluster or account.
///
/// Compares what is granted (RBAC of Kubernetes, or IAM of AWS) with what the logs show (audit logs, or CloudTrail), scores each identity, and
/// lists findings with their evidence. Scores: 0 to 33 low, 34 to 67 medium, 68 to 100 high. Nothing is sent anywhere, and nothing is changed.
#[derive(Args, Debug)]
#[command(after_help = "\
Kubernetes:
  kubectl get clusterroles,roles,clusterrolebindings,rolebindings,serviceaccounts,namespaces -A -o json > rbac.json
  curfew-analytics analyze --kubernetes-rbac rbac.json --audit-log /var/log/kubernetes/audit/
  curfew-analytics analyze --kubernetes-rbac rbac.json --audit-log audit.log --audit-log older/ --report pci.html
  curfew-analytics analyze --kubernetes-rbac rbac.json --audit-log audit/ -o json | jq '.identities[] | select(.band == \"high\") | .name'

Audit logs are written by the API server (--audit-log-path; audit policy: level Metadata for all requests): JSON lines of audit.k8s.io/v1,
plain or gzip. Files may overlap and come in any order: reading an event twice changes no result.

Discovery of your cluster, which adds your custom resources to the catalogue (default: the kinds of Kubernetes itself, and those in roles):
  (kubectl get --raw /api/v1; for v in $(kubectl api-versions | grep /); do kubectl get --raw /apis/$v; done) > discovery.json

AWS:
  aws iam get-account-authorization-details --output json > details.json
  aws iam generate-credential-report
  aws iam get-credential-report --output json > credentials.json
  aws s3 sync s3://TRAIL-BUCKET/AWSLogs/ACCOUNT/CloudTrail/ cloudtrail/
  curfew-analytics analyze --aws-authorization-details details.json --cloudtrail cloudtrail/ --aws-credential-report credentials.json

Log files of CloudTrail are read as a trail writes them, in any layout, plain or gzip; digest files are left out.

Exit status: 0 if the analysis is complete, also if lines or files could not be read (standard error names them); 1 for an error; 2 for a
wrong command line.")]
#[command(group(ArgGroup::new("system").required(true).args(["kubernetes_rbac", "aws_authorization_details"])))]
struct Analyze {
    #[command(flatten)]
    kubernetes: kubernetes::KubernetesFiles,
    #[command(flatten)]
    aws: aws::AwsFiles,
    /// The name of the system in the report.
    #[arg(long, value_name = "NAME")]
    system_name: Option<String>,
    /// How far back a use counts, in days.
    #[arg(long, value_name = "DAYS", default_value = "90d")]
    window: Period,
    /// The end of the window, such as 2026-11-26T12:00:00Z. Default: the newest event.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Leave this identity out of scores, as the label or tag ck_exclude_from_pci does: a user, service account
    /// (system:serviceaccount:NAMESPACE:NAME) or group of Kubernetes, or the ARN of a user, role or group of AWS.
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
        Verb::Rightsize(args) => rightsize::run(&args),
        #[cfg(feature = "live")]
        Verb::Run(settings) => crate::live::process::run(&settings),
        Verb::Store(args) => store::run(&args),
    }
}

fn analyze(args: &Analyze) -> Result<()> {
    let report = match (&args.kubernetes.kubernetes_rbac, &args.aws.aws_authorization_details) {
        (Some(rbac), _) => kubernetes::analyze(args, rbac)?,
        (None, Some(details)) => aws::analyze(args, details)?,
        (None, None) => bail!("give --kubernetes-rbac or --aws-authorization-details"),
    };
    tell(&report.input);
    if let Some(path) = &args.report {
        std::fs::write(path, html::html(&report)).with_context(|| format!("cannot write the report {}", path.display()))?;
    }
    print(&report, args.output)
}

/// The end of the window: as given, or the newest event.
fn until(args: &Analyze, newest: Option<i64>) -> i64 {
    args.until.map(Timestamp::as_second).or(newest).unwrap_or_else(now)
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Whether every excluded name is one of an identity.
fn known(args: &Analyze, mut is_identity: impl FnMut(&str) -> bool) -> Result<()> {
    match args.exclude_from_pci.iter().chain(&args.exclude_from_reports).find(|name| !is_identity(name)) {
        Some(name) => {
            bail!("no identity is called {}; run the command without this name and with -o json to see the names", printable(name))
        }
        None => Ok(()),
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
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

/// Prints the report.
fn print(report: &Report, form: Form) -> Result<()> {
    let text = match form {
        Form::Table => table::table(report),
        Form::Json => serde_json::to_string_pretty(report)? + "\n",
        Form::Csv => csv::csv(report),
    };
    write(&text)
}

/// Writes to standard output. A reader that closes the pipe early, such as `head`, is not an error.
fn write(text: &str) -> Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}
