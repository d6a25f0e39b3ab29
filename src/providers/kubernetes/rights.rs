//! What the operator may do in a cluster, by access reviews of its own identity, and what a namespace would refuse. Asked when a
//! system or a template is judged.
use super::provider_error;
use super::{Kubernetes, fuse, in_parts};
use crate::{identity::rbac::AT_TARGET, providers::port::ProviderError};
use curfew_core::target::kubernetes::{Plan, RoleKind};
use futures::TryStreamExt;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

const RBAC: &str = "rbac.authorization.k8s.io";

impl Kubernetes {
    /// The rules that the operator lacks for its own objects, in any namespace: one for each resource.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn missing_own(&self) -> Result<Vec<String>, ProviderError> {
        let resources =
            AT_TARGET.iter().flat_map(|(group, resources, verbs)| resources.iter().map(move |resource| (*group, *resource, *verbs)));
        let asked = resources.map(|(group, resource, verbs)| async move {
            let mut lacking = Vec::new();
            for verb in verbs {
                if !self.is_allowed(ResourceAttributes { verb: Some((*verb).into()), ..attributes(group, resource) }).await? {
                    lacking.push(*verb);
                }
            }
            let rule = || format!("{{apiGroups: [{group}], resources: [{resource}], verbs: [{}]}}", lacking.join(", "));
            Ok::<_, ProviderError>((!lacking.is_empty()).then(rule))
        });
        let rules: Vec<Option<String>> = in_parts(asked).try_collect().await?;
        Ok(rules.into_iter().flatten().collect())
    }

    /// The right to bind that the operator lacks for a plan, with the rule to add.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn missing_bind(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        let mut roles: BTreeMap<(RoleKind, &str), Vec<Option<&str>>> = BTreeMap::new();
        for b in &plan.bindings {
            roles.entry((b.role_kind, &b.role)).or_default().push(b.namespace.as_deref());
        }
        // A right in every namespace is one question. Where it is missing, each namespace is one.
        let everywhere = roles.iter().map(|((kind, role), places)| async move {
            let allowed = places.len() > 1 && self.may_bind(*kind, role, None).await?;
            let open = if allowed { &[][..] } else { places.as_slice() };
            Ok::<_, ProviderError>(open.iter().map(move |place| (*kind, *role, *place)))
        });
        let open: Vec<_> = in_parts(everywhere).try_collect().await?;
        let each = open.into_iter().flatten().map(|(kind, role, place)| async move {
            Ok::<_, ProviderError>((!self.may_bind(kind, role, place).await?).then(|| lacking(kind, role)))
        });
        let mut each = pin!(in_parts(each));
        while let Some(missing) = each.try_next().await? {
            if missing.is_some() {
                return Ok(missing);
            }
        }
        Ok(None)
    }

    /// What a namespace of a plan refuses of its fuse, with what to change.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn refused_fuse(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        let Some(configured) = plan.fuse.job() else { return Ok(None) };
        let namespaces: BTreeSet<&String> = plan.bindings.iter().filter_map(|b| b.namespace.as_ref()).collect();
        let tried = namespaces.into_iter().map(|ns| async move {
            let refused = fuse::refusal(&self.jobs(ns), configured, self.clock.now()).await?;
            Ok::<_, ProviderError>(refused.map(|why| (ns, why)))
        });
        let mut tried = pin!(in_parts(tried));
        while let Some(refused) = tried.try_next().await? {
            if let Some((ns, why)) = refused {
                return Ok(Some(format!(
                    "namespace {ns} refuses the Job that ends a grant while no operator runs: {why}; change what refuses it, or \
                     spec.kubernetes.fuse of CurfewConfig: job: {{image, labels, annotations}}, or none: {{}}"
                )));
            }
        }
        Ok(None)
    }

    /// Whether the operator may bind a role in a namespace; without one, in all of them.
    async fn may_bind(&self, kind: RoleKind, role: &str, namespace: Option<&str>) -> Result<bool, ProviderError> {
        let (verb, name) = (Some("bind".into()), Some(role.to_owned()));
        self.is_allowed(ResourceAttributes { verb, name, namespace: namespace.map(str::to_owned), ..attributes(RBAC, resource(kind)) })
            .await
    }

    async fn is_allowed(&self, attributes: ResourceAttributes) -> Result<bool, ProviderError> {
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await.map_err(provider_error)?;
        Ok(answer.status.is_some_and(|s| s.allowed))
    }
}

