//! Break-glass: access that waits for no approval, for emergencies. Role and policy must both allow it, the person must say why, and
//! another person reviews it afterwards.
use super::{Refusal, check_justification, refuse, requestors::is_for_another};
use crate::{
    limits::{Limit, MAX_LOCKS},
    policy_inputs::{Policy, PolicyInputs, RequestFacts, Template},
    principal::Subject,
    reason::Reason,
};

/// Whether a role with break-glass can be used: a person must be able to review it. Managers can, but a role should not rest on them alone.
pub(super) fn check_template(t: &Template) -> Result<(), Refusal> {
    if t.break_glass && t.approval.is_empty() {
        let what = format!(
            "role {} allows break-glass and has no approval stage, so it lists nobody who could review one; add a stage, or leave out activation.breakGlass",
            t.reference.name
        );
        return refuse(Reason::NobodyCanApprove, what);
    }
    Ok(())
}

/// Whether a request for break-glass keeps the rules of the role. They bind the beginning: until the Grant is active the present role is
/// asked, so that a role that stops allowing break-glass stops what has not begun, and what is active goes on. The order of the rules:
///
/// 1. The role allows break-glass.
/// 2. A person asks, for herself: no service account, and for nobody else.
/// 3. It begins at once: no `startTime`.
/// 4. It extends nothing: an extension needs its own approval.
/// 5. It says why, also where the role leaves that open.
pub(super) fn check_request(a: &RequestFacts, t: &Template, holder: &Subject) -> Result<(), Refusal> {
    if !a.break_glass || a.approved.is_some() {
        return Ok(());
    }
    let role = &t.reference.name;
    if !t.break_glass {
        return refuse(
            Reason::OutsidePolicy,
            format!("role {role} does not allow break-glass; create a request without breakGlass, which approvers decide"),
        );
    }
    check_template(t)?;
    if a.requester.is_system_identity() || is_for_another(a, holder) {
        return refuse(
            Reason::NotEligible,
            "break-glass is for a person who asks for herself; leave out beneficiary, and log in as a person",
        );
    }
    if a.start.is_some() {
        return refuse(Reason::OutsideWindow, "break-glass begins at once; leave out startTime, or leave out breakGlass");
    }
    if a.extends.is_some() {
        return refuse(
            Reason::NotExtendable,
            "an extension needs its own approval, and break-glass has none; leave out extends, or leave out breakGlass",
        );
    }
    check_justification(a, || "break-glass".to_owned())
}

/// Whether a policy allows the break-glass of a request. One that does not leaves it to the next one. A policy that stops allowing it ends
/// nothing that is active.
pub(super) fn check_policy(p: &Policy, a: &RequestFacts) -> Result<(), Refusal> {
    if a.break_glass && a.approved.is_none() && !p.break_glass {
        let name = &p.reference.name;
        return refuse(
            Reason::OutsidePolicy,
            format!("policy {name} does not allow break-glass (allow.breakGlass); create a request without it"),
        );
    }
    Ok(())
}

/// The locks that a request for break-glass takes. They concern its beginning.
pub(super) fn locks(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<Vec<Limit>, Refusal> {
    if !a.break_glass || a.approved.is_some() {
        return Ok(Vec::new());
    }
    Limit::of_break_glass(&a.requester, h.alias_keys, h.uids).map_or_else(
        || {
            refuse(
                Reason::UnprovenLogin,
                format!(
                    "the login has a name, a uid and aliases (identity.aliases of CurfewConfig) that are more than {MAX_LOCKS}, too many to lock further break-glass of each"
                ),
            )
        },
        Ok,
    )
}
