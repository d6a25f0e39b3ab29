//! Kubernetes Events, for `kubectl describe`. The API server deletes them after an hour; the audit log keeps the records.
use curfew_core::{
    ids::event_id,
    text::{MAX_MESSAGE, clip},
};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as KubeEvent},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource,
    api::PostParams,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const CONTROLLER: &str = "curfew.dev/operator";
/// The recorder names an Event after its object, a dot and 16 digits, and no name has more than 253 characters.
const LONGEST_NAME: usize = 253 - 17;
/// When the same reason is told again about an object to which it happens often.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// How long the publication of one Event may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How many Events wait to be published, at most. What comes when so many wait is not published.
const MOST_WAITING: usize = 1024;
/// How many of the Events that are told once are remembered. Beyond that all are forgotten, and the API server refuses a repetition.
const MOST_REMEMBERED: usize = 4096;

/// Takes Events to be published in the operator's name. Nothing waits for them.
#[derive(Clone)]
pub struct Events {
    waiting: mpsc::Sender<Box<Waiting>>,
    /// When each reason was told last about each object of which many are told.
    told: Arc<Mutex<HashMap<(String, String), Instant>>>,
    /// What was told once, by [`event_id`].
    once: Arc<Mutex<HashSet<String>>>,
    replica: Arc<str>,
}

/// An Event that is not published yet.
struct Waiting {
    about: ObjectReference,
    event: Event,
    once: Option<Once>,
}

/// What tells an Event that is told once from others.
struct Once {
    /// Its [`event_id`].
    id: String,
    /// Another process may have told of it.
    again: bool,
}

/// What an Event is told for once.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    /// The uid of the object that caused it.
    pub uid: &'a str,
    /// Whether it happened before: another process may have told of it, or was killed before it could.
    pub earlier: bool,
}

impl Events {
    /// A publisher that reports as one replica, and the task that publishes what it takes, one after the other. The task does not end
    /// while there is a publisher.
    pub fn new(client: Client, replica: &str) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let reporter = Reporter { controller: CONTROLLER.into(), instance: Some(replica.into()) };
        let (waiting, mut taken) = mpsc::channel::<Box<Waiting>>(MOST_WAITING);
        let publisher = Publisher { recorder: Recorder::new(client.clone(), reporter), client, replica: replica.into() };
        let once = Arc::new(Mutex::new(HashSet::new()));
        let remembered = once.clone();
        let publishing = async move {
            while let Some(event) = taken.recv().await {
                let id = event.once.as_ref().map(|once| once.id.clone());
                // What could not be published may be told again.
                if let (false, Some(id)) = (publisher.publish(*event).await, id) {
                    remembered.lock().remove(&id);
                }
            }
        };
        (Events { waiting, told: Arc::default(), once, replica: replica.into() }, publishing)
    }

    /// Publishes an Event about an object, later. The API server refuses a note of more than 1024 bytes.
    pub fn publish<K: Resource<DynamicType = ()>>(&self, about: &K, warning: bool, reason: &str, action: &str, note: &str) {
        self.send(about.object_ref(&()), warning, reason, action, note);
    }

    /// Publishes an Event about an object to which the same happens again and again: the first of each minute for each reason.
    pub fn publish_first<K: Resource<DynamicType = ()>>(&self, about: &K, warning: bool, reason: &str, action: &str, note: &str) {
        let about = about.object_ref(&());
        let mut told = self.told.lock();
        told.retain(|_, at| at.elapsed() < TOLD_AGAIN);
        let key = (about.uid.clone().unwrap_or_default(), reason.to_owned());
        if told.contains_key(&key) {
            return;
        }
        told.insert(key, Instant::now());
        drop(told);
        self.send(about, warning, reason, action, note);
    }

    /// Publishes a Warning that must not be missed: once for each cause by this process, and again by the next one, for which the API
    /// server refuses the repetition as long as it has the Event. One that could not be published may be told again.
    pub fn warn_once<K: Resource<DynamicType = ()>>(&self, about: &K, cause: Cause<'_>, reason: &str, action: &str, note: &str) {
        let about = about.object_ref(&());
        let id = event_id(about.uid.as_deref().unwrap_or_default(), reason, cause.uid);
        {
            let mut once = self.once.lock();
            if once.len() >= MOST_REMEMBERED {
                once.clear();
            }
            if !once.insert(id.clone()) {
                return;
            }
        }
        let event = event(true, reason, action, note);
        if !self.enqueue(Waiting { about, event, once: Some(Once { id: id.clone(), again: cause.earlier }) }) {
            self.once.lock().remove(&id);
        }
    }

    /// Publishes a Warning now and waits for the API server to store it. It has a fixed name: what another process has told before is not
    /// told again.
    ///
    /// # Errors
    /// If the API server does not store it in time.
    pub async fn warn_now<K: Resource<DynamicType = ()>>(
        &self,
        client: &Client,
        about: &K,
        cause: &str,
        (reason, action): (&str, &str),
        note: &str,
    ) -> kube::Result<()> {
        let about = about.object_ref(&());
        let name = format!("curfew-{}", event_id(about.uid.as_deref().unwrap_or_default(), reason, cause));
        match create(client, &self.replica, &about, event(true, reason, action, note), Some(name)).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            outcome => outcome,
        }
    }

    /// Whether this process has told this about the object with this uid, or is about to.
    pub fn has_warned(&self, about: &str, cause: &str, reason: &str) -> bool {
        self.once.lock().contains(&event_id(about, reason, cause))
    }

    fn send(&self, about: ObjectReference, warning: bool, reason: &str, action: &str, note: &str) {
        self.enqueue(Waiting { about, event: event(warning, reason, action, note), once: None });
    }

    fn enqueue(&self, waiting: Waiting) -> bool {
        let reason = waiting.event.reason.clone();
        let taken = self.waiting.try_send(Box::new(waiting)).is_ok();
        if !taken {
            tracing::info!(reason, "an Event is not published: too many wait");
        }
        taken
    }
}

