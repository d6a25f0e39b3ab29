//! Audit sinks. Each sink has its own queue and task, so that a slow sink does not delay the others.
use super::backlog::Depth;
use crate::timing::timing;
use crate::{
    api::config::{HttpSink, Sink},
    observe::Metrics,
    runtime::{
        endpoint::Endpoint,
        http::{EndpointClient, HttpClient},
    },
};
use kube::Client;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Maximum number of records in one delivery to a sink.
const BATCH: usize = 100;
/// Delays between retries, in seconds. The last one repeats until the delivery succeeds.
const RETRY_DELAYS: [u32; 5] = [1, 2, 5, 10, 30];

/// One record for a sink, with an optional acknowledgement.
pub struct Line {
    /// The record as one line of JSON, without the newline.
    pub text: Arc<str>,
    /// Counts the sinks that have stored the record; shared by all of them.
    pub acknowledgement: Option<Arc<Acknowledgement>>,
}

/// Sends to a waiting caller once every sink has stored a record. If a sink ends without storing it, the last reference is
/// dropped with the sender in it, and the caller's receiver reports that.
pub struct Acknowledgement {
    missing: AtomicUsize,
    sender: Mutex<Option<oneshot::Sender<()>>>,
}

impl Acknowledgement {
    /// An acknowledgement by this many sinks, at least one.
    pub fn of(sinks: usize, sender: oneshot::Sender<()>) -> Arc<Self> {
        Arc::new(Acknowledgement { missing: AtomicUsize::new(sinks), sender: Mutex::new(Some(sender)) })
    }
    /// A sink has stored the record. Each sink calls this once.
    fn stored(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(sender) = self.sender.lock().take()
        {
            let _receiver_dropped = sender.send(());
        }
    }
}

/// A running sink: the sending half of its queue, and its task.
pub struct SinkWorker {
    queue: mpsc::UnboundedSender<Line>,
    last_error: Arc<Mutex<Option<String>>>,
    depth: Depth,
    task: tokio::task::JoinHandle<()>,
}

impl SinkWorker {
    /// Starts the task of a sink, whose queue is counted in `depth`.
    pub fn start(sink: &Sink, client: &Client, http: &HttpClient, metrics: &Arc<Metrics>, depth: Depth) -> Self {
        let target = match sink {
            Sink::Stdout(_) => Target::Stdout,
            Sink::File(file) => Target::File(PathBuf::from(&file.path)),
            Sink::Http(sink) => Target::Http(Box::new(Http {
                client: client.clone(),
                platform: http.clone(),
                own: EndpointClient::default(),
                sink: sink.clone(),
            })),
        };
        let (queue, lines) = mpsc::unbounded_channel();
        let last_error = Arc::new(Mutex::new(None));
        let task = tokio::spawn(deliver(target, lines, depth.clone(), last_error.clone(), metrics.clone()));
        SinkWorker { queue, last_error, depth, task }
    }
    /// Queues a record. Does not wait.
    pub fn push(&self, line: Line) {
        self.depth.push();
        // If the task has ended, the record is dropped together with its acknowledgement, which the waiting caller sees.
        let _ended = self.queue.send(line);
    }
    /// The error of the last failed delivery; `None` once a delivery has succeeded.
    pub fn error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }
    /// Waits at most `limit` for the queued records to be delivered, and stops accepting records. After `limit` the task goes on
    /// alone.
    pub async fn finish(self, limit: Duration) {
        drop(self.queue);
        let _in_time = tokio::time::timeout(limit, self.task).await;
    }
}

enum Target {
    Stdout,
    File(PathBuf),
    Http(Box<Http>),
}

