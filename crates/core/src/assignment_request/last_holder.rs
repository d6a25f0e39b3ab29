//! The last holder of a role (PIM-027): where a RoleTemplate says so, the last assignment that makes anybody eligible for it is not removed
//! by an AssignmentRequest. Pure.
//!
//! A holder is an EligibleAssignment that makes a user or a group eligible now. A group is one holder: who is in it is not known. A service
//! account is not a holder, since it is nobody who could come to help; and standing access is not, since it makes nobody eligible.
//!
//! An assignment that ends, is suspended, or is deleted or edited in Git is not kept: no admission policy can count other objects, and an
//! end that was agreed on is an end. The condition `HasHolder` of the RoleTemplate shows what is left then.
use crate::{
    ids::Ref,
    policy_inputs::{Assignment, PolicyInputs, Template, Window},
    principal::Subject,
    reason::Reason,
    terms::{Refusal, assignment_ready, refuse},
};

/// Whether an assignment makes anybody eligible for a role now.
pub fn holds(e: &Assignment, t: &Template, h: &PolicyInputs<'_>) -> bool {
    is_meant_to(e, t, h) && assignment_ready(e, Some(t), h).is_ok()
}

/// The same by the assignment alone. A policy or a system that is away for a moment changes nothing about it.
fn is_meant_to(e: &Assignment, t: &Template, h: &PolicyInputs<'_>) -> bool {
    let now = match e.window {
        Window::Permanent => true,
        Window::Between(start, end) => start <= h.now && h.now < end,
    };
    let is_holder = match e.subject {
        Subject::User(_) | Subject::Group(_) => true,
        Subject::ServiceAccount(_) => false,
    };
    now && is_holder && !e.suspended && e.role == t.reference.name
}

/// Whether an assignment may be removed, by the assignments of its role in the inputs. Returns the holder that is left and on which that
/// rests, where the role protects its last one. The order of the rules:
///
/// 1. a role that does not protect its last holder; 2. an assignment that makes nobody eligible, by its own window, subject and
///    suspension: what else keeps it from that may pass, and a removal does not; 3. another holder, which can be used now; 4. `unknown`: the
///    windows of some are not known to be approved at the moment, so it is decided later; 5. it is the last holder.
///
/// It is judged again until the removal is written, with everything read live, and the holder that is left is written to before
/// (`status.reliedOn`): so of two removals at the same time, each of which rests on the other's assignment, one fails.
///
/// # Errors
/// `LastHolder`, or `NotProvenYet` for rule 4.
pub fn check<'a>(removed: &Assignment, t: &Template, h: &PolicyInputs<'a>, unknown: bool) -> Result<Option<&'a Ref>, Refusal> {
    // Where its window is not proven, the inputs say so.
    let removed = h.assignments.iter().find(|e| e.reference.uid == removed.reference.uid).unwrap_or(removed);
    if !t.protects_last_holder || !is_meant_to(removed, t, h) {
        return Ok(None);
    }
    let others = h.assignments.iter().filter(|e| e.reference.uid != removed.reference.uid && holds(e, t, h));
    let (name, role) = (&removed.reference.name, &t.reference.name);
    match others.min_by(|a, b| a.reference.name.cmp(&b.reference.name)) {
        Some(other) => Ok(Some(&other.reference)),
        None if unknown => refuse(
            Reason::NotProvenYet,
            format!("whether another assignment makes anybody eligible for role {role} is not known yet; it is tried again"),
        ),
        None => refuse(
            Reason::LastHolder,
            format!(
                "assignment {name} is the last one that makes anybody eligible for role {role}, which protects its last holder (spec.assignment.protectLastHolder), and no other is Ready; make another user or group eligible first, or ask the owner of the role to remove the assignment in Git"
            ),
        ),
    }
}

#[cfg(test)]
mod tests;
