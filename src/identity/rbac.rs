//! Rights: what the operator needs and nothing more, and the roles that people are given.
use super::{CANARY_ROLE, NAMESPACE, OPERATOR, SWEEP};
use crate::api::{GROUP, crds};
use serde_json::{Value, json};

const READ: &[&str] = &["get", "list", "watch"];

fn cluster_role(name: &str, rules: &[Value]) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
}

fn on(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// The operator's rights. `bind` is not among them: the platform gives it on named roles, so that the operator can hand out
/// what was named and nothing else.
pub fn operator() -> Vec<Value> {
    let plurals: Vec<String> = crds().into_iter().map(|c| c.spec.names.plural).collect();
    let all: Vec<&str> = plurals.iter().map(String::as_str).collect();
    let statuses: Vec<String> = all.iter().map(|p| format!("{p}/status")).collect();
    let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
    let rbac = "rbac.authorization.k8s.io";
    let rules = [
        on(GROUP, &all, &["list", "watch"]),
        // Read live, one by one, before anything is granted or believed to be over.
        on(GROUP, &["curfewconfigs", "roletemplates", "activationrequests", "grants"], &["get"]),
        on(GROUP, &statuses, &["patch"]),
        on(GROUP, &["grants"], &["create", "patch", "delete"]),
        // The finalizer that holds a system while Grants live in it.
        on(GROUP, &["authorizationsystems"], &["patch"]),
        // Dry-run canaries of the gate, and the end of what has ended.
        on(GROUP, &["activationrequests", "accessdecisions"], &["create", "delete"]),
        on(rbac, &["roles", "clusterroles"], READ),
        on(rbac, &["rolebindings", "clusterrolebindings"], &["get", "list", "watch", "create", "patch", "delete"]),
        // Job fuses.
        on("batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"]),
        on("", &["namespaces"], READ),
        on("apiextensions.k8s.io", &["customresourcedefinitions"], &["get"]),
        on(
            "admissionregistration.k8s.io",
            &[
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
                "mutatingadmissionpolicies",
                "mutatingadmissionpolicybindings",
            ],
            &["get"],
        ),
        on("authorization.k8s.io", &["subjectaccessreviews", "selfsubjectaccessreviews"], &["create"]),
        on("events.k8s.io", &["events"], &["create", "patch"]),
        // By its keys a cluster is told from its restored copy.
        json!({"nonResourceURLs": ["/openid/v1/jwks"], "verbs": ["get"]}),
    ];
    let subject = json!([{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}]);
    let bound = |kind: &str, role: &str| json!({"apiGroup": rbac, "kind": kind, "name": role});
    let leases = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [OPERATOR], "verbs": ["get", "update"]},
        // Kubeconfigs of other clusters, URLs of sinks. Never listed or watched.
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR, "namespace": NAMESPACE}}),
        cluster_role(OPERATOR, &rules),
        // Without rules: binding it gives nobody anything.
        cluster_role(CANARY_ROLE, &[]),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": OPERATOR},
            "roleRef": bound("ClusterRole", OPERATOR), "subjects": subject}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": OPERATOR, "namespace": NAMESPACE}, "rules": leases}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
            "roleRef": bound("Role", OPERATOR), "subjects": subject}),
    ]
}

/// The sweep's rights: to find our bindings by name and to take them away. No CRD is among them.
pub fn sweep() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let rules = [
        on(rbac, &["rolebindings", "clusterrolebindings"], &["list", "delete", "patch", "get"]),
        json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [NAMESPACE], "verbs": ["get"]}),
    ];
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SWEEP, "namespace": NAMESPACE}}),
        cluster_role(SWEEP, &rules),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": SWEEP},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": SWEEP},
            "subjects": [{"kind": "ServiceAccount", "name": SWEEP, "namespace": NAMESPACE}]}),
    ]
}

/// The rights on a cluster that Curfew reaches from outside, under a service account of the same name there.
pub fn target() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let rules = [
        on(rbac, &["roles", "clusterroles"], &["get"]),
        on(rbac, &["rolebindings", "clusterrolebindings"], &["get", "list", "create", "patch", "delete"]),
        on("batch", &["jobs"], &["get", "create", "patch", "delete"]),
        on("", &["namespaces"], &["get"]),
        on("admissionregistration.k8s.io", &["validatingadmissionpolicies", "validatingadmissionpolicybindings"], &["get"]),
        on("authorization.k8s.io", &["selfsubjectaccessreviews"], &["create"]),
    ];
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR, "namespace": NAMESPACE}}),
        cluster_role("curfew-target", &rules),
        cluster_role(CANARY_ROLE, &[]),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "curfew-target"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "curfew-target"},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}]}),
    ]
}

/// What people are given, in the namespaces where they may ask or decide. Nothing is aggregated into `edit` or `admin`: an
/// admin of a namespace must not become an approver by that.
pub fn people() -> Vec<Value> {
    let lookup = on(GROUP, &["roletemplates", "eligibleassignments"], READ);
    vec![
        cluster_role(
            "curfew-requester",
            &[
                on(GROUP, &["activationrequests"], &["create", "get", "list", "watch", "delete"]),
                // A requester takes a request back with a decision, too: Revoke.
                on(GROUP, &["accessdecisions"], &["create", "get", "list", "watch"]),
                lookup.clone(),
            ],
        ),
        cluster_role(
            "curfew-approver",
            &[on(GROUP, &["accessdecisions"], &["create", "get", "list", "watch"]), on(GROUP, &["activationrequests"], READ), lookup],
        ),
    ]
}
