//! What concerns one object, or is only unknown for a while, harms nothing else.
use super::{
    decide,
    refusals::{of, ready, template},
};
use anyhow::{Context, Result, bail, ensure};
use curfew_testkit::{SOON, World, eventually};
use std::time::{Duration, Instant};

#[tokio::test]
async fn what_is_unknown_or_concerns_another_object_ends_nothing() -> Result<()> {
    let (w, _operator) = World::running("isolation").await?;
    another_system_that_matches(&w).await?;
    a_review_that_cannot_be_made(&w).await?;
    what_is_written_again(&w).await?;
    a_configuration_and_a_kind_that_are_created_again(&w).await?;
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

/// Deletes an object, and returns what creates it again.
async fn removed(w: &World, what: &[&str]) -> Result<String> {
    let object = written(w, what).await?;
    w.admin()?.kubectl(&[&["delete"], what].concat()).await?.success()?;
    Ok(object)
}

/// What creates an object again.
async fn written(w: &World, what: &[&str]) -> Result<String> {
    let admin = w.admin()?;
    let out = admin.kubectl(&[&["get"], what, &["-o", "json"]].concat()).await?.success()?;
    let mut object: serde_json::Value = serde_json::from_str(&out)?;
    let meta = object["metadata"].as_object_mut().context("an object")?;
    for key in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        meta.remove(key);
    }
    object.as_object_mut().context("an object")?.remove("status");
    Ok(object.to_string())
}

/// What a request that waits is told after an object that it was accepted by was deleted and created again, while what is active goes
/// on. `None` if a busy machine took longer than the two seconds for which the object surely may be missing.
async fn told_after(w: &World, what: &[&str], suffix: &str) -> Result<Option<String>> {
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    let [held, name, unseen] = ["held", "waits", "unseen"].map(|what| format!("again-{what}-{suffix}"));
    ready(w, &["rtpl", "-n", "payments", "again"], "True").await?;
    ready(w, &["eas", "-n", "payments", "again-devs"], "True").await?;
    for request in [&held, &name] {
        alice.apply(&of("again", request, "1h")).await?.success()?;
        w.state_is(request, "AwaitingApproval").await?;
    }
    decide(w, &carol, &held, "Approve").await?;
    w.state_is(&held, "Active").await?;
    let object = written(w, what).await?;
    let begun = Instant::now();
    admin.api(&[&["delete"], what].concat()).await?.success()?;
    // The operator has seen that it is gone before it is there again: what is accepted by nothing is refused at once.
    alice.apply(&of("again", &unseen, "1h")).await?.success()?;
    let over = |state: &str| ["Invalid", "Denied"].contains(&state);
    w.field_fits(&["areq", "-n", "payments", &unseen], "{.status.state}", "to be refused", SOON, over).await?;
    admin.create(&object).await?.success()?;
    let in_time = begun.elapsed() < Duration::from_secs(2);
    let request = ["areq", "-n", "payments", &name];
    w.field_fits(&request, "{.status.state}", "to be over", SOON, over).await?;
    let told = w.field(&request, "{.status.state} {.status.reason} {.status.message}").await?;
    let state = w.field(&["areq", "-n", "payments", &held], "{.status.state}").await?;
    ensure!(!in_time || state == "Active", "{what:?} was written again, and what is active is {state}");
    Ok(in_time.then_some(told))
}

