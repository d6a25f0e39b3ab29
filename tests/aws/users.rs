//! A policy of the grant's own, attached to the person's IAM user.
use crate::plane::{Access, LIST, SLOWLY, Setup, emulators, list, shared};
use anyhow::{Context, Result, anyhow, ensure};
use curfew_testkit::{
    aws::{allow, policy},
    eventually,
};
use serde_json::{Value, json};
use std::time::Duration;

async fn access(name: &'static str) -> Result<Access<'static>> {
    let access = Access::install(shared().await?, name, Setup::user()).await?;
    access.ready().await?;
    Ok(access)
}

#[tokio::test]
async fn access_begins_with_the_approval_and_ends_at_the_deadline() -> Result<()> {
    let a = access("basic").await?;
    a.ask("basic", "basic", "20s").await?;
    a.access_stays(false, Duration::from_secs(1)).await?;
    a.decide("basic", "Approve").await?;
    a.access_is(true).await?;
    a.state_is("basic", &["Active"]).await?;
    ensure!(a.of_grant("basic", "{.status.enforcedBy}").await? == "Target");
    // The request shows by which principal.
    let resolved = a.of_request("basic", "{.status.resolved.principal}").await?;
    ensure!(resolved.contains("basic"), "{resolved}");
    let policies = a.own_policies().await?;
    let [arn] = policies.as_slice() else { return Err(anyhow!("{policies:?}")) };
    ensure!(a.account.attached_to("basic").await? == policies);
    let shown = a.account.iam("GetPolicy", &[("PolicyArn", arn)]).await?;
    ensure!(shown.text("Path").as_deref() == Some("/curfew/") && shown.body.contains("curfew.dev/grant"), "{}", shown.body);
    let ends = a.of_request("basic", "{.status.expiresAt}").await?;
    let version = a.account.iam("GetPolicyVersion", &[("PolicyArn", arn), ("VersionId", "v1")]).await?;
    let document: Value = serde_json::from_str(&percent_decoded(&version.text("Document").context("no document")?))?;
    for statement in document["Statement"].as_array().context("no statements")? {
        let date = statement["Condition"]["DateLessThan"]["aws:CurrentTime"].as_str().context("a statement without a date")?;
        ensure!(date.parse::<jiff::Timestamp>()? <= ends.parse()?, "{date} is after {ends}");
    }
    a.access_is(false).await?;
    a.over("basic", &["Expired"]).await
}

/// IAM returns documents URL-encoded.
fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes: Vec<u8> = parts.next().unwrap_or_default().into();
    for part in parts {
        bytes.extend(part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        bytes.extend(part.as_bytes().get(2..).unwrap_or_default());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn an_early_revocation_ends_the_access_at_once() -> Result<()> {
    let a = access("early").await?;
    a.active("early", "early", "1h").await?;
    a.access_is(true).await?;
    a.decide("early", "Revoke").await?;
    a.access_is(false).await?;
    a.over("early", &["Revoked"]).await
}

/// Each grant has policies of its own, so the first to end never cuts the second.
#[tokio::test]
async fn the_first_of_two_overlapping_grants_leaves_the_access_to_the_second() -> Result<()> {
    let a = access("overlap").await?;
    a.active("overlap", "overlap-first", "20s").await?;
    a.active("overlap-too", "overlap-second", "45s").await?;
    ensure!(a.own_policies().await?.len() == 2);
    let first_ends = async {
        a.state_is("overlap-first", &["Expired"]).await?;
        a.ended("overlap-first").await
    };
    // The access is used all the time, until the first grant has ended with everything that it does.
    tokio::select! {
        ended = first_ends => ended?,
        cut = a.access_stays(true, SLOWLY) => cut.and(Err(anyhow!("the first grant does not end")))?,
    }
    a.access_stays(true, Duration::from_secs(2)).await?;
    ensure!(a.own_policies().await?.len() == 1);
    a.access_is(false).await?;
    a.over("overlap-second", &["Expired"]).await
}

#[tokio::test]
async fn a_standing_policy_of_the_same_content_is_never_touched() -> Result<()> {
    let (a, e) = (access("standing").await?, emulators().await?);
    let own = a.account.policy("standing", &list()).await?;
    let of_aws = e.publish("StandingList", &list()).await?;
    for arn in [&own, &of_aws] {
        a.account.iam("AttachUserPolicy", &[("UserName", "standing"), ("PolicyArn", arn)]).await?;
    }
    a.active("standing", "standing", "10s").await?;
    a.state_is("standing", &["Expired"]).await?;
    a.ended("standing").await?;
    a.nothing_is_left().await?;
    let mut attached = a.account.attached_to("standing").await?;
    attached.sort();
    let mut expected = vec![own, of_aws];
    expected.sort();
    ensure!(attached == expected && a.has_access().await?, "{attached:?}");
    Ok(())
}

/// Two grants of one policy of AWS are two copies, and the policy itself stays with a user who was given it by others.
#[tokio::test]
async fn two_grants_of_one_policy_of_aws_and_a_standing_one_concern_no_other() -> Result<()> {
    let arn = emulators().await?.publish("ListForTwo", &list()).await?;
    let a = Access::install(shared().await?, "twice", Setup::of(json!({"user": {"managedPolicies": [arn]}}))).await?;
    a.ready().await?;
    a.active("twice", "twice-first", "1h").await?;
    a.active("twice-too", "twice-second", "1h").await?;
    ensure!(a.own_policies().await?.len() == 2 && a.account.attached_to("twice").await?.len() == 2);
    let ends = async |request: &str, left: usize| {
        a.decide(request, "Revoke").await?;
        let only = || async { Ok((a.own_policies().await?.len() == left).then_some(())) };
        eventually("the policy to be removed", SLOWLY, only).await
    };
    ends("twice-first", 1).await?;
    ensure!(a.has_access().await?, "the end of the first has cut the second");
    a.account.iam("AttachUserPolicy", &[("UserName", "twice"), ("PolicyArn", &arn)]).await?;
    ends("twice-second", 0).await?;
    for request in ["twice-first", "twice-second"] {
        a.state_is(request, &["Revoked"]).await?;
    }
    ensure!(a.has_access().await? && a.account.attached_to("twice").await? == [arn.as_str()], "what others have attached was touched");
    a.account.iam("DetachUserPolicy", &[("UserName", "twice"), ("PolicyArn", &arn)]).await?;
    a.access_stays(false, Duration::from_secs(1)).await
}

/// A policy of AWS is granted as a copy of what it was when the request was approved.
#[tokio::test]
async fn a_policy_of_aws_is_copied_and_a_change_voids_what_waits() -> Result<()> {
    let e = emulators().await?;
    let arn = e.publish("ListForCopies", &list()).await?;
    let setup = Setup::of(json!({"user": {"managedPolicies": [arn]}}));
    let a = Access::install(shared().await?, "copied", setup).await?;
    a.ready().await?;
    a.active("copied", "copied", "1h").await?;
    a.access_is(true).await?;
    a.ask("copied-too", "copied-waiting", "1h").await?;
    e.publish("ListForCopies", &allow(&[LIST, "iam:ListUsers"])).await?;
    // The approval is of what no longer is.
    a.decide("copied-waiting", "Approve").await?;
    a.state_is("copied-waiting", &["Invalid"]).await?;
    ensure!(a.of_request("copied-waiting", "{.status.reason}").await? == "TemplateChanged");
    ensure!(a.has_access().await? && !a.user.aws.can_list_users().await?, "a copy has grown");
    a.state_is("copied", &["Active"]).await?;
    a.decide("copied", "Revoke").await?;
    a.over("copied", &["Revoked"]).await
}

/// Two policies whose copies together exceed the size of one.
#[tokio::test]
async fn what_does_not_fit_into_one_policy_is_split_and_ends_as_a_whole() -> Result<()> {
    let e = emulators().await?;
    let long = |marker: &str| {
        let actions: Vec<String> = (0..150).map(|n| format!("dynamodb:Describe{marker}{n:03}")).collect();
        let mut statements = json!([{"Effect": "Allow", "Action": actions, "Resource": "*"}]);
        statements.as_array_mut().expect("a list").push(json!({"Effect": "Allow", "Action": [LIST], "Resource": "*"}));
        policy(statements)
    };
    let (first, second) = (e.publish("LongOne", &long("One")).await?, e.publish("LongTwo", &long("Two")).await?);
    let setup = Setup::of(json!({"user": {"managedPolicies": [first, second]}}));
    let a = Access::install(shared().await?, "split", setup).await?;
    a.ready().await?;
    a.active("split", "split", "15s").await?;
    a.access_is(true).await?;
    ensure!(a.own_policies().await?.len() >= 2, "{:?}", a.own_policies().await?);
    a.access_is(false).await?;
    a.over("split", &["Expired"]).await
}
