//! Faults at a target, for tests: built only with the feature that also builds the crash points, and idle unless
//! `CURFEW_FAULTS` names some. It breaks the *target*, never a rule of Curfew.
use super::port::{
    ApplyOutcome, EnforcedBy, ManagedObject, Observed, OperationState, Provider, ProviderError, ReserveOutcome, RevokeOutcome,
};
use crate::{api::grant::Artifact, authority::Permit};
use async_trait::async_trait;
use curfew_core::{
    fingerprint::Fingerprint,
    grant::{Observation, Operation},
    reconcile::Reservation,
    target::{Inventory, Permissions, Plan, Scope, SlotSet, aws::Access},
    time::Time,
};
use parking_lot::Mutex;
use serde::Deserialize;
use std::time::Duration;

/// What a target can do to a client that writes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It takes two seconds.
    Delay,
    /// It asks to come back later.
    Throttle,
    /// Another client has changed the object first.
    Conflict,
    /// It does the first part of it and fails.
    Partial,
    /// It says that it was done, and it was not. Of a look or a revocation: nothing is there, and something is.
    Lie,
    /// It does it, and says that it failed.
    FailsAfter,
    /// It refuses, or cannot be reached.
    Down,
}

/// One fault: of this operation, so many times.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    /// `reserve`, `arm`, `apply`, `survey`, `observe`, `withhold`, `poll`, `revoke`.
    pub op: String,
    /// What happens.
    pub kind: Kind,
    /// How often; then it works.
    pub times: u32,
}

/// A target with faults.
pub struct Faulty<P> {
    inner: P,
    faults: Mutex<Vec<Fault>>,
}

impl<P> Faulty<P> {
    /// With the faults that `CURFEW_FAULTS` names, as JSON.
    pub fn around(inner: P) -> Self {
        let text = std::env::var("CURFEW_FAULTS").unwrap_or_else(|_| "[]".into());
        let faults = serde_json::from_str(&text).unwrap_or_else(|e| {
            tracing::error!(error = %e, "CURFEW_FAULTS is not understood");
            Vec::new()
        });
        Faulty::with(inner, faults)
    }

    /// With these.
    pub fn with(inner: P, faults: Vec<Fault>) -> Self {
        Faulty { inner, faults: Mutex::new(faults) }
    }

    /// The next fault of this operation; delays and plain failures are served here.
    async fn meet(&self, op: &str) -> Result<Option<Kind>, ProviderError> {
        let next = {
            let mut faults = self.faults.lock();
            let next = faults.iter_mut().find(|f| f.op == op && f.times > 0);
            next.map(|f| {
                f.times -= 1;
                f.kind
            })
        };
        let transient = |message: &str, wait| Err(ProviderError::Transient { message: message.into(), retry_after: wait });
        if let Some(kind) = next {
            tracing::warn!(op, ?kind, "a fault is injected");
        }
        match next {
            Some(Kind::Delay) => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok(None)
            }
            Some(Kind::Throttle) => transient("too many requests", Some(Duration::from_secs(1))),
            Some(Kind::Conflict) => transient("another client has changed the object first", None),
            Some(Kind::Down) => transient("it does not answer", None),
            other => Ok(other),
        }
    }
}

fn failed<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Transient { message: "the answer was lost".into(), retry_after: None })
}

/// The first part of a plan: what is written before a write breaks off.
fn first(plan: &Plan) -> Plan {
    let mut part = plan.clone();
    match &mut part {
        Plan::Kubernetes(p) => p.bindings.truncate(1),
        Plan::Aws(p) => match &mut p.access {
            Access::User(user) => user.policies.truncate(1),
            Access::Role(role) => role.policies.truncate(1),
            Access::PermissionSet(_) | Access::Assignment(_) | Access::Membership(_) => {}
        },
        #[cfg(feature = "simulated")]
        Plan::Simulated(p) => p.groups.truncate(1),
    }
    part
}

/// How many objects a reservation of this plan has.
fn size(plan: &Plan) -> usize {
    match plan {
        Plan::Kubernetes(p) => p.bindings.len(),
        Plan::Aws(p) => match &p.access {
            Access::User(user) => user.policies.len(),
            Access::Role(role) => 1 + role.policies.len(),
            Access::PermissionSet(_) => 1,
            Access::Assignment(_) | Access::Membership(_) => 0,
        },
        #[cfg(feature = "simulated")]
        Plan::Simulated(_) => 0,
    }
}

