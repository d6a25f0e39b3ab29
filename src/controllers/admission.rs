//! The admission check, repeated: run by every replica, recorded by the leader in CurfewConfig's status. Between two whole checks the
//! versions of the policies and CRDs are looked at, and whenever something waits for a proof.
//!
//! `since` is the time from which the policies are in force without a gap. It survives a restart only if nothing was changed in
//! between: the digest covers uid and generation of every live object. `curfew_core::admission` says what follows from a proof.
use super::{Context, context::Unproven};
use crate::timing::timing;
use crate::{
    api::{
        CONFIG_NAME, CurfewConfig,
        conditions::{Is, set},
        config::{AdmissionStatus, CurfewConfigStatus, Stamping},
    },
    audit::{EventData, EventKind},
    authority::Authority,
    identity::{
        admission_check::{self, AdmissionCheck, Compared},
        cluster,
    },
    kube_writes::{self, WriteOutcome},
};
use curfew_core::{
    admission::{AdmissionHistory, Proof},
    digest::Digest,
    sweep::{self, ClusterIdentity},
    time::Time,
};
use kube::{Api, ResourceExt};
use std::{sync::Arc, time::Duration};

/// The pause after a proof on demand. What comes meanwhile is covered by the next.
const BETWEEN_PROOFS: Duration = Duration::from_millis(20);
/// The condition of CurfewConfig that says how the channels of notifications are doing.
const DELIVERED: &str = "NotificationsDelivered";
/// How long one proof may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What this process remembers from one proof to the next.
#[derive(Default)]
struct Memory {
    /// Its own last good proof, whole or on demand.
    last: Option<Proof>,
    /// The history as this process knows it, while it leads, and in which term: the stored one could have been written by anyone during a
    /// gap.
    mine: Option<(u64, AdmissionHistory)>,
    /// How often watches had failed before the last whole check.
    interruptions: u64,
    /// The policies and CRDs whose content it has compared.
    compared: Option<Compared>,
}

impl Memory {
    /// The history as this process knows it, while it leads without interruption: meanwhile another replica may have seen a gap.
    fn mine(&self, authority: &Authority) -> Option<&AdmissionHistory> {
        let (_, history) = self.mine.as_ref().filter(|(term, _)| authority.leads() && *term == authority.term())?;
        Some(history)
    }
}

/// Proves admission until the process ends: as a whole on a slow beat, and in between by versions, on a faster beat and on demand.
pub async fn run(ctx: Arc<Context>) {
    let mut memory = Memory::default();
    loop {
        ctx.authority.check_clock();
        let covered = ctx.take_unproven();
        memory.interruptions = ctx.stores.ages.interruptions();
        let begun = ctx.authority.clock.server().unwrap_or(Time::from_millis(0));
        let enforced = match tokio::time::timeout(TIMEOUT, look(&ctx, &mut memory.compared)).await {
            Ok(Ok((check, keys))) => {
                if check.enforced() {
                    ctx.set_policies_seen();
                }
                let proof = Proof { started_at: begun, finished_at: ctx.now(), enforced: check.enforced(), digest: check.digest };
                let recorded = tokio::time::timeout(TIMEOUT, record(&ctx, &check, keys, proof, covered, &mut memory)).await;
                memory.last = Some(proof).filter(|p| p.enforced).or(memory.last);
                recorded.unwrap_or_else(|_| unproven(&ctx, "recording the admission proof timed out"))
            }
            failed => {
                ctx.put_back_unproven(covered);
                match failed {
                    Ok(Err(error)) => unproven(&ctx, &format!("cannot prove admission: {error}")),
                    Ok(Ok(_)) | Err(_) => unproven(&ctx, "the admission check timed out"),
                }
            }
        };
        ctx.metrics.admission_enforced.set(i64::from(enforced));
        if enforced {
            until_whole_check(&ctx, &mut memory).await;
        } else {
            tokio::time::sleep(timing().admission_check_retry).await;
        }
    }
}

/// Looks on a beat whether all is as the whole check has left it, and makes a proof whenever something waits for one, until the next
/// whole check is due or something has changed. What comes while one is made waits for the next, so there is at most one at a time,
/// however much waits.
async fn until_whole_check(ctx: &Context, memory: &mut Memory) {
    let begun = tokio::time::Instant::now();
    let (whole, mut look) = (begun + timing().admission_check_every, begun + timing().admission_look_every);
    loop {
        // The time first: what comes without a pause must not keep the checks from being made.
        let now = tokio::time::Instant::now();
        if now >= whole {
            return;
        }
        if now >= look {
            if !stands(ctx, memory).await {
                return;
            }
            look = now + timing().admission_look_every;
        }
        if tokio::time::timeout_at(look.min(whole), ctx.proof_wanted.notified()).await.is_ok() {
            let covered = ctx.take_unproven();
            if !covered.objects.is_empty() && !confirm(ctx, memory, covered).await {
                return;
            }
            tokio::time::sleep(BETWEEN_PROOFS).await;
        }
    }
}

