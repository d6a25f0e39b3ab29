//! What every provider must do, regardless of its fence: one table, with the access *used*. A provider is a row: it implements
//! [`Row`] and calls [`holds`].
use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use curfew::{
    authority::{Authority, Clock, Permit},
    providers::{ApplyOutcome, OperationState, Provider, ReserveOutcome, RevokeOutcome},
};
use curfew_core::{
    fingerprint::Meant,
    grant::{Observation, Operation},
    target::{Fence, Plan, SlotSet},
};
use curfew_testkit::eventually;
use futures::future::try_join_all;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long one change at the target may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A provider under test, and a way to use what it gives.
#[async_trait]
pub trait Row: Send + Sync {
    /// The provider.
    fn provider(&self) -> Arc<dyn Provider>;
    /// Another instance of it, that remembers nothing.
    fn another(&self) -> Arc<dyn Provider>;
    /// A plan that gives one access to a person of this case alone. Two grants of one case give the same access.
    fn plan(&self, grant: &str, case: usize) -> Plan;
    /// Whether the person of this case has the access at this moment.
    async fn has_access(&self, case: usize) -> Result<bool>;
    /// Gives or removes the access by hand, as another administrator does.
    async fn by_hand(&self, plan: &Plan, case: usize, present: bool) -> Result<()>;
}

/// A permit, as the holder of the lease has it.
pub fn permit() -> Result<Permit> {
    let authority = Authority::new(Arc::new(Clock::default()));
    authority.set_lease(Some(Instant::now() + Duration::from_secs(60)));
    authority.set_admission_enforced(true);
    authority.set_synced();
    authority.permit().context("no permit")
}

/// Every case of the table, at the same time.
pub async fn holds(row: &dyn Row) -> Result<()> {
    let table = [
        "it says who it is, and is not taken for another",
        "the access is refused before, allowed during and refused after the grant",
        "what is done twice is done once",
        "nothing there to revoke is success",
        "one grant leaves what another one holds",
        "an access that was there before is neither written nor removed",
        "a write after its time limit or its revocation comes to nothing",
        "what is removed by hand is seen",
    ];
    try_join_all(
        table.iter().enumerate().map(|(n, name)| async move { case(row, n).await.with_context(|| format!("the contract: {name}")) }),
    )
    .await
    .map(drop)
}

async fn case(row: &dyn Row, n: usize) -> Result<()> {
    let grant = format!("{n:016x}");
    let (p, plan) = (row.provider(), row.plan(&grant, n));
    let t = Steps { row, p: &*p, n };
    match n {
        0 => {
            let id = p.identity().await?;
            ensure!(!id.is_empty() && row.another().identity().await? == id, "its identity changes");
            p.confirm(&Meant::by_identity(&id)).await?;
            ensure!(p.confirm(&Meant::by_identity("another")).await.is_err(), "it is taken for another");
            ensure!(p.missing_right(&plan).await?.is_none());
        }
        1 => {
            t.access_is(false).await?;
            t.give(&grant, &plan, SlotSet::NONE).await?;
            t.access_is(true).await?;
            t.shows(&plan, SlotSet::NONE, Observation::Present).await?;
            t.end(&grant, &plan, SlotSet::NONE).await?;
            t.access_is(false).await?;
        }
        2 => {
            t.give(&grant, &plan, SlotSet::NONE).await?;
            t.give(&grant, &plan, SlotSet::NONE).await?;
            t.access_is(true).await?;
            t.end(&grant, &plan, SlotSet::NONE).await?;
            t.end(&grant, &plan, SlotSet::NONE).await?;
            t.access_is(false).await?;
        }
        3 => t.end(&grant, &plan, SlotSet::NONE).await?,
        4 => {
            let (second, keep) = ("00000000000000ff", SlotSet::all(plan.guarantees().slots));
            let other = row.plan(second, n);
            t.give(&grant, &plan, SlotSet::NONE).await?;
            t.give(second, &other, SlotSet::NONE).await?;
            // Where the two share a slot, the rules keep it; where each has objects of its own, there is nothing to keep.
            if keep.is_empty() {
                t.end(&grant, &plan, keep).await?;
            } else {
                ensure!(p.revoke(&grant, &plan, &[], keep).await? == RevokeOutcome::Gone, "it removes what is to be kept");
            }
            t.access_is(true).await?;
            t.shows(&other, SlotSet::NONE, Observation::Present).await?;
            t.end(second, &other, SlotSet::NONE).await?;
            t.access_is(false).await?;
        }
        5 if plan.guarantees().slots > 0 => {
            let all = SlotSet::all(plan.guarantees().slots);
            row.by_hand(&plan, n, true).await?;
            eventually("the survey to show it", LIMIT, || async { Ok((p.survey(&plan).await? == all).then_some(())) }).await?;
            t.give(&grant, &plan, all).await?;
            ensure!(p.revoke(&grant, &plan, &[], all).await? == RevokeOutcome::Gone);
            t.access_is(true).await?;
        }
        6 => t.late_write(&grant, &plan).await?,
        7 => {
            t.give(&grant, &plan, SlotSet::NONE).await?;
            t.shows(&plan, SlotSet::NONE, Observation::Present).await?;
            row.by_hand(&plan, n, false).await?;
            t.access_is(false).await?;
            eventually("the removal to be seen", LIMIT, || async {
                Ok((p.observe(&plan, &[], SlotSet::NONE, None).await? != Observation::Present).then_some(()))
            })
            .await?;
        }
        _ => {}
    }
    Ok(())
}

