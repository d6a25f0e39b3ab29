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
    limits::{self, Granted, Holder, Limit, LimitOf, Slot, SlotName, Slots},
    request::{GrantView, Request, State, has_access, holds_for_extension, holds_slot},
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{Api, ResourceExt};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::MissedTickBehavior;

/// How many slots are looked at live in one sweep, at most, and how many at a time.
const PER_SWEEP: usize = 256;
const CONCURRENCY: usize = 8;
/// How long one sweep may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(60);

/// The slots of these limits, and how many other requests of the role or policy count towards them without one.
///
/// # Errors
/// If the API server does not answer.
pub async fn list(ctx: &Context, request: &ActivationRequest, limits: &[Limit]) -> kube::Result<Slots> {
    // Before the slots are listed: what has access by now had its slots by then, and does not seem to lack them.
    let others = granted_in_stores(ctx, request, limits);
    let mut taken = slots::of_limits(&ctx.client, limits).await?;
    taken.iter_mut().for_each(|slot| slot.suspect = !is_held_in_stores(ctx, slot));
    let without = limits::without_slot(limits, &taken, &others);
    let count = |of: &[&Granted]| u16::try_from(of.len()).unwrap_or(u16::MAX);
    let listed = Slots { taken, uncounted: without.iter().map(|of| count(of)).collect() };
    if !without.iter().any(|of| !of.is_empty()) || !listed.may_reach(limits) {
        return Ok(listed);
    }
    // A limit is reached only by what is read live, as far as that is bounded.
    let ended = ended_meanwhile(ctx, without.concat()).await?;
    let left = without.iter().map(|of| of.iter().filter(|other| !ended.contains(&other.holder.uid)).copied().collect::<Vec<_>>());
    Ok(Slots { uncounted: left.map(|of| count(&of)).collect(), ..listed })
}

/// The other requests that the stores show to have access, and that may count towards one of these limits.
fn granted_in_stores(ctx: &Context, request: &ActivationRequest, limits: &[Limit]) -> Vec<Granted> {
    let groups: HashSet<_> = limits
        .iter()
        .filter_map(|limit| match &limit.of {
            LimitOf::Role => Some(RequestGroup::Template(changes::template_of(request))),
            LimitOf::Policy(name) => Some(RequestGroup::Policy(name.to_string())),
            // What has lost its lock, with the namespace of the operator for example, locks nobody out.
            LimitOf::BreakGlass | LimitOf::Extension => None,
        })
        .collect();
    let others: BTreeMap<_, _> =
        groups.iter().flat_map(|group| ctx.stores.live_requests(group)).map(|other| (other.uid(), other)).collect();
    // What it extends is the same access of the same person.
    let extended = request.spec.extends.as_ref().map(|extends| extends.uid.clone());
    let is_other = |uid: Option<String>| uid != request.uid() && (extended.is_none() || uid != extended);
    others.values().filter(|other| is_other(other.uid())).filter_map(|other| granted(ctx, other)).collect()
}

/// A request with the limits that it counts towards, if the stores show it to have access.
fn granted(ctx: &Context, other: &ActivationRequest) -> Option<Granted> {
    let uid: Arc<str> = other.uid()?.into();
    let grant = ctx.stores.grant(&ids::grant_id(&ctx.install, &uid));
    let status = convert::request(other, &AdmissionHistory::unknown()).status;
    has_access(&status, convert::grant_view(grant.as_deref())).then_some(())?;
    let resolved = other.status.as_ref()?.resolved.as_ref()?;
    let namespace = other.namespace()?;
    let limits = resolved.limits(&namespace);
    Some(Granted { holder: Holder { namespace: namespace.into(), name: other.name_any().into(), uid }, limits })
}

