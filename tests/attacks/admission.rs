//! While admission is not enforced anybody can be anybody. Objects created then are never believed; what was accepted before stays accepted.
use super::{active, asks, resisted};
use crate::story::{decide, standing};
use anyhow::{Result, ensure};
use curfew::api::CurfewConfig;
use curfew_testkit::{Output, SHIPPED_TIMING, SOON, User, World, eventually, path};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::time::Duration;

async fn open(w: &World, policies: &[&str]) -> Result<()> {
    let admin = w.admin()?;
    for p in policies {
        admin.api(&["delete", "validatingadmissionpolicybinding", p]).await?.success()?;
    }
    w.field_is(&["curfewconfig", "curfew"], "{.status.conditions[?(@.type==\"AdmissionEnforced\")].status}", "False").await
}

async fn close(w: &World) -> Result<()> {
    w.admin()?.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path("deploy/30-policies.yaml")]).await?.success()?;
    w.granting().await
}

/// Gives Mallory every right that RBAC has: what stops her then is not RBAC.
async fn may_do_anything(w: &World) -> Result<()> {
    let args = ["create", "clusterrolebinding", "mallory", "--clusterrole=cluster-admin", "--user=mallory@example.com"];
    w.admin()?.api(&args).await?.success().map(drop)
}

/// Lets Mallory ask in payments, in her own name.
async fn may_ask(w: &World) -> Result<()> {
    let args = ["create", "rolebinding", "-n", "payments", "m", "--clusterrole=curfew-requester", "--user=mallory@example.com"];
    w.admin()?.api(&args).await?.success().map(drop)
}

/// Writes a request in another user's name.
async fn forged(who: &User, name: &str) -> Result<()> {
    let stamp = ", requester: {username: alice@example.com, groups: [payments-devs, 'system:authenticated'], extra: {authentication.kubernetes.io/credential-id: [X509SHA256=0]}}";
    let request = asks("payments-admin", name, "1h", stamp);
    taken(|| who.apply(&request)).await
}

/// An approval in Carol's name.
fn forged_approval(name: &str, request: &str, digest: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: {request}}}}}, digest: '{digest}', decision: Approve, \
         decider: {{username: carol@example.com, groups: [], extra: {{authentication.kubernetes.io/credential-id: [X509SHA256=0]}}}}}}}}"
    )
}

/// Writes again and again until it is not refused: a policy is out of force some moments after its binding was deleted, and the
/// operator may notice the gap before that.
async fn taken<F: Future<Output = Result<Output>>>(write: impl Fn() -> F) -> Result<()> {
    eventually("the write to be taken", SOON, || async {
        let out = write().await?;
        if out.ok { Ok(Some(())) } else { anyhow::bail!("{}", out.stderr) }
    })
    .await
}

