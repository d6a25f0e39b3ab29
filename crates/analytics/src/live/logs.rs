//! Log directories: audit logs that an API server writes and rotates, and that something else packs and deletes.
//!
//! A log is known by its first line, which holds the identifier of a request, and not by its name: a file that was renamed or packed is read on
//! where it was left. How far is in the store, in the transaction that has the events.
use super::{
    intake,
    state::{Shared, System},
};
use crate::{
    files,
    kubernetes::event::{Event, Line, parse},
};
use anyhow::Context;
use curfew_api::system::UsageSource;
use curfew_core::text::brief;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How many events are stored at a time.
const BATCH: usize = 5_000;
/// How many bytes of lines are read before what they hold is stored.
const BATCH_BYTES: u64 = 32 << 20;
/// The longest line; a longer one is skipped and counted.
const MAX_LINE: u64 = 16 << 20;
/// What of a digest names a log.
const PRINT: usize = 16;

/// Size and time of a file when it was read to its end.
pub type Stamp = (u64, Option<SystemTime>);

/// The files that this process has read, and what of them could not be. Those that are gone are forgotten with each round.
#[derive(Default)]
pub struct Files {
    before: HashMap<PathBuf, (Stamp, Option<String>)>,
    /// Paths of files that have changed since.
    changed: HashSet<PathBuf>,
    seen: HashMap<PathBuf, (Stamp, Option<String>)>,
}

impl Files {
    /// Whether a file was read as it is. What of it could not be read is still told.
    pub fn is_known(&mut self, path: &Path, stamp: Stamp) -> bool {
        match self.before.remove(path) {
            Some(known) if known.0 == stamp => {
                self.seen.insert(path.to_owned(), known);
                true
            }
            Some(_) => {
                self.changed.insert(path.to_owned());
                false
            }
            None => false,
        }
    }
    /// Whether this process has read a file of this name in the round before.
    pub fn was_read(&self, path: &Path) -> bool {
        self.changed.contains(path)
    }
    /// A file was read.
    pub fn note(&mut self, path: PathBuf, stamp: Stamp, problem: Option<String>) {
        self.seen.insert(path, (stamp, problem));
    }
    /// What could not be read of the files below a directory, sorted.
    fn problems(&self, directory: &Path) -> Vec<String> {
        let told = self.seen.iter().filter(|(path, _)| path.starts_with(directory));
        let mut told: Vec<String> =
            told.filter_map(|(path, (_, problem))| Some(format!("{}: {}", path.display(), problem.as_ref()?))).collect();
        told.sort();
        told
    }
    /// Begins a round.
    pub fn turn(&mut self) {
        self.before = std::mem::take(&mut self.seen);
        self.changed.clear();
    }
}

/// Reads the directories of all systems on, until the process ends.
pub async fn follow(shared: Arc<Shared>, every: Duration) {
    let mut known = Files::default();
    loop {
        let (turn, mut files) = (shared.clone(), std::mem::take(&mut known));
        let read = tokio::task::spawn_blocking(move || {
            files.turn();
            for system in turn.systems() {
                for source in system.usage_sources() {
                    read_source(&turn, &system, &source, &mut files);
                }
            }
            files
        });
        match read.await {
            Ok(files) => known = files,
            // Its hook has logged the panic. Everything is looked at again.
            Err(error) => tracing::error!(%error, "log directories could not be read"),
        }
        tokio::time::sleep(every).await;
    }
}

/// Reads a source of a system on, and notes what went wrong with it.
pub fn read_source(shared: &Shared, system: &System, source: &UsageSource, files: &mut Files) {
    let directory = match source {
        UsageSource::AuditWebhook(_) => return,
        UsageSource::AuditLogs(logs) | UsageSource::CloudTrail(logs) => &logs.directory,
    };
    let name = format!("directory {directory}");
    let Some(root) = &shared.logs else {
        system.note(&name, Some(format!("{name} cannot be read: curfew-analytics runs without --logs")));
        return;
    };
    let path = root.join(directory);
    let outcome = match source {
        UsageSource::AuditWebhook(_) => Ok(()),
        UsageSource::AuditLogs(_) => audit_logs(shared, system, &path, files),
        UsageSource::CloudTrail(_) => super::trail::read(shared, system, directory, &path, files),
    };
    let mut problems = files.problems(&path);
    problems.splice(0..0, outcome.err().map(|error| format!("{error:#}")));
    let more = problems.len().saturating_sub(1);
    let more = if more > 0 { format!(", and {more} more problems") } else { String::new() };
    system.note(&name, problems.first().map(|first| format!("{name}: {first}{more}")));
}

