//! What concerns one object, or is only unknown for a while, harms nothing else.
use super::{
    decide,
    refusals::{of, ready, template},
};
use anyhow::{Result, bail, ensure};
use curfew_testkit::{SOON, World, eventually};

#[tokio::test]
async fn what_is_unknown_or_concerns_another_object_ends_nothing() -> Result<()> {
    let (w, _operator) = World::running("isolation").await?;
    another_system_that_matches(&w).await?;
    a_review_that_cannot_be_made(&w).await?;
    a_status_that_cannot_be_written(&w).await
}

/// A second system that matches the selector of a role, and cannot even be reached.
async fn another_system_that_matches(w: &World) -> Result<()> {
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    admin
        .api(&["patch", "authsys", "this-cluster", "--type=merge", "-p", r#"{"metadata": {"labels": {"env": "prod"}}}"#])
        .await?
        .success()?;
    template(w, "labelled", &[("systems: {names: [this-cluster]}", "systems: {selector: {matchLabels: {env: prod}}}")]).await?;
    ready(w, &["rtpl", "-n", "payments", "labelled"], "True").await?;
    for name in ["held", "waits"] {
        alice.apply(&of("labelled", name, "1h")).await?.success()?;
        w.state_is(name, "AwaitingApproval").await?;
    }
    decide(w, &carol, "held", "Approve").await?;
    w.state_is("held", "Active").await?;
    let second = "{apiVersion: curfew.dev/v1alpha1, kind: AuthorizationSystem, metadata: {name: second, labels: {env: prod}}, \
                  spec: {provider: {kubernetes: {kubeconfigSecretRef: {name: far, key: kubeconfig}}}, mode: ReadWrite}}";
    admin.apply(second).await?.success()?;
    ready(w, &["authsys", "second"], "False").await?;
    // A new request shows that the operator knows of both.
    alice.apply(&of("labelled", "ambiguous", "1h")).await?.success()?;
    w.field_is(&["areq", "-n", "payments", "ambiguous"], "{.status.reason}", "AmbiguousSystem").await?;
    decide(w, &carol, "waits", "Approve").await?;
    w.state_is("waits", "Active").await?;
    ensure!(alice.can_read_secret("payments", "db").await?, "another system has ended what is active");
    let state = w.field(&["areq", "-n", "payments", "held"], "{.status.state}").await?;
    ensure!(state == "Active", "another system has made what is active {state}");
    admin.api(&["delete", "authsys", "second"]).await?.success().map(drop)
}

/// The operator may not ask for its own rights while a role changes that a request waits for.
async fn a_review_that_cannot_be_made(w: &World) -> Result<()> {
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    alice.apply(&of("payments-admin", "unasked", "1h")).await?.success()?;
    w.state_is("unasked", "AwaitingApproval").await?;
    let rules = w.field(&["clusterrole", "curfew-operator"], "{.rules}").await?;
    let without = rules.replace("selfsubjectaccessreviews", "nothing");
    ensure!(rules != without, "the operator has no such right: {rules}");
    let set = async |rules: &str| {
        admin.api(&["patch", "clusterrole", "curfew-operator", "--type=merge", "-p", &format!("{{\"rules\": {rules}}}")]).await?.success()
    };
    // Every login has it from here, too.
    let basic = ["clusterrolebinding", "system:basic-user"];
    admin.api(&[&["patch"], &basic[..], &["--type=merge", "-p", r#"{"subjects": []}"#]].concat()).await?.success()?;
    set(&without).await?;
    let role = ["rtpl", "-n", "payments", "payments-admin"];
    let words = async |text: &str| {
        let patch = format!("{{\"spec\": {{\"description\": \"{text}\"}}}}");
        admin.api(&[&["patch"], &role[..], &["--type=merge", "-p", &patch]].concat()).await?.success()
    };
    // The API server goes by the change of rights some milliseconds later.
    eventually("the review to be refused", SOON, || async {
        words(&format!("{:?}", std::time::Instant::now()).replace('"', "")).await?;
        match w.field_fits(&role, "{.status.conditions[?(@.type==\"Ready\")].status}", "Unknown", SOON / 10, |now| now == "Unknown").await {
            Ok(()) => Ok(Some(())),
            Err(e) => bail!("{e:#}"),
        }
    })
    .await?;
    ready(w, &role, "Unknown .. whether the operator may bind the roles is unknown").await?;
    let state = w.field(&["areq", "-n", "payments", "unasked"], "{.status.state}").await?;
    ensure!(state == "AwaitingApproval", "a review that cannot be made has made it {state}");
    set(&rules).await?;
    ready(w, &role, "True").await?;
    decide(w, &carol, "unasked", "Approve").await?;
    w.state_is("unasked", "Active").await
}

/// The status of one role is refused by an admission policy: all other objects are judged.
async fn a_status_that_cannot_be_written(w: &World) -> Result<()> {
    let admin = w.admin()?;
    let refuses = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-status}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [curfew.dev], apiVersions: ["*"], resources: [roletemplates/status], operations: [UPDATE]}]}
  matchConditions: [{name: one, expression: "object.metadata.name == 'unwritable'"}]
  validations: [{expression: "false", message: no status for this one}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-status}
spec: {policyName: no-status, validationActions: [Deny]}
"#;
    admin.apply(refuses).await?.success()?;
    let write =
        ["patch", "rtpl", "-n", "payments", "unwritable", "--subresource=status", "--type=merge", "-p", r#"{"status": {"eligible": 7}}"#];
    let beyond = w.cp.service_account("curfew-system", "curfew-operator").await?;
    template(w, "unwritable", &[]).await?;
    eventually("the status to be refused", SOON, || async {
        let out = beyond.api(&write).await?;
        Ok(out.stderr.contains("no status for this one").then_some(()))
    })
    .await?;
    // Made after the refusal, so that it cannot have been judged before.
    template(w, "writable", &[]).await?;
    ready(w, &["rtpl", "-n", "payments", "writable"], "True").await?;
    ready(w, &["eas", "-n", "payments", "writable-devs"], "True").await
}
