//! When an assignment holds: by its spec, or by the change that was approved for it. Every reader of windows goes by [`effective`].
use super::ActionKind;
use crate::{digest::Digest, ids::Ref, policy_inputs::Window, time::Time};
use serde::{Deserialize, Serialize};

/// The time between two moments, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span {
    /// The first moment.
    pub start: Time,
    /// The first moment after it.
    pub end: Time,
}

impl Span {
    /// The span of a window; `None` for one without an end.
    pub const fn of(window: Window) -> Option<Span> {
        match window {
            Window::Permanent => None,
            Window::Between(start, end) => Some(Span { start, end }),
        }
    }
    const fn window(self) -> Window {
        Window::Between(self.start, self.end)
    }
}

/// What an AssignmentRequest has made of the window of an assignment. It stands in the assignment's status.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// When the subject is eligible.
    pub window: Span,
    /// The window of the spec for which this was approved; left out for a permanent one. With another window in the spec, the spec holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Span>,
    /// What was asked for.
    pub action: ActionKind,
    /// The AssignmentRequest.
    pub by: Ref,
    /// The digest of its terms, which the approvals name.
    pub digest: Digest,
}

/// When an assignment holds. The order of the rules:
///
/// 1. without a change, as its spec says; 2. a change for another window than the spec has now has no effect any more: an edit of the window
///    in Git decides; 3. otherwise as the change says.
///
/// A change is of one object: an assignment that is deleted and created again has another status.
pub fn effective(spec: Window, change: Option<&Change>) -> Window {
    match change {
        Some(change) if change.replaces == Span::of(spec) => change.window.window(),
        Some(_) | None => spec,
    }
}

/// Whether a change allows more than the spec: then access may begin by it only if its approval is proven ([`super::proof`]). What only
/// takes away is obeyed as it stands.
pub fn widens(spec: Window, change: &Change) -> bool {
    match Span::of(spec) {
        _ if change.replaces != Span::of(spec) => false,
        None => false,
        // Removed before it began.
        Some(_) if change.window.start >= change.window.end => false,
        Some(spec) => change.window.start < spec.start || change.window.end > spec.end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Time {
        Time::from_secs(secs)
    }

    fn change(replaces: Option<(i64, i64)>, window: (i64, i64)) -> Change {
        let span = |(start, end)| Span { start: at(start), end: at(end) };
        let by = Ref { name: "r".into(), uid: "r1".into() };
        Change { window: span(window), replaces: replaces.map(span), action: ActionKind::Extend, by, digest: Digest::from_bits(1) }
    }

    /// Every window of a small time line, and a permanent one.
    fn windows() -> Vec<Window> {
        let spans = (0..5).flat_map(|start| (start..6).map(move |end| Window::Between(at(start), at(end))));
        spans.chain([Window::Permanent]).collect()
    }

    fn holds(window: Window, moment: i64) -> bool {
        match window {
            Window::Permanent => true,
            Window::Between(start, end) => start <= at(moment) && at(moment) < end,
        }
    }

    #[test]
    fn an_edit_of_the_window_in_git_decides() {
        for spec in windows() {
            for approved_for in windows() {
                let of = Span::of(approved_for).map(|s| (s.start.as_millis() / 1000, s.end.as_millis() / 1000));
                let change = change(of, (2, 9));
                let expected = if spec == approved_for { Window::Between(at(2), at(9)) } else { spec };
                assert_eq!(effective(spec, Some(&change)), expected, "{spec:?} {approved_for:?}");
                assert_eq!(effective(spec, None), spec);
            }
        }
    }

    /// A change that needs no proof allows nothing at any moment that the spec does not allow.
    #[test]
    fn what_needs_no_proof_only_takes_away() {
        for spec in windows() {
            for window in windows() {
                let Some(span) = Span::of(window) else { continue };
                let of = Span::of(spec).map(|s| (s.start.as_millis() / 1000, s.end.as_millis() / 1000));
                let change = change(of, (span.start.as_millis() / 1000, span.end.as_millis() / 1000));
                let more = (0..10).any(|moment| holds(effective(spec, Some(&change)), moment) && !holds(spec, moment));
                assert_eq!(widens(spec, &change), more, "{spec:?} {window:?}");
            }
        }
    }
}
