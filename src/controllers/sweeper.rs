//! The sweep inside the operator: removes what carries our mark at a target and is not justified by a live Grant.
//!
//! What is past the deadline in its name is removed on any replica, also without a permit. Before its deadline it is removed only
//! under a permit (so never with unsynced stores, unproven admission, or on a cloned cluster) and after a live read of its Grant.
use super::{Context, convert};
use crate::timing::timing;
use crate::{
    api::Grant,
    audit::{EventData, EventKind},
    providers::{ManagedObject, Provider, ProviderError, RevokeOutcome},
};
use curfew_core::{
    grant::State,
    sweep::{GrantLookup, SweepCandidate, Verdict, evaluate},
};
use futures::future::join_all;
use kube::Api;
use std::{sync::Arc, time::Duration};

/// How long one target may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Sweeps every target until the process ends.
pub async fn run(ctx: Arc<Context>) {
    ctx.authority.until_synced().await;
    loop {
        let targets = ctx.registry.targets(&ctx.stores, &ctx.metrics.panics).await;
        let held = join_all(targets.iter().map(|target| async {
            // A panic over one target is counted and logged; the others are swept all the same.
            match ctx.metrics.panics.catch("sweep", "a target", tokio::time::timeout(TIMEOUT, sweep(&ctx, &**target))).await {
                Some(Ok(Ok(held))) => held,
                Some(Ok(Err(error))) => {
                    tracing::warn!(%error, "cannot sweep a target");
                    0
                }
                Some(Err(_)) => {
                    tracing::warn!("the sweep of a target timed out; it continues next time");
                    0
                }
                None => 0,
            }
        }));
        ctx.metrics.sweep_held_back.set(held.await.into_iter().sum());
        tokio::time::sleep(timing().sweep_every).await;
    }
}

/// Sweeps one target; returns how many objects were held back.
async fn sweep(ctx: &Context, target: &dyn Provider) -> Result<i64, ProviderError> {
    let found = target.managed().await?;
    let marks: Vec<SweepCandidate> = found.iter().map(|f| SweepCandidate { mark: f.mark.clone(), created: f.created }).collect();
    let sure = ctx.authority.permit().is_some();
    let behind = |grant: &str| match ctx.stores.grant(grant).map(|grant| convert::grant_state(&grant)) {
        _ if !sure => GrantLookup::Unknown,
        None | Some(State::Ended | State::Abandoned) => GrantLookup::Missing,
        Some(State::Granting | State::Active | State::Revoking) => GrantLookup::Live,
    };
    let verdicts = evaluate(&ctx.install, &marks, ctx.now().plus_secs(-timing().sweep_grace_secs), timing().orphan_settles_secs, behind);
    let mut held = 0;
    for (f, verdict) in found.iter().zip(verdicts) {
        match verdict {
            Verdict::Keep => {}
            Verdict::Overdue => remove(ctx, target, f, "past the deadline in its name").await,
            Verdict::Orphan if is_orphan(ctx, f).await => remove(ctx, target, f, "justified by no Grant").await,
            Verdict::Orphan => {}
            Verdict::HeldBack => held += 1,
        }
    }
    if held > 0 {
        tracing::error!(
            held,
            "implausibly many bindings created by Curfew have no Grant; none is swept before its deadline: check the Grants"
        );
    }
    Ok(held)
}

/// The stores have no live Grant for it; only a live read is believed.
async fn is_orphan(ctx: &Context, f: &ManagedObject) -> bool {
    match Api::<Grant>::all(ctx.client.clone()).get_opt(&f.mark.grant).await {
        Ok(None) => true,
        Ok(Some(g)) => matches!(convert::grant_state(&g), State::Ended | State::Abandoned),
        Err(e) => {
            tracing::info!(error = %e, grant = f.mark.grant, "cannot read the Grant of a binding; the binding stays");
            false
        }
    }
}

async fn remove(ctx: &Context, target: &dyn Provider, f: &ManagedObject, why: &str) {
    let name = f.artifact.id.clone();
    match target.remove(f).await {
        Ok(RevokeOutcome::Gone) => {
            tracing::warn!(name, why, "swept");
            ctx.metrics.swept.inc();
            let event = EventData {
                grant: Some(f.mark.grant.clone()),
                name: Some(name),
                confirmed: Some("the binding is gone".into()),
                message: Some(why.into()),
                ..EventData::default()
            };
            ctx.audit.append(EventKind::SweepRemoved, event);
        }
        Ok(RevokeOutcome::Started(operation)) => tracing::warn!(name, operation = %operation.id, why, "being removed by the sweep"),
        Ok(RevokeOutcome::Remains(what)) => tracing::error!(name, what, "cannot prove that what was swept is gone"),
        Err(e) => tracing::error!(name, error = %e, "cannot sweep"),
    }
}
