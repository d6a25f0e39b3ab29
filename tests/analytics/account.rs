//! An AWS account: read live by a role with the rights of `deploy/aws/analytics.json` and no others, on an emulator that enforces IAM.
use crate::plane::{Plane, SYSTEM, TOKEN};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{
    Analytics,
    aws::{Account, Emulators, REGION, allow, trust},
    root,
};
use serde_json::{Value, json};

/// Calls of a user, as a trail has them.
fn records(arn: &str, name: &str, events: &[&str]) -> String {
    let at = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let account = arn.split(':').nth(4).unwrap_or_default();
    let one = |(i, event): (usize, &&str)| {
        json!({"eventVersion": "1.08", "eventID": format!("00000000-0000-4000-8000-{i:012}"), "eventTime": at, "eventSource": "s3.amazonaws.com",
            "eventName": event, "awsRegion": REGION, "eventType": "AwsApiCall", "recipientAccountId": account,
            "userIdentity": {"type": "IAMUser", "arn": arn, "accountId": account, "userName": name}})
    };
    json!({"Records": events.iter().enumerate().map(one).collect::<Vec<_>>()}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_read_by_a_role_that_can_do_nothing_else_and_use_lowers_scores() -> Result<()> {
    let emulators = Emulators::start().await?;
    let account = Account::new(&emulators);
    let reader = account.user("analytics").await?;
    let policy: Value = serde_json::from_str(&std::fs::read_to_string(root().join("deploy/aws/analytics.json"))?)?;
    let role = account.role("curfew-analytics", &trust(&[&reader.arn], &Value::Null), &policy).await?;
    let assume = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}]});
    account.iam("PutUserPolicy", &[("UserName", "analytics"), ("PolicyName", "assume"), ("PolicyDocument", &assume.to_string())]).await?;
    let dana = account.user("dana").await?;
    let two = allow(&["s3:ListAllMyBuckets", "s3:GetBucketLocation"]).to_string();
    account.iam("PutUserPolicy", &[("UserName", "dana"), ("PolicyName", "two"), ("PolicyDocument", &two)]).await?;

    let plane = Plane::start("analytics-aws").await?;
    std::fs::create_dir_all(Analytics::directory(&plane.world.cp).join("logs/trail"))?;
    let system = |name: &str, id: &str| {
        json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": name}, "spec": {
            "provider": {"aws": {"accountId": id, "region": REGION}}, "principals": {"source": {"username": {}}},
            "analytics": {"usage": [{"cloudTrail": {"directory": "trail"}}], "assumeRole": {"roleArn": role}}}})
    };
    let admin = plane.world.admin()?;
    admin.apply(&system("account", &account.id).to_string()).await?.success()?;
    admin.apply(&system("another", "999999999999").to_string()).await?.success()?;
    let analytics = Analytics::start(&plane.world, plane.port, (SYSTEM, TOKEN), &account.environment(&reader)).await?;

    let condition = |status: &Value, kind: &str, reason: &str| {
        let all = status["conditions"].as_array().into_iter().flatten();
        all.clone().find(|one| one["type"] == kind && one["reason"] == reason).cloned()
    };
    // Who may do what is known, and findings that need no more; nothing is known about use.
    let status = plane.status_of("account", "the account to be listed", |status| {
        condition(status, "InventoryFresh", "Listed").and(condition(status, "UsageFresh", "NoEvents")).map(|_| status.clone())
    });
    let status = status.await?;
    ensure!(status["pci"].is_null(), "{status}");
    // Another account that answers is not believed.
    let told =
        plane.status_of("another", "another account to be refused", |status| condition(status, "InventoryFresh", "NotListed")).await?;
    ensure!(told["message"].as_str().is_some_and(|message| message.contains(&account.id)), "{told}");

    let log = analytics.logs().join("trail").join(format!("{}_CloudTrail_{REGION}_a.json", account.id));
    std::fs::write(&log, records(&dana.arn, "dana", &["GetBucketLocation"]))?;
    plane.status_of("account", "a score", |status| status["pci"]["score"].as_u64()).await?;
    let asks = plane.questions().await?;
    let row = async |words: &str, used: u64| -> Result<(Value, Value)> {
        asks.row_of("account", &dana.arn, words, |row| row["permissions"]["used"] == used).await
    };
    let (first, report) = row("one use", 1).await?;
    ensure!(first["kind"] == "human" || first["kind"] == "workload", "{first}");
    ensure!(report["provider"] == "aws" && report["catalogue"]["permissions"].as_u64() > Some(15_000), "{}", report["catalogue"]);
    std::fs::write(log.with_file_name("b.json"), records(&dana.arn, "dana", &["GetBucketLocation", "ListBuckets"]))?;
    let (second, _) = row("two uses", 2).await?;
    ensure!(second["x"].as_f64() < first["x"].as_f64() && second["score"] == 0, "{first} {second}");
    // Every permission, one by one.
    let name = dana.arn.replace(':', "%3A").replace('/', "%2F");
    let answer = asks.ask(&format!("/v1/systems/account/permissions?identity={name}")).await?;
    let found = answer.to_string();
    ensure!(found.contains("s3:listallmybuckets") || found.contains("s3:ListAllMyBuckets"), "{found}");
    // The least policy has what was used, and nothing of what was not: a third action that the trail never showed.
    let three = allow(&["s3:ListAllMyBuckets", "s3:GetBucketLocation", "s3:DeleteBucket"]).to_string();
    account.iam("PutUserPolicy", &[("UserName", "dana"), ("PolicyName", "two"), ("PolicyDocument", &three)]).await?;
    asks.row_of("account", &dana.arn, "a third permission", |row| row["permissions"]["granted"] == 3).await?;
    let answer = asks.ask(&format!("/v1/systems/account/rightsize?identity={name}&giving=standing&output=json")).await?;
    let policy = answer["documents"].to_string();
    ensure!(policy.contains("ListAllMyBuckets") && policy.contains("GetBucketLocation") && !policy.contains("DeleteBucket"), "{answer}");
    drop(analytics);
    let log = std::fs::read_to_string(plane.world.cp.dir().join("logs/analytics.log")).context("the log")?;
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}
