//! A cluster that Curfew reaches from outside: by a kubeconfig that cannot run anything, and that is never believed to lead
//! to the right place.
use super::{
    asks,
    impostor::{forwarder, impostor, leads_to},
    judged, offered, resisted,
};
use crate::{
    audit::{audit, sinks},
    story::decide,
};
use anyhow::{Result, bail, ensure};
use curfew_testkit::{ControlPlane, SHIPPED_TIMING, SOON, Stage, User, World, eventually, metric};
use std::time::Duration;

/// A target with something to reach, and the right to hand it out.
async fn target(name: &str) -> Result<ControlPlane> {
    let cp = ControlPlane::start(name, Stage::Target).await?;
    let admin = cp.admin_user()?;
    let rights = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-secrets}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: curfew-bind}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [reads-secrets], verbs: [bind]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: curfew-bind}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-bind}
subjects: [{kind: ServiceAccount, name: curfew-operator, namespace: curfew-system}]
"#;
    admin.apply(rights).await?.success()?;
    Ok(cp)
}

/// A kubeconfig of an identity there that may read everything.
async fn reader(far: &ControlPlane) -> Result<String> {
    let rights = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: curfew-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-all}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}, {nonResourceURLs: [/openid/v1/jwks], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads-all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-all}
subjects: [{kind: ServiceAccount, name: reader, namespace: curfew-system}]
"#;
    far.admin_user()?.apply(rights).await?.success()?;
    far.inline_kubeconfig("curfew-system", "reader").await
}

/// The rights to revoke vanish while a grant is active: that is told, ends nothing, and is over when they are back.
async fn rights_come_and_go(w: &World, far: &ControlPlane, grant: &str) -> Result<()> {
    let revocable = "{.status.conditions[?(@.type==\"Revocable\")].status} {.status.conditions[?(@.type==\"Revocable\")].message}";
    let admin = far.admin_user()?;
    let rights: serde_json::Value =
        serde_json::from_str(&admin.kubectl(&["get", "clusterrole", "curfew-target", "-o", "json"]).await?.success()?)?;
    let change = |rules: &serde_json::Value| serde_json::json!({"rules": rules}).to_string();
    let mut fewer = rights["rules"].clone();
    for rule in fewer.as_array_mut().into_iter().flatten() {
        if let Some(verbs) = rule["verbs"].as_array_mut() {
            verbs.retain(|verb| verb != "delete");
        }
    }
    let limit = Duration::from_secs(120);
    admin.api(&["patch", "clusterrole", "curfew-target", "--type=merge", "-p", &change(&fewer)]).await?.success()?;
    let lacks = |m: &str| m.starts_with("False ") && m.contains("resources: [rolebindings], verbs: [delete]");
    w.field_fits(&["grt", grant], revocable, "to say what is missing", limit, lacks).await?;
    w.field_is(&["authsys", "far"], READY, "False").await?;
    w.field_is(&["grt", grant], "{.status.state}", "Active").await?;
    admin.api(&["patch", "clusterrole", "curfew-target", "--type=merge", "-p", &change(&rights["rules"])]).await?.success()?;
    w.field_fits(&["grt", grant], revocable, "to say that nothing is missing", limit, |m| m.starts_with("True")).await?;
    w.field_is(&["authsys", "far"], READY, "True").await
}

async fn connect(w: &World, kubeconfig: &str) -> Result<()> {
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "far", "namespace": "curfew-system"}, "stringData": {"kubeconfig": kubeconfig}});
    w.admin()?.apply(&secret.to_string()).await?.success().map(drop)
}

async fn far_can_read(who: &User, allowed: bool, limit: Duration) -> Result<()> {
    eventually(&format!("{} reading the far secret to be {allowed}", who.name), limit, || async {
        Ok((who.can_read_secret("payments", "db").await? == allowed).then_some(()))
    })
    .await
}

