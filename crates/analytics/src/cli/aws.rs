//! The files of an account: its details, credential report, service control policies and CloudTrail logs.
use super::{Analyze, known, listed, now, tell, until};
use crate::{
    aws::{
        analysis::analyse,
        catalogue::Actions,
        cloudtrail::{self, Counts},
        credentials,
        details::Details,
        inventory::{Exclusions, Input, Inventory},
        policy::Document,
        spaces::Spaces,
        usage::{Fold, Usage},
    },
    files::{self, Problems},
    history::Window,
    progress::Progress,
    report::{InputSummary, Report},
};
use anyhow::{Context, Error, Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The files of an account.
#[derive(Args, Debug)]
#[command(next_help_heading = "AWS")]
pub(super) struct AwsFiles {
    /// What `aws iam get-account-authorization-details` printed; plain or gzip.
    #[arg(long, value_name = "FILE", requires = "cloudtrail")]
    pub aws_authorization_details: Option<PathBuf>,
    /// A log file of CloudTrail, or a directory of them, such as a copy of the trail's bucket. Repeat it for more.
    #[arg(long, value_name = "PATH", requires = "aws_authorization_details")]
    cloudtrail: Vec<PathBuf>,
    /// The credential report: passwords, MFA and access keys. CSV, or what the AWS CLI prints.
    #[arg(long, value_name = "FILE", requires = "aws_authorization_details")]
    aws_credential_report: Option<PathBuf>,
    /// ARNs of the account's resources, one a line. Default: those that the details, the logs and policies name.
    #[arg(long, value_name = "FILE", requires = "aws_authorization_details")]
    aws_resources: Option<PathBuf>,
    /// The service control policies of one level of the organisation above the account: a policy document, or a list of documents. Repeat it for
    /// each level; each must allow.
    #[arg(long, value_name = "FILE", requires = "aws_authorization_details")]
    aws_scp: Vec<PathBuf>,
}

/// Analyses an account.
pub(super) fn analyze(args: &Analyze, details: &Path) -> Result<Report> {
    let exclusions = Exclusions {
        from_pci: args.exclude_from_pci.iter().cloned().collect(),
        from_reports: args.exclude_from_reports.iter().cloned().collect(),
    };
    let mut problems = Problems::default();
    let input = read_input(&args.aws, details, exclusions, &mut problems)?;
    let (usage, summary) = read_logs(&args.aws, args.until, problems)?;
    let window = Window::ending(until(args, usage.newest), args.window.secs());
    let inventory = Inventory::build(Actions::builtin(), Spaces::builtin(), &input, &usage, window);
    known(args, |name| inventory.identities.contains_key(name))?;
    Ok(analyse(&inventory, &usage, window, args.system_name.as_deref(), summary))
}

/// Reads what is known of an account besides the logs.
pub(super) fn read_input(files: &AwsFiles, details: &Path, exclusions: Exclusions, problems: &mut Problems) -> Result<Input> {
    Ok(Input {
        details: read_details(details, problems)?,
        credentials: files.aws_credential_report.as_deref().map(|path| read_credentials(path, problems)).transpose()?,
        resources: files.aws_resources.as_deref().map(|path| read_resources(path, problems)).transpose()?.unwrap_or_default(),
        service_control: files.aws_scp.iter().map(|path| read_level(path)).collect::<Result<_>>()?,
        exclusions,
    })
}

fn unusable(path: &Path, why: String) -> Error {
    Error::msg(why).context(format!("{} is not usable", path.display()))
}

fn read_details(path: &Path, problems: &mut Problems) -> Result<Details> {
    let details = Details::parse(&files::text(path)?).map_err(|why| unusable(path, why))?;
    details.broken.iter().for_each(|why| problems.add(path, None, format!("left out: {why}")));
    Ok(details)
}

fn read_credentials(path: &Path, problems: &mut Problems) -> Result<credentials::CredentialReport> {
    let (report, broken) = credentials::parse(&files::text(path)?).map_err(|why| unusable(path, why))?;
    broken.iter().for_each(|why| problems.add(path, None, why.as_str()));
    Ok(report)
}

fn read_resources(path: &Path, problems: &mut Problems) -> Result<Vec<String>> {
    let text = files::text(path)?;
    let (mut found, lines) = (Vec::new(), text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty()));
    for (line, number) in lines {
        if line.starts_with("arn:") && line.split(':').count() >= 6 {
            found.push(line.to_owned());
        } else {
            problems.add(path, Some(number), "not an ARN; it was left out");
        }
    }
    Ok(found)
}

/// The policies of one level: one document, or a list.
fn read_level(path: &Path) -> Result<Vec<Document>> {
    let value: Value = serde_json::from_str(&files::text(path)?).with_context(|| format!("{} is not JSON", path.display()))?;
    let documents = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    let read = documents.iter().map(|document| Document::read(document).map_err(|why| unusable(path, format!("a policy of it {why}"))));
    read.collect()
}

/// Reads the logs, up to a time.
pub(super) fn read_logs(files: &AwsFiles, until: Option<Timestamp>, mut problems: Problems) -> Result<(Usage, InputSummary)> {
    let logs = cloudtrail::find(&files.cloudtrail)?;
    let until = until.map_or_else(now, Timestamp::as_second);
    let mut progress = Progress::new("reading CloudTrail logs", logs.files.iter().map(|log| log.size).sum());
    let mut fold = Fold::default();
    let read =
        cloudtrail::read(Actions::builtin(), until, &logs.files, &mut problems, |bytes| progress.add(bytes), |used| fold.record(used));
    progress.end();
    let mut input = summary(&read.counts, logs.skipped);
    (input.files, input.problem_count, input.problems) = (logs.files.len() as u64, problems.count, problems.first);
    if read.counts.records == 0 {
        tell(&input);
        bail!("no record of CloudTrail in {}; give the log files of a trail, as it writes them to its bucket", listed(&files.cloudtrail));
    }
    Ok((fold.usage(Actions::builtin(), read.hours, read.newest), input))
}

fn summary(counts: &Counts, skipped: u64) -> InputSummary {
    let mut input = InputSummary {
        events: counts.records,
        uses: counts.uses,
        not_successful: counts.failed.total(),
        after_window: counts.after_window,
        unknown_versions: counts.unknown_versions.0.clone(),
        unmapped: counts.unmapped.0.clone(),
        ..InputSummary::default()
    };
    for (number, what) in [
        (skipped + counts.skipped_files, "files of the trail have no calls (digests, Insights)"),
        (counts.duplicates, "records were read before, and count once"),
        (counts.other_callers.total(), "calls are by callers that hold no permissions in the account, such as AWS services"),
        (counts.not_calls.total(), "records are not of calls"),
    ] {
        if number > 0 {
            input.notes.push(format!("{number} {what}"));
        }
    }
    input
}
