//! The process `curfew-analytics run`, as far as it needs no cluster: what it publishes is bounded, and what it reads counts once.
#![cfg(feature = "live")]
#[path = "live/intake.rs"]
mod intake;
#[path = "live/logs.rs"]
mod logs;
#[path = "live/metrics.rs"]
mod metrics;
#[path = "../../core/tests/snapshot/mod.rs"]
mod snapshot;
#[path = "live/status.rs"]
mod status;

use curfew_analytics::{
    history::Day,
    live::state::{Shared, System},
    store::{Limits, Store},
};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};

/// A store in this directory, with the directories `logs` and `tokens` beside it.
fn shared(directory: &Path) -> Arc<Shared> {
    for sub in ["logs", "tokens"] {
        std::fs::create_dir_all(directory.join(sub)).unwrap();
    }
    let store = Store::open(&directory.join("usage.redb"), Limits::default()).unwrap();
    Arc::new(Shared::new(Arc::new(store), Some(directory.join("tokens")), Some(directory.join("logs"))))
}

/// A system with these settings.
fn system(name: &str, analytics: Value) -> Arc<System> {
    let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": name},
        "spec": {"provider": {"kubernetes": {"inCluster": {}}}, "analytics": analytics}});
    Arc::new(System::new(Arc::new(serde_json::from_value(object).unwrap())))
}

/// Now, in the form of audit events.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// A line of an audit log: a read of Pods by this user.
fn line(id: u32, user: &str) -> String {
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("id-{id}"), "stage": "ResponseComplete", "verb": "list",
        "user": {"username": user}, "requestURI": "/api/v1/pods", "objectRef": {"resource": "pods"}, "responseStatus": {"code": 200},
        "requestReceivedTimestamp": now()});
    format!("{event}\n")
}

/// How many events of each user the store has counted.
fn counted(shared: &Shared, system: &str) -> Vec<(String, u64)> {
    let mut all = std::collections::BTreeMap::<String, u64>::new();
    let each = |row: &curfew_analytics::store::Row| *all.entry(row.identity.to_owned()).or_default() += row.count;
    shared.store.fold(system, Day(0), Day(u32::MAX), each).unwrap();
    all.into_iter().collect()
}