/// The uids of those of these requests that have ended since the stores showed them: at most [`MAX_VERIFIED`] are read.
async fn ended_meanwhile(ctx: &Context, others: Vec<&Granted>) -> kube::Result<BTreeSet<Arc<str>>> {
    let holders: BTreeMap<_, _> = others.into_iter().map(|other| (other.holder.uid.clone(), other.holder.clone())).collect();
    let read = stream::iter(holders.into_values().take(limits::MAX_VERIFIED)).map(|holder| async move {
        let ended = match read_holder(ctx, &holder).await? {
            (Some(request), _) => matches!(request.status.state, State::Ended(..)),
            (None, grant) => !matches!(grant, GrantView::Live { .. }),
        };
        Ok::<_, kube::Error>(ended.then_some(holder.uid))
    });
    let ended: Vec<Option<Arc<str>>> = read.buffer_unordered(CONCURRENCY).try_collect().await?;
    Ok(ended.into_iter().flatten().collect())
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
    let (request, grant) = read_holder(ctx, &slot.holder).await?;
    if holds_slot(slot, request.as_ref(), grant) {
        return Ok(true);
    }
    let Some(extended) = &slot.taken_over_from else { return Ok(false) };
    let (request, grant) = read_holder(ctx, extended).await?;
    Ok(holds_for_extension(&extended.uid, request.as_ref(), grant))
}

/// The request of a holder, read live; or, if it is gone or another one has its name, its Grant.
async fn read_holder(ctx: &Context, holder: &Holder) -> kube::Result<(Option<Request>, GrantView)> {
    let (namespace, name) = key(holder);
    let request = kube_writes::requests(&ctx.client, &namespace).get_opt(&name).await?;
    let request = request.map(|request| convert::request(&request, &AdmissionHistory::unknown()));
    if let Some(request) = request.filter(|request| request.uid == holder.uid) {
        return Ok((Some(request), GrantView::None));
    }
    // After the request: a Grant is created for a request that exists.
    let grant = Api::<Grant>::all(ctx.client.clone()).get_opt(&ids::grant_id(&ctx.install, &holder.uid)).await?;
    Ok((None, convert::grant_view(grant.as_ref())))
}

/// Creates a slot for a request; `Conflict` if it exists. Needs the permit, which is `Failed` without it.
pub async fn create(ctx: &Context, key: &Key, uid: &Arc<str>, name: &str) -> Option<WriteOutcome<()>> {
    let permit = ctx.authority.permit()?;
    let holder = Holder { namespace: key.0.as_str().into(), name: key.1.as_str().into(), uid: uid.clone() };
    Some(slots::create(&ctx.client, name, &holder, ctx.now(), &permit).await)
}

/// Takes over a slot for an extension of `from`; `Conflict` if it has changed or is gone. Needs the permit, which is `Failed` without it.
pub async fn take_over(ctx: &Context, key: &Key, uid: &Arc<str>, slot: &Slot, from: &Holder) -> Option<WriteOutcome<()>> {
    let permit = ctx.authority.permit()?;
    let holder = Holder { namespace: key.0.as_str().into(), name: key.1.as_str().into(), uid: uid.clone() };
    Some(slots::take_over(&ctx.client, slot, &holder, from, &permit).await)
}

/// Deletes every slot that a request holds no longer, by its status that was just stored: of one that has ended all, but for a lock that
/// waits for a review and for those that it has taken over from what has not ended.
///
/// # Errors
/// If the API server does not answer; the next request and the sweep find the slots to be free.
pub async fn release(ctx: &Context, request: &Request, grant: GrantView) -> kube::Result<()> {
    for slot in slots::held_by(&ctx.client, &request.uid).await? {
        let holds = holds_slot(&slot, Some(request), grant) || (slot.taken_over_from.is_some() && is_held(ctx, &slot).await?);
        if !holds {
            slots::delete(&ctx.client, &slot).await?;
        }
    }
    Ok(())
}

/// Deletes the locks of a break-glass access that is reviewed, and whose request is deleted.
///
/// # Errors
/// If the API server does not answer: then the review is judged again.
pub async fn release_locks(ctx: &Context, request_uid: &str) -> kube::Result<()> {
    for slot in locks_of(ctx, request_uid).await? {
        slots::delete(&ctx.client, &slot).await?;
    }
    Ok(())
}

/// The locks that a break-glass access holds, read live.
///
/// # Errors
/// If the API server does not answer.
pub async fn locks_of(ctx: &Context, request_uid: &str) -> kube::Result<Vec<Slot>> {
    let mut held = slots::held_by(&ctx.client, request_uid).await?;
    held.retain(|slot| SlotName::parse(&slot.name).is_some_and(|name| name.is_lock()));
    Ok(held)
}

