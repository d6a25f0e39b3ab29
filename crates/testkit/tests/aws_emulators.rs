//! What the tests of the AWS provider rely on: the emulators enforce IAM as AWS does, and the endpoint in front of them does what a
//! test asks for. docs/providers/aws-emulators.md lists where they differ from AWS, and which of that is corrected.
use anyhow::{Context, Result, ensure};
use curfew_testkit::{
    Throttle,
    aws::{Account, AwsUser, Emulators, Fault, SignIn, allow, policy, trust},
    eventually,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

const LIST: &str = "s3:ListAllMyBuckets";
const SOON: Duration = Duration::from_secs(15);

async fn emulators() -> Result<&'static Emulators> {
    static EMULATORS: OnceCell<Emulators> = OnceCell::const_new();
    EMULATORS.get_or_try_init(Emulators::start).await
}

async fn account() -> Result<Account<'static>> {
    Ok(Account::new(emulators().await?))
}

/// The time in this many seconds, as conditions have it.
fn at(seconds: i64) -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn dated(action: &str, until: &str) -> Value {
    policy(json!([{"Effect": "Allow", "Action": action, "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": until}}}]))
}

async fn loses(who: &AwsUser) -> Result<()> {
    eventually("the access to end", SOON, || async { Ok((!who.aws.can_list_buckets().await?).then_some(())) }).await
}

#[tokio::test]
async fn access_follows_the_policies_that_are_attached_and_the_keys_that_sign() -> Result<()> {
    let a = account().await?;
    let alice = a.user("alice").await?;
    ensure!(!alice.aws.can_list_buckets().await?);
    let arn = a.policy("list", &allow(&[LIST])).await?;
    let attachment = [("UserName", "alice"), ("PolicyArn", arn.as_str())];
    // Twice is once.
    a.iam("AttachUserPolicy", &attachment).await?;
    a.iam("AttachUserPolicy", &attachment).await?;
    ensure!(alice.aws.can_list_buckets().await?);
    ensure!(a.attached_to("alice").await? == [arn.as_str()]);
    let mut forged = alice.aws.clone();
    forged.keys.secret = "another".into();
    let refused = forged.iam("ListUsers", &[]).await?;
    ensure!(refused.code().as_deref() == Some("SignatureDoesNotMatch"), "{refused:?}");
    a.iam("DetachUserPolicy", &attachment).await?;
    ensure!(!alice.aws.can_list_buckets().await?);
    let again = a.root().iam("DetachUserPolicy", &attachment).await?;
    ensure!(again.code().as_deref() == Some("NoSuchEntity"), "{again:?}");
    Ok(())
}

