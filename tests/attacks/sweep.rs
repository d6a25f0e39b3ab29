//! The sweep ends what nothing else has ended, and cannot be used as a weapon: it reads names, which never change, and not labels.
use super::{active, ends, resisted};
use anyhow::{Result, ensure};
use curfew::api::{AuthorizationSystem, Grant};
use curfew_testkit::{Output, SHIPPED_TIMING, SOON, User, World, eventually, operator_binary};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use std::time::Duration;

/// `curfew sweep` under its own account, as the CronJob runs it.
async fn swept(w: &World) -> Result<Output> {
    let sweep = w.cp.service_account("curfew-system", "curfew-sweep").await?;
    sweep.run(&operator_binary()?, &["sweep"], None).await
}

fn binding(name: &str, label: &str, who: &str) -> String {
    format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: '{name}', namespace: payments, labels: {{curfew.dev/grant: '{label}'}}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}}, \
         subjects: [{{kind: User, apiGroup: rbac.authorization.k8s.io, name: {who}}}]}}"
    )
}

/// Writes past the admission policy, as a user could before it was in force.
async fn planted(w: &World, yaml: &str) -> Result<()> {
    let beyond: User = w.cp.service_account("curfew-system", "curfew-operator").await?;
    beyond.create(yaml).await?.success().map(drop)
}

#[tokio::test]
async fn with_neither_operator_nor_crds_what_is_overdue_dies_and_nobody_else_is_harmed() -> Result<()> {
    let (w, operator) = World::running("sweep").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    let install = curfew_core::ids::install_id(&w.field(&["namespace", "curfew-system"], "{.metadata.uid}").await?);
    active(&w, &alice, "payments-admin", "swept", "20s").await?;
    let bob = w.cp.user("bob@example.com", &["payments-devs"])?;
    active(&w, &bob, "payments-admin", "stays", "1h").await?;
    let grant = w.field(&["areq", "-n", "payments", "swept"], "{.status.grantRef.name}").await?;
    operator.kill();
    // Without its fuse, as on a cluster without a job controller.
    let beyond = w.cp.service_account("curfew-system", "curfew-operator").await?;
    beyond.api(&["delete", "job", "-n", "payments", &format!("curfew-{grant}-0"), "--cascade=orphan"]).await?.success()?;

    // A stranger's binding with our label, one of another install, one whose name is nearly ours, and a thousand fakes.
    planted(&w, &binding("strangers", &grant, "stranger@example.com")).await?;
    planted(&w, &binding("curfew:ffffffff:00000000000000a1:20200101T000000Z:0", "00000000000000a1", "other@example.com")).await?;
    planted(&w, &binding(&format!("curfew:{install}:00000000000000a1:2020:0"), "00000000000000a1", "nearly@example.com")).await?;
    let fakes: Vec<String> =
        (0..1000).map(|i| binding(&format!("curfew:{install}:{i:016x}:20990101T000000Z:0"), "x", "fake@example.com")).collect();
    for some in fakes.chunks(250) {
        planted(&w, &some.join("\n---\n")).await?;
    }
    // The sweep waits for nobody's word: it is asked until the deadline is past.
    let gone = eventually("the overdue binding to be swept", SOON, || async {
        let out = swept(&w).await?;
        Ok(out.stdout.contains(&format!("\"grant\":\"{grant}\"")).then_some(out))
    })
    .await;
    resisted(gone.is_ok(), "what is past its deadline outlives the sweep")?;
    ends(&w, &alice, Duration::from_secs(5), "what is past its deadline outlives the sweep").await?;
    let left = w.field(&["rolebinding", "-n", "payments"], "{.items[*].metadata.name}").await?;
    for name in ["strangers", "curfew:ffffffff:", ":2020:0", &format!("{:016x}:20990101", 999)] {
        resisted(left.contains(name), &format!("the sweep has removed {name}"))?;
    }
    assert!(bob.can_read_secret("payments", "db").await?, "what is not overdue stays");

    // The operator comes back, and holds back on a thousand orphans: that looks like a lost ledger.
    let back = w.operator("back").await?;
    let held =
        eventually("the operator to hold back", SOON + SOON + SOON, || async { Ok(back.log().contains("implausibly many").then_some(())) });
    resisted(held.await.is_ok(), "a thousand orphans are believed")?;
    let fakes = w.field(&["rolebinding", "-n", "payments"], "{.items[*].metadata.name}").await?.matches(":20990101T000000Z:").count();
    resisted(fakes == 1000, &format!("of a thousand orphans {fakes} are left"))?;

    // Without operator and without any CRD only Curfew's bindings are left, and the sweep needs no more.
    back.kill();
    let (client, free) = (beyond.client().await?, Patch::Merge(serde_json::json!({"metadata": {"finalizers": null}})));
    for name in w.field(&["grt"], "{.items[*].metadata.name}").await?.split(' ').filter(|n| !n.is_empty()) {
        Api::<Grant>::all(client.clone()).patch(name, &PatchParams::default(), &free).await?;
    }
    Api::<AuthorizationSystem>::all(client).patch("this-cluster", &PatchParams::default(), &free).await?;
    admin.kubectl(&["delete", "-f", &curfew_testkit::path("crds"), "--timeout=90s"]).await?.success()?;
    let overdue = format!("curfew:{install}:00000000000000a2:20200101T000000Z:0");
    planted(&w, &binding(&overdue, "00000000000000a2", "overdue@example.com")).await?;
    swept(&w).await?.success()?;
    let left = w.field(&["rolebinding", "-n", "payments"], "{.items[*].metadata.name}").await?;
    ensure!(!left.contains(&overdue) && left.contains("strangers"), "{left}");
    Ok(())
}

