//! Terminating is not gone: if anything holds a binding, a Job or a namespace, the access still ends, and by no right beyond the
//! operator's own.
use super::{active, ends};
use anyhow::{Result, bail};
use curfew_testkit::{Output, SOON, User, World, eventually};

const HELD: &str = r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#;

/// One cluster for each, because the namespace goes.
#[tokio::test]
async fn a_foreign_finalizer_keeps_nothing_alive() -> Result<()> {
    let (w, _operator) = World::running("held").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    // Only an identity that the admission policy exempts can add one, as a user could before it was in force.
    let beyond = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let mut marks = Vec::new();
    for (kind, name) in [("job", "on-job"), ("rolebinding", "on-binding")] {
        active(&w, &alice, "payments-admin", name, "1h").await?;
        let grant = w.field(&["areq", "-n", "payments", name], "{.status.grantRef.name}").await?;
        let mark = format!("curfew.dev/grant={grant}");
        let object = w.field(&[kind, "-n", "payments", "-l", &mark], "{.items[0].metadata.name}").await?;
        beyond.api(&["patch", kind, "-n", "payments", &object, "--type=merge", "-p", HELD]).await?.success()?;
        alice.api(&["delete", "areq", "-n", "payments", name]).await?.success()?;
        ends(&w, &alice, SOON, &format!("a finalizer {name} keeps the access")).await?;
        w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
        marks.push(mark);
    }
    for mark in marks {
        for kind in ["rolebinding", "job"] {
            let all = [kind, "-n", "payments", "-l", &mark];
            w.field_fits(&all, "{.items[*].metadata.name}", "to be nothing", SOON, str::is_empty).await?;
        }
    }
    refused_deletions(&w, &beyond).await?;
    // A namespace that cannot go.
    active(&w, &alice, "payments-admin", "in-namespace", "1h").await?;
    let grant = w.field(&["areq", "-n", "payments", "in-namespace"], "{.status.grantRef.name}").await?;
    admin.api(&["create", "configmap", "-n", "payments", "held"]).await?.success()?;
    admin.api(&["patch", "configmap", "-n", "payments", "held", "--type=merge", "-p", HELD]).await?.success()?;
    admin.api(&["delete", "namespace", "payments", "--wait=false"]).await?.success()?;
    ends(&w, &alice, SOON, "a namespace that cannot go keeps the access").await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
    let phase = w.field(&["namespace", "payments"], "{.status.phase}").await?;
    assert_eq!(phase, "Terminating", "it is there all the while");
    admin
        .api(&["patch", "configmap", "-n", "payments", "held", "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#])
        .await?
        .success()?;
    Ok(())
}

/// What policy engines and change freezes do: each DELETE of a RoleBinding is refused, and then the operator's PATCH as well. In the first
/// case the garbage collector cannot help either: the fuse is deleted with an early end.
async fn refused_deletions(w: &World, operator: &User) -> Result<()> {
    let (alice, admin) = (w.alice()?, w.admin()?);
    let probe = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: probe, namespace: payments}, \
                 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}}";
    admin.create(probe).await?.success()?;
    admin.apply(&freeze("DELETE", &[OPERATOR, COLLECTOR])).await?.success()?;
    refused("a deletion", || operator.kubectl(&["delete", "rolebinding", "-n", "payments", "probe", "--dry-run=server"])).await?;
    active(w, &alice, "payments-admin", "undeletable", "1h").await?;
    let grant = w.field(&["areq", "-n", "payments", "undeletable"], "{.status.grantRef.name}").await?;
    alice.api(&["delete", "areq", "-n", "payments", "undeletable"]).await?.success()?;
    ends(w, &alice, SOON, "a policy that refuses deletions keeps the access").await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
    let revoked =
        w.field(&["grt", &grant], "{range .status.conditions[?(@.type==\"Revoked\")]}{.status} {.reason}: {.message}{end}").await?;
    assert!(revoked.starts_with("True Disarmed: curfew:") && revoked.contains("change freeze"), "{revoked}");

    active(w, &alice, "payments-admin", "untouchable", "1h").await?;
    admin.apply(&freeze("DELETE, UPDATE", &[OPERATOR])).await?.success()?;
    let label = [
        "patch",
        "rolebinding",
        "-n",
        "payments",
        "probe",
        "--type=merge",
        "-p",
        r#"{"metadata": {"labels": {"a": "b"}}}"#,
        "--dry-run=server",
    ];
    refused("a patch", || operator.kubectl(&label)).await?;
    alice.api(&["delete", "areq", "-n", "payments", "untouchable"]).await?.success()?;
    ends(w, &alice, SOON, "a policy that refuses deletions and patches keeps the access").await?;
    admin.api(&["delete", "validatingadmissionpolicybinding", "change-freeze"]).await?.success()?;
    // The API server takes it out of force later; until then an activation would fail for good.
    eventually("a patch to be accepted", SOON, || async { Ok(operator.kubectl(&label).await?.ok.then_some(())) }).await?;
    let all = ["rolebinding", "-n", "payments", "-l", "curfew.dev/grant"];
    // The garbage collector was refused, too, and tries again after pauses that double.
    w.field_fits(&all, "{.items[*].metadata.name}", "to be nothing", SOON * 4, str::is_empty).await
}

const OPERATOR: &str = "system:serviceaccount:curfew-system:curfew-operator";
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// Refuses these operations on RoleBindings to these accounts.
fn freeze(operations: &str, to: &[&str]) -> String {
    let to = to.iter().map(|account| format!("'{account}'")).collect::<Vec<_>>().join(", ");
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: change-freeze}}
spec:
  matchConstraints: {{resourceRules: [{{apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], resources: [rolebindings], operations: [{operations}]}}]}}
  matchConditions: [{{name: who, expression: "request.userInfo.username in [{to}]"}}]
  validations: [{{expression: "false", message: change freeze}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: change-freeze}}
spec: {{policyName: change-freeze, validationActions: [Deny]}}
"#
    )
}

/// Waits until a dry-run write is refused.
async fn refused<F: Future<Output = Result<Output>>>(what: &str, write: impl Fn() -> F) -> Result<()> {
    eventually(&format!("{what} to be refused"), SOON, || async {
        let out = write().await?;
        if out.stderr.contains("change freeze") { Ok(Some(())) } else { bail!("{}{}", out.stdout, out.stderr) }
    })
    .await
}