/// Reads the audit logs of a directory on.
fn audit_logs(shared: &Shared, system: &System, directory: &Path, known: &mut Files) -> anyhow::Result<()> {
    let mut entries = std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    if entries.next().is_none() {
        return Ok(());
    }
    for found in files::find(&[directory.to_owned()])? {
        let stamp = (found.size, std::fs::metadata(&found.path).and_then(|metadata| metadata.modified()).ok());
        if known.is_known(&found.path, stamp) {
            continue;
        }
        let problem = audit_log(shared, system, &found.path).with_context(|| found.path.display().to_string())?;
        if let Some(problem) = &problem {
            tracing::warn!(system = system.name, file = %found.path.display(), problem, "a log is not read whole");
        }
        // It is not read again before it changes.
        known.note(found.path, stamp, problem);
    }
    Ok(())
}

/// Reads one log on. Returns what of it could not be read.
fn audit_log(shared: &Shared, system: &System, path: &Path) -> anyhow::Result<Option<String>> {
    let mut first = Vec::new();
    files::open(path, |_| {})?.take(MAX_LINE).read_until(b'\n', &mut first)?;
    if first.last() != Some(&b'\n') {
        // Not a whole line yet.
        return Ok(None);
    }
    let source = format!("log {}", print(&first));
    let stored = shared.store.watermark(&system.name, &source)?.and_then(|mark| mark.parse::<u64>().ok()).unwrap_or_default();
    let mut file = files::open(path, |_| {})?;
    let skipped = io::copy(&mut file.by_ref().take(stored), &mut io::sink())?;
    // Shorter than it was: it is read again, and what is known counts once.
    let mut at = if skipped == stored { stored } else { 0 };
    if skipped < stored {
        file = files::open(path, |_| {})?;
    }
    let (mut events, mut read, mut problem): (Vec<Event>, u64, Option<String>) = (Vec::new(), 0, None);
    loop {
        let line = match next_line(&mut *file) {
            Ok(line) => line,
            Err(error) => {
                problem = Some(files::cut(&error));
                None
            }
        };
        let ended = line.is_none();
        if let Some((length, line)) = line {
            (at, read) = (at + length, read + length);
            match line.map(|line| parse(&line)) {
                Some(Line::Empty) => {}
                Some(Line::Events { events: more, broken }) => {
                    events.extend(more);
                    problem = problem.or(broken.map(|broken| broken.first));
                }
                Some(Line::Unknown(name)) => problem = problem.or(Some(brief(&name))),
                Some(Line::Broken(why)) => problem = problem.or(Some(brief(&why))),
                None => problem = problem.or(Some(format!("a line is longer than {} MiB, and was skipped", MAX_LINE >> 20))),
            }
        }
        if events.len() >= BATCH || read >= BATCH_BYTES || (ended && read > 0) {
            intake::store(shared, system, &source, Some(&at.to_string()), &events)?;
            events.clear();
            read = 0;
        }
        if ended {
            return Ok(problem);
        }
    }
}

/// The next whole line and its length. A line that is too long has only a length. `None` at the end, and before a line that is not whole yet.
fn next_line(file: &mut dyn BufRead) -> io::Result<Option<(u64, Option<Vec<u8>>)>> {
    let mut line = Vec::new();
    let got = Read::take(&mut *file, MAX_LINE).read_until(b'\n', &mut line)? as u64;
    if line.last() == Some(&b'\n') {
        return Ok(Some((got, Some(line))));
    }
    if got < MAX_LINE {
        return Ok(None);
    }
    drop(line);
    let mut counted = got;
    loop {
        let (used, is_end) = {
            let bytes = file.fill_buf()?;
            match memchr::memchr(b'\n', bytes) {
                Some(place) => (place + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            }
        };
        if used == 0 {
            return Ok(None);
        }
        file.consume(used);
        counted += used as u64;
        if is_end {
            return Ok(Some((counted, None)));
        }
    }
}

fn print(line: &[u8]) -> String {
    Sha256::digest(line).iter().take(PRINT).map(|byte| format!("{byte:02x}")).collect()
}
