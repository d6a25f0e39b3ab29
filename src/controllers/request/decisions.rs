//! AccessDecisions: what became of each word, shown on the decision itself.
use crate::{
    api::{
        AccessDecision, Grant,
        conditions::{self, Is},
        decision::{AccessDecisionStatus, DecisionDisplay},
        request::RequestState,
    },
    audit::EventKind,
    controllers::{Context, audit_events, dereference::Dereferenced},
    kube_writes::{self, WriteOutcome},
    runtime::stores::{Key, about, about_grant},
};
use curfew_core::{
    approval::{Counted, DecisionFacts, Verb},
    messages,
    reason::Reason,
    reconcile::View,
    request::{State, tally_decisions as tally},
    time::Time,
};
use kube::{Api, ResourceExt, runtime::reflector::ObjectRef};

/// Writes what became of every decision about a request. What was said once stays said: an ended request changes no word.
pub async fn publish_verdicts(ctx: &Context, around: &Dereferenced, view: &View) -> kube::Result<()> {
    let Some(request) = &view.request else { return Ok(()) };
    let sum = tally(request, &view.decisions, &view.alias_keys);
    let pending = request.status.state == State::Pending;
    let ended = around.request.as_ref().and_then(|r| {
        r.status.as_ref()?.ended_at.filter(|_| r.status.as_ref().and_then(|s| s.state).and_then(RequestState::outcome).is_some())
    });
    for (i, d) in around.decisions.iter().enumerate() {
        let Some(counted) = sum.counted.get(i) else { break };
        let late = ended.is_some_and(|t| is_late(around, &view.decisions[i], t));
        let verdict = match counted {
            // Before a request is accepted nobody can tell who its approvers are; and what is settled within seconds is told then.
            _ if pending || (ended.is_none() && view.decisions[i].is_pending()) => continue,
            _ if late && matches!(counted, Counted::Yes | Counted::Waiting) => (Is::False, Reason::AlreadyEnded),
            Counted::Yes => (Is::True, Reason::AsExpected),
            Counted::No(r) => (Is::False, *r),
            Counted::Waiting => (Is::Unknown, Reason::Waiting),
        };
        if ended.is_some() && is_settled(d) {
            continue;
        }
        // What was said about another request of this name is not said of this one.
        let of = (verdict.1 != Reason::NotFound).then_some((about(d).unwrap_or_default(), &*request.uid));
        write(ctx, d, verdict.0, verdict.1, of).await?;
    }
    Ok(())
}

/// Whether a word came after the end. Kubernetes stamps whole seconds, so of the second of the end itself only an approval
/// that stands in the request's status was in time.
fn is_late(around: &Dereferenced, word: &DecisionFacts, ended: Time) -> bool {
    let recorded = || {
        let approval = around.request.as_ref().and_then(|r| r.status.as_ref()?.approval.as_ref());
        approval
            .is_some_and(|a| a.stages.iter().flat_map(|s| &s.decisions).any(|d| d.decider == word.decider.username && d.at == word.created))
    };
    word.created > ended || (word.created == ended && word.verb == Verb::Approve && !recorded())
}

/// A decision about a request that does not exist counts for nothing, for good: a later request of that name is another one.
pub async fn settle_without_subject(ctx: &Context, key: &Key) -> kube::Result<()> {
    let known = ctx.stores.decisions.find(|d| d.namespace().as_deref() == Some(&key.0) && d.name_any() == key.1);
    let Some(d) = known.filter(|d| ctx.authority.leads() && !is_settled(d)) else { return Ok(()) };
    let verdict = match about(&d) {
        None if about_grant(&d).is_some_and(|g| ctx.stores.grants.get(&ObjectRef::new(g)).is_some()) => return Ok(()),
        None => match Api::<Grant>::all(ctx.client.clone()).get_opt(about_grant(&d).unwrap_or_default()).await? {
            Some(_) => return Ok(()),
            None => Reason::NotFound,
        },
        Some(name) => match kube_writes::requests(&ctx.client, &key.0).get_opt(name).await? {
            Some(_) => return Ok(()),
            None => Reason::NotFound,
        },
    };
    write(ctx, &d, Is::False, verdict, None).await
}

/// Writes what became of a decision about a Grant.
pub async fn publish_verdict(ctx: &Context, d: &AccessDecision, g: &Grant, counted: Counted) -> kube::Result<()> {
    if !ctx.authority.leads() {
        return Ok(());
    }
    let (is, reason) = match counted {
        Counted::Yes => (Is::True, Reason::AsExpected),
        Counted::No(r) => (Is::False, r),
        Counted::Waiting => (Is::Unknown, Reason::Waiting),
    };
    write(ctx, d, is, reason, Some((&g.spec.request.name, &g.spec.request.uid))).await
}

fn is_settled(d: &AccessDecision) -> bool {
    d.status.as_ref().and_then(|s| conditions::find(&s.conditions, "Counted")).is_some_and(|c| c.status != "Unknown")
}

async fn write(ctx: &Context, d: &AccessDecision, is: Is, reason: Reason, of: Option<(&str, &str)>) -> kube::Result<()> {
    let now: Time = ctx.now();
    let old = d.status.clone().unwrap_or_default();
    let mut next = AccessDecisionStatus { observed_generation: d.metadata.generation, conditions: old.conditions.clone(), ..old };
    let (word, message) = match (is, d.spec.decision) {
        (Is::True, Verb::Approve) => ("Counted", "counts as an approval"),
        (Is::True, Verb::Deny | Verb::Revoke) => ("Counted", "counts; the request ends"),
        (Is::True, Verb::Abandon) => ("Counted", "counts; the Grant is released without proof"),
        (Is::Unknown, Verb::Abandon) => (reason.as_str(), "counts once the Grant is stuck past its end for a minute"),
        (Is::False | Is::Unknown, _) => (reason.as_str(), messages::not_counted(reason, about_grant(d).is_some())),
    };
    conditions::set(&mut next.conditions, "Counted", is, word, message, d.metadata.generation, now);
    next.display = Some(DecisionDisplay {
        about: about(d).map_or_else(|| format!("grt/{}", about_grant(d).unwrap_or_default()), |n| format!("areq/{n}")),
    });
    if d.status.as_ref() == Some(&next) {
        return Ok(());
    }
    let api = kube_writes::decisions(&ctx.client, &d.namespace().unwrap_or_default());
    if is != Is::Unknown
        && (!is_settled(d)
            || conditions::find(&d.status.clone().unwrap_or_default().conditions, "Counted").is_none_or(|c| c.reason != word))
    {
        ctx.audit.append(EventKind::DecisionJudged, audit_events::decision(d, word, of));
    }
    match kube_writes::commit(&api, &d.name_any(), &d.resource_version().unwrap_or_default(), d.status.as_ref(), &next).await {
        WriteOutcome::Failed(e) => Err(e),
        WriteOutcome::Stored(_) | WriteOutcome::Conflict => Ok(()),
    }
}
