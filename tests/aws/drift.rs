//! What others change about a grant: it ends, and everything that it gave is taken, from everyone who holds it.
use crate::plane::{Access, Setup, list, shared};
use anyhow::{Context, Result, ensure};
use curfew_testkit::aws::{allow, trust};
use serde_json::Value;

/// An active grant, and the ARN of its policy.
async fn active(name: &'static str) -> Result<(Access<'static>, String)> {
    let a = Access::install(shared().await?, name, Setup::user()).await?;
    a.ready().await?;
    a.active(name, name, "1h").await?;
    a.access_is(true).await?;
    let arn = a.own_policies().await?.pop().context("no policy")?;
    Ok((a, arn))
}

/// Waits until the grant has ended since something else is there than it wrote.
async fn ends_by_drift(a: &Access<'_>) -> Result<()> {
    a.over(a.name, &["Revoked"]).await?;
    let reason = a.of_request(a.name, "{.status.reason}").await?;
    ensure!(reason == "Drifted", "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_policy_that_was_edited_ends_its_grant() -> Result<()> {
    let (a, arn) = active("edited").await?;
    let wider = allow(&["*"]).to_string();
    a.account.iam("CreatePolicyVersion", &[("PolicyArn", &arn), ("PolicyDocument", &wider), ("SetAsDefault", "true")]).await?;
    ensure!(a.user.aws.can_list_users().await?);
    ends_by_drift(&a).await?;
    ensure!(!a.user.aws.can_list_users().await?);
    Ok(())
}

#[tokio::test]
async fn a_policy_that_was_detached_ends_its_grant() -> Result<()> {
    let (a, arn) = active("detached").await?;
    a.account.iam("DetachUserPolicy", &[("UserName", "detached"), ("PolicyArn", &arn)]).await?;
    ends_by_drift(&a).await
}

#[tokio::test]
async fn a_policy_that_was_attached_elsewhere_ends_its_grant_and_is_taken_from_all() -> Result<()> {
    let (a, arn) = active("elsewhere").await?;
    let mallory = a.account.user("mallory").await?;
    a.account.iam("CreateGroup", &[("GroupName", "all")]).await?;
    let trusting = trust(&[&a.account.id], &Value::Null).to_string();
    a.account.iam("CreateRole", &[("RoleName", "other"), ("AssumeRolePolicyDocument", &trusting)]).await?;
    a.account.iam("AttachGroupPolicy", &[("GroupName", "all"), ("PolicyArn", &arn)]).await?;
    a.account.iam("AttachRolePolicy", &[("RoleName", "other"), ("PolicyArn", &arn)]).await?;
    a.account.iam("AttachUserPolicy", &[("UserName", "mallory"), ("PolicyArn", &arn)]).await?;
    ensure!(mallory.aws.can_list_buckets().await?);
    ends_by_drift(&a).await?;
    ensure!(!mallory.aws.can_list_buckets().await?);
    Ok(())
}

/// A policy that another one made in the place of the grant's: not Curfew's to use or to delete.
#[tokio::test]
async fn a_policy_that_was_replaced_is_not_taken_for_the_grants() -> Result<()> {
    let (a, arn) = active("replaced").await?;
    let name = arn.rsplit('/').next().context("no name")?.to_owned();
    a.account.iam("DetachUserPolicy", &[("UserName", "replaced"), ("PolicyArn", &arn)]).await?;
    a.account.iam("DeletePolicy", &[("PolicyArn", &arn)]).await?;
    let document = list().to_string();
    a.account.iam("CreatePolicy", &[("PolicyName", &name), ("Path", "/curfew/"), ("PolicyDocument", &document)]).await?;
    a.account.iam("AttachUserPolicy", &[("UserName", "replaced"), ("PolicyArn", &arn)]).await?;
    a.state_is("replaced", &["Revoked"]).await?;
    a.access_is(false).await
}
