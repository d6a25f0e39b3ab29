//! `curfew-analytics store`: what is in a usage store, and its rows for other engines.
use crate::{
    history::Day,
    store::{Form, Limits, Store},
};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Look into a usage store that no process has open, or into a copy of one.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  curfew-analytics store stats /var/lib/curfew/usage.redb
  curfew-analytics store export /var/lib/curfew/usage.redb --from 2026-11-01 > usage.jsonl
  curfew-analytics store export usage.redb --system prod -o csv | gzip > usage.csv.gz

The process `curfew-analytics run` keeps its store open: stop it first, or copy the file from a snapshot of its volume.")]
pub struct StoreArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print what each system has: days, events, names, sources.
    Stats {
        /// The store.
        file: PathBuf,
    },
    /// Print the rows of usage_daily: what each identity did on each day.
    Export {
        /// The store.
        file: PathBuf,
        /// Only this system. Repeat it for more.
        #[arg(long, value_name = "NAME")]
        system: Vec<String>,
        /// From this day on, such as 2026-11-01.
        #[arg(long, value_name = "DAY", default_value = "1970-01-01")]
        from: Day,
        /// Up to and including this day.
        #[arg(long, value_name = "DAY", default_value = "9999-12-31")]
        to: Day,
        /// JSON lines, or CSV with a header.
        #[arg(short, long, value_name = "FORM", default_value = "json-lines")]
        output: Form,
    },
}

/// Runs the command.
///
/// # Errors
/// If the store cannot be read, does not have a system that is named, or the output cannot be written.
pub fn run(args: &StoreArgs) -> Result<()> {
    match &args.verb {
        Verb::Stats { file } => stats(&open(file)?),
        Verb::Export { file, system, from, to, output } => {
            let store = open(file)?;
            let known = store.systems()?;
            if let Some(name) = system.iter().find(|name| !known.contains(name)) {
                bail!("the store has no system {name}; it has: {}", if known.is_empty() { "none".into() } else { known.join(", ") });
            }
            let systems = if system.is_empty() { &known } else { system };
            let mut out = BufWriter::new(io::stdout().lock());
            ended(store.export(systems, *from, *to, *output, &mut out).map(|_| ()))
        }
    }
}

/// A reader that has enough, such as `head`, is not an error.
fn ended(result: crate::store::Result<()>) -> Result<()> {
    match result {
        Err(crate::store::StoreError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Into::into),
    }
}

/// Opens a store that exists. A wrong name makes no new one.
fn open(path: &Path) -> Result<Store> {
    std::fs::metadata(path).with_context(|| format!("cannot read the usage store {}", path.display()))?;
    Ok(Store::open(path, Limits::default())?)
}

fn stats(store: &Store) -> Result<()> {
    let mut out = String::new();
    for system in store.stats()? {
        let (counted, again, late) = system.events;
        let span = system
            .span
            .map_or_else(|| "no days".to_owned(), |(first, last)| format!("{first} to {last}, {} days with events", system.days));
        out += &format!("{}\n  days     {span}\n", curfew_core::text::printable(&system.system));
        out += &format!(
            "  events   {counted} counted, {again} read again, {late} late\n  names    {}\n  sources  {}\n",
            system.names, system.sources
        );
    }
    let (bytes, tables) = store.size()?;
    out += &format!("{bytes} bytes in use\n");
    for (name, rows) in tables {
        out += &format!("  {name:<16} {rows:>12}\n");
    }
    ended(io::stdout().lock().write_all(out.as_bytes()).map_err(Into::into))
}
