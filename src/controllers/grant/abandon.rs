//! Abandoning a Grant whose target no longer exists: it needs a person's decision, because absence cannot be proven any more.
use crate::timing::timing;
use crate::{
    api::{AccessDecision, GROUP, Grant},
    controllers::{Context, convert, dereference, emergency},
    runtime::changes::{DecisionSubject, final_verdict},
};
use curfew_core::{
    admission::Provenance,
    approval::{AbandonDecision, Counted, StalledGrant, Verb, evaluate_abandon, is_stalled},
    grant::State,
};
use kube::ResourceExt;

/// Whether a decision to abandon this Grant counts: the decision controller has judged it, and its verdict is final.
pub fn is_abandoned(ctx: &Context, grant: &Grant) -> bool {
    let decisions = ctx.stores.decisions_about(&DecisionSubject::Grant(grant.name_any()));
    decisions.iter().any(|decision| decision.spec.decision == Verb::Abandon && final_verdict(decision) == Some(true))
}

/// Judges a decision about a Grant that has not ended, with one access review. Returns the decision's provenance, too: a
/// pending one waits for the next admission proof.
///
/// # Errors
/// If the API server does not answer the access review.
pub async fn evaluate(ctx: &Context, grant: &Grant, decision: &AccessDecision) -> kube::Result<(Counted, Provenance)> {
    let config = ctx.stores.config();
    let proof = config.as_ref().map(|config| config.spec.identity.decider_proof.list());
    let aliases = config.as_ref().map(|config| config.spec.identity.aliases.list()).unwrap_or_default();
    let allowed = match &decision.spec.decider {
        Some(decider) => dereference::is_allowed(ctx, decider, GROUP, "grants", "abandon", None, &grant.name_any()).await?,
        None => false,
    };
    let accounts = convert::emergency_accounts(&ctx.stores.systems.state());
    let logins = convert::Logins { proof: proof.as_deref(), emergency: &accounts, alias_keys: &aliases };
    let facts = convert::decision(decision, Some(allowed), logins, &ctx.admission());
    let stalled = StalledGrant {
        namespace: &grant.spec.request.namespace,
        created: convert::created(grant),
        requester: &grant.spec.request.requester,
        beneficiary: &grant.spec.request.beneficiary,
        aliases: &grant.spec.request.aliases,
        digest: grant.spec.digest,
        stalled: convert::grant_state(grant) == State::Revoking && is_stalled(grant.spec.expires_at, ctx.now(), timing().stalled_secs),
        alias_keys: &aliases,
    };
    let namespace = decision.namespace().unwrap_or_default();
    let counted = evaluate_abandon(&AbandonDecision { decision: &facts, namespace: &namespace }, &stalled);
    // It releases for good, so a store that lags must not hide who is an emergency account.
    let counted = if counted == Counted::Yes { emergency::confirm(ctx, &facts.decider).await? } else { counted };
    Ok((counted, facts.provenance))
}