/// Whether all is as the last whole check has left it: no policy and no CRD has changed, no watch has failed, and what CurfewConfig says is
/// still so. Then granting may rest on it until the next look. Everything else is for a whole check to find out.
async fn stands(ctx: &Context, memory: &Memory) -> bool {
    ctx.authority.check_clock();
    let digest = unchanged(ctx, memory).await;
    let recorded = ctx.stores.config();
    let says = recorded.as_ref().and_then(|config| Some((config, config.status.as_ref()?)));
    let stands = digest.zip(says).is_some_and(|(digest, (config, status))| {
        let Some(admission) = &status.admission else { return false };
        // Only the leader writes what it says.
        let as_told =
            || memory.mine(&ctx.authority).is_some() && told(ctx, config, &[], admission.stamping).conditions == status.conditions;
        admission.since.is_some() && admission.digest == Some(digest) && (!ctx.authority.leads() || as_told())
    });
    if stands {
        ctx.authority.set_admission_enforced(true);
    }
    stands
}

/// The digest of the policies and CRDs, if none of them has changed and no watch has failed since the last whole check. After a watch has
/// failed, the API server may be one that was started again without the admission plugins: then the canaries must be tried before
/// anything counts that was read since.
async fn unchanged(ctx: &Context, memory: &Memory) -> Option<Digest> {
    let unchanged = tokio::time::timeout(TIMEOUT, admission_check::unchanged(&ctx.client, memory.compared.as_ref())).await;
    let digest = unchanged.ok().and_then(Result::ok).flatten();
    digest.filter(|_| ctx.stores.ages.interruptions() == memory.interruptions)
}

/// Confirms that no policy and no CRD has changed since the last whole check, by their versions alone; `false` if that is not so, or
/// cannot be told, or rests on another replica's checks.
async fn confirm(ctx: &Context, memory: &mut Memory, covered: Unproven) -> bool {
    // Before anything is read: what is read now was so at this time or later.
    let begun = ctx.authority.clock.server().unwrap_or(Time::from_millis(0));
    let term = ctx.authority.term();
    let digest = unchanged(ctx, memory).await;
    let confirmed =
        digest.zip(memory.mine(&ctx.authority)).and_then(|(digest, mine)| mine.confirm(begun, digest, covered.objects.iter().cloned()));
    let Some((digest, history)) = digest.zip(confirmed) else {
        ctx.put_back_unproven(covered);
        return false;
    };
    memory.last = Some(Proof { started_at: begun, finished_at: ctx.now(), enforced: true, digest });
    memory.mine = Some((term, history.clone()));
    ctx.set_confirmed(history);
    ctx.proof_recorded(covered.waiting);
    true
}

/// Records that admission cannot be proven now.
fn unproven(ctx: &Context, why: &str) -> bool {
    tracing::warn!("{why}; admission counts as not enforced");
    ctx.set_admission_unproven();
    false
}

async fn look(ctx: &Context, compared: &mut Option<Compared>) -> kube::Result<(AdmissionCheck, Vec<String>)> {
    futures::try_join!(admission_check::probe(&ctx.client, compared), cluster::keys(&ctx.client))
}

/// Records the result of a check; `true` if admission is enforced and that is stored.
async fn record(ctx: &Context, check: &AdmissionCheck, keys: Vec<String>, proof: Proof, covered: Unproven, memory: &mut Memory) -> bool {
    let term = ctx.authority.term();
    let configs: Api<CurfewConfig> = Api::all(ctx.client.clone());
    let config = match configs.get_opt(CONFIG_NAME).await {
        Ok(Some(config)) => config,
        other => {
            ctx.put_back_unproven(covered);
            return match other {
                Err(error) => unproven(ctx, &format!("cannot read CurfewConfig: {error}")),
                Ok(_) => unproven(ctx, &format!("there is no CurfewConfig named {CONFIG_NAME}")),
            };
        }
    };
    let status = config.status.clone().unwrap_or_default();
    let stored =
        memory.mine(&ctx.authority).cloned().unwrap_or_else(|| status.admission.as_ref().map(AdmissionStatus::to_core).unwrap_or_default());
    let mut check = check.clone();
    if sweep::compare_cluster_keys(&status.cluster_keys, &keys, &config.spec.accepted_cluster_keys) == ClusterIdentity::Clone {
        check.problems.push(format!(
            "this looks like a clone: none of its service account keys ({}) is known from before; if this is the cluster that must grant, \
             and no other, write one of them into spec.acceptedClusterKeys of CurfewConfig",
            keys.join(", ")
        ));
    }
    let proof = Proof { enforced: check.enforced(), ..proof };
    if !ctx.authority.leads() {
        // A follower relies on what the leader has recorded.
        let known = proof.enforced && stored.since.is_some() && stored.digest == Some(check.digest);
        let seen = known.then_some(proof.started_at);
        ctx.set_admission(AdmissionHistory { confirmed: seen, ..stored }, known);
        ctx.proof_recorded(covered.waiting);
        return known;
    }
    let history = stored.record(proof, memory.last).with_seen(covered.objects);
    // Remembered whether or not it can be written: a gap must not be forgotten because a user prevents the write.
    memory.mine = Some((term, history.clone()));
    // A user who sees AdmissionEnforced may create a request at once, so `since` must not lie ahead when it is published.
    let ahead = history.since.map_or(0, |t| t.millis_since(ctx.now())).clamp(0, 2000);
    tokio::time::sleep(Duration::from_millis(ahead.unsigned_abs())).await;
    let keys = if check.enforced() { keys } else { status.cluster_keys };
    if history.since.is_some() != stored.since.is_some() {
        let what = if history.since.is_some() { EventKind::AdmissionEnforced } else { EventKind::AdmissionNotEnforced };
        let message = if check.enforced() { "the admission policies are in force as built".into() } else { check.problems.join("; ") };
        ctx.audit.append(what, EventData { digest: Some(check.digest.to_string()), message: Some(message), ..EventData::default() });
    }
    let ok = write(ctx, &configs, &config, &check, AdmissionStatus::from_core(&history), keys).await;
    ctx.set_admission(history, ok && check.enforced());
    ctx.proof_recorded(covered.waiting);
    ok && check.enforced()
}