const SYSTEM: &str = "{apiVersion: curfew.dev/v1alpha1, kind: AuthorizationSystem, metadata: {name: far}, spec: {mode: ReadWrite, \
                      provider: {kubernetes: {kubeconfigSecretRef: {name: far, key: kubeconfig}}}}}";

/// Lets the team hand out the far cluster's role; at home there is none of that name.
async fn offer_there(w: &World) -> Result<()> {
    offered(w, "reads-secrets", "").await?;
    let here = judged(w, "reads-secrets").await?;
    ensure!(here.starts_with("False"), "a role that only exists far away is Ready at home: {here}");
    for (kind, name) in [("apol", "offer-reads-secrets"), ("rtpl", "reads-secrets")] {
        let there = r#"{"spec": {"systems": {"names": ["far"]}}}"#;
        w.admin()?.api(&["patch", kind, name, "-n", "payments", "--type=merge", "-p", there]).await?.success()?;
    }
    let role = ["rtpl", "-n", "payments", "reads-secrets"];
    w.field_fits(&role, READY, "to be True", Duration::from_secs(90), |r| r == "True").await
}

const MESSAGE: &str = "{.status.conditions[?(@.type==\"Ready\")].message}";
const READY: &str = "{.status.conditions[?(@.type==\"Ready\")].status}";

