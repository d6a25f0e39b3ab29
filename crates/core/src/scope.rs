//! Where and what: the reach of a role and the permissions it holds, by provider.
use serde::{Deserialize, Serialize};

/// An empty choice, written `{}`: the name of the member says it all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Empty {}

/// How far a role reaches, by provider. At least one provider; one that is left out is out of reach.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
pub struct Scope {
    /// The reach in a Kubernetes cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesScope>,
}

/// The reach in a Kubernetes cluster: `namespaces: [...]` or, said in words, `clusterWide: {}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum KubernetesScope {
    /// Only in these namespaces.
    Namespaces(
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set")))]
         Vec<String>,
    ),
    /// In the whole cluster: every namespace and whatever has none.
    ClusterWide(Empty),
}

impl KubernetesScope {
    /// The first thing that reaches beyond `outer`, or nothing if all of it is inside.
    pub fn beyond(&self, outer: &KubernetesScope) -> Option<String> {
        use KubernetesScope::*;
        match (self, outer) {
            (_, ClusterWide(_)) => None,
            (ClusterWide(_), Namespaces(_)) => Some("the whole cluster".into()),
            (Namespaces(mine), Namespaces(theirs)) => mine.iter().find(|n| !theirs.contains(n)).map(|n| format!("namespace {n}")),
        }
    }
    /// What both reach; nothing if they do not meet.
    pub fn meet(&self, other: &KubernetesScope) -> Option<KubernetesScope> {
        use KubernetesScope::*;
        match (self, other) {
            (x, ClusterWide(_)) | (ClusterWide(_), x) => Some(x.clone()),
            (Namespaces(a), Namespaces(b)) => {
                let both: Vec<_> = a.iter().filter(|n| b.contains(n)).cloned().collect();
                (!both.is_empty()).then_some(Namespaces(both))
            }
        }
    }
    /// Whether a namespace lies inside.
    pub fn reaches(&self, namespace: &str) -> bool {
        match self {
            KubernetesScope::ClusterWide(_) => true,
            KubernetesScope::Namespaces(n) => n.iter().any(|x| x == namespace),
        }
    }
}

/// What a role holds, by provider. At least one provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
pub struct Permissions {
    /// ClusterRoles and Roles of a Kubernetes cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesPermissions>,
}

/// ClusterRoles and Roles of a Kubernetes cluster; at least one of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub struct KubernetesPermissions {
    /// ClusterRoles by name, bound in each namespace of the scope, or cluster-wide.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_roles: Vec<String>,
    /// Roles by namespace and name, each bound in its own namespace, which must lie in the scope.
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

/// Whether a policy's pattern allows a name: the name itself, or `*` as its whole last segment (segments end at `:`, `.` or `/`).
pub fn allows(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == name,
        Some("") => true,
        Some(head) => {
            head.ends_with([':', '.', '/'])
                && name.len() > head.len()
                && name.starts_with(head)
                && !name[head.len()..].contains([':', '.', '/'])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(names: &[&str]) -> KubernetesScope {
        KubernetesScope::Namespaces(names.iter().map(|n| n.to_string()).collect())
    }
    const WIDE: KubernetesScope = KubernetesScope::ClusterWide(Empty {});

    #[test]
    fn a_scope_never_widens() {
        assert_eq!(ns(&["a"]).beyond(&ns(&["a", "b"])), None);
        assert_eq!(ns(&["a", "c"]).beyond(&ns(&["a", "b"])), Some("namespace c".into()));
        assert_eq!(WIDE.beyond(&ns(&["a"])), Some("the whole cluster".into()));
        assert_eq!(WIDE.beyond(&WIDE), None);
        assert_eq!(ns(&["a", "b"]).meet(&ns(&["b", "c"])), Some(ns(&["b"])));
        assert_eq!(ns(&["a"]).meet(&ns(&["b"])), None);
        assert_eq!(WIDE.meet(&ns(&["a"])), Some(ns(&["a"])));
    }

    #[test]
    fn a_star_is_a_whole_last_segment_or_everything() {
        assert!(allows("view", "view") && !allows("view", "viewer"));
        assert!(allows("payments:*", "payments:admin") && !allows("payments:*", "payments:a:b") && !allows("payments:*", "payments:"));
        assert!(!allows("pay*", "payments"), "a star in the middle of a segment is no pattern");
        assert!(allows("*", "anything:at/all"));
    }
}
