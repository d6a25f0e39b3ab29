//! Deletes decisions past their retention. Requests and Grants are deleted by their own controllers, at their own deadlines; a
//! decision is kept as long as what it is about exists, and at least for `retention`.
use super::{Context, convert};
use crate::{
    api::AccessDecision,
    kube_writes,
    runtime::changes::{DecisionSubject, subject},
};
use kube::ResourceExt;
use std::{sync::Arc, time::Duration};

/// How often decisions are checked.
const PERIOD: Duration = Duration::from_secs(600);

/// Deletes expired decisions until the process ends.
pub async fn run(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        if ctx.authority.leads() && ctx.authority.synced() {
            delete_expired_decisions(&ctx).await;
        }
    }
}

async fn delete_expired_decisions(ctx: &Context) {
    let Some(config) = ctx.stores.config() else { return };
    let is_expired = |decision: &AccessDecision| {
        let exists = match subject(decision) {
            DecisionSubject::Request(request) => ctx.stores.request(&request).is_some(),
            DecisionSubject::Grant(id) => ctx.stores.grant(&id).is_some(),
        };
        // When the request or Grant was deleted is not recorded, so the retention counts from the decision's creation.
        !exists && ctx.now() >= convert::created(decision).plus_secs(config.spec.retention.secs())
    };
    for decision in ctx.stores.decisions.state_filter(is_expired) {
        let api = kube_writes::decisions(&ctx.client, &decision.namespace().unwrap_or_default());
        if let Err(error) = kube_writes::delete_expired(&api, &*decision).await {
            tracing::info!(decision = decision.name_any(), %error, "cannot delete a decision past its retention");
        }
    }
}
