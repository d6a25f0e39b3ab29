//! The operator's own rights: exactly those of `deploy/aws`, which every test here uses, and what they do not let it do.
use crate::plane::{Access, Setup, shared};
use anyhow::{Context, Result, ensure};
use curfew_testkit::aws::{AwsUser, allow, policy, trust};
use serde_json::{Value, json};

/// What an attacker who holds the operator's session in an account tries.
#[tokio::test]
async fn the_operator_cannot_do_more_than_its_task() -> Result<()> {
    let a = Access::install(shared().await?, "rights", Setup::user()).await?;
    a.ready().await?;
    let hub: &AwsUser = a.plane.hub();
    let role = format!("arn:aws:iam::{}:role/curfew-operator", a.account.id);
    ensure!(hub.aws.assume(&role, &[]).await?.is_none(), "without the external id");
    let operator = hub.aws.assume(&role, &[("ExternalId", crate::plane::EXTERNAL_ID)]).await?.context("may not assume its role")?;
    a.account.iam("CreateGroup", &[("GroupName", "g")]).await?;
    let strangers = a.account.policy("strangers", &allow(&["*"])).await?;
    let (wide, trusting) = (allow(&["*"]).to_string(), trust(&[&hub.arn], &Value::Null).to_string());
    a.account.role("admin", &trust(&[&a.account.id], &Value::Null), &allow(&["*"])).await?;
    let own = format!("arn:aws:iam::{}:policy/curfew-operator", a.account.id);
    let (user, administrator) = (("UserName", "rights"), ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess"));
    let (to_itself, document) = (("RoleName", "curfew-operator"), ("PolicyDocument", wide.as_str()));
    let attempts: &[(&str, &[(&str, &str)])] = &[
        ("AttachUserPolicy", &[user, administrator]),
        ("AttachUserPolicy", &[user, ("PolicyArn", &strangers)]),
        ("AttachRolePolicy", &[to_itself, administrator]),
        ("AttachRolePolicy", &[("RoleName", "admin"), administrator]),
        ("AttachGroupPolicy", &[("GroupName", "g"), administrator]),
        ("PutUserPolicy", &[user, ("PolicyName", "p"), document]),
        ("PutRolePolicy", &[to_itself, ("PolicyName", "p"), document]),
        ("PutRolePolicy", &[("RoleName", "admin"), ("PolicyName", "p"), document]),
        ("PutGroupPolicy", &[("GroupName", "g"), ("PolicyName", "p"), document]),
        ("CreatePolicy", &[("PolicyName", "p"), document]),
        ("CreatePolicyVersion", &[("PolicyArn", &own), document, ("SetAsDefault", "true")]),
        ("CreatePolicyVersion", &[("PolicyArn", &strangers), document, ("SetAsDefault", "true")]),
        ("DeletePolicy", &[("PolicyArn", &strangers)]),
        ("CreateUser", &[("UserName", "u")]),
        ("CreateAccessKey", &[user]),
        ("CreateLoginProfile", &[user, ("Password", "p")]),
        ("AddUserToGroup", &[user, ("GroupName", "g")]),
        ("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &trusting)]),
        ("UpdateAssumeRolePolicy", &[to_itself, ("PolicyDocument", &trusting)]),
        ("UpdateAssumeRolePolicy", &[("RoleName", "admin"), ("PolicyDocument", &trusting)]),
        ("DeleteRole", &[("RoleName", "admin")]),
        ("DetachRolePolicy", &[to_itself, ("PolicyArn", &own)]),
    ];
    for (action, parameters) in attempts {
        let answer = operator.iam(action, parameters).await?;
        ensure!(answer.code().as_deref() == Some("AccessDenied"), "{action} {parameters:?}: {} {}", answer.status, answer.body);
    }
    ensure!(!operator.can_list_buckets().await?, "it reads nothing that is not its task");
    Ok(())
}

/// Without a right, a role is not Ready, and the message names what to add; once it is there, the role is.
#[tokio::test]
async fn a_missing_right_is_named() -> Result<()> {
    let a = Access::install(shared().await?, "missing", Setup::user()).await?;
    a.ready().await?;
    let without = policy(json!([{"Effect": "Deny", "Action": "iam:AttachUserPolicy", "Resource": "*"}])).to_string();
    let deny = [("RoleName", "curfew-operator"), ("PolicyName", "without"), ("PolicyDocument", without.as_str())];
    a.account.iam("PutRolePolicy", &deny).await?;
    a.ask_anyway("missing", "missing").await?;
    let error = "{.status.lastError}";
    let grant = a.grant("missing").await?;
    a.plane.w.field_fits(&["grt", &grant], error, "to name the right", crate::plane::SLOWLY, |e| e.contains("AttachUserPolicy")).await?;
    ensure!(!a.has_access().await?);
    a.account.iam("DeleteRolePolicy", &deny[..2]).await?;
    a.access_is(true).await?;
    a.decide("missing", "Revoke").await?;
    a.over("missing", &["Revoked"]).await
}
