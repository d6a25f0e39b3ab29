//! Assignments that an AssignmentRequest has asked for: the operator creates them, with a mark that names the request. Access begins by such
//! an assignment only if the request and its approvals prove it ([`super::proof`]): the mark takes away, and gives nothing.
use super::{ActionKind, Terms, resolve::RENEWABLE_SECS};
use crate::{
    digest::Digest,
    ids::Ref,
    policy_inputs::{Assignment, Window},
    target::{PermissionsByProvider, ScopeByProvider},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// The AssignmentRequest that has asked for an assignment.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Origin {
    /// `metadata.name` of the AssignmentRequest, in the same namespace.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub name: String,
    /// `metadata.uid` of the AssignmentRequest.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 128)))]
    pub uid: String,
    /// The digest of its terms, which the approvals name.
    pub digest: Digest,
}

impl Origin {
    /// The AssignmentRequest.
    pub fn by(&self) -> Ref {
        Ref { name: self.name.clone(), uid: self.uid.clone() }
    }
}

/// What a new assignment gives of its role. The digest of the terms covers it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gives {
    /// How far. Left out for the full scope of the role. A provider that is left out is out of reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeByProvider>,
    /// Which of the permissions. Left out for all of them. Of a provider that is left out it gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<PermissionsByProvider>,
}

impl Gives {
    /// What this assignment gives.
    pub fn of(assignment: &Assignment) -> Self {
        Gives { scope: assignment.scope.clone(), permissions: assignment.permissions.clone() }
    }
}

/// Whether an assignment whose spec has this window is what these terms of a new assignment say. It is the one that is asked for under the
/// name: the uid is not known before it exists. `suspend` and the justification give nothing.
pub fn is_as_asked(terms: &Terms, assignment: &Assignment, spec: Window) -> bool {
    terms.action == ActionKind::New
        && terms.assignment.name == assignment.reference.name
        && (&terms.subject, &terms.role.name) == (&assignment.subject, &assignment.role)
        && terms.gives.as_ref() == Some(&Gives::of(assignment))
        && spec == Window::Between(terms.window.start, terms.window.end)
        && !assignment.delegated
}

/// Until when an assignment is kept that the operator has created: as long as it may be renewed, which is 30 days after its end. One without
/// an end is kept.
pub const fn kept_until(window: Window) -> Option<Time> {
    match window {
        Window::Permanent => None,
        Window::Between(_, end) => Some(end.plus_secs(RENEWABLE_SECS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_that_was_asked_for_is_kept_as_long_as_it_may_be_renewed() {
        let end = Time::from_secs(1_000);
        assert_eq!(kept_until(Window::Between(Time::from_secs(0), end)), Some(end.plus_secs(30 * 86_400)));
        assert_eq!(kept_until(Window::Permanent), None);
    }
}
