//! What every controller is given.
use super::convert;
use crate::{
    api::Grant,
    audit::AuditLog,
    authority::Authority,
    identity::NAMESPACE,
    observe::{Events, Metrics},
    providers::Registry,
    runtime::stores::Stores,
};
use curfew_core::{
    admission::{AdmissionHistory, Provenance},
    grant as core_grant,
    time::Time,
};
use kube::{Client, ResourceExt};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
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
    /// The name of this replica.
    pub replica: String,
    /// Events for people.
    pub events: Events,
    /// What stays when the objects are gone.
    pub audit: AuditLog,
    /// Counters for machines.
    pub metrics: Arc<Metrics>,
    /// Somebody waits for the gate to be proven again.
    pub proof_wanted: Notify,
    gate: Mutex<Arc<AdmissionHistory>>,
    /// The uids of the Grants that this process has made and that no proof covers yet.
    made: Mutex<HashSet<String>>,
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
        evidence: AuditLog,
    ) -> Self {
        let events = Events::new(client.clone(), replica);
        Context {
            client,
            stores,
            authority,
            registry,
            install,
            replica: replica.to_owned(),
            events,
            metrics,
            audit: evidence,
            proof_wanted: Notify::new(),
            gate: Mutex::default(),
            made: Mutex::default(),
        }
    }

    /// The time that rules go by.
    pub fn now(&self) -> Time {
        self.authority.clock.now()
    }

    /// When the gate was proven closed, and whether it is.
    pub fn admission(&self) -> Arc<AdmissionHistory> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a Grant that this process has made.
    pub fn record_created(&self, grant: &Grant) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).extend(grant.uid());
    }

    /// A Grant as the rules read it. One that came since the last proof of the gate waits for the next, unless it is our own.
    pub fn grant_facts(&self, g: &Grant) -> core_grant::Grant {
        let mine = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let mine = g.uid().is_some_and(|uid| made.contains(&uid));
            if mine && convert::grant_state(g) != core_grant::State::Granting {
                made.remove(&g.uid().unwrap_or_default());
            }
            mine
        };
        let read = convert::grant(g, &self.admission(), mine);
        if read.provenance == Provenance::Pending && read.state == core_grant::State::Granting {
            self.proof_wanted.notify_one();
        }
        read
    }

    /// Takes note of the gate, and of whether granting may rest on it.
    pub fn set_admission(&self, gate: AdmissionHistory, closed: bool) {
        let closed = closed && gate.since.is_some();
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate);
        self.authority.set_admission_enforced(closed);
    }

    /// Takes note that the gate cannot be proven now. What was proven stays so, and what came after waits for a proof.
    pub fn set_admission_unproven(&self) {
        self.authority.set_admission_enforced(false);
    }

    /// Where the operator lives.
    pub fn operator_namespace(&self) -> &'static str {
        NAMESPACE
    }
}
