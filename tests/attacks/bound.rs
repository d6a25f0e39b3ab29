//! The role of an active grant changes, vanishes and comes back: access is never more than what was approved, and a grant does not
//! end because less is left, or because something is written again.
use super::{active, offer, resisted};
use crate::{
    shared::with_operator,
    story::{
        decide,
        refusals::{of, template},
    },
};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, User, World};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use std::time::Instant;

/// A ClusterRole of this name that reads Secrets, and what else is listed.
fn role(name: &str, rules: &str) -> String {
    format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {name}}}, rules: [{{apiGroups: [''], resources: \
         [secrets], verbs: [get, list]}}{rules}]}}"
    )
}

const CONFIGMAPS: &str = ", {apiGroups: [''], resources: [configmaps], verbs: [get]}";

/// A member of payments-devs with an active request for a new role of this name.
async fn held(w: &World, who: &str, name: &str) -> Result<(User, String)> {
    w.admin()?.apply(&role(name, CONFIGMAPS)).await?.success()?;
    offer(w, name, "").await?;
    let user = w.cp.user(&format!("{who}@example.com"), &["payments-devs"])?;
    active(w, &user, name, name, "1h").await?;
    let grant = w.field(&["areq", "-n", "payments", name], "{.status.grantRef.name}").await?;
    Ok((user, grant))
}

/// The operator has seen the role as it is now: what is accepted now freezes it.
async fn seen(w: &World, user: &User, name: &str, request: &str, fits: impl Fn(&str) -> bool) -> Result<()> {
    user.apply(&super::asks(name, request, "1h", "")).await?.success()?;
    let content = "{.status.resolved.permissions.kubernetes.roles[0].content}";
    w.field_fits(&["areq", "-n", "payments", request], content, "to be frozen as it is now", SOON, fits).await
}

async fn still_active(w: &World, name: &str, why: &str) -> Result<()> {
    let state = w.field(&["areq", "-n", "payments", name], "{.status.state} {.status.reason}").await?;
    ensure!(state == "Active ", "{why}: {name} is {state}");
    Ok(())
}

#[tokio::test]
async fn a_role_that_is_written_otherwise_or_allows_less_ends_nothing() -> Result<()> {
    let w = with_operator().await?;
    let (user, _) = held(w, "hana", "shrinks").await?;
    let written = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: shrinks}, rules: [\
                   {apiGroups: [''], resources: [configmaps, secrets], verbs: [get]}, {apiGroups: [''], resources: [secrets], verbs: [list]}, \
                   {apiGroups: [''], resources: [secrets], verbs: [list, get]}]}";
    let before = w.field(&["areq", "-n", "payments", "shrinks"], "{.status.resolved.permissions.kubernetes.roles[0].rules}").await?;
    w.admin()?.apply(written).await?.success()?;
    seen(w, &user, "shrinks", "shrinks-otherwise", |content| content.contains("configmaps")).await?;
    let after =
        w.field(&["areq", "-n", "payments", "shrinks-otherwise"], "{.status.resolved.permissions.kubernetes.roles[0].rules}").await?;
    ensure!(before == after, "the same content has another digest");
    still_active(w, "shrinks", "rules were reordered, split and doubled").await?;
    w.admin()?.apply(&role("shrinks", "")).await?.success()?;
    // What waits was approved with more.
    let waits = ["areq", "-n", "payments", "shrinks-otherwise"];
    w.field_is(&waits, "{.status.state} {.status.reason}", "Invalid TemplateChanged").await?;
    let told = w.field(&waits, "{.status.message}").await?;
    ensure!(told.contains("the rules of ClusterRole shrinks have changed"), "{told}");
    seen(w, &user, "shrinks", "shrinks-less", |content| !content.contains("configmaps")).await?;
    still_active(w, "shrinks", "a rule was removed").await?;
    ensure!(user.can_read_secret("payments", "db").await?, "the access is gone although the role allows it");
    Ok(())
}

const PARTIAL: &str = "{range .status.conditions[?(@.type==\"Partial\")]}{.status} {.reason} {.message}{end}";

#[tokio::test]
async fn a_role_that_vanishes_takes_its_access_along_and_brings_back_no_more_than_was_approved() -> Result<()> {
    let w = with_operator().await?;
    let ((user, grant), admin) = (held(w, "ines", "vanishes").await?, w.admin()?);
    let bindings = ["rolebinding", "-n", "payments", "-l", &format!("curfew.dev/grant={grant}")];
    let subjects = "{.items[*].subjects[*].name}";
    admin.api(&["delete", "clusterrole", "vanishes"]).await?.success()?;
    let emptied = w.field_fits(&bindings, subjects, "to be nothing", SOON, str::is_empty).await;
    resisted(emptied.is_ok(), "a role that is gone stays bound")?;
    w.field_fits(&["grt", &grant], PARTIAL, "to name the role", SOON, |now| now.starts_with("True RoleMissing ClusterRole vanishes"))
        .await?;
    still_active(w, "vanishes", "its role was deleted").await?;
    ensure!(!user.can_read_secret("payments", "db").await?, "there is access without a role");
    // The same role again, and with less.
    for rules in [CONFIGMAPS, ""] {
        admin.apply(&role("vanishes", rules)).await?.success()?;
        w.access_is(&user, true, SOON).await?;
        w.field_is(&["grt", &grant], PARTIAL, "False AsExpected ").await?;
        admin.api(&["delete", "clusterrole", "vanishes"]).await?.success()?;
        w.field_fits(&bindings, subjects, "to be nothing", SOON, str::is_empty).await?;
    }
    still_active(w, "vanishes", "its role came and went").await?;
    // With more than was approved.
    admin.apply(&role("vanishes", ", {apiGroups: ['*'], resources: ['*'], verbs: ['*']}")).await?.success()?;
    let ended = w.field_is(&["areq", "-n", "payments", "vanishes"], "{.status.state} {.status.reason}", "Revoked TemplateChanged").await;
    resisted(ended.is_ok(), "a role that came back with more than was approved is bound again")?;
    w.access_is(&user, false, SOON).await
}

