//! Whether an `Abandon` counts: it releases a Grant whose target no longer exists.
use super::{Counted, DecisionFacts, Verb, holder_by, is_proven};
use crate::{
    admission::Provenance,
    digest::Digest,
    folding::Spelling,
    principal::{MAX_ALIAS, Subject},
    reason::Reason,
    text::clip,
    time::Time,
};

/// Who wants to release a Grant without proof, and what they saw.
#[derive(Clone, Copy, Debug)]
pub struct AbandonDecision<'a> {
    /// What they said, and who they are. `manager` is whether RBAC gives them `abandon` on the Grant.
    pub decision: &'a DecisionFacts,
    /// The namespace of the decision.
    pub namespace: &'a str,
}

/// When access that is not proven gone counts as stalled: this long after its end.
pub fn stalls_at(expires_at: Time, stalled_secs: i64) -> Time {
    expires_at.plus_secs(stalled_secs)
}

/// Whether access with this end that is being revoked counts as stalled.
pub fn is_stalled(expires_at: Time, now: Time, stalled_secs: i64) -> bool {
    now >= stalls_at(expires_at, stalled_secs)
}

/// A Grant that an `Abandon` decision is about.
#[derive(Clone, Copy, Debug)]
pub struct StalledGrant<'a> {
    /// The namespace of its request.
    pub namespace: &'a str,
    /// When it was written.
    pub created: Time,
    /// Who asked.
    pub requester: &'a str,
    /// Who holds the access.
    pub beneficiary: &'a Subject,
    /// What the requester's login carried under the alias keys.
    pub aliases: &'a [String],
    /// What was approved.
    pub digest: Digest,
    /// In `Revoking`, past its deadline, and for so long that it counts as stalled.
    pub stalled: bool,
    /// Extra keys under which one person is known across logins.
    pub alias_keys: &'a [String],
}

/// Whether an `Abandon` counts: only for a Grant that is stuck past its deadline, with its digest, from the namespace of its
/// request, by a person with the right to it, and never by requester or beneficiary, nor by an emergency account, which could be either.
pub fn evaluate_abandon(r: &AbandonDecision<'_>, g: &StalledGrant<'_>) -> Counted {
    let w = r.decision;
    let named = |name: &str| w.decider.is_named(name, g.alias_keys, Spelling::Folded);
    let common_alias = |alias: &String| w.decider.aliases(g.alias_keys).any(|own| Spelling::Folded.is_same(&clip(own, MAX_ALIAS), alias));
    let theirs = named(g.requester)
        || holder_by(g.beneficiary, &w.decider, g.alias_keys, Spelling::Folded).is_some()
        || g.aliases.iter().any(common_alias);
    match () {
        () if w.verb != Verb::Abandon => Counted::No(Reason::Unsupported),
        () if r.namespace != g.namespace || w.created < g.created => Counted::No(Reason::NotFound),
        () if !is_proven(w, g.alias_keys) => Counted::No(Reason::UnprovenLogin),
        () if w.emergency => Counted::No(Reason::EmergencyAccount),
        () if w.provenance == Provenance::Unverified => Counted::No(Reason::AdmissionNotEnforced),
        () if w.provenance == Provenance::Pending || w.manager.is_none() => Counted::Waiting,
        () if theirs => Counted::No(Reason::SelfDecision),
        () if w.manager != Some(true) => Counted::No(Reason::NotEntitled),
        () if w.digest != Some(g.digest) => Counted::No(Reason::DigestMismatch),
        // It may become stuck later, so the decision waits.
        () if !g.stalled => Counted::Waiting,
        () => Counted::Yes,
    }
}
