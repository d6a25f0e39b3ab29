//! An instance of IAM Identity Center in an account: its users, groups, permission sets and assignments, as an administrator writes them,
//! and the access portal, by which a user gets in.
use crate::plane::{Access, Plane, SLOWLY, Setup, emulators, list};
use anyhow::{Context, Result};
use curfew_testkit::{
    aws::{Account, Aws, SignIn},
    eventually,
};
use serde_json::{Value, json};

/// How long AWS takes for an assignment.
const MILLIS: u64 = 700;

/// An instance and its identity store.
#[derive(Clone)]
pub struct Instance {
    pub account: Account<'static>,
    pub arn: String,
    pub store: String,
}

pub fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("not a text: {value}"))
}

impl Instance {
    /// The instance of an account. Assignments take time from now on.
    pub async fn of(account: Account<'static>) -> Result<Self> {
        emulators().await?.proxy().slow_assignments(MILLIS);
        let mut instance = Instance { account, arn: String::new(), store: String::new() };
        let found = instance.call("sso", "SWBExternalService.ListInstances", json!({})).await?["Instances"][0].clone();
        (instance.arn, instance.store) = (text(&found["InstanceArn"])?, text(&found["IdentityStoreId"])?);
        Ok(instance)
    }

    async fn call(&self, service: &str, target: &str, body: Value) -> Result<Value> {
        let root = Aws { endpoint: emulators().await?.proxy().endpoint(), keys: self.account.root().keys };
        root.json(service, target, &body).await?.success().with_context(|| format!("{target} {body}"))?.json()
    }

    /// A call about permission sets and assignments, by an administrator.
    pub async fn sso(&self, action: &str, mut body: Value) -> Result<Value> {
        body["InstanceArn"] = json!(self.arn);
        self.call("sso", &format!("SWBExternalService.{action}"), body).await
    }

    /// A call about users and groups, by an administrator.
    pub async fn people(&self, action: &str, mut body: Value) -> Result<Value> {
        body["IdentityStoreId"] = json!(self.store);
        self.call("identitystore", &format!("AWSIdentityStore.{action}"), body).await
    }

    /// A new user; answers the id.
    pub async fn user(&self, name: &str) -> Result<String> {
        let user = json!({"UserName": name, "DisplayName": name, "Name": {"GivenName": name, "FamilyName": name}});
        text(&self.people("CreateUser", user).await?["UserId"])
    }

    /// A new permission set with this inline policy; answers its ARN.
    pub async fn set(&self, name: &str, tags: &Value, inline: &Value) -> Result<String> {
        let made = self.sso("CreatePermissionSet", json!({"Name": name, "Tags": tags})).await?;
        let set = text(&made["PermissionSet"]["PermissionSetArn"])?;
        let inline = json!({"PermissionSetArn": set, "InlinePolicy": inline.to_string()});
        self.sso("PutInlinePolicyToPermissionSet", inline).await?;
        Ok(set)
    }

    /// A permission set that stands, with the right to list the buckets.
    pub async fn standing_set(&self) -> Result<String> {
        self.set("standing", &json!([]), &list()).await
    }

    /// A group whose members have this permission set in the account; answers its id.
    pub async fn group(&self, set: &str) -> Result<String> {
        let group = text(&self.people("CreateGroup", json!({"DisplayName": "dba"})).await?["GroupId"])?;
        self.assign(set, "GROUP", &group, true).await?;
        Ok(group)
    }

    /// Every permission set of the instance, by ARN.
    pub async fn sets(&self) -> Result<Vec<String>> {
        let listed = self.sso("ListPermissionSets", json!({})).await?;
        listed["PermissionSets"].as_array().into_iter().flatten().map(text).collect()
    }

    /// Assigns a permission set to a user or a group, or takes it back, and returns once that is done.
    pub async fn assign(&self, set: &str, kind: &str, who: &str, present: bool) -> Result<()> {
        let action = if present { "CreateAccountAssignment" } else { "DeleteAccountAssignment" };
        let body = json!({"PermissionSetArn": set, "TargetId": self.account.id, "TargetType": "AWS_ACCOUNT",
            "PrincipalType": kind, "PrincipalId": who});
        self.sso(action, body).await?;
        let listing = json!({"PermissionSetArn": set, "AccountId": self.account.id});
        eventually(&format!("{action} to be done"), SLOWLY, || async {
            let listed = self.sso("ListAccountAssignments", listing.clone()).await?;
            let mut all = listed["AccountAssignments"].as_array().into_iter().flatten();
            Ok((all.any(|a| a["PrincipalId"] == who) == present).then_some(()))
        })
        .await
    }

