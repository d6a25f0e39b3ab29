//! AuthorizationSystems: what they really are, and whether they may grant.
use crate::timing::timing;
use super::{Answers, Context, Snapshot, ready, write};
use crate::{
    api::{
        AuthorizationSystem, Grant,
        conditions::{Is, set},
        system::{AuthorizationSystemStatus, GrantCounts, Mode, SystemDisplay, Target},
    },
    controllers::convert,
    kube_writes::{self, WriteOutcome},
    providers::ProviderError,
};
use curfew_core::{grant::State, ids::GRANTS_FINALIZER, reason::Reason, terms::Refusal};
use kube::{Api, ResourceExt, api::ListParams};

/// Asks the target who it is, counts its grants, and shows both.
pub async fn reconcile(ctx: &Context, answers: &Answers, s: &Snapshot, o: &AuthorizationSystem) -> kube::Result<()> {
    let Some(o) = &ensure_finalizer(ctx, o).await? else { return Ok(()) };
    let core = convert::system(o, &s.systems);
    let (now, generation) = (ctx.now(), o.metadata.generation);
    let old = o.status.clone().unwrap_or_default();
    let mut next = AuthorizationSystemStatus {
        observed_generation: generation,
        grants: Some(count(ctx, o)),
        display: Some(SystemDisplay { provider: o.spec.provider.kind().as_str().into() }),
        ..old.clone()
    };
    let connected = identity(ctx, answers, o).await;
    match &connected {
        Ok(id) => {
            set(&mut next.conditions, "Connected", Is::True, "Answered", "the target says who it is", generation, now);
            next.target = Some(Target { id: id.clone() });
        }
        Err(e) => set(&mut next.conditions, "Connected", Is::False, "Unreachable", e.to_string(), generation, now),
    }
    let no = |reason, message: String| Err(Refusal { reason, message });
    let verdict = match (&connected, &core.duplicate_of) {
        _ if core.suspended => no(Reason::Suspended, "suspended; nothing new is granted and what is active ends".into()),
        _ if !core.unsupported.is_empty() => {
            no(Reason::Unsupported, format!("{} is not supported by this build", core.unsupported.join(", ")))
        }
        (_, Some(older)) => no(
            Reason::DuplicateTarget,
            format!("the older AuthorizationSystem {older} stands for the same target; use that and delete this"),
        ),
        (Err(e), None) => no(Reason::NotReady, e.to_string()),
        (Ok(_), None) => Ok("connected".to_owned()),
    };
    ready(&mut next.conditions, &verdict, generation, now);
    let grants = verdict.is_ok() && o.spec.mode == Mode::ReadWrite;
    let (reason, message) = match o.spec.mode {
        Mode::ReadWrite => (Reason::AsExpected, ""),
        Mode::ReadOnly => (Reason::ReadOnly, "discovers and scores, never grants; mode: ReadWrite would"),
    };
    set(&mut next.conditions, "GrantsAllowed", Is::from(grants), reason.as_str(), message, generation, now);
    write(&Api::all(ctx.client.clone()), o, o.status.as_ref(), &next).await
}

/// Holds a system while Grants live in it, so that nobody loses sight of what is still there. Gives it back as it is now;
/// nothing if it is another one by now, or gone.
async fn ensure_finalizer(ctx: &Context, o: &AuthorizationSystem) -> kube::Result<Option<AuthorizationSystem>> {
    let held = o.finalizers().iter().any(|f| f == GRANTS_FINALIZER);
    let leaving = o.metadata.deletion_timestamp.is_some();
    let wanted = if leaving { held && has_live_grants(ctx, o).await? } else { true };
    if held == wanted {
        return Ok(Some(o.clone()));
    }
    match kube_writes::set_grants_finalizer(&ctx.client, o, wanted).await {
        WriteOutcome::Failed(e) => Err(e),
        WriteOutcome::Stored(now) => Ok(Some(now).filter(|_| wanted)),
        WriteOutcome::Conflict => Ok(None),
    }
}

/// Whether a Grant of this system lives. A leaving system is rare, and its last look is a live one.
async fn has_live_grants(ctx: &Context, o: &AuthorizationSystem) -> kube::Result<bool> {
    let uid = o.uid().unwrap_or_default();
    let all = match Api::<Grant>::all(ctx.client.clone()).list(&ListParams::default()).await {
        Ok(all) => all,
        // The kind itself is gone, and it goes only when the last Grant has been let go.
        Err(kube::Error::Api(s)) if s.code == 404 => return Ok(false),
        Err(e) => return Err(e),
    };
    Ok(all.items.iter().any(|g| g.spec.system.reference.uid == uid && !matches!(convert::grant_state(g), State::Ended | State::Abandoned)))
}

/// Who the target says it is; asked once a minute.
async fn identity(ctx: &Context, answers: &Answers, o: &AuthorizationSystem) -> Result<String, ProviderError> {
    let question = format!("identity of {}", o.uid().unwrap_or_default());
    if let Some(Some(id)) = answers.get(&question, ctx.now(), timing().answer_cache_secs) {
        return Ok(id);
    }
    let id = ctx.registry.reach(&o.spec.provider).await?.identity().await?;
    answers.insert(question, ctx.now(), Some(id.clone()));
    Ok(id)
}

fn count(ctx: &Context, o: &AuthorizationSystem) -> GrantCounts {
    let uid = o.uid().unwrap_or_default();
    let live: Vec<_> = ctx
        .stores
        .grants
        .state_filter(|g| g.spec.system.reference.uid == uid && !matches!(convert::grant_state(g), State::Ended | State::Abandoned));
    let overdue = live.iter().filter(|g| g.spec.expires_at < ctx.now()).count();
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    GrantCounts { active: number(live.len()), overdue: number(overdue) }
}
