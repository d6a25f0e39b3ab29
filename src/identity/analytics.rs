//! `curfew-analytics run`: its service account, its rights, and its workload. It has no part in granting and revoking, and can read no Secret.
use super::{
    ANALYTICS, NAMESPACE,
    rbac::{account, allow, cluster_role},
    workloads::{API_SERVER_PORTS, PORT, container, labels, pod},
};
use crate::api::GROUP;
use serde_json::{Value, json};

/// Where it answers questions and takes audit events, by TLS.
const HTTPS: u16 = 8443;
/// The Secrets with its certificate, and with the tokens of API servers that post audit events.
const TLS_SECRET: &str = "curfew-analytics-tls";
const TOKENS_SECRET: &str = "curfew-analytics-tokens";
const STORE: &str = "/var/lib/curfew-analytics";
const FILES: &str = "/etc/curfew-analytics";

/// Returns the service account and its rights: to read who may do what, to publish what was measured, and to ask the API server who calls and
/// what they may read. The policy `curfew-ledger` limits what it writes to `pci`, `findings` and its own conditions.
pub fn rights() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let rules = [
        allow(GROUP, &["authorizationsystems"], &["list", "watch"]),
        allow(GROUP, &["authorizationsystems/status"], &["patch"]),
        allow(rbac, &["roles", "clusterroles", "rolebindings", "clusterrolebindings"], &["list", "watch"]),
        allow("", &["namespaces", "serviceaccounts"], &["list", "watch"]),
        allow("authentication.k8s.io", &["tokenreviews"], &["create"]),
        allow("authorization.k8s.io", &["subjectaccessreviews"], &["create"]),
    ];
    vec![
        account(ANALYTICS),
        cluster_role(ANALYTICS, &rules),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ANALYTICS},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": ANALYTICS},
            "subjects": [{"kind": "ServiceAccount", "name": ANALYTICS, "namespace": NAMESPACE}]}),
    ]
}

/// Returns the StatefulSet, its Service, and the NetworkPolicy that lets API servers and people reach it.
pub fn workload() -> Vec<Value> {
    vec![stateful_set(), service(), network_policy()]
}

/// One replica, which owns its store. A StatefulSet never runs two Pods of one name at a time.
fn stateful_set() -> Value {
    let args = json!([
        "run",
        format!("--listen=0.0.0.0:{PORT}"),
        format!("--serve=0.0.0.0:{HTTPS}"),
        format!("--store={STORE}/usage.redb"),
        format!("--tls={FILES}/tls"),
        format!("--tokens={FILES}/tokens")
    ]);
    let mut container = container("analytics", &args, &json!({"cpu": "50m", "memory": "128Mi"}), "1Gi");
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 5});
    container["command"] = json!(["curfew-analytics"]);
    container["ports"] = json!([{"name": "http", "containerPort": PORT}, {"name": "https", "containerPort": HTTPS}]);
    container["livenessProbe"] = probe("/healthz");
    container["readinessProbe"] = probe("/readyz");
    // The store is verified when it is opened, which takes longer the larger it is.
    container["startupProbe"] = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5, "failureThreshold": 120});
    container["volumeMounts"] = json!([
        {"name": "store", "mountPath": STORE},
        {"name": "tls", "mountPath": format!("{FILES}/tls"), "readOnly": true},
        {"name": "tokens", "mountPath": format!("{FILES}/tokens"), "readOnly": true},
    ]);
    let mut pod = pod(ANALYTICS, &container);
    pod["securityContext"]["fsGroup"] = json!(65532);
    // Evicted like any other Pod: it must not take the place of what revokes.
    if let Some(fields) = pod.as_object_mut() {
        fields.remove("priorityClassName");
    }
    pod["volumes"] = json!([
        {"name": "tls", "secret": {"secretName": TLS_SECRET, "optional": true}},
        {"name": "tokens", "secret": {"secretName": TOKENS_SECRET, "optional": true}},
    ]);
    let labels = labels("analytics");
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": ANALYTICS, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1, "serviceName": ANALYTICS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            "volumeClaimTemplates": [{
                "metadata": {"name": "store"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Gi"}}},
            }],
        },
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": ANALYTICS, "namespace": NAMESPACE, "labels": labels("analytics")},
        "spec": {"selector": labels("analytics"), "ports": [{"name": "https", "port": 443, "targetPort": "https"}]},
    })
}

/// Beside the policy of all Pods. Everything that connects has to authenticate. API servers run outside of the Pod network in most clusters.
fn network_policy() -> Value {
    let port = |number: u16| json!({"protocol": "TCP", "port": number});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": ANALYTICS, "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": labels("analytics")},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [port(HTTPS)]}],
            "egress": [{"ports": API_SERVER_PORTS.map(port)}],
        },
    })
}
