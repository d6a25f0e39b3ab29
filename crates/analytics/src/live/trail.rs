//! Log directories of CloudTrail: files that are complete when they appear, as in the bucket of a trail.
//!
//! A file is read once. Which ones were read before this process began is known by the time at which the file system got them (ctime), which
//! no tool sets. The store has the newest of these times; files of the hour before it are read again, and what is known counts once.
use super::{
    logs::{Files, Stamp},
    state::{Shared, System},
};
use crate::{
    aws::{
        catalogue::Actions,
        cloudtrail::{Reader, Use, find},
    },
    files::Problems,
    store::{Batch, StoreError, UsageEvent},
};
use jiff::Timestamp;
use std::{os::unix::fs::MetadataExt, path::Path};

/// How many uses are stored at a time.
const BATCH: usize = 5_000;
/// Files that came so long before the newest one may have been missed: clocks, and a process that was killed.
const AGAIN: i64 = 3_600;

/// A use that waits to be stored.
struct Waiting {
    id: String,
    identity: String,
    operation: String,
    resources: Vec<String>,
    key: String,
    at: i64,
}

/// Collects uses, and stores thousands at a time.
struct Sink<'a> {
    shared: &'a Shared,
    system: &'a System,
    source: &'a str,
    waiting: Vec<Waiting>,
    failed: Option<StoreError>,
}

impl Sink<'_> {
    fn take(&mut self, used: &Use<'_>) {
        let one = |id: String, operation: &str, resources: Vec<String>| Waiting {
            id,
            identity: used.identity.to_owned(),
            operation: operation.to_owned(),
            resources,
            key: used.key.unwrap_or_default().to_owned(),
            at: used.at,
        };
        self.waiting.push(one(used.id.to_owned(), used.operation, used.resources.to_vec()));
        for implied in used.implied {
            let id = format!("{} {}", used.id, implied.operation);
            self.waiting.push(one(id, &implied.operation, implied.resource.iter().cloned().collect()));
        }
        if self.waiting.len() >= BATCH {
            self.flush(None);
        }
    }

    /// Stores what waits. After a failure nothing more is stored.
    fn flush(&mut self, watermark: Option<&str>) {
        let events = self.waiting.drain(..).map(|one| UsageEvent {
            id: one.id.into(),
            identity: one.identity.into(),
            operation: one.operation.into(),
            resources: one.resources.into_iter().map(Into::into).collect(),
            context: one.key.into(),
            at: one.at,
        });
        let events: Vec<UsageEvent> = events.collect();
        if self.failed.is_some() || (events.is_empty() && watermark.is_none()) {
            return;
        }
        let now = Timestamp::now().as_second();
        let batch = Batch { system: &self.system.name, source: self.source, watermark, now };
        let times: Vec<i64> = events.iter().map(|event| event.at).collect();
        match self.shared.store.ingest(&batch, events) {
            Ok(counts) => {
                self.shared.metrics.events(&self.system.name, &counts);
                self.shared.metrics.heard(&self.system.name, times.into_iter(), now);
                if counts.new + counts.late > 0 {
                    self.system.has_events();
                }
            }
            Err(error) => self.failed = Some(error),
        }
    }
}

/// Reads the new files of a directory. `name` is what the system calls it: last names of directories may be equal.
///
/// # Errors
/// If the directory cannot be listed, or of the store: files since then are read again.
pub fn read(shared: &Shared, system: &System, name: &str, directory: &Path, files: &mut Files) -> anyhow::Result<()> {
    let source = format!("trail {name}");
    let mark: i64 = shared.store.watermark(&system.name, &source)?.and_then(|mark| mark.parse().ok()).unwrap_or(i64::MIN);
    let mut newest = mark;
    let mut reader = Reader::new(Actions::builtin(), i64::MAX);
    let mut sink = Sink { shared, system, source: &source, waiting: Vec::new(), failed: None };
    for found in find(&[directory.to_owned()])?.files {
        let Ok(metadata) = std::fs::metadata(&found.path) else { continue };
        let stamp: Stamp = (metadata.size(), metadata.modified().ok());
        let came = metadata.ctime();
        newest = newest.max(came);
        if files.is_known(&found.path, stamp) {
            continue;
        }
        // Read by a process before this one.
        if !files.was_read(&found.path) && came < mark.saturating_sub(AGAIN) {
            files.note(found.path, stamp, None);
            continue;
        }
        let mut problems = Problems::default();
        reader.file(&found.path, &mut problems, |_| {}, |used| sink.take(used));
        sink.flush(None);
        if let Some(error) = sink.failed {
            return Err(error.into());
        }
        shared.metrics.broken(&system.name, problems.count);
        let problem = problems.first.first().map(|problem| problem.message.clone());
        if let Some(problem) = &problem {
            tracing::warn!(system = system.name, file = %found.path.display(), problem, "a log is not read whole");
        }
        files.note(found.path, stamp, problem);
    }
    if newest > mark {
        sink.flush(Some(&newest.to_string()));
    }
    sink.failed.map_or(Ok(()), |error| Err(error.into()))
}
