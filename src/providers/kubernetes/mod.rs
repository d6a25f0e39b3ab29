//! Kubernetes: bindings that carry grant and deadline in their names.
//!
//! RBAC has no expiry, and its kinds are created on update: a PUT or an apply brings a deleted binding back, armed. So a
//! place is *reserved* by a POST without subjects, and *armed* by a merge patch that names its uid and version. A revoker
//! deletes the reservation, and a late arm is answered 404 or 409.
mod binding;
mod revoke;

pub use binding::{Bound, resource};

use super::port::{Held, Provider, Taken, Trouble};
use crate::{api::grant::Artifact, authority::Permit};
use async_trait::async_trait;
use curfew_core::{
    grant::Seen,
    pass::Reservation,
    resolved::{KubernetesPlan, Plan, PlannedBinding, RoleKind},
};
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Namespace,
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    runtime::reflector::{ObjectRef, Store},
};
use std::sync::Arc;

/// A cluster.
pub struct Kubernetes {
    client: Client,
    /// Our marked RoleBindings and ClusterRoleBindings, by watch.
    namespaced: Store<DynamicObject>,
    cluster_wide: Store<DynamicObject>,
}

impl Kubernetes {
    /// A cluster by its client and the watches over our marks.
    pub fn new(client: Client, namespaced: Store<DynamicObject>, cluster_wide: Store<DynamicObject>) -> Self {
        Kubernetes { client, namespaced, cluster_wide }
    }

    fn api(&self, b: &PlannedBinding) -> Api<DynamicObject> {
        let kind = resource(b.namespace.is_some());
        match &b.namespace {
            Some(n) => Api::namespaced_with(self.client.clone(), n, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        }
    }

    fn watched(&self, b: &PlannedBinding) -> Option<Arc<DynamicObject>> {
        let store = if b.namespace.is_some() { &self.namespaced } else { &self.cluster_wide };
        let mut key = ObjectRef::new_with(&b.name, resource(b.namespace.is_some()));
        key.namespace.clone_from(&b.namespace);
        store.get(&key)
    }

    async fn live(&self, b: &PlannedBinding) -> Result<Option<Bound>, Trouble> {
        Ok(self.api(b).get_opt(&b.name).await.map_err(trouble)?.map(|o| Bound::of(&o)))
    }

    async fn reserve_one(&self, grant: &str, plan: &KubernetesPlan, b: &PlannedBinding) -> Result<Result<Bound, String>, Trouble> {
        match self.api(b).create(&PostParams::default(), &binding::reservation(grant, b)).await {
            Ok(o) => Ok(Ok(Bound::of(&o))),
            Err(kube::Error::Api(s)) if s.code == 409 => match self.live(b).await? {
                Some(found) if found.is_ours(grant, b) && (found.subjects.is_empty() || found.is_armed(plan)) => Ok(Ok(found)),
                Some(_) => Ok(Err(format!("{} exists already and is not ours", binding::id(b)))),
                None => Err(Trouble::Transient { message: format!("{} came and went", binding::id(b)), retry_after: None }),
            },
            Err(e) => Err(trouble(e)),
        }
    }

    async fn observe_one(&self, plan: &KubernetesPlan, b: &PlannedBinding) -> Result<Seen, Trouble> {
        let right = |found: &Bound| found.is_armed(plan) && found.binds(b) && !found.deleting;
        // A watch may lag behind our own write, so it is believed only where it shows what should be.
        if self.watched(b).is_some_and(|o| right(&Bound::of(&o))) {
            return Ok(Seen::Present);
        }
        Ok(match self.live(b).await? {
            None => Seen::Absent,
            Some(found) if right(&found) => Seen::Present,
            Some(_) => Seen::Drifted,
        })
    }
}

#[async_trait]
impl Provider for Kubernetes {
    async fn identity(&self) -> Result<String, Trouble> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let home = namespaces.get("kube-system").await.map_err(trouble)?;
        home.metadata.uid.ok_or_else(|| Trouble::Invalid("namespace kube-system has no uid".into()))
    }

    async fn observe(&self, plan: &Plan) -> Result<Seen, Trouble> {
        let Plan::Kubernetes(plan) = plan;
        let all = try_join_all(plan.bindings.iter().map(|b| self.observe_one(plan, b))).await?;
        Ok(match () {
            () if all.iter().all(|s| *s == Seen::Present) => Seen::Present,
            () if all.iter().all(|s| *s == Seen::Absent) => Seen::Absent,
            () => Seen::Drifted,
        })
    }

