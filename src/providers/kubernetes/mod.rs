//! Kubernetes: bindings that carry grant and deadline in their names.
//!
//! RBAC has no expiry, and its kinds are created on update: a PUT or an apply brings a deleted binding back, armed. So a
//! place is *reserved* by a POST without subjects, and *armed* by a merge patch that names its uid and version. A revoker
//! deletes the reservation, and a late arm is answered 404 or 409. In a namespace a place is owned by a Job fuse.
mod binding;
pub mod content;
mod enforced;
mod errors;
mod fuse;
pub mod kubeconfig;
mod managed;
mod parts;
mod revoke;
mod rights;

pub use binding::BindingState;
use content::Reads;
pub(crate) use errors::provider_error;
pub use fuse::AFTER_SECS as FUSE_AFTER_SECS;
pub use managed::{list, remove};

use super::port::{
    ApplyOutcome, EnforcedBy, ManagedObject, Observed, OperationState, Provider, ProviderError, ReserveOutcome, RevokeOutcome,
};
use crate::{
    api::grant::Artifact,
    authority::{Authority, Clock, Permit},
    identity::cluster,
    runtime::{kept::KeptStore, stores::binding_resource},
};
use async_trait::async_trait;
use curfew_core::{
    digest::Digest,
    fingerprint::Fingerprint,
    grant::Operation,
    lanes::Limits,
    reconcile::Reservation,
    target::{
        Inventory, Permissions, Plan, Scope, SlotSet,
        kubernetes::{self, Plan as KubernetesPlan, PlannedBinding, names::BindingName},
    },
    time::Time,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::Namespace,
    rbac::v1::{ClusterRole, Role},
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    runtime::reflector::Store,
};
use parking_lot::Mutex;
use std::{
    pin::pin,
    sync::{Arc, OnceLock},
};

/// What the watches show of a cluster's marked objects.
#[derive(Clone)]
pub struct Watched {
    /// RoleBindings.
    pub bindings: KeptStore<DynamicObject>,
    /// ClusterRoleBindings.
    pub cluster_bindings: KeptStore<DynamicObject>,
    /// Job fuses.
    pub jobs: KeptStore<Job>,
    /// ClusterRoles.
    pub cluster_roles: Store<ClusterRole>,
    /// Roles.
    pub roles: Store<Role>,
    /// Namespaces.
    pub namespaces: Store<Namespace>,
}

/// A cluster.
pub struct Kubernetes {
    client: Client,
    clock: Arc<Clock>,
    /// Nothing where nobody watches: then every look is a live one.
    watched: Option<Watched>,
    guard: Guard,
    reads: Reads,
    /// Who this is; of the cluster that we run in it cannot change while we run.
    known: OnceLock<String>,
    /// Its address and CA, where it is reached by a kubeconfig: another one could take its place.
    reached: Option<(String, Digest)>,
}

/// How it is known that the marks policy is in force, without which no fuse can be believed.
pub enum Guard {
    /// By the operator's admission check, in the cluster that Curfew runs in.
    AdmissionCheck(Arc<Authority>),
    /// By a look of our own, remembered for a while.
    Probe(Mutex<Option<(Time, bool)>>),
}

impl Guard {
    /// A check of this provider's own, cached for a while.
    pub fn probe() -> Self {
        Guard::Probe(Mutex::default())
    }
}

impl Kubernetes {
    /// A cluster by its client, with what the watches show of it.
    pub fn new(client: Client, clock: Arc<Clock>, watched: Option<Watched>, guard: Guard) -> Self {
        Kubernetes { client, clock, watched, guard, reads: Reads::default(), known: OnceLock::new(), reached: None }
    }

    /// The same, reached at this address and verified by this CA.
    #[must_use]
    pub fn reached_at(self, server: String, ca: Digest) -> Self {
        Kubernetes { reached: Some((server, ca)), ..self }
    }

