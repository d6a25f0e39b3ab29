//! Releasing a Grant whose target is gone for good: a person's word, because nothing can be proven any more.
use crate::timing::timing;
use crate::{
    api::{AccessDecision, GROUP, Grant, conditions, decision::About},
    controllers::{Context, convert, dereference, request::decisions},
};
use curfew_core::{
    admission::Provenance,
    approval::{AbandonDecision, Counted, StalledGrant, evaluate_abandon},
    grant::State,
    reason::Reason,
};
use kube::ResourceExt;
use std::sync::Arc;


/// How many decisions are judged at a time; the rest comes next time.
const AT_ONCE: usize = 16;

/// Whether somebody who may has released this Grant. Says on each decision about it what became of it.
pub async fn is_abandoned(ctx: &Context, g: &Grant) -> bool {
    let id = g.name_any();
    let about = |d: &AccessDecision| matches!(&d.spec.about, About::Grant(n) if n.name == id);
    let mut yes = false;
    let (known, new): (Vec<_>, Vec<_>) = ctx.stores.decisions.state_filter(about).into_iter().partition(|d| verdict(d).is_some());
    for d in known.into_iter().chain(new.into_iter().take(AT_ONCE)) {
        match evaluate(ctx, g, &d).await {
            Ok(counted) => yes |= counted == Counted::Yes,
            Err(e) => tracing::info!(grant = id, decision = d.name_any(), error = %e, "cannot judge a decision about a Grant"),
        }
    }
    yes
}

/// What was said about it for good; nothing while it waits.
fn verdict(d: &AccessDecision) -> Option<bool> {
    let counted = conditions::find(&d.status.as_ref()?.conditions, "Counted")?;
    match counted.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

async fn evaluate(ctx: &Context, g: &Grant, d: &Arc<AccessDecision>) -> kube::Result<Counted> {
    let stage = convert::grant_state(g);
    match (verdict(d), stage) {
        (Some(true), _) => return Ok(Counted::Yes),
        // What was not counted once is not counted later, and asking for it a thousand times costs nothing.
        (Some(false), _) => return Ok(Counted::No(Reason::NotEntitled)),
        (_, State::Ended | State::Abandoned) => {
            decisions::publish_verdict(ctx, d, g, Counted::No(Reason::AlreadyEnded)).await?;
            return Ok(Counted::No(Reason::AlreadyEnded));
        }
        (_, State::Granting | State::Active | State::Revoking) => {}
    }
    let config = ctx.stores.config();
    let proof = config.as_ref().map(|c| c.spec.identity.decider_proof.list());
    let aliases = config.as_ref().map(|c| c.spec.identity.aliases.list()).unwrap_or_default();
    let may = match &d.spec.decider {
        Some(by) => Some(dereference::is_allowed(ctx, by, GROUP, "grants", "abandon", None, &g.name_any()).await?),
        None => Some(false),
    };
    let word = convert::decision(d, may, proof.as_deref(), &ctx.admission());
    if word.provenance == Provenance::Pending {
        ctx.proof_wanted.notify_one();
    }
    let stuck = StalledGrant {
        namespace: &g.spec.request.namespace,
        created: convert::created(g),
        requester: &g.spec.request.requester,
        beneficiary: &g.spec.request.beneficiary,
        aliases: &g.spec.request.aliases,
        digest: g.spec.digest,
        stalled: stage == State::Revoking && ctx.now() >= g.spec.expires_at.plus_secs(timing().stalled_secs),
        alias_keys: &aliases,
    };
    let namespace = d.namespace().unwrap_or_default();
    let counted = evaluate_abandon(&AbandonDecision { decision: &word, namespace: &namespace }, &stuck);
    decisions::publish_verdict(ctx, d, g, counted).await?;
    Ok(counted)
}
