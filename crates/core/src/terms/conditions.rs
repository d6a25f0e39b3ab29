//! The conditions of activation in the terms of a request: ticket, MFA and authentication context.
//!
//! They bind the beginning. While a request waits it is held to the present conditions of role and policy, with the login and the ticket
//! with which it was created, so that a stricter condition is not evaded by waiting; time that passes makes its MFA no older. What is
//! active is not judged by them again.
use super::{Refusal, refuse};
use crate::{
    conditions::{LoginKeys, authentication_context, mfa},
    duration::Duration,
    policy_inputs::{Policy, PolicyInputs, RequestFacts, Template},
    reason::Reason,
};

/// Whether the conditions of a template can be met at all. The order of the rules: 1. a pattern that cannot be used; 2. MFA, of the
/// requester or of a stage, where CurfewConfig does not say which keys prove it; 3. the same of an authentication context.
pub(super) fn check_template(t: &Template, keys: &LoginKeys) -> Result<(), Refusal> {
    if let Some(what) = t.ticket.as_ref().and_then(|rule| rule.check().err()) {
        return refuse(Reason::NotReady, what);
    }
    let stage = t.approval.iter().find(|stage| stage.mfa.is_some()).map(|stage| format!("mfa of stage {}", stage.name));
    let mfa = t.mfa.is_some().then(|| "activation.mfa".to_owned()).or(stage);
    let context = t.authentication_context.as_ref().map(|_| "activation.authenticationContext");
    match (mfa, context) {
        (Some(field), _) if keys.mfa.is_none() => {
            refuse(Reason::NotReady, format!("{field} needs spec.identity.mfa of CurfewConfig; the platform team must set it"))
        }
        (_, Some(field)) if keys.authentication_context.is_none() => refuse(
            Reason::NotReady,
            format!("{field} needs spec.identity.authenticationContext of CurfewConfig; the platform team must set it"),
        ),
        (_, _) => Ok(()),
    }
}

/// Whether a template asks for MFA that is not older than a policy allows. What is active is not held to it.
pub(super) fn check_mfa_floor(p: &Policy, t: &Template, active: bool) -> Result<(), Refusal> {
    let Some(floor) = p.mfa.as_ref().filter(|_| !active) else { return Ok(()) };
    let (policy, role) = (&p.reference.name, &t.reference.name);
    let has = match &t.mfa {
        Some(max_age) if max_age <= floor => return Ok(()),
        Some(max_age) => format!("allows it to be {max_age} old"),
        None => "asks for none".to_owned(),
    };
    refuse(
        Reason::BelowFloor,
        format!("policy {policy} asks for MFA not older than {floor}, and role {role} {has}; set activation.mfa of the role"),
    )
}

/// Whether a request meets the conditions of its role. The order of the rules: 1. what is active is not asked again; 2. whether the
/// conditions can be met at all; 3. the ticket; 4. MFA; 5. the authentication context, without a fallback to MFA.
pub(super) fn check_request(a: &RequestFacts, t: &Template, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    if a.approved.is_some() {
        return Ok(());
    }
    let role = format!("role {}", t.reference.name);
    check_template(t, h.login_keys).map_err(|e| Refusal { message: format!("{role} is not ready: {}", e.message), ..e })?;
    if let Some(rule) = &t.ticket {
        rule.accepts(a.ticket.as_ref(), &role).or_else(|what| refuse(Reason::TicketRequired, what))?;
    }
    if let Some(max_age) = &t.mfa {
        mfa::check(h.login_keys.mfa.as_ref(), &a.requester, max_age, a.created).or_else(|lack| refuse_mfa(&role, max_age, &lack))?;
    }
    match (&t.authentication_context, &h.login_keys.authentication_context) {
        (Some(context), Some(key)) => {
            authentication_context::check(&a.requester, key, context).or_else(|lack| refuse_context(&role, context, &lack))
        }
        (Some(_), None) | (None, _) => Ok(()),
    }
}

/// Whether a request has the ticket that a policy asks for. What is active is not asked again.
pub(super) fn check_policy_ticket(p: &Policy, a: &RequestFacts) -> Result<(), Refusal> {
    if p.ticket && a.ticket.is_none() && a.approved.is_none() {
        return refuse(Reason::TicketRequired, format!("policy {} asks for a ticket; name it in spec.ticket", p.reference.name));
    }
    Ok(())
}

pub(super) fn refuse_mfa(whose: &str, max_age: &Duration, lack: &mfa::Lack) -> Result<(), Refusal> {
    match lack {
        // What the login has is unknown, and not absent.
        mfa::Lack::NotRecorded(_) => refuse(Reason::UnprovenLogin, lack.to_string()),
        _ => refuse(Reason::MfaRequired, format!("{whose} asks for MFA not older than {max_age}, and {lack}")),
    }
}

pub(super) fn refuse_context(whose: &str, context: &str, lack: &authentication_context::Lack) -> Result<(), Refusal> {
    match lack {
        authentication_context::Lack::NotRecorded { .. } => refuse(Reason::UnprovenLogin, lack.to_string()),
        _ => refuse(Reason::AuthenticationContextRequired, format!("{whose} asks for authentication context {context}, and {lack}")),
    }
}