#[tokio::test]
async fn what_no_grant_justifies_is_swept_and_a_finalizer_does_not_help() -> Result<()> {
    let (w, operator) = World::running_with("orphans", &[SHIPPED_TIMING]).await?;
    let install = curfew_core::ids::install_id(&w.field(&["namespace", "curfew-system"], "{.metadata.uid}").await?);
    let name = |grant: &str, deadline: &str| format!("curfew:{install}:{grant}:{deadline}:0");
    // Past its deadline, and held by a finalizer from before the guard was in force: terminating is not gone.
    let (held, orphan) = (name("00000000000000b1", "20200101T000000Z"), name("00000000000000b2", "20990101T000000Z"));
    let mallory = w.mallory()?;
    let beyond = w.cp.service_account("curfew-system", "curfew-operator").await?;
    operator.pause();
    planted(&w, &binding(&held, "00000000000000b1", "mallory@example.com")).await?;
    w.access_is(&mallory, true, SOON).await?;
    // The same for the whole cluster.
    let wide = name("00000000000000b3", "20200101T000000Z");
    planted(
        &w,
        &binding(&wide, "00000000000000b3", "mallory@example.com")
            .replace("RoleBinding", "ClusterRoleBinding")
            .replace(", namespace: payments", ""),
    )
    .await?;
    let finalizer = r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#;
    for (kind, name) in [("rolebinding", &held), ("clusterrolebinding", &wide)] {
        beyond.api(&["patch", kind, "-n", "payments", name, "--type=merge", "-p", finalizer]).await?.success()?;
    }
    let out = swept(&w).await?;
    resisted(
        out.ok && !mallory.can_read_secret("payments", "db").await?,
        &format!("a finalizer keeps the sweep out: {}{}", out.stdout, out.stderr),
    )?;
    let left = w.field(&["rolebinding,clusterrolebinding", "-n", "payments"], "{.items[*].metadata.name}").await?;
    ensure!(!left.contains(&held) && !left.contains(&wide), "{left}");
    operator.resume();
    // Nobody's, and not overdue: the operator takes it once it is sure.
    planted(&w, &binding(&orphan, "00000000000000b2", "mallory@example.com")).await?;
    w.access_is(&mallory, true, SOON).await?;
    ends(&w, &mallory, SOON + SOON + SOON, "a binding that no Grant justifies stays").await
}

#[tokio::test]
async fn a_restored_copy_grants_nothing_until_a_person_confirms_it() -> Result<()> {
    let (w, operator) = World::running("clone").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    active(&w, &alice, "payments-admin", "held", "1h").await?;
    operator.kill();
    // The same etcd, every uid the same, under keys of its own.
    w.cp.new_service_account_keys().await?;
    // What the other one granted, and whose Grant is not in this copy.
    let install = curfew_core::ids::install_id(&w.field(&["namespace", "curfew-system"], "{.metadata.uid}").await?);
    let others = format!("curfew:{install}:00000000000000c1:20990101T000000Z:0");
    planted(&w, &binding(&others, "00000000000000c1", "other@example.com")).await?;
    let settled = std::time::Instant::now() + Duration::from_secs(32);
    let copy = w.operator("copy").await?;
    let open = w.field_is(&["curfewconfig", "curfew"], "{.status.conditions[?(@.type==\"AdmissionEnforced\")].status}", "False").await;
    resisted(open.is_ok(), "a clone grants")?;
    let why = w.field(&["curfewconfig", "curfew"], "{.status.conditions[?(@.type==\"AdmissionEnforced\")].message}").await?;
    assert!(why.contains("clone") && why.contains("acceptedClusterKeys"), "{why}");
    // What is not overdue is left alone; what is revoked by a person ends all the same.
    assert!(alice.can_read_secret("payments", "db").await?);
    alice.api(&["delete", "areq", "-n", "payments", "held"]).await?.success()?;
    w.access_is(&alice, false, SOON).await?;
    // The sweep goes round: it takes what is overdue, and what it cannot know about stays.
    eventually("it to be old enough to be an orphan", SOON + SOON, || async { Ok((std::time::Instant::now() > settled).then_some(())) })
        .await?;
    let overdue = format!("curfew:{install}:00000000000000c2:20200101T000000Z:0");
    planted(&w, &binding(&overdue, "00000000000000c2", "overdue@example.com")).await?;
    let all = || async { w.field(&["rolebinding", "-n", "payments"], "{.items[*].metadata.name}").await };
    let names = "{.items[*].metadata.name}";
    w.field_fits(&["rolebinding", "-n", "payments"], names, "to be swept", SOON + SOON, |now| !now.contains(&overdue)).await?;
    resisted(all().await?.contains(&others), "a clone sweeps what the other one granted")?;
    // A person confirms.
    let key = why.split(['(', ')', ',']).nth(1).unwrap_or_default().to_owned();
    let accept = format!(r#"{{"spec": {{"acceptedClusterKeys": ["{key}"]}}}}"#);
    admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &accept]).await?.success()?;
    w.granting().await?;
    drop(copy);
    Ok(())
}
