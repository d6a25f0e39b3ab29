//! What an approval is about: everything that would be granted, frozen, with a digest over it.
use crate::{approval::ApprovalStage, digest::Digest, duration::Duration, principal::Subject, scope::Empty, time::Time};
use serde::{Deserialize, Serialize};

/// An object as it was: its name and the uid that only this one ever had.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ref {
    /// The object's name.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// The object's uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub uid: String,
}

/// The system and what it really is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SystemRef {
    /// The AuthorizationSystem's name.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// The AuthorizationSystem's uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub uid: String,
    /// What the target says it is: of a Kubernetes cluster, the uid of its namespace kube-system.
    #[cfg_attr(feature = "schema", schemars(length(max = 512)))]
    pub target: String,
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

/// One role with its content.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolvedRole {
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
    /// Digest of the role's rules: a ClusterRole has no generation, and grows by aggregation under the same uid.
    pub rules: Digest,
}

/// The reach in a Kubernetes cluster, with the uids of its namespaces.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum ResolvedScope {
    /// These namespaces.
    Namespaces(#[cfg_attr(feature = "schema", schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic")))] Vec<Ref>),
    /// The whole cluster.
    ClusterWide(Empty),
}

/// Everything that would be granted. Its digest is what an approval names; a description or a limit is not part of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resolved {
    /// Version of this form; digests of different versions never compare.
    #[cfg_attr(feature = "schema", schemars(length(max = 16)))]
    pub version: String,
    /// The request's uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub request: String,
    /// Who asked, by user name.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub requester: String,
    /// Who will hold the access.
    pub beneficiary: Subject,
    /// The name of the beneficiary at the target.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub principal: String,
    /// Where the access will be.
    pub system: SystemRef,
    /// The RoleTemplate.
    pub role: Ref,
    /// The EligibleAssignment that makes the requester eligible.
    pub assignment: Ref,
    /// The AccessPolicy that allows it.
    pub policy: Ref,
    /// The roles and their content.
    #[cfg_attr(feature = "schema", schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic")))]
    pub permissions: Vec<ResolvedRole>,
    /// How far it reaches.
    pub scope: ResolvedScope,
    /// For how long, from the moment of activation.
    pub duration: Duration,
    /// When it starts, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Time>,
    /// The stages that must approve, in order; none means that nobody needs to.
    #[cfg_attr(feature = "schema", schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic")))]
    pub approval: Vec<ApprovalStage>,
}

/// The current version of [`Resolved`].
pub const RESOLVED_VERSION: &str = "v1";

impl Resolved {
    /// What an approval names.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }
    /// What is left when the way to the decision is put aside: the effects alone. If these differ, an active grant is not the same access any more.
    pub fn effects(&self) -> Digest {
        Digest::of(&(&self.beneficiary, &self.principal, &self.system, &self.permissions, &self.scope))
    }
}

/// What a Grant writes into its target.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Plan {
    /// Bindings in a Kubernetes cluster.
    Kubernetes(KubernetesPlan),
}

/// Bindings in a Kubernetes cluster, one for each role and namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KubernetesPlan {
    /// The subject that every binding names once it is armed.
    pub subject: Subject,
    /// The bindings, in the order of the number that ends their names.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024), extend("x-kubernetes-list-type" = "atomic")))]
    pub bindings: Vec<PlannedBinding>,
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

impl KubernetesPlan {
    /// One binding for each role and namespace, named so that grant, install and deadline can be read off it without any other object.
    pub fn of(r: &Resolved, install: &str, grant: &str, deadline: Time) -> Self {
        let wheres: Vec<Option<&str>> = match &r.scope {
            ResolvedScope::ClusterWide(_) => vec![None],
            ResolvedScope::Namespaces(n) => n.iter().map(|n| Some(n.name.as_str())).collect(),
        };
        let mut bindings = Vec::new();
        for role in &r.permissions {
            let here: Vec<Option<&str>> = role.namespace.as_deref().map_or_else(|| wheres.clone(), |n| vec![Some(n)]);
            for namespace in here {
                let name = format!("curfew:{install}:{grant}:{}:{}", deadline.compact(), bindings.len());
                bindings.push(PlannedBinding {
                    name,
                    namespace: namespace.map(str::to_owned),
                    role_kind: role.kind,
                    role: role.name.clone(),
                });
            }
        }
        KubernetesPlan { subject: r.beneficiary.clone(), bindings }
    }
}
