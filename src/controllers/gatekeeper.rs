//! The gate, kept: probed by every replica, recorded by the leader in CurfewConfig's status.
//!
//! The epoch is since when the policies are in force without a gap. It survives a restart only if nothing was touched in
//! between: the digest covers uid and generation of every live object.
use super::Context;
use crate::{
    api::{
        CONFIG_NAME, CurfewConfig,
        conditions::{Is, set},
        config::GateStatus,
    },
    identity::gate::{self, Verdict},
    ledger::{self, Written},
};
use curfew_core::time::Time;
use kube::{Api, ResourceExt};
use std::{sync::Arc, time::Duration};

/// How often the gate is proven while it is closed, and while it is open.
const CLOSED: Duration = Duration::from_secs(10);
const OPEN: Duration = Duration::from_secs(1);

/// Proves the gate for ever.
pub async fn keep(ctx: Arc<Context>) {
    loop {
        ctx.authority.look_at_clock();
        let verdict = gate::probe(&ctx.client).await;
        let closed = match &verdict {
            Ok(v) => record(&ctx, v).await,
            Err(e) => {
                tracing::warn!(error = %e, "cannot prove the gate; it counts as open");
                ctx.set_gate(None);
                false
            }
        };
        ctx.metrics.gate_closed.set(i64::from(closed));
        tokio::time::sleep(if closed { CLOSED } else { OPEN }).await;
    }
}

/// Takes note of a verdict; `true` if the gate is closed and that is on record.
async fn record(ctx: &Context, v: &Verdict) -> bool {
    let configs: Api<CurfewConfig> = Api::all(ctx.client.clone());
    let config = match configs.get_opt(CONFIG_NAME).await {
        Ok(Some(c)) => c,
        Ok(None) => {
            tracing::warn!("there is no CurfewConfig named {CONFIG_NAME}; the gate counts as open");
            ctx.set_gate(None);
            return false;
        }
        Err(e) => {
            tracing::warn!(error = %e, "cannot read CurfewConfig; the gate counts as open");
            ctx.set_gate(None);
            return false;
        }
    };
    let stored = config.status.as_ref().and_then(|s| s.gate.clone()).unwrap_or_default();
    let unbroken = stored.epoch.filter(|_| stored.digest == Some(v.digest));
    let since = v.closed().then(|| unbroken.unwrap_or_else(|| next_second(ctx.now())));
    if !ctx.authority.leads() {
        // A follower rests on what the leader has recorded.
        ctx.set_gate(since.filter(|_| unbroken.is_some()));
        return unbroken.is_some() && v.closed();
    }
    // Who sees the gate closed may ask at once: the epoch has begun when it is shown.
    let ahead = since.map_or(0, |t| t.millis_since(ctx.now())).clamp(0, 1000);
    tokio::time::sleep(Duration::from_millis(ahead.unsigned_abs())).await;
    let gate = GateStatus { epoch: since, digest: Some(v.digest) };
    let ok = write(ctx, &configs, &config, v, gate).await;
    ctx.set_gate(since.filter(|_| ok));
    ok && v.closed()
}

/// What was created within this very second may have been created a moment before the proof.
fn next_second(now: Time) -> Time {
    now.floor_secs().plus_secs(1)
}

async fn write(ctx: &Context, configs: &Api<CurfewConfig>, config: &CurfewConfig, v: &Verdict, gate: GateStatus) -> bool {
    let (now, generation) = (ctx.now(), config.metadata.generation);
    let mut next = config.status.clone().unwrap_or_default();
    next.observed_generation = generation;
    next.gate = Some(gate);
    let problems = v.problems.join("; ");
    if v.closed() {
        set(&mut next.conditions, "GateClosed", Is::True, "Proven", "the admission policies are in force as built", generation, now);
    } else {
        tracing::error!(problems, "the gate is open: nothing is granted, revocation goes on");
        set(&mut next.conditions, "GateClosed", Is::False, "NotAsBuilt", problems, generation, now);
    }
    let (skew, sane) = (ctx.authority.clock.skew_millis().unwrap_or(0), ctx.authority.clock.sane());
    let clock = if sane {
        "the local clock and the API server's agree".to_owned()
    } else {
        format!("the local clock is {skew} ms away from the API server's; nothing is granted")
    };
    set(&mut next.conditions, "ClockSynced", Is::from(sane), if sane { "Agree" } else { "Skewed" }, clock, generation, now);
    let sinks = config.spec.audit.as_ref().is_some_and(|a| !a.sinks.is_empty());
    let evidence = if sinks {
        "this build delivers evidence to the operator's log alone; audit.sinks are not served"
    } else {
        "every transition is in the operator's log"
    };
    set(
        &mut next.conditions,
        "EvidenceDelivered",
        Is::from(!sinks),
        if sinks { "Unsupported" } else { "Logged" },
        evidence,
        generation,
        now,
    );
    if config.status.as_ref() == Some(&next) {
        return true;
    }
    match ledger::commit(configs, CONFIG_NAME, &config.resource_version().unwrap_or_default(), config.status.as_ref(), &next).await {
        Written::Stored(_) => true,
        Written::Conflict => false,
        Written::Failed(e) => {
            tracing::warn!(error = %e, "cannot record the gate");
            false
        }
    }
}
