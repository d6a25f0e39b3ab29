//! A review of a break-glass access whose request was deleted: it names the Grant, which says who may review.
use super::status::{self, RequestRef};
use crate::{
    api::{AccessDecision, GROUP, Grant},
    controllers::{Context, WaitingForProof, convert, dereference, emergency, request::slots},
    kube_writes,
    runtime::changes,
};
use curfew_core::{
    admission::Provenance,
    approval::{
        Counted,
        review::{ReviewedGrant, evaluate_about_grant},
    },
    principal::Recognition,
    reason::Reason,
    request::may_have_given_access,
    requeue::Requeue,
};
use kube::ResourceExt;

/// Judges a review about a Grant, and releases the locks of what it reviews: before the verdict, so that a review that counts has ended
/// them.
///
/// # Errors
/// If the API server does not answer: then it is judged again.
pub async fn judge(ctx: &Context, decision: &AccessDecision, grant: &Grant, request: RequestRef<'_>) -> kube::Result<Requeue> {
    let (counted, provenance) = evaluate(ctx, decision, grant).await?;
    match counted {
        Counted::Yes if !ctx.audit.has_room() => return Ok(Requeue::Backoff),
        Counted::Yes => slots::release_locks(ctx, &grant.spec.request.uid).await?,
        Counted::No(_) => {}
        Counted::Waiting => {
            if provenance == Provenance::Pending {
                ctx.wait_for_proof(WaitingForProof::Decision(changes::key(decision)), [convert::seen(decision)]);
            }
            return Ok(Requeue::Backoff);
        }
    }
    status::publish(ctx, decision, counted.into(), Some(request)).await?;
    Ok(Requeue::OnChange)
}

async fn evaluate(ctx: &Context, decision: &AccessDecision, grant: &Grant) -> kube::Result<(Counted, Provenance)> {
    let of = &grant.spec.request;
    let Some(review) = &grant.spec.review else { return Ok((Counted::No(Reason::NothingToReview), Provenance::Verified)) };
    let config = ctx.stores.config();
    let proof = config.as_ref().map(|config| config.spec.identity.decider_proof.list());
    let people = config.as_ref().map_or_else(|| Recognition::STRICT.clone(), |config| config.spec.identity.recognition());
    let request = kube_writes::requests(&ctx.client, &of.namespace).get_opt(&of.name).await?;
    let manages = match &decision.spec.decider {
        Some(decider) => {
            let namespace = Some(of.namespace.clone());
            dereference::is_allowed(ctx, decider, GROUP, "activationrequests", "manage", namespace, &of.name).await?
        }
        None => false,
    };
    let accounts = convert::emergency_accounts(&ctx.stores.systems.state());
    let logins = convert::Logins { proof: proof.as_deref(), emergency: &accounts, alias_keys: &people.alias_keys };
    let facts = convert::decision(decision, Some(manages), logins, &ctx.admission());
    let reviewed = ReviewedGrant {
        namespace: &of.namespace,
        request: &of.uid,
        request_exists: request.is_some_and(|request| request.uid().as_deref() == Some(of.uid.as_str())),
        created: convert::created(grant),
        requester: &review.requester,
        beneficiary: &of.beneficiary,
        reviewers: &review.reviewers,
        gave_access: may_have_given_access(convert::grant_view(Some(grant))),
        people: &people,
    };
    let namespace = decision.namespace().unwrap_or_default();
    let counted = evaluate_about_grant(&facts, &namespace, &reviewed);
    // It unlocks for good, so a store that lags must not hide who is an emergency account.
    let counted = if counted == Counted::Yes { emergency::confirm(ctx, &facts.decider).await? } else { counted };
    Ok((counted, facts.provenance))
}
