//! Writes what was measured into the status of an AuthorizationSystem: `pci`, `findings` and two conditions, by server-side apply under a field
//! manager of its own. Fields of the operator are never in it.
use curfew_api::{
    AuthorizationSystem,
    conditions::{INVENTORY_FRESH, Is, OF_ANALYTICS, USAGE_FRESH, set},
    system::{AuthorizationSystemStatus, FindingCount, Pci},
};
use curfew_core::time::Time;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// The field manager.
pub const MANAGER: &str = "curfew-analytics";

/// Whether something is known, the reason in CamelCase, and a message.
pub type Verdict = (Is, &'static str, String);

/// What is published.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// The index; `None` removes it.
    pub pci: Option<Pci>,
    /// Findings by type.
    pub findings: Vec<FindingCount>,
    /// Whether it is known who may do what.
    pub inventory: Verdict,
    /// Whether it is known who did what.
    pub usage: Verdict,
}

/// The status to apply. Pure.
pub fn status(object: &AuthorizationSystem, measured: &Measured, now: Time) -> Value {
    let old = object.status.clone().unwrap_or_default();
    let mut conditions: Vec<Condition> =
        old.conditions.into_iter().filter(|condition| OF_ANALYTICS.contains(&condition.type_.as_str())).collect();
    let generation = object.metadata.generation;
    for (name, (is, reason, message)) in [(INVENTORY_FRESH, &measured.inventory), (USAGE_FRESH, &measured.usage)] {
        set(&mut conditions, name, *is, reason, message.as_str(), generation, now);
    }
    let mut status = json!({"conditions": conditions});
    if let Some(pci) = &measured.pci {
        status["pci"] = json!(pci);
    }
    if !measured.findings.is_empty() {
        status["findings"] = json!(measured.findings);
    }
    status
}

/// Whether the object shows this already, but for the time of the evaluation.
pub fn is_shown(object: &AuthorizationSystem, status: &Value) -> bool {
    let timeless = |mut status: Value| {
        if let Some(pci) = status.get_mut("pci").and_then(Value::as_object_mut) {
            pci.remove("evaluatedAt");
        }
        status
    };
    let shown = object.status.clone().unwrap_or_default();
    let own = AuthorizationSystemStatus {
        conditions: shown.conditions.into_iter().filter(|condition| OF_ANALYTICS.contains(&condition.type_.as_str())).collect(),
        pci: shown.pci,
        findings: shown.findings,
        ..AuthorizationSystemStatus::default()
    };
    timeless(json!(own)) == timeless(status.clone())
}

/// Writes it, if it is still this object.
///
/// # Errors
/// Of the API server. An object that was deleted or replaced is none.
pub async fn publish(client: &Client, object: &AuthorizationSystem, status: &Value) -> kube::Result<()> {
    let api: Api<AuthorizationSystem> = Api::all(client.clone());
    let apply = json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem",
        "metadata": {"name": object.name_any(), "uid": object.uid()}, "status": status,
    });
    match api.patch_status(&object.name_any(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(&apply)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        outcome => outcome.map(drop),
    }
}