#[async_trait]
impl<P: Provider> Provider for Faulty<P> {
    async fn identity(&self) -> Result<String, ProviderError> {
        self.inner.identity().await
    }
    async fn fingerprint(&self) -> Result<Option<Fingerprint>, ProviderError> {
        self.inner.fingerprint().await
    }
    async fn inventory(&self, permissions: &Permissions, scope: &Scope) -> Result<Inventory, ProviderError> {
        self.inner.inventory(permissions, scope).await
    }
    fn cached_inventory(&self, permissions: &Permissions, scope: &Scope) -> Option<Inventory> {
        self.inner.cached_inventory(permissions, scope)
    }
    async fn observe(&self, plan: &Plan, known: &[Artifact], except: SlotSet, since: Option<Time>) -> Result<Observed, ProviderError> {
        match self.meet("observe").await? {
            Some(Kind::Lie) => Ok(Observation::Absent.into()),
            Some(_) => failed(),
            None => self.inner.observe(plan, known, except, since).await,
        }
    }
    async fn withhold(&self, grant: &str, plan: &Plan, known: &[Artifact], parts: SlotSet) -> Result<(), ProviderError> {
        match self.meet("withhold").await? {
            None => self.inner.withhold(grant, plan, known, parts).await,
            Some(Kind::Lie) => Ok(()),
            Some(_) => {
                self.inner.withhold(grant, plan, known, parts).await?;
                failed()
            }
        }
    }
    async fn read_withheld(
        &self,
        grant: &str,
        plan: &Plan,
        parts: SlotSet,
        since: Option<Time>,
    ) -> Result<Option<Reservation>, ProviderError> {
        self.inner.read_withheld(grant, plan, parts, since).await
    }
    async fn survey(&self, plan: &Plan) -> Result<SlotSet, ProviderError> {
        match self.meet("survey").await? {
            None => self.inner.survey(plan).await,
            Some(_) => failed(),
        }
    }
    async fn reserve(&self, grant: &str, plan: &Plan, permit: &Permit) -> Result<ReserveOutcome, ProviderError> {
        match self.meet("reserve").await? {
            None => self.inner.reserve(grant, plan, permit).await,
            Some(Kind::Partial) => {
                self.inner.reserve(grant, &first(plan), permit).await?;
                failed()
            }
            Some(Kind::Lie) => {
                let places = (0..size(plan)).map(|_| Some(("00000000-0000-0000-0000-000000000000".into(), "1".into()))).collect();
                Ok(ReserveOutcome::Reserved(Reservation(std::sync::Arc::new(places))))
            }
            Some(_) => {
                self.inner.reserve(grant, plan, permit).await?;
                failed()
            }
        }
    }
    async fn arm(&self, grant: &str, plan: &Plan, r: &Reservation, permit: &Permit) -> Result<ApplyOutcome, ProviderError> {
        match self.meet("arm").await? {
            None => self.inner.arm(grant, plan, r, permit).await,
            Some(Kind::Lie) => Ok(ApplyOutcome::Done(Vec::new())),
            Some(Kind::Partial) => {
                let half = Reservation(std::sync::Arc::new(r.0.iter().take(1).cloned().collect()));
                self.inner.arm(grant, &first(plan), &half, permit).await?;
                failed()
            }
            Some(_) => {
                self.inner.arm(grant, plan, r, permit).await?;
                failed()
            }
        }
    }
    async fn apply(&self, grant: &str, plan: &Plan, except: SlotSet, until: Time, permit: &Permit) -> Result<ApplyOutcome, ProviderError> {
        match self.meet("apply").await? {
            None => self.inner.apply(grant, plan, except, until, permit).await,
            Some(Kind::Lie) => Ok(ApplyOutcome::Done(Vec::new())),
            Some(Kind::Partial) => {
                self.inner.apply(grant, &first(plan), except, until, permit).await?;
                failed()
            }
            Some(_) => {
                self.inner.apply(grant, plan, except, until, permit).await?;
                failed()
            }
        }
    }
    async fn poll(&self, operation: &Operation) -> Result<OperationState, ProviderError> {
        match self.meet("poll").await? {
            None => self.inner.poll(operation).await,
            Some(_) => failed(),
        }
    }
    async fn revoke(&self, grant: &str, plan: &Plan, known: &[Artifact], keep: SlotSet) -> Result<RevokeOutcome, ProviderError> {
        match self.meet("revoke").await? {
            None => self.inner.revoke(grant, plan, known, keep).await,
            Some(Kind::Lie) => Ok(RevokeOutcome::Gone),
            Some(Kind::Partial) => {
                self.inner.revoke(grant, &first(plan), known, keep).await?;
                failed()
            }
            Some(_) => {
                self.inner.revoke(grant, plan, known, keep).await?;
                failed()
            }
        }
    }
    async fn tidy(&self, plan: &Plan, known: &[Artifact]) {
        self.inner.tidy(plan, known).await;
    }
    async fn denial(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.inner.denial(plan).await
    }
    async fn enforced_by(&self, plan: &Plan) -> Result<EnforcedBy, ProviderError> {
        self.inner.enforced_by(plan).await
    }
    async fn expire_now(&self, plan: &Plan, known: &[Artifact]) -> Result<(), ProviderError> {
        self.inner.expire_now(plan, known).await
    }
    async fn managed(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        self.inner.managed().await
    }
    async fn remove(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
        self.inner.remove(found).await
    }
    async fn missing_rights(&self) -> Result<Vec<String>, ProviderError> {
        self.inner.missing_rights().await
    }
    fn rights_file(&self) -> &'static str {
        self.inner.rights_file()
    }
    async fn missing_right(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.inner.missing_right(plan).await
    }
    async fn refusal(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.inner.refusal(plan).await
    }
}
