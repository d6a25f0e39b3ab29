//! Whether the approval that a template asks for can be given at all.
use super::{Refusal, emergency, refuse};
use crate::{
    approval::ApprovalStage,
    policy_inputs::{PolicyInputs, Template},
    quorum,
    reason::Reason,
};

/// The order of the rules: 1. enough people are listed for all stages, in either order; 2. emergency accounts are not among those who are
/// needed; 3. every escalation comes before its stage times
/// out. They concern the beginning: what waits is bound to what was frozen, and what is active goes on.
pub(super) fn check_approval(t: &Template, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    check_stages(t, &t.approval, h)
}

/// The same for any list of stages of a template.
pub(crate) fn check_stages(t: &Template, stages: &[ApprovalStage], h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    check_quorum_reachable(stages)?;
    emergency::check_approvers(stages, h)?;
    stages.iter().try_for_each(|stage| check_escalation(t, stage))
}

/// A quorum that distinct users can never fill is refused.
pub(super) fn check_quorum_reachable(stages: &[ApprovalStage]) -> Result<(), Refusal> {
    quorum::unreachable(stages).map_or(Ok(()), |why| refuse(Reason::NobodyCanApprove, why))
}

/// An escalation that comes when the stage has timed out would let nobody approve. Admission refuses it, too.
fn check_escalation(t: &Template, stage: &ApprovalStage) -> Result<(), Refusal> {
    match &stage.escalation {
        Some(escalation) if escalation.after.secs() >= stage.timeout_secs() => {
            let (role, stage, after) = (&t.reference.name, &stage.name, &escalation.after);
            refuse(
                Reason::NotReady,
                format!(
                    "role {role}: stage {stage} times out before its escalation, {after} after it opens; escalate sooner, or raise timeout"
                ),
            )
        }
        Some(_) | None => Ok(()),
    }
}