/// `kubectl replace --force` of what a request was accepted by, with equal content: deleted, and created again.
async fn what_is_written_again(w: &World) -> Result<()> {
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    template(w, "again", &[]).await?;
    let all: [(&[&str], &str); 3] = [
        (&["eas", "-n", "payments", "again-devs"], "EligibleAssignment again-devs"),
        (&["rtpl", "-n", "payments", "again"], "RoleTemplate again"),
        (&["apol", "payments"], "AccessPolicy payments"),
    ];
    for (i, (what, words)) in all.into_iter().enumerate() {
        let mut told = None;
        for again in 0..5 {
            told = told_after(w, what, &format!("{i}-{again}")).await?;
            if told.is_some() {
                break;
            }
        }
        let told = told.context("each time it was missing for longer than may be")?;
        ensure!(told.contains(&format!("Invalid TemplateChanged {words} was deleted and created again")), "{told}");
        ready(w, &["rtpl", "-n", "payments", "again"], "True").await?;
    }
    ready(w, &["rtpl", "-n", "payments", "again"], "True").await?;
    alice.apply(&of("again", "again-held", "1h")).await?.success()?;
    w.state_is("again-held", "AwaitingApproval").await?;
    decide(w, &carol, "again-held", "Approve").await?;
    w.state_is("again-held", "Active").await?;
    // What stays deleted ends it.
    admin.api(&["delete", "eas", "-n", "payments", "again-devs"]).await?.success()?;
    w.field_is(&["areq", "-n", "payments", "again-held"], "{.status.state} {.status.reason}", "Revoked NotEligible").await
}

/// CurfewConfig, and the kind RoleTemplate with every object, deleted and created again.
async fn a_configuration_and_a_kind_that_are_created_again(w: &World) -> Result<()> {
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    alice.apply(&of("payments-admin", "kept-held", "1h")).await?.success()?;
    w.state_is("kept-held", "AwaitingApproval").await?;
    decide(w, &carol, "kept-held", "Approve").await?;
    w.state_is("kept-held", "Active").await?;
    alice.apply(&of("payments-admin", "kept-waits", "1h")).await?.success()?;
    w.state_is("kept-waits", "AwaitingApproval").await?;
    let config = removed(w, &["curfewconfig", "curfew"]).await?;
    // A change of the role triggers the request that waits, while there is no CurfewConfig.
    let role = ["rtpl", "-n", "payments", "payments-admin"];
    let words = r#"{"spec": {"description": "without a configuration"}}"#;
    admin.api(&[&["patch"], &role[..], &["--type=merge", "-p", words]].concat()).await?.success()?;
    let generation = w.field(&role, "{.metadata.generation}").await?;
    w.field_is(&role, "{.status.conditions[?(@.type==\"Ready\")].observedGeneration}", &generation).await?;
    alice.apply(&of("payments-admin", "kept-new", "1h")).await?.success()?;
    w.state_is("kept-waits", "AwaitingApproval").await?;
    admin.create(&config).await?.success()?;
    w.state_is("kept-new", "AwaitingApproval").await?;
    w.granting().await?;
    let out = admin.kubectl(&["get", "rtpl", "-n", "payments", "payments-admin", "-o", "json"]).await?.success()?;
    let template: serde_json::Value = serde_json::from_str(&out)?;
    let template = serde_json::json!({
        "apiVersion": template["apiVersion"], "kind": template["kind"], "spec": template["spec"],
        "metadata": {"name": "payments-admin", "namespace": "payments"},
    });
    admin.kubectl(&["delete", "crd", "roletemplates.curfew.dev", "--timeout=60s"]).await?.success()?;
    admin.kubectl(&["create", "-f", &curfew_testkit::path("crds/roletemplates.curfew.dev.yaml")]).await?.success()?;
    eventually("the kind to be served again", SOON, || async { Ok(admin.create(&template.to_string()).await?.ok.then_some(())) }).await?;
    w.granting().await?;
    let told = w.field(&["areq", "-n", "payments", "kept-held"], "{.status.state} {.status.reason}").await?;
    ensure!(told == "Active ", "a kind was created again, and what is active is {told}");
    ensure!(alice.can_read_secret("payments", "db").await?, "the access is gone");
    // The role is another object now, and the person is told so.
    let told = "{.status.reason} {.status.message}";
    w.field_fits(&["areq", "-n", "payments", "kept-waits"], told, "to name the role", SOON, |now| {
        now.starts_with("TemplateChanged RoleTemplate payments-admin was deleted and created again")
    })
    .await
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
