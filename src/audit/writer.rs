//! The one task of a process that writes evidence: it numbers, chains, and hands to every sink.
use super::{
    chain::Chain,
    record::{EventData, EventKind},
    sinks::{Line, SinkWorker},
};
use crate::{
    api::{
        CONFIG_NAME, CurfewConfig,
        config::{AuditHead, Sink},
    },
    authority::{Authority, Clock},
    kube_writes::{self, WriteOutcome},
    observe::Metrics,
};
use curfew_core::{target::Empty, time::Time};
use futures::future::join_all;
use kube::{Api, Client, ResourceExt, runtime::reflector::Store};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How long an intent waits for every sink. Then the grant is not written, and tried again later.
const INTENT: Duration = Duration::from_secs(5);
/// How often the head is anchored in CurfewConfig's status, if it has moved. `verify` takes what comes much later for somebody else's.
pub(super) const ANCHOR: Duration = Duration::from_secs(15);
/// How many writers' heads are kept there.
const HEADS: usize = 32;

struct Item {
    what: EventKind,
    facts: EventData,
    at: Time,
    taken: Option<oneshot::Sender<bool>>,
    last: bool,
}

/// What the writer needs.
pub struct Setup {
    /// The API server: secrets of sinks, anchors.
    pub client: Client,
    /// CurfewConfig, for the sinks.
    pub configs: Store<CurfewConfig>,
    /// The install id.
    pub install: String,
    /// The name of this process's chain.
    pub writer: String,
    /// The time, and when the stores are synced.
    pub authority: Arc<Authority>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Where everybody tells what has happened.
#[derive(Clone)]
pub struct AuditLog {
    items: mpsc::UnboundedSender<Item>,
    clock: Arc<Clock>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl AuditLog {
    /// The handle, and the task that must run for it.
    pub fn new(s: Setup) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (items, inbox) = mpsc::unbounded_channel();
        let trouble = Arc::new(Mutex::new(None));
        let handle = AuditLog { items, clock: s.authority.clock.clone(), trouble: trouble.clone() };
        (handle, write(s, inbox, trouble))
    }

    /// Tells what has happened. Waits for nobody.
    pub fn append(&self, what: EventKind, facts: EventData) {
        let _ended = self.items.send(Item { what, facts, at: self.clock.now(), taken: None, last: false });
    }

    /// Records an intent, and waits until every sink has it. `false` means that some sink has not: do not go on.
    pub async fn append_and_wait(&self, what: EventKind, facts: EventData) -> bool {
        let (taken, answer) = oneshot::channel();
        let sent = self.items.send(Item { what, facts, at: self.clock.now(), taken: Some(taken), last: false });
        sent.is_ok() && tokio::time::timeout(INTENT, answer).await.is_ok_and(|a| a == Ok(true))
    }

    /// What keeps evidence from being delivered, if anything does.
    pub fn error(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Writes what was told, anchors the head, and ends.
    pub async fn finish(&self, limit: Duration) {
        let (taken, answer) = oneshot::channel();
        let end = Item { what: EventKind::ChainStarted, facts: EventData::default(), at: self.clock.now(), taken: Some(taken), last: true };
        if self.items.send(end).is_ok() {
            let _in_time = tokio::time::timeout(limit, answer).await;
        }
    }
}

async fn write(s: Setup, mut inbox: mpsc::UnboundedReceiver<Item>, trouble: Arc<Mutex<Option<String>>>) {
    s.authority.until_synced().await;
    let mut w = Writer { chain: Chain::start(&s.install, &s.writer), sinks: BTreeMap::new(), anchored: 0, s };
    let before: BTreeMap<String, (i64, String)> = w
        .config()
        .and_then(|c| c.status)
        .map(|s| s.audit_heads)
        .unwrap_or_default()
        .into_iter()
        .map(|h| (h.writer, (h.sequence, h.hash)))
        .collect();
    let facts = EventData {
        confirmed: serde_json::to_string(&before).ok(),
        message: Some("a chain of evidence begins".into()),
        ..EventData::default()
    };
    w.put(EventKind::ChainStarted, &facts, w.s.authority.clock.now(), None);
    let mut tick = tokio::time::interval(ANCHOR);
    // Whether the last tick had nothing to anchor.
    let mut idle = false;
    loop {
        tokio::select! {
            item = inbox.recv() => match item {
                None => return,
                Some(Item { last: true, taken, .. }) => {
                    w.anchor().await;
                    join_all(std::mem::take(&mut w.sinks).into_values().map(|r| r.finish(INTENT))).await;
                    let _nobody_waits = taken.map(|t| t.send(true));
                    return;
                }
                Some(i) => {
                    w.put(i.what, &i.facts, i.at, i.taken);
                    // After a pause the last anchor is old: until the next, nothing tells this record from one that was added later.
                    if std::mem::take(&mut idle) {
                        w.anchor().await;
                        tick.reset();
                    }
                }
            },
            _ = tick.tick() => {
                idle = w.is_anchored();
                w.anchor().await;
            }
        }
        let now = w.sinks.values().find_map(SinkWorker::error);
        *trouble.lock() = now;
    }
}

struct Writer {
    s: Setup,
    chain: Chain,
    /// By what they are configured as.
    sinks: BTreeMap<String, SinkWorker>,
    /// The number that is anchored.
    anchored: u64,
}

impl Writer {
    fn config(&self) -> Option<CurfewConfig> {
        self.s.configs.state().iter().find(|c| c.name_any() == CONFIG_NAME).map(|c| (**c).clone())
    }