fn attributes(group: &str, resource: &str) -> ResourceAttributes {
    ResourceAttributes { group: Some(group.into()), resource: Some(resource.into()), ..ResourceAttributes::default() }
}

/// The right that is missing to bind a role, with the rule to add.
fn lacking(kind: RoleKind, role: &str) -> String {
    let resource = resource(kind);
    format!(
        "the operator may not bind {resource}/{role}; add a rule {{apiGroups: [rbac.authorization.k8s.io], resources: [{resource}], resourceNames: [{role}], verbs: [bind]}} to a role of service account curfew-operator"
    )
}

const fn resource(kind: RoleKind) -> &'static str {
    match kind {
        RoleKind::ClusterRole => "clusterroles",
        RoleKind::Role => "roles",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authority::Clock, providers::kubernetes::Guard};
    use curfew_core::{
        principal::Subject,
        target::kubernetes::{Fuse, PlannedBinding},
    };
    use serde_json::json;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    /// Two roles in 64 namespaces.
    fn wide() -> Plan {
        let binding = |i: usize| PlannedBinding {
            name: format!("curfew:0123abcd:00000000000000a1:20261123T081500Z:{i}"),
            namespace: Some(format!("ns-{}", i % 64)),
            role_kind: RoleKind::ClusterRole,
            role: ["view", "edit"][i / 64].into(),
        };
        Plan { subject: Subject::User("alice".into()), bindings: (0..128).map(binding).collect(), fuse: Fuse::default() }
    }

    /// A cluster that allows to bind where `allows` says so, and how many calls it had, and had at a time.
    fn cluster(allows: fn(Option<&str>) -> bool) -> (Kubernetes, Arc<[AtomicUsize; 3]>) {
        let counts: Arc<[AtomicUsize; 3]> = Arc::default();
        let counted = counts.clone();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let counts = counted.clone();
            async move {
                let [calls, running, most] = &*counts;
                calls.fetch_add(1, Ordering::Relaxed);
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let asked = request.into_body().collect_bytes().await.expect("a body");
                let mut answer: serde_json::Value = serde_json::from_slice(&asked).expect("JSON");
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                if answer["kind"] == "SelfSubjectAccessReview" {
                    let namespace = answer["spec"]["resourceAttributes"]["namespace"].as_str().map(str::to_owned);
                    answer["status"] = json!({"allowed": allows(namespace.as_deref())});
                }
                running.fetch_sub(1, Ordering::Relaxed);
                let answer = http::Response::builder().status(200).body(kube::client::Body::from(answer.to_string().into_bytes()));
                Ok::<_, std::convert::Infallible>(answer.expect("an answer"))
            }
        });
        let cluster = Kubernetes::new(kube::Client::new(service, "default"), Arc::new(Clock::default()), None, Guard::probe());
        (cluster, counts)
    }

    fn seen(counts: &[AtomicUsize; 3]) -> (usize, usize) {
        (counts[0].load(Ordering::Relaxed), counts[2].load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_right_in_every_namespace_is_asked_for_once() {
        let (cluster, counts) = cluster(|_| true);
        assert_eq!(cluster.missing_bind(&wide()).await, Ok(None));
        assert_eq!(seen(&counts).0, 2, "one call for each role");
    }

    #[tokio::test]
    async fn rights_by_namespace_are_asked_for_a_few_at_a_time() {
        let (cluster, counts) = cluster(|namespace| namespace.is_some());
        assert_eq!(cluster.missing_bind(&wide()).await, Ok(None));
        let (calls, most) = seen(&counts);
        assert_eq!(calls, 2 + 128);
        assert!(most <= super::super::CONCURRENCY, "{most} at a time");
        let (lacks, _) = self::cluster(|namespace| namespace != Some("ns-63") && namespace.is_some());
        let missing = lacks.missing_bind(&wide()).await.expect("an answer").expect("a right is missing");
        assert!(missing.contains("resourceNames: [edit], verbs: [bind]"), "{missing}");
    }

    #[tokio::test]
    async fn a_fuse_is_tried_once_in_each_namespace_and_a_few_at_a_time() {
        let (cluster, counts) = cluster(|_| true);
        assert_eq!(cluster.refused_fuse(&wide()).await, Ok(None));
        let (calls, most) = seen(&counts);
        assert_eq!(calls, 64);
        assert!(most <= super::super::CONCURRENCY, "{most} at a time");
    }
}
