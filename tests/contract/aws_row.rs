//! The rows of AWS in the table that every provider passes: an IAM user, a role of its own, a permission set of its own, and a standing
//! permission set. The provider has the keys of a user with exactly the rights of `deploy/aws`.
use crate::{
    plane::{emulators, list, operator_rights},
    provider_rows::{self, Row},
};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use curfew::{
    api::system::{AwsConnection, IdentityCenterInstance},
    authority::Clock,
    providers::{
        Provider,
        aws::{Aws, Clients, Connections},
    },
};
use curfew_core::target::{
    Plan, PlanNames,
    aws::{
        Access,
        granted::{GrantedPermissionSet, GrantedPermissions, GrantedPolicies, GrantedRole, GrantedStandingSet},
        plan,
        principal::Principal,
        scope::GrantedScope,
    },
};
use curfew_testkit::aws::{Account, Aws as Client, AwsUser, REGION, SignIn};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many cases the table has.
const CASES: usize = 8;

/// Which way the grants of a row take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    User,
    Role,
    PermissionSet,
    Standing,
}

struct InAws {
    way: Way,
    account: Account<'static>,
    connection: AwsConnection,
    config: SdkConfig,
    /// Who gets the access of each case.
    people: Vec<AwsUser>,
    /// The same people in the identity store.
    ids: Vec<String>,
    instance: IdentityCenterInstance,
    /// A permission set that stands.
    standing: String,
}

/// A call of an administrator of Identity Center.
async fn center(account: &Account<'_>, service: &str, target: &str, body: Value) -> Result<Value> {
    let root = Client { endpoint: emulators().await?.proxy().endpoint(), keys: account.root().keys };
    root.json(service, target, &body).await?.success()?.json()
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("not a text: {value}"))
}

impl InAws {
    async fn new(way: Way) -> Result<Self> {
        let account = Account::new(emulators().await?);
        let operator = account.user("operator").await?;
        for arn in operator_rights(&account).await? {
            account.iam("AttachUserPolicy", &[("UserName", "operator"), ("PolicyArn", &arn)]).await?;
        }
        let keys = operator.aws.keys;
        let credentials = Credentials::new(keys.access_key, keys.secret, None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(operator.aws.endpoint)
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Connections::default().http())
            .build();
        let found = &center(&account, "sso", "SWBExternalService.ListInstances", json!({})).await?["Instances"][0];
        let instance = IdentityCenterInstance {
            instance_arn: text(&found["InstanceArn"])?,
            identity_store_id: text(&found["IdentityStoreId"])?,
            region: None,
            assume_role: None,
        };
        let made = center(
            &account,
            "sso",
            "SWBExternalService.CreatePermissionSet",
            json!({"InstanceArn": instance.instance_arn, "Name": "standing"}),
        );
        let standing = text(&made.await?["PermissionSet"]["PermissionSetArn"])?;
        let inline = json!({"InstanceArn": instance.instance_arn, "PermissionSetArn": standing, "InlinePolicy": list().to_string()});
        center(&account, "sso", "SWBExternalService.PutInlinePolicyToPermissionSet", inline).await?;
        let (mut people, mut ids) = (Vec::new(), Vec::new());
        for case in 0..CASES {
            let name = format!("person-{case}");
            people.push(account.user(&name).await?);
            let names = json!({"GivenName": name, "FamilyName": name});
            let user = json!({"IdentityStoreId": instance.identity_store_id, "UserName": name, "DisplayName": name, "Name": names});
            ids.push(text(&center(&account, "identitystore", "AWSIdentityStore.CreateUser", user).await?["UserId"])?);
        }
        let connection = AwsConnection {
            account_id: account.id.clone(),
            region: REGION.into(),
            assume_role: None,
            identity_center: Some(instance.clone()),
        };
        Ok(InAws { way, account, connection, config, people, ids, instance, standing })
    }

    fn assignment(&self, set: &str, case: usize) -> Value {
        json!({"InstanceArn": self.instance.instance_arn, "PermissionSetArn": set, "TargetId": self.account.id,
            "TargetType": "AWS_ACCOUNT", "PrincipalType": "USER", "PrincipalId": self.ids[case]})
    }

    /// The permission sets that grants of this case could have made: all but the standing one.
    async fn sets(&self) -> Result<Vec<String>> {
        let body = json!({"InstanceArn": self.instance.instance_arn});
        let listed = center(&self.account, "sso", "SWBExternalService.ListPermissionSets", body).await?;
        listed["PermissionSets"].as_array().into_iter().flatten().map(text).collect()
    }

