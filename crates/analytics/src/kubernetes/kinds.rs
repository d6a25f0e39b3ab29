//! The kinds of an API server: from discovery documents, and the ones that only authorization knows.
use super::raw::or_default;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A resource or subresource, and the verbs that requests for it can have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: String,
    /// `pods` or `pods/log`.
    pub resource: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// The verbs.
    pub verbs: BTreeSet<String>,
    /// Whether no discovery document names it: a rule of a role does.
    pub assumed: bool,
}

/// What discovery shows.
#[derive(Clone, Default, Debug)]
pub struct Discovery {
    /// Kinds by group and resource.
    kinds: BTreeMap<(String, String), Kind>,
    /// Groups whose server did not answer when the document was written.
    pub stale: BTreeSet<String>,
}

/// A document is not one that lists resources.
#[derive(thiserror::Error, PartialEq, Eq, Debug)]
pub enum NotDiscovery {
    /// JSON of another shape.
    #[error("the document number {0} is not discovery: {1}")]
    Json(usize, String),
    /// Names groups, without their resources.
    #[error(
        "an APIGroupList names groups without resources; write one document per version instead: \
         (kubectl get --raw /api/v1; for v in $(kubectl api-versions | grep /); do kubectl get --raw /apis/$v; done) > discovery.json"
    )]
    GroupsOnly,
    /// Another kind of object.
    #[error("a {0} is not discovery; give APIResourceList documents or an APIGroupDiscoveryList")]
    Kind(String),
    /// What every cluster has is missing, so the document is a part.
    #[error(
        "{0} is missing, so this is only a part of the cluster's discovery; add the documents of /api/v1 and of every /apis/GROUP/VERSION"
    )]
    Partial(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    group_version: String,
    #[serde(default, deserialize_with = "or_default")]
    resources: Vec<Listed>,
    #[serde(default, deserialize_with = "or_default")]
    items: Vec<Group>,
}

/// A resource of an APIResourceList.
#[derive(Deserialize)]
struct Listed {
    name: String,
    namespaced: bool,
    #[serde(default, deserialize_with = "or_default")]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct Group {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default, deserialize_with = "or_default")]
    freshness: String,
    #[serde(default, deserialize_with = "or_default")]
    resources: Vec<Resource>,
}

/// A resource of an APIGroupDiscoveryList.
#[derive(Deserialize)]
struct Resource {
    resource: String,
    scope: String,
    #[serde(default, deserialize_with = "or_default")]
    verbs: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    subresources: Vec<Subresource>,
}

#[derive(Deserialize)]
struct Subresource {
    subresource: String,
    #[serde(default, deserialize_with = "or_default")]
    verbs: Vec<String>,
}

impl Discovery {
    /// Reads one or more documents, one after another: aggregated discovery (`APIGroupDiscoveryList`) or `APIResourceList`.
    ///
    /// # Errors
    /// If a document has another shape, or what every cluster serves is missing.
    pub fn parse(text: &str) -> Result<Self, NotDiscovery> {
        let mut found = Self::default();
        for (i, document) in serde_json::Deserializer::from_str(text).into_iter::<Document>().enumerate() {
            let document = document.map_err(|error| NotDiscovery::Json(i + 1, error.to_string()))?;
            match document.kind.as_str() {
                "APIResourceList" => found.list(&document),
                "APIGroupDiscoveryList" => document.items.into_iter().for_each(|group| found.group(group)),
                "APIGroupList" | "APIVersions" => return Err(NotDiscovery::GroupsOnly),
                other => return Err(NotDiscovery::Kind(if other.is_empty() { "document without a kind".into() } else { other.into() })),
            }
        }
        for (group, resource, name) in
            [("", "pods", "the core group (/api/v1)"), (super::RBAC, "roles", "the group rbac.authorization.k8s.io")]
        {
            if !found.kinds.contains_key(&(group.into(), resource.into())) {
                return Err(NotDiscovery::Partial(name));
            }
        }
        Ok(found)
    }
    /// The kinds by group and resource.
    pub fn into_kinds(self) -> BTreeMap<(String, String), Kind> {
        self.kinds
    }

