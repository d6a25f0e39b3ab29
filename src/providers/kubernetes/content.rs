//! The content of a cluster's roles and the uids of its namespaces, as the rules read them.
use super::Watched;
use curfew_core::{
    resolved::Ref,
    target::kubernetes::{
        Inventory, Permissions, RoleContent, RoleKind, RoleName, Scope, lasting,
        persistence::{self, Rule},
        reach,
    },
};
use futures::future::try_join_all;
use k8s_openapi::api::{
    core::v1::Namespace,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use kube::{Api, Client, ResourceExt, runtime::reflector::ObjectRef};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Reads the roles that are named and the namespaces in the scope, live, as far as they exist.
///
/// # Errors
/// If the API server cannot be read.
pub async fn read(client: &Client, permissions: &Permissions, scope: &Scope) -> kube::Result<Inventory> {
    let (cluster_roles, namespaces) = (Api::<ClusterRole>::all(client.clone()), Api::<Namespace>::all(client.clone()));
    let cluster_roles = try_join_all(permissions.cluster_roles.iter().map(|name| cluster_roles.get_opt(name)));
    let named = |r: &RoleName| (Api::<Role>::namespaced(client.clone(), &r.namespace), r.name.clone());
    let roles = try_join_all(permissions.roles.iter().map(named).map(|(api, name)| async move { api.get_opt(&name).await }));
    let namespaces = try_join_all(scope.namespaces().iter().map(|name| namespaces.get_opt(name)));
    let (cluster_roles, roles, namespaces) = futures::try_join!(cluster_roles, roles, namespaces)?;
    Ok(Inventory {
        roles: cluster_roles.iter().flatten().map(cluster_role).chain(roles.iter().flatten().map(role)).collect(),
        namespaces: namespaces.iter().flatten().map(namespace_ref).collect(),
        terminating: namespaces.iter().flatten().filter(|n| is_terminating(n)).map(ResourceExt::name_any).collect(),
    })
}

/// The same from what the watches of the operator's own cluster show.
pub fn cached(caches: &Watched, permissions: &Permissions, scope: &Scope) -> Inventory {
    let cluster_roles = permissions.cluster_roles.iter().filter_map(|n| caches.cluster_roles.get(&ObjectRef::new(n)));
    let roles = permissions.roles.iter().filter_map(|r| caches.roles.get(&ObjectRef::new(&r.name).within(&r.namespace)));
    let cluster_roles = cluster_roles.map(|r| caches.contents.of(&*r, cluster_role));
    let roles = roles.map(|r| caches.contents.of(&*r, role));
    let namespaces: Vec<_> = scope.namespaces().iter().filter_map(|n| caches.namespaces.get(&ObjectRef::new(n))).collect();
    Inventory {
        roles: cluster_roles.chain(roles).collect(),
        namespaces: namespaces.iter().map(|n| namespace_ref(n)).collect(),
        terminating: namespaces.iter().filter(|n| is_terminating(n)).map(|n| n.name_any()).collect(),
    }
}

/// How many contents are remembered.
const MAX_REMEMBERED: usize = 4096;

/// The contents of roles by uid and version: they are asked for with each request and Grant, and seldom change.
#[derive(Default)]
pub struct Contents(Mutex<HashMap<String, (String, RoleContent)>>);

impl Contents {
    fn of<K: ResourceExt>(&self, object: &K, read: impl Fn(&K) -> RoleContent) -> RoleContent {
        let (Some(uid), Some(version)) = (object.uid(), object.resource_version()) else { return read(object) };
        if let Some((_, known)) = self.0.lock().get(&uid).filter(|(of, _)| *of == version) {
            return known.clone();
        }
        let content = read(object);
        let mut all = self.0.lock();
        if all.len() >= MAX_REMEMBERED {
            all.clear();
        }
        all.insert(uid, (version, content.clone()));
        content
    }
}

/// A namespace by name and uid.
pub fn namespace_ref(n: &Namespace) -> Ref {
    reference(n)
}

/// Nothing can be created in a namespace that is being deleted.
fn is_terminating(n: &Namespace) -> bool {
    n.metadata.deletion_timestamp.is_some()
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
    let (digest, content) = persistence::digest_and_canonical(rules);
    RoleContent {
        kind,
        namespace,
        name: r.name,
        uid: r.uid,
        rules: digest,
        content,
        without_rules: rules.is_empty(),
        cluster_only: reach::cluster_only(rules),
        persistence: lasting::persistence(rules),
    }
}
