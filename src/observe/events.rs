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

const CONTROLLER: &str = "curfew.dev/operator";
/// The recorder names an Event after its object, a dot and 16 digits, and no name has more than 253 characters.
const LONGEST_NAME: usize = 253 - 17;

/// Publishes Events in the operator's name.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    client: Client,
    replica: String,
}

impl Events {
    /// Creates a publisher that reports as one replica.
    pub fn new(client: Client, replica: &str) -> Self {
        let reporter = Reporter { controller: CONTROLLER.into(), instance: Some(replica.into()) };
        Events { recorder: Recorder::new(client.clone(), reporter), client, replica: replica.into() }
    }

    /// Publishes an Event about an object. A failure is only logged: nothing depends on Events.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, about: &K, warning: bool, reason: &str, action: &str, note: &str) {
        self.publish_for(&about.object_ref(&()), warning, reason, action, note).await;
    }

    /// Publishes an Event about an object that is known only by reference. The API server refuses a note of more than 1024 bytes.
    pub async fn publish_for(&self, about: &ObjectReference, warning: bool, reason: &str, action: &str, note: &str) {
        let type_ = if warning { EventType::Warning } else { EventType::Normal };
        let note = Some(clip(note, MAX_MESSAGE));
        let event = Event { type_, reason: reason.into(), note, action: action.into(), secondary: None };
        let long = about.name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME);
        let published = if long { self.create(about, event).await } else { self.recorder.publish(&event, about).await };
        if let Err(e) = published {
            tracing::info!(error = %e, reason, "cannot publish an Event");
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