/// Delivers the records in order, and retries each batch until the sink stores it.
async fn deliver(
    target: Target,
    mut lines: mpsc::UnboundedReceiver<Line>,
    depth: Depth,
    last_error: Arc<Mutex<Option<String>>>,
    metrics: Arc<Metrics>,
) {
    let show_backlog = || metrics.audit_backlog.set(i64::try_from(depth.get()).unwrap_or(i64::MAX));
    let mut waiting: VecDeque<Line> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match lines.recv().await {
                Some(line) => waiting.push_back(line),
                None => return,
            }
        }
        while let Ok(line) = lines.try_recv() {
            waiting.push_back(line);
        }
        let batch: Vec<Arc<str>> = waiting.iter().take(BATCH).map(|line| line.text.clone()).collect();
        let mut tries = 0;
        while let Err(error) = target.write(&batch).await {
            metrics.audit_failures.inc();
            show_backlog();
            tracing::warn!(sink = target.name(), error, "cannot deliver audit records to a sink; retrying");
            *last_error.lock() = Some(format!("{}: {error}", target.name()));
            tokio::time::sleep(timing().sink_pause * RETRY_DELAYS[tries.min(RETRY_DELAYS.len() - 1)]).await;
            tries += 1;
        }
        *last_error.lock() = None;
        for line in waiting.drain(..batch.len()) {
            if let Some(acknowledgement) = line.acknowledgement {
                acknowledgement.stored();
            }
        }
        depth.pop(batch.len());
        show_backlog();
    }
}

impl Target {
    fn name(&self) -> String {
        match self {
            Target::Stdout => "stdout".into(),
            Target::File(path) => path.display().to_string(),
            Target::Http(http) => format!("http ({}/{})", http.sink.url_secret_ref.name, http.sink.url_secret_ref.key),
        }
    }

    async fn write(&self, batch: &[Arc<str>]) -> Result<(), String> {
        match self {
            Target::Stdout => {
                let batch = batch.to_vec();
                // Writing to a pipe that is not read blocks the thread, so it must not be a thread of the async runtime.
                let print = move || {
                    let mut out = std::io::stdout().lock();
                    batch.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush())
                };
                tokio::task::spawn_blocking(print).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
            }
            Target::File(path) => {
                let (path, batch) = (path.clone(), batch.to_vec());
                let written = tokio::task::spawn_blocking(move || append(&path, &batch)).await;
                written.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
            }
            Target::Http(http) => tokio::time::timeout(timing().sink_timeout, http.post(batch))
                .await
                .map_err(|_| format!("no response within {} s", timing().sink_timeout.as_secs()))?,
        }
    }
}

/// Appends the batch and syncs the file. The file is reopened for each batch, so that log rotation needs no signal.
fn append(path: &Path, batch: &[Arc<str>]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut text = String::new();
    // A crash can leave an incomplete last line. The newline keeps the next record off that line.
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != [b'\n'] {
            text.push('\n');
        }
    }
    for line in batch {
        text.push_str(line);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// An HTTP sink, with what reaches it.
struct Http {
    client: Client,
    platform: HttpClient,
    own: EndpointClient,
    sink: HttpSink,
}

impl Http {
    /// Posts a CloudEvents batch to the URL in a Secret of the operator's namespace.
    async fn post(&self, batch: &[Arc<str>]) -> Result<(), String> {
        let HttpSink { url_secret_ref, transport, ca_secret_ref } = &self.sink;
        let endpoint = Endpoint { url: url_secret_ref, transport: *transport, authorities: ca_secret_ref.as_ref() };
        let (uri, http) = endpoint.open(&self.client, &self.own, &self.platform).await?;
        let body = format!("[{}]", batch.iter().map(|line| &**line).collect::<Vec<_>>().join(","));
        let request = http::Request::post(uri).header("content-type", "application/cloudevents-batch+json").body(body.into_bytes());
        let response = http.send(request.map_err(|e| e.to_string())?).await.map_err(|e| e.to_string())?;
        if response.status.is_success() { Ok(()) } else { Err(format!("the sink answered {}: {}", response.status, response.excerpt())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_stored_once_every_sink_has_stored_it() {
        let (sender, mut receiver) = oneshot::channel();
        let all = Acknowledgement::of(2, sender);
        all.stored();
        assert_eq!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        all.stored();
        assert_eq!(receiver.try_recv(), Ok(()));

        let (sender, mut receiver) = oneshot::channel();
        let one_sink_ends = Acknowledgement::of(2, sender);
        one_sink_ends.stored();
        drop(one_sink_ends);
        assert_eq!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Closed), "a sink that ends has not stored the record");
    }

    #[test]
    fn an_incomplete_line_stays_a_line_of_its_own() {
        let path = std::env::temp_dir().join(format!("curfew-audit-{}", std::process::id()));
        std::fs::write(&path, "{\"cut").unwrap();
        append(&path, &["{}".into()]).unwrap();
        append(&path, &["{}".into(), "{}".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"cut\n{}\n{}\n{}\n");
        std::fs::remove_file(path).unwrap();
    }
}
