//! AccessPolicies: whether they are in force, and how many templates rest on them.
use super::{Context, Shown, Snapshot, if_present, set_ready, write};
use crate::{
    api::{
        AccessPolicy, RoleTemplate, conditions,
        policy::{AccessPolicyStatus, PolicyDisplay},
    },
    controllers::convert,
};
use curfew_core::{
    readiness,
    reason::Reason,
    text::{MAX_MESSAGE, clip},
};
use kube::{Api, ResourceExt};

/// Publishes the status of a policy.
pub async fn reconcile(ctx: &Context, snapshot: &Snapshot, policy: &AccessPolicy) -> kube::Result<Shown> {
    let facts = convert::policy(policy);
    let verdict = if_present(policy, readiness::policy(&facts));
    let is_covered = |template: &RoleTemplate| template.namespace().is_some_and(|namespace| facts.namespaces.contains(&namespace));
    let with_reason = |reason: Reason| {
        let ready = |template: &RoleTemplate| {
            let ready = template.status.as_ref().and_then(|status| conditions::find(&status.conditions, "Ready"));
            ready.is_some_and(|ready| ready.reason == reason.as_str())
        };
        let count = snapshot.templates.iter().filter(|template| is_covered(template) && ready(template)).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    let old = policy.status.clone().unwrap_or_default();
    let mut next = AccessPolicyStatus {
        observed_generation: policy.metadata.generation,
        templates: if verdict.is_ok() { with_reason(Reason::AsExpected) } else { 0 },
        below_floor: with_reason(Reason::BelowFloor),
        display: Some(PolicyDisplay {
            namespaces: clip(facts.namespaces.join(","), MAX_MESSAGE),
            limits: facts.limits.map_or_else(|| "none".into(), |most| format!("{} active, {} per subject", most.active, most.per_subject)),
        }),
        ..old
    };
    set_ready(&mut next.conditions, &verdict, policy.metadata.generation, ctx.now());
    write(&Api::all(ctx.client.clone()), policy, policy.status.as_ref(), &next).await.map(|written| written.shown())
}
