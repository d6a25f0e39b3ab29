//! From requests and Grants to the facts of an extension. Pure.
use super::{created, grant_state, request_schema};
use crate::{
    ActivationRequest, Grant,
    request::{ActivationRequestStatus, RequestState, UidRef},
    template::ExtensionRule,
};
use curfew_core::{
    extension::{Extension, ExtensionLimits, Parent, Span},
    grant::State,
    reason::Reason,
    resolved::{Extended, Resolved, Schema, Terms, computes},
    time::Time,
};
use kube::ResourceExt;
use std::sync::Arc;

/// The ceilings of a role that can be extended.
pub fn limits(rule: &ExtensionRule) -> Option<ExtensionLimits> {
    match rule {
        ExtensionRule::None(_) => None,
        ExtensionRule::AtMost(most) => Some(ExtensionLimits { chain: most.chain.clone(), per_day: most.per_day.clone() }),
    }
}

/// What a request extends, before anything about that was read.
pub fn unread(extends: &UidRef, status: Option<&ActivationRequestStatus>) -> Extension {
    Extension {
        name: extends.name.clone(),
        uid: extends.uid.clone(),
        parent: Parent::Unknown,
        granted: None,
        frozen: status.and_then(|status| status.resolved.as_ref()).and_then(|resolved| resolved.extends.clone()),
    }
}

/// The same with what was read: the request of that name and the Grant of that uid, if they exist.
#[must_use]
pub fn facts(unread: Extension, parent: Option<&ActivationRequest>, grant: Option<&Grant>) -> Extension {
    let parent = parent.filter(|parent| parent.uid().as_deref() == Some(unread.uid.as_str()));
    let grant = grant.filter(|grant| grant.spec.request.uid == unread.uid);
    Extension { parent: stands(parent, grant), granted: grant.and_then(granted), ..unread }
}

/// The same for people, who may not read Grants: what the status of the request says, which is a copy.
#[must_use]
pub fn shown(unread: Extension, parent: Option<&ActivationRequest>) -> Extension {
    let Some(parent) = parent.filter(|parent| parent.uid().as_deref() == Some(unread.uid.as_str())) else {
        return Extension { parent: Parent::Absent, ..unread };
    };
    let status = parent.status.clone().unwrap_or_default();
    let chain = status.resolved.as_ref().and_then(|resolved| resolved.extends.as_ref());
    let since = chain.map(|before| before.since).or(status.activated_at);
    let granted =
        status.expires_at.zip(since).map(|(until, since)| Extended { name: parent.name_any(), uid: unread.uid.clone(), until, since });
    let parent = match (status.state, &status.resolved) {
        (Some(RequestState::Active), Some(resolved)) => Parent::Active(Arc::new(resolved.clone())),
        _ => stands(Some(parent), None),
    };
    Extension { parent, granted, ..unread }
}

/// What the Grant of a request that was active says about an extension of it.
fn granted(grant: &Grant) -> Option<Extended> {
    let (request, first) = (&grant.spec.request, &grant.spec.request.extends);
    let since = match first {
        Some(first) => first.since,
        None => grant.status.as_ref()?.granted_at?.floor_secs(),
    };
    Some(Extended { name: request.name.clone(), uid: request.uid.clone(), until: grant.spec.expires_at, since })
}

fn stands(parent: Option<&ActivationRequest>, grant: Option<&Grant>) -> Parent {
    let Some(parent) = parent else { return Parent::Absent };
    let Some(status) = parent.status.as_ref().filter(|_| request_schema(parent) == Schema::Known) else {
        return if parent.status.is_some() { Parent::Unknown } else { Parent::NotActive };
    };
    let reason = || status.reason.as_deref().and_then(|reason| reason.parse().ok()).unwrap_or(Reason::Drifted);
    match status.state {
        Some(RequestState::Revoking) => Parent::Ended(reason()),
        Some(state) if state.outcome().is_some() => Parent::Ended(reason()),
        Some(RequestState::Active) => {
            let active = grant.filter(|grant| grant_state(grant) == State::Active);
            let resolved = status.resolved.as_ref().zip(active).filter(|(resolved, grant)| is_what_was_granted(resolved, grant));
            resolved.map_or(Parent::NotActive, |(resolved, _)| Parent::Active(Arc::new(resolved.clone())))
        }
        Some(_) | None => Parent::NotActive,
    }
}

/// Whether a status, which is only a copy, says what the Grant names by digest.
fn is_what_was_granted(resolved: &Resolved, grant: &Grant) -> bool {
    computes(resolved.schema) && Terms::new(resolved.clone()).digest == grant.spec.digest
}

/// When a Grant gives, or has given, its access; nothing if it never has. What has not been confirmed may have been given from its creation
/// on, and what is not proven to be gone lasts to its deadline, or to this moment.
pub fn span(grant: &Grant, now: Time) -> Option<Span> {
    let status = grant.status.clone().unwrap_or_default();
    let over = matches!(grant_state(grant), State::Ended);
    let from = match status.granted_at {
        Some(at) => at,
        None if over => return None,
        None => created(grant),
    };
    let to = match grant_state(grant) {
        State::Ended => status.revoked_at.unwrap_or(grant.spec.expires_at),
        State::Revoking => grant.spec.expires_at.max(now),
        State::Granting | State::Active | State::Abandoned => grant.spec.expires_at,
    };
    Some(Span { from, to: to.max(from) })
}