#[tokio::test]
async fn access_far_away_ends_on_time_and_a_swapped_kubeconfig_never_turns_into_gone() -> Result<()> {
    let ((w, operator), far) = (World::running("home").await?, target("target-far").await?);
    let admin = w.admin()?;
    // What runs, reads a file or looks away is refused by name.
    let token = far.inline_kubeconfig("curfew-system", "curfew-operator").await?;
    let evil = token.replace(
        "\"user\":{\"token\"",
        "\"user\":{\"exec\":{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"command\":\"/bin/sh\"},\"token\"",
    );
    ensure!(evil != token);
    connect(&w, &evil).await?;
    admin.apply(SYSTEM).await?.success()?;
    let refused = |m: &str| m.contains("users.user.exec");
    let told = w.field_fits(&["authsys", "far"], MESSAGE, "to refuse the kubeconfig", SOON, refused).await;
    resisted(told.is_ok(), "a kubeconfig that runs a program is used")?;
    // A value that no header can hold is refused by name; the operator goes on, and the system can be deleted.
    connect(&w, &token.replace("\"user\":{\"token\":\"", "\"user\":{\"token\":\"\\n")).await?;
    let refused = |m: &str| m.contains("users.user.token contains");
    let told = w.field_fits(&["authsys", "far"], MESSAGE, "to refuse the token", SOON, refused).await;
    resisted(told.is_ok(), "a token that no header can hold is given to the client")?;
    admin.api(&["delete", "authsys", "far"]).await?.success()?;
    let gone = |names: &str| !names.split(' ').any(|name| name == "far");
    w.field_fits(&["authsys"], "{.items[*].metadata.name}", "to be without the deleted system", SOON, gone).await?;
    // A token that may only read could take nothing back.
    connect(&w, &reader(&far).await?).await?;
    admin.apply(SYSTEM).await?.success()?;
    let lacks = |m: &str| m.contains("resources: [rolebindings], verbs: [create, patch, delete]") && m.contains("resources: [jobs]");
    let told = w.field_fits(&["authsys", "far"], MESSAGE, "to name the rights that are missing", SOON, lacks).await;
    resisted(told.is_ok(), "a token that may only read is Ready")?;
    w.field_is(&["authsys", "far"], READY, "False").await?;
    connect(&w, &token).await?;
    w.field_fits(&["authsys", "far"], READY, "to be True", Duration::from_secs(90), |r| r == "True").await?;

    offer_there(&w).await?;
    let (alice, there) = (w.alice()?, far.user("alice@example.com", &[])?);
    alice.apply(&asks("reads-secrets", "far-one", "20s", "")).await?.success()?;
    w.state_is("far-one", "AwaitingApproval").await?;
    decide(&w, &w.carol()?, "far-one", "Approve").await?;
    far_can_read(&there, true, SOON).await?;
    ensure!(!alice.can_read_secret("payments", "db").await?, "access there is no access here");
    w.field_is(&["areq", "-n", "payments", "far-one"], "{.status.state}", "Active").await?;
    // The guard stands there as built, so the fuse counts, and burns while nobody of us is up.
    w.field_is(&["areq", "-n", "payments", "far-one"], "{.status.enforcedBy}", "Target").await?;
    operator.kill();
    far_can_read(&there, false, SOON + SOON).await?;
    let _operator = w.operator("again").await?;
    w.granting().await?;
    w.field_is(&["areq", "-n", "payments", "far-one"], "{.status.state}", "Expired").await?;

    // While it is held, the kubeconfig is swapped: it leads to a place where nothing of the sort was ever seen.
    alice.apply(&asks("reads-secrets", "far-two", "1h", "")).await?.success()?;
    w.state_is("far-two", "AwaitingApproval").await?;
    decide(&w, &w.carol()?, "far-two", "Approve").await?;
    w.state_is("far-two", "Active").await?;
    far_can_read(&there, true, SOON).await?;
    let grant = w.field(&["areq", "-n", "payments", "far-two"], "{.status.grantRef.name}").await?;
    rights_come_and_go(&w, &far, &grant).await?;
    far_can_read(&there, true, SOON).await?;
    connect(&w, &w.cp.inline_kubeconfig("curfew-system", "curfew-operator").await?).await?;
    // The old one is used for some seconds more; then every look leads elsewhere.
    eventually("the swapped kubeconfig to be in use", Duration::from_secs(90), || async {
        Ok((w.field(&["authsys", "far"], MESSAGE).await?.contains("leads to another target")
            || w.field(&["authsys", "far"], "{.status.target.id}").await? != w.field(&["grt", &grant], "{.spec.system.target}").await?)
            .then_some(()))
    })
    .await?;
    alice.api(&["delete", "areq", "-n", "payments", "far-two"]).await?.success()?;
    let elsewhere = |e: &str| e.contains("leads to another target");
    let told = w.field_fits(&["grt", &grant], "{.status.lastError}", "to say that it leads elsewhere", SOON, elsewhere).await;
    let state = w.field(&["grt", &grant], "{.status.state}").await?;
    resisted(told.is_ok() && state != "Ended", &format!("the wrong cluster's absence is believed: {state}"))?;
    ensure!(there.can_read_secret("payments", "db").await?, "nobody could take it away");
    // A copy has the identity of the original, and nothing that was granted there.
    let target = w.field(&["grt", &grant], "{.spec.system.target}").await?;
    connect(&w, &impostor(&token, &target).await?).await?;
    let copy = |e: &str| e.contains("or to a copy: the address was") && e.contains("the CA is another one") && e.contains("keys");
    let told = w.field_fits(&["grt", &grant], "{.status.lastError}", "to say that it is a copy", SOON, copy).await;
    let state = w.field(&["grt", &grant], "{.status.state}").await?;
    resisted(told.is_ok() && state == "Revoking", &format!("a copy's absence is believed: {state}"))?;
    ensure!(there.can_read_secret("payments", "db").await?, "nobody could take it away");
    // Another address of the original is believed once a person has confirmed it.
    let server: serde_json::Value = serde_json::from_str(&token)?;
    let server = server["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default().trim_start_matches("https://").to_owned();
    let elsewhere = leads_to(&token, &forwarder(server).await?, None)?;
    connect(&w, &elsewhere).await?;
    let moved = |m: &str| m.contains("the address was") && !m.contains("CA is another") && m.contains("to spec.acceptedTargets");
    w.field_fits(&["authsys", "far"], MESSAGE, "to ask for a confirmation", Duration::from_secs(90), moved).await?;
    let message = w.field(&["authsys", "far"], MESSAGE).await?;
    ensure!(there.can_read_secret("payments", "db").await?, "nobody has confirmed it");
    let id = message.split(' ').find(|word| word.len() == 64).unwrap_or_default();
    let accept = format!("{{\"spec\": {{\"acceptedTargets\": [\"{id}\"]}}}}");
    admin.api(&["patch", "authsys", "far", "--type=merge", "-p", &accept]).await?.success()?;
    far_can_read(&there, false, Duration::from_secs(120)).await?;
    w.field_fits(&["grt", &grant], "{.status.state}", "to be Ended", Duration::from_secs(90), |s| s == "Ended").await
}

#[tokio::test]
async fn a_target_that_no_longer_exists_is_abandoned_and_never_ended() -> Result<()> {
    let ((w, operator), far) = (World::running_with("leaving-home", &[SHIPPED_TIMING]).await?, target("target-doomed").await?);
    let admin = w.admin()?;
    let file = w.cp.dir().join("audit.jsonl").display().to_string();
    sinks(&w, &format!(r#"[{{"file": {{"path": "{file}"}}}}]"#)).await?;
    connect(&w, &far.inline_kubeconfig("curfew-system", "curfew-operator").await?).await?;
    admin.apply(SYSTEM).await?.success()?;
    offer_there(&w).await?;
    let alice = w.alice()?;
    alice.apply(&asks("reads-secrets", "stuck", "10s", "")).await?.success()?;
    w.state_is("stuck", "AwaitingApproval").await?;
    decide(&w, &w.carol()?, "stuck", "Approve").await?;
    w.state_is("stuck", "Active").await?;
    let grant = w.field(&["areq", "-n", "payments", "stuck"], "{.status.grantRef.name}").await?;
    drop(far);
    let digest = w.field(&["areq", "-n", "payments", "stuck"], "{.status.digest}").await?;
    let release = |name: &str, digest: &str| {
        format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: {name}, namespace: payments}}, \
             spec: {{about: {{grant: {{name: '{grant}'}}}}, digest: '{digest}', decision: Abandon, comment: the cluster is gone}}}}"
        )
    };
    let becomes = |name: &'static str, word: &'static str, limit: Duration| {
        let w = &w;
        async move {
            let what = ["adec", "-n", "payments", name];
            w.field_fits(&what, "{.status.conditions[0].reason}", &format!("to be {word}"), limit, |r| r == word).await
        }
    };
    // Carol has no `abandon` on it; Alice would release her own.
    w.carol()?.apply(&release("carols", &digest)).await?.success()?;
    admin.api(&["create", "clusterrole", "abandons", "--verb=abandon", "--resource=grants.curfew.dev"]).await?.success()?;
    for user in ["alice@example.com", "olga@example.com"] {
        let name = format!("abandons-{}", user.split('@').next().unwrap_or_default());
        admin.api(&["create", "clusterrolebinding", &name, "--clusterrole=abandons", &format!("--user={user}")]).await?.success()?;
        let name = format!("decides-{}", user.split('@').next().unwrap_or_default());
        admin
            .api(&["create", "rolebinding", "-n", "payments", &name, "--clusterrole=curfew-approver", &format!("--user={user}")])
            .await?
            .success()?;
    }
    let olga = w.cp.user("olga@example.com", &[])?;
    alice.apply(&release("alices", &digest)).await?.success()?;
    olga.apply(&release("blind", &"0".repeat(64))).await?.success()?;
    for (name, word) in [("carols", "NotEntitled"), ("alices", "SelfDecision"), ("blind", "DigestMismatch")] {
        resisted(becomes(name, word, SOON).await.is_ok(), &format!("{name} releases a Grant"))?;
    }
    // A minute past its end everybody can see that it is stuck.
    w.state_is("stuck", "Revoking").await?;
    eventually("the request to be shown as stalled", Duration::from_secs(150), || async {
        let stalled = w.field(&["areq", "-n", "payments", "stuck"], "{.status.conditions[?(@.type==\"Stalled\")].reason}").await?;
        let overdue = w.field(&["authsys", "far"], "{.status.grants.overdue}").await?;
        let metrics = operator.get("/metrics").await?;
        let counted = metric(&metrics, "curfew_grants_overdue") == Some(1.0)
            && metric(&metrics, "curfew_revocation_failures_total").is_some_and(|n| n > 0.0);
        if stalled == "RevocationStuck" && overdue == "1" && counted { Ok(Some(())) } else { bail!("{stalled:?} {overdue:?}\n{metrics}") }
    })
    .await?;
    // Now Olga may say so; it is never said to have ended.
    olga.apply(&release("olgas", &digest)).await?.success()?;
    becomes("olgas", "Counted", Duration::from_secs(240)).await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Abandoned").await?;
    w.field_is(&["areq", "-n", "payments", "stuck"], "{.status.reason}", "Abandoned").await?;
    // The audit log says later who released it, and not that it ended.
    let end = "\n  ended by   olga@example.com Abandon ";
    eventually("the audit log to name who abandoned it", SOON, || async {
        let told = audit(&admin, &["show", &file, "--user", "alice@example.com"]).await?.success()?;
        let all = told.contains(end) && told.contains("\n  ended      Abandoned\n") && told.contains("until      not confirmed");
        if all { Ok(Some(())) } else { bail!("{told}") }
    })
    .await
}

