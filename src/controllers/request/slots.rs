//! The slots of limits, as the reconcile of a request takes them, and as the sweep finds those that nobody holds.
use crate::{
    api::{ActivationRequest, Grant},
    controllers::{Context, convert},
    kube_writes::{self, WriteOutcome, slots},
    runtime::{
        changes::{self, RequestGroup},
        stores::Key,
    },
    timing::timing,
};
use curfew_core::{
    admission::AdmissionHistory,
    ids,
    limits::{self, Holder, Limit, RoleLimits, Slot, Slots},
    request::{GrantView, State, holds_slot},
};
use futures::{StreamExt, stream};
use kube::{Api, ResourceExt};
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

/// How many slots are looked at live in one sweep, at most, and how many at a time.
const PER_SWEEP: usize = 256;
const CONCURRENCY: usize = 8;
/// How long one sweep may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(60);

/// The slots of these limits, and how many other requests of the role count towards them without one.
///
/// # Errors
/// If the API server does not answer.
pub async fn list(ctx: &Context, request: &ActivationRequest, limits: &[Limit]) -> kube::Result<Slots> {
    let mut taken = slots::of_limits(&ctx.client, limits).await?;
    taken.iter_mut().for_each(|slot| slot.suspect = !is_held_in_stores(ctx, slot));
    Ok(Slots { taken, uncounted: uncounted(ctx, request, limits) })
}

/// Requests of the same role that the stores show to be granted, without a slot: they are from before the role had a limit.
fn uncounted(ctx: &Context, request: &ActivationRequest, limits: &[Limit]) -> Vec<u16> {
    let (namespace, role) = changes::template_of(request);
    let others = ctx.stores.live_requests(&RequestGroup::Template((namespace.clone(), role.clone())));
    let granted: Vec<_> = others
        .iter()
        .filter(|other| other.uid() != request.uid() && counts(other))
        .filter_map(|other| {
            let holder = other.status.as_ref()?.resolved.as_ref()?.beneficiary.clone();
            // Which limits a request counts towards does not depend on how high they are.
            Some((convert::slots(other), Limit::of_role(&namespace, &role, &holder, RoleLimits { active: 0, per_subject: 0 })))
        })
        .collect();
    limits::uncounted(limits, granted.iter().map(|(slots, families)| (slots.as_slice(), families.clone())))
}

/// Whether a request counts towards the limits of its role.
fn counts(request: &ActivationRequest) -> bool {
    match convert::request(request, &AdmissionHistory::unknown()).status.state {
        State::Scheduled | State::Activating | State::Active | State::Revoking(_) => true,
        State::Pending | State::AwaitingApproval | State::Ended(..) => false,
    }
}

/// Whether the stores show that the holder of a slot exists and holds it.
fn is_held_in_stores(ctx: &Context, slot: &Slot) -> bool {
    let request = ctx.stores.request(&key(&slot.holder)).map(|request| convert::request(&request, &AdmissionHistory::unknown()));
    request.is_some_and(|request| request.uid == slot.holder.uid && holds_slot(slot, Some(&request), GrantView::None))
}

/// Whether the holder of a slot holds it, read live.
///
/// # Errors
/// If the API server does not answer: then it is unknown.
pub async fn is_held(ctx: &Context, slot: &Slot) -> kube::Result<bool> {
    let (namespace, name) = key(&slot.holder);
    let request = kube_writes::requests(&ctx.client, &namespace).get_opt(&name).await?;
    let request = request.map(|request| convert::request(&request, &AdmissionHistory::unknown()));
    let grant = match request.as_ref().filter(|request| request.uid == slot.holder.uid) {
        Some(_) => None,
        // After the request: a Grant is created for a request that exists.
        None => Api::<Grant>::all(ctx.client.clone()).get_opt(&ids::grant_id(&ctx.install, &slot.holder.uid)).await?,
    };
    Ok(holds_slot(slot, request.as_ref(), convert::grant_view(grant.as_ref())))
}

/// Creates a slot for a request; `Conflict` if it exists. Needs the permit, which is `Failed` without it.
pub async fn create(ctx: &Context, key: &Key, uid: &Arc<str>, name: &str) -> Option<WriteOutcome<()>> {
    let permit = ctx.authority.permit()?;
    let holder = Holder { namespace: key.0.as_str().into(), name: key.1.as_str().into(), uid: uid.clone() };
    Some(slots::create(&ctx.client, name, &holder, ctx.now(), &permit).await)
}

/// Deletes every slot of a request that has ended.
///
/// # Errors
/// If the API server does not answer; the next request and the sweep find the slots to be free.
pub async fn release(ctx: &Context, request_uid: &str) -> kube::Result<()> {
    for slot in slots::held_by(&ctx.client, request_uid).await? {
        slots::delete(&ctx.client, &slot).await?;
    }
    Ok(())
}

/// Deletes, until the process ends, the slots that nobody holds: of requests that were deleted, and of an operator that died before it
/// had released them. Only the leader does so.
pub async fn sweep(ctx: Arc<Context>) {
    ctx.authority.until_synced().await;
    let mut beat = tokio::time::interval(timing().sweep_every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if !ctx.authority.leads() {
            continue;
        }
        match tokio::time::timeout(SWEEP_LIMIT, sweep_once(&ctx)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot list the slots of limits; those that nobody holds are deleted later"),
            Err(_) => tracing::warn!("the sweep of slots timed out; it continues next time"),
        }
    }
}

async fn sweep_once(ctx: &Context) -> kube::Result<()> {
    let mut suspect: Vec<Slot> = slots::all(&ctx.client).await?.into_iter().filter(|slot| !is_held_in_stores(ctx, slot)).collect();
    // Each sweep begins elsewhere: slots that cannot be judged do not keep those behind them from being looked at.
    let begin = usize::try_from(ctx.now().as_millis()).unwrap_or(0) % suspect.len().max(1);
    suspect.rotate_left(begin);
    suspect.truncate(PER_SWEEP);
    let work = stream::iter(suspect).for_each_concurrent(CONCURRENCY, async |slot| {
        let deleted = match is_held(ctx, &slot).await {
            Ok(true) => return,
            Ok(false) => slots::delete(&ctx.client, &slot).await,
            Err(error) => Err(error),
        };
        let (name, namespace, request) = (&*slot.name, &*slot.holder.namespace, &*slot.holder.name);
        match deleted {
            Ok(()) => tracing::info!(name, namespace, request, "released a slot that its request holds no longer"),
            Err(error) => tracing::info!(name, namespace, request, %error, "cannot judge or release a slot; it is tried again"),
        }
    });
    work.await;
    Ok(())
}

fn key(holder: &Holder) -> Key {
    (holder.namespace.to_string(), holder.name.to_string())
}
