//! Rights of Kubernetes and of Curfew that outlive a grant.
use super::{ANY, NOT_READ, REPLACE, Right, Verbs, WRITE};

const fn right(group: &'static str, resources: &'static [&'static str], verbs: Verbs, allows: &'static str, source: &'static str) -> Right {
    Right { group, resources, verbs, allows, source }
}

const CURFEW: &str = "docs/security.md#what-may-outlive-a-grant";
const WORKLOADS: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#workload-creation";
const DEBUG: &str = "https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/#ephemeral-container";
const REVISIONS: &str = "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#revision-history";
const VOLUMES: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#persistent-volume-creation";
const NODES: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#access-to-proxy-subresource-of-nodes";
const ESCALATE: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#escalate-verb";
const BINDINGS: &str = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-binding-creation-or-update";
const TOKENS: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#token-request";
const TOKEN_SECRETS: &str = "https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets";
const ACCOUNTS: &str = "https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html";
const NAMESPACES: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#namespace-modification";
const CSR: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#csrs-and-certificate-issuing";
const BOOTSTRAP: &str = "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#approval";
const BUNDLES: &str = "https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#cluster-trust-bundles";
const IMPERSONATION: &str = "https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/";
const ADMISSION: &str = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#control-admission-webhooks";
const EXTENSIONS: &str = "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/";
const AGGREGATION: &str = "https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/";

/// On roles: besides the object itself, giving it away or putting into it what one does not hold.
const ROLES: Verbs = Verbs::AnyOf(&["create", "update", "patch", "bind", "escalate"]);
const CREATE: Verbs = Verbs::AnyOf(&["create"]);
const UPDATE: Verbs = Verbs::AnyOf(&["update", "patch"]);
/// A WebSocket is opened by a GET, which older API servers authorise as `get` alone.
const CONNECT: Verbs = Verbs::AnyOf(&["create", "get"]);
/// The second belongs to constrained impersonation: `impersonate:user-info`, `impersonate:serviceaccount` and so on.
const IMPERSONATE: Verbs = Verbs::AnyOf(&["impersonate", "impersonate:*"]);
const CONSTRAINED: Verbs = Verbs::Named(&["impersonate:*", "impersonate-on:*"]);

const RUN: &str = "run code under service accounts of a namespace";
const APPROVE: &str = "approve certificates";

#[rustfmt::skip]
pub(super) const RIGHTS: &[Right] = &[
    right("curfew.dev", &["*"], NOT_READ, "change what Curfew grants, to whom and with whose approval", CURFEW),
    // Identities.
    right("", &["serviceaccounts/token"], CREATE, "create tokens of service accounts", TOKENS),
    // Kubernetes puts a token that does not expire into a Secret of that type; in kube-system a Secret can be a bootstrap token.
    right("", &["secrets"], WRITE, "write Secrets that hold tokens of service accounts", TOKEN_SECRETS),
    // Annotations of a service account name its identity in a cloud.
    right("", &["serviceaccounts"], WRITE, "give service accounts other identities", ACCOUNTS),
    right("", &["users"], IMPERSONATE, "act as other users", IMPERSONATION),
    right("", &["groups"], IMPERSONATE, "act as other groups", IMPERSONATION),
    right("", &["serviceaccounts"], IMPERSONATE, "act as service accounts", IMPERSONATION),
    right("authentication.k8s.io", &["userextras/*"], IMPERSONATE, "claim extra attributes of a login", IMPERSONATION),
    right("authentication.k8s.io", &["uids"], IMPERSONATE, "act under another uid", IMPERSONATION),
    right("authentication.k8s.io", &["users", "groups", "serviceaccounts", "nodes"], IMPERSONATE, "act as other users", IMPERSONATION),
    right("*", &["*"], CONSTRAINED, "act as other users", IMPERSONATION),
    // Roles and bindings. The holder may add permissions of their own to a role that is bound to them.
    right("rbac.authorization.k8s.io", &["rolebindings"], WRITE, "write RoleBindings", BINDINGS),
    right("rbac.authorization.k8s.io", &["clusterrolebindings"], WRITE, "write ClusterRoleBindings", BINDINGS),
    right("rbac.authorization.k8s.io", &["roles"], ROLES, "widen Roles", ESCALATE),
    right("rbac.authorization.k8s.io", &["clusterroles"], ROLES, "widen ClusterRoles", ESCALATE),
    // Certificates.
    right("certificates.k8s.io", &["certificatesigningrequests"], CREATE, "request certificates that others approve", CSR),
    right("certificates.k8s.io", &["certificatesigningrequests/approval"], UPDATE, APPROVE, CSR),
    right("certificates.k8s.io", &["signers"], Verbs::AnyOf(&["approve", "sign", "attest"]), APPROVE, CSR),
    right("certificates.k8s.io", &["certificatesigningrequests/status"], UPDATE, "issue certificates", CSR),
    right("certificates.k8s.io",
        &["certificatesigningrequests/nodeclient", "certificatesigningrequests/selfnodeclient", "certificatesigningrequests/selfnodeserver"],
        CREATE, "obtain certificates of nodes", BOOTSTRAP),
    right("certificates.k8s.io", &["clustertrustbundles"], WRITE, "add certificate authorities that Pods trust", BUNDLES),
    // Code under another identity.
    right("", &["pods", "replicationcontrollers", "podtemplates"], WRITE, RUN, WORKLOADS),
    right("apps", &["deployments", "statefulsets", "daemonsets", "replicasets"], WRITE, RUN, WORKLOADS),
    right("apps", &["controllerrevisions"], WRITE, RUN, REVISIONS),
    right("batch", &["jobs", "cronjobs"], WRITE, RUN, WORKLOADS),
    right("", &["pods/exec", "pods/attach"], CONNECT, "run code in Pods", DEBUG),
    right("", &["pods/ephemeralcontainers"], UPDATE, "run code in Pods", DEBUG),
    right("", &["nodes/proxy"], ANY, "run code in every Pod of a node", NODES),
    right("", &["persistentvolumes"], WRITE, "mount file systems of nodes", VOLUMES),
    // What the API server and its policies consist of.
    right("", &["namespaces"], UPDATE, "change the labels by which policies select a namespace", NAMESPACES),
    right("admissionregistration.k8s.io", &["*"], REPLACE, "change admission webhooks and policies", ADMISSION),
    right("apiextensions.k8s.io", &["*"], REPLACE, "change CustomResourceDefinitions and their conversion", EXTENSIONS),
    right("apiregistration.k8s.io", &["*"], REPLACE, "have requests served by another API server", AGGREGATION),
];

/// Resources of Kubernetes that no controller of the lists has under the same name, and that are in no list themselves.
#[rustfmt::skip]
const RESOURCES: &[&str] = &[
    "bindings", "configmaps", "csinodes", "daemonsets", "deployments", "endpoints", "endpointslices", "events", "horizontalpodautoscalers",
    "leases", "limitranges", "namespaces", "networkpolicies", "nodes", "persistentvolumeclaims", "poddisruptionbudgets", "pods",
    "replicasets", "replicationcontrollers", "resourcequotas", "secrets", "serviceaccounts", "statefulsets", "storageclasses",
];

/// Whether Kubernetes itself has a resource of this name; subresources count as their resource.
pub(super) fn is_resource(written: &str) -> bool {
    RESOURCES.contains(&written.split('/').next().unwrap_or_default())
}