/// A server that accepts every connection and never answers.
async fn black_hole() -> Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    Ok(port)
}

#[tokio::test]
async fn a_cluster_that_never_answers_holds_up_nobody_else() -> Result<()> {
    let ((w, _operator), far) = (World::running("well").await?, target("target-sick").await?);
    let (admin, alice) = (w.admin()?, w.alice()?);
    let kubeconfig = far.inline_kubeconfig("curfew-system", "curfew-operator").await?;
    connect(&w, &kubeconfig).await?;
    admin.apply(SYSTEM).await?.success()?;
    offer_there(&w).await?;
    let many: Vec<String> = (0..40).map(|i| asks("reads-secrets", &format!("waits-{i}"), "1h", "")).collect();
    alice.apply(&many.join("\n---\n")).await?.success()?;
    let all = |states: &str| states.split(' ').filter(|s| *s == "AwaitingApproval").count() == 40;
    w.field_fits(&["areq", "-n", "payments"], "{.items[*].status.state}", "to be all accepted", SOON, all).await?;

    let port = black_hole().await?;
    let mut sick: serde_json::Value = serde_json::from_str(&kubeconfig)?;
    sick["clusters"][0]["cluster"]["server"] = format!("https://127.0.0.1:{port}").into();
    connect(&w, &sick.to_string()).await?;
    w.field_fits(&["authsys", "far"], READY, "to be False", Duration::from_secs(120), |r| r == "False").await?;
    // Everything that waits is looked at again, and the far cluster is asked for each.
    admin.api(&["label", "namespace", "payments", "example.com/touched=yes"]).await?.success()?;
    alice.apply(&asks("payments-admin", "here", "1h", "")).await?.success()?;
    let quick = Duration::from_secs(15);
    let here = ["areq", "-n", "payments", "here"];
    let asked = w.field_fits(&here, "{.status.state}", "to be accepted", quick, |s| s == "AwaitingApproval");
    resisted(asked.await.is_ok(), "a cluster that never answers holds up requests for another")?;
    decide(&w, &w.carol()?, "here", "Approve").await?;
    resisted(w.access_is(&alice, true, quick).await.is_ok(), "a cluster that never answers holds up grants in another")?;
    // What is unknown ends nothing.
    ensure!(w.field(&["areq", "-n", "payments", "waits-0"], "{.status.state}").await? == "AwaitingApproval");
    // A Revoke counts.
    decide(&w, &alice, "waits-1", "Revoke").await?;
    let back = ["areq", "-n", "payments", "waits-1"];
    w.field_fits(&back, "{.status.state}", "to be taken back", Duration::from_secs(90), |s| s == "Cancelled").await
}
