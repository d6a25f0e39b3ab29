//! The rows of AWS in the table that every provider passes: an IAM user, a role of its own, a permission set of its own, a standing
//! permission set, and a membership in a standing group. The provider has the keys of a user with exactly the rights of `deploy/aws`.
use crate::{
    instance::Instance,
    plane::{emulators, list, operator_rights},
    provider_rows::{self, Row},
};
use anyhow::{Result, bail};
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
        granted::{GrantedGroup, GrantedPermissionSet, GrantedPermissions, GrantedPolicies, GrantedRole, GrantedStandingSet},
        plan,
        principal::Principal,
        scope::GrantedScope,
    },
};
use curfew_testkit::aws::{Account, AwsUser, REGION};
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
    Membership,
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
    center: Instance,
    /// A permission set that stands.
    standing: String,
    /// A group whose members have it, in the row of memberships.
    group: String,
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
        let center = Instance::of(account.clone()).await?;
        let standing = center.standing_set().await?;
        let group = if way == Way::Membership { center.group(&standing).await? } else { String::new() };
        let (mut people, mut ids) = (Vec::new(), Vec::new());
        for case in 0..CASES {
            let name = format!("person-{case}");
            people.push(account.user(&name).await?);
            ids.push(center.user(&name).await?);
        }
        let instance = IdentityCenterInstance {
            instance_arn: center.arn.clone(),
            identity_store_id: center.store.clone(),
            region: None,
            assume_role: None,
        };
        let connection =
            AwsConnection { account_id: account.id.clone(), region: REGION.into(), assume_role: None, identity_center: Some(instance) };
        Ok(InAws { way, account, connection, config, people, ids, center, standing, group })
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
        let (instance, name) = (self.center.arn.clone(), format!("person-{case}"));
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
            Way::Membership => GrantedPermissions::Group(GrantedGroup { instance, id: self.group.clone(), name: "dba".into() }),
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
            Way::PermissionSet => {
                for set in self.center.sets().await? {
                    if self.center.can_list_buckets(&set, &self.ids[case]).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Way::Standing | Way::Membership => self.center.can_list_buckets(&self.standing, &self.ids[case]).await,
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
                // The other cases have permission sets of their own.
                for set in self.center.sets().await? {
                    if self.center.signs_in(&set, &self.ids[case]).await?.is_some() {
                        self.center.assign(&set, "USER", &self.ids[case], false).await?;
                    }
                }
            }
            Access::Assignment(_) => self.center.assign(&self.standing, "USER", &self.ids[case], present).await?,
            Access::Membership(_) => self.center.join(&self.group, &self.ids[case], present).await?,
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
    provider_rows::holds(&InAws::new(Way::PermissionSet).await?).await
}

#[tokio::test]
async fn a_standing_permission_set_passes_the_table_of_every_provider() -> Result<()> {
    provider_rows::holds(&InAws::new(Way::Standing).await?).await
}

#[tokio::test]
async fn a_membership_in_a_standing_group_passes_the_table_of_every_provider() -> Result<()> {
    provider_rows::holds(&InAws::new(Way::Membership).await?).await
}
