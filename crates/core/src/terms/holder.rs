//! Who the holder of the access is at the target.
use super::{Refusal, refuse, requestors::is_for_another};
use crate::{
    policy_inputs::{PolicyInputs, Progress, RequestFacts, System},
    principal::{Mapped, Subject},
    reason::Reason,
    target::{GrantedPermissions, GrantedScope, Principal},
};

/// The holder in the target's terms. While active, the configured alias keys are those of a time before.
pub(super) fn resolve_principal(
    holder: &Subject,
    a: &RequestFacts,
    system: &System,
    (permissions, scope): (&GrantedPermissions, &GrantedScope),
    h: &PolicyInputs<'_>,
) -> Result<Principal, Refusal> {
    let granted = matches!(a.progress, Progress::Granted(_));
    let mapped = Mapped {
        system: &system.name,
        mapping: system.principals.as_ref(),
        login: (!is_for_another(a, holder)).then_some(&a.requester),
        alias_keys: (!granted).then_some(h.alias_keys),
    };
    Principal::of(holder, &mapped, permissions, scope).or_else(|what| refuse(Reason::NotEligible, what))
}
