//! The simulated directory: group memberships over HTTP, for tests only.
//!
//! It stands for Entra groups, Azure role assignments and Google Cloud bindings: a membership is a bare fact that names no
//! grant, writes are accepted first and take effect later, and reads lag behind them. So the fence is a time limit, each
//! membership is a slot, and an answer "does not exist" is passed on as an accepted removal that reads must confirm. Additions that
//! run at the same time are combined into one call, and so are removals.
mod combined;
mod directory;

use super::combine::Combiner;
use super::port::{
    ApplyOutcome, EnforcedBy, ManagedObject, Observed, OperationState, Provider, ProviderError, ReserveOutcome, RevokeOutcome,
};
use crate::{
    api::{grant::Artifact, system::SimulatedConnection},
    authority::{Clock, Permit},
    runtime::http::HttpClient,
};
use async_trait::async_trait;
use combined::{Addition, Additions, Removal, Removals};
use curfew_core::{
    grant::{Observation, Operation, OperationKind},
    lanes::Limits,
    reconcile::Reservation,
    target::{
        Inventory, Permissions, Plan, Scope, SlotSet,
        simulated::{self, Group, Plan as Memberships},
    },
    time::Time,
};
use directory::{Accepted, Directory, Removed, Running};
use futures::future::{join_all, try_join_all};
use parking_lot::Mutex;
use std::sync::Arc;

/// How fast and how wide one directory is used. It throttles, so the lane has a rate of its own; it takes several memberships in
/// one call, so that many work together.
pub const LIMITS: Limits = Limits { width: 2, per_minute: Some(240), batch: 20 };

/// Milliseconds between two questions about an operation.
const POLL_MILLIS: i64 = 500;
/// How much later than the planned deadline the directory may end a membership, in seconds, to count as the one that ends it.
const EXPIRY_TOLERANCE_SECS: i64 = 30;
/// How long the groups that were read are shown where no live read is needed. What watches the API server asks for the inventory
/// at every change there, and a directory that throttles would have nothing left for revocations.
const GROUPS_MILLIS: i64 = 10_000;
/// Between the ids of the target's operations in the id of a stored operation.
const SEPARATOR: &str = ",";

/// One simulated directory.
pub struct Simulated {
    directory: Arc<Directory>,
    additions: Combiner<Additions>,
    removals: Combiner<Removals>,
    clock: Arc<Clock>,
    /// The groups as they were read last, and when.
    groups: Mutex<Option<(Time, Vec<Group>)>>,
}

impl Simulated {
    /// The directory behind a connection.
    pub fn new(connection: &SimulatedConnection, http: HttpClient, clock: Arc<Clock>) -> Self {
        let directory = Arc::new(Directory::new(&connection.endpoint, http));
        let additions = Combiner::new(Additions(directory.clone()), LIMITS.batch, clock.clone());
        let removals = Combiner::new(Removals(directory.clone()), LIMITS.batch, clock.clone());
        Simulated { directory, additions, removals, clock, groups: Mutex::default() }
    }

    /// One stored operation for all that the target has accepted; `None` if nothing runs.
    fn operation(&self, kind: OperationKind, accepted: &[String]) -> Option<Operation> {
        (!accepted.is_empty()).then(|| Operation { id: accepted.join(SEPARATOR).into(), kind, poll_at: self.next_poll() })
    }

    fn next_poll(&self) -> Time {
        Time::from_millis(self.clock.now().as_millis() + POLL_MILLIS)
    }

    /// Adds one membership; `None` if it is there and its end date needs no change.
    async fn add(&self, group: &Group, plan: &Memberships, until: Time) -> Result<Option<String>, ProviderError> {
        let addition = Addition { group: group.id.clone(), member: plan.member.clone(), end: plan.deadline, until };
        match self.additions.call(addition, Some(until)).await? {
            Accepted::Running(id) => Ok(Some(id)),
            // Another grant may have written it with an earlier end date.
            Accepted::ExistsAlready => {
                self.before(until)?;
                self.directory.extend(&group.id, &plan.member, plan.deadline, until).await
            }
        }
    }

    /// The fence: the target accepts a late write like any other, so no request leaves after the time limit.
    fn before(&self, until: Time) -> Result<(), ProviderError> {
        if self.clock.now() < until {
            return Ok(());
        }
        Err(ProviderError::Transient { message: "the time limit of the write has passed".into(), retry_after: None })
    }
}

/// The slots of a plan that a set leaves, with their groups.
fn slots(plan: &Memberships, except: SlotSet) -> impl Iterator<Item = &Group> {
    plan.groups.iter().zip(0u8..).filter(move |(_, i)| !except.contains(*i)).map(|(g, _)| g)
}

#[async_trait]
impl Provider for Simulated {
    async fn identity(&self) -> Result<String, ProviderError> {
        self.directory.identity().await
    }

    async fn inventory(&self, permissions: &Permissions, _: &Scope) -> Result<Inventory, ProviderError> {
        let permissions = groups(permissions)?;
        let read = self.directory.groups().await?;
        *self.groups.lock() = Some((self.clock.now(), read.clone()));
        Ok(named(permissions, &read))
    }

    fn cached_inventory(&self, permissions: &Permissions, _: &Scope) -> Option<Inventory> {
        let permissions = groups(permissions).ok()?;
        let known = self.groups.lock();
        let (at, read) = known.as_ref()?;
        (self.clock.now().millis_since(*at) < GROUPS_MILLIS).then(|| named(permissions, read))
    }

    async fn observe(&self, plan: &Plan, _: &[Artifact], except: SlotSet, _: Option<Time>) -> Result<Observed, ProviderError> {
        let plan = memberships(plan)?;
        let reads = slots(plan, except).map(|g| self.directory.is_member(&g.id, &plan.member));
        let present = try_join_all(reads).await?;
        let observation = match () {
            () if present.iter().all(|p| *p) => Observation::Present,
            () if present.iter().all(|p| !*p) => Observation::Absent,
            () => Observation::Drifted,
        };
        Ok(observation.into())
    }

