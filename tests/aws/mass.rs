//! Many grants of one account end in the same second while AWS throttles the account. Run by `make bench`: it takes minutes.
use crate::{
    instance::text,
    plane::{Access, Plane, SLOWLY, Setup, emulators},
};
use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use curfew_testkit::{SHIPPED_TIMING, SOON, Throttle, aws::AwsCall, eventually};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const GRANTS: usize = 200;
/// IAM attaches ten policies to a user at most.
const PER_USER: usize = 10;
/// What the account takes.
const THROTTLE: Throttle = Throttle { burst: 20.0, per_second: 12.0 };
/// Seconds until all grants end: time to write them, and to let the operator read them.
const ENDS_IN_SECS: i64 = 40;
/// Calls that the end of one grant cannot do without: detach, and delete.
const FLOOR: f64 = 2.0;

/// One grant is requested and approved; the others are copied from it as the operator would have written them.
#[tokio::test]
#[ignore = "takes minutes: make bench"]
#[allow(clippy::cast_precision_loss)]
async fn two_hundred_grants_that_expire_at_once_take_as_long_as_the_throttle_needs() -> Result<()> {
    let plane = Plane::start("aws-mass").await?;
    let (a, quiet) = (Access::install(&plane, "mass", Setup::user()).await?, Access::install(&plane, "mass-quiet", Setup::user()).await?);
    let operator = plane.operator("operator", &[SHIPPED_TIMING]).await?;
    a.ready().await?;
    quiet.ready().await?;
    a.active("mass", "pattern", "1h").await?;
    quiet.active("mass-quiet", "mass-quiet", "1h").await?;
    operator.pause();
    eventually("the operator to be stopped", SOON, || async { Ok(operator.is_stopped().then_some(())) }).await?;
    let due = Time::from_secs(jiff::Timestamp::now().as_second() + ENDS_IN_SECS);
    for n in 0..GRANTS.div_ceil(PER_USER) {
        a.account.iam("CreateUser", &[("UserName", &format!("holder-{n}"))]).await?;
    }
    let pattern = plane.w.admin()?.kubectl(&["get", "grt", &a.grant("pattern").await?, "-o", "json"]).await?.success()?;
    let copies = stream::iter((0..GRANTS).map(|n| copy(&a, &pattern, n, due)));
    copies.buffer_unordered(8).try_collect::<Vec<()>>().await?;
    let proxy = emulators().await?.proxy();
    proxy.throttle(&a.account.id, Some(THROTTLE));
    operator.resume();
    ensure!(jiff::Timestamp::now().as_second() + 5 < due.as_millis() / 1000, "the grants were due before all were written");
    let now_is_after = |time: Time| jiff::Timestamp::now().as_millisecond() > time.as_millis();
    eventually("the grants to be due", SOON * 2, || async { Ok(now_is_after(due.plus_secs(5)).then_some(())) }).await?;
    // Another account's revocation, in the middle of it.
    let begun = Instant::now();
    quiet.decide("mass-quiet", "Revoke").await?;
    quiet.access_is(false).await?;
    let other = begun.elapsed();
    quiet.over("mass-quiet", &["Revoked"]).await?;
    let left = || async { anyhow::Ok(a.own_policies().await?.len() - 1) };
    eventually("all policies to be gone", SLOWLY * 4, || async { Ok((left().await? == 0).then_some(())) }).await?;
    let ended = |v: &Value| {
        let all = v["items"].as_array().context("no list")?;
        let due_and_live = |g: &&Value| g["spec"]["expiresAt"] == due.to_string() && g["status"]["state"] != "Ended";
        let live = all.iter().filter(due_and_live).count();
        if live == 0 { Ok(Some(())) } else { anyhow::bail!("{live} have not ended") }
    };
    plane.w.until(&["grt"], "every Grant to be Ended", SLOWLY * 4, ended).await?;
    let since = |c: &AwsCall| c.at >= due.as_millis() && c.account == a.account.id && c.service == "iam";
    let calls = a.calls_of_operator(since).await?;
    let (refused, admitted): (Vec<_>, Vec<_>) = calls.iter().partition(|c| c.code.as_deref() == Some("Throttling"));
    let last = admitted.iter().filter(|c| c.action == "DeletePolicy").map(|c| c.at).max().context("nothing was deleted")?;
    let until_then = admitted.iter().filter(|c| c.at <= last).count() as f64;
    let (makespan, bound) = ((last - due.as_millis()) as f64 / 1000.0, (until_then - THROTTLE.burst) / THROTTLE.per_second);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    admitted.iter().for_each(|c| *kinds.entry(&c.action).or_default() += 1);
    let each = admitted.len() as f64 / GRANTS as f64;
    println!("{GRANTS} grants that expire in one second; the account takes {} calls, and {} a second", THROTTLE.burst, THROTTLE.per_second);
    println!("  calls per grant: {each:.2} (floor: {FLOOR}), {kinds:?}");
    println!("  refused by the throttle: {} ({:.2} per grant)", refused.len(), refused.len() as f64 / GRANTS as f64);
    println!("  the last policy was deleted {makespan:.1} s after the deadline; the throttle's bound for these calls is {bound:.1} s");
    println!("  meanwhile another account's grant was revoked in {:.1} s", other.as_secs_f32());
    ensure!(makespan <= 1.1 * bound, "longer than 1.1 times the bound");
    ensure!(refused.len() <= admitted.len() / 2, "a storm of calls that are refused");
    ensure!(other < Duration::from_secs(10), "the throttle has delayed another account");
    Ok(())
}