    /// The sinks as they are configured now; stdout where nothing is.
    fn tend(&mut self) {
        let mut wanted = self.config().and_then(|c| c.spec.audit).map(|a| a.sinks).unwrap_or_default();
        if wanted.is_empty() {
            wanted.push(Sink::Stdout(Empty {}));
        }
        let wanted: BTreeMap<String, Sink> = wanted.into_iter().map(|k| (serde_json::to_string(&k).unwrap_or_default(), k)).collect();
        for key in self.sinks.keys().filter(|k| !wanted.contains_key(*k)).cloned().collect::<Vec<_>>() {
            if let Some(gone) = self.sinks.remove(&key) {
                tokio::spawn(gone.finish(Duration::from_secs(60)));
            }
        }
        for (key, sink) in wanted {
            self.sinks.entry(key).or_insert_with(|| SinkWorker::start(&sink, &self.s.client, &self.s.metrics));
        }
    }

    fn put(&mut self, what: EventKind, facts: &EventData, at: Time, taken: Option<oneshot::Sender<bool>>) {
        self.tend();
        let text: Arc<str> = self.chain.append(what, facts, at).into();
        let mut answers = Vec::new();
        for sink in self.sinks.values() {
            let (send, answer) = oneshot::channel();
            sink.push(Line { text: text.clone(), taken: taken.is_some().then_some(send) });
            answers.push(answer);
        }
        if let Some(taken) = taken {
            tokio::spawn(async move {
                let all = join_all(answers).await.iter().all(Result::is_ok);
                let _nobody_waits = taken.send(all);
            });
        }
    }

    fn is_anchored(&self) -> bool {
        self.chain.head().sequence == self.anchored
    }

    /// Stores how far this chain has come where a sink cannot reach.
    async fn anchor(&mut self) {
        if self.is_anchored() {
            return;
        }
        let head = self.chain.head().clone();
        let configs: Api<CurfewConfig> = Api::all(self.s.client.clone());
        let Ok(Ok(Some(config))) = tokio::time::timeout(INTENT, configs.get_opt(CONFIG_NAME)).await else { return };
        let mut next = config.status.clone().unwrap_or_default();
        next.audit_heads.retain(|h| h.writer != self.chain.writer());
        let own = AuditHead {
            writer: self.chain.writer().to_owned(),
            sequence: i64::try_from(head.sequence).unwrap_or(i64::MAX),
            hash: head.hash,
            at: self.s.authority.clock.now().floor_secs(),
        };
        next.audit_heads.push(own);
        next.audit_heads.sort_by_key(|h| h.at);
        let surplus = next.audit_heads.len().saturating_sub(HEADS);
        next.audit_heads.drain(..surplus);
        let version = config.resource_version().unwrap_or_default();
        let commit = kube_writes::commit(&configs, CONFIG_NAME, &version, config.status.as_ref(), &next);
        match tokio::time::timeout(INTENT, commit).await.unwrap_or(WriteOutcome::Conflict) {
            WriteOutcome::Stored(_) => self.anchored = head.sequence,
            // The next tick tries again.
            WriteOutcome::Conflict => {}
            WriteOutcome::Failed(e) => tracing::info!(error = %e, "cannot anchor the chain of evidence"),
        }
    }
}
