//! The Grant's state machine: for how long access exists, and whether that is true at the target. Pure.
//!
//! A Grant is the record of an access and the intent to write it. To end, it needs only itself and its target (I3).
mod types;

use crate::{
    admission::Provenance,
    requeue::Requeue,
    resolved::Schema,
    target::{Content, Fence, SlotSet},
    time::Time,
};
pub use types::*;

/// Decides. The order of the rules:
///
/// 1. A Grant that has ended stays ended; the finalizer of a deleted object is removed only then.
/// 2. `Revoking` revokes until the target shows that nothing is left ([`decide_revoking`]). It reads no other object than
///    Grants (I3). Past the deadline a person may release it without proof: it ends `Abandoned`, never `Ended`.
/// 3. At the deadline an `Active` Grant of its own objects revokes first and commits after: the stored deadline is the intent.
///    Where slots are shared, `Revoking` is stored first, so that of two owners that end at once each sees the other.
///    `Granting` stores `Revoking` first, because another replica with a slower clock may still pass its recheck.
/// 4. A Grant written by a newer build does nothing else.
/// 5. A Grant whose owner must be verified reads its request. If that is gone, or the Grant is deleted, the deadline is brought
///    forward to now.
/// 6. `Granting` writes to the target, with the permit only ([`decide_granting`]). A Grant that was created while admission was
///    not enforced is only revoked, and one that was created after the last proof waits for the next.
/// 7. `Active` reads the target ([`decide_active`]).
pub fn decide(i: &Inputs<'_>) -> Decision {
    let g = i.grant;
    let due = i.now >= g.expires_at;
    match g.state {
        State::Ended | State::Abandoned if g.deleting => Decision::RemoveFinalizer,
        State::Ended | State::Abandoned => Decision::Wait(Requeue::OnChange),
        State::Revoking if due && i.abandoned => commit(g, State::Abandoned),
        State::Revoking => decide_revoking(i),
        State::Active if due && g.guarantees.slots == 0 => Decision::Revoke { keep: SlotSet::NONE, until: None },
        State::Active | State::Granting if due => commit(g, State::Revoking),
        State::Active | State::Granting if g.schema == Schema::Newer => Decision::Wait(Requeue::At(g.expires_at)),
        State::Active | State::Granting if g.deleting || i.owner == OwnerState::Gone => Decision::BringForward,
        State::Active | State::Granting if i.verify_owner && i.owner == OwnerState::NotRead => Decision::ReadOwner,
        State::Granting if i.permit => match g.provenance {
            Provenance::Verified => decide_granting(i),
            Provenance::Pending => Decision::Wait(Requeue::Backoff),
            Provenance::Unverified => Decision::BringForward,
        },
        State::Granting => Decision::Wait(Requeue::At(g.expires_at)),
        State::Active => decide_active(i),
    }
}

/// How an active Grant stays what was approved. The order of the rules:
///
/// 1. The content is read where it may have changed, and always while something is withheld. Content that has grown ends the
///    grant. Content that does not exist could be created with more, so its parts of the plan lose their access at once: that they
///    do is stored first, since objects without access are drift otherwise. Unknown content changes nothing.
/// 2. Drift ends the grant: what was removed stays removed, what was widened is revoked. Unknown counts as present, and so does
///    absence before reads have settled.
/// 3. What is withheld gets its access back, with the permit only, when its content exists again within what was frozen.
fn decide_active(i: &Inputs<'_>) -> Decision {
    let g = i.grant;
    // Without a reservation nothing could be kept without access: there the request alone is judged by the content.
    let verify = g.guarantees.fence == Fence::Reservation && (i.verify_content || !g.withheld.is_empty());
    if verify && i.content.is_none() {
        return Decision::ReadContent;
    }
    let missing = match i.content {
        Some(Content::Grown) => return Decision::Commit(Grant { outgrown: true, state: State::Revoking, ..g.clone() }),
        Some(Content::Within { missing }) => Some(missing),
        Some(Content::Unknown) | None => None,
    };
    if let Some(more) = missing.filter(|missing| !missing.without(g.withheld).is_empty()) {
        return Decision::Commit(Grant { withheld: g.withheld.union(more), ..g.clone() });
    }
    let disarmed = match i.observation {
        None => return Decision::Observe { except: standing(g) },
        Some(Observation::Present) => SlotSet::NONE,
        Some(Observation::Disarmed { any, all }) if any.without(g.withheld).is_empty() => all,
        Some(Observation::Absent | Observation::Disarmed { .. } | Observation::Drifted) if settled(g, g.active_since, i.now) => {
            return Decision::Commit(Grant { drifted: true, state: State::Revoking, ..g.clone() });
        }
        Some(Observation::Unknown | Observation::Absent | Observation::Disarmed { .. } | Observation::Drifted) => {
            return Decision::Wait(Requeue::Backoff);
        }
    };
    let Some(missing) = missing else {
        let unknown = i.content == Some(Content::Unknown);
        return Decision::Wait(if unknown { Requeue::Backoff } else { Requeue::At(g.expires_at) });
    };
    let back = g.withheld.without(missing);
    match () {
        () if !missing.without(disarmed).is_empty() => Decision::Withhold(missing.without(disarmed)),
        // What the target shows may be older than the last withholding, so all of it is given back, also where it seems to be there.
        () if !back.is_empty() && i.permit && g.provenance == Provenance::Verified => Decision::Restore(back),
        () => Decision::Wait(Requeue::At(g.expires_at)),
    }
}

