//! The objects of the installation, file by file, for `deploy/` and for the chart; among them the namespace, the CurfewConfig, and the
//! local cluster as an AuthorizationSystem.
use super::{NAMESPACE, analytics, flow, marks, mutating_policies, people, rbac, stamp, validating_policies, workloads};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Returns the files of `deploy/` in the order in which `kubectl apply` needs them.
pub fn files() -> Vec<(PathBuf, Vec<Value>)> {
    let file = |name: &str, objects: Vec<Value>| (PathBuf::from("deploy").join(name), objects);
    vec![
        file("10-namespace.yaml", vec![namespace()]),
        file("15-priority.yaml", vec![workloads::priority_class()]),
        file("20-rbac.yaml", [rbac::operator(), rbac::revoker(), rbac::sweep()].concat()),
        file("25-flow-control.yaml", flow::objects()),
        file("30-policies.yaml", [validating_policies(), vec![stamp::keys()]].concat()),
        // Kubernetes before 1.36 does not serve these kinds.
        file("35-stamps.yaml", mutating_policies()),
        file("40-config.yaml", vec![config(), this_cluster()]),
        file("50-people.yaml", people::roles()),
        file("55-network-policy.yaml", vec![workloads::network_policy()]),
        file("60-operator.yaml", vec![workloads::operator(), workloads::disruption_budget()]),
        file("65-revoker.yaml", vec![workloads::revoker()]),
        file("70-sweep.yaml", vec![workloads::sweep()]),
        // For a remote cluster; not part of `kubectl apply -f deploy/`, which does not read subdirectories.
        file("remote/target.yaml", [vec![namespace()], rbac::target(), marks::policies()].concat()),
        // Usage analytics, which needs a certificate and storage.
        file("analytics/10-rbac.yaml", analytics::rights()),
        file("analytics/20-workload.yaml", analytics::workload()),
    ]
}

/// Returns what the chart has in common with `deploy/`, by the names of its files below `charts/curfew/generated/`. The namespace is not
/// among them: helm needs it before it can install a release. What only the chart has is the check before an uninstallation.
pub fn chart_files() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("priority.yaml", vec![workloads::priority_class()]),
        ("rbac-operator.yaml", rbac::operator()),
        ("rbac-revoker.yaml", rbac::revoker()),
        ("rbac-sweep.yaml", rbac::sweep()),
        ("rbac-uninstall.yaml", rbac::uninstall()),
        ("flow-control.yaml", flow::objects()),
        ("policies.yaml", [validating_policies(), vec![stamp::keys()]].concat()),
        ("stamps.yaml", mutating_policies()),
        ("config.yaml", vec![config()]),
        ("this-cluster.yaml", vec![this_cluster()]),
        ("people.yaml", people::roles()),
        ("operator.yaml", vec![workloads::operator()]),
        ("disruption-budget.yaml", vec![workloads::disruption_budget()]),
        ("revoker.yaml", vec![workloads::revoker()]),
        ("sweep.yaml", vec![workloads::sweep()]),
        ("rbac-analytics.yaml", analytics::rights()),
        ("analytics.yaml", analytics::workload()),
        ("uninstall.yaml", vec![workloads::uninstall_check()]),
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