    /// Whether the person of this case gets in by one of these permission sets, and may list the buckets.
    async fn signs_in(&self, sets: &[String], case: usize) -> Result<bool> {
        for set in sets {
            let who = SignIn {
                account: &self.account.id,
                instance: &self.instance.instance_arn,
                store: &self.instance.identity_store_id,
                permission_set: set,
                user: &self.ids[case],
            };
            if let Some(session) = self.account.sign_in(&who).await?
                && session.can_list_buckets().await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[async_trait]
impl Row for InAws {
    fn provider(&self) -> Arc<dyn Provider> {
        self.another()
    }
    fn another(&self) -> Arc<dyn Provider> {
        let clients = Clients::of(&self.config, &self.config);
        Arc::new(Aws::with(self.connection.clone(), clients, Arc::new(Clock::default())))
    }
    fn plan(&self, grant: &str, case: usize) -> Plan {
        let policies = GrantedPolicies { managed: Vec::new(), inline: Some(list().to_string()) };
        let (instance, name) = (self.instance.instance_arn.clone(), format!("person-{case}"));
        let permissions = match self.way {
            Way::User => GrantedPermissions::User(policies),
            Way::Role => GrantedPermissions::Role(GrantedRole { policies, max_session_secs: 3600 }),
            Way::PermissionSet => GrantedPermissions::PermissionSet(GrantedPermissionSet { instance, policies }),
            Way::Standing => GrantedPermissions::StandingSet(GrantedStandingSet {
                instance,
                arn: self.standing.clone(),
                name: "standing".into(),
                policies,
            }),
        };
        let principal = if self.way == Way::Role { self.people[case].arn.clone() } else { name };
        let scope = GrantedScope { partition: "aws".into(), account: self.account.id.clone(), regions: Vec::new(), resources: Vec::new() };
        let deadline = Clock::default().now().plus_secs(3600).floor_secs();
        let names = PlanNames { install: "0123abcd", grant, deadline };
        Plan::Aws(plan::plan(&permissions, &scope, &Principal { name: principal }, names).expect("a plan"))
    }
    async fn has_access(&self, case: usize) -> Result<bool> {
        let person = &self.people[case].aws;
        match self.way {
            Way::User => person.can_list_buckets().await,
            Way::Role => {
                for role in self.account.under("/curfew/").await?.iter().filter(|arn| arn.contains(":role/")) {
                    if let Some(session) = person.assume(role, &[]).await?
                        && session.can_list_buckets().await?
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Way::PermissionSet => self.signs_in(&self.sets().await?, case).await,
            Way::Standing => self.signs_in(std::slice::from_ref(&self.standing), case).await,
        }
    }
    async fn by_hand(&self, plan: &Plan, case: usize, present: bool) -> Result<()> {
        let Plan::Aws(plan) = plan else { bail!("the plan is of another provider") };
        match &plan.access {
            Access::User(user) => {
                for policy in &user.policies {
                    let arn = format!("arn:aws:iam::{}:policy/curfew/{}", self.account.id, policy.name);
                    self.account.iam("DetachUserPolicy", &[("UserName", &user.user), ("PolicyArn", &arn)]).await?;
                }
            }
            Access::Role(role) => {
                let inert = [("RoleName", role.name.as_str()), ("PolicyDocument", role.inert_trust.as_str())];
                self.account.iam("UpdateAssumeRolePolicy", &inert).await?;
            }
            Access::PermissionSet(_) => {
                for set in self.sets().await?.iter().filter(|set| **set != self.standing) {
                    center(&self.account, "sso", "SWBExternalService.DeleteAccountAssignment", self.assignment(set, case)).await?;
                }
            }
            Access::Assignment(_) => {
                let action = if present { "CreateAccountAssignment" } else { "DeleteAccountAssignment" };
                let target = format!("SWBExternalService.{action}");
                center(&self.account, "sso", &target, self.assignment(&self.standing, case)).await?;
            }
            Access::Membership(_) => bail!("there is no row of memberships"),
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_iam_user_passes_the_table_of_every_provider() -> Result<()> {
    provider_rows::holds(&InAws::new(Way::User).await?).await
}

#[tokio::test]
async fn a_role_of_its_own_passes_the_table_of_every_provider() -> Result<()> {
    provider_rows::holds(&InAws::new(Way::Role).await?).await
}

#[tokio::test]
async fn a_permission_set_of_its_own_passes_the_table_of_every_provider() -> Result<()> {
    emulators().await?.proxy().slow_assignments(700);
    provider_rows::holds(&InAws::new(Way::PermissionSet).await?).await
}

#[tokio::test]
async fn a_standing_permission_set_passes_the_table_of_every_provider() -> Result<()> {
    emulators().await?.proxy().slow_assignments(700);
    provider_rows::holds(&InAws::new(Way::Standing).await?).await
}
