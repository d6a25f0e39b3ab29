//! AccessPolicies: whether they can be obeyed, and what rests on them.
use super::{Context, Snapshot, ready, write};
use crate::{
    api::{
        AccessPolicy, conditions,
        policy::{AccessPolicyStatus, PolicyDisplay},
    },
    controllers::convert,
};
use curfew_core::{reason::Reason, terms::Refusal};
use kube::{Api, ResourceExt};

/// Shows what a policy allows.
pub async fn reconcile(ctx: &Context, s: &Snapshot, o: &AccessPolicy) -> kube::Result<()> {
    let core = convert::policy(o);
    let verdict = match core.unsupported.first() {
        _ if core.suspended => Err(Refusal { reason: Reason::Suspended, message: "suspended; nothing rests on it".into() }),
        Some(what) => Err(Refusal {
            reason: Reason::Unsupported,
            message: format!("{what} is not supported by this build, so nothing may rest on this policy"),
        }),
        None => Ok("in force".to_owned()),
    };
    let covered: Vec<_> = s.templates.iter().filter(|t| t.namespace().is_some_and(|n| core.namespaces.contains(&n))).collect();
    let with = |reason: &str| {
        let hit = covered
            .iter()
            .filter(|t| t.status.as_ref().and_then(|s| conditions::find(&s.conditions, "Ready")).is_some_and(|c| c.reason == reason));
        i32::try_from(hit.count()).unwrap_or(i32::MAX)
    };
    let old = o.status.clone().unwrap_or_default();
    let mut next = AccessPolicyStatus {
        observed_generation: o.metadata.generation,
        templates: if verdict.is_ok() { with(Reason::AsExpected.as_str()) } else { 0 },
        below_floor: with(Reason::BelowFloor.as_str()),
        display: Some(PolicyDisplay { namespaces: core.namespaces.join(",").chars().take(1024).collect() }),
        ..old
    };
    ready(&mut next.conditions, &verdict, o.metadata.generation, ctx.now());
    write(&Api::all(ctx.client.clone()), o, o.status.as_ref(), &next).await
}
