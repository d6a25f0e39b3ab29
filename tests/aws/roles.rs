//! An IAM role of the grant's own, which the person may assume.
use crate::plane::{Access, SLOWLY, Setup, list, shared};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{
    aws::{Aws, REGION},
    eventually,
};
use serde_json::json;
use std::time::Duration;

/// A policy of AWS that is too large to be copied.
pub const LARGE: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

async fn access(name: &'static str, setup: Setup) -> Result<Access<'static>> {
    let access = Access::install(shared().await?, name, setup).await?;
    access.ready().await?;
    Ok(access)
}

/// The role of the only grant.
pub async fn role(a: &Access<'_>) -> Result<String> {
    a.account.under("/curfew/").await?.into_iter().find(|arn| arn.contains(":role/")).context("no role")
}

/// A session of the role, by the person's own keys.
pub async fn session(a: &Access<'_>) -> Result<Aws> {
    let role = role(a).await?;
    let assumed = || async { a.user.aws.assume(&role, &[]).await };
    eventually("the role to be assumed", SLOWLY, assumed).await
}

async fn loses(session: &Aws) -> Result<()> {
    eventually("the session to end", SLOWLY, || async { Ok((!session.can_list_buckets().await?).then_some(())) }).await
}

#[tokio::test]
async fn a_role_is_assumed_until_the_deadline_and_open_sessions_end_with_it() -> Result<()> {
    let a = access("role", Setup::role()).await?;
    a.active("role", "role", "20s").await?;
    let (mine, arn) = (session(&a).await?, role(&a).await?);
    ensure!(mine.can_list_buckets().await? && !a.has_access().await?, "the user itself has nothing");
    let mallory = a.account.user("mallory").await?;
    ensure!(mallory.aws.assume(&arn, &[]).await?.is_none(), "only the beneficiary");
    ensure!(a.of_grant("role", "{.status.enforcedBy}").await? == "Target");
    loses(&mine).await?;
    ensure!(a.user.aws.assume(&arn, &[]).await?.is_none());
    a.over("role", &["Expired"]).await
}

#[tokio::test]
async fn an_early_revocation_ends_open_sessions_and_no_others() -> Result<()> {
    let a = access("sessions", Setup::role()).await?;
    a.active("sessions", "sessions-first", "1h").await?;
    let (first, of_first) = (session(&a).await?, role(&a).await?);
    a.active("sessions-too", "sessions-second", "1h").await?;
    let roles = a.account.under("/curfew/").await?;
    let of_second = roles.iter().find(|arn| arn.contains(":role/") && **arn != of_first).context("no second role")?;
    let second = a.user.aws.assume(of_second, &[]).await?.context("the second role is not assumed")?;
    a.decide("sessions-first", "Revoke").await?;
    a.state_is("sessions-first", &["Revoked"]).await?;
    loses(&first).await?;
    ensure!(second.can_list_buckets().await?, "a bystander was cut off");
    ensure!(a.user.aws.assume(&of_first, &[]).await?.is_none());
    a.decide("sessions-second", "Revoke").await?;
    a.over("sessions-second", &["Revoked"]).await?;
    loses(&second).await
}

/// A policy that is too large to be copied is attached itself, beside one that denies what is out of scope, and everything after the
/// deadline. Two grants have it at the same time, and a user has it anyway.
#[tokio::test]
async fn a_policy_too_large_to_copy_is_attached_and_taken_back() -> Result<()> {
    let setup = Setup { scope: json!({"regions": [REGION]}), ..Setup::of(json!({"role": {"managedPolicies": [LARGE]}})) };
    let a = access("large", setup).await?;
    a.account.bucket("large").await?;
    let bystander = a.account.user("bystander").await?;
    a.account.iam("AttachUserPolicy", &[("UserName", "bystander"), ("PolicyArn", LARGE)]).await?;
    a.active("large", "large-first", "1h").await?;
    let (first, of_first) = (session(&a).await?, role(&a).await?);
    a.active("large-too", "large-second", "1h").await?;
    let roles = a.account.under("/curfew/").await?.into_iter().filter(|arn| arn.contains(":role/")).collect::<Vec<_>>();
    let of_second = roles.iter().find(|arn| **arn != of_first).context("no second role")?;
    let second = a.user.aws.assume(of_second, &[]).await?.context("the second role is not assumed")?;
    for (session, role) in [(&first, &of_first), (&second, of_second)] {
        let name = role.rsplit('/').next().context("no name")?;
        let attached = a.account.iam("ListAttachedRolePolicies", &[("RoleName", name)]).await?.texts("PolicyArn");
        ensure!(attached.len() == 2 && attached.iter().any(|arn| arn == LARGE), "{attached:?}");
        ensure!(session.can_list_buckets().await? && session.can_list_bucket("large", REGION).await?);
        ensure!(!session.can_list_bucket("large", "eu-west-1").await?, "another region is not in the scope");
    }
    a.decide("large-first", "Revoke").await?;
    loses(&first).await?;
    ensure!(second.can_list_buckets().await?, "the end of the first has cut the second");
    a.decide("large-second", "Revoke").await?;
    loses(&second).await?;
    a.state_is("large-first", &["Revoked"]).await?;
    a.over("large-second", &["Revoked"]).await?;
    ensure!(bystander.aws.can_list_buckets().await? && a.account.attached_to("bystander").await? == [LARGE]);
    Ok(())
}

/// A role that is changed by hand ends its grant.
#[tokio::test]
async fn a_trust_that_was_widened_ends_its_grant() -> Result<()> {
    let a = access("widened", Setup::role()).await?;
    a.active("widened", "widened", "1h").await?;
    let arn = role(&a).await?;
    let name = arn.rsplit('/').next().context("no name")?;
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{}:root", a.account.id)}}]});
    a.account.iam("UpdateAssumeRolePolicy", &[("RoleName", name), ("PolicyDocument", &wide.to_string())]).await?;
    a.over("widened", &["Revoked"]).await
}

#[tokio::test]
async fn a_role_that_was_given_more_ends_its_grant() -> Result<()> {
    let a = access("given-more", Setup::role()).await?;
    a.active("given-more", "given-more", "1h").await?;
    let (mine, arn) = (session(&a).await?, role(&a).await?);
    let name = arn.rsplit('/').next().context("no name")?;
    let more = list().to_string();
    a.account.iam("PutRolePolicy", &[("RoleName", name), ("PolicyName", "more"), ("PolicyDocument", &more)]).await?;
    a.over("given-more", &["Revoked"]).await?;
    tokio::time::timeout(Duration::from_secs(5), loses(&mine)).await?
}
