//! What every controller is given.
use crate::{
    authority::Authority,
    evidence::Evidence,
    identity::NAMESPACE,
    observe::{Events, Metrics},
    providers::Registry,
    runtime::stores::Stores,
};
use curfew_core::{gate::Gate, time::Time};
use kube::Client;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

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
    /// What stays when the objects are gone.
    pub evidence: Evidence,
    /// Counters for machines.
    pub metrics: Arc<Metrics>,
    /// Somebody waits for the gate to be proven again.
    pub gate_wanted: Notify,
    gate: Mutex<Arc<Gate>>,
}

impl Context {
    /// A context in which the gate is open.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        client: Client,
        stores: Stores,
        authority: Arc<Authority>,
        registry: Registry,
        install: String,
        replica: &str,
        metrics: Arc<Metrics>,
        evidence: Evidence,
    ) -> Self {
        let events = Events::new(client.clone(), replica);
        Context {
            client,
            stores,
            authority,
            registry,
            install,
            events,
            metrics,
            evidence,
            gate_wanted: Notify::new(),
            gate: Mutex::default(),
        }
    }

    /// The time that rules go by.
    pub fn now(&self) -> Time {
        self.authority.clock.now()
    }

    /// When the gate was proven closed, and whether it is.
    pub fn gate(&self) -> Arc<Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of the gate, and of whether granting may rest on it.
    pub fn set_gate(&self, gate: Gate, closed: bool) {
        let closed = closed && gate.since.is_some();
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate);
        self.authority.set_gate(closed);
    }

    /// Takes note that the gate cannot be proven now. What was proven stays so, and what came after waits for a proof.
    pub fn open_gate(&self) {
        self.authority.set_gate(false);
    }

    /// Where the operator lives.
    pub fn home(&self) -> &'static str {
        NAMESPACE
    }
}
