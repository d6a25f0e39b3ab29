//! What the parts of the process share: the store, the metrics, and what is known of each system.
use super::{analysis::Worker, metrics::Metrics};
use crate::store::Store;
use curfew_api::{
    AuthorizationSystem,
    system::{Pci, UsageSource},
};
use kube::ResourceExt;
use parking_lot::RwLock;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

/// The analysis of a system, and what was published of it.
pub struct Evaluated {
    /// The analysis.
    pub worker: Arc<Worker>,
    /// The `x` of the identities that count.
    pub shares: Vec<f64>,
    /// What was published; `None` while there is no usage.
    pub pci: Option<Pci>,
}

/// One AuthorizationSystem.
pub struct System {
    /// Its name.
    pub name: String,
    object: RwLock<Arc<AuthorizationSystem>>,
    /// Its last analysis.
    pub evaluated: RwLock<Option<Arc<Evaluated>>>,
    /// Why there is none, or none that is up to date.
    pub problem: RwLock<Option<String>>,
    /// What went wrong with its sources of usage, by source.
    pub sources: RwLock<BTreeMap<String, String>>,
    /// Wakes its task: settings changed, or the first events are there.
    pub wake: Notify,
}

impl System {
    /// Nothing was analysed yet.
    pub fn new(object: Arc<AuthorizationSystem>) -> Self {
        Self {
            name: object.name_any(),
            object: RwLock::new(object),
            evaluated: RwLock::default(),
            problem: RwLock::default(),
            sources: RwLock::default(),
            wake: Notify::new(),
        }
    }
    /// The object as it was seen last.
    pub fn object(&self) -> Arc<AuthorizationSystem> {
        self.object.read().clone()
    }
    /// Takes a newer version of the object. Its task runs if settings or labels differ.
    pub fn update(&self, object: Arc<AuthorizationSystem>) {
        let before = std::mem::replace(&mut *self.object.write(), object.clone());
        if before.spec != object.spec || before.labels() != object.labels() {
            self.wake.notify_one();
        }
    }
    /// Its sources of usage.
    pub fn usage_sources(&self) -> Vec<UsageSource> {
        self.object().spec.analytics.as_ref().map(|analytics| analytics.usage.clone()).unwrap_or_default()
    }
    /// Whether the API server of the system may post audit events.
    pub fn takes_audit_events(&self) -> bool {
        self.usage_sources().iter().any(|source| matches!(source, UsageSource::AuditWebhook(_)))
    }
    /// Notes what is wrong with a source, or that nothing is.
    pub fn note(&self, source: &str, problem: Option<String>) {
        let mut sources = self.sources.write();
        match problem {
            Some(problem) => drop(sources.insert(source.to_owned(), problem)),
            None => drop(sources.remove(source)),
        }
    }
    /// Events were stored. While there is no score, the system is analysed soon.
    pub fn has_events(&self) {
        if self.evaluated.read().as_ref().is_none_or(|evaluated| evaluated.pci.is_none()) {
            self.wake.notify_one();
        }
    }
}

/// What all parts share.
pub struct Shared {
    /// The usage store.
    pub store: Arc<Store>,
    /// The metrics.
    pub metrics: Metrics,
    /// Where tokens of API servers are.
    pub tokens: Option<PathBuf>,
    /// Where log directories are.
    pub logs: Option<PathBuf>,
    systems: RwLock<BTreeMap<String, Arc<System>>>,
    listed: AtomicBool,
}

impl Shared {
    /// Without systems.
    pub fn new(store: Arc<Store>, tokens: Option<PathBuf>, logs: Option<PathBuf>) -> Self {
        Self { store, metrics: Metrics::new(), tokens, logs, systems: RwLock::default(), listed: AtomicBool::new(false) }
    }
    /// A system.
    pub fn system(&self, name: &str) -> Option<Arc<System>> {
        self.systems.read().get(name).cloned()
    }
    /// All systems, by name.
    pub fn systems(&self) -> Vec<Arc<System>> {
        self.systems.read().values().cloned().collect()
    }
    /// Adds a system, or puts it in the place of the one with its name.
    pub fn insert(&self, system: Arc<System>) {
        self.systems.write().insert(system.name.clone(), system);
    }
    /// Sets metrics of a system, unless it is gone: a run that was stopped may end later than its system is removed.
    pub fn measure(&self, system: &str, set: impl FnOnce(&Metrics)) {
        set(&self.metrics);
        if self.system(system).is_none() {
            self.metrics.forget(system);
        }
    }
    /// Removes a system.
    pub fn remove(&self, name: &str) {
        self.systems.write().remove(name);
        self.metrics.forget(name);
    }
    /// All systems are known.
    pub fn set_listed(&self) {
        self.listed.store(true, Ordering::Relaxed);
    }
    /// Whether they are.
    pub fn listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }
}