#[tokio::test]
async fn what_was_made_while_it_was_open_is_never_believed() -> Result<()> {
    let (w, _operator) = World::running("open").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    // Accepted before, approved by nobody yet; and one that is active.
    alice.apply(&asks("payments-admin", "before", "1h", "")).await?.success()?;
    w.state_is("before", "AwaitingApproval").await?;
    let mallory = w.mallory()?;
    for role in ["requester", "approver"] {
        let name = format!("mallory-{role}");
        let role = format!("--clusterrole=curfew-{role}");
        admin.api(&["create", "rolebinding", "-n", "payments", &name, &role, "--user=mallory@example.com"]).await?.success()?;
    }
    admin.api(&["create", "clusterrole", "writes-grants", "--verb=create", "--resource=grants.curfew.dev"]).await?.success()?;
    admin
        .api(&["create", "clusterrolebinding", "writes-grants", "--clusterrole=writes-grants", "--user=mallory@example.com"])
        .await?
        .success()?;
    open(&w, &["curfew-requests", "curfew-decisions", "curfew-ledger"]).await?;

    forged(&mallory, "forged").await?;
    let digest = w.field(&["areq", "-n", "payments", "before"], "{.status.digest}").await?;
    let decision = forged_approval("forged", "before", &digest);
    taken(|| mallory.apply(&decision)).await?;
    // A Grant of the name that the request would have, for another user.
    let uid = w.field(&["areq", "-n", "payments", "before"], "{.metadata.uid}").await?;
    let home = w.field(&["namespace", "curfew-system"], "{.metadata.uid}").await?;
    let install = curfew_core::ids::install_id(&home);
    let id = curfew_core::ids::grant_id(&install, &uid);
    let target = w.field(&["authsys", "this-cluster"], "{.status.target.id}").await?;
    let system = w.field(&["authsys", "this-cluster"], "{.metadata.uid}").await?;
    let grant = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: Grant, metadata: {{name: '{id}', finalizers: [curfew.dev/revoke]}}, spec: {{\
         system: {{name: this-cluster, uid: {system}, target: {target}, connection: {{kubernetes: {{inCluster: {{}}}}}}}}, \
         request: {{namespace: payments, name: before, uid: {uid}, requester: alice@example.com, beneficiary: {{user: alice@example.com}}}}, \
         principal: {{kubernetes: {{user: mallory@example.com}}}}, digest: '{digest}', expiresAt: '2099-01-01T00:00:00Z', \
         plan: {{kubernetes: {{subject: {{user: mallory@example.com}}, bindings: [{{name: 'curfew:{install}:{id}:20990101T000000Z:0', \
         namespace: payments, roleKind: ClusterRole, role: payments-admin}}]}}}}}}}}"
    );
    taken(|| mallory.create(&grant)).await?;
    close(&w).await?;

    let made = w.field_is(&["areq", "-n", "payments", "forged"], "{.status.reason}", "AdmissionNotEnforced").await;
    resisted(made.is_ok(), "a request that was forged while admission was not enforced is believed")?;
    w.state_is("forged", "Invalid").await?;
    let counted = w.field_is(&["adec", "-n", "payments", "forged"], "{.status.conditions[0].reason}", "AdmissionNotEnforced").await;
    resisted(counted.is_ok(), "an approval that was forged while admission was not enforced counts")?;
    // The forged Grant is only revoked: nothing of it was ever armed.
    let ended = w.field_is(&["grt", &id], "{.status.state}", "Ended").await;
    resisted(
        ended.is_ok() && !mallory.can_read_secret("payments", "db").await?,
        "a Grant that was forged while admission was not enforced is armed",
    )
}

/// Standing access rests on who created it. What status says about that is not believed where the history knows of the gap.
#[tokio::test]
async fn standing_access_whose_author_was_forged_in_a_gap_is_never_given() -> Result<()> {
    let (w, _operator) = World::running("forged-author").await?;
    let (mallory, stan) = (w.mallory()?, w.cp.user("stan@example.com", &[])?);
    may_do_anything(&w).await?;
    standing::offer(&w).await?;
    open(&w, &["curfew-assignments", "curfew-ledger"]).await?;
    let author = "author: {username: olga@example.com, groups: [], extra: {authentication.kubernetes.io/credential-id: [X509SHA256=0]}}";
    let forged = standing::assignment("forged", "standing", "user: stan@example.com", "permanent: {}")
        .replace("justification:", &format!("{author}, justification:"));
    taken(|| mallory.apply(&forged)).await?;
    let proven = r#"{"status": {"conditions": [{"type": "AuthorProven", "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}"#;
    let patch = ["patch", "aas", "-n", "payments", "forged", "--subresource=status", "--type=merge", "-p", proven];
    taken(|| mallory.api(&patch)).await?;
    close(&w).await?;
    let forged = ["aas", "-n", "payments", "forged"];
    let refused = w.field_is(&forged, "{.status.conditions[?(@.type==\"Ready\")].reason}", "AdmissionNotEnforced").await;
    resisted(
        refused.is_ok() && !stan.can_read_secret("payments", "db").await?,
        "standing access whose author was forged in a gap is given",
    )?;
    w.field_is(&forged, "{.status.conditions[?(@.type==\"AuthorProven\")].status}", "False").await
}

