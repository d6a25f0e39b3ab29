//! The content of a cluster's roles and the uids of its namespaces, as the rules read them.
use super::Watched;
use crate::runtime::shared_reads::SharedReads;
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
use std::{collections::HashMap, sync::Arc};

/// Live reads of roles and namespaces, which requests and Grants share that need them at the same time.
#[derive(Default)]
pub struct Reads {
    cluster_roles: SharedReads<String, Option<Arc<ClusterRole>>>,
    roles: SharedReads<RoleName, Option<Arc<Role>>>,
    namespaces: SharedReads<String, Option<Arc<Namespace>>>,
    contents: Contents,
}

impl Reads {
    /// Reads the roles that are named and the namespaces in the scope, live, as far as they exist.
    ///
    /// # Errors
    /// If the API server cannot be read.
    pub async fn live(&self, client: &Client, permissions: &Permissions, scope: &Scope) -> kube::Result<Inventory> {
        let cluster_roles = try_join_all(permissions.cluster_roles.iter().map(async |name| {
            let (api, of) = (Api::<ClusterRole>::all(client.clone()), name.clone());
            self.cluster_roles.read(name.clone(), async move || Ok(api.get_opt(&of).await?.map(Arc::new))).await
        }));
        let roles = try_join_all(permissions.roles.iter().map(async |role| {
            let (api, of) = (Api::<Role>::namespaced(client.clone(), &role.namespace), role.name.clone());
            self.roles.read(role.clone(), async move || Ok(api.get_opt(&of).await?.map(Arc::new))).await
        }));
        let namespaces = try_join_all(scope.namespaces().iter().map(async |name| {
            let (api, of) = (Api::<Namespace>::all(client.clone()), name.clone());
            self.namespaces.read(name.clone(), async move || Ok(api.get_opt(&of).await?.map(Arc::new))).await
        }));
        let (cluster_roles, roles, namespaces) = futures::try_join!(cluster_roles, roles, namespaces)?;
        Ok(self.inventory(cluster_roles.into_iter().flatten(), roles.into_iter().flatten(), namespaces.into_iter().flatten()))
    }

    /// The same from what the watches of the operator's own cluster show.
    pub fn cached(&self, caches: &Watched, permissions: &Permissions, scope: &Scope) -> Inventory {
        let cluster_roles = permissions.cluster_roles.iter().filter_map(|n| caches.cluster_roles.get(&ObjectRef::new(n)));
        let roles = permissions.roles.iter().filter_map(|r| caches.roles.get(&ObjectRef::new(&r.name).within(&r.namespace)));
        let namespaces = scope.namespaces().iter().filter_map(|n| caches.namespaces.get(&ObjectRef::new(n)));
        self.inventory(cluster_roles, roles, namespaces)
    }

    fn inventory(
        &self,
        cluster_roles: impl Iterator<Item = Arc<ClusterRole>>,
        roles: impl Iterator<Item = Arc<Role>>,
        namespaces: impl Iterator<Item = Arc<Namespace>>,
    ) -> Inventory {
        let cluster_roles = cluster_roles.map(|r| self.contents.of(&*r, cluster_role));
        let roles = roles.map(|r| self.contents.of(&*r, role));
        let namespaces: Vec<_> = namespaces.collect();
        Inventory {
            roles: cluster_roles.chain(roles).collect(),
            namespaces: namespaces.iter().map(|n| namespace_ref(n)).collect(),
            terminating: namespaces.iter().filter(|n| is_terminating(n)).map(|n| n.name_any()).collect(),
        }
    }
}

/// How many contents are remembered.
const MAX_REMEMBERED: usize = 4096;

/// The contents of roles by uid and version: they are asked for with each request and Grant, and seldom change.
#[derive(Default)]
struct Contents(Mutex<HashMap<String, (String, RoleContent)>>);

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
