//! `curfew audit`: verifies and queries an audit log. It needs neither a cluster nor the operator.
use crate::{
    api::{CONFIG_NAME, CurfewConfig},
    audit::{
        chain::Head,
        history,
        verify::{self, Anchor},
    },
    authority::Clock,
    runtime::client,
};
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use curfew_core::time::Time;
use kube::Api;
use std::{collections::BTreeMap, io::Read, path::PathBuf, sync::Arc};

/// Verify an audit log, or show who had which access.
#[derive(Args, Debug)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Find records that were edited, dropped, reordered or truncated. Fails if there are any.
    ///
    /// The log alone cannot show that its end is missing, or that someone appended records. To check this, pass the anchored heads
    /// with --anchors or --live. They must be as recent as the files: later records are not covered by any anchor.
    Verify {
        /// JSON Lines files, oldest first; - reads standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// File with the CurfewConfig as JSON, from: kubectl get curfewconfig curfew -o json
        #[arg(long, conflicts_with = "live")]
        anchors: Option<PathBuf>,
        /// Read the anchored heads from the cluster.
        #[arg(long)]
        live: bool,
    },
    /// Show who had which access, when, why, who approved it, and what the target system confirmed.
    Show {
        /// JSON Lines files, oldest first; - reads standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Show only the access of this user.
        #[arg(long)]
        user: Option<String>,
        /// Show only access on this AuthorizationSystem.
        #[arg(long)]
        system: Option<String>,
        /// Show only access that may have existed at this time, such as 2026-11-23T08:15:00Z.
        #[arg(long, value_parser = time)]
        at: Option<Time>,
        /// Output format.
        #[arg(long, short, value_enum, default_value = "text")]
        output: Output,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Output {
    /// Several lines for each access.
    Text,
    /// A JSON array.
    Json,
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| format!("{text:?} is not an RFC 3339 time in UTC, such as 2026-11-23T08:15:00Z"))
}

/// Runs `curfew audit`.
///
/// # Errors
/// If a file or the cluster cannot be read, or `verify` has findings.
pub async fn audit(args: Audit) -> Result<()> {
    match args.verb {
        Verb::Verify { files, anchors, live } => {
            let anchors = match (anchors, live) {
                (Some(file), _) => heads(
                    &serde_json::from_str(&read(&file)?).with_context(|| format!("{} does not contain a CurfewConfig", file.display()))?,
                ),
                (None, true) => heads(&from_cluster().await?),
                (None, false) => BTreeMap::new(),
            };
            let report = verify::verify(lines(&files)?, &anchors);
            println!("{report}");
            ensure!(report.is_sound(), "verification failed: the audit log differs from what the operator wrote");
            Ok(())
        }
        Verb::Show { files, user, system, at, output } => {
            let accesses: Vec<_> = history::history(lines(&files)?)
                .into_iter()
                .filter(|access| user.as_ref().is_none_or(|user| access.user == *user))
                .filter(|access| system.as_ref().is_none_or(|system| access.system == *system))
                .filter(|access| at.is_none_or(|time| access.covers(time)))
                .collect();
            match output {
                Output::Json => println!("{}", serde_json::to_string_pretty(&accesses)?),
                Output::Text => accesses.iter().for_each(|access| println!("{access}\n")),
            }
            Ok(())
        }
    }
}

fn heads(config: &CurfewConfig) -> BTreeMap<String, Anchor> {
    let heads = config.status.as_ref().map(|status| status.audit_heads.clone()).unwrap_or_default();
    heads
        .into_iter()
        .map(|head| (head.writer, Anchor { head: Head { sequence: head.sequence.unsigned_abs(), hash: head.hash }, at: head.at }))
        .collect()
}

async fn from_cluster() -> Result<CurfewConfig> {
    let client = client::connect(Arc::new(Clock::default()), Arc::default()).await.context("no usable kubeconfig")?;
    Api::<CurfewConfig>::all(client).get(CONFIG_NAME).await.context("cannot read CurfewConfig curfew")
}

fn lines(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read(file)?.lines().map(str::to_owned));
    }
    Ok(all)
}

fn read(file: &PathBuf) -> Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(text)
}