    async fn reserve(&self, grant: &str, plan: &Plan, _: &Permit) -> Result<Held, Trouble> {
        let Plan::Kubernetes(plan) = plan;
        let mut places = Vec::new();
        for outcome in join_all(plan.bindings.iter().map(|b| self.reserve_one(grant, plan, b))).await {
            match outcome? {
                Ok(found) => places.push((found.uid.as_str().into(), found.version.as_str().into())),
                Err(stranger) => return Ok(Held::Occupied(stranger)),
            }
        }
        Ok(Held::Reserved(Reservation(Arc::new(places))))
    }

    async fn arm(&self, _: &str, plan: &Plan, reservation: &Reservation, _: &Permit) -> Result<Vec<Artifact>, Trouble> {
        let Plan::Kubernetes(plan) = plan;
        if reservation.0.len() != plan.bindings.len() {
            return Err(Trouble::Invalid("the reservation is not of this plan".into()));
        }
        let arms = plan.bindings.iter().zip(reservation.0.iter()).map(|(b, (uid, version))| async move {
            // uid and version together: neither a changed nor a re-created object is armed, and a deleted one stays deleted.
            let patch =
                serde_json::json!({"metadata": {"uid": uid, "resourceVersion": version}, "subjects": [binding::subject(&plan.subject)]});
            let o = self.api(b).patch(&b.name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(trouble)?;
            let found = Bound::of(&o);
            if !found.is_armed(plan) || !found.binds(b) {
                return Err(Trouble::Invalid(format!("{} was stored otherwise than sent", binding::id(b))));
            }
            Ok(Artifact { kind: resource(b.namespace.is_some()).kind, id: binding::id(b), uid: found.uid })
        });
        try_join_all(arms).await
    }

    async fn revoke(&self, grant: &str, plan: &Plan, known: &[Artifact]) -> Result<Taken, Trouble> {
        let Plan::Kubernetes(plan) = plan;
        // All are tried, whatever becomes of one.
        let all = join_all(plan.bindings.iter().map(|b| async move {
            let uid = known.iter().find(|a| a.id == binding::id(b)).map(|a| a.uid.clone());
            revoke::one(&self.api(b), grant, b, uid).await
        }))
        .await;
        let mut left = Vec::new();
        for outcome in all {
            if let Taken::Remains(what) = outcome? {
                left.push(what);
            }
        }
        Ok(if left.is_empty() { Taken::Gone } else { Taken::Remains(left.join("; ")) })
    }

    async fn bindable(&self, plan: &Plan) -> Result<Option<String>, Trouble> {
        let Plan::Kubernetes(plan) = plan;
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        for b in &plan.bindings {
            let (resource, here) = match b.role_kind {
                RoleKind::ClusterRole => ("clusterroles", b.namespace.clone()),
                RoleKind::Role => ("roles", b.namespace.clone()),
            };
            let attributes = ResourceAttributes {
                group: Some("rbac.authorization.k8s.io".into()),
                resource: Some(resource.into()),
                verb: Some("bind".into()),
                name: Some(b.role.clone()),
                namespace: here,
                ..ResourceAttributes::default()
            };
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            let answer = reviews.create(&PostParams::default(), &review).await.map_err(trouble)?;
            if !answer.status.is_some_and(|s| s.allowed) {
                return Ok(Some(format!(
                    "the operator may not bind {resource}/{}; add a rule {{apiGroups: [rbac.authorization.k8s.io], resources: [{resource}], resourceNames: [{}], verbs: [bind]}} to a role of service account curfew-operator",
                    b.role, b.role
                )));
            }
        }
        Ok(None)
    }
}

/// What an error of the API server means for us.
pub(crate) fn trouble(e: kube::Error) -> Trouble {
    match e {
        kube::Error::Api(s) if s.code == 404 => Trouble::Gone,
        kube::Error::Api(s) if matches!(s.code, 401 | 403) => Trouble::Denied(s.message.clone()),
        kube::Error::Api(s) if matches!(s.code, 400 | 422) => Trouble::Invalid(s.message.clone()),
        other => Trouble::Transient { message: other.to_string(), retry_after: None },
    }
}
