//! IAM Identity Center: a permission set of the grant's own, an assignment of a standing one, and a membership in a standing group.
use crate::plane::{Access, LIST, SLOWLY, Setup, emulators, list, shared};
use anyhow::{Context, Result, anyhow, ensure};
use curfew_testkit::{
    aws::{Account, Answer, Aws, Fault, SignIn},
    eventually,
};
use serde_json::{Value, json};

/// How long AWS takes for an assignment.
const MILLIS: u64 = 700;

/// An access with an instance of Identity Center, in which the person is a user.
struct Center {
    a: Access<'static>,
    instance: String,
    store: String,
    user: String,
}

/// A call of an administrator.
async fn call(account: &Account<'_>, service: &str, target: &str, body: Value) -> Result<Answer> {
    let root = Aws { endpoint: emulators().await?.proxy().endpoint(), keys: account.root().keys };
    root.json(service, target, &body).await?.success()
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("not a text: {value}"))
}

impl Center {
    /// Its permissions are made once instance and store are known.
    async fn install(name: &'static str, permissions: impl AsyncFnOnce(&Account<'_>, &str, &str) -> Result<Value>) -> Result<Self> {
        let e = emulators().await?;
        e.proxy().slow_assignments(MILLIS);
        let account = Account::new(e);
        let instances = call(&account, "sso", "SWBExternalService.ListInstances", json!({})).await?.json()?["Instances"][0].clone();
        let (instance, store) = (text(&instances["InstanceArn"])?, text(&instances["IdentityStoreId"])?);
        let user =
            json!({"IdentityStoreId": store, "UserName": name, "DisplayName": name, "Name": {"GivenName": name, "FamilyName": name}});
        let user = text(&call(&account, "identitystore", "AWSIdentityStore.CreateUser", user).await?.json()?["UserId"])?;
        let given = permissions(&account, &instance, &store).await?;
        let connection = json!({"identityCenter": {"instanceArn": instance, "identityStoreId": store}});
        // What the members of a group may do is unknown, so a policy must allow what outlives a grant.
        let persistence = given.get("group").is_some();
        let setup = Setup { connection, persistence, ..Setup::of(json!({"identityCenter": given})) };
        let a = Access::install_in(shared().await?, account, name, setup).await?;
        a.ready().await?;
        Ok(Center { a, instance, store, user })
    }

    /// Every permission set of the instance, by ARN.
    async fn sets(&self) -> Result<Vec<String>> {
        let body = json!({"InstanceArn": self.instance});
        let listed = call(&self.a.account, "sso", "SWBExternalService.ListPermissionSets", body).await?.json()?;
        listed["PermissionSets"].as_array().into_iter().flatten().map(text).collect()
    }

    async fn signs_in(&self, set: &str) -> Result<Option<Aws>> {
        let who =
            SignIn { account: &self.a.account.id, instance: &self.instance, store: &self.store, permission_set: set, user: &self.user };
        self.a.account.sign_in(&who).await
    }

    async fn sign_in_is(&self, set: &str, allowed: bool) -> Result<()> {
        let fits = || async { Ok((self.signs_in(set).await?.is_some() == allowed).then_some(())) };
        eventually(&format!("signing in to be {allowed}"), SLOWLY, fits).await
    }
}

/// A permission set that stands, with the right to list the buckets.
async fn standing_set(account: &Account<'_>, instance: &str) -> Result<String> {
    let body = json!({"InstanceArn": instance, "Name": "standing"});
    let made = call(account, "sso", "SWBExternalService.CreatePermissionSet", body).await?.json()?;
    let set = text(&made["PermissionSet"]["PermissionSetArn"])?;
    let inline = json!({"InstanceArn": instance, "PermissionSetArn": set, "InlinePolicy": list().to_string()});
    call(account, "sso", "SWBExternalService.PutInlinePolicyToPermissionSet", inline).await?;
    Ok(set)
}

fn assignment(c: &Center, set: &str) -> Value {
    json!({"InstanceArn": c.instance, "PermissionSetArn": set, "TargetId": c.a.account.id, "TargetType": "AWS_ACCOUNT",
        "PrincipalType": "USER", "PrincipalId": c.user})
}

#[tokio::test]
async fn a_permission_set_of_its_own_ends_at_the_deadline_with_open_sessions() -> Result<()> {
    let c = Center::install("center", async |_, _, _| Ok(json!({"inlinePolicy": list()}))).await?;
    let proxy = emulators().await?.proxy();
    // The write before has not arrived everywhere.
    proxy.fault(2, Fault::Refuse(400, "ConflictException"), c.a.of_operator("CreateAccountAssignment"));
    c.a.active("center", "center", "30s").await?;
    let sets = c.sets().await?;
    let [set] = sets.as_slice() else { return Err(anyhow!("{sets:?}")) };
    c.sign_in_is(set, true).await?;
    let session = c.signs_in(set).await?.context("may not sign in")?;
    ensure!(session.can_list_buckets().await?, "{LIST} is refused");
    ensure!(c.a.of_grant("center", "{.status.enforcedBy}").await? == "Target");
    eventually("the session to end", SLOWLY, || async { Ok((!session.can_list_buckets().await?).then_some(())) }).await?;
    c.a.over("center", &["Expired"]).await?;
    ensure!(c.sets().await?.is_empty(), "a permission set is left");
    ensure!(c.a.calls("CreateAccountAssignment", 200).await? == 1, "assigned twice");
    Ok(())
}