fn event(warning: bool, reason: &str, action: &str, note: &str) -> Event {
    let type_ = if warning { EventType::Warning } else { EventType::Normal };
    Event { type_, reason: reason.into(), note: Some(clip(note, MAX_MESSAGE)), action: action.into(), secondary: None }
}

/// Publishes Events with the API server.
struct Publisher {
    recorder: Recorder,
    client: Client,
    replica: String,
}

impl Publisher {
    /// Whether the API server has the Event. A failure is only logged: nothing depends on Events.
    async fn publish(&self, Waiting { about, event, once }: Waiting) -> bool {
        let reason = event.reason.clone();
        let long = about.name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME);
        let published = async {
            match once {
                // The same name by each process that tells it again: what is there already is refused.
                Some(Once { id, again: true }) => {
                    match create(&self.client, &self.replica, &about, event, Some(format!("curfew-{id}"))).await {
                        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                        outcome => outcome,
                    }
                }
                // Its note is its own, and is not counted as a repetition of another one.
                Some(Once { again: false, .. }) => create(&self.client, &self.replica, &about, event, None).await,
                None if long => create(&self.client, &self.replica, &about, event, None).await,
                None => self.recorder.publish(&event, &about).await,
            }
        };
        match tokio::time::timeout(LIMIT, published).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::info!(%error, reason, "cannot publish an Event"),
            Err(_) => tracing::info!(reason, "cannot publish an Event: the API server does not answer"),
        }
        false
    }
}

/// Creates an Event of this name, or of one that the API server generates. Repetitions are not counted.
async fn create(client: &Client, replica: &str, about: &ObjectReference, event: Event, name: Option<String>) -> kube::Result<()> {
    let namespace = about.namespace.clone().unwrap_or_else(|| "default".into());
    let type_ = if matches!(event.type_, EventType::Warning) { "Warning" } else { "Normal" };
    let generate_name = name.is_none().then(|| "curfew-".to_owned());
    let event = KubeEvent {
        metadata: ObjectMeta { name, generate_name, namespace: Some(namespace.clone()), ..ObjectMeta::default() },
        action: Some(event.action),
        event_time: Some(MicroTime(Timestamp::now())),
        note: event.note,
        reason: Some(event.reason),
        regarding: Some(about.clone()),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(replica.to_owned()),
        type_: Some(type_.into()),
        ..KubeEvent::default()
    };
    Api::<KubeEvent>::namespaced(client.clone(), &namespace).create(&PostParams::default(), &event).await.map(drop)
}
