//! A role is a name, and what it holds can change: before it exists, while people look at it, and while it is held.
use super::{active, asks, judged, offer, offered, resisted};
use crate::{shared::with_operator, story::decide};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, World, eventually};

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

/// Two roles that a team offers in a namespace of its own, without approval: one writes Curfew's own kinds, the other edits Deployments.
const OWNERS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: owned}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: owns-curfew}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get]}
- {apiGroups: [curfew.dev], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: edits-deployments}
rules: [{apiGroups: [apps], resources: [deployments], resourceNames: [web], verbs: [get, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: curfew-bind-owned}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [owns-curfew, edits-deployments], verbs: [bind]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: curfew-bind-owned}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-bind-owned}
subjects: [{kind: ServiceAccount, name: curfew-operator, namespace: curfew-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: curfew-requesters, namespace: owned}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-requester}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: owned-devs}]
---
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: owned}
spec:
  namespaces: {names: [owned]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [owns-curfew, edits-deployments]}}
  scope: {kubernetes: {namespaces: [owned]}}
  eligible: [{group: owned-devs}]
  max: {duration: 8h, eligibility: 365d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {permanentEligibility: true}
"#;

fn owned(role: &str, name: &str, approval: &str) -> String {
    format!(
        r#"
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {{name: {name}, namespace: owned}}
spec:
  systems: {{names: [this-cluster]}}
  permissions: {{kubernetes: {{clusterRoles: [{role}]}}}}
  scope: {{kubernetes: {{namespaces: [owned]}}}}
  activation: {{duration: {{max: 1h}}, ticket: {{none: {{}}}}, mfa: {{none: {{}}}}, approval: {approval}, limits: {{none: {{}}}}}}
  assignment: {{eligible: {{permanent: true}}}}
---
apiVersion: curfew.dev/v1alpha1
kind: EligibleAssignment
metadata: {{name: {name}, namespace: owned}}
spec: {{roleRef: {{name: {name}}}, subject: {{group: owned-devs}}, scope: {{all: {{}}}}, window: {{permanent: {{}}}}}}
"#
    )
}

#[tokio::test]
async fn a_role_whose_holder_can_make_lasting_access_needs_the_policy() -> Result<()> {
    let w = with_operator().await?;
    let (admin, erin) = (w.admin()?, w.cp.user("erin@example.com", &["owned-devs"])?);
    admin.apply(OWNERS).await?.success()?;
    for (role, rule, allows) in [
        ("owns-curfew", "(rule 2: *.curfew.dev)", "change what Curfew grants"),
        ("edits-deployments", "(rule 1: deployments.apps)", "run code under service accounts"),
    ] {
        admin.apply(&owned(role, role, "{none: {}}")).await?.success()?;
        let refused = |now: &str| ["False OutsidePolicy", rule, allows, "allow.persistence: true"].iter().all(|words| now.contains(words));
        let ready = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason} {.message}{end}";
        let told = w.field_fits(&["rtpl", "-n", "owned", role], ready, "to name the rule", SOON, refused).await;
        resisted(told.is_ok(), &format!("a template is not refused although its role outlives a grant: {role}: {told:?}"))?;
    }
    let asks = |name: &str| asks("owns-curfew", name, "1h", "").replace("namespace: payments", "namespace: owned");
    let own = owned("edits-deployments", "of-her-own", "{none: {}}");
    let writes_templates = || async { Ok::<_, anyhow::Error>(erin.api_stdin(&["create", "--dry-run=server", "-f", "-"], &own).await?.ok) };
    erin.apply(&asks("early")).await?.success()?;
    w.field_is(&["areq", "-n", "owned", "early"], "{.status.state}", "Invalid").await?;
    ensure!(!writes_templates().await?, "erin may write RoleTemplates before anything is granted");

    // Where the security team allows it, the access is granted, and ends.
    let allow = r#"{"spec": {"allow": {"permanentEligibility": true, "persistence": true}}}"#;
    admin.api(&["patch", "apol", "owned", "--type=merge", "-p", allow]).await?.success()?;
    w.field_is(&["rtpl", "-n", "owned", "owns-curfew"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    erin.apply(&asks("allowed")).await?.success()?;
    w.field_is(&["areq", "-n", "owned", "allowed"], "{.status.state}", "Active").await?;
    eventually("the holder to write RoleTemplates", SOON, || async { Ok(writes_templates().await?.then_some(())) }).await?;
    erin.api(&["delete", "areq", "-n", "owned", "allowed"]).await?.success()?;
    eventually("the end of the access", SOON, || async { Ok((!writes_templates().await?).then_some(())) }).await
}