    /// Makes a user a member of a group, or ends that.
    pub async fn join(&self, group: &str, user: &str, present: bool) -> Result<()> {
        let member = json!({"GroupId": group, "MemberId": {"UserId": user}});
        if present {
            return self.people("CreateGroupMembership", member).await.map(drop);
        }
        let found = self.people("GetGroupMembershipId", member).await?;
        self.people("DeleteGroupMembership", json!({"MembershipId": found["MembershipId"]})).await.map(drop)
    }

    /// What a user has once signed in with a permission set, or nothing for one to whom it is not assigned, directly or by a group.
    pub async fn signs_in(&self, set: &str, user: &str) -> Result<Option<Aws>> {
        let who = SignIn { account: &self.account.id, instance: &self.arn, store: &self.store, permission_set: set, user };
        self.account.sign_in(&who).await
    }

    /// Whether a user gets in by this permission set, and may list the buckets.
    pub async fn can_list_buckets(&self, set: &str, user: &str) -> Result<bool> {
        match self.signs_in(set, user).await? {
            Some(session) => session.can_list_buckets().await,
            None => Ok(false),
        }
    }
}

/// What the grants of a test give in Identity Center.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gives {
    /// A permission set of its own.
    OwnSet,
    /// A standing permission set.
    StandingSet,
    /// A membership in a standing group, to which the standing permission set is assigned.
    Membership,
}

/// An access to an account with an instance, in which the person is a user.
pub struct Center<'a> {
    pub a: Access<'a>,
    pub i: Instance,
    /// The id of the person.
    pub user: String,
    /// The group, of memberships.
    pub group: Option<String>,
}

impl<'a> Center<'a> {
    /// Installs it, whether an operator runs or not.
    pub async fn install(plane: &'a Plane, name: &'static str, gives: Gives) -> Result<Self> {
        let i = Instance::of(Account::new(emulators().await?)).await?;
        let (user, mut group) = (i.user(name).await?, None);
        let given = match gives {
            Gives::OwnSet => json!({"inlinePolicy": list()}),
            Gives::StandingSet => json!({"permissionSet": i.standing_set().await?}),
            Gives::Membership => {
                group = Some(i.group(&i.standing_set().await?).await?);
                json!({"group": group})
            }
        };
        let connection = json!({"identityCenter": {"instanceArn": i.arn, "identityStoreId": i.store}});
        // What the members of a group may do is unknown, so a policy must allow what outlives a grant.
        let setup = Setup { connection, persistence: group.is_some(), ..Setup::of(json!({"identityCenter": given})) };
        let a = Access::install_in(plane, i.account.clone(), name, setup).await?;
        Ok(Center { a, i, user, group })
    }

    /// The only permission set of the instance, by ARN.
    pub async fn only_set(&self) -> Result<String> {
        let mut sets = self.i.sets().await?;
        anyhow::ensure!(sets.len() == 1, "{sets:?}");
        sets.pop().context("no permission set")
    }

    /// Whether the person gets in by any permission set, and may list the buckets.
    pub async fn has_access(&self) -> Result<bool> {
        for set in self.i.sets().await? {
            if self.i.can_list_buckets(&set, &self.user).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until the person has, or has not, the access.
    pub async fn access_is(&self, allowed: bool) -> Result<()> {
        let fits = || async { Ok((self.has_access().await? == allowed).then_some(())) };
        eventually(&format!("the access of {} by Identity Center to be {allowed}", self.a.name), SLOWLY, fits).await
    }

    /// Waits until a request and its Grant have ended, and the person has no access any more.
    pub async fn over(&self, request: &str, state: &str) -> Result<()> {
        self.a.state_is(request, &[state]).await?;
        self.a.ended(request).await?;
        anyhow::ensure!(!self.has_access().await?, "{request} has ended, and there is still access");
        Ok(())
    }

    /// Revokes a request, and waits until it is over.
    pub async fn revoked(&self, request: &str) -> Result<()> {
        self.a.decide(request, "Revoke").await?;
        self.over(request, "Revoked").await
    }
}
