//! RBAC: the minimal rights of the operator, the revoker, the sweep and the check before an uninstallation. The ClusterRoles for people
//! are in [`people`](super::people).
use super::{CANARY_ROLE, NAMESPACE, NOTIFICATIONS, OPERATOR, REVOKER, SWEEP, UNINSTALL, stamp::KEYS};
use crate::api::{GROUP, crds};
use serde_json::{Value, json};

pub(super) const READ: &[&str] = &["get", "list", "watch"];

pub(super) fn cluster_role(name: &str, rules: &[Value]) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

pub(super) fn allow(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// What the operator does with its own objects at a target, in every namespace: bindings and Job fuses. It is given these rights there,
/// and asks whether it has them.
pub const AT_TARGET: [(&str, &[&str], &[&str]); 2] = [
    ("rbac.authorization.k8s.io", &["rolebindings", "clusterrolebindings"], &["get", "list", "create", "patch", "delete"]),
    ("batch", &["jobs"], &["get", "create", "patch", "delete"]),
];

/// Returns the operator's service account, roles and bindings. They do not include `bind`: the platform team grants it for named
/// roles, so that the operator can grant only these.
pub fn operator() -> Vec<Value> {
    let plurals: Vec<String> = crds().into_iter().map(|c| c.spec.names.plural).collect();
    let all: Vec<&str> = plurals.iter().map(String::as_str).collect();
    let statuses: Vec<String> = all.iter().map(|p| format!("{p}/status")).collect();
    let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
    let rbac = "rbac.authorization.k8s.io";
    let rules = [
        allow(GROUP, &all, &["list", "watch"]),
        // Read live, one object at a time, before the operator grants access or treats an object as deleted.
        allow(
            GROUP,
            &["curfewconfigs", "roletemplates", "activationrequests", "assignmentrequests", "activeassignments", "grants"],
            &["get"],
        ),
        allow(GROUP, &statuses, &["patch"]),
        allow(GROUP, &["grants"], &["create", "patch", "delete"]),
        // The finalizer that keeps an AuthorizationSystem while it has Grants.
        allow(GROUP, &["authorizationsystems"], &["patch"]),
        // The dry-run canaries of the admission check, the requests for ActiveAssignments, and the deletion of expired objects.
        allow(GROUP, &["activationrequests", "assignmentrequests", "accessdecisions"], &["create", "delete"]),
        allow(GROUP, &["activeassignments"], &["create"]),
        // Those that an AssignmentRequest has asked for, and no others: the policy curfew-eligible-assignments sees to that.
        allow(GROUP, &["eligibleassignments"], &["create", "delete"]),
        allow(rbac, &["roles", "clusterroles"], READ),
        allow(rbac, &["rolebindings", "clusterrolebindings"], &["get", "list", "watch", "create", "patch", "delete"]),
        // Job fuses.
        allow("batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"]),
        allow("", &["namespaces"], READ),
        allow("apiextensions.k8s.io", &["customresourcedefinitions"], &["get", "list"]),
        allow(
            "admissionregistration.k8s.io",
            &[
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
                "mutatingadmissionpolicies",
                "mutatingadmissionpolicybindings",
            ],
            &["get", "list"],
        ),
        allow("authorization.k8s.io", &["subjectaccessreviews", "selfsubjectaccessreviews"], &["create"]),
        allow("events.k8s.io", &["events"], &["create", "patch"]),
        // The signing keys, which distinguish a cluster from its restored copy.
        json!({"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]}),
    ];
    let subject = json!([{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}]);
    let role_ref = |kind: &str, role: &str| json!({"apiGroup": rbac, "kind": kind, "name": role});
    // Its own lease, what it keeps about notifications, and the slots of limits, whose names no rule can list.
    let leases = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "list", "patch", "delete"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [OPERATOR, NOTIFICATIONS], "verbs": ["get", "update"]},
        // The extra keys that the API server records of a login.
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [KEYS], "verbs": ["get", "patch"]},
        // The kubeconfigs of remote clusters and the URLs of audit sinks. Secrets are never listed or watched.
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    vec![
        account(OPERATOR),
        cluster_role(OPERATOR, &rules),
        // It has no rules: binding it grants nothing.
        cluster_role(CANARY_ROLE, &[]),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": OPERATOR},
            "roleRef": role_ref("ClusterRole", OPERATOR), "subjects": subject}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": OPERATOR, "namespace": NAMESPACE}, "rules": leases}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
            "roleRef": role_ref("Role", OPERATOR), "subjects": subject}),
    ]
}

