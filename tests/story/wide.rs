//! The whole cluster, and a Role of one namespace: what the policy must say, who ends it, and that it ends.
use super::{decide, request};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, World};
use std::time::Duration;

const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-everywhere}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: payments}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: curfew-bind-wide}
rules:
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [reads-everywhere], verbs: [bind]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles], resourceNames: [reader], verbs: [bind]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: curfew-bind-wide}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-bind-wide}
subjects: [{kind: ServiceAccount, name: curfew-operator, namespace: curfew-system}]
---
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: wide}
spec:
  namespaces: {names: [payments]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [reads-everywhere], roles: [{namespace: payments, name: reader}]}}
  scope: {kubernetes: {clusterWide: {}}}
  eligible: [{group: payments-devs}]
  max: {duration: 8h, eligibility: 365d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {permanentEligibility: true}
"#;

fn template(name: &str, permissions: &str, scope: &str) -> String {
    format!(
        r#"
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {{name: {name}, namespace: payments}}
spec:
  systems: {{names: [this-cluster]}}
  permissions: {{kubernetes: {permissions}}}
  scope: {{kubernetes: {scope}}}
  activation:
    duration: {{max: 4h}}
    ticket: {{none: {{}}}}
    mfa: {{none: {{}}}}
    approval: {{stages: [{{name: owners, approvers: [{{user: carol@example.com}}], quorum: 1}}]}}
    limits: {{none: {{}}}}
  assignment: {{eligible: {{permanent: true}}}}
---
apiVersion: curfew.dev/v1alpha1
kind: EligibleAssignment
metadata: {{name: {name}, namespace: payments}}
spec: {{roleRef: {{name: {name}}}, subject: {{group: payments-devs}}, scope: {{all: {{}}}}, window: {{permanent: {{}}}}}}
"#
    )
}

async fn ready(w: &World, name: &str, expect: &str) -> Result<()> {
    let path = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.message}{end}";
    w.field_fits(&["rtpl", "-n", "payments", name], path, &format!("to be {expect}"), SOON, |now| now.contains(expect)).await
}

#[tokio::test]
async fn the_whole_cluster_and_a_role_of_one_namespace() -> Result<()> {
    let (w, _operator) = World::running("wide").await?;
    let (admin, alice, carol) = (w.admin()?, w.alice()?, w.carol()?);
    admin.api(&["create", "secret", "generic", "db", "-n", "default", "--from-literal=password=x"]).await?.success()?;
    admin.apply(RIGHTS).await?.success()?;
    admin.apply(&template("everywhere", "{clusterRoles: [reads-everywhere]}", "{clusterWide: {}}")).await?.success()?;
    admin.apply(&template("reader", "{roles: [{namespace: payments, name: reader}]}", "{namespaces: [payments]}")).await?.success()?;
    // An identity with access to everything could become the operator: the policy must allow it explicitly.
    ready(&w, "everywhere", "allow.persistence: true").await?;
    let allow = r#"{"spec": {"allow": {"permanentEligibility": true, "persistence": true}}}"#;
    admin.api(&["patch", "apol", "wide", "--type=merge", "-p", allow]).await?.success()?;
    for (role, elsewhere, enforced) in [("everywhere", true, "Curfew"), ("reader", false, "Target")] {
        ready(&w, role, "True").await?;
        let name = format!("asks-{role}");
        alice.apply(&request(&name, "20s").replace("{name: payments-admin}", &format!("{{name: {role}}}"))).await?.success()?;
        w.state_is(&name, "AwaitingApproval").await?;
        decide(&w, &carol, &name, "Approve").await?;
        w.access_is(&alice, true, SOON).await?;
        w.state_is(&name, "Active").await?;
        ensure!(alice.can_read_secret("default", "db").await? == elsewhere, "{role} reaches as far as it says");
        w.field_is(&["areq", "-n", "payments", &name], "{.status.enforcedBy}", enforced).await?;
        let grant = w.field(&["areq", "-n", "payments", &name], "{.status.grantRef.name}").await?;
        if role == "everywhere" {
            // Held by a finalizer from beyond the guard: it ends all the same.
            let beyond = w.cp.service_account("curfew-system", "curfew-operator").await?;
            let held = r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#;
            let mark = format!("curfew.dev/grant={grant}");
            let bound = w.field(&["clusterrolebinding", "-l", &mark], "{.items[0].metadata.name}").await?;
            beyond.api(&["patch", "clusterrolebinding", &bound, "--type=merge", "-p", held]).await?.success()?;
        }
        w.access_is(&alice, false, Duration::from_secs(45)).await?;
        ensure!(!alice.can_read_secret("default", "db").await?);
        w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
        let left = w.field(&["clusterrolebinding,rolebinding,job", "-A", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}").await?;
        ensure!(left.is_empty(), "{left}");
    }
    Ok(())
}
