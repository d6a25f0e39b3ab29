//! Where evidence goes. Each sink has a queue and a task of its own: a slow one holds up no other.
use crate::{
    api::{config::Sink, system::SecretKey},
    identity::NAMESPACE,
    observe::Metrics,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Config};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How many records go to an HTTP sink at a time.
const BATCH: usize = 100;
/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses between tries, the last one for ever.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 30];

/// One record for a sink, and who waits for it to be there.
pub struct Line {
    /// The record.
    pub text: Arc<str>,
    /// Told once the sink has it.
    pub taken: Option<oneshot::Sender<()>>,
}

/// One sink at work.
pub struct SinkWorker {
    queue: mpsc::UnboundedSender<Line>,
    trouble: Arc<Mutex<Option<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl SinkWorker {
    /// Starts a sink.
    pub fn start(sink: &Sink, client: &Client, metrics: &Arc<Metrics>) -> Self {
        let target = match sink {
            Sink::Stdout(_) => Target::Stdout,
            Sink::File(f) => Target::File(PathBuf::from(&f.path)),
            Sink::Http(h) => Target::Http { client: client.clone(), secret: h.url_secret_ref.clone() },
        };
        let (queue, lines) = mpsc::unbounded_channel();
        let trouble = Arc::new(Mutex::new(None));
        let task = tokio::spawn(deliver(target, lines, trouble.clone(), metrics.clone()));
        SinkWorker { queue, trouble, task }
    }
    /// Hands a record over.
    pub fn push(&self, line: Line) {
        // A sink whose task has ended takes nothing, and whoever waits for it learns that.
        let _ended = self.queue.send(line);
    }
    /// What keeps it from taking records, if anything does.
    pub fn error(&self) -> Option<String> {
        self.trouble.lock().clone()
    }
    /// Lets it take what it has been given, and ends it.
    pub async fn finish(self, limit: Duration) {
        drop(self.queue);
        let _in_time = tokio::time::timeout(limit, self.task).await;
    }
}

enum Target {
    Stdout,
    File(PathBuf),
    Http { client: Client, secret: SecretKey },
}

/// Delivers in order, each record until it is taken.
async fn deliver(target: Target, mut lines: mpsc::UnboundedReceiver<Line>, trouble: Arc<Mutex<Option<String>>>, metrics: Arc<Metrics>) {
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
        let batch: Vec<Arc<str>> = waiting.iter().take(BATCH).map(|l| l.text.clone()).collect();
        let mut tries = 0;
        while let Err(why) = target.write(&batch).await {
            metrics.audit_failures.inc();
            metrics.audit_backlog.set(i64::try_from(waiting.len() + lines.len()).unwrap_or(i64::MAX));
            tracing::warn!(sink = target.name(), error = why, "a sink does not take evidence; it is tried again");
            *trouble.lock() = Some(format!("{}: {why}", target.name()));
            tokio::time::sleep(Duration::from_secs(PAUSES[tries.min(PAUSES.len() - 1)])).await;
            tries += 1;
        }
        *trouble.lock() = None;
        for line in waiting.drain(..batch.len()) {
            if let Some(taken) = line.taken {
                let _nobody_waits = taken.send(());
            }
        }
        metrics.audit_backlog.set(i64::try_from(waiting.len() + lines.len()).unwrap_or(i64::MAX));
    }
}

impl Target {
    fn name(&self) -> String {
        match self {
            Target::Stdout => "stdout".into(),
            Target::File(p) => p.display().to_string(),
            Target::Http { secret, .. } => format!("http ({}/{})", secret.name, secret.key),
        }
    }

    async fn write(&self, batch: &[Arc<str>]) -> Result<(), String> {
        match self {
            Target::Stdout => {
                let batch = batch.to_vec();
                // A pipe that nobody reads blocks whoever writes, and that must be nobody else.
                let print = move || {
                    let mut out = std::io::stdout().lock();
                    batch.iter().try_for_each(|l| writeln!(out, "{l}")).and_then(|()| out.flush())
                };
                tokio::task::spawn_blocking(print).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
            }
            Target::File(path) => {
                let (path, batch) = (path.clone(), batch.to_vec());
                let written = tokio::task::spawn_blocking(move || append(&path, &batch)).await;
                written.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
            }
            Target::Http { client, secret } => {
                tokio::time::timeout(PATIENCE, post(client, secret, batch)).await.map_err(|_| "it does not answer".to_owned())?
            }
        }
    }
}

/// Appends and syncs. The file is opened anew each time, so that whoever rotates it need not tell us.
fn append(path: &Path, batch: &[Arc<str>]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut text = String::new();
    // A line that was cut off by a crash stays one bad line.
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

/// Posts a CloudEvents batch to the URL in a secret of the operator's namespace, which may change.
async fn post(client: &Client, secret: &SecretKey, batch: &[Arc<str>]) -> Result<(), String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let held = secrets.get(&secret.name).await.map_err(|e| format!("cannot read secret {}: {e}", secret.name))?;
    let bytes =
        held.data.and_then(|mut d| d.remove(&secret.key)).ok_or_else(|| format!("secret {} has no key {}", secret.name, secret.key))?;
    let url = String::from_utf8(bytes.0).map_err(|e| e.to_string())?;
    let uri: http::Uri = url.trim().parse().map_err(|_| "the URL in the secret is none".to_owned())?;
    let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let base = http::Uri::from_parts(parts).map_err(|e| e.to_string())?;
    let target = Client::try_from(Config::new(base)).map_err(|e| e.to_string())?;
    let body = format!("[{}]", batch.iter().map(|l| &**l).collect::<Vec<_>>().join(","));
    let request = http::Request::post(path).header("content-type", "application/cloudevents-batch+json").body(body.into_bytes());
    target.request_text(request.map_err(|e| e.to_string())?).await.map(drop).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_stays_one_bad_line() {
        let path = std::env::temp_dir().join(format!("curfew-evidence-{}", std::process::id()));
        std::fs::write(&path, "{\"cut").unwrap();
        append(&path, &["{}".into()]).unwrap();
        append(&path, &["{}".into(), "{}".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"cut\n{}\n{}\n{}\n");
        std::fs::remove_file(path).unwrap();
    }
}