    fn list(&mut self, document: &Document) {
        let group = document.group_version.rsplit_once('/').map_or("", |(group, _)| group);
        document.resources.iter().for_each(|listed| self.add(group, &listed.name, listed.namespaced, &listed.verbs));
    }
    fn group(&mut self, group: Group) {
        let name = group.metadata.name;
        for version in group.versions {
            if version.freshness == "Stale" {
                self.stale.insert(name.clone());
            }
            for resource in version.resources {
                let namespaced = resource.scope == "Namespaced";
                self.add(&name, &resource.resource, namespaced, &resource.verbs);
                for sub in resource.subresources {
                    self.add(&name, &format!("{}/{}", resource.resource, sub.subresource), namespaced, &sub.verbs);
                }
            }
        }
    }
    /// A kind that several versions serve has the verbs of all.
    fn add(&mut self, group: &str, resource: &str, namespaced: bool, verbs: &[String]) {
        let kind = self.kinds.entry((group.into(), resource.into())).or_insert_with(|| Kind {
            group: group.into(),
            resource: resource.into(),
            namespaced,
            verbs: BTreeSet::new(),
            assumed: false,
        });
        kind.verbs.extend(verbs.iter().filter(|verb| *verb != "proxy").cloned());
    }
}

/// What RBAC rules name and discovery does not (Kubernetes, "Authorization", "User impersonation", "Certificate signing requests",
/// "Kubelet authorization"): group, resource, namespaced, verbs.
pub const VIRTUAL: [(&str, &str, bool, &[&str]); 15] = [
    (super::RBAC, "roles", true, &["bind", "escalate"]),
    // The API server asks for `bind` in the namespace of the RoleBinding.
    (super::RBAC, "clusterroles", false, &["bind", "escalate"]),
    ("", "users", false, &["impersonate"]),
    ("", "groups", false, &["impersonate"]),
    ("", "serviceaccounts", true, &["impersonate"]),
    ("authentication.k8s.io", "uids", false, &["impersonate"]),
    ("authentication.k8s.io", "userextras", false, &["impersonate"]),
    ("certificates.k8s.io", "signers", false, &["approve", "attest", "sign"]),
    ("", "nodes/configz", false, &["get"]),
    ("", "nodes/healthz", false, &["get"]),
    ("", "nodes/log", false, &["get"]),
    ("", "nodes/metrics", false, &["get"]),
    ("", "nodes/pods", false, &["get"]),
    ("", "nodes/spec", false, &["get"]),
    ("", "nodes/stats", false, &["get"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[
        {"name":"pods","namespaced":true,"verbs":["get","list"]},{"name":"pods/log","namespaced":true,"verbs":["get"]}]}"#;
    const ROLES: &str = r#"{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"rbac.authorization.k8s.io"},"versions":[
        {"version":"v1","freshness":"Current","resources":[{"resource":"roles","scope":"Namespaced","verbs":["get"]}]}]},
        {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1","freshness":"Stale"}]}]}"#;

    #[test]
    fn both_forms_of_discovery_are_read_and_may_be_mixed() {
        let found = Discovery::parse(&format!("{CORE}\n{ROLES}")).unwrap();
        assert_eq!(found.stale, ["metrics.k8s.io".to_owned()].into());
        let kinds = found.into_kinds();
        assert_eq!(kinds.len(), 3);
        assert!(kinds[&(String::new(), "pods/log".into())].namespaced);
    }

    #[test]
    fn what_is_not_the_whole_discovery_is_refused_with_the_next_step() {
        let error = |text: &str| Discovery::parse(text).unwrap_err().to_string();
        assert!(error(r#"{"kind":"APIGroupList","groups":[]}"#).contains("kubectl get --raw /apis/$v"));
        assert!(error(CORE).contains("the group rbac.authorization.k8s.io is missing"));
        assert!(error(ROLES).contains("the core group (/api/v1) is missing"));
        assert!(error(r#"{"kind":"PodList","items":[]}"#).contains("a PodList is not discovery"));
        assert!(error("{").contains("document number 1 is not discovery"));
    }
}
