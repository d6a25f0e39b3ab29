//! The status of a Grant, as users and tools read it. Pure.
use crate::api::{
    Grant,
    conditions::{self, Is},
    grant::{Artifact, Before, GrantDisplay, GrantState, GrantStatus, InFlight, Operation, OperationKind},
};
use crate::providers::EnforcedBy;
use curfew_core::{
    grant::{self as core, State},
    time::Time,
};

/// Whether the operator has the rights to end the access, once it has lacked one.
const REVOCABLE: &str = "Revocable";
/// Whether the access works, as far as the target says.
const EFFECTIVE: &str = "Effective";

/// What a reconcile has learned from the target.
#[derive(Clone, Default)]
pub struct Learned {
    /// What was armed.
    pub armed: Option<Vec<Artifact>>,
    /// What is left at the target and gives no access, since its removal is refused.
    pub disarmed: Option<String>,
    /// The namespaces of the plan that no longer exist, if that was read.
    pub gone: Option<Vec<String>>,
}

/// The status for this state, on top of the one that the Grant has: times are stamped once.
pub fn status(grant: &Grant, next: &core::Grant, learned: Learned, enforced: EnforcedBy, holder: &str, now: Time) -> GrantStatus {
    let old = grant.status.clone().unwrap_or_default();
    let at = now.floor_secs();
    let mut s = GrantStatus {
        observed_generation: grant.metadata.generation,
        state: Some(match next.state {
            State::Granting => GrantState::Granting,
            State::Active => GrantState::Active,
            State::Revoking => GrantState::Revoking,
            State::Ended => GrantState::Ended,
            State::Abandoned => GrantState::Abandoned,
        }),
        before: next.intent.map(|i| Before { standing: i.standing.iter().collect() }),
        artifacts: learned.armed.unwrap_or(old.artifacts),
        enforced_by: Some(enforced.as_str().into()),
        granted_at: old.granted_at.or((next.state == State::Active).then_some(at)),
        verified_at: match next.state {
            State::Active if next.withheld.is_empty() => Some(at),
            State::Ended => Some(at),
            State::Active | State::Granting | State::Revoking | State::Abandoned => old.verified_at,
        },
        revoked_at: old.revoked_at.or((next.state == State::Ended).then_some(at)),
        // After success the last error is cleared. What was never granted keeps it: it says why.
        last_error: match next.state {
            State::Granting | State::Revoking => old.last_error,
            State::Ended if next.refused || old.granted_at.is_none() => old.last_error,
            State::Active | State::Ended | State::Abandoned => None,
        },
        attempts: old.attempts,
        conditions: old.conditions,
        in_flight: next.intent.and_then(|i| i.until).map(|until| InFlight { holder: holder.to_owned(), until }),
        operation: next.operation.as_ref().map(|o| Operation {
            id: o.id.to_string(),
            kind: match o.kind {
                core::OperationKind::Apply => OperationKind::Apply,
                core::OperationKind::Revoke => OperationKind::Revoke,
            },
            poll_at: o.poll_at,
        }),
        removed_at: next.removed_at,
        withheld: next.withheld.iter().collect(),
        gone: learned.gone.unwrap_or(old.gone),
        display: Some(GrantDisplay { principal: grant.spec.principal.name() }),
    };
    let generation = grant.metadata.generation;
    let mut set =
        |type_: &str, is: Is, reason: &str, message: &str| conditions::set(&mut s.conditions, type_, is, reason, message, generation, now);
    match next.state {
        State::Granting => set("Active", Is::False, "Granting", "on its way to the target"),
        State::Active => set("Active", Is::True, "Armed", "the target has shown the access"),
        State::Revoking => set("Active", Is::Unknown, "Revoking", "being taken away; unknown counts as present"),
        State::Ended => set("Active", Is::False, "Ended", "the target has shown that no access is left"),
        State::Abandoned => set("Active", Is::Unknown, "Abandoned", "released by a person without proof"),
    }
    match (next.state, &learned.disarmed) {
        (State::Ended, Some(left)) => set("Revoked", Is::True, "Disarmed", left),
        (State::Ended, None) => set("Revoked", Is::True, "Proven", ""),
        (State::Granting | State::Active | State::Revoking | State::Abandoned, _) => set("Revoked", Is::False, "NotYet", ""),
    }
    if next.outgrown {
        set("Outgrown", Is::True, "TemplateChanged", "a role that it binds allows more than what was approved, so all of it is taken away");
    }
    if next.refused {
        set("Refused", Is::True, "TargetRefused", "the target said that this grant can never work; lastError says why");
    }
    if next.drifted {
        set("Drifted", Is::True, "Changed", "what was granted was changed or removed at the target, so all of it is taken away");
    }
    set_partial(&mut s, grant, now);
    s
}

/// What is known of an active Grant beside its access.
pub struct Guarantees<'a> {
    /// What ends its access if the operator does not.
    pub enforced_by: &'a str,
    /// What the operator lacks to end it.
    pub missing_rights: Option<&'a str>,
    /// What denies the access at the target; nothing where that is not known.
    pub denial: Option<Option<String>>,
}

/// The status of a Grant with what is known of it. What is not known stays as it was.
pub fn with_guarantees(grant: &Grant, known: Guarantees<'_>, now: Time) -> GrantStatus {
    let old = grant.status.clone().unwrap_or_default();
    let mut next = GrantStatus { enforced_by: Some(known.enforced_by.to_owned()), ..old };
    let mut show = |of: &str, wrong: Option<String>, reasons: (&str, &str)| match wrong {
        Some(wrong) => conditions::set(&mut next.conditions, of, Is::False, reasons.0, wrong, grant.metadata.generation, now),
        None if conditions::find(&next.conditions, of).is_some() => {
            conditions::set(&mut next.conditions, of, Is::True, reasons.1, "", grant.metadata.generation, now);
        }
        None => {}
    };
    show(REVOCABLE, known.missing_rights.map(str::to_owned), ("MissingRights", "Allowed"));
    if let Some(denial) = known.denial {
        show(EFFECTIVE, denial, ("DeniedByTarget", "Allowed"));
    }
    next
}

/// What of the access is not there although the Grant is active.
pub fn set_partial(s: &mut GrantStatus, grant: &Grant, now: Time) {
    let parts = grant.spec.plan.parts();
    let roles: Vec<&str> = s.withheld.iter().filter_map(|part| parts.get(usize::from(*part)).map(String::as_str)).collect();
    let missing = (!roles.is_empty()).then(|| {
        format!(
            "{} does not exist; its bindings have no subjects until it exists again with no more than what was approved",
            roles.join(", ")
        )
    });
    let gone =
        (!s.gone.is_empty()).then(|| format!("namespace {} no longer exists, and the access there is gone with it", s.gone.join(", ")));
    let (reason, active) = (if missing.is_some() { "RoleMissing" } else { "NamespaceMissing" }, s.state == Some(GrantState::Active));
    let message = [missing, gone].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let generation = grant.metadata.generation;
    match (active && !message.is_empty(), conditions::find(&s.conditions, "Partial").is_some()) {
        (true, _) => conditions::set(&mut s.conditions, "Partial", Is::True, reason, message, generation, now),
        (false, true) => conditions::set(&mut s.conditions, "Partial", Is::False, "AsExpected", "", generation, now),
        (false, false) => {}
    }
}

/// The status of a Grant after an error.
pub fn with_error(grant: &Grant, error: &str) -> GrantStatus {
    let old = grant.status.clone().unwrap_or_default();
    GrantStatus { attempts: Some(old.attempts.unwrap_or(0).saturating_add(1)), last_error: Some(error.to_owned()), ..old }
}
