//! Whether an access that is written works, by IAM's own simulator.
use crate::plane::{Access, SLOWLY, Setup, shared};
use anyhow::{Result, ensure};
use curfew_testkit::aws::policy;
use serde_json::json;

const EFFECTIVE: &str = "{.status.conditions[?(@.type==\"Effective\")].message}";

/// Another policy of the same user denies what the grant allows: the Grant says so.
#[tokio::test]
async fn what_denies_a_grant_is_shown() -> Result<()> {
    let a = Access::install(shared().await?, "denied", Setup::user()).await?;
    a.ready().await?;
    let deny = policy(json!([{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}])).to_string();
    a.account.iam("PutUserPolicy", &[("UserName", "denied"), ("PolicyName", "no-s3"), ("PolicyDocument", &deny)]).await?;
    a.active("denied", "denied", "1h").await?;
    let what = ["grt", &a.grant("denied").await?];
    let told = |now: &str| now.contains("denied may not call s3:ListAllMyBuckets on *, which this grant allows");
    a.plane.w.field_fits(&what, EFFECTIVE, "to say what is denied", SLOWLY, told).await?;
    ensure!(!a.has_access().await?, "the denial does not hold");
    a.decide("denied", "Revoke").await?;
    a.over("denied", &["Revoked"]).await?;
    // Where nothing denies it, nothing is said.
    a.account.iam("DeleteUserPolicy", &[("UserName", "denied"), ("PolicyName", "no-s3")]).await?;
    a.active("denied-too", "undenied", "1h").await?;
    a.access_is(true).await?;
    ensure!(a.of_grant("undenied", EFFECTIVE).await?.is_empty());
    a.decide("undenied", "Revoke").await?;
    a.over("undenied", &["Revoked"]).await
}
