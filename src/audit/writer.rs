//! The audit writer: one task per process that numbers and chains the audit records and queues them for every sink.
use super::{
    backlog::Backlog,
    chain::Chain,
    intents::Intents,
    recent::RecentRecords,
    record::{EventData, EventKind},
    sinks::{Acknowledgement, Line, SinkWorker},
};
use crate::timing::timing;
use crate::{
    api::{
        CONFIG_NAME, CurfewConfig,
        config::{AuditHead, Sink},
    },
    authority::{Authority, Clock},
    kube_writes::{self, WriteOutcome},
    observe::Metrics,
    runtime::http::HttpClient,
};
use curfew_core::{target::Empty, time::Time};
use futures::future::join_all;
use kube::{Api, Client, ResourceExt, runtime::reflector::Store};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Timeout for all sinks to store an intent, and for each API call of the writer. On timeout the Grant is not written; a later
/// reconcile tries again.
const INTENT: Duration = Duration::from_secs(5);
/// Maximum number of heads in the status of CurfewConfig; the oldest are removed first.
const HEADS: usize = 32;

struct Item {
    what: EventKind,
    facts: EventData,
    at: Time,
    taken: Option<oneshot::Sender<()>>,
    last: bool,
}

/// The dependencies of the writer.
pub struct Setup {
    /// Client for the Secrets of sinks and the anchors in CurfewConfig.
    pub client: Client,
    /// The HTTP client of the sinks.
    pub http: HttpClient,
    /// Cache of CurfewConfig, which lists the sinks.
    pub configs: Store<CurfewConfig>,
    /// The install id, as in `source` of each record.
    pub install: String,
    /// The name of the chain of this process; unique per process.
    pub writer: String,
    /// Provides the time, and signals when the caches are synced.
    pub authority: Arc<Authority>,
    /// Metrics for failed deliveries and the backlog.
    pub metrics: Arc<Metrics>,
}

/// Handle for sending audit records to the writer.
#[derive(Clone)]
pub struct AuditLog {
    items: mpsc::UnboundedSender<Item>,
    clock: Arc<Clock>,
    last_error: Arc<Mutex<Option<String>>>,
    backlog: Backlog,
    recent: Arc<RecentRecords>,
    intents: Arc<Intents>,
}

impl AuditLog {
    /// Creates the handle and the writer task, which the caller must spawn.
    pub fn new(setup: Setup) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (items, queue) = mpsc::unbounded_channel();
        let last_error = Arc::new(Mutex::new(None));
        let backlog = Backlog::default();
        let handle = AuditLog {
            items,
            clock: setup.authority.clock.clone(),
            last_error: last_error.clone(),
            backlog: backlog.clone(),
            recent: Arc::default(),
            intents: Arc::default(),
        };
        (handle, write(setup, queue, backlog, last_error))
    }

    /// Queues an audit record. Does not wait for the sinks.
    pub fn append(&self, what: EventKind, facts: EventData) {
        self.send(Item { what, facts, at: self.clock.now(), taken: None, last: false });
    }

    /// Queues the record of a transition that is about to be stored, unless the last record of the object with this uid is the same:
    /// then the transition is tried again, after a conflict or an error.
    pub fn append_transition(&self, uid: &str, what: EventKind, facts: EventData) {
        if self.recent.is_new(uid, what, &facts) {
            self.append(what, facts);
        }
    }

    /// Records the intent to write a Grant and waits until every sink has stored it. Returns `false` if a sink has not stored it
    /// within the timeout: the caller must not write the Grant. The same intent is queued once: while it is on its way it is
    /// waited for, and after that it is known to be stored.
    pub async fn append_intent(&self, grant: &str, facts: EventData) -> bool {
        let queue = |facts, taken| {
            self.send(Item { what: EventKind::GrantIntended, facts, at: self.clock.now(), taken: Some(taken), last: false });
        };
        let stored = self.intents.stored(grant, facts, queue);
        tokio::time::timeout(INTENT, stored).await.is_ok_and(|result| result.is_ok())
    }

    fn send(&self, item: Item) {
        self.backlog.writer().push();
        // Without a writer the process ends; an acknowledgement in the item is dropped with it.
        let _ended = self.items.send(item);
    }

    /// Whether there is room for the records of what could also be decided later.
    pub fn has_room(&self) -> bool {
        self.backlog.has_room()
    }

    /// The last delivery error of a failing sink; `None` while every sink accepts records.
    pub fn error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// Writes the queued records, anchors the head and ends the writer. Waits at most `limit`.
    pub async fn finish(&self, limit: Duration) {
        let (taken, finished) = oneshot::channel();
        let end = Item { what: EventKind::ChainStarted, facts: EventData::default(), at: self.clock.now(), taken: Some(taken), last: true };
        self.send(end);
        let _in_time = tokio::time::timeout(limit, finished).await;
    }
}

