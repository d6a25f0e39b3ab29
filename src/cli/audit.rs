//! `curfew audit`: what evidence says, with neither cluster nor operator.
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

/// Verifies evidence, and answers who had what.
#[derive(Args, Debug)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Finds records that were edited, dropped, reordered or cut off. Fails if there is any.
    ///
    /// A chain alone cannot show that its end was cut off, or that somebody added to it: give it the heads that were anchored
    /// elsewhere, by --anchors or --live. They must be as new as the files: what comes later is vouched for by nothing.
    Verify {
        /// Files of JSON lines, the oldest first; - for standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// CurfewConfig as JSON, as from: kubectl get curfewconfig curfew -o json
        #[arg(long, conflicts_with = "live")]
        anchors: Option<PathBuf>,
        /// Read the anchored heads from the cluster.
        #[arg(long)]
        live: bool,
    },
    /// Tells who had what, when, why, on whose word, and what the target confirmed.
    Show {
        /// Files of JSON lines, the oldest first; - for standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Only what this user had.
        #[arg(long)]
        user: Option<String>,
        /// Only on this AuthorizationSystem.
        #[arg(long)]
        system: Option<String>,
        /// Only what may have been there at this time, such as 2026-11-23T08:15:00Z.
        #[arg(long, value_parser = time)]
        at: Option<Time>,
        /// How to print.
        #[arg(long, short, value_enum, default_value = "text")]
        output: Output,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON array.
    Json,
}

fn time(s: &str) -> Result<Time, String> {
    Time::parse(s).ok_or_else(|| format!("{s:?} is no RFC 3339 time in UTC, such as 2026-11-23T08:15:00Z"))
}

/// Runs it.
///
/// # Errors
/// If something cannot be read, or evidence is not sound.
pub async fn audit(args: Audit) -> Result<()> {
    match args.verb {
        Verb::Verify { files, anchors, live } => {
            let anchors = match (anchors, live) {
                (Some(file), _) => {
                    heads(&serde_json::from_str(&read(&file)?).with_context(|| format!("{} is no CurfewConfig", file.display()))?)
                }
                (None, true) => heads(&from_cluster().await?),
                (None, false) => BTreeMap::new(),
            };
            let report = verify::verify(lines(&files)?, &anchors);
            println!("{report}");
            ensure!(report.is_sound(), "the evidence is not what was written");
            Ok(())
        }
        Verb::Show { files, user, system, at, output } => {
            let all: Vec<_> = history::history(lines(&files)?)
                .into_iter()
                .filter(|a| user.as_ref().is_none_or(|u| a.user == *u))
                .filter(|a| system.as_ref().is_none_or(|s| a.system == *s))
                .filter(|a| at.is_none_or(|t| a.covers(t)))
                .collect();
            match output {
                Output::Json => println!("{}", serde_json::to_string_pretty(&all)?),
                Output::Text => all.iter().for_each(|a| println!("{a}\n")),
            }
            Ok(())
        }
    }
}

fn heads(c: &CurfewConfig) -> BTreeMap<String, Anchor> {
    let all = c.status.as_ref().map(|s| s.audit_heads.clone()).unwrap_or_default();
    all.into_iter().map(|h| (h.writer, Anchor { head: Head { sequence: h.sequence.unsigned_abs(), hash: h.hash }, at: h.at })).collect()
}

async fn from_cluster() -> Result<CurfewConfig> {
    let client = client::connect(Arc::new(Clock::default())).await.context("no usable kubeconfig")?;
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
