//! The sweep inside the operator: what carries our mark at a target and is justified by no live Grant.
//!
//! Past the deadline in its name everything of ours dies, on any replica and under any doubt. What is younger dies only
//! under a permit (so never on an unsynced view, with an open gate, or on a clone), after its Grant was looked for live.
use crate::timing::timing;
use super::{Context, convert};
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
use kube::{Api, runtime::reflector::ObjectRef};
use std::{sync::Arc, time::Duration};

/// How long one target may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sweeps every target for ever.
pub async fn run(ctx: Arc<Context>) {
    ctx.authority.until_synced().await;
    loop {
        let targets = ctx.registry.targets(&ctx.stores).await;
        let held = join_all(targets.iter().map(|target| async {
            match tokio::time::timeout(PATIENCE, sweep(&ctx, &**target)).await {
                Ok(Ok(held)) => held,
                Ok(Err(e)) => {
                    tracing::warn!(error = %e, "cannot sweep a target");
                    0
                }
                Err(_) => {
                    tracing::warn!("sweeping a target takes too long; it goes on next time");
                    0
                }
            }
        }));
        ctx.metrics.sweep_held_back.set(held.await.into_iter().sum());
        tokio::time::sleep(timing().sweep_every).await;
    }
}

/// Sweeps one target; says how much was held back.
async fn sweep(ctx: &Context, target: &dyn Provider) -> Result<i64, ProviderError> {
    let found = target.managed().await?;
    let marks: Vec<SweepCandidate> = found.iter().map(|f| SweepCandidate { mark: f.mark.clone(), created: f.created }).collect();
    let sure = ctx.authority.permit().is_some();
    let behind = |grant: &str| match ctx.stores.grants.get(&ObjectRef::new(grant)).map(|g| convert::grant_state(&g)) {
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
            "implausibly many bindings of ours are justified by no Grant; none is swept before its deadline: look at the Grants"
        );
    }
    Ok(held)
}

/// The stores say that nothing is behind it; only a live look is believed.
async fn is_orphan(ctx: &Context, f: &ManagedObject) -> bool {
    match Api::<Grant>::all(ctx.client.clone()).get_opt(&f.mark.grant).await {
        Ok(None) => true,
        Ok(Some(g)) => matches!(convert::grant_state(&g), State::Ended | State::Abandoned),
        Err(e) => {
            tracing::info!(error = %e, grant = f.mark.grant, "cannot look for the Grant behind a binding; it stays");
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
