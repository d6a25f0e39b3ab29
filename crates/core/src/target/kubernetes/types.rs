//! What is granted in a Kubernetes cluster, as data: roles and scopes as they are written, as they are found and as they are frozen,
//! and the plan.
use super::{fuse::Fuse, persistence::Rule};
use crate::{digest::Digest, ids::Ref, principal::Subject, target::Empty};
use serde::{Deserialize, Serialize};

/// The scope in a Kubernetes cluster: `namespaces: [...]` or, in words, `clusterWide: {}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[cfg_attr(feature = "schema", schemars(rename = "KubernetesScope"))]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Only these namespaces.
    Namespaces(
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set")))]
         Vec<String>,
    ),
    /// The whole cluster: every namespace and everything without a namespace.
    ClusterWide(Empty),
}

impl Scope {
    /// Whether a namespace is inside.
    pub fn reaches(&self, namespace: &str) -> bool {
        match self {
            Scope::ClusterWide(_) => true,
            Scope::Namespaces(names) => names.iter().any(|n| n == namespace),
        }
    }
    /// The namespaces it names; none for the whole cluster.
    pub fn namespaces(&self) -> &[String] {
        match self {
            Scope::Namespaces(names) => names,
            Scope::ClusterWide(_) => &[],
        }
    }
}

/// ClusterRoles and Roles of a Kubernetes cluster; at least one of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "KubernetesPermissions", extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// ClusterRoles by name, bound in each namespace of the scope, or in the whole cluster.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_roles: Vec<String>,
    /// Roles by namespace and name, each bound in its own namespace, which must be in the scope.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleName>,
}

/// A Role by namespace and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoleName {
    /// The Role's namespace.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub namespace: String,
    /// The Role's name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub name: String,
}

/// Which kind of role a binding refers to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RoleKind {
    /// A ClusterRole.
    ClusterRole,
    /// A Role of one namespace.
    Role,
}

/// The roles and namespaces that a template names, as far as they exist in the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// The roles with their content.
    pub roles: Vec<RoleContent>,
    /// The namespaces with their uids.
    pub namespaces: Vec<Ref>,
    /// Those of them that are being deleted: nothing can be created there.
    pub terminating: Vec<String>,
}

impl Inventory {
    /// A role by kind, namespace and name.
    pub(crate) fn role(&self, kind: RoleKind, namespace: Option<&str>, name: &str) -> Option<&RoleContent> {
        self.roles.iter().find(|r| r.kind == kind && r.namespace.as_deref() == namespace && r.name == name)
    }
}

/// A role as the cluster holds it now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleContent {
    /// ClusterRole or Role.
    pub kind: RoleKind,
    /// The namespace of a Role.
    pub namespace: Option<String>,
    /// The role's name.
    pub name: String,
    /// The role's uid.
    pub uid: String,
    /// Digest of its rules in canonical form.
    pub rules: Digest,
    /// Its rules in canonical form; `None` if there are too many to freeze them.
    pub content: Option<Vec<Rule>>,
    /// Whether it has no rule at all.
    pub without_rules: bool,
    /// The rules that give nothing in a namespace, in words.
    pub cluster_only: Option<String>,
    /// What its holder could create that outlives the grant, in words.
    pub persistence: Option<String>,
}

/// The roles of an approval, with their content.
pub type GrantedPermissions = GrantedRoles;

/// One or more roles, with their content.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedRoles {
    /// The roles, sorted: ClusterRoles first, then Roles by namespace and name.
    #[cfg_attr(feature = "schema", schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic")))]
    pub roles: Vec<GrantedRole>,
}

/// One role with its content.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedRole {
    /// ClusterRole or Role.
    pub kind: RoleKind,
    /// The role's name.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// The namespace of a Role.
    #[cfg_attr(feature = "schema", schemars(length(max = 63)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The role's uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub uid: String,
    /// Digest of the role's rules in canonical form: a ClusterRole has no generation, and grows by aggregation under the same
    /// uid.
    pub rules: Digest,
    /// The role's rules in canonical form. An active grant ends if the role allows more. Schema 2 has none, and there a role of
    /// another digest or uid is another one.
    #[cfg_attr(feature = "schema", schemars(length(max = 65_536), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Rule>,
}

/// The scope of an approval, with the uids of its namespaces.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[cfg_attr(feature = "schema", schemars(rename = "KubernetesGrantedScope"))]
#[serde(rename_all = "camelCase")]
pub enum GrantedScope {
    /// These namespaces.
    Namespaces(#[cfg_attr(feature = "schema", schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic")))] Vec<Ref>),
    /// The whole cluster.
    ClusterWide(Empty),
}

/// The highest number of bindings of one grant.
pub const MAX_BINDINGS: usize = 1024;

/// Bindings in a Kubernetes cluster, one for each role and namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "KubernetesPlan"))]
pub struct Plan {
    /// The subject that every binding names once it is armed.
    pub subject: Subject,
    /// The bindings, in the order of the number that ends their names.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_BINDINGS), extend("x-kubernetes-list-type" = "atomic")))]
    pub bindings: Vec<PlannedBinding>,
    /// What ends each binding of a namespace while no operator runs, as it was configured. Absent: a Job as built.
    #[serde(default, skip_serializing_if = "Fuse::is_default")]
    pub fuse: Fuse,
}

/// One RoleBinding, or a ClusterRoleBinding where it has no namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedBinding {
    /// The binding's whole name: `curfew:<install>:<grant>:<deadline>:<n>`.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// The namespace of a RoleBinding; a ClusterRoleBinding has none.
    #[cfg_attr(feature = "schema", schemars(length(max = 63)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Which kind of role it binds.
    #[serde(rename = "roleKind")]
    pub role_kind: RoleKind,
    /// The role's name.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub role: String,
}
