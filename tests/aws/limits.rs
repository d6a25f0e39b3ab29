//! What cannot be granted is refused before anything is written, with the numbers and what to do.
use crate::plane::{Access, LIST, SLOWLY, Setup, emulators, list, shared};
use anyhow::{Result, ensure};
use curfew_testkit::aws::{allow, policy};
use serde_json::{Value, json};

/// A namespace whose only AccessPolicy is this one: a message names the first policies that refuse a role.
async fn namespace(a: &Access<'_>, allowed: &Value) -> Result<()> {
    let (admin, old) = (a.plane.w.admin()?, ["get", "apol", "limits", "-o", "json"]);
    admin.apply("{apiVersion: v1, kind: Namespace, metadata: {name: limits}}").await?.success()?;
    let mut policy: Value = serde_json::from_str(&admin.kubectl(&old).await?.success()?)?;
    policy["metadata"] = json!({"name": "limits-own"});
    policy["spec"]["namespaces"] = json!({"names": ["limits"]});
    policy["spec"]["permissions"]["aws"] = allowed.clone();
    policy.as_object_mut().map(|p| p.remove("status"));
    admin.apply(&policy.to_string()).await?.success().map(drop)
}

/// Adds a role that is not Ready, for a reason that contains these texts.
async fn refused(a: &Access<'_>, role: &str, permissions: Value, texts: &[&str]) -> Result<()> {
    let template = a.template(role, "limits", &permissions, &json!({"account": {}}));
    a.plane.w.admin()?.apply(&template.to_string()).await?.success()?;
    let (what, message) = (["rtpl", "-n", "limits", role], "{.status.conditions[?(@.type==\"Ready\")].message}");
    for text in texts {
        a.plane.w.field_fits(&what, message, &format!("to contain {text:?}"), SLOWLY, |now| now.contains(text)).await?;
    }
    a.plane.w.field_is(&what, "{.status.conditions[?(@.type==\"Ready\")].status}", "False").await
}

#[tokio::test]
async fn templates_that_cannot_be_granted_say_why() -> Result<()> {
    let e = emulators().await?;
    let many = (0..4_000).map(|n| format!("dynamodb:Describe{n:05}")).collect::<Vec<_>>();
    let huge = e.publish("Huge", &policy(json!([{"Effect": "Allow", "Action": many, "Resource": "*"}]))).await?;
    let everything = json!({"user": {"managedPolicies": ["*"], "inlinePolicy": allow(&["*"])}, "role": {"managedPolicies": ["*"]}});
    let a = Access::install(shared().await?, "limits", Setup::user()).await?;
    a.ready().await?;
    namespace(&a, &everything).await?;
    let managed = |arn: &str| json!({"user": {"managedPolicies": [arn]}});
    refused(&a, "huge", managed(&huge), &["6144"]).await?;
    refused(&a, "absent", managed("arn:aws:iam::aws:policy/NoSuchPolicy"), &["NoSuchPolicy"]).await?;
    let keys = json!({"user": {"inlinePolicy": allow(&["iam:CreateAccessKey"])}});
    refused(&a, "lasting", keys, &["iam:CreateAccessKey", "persistence"]).await?;
    let pass = json!({"user": {"inlinePolicy": allow(&["iam:PassRole", "lambda:CreateFunction"])}});
    refused(&a, "passing", pass, &["iam:PassRole"]).await?;
    a.nothing_is_left().await
}

#[tokio::test]
async fn a_narrow_scope_holds_for_every_statement() -> Result<()> {
    let two = policy(json!([{"Effect": "Allow", "Action": [LIST], "Resource": "*"},
        {"Effect": "Allow", "Action": ["iam:ListUsers"], "Resource": "*"}]));
    let setup = Setup { scope: json!({"regions": ["eu-west-1"]}), ..Setup::of(json!({"user": {"inlinePolicy": two}})) };
    let a = Access::install(shared().await?, "narrow", setup).await?;
    a.role("narrow-here", &json!({"user": {"inlinePolicy": two}}), &json!({"regions": ["us-east-1"]})).await?;
    a.ready().await?;
    a.active("narrow", "narrow", "1h").await?;
    ensure!(!a.has_access().await? && !a.user.aws.can_list_users().await?, "another region is not in the scope");
    a.active("narrow-here", "narrow-here", "1h").await?;
    a.access_is(true).await?;
    ensure!(a.user.aws.can_list_users().await?);
    for request in ["narrow", "narrow-here"] {
        a.decide(request, "Revoke").await?;
    }
    a.state_is("narrow", &["Revoked"]).await?;
    a.over("narrow-here", &["Revoked"]).await
}

#[tokio::test]
async fn a_full_user_is_told_with_the_quota() -> Result<()> {
    let a = Access::install(shared().await?, "full", Setup::user()).await?;
    a.ready().await?;
    for n in 0..10 {
        let arn = a.account.policy(&format!("standing-{n}"), &list()).await?;
        a.account.iam("AttachUserPolicy", &[("UserName", "full"), ("PolicyArn", &arn)]).await?;
    }
    a.ask_anyway("full", "full").await?;
    let grant = a.grant("full").await?;
    a.plane.w.field_fits(&["grt", &grant], "{.status.lastError}", "to name the quota", SLOWLY, |e| e.contains("10")).await?;
    ensure!(a.own_policies().await?.is_empty(), "nothing is written that does not fit");
    a.account
        .iam("DetachUserPolicy", &[("UserName", "full"), ("PolicyArn", &format!("arn:aws:iam::{}:policy/standing-0", a.account.id))])
        .await?;
    a.state_is("full", &["Active"]).await?;
    a.decide("full", "Revoke").await?;
    a.state_is("full", &["Revoked"]).await?;
    a.ended("full").await?;
    a.nothing_is_left().await
}

/// A person who is nobody in the account is refused by name.
#[tokio::test]
async fn a_beneficiary_without_a_principal_is_refused() -> Result<()> {
    let a = Access::install(shared().await?, "nobody", Setup::user()).await?;
    a.ready().await?;
    let keys = a.account.iam("ListAccessKeys", &[("UserName", "nobody")]).await?.texts("AccessKeyId");
    for key in keys {
        a.account.iam("DeleteAccessKey", &[("UserName", "nobody"), ("AccessKeyId", &key)]).await?;
    }
    a.account.iam("DeleteUser", &[("UserName", "nobody")]).await?;
    a.ask_anyway("nobody", "nobody").await?;
    a.state_is("nobody", &["Failed"]).await?;
    let message = a.of_request("nobody", "{.status.message}").await?;
    ensure!(message.contains("nobody"), "{message}");
    a.nothing_is_left().await
}