/// What a case does to its plan.
struct Steps<'a> {
    row: &'a dyn Row,
    p: &'a dyn Provider,
    n: usize,
}

impl Steps<'_> {
    async fn access_is(&self, allowed: bool) -> Result<()> {
        eventually(&format!("the access to be {allowed}"), LIMIT, || async {
            Ok((self.row.has_access(self.n).await? == allowed).then_some(()))
        })
        .await
    }

    async fn shows(&self, plan: &Plan, except: SlotSet, wanted: Observation) -> Result<()> {
        eventually(&format!("the target to show {wanted:?}"), LIMIT, || async {
            Ok((self.p.observe(plan, &[], except, None).await? == wanted).then_some(()))
        })
        .await
    }

    /// Writes the access behind the fence of the plan, and returns once the target has confirmed it.
    async fn give(&self, grant: &str, plan: &Plan, except: SlotSet) -> Result<()> {
        eventually("the write to be confirmed", LIMIT, || async {
            let outcome = match plan.guarantees().fence {
                Fence::Reservation => match self.p.reserve(grant, plan, &permit()?).await? {
                    ReserveOutcome::Reserved(r) => self.p.arm(grant, plan, &r, &permit()?).await?,
                    ReserveOutcome::Occupied(what) => bail!("occupied: {what}"),
                },
                Fence::TimeLimit { write_secs } => {
                    let until = Clock::default().now().plus_secs(write_secs.into());
                    self.p.apply(grant, plan, except, until, &permit()?).await?
                }
            };
            if let ApplyOutcome::Started(operation, _) = outcome {
                self.followed(&operation).await?;
            }
            Ok(Some(()))
        })
        .await
    }

    /// Removes the access until the target shows that nothing is left, and goes on showing it while reads settle.
    async fn end(&self, grant: &str, plan: &Plan, keep: SlotSet) -> Result<()> {
        eventually("the removal to be proven", LIMIT, || async {
            match self.p.revoke(grant, plan, &[], keep).await? {
                RevokeOutcome::Gone => {}
                RevokeOutcome::Started(operation) => {
                    self.followed(&operation).await?;
                    // What is removed in several steps goes on with the next one.
                    if self.p.observe(plan, &[], keep, None).await? != Observation::Absent {
                        return Ok(None);
                    }
                }
                RevokeOutcome::Disarmed(what) | RevokeOutcome::Remains(what) => bail!("{what}"),
            }
            tokio::time::sleep(Duration::from_secs(plan.guarantees().settle_secs.into())).await;
            Ok((self.p.observe(plan, &[], keep, None).await? == Observation::Absent).then_some(()))
        })
        .await
    }

    /// Follows an operation to its end, as another replica does.
    async fn followed(&self, operation: &Operation) -> Result<()> {
        let another = self.row.another();
        let state = eventually("the operation to end", LIMIT, || async {
            Ok(Some(another.poll(operation).await?).filter(|state| !matches!(state, OperationState::Running(_))))
        });
        match state.await? {
            OperationState::Failed(why) => bail!("{why}"),
            OperationState::Succeeded | OperationState::Running(_) => Ok(()),
        }
    }

    async fn late_write(&self, grant: &str, plan: &Plan) -> Result<()> {
        match plan.guarantees().fence {
            Fence::Reservation => {
                let ReserveOutcome::Reserved(r) = self.p.reserve(grant, plan, &permit()?).await? else { bail!("occupied") };
                self.end(grant, plan, SlotSet::NONE).await?;
                ensure!(self.p.arm(grant, plan, &r, &permit()?).await.is_err(), "a late arm is taken");
            }
            Fence::TimeLimit { .. } => {
                let passed = Clock::default().now();
                ensure!(self.p.apply(grant, plan, SlotSet::NONE, passed, &permit()?).await.is_err(), "a late write is sent");
                tokio::time::sleep(Duration::from_secs(plan.guarantees().settle_secs.into())).await;
            }
        }
        ensure!(!self.row.has_access(self.n).await?);
        Ok(())
    }
}
