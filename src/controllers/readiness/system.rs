//! AuthorizationSystems: which target they stand for, and whether they may grant.
use super::{Asks, Context, Shown, Snapshot, TargetAnswers, set_ready, write};
use crate::timing::timing;
use crate::{
    api::{
        AuthorizationSystem, Grant,
        conditions::{self, AUTHORIZED, Is, set},
        system::{AuthorizationSystemStatus, GrantCounts, KubernetesConnection, Mode, Provider, SystemDisplay, Target},
    },
    controllers::convert,
    kube_writes::{self, WriteOutcome},
    providers::ProviderError,
    runtime::changes::{self, GrantGroup},
};
use curfew_core::{fingerprint, ids::GRANTS_FINALIZER, readiness, reason::Reason};
use kube::{Api, ResourceExt, api::ListParams};

/// Asks the target for its identity, counts the system's Grants, and publishes both.
pub async fn reconcile(ctx: &Context, asks: &Asks<'_>, snapshot: &Snapshot, system: &AuthorizationSystem) -> kube::Result<Shown> {
    let answers = asks.answers;
    let Some(system) = &ensure_finalizer(ctx, system).await? else { return Ok(Shown::Yes) };
    let mut facts = convert::system(system, &snapshot.systems);
    let (now, generation) = (ctx.now(), system.metadata.generation);
    let old = system.status.clone().unwrap_or_default();
    let mut next = AuthorizationSystemStatus {
        observed_generation: generation,
        grants: Some(count(ctx, system)),
        display: Some(SystemDisplay { provider: system.spec.provider.kind().as_str().into() }),
        ..old.clone()
    };
    let connected = recordable_target(ctx, answers, system).await;
    match &connected {
        Ok(target) => {
            set(&mut next.conditions, "Connected", Is::True, "Answered", "the target says who it is", generation, now);
            next.target = Some(target.clone());
        }
        Err(error) => {
            asks.unreached.lock().insert(system.name_any(), error.clone());
            set(&mut next.conditions, "Connected", Is::False, "Unreachable", error.as_str(), generation, now);
        }
    }
    if connected.is_ok() {
        match missing_rights(ctx, answers, system).await {
            Ok(None) => set(&mut next.conditions, AUTHORIZED, Is::True, "Allowed", "", generation, now),
            Ok(Some(what)) => set(&mut next.conditions, AUTHORIZED, Is::False, "MissingRights", what, generation, now),
            // What cannot be asked at the moment is unknown: what was found last stands.
            Err(_) if conditions::find(&next.conditions, AUTHORIZED).is_some() => {}
            Err(why) => set(&mut next.conditions, AUTHORIZED, Is::Unknown, "Unknown", why, generation, now),
        }
    }
    facts.missing_rights = convert::missing_rights(&next.conditions).map(str::to_owned);
    let verdict = readiness::system(&facts, connected.as_ref().map(|_| ()).map_err(String::as_str));
    set_ready(&mut next.conditions, &verdict, generation, now);
    let grants = verdict.is_ok() && system.spec.mode == Mode::ReadWrite;
    let (reason, message) = match system.spec.mode {
        Mode::ReadWrite => (Reason::AsExpected, ""),
        Mode::ReadOnly => (Reason::ReadOnly, "discovers and scores, never grants; mode: ReadWrite would"),
    };
    set(&mut next.conditions, "GrantsAllowed", Is::from(grants), reason.as_str(), message, generation, now);
    let uncounted = |status: &AuthorizationSystemStatus| AuthorizationSystemStatus { grants: None, ..status.clone() };
    let only_counts = system.status.as_ref().is_some_and(|old| uncounted(old) == uncounted(&next) && old.grants != next.grants);
    if only_counts && !asks.counts.may_write(&facts.uid, now) {
        return Ok(Shown::Yes);
    }
    write(&Api::all(ctx.client.clone()), system, system.status.as_ref(), &next).await.map(|written| written.shown())
}

