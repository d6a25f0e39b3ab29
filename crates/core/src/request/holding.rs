//! Whether a request holds a slot of a limit.
use super::{GrantView, Request, State, Status, may_have_given_access};
use crate::{
    approval::review::ReviewState,
    limits::{Slot, SlotName},
    resolved::Schema,
};

/// Whether the holder of a slot holds it, by its request and its Grant, both read live. The order of the rules:
///
/// 1. A request of a newer build holds it.
/// 2. A request that has ended holds nothing: an end is stored only when nothing of the access is left, and it is final.
/// 3. A request that has not begun may have taken it a moment ago, and not stored that yet.
/// 4. A request that has begun holds the slots that it has stored: a second slot of one limit, which another replica has taken for it at
///    the same time, is free. While it has stored none of this limit, it may be taking one.
/// 5. A request that does not exist, or is another one of that name, holds it as long as its Grant may give access. Without a Grant it
///    never will: the owner of a Grant is read live before access is armed.
/// 6. The slot of a lock is held beyond the end: until a review has counted, and then no longer. An end without any access frees it. Where
///    the request does not exist, its Grant says whether there was access; the review about that Grant deletes the slot.
///
/// So a request that is `Revoking` holds its slots: what is not proven gone counts as present.
pub fn holds_slot(slot: &Slot, request: Option<&Request>, grant: GrantView) -> bool {
    let is_lock = SlotName::parse(&slot.name).is_some_and(|name| name.is_lock());
    let Some(request) = request.filter(|request| request.uid == slot.holder.uid) else {
        return if is_lock { may_have_given_access(grant) } else { matches!(grant, GrantView::Live { .. }) };
    };
    let status = &request.status;
    match status.state {
        _ if request.schema == Schema::Newer => true,
        _ if is_lock && status.review == ReviewState::Reviewed => false,
        State::Ended(..) => is_lock && status.review == ReviewState::Required,
        State::Pending | State::AwaitingApproval => true,
        State::Scheduled | State::Activating | State::Active | State::Revoking(_) => {
            let of_limit = |name: &str| SlotName::parse(name).map(|name| name.family.to_owned());
            let stored = status.slots.iter().find(|stored| of_limit(stored) == of_limit(&slot.name));
            stored.is_none_or(|stored| *stored == slot.name)
        }
    }
}

/// Whether a request from which an extension has taken over a slot still needs it: as long as its access may be there, the slot is held,
/// also where the extension has ended. It was active when the slot was taken over; both are read live.
pub fn holds_for_extension(uid: &str, request: Option<&Request>, grant: GrantView) -> bool {
    match request.filter(|request| *request.uid == *uid) {
        None => matches!(grant, GrantView::Live { .. }),
        Some(request) if request.schema == Schema::Newer => true,
        Some(request) => !matches!(request.status.state, State::Ended(..)),
    }
}

/// Whether a request has access, or may have it, so that it counts towards its limits also without a slot. What is `Scheduled`, or
/// `Activating` without a Grant, takes its slots before the Grant is created.
pub fn has_access(status: &Status, grant: GrantView) -> bool {
    match status.state {
        State::Active | State::Revoking(_) => true,
        State::Activating => matches!(grant, GrantView::Live { .. }),
        State::Pending | State::AwaitingApproval | State::Scheduled | State::Ended(..) => false,
    }
}
