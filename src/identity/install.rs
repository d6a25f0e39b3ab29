//! The other objects of the installation: the namespace, the CurfewConfig, the local cluster as an AuthorizationSystem, and the
//! workloads.
use super::{NAMESPACE, OPERATOR, REVOKER, SWEEP, flow, marks, policies, rbac, stamp};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Returns the files of `deploy/` in the order in which `kubectl apply` needs them.
pub fn files() -> Vec<(PathBuf, Vec<Value>)> {
    let file = |name: &str, objects: Vec<Value>| (PathBuf::from("deploy").join(name), objects);
    vec![
        file("10-namespace.yaml", vec![namespace()]),
        file("20-rbac.yaml", [rbac::operator(), rbac::revoker(), rbac::sweep()].concat()),
        file("25-flow-control.yaml", flow::objects()),
        file("30-policies.yaml", [policies(), vec![stamp::keys()]].concat()),
        file("40-config.yaml", vec![config(), this_cluster()]),
        file("50-people.yaml", rbac::people()),
        file("60-operator.yaml", vec![deployment()]),
        file("65-revoker.yaml", vec![revoker()]),
        file("70-sweep.yaml", vec![sweep()]),
        // For a remote cluster; not part of `kubectl apply -f deploy/`, which does not read subdirectories.
        file("remote/target.yaml", [vec![namespace()], rbac::target(), marks::policies()].concat()),
    ]
}

fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
}

fn config() -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "CurfewConfig", "metadata": {"name": "curfew"},
        "spec": {
            "ceilings": {"duration": "24h"},
            "retention": "30d",
            "identity": {"aliases": {"none": {}}, "uids": {"personal": {}}, "deciderProof": {"keys": [stamp::DEFAULT_KEY]}},
        },
    })
}

fn this_cluster() -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": "this-cluster"},
        "spec": {"displayName": "This cluster", "mode": "ReadOnly", "provider": {"kubernetes": {"inCluster": {}}}},
    })
}

/// The CronJob that runs the sweep: it ends access past its deadline while no operator runs.
fn sweep() -> Value {
    let labels = json!({"app.kubernetes.io/name": "curfew", "app.kubernetes.io/component": "sweep"});
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": SWEEP, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "schedule": "* * * * *", "concurrencyPolicy": "Forbid", "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {
                "backoffLimit": 0, "activeDeadlineSeconds": 55,
                "template": {"metadata": {"labels": labels}, "spec": {
                    "serviceAccountName": SWEEP, "restartPolicy": "Never",
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": "sweep", "image": "curfew:dev", "args": ["sweep"],
                        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
                        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsUser": 65532, "capabilities": {"drop": ["ALL"]}},
                    }],
                }},
            }},
        },
    })
}

fn deployment() -> Value {
    let args = json!(["run", "--listen", "0.0.0.0:8080"]);
    workload(OPERATOR, "operator", 2, &args, "512Mi")
}

/// The process that only revokes, for when the operator cannot run. Its memory is its own.
fn revoker() -> Value {
    let args = json!(["run", "--revoke-only", "--listen", "0.0.0.0:8080"]);
    workload(REVOKER, "revoker", 1, &args, "256Mi")
}

/// A Deployment of `curfew run` under the service account of the same name.
fn workload(name: &str, component: &str, replicas: u8, args: &Value, memory: &str) -> Value {
    let labels = json!({"app.kubernetes.io/name": "curfew", "app.kubernetes.io/component": component});
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 5});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": name,
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": component, "image": "curfew:dev", "args": args,
                        "env": [{"name": "CURFEW_REPLICA", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "livenessProbe": probe("/healthz"), "readinessProbe": probe("/readyz"),
                        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": memory}},
                        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsUser": 65532, "capabilities": {"drop": ["ALL"]}},
                    }],
                },
            },
        },
    })
}
