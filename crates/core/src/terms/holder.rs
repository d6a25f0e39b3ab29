//! Who will hold the access, and who that is at the target.
use super::{Refusal, refuse};
use crate::{
    policy_inputs::{PolicyInputs, Progress, RequestFacts, System},
    principal::{Mapped, Subject},
    reason::Reason,
    target::{GrantedPermissions, GrantedScope, Principal},
    text::brief,
};

/// Who will hold the access. A person asks for themselves; a service account for itself, or for a user whom it names.
pub(super) fn resolve_beneficiary(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<Subject, Refusal> {
    if !a.requester.is_system_identity() {
        return Ok(Subject::User(a.requester.username.clone()));
    }
    match (&a.beneficiary, a.requester.service_account()) {
        (_, None) => refuse(Reason::NotEligible, format!("{} is neither a person nor a service account", brief(&a.requester.username))),
        (Some(Subject::Group(g)), _) => {
            refuse(Reason::NotEligible, format!("a request for group {g} is not possible; name a user in spec.beneficiary"))
        }
        // The aliases of a user who is only named are unknown, so their second login could not be told from an approver.
        (Some(Subject::User(n)), _) if !h.alias_keys.is_empty() => refuse(
            Reason::NotEligible,
            format!(
                "with identity.aliases configured, a service account cannot request for a person; {} must create the request",
                brief(n)
            ),
        ),
        (Some(b), _) if b.is_reserved() => refuse(Reason::NotEligible, format!("{b} is an identity that Kubernetes reserves")),
        (Some(b), _) => Ok(b.clone()),
        (None, Some(own)) => Ok(own),
    }
}

/// The holder in the target's terms. While active, the configured alias keys are those of a time before.
pub(super) fn resolve_principal(
    holder: &Subject,
    a: &RequestFacts,
    system: &System,
    (permissions, scope): (&GrantedPermissions, &GrantedScope),
    h: &PolicyInputs<'_>,
) -> Result<Principal, Refusal> {
    let own = !a.requester.is_system_identity() || a.requester.service_account().as_ref() == Some(holder);
    let granted = matches!(a.progress, Progress::Granted(_));
    let mapped = Mapped {
        system: &system.name,
        mapping: system.principals.as_ref(),
        login: own.then_some(&a.requester),
        alias_keys: (!granted).then_some(h.alias_keys),
    };
    Principal::of(holder, &mapped, permissions, scope).or_else(|what| refuse(Reason::NotEligible, what))
}