/// How a Grant writes to its target. The order of the rules:
///
/// 1. A stored operation is followed until the target says how it ended.
/// 2. Behind a reservation: reserve.
/// 3. With a time limit, first the intent is stored: which slots were filled before and until when the write may be sent. The
///    target is surveyed between two reads of the other Grants, so that a slot is `standing` only if no Grant accounts for it.
///    The first read shows a Grant whose removal the survey may not show yet, the second one that has written before the
///    survey. While another Grant removes one of the slots, or has just done so, this one waits.
/// 4. Only the run that has stored the time limit writes, after a recheck. Any other waits until it has passed, and stores another.
/// 5. If every slot was filled before, there is nothing to write.
fn decide_granting(i: &Inputs<'_>) -> Decision {
    let g = i.grant;
    if let Some(operation) = &g.operation {
        return poll(operation, i.now);
    }
    let Fence::TimeLimit { write_secs } = g.guarantees.fence else { return Decision::Reserve };
    let until = i.now.plus_secs(i64::from(write_secs)).min(g.expires_at);
    match (g.intent, i.filled, i.slot_owners) {
        (None, _, None) if g.guarantees.slots > 0 => Decision::ReadSlotOwners,
        (None, _, Some(SlotOwners::Unsettled { .. })) => Decision::Wait(Requeue::Backoff),
        (None, None, Some(_)) => Decision::Survey,
        (None, filled, owners) => {
            let (held, theirs) = match owners {
                Some(SlotOwners::Settled { held, standing }) => (held, standing),
                Some(SlotOwners::Unsettled { .. }) | None => (SlotSet::NONE, SlotSet::NONE),
            };
            let standing = filled.unwrap_or(SlotSet::NONE).without(held).union(theirs);
            store_intent(g, Intent { standing, until: Some(until) })
        }
        (Some(intent), _, _) if g.guarantees.slots > 0 && intent.standing == SlotSet::all(g.guarantees.slots) => commit(g, State::Active),
        (Some(Intent { until: Some(stored), .. }), _, _) if i.write_until == Some(stored) && i.now < stored => {
            Decision::Apply { until: stored }
        }
        (Some(Intent { until: Some(stored), .. }), _, _) if i.now < late_writes_end(g, stored) => {
            Decision::Wait(Requeue::At(late_writes_end(g, stored)))
        }
        (Some(intent), _, _) => store_intent(g, Intent { until: Some(until), ..intent }),
    }
}

