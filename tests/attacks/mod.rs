//! Attacks, each as a user would try it on a real API server. Every one is refused or has no effect; `make attacks` runs
//! each a second time with its protection taken away, and then it must say that the attack succeeded.
//!
//! A protection is taken away in one of two ways. An admission policy: `CURFEW_WITHOUT` names it (or two, where one stands in
//! for the other), and [`unprotected`] deletes its binding at the moment of the attack. A rule in code: `hack/attacks` builds an
//! operator without it from a patch.
mod admission;
mod bound;
mod deletion;
mod fuse;
mod held;
mod impostor;
mod junk;
pub mod logins;
mod remote;
mod roles;
mod stuck;
mod sweep;
mod who;

use anyhow::{Result, bail};
use curfew_testkit::{SOON, User, World, eventually};
use std::time::Duration;

/// Takes a policy out of force, if this run is to show what it is for.
pub async fn unprotected(w: &World, policy: &str) -> Result<()> {
    if !std::env::var("CURFEW_WITHOUT").is_ok_and(|all| all.split(' ').any(|p| p == policy)) {
        return Ok(());
    }
    w.admin()?.api(&["delete", "validatingadmissionpolicybinding", policy]).await?.success()?;
    let admin = w.admin()?;
    eventually("the policy to be out of force", SOON, || async {
        let out = admin.api_stdin(&["create", "--dry-run=server", "-f", "-"], refused_by(policy)).await?;
        if out.ok { Ok(Some(())) } else { bail!("{}", out.stderr) }
    })
    .await
}

/// Something that this policy alone refuses.
fn refused_by(policy: &str) -> &'static str {
    match policy {
        "curfew-marks" => {
            "{apiVersion: batch/v1, kind: Job, metadata: {generateName: probe-, namespace: default, labels: {curfew.dev/grant: x}}, \
             spec: {parallelism: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}"
        }
        "curfew-slots" => {
            "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: curfew-slot-admission-canary, namespace: curfew-system}, spec: {}}"
        }
        "curfew-owners" => {
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: probe, namespace: default, ownerReferences: \
             [{apiVersion: batch/v1, kind: Job, name: curfew-0123456789abcdef-0, uid: '1'}]}}"
        }
        "curfew-decisions" => {
            "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {name: curfew-admission-canary, namespace: default}, \
             spec: {about: {activationRequest: {name: x}}, digest: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, decision: Approve}}"
        }
        "curfew-ledger" => {
            "{apiVersion: curfew.dev/v1alpha1, kind: Grant, metadata: {name: curfew-admission-canary}, spec: {digest: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, \
             expiresAt: '2099-01-01T00:00:00Z', system: {name: s, uid: u, target: t, connection: {kubernetes: {inCluster: {}}}}, \
             request: {namespace: ns, name: r, uid: u, requester: m, beneficiary: {user: m}}, principal: {kubernetes: {user: m}}, \
             plan: {kubernetes: {subject: {user: m}, bindings: [{name: b, roleKind: ClusterRole, role: view}]}}}}"
        }
        "curfew-keys-of-requests" => {
            "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: probe, namespace: default}, \
             spec: {roleRef: {name: x}, requester: {username: admin, groups: ['system:masters', 'system:authenticated']}}}"
        }
        "curfew-keys-of-decisions" => {
            "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {name: probe, namespace: default}, \
             spec: {about: {activationRequest: {name: x}}, decision: Deny, decider: {username: admin, groups: ['system:masters', 'system:authenticated']}}}"
        }
        _ => {
            "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: curfew-admission-canary, namespace: default}, \
             spec: {roleRef: {name: x}}}"
        }
    }
}

/// One size of an attack for `make test`, and another for `make attacks`.
pub fn at_full_size<T>(small: T, full: T) -> T {
    if std::env::var_os("CURFEW_FULL_SIZE").is_some() { full } else { small }
}

