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
    follow::{self, Patience, Progress},
    grant::State,
    sweep::{GrantLookup, SweepCandidate, Verdict, evaluate},
};
use futures::{StreamExt, stream};
use kube::Api;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

/// How long one target may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long the removal of one object may take.
const ITEM_TIMEOUT: Duration = Duration::from_secs(15);
/// How many objects of a target are removed at a time.
const CONCURRENCY: usize = 8;

/// Sweeps every target until the process ends. Each has a pace of its own: one that does not answer delays no other.
pub async fn run(ctx: Arc<Context>) {
    ctx.authority.until_synced().await;
    let (mut running, mut busy, mut held) = (JoinSet::new(), BTreeSet::new(), BTreeMap::new());
    let mut beat = tokio::time::interval(timing().sweep_every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                let targets = ctx.registry.targets(&ctx.stores, &ctx.metrics.panics).await;
                held.retain(|key, _| targets.iter().any(|(known, _)| known == key));
                for (key, target) in targets {
                    if busy.insert(key.clone()) {
                        let ctx = ctx.clone();
                        running.spawn(async move { (swept(&ctx, &key, &*target).await, key) });
                    }
                }
            }
            Some(done) = running.join_next() => {
                // Panics are caught within.
                let Ok((found, key)) = done else { continue };
                busy.remove(&key);
                held.insert(key, found);
                ctx.metrics.sweep_held_back.set(held.values().sum());
            },
        }
    }
}

/// Sweeps one target within its time; returns how many objects were held back. A panic over one target is counted and logged; the
/// others are swept all the same.
async fn swept(ctx: &Context, key: &str, target: &dyn Provider) -> i64 {
    match ctx.metrics.panics.catch("sweep", key, tokio::time::timeout(TIMEOUT, sweep(ctx, target))).await {
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
}

/// Sweeps one target; returns how many objects were held back.
async fn sweep(ctx: &Context, target: &dyn Provider) -> Result<i64, ProviderError> {
    let found = target.managed().await?;
    let marks: Vec<SweepCandidate> = found.iter().map(|f| SweepCandidate { mark: f.mark.clone(), created: f.created }).collect();
    let sure = ctx.authority.permit().is_some();
    let behind = |grant: &str| match is_live(ctx, grant) {
        _ if !sure => GrantLookup::Unknown,
        false => GrantLookup::Missing,
        true => GrantLookup::Live,
    };
    let verdicts = evaluate(&ctx.install, &marks, ctx.now().plus_secs(-timing().sweep_grace_secs), timing().orphan_settles_secs, behind);
    let held = verdicts.iter().filter(|verdict| **verdict == Verdict::HeldBack).count();
    let mut work: Vec<_> =
        found.iter().zip(verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Overdue | Verdict::Orphan)).collect();
    // Each sweep begins elsewhere: objects that cannot be removed do not keep those behind them from being tried.
    let begin = usize::try_from(ctx.now().as_millis()).unwrap_or(0) % work.len().max(1);
    work.rotate_left(begin);
    // What a Grant controller was to end when this sweep began may have ended meanwhile, with a proof.
    let was_live: BTreeSet<&str> = work.iter().map(|(f, _)| f.mark.grant.as_str()).filter(|grant| is_live(ctx, grant)).collect();
    let work = stream::iter(work).for_each_concurrent(CONCURRENCY, async |(f, verdict)| match verdict {
        Verdict::Overdue if was_live.contains(f.mark.grant.as_str()) && is_on_its_way(ctx, f) => {}
        Verdict::Overdue => remove(ctx, target, f, "past the deadline in its name").await,
        Verdict::Orphan if is_orphan(ctx, f).await => remove(ctx, target, f, "justified by no Grant").await,
        Verdict::Orphan | Verdict::Keep | Verdict::HeldBack => {}
    });
    work.await;
    if held > 0 {
        tracing::error!(
            held,
            "implausibly many bindings created by Curfew have no Grant; none is swept before its deadline: check the Grants"
        );
    }
    Ok(i64::try_from(held).unwrap_or(i64::MAX))
}

fn is_live(ctx: &Context, grant: &str) -> bool {
    ctx.stores.grant_summary(grant).is_some_and(|grant| grant.live)
}

/// Whether what a live Grant stood for has ended since, or is left to the Grant controllers, which are ending what is overdue. It is
/// left to them for a bounded time.
fn is_on_its_way(ctx: &Context, f: &ManagedObject) -> bool {
    let patience = Patience { quiet_millis: timing().sweep_grace_secs * 1_000, bound_millis: timing().sweep_bound_secs * 1_000 };
    let seen = Progress { alive: true, at: ctx.overdue.lock().fell() };
    !is_live(ctx, &f.mark.grant) || ctx.now() < follow::begins_at(f.mark.deadline, seen, patience)
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
    let removed = tokio::time::timeout(ITEM_TIMEOUT, target.remove(f)).await;
    match removed.unwrap_or_else(|_| Ok(RevokeOutcome::Remains(format!("no answer in {ITEM_TIMEOUT:?}")))) {
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
        // It gives nothing, and is tried again with each sweep.
        Ok(RevokeOutcome::Disarmed(what)) => tracing::warn!(name, what, why, "what is swept gives no access, and stays"),
        Ok(RevokeOutcome::Started(operation)) => tracing::warn!(name, operation = %operation.id, why, "being removed by the sweep"),
        Ok(RevokeOutcome::Remains(what)) => tracing::error!(name, what, "cannot prove that what was swept is gone"),
        Err(e) => tracing::error!(name, error = %e, "cannot sweep"),
    }
}