/// How a Grant leaves its target. The order of the rules:
///
/// 1. A stored operation is followed to its end first: an operation that creates the access may still do so.
/// 2. With a time limit, a Grant without an intent has never written, and one whose slots were all filled before neither.
/// 3. Slots that another Grant holds, or that were filled before, stay. That they are held is read after `Revoking` was stored
///    and counts as the end only when no late write or removal of our own can follow. A slot that another Grant holds only as
///    filled before does not stay: that Grant would not remove it either, and this one has written it.
/// 4. The rest is removed. Where reads lag behind writes, the end is what the target shows after they have settled, counted
///    from the last removal and from the last moment at which a write could be sent. What shows up again is removed again.
/// 5. A removal from a shared slot names the slot and not the Grant, so one that is sent late would take the access of the next
///    Grant. Its time limit is stored like that of a write ([`Intent::until`]), before the other Grants are read, and the end
///    waits for it. Unlike a write, a removal may be repeated at once by any run that stores a limit of its own.
fn decide_revoking(i: &Inputs<'_>) -> Decision {
    let g = i.grant;
    if let Some(operation) = &g.operation {
        return poll(operation, i.now);
    }
    let timed = matches!(g.guarantees.fence, Fence::TimeLimit { .. });
    let mut keep = SlotSet::NONE;
    if timed {
        let Some(intent) = g.intent else { return commit(g, State::Ended) };
        keep = intent.standing;
        if g.guarantees.slots > 0 {
            match i.slot_owners {
                None => return Decision::ReadSlotOwners,
                Some(SlotOwners::Settled { held, standing } | SlotOwners::Unsettled { held, standing }) => {
                    keep = keep.union(held.without(standing));
                }
            }
        }
    }
    let quiet_at = g.intent.and_then(|i| i.until).map(|until| late_writes_end(g, until));
    let all_stay = g.guarantees.slots > 0 && keep == SlotSet::all(g.guarantees.slots);
    let proof_from = g.removed_at.map(|t| t.plus_secs(i64::from(g.guarantees.settle_secs))).max(quiet_at);
    match (all_stay, proof_from) {
        (true, _) if quiet_at.is_none_or(|t| i.now >= t) => commit(g, State::Ended),
        (true, _) => Decision::Wait(Requeue::At(quiet_at.unwrap_or(i.now))),
        (false, _) if g.removed_at.is_none() => decide_removal(i, keep),
        (false, Some(t)) if i.now < t => Decision::Wait(Requeue::At(t)),
        (false, _) => match i.observation {
            None => Decision::Observe { except: keep },
            Some(Observation::Absent) => commit(g, State::Ended),
            Some(Observation::Present | Observation::Disarmed { .. } | Observation::Drifted) => decide_removal(i, keep),
            Some(Observation::Unknown) => Decision::Wait(Requeue::Backoff),
        },
    }
}

/// Removes, where slots are shared only within a time limit that this run has stored.
fn decide_removal(i: &Inputs<'_>, keep: SlotSet) -> Decision {
    let g = i.grant;
    let (Fence::TimeLimit { write_secs }, 1.., Some(intent)) = (g.guarantees.fence, g.guarantees.slots, g.intent) else {
        return Decision::Revoke { keep, until: None };
    };
    match intent.until {
        Some(until) if i.write_until == Some(until) && i.now < until => Decision::Revoke { keep, until: Some(until) },
        stored => {
            let until = stored.max(Some(i.now.plus_secs(i64::from(write_secs))));
            Decision::Commit(Grant { intent: Some(Intent { until, ..intent }), removed_at: None, ..g.clone() })
        }
    }
}

/// After the target has accepted a removal: the end, if its answer is proof; otherwise the time from which reads settle.
pub fn after_removal(g: &Grant, now: Time) -> Grant {
    let late_write = g.intent.and_then(|i| i.until).is_some_and(|until| now < late_writes_end(g, until));
    let proven = g.guarantees.settle_secs == 0 && !late_write;
    // Where slots are shared, an end is stored only from a stored `Revoking`.
    let ended = proven && (g.state == State::Revoking || g.guarantees.slots == 0);
    Grant {
        state: if ended { State::Ended } else { State::Revoking },
        removed_at: if ended { g.removed_at } else { Some(now) },
        operation: None,
        ..g.clone()
    }
}

/// After the target has confirmed the write: active, and no time limit runs any more.
pub fn after_apply(g: &Grant) -> Grant {
    Grant { state: State::Active, intent: g.intent.map(|i| Intent { until: None, ..i }), operation: None, ..g.clone() }
}

/// When a write that was sent by `until` can neither follow nor be hidden from reads any more.
fn late_writes_end(g: &Grant, until: Time) -> Time {
    until.plus_secs(i64::from(g.guarantees.settle_secs))
}

/// Whether reads can be believed, counted from this write.
fn settled(g: &Grant, since: Option<Time>, now: Time) -> bool {
    since.is_none_or(|t| now >= t.plus_secs(i64::from(g.guarantees.settle_secs)))
}

fn standing(g: &Grant) -> SlotSet {
    g.intent.map_or(SlotSet::NONE, |i| i.standing)
}

fn poll(operation: &Operation, now: Time) -> Decision {
    if now >= operation.poll_at { Decision::Poll } else { Decision::Wait(Requeue::At(operation.poll_at)) }
}

fn store_intent(g: &Grant, intent: Intent) -> Decision {
    Decision::Commit(Grant { intent: Some(intent), ..g.clone() })
}

fn commit(g: &Grant, state: State) -> Decision {
    Decision::Commit(Grant { state, ..g.clone() })
}

#[cfg(test)]
mod tests;