    async fn survey(&self, plan: &Plan) -> Result<SlotSet, ProviderError> {
        let plan = memberships(plan)?;
        let reads = plan.groups.iter().map(|g| self.directory.is_member(&g.id, &plan.member));
        let present = try_join_all(reads).await?;
        Ok((0u8..).zip(present).filter(|(_, p)| *p).map(|(i, _)| i).collect())
    }

    async fn reserve(&self, _: &str, _: &Plan, _: &Permit) -> Result<ReserveOutcome, ProviderError> {
        Err(ProviderError::Invalid("memberships are applied within a time limit, not reserved".into()))
    }

    async fn arm(&self, _: &str, _: &Plan, _: &Reservation, _: &Permit) -> Result<ApplyOutcome, ProviderError> {
        Err(ProviderError::Invalid("memberships are applied within a time limit, not reserved".into()))
    }

    async fn apply(&self, _: &str, plan: &Plan, except: SlotSet, until: Time, _: &Permit) -> Result<ApplyOutcome, ProviderError> {
        let plan = memberships(plan)?;
        let mut accepted = Vec::new();
        for group in slots(plan, except) {
            accepted.extend(self.add(group, plan, until).await?);
        }
        let written = slots(plan, except).map(|g| artifact(g, &plan.member)).collect();
        Ok(match self.operation(OperationKind::Apply, &accepted) {
            Some(operation) => ApplyOutcome::Started(operation, written),
            None => ApplyOutcome::Done(written),
        })
    }

    async fn revoke(&self, _: &str, plan: &Plan, _: &[Artifact], keep: SlotSet) -> Result<RevokeOutcome, ProviderError> {
        let plan = memberships(plan)?;
        let (mut accepted, mut left, mut error) = (Vec::new(), Vec::new(), None);
        // Each removal is tried, even if another one fails.
        let removals = slots(plan, keep).map(|g| async move {
            let removal = Removal { group: g.id.clone(), member: plan.member.clone() };
            // The caller drops this at its time limit, and then nothing is sent.
            (g, self.removals.call(removal, None).await)
        });
        for (group, removed) in join_all(removals).await {
            match removed {
                Ok(Removed::Running(id)) => accepted.push(id),
                Ok(Removed::NotThere) => {}
                Ok(Removed::TooEarly(why)) => left.push(format!("member of {}: {why}", group.name)),
                Err(e) => error = Some(e),
            }
        }
        match error {
            Some(e) => Err(e),
            None if !left.is_empty() => Ok(RevokeOutcome::Remains(left.join("; "))),
            None => Ok(self.operation(OperationKind::Revoke, &accepted).map_or(RevokeOutcome::Gone, RevokeOutcome::Started)),
        }
    }

    async fn poll(&self, operation: &Operation) -> Result<OperationState, ProviderError> {
        let all = try_join_all(operation.id.split(SEPARATOR).map(|id| self.directory.operation(id))).await?;
        if all.contains(&Running::Yes) {
            return Ok(OperationState::Running(self.next_poll()));
        }
        let failed = all.into_iter().find_map(|state| if let Running::Failed(why) = state { Some(why) } else { None });
        Ok(failed.map_or(OperationState::Succeeded, OperationState::Failed))
    }

    async fn enforced_by(&self, plan: &Plan) -> Result<EnforcedBy, ProviderError> {
        let plan = memberships(plan)?;
        let latest = plan.deadline.plus_secs(EXPIRY_TOLERANCE_SECS);
        let ends = plan.groups.iter().map(|g| self.directory.ends_at(&g.id, &plan.member));
        let in_time = try_join_all(ends).await?.into_iter().all(|end| end.is_some_and(|t| t <= latest));
        Ok(if in_time && self.directory.obeys_end_dates().await? { EnforcedBy::Target } else { EnforcedBy::Curfew })
    }

    /// Nothing: a membership carries no mark, so the sweep cannot tell one that a grant left from any other.
    async fn managed(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        Ok(Vec::new())
    }

    async fn remove(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
        Err(ProviderError::Invalid(format!("a membership carries no mark, so {} is not removed by the sweep", found.artifact.id)))
    }

    async fn missing_right(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        let plan = memberships(plan)?;
        let manageable = self.directory.manageable_groups().await?;
        let missing = plan.groups.iter().find(|g| !manageable.contains(&g.name));
        Ok(missing.map(|g| format!("the operator may not change the members of group {}; make it an owner of that group", g.name)))
    }
}

/// Of these groups, the ones that a role names.
fn named(permissions: &simulated::Permissions, groups: &[Group]) -> Inventory {
    let named = groups.iter().filter(|g| permissions.groups.contains(&g.name));
    Inventory::Simulated(simulated::Inventory { groups: named.cloned().collect() })
}

fn artifact(group: &Group, member: &str) -> Artifact {
    Artifact { kind: "Membership".into(), id: format!("{}/{member}", group.name), uid: group.id.clone() }
}

/// The memberships of a plan.
fn memberships(plan: &Plan) -> Result<&Memberships, ProviderError> {
    match plan {
        Plan::Simulated(plan) => Ok(plan),
        _ => Err(ProviderError::Invalid("the plan is not of a simulated directory".into())),
    }
}

/// The groups of a role.
fn groups(permissions: &Permissions) -> Result<&simulated::Permissions, ProviderError> {
    match permissions {
        Permissions::Simulated(permissions) => Ok(permissions),
        _ => Err(ProviderError::Invalid("the role is not of a simulated directory".into())),
    }
}