#[tokio::test]
async fn a_dated_policy_ends_without_a_call() -> Result<()> {
    let a = account().await?;
    let (alice, until) = (a.user("alice").await?, at(4));
    let arn = a.policy("dated", &dated(LIST, &until)).await?;
    a.iam("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &arn)]).await?;
    ensure!(alice.aws.can_list_buckets().await?);
    loses(&alice).await?;
    let now = jiff::Timestamp::now().as_second();
    ensure!(now - until.parse::<jiff::Timestamp>()?.as_second() <= 2, "it ended late");
    Ok(())
}

#[tokio::test]
async fn a_policy_that_was_deleted_cannot_be_attached_and_one_that_is_attached_cannot_be_deleted() -> Result<()> {
    let a = account().await?;
    let (root, _) = (a.root(), a.user("alice").await?);
    let arn = a.policy("list", &allow(&[LIST])).await?;
    let attachment = [("UserName", "alice"), ("PolicyArn", arn.as_str())];
    a.iam("AttachUserPolicy", &attachment).await?;
    let code = async |action: &str, parameters: &[(&str, &str)]| anyhow::Ok(root.iam(action, parameters).await?.code().unwrap_or_default());
    ensure!(code("DeletePolicy", &[("PolicyArn", &arn)]).await? == "DeleteConflict");
    a.iam("DetachUserPolicy", &attachment).await?;
    let version = [("PolicyArn", arn.as_str()), ("PolicyDocument", &allow(&["s3:*"]).to_string()), ("SetAsDefault", "true")];
    a.iam("CreatePolicyVersion", &version).await?;
    ensure!(code("DeletePolicy", &[("PolicyArn", &arn)]).await? == "DeleteConflict", "versions are deleted first");
    a.iam("DeletePolicyVersion", &[("PolicyArn", &arn), ("VersionId", "v1")]).await?;
    a.iam("DeletePolicy", &[("PolicyArn", &arn)]).await?;
    ensure!(code("AttachUserPolicy", &attachment).await? == "NoSuchEntity");
    ensure!(a.attached_to("alice").await?.is_empty());
    // Another policy of the same name has another id.
    let ids = async || anyhow::Ok(a.iam("GetPolicy", &[("PolicyArn", &a.policy("again", &allow(&[LIST])).await?)]).await?.text("PolicyId"));
    let first = ids().await?;
    a.iam("DeletePolicy", &[("PolicyArn", &format!("arn:aws:iam::{}:policy/again", a.id))]).await?;
    ensure!(first.is_some() && ids().await? != first);
    Ok(())
}

#[tokio::test]
async fn quotas_are_counted_as_aws_counts_them() -> Result<()> {
    let a = account().await?;
    let root = a.root();
    a.user("alice").await?;
    let long = |characters: usize| {
        let empty = allow(&[""]).to_string().len();
        allow(&[&"x".repeat(characters - empty)]).to_string()
    };
    let code = async |action: &str, parameters: &[(&str, &str)]| anyhow::Ok(root.iam(action, parameters).await?.code().unwrap_or_default());
    let create = async |name: &str, document: String| code("CreatePolicy", &[("PolicyName", name), ("PolicyDocument", &document)]).await;
    ensure!(create("long", long(6144)).await?.is_empty(), "6,144 characters fit");
    ensure!(create("longer", long(6145)).await? == "LimitExceeded");
    ensure!(create("spaced", long(6144).replace(',', ", ")).await?.is_empty(), "white space does not count");
    ensure!(create("long", long(6144)).await? == "EntityAlreadyExists");
    for n in 0..=10 {
        let arn = a.policy(&format!("n{n}"), &allow(&[LIST])).await?;
        let attached = code("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &arn)]).await?;
        ensure!(attached == if n < 10 { "" } else { "LimitExceeded" }, "{n}: {attached}");
    }
    let too_long = trust(&[&"9".repeat(12)], &json!({"StringEquals": {"sts:ExternalId": "x".repeat(2_000)}})).to_string();
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", too_long.as_str())];
    ensure!(code("CreateRole", &role).await? == "LimitExceeded");
    Ok(())
}

#[tokio::test]
async fn a_role_is_assumed_by_those_whom_its_trust_names_until_its_date() -> Result<()> {
    let a = account().await?;
    let (alice, mallory) = (a.user("alice").await?, a.user("mallory").await?);
    let date = |until: &str| json!({"DateLessThan": {"aws:CurrentTime": until}});
    let role = a.role("jit", &trust(&[&alice.arn], &date(&at(4))), &allow(&[LIST])).await?;
    ensure!(mallory.aws.assume(&role, &[]).await?.is_none());
    let session = alice.aws.assume(&role, &[]).await?.context("alice may not assume it")?;
    ensure!(session.can_list_buckets().await? && !alice.aws.can_list_buckets().await?);
    eventually("the trust to end", SOON, || async { Ok(alice.aws.assume(&role, &[]).await?.is_none().then_some(())) }).await?;
    // An open session goes on: the permissions need a date of their own.
    ensure!(session.can_list_buckets().await?);
    let missing = trust(&[&format!("arn:aws:iam::{}:user/nobody", a.id)], &Value::Null).to_string();
    let refused = a.root().iam("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &missing)]).await?;
    ensure!(refused.code().as_deref() == Some("MalformedPolicyDocument"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn open_sessions_end_with_a_date_of_the_permissions_or_a_deny_of_older_ones() -> Result<()> {
    let a = account().await?;
    let alice = a.user("alice").await?;
    let trusting = trust(&[&alice.arn], &Value::Null);
    let (dated, cut) = (a.role("dated", &trusting, &dated(LIST, &at(4))).await?, a.role("cut", &trusting, &allow(&[LIST])).await?);
    let first = alice.aws.assume(&dated, &[]).await?.context("may not assume")?;
    let second = alice.aws.assume(&cut, &[]).await?.context("may not assume")?;
    ensure!(first.can_list_buckets().await? && second.can_list_buckets().await?);
    let deny = |before: &str| {
        let condition = json!({"DateLessThan": {"aws:TokenIssueTime": before}});
        policy(json!([{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}])).to_string()
    };
    let put = async |document: String| {
        a.iam("PutRolePolicy", &[("RoleName", "cut"), ("PolicyName", "older"), ("PolicyDocument", &document)]).await
    };
    put(deny(&at(-3600))).await?;
    ensure!(second.can_list_buckets().await?, "a younger session is not meant");
    put(deny(&at(1))).await?;
    ensure!(!second.can_list_buckets().await?);
    eventually("the session to end by its date", SOON, || async { Ok((!first.can_list_buckets().await?).then_some(())) }).await
}

#[tokio::test]
async fn a_source_identity_and_the_length_of_a_session_are_checked() -> Result<()> {
    let a = account().await?;
    let alice = a.user("alice").await?;
    let trusting = policy(json!([{"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
        "Principal": {"AWS": alice.arn}, "Condition": {"StringEquals": {"sts:SourceIdentity": "alice"}}}]));
    let role = a.role("jit", &trusting, &allow(&[LIST])).await?;
    ensure!(alice.aws.assume(&role, &[]).await?.is_none());
    ensure!(alice.aws.assume(&role, &[("SourceIdentity", "bob")]).await?.is_none());
    ensure!(alice.aws.assume(&role, &[("SourceIdentity", "alice")]).await?.is_some());
    let long = [("RoleArn", role.as_str()), ("RoleSessionName", "s"), ("SourceIdentity", "alice"), ("DurationSeconds", "3601")];
    let refused = alice.aws.query("sts", "AssumeRole", &long).await?;
    ensure!(refused.code().as_deref() == Some("ValidationError"), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn rights_are_checked_against_paths_and_the_policy_that_is_attached() -> Result<()> {
    let a = account().await?;
    let (operator, _) = (a.user("operator").await?, a.user("alice").await?);
    let own = format!("arn:aws:iam::{}:policy/curfew/*", a.id);
    let rights = policy(json!([
        {"Effect": "Allow", "Action": "iam:CreatePolicy", "Resource": own},
        {"Effect": "Allow", "Action": "iam:AttachUserPolicy", "Resource": "*", "Condition": {"ArnLike": {"iam:PolicyARN": own}}},
        {"Effect": "Allow", "Action": "iam:CreateRole", "Resource": format!("arn:aws:iam::{}:role/curfew/*", a.id)}]));
    let arn = a.policy("operator", &rights).await?;
    a.iam("AttachUserPolicy", &[("UserName", "operator"), ("PolicyArn", &arn)]).await?;
    let may = async |action: &str, parameters: &[(&str, &str)]| {
        anyhow::Ok(operator.aws.iam(action, parameters).await?.code().as_deref() != Some("AccessDenied"))
    };
    let document = allow(&[LIST]).to_string();
    let create = [("PolicyName", "one"), ("PolicyDocument", document.as_str())];
    ensure!(!may("CreatePolicy", &create).await?);
    ensure!(may("CreatePolicy", &[&create[..], &[("Path", "/curfew/")]].concat()).await?);
    ensure!(!may("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &arn)]).await?);
    ensure!(!may("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")]).await?);
    let made = format!("arn:aws:iam::{}:policy/curfew/one", a.id);
    ensure!(may("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &made)]).await?);
    let trusting = trust(&[&a.id], &Value::Null).to_string();
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", trusting.as_str())];
    ensure!(!may("CreateRole", &role).await? && may("CreateRole", &[&role[..], &[("Path", "/curfew/")]].concat()).await?);
    Ok(())
}

#[tokio::test]
async fn a_simulation_knows_the_context_that_it_is_given() -> Result<()> {
    let a = account().await?;
    let alice = a.user("alice").await?;
    let arn = a.policy("dated", &dated(LIST, &at(3600))).await?;
    a.iam("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &arn)]).await?;
    let at_time = async |seconds: i64| {
        let time = at(seconds);
        let asked = [
            ("PolicySourceArn", alice.arn.as_str()),
            ("ActionNames.member.1", LIST),
            ("ContextEntries.member.1.ContextKeyName", "aws:CurrentTime"),
            ("ContextEntries.member.1.ContextKeyType", "date"),
            ("ContextEntries.member.1.ContextKeyValues.member.1", time.as_str()),
        ];
        anyhow::Ok(a.iam("SimulatePrincipalPolicy", &asked).await?.text("EvalDecision"))
    };
    ensure!(at_time(0).await?.as_deref() == Some("allowed") && at_time(7200).await?.as_deref() == Some("implicitDeny"));
    Ok(())
}

#[tokio::test]
async fn reads_and_access_lag_behind_writes_where_a_test_wants_it() -> Result<()> {
    let a = account().await?;
    let (alice, proxy) = (a.user("alice").await?, emulators().await?.proxy());
    let admin = a.keys("alice").await?;
    let all = a.policy("all", &allow(&["iam:*"])).await?;
    a.iam("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &all)]).await?;
    proxy.lag(&a.id, Duration::from_secs(2));
    let listed = [("PolicyName", "list"), ("PolicyDocument", &allow(&[LIST]).to_string())].map(|(k, v)| (k, v.to_owned()));
    let listed: Vec<(&str, &str)> = listed.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let arn = admin.iam("CreatePolicy", &listed).await?.success()?.text("Arn").context("no ARN")?;
    let begun = Instant::now();
    ensure!(admin.iam("GetPolicy", &[("PolicyArn", &arn)]).await?.code().as_deref() == Some("NoSuchEntity"), "shown at once");
    // A write sees what is there.
    admin.iam("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &arn)]).await?.success()?;
    ensure!(!alice.aws.can_list_buckets().await?, "effective at once");
    eventually("the access to begin", SOON, || async { Ok(alice.aws.can_list_buckets().await?.then_some(())) }).await?;
    ensure!(begun.elapsed() >= Duration::from_secs(2));
    proxy.lag(&a.id, Duration::ZERO);
    Ok(())
}

#[tokio::test]
async fn calls_are_counted_held_refused_and_their_answers_lost() -> Result<()> {
    let a = account().await?;
    let (alice, proxy, id) = (a.user("alice").await?, emulators().await?.proxy(), a.id.clone());
    let all = a.policy("all", &allow(&["iam:*"])).await?;
    a.iam("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &all)]).await?;
    let here = move |action: &'static str| {
        let id = id.clone();
        move |c: &curfew_testkit::aws::AwsCall| c.account == id && c.action == action
    };
    proxy.fault(1, Fault::Refuse(503, "ServiceUnavailable"), here("ListUsers"));
    let refused = alice.aws.iam("ListUsers", &[]).await?;
    ensure!((refused.status, refused.code().as_deref()) == (503, Some("ServiceUnavailable")));
    ensure!(alice.aws.can_list_users().await?);
    // The answer is lost, and the group is there.
    proxy.fault(1, Fault::LoseAnswer, here("CreateGroup"));
    ensure!(alice.aws.iam("CreateGroup", &[("GroupName", "g")]).await.is_err());
    ensure!(alice.aws.iam("CreateGroup", &[("GroupName", "g")]).await?.code().as_deref() == Some("EntityAlreadyExists"));
    // The client gives up; what it has sent arrives when it is let go.
    let held = proxy.hold(1, here("DeleteGroup"));
    let given_up = tokio::time::timeout(Duration::from_millis(300), alice.aws.iam("DeleteGroup", &[("GroupName", "g")])).await;
    ensure!(given_up.is_err());
    held.arrived(SOON).await?;
    a.iam("GetGroup", &[("GroupName", "g")]).await?;
    held.release();
    let gone = || async { Ok(a.root().iam("GetGroup", &[("GroupName", "g")]).await?.code().map(drop)) };
    eventually("the group to be deleted", SOON, gone).await?;
    proxy.throttle(&a.id, Some(Throttle { burst: 2.0, per_second: 0.01 }));
    let codes = [alice.aws.iam("ListUsers", &[]).await?, alice.aws.iam("ListUsers", &[]).await?, alice.aws.iam("ListUsers", &[]).await?]
        .map(|answer| answer.code().unwrap_or_default());
    ensure!(codes == ["", "", "Throttling"], "{codes:?}");
    let statuses = |action: &'static str| proxy.calls(here(action)).iter().map(|c| c.status).collect::<Vec<_>>();
    ensure!(statuses("CreateGroup") == [0, 409] && statuses("ListUsers") == [503, 200, 200, 200, 400], "{:?}", statuses("ListUsers"));
    ensure!(proxy.calls(here("CreateGroup")).iter().all(|c| c.key == alice.aws.keys.access_key && c.parameter("GroupName") == "g"));
    Ok(())
}

#[tokio::test]
async fn aws_changes_a_policy_of_its_own() -> Result<()> {
    let (e, a) = (emulators().await?, account().await?);
    let name = format!("Test{}", a.id);
    let arn = e.publish(&name, &allow(&[LIST])).await?;
    let alice = a.user("alice").await?;
    a.iam("AttachUserPolicy", &[("UserName", "alice"), ("PolicyArn", &arn)]).await?;
    ensure!(alice.aws.can_list_buckets().await? && !alice.aws.can_list_users().await?);
    e.publish(&name, &allow(&["iam:ListUsers"])).await?;
    ensure!(!alice.aws.can_list_buckets().await? && alice.aws.can_list_users().await?);
    let shown = a.iam("GetPolicy", &[("PolicyArn", &arn)]).await?;
    ensure!(shown.text("DefaultVersionId").as_deref() == Some("v2"));
    Ok(())
}

#[tokio::test]
async fn identity_center_takes_time_refuses_a_second_write_meanwhile_and_lets_those_in_who_are_assigned() -> Result<()> {
    let (e, a) = (emulators().await?, account().await?);
    let root = curfew_testkit::aws::Aws { endpoint: e.proxy().endpoint(), keys: a.root().keys };
    let sso = async |action: &str, body: Value| root.json("sso", &format!("SWBExternalService.{action}"), &body).await;
    let instances = sso("ListInstances", json!({})).await?.success()?.json()?;
    let (instance, store) = (&instances["Instances"][0]["InstanceArn"], &instances["Instances"][0]["IdentityStoreId"]);
    let user = json!({"IdentityStoreId": store, "UserName": "alice", "DisplayName": "Alice",
        "Name": {"GivenName": "Alice", "FamilyName": "A"}});
    let user = root.json("identitystore", "AWSIdentityStore.CreateUser", &user).await?.success()?.json()?["UserId"].clone();
    let set = sso("CreatePermissionSet", json!({"Name": "jit", "InstanceArn": instance})).await?.success()?.json()?;
    let set = set["PermissionSet"]["PermissionSetArn"].clone();
    let inline = json!({"InstanceArn": instance, "PermissionSetArn": set, "InlinePolicy": dated(LIST, &at(8)).to_string()});
    sso("PutInlinePolicyToPermissionSet", inline).await?.success()?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let (instance_arn, store_id, set_arn, user_id) = (text(instance), text(store), text(&set), text(&user));
    let who = SignIn { account: &a.id, instance: &instance_arn, store: &store_id, permission_set: &set_arn, user: &user_id };
    ensure!(a.sign_in(&who).await?.is_none());
    e.proxy().slow_assignments(500);
    let assignment = json!({"InstanceArn": instance, "PermissionSetArn": set, "TargetId": a.id, "TargetType": "AWS_ACCOUNT",
        "PrincipalType": "USER", "PrincipalId": user});
    let begun = sso("CreateAccountAssignment", assignment.clone()).await?.success()?.json()?["AccountAssignmentCreationStatus"].clone();
    ensure!(begun["Status"] == "IN_PROGRESS");
    ensure!(sso("CreateAccountAssignment", assignment.clone()).await?.code().as_deref() == Some("ConflictException"));
    let ask = json!({"InstanceArn": instance, "AccountAssignmentCreationRequestId": begun["RequestId"]});
    eventually("the assignment to succeed", SOON, || async {
        let status = sso("DescribeAccountAssignmentCreationStatus", ask.clone()).await?.success()?.json()?;
        Ok((status["AccountAssignmentCreationStatus"]["Status"] == "SUCCEEDED").then_some(()))
    })
    .await?;
    let session = a.sign_in(&who).await?.context("alice is not let in")?;
    ensure!(session.can_list_buckets().await?);
    let of_set = json!({"InstanceArn": instance, "PermissionSetArn": set});
    ensure!(sso("DeletePermissionSet", of_set.clone()).await?.code().as_deref() == Some("ConflictException"));
    sso("DeleteAccountAssignment", assignment.clone()).await?.success()?;
    eventually("the assignment to be gone", SOON, || async { Ok(a.sign_in(&who).await?.is_none().then_some(())) }).await?;
    sso("DeletePermissionSet", of_set).await?.success()?;
    ensure!(sso("CreateAccountAssignment", assignment).await?.code().as_deref() == Some("ResourceNotFoundException"));
    let people = async |action: &str, body: Value| root.json("identitystore", &format!("AWSIdentityStore.{action}"), &body).await;
    let group = people("CreateGroup", json!({"IdentityStoreId": store, "DisplayName": "g"})).await?.success()?.json()?["GroupId"].clone();
    let member = json!({"IdentityStoreId": store, "GroupId": group, "MemberId": {"UserId": user}});
    people("CreateGroupMembership", member.clone()).await?.success()?;
    ensure!(people("CreateGroupMembership", member).await?.code().as_deref() == Some("ConflictException"));
    eventually("the session to end by its date", SOON, || async { Ok((!session.can_list_buckets().await?).then_some(())) }).await
}