/// Returns the service account and rights of `curfew run --revoke-only`: to end Grants, and nothing that could begin one. It may
/// neither create nor bind, and reads nothing that people can create.
pub fn revoker() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let rules = [
        allow(GROUP, &["grants", "authorizationsystems", "curfewconfigs"], &["list", "watch"]),
        // An earlier end, and the finalizer of a deleted Grant that has ended.
        allow(GROUP, &["grants", "grants/status"], &["patch"]),
        // The heads of its audit chain.
        allow(GROUP, &["curfewconfigs"], &["get"]),
        allow(GROUP, &["curfewconfigs/status"], &["patch"]),
        // The finalizers of what is being deleted are taken off by a patch. Without `bind` no patch can add or remove a subject.
        allow(rbac, &["rolebindings", "clusterrolebindings"], &["get", "list", "watch", "patch", "delete"]),
        allow("batch", &["jobs"], &["get", "list", "watch", "patch", "delete"]),
        // Their uids: which cluster this is, and which installation.
        json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system", NAMESPACE], "verbs": ["get"]}),
        allow("events.k8s.io", &["events"], &["create", "patch"]),
    ];
    let subject = json!([{"kind": "ServiceAccount", "name": REVOKER, "namespace": NAMESPACE}]);
    let role_ref = |kind: &str| json!({"apiGroup": rbac, "kind": kind, "name": REVOKER});
    // The kubeconfigs of remote clusters and the URLs of audit sinks, and whether the leader renews its lease.
    let here = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [OPERATOR], "verbs": ["get"]}]);
    vec![
        account(REVOKER),
        cluster_role(REVOKER, &rules),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": REVOKER},
            "roleRef": role_ref("ClusterRole"), "subjects": subject}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": REVOKER, "namespace": NAMESPACE}, "rules": here}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": REVOKER, "namespace": NAMESPACE},
            "roleRef": role_ref("Role"), "subjects": subject}),
    ]
}

/// Returns the sweep's service account and rights: to list Curfew's bindings and to delete them. It does not need the CRDs.
pub fn sweep() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let rules = [
        allow(rbac, &["rolebindings", "clusterrolebindings"], &["list", "delete", "patch", "get"]),
        json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [NAMESPACE], "verbs": ["get"]}),
    ];
    vec![
        account(SWEEP),
        cluster_role(SWEEP, &rules),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": SWEEP},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": SWEEP},
            "subjects": [{"kind": "ServiceAccount", "name": SWEEP, "namespace": NAMESPACE}]}),
    ]
}

/// Returns the operator's rights on a remote cluster, for a service account of the same name there.
pub fn target() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let [bindings, fuses] = AT_TARGET.map(|(group, resources, verbs)| allow(group, resources, verbs));
    let rules = [
        allow(rbac, &["roles", "clusterroles"], &["get"]),
        bindings,
        fuses,
        allow("", &["namespaces"], &["get"]),
        allow("admissionregistration.k8s.io", &["validatingadmissionpolicies", "validatingadmissionpolicybindings"], &["get"]),
        allow("authorization.k8s.io", &["selfsubjectaccessreviews"], &["create"]),
        // The signing keys, which distinguish a cluster from its restored copy.
        json!({"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]}),
    ];
    vec![
        account(OPERATOR),
        cluster_role("curfew-target", &rules),
        cluster_role(CANARY_ROLE, &[]),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "curfew-target"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "curfew-target"},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}]}),
    ]
}

/// Returns the service account and rights of the check before an uninstallation (`curfew live-grants`): to list Grants.
pub fn uninstall() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    vec![
        account(UNINSTALL),
        cluster_role(UNINSTALL, &[allow(GROUP, &["grants"], &["list"])]),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": UNINSTALL},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": UNINSTALL},
            "subjects": [{"kind": "ServiceAccount", "name": UNINSTALL, "namespace": NAMESPACE}]}),
    ]
}

/// A service account. A Pod that is to act as it says so in its own spec; no other Pod of the account gets a token by being created.
pub(super) fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}, "automountServiceAccountToken": false})
}
