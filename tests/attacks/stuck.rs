//! Revocations that fail one after the other, and slowly, delay no other revocation of the same system.
use super::{active, asks, at_full_size, ends, resisted};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, World, eventually};
use std::time::Duration;
use tokio::net::TcpListener;

/// At least twice as many as the lane of a Kubernetes system has places.
fn stuck() -> usize {
    at_full_size(32, 48)
}
/// How long a revocation may take that nothing is in the way of.
const PROMPT: Duration = Duration::from_secs(6);

const EVERYWHERE: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-nodes}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: curfew-bind-reads-nodes}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [reads-nodes], verbs: [bind]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: curfew-bind-reads-nodes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-bind-reads-nodes}
subjects: [{kind: ServiceAccount, name: curfew-operator, namespace: curfew-system}]
---
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: everywhere}
spec:
  namespaces: {names: [payments]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [reads-nodes]}}
  scope: {kubernetes: {clusterWide: {}}}
  eligible: [{group: payments-devs}]
  max: {duration: 8h, eligibility: 365d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {permanentEligibility: true, persistence: true}
---
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {name: reads-nodes, namespace: payments}
spec:
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [reads-nodes]}}
  scope: {kubernetes: {clusterWide: {}}}
  activation:
    duration: {max: 4h}
    ticket: {none: {}}
    mfa: {none: {}}
    approval: {none: {}}
    limits: {none: {}}
  assignment: {eligible: {permanent: true}}
---
apiVersion: curfew.dev/v1alpha1
kind: EligibleAssignment
metadata: {name: reads-nodes, namespace: payments}
spec: {roleRef: {name: reads-nodes}, subject: {group: payments-devs}, scope: {all: {}}, window: {permanent: {}}}
"#;

/// The Grants whose bindings cannot be removed.
const GRANTS: [&str; 1] = ["grt"];

#[tokio::test]
async fn revocations_that_get_no_answer_delay_no_other_of_their_system() -> Result<()> {
    let (w, _operator) = World::running("stuck").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    admin.apply(EVERYWHERE).await?.success()?;
    let ready = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.message}{end}";
    w.field_fits(&["rtpl", "-n", "payments", "reads-nodes"], ready, "to be True", SOON, |now| now.starts_with("True")).await?;
    active(&w, &alice, "payments-admin", "prompt", "1h").await?;
    let requests: Vec<String> = (0..stuck()).map(|n| asks("reads-nodes", &format!("stuck-{n}"), "1h", "")).collect();
    alice.apply(&requests.join("\n---\n")).await?.success()?;
    let states = "{.items[*].status.state}";
    let count = |states: &str, state: &str| states.split(' ').filter(|s| *s == state).count();
    w.field_fits(&GRANTS, states, "to be active", SOON * 3, |now| count(now, "Active") > stuck()).await?;

    // From here on nobody answers whether a ClusterRoleBinding may be changed.
    let silent = silence(&w).await?;
    for n in 0..stuck() {
        alice.api(&["delete", "areq", "-n", "payments", &format!("stuck-{n}")]).await?.success()?;
    }
    let attempts = "{.items[*].status.attempts}";
    let tried = |now: &str| now.split(' ').filter(|n| !n.is_empty()).count() >= stuck();
    let all_tried = w.field_fits(&GRANTS, attempts, "to have failed once", SOON * 2, tried).await;
    resisted(all_tried.is_ok(), "revocations that get no answer delay another: some are never tried")?;
    alice.api(&["delete", "areq", "-n", "payments", "prompt"]).await?.success()?;
    ends(&w, &alice, PROMPT, &format!("revocations that get no answer delay another by more than {PROMPT:?}")).await?;
    let now = w.field(&GRANTS, states).await?;
    ensure!(count(&now, "Revoking") == stuck(), "the others are stuck all the while: {now}");

    // They end as soon as they can.
    admin.kubectl(&["delete", "validatingwebhookconfiguration", "silent"]).await?.success()?;
    drop(silent);
    w.field_fits(&GRANTS, states, "to have ended", SOON * 2, |now| count(now, "Ended") > stuck()).await
}

/// An admission webhook for the operator's writes to ClusterRoleBindings that takes connections and never answers.
async fn silence(w: &World) -> Result<tokio::task::JoinHandle<()>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}/", listener.local_addr()?);
    let holds = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            taken.push(stream);
        }
    });
    let webhook = format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: silent}}
webhooks:
- name: silent.example.com
  clientConfig: {{url: "{url}"}}
  timeoutSeconds: 2
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
  rules: [{{apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], resources: [clusterrolebindings], operations: [DELETE, UPDATE]}}]
  matchConditions: [{{name: operator, expression: "request.userInfo.username == 'system:serviceaccount:curfew-system:curfew-operator'"}}]
"#
    );
    w.admin()?.kubectl_stdin(&["apply", "-f", "-"], &webhook).await?.success()?;
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let name = w.field(&["clusterrolebinding", "-l", "curfew.dev/grant"], "{.items[0].metadata.name}").await?;
    eventually("the webhook to be in force", SOON, || async {
        let out = operator.kubectl(&["delete", "clusterrolebinding", &name, "--dry-run=server"]).await?;
        Ok(out.stderr.contains("silent.example.com").then_some(()))
    })
    .await?;
    Ok(holds)
}
