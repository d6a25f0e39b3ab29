//! The kinds that tests read and write, under the names that kubectl knows them by.
use anyhow::{Context, Result};
use kube::api::ApiResource;

/// A kind of the Kubernetes API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    /// As in manifests.
    pub kind: &'static str,
    plural: &'static str,
    short: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    namespaced: bool,
) -> Kind {
    Kind { group, version, kind, plural, short, namespaced }
}

const CURFEW: &str = "curfew.dev";
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

const KINDS: &[Kind] = &[
    kind(CURFEW, "v1alpha1", "ActivationRequest", "activationrequests", "areq", true),
    kind(CURFEW, "v1alpha1", "AccessDecision", "accessdecisions", "adec", true),
    kind(CURFEW, "v1alpha1", "RoleTemplate", "roletemplates", "rtpl", true),
    kind(CURFEW, "v1alpha1", "EligibleAssignment", "eligibleassignments", "eas", true),
    kind(CURFEW, "v1alpha1", "ActiveAssignment", "activeassignments", "aas", true),
    kind(CURFEW, "v1alpha1", "AssignmentRequest", "assignmentrequests", "asreq", true),
    kind(CURFEW, "v1alpha1", "AccessPolicy", "accesspolicies", "apol", false),
    kind(CURFEW, "v1alpha1", "AuthorizationSystem", "authorizationsystems", "authsys", false),
    kind(CURFEW, "v1alpha1", "CurfewConfig", "curfewconfigs", "curfewconfig", false),
    kind(CURFEW, "v1alpha1", "Grant", "grants", "grt", false),
    kind(RBAC, "v1", "Role", "roles", "role", true),
    kind(RBAC, "v1", "RoleBinding", "rolebindings", "rolebinding", true),
    kind(RBAC, "v1", "ClusterRole", "clusterroles", "clusterrole", false),
    kind(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", false),
    kind(ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "validatingadmissionpolicy", false),
    kind(
        ADMISSION,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        false,
    ),
    kind("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", "flowschema", false),
    kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd", false),
    kind("apps", "v1", "Deployment", "deployments", "deploy", true),
    kind("batch", "v1", "Job", "jobs", "job", true),
    kind("coordination.k8s.io", "v1", "Lease", "leases", "lease", true),
    kind("", "v1", "Namespace", "namespaces", "namespace", false),
    kind("", "v1", "Secret", "secrets", "secret", true),
    kind("", "v1", "LimitRange", "limitranges", "limitrange", true),
    kind("", "v1", "ResourceQuota", "resourcequotas", "resourcequota", true),
    kind("", "v1", "ConfigMap", "configmaps", "configmap", true),
    kind("", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount", true),
    kind("", "v1", "Pod", "pods", "pod", true),
    kind("", "v1", "Event", "events", "event", true),
];

impl Kind {
    /// By plural, short name or kind, in any case.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let lower = name.to_lowercase();
        let (name, group) = lower.split_once('.').map_or((lower.as_str(), None), |(n, g)| (n, Some(g)));
        let fits = |k: &&Kind| [k.plural, k.short, &k.kind.to_lowercase()].contains(&name) && group.is_none_or(|g| g == k.group);
        KINDS.iter().find(fits).copied().with_context(|| format!("the test kit does not know the kind {name}"))
    }

    /// By `apiVersion` and `kind` of a manifest.
    pub(crate) fn of(api_version: &str, kind: &str) -> Result<Self> {
        let found = KINDS.iter().find(|k| k.kind == kind && k.api_version() == api_version);
        found.copied().with_context(|| format!("the test kit does not know {kind} of {api_version}"))
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// For kube's dynamic API.
    pub(crate) fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.into(),
            version: self.version.into(),
            api_version: self.api_version(),
            kind: self.kind.into(),
            plural: self.plural.into(),
        }
    }

    /// `rolebinding.rbac.authorization.k8s.io`, as kubectl prints it.
    pub(crate) fn printed(&self) -> String {
        let one = self.kind.to_lowercase();
        if self.group.is_empty() { one } else { format!("{one}.{}", self.group) }
    }

    /// The path of the collection, or of one object.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let root = if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        let place = namespace.filter(|_| self.namespaced).map(|n| format!("/namespaces/{n}")).unwrap_or_default();
        let name = name.map(|n| format!("/{}", n.replace('%', "%25"))).unwrap_or_default();
        format!("{root}{place}/{}{name}", self.plural)
    }
}
