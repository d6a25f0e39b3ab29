//! Which objects of the operator's own cluster a template's content is read from. Pure.
use super::{
    PermissionsByProvider, ScopeByProvider,
    kubernetes::{self, RoleKind, held::parts},
};

/// An object whose change may change what a template grants.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ContentSource {
    /// A ClusterRole, by name.
    ClusterRole(String),
    /// A Role, by namespace and name.
    Role(String, String),
    /// A namespace, by name.
    Namespace(String),
}

/// The objects that a template with these permissions and this scope is read from.
pub fn content_sources(permissions: &PermissionsByProvider, scope: &ScopeByProvider) -> Vec<ContentSource> {
    let permissions = permissions.kubernetes.iter();
    let roles = permissions.flat_map(|permissions| {
        let cluster_roles = permissions.cluster_roles.iter().cloned().map(ContentSource::ClusterRole);
        cluster_roles.chain(permissions.roles.iter().map(|role| ContentSource::Role(role.namespace.clone(), role.name.clone())))
    });
    let namespaces = scope.kubernetes.iter().flat_map(|scope| scope.namespaces().iter().cloned().map(ContentSource::Namespace));
    roles.chain(namespaces).collect()
}

/// The roles that a plan binds.
pub fn plan_sources(plan: &kubernetes::Plan) -> Vec<ContentSource> {
    let source = |binding: &kubernetes::PlannedBinding| match binding.role_kind {
        RoleKind::ClusterRole => ContentSource::ClusterRole(binding.role.clone()),
        RoleKind::Role => ContentSource::Role(binding.namespace.clone().unwrap_or_default(), binding.role.clone()),
    };
    parts(plan).into_iter().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::kubernetes::{Permissions, RoleName, Scope};

    #[test]
    fn a_template_is_read_from_the_roles_and_namespaces_that_it_names() {
        let role = RoleName { namespace: "payments".into(), name: "view".into() };
        let permissions = Permissions { cluster_roles: vec!["edit".into()], roles: vec![role] };
        let permissions = PermissionsByProvider { kubernetes: Some(permissions), ..PermissionsByProvider::default() };
        let scope = ScopeByProvider { kubernetes: Some(Scope::Namespaces(vec!["payments".into()])), ..ScopeByProvider::default() };
        let expected = [
            ContentSource::ClusterRole("edit".into()),
            ContentSource::Role("payments".into(), "view".into()),
            ContentSource::Namespace("payments".into()),
        ];
        assert_eq!(content_sources(&permissions, &scope), expected);
        assert!(content_sources(&PermissionsByProvider::default(), &ScopeByProvider::default()).is_empty());
    }
}