    fn api(&self, b: &PlannedBinding) -> Api<DynamicObject> {
        let kind = binding_resource(b.namespace.is_some());
        match &b.namespace {
            Some(n) => Api::namespaced_with(self.client.clone(), n, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        }
    }

    fn jobs(&self, namespace: &str) -> Api<Job> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn watched(&self, b: &PlannedBinding) -> Option<Arc<DynamicObject>> {
        let watched = self.watched.as_ref()?;
        let store = if b.namespace.is_some() { &watched.bindings } else { &watched.cluster_bindings };
        store.get(&(b.namespace.clone().unwrap_or_default(), b.name.clone()))
    }

    async fn live(&self, b: &PlannedBinding) -> Result<Option<BindingState>, ProviderError> {
        Ok(self.api(b).get_opt(&b.name).await.map_err(provider_error)?.map(|o| BindingState::of(&o)))
    }

    /// The fuse first: a binding never stands a moment without it.
    async fn reserve_one(
        &self,
        grant: &str,
        plan: &KubernetesPlan,
        b: &PlannedBinding,
    ) -> Result<Result<BindingState, String>, ProviderError> {
        let owner = match (&b.namespace, BindingName::parse(&b.name), plan.fuse.job()) {
            (Some(ns), Some(name), Some(configured)) => match fuse::ensure(&self.jobs(ns), &name, configured, self.clock.now()).await? {
                Ok(job) => Some(fuse::owner(&job)),
                Err(stranger) => return Ok(Err(stranger)),
            },
            (None, _, _) | (_, None, _) | (_, _, None) => None,
        };
        let uid = owner.as_ref().map(|o| o.uid.clone());
        match self.api(b).create(&PostParams::default(), &binding::reservation(grant, b, owner)).await {
            Ok(o) => Ok(Ok(BindingState::of(&o))),
            Err(kube::Error::Api(s)) if s.code == 409 => match self.live(b).await? {
                Some(found) if found.is_ours(grant, b) && found.fuse == uid && (found.subjects.is_empty() || found.is_armed(plan)) => {
                    Ok(Ok(found))
                }
                Some(_) => Ok(Err(format!("{} exists already and is not ours", binding::id(b)))),
                None => Err(ProviderError::Transient { message: format!("{} came and went", binding::id(b)), retry_after: None }),
            },
            Err(e) => Err(provider_error(e)),
        }
    }

    /// The Jobs of a binding's namespace and the binding's name, if the plan gives it a fuse.
    fn fuse_of(&self, plan: &KubernetesPlan, b: &PlannedBinding) -> Option<(Api<Job>, BindingName)> {
        plan.fuse.job()?;
        Some((self.jobs(b.namespace.as_ref()?), BindingName::parse(&b.name)?))
    }
}

/// How many bindings of one plan are written or read at a time.
const CONCURRENCY: usize = 16;

/// How many pieces of work run at a time on one cluster. An API server throttles by itself.
pub const LIMITS: Limits = Limits { width: 16, per_minute: None, batch: 1 };

#[async_trait]
impl Provider for Kubernetes {
    async fn identity(&self) -> Result<String, ProviderError> {
        if let (Some(id), Guard::AdmissionCheck(_)) = (self.known.get(), &self.guard) {
            return Ok(id.clone());
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let home = namespaces.get("kube-system").await.map_err(provider_error)?;
        let id = home.metadata.uid.ok_or_else(|| ProviderError::Invalid("namespace kube-system has no uid".into()))?;
        Ok(self.known.get_or_init(|| id.clone()).clone())
            .map(|first| if matches!(self.guard, Guard::AdmissionCheck(_)) { first } else { id })
    }

    async fn fingerprint(&self) -> Result<Option<Fingerprint>, ProviderError> {
        let Some((server, ca)) = &self.reached else { return Ok(None) };
        let keys = match cluster::keys(&self.client).await {
            Ok(keys) => keys,
            // A cluster that publishes none is told by its address and CA alone.
            Err(kube::Error::Api(s)) if s.code == 404 => Vec::new(),
            Err(e) => return Err(provider_error(e)),
        };
        let keys = keys.into_iter().take(32).collect();
        Ok(Some(Fingerprint { server: server.clone(), ca: *ca, keys }))
    }

    async fn inventory(&self, permissions: &Permissions, scope: &Scope) -> Result<Inventory, ProviderError> {
        let (permissions, scope) = role(permissions, scope)?;
        self.reads.live(&self.client, permissions, scope).await.map(Inventory::Kubernetes).map_err(provider_error)
    }

    fn cached_inventory(&self, permissions: &Permissions, scope: &Scope) -> Option<Inventory> {
        let (caches, (permissions, scope)) = (self.watched.as_ref()?, role(permissions, scope).ok()?);
        Some(Inventory::Kubernetes(self.reads.cached(caches, permissions, scope)))
    }

    async fn observe(&self, plan: &Plan, _: &[Artifact], _: SlotSet, since: Option<Time>) -> Result<Observed, ProviderError> {
        self.observe_bindings(bindings(plan)?, since).await
    }

    async fn survey(&self, _: &Plan) -> Result<SlotSet, ProviderError> {
        Ok(SlotSet::NONE)
    }

    async fn reserve(&self, grant: &str, plan: &Plan, _: &Permit) -> Result<ReserveOutcome, ProviderError> {
        let plan = bindings(plan)?;
        let mut places = Vec::new();
        // In order, and none begins after the first that fails.
        let mut outcomes = pin!(in_parts(plan.bindings.iter().map(|b| self.reserve_one(grant, plan, b))));
        while let Some(outcome) = outcomes.try_next().await? {
            match outcome {
                Ok(found) => places.push(Some((found.uid.as_str().into(), found.version.as_str().into()))),
                Err(stranger) => return Ok(ReserveOutcome::Occupied(stranger)),
            }
        }
        Ok(ReserveOutcome::Reserved(Reservation(Arc::new(places))))
    }

    async fn arm(&self, _: &str, plan: &Plan, reservation: &Reservation, _: &Permit) -> Result<ApplyOutcome, ProviderError> {
        let plan = bindings(plan)?;
        if reservation.0.len() != plan.bindings.len() {
            return Err(ProviderError::Invalid("the reservation is not of this plan".into()));
        }
        let places = plan.bindings.iter().zip(reservation.0.iter()).filter_map(|(b, place)| place.as_ref().map(|place| (b, place)));
        let arms = places.map(|(b, (uid, version))| async move {
            // uid and version together: neither a changed nor a re-created object is armed, and a deleted one stays deleted.
            let patch =
                serde_json::json!({"metadata": {"uid": uid, "resourceVersion": version}, "subjects": [binding::subject(&plan.subject)]});
            let o = self.api(b).patch(&b.name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(provider_error)?;
            let found = BindingState::of(&o);
            if !found.is_armed(plan) || !found.binds(b) {
                return Err(ProviderError::Invalid(format!("{} was stored otherwise than sent", binding::id(b))));
            }
            let job = found.fuse.clone().zip(b.namespace.clone()).zip(BindingName::parse(&b.name));
            let job = job.map(|((uid, ns), name)| Artifact { kind: "Job".into(), id: format!("{ns}/{}", name.fuse()), uid });
            let bound = Artifact { kind: binding_resource(b.namespace.is_some()).kind, id: binding::id(b), uid: found.uid };
            Ok([Some(bound), job].into_iter().flatten().collect::<Vec<_>>())
        });
        let armed: Vec<Vec<Artifact>> = in_parts(arms).try_collect().await?;
        Ok(ApplyOutcome::Done(armed.concat()))
    }

    async fn withhold(&self, grant: &str, plan: &Plan, known: &[Artifact], parts: SlotSet) -> Result<(), ProviderError> {
        self.disarm_bindings(grant, bindings(plan)?, known, parts).await
    }

    async fn read_withheld(
        &self,
        grant: &str,
        plan: &Plan,
        parts: SlotSet,
        since: Option<Time>,
    ) -> Result<Option<Reservation>, ProviderError> {
        self.read_disarmed(grant, bindings(plan)?, parts, since).await
    }

    async fn apply(&self, _: &str, _: &Plan, _: SlotSet, _: Time, _: &Permit) -> Result<ApplyOutcome, ProviderError> {
        Err(ProviderError::Invalid("bindings are reserved and armed, not applied".into()))
    }

    async fn revoke(&self, grant: &str, plan: &Plan, known: &[Artifact], _: SlotSet) -> Result<RevokeOutcome, ProviderError> {
        let plan = bindings(plan)?;
        // All are tried, even if one fails.
        let all = in_parts(plan.bindings.iter().map(|b| async move {
            let uid = |id: &str| known.iter().find(|a| a.id == id).map(|a| a.uid.clone());
            let taken = revoke::revoke_binding(&self.api(b), grant, b, uid(&binding::id(b))).await?;
            // The garbage collector may be allowed to delete what we are not: it does so as soon as the owner is gone, and not only at
            // the deadline.
            if !matches!(taken, RevokeOutcome::Gone)
                && let Some((jobs, name)) = self.fuse_of(plan, b)
            {
                fuse::delete(&jobs, &name, known_fuse(known, b, &name)).await;
            }
            Ok::<_, ProviderError>(taken)
        }));
        let all: Vec<_> = all.collect().await;
        let (mut left, mut disarmed) = (Vec::new(), Vec::new());
        for outcome in all {
            match outcome? {
                RevokeOutcome::Gone | RevokeOutcome::Started(_) => {}
                RevokeOutcome::Disarmed(what) => disarmed.push(what),
                RevokeOutcome::Remains(what) => left.push(what),
            }
        }
        Ok(match (left.is_empty(), disarmed.is_empty()) {
            (true, true) => RevokeOutcome::Gone,
            (true, false) => RevokeOutcome::Disarmed(disarmed.join("; ")),
            (false, _) => RevokeOutcome::Remains(left.join("; ")),
        })
    }

    /// The fuses have nothing left to end.
    async fn tidy(&self, plan: &Plan, known: &[Artifact]) {
        let Ok(plan) = bindings(plan) else { return };
        let fuses = plan.bindings.iter().filter_map(|b| self.fuse_of(plan, b).map(|(jobs, name)| (b, jobs, name)));
        let deleted = fuses.map(|(b, jobs, name)| async move { fuse::delete(&jobs, &name, known_fuse(known, b, &name)).await });
        in_parts(deleted).collect::<()>().await;
    }

    async fn poll(&self, operation: &Operation) -> Result<OperationState, ProviderError> {
        Ok(OperationState::Failed(format!("a cluster has no long-running operation {}", operation.id)))
    }

    async fn enforced_by(&self, plan: &Plan) -> Result<EnforcedBy, ProviderError> {
        self.ended_by(bindings(plan)?).await
    }

    async fn expire_now(&self, plan: &Plan, known: &[Artifact]) -> Result<(), ProviderError> {
        let plan = bindings(plan)?;
        let fuses = plan.bindings.iter().filter_map(|b| self.fuse_of(plan, b).map(|(jobs, name)| (b, jobs, name)));
        let burnt = fuses.map(|(b, jobs, name)| async move { fuse::try_delete(&jobs, &name, known_fuse(known, b, &name)).await });
        // All are tried, even if one fails.
        let all: Vec<Result<(), ProviderError>> = in_parts(burnt).collect().await;
        all.into_iter().collect()
    }

    async fn managed(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        managed::list(&self.client).await
    }

    async fn remove(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
        managed::remove(&self.client, found).await
    }

    async fn missing_rights(&self) -> Result<Vec<String>, ProviderError> {
        self.missing_own().await
    }

    async fn missing_right(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.missing_bind(bindings(plan)?).await
    }

    async fn refusal(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.refused_fuse(bindings(plan)?).await
    }
}

/// Does all of this, a few at a time. The results come in the order of the work, and none begins after the caller has stopped asking.
fn in_parts<F: Future>(work: impl IntoIterator<Item = F>) -> impl Stream<Item = F::Output> {
    stream::iter(work.into_iter().collect::<Vec<F>>()).buffered(CONCURRENCY)
}

/// The uid of a binding's fuse, if we know it.
fn known_fuse<'a>(known: &'a [Artifact], b: &PlannedBinding, name: &BindingName) -> Option<&'a str> {
    let id = format!("{}/{}", b.namespace.as_deref().unwrap_or_default(), name.fuse());
    known.iter().find(|a| a.id == id).map(|a| a.uid.as_str())
}

/// The bindings of a plan.
fn bindings(plan: &Plan) -> Result<&KubernetesPlan, ProviderError> {
    match plan {
        Plan::Kubernetes(plan) => Ok(plan),
        _ => Err(ProviderError::Invalid("the plan is not of a Kubernetes cluster".into())),
    }
}

/// What a template names, for a cluster.
fn role<'a>(permissions: &'a Permissions, scope: &'a Scope) -> Result<(&'a kubernetes::Permissions, &'a kubernetes::Scope), ProviderError> {
    match (permissions, scope) {
        (Permissions::Kubernetes(permissions), Scope::Kubernetes(scope)) => Ok((permissions, scope)),
        _ => Err(ProviderError::Invalid("the role is not of a Kubernetes cluster".into())),
    }
}
