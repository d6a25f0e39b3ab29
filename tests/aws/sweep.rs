//! The sweep of the running operator: what carries this install's name and no Grant justifies is removed, also while someone uses it.
use crate::{
    instance::{Center, Gives, text},
    plane::{SLOWLY, list, shared},
};
use anyhow::{Context, Result, ensure};
use curfew_core::{
    ids::Mark,
    target::{PlanNames, aws::names},
    time::Time,
};
use curfew_testkit::{
    aws::{AwsUser, trust},
    eventually,
};
use serde_json::{Value, json};

/// A policy, a role and a permission set under the names of a grant that no Kubernetes object knows, and a person who has all three.
struct Planted {
    who: AwsUser,
    /// The same person in Identity Center.
    id: String,
    name: String,
    policy: String,
    role: String,
    set: String,
}

/// What is left of it, and what it gives.
#[derive(PartialEq, Eq, Debug)]
struct Shown {
    exists: [bool; 3],
    gives: [bool; 3],
}

const ALL: Shown = Shown { exists: [true; 3], gives: [true; 3] };
const NONE: Shown = Shown { exists: [false; 3], gives: [false; 3] };

impl Planted {
    async fn new(c: &Center<'_>, user: &str, mark: &Mark) -> Result<Self> {
        let account = &c.i.account;
        let (who, id) = (account.user(user).await?, c.i.user(user).await?);
        let of = PlanNames { install: &mark.install, grant: &mark.grant, deadline: mark.deadline };
        let name = names::name(of, 0);
        let (document, path) = (list().to_string(), ("Path", names::PATH));
        let policy = account.iam("CreatePolicy", &[path, ("PolicyName", &name), ("PolicyDocument", &document)]).await?;
        let policy = policy.text("Arn").context("no ARN")?;
        account.iam("AttachUserPolicy", &[("UserName", user), ("PolicyArn", &policy)]).await?;
        let trusting = trust(&[&who.arn], &Value::Null).to_string();
        let role = account.iam("CreateRole", &[path, ("RoleName", &name), ("AssumeRolePolicyDocument", &trusting)]).await?;
        let role = role.text("Arn").context("no ARN")?;
        account.iam("PutRolePolicy", &[("RoleName", &name), ("PolicyName", "rights"), ("PolicyDocument", &document)]).await?;
        let tags = names::tags(mark).map(|(key, value)| json!({"Key": key, "Value": value}));
        let set = c.i.set(&names::permission_set_name(of).context("no name")?, &json!(tags), &list()).await?;
        c.i.assign(&set, "USER", &id, true).await?;
        Ok(Planted { who, id, name, policy, role, set })
    }

    async fn shown(&self, c: &Center<'_>) -> Result<Shown> {
        let policy = c.a.tried("GetPolicy", &[("PolicyArn", &self.policy)]).await?;
        let role = c.a.tried("GetRole", &[("RoleName", &self.name)]).await?;
        for answer in [&policy, &role] {
            ensure!(answer.ok() || answer.code().as_deref() == Some("NoSuchEntity"), "{}", answer.body);
        }
        let by_role = match self.who.aws.assume(&self.role, &[]).await? {
            Some(session) => session.can_list_buckets().await?,
            None => false,
        };
        let by_set = c.i.can_list_buckets(&self.set, &self.id).await?;
        Ok(Shown {
            exists: [policy.ok(), role.ok(), c.i.sets().await?.contains(&self.set)],
            gives: [self.who.aws.can_list_buckets().await?, by_role, by_set],
        })
    }

    async fn is_swept(&self, c: &Center<'_>) -> Result<()> {
        eventually(&format!("the sweep to remove {}", self.name), SLOWLY, || async {
            let shown = self.shown(c).await?;
            if shown == NONE { Ok(Some(())) } else { anyhow::bail!("{shown:?}") }
        })
        .await
    }
}

/// This install's id, from the permission set of a live grant.
async fn install(c: &Center<'_>) -> Result<String> {
    let described = c.i.sso("DescribePermissionSet", json!({"PermissionSetArn": c.only_set().await?})).await?;
    let name = text(&described["PermissionSet"]["Name"])?;
    Ok(names::parse_permission_set(&name).with_context(|| name)?.install)
}

#[tokio::test]
async fn the_sweep_removes_what_no_grant_justifies_and_nothing_else() -> Result<()> {
    let c = Center::install(shared().await?, "swept", Gives::OwnSet).await?;
    c.a.ready().await?;
    c.a.active("swept", "swept", "1h").await?;
    let ours = install(&c).await?;
    let (past, later) = (Time::from_secs(1_767_225_600), Time::from_secs(4_102_444_800));
    let mark = |install: &str, grant: &str, deadline| Mark { install: install.into(), grant: grant.into(), deadline };
    let late = Planted::new(&c, "late", &mark(&ours, "00000000000000ab", past)).await?;
    let orphaned = Planted::new(&c, "orphaned", &mark(&ours, "00000000000000ac", later)).await?;
    let foreign = Planted::new(&c, "foreign", &mark("00c0ffee", "00000000000000ad", past)).await?;
    ensure!(foreign.shown(&c).await? == ALL);
    // Objects of others that look like ours: another name, another path, and a permission set without the tag.
    let document = list().to_string();
    let alike = async |name: &str, path: &str| {
        let made = c.i.account.iam("CreatePolicy", &[("PolicyName", name), ("Path", path), ("PolicyDocument", &document)]).await?;
        made.text("Arn").context("no ARN")
    };
    let elsewhere = names::name(PlanNames { install: &ours, grant: "00000000000000ae", deadline: past }, 0);
    let alike = [alike("curfew-notes", names::PATH).await?, alike(&elsewhere, "/team/").await?];
    let untagged =
        names::permission_set_name(PlanNames { install: &ours, grant: "00000000000000af", deadline: past }).context("no name")?;
    let untagged = c.i.set(&untagged, &json!([]), &list()).await?;
    late.is_swept(&c).await?;
    orphaned.is_swept(&c).await?;
    ensure!(foreign.shown(&c).await? == ALL, "what another install has made was touched");
    for arn in &alike {
        ensure!(c.a.tried("GetPolicy", &[("PolicyArn", arn)]).await?.ok(), "{arn} was swept");
    }
    let strangers = [&foreign.name, &foreign.set, "curfew-notes", &elsewhere, &untagged];
    let touched = c.a.calls_of_operator(|k| !k.is_read() && strangers.iter().any(|name| k.names(name))).await?;
    ensure!(touched.is_empty(), "{touched:?}");
    // The grant that is live has kept what it gives.
    ensure!(c.has_access().await? && c.a.of_request("swept", "{.status.state}").await? == "Active");
    Ok(())
}
