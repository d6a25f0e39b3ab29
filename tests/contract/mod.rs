//! The contract: one table of behaviours that every provider must pass, against the most real target there is, with the
//! access *used*. A new provider implements [`Target`] and gets one line at the end.
mod faults;
mod kubernetes;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use curfew::{
    api::grant::Artifact,
    authority::{Authority, Clock, Permit},
    providers::{ApplyOutcome, Provider, ReserveOutcome, RevokeOutcome},
};
use curfew_core::{
    fingerprint::Meant,
    grant::Observation,
    reconcile::Reservation,
    target::{Plan, SlotSet},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A real target, and a user who uses what is granted there.
#[async_trait]
pub trait Target: Send + Sync {
    /// The provider under test.
    fn provider(&self) -> &dyn Provider;
    /// A plan that gives one access to a person of this test alone. `n` tells tests apart.
    fn plan(&self, grant: &str, n: usize) -> Plan;
    /// Another plan for the same person and the same access, under another grant.
    fn overlapping(&self, grant: &str, n: usize) -> Plan;
    /// The first half of a plan, as a target leaves it that fails in between.
    fn half(&self, plan: &Plan) -> Plan;
    /// Uses the whole access, until it is as expected or time is up.
    async fn used(&self, n: usize, allowed: bool) -> Result<()>;
    /// Puts a stranger's object into the place of the plan.
    async fn occupied(&self, plan: &Plan) -> Result<()>;
    /// Takes away by hand what was granted.
    async fn removed_by_hand(&self, plan: &Plan) -> Result<()>;
    /// Holds what was granted, so that a plain delete does not end it; `false` if this kind of target knows no such thing.
    async fn held_by_another(&self, plan: &Plan) -> Result<bool>;
}

pub fn permit() -> Result<Permit> {
    let authority = Authority::new(Arc::new(Clock::default()));
    authority.set_lease(Some(Instant::now() + Duration::from_secs(60)));
    authority.set_admission_enforced(true);
    authority.set_synced();
    authority.permit().context("no permit")
}

pub async fn reserved(p: &dyn Provider, grant: &str, plan: &Plan) -> Result<Reservation> {
    match p.reserve(grant, plan, &permit()?).await? {
        ReserveOutcome::Reserved(r) => Ok(r),
        ReserveOutcome::Occupied(what) => anyhow::bail!("occupied: {what}"),
    }
}

/// What a confirmed write left at the target.
pub fn artifacts(outcome: ApplyOutcome) -> Result<Vec<Artifact>> {
    match outcome {
        ApplyOutcome::Done(artifacts) => Ok(artifacts),
        ApplyOutcome::Started(operation, _) => anyhow::bail!("operation {} still runs", operation.id),
    }
}

fn grant(n: usize) -> String {
    format!("{n:016x}")
}

/// Every behaviour, by name.
pub async fn holds(t: &dyn Target) -> Result<()> {
    let table = [
        ("it says who it is, and only that", 0),
        ("a place gives nothing", 1),
        ("armed it is used, revoked it is refused", 2),
        ("twice is once", 3),
        ("nothing there to revoke is success", 4),
        ("a late arm comes to nothing", 5),
        ("a place that was made again is another", 6),
        ("a stranger's object is reported and left alone", 7),
        ("what is removed by hand is seen", 8),
        ("one grant never harms another", 9),
        ("terminating is not gone", 10),
        ("half of it is neither there nor gone", 11),
        ("what carries our mark is found, and removed by the sweep", 12),
    ];
    for (name, n) in table {
        row(t, n).await.with_context(|| format!("the contract: {name}"))?;
    }
    Ok(())
}

async fn row(t: &dyn Target, n: usize) -> Result<()> {
    let (p, grant, plan) = (t.provider(), grant(n), t.plan(&grant(n), n));
    match n {
        0 => {
            let id = p.identity().await?;
            ensure!(!id.is_empty() && p.identity().await? == id, "it changes its mind");
            p.confirm(&Meant::by_identity(&id)).await?;
            ensure!(p.confirm(&Meant::by_identity("another")).await.is_err(), "it answers to another name");
        }
        1 => {
            let _held = reserved(p, &grant, &plan).await?;
            t.used(n, false).await?;
            ensure!(p.observe(&plan, &[], SlotSet::NONE, None).await? != Observation::Present, "a place is not the access");
        }
        2 => {
            let held = reserved(p, &grant, &plan).await?;
            let artifacts = artifacts(p.arm(&grant, &plan, &held, &permit()?).await?)?;
            ensure!(!artifacts.is_empty(), "it says what it wrote");
            t.used(n, true).await?;
            ensure!(p.observe(&plan, &[], SlotSet::NONE, None).await? == Observation::Present);
            ensure!(p.revoke(&grant, &plan, &artifacts, SlotSet::NONE).await? == RevokeOutcome::Gone);
            t.used(n, false).await?;
            ensure!(p.observe(&plan, &[], SlotSet::NONE, None).await? == Observation::Absent);
        }
        3 => {
            let (a, b) = (reserved(p, &grant, &plan).await?, reserved(p, &grant, &plan).await?);
            ensure!(a == b, "two places");
            p.arm(&grant, &plan, &b, &permit()?).await?;
            // A crash after the arm: the next replica reserves again, and finds it armed.
            let c = reserved(p, &grant, &plan).await?;
            p.arm(&grant, &plan, &c, &permit()?).await?;
            t.used(n, true).await?;
            ensure!(p.revoke(&grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone, "without any memory of what was written");
            t.used(n, false).await?;
        }
        4 => ensure!(
            p.revoke(&grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone
                && p.revoke(&grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone
        ),
        5 | 6 => {
            let held = reserved(p, &grant, &plan).await?;
            ensure!(p.revoke(&grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone);
            if n == 6 {
                let _another = reserved(p, &grant, &plan).await?;
            }
            ensure!(p.arm(&grant, &plan, &held, &permit()?).await.is_err(), "a late arm is taken");
            t.used(n, false).await?;
        }
        7 => {
            t.occupied(&plan).await?;
            ensure!(matches!(p.reserve(&grant, &plan, &permit()?).await?, ReserveOutcome::Occupied(_)), "it takes a stranger's place");
        }
        8 => {
            let held = reserved(p, &grant, &plan).await?;
            p.arm(&grant, &plan, &held, &permit()?).await?;
            t.removed_by_hand(&plan).await?;
            ensure!(
                p.observe(&plan, &[], SlotSet::NONE, None).await? != Observation::Present,
                "it does not see that the access was removed"
            );
        }
        9 => {
            let other = t.overlapping("00000000000000ff", n);
            for (id, plan) in [(&*grant, &plan), ("00000000000000ff", &other)] {
                let held = reserved(p, id, plan).await?;
                p.arm(id, plan, &held, &permit()?).await?;
            }
            ensure!(p.revoke(&grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone);
            t.used(n, true).await?;
            ensure!(p.observe(&other, &[], SlotSet::NONE, None).await? == Observation::Present);
            ensure!(p.revoke("00000000000000ff", &other, &[], SlotSet::NONE).await? == RevokeOutcome::Gone);
            t.used(n, false).await?;
        }
        10 => {
            let held = reserved(p, &grant, &plan).await?;
            let artifacts = artifacts(p.arm(&grant, &plan, &held, &permit()?).await?)?;
            if t.held_by_another(&plan).await? {
                ensure!(p.revoke(&grant, &plan, &artifacts, SlotSet::NONE).await? == RevokeOutcome::Gone);
                t.used(n, false).await?;
            }
        }
        11 => {
            let (held, half) = (reserved(p, &grant, &plan).await?, t.half(&plan));
            let first = Reservation(Arc::new(held.0.iter().take(1).cloned().collect()));
            p.arm(&grant, &half, &first, &permit()?).await?;
            let shown = p.observe(&plan, &[], SlotSet::NONE, None).await?.observation;
            ensure!(matches!(shown, Observation::Drifted | Observation::Disarmed { .. }), "half of it is taken for {shown:?}");
            // The next replica begins again, and writes all of it.
            let held = reserved(p, &grant, &plan).await?;
            p.arm(&grant, &plan, &held, &permit()?).await?;
            t.used(n, true).await?;
            ensure!(p.revoke(&grant, &half, &[], SlotSet::NONE).await? == RevokeOutcome::Gone);
            ensure!(
                p.observe(&plan, &[], SlotSet::NONE, None).await? == Observation::Drifted,
                "half of it is taken for {:?}",
                p.observe(&plan, &[], SlotSet::NONE, None).await?
            );
            ensure!(p.revoke(&grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone);
            t.used(n, false).await?;
        }
        _ => {
            let held = reserved(p, &grant, &plan).await?;
            p.arm(&grant, &plan, &held, &permit()?).await?;
            let found: Vec<_> = p.managed().await?.into_iter().filter(|f| f.mark.grant == grant).collect();
            ensure!(!found.is_empty(), "the sweep cannot find it");
            for f in &found {
                ensure!(p.remove(f).await? == RevokeOutcome::Gone);
            }
            t.used(n, false).await?;
        }
    }
    // Nothing that a row did is left.
    if n != 7 {
        ensure!(p.revoke(&grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone);
    }
    Ok(())
}
