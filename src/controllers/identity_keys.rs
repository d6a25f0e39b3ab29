//! Keeps the list of extra keys that the API server records of a login as CurfewConfig names them. The leader writes it.
//!
//! No right depends on the list: a record counts only for the keys that it has. An old or missing list makes new requests and approvals
//! unproven, or refused with the advice to try again.
use super::Context;
use crate::{
    identity::{
        NAMESPACE,
        stamp::{KEYS, KEYS_DATA},
    },
    timing::timing,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// How long one comparison may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps the list current until the process ends: after a change of CurfewConfig or of the lease at once, and otherwise as often as
/// admission is proven as a whole.
pub async fn run(ctx: Arc<Context>) {
    let mut authority = ctx.authority.changes();
    loop {
        if let Some(config) = ctx.stores.config().filter(|_| ctx.authority.leads()) {
            let keys = config.spec.identity.recorded_keys();
            let outcome = tokio::time::timeout(TIMEOUT, publish(&ctx.client, &keys)).await;
            let problem = outcome.unwrap_or_else(|_| Err("the API server did not answer in time".into())).err();
            if let Some(problem) = &problem {
                tracing::warn!(problem, "cannot write the extra keys that the API server records");
            }
            ctx.set_identity_keys_problem(problem);
        }
        tokio::select! {
            () = ctx.config_changed.notified() => {}
            _ = authority.changed() => {}
            () = tokio::time::sleep(timing().admission_check_every) => {}
        }
    }
}

/// Writes the list if it differs.
async fn publish(client: &Client, keys: &[String]) -> Result<(), String> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let expected = keys.join("\n");
    let live = maps.get_opt(KEYS).await.map_err(|error| error.to_string())?;
    let Some(live) = live else {
        return Err(format!(
            "ConfigMap {KEYS} is missing in namespace {NAMESPACE}, so the API server fills in no requester and no decider; \
             kubectl apply --server-side -f deploy/30-policies.yaml restores it"
        ));
    };
    if live.data.as_ref().and_then(|data| data.get(KEYS_DATA)) == Some(&expected) {
        return Ok(());
    }
    let patch = Patch::Merge(json!({"data": {KEYS_DATA: expected}}));
    maps.patch(KEYS, &PatchParams::default(), &patch).await.map_err(|error| error.to_string())?;
    tracing::info!(keys = expected.replace('\n', " "), "the API server records these extra keys of a login");
    Ok(())
}
