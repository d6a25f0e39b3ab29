//! What every controller is given.
use crate::{
    authority::Authority,
    identity::NAMESPACE,
    observe::{Events, Metrics},
    providers::Registry,
    runtime::stores::Stores,
};
use curfew_core::time::Time;
use kube::Client;
use std::sync::{Arc, Mutex, PoisonError};

/// What every controller is given.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What is known without asking it.
    pub stores: Stores,
    /// Whether we may grant, and what time it is.
    pub authority: Arc<Authority>,
    /// Who reaches which target.
    pub registry: Registry,
    /// The install id.
    pub install: String,
    /// Events for people.
    pub events: Events,
    /// Counters for machines.
    pub metrics: Arc<Metrics>,
    gate_since: Mutex<Option<Time>>,
}

impl Context {
    /// A context in which the gate is open.
    pub fn new(
        client: Client,
        stores: Stores,
        authority: Arc<Authority>,
        registry: Registry,
        install: String,
        replica: &str,
        metrics: Arc<Metrics>,
    ) -> Self {
        let events = Events::new(client.clone(), replica);
        Context { client, stores, authority, registry, install, events, metrics, gate_since: Mutex::new(None) }
    }

    /// The time that rules go by.
    pub fn now(&self) -> Time {
        self.authority.clock.now()
    }

    /// Since when the gate is closed without a gap; `None` while it is open.
    pub fn gate_since(&self) -> Option<Time> {
        *self.gate_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the gate.
    pub fn set_gate(&self, since: Option<Time>) {
        *self.gate_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
        self.authority.set_gate(since.is_some());
    }

    /// Where the operator lives.
    pub fn home(&self) -> &'static str {
        NAMESPACE
    }
}
