//! A grant in a part of an account: its scope holds for what it gives, and for nothing else.
use crate::{
    plane::{Access, SLOWLY, Setup, shared},
    roles,
};
use anyhow::{Result, ensure};
use curfew_testkit::{
    aws::{REGION, policy},
    eventually,
};
use serde_json::json;

const ELSEWHERE: &str = "eu-west-1";

/// The policy of the role names every bucket; the scope of the role allows one bucket in one region.
async fn narrowed(name: &'static str, way: &str) -> Result<()> {
    let (inside, outside) = (format!("{name}-inside"), format!("{name}-outside"));
    let every = policy(json!([{"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": "*"}]));
    let scope = json!({"resources": [format!("arn:aws:s3:::{inside}")], "regions": [REGION]});
    let setup = Setup { scope, ..Setup::of(json!({way: {"inlinePolicy": every}})) };
    let a = Access::install(shared().await?, name, setup).await?;
    for bucket in [&inside, &outside] {
        a.account.bucket(bucket).await?;
    }
    a.ready().await?;
    ensure!(!a.user.aws.can_list_bucket(&inside, REGION).await?);
    a.active(name, name, "1h").await?;
    let who = if way == "role" { roles::session(&a).await? } else { a.user.aws.clone() };
    let allowed = async || Ok(who.can_list_bucket(&inside, REGION).await?.then_some(()));
    eventually("the bucket to be listed", SLOWLY, allowed).await?;
    ensure!(!who.can_list_bucket(&outside, REGION).await?, "another bucket is not in the scope");
    ensure!(!who.can_list_bucket(&inside, ELSEWHERE).await?, "another region is not in the scope");
    a.decide(name, "Revoke").await?;
    a.over(name, &["Revoked"]).await?;
    ensure!(!who.can_list_bucket(&inside, REGION).await?, "{name} has ended, and there is still access");
    Ok(())
}

#[tokio::test]
async fn a_policy_of_a_user_reaches_the_named_bucket_in_the_named_region() -> Result<()> {
    narrowed("scope-user", "user").await
}

#[tokio::test]
async fn a_role_reaches_the_named_bucket_in_the_named_region() -> Result<()> {
    narrowed("scope-role", "role").await
}
