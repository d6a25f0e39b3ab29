//! Kubernetes Events, for `kubectl describe`. They are deleted within the hour; the audit log keeps what must stay.
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

/// Publishes Events in the operator's name.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// A publisher for one replica.
    pub fn new(client: Client, replica: &str) -> Self {
        let reporter = Reporter { controller: "curfew.dev/operator".into(), instance: Some(replica.into()) };
        Events { recorder: Recorder::new(client, reporter) }
    }

    /// Publishes an Event about an object. A failure is logged and has no other effect.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, about: &K, warning: bool, reason: &str, action: &str, note: &str) {
        self.publish_for(&about.object_ref(&()), warning, reason, action, note).await;
    }

    /// Publishes an Event about an object that is known only by reference.
    pub async fn publish_for(&self, about: &ObjectReference, warning: bool, reason: &str, action: &str, note: &str) {
        let type_ = if warning { EventType::Warning } else { EventType::Normal };
        let note: String = note.chars().take(1000).collect();
        let event = Event { type_, reason: reason.into(), note: Some(note), action: action.into(), secondary: None };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::info!(%error, reason, "could not publish an event");
        }
    }
}
