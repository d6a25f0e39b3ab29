//! What a cluster's roles hold, as the rules read it.
use curfew_core::{
    persistence::{self, Rule},
    policy_inputs::RoleContent,
    resolved::{Ref, RoleKind},
    scope::{KubernetesPermissions, KubernetesScope},
};
use futures::future::try_join_all;
use k8s_openapi::api::{
    core::v1::Namespace,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use kube::{Api, Client, ResourceExt};

/// Reads the roles that are named and the namespaces that are reached, live, as far as they exist.
///
/// # Errors
/// If the API server cannot be asked.
pub async fn read(client: &Client, p: &KubernetesPermissions, scope: &KubernetesScope) -> kube::Result<(Vec<RoleContent>, Vec<Ref>)> {
    let names: &[String] = match scope {
        KubernetesScope::Namespaces(n) => n,
        KubernetesScope::ClusterWide(_) => &[],
    };
    let (clusters, spaces) = (Api::<ClusterRole>::all(client.clone()), Api::<Namespace>::all(client.clone()));
    let clusters = try_join_all(p.cluster_roles.iter().map(|n| clusters.get_opt(n)));
    let locals =
        try_join_all(p.roles.iter().map(|r| async move { Api::<Role>::namespaced(client.clone(), &r.namespace).get_opt(&r.name).await }));
    let spaces = try_join_all(names.iter().map(|n| spaces.get_opt(n)));
    let (clusters, locals, spaces) = futures::try_join!(clusters, locals, spaces)?;
    let roles = clusters.iter().flatten().map(cluster_role).chain(locals.iter().flatten().map(role)).collect();
    Ok((roles, spaces.iter().flatten().map(namespace_ref).collect()))
}

/// A namespace and the uid that only this one ever had.
pub fn namespace_ref(n: &Namespace) -> Ref {
    reference(n)
}

fn reference<K: ResourceExt>(o: &K) -> Ref {
    Ref { name: o.name_any(), uid: o.uid().unwrap_or_default() }
}

fn rules(list: Option<&[PolicyRule]>) -> Vec<Rule> {
    let strings = |o: &Option<Vec<String>>| o.clone().unwrap_or_default();
    list.unwrap_or_default()
        .iter()
        .map(|r| Rule {
            api_groups: strings(&r.api_groups),
            resources: strings(&r.resources),
            resource_names: strings(&r.resource_names),
            verbs: r.verbs.clone(),
            non_resource_urls: strings(&r.non_resource_urls),
        })
        .collect()
}

/// A ClusterRole's content.
pub fn cluster_role(r: &ClusterRole) -> RoleContent {
    content(RoleKind::ClusterRole, None, reference(r), &rules(r.rules.as_deref()))
}

/// A Role's content.
pub fn role(r: &Role) -> RoleContent {
    content(RoleKind::Role, r.namespace(), reference(r), &rules(r.rules.as_deref()))
}

fn content(kind: RoleKind, namespace: Option<String>, r: Ref, rules: &[Rule]) -> RoleContent {
    let persistence = persistence::persistence(rules).map(str::to_owned);
    RoleContent { kind, namespace, name: r.name, uid: r.uid, rules: persistence::digest(rules), persistence }
}
