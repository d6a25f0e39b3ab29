//! An assignment that an AssignmentRequest has asked for makes its subject eligible only as long as that request proves it.
//!
//! It concerns the beginning of access, until the Grant is active: what is active rests on what was proven when it began. So the fact is set
//! where access begins, and for `Ready`, and never while what is active is judged.
use super::{Refusal, refuse};
use crate::{policy_inputs::Assignment, reason::Reason};

/// Whether an assignment is proven, if a request has asked for it.
pub(crate) fn check_origin(e: &Assignment) -> Result<(), Refusal> {
    let Some(unproven) = &e.unproven else { return Ok(()) };
    let (name, by, why) = (&e.reference.name, &unproven.by, &unproven.why);
    refuse(
        Reason::NotApproved,
        format!(
            "assignment {name} makes nobody eligible: AssignmentRequest {by}, which asked for it, {why}; ask for a new assignment, or ask its owner to make it in Git"
        ),
    )
}