/// Takes policies out of force and does not wait for anybody to notice.
async fn slip(w: &World, policies: &[&str]) -> Result<()> {
    for p in policies {
        w.admin()?.api(&["delete", "validatingadmissionpolicybinding", p]).await?.success()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_gap_that_nobody_has_noticed_yet_is_a_gap() -> Result<()> {
    let (w, _operator) = World::running("slipped").await?;
    let (alice, mallory) = (w.alice()?, w.mallory()?);
    may_do_anything(&w).await?;
    alice.apply(&asks("payments-admin", "waits", "1h", "")).await?.success()?;
    w.state_is("waits", "AwaitingApproval").await?;

    // In, forged, and out again, as fast as the API server takes it.
    slip(&w, &["curfew-requests", "curfew-decisions"]).await?;
    forged(&mallory, "slipped").await?;
    let digest = w.field(&["areq", "-n", "payments", "waits"], "{.status.digest}").await?;
    let decision = forged_approval("slipped", "waits", &digest);
    taken(|| mallory.apply(&decision)).await?;
    close(&w).await?;
    let made = w.field_is(&["areq", "-n", "payments", "slipped"], "{.status.reason}", "AdmissionNotEnforced").await;
    resisted(made.is_ok(), "a request slips through a gap that nobody has noticed")?;
    let counted = w.field_is(&["adec", "-n", "payments", "slipped"], "{.status.conditions[0].reason}", "AdmissionNotEnforced").await;
    resisted(
        counted.is_ok() && !alice.can_read_secret("payments", "db").await?,
        "an approval slips through a gap that nobody has noticed",
    )?;

    // The same with status: a status that says Activating does not replace an approval.
    slip(&w, &["curfew-ledger"]).await?;
    let approved = r#"{"status": {"state": "Activating", "expiresAt": "2099-01-01T00:00:00Z"}}"#;
    let patch = ["patch", "areq", "-n", "payments", "waits", "--subresource=status", "--type=merge", "-p", approved];
    taken(|| mallory.api(&patch)).await?;
    close(&w).await?;
    let ended = w.field_is(&["areq", "-n", "payments", "waits"], "{.status.reason}", "NotApproved").await;
    resisted(ended.is_ok() && !alice.can_read_secret("payments", "db").await?, "a status that says so is an approval")
}

/// Writes into the admission check's own status that it was always enforced, again and again, so that the leader's writes conflict.
async fn claim(who: &User) -> Result<()> {
    let configs: Api<CurfewConfig> = Api::all(who.client().await?);
    let begun = std::time::Instant::now();
    let mut taken = 0;
    // Long enough for several admission proofs, and often enough to be in the way of each, however busy the machine is.
    while begun.elapsed() < Duration::from_secs(15) || taken <= 50 {
        ensure!(begun.elapsed() < SOON * 4, "only {taken} writes were taken");
        // Another end each time: the API server does not store a write that changes nothing.
        let until = format!("2099-01-01T00:00:{:02}Z", taken % 60);
        let claimed = json!({"status": {"admission": {"past": [{"since": "2020-01-01T00:00:00Z", "until": until}]}}});
        let written = configs.patch_status("curfew", &PatchParams::default(), &Patch::Merge(claimed)).await;
        taken += i32::from(written.is_ok());
    }
    Ok(())
}

#[tokio::test]
async fn a_status_that_claims_there_was_no_gap_is_not_believed() -> Result<()> {
    let (w, _operator) = World::running("claimed").await?;
    let mallory = w.mallory()?;
    may_do_anything(&w).await?;
    open(&w, &["curfew-requests", "curfew-ledger"]).await?;
    let (claimed, made) = tokio::join!(claim(&mallory), forged(&mallory, "forged"));
    claimed?;
    made?;
    close(&w).await?;
    let made = w.field_is(&["areq", "-n", "payments", "forged"], "{.status.reason}", "AdmissionNotEnforced").await;
    resisted(made.is_ok(), "a gap is forgotten because a status claims that there was none")
}

/// A user who asks, or reads the condition, sees what was made while admission was not enforced as built.
async fn looked_at(w: &World, request: &str) -> Result<()> {
    let (asked, config) = (["areq", "-n", "payments", request], ["curfewconfig", "curfew"]);
    let path = "{.status.conditions[?(@.type==\"AdmissionEnforced\")].status}";
    let accepted = w.field_fits(&asked, "{.status.state}", "to be accepted", SOON + SOON, |s| s == "AwaitingApproval");
    let open = w.field_fits(&config, path, "to be False", SOON + SOON, |s| s == "False");
    tokio::select! { a = accepted => a, o = open => o }
}

/// Every object is there, exactly as built, and the API server does not enforce them.
#[tokio::test]
async fn policies_that_are_there_and_refuse_nothing_are_a_gap() -> Result<()> {
    let (w, _operator) = World::running("idle").await?;
    let mallory = w.mallory()?;
    may_ask(&w).await?;
    w.cp.restart_without(Some("ValidatingAdmissionPolicy")).await?;
    forged(&mallory, "forged").await?;
    looked_at(&w, "forged").await?;
    let why = w.field(&["curfewconfig", "curfew"], "{.status.conditions[?(@.type==\"AdmissionEnforced\")].message}").await?;
    w.cp.restart_without(None).await?;
    w.granting().await?;
    let made = w.field_is(&["areq", "-n", "payments", "forged"], "{.status.reason}", "AdmissionNotEnforced").await;
    resisted(made.is_ok(), "a request that was forged past idle policies is believed")?;
    ensure!(why.contains("exists but is not in force"), "{why}");
    Ok(())
}

/// Nothing waits for a proof, and the next whole check is a minute away.
#[tokio::test]
async fn a_policy_that_is_removed_is_noticed_within_half_a_minute_of_rest() -> Result<()> {
    let (w, _operator) = World::running_with("at-rest", &[SHIPPED_TIMING]).await?;
    w.admin()?.api(&["delete", "validatingadmissionpolicybinding", "curfew-ledger"]).await?.success()?;
    let enforced = "{.status.conditions[?(@.type==\"AdmissionEnforced\")].status}";
    // The look itself takes a moment on a busy machine.
    w.field_fits(&["curfewconfig", "curfew"], enforced, "to be False", SOON + Duration::from_secs(5), |now| now == "False").await
}

/// The canaries are refused as ever: they live where the policy still looks.
#[tokio::test]
async fn a_policy_that_looks_away_from_a_namespace_is_a_gap() -> Result<()> {
    let (w, _operator) = World::running("narrowed").await?;
    let (admin, mallory) = (w.admin()?, w.mallory()?);
    may_ask(&w).await?;
    admin.api(&["label", "namespace", "curfew-system", "guarded=yes"]).await?.success()?;
    let (config, digest) = (["curfewconfig", "curfew"], "{.status.admission.since}{.status.admission.digest}");
    let before = w.field(&config, digest).await?;
    let selector = r#"{"spec": {"matchResources": {"namespaceSelector": {"matchLabels": {"guarded": "yes"}}}}}"#;
    admin.api(&["patch", "validatingadmissionpolicybinding", "curfew-requests", "--type=merge", "-p", selector]).await?.success()?;
    let noticed = w.field_fits(&config, digest, "to change", SOON, |now| now != before).await;
    resisted(noticed.is_ok(), "a policy that looks away is not noticed")?;
    forged(&mallory, "forged").await?;
    looked_at(&w, "forged").await?;
    // To apply the manifest again does not take a foreign selector away.
    admin.api(&["delete", "validatingadmissionpolicybinding", "curfew-requests"]).await?.success()?;
    close(&w).await?;
    let made = w.field_is(&["areq", "-n", "payments", "forged"], "{.status.reason}", "AdmissionNotEnforced").await;
    resisted(made.is_ok(), "a request that was forged past a policy that looks away is believed")
}

/// Accepted, approved, on its way; and then it says something else, though a Grant is frozen.
#[tokio::test]
async fn a_grant_that_was_edited_in_a_gap_is_never_armed() -> Result<()> {
    let (w, _operator) = World::running_with("rewritten", &[SHIPPED_TIMING]).await?;
    let (alice, admin, mallory) = (w.alice()?, w.admin()?, w.mallory()?);
    may_do_anything(&w).await?;
    alice.apply(&asks("payments-admin", "waits", "1h", "")).await?.success()?;
    w.state_is("waits", "AwaitingApproval").await?;
    // It waits at the last step, since the operator may not bind for a while.
    let right = w.may_not_bind().await?;
    decide(&w, &w.carol()?, "waits", "Approve").await?;
    let refuses = |m: &str| m.contains("the target refuses");
    w.field_fits(&["areq", "-n", "payments", "waits"], "{.status.message}", "to say that the target refuses", SOON, refuses).await?;
    let grant = w.field(&["areq", "-n", "payments", "waits"], "{.status.grantRef.name}").await?;

    let frozen = r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"}]"#;
    slip(&w, &["curfew-ledger"]).await?;
    mallory.api(&["patch", "crd", "grants.curfew.dev", "--type=json", "-p", frozen]).await?.success()?;
    let mine = r#"{"spec": {"plan": {"kubernetes": {"subject": {"user": "mallory@example.com"}}}}}"#;
    eventually("the Grant to be rewritten", SOON, || async {
        Ok(mallory.api(&["patch", "grt", &grant, "--type=merge", "-p", mine]).await?.ok.then_some(()))
    })
    .await?;
    admin.api(&["delete", "clusterrolebinding", "mallory"]).await?.success()?;
    admin.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path("crds")]).await?.success()?;
    close(&w).await?;
    admin.apply(&right).await?.success()?;

    let ended = w.field_is(&["grt", &grant], "{.status.state}", "Ended").await;
    let taken = mallory.can_read_secret("payments", "db").await? || alice.can_read_secret("payments", "db").await?;
    resisted(ended.is_ok() && !taken, "a Grant that was rewritten in a gap is armed")
}

