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
use serde_json::{Value, json};

const ELSEWHERE: &str = "eu-west-1";

/// A role over every bucket in this scope, and two buckets of which one is meant.
async fn install(name: &'static str, way: &str, scope: Value) -> Result<(Access<'static>, String, String)> {
    let (inside, outside) = (format!("{name}-inside"), format!("{name}-outside"));
    let every = policy(json!([{"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": "*"}]));
    let setup = Setup { scope, ..Setup::of(json!({way: {"inlinePolicy": every}})) };
    let a = Access::install(shared().await?, name, setup).await?;
    for bucket in [&inside, &outside] {
        a.account.bucket(bucket).await?;
    }
    a.ready().await?;
    ensure!(!a.user.aws.can_list_bucket(&inside, REGION).await?);
    Ok((a, inside, outside))
}

/// One bucket in one region.
fn only(bucket: &str) -> Value {
    json!({"resources": [format!("arn:aws:s3:::{bucket}")], "regions": [REGION]})
}

/// Uses what an active request gives: the one bucket in the one region, and nothing after its end.
async fn used(a: &Access<'_>, way: &str, inside: &str, outside: &str) -> Result<()> {
    let who = if way == "role" { roles::session(a).await? } else { a.user.aws.clone() };
    let allowed = async || Ok(who.can_list_bucket(inside, REGION).await?.then_some(()));
    eventually("the bucket to be listed", SLOWLY, allowed).await?;
    ensure!(!who.can_list_bucket(outside, REGION).await?, "another bucket is not in the scope");
    ensure!(!who.can_list_bucket(inside, ELSEWHERE).await?, "another region is not in the scope");
    a.decide(a.name, "Revoke").await?;
    a.over(a.name, &["Revoked"]).await?;
    ensure!(!who.can_list_bucket(inside, REGION).await?, "{} has ended, and there is still access", a.name);
    Ok(())
}

/// The scope of the role allows one bucket in one region.
async fn narrowed(name: &'static str, way: &str) -> Result<()> {
    let (a, inside, outside) = install(name, way, only(&format!("{name}-inside"))).await?;
    a.active(name, name, "1h").await?;
    used(&a, way, &inside, &outside).await
}

#[tokio::test]
async fn a_request_reaches_the_bucket_that_it_asks_for() -> Result<()> {
    let (a, inside, outside) = install("scope-asked", "user", json!({"account": {}})).await?;
    let spec =
        json!({"roleRef": {"name": a.name}, "duration": "1h", "justification": "roll back release 2311", "scope": {"aws": only(&inside)}});
    let metadata = json!({"name": a.name, "namespace": "payments"});
    let request = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": metadata, "spec": spec});
    a.person()?.apply(&request.to_string()).await?.success()?;
    a.state_is(a.name, &["AwaitingApproval"]).await?;
    a.decide(a.name, "Approve").await?;
    a.state_is(a.name, &["Active"]).await?;
    used(&a, "user", &inside, &outside).await
}

#[tokio::test]
async fn a_policy_of_a_user_reaches_the_named_bucket_in_the_named_region() -> Result<()> {
    narrowed("scope-user", "user").await
}

#[tokio::test]
async fn a_role_reaches_the_named_bucket_in_the_named_region() -> Result<()> {
    narrowed("scope-role", "role").await
}