/// What must not be so after an attack.
pub fn resisted(held: bool, what: &str) -> Result<()> {
    if held { Ok(()) } else { bail!("the attack succeeded: {what}") }
}

/// Waits until a user has no access; that they keep it is a successful attack.
pub async fn ends(w: &World, who: &User, limit: Duration, what: &str) -> Result<()> {
    resisted(w.access_is(who, false, limit).await.is_ok(), what)
}

/// Asks, has it approved by Carol, and waits until the access is there.
pub async fn active(w: &World, who: &User, role: &str, name: &str, duration: &str) -> Result<()> {
    who.apply(&asks(role, name, duration, "")).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    crate::story::decide(w, &w.carol()?, name, "Approve").await?;
    w.state_is(name, "Active").await?;
    w.access_is(who, true, SOON).await
}

/// A request in namespace payments.
pub fn asks(role: &str, name: &str, duration: &str, more: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{roleRef: {{name: {role}}}, duration: {duration}, justification: roll back release 2311{more}}}}}"
    )
}

/// Lets the team hand out another ClusterRole under a template of the same name, for the group payments-devs, and waits until
/// the operator finds it Ready.
pub async fn offer(w: &World, role: &str, extra_allow: &str) -> Result<()> {
    offered(w, role, extra_allow).await?;
    w.field_is(&["rtpl", "-n", "payments", role], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await
}

/// The same without waiting.
pub async fn offered(w: &World, role: &str, extra_allow: &str) -> Result<()> {
    let admin = w.admin()?;
    let yaml = format!(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: curfew-bind-{role}}}
rules: [{{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [{role}], verbs: [bind]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: curfew-bind-{role}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-bind-{role}}}
subjects: [{{kind: ServiceAccount, name: curfew-operator, namespace: curfew-system}}]
---
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {{name: offer-{role}}}
spec:
  namespaces: {{names: [payments]}}
  systems: {{names: [this-cluster]}}
  permissions: {{kubernetes: {{clusterRoles: [{role}]}}}}
  scope: {{kubernetes: {{namespaces: [payments]}}}}
  eligible: [{{group: payments-devs}}]
  max: {{duration: 8h, eligibility: 365d}}
  min: {{approval: {{none: {{}}}}, justification: false, mfa: {{none: {{}}}}, ticket: {{none: {{}}}}}}
  allow: {{permanentEligibility: true{extra_allow}}}
---
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {{name: {role}, namespace: payments}}
spec:
  description: {role} for an attack
  systems: {{names: [this-cluster]}}
  permissions: {{kubernetes: {{clusterRoles: [{role}]}}}}
  scope: {{kubernetes: {{namespaces: [payments]}}}}
  activation:
    duration: {{default: 1h, max: 4h}}
    ticket: {{none: {{}}}}
    mfa: {{none: {{}}}}
    approval: {{stages: [{{name: owners, approvers: [{{user: carol@example.com}}, {{user: dave@example.com}}], quorum: 1}}]}}
    limits: {{none: {{}}}}
  assignment: {{eligible: {{permanent: true, max: 365d}}}}
---
apiVersion: curfew.dev/v1alpha1
kind: EligibleAssignment
metadata: {{name: {role}, namespace: payments}}
spec: {{roleRef: {{name: {role}}}, subject: {{group: payments-devs}}, scope: {{all: {{}}}}, window: {{permanent: {{}}}}}}
"#
    );
    admin.apply(&yaml).await?.success().map(drop)
}

/// Waits until the operator has judged a role, and gives back what `Ready` says: `True AsExpected: ...` or `False NotReady: ...`.
pub async fn judged(w: &World, role: &str) -> Result<String> {
    let path = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason}: {.message}{end}";
    w.until(&["rtpl", "-n", "payments", role], &format!("role {role} to be judged"), SOON, |v| {
        let now = curfew_testkit::evaluate(path, v)?;
        Ok(Some(now).filter(|n| !n.is_empty()))
    })
    .await
}