/// Another grant of the same access to another user, under a name of its own.
async fn copy(a: &Access<'_>, pattern: &str, n: usize, due: Time) -> Result<()> {
    let old: Value = serde_json::from_str(pattern)?;
    let (old_id, old_end) = (text(&old["metadata"]["name"])?, Time::parse(&text(&old["spec"]["expiresAt"])?).context("no deadline")?);
    let id = format!("{:016x}", (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let renamed = pattern.replace(&old_id, &id).replace(&old_end.compact(), &due.compact()).replace(&old_end.to_string(), &due.to_string());
    let mut new: Value = serde_json::from_str(&renamed)?;
    let user = format!("holder-{}", n / PER_USER);
    new["spec"]["plan"]["aws"]["access"]["user"]["user"] = json!(user);
    let metadata = json!({"name": id, "labels": old["metadata"]["labels"], "finalizers": old["metadata"]["finalizers"]});
    let labels = serde_json::from_str::<Value>(&metadata.to_string().replace(&old_id, &id))?;
    let mut artifacts = Vec::new();
    for policy in new["spec"]["plan"]["aws"]["access"]["user"]["policies"].as_array().context("no policies")? {
        let (name, document) = (text(&policy["name"])?, text(&policy["document"])?);
        let made = a.account.iam("CreatePolicy", &[("PolicyName", &name), ("Path", "/curfew/"), ("PolicyDocument", &document)]).await?;
        let arn = made.text("Arn").context("no ARN")?;
        a.account.iam("AttachUserPolicy", &[("UserName", &user), ("PolicyArn", &arn)]).await?;
        artifacts.push(json!({"kind": "Policy", "id": arn, "uid": made.text("PolicyId")}));
    }
    let operator = a.plane.w.cp.service_account("curfew-system", "curfew-operator").await?;
    let grant = json!({"apiVersion": old["apiVersion"], "kind": "Grant", "metadata": labels, "spec": new["spec"]});
    operator.create(&grant.to_string()).await?.success()?;
    let mut status = new["status"].clone();
    status["artifacts"] = json!(artifacts);
    let patch = json!({"status": status}).to_string();
    operator.api(&["patch", "grt", &id, "--subresource=status", "--type=merge", "-p", &patch]).await?.success().map(drop)
}