/// Holds a system by a finalizer while it has live Grants, so that they stay visible. Returns the system as it is stored now;
/// `None` if it was replaced or deleted.
async fn ensure_finalizer(ctx: &Context, system: &AuthorizationSystem) -> kube::Result<Option<AuthorizationSystem>> {
    let held = system.finalizers().iter().any(|finalizer| finalizer == GRANTS_FINALIZER);
    let deleting = system.metadata.deletion_timestamp.is_some();
    let wanted = if deleting { held && has_live_grants(ctx, system).await? } else { true };
    if held == wanted {
        return Ok(Some(system.clone()));
    }
    match kube_writes::set_grants_finalizer(&ctx.client, system, wanted).await {
        WriteOutcome::Failed(error) => Err(error),
        WriteOutcome::Stored(stored) => Ok(Some(stored).filter(|_| wanted)),
        WriteOutcome::Conflict => Ok(None),
    }
}

/// Whether a system has a live Grant. It is asked only about a system that is being deleted, and reads live.
async fn has_live_grants(ctx: &Context, system: &AuthorizationSystem) -> kube::Result<bool> {
    let uid = system.uid().unwrap_or_default();
    let all = match Api::<Grant>::all(ctx.client.clone()).list(&ListParams::default()).await {
        Ok(all) => all,
        // The CRD itself is deleted, which happens only after the last Grant is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(all.items.iter().any(|grant| grant.spec.system.reference.uid == uid && changes::is_live(grant)))
}

/// What the connection leads to, if it may be recorded: what was recorded before stays until a person confirms another.
async fn recordable_target(ctx: &Context, answers: &TargetAnswers, system: &AuthorizationSystem) -> Result<Target, String> {
    let live = live_target(ctx, answers, system).await.map_err(|error| error.to_string())?;
    fingerprint::may_record(convert::recorded_target(system).as_ref(), &live.id, live.fingerprint.as_ref())?;
    Ok(live)
}

/// Who the target says it is, and what tells it from a copy; asked once a minute.
async fn live_target(ctx: &Context, answers: &TargetAnswers, system: &AuthorizationSystem) -> Result<Target, ProviderError> {
    let question = format!("identity of {}", system.uid().unwrap_or_default());
    let known = answers.get(&question, ctx.now(), timing().answer_cache_secs).flatten();
    if let Some(known) = known.and_then(|text| serde_json::from_str(&text).ok()) {
        return Ok(known);
    }
    let target = ctx.registry.reach(&system.spec.provider).await?;
    let (id, fingerprint) = futures::try_join!(target.identity(), target.fingerprint())?;
    let live = Target { id, fingerprint };
    answers.insert(question, ctx.now(), serde_json::to_string(&live).ok());
    Ok(live)
}

/// For how long it counts that the operator lacks no right at a target. Rights in its own cluster come with its installation; those at
/// another target are those of credentials that other people change.
pub(super) fn rights_cache_secs(system: &AuthorizationSystem) -> i64 {
    match system.spec.provider {
        Provider::Kubernetes(KubernetesConnection::InCluster(_)) => timing().rights_cache_secs,
        _ => timing().answer_cache_secs,
    }
}

/// What the operator lacks at the target to grant and to revoke, with the rules to add. A lack is asked for again soon, since the user who
/// adds the rules waits for the result.
///
/// # Errors
/// Why that cannot be asked now.
async fn missing_rights(ctx: &Context, answers: &TargetAnswers, system: &AuthorizationSystem) -> Result<Option<String>, String> {
    let question = format!("rights {}", system.uid().unwrap_or_default());
    if let Some(answer) = answers.objection(&question, ctx.now(), rights_cache_secs(system)) {
        return Ok(answer);
    }
    let ask = async {
        let target = ctx.registry.reach(&system.spec.provider).await?;
        Ok((target.missing_rights().await?, target.rights_file()))
    };
    let (rules, file) = ask.await.map_err(|error: ProviderError| error.to_string())?;
    let what = (!rules.is_empty()).then(|| {
        let rules = rules.join(", ");
        format!("the operator lacks rights there that it needs to grant and to revoke; add to {file}: {rules}")
    });
    answers.insert(question, ctx.now(), what.clone());
    Ok(what)
}

fn count(ctx: &Context, system: &AuthorizationSystem) -> GrantCounts {
    let live = ctx.stores.live_grant_summaries(&GrantGroup::System(system.uid().unwrap_or_default()));
    let overdue = live.iter().filter(|grant| grant.expires_at < ctx.now()).count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    GrantCounts { active: number(live.len()), overdue: number(overdue) }
}
