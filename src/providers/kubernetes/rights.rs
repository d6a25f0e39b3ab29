//! What the operator may do in a cluster, by access reviews of its own identity.
use super::provider_error;
use crate::{identity::rbac::AT_TARGET, providers::port::ProviderError};
use curfew_core::target::kubernetes::PlannedBinding;
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};

const RBAC: &str = "rbac.authorization.k8s.io";

/// The rules that the operator lacks for its own objects, in any namespace: one for each resource.
pub async fn missing(client: &Client) -> Result<Vec<String>, ProviderError> {
    let mut rules = Vec::new();
    for (group, resources, verbs) in AT_TARGET {
        for resource in resources {
            let asked = verbs.iter().map(|verb| async move {
                let attributes = ResourceAttributes { verb: Some((*verb).into()), ..attributes(group, resource) };
                Ok::<_, ProviderError>((*verb, is_allowed(client, attributes).await?))
            });
            let answers = try_join_all(asked).await?;
            let lacking: Vec<&str> = answers.iter().filter(|(_, allowed)| !allowed).map(|(verb, _)| *verb).collect();
            if !lacking.is_empty() {
                rules.push(format!("{{apiGroups: [{group}], resources: [{resource}], verbs: [{}]}}", lacking.join(", ")));
            }
        }
    }
    Ok(rules)
}

/// Whether the operator may bind the role of a binding.
pub async fn may_bind(client: &Client, resource: &str, b: &PlannedBinding) -> Result<bool, ProviderError> {
    let (verb, name) = (Some("bind".into()), Some(b.role.clone()));
    is_allowed(client, ResourceAttributes { verb, name, namespace: b.namespace.clone(), ..attributes(RBAC, resource) }).await
}

fn attributes(group: &str, resource: &str) -> ResourceAttributes {
    ResourceAttributes { group: Some(group.into()), resource: Some(resource.into()), ..ResourceAttributes::default() }
}

async fn is_allowed(client: &Client, attributes: ResourceAttributes) -> Result<bool, ProviderError> {
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(provider_error)?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
