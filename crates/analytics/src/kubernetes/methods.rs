//! The ways to escalate in Kubernetes.
//!
//! The list follows rbac-police (Palo Alto Networks, MIT) and Kubernetes's "Role Based Access Control Good Practices". Left out, because RBAC
//! alone does not show them: taking over Pods by moving them to another node, host paths of PersistentVolumes, and what a controller of
//! custom resources does for those who write them.
use super::weights::{ADMISSION, WORKLOADS};

/// A permission by verb, group and resource.
pub type Needed<'a> = (&'a str, &'a str, &'a str);

/// One way: each step is satisfied by any of its permissions.
#[derive(Clone, Debug)]
pub struct Way {
    /// Its name.
    pub name: &'static str,
    /// What it leads to.
    pub title: &'static str,
    /// All steps are needed.
    pub steps: Vec<Vec<Needed<'static>>>,
}

const RBAC: &str = super::RBAC;
const WRITES: [&str; 3] = ["create", "update", "patch"];

fn writes(group: &'static str, resource: &'static str) -> Vec<Needed<'static>> {
    WRITES.iter().map(|verb| (*verb, group, resource)).collect()
}

fn changes(group: &'static str, resource: &'static str) -> Vec<Needed<'static>> {
    vec![("update", group, resource), ("patch", group, resource)]
}

fn way(name: &'static str, title: &'static str, steps: Vec<Vec<Needed<'static>>>) -> Way {
    Way { name, title, steps }
}

/// Every way. Ways with the same name are variants of one.
pub fn ways() -> Vec<Way> {
    let roles = ["roles", "clusterroles"].map(|resource| {
        let steps = vec![vec![("escalate", RBAC, resource)], changes(RBAC, resource)];
        way("rbac-escalate", "writes any permission into a role", steps)
    });
    let binds = [("roles", "rolebindings"), ("clusterroles", "rolebindings"), ("clusterroles", "clusterrolebindings")]
        .map(|(role, binding)| way("rbac-bind", "binds any role to itself", vec![vec![("bind", RBAC, role)], writes(RBAC, binding)]));
    let impersonate = vec![vec![("impersonate", "", "users"), ("impersonate", "", "serviceaccounts")]];
    let workloads = WORKLOADS.iter().flat_map(|(group, resource)| writes(group, resource)).collect();
    let approve =
        vec![changes("certificates.k8s.io", "certificatesigningrequests/approval"), vec![("approve", "certificates.k8s.io", "signers")]];
    let hooks = ADMISSION[..2].iter().flat_map(|resource| writes("admissionregistration.k8s.io", resource)).collect();
    let policies = ADMISSION[2..].iter().map(|resource| writes("admissionregistration.k8s.io", resource)).collect();
    let secrets = ["get", "list", "watch"].map(|verb| (verb, "", "secrets")).to_vec();
    let mut all = Vec::from(roles);
    all.extend(binds);
    all.extend([
        way("impersonate", "acts as another user or service account", impersonate),
        way("secrets-read", "reads tokens of service accounts and other credentials from Secrets", vec![secrets]),
        way("token-request", "issues tokens of service accounts", vec![vec![("create", "", "serviceaccounts/token")]]),
        way("pods-write", "runs code as any service account of the namespace", vec![writes("", "pods")]),
        way("workloads-write", "runs code as any service account of the namespace", vec![workloads]),
        way(
            "pods-exec",
            "runs commands in Pods, with their service accounts",
            vec![vec![("create", "", "pods/exec"), ("get", "", "pods/exec")]],
        ),
        way("pods-debug", "adds containers to Pods, with their service accounts", vec![changes("", "pods/ephemeralcontainers")]),
        way(
            "nodes-proxy",
            "runs commands in every Pod through the kubelet",
            vec![vec![("get", "", "nodes/proxy"), ("create", "", "nodes/proxy")]],
        ),
        way("csr-approve", "has client certificates for any user signed", approve),
        way("admission-webhooks", "sees or changes what others write", vec![hooks]),
        way("admission-policies", "changes what others write", policies),
    ]);
    all
}

impl Way {
    /// Every combination of one permission per step.
    pub fn variants(&self) -> Vec<Vec<Needed<'static>>> {
        self.steps.iter().fold(vec![Vec::new()], |partial, step| {
            partial.iter().flat_map(|chosen| step.iter().map(move |next| [chosen.as_slice(), &[*next]].concat())).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_contains_a_permission_that_the_weights_call_an_escalation_or_a_secret() {
        for way in ways() {
            for variant in way.variants() {
                let most = variant
                    .iter()
                    .map(|(verb, group, resource)| crate::kubernetes::weights::weight(verb, group, resource).0)
                    .fold(0.0, f64::max);
                assert!(most >= 40.0, "{}: {variant:?}", way.name);
            }
        }
        let variants = |name: &str| ways().iter().filter(|way| way.name == name).map(|way| way.variants().len()).sum::<usize>();
        assert_eq!(
            (variants("rbac-escalate"), variants("rbac-bind"), variants("csr-approve"), variants("admission-policies")),
            (4, 9, 2, 9)
        );
    }
}
