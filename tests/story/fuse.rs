//! The Job fuse in clusters that ask more of a Job: policies, quotas, labels; and roles that go without.
use super::{
    decide,
    refusals::{of, ready, template},
};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, World};

/// A namespace as hardened clusters have it. The policy asks of every Job what the common policy engines ask, and for a label that
/// only the platform team knows.
const STRICT: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Namespace
metadata: {name: counted}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: strict}
spec: {limits: [{type: Container, min: {cpu: 1m, memory: 1Mi}, max: {cpu: "1", memory: 1Gi}, maxLimitRequestRatio: {cpu: "1"}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: small, namespace: strict}
spec: {hard: {requests.cpu: "1", requests.memory: 1Gi, limits.cpu: "1", limits.memory: 1Gi}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: no-jobs, namespace: counted}
spec: {hard: {count/jobs.batch: "0"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: strict-jobs}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [batch], apiVersions: [v1], resources: [jobs], operations: [CREATE]}]}
  variables:
  - {name: pod, expression: object.spec.template.spec}
  validations:
  - {expression: "variables.pod.containers.all(c, c.image.matches(':[^/]+$') && !c.image.endsWith(':latest'))", message: images need a tag}
  - {expression: "variables.pod.containers.all(c, has(c.resources.requests) && has(c.resources.limits) && ['cpu', 'memory'].all(r, r in c.resources.requests && r in c.resources.limits))", message: requests and limits are required}
  - {expression: "variables.pod.securityContext.runAsNonRoot && variables.pod.securityContext.seccompProfile.type == 'RuntimeDefault'", message: run as non-root with a seccomp profile}
  - {expression: "variables.pod.containers.all(c, c.securityContext.readOnlyRootFilesystem && !c.securityContext.allowPrivilegeEscalation && 'ALL' in c.securityContext.capabilities.drop)", message: containers are restricted}
  - {expression: "!variables.pod.automountServiceAccountToken", message: no token}
  - {expression: "'team' in object.metadata.labels && 'team' in object.spec.template.metadata.labels", message: Jobs need the label team}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: strict-jobs}
spec:
  policyName: strict-jobs
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {pod-security.kubernetes.io/enforce: restricted}}}
"#;

#[tokio::test]
async fn the_fuse_satisfies_the_cluster_or_the_role_says_what_refuses_it() -> Result<()> {
    let w = World::first("fuse-jobs").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    admin.apply(STRICT).await?.success()?;
    // As the controller of quotas would: it does not run here.
    for (namespace, quota, counted) in [
        ("strict", "small", r#""requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "1", "limits.memory": "1Gi""#),
        ("counted", "no-jobs", r#""count/jobs.batch": "0""#),
    ] {
        let used = counted.replace("1Gi", "0").replace("\"1\"", "\"0\"");
        let status = format!(r#"{{"status": {{"hard": {{{counted}}}, "used": {{{used}}}}}}}"#);
        admin
            .api(&["patch", "resourcequota", "-n", namespace, quota, "--subresource=status", "--type=merge", "-p", &status])
            .await?
            .success()?;
    }
    let wider = r#"{"spec": {"scope": {"kubernetes": {"namespaces": ["payments", "strict", "counted"]}}}}"#;
    admin.api(&["patch", "apol", "payments", "--type=merge", "-p", wider]).await?.success()?;
    for place in ["strict", "counted"] {
        template(&w, place, &[("namespaces: [payments]", &format!("namespaces: [{place}]"))]).await?;
    }
    let _operator = w.operator("operator").await?;
    w.granting().await?;
    ready(&w, &["rtpl", "-n", "payments", "strict"], "False TargetRefused .. namespace strict refuses the Job .. Jobs need the label team")
        .await?;
    ready(
        &w,
        &["rtpl", "-n", "payments", "counted"],
        "False TargetRefused .. namespace counted refuses the Job .. exceeded quota: no-jobs",
    )
    .await?;
    alice.apply(&of("strict", "too-early", "1h")).await?.success()?;
    w.field_is(&["areq", "-n", "payments", "too-early"], "{.status.reason}", "NotReady").await?;

    configure(&w, r#"{"job": {"image": "registry.example.com/pause:3", "labels": {"team": "security"}, "annotations": {"why": "fuse"}}}"#)
        .await?;
    ready(&w, &["rtpl", "-n", "payments", "strict"], "True").await?;
    let with_job = active(&w, "strict", "with-job", "Target").await?;
    let job = w
        .field(
            &["job", "-n", "strict", &format!("curfew-{with_job}-0")],
            "{.metadata.labels.team} {.metadata.annotations.why} {.spec.template.spec.containers[0].image}",
        )
        .await?;
    ensure!(job == "security fuse registry.example.com/pause:3", "{job}");
    a_pod_of_it_would_be_admitted(&w, &with_job).await?;

    // What is live keeps what it was created with.
    configure(&w, r#"{"none": {}, "job": null}"#).await?;
    ready(&w, &["rtpl", "-n", "payments", "counted"], "True").await?;
    let without = active(&w, "counted", "without-job", "Curfew").await?;
    let jobs = w.field(&["job", "-A", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}").await?;
    ensure!(jobs == format!("curfew-{with_job}-0"), "{jobs}");
    for (grant, enforced) in [(&with_job, "Target"), (&without, "Curfew")] {
        w.field_is(&["grt", grant], "{.status.enforcedBy}", enforced).await?;
    }
    for name in ["with-job", "without-job"] {
        decide(&w, &alice, name, "Revoke").await?;
        w.state_is(name, "Revoked").await?;
    }
    w.field_fits(&["rolebinding,job", "-A", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}", "to be nothing", SOON, str::is_empty)
        .await
}

/// Changes what ends a binding without the operator; keys of Curfew's own are refused in it.
async fn configure(w: &World, fuse: &str) -> Result<()> {
    let admin = w.admin()?;
    let patch = |fuse: &str| format!(r#"{{"spec": {{"kubernetes": {{"fuse": {fuse}}}}}}}"#);
    for reserved in ["labels", "annotations"] {
        let reserved = patch(&format!(r#"{{"job": {{"{reserved}": {{"curfew.dev/grant": "x"}}}}, "none": null}}"#));
        let told = admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &reserved]).await?.refused()?;
        ensure!(told.contains("keys of curfew.dev are reserved"), "{told}");
    }
    admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &patch(fuse)]).await?.success().map(drop)
}

/// Has a request approved; returns the Grant's name.
async fn active(w: &World, role: &str, name: &str, enforced: &str) -> Result<String> {
    w.alice()?.apply(&of(role, name, "1h")).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    decide(w, &w.carol()?, name, "Approve").await?;
    w.state_is(name, "Active").await?;
    w.field_is(&["areq", "-n", "payments", name], "{.status.enforcedBy}", enforced).await?;
    w.field(&["areq", "-n", "payments", name], "{.status.grantRef.name}").await
}

/// The Job runs no Pod. That a Pod of its template satisfies the restricted profile, quota and LimitRange of the namespace is asked of
/// the API server by a dry run.
async fn a_pod_of_it_would_be_admitted(w: &World, grant: &str) -> Result<()> {
    let spec = w.field(&["job", "-n", "strict", &format!("curfew-{grant}-0")], "{.spec.template.spec}").await?;
    let pod = format!(r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "like-it", "namespace": "strict"}}, "spec": {spec}}}"#);
    let admin = w.admin()?;
    admin.api(&["create", "serviceaccount", "-n", "strict", "default"]).await.map(drop)?;
    admin.api_stdin(&["create", "--dry-run=server", "-f", "-"], &pod).await?.success().map(drop)
}
