//! A role is a name, and what it holds can change: before it exists, while people look at it, and while it is held.
use super::{active, asks, judged, offer, offered, resisted};
use crate::story::decide;
use anyhow::Result;
use curfew_testkit::{SOON, World};

const GROW: &str = r#"[{"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}}]"#;

#[tokio::test]
async fn a_role_that_does_not_exist_is_not_bound_and_one_that_grows_is_another() -> Result<()> {
    let (w, _operator) = World::running("roles").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    // `bind` works on a role that does not exist yet: a user who creates it later would decide what was approved.
    offered(&w, "later", "").await?;
    let why = judged(&w, "later").await?;
    resisted(why.starts_with("False"), "a template with a role that does not exist is Ready")?;
    assert!(why.contains("later does not exist"), "{why}");
    alice.apply(&asks("later", "early", "1h", "")).await?.success()?;
    w.state_is("early", "Invalid").await?;

    // Grown while it waits: what was approved is not what would be granted.
    alice.apply(&asks("payments-admin", "waits", "1h", "")).await?.success()?;
    w.state_is("waits", "AwaitingApproval").await?;
    admin.api(&["patch", "clusterrole", "payments-admin", "--type=json", "-p", GROW]).await?.success()?;
    let voided = w.field_is(&["areq", "-n", "payments", "waits"], "{.status.reason}", "TemplateChanged").await;
    resisted(voided.is_ok(), "an approval counts for a role that has grown since")?;

    // Grown by aggregation while it is held: same uid, no generation, other content.
    let aggregated = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: grows}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {grows: "yes"}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: part-one, labels: {grows: "yes"}}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
"#;
    admin.apply(aggregated).await?.success()?;
    w.field_fits(&["clusterrole", "grows"], "{.rules}", "to be aggregated", SOON, |r| r.contains("secrets")).await?;
    offer(&w, "grows", "").await?;
    active(&w, &alice, "grows", "held", "1h").await?;
    let more = r#"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: part-two, labels: {grows: "yes"}}, rules: [{apiGroups: [""], resources: [nodes], verbs: [list]}]}"#;
    admin.apply(more).await?.success()?;
    let ended = w.field_is(&["areq", "-n", "payments", "held"], "{.status.reason}", "TemplateChanged").await;
    resisted(ended.is_ok(), "a role that grew while it was held is still held")?;
    w.access_is(&alice, false, SOON).await
}

#[tokio::test]
async fn a_word_against_it_wins_the_race_with_the_word_for_it() -> Result<()> {
    let (w, _operator) = World::running("races").await?;
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    // The operator answers at once; it must see every change from before its answer, however old its stores are.
    for i in 0..5 {
        let name = format!("race-{i}");
        alice.apply(&asks("payments-admin", &name, "1h", "")).await?.success()?;
        w.state_is(&name, "AwaitingApproval").await?;
        let against = async {
            match i {
                0 => decide(&w, &alice, &name, "Revoke").await,
                1 => patch(&admin, &["rtpl", "-n", "payments", "payments-admin"], r#"{"spec": {"suspend": true}}"#).await,
                2 => patch(&admin, &["apol", "payments"], r#"{"spec": {"max": {"duration": "10m"}}}"#).await,
                3 => admin.api(&["delete", "eas", "-n", "payments", "payments-devs"]).await?.success().map(drop),
                _ => patch(&admin, &["authsys", "this-cluster"], r#"{"spec": {"suspend": true}}"#).await,
            }
        };
        let (for_it, against) = tokio::join!(decide(&w, &carol, &name, "Approve"), against);
        for_it?;
        against?;
        let over = ["Cancelled", "Revoked", "Denied", "Invalid", "Failed"];
        let ended = w.field_fits(&["areq", "-n", "payments", &name], "{.status.state}", "to be over", SOON, |s| over.contains(&s)).await;
        resisted(ended.is_ok(), &format!("an approval beats the decision against it ({i})"))?;
        w.access_is(&alice, false, SOON).await?;
        for file in ["platform", "team"] {
            let file = curfew_testkit::path(&format!("examples/first/{file}.yaml"));
            admin.api(&["apply", "-f", &file]).await?.success()?;
        }
        for what in ["rtpl/payments-admin", "authsys/this-cluster"] {
            let off = r#"{"spec": {"suspend": false}}"#;
            admin.api(&["patch", "-n", "payments", what, "--type=merge", "-p", off]).await?.success()?;
        }
        w.granting().await?;
        w.field_is(&["authsys", "this-cluster"], "{.status.conditions[?(@.type==\"GrantsAllowed\")].status}", "True").await?;
        w.field_is(&["eas", "-n", "payments", "payments-devs"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    }
    Ok(())
}

async fn patch(who: &curfew_testkit::User, what: &[&str], patch: &str) -> Result<()> {
    who.api(&[&["patch"], what, &["--type=merge", "-p", patch]].concat()).await?.success().map(drop)
}