#[tokio::test]
async fn an_upgrade_of_the_policies_voids_nothing_that_was_accepted() -> Result<()> {
    let (w, _operator) = World::running("upgrade").await?;
    let alice = w.alice()?;
    active(&w, &alice, "payments-admin", "held", "1h").await?;
    let bob = w.cp.user("bob@example.com", &["payments-devs"])?;
    bob.apply(&asks("payments-admin", "waits", "1h", "")).await?.success()?;
    w.state_is("waits", "AwaitingApproval").await?;
    open(&w, &["curfew-requests", "curfew-decisions", "curfew-ledger", "curfew-marks"]).await?;
    // Admission not enforced: what is active goes on, revocation too, and nothing begins.
    assert!(alice.can_read_secret("payments", "db").await?);
    decide(&w, &w.carol()?, "waits", "Deny").await?;
    close(&w).await?;
    w.state_is("held", "Active").await?;
    w.state_is("waits", "Denied").await?;
    bob.apply(&asks("payments-admin", "again", "1h", "")).await?.success()?;
    w.state_is("again", "AwaitingApproval").await?;
    open(&w, &["curfew-requests"]).await?;
    close(&w).await?;
    // It was accepted while admission was enforced, and is approved under another.
    decide(&w, &w.carol()?, "again", "Approve").await?;
    w.state_is("again", "Active").await?;
    w.access_is(&bob, true, SOON).await
}
