//! The windows of assignments: whether one holds, is long enough, and is no longer than the role allows.
use super::{Refusal, check_origin, refuse};
use crate::{
    duration::{Duration, Period},
    policy_inputs::{Assignment, RequestFacts, Template, Window},
    reason::Reason,
    time::Time,
};

/// Whether an assignment holds at this moment and to the end of the access of a request: the whole duration must fit.
pub(super) fn check_assignment_window(a: &RequestFacts, e: &Assignment, t: &Template, now: Time, end: Time) -> Result<(), Refusal> {
    let name = &e.reference.name;
    if e.suspended {
        return refuse(Reason::Suspended, format!("assignment {name} is suspended; ask its owner"));
    }
    if let Some(what) = e.unsupported.first() {
        return refuse(Reason::Unsupported, format!("assignment {name} uses {what}, which this build does not support"));
    }
    check_origin(e)?;
    // First: one that was removed may have lasted less than it must.
    if let Window::Between(_, over) = e.window
        && now >= over
    {
        return refuse(Reason::OutsideWindow, format!("assignment {name} ended {over}"));
    }
    if a.approved.is_none() {
        check_shortest_window(e)?;
    }
    check_within_role(e, t)?;
    match e.window {
        Window::Between(start, _) if now < start => refuse(Reason::OutsideWindow, format!("assignment {name} begins {start}")),
        Window::Between(_, over) if end > over => {
            let left = Duration::from_secs(u32::try_from(over.millis_since(now) / 1000).unwrap_or(u32::MAX).max(1));
            refuse(Reason::OutsideWindow, format!("assignment {name} ends {over}: {left} are left, and the whole duration must fit"))
        }
        Window::Between(..) | Window::Permanent => Ok(()),
    }
}

/// The shortest window of an assignment (PIM-024).
const MIN_WINDOW_SECS: i64 = 300;

/// Whether an assignment is long enough to be made, or to be used: what is active by it goes on.
pub(crate) fn check_shortest_window(e: &Assignment) -> Result<(), Refusal> {
    match e.window {
        Window::Between(from, to) if to.millis_since(from) < MIN_WINDOW_SECS * 1000 => {
            let message = format!("assignment {} lasts less than the 5m that an assignment must last", e.reference.name);
            refuse(Reason::OutsidePolicy, message)
        }
        Window::Between(..) | Window::Permanent => Ok(()),
    }
}

/// Whether a role allows an assignment of this subject and window.
pub(crate) fn check_within_role(e: &Assignment, t: &Template) -> Result<(), Refusal> {
    let (name, role) = (&e.reference.name, &t.reference.name);
    if e.subject.is_reserved() {
        return refuse(Reason::OutsidePolicy, format!("assignment {name} names {}, an identity that Kubernetes reserves", e.subject));
    }
    check_length(e, role, t.permanent_eligibility, t.max_eligibility)
}

/// Whether a window is no longer than a role allows, which may also allow one without an end.
pub(super) fn check_length(e: &Assignment, role: &str, permanent: bool, max: Option<Period>) -> Result<(), Refusal> {
    let name = &e.reference.name;
    match (e.window, max) {
        (Window::Permanent, _) if !permanent => {
            refuse(Reason::OutsidePolicy, format!("assignment {name} is permanent, and role {role} does not allow that"))
        }
        (Window::Between(from, to), Some(max)) if to.millis_since(from) > max.secs() * 1000 => {
            refuse(Reason::OutsidePolicy, format!("assignment {name} is longer than the {max} that role {role} allows"))
        }
        (Window::Between(..) | Window::Permanent, _) => Ok(()),
    }
}