async fn write(
    ctx: &Context,
    configs: &Api<CurfewConfig>,
    config: &CurfewConfig,
    check: &AdmissionCheck,
    status: AdmissionStatus,
    keys: Vec<String>,
) -> bool {
    let mut next = told(ctx, config, &check.problems, Some(check.stamping));
    next.admission = Some(AdmissionStatus { stamping: Some(check.stamping), ..status });
    next.cluster_keys = keys;
    if config.status.as_ref() == Some(&next) {
        return true;
    }
    match kube_writes::commit(configs, CONFIG_NAME, &config.resource_version().unwrap_or_default(), config.status.as_ref(), &next).await {
        WriteOutcome::Stored(_) => true,
        WriteOutcome::Conflict => false,
        WriteOutcome::Failed(e) => {
            tracing::warn!(error = %e, "cannot record the admission proof");
            false
        }
    }
}

/// The status of CurfewConfig with the conditions that are true now, where the admission check has found these problems, and that those
/// stamp who create requests.
fn told(ctx: &Context, config: &CurfewConfig, problems: &[String], stamping: Option<Stamping>) -> CurfewConfigStatus {
    let (now, generation) = (ctx.now(), config.metadata.generation);
    let mut next = config.status.clone().unwrap_or_default();
    next.observed_generation = generation;
    if problems.is_empty() {
        let more = [stamping.and_then(admission_check::stamping_message), ctx.identity_keys_problem()];
        let told = ["the admission policies are in force as built".to_owned()].into_iter().chain(more.into_iter().flatten());
        let message = told.collect::<Vec<_>>().join("; ");
        set(&mut next.conditions, "AdmissionEnforced", Is::True, "Proven", message, generation, now);
    } else {
        let problems = problems.join("; ");
        tracing::error!(problems, "admission is not enforced: nothing is granted, revocation continues");
        set(&mut next.conditions, "AdmissionEnforced", Is::False, "NotAsBuilt", problems, generation, now);
    }
    let (skew, sane) = (ctx.authority.clock.skew_millis().unwrap_or(0), ctx.authority.clock.sane());
    let clock = if sane {
        "the local clock and the API server's agree".to_owned()
    } else {
        format!("the local clock is {skew} ms away from the API server's; nothing is granted")
    };
    set(&mut next.conditions, "ClockSynced", Is::from(sane), if sane { "Agree" } else { "Skewed" }, clock, generation, now);
    match ctx.audit.error() {
        None => set(&mut next.conditions, "AuditDelivered", Is::True, "Delivered", "every sink takes records", generation, now),
        Some(why) => {
            let message = format!("{why}; nothing new is granted until it takes records again, and revocation goes on");
            set(&mut next.conditions, "AuditDelivered", Is::False, "SinkFailing", message, generation, now);
        }
    }
    match ctx.notifier.condition() {
        Some((good, reason, message)) => set(&mut next.conditions, DELIVERED, Is::from(good), reason, message, generation, now),
        None => next.conditions.retain(|condition| condition.type_ != DELIVERED),
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Clock;
    use tokio::time::Instant;

    #[test]
    fn the_own_history_counts_while_the_lease_is_held_without_interruption() {
        let authority = Authority::new(Arc::new(Clock::default()));
        let later = || Some(Instant::now().into_std() + Duration::from_secs(60));
        authority.set_lease(later());
        let memory = Memory { mine: Some((authority.term(), AdmissionHistory::default())), ..Memory::default() };
        authority.set_lease(later());
        assert!(memory.mine(&authority).is_some(), "a renewal");
        authority.set_lease(None);
        assert!(memory.mine(&authority).is_none(), "another replica may lead, and see a gap");
        authority.set_lease(later());
        assert!(memory.mine(&authority).is_none(), "another replica may have led, and seen a gap");
    }
}