async fn write(setup: Setup, mut queue: mpsc::UnboundedReceiver<Item>, backlog: Backlog, last_error: Arc<Mutex<Option<String>>>) {
    setup.authority.until_synced().await;
    let chain = Chain::start(&setup.install, &setup.writer);
    let mut writer = Writer { chain, sinks: BTreeMap::new(), anchored: 0, backlog, setup };
    let previous_heads: BTreeMap<String, (i64, String)> = writer
        .config()
        .and_then(|config| config.status)
        .map(|status| status.audit_heads)
        .unwrap_or_default()
        .into_iter()
        .map(|head| (head.writer, (head.sequence, head.hash)))
        .collect();
    let facts = EventData {
        confirmed: serde_json::to_string(&previous_heads).ok(),
        message: Some("the audit writer has started a chain".into()),
        ..EventData::default()
    };
    writer.append(EventKind::ChainStarted, &facts, writer.setup.authority.clock.now(), None);
    let mut tick = tokio::time::interval(timing().anchor);
    // Whether the last tick had nothing to anchor.
    let mut idle = false;
    loop {
        tokio::select! {
            item = queue.recv() => match item {
                None => return,
                Some(Item { last: true, taken, .. }) => {
                    writer.anchor().await;
                    join_all(std::mem::take(&mut writer.sinks).into_values().map(|sink| sink.finish(INTENT))).await;
                    let _receiver_dropped = taken.map(|sender| sender.send(()));
                    return;
                }
                Some(item) => {
                    writer.append(item.what, &item.facts, item.at, item.taken);
                    writer.backlog.writer().pop(1);
                    // After an idle interval the last anchor is old. Without a new one, `verify` could not tell this record from one
                    // that someone else appends later.
                    if std::mem::take(&mut idle) {
                        writer.anchor().await;
                        tick.reset();
                    }
                }
            },
            _ = tick.tick() => {
                idle = writer.is_anchored();
                writer.anchor().await;
            }
        }
        let current = writer.sinks.values().find_map(SinkWorker::error);
        *last_error.lock() = current;
    }
}

struct Writer {
    setup: Setup,
    chain: Chain,
    /// The running sinks, keyed by their configuration as JSON.
    sinks: BTreeMap<String, SinkWorker>,
    /// The sequence number of the last anchored head.
    anchored: u64,
    backlog: Backlog,
}

impl Writer {
    fn config(&self) -> Option<CurfewConfig> {
        self.setup.configs.state().iter().find(|config| config.name_any() == CONFIG_NAME).map(|config| (**config).clone())
    }

    /// Starts and stops sinks to match the current CurfewConfig. Uses stdout if no sink is configured.
    fn reconcile_sinks(&mut self) {
        let mut wanted = self.config().and_then(|config| config.spec.audit).map(|audit| audit.sinks).unwrap_or_default();
        if wanted.is_empty() {
            wanted.push(Sink::Stdout(Empty {}));
        }
        let wanted: BTreeMap<String, Sink> =
            wanted.into_iter().map(|sink| (serde_json::to_string(&sink).unwrap_or_default(), sink)).collect();
        for key in self.sinks.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect::<Vec<_>>() {
            if let Some(removed) = self.sinks.remove(&key) {
                tokio::spawn(removed.finish(Duration::from_secs(60)));
            }
        }
        for (key, sink) in wanted {
            let Setup { client, http, metrics, .. } = &self.setup;
            self.sinks.entry(key).or_insert_with(|| SinkWorker::start(&sink, client, http, metrics, self.backlog.sink()));
        }
    }

    /// Appends a record to the chain and queues it for every sink. `taken` receives a message when every sink has stored the record.
    fn append(&mut self, what: EventKind, facts: &EventData, at: Time, taken: Option<oneshot::Sender<()>>) {
        self.reconcile_sinks();
        let text: Arc<str> = self.chain.append(what, facts, at).into();
        let acknowledgement = taken.map(|sender| Acknowledgement::of(self.sinks.len(), sender));
        for sink in self.sinks.values() {
            sink.push(Line { text: text.clone(), acknowledgement: acknowledgement.clone() });
        }
    }

    fn is_anchored(&self) -> bool {
        self.chain.head().sequence == self.anchored
    }

    /// Stores the head of this chain in the status of CurfewConfig, where a user who can edit a sink cannot change it.
    async fn anchor(&mut self) {
        if self.is_anchored() {
            return;
        }
        let head = self.chain.head().clone();
        let configs: Api<CurfewConfig> = Api::all(self.setup.client.clone());
        let Ok(Ok(Some(config))) = tokio::time::timeout(INTENT, configs.get_opt(CONFIG_NAME)).await else { return };
        let mut next = config.status.clone().unwrap_or_default();
        next.audit_heads.retain(|other| other.writer != self.chain.writer());
        let own = AuditHead {
            writer: self.chain.writer().to_owned(),
            sequence: i64::try_from(head.sequence).unwrap_or(i64::MAX),
            hash: head.hash,
            at: self.setup.authority.clock.now().floor_secs(),
        };
        next.audit_heads.push(own);
        next.audit_heads.sort_by_key(|head| head.at);
        let surplus = next.audit_heads.len().saturating_sub(HEADS);
        next.audit_heads.drain(..surplus);
        let version = config.resource_version().unwrap_or_default();
        let commit = kube_writes::commit(&configs, CONFIG_NAME, &version, config.status.as_ref(), &next);
        match tokio::time::timeout(INTENT, commit).await.unwrap_or(WriteOutcome::Conflict) {
            WriteOutcome::Stored(_) => self.anchored = head.sequence,
            // The next tick tries again.
            WriteOutcome::Conflict => {}
            WriteOutcome::Failed(e) => tracing::info!(error = %e, "cannot anchor the audit chain in CurfewConfig"),
        }
    }
}