/// For how long a role that is deleted and created at once with `*` gives more than was approved.
#[tokio::test]
async fn a_role_that_is_replaced_by_a_wider_one_gives_more_for_a_moment_only() -> Result<()> {
    let w = with_operator().await?;
    let ((user, _), admin) = (held(w, "jana", "replaced").await?, w.admin()?);
    let reviews: Api<SelfSubjectAccessReview> = Api::all(user.client().await?);
    let may = ResourceAttributes {
        verb: Some("delete".into()),
        resource: Some("secrets".into()),
        namespace: Some("payments".into()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(may), ..SelfSubjectAccessReviewSpec::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let wider = async || anyhow::Ok(reviews.create(&PostParams::default(), &review).await?.status.is_some_and(|s| s.allowed));
    ensure!(!wider().await?, "it allows that before");
    admin.api(&["delete", "clusterrole", "replaced"]).await?.success()?;
    admin.apply(&role("replaced", ", {apiGroups: ['*'], resources: ['*'], verbs: ['*']}")).await?.success()?;
    let (created, mut last) = (Instant::now(), None);
    while w.field(&["areq", "-n", "payments", "replaced"], "{.status.state} {.status.reason}").await? != "Revoked TemplateChanged" {
        if wider().await? {
            last = Some(created.elapsed());
        }
        resisted(created.elapsed() < SOON, "a role that was replaced by a wider one is still held")?;
    }
    eprintln!("more than was approved was allowed until {last:?} after the wider role was created");
    resisted(!wider().await?, "a role that was replaced by a wider one is still held after the grant has ended")
}

#[tokio::test]
async fn one_namespace_of_several_goes_and_the_rest_is_held() -> Result<()> {
    let w = with_operator().await?;
    let (admin, user) = (w.admin()?, w.cp.user("kim@example.com", &["payments-devs"])?);
    admin.api(&["create", "namespace", "short-lived"]).await?.success()?;
    let allow = r#"[{"op": "add", "path": "/spec/scope/kubernetes/namespaces/-", "value": "short-lived"}]"#;
    admin.api(&["patch", "apol", "payments", "--type=json", "-p", allow]).await?.success()?;
    template(w, "spans", &[("namespaces: [payments]", "namespaces: [payments, short-lived]")]).await?;
    w.field_is(&["rtpl", "-n", "payments", "spans"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    user.apply(&of("spans", "spans", "1h")).await?.success()?;
    w.state_is("spans", "AwaitingApproval").await?;
    decide(w, &w.carol()?, "spans", "Approve").await?;
    w.state_is("spans", "Active").await?;
    w.access_is(&user, true, SOON).await?;
    let grant = w.field(&["areq", "-n", "payments", "spans"], "{.status.grantRef.name}").await?;
    admin.api(&["delete", "namespace", "short-lived", "--timeout=60s"]).await?.success()?;
    w.field_fits(&["grt", &grant], PARTIAL, "to name the namespace", SOON, |now| {
        now.starts_with("True NamespaceMissing namespace short-lived no longer exists")
    })
    .await?;
    // A namespace of the same name is another one.
    admin.api(&["create", "namespace", "short-lived"]).await?.success()?;
    w.field_fits(&["areq", "-n", "payments", "spans"], "{.status.message}", "to name the namespace", SOON, |now| {
        now.contains("without effect: namespace short-lived")
    })
    .await?;
    still_active(w, "spans", "one of its namespaces was deleted").await?;
    ensure!(user.can_read_secret("payments", "db").await?, "the access to the other namespace is gone");
    // Narrowed, the role no longer covers what is held; wider it did.
    let narrow = r#"{"spec": {"scope": {"kubernetes": {"namespaces": ["short-lived"]}}}}"#;
    admin.api(&["patch", "rtpl", "-n", "payments", "spans", "--type=merge", "-p", narrow]).await?.success()?;
    w.field_is(&["areq", "-n", "payments", "spans"], "{.status.state} {.status.reason}", "Revoked TemplateChanged").await?;
    let told = w.field(&["areq", "-n", "payments", "spans"], "{.status.message}").await?;
    ensure!(told.contains("role spans no longer covers namespace payments"), "{told}");
    Ok(())
}