#[tokio::test]
async fn an_early_revocation_takes_the_permission_set() -> Result<()> {
    let c = Center::install("center-early", async |_, _, _| Ok(json!({"inlinePolicy": list()}))).await?;
    c.a.active("center-early", "center-early", "1h").await?;
    let set = c.sets().await?.pop().context("no permission set")?;
    c.sign_in_is(&set, true).await?;
    c.a.decide("center-early", "Revoke").await?;
    c.a.over("center-early", &["Revoked"]).await?;
    ensure!(c.sets().await?.is_empty() && c.signs_in(&set).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn an_assignment_of_a_standing_permission_set_is_ended_by_curfew() -> Result<()> {
    let given = async |account: &Account<'_>, instance: &str, _: &str| Ok(json!({"permissionSet": standing_set(account, instance).await?}));
    let c = Center::install("center-set", given).await?;
    let set = c.sets().await?.pop().context("no permission set")?;
    c.a.active("center-set", "center-first", "25s").await?;
    c.a.active("center-set-too", "center-second", "1h").await?;
    c.sign_in_is(&set, true).await?;
    ensure!(c.a.of_grant("center-first", "{.status.enforcedBy}").await? == "Curfew");
    c.a.state_is("center-first", &["Expired"]).await?;
    c.a.ended("center-first").await?;
    ensure!(c.signs_in(&set).await?.is_some(), "the first to end has cut the second");
    c.a.decide("center-second", "Revoke").await?;
    c.a.state_is("center-second", &["Revoked"]).await?;
    c.a.ended("center-second").await?;
    ensure!(c.signs_in(&set).await?.is_none() && c.sets().await? == [set]);
    Ok(())
}

#[tokio::test]
async fn a_standing_assignment_is_neither_written_nor_removed() -> Result<()> {
    let given = async |account: &Account<'_>, instance: &str, _: &str| Ok(json!({"permissionSet": standing_set(account, instance).await?}));
    let c = Center::install("center-standing", given).await?;
    let set = c.sets().await?.pop().context("no permission set")?;
    call(&c.a.account, "sso", "SWBExternalService.CreateAccountAssignment", assignment(&c, &set)).await?;
    c.sign_in_is(&set, true).await?;
    c.a.active("center-standing", "center-standing", "10s").await?;
    c.a.state_is("center-standing", &["Expired"]).await?;
    c.a.ended("center-standing").await?;
    ensure!(c.signs_in(&set).await?.is_some());
    let writes = c.a.calls_of_operator(|k| k.action.ends_with("AccountAssignment")).await?;
    ensure!(writes.is_empty(), "{writes:?}");
    Ok(())
}

#[tokio::test]
async fn a_membership_in_a_standing_group_is_ended_by_curfew() -> Result<()> {
    let given = async |account: &Account<'_>, instance: &str, store: &str| {
        standing_set(account, instance).await?;
        let group = json!({"IdentityStoreId": store, "DisplayName": "dba"});
        let made = call(account, "identitystore", "AWSIdentityStore.CreateGroup", group).await?.json()?;
        Ok(json!({"group": made["GroupId"]}))
    };
    let c = Center::install("center-group", given).await?;
    let set = c.sets().await?.pop().context("no permission set")?;
    let groups = json!({"IdentityStoreId": c.store});
    let groups = call(&c.a.account, "identitystore", "AWSIdentityStore.ListGroups", groups).await?.json()?;
    let mut of_group = assignment(&c, &set);
    of_group["PrincipalType"] = json!("GROUP");
    of_group["PrincipalId"] = groups["Groups"][0]["GroupId"].clone();
    call(&c.a.account, "sso", "SWBExternalService.CreateAccountAssignment", of_group).await?;
    let listing = json!({"InstanceArn": c.instance, "PermissionSetArn": set, "AccountId": c.a.account.id});
    eventually("the group to be assigned", SLOWLY, || async {
        let listed = call(&c.a.account, "sso", "SWBExternalService.ListAccountAssignments", listing.clone()).await?.json()?;
        Ok(listed["AccountAssignments"].as_array().is_some_and(|all| !all.is_empty()).then_some(()))
    })
    .await?;
    ensure!(c.signs_in(&set).await?.is_none());
    c.a.active("center-group", "center-group", "25s").await?;
    c.sign_in_is(&set, true).await?;
    ensure!(c.a.of_grant("center-group", "{.status.enforcedBy}").await? == "Curfew");
    c.a.state_is("center-group", &["Expired"]).await?;
    c.a.ended("center-group").await?;
    ensure!(c.signs_in(&set).await?.is_none());
    Ok(())
}
