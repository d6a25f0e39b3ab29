//! The workloads of the installation: the operator, the process that only revokes, the sweep, the check before an uninstallation, and what
//! keeps them available and apart from others.
use super::{NAMESPACE, OPERATOR, REVOKER, SWEEP, UNINSTALL};
use serde_json::{Value, json};

/// The image of the manifests, which is built from this source tree.
const IMAGE: &str = "curfew:dev";
/// The PriorityClass of all Pods: they are neither preempted by ordinary Pods nor evicted before them. A class of Kubernetes' own
/// (`system-cluster-critical`) is refused outside of `kube-system` in some managed clusters.
const PRIORITY: &str = "curfew";
/// Above every ordinary Pod, and below the classes of Kubernetes (2,000,000,000 and more).
const PRIORITY_VALUE: u32 = 1_000_000;
/// Where `/healthz`, `/readyz` and `/metrics` are served.
pub(super) const PORT: u16 = 8080;
/// The ports of API servers in the usual distributions: the Service has 443, the servers behind it 6443 or 443. Also the port of
/// clouds and audit sinks.
pub(super) const API_SERVER_PORTS: [u16; 2] = [443, 6443];

/// Returns the PriorityClass of all Pods.
pub fn priority_class() -> Value {
    json!({
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": PRIORITY},
        "value": PRIORITY_VALUE, "globalDefault": false,
        "description": "Curfew, which ends privileged access at its deadline: evicted after ordinary Pods.",
    })
}

/// Returns the Deployment of the operator: one replica holds the lease and grants, each revokes.
pub fn operator() -> Value {
    let args = json!(["run", "--listen", format!("0.0.0.0:{PORT}")]);
    let mut deployment = deployment(OPERATOR, "operator", 2, &args, "512Mi");
    // Preferred, not required: a cluster with one node runs both replicas.
    let spread = |key: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels("operator")}});
    deployment["spec"]["template"]["spec"]["topologySpreadConstraints"] =
        json!([spread("kubernetes.io/hostname"), spread("topology.kubernetes.io/zone")]);
    deployment
}

/// Returns the PodDisruptionBudget of the operator: a drain leaves one replica. A replica that is not ready may be evicted, so that
/// it never blocks a drain.
pub fn disruption_budget() -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": OPERATOR, "namespace": NAMESPACE, "labels": labels("operator")},
        "spec": {"minAvailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": labels("operator")}},
    })
}

/// Returns the Deployment of the process that only revokes, for when the operator cannot run. Its memory is its own.
pub fn revoker() -> Value {
    let args = json!(["run", "--revoke-only", "--listen", format!("0.0.0.0:{PORT}")]);
    deployment(REVOKER, "revoker", 1, &args, "256Mi")
}

/// Returns the CronJob that runs the sweep: it ends access past its deadline while no operator runs.
pub fn sweep() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": SWEEP, "namespace": NAMESPACE, "labels": labels("sweep")},
        "spec": {
            "schedule": "* * * * *", "concurrencyPolicy": "Forbid", "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": once(SWEEP, "sweep", "sweep", 55)},
        },
    })
}

/// Returns the Job that helm runs before an uninstallation, and which fails while Grants live. Its name is in helm's message.
pub fn uninstall_check() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "curfew-no-live-grants", "namespace": NAMESPACE, "labels": labels("uninstall"),
            "annotations": {
                "helm.sh/hook": "pre-delete",
                // A Job that has failed stays, so that its log can be read.
                "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
                "helm.sh/hook-output-log-policy": "hook-failed",
            },
        },
        "spec": once(UNINSTALL, "uninstall", "live-grants", 120),
    })
}

/// Returns the NetworkPolicy of all Pods: others may only reach the port of probes and metrics, and the Pods reach DNS and the ports
/// of API servers.
pub fn network_policy() -> Value {
    let port = |protocol: &str, port: u16| json!({"protocol": protocol, "port": port});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "curfew", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "curfew"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [port("TCP", PORT)]}],
            "egress": [
                {"ports": [port("UDP", 53), port("TCP", 53)]},
                {"ports": API_SERVER_PORTS.map(|number| port("TCP", number))},
            ],
        },
    })
}

pub(super) fn labels(component: &str) -> Value {
    json!({"app.kubernetes.io/name": "curfew", "app.kubernetes.io/component": component})
}

/// A container that satisfies the restricted Pod Security Standard.
pub(super) fn container(component: &str, args: &Value, requests: &Value, memory: &str) -> Value {
    json!({
        "name": component, "image": IMAGE, "args": args,
        "resources": {"requests": requests, "limits": {"memory": memory}},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsUser": 65532, "capabilities": {"drop": ["ALL"]}},
    })
}

pub(super) fn pod(account: &str, container: &Value) -> Value {
    json!({
        "serviceAccountName": account, "automountServiceAccountToken": true, "priorityClassName": PRIORITY,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    })
}

/// The spec of a Job that runs a command of `curfew` once.
fn once(account: &str, component: &str, command: &str, seconds: u32) -> Value {
    let mut pod = pod(account, &container(component, &json!([command]), &json!({"cpu": "10m", "memory": "32Mi"}), "256Mi"));
    pod["restartPolicy"] = json!("Never");
    json!({
        "backoffLimit": 0, "activeDeadlineSeconds": seconds,
        "template": {"metadata": {"labels": labels(component)}, "spec": pod},
    })
}

/// A Deployment of `curfew run` under the service account of the same name.
fn deployment(name: &str, component: &str, replicas: u8, args: &Value, memory: &str) -> Value {
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 5});
    let mut container = container(component, args, &json!({"cpu": "50m", "memory": "64Mi"}), memory);
    container["env"] = json!([{"name": "CURFEW_REPLICA", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    container["ports"] = json!([{"name": "http", "containerPort": PORT}]);
    container["livenessProbe"] = probe("/healthz");
    container["readinessProbe"] = probe("/readyz");
    let labels = labels(component);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod(name, &container)},
        },
    })
}
