//! Kubernetes Events, for `kubectl describe`. The API server deletes them after an hour; the audit log keeps the records.
use curfew_core::text::{MAX_MESSAGE, clip};
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
    collections::HashMap,
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

/// Takes Events to be published in the operator's name. Nothing waits for them.
#[derive(Clone)]
pub struct Events {
    waiting: mpsc::Sender<Box<(ObjectReference, Event)>>,
    /// When each reason was told last about each object of which many are told.
    told: Arc<Mutex<HashMap<(String, String), Instant>>>,
}

impl Events {
    /// A publisher that reports as one replica, and the task that publishes what it takes, one after the other. The task does not end
    /// while there is a publisher.
    pub fn new(client: Client, replica: &str) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let reporter = Reporter { controller: CONTROLLER.into(), instance: Some(replica.into()) };
        let (waiting, mut taken) = mpsc::channel::<Box<(ObjectReference, Event)>>(MOST_WAITING);
        let publisher = Publisher { recorder: Recorder::new(client.clone(), reporter), client, replica: replica.into() };
        let publishing = async move {
            while let Some(event) = taken.recv().await {
                let (about, event) = *event;
                publisher.publish(&about, event).await;
            }
        };
        (Events { waiting, told: Arc::default() }, publishing)
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

    fn send(&self, about: ObjectReference, warning: bool, reason: &str, action: &str, note: &str) {
        let type_ = if warning { EventType::Warning } else { EventType::Normal };
        let note = Some(clip(note, MAX_MESSAGE));
        let event = Event { type_, reason: reason.into(), note, action: action.into(), secondary: None };
        if self.waiting.try_send(Box::new((about, event))).is_err() {
            tracing::info!(reason, "an Event is not published: too many wait");
        }
    }
}

/// Publishes Events with the API server.
struct Publisher {
    recorder: Recorder,
    client: Client,
    replica: String,
}

impl Publisher {
    /// A failure is only logged: nothing depends on Events.
    async fn publish(&self, about: &ObjectReference, event: Event) {
        let reason = event.reason.clone();
        let long = about.name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME);
        let published = async { if long { self.create(about, event).await } else { self.recorder.publish(&event, about).await } };
        match tokio::time::timeout(LIMIT, published).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, reason, "cannot publish an Event"),
            Err(_) => tracing::info!(reason, "cannot publish an Event: the API server does not answer"),
        }
    }

    /// Creates an Event whose name the API server generates. Repetitions are not counted.
    async fn create(&self, about: &ObjectReference, event: Event) -> kube::Result<()> {
        let namespace = about.namespace.clone().unwrap_or_else(|| "default".into());
        let type_ = if matches!(event.type_, EventType::Warning) { "Warning" } else { "Normal" };
        let event = KubeEvent {
            metadata: ObjectMeta { generate_name: Some("curfew-".into()), namespace: Some(namespace.clone()), ..ObjectMeta::default() },
            action: Some(event.action),
            event_time: Some(MicroTime(Timestamp::now())),
            note: event.note,
            reason: Some(event.reason),
            regarding: Some(about.clone()),
            reporting_controller: Some(CONTROLLER.into()),
            reporting_instance: Some(self.replica.clone()),
            type_: Some(type_.into()),
            ..KubeEvent::default()
        };
        Api::<KubeEvent>::namespaced(self.client.clone(), &namespace).create(&PostParams::default(), &event).await.map(drop)
    }
}
