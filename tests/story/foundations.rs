//! What an access rests on is taken away: it ends, within seconds, each time.
use super::{decide, request};
use crate::attacks::ends;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, User, World, path};

async fn active(w: &World, alice: &User, name: &str) -> Result<()> {
    alice.apply(&request(name, "1h")).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    decide(w, &w.carol()?, name, "Approve").await?;
    w.state_is(name, "Active").await?;
    w.access_is(alice, true, SOON).await
}

#[tokio::test]
async fn the_access_ends_when_what_it_rests_on_is_deleted_or_changed() -> Result<()> {
    taken_away("foundations-changed", |reason| reason != "Suspended").await
}

#[tokio::test]
async fn the_access_ends_when_what_it_rests_on_is_suspended() -> Result<()> {
    taken_away("foundations-suspended", |reason| reason == "Suspended").await
}

/// What is deleted is gone for who deletes it, also while a foreign finalizer keeps it.
#[tokio::test]
async fn the_access_ends_when_what_it_rests_on_is_being_deleted() -> Result<()> {
    let (w, _operator) = World::running("foundations-kept").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    let (keep, release) = (r#"{"metadata": {"finalizers": ["example.com/keep"]}}"#, r#"{"metadata": {"finalizers": null}}"#);
    let table: &[(&str, &[&str], &str)] = &[
        ("kept-assignment", &["eas", "-n", "payments", "payments-devs"], "NotEligible"),
        ("kept-template", &["rtpl", "-n", "payments", "payments-admin"], "NoSuchRole"),
        ("kept-policy", &["apol", "payments"], "NotReady"),
    ];
    for (name, what, reason) in table {
        active(&w, &alice, name).await.with_context(|| (*name).to_owned())?;
        let patch = async |patch: &str| admin.api(&[&["patch"], *what, &["--type=merge", "-p", patch]].concat()).await?.success();
        patch(keep).await?;
        admin.kubectl(&[&["delete"], *what, &["--wait=false"]].concat()).await?.success()?;
        ends(&w, &alice, SOON, &format!("what it rests on is being deleted, and the access stays: {name}")).await?;
        w.state_is(name, "Revoked").await?;
        let told = w.field(&["areq", "-n", "payments", name], "{.status.reason}").await?;
        ensure!(told == *reason, "{name}: {told}, not {reason}");
        ensure!(!w.field(what, "{.metadata.deletionTimestamp}").await?.is_empty(), "{name} is not kept");
        patch(release).await?;
        for file in ["platform", "team"] {
            admin.api(&["apply", "-f", &path(&format!("examples/first/{file}.yaml"))]).await?.success()?;
        }
        w.granting().await?;
    }
    Ok(())
}

async fn taken_away(name: &str, mine: impl Fn(&str) -> bool) -> Result<()> {
    let (w, _operator) = World::running(name).await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    let grow = r#"[{"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}}]"#;
    let narrow = r#"{"spec": {"max": {"duration": "10m"}}}"#;
    let (stop, go) = (r#"{"spec": {"suspend": true}}"#, r#"{"spec": {"suspend": false}}"#);
    let assignment = ["patch", "eas", "-n", "payments", "payments-devs", "--type=merge", "-p"];
    let policy = ["patch", "apol", "payments", "--type=merge", "-p"];
    let system = ["patch", "authsys", "this-cluster", "--type=merge", "-p"];
    let with = |what: &[&'static str], patch: &'static str| [what, &[patch]].concat();
    let table: &[(&str, &[&str], &str)] = &[
        ("grown", &["patch", "clusterrole", "payments-admin", "--type=json", "-p", grow], "TemplateChanged"),
        ("unassigned", &["delete", "eas", "-n", "payments", "payments-devs"], "NotEligible"),
        ("untemplated", &["delete", "rtpl", "-n", "payments", "payments-admin"], "NoSuchRole"),
        ("narrowed", &["patch", "apol", "payments", "--type=merge", "-p", narrow], "OverMaximum"),
        ("unallowed", &["delete", "apol", "payments"], "NotReady"),
        ("systemless", &["delete", "authsys", "this-cluster", "--timeout=45s"], "NotReady"),
        ("assignment-suspended", &with(&assignment, stop), "Suspended"),
        ("policy-suspended", &with(&policy, stop), "Suspended"),
        ("system-suspended", &with(&system, stop), "Suspended"),
    ];
    for (name, command, reason) in table.iter().filter(|(_, _, reason)| mine(reason)) {
        active(&w, &alice, name).await.with_context(|| (*name).to_owned())?;
        let told = admin.api(command).await?;
        ends(&w, &alice, SOON, &format!("what it rests on is taken away, and the access stays: {name}")).await?;
        told.success()?;
        w.state_is(name, "Revoked").await?;
        let told = w.field(&["areq", "-n", "payments", name], "{.status.reason}").await?;
        ensure!(told == *reason, "{name}: {told}, not {reason}");
        for file in ["platform", "team"] {
            admin.api(&["apply", "-f", &path(&format!("examples/first/{file}.yaml"))]).await?.success()?;
        }
        for what in [&assignment[..], &policy, &system] {
            admin.api(&with(what, go)).await?.success()?;
        }
        w.granting().await?;
        w.field_is(&["authsys", "this-cluster"], "{.status.conditions[?(@.type==\"GrantsAllowed\")].status}", "True").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() -> Result<()> {
    let (w, _operator) = World::running("leaving").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    active(&w, &alice, "last").await?;
    let grant = w.field(&["areq", "-n", "payments", "last"], "{.status.grantRef.name}").await?;
    admin.api(&["delete", "namespace", "payments", "--timeout=60s"]).await?.success()?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await
}
