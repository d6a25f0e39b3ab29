//! What has ended is kept for a while and then forgotten. Requests and Grants see to themselves; decisions have nobody who
//! would: they stay as long as what they are about, and `retention` beyond it.
use super::{Context, convert};
use crate::{
    kube_writes,
    runtime::stores::{about, about_grant},
};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use std::{sync::Arc, time::Duration};

/// How often somebody looks.
const EVERY: Duration = Duration::from_secs(600);

/// Forgets decisions for ever.
pub async fn run(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if ctx.authority.leads() && ctx.authority.synced() {
            delete_expired_decisions(&ctx).await;
        }
    }
}

async fn delete_expired_decisions(ctx: &Context) {
    let Some(config) = ctx.stores.config() else { return };
    let old = |d: &crate::api::AccessDecision| {
        let namespace = d.namespace().unwrap_or_default();
        let request = about(d).is_none_or(|r| ctx.stores.requests.get(&ObjectRef::new(r).within(&namespace)).is_none());
        let grant = about_grant(d).is_none_or(|g| ctx.stores.grants.get(&ObjectRef::new(g)).is_none());
        let gone = request && grant;
        // Its age is counted from when it was made: what it was about is gone, and nothing says when.
        gone && ctx.now() >= convert::created(d).plus_secs(config.spec.retention.secs())
    };
    for d in ctx.stores.decisions.state_filter(old) {
        let api = kube_writes::decisions(&ctx.client, &d.namespace().unwrap_or_default());
        if let Err(e) = kube_writes::delete_expired(&api, &*d).await {
            tracing::info!(decision = d.name_any(), error = %e, "cannot delete a decision past its retention");
        }
    }
}