/// Deletes, until the process ends, the slots that nobody holds: of requests that were deleted, and of an operator that died before it
/// had released them. Only the leader does so.
pub async fn sweep(ctx: Arc<Context>) {
    ctx.authority.until_synced().await;
    // Most slots are freed when their holder ends: this finds what a crash has left.
    let mut beat = tokio::time::interval(timing().sweep_every * 2);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if !ctx.authority.leads() {
            ctx.unreviewed_deleted.store(0, Ordering::Relaxed);
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
    let all = slots::all(&ctx.client).await?;
    let free = delete_free(ctx, all.iter().filter(|slot| !is_held_in_stores(ctx, slot)).cloned().collect()).await;
    let exists = |holder: &Holder| ctx.stores.request(&key(holder)).is_some_and(|request| request.uid().as_deref() == Some(&*holder.uid));
    ctx.unreviewed_deleted.store(locked_without_request(&all, &free, exists), Ordering::Relaxed);
    Ok(())
}

/// Of how many requests that do not exist a lock on further break-glass is left: their access is not reviewed. What was not judged counts.
fn locked_without_request(all: &[Slot], free: &HashSet<Arc<str>>, exists: impl Fn(&Holder) -> bool) -> usize {
    let is_lock = |slot: &&Slot| SlotName::parse(&slot.name).is_some_and(|name| name.is_lock());
    let left = all.iter().filter(is_lock).filter(|slot| !free.contains(&slot.name) && !exists(&slot.holder));
    // Of one login each name has a lock.
    left.map(|slot| &slot.holder.uid).collect::<BTreeSet<_>>().len()
}

/// Deletes those of these slots that nobody holds, at most [`PER_SWEEP`], and returns their names.
async fn delete_free(ctx: &Context, mut suspect: Vec<Slot>) -> HashSet<Arc<str>> {
    // Each sweep begins elsewhere: slots that cannot be judged do not keep those behind them from being looked at.
    let begin = usize::try_from(ctx.now().as_millis()).unwrap_or(0) % suspect.len().max(1);
    suspect.rotate_left(begin);
    suspect.truncate(PER_SWEEP);
    let work = stream::iter(suspect).map(|slot| async move {
        let deleted = match is_held(ctx, &slot).await {
            Ok(true) => return None,
            Ok(false) => slots::delete(&ctx.client, &slot).await,
            Err(error) => Err(error),
        };
        let (name, namespace, request) = (&*slot.name, &*slot.holder.namespace, &*slot.holder.name);
        match deleted {
            Ok(()) => {
                tracing::info!(name, namespace, request, "released a slot that its request holds no longer");
                return Some(slot.name);
            }
            Err(error) => tracing::info!(name, namespace, request, %error, "cannot judge or release a slot; it is tried again"),
        }
        None
    });
    work.buffer_unordered(CONCURRENCY).filter_map(std::future::ready).collect().await
}

fn key(holder: &Holder) -> Key {
    (holder.namespace.to_string(), holder.name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_without_its_request_is_an_access_that_nobody_has_reviewed() {
        let slot = |name: String, uid: &str| Slot {
            name: name.as_str().into(),
            uid: "1".into(),
            version: "1".into(),
            holder: Holder { namespace: "payments".into(), name: uid.into(), uid: uid.into() },
            taken_over_from: None,
            suspect: false,
        };
        let lock = |n: u32, uid: &str| slot(format!("curfew-slot-lock-{}-0", format!("{n:x}").repeat(40)), uid);
        let counted = lock(3, "u3").name;
        assert!(SlotName::parse(&counted).is_some_and(|name| name.is_lock()), "{counted}");
        let role = slot(format!("curfew-slot-{}-0", "a".repeat(40)), "u4");
        let all = [lock(1, "there"), lock(2, "u2"), lock(3, "u2"), lock(4, "u3"), role];
        let exists = |holder: &Holder| &*holder.uid == "there";
        assert_eq!(locked_without_request(&all, &HashSet::new(), exists), 2, "of two logins");
        assert_eq!(locked_without_request(&all, &[all[3].name.clone()].into(), exists), 1, "the sweep has found one to be free");
    }
}
