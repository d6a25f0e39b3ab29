//! The weights of PCI-1 for Kubernetes, as a table by verb and resource.
use crate::catalogue::Level;

/// The version of this table and of the methods. A change of either changes scores, so it is part of every result.
pub const TABLE: &str = "kubernetes-weights/1";

/// Kinds of which every write runs code as a service account of the namespace.
pub const WORKLOADS: [(&str, &str); 7] = [
    ("", "replicationcontrollers"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
];

/// Kinds with which admission changes what others write, or sees it.
pub const ADMISSION: [&str; 4] =
    ["mutatingwebhookconfigurations", "validatingwebhookconfigurations", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"];

/// Reviews answer questions; they change nothing.
fn is_review(group: &str, resource: &str) -> bool {
    group == "authorization.k8s.io" || (group == "authentication.k8s.io" && resource.ends_with("reviews"))
}

fn writes(verb: &str) -> bool {
    matches!(verb, "create" | "update" | "patch")
}

fn reads(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch")
}

/// The weight and level of a verb on a resource: the most that any row says.
pub fn weight(verb: &str, group: &str, resource: &str) -> (f64, Level) {
    if escalates(verb, group, resource) {
        return (100.0, Level::Escalation);
    }
    match (group, resource, verb) {
        ("", "secrets", _) if reads(verb) => (40.0, Level::Secret),
        // A terminal in a running container; what a component of the node may do.
        ("", "pods/attach" | "nodes/log", _) => (40.0, Level::Secret),
        (super::RBAC, _, _) if !reads(verb) => (40.0, Level::Permissions),
        ("certificates.k8s.io", "certificatesigningrequests/approval", _) if writes(verb) => (40.0, Level::Permissions),
        ("certificates.k8s.io", "signers", _) => (40.0, Level::Permissions),
        // The network from inside the cluster.
        ("", "pods/portforward" | "pods/proxy" | "services/proxy", _) => (20.0, Level::Read),
        ("", "pods/eviction", "create") => (20.0, Level::Delete),
        _ if is_review(group, resource) => (2.0, Level::Read),
        (_, _, "delete" | "deletecollection") => (20.0, Level::Delete),
        _ if reads(verb) && (resource.ends_with("/status") || resource.ends_with("/scale")) => (1.0, Level::List),
        _ if reads(verb) => (2.0, Level::Read),
        _ => (10.0, Level::Write),
    }
}

/// What leads to more than was granted, alone or with a permission that is common.
fn escalates(verb: &str, group: &str, resource: &str) -> bool {
    match (group, resource, verb) {
        (super::RBAC, "roles" | "clusterroles", "escalate" | "bind") => true,
        (_, _, "impersonate") => true,
        ("", "serviceaccounts/token", "create") => true,
        ("", "pods/exec" | "nodes/proxy", "get" | "create") => true,
        ("", "pods" | "pods/ephemeralcontainers", _) => writes(verb),
        ("certificates.k8s.io", "signers", "approve") => true,
        ("admissionregistration.k8s.io", _, _) => writes(verb) && ADMISSION.contains(&resource),
        _ => writes(verb) && WORKLOADS.contains(&(group, resource)),
    }
}

/// The weight and level of a verb on a URL that is not a resource.
pub fn url_weight(verb: &str) -> (f64, Level) {
    if matches!(verb, "get" | "head" | "options") { (1.0, Level::Read) } else { (10.0, Level::Write) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_the_definition() {
        let rows: [(&str, &str, &str, f64); 14] = [
            ("get", "", "configmaps", 2.0),
            ("list", "", "secrets", 40.0),
            ("create", "", "configmaps", 10.0),
            ("patch", "example.com", "widgets", 10.0),
            ("delete", "", "configmaps", 20.0),
            ("deletecollection", "", "secrets", 20.0),
            ("escalate", super::super::RBAC, "roles", 100.0),
            ("bind", super::super::RBAC, "clusterroles", 100.0),
            ("create", super::super::RBAC, "rolebindings", 40.0),
            ("impersonate", "", "users", 100.0),
            ("create", "", "pods/exec", 100.0),
            ("create", "authorization.k8s.io", "selfsubjectaccessreviews", 2.0),
            ("update", "apps", "deployments/scale", 10.0),
            ("update", "apps", "deployments", 100.0),
        ];
        for (verb, group, resource, expected) in rows {
            assert_eq!(weight(verb, group, resource).0, expected, "{verb} {group}/{resource}");
        }
    }
}
