//! The SDK's clients for one account: who signs, how long a call may take, and that nothing is tried again silently.
//!
//! Credentials come from the SDK's default chain: the environment, a profile, web identity (IRSA), EKS Pod Identity or the
//! instance. Nothing in Curfew's objects is a credential. With `assumeRole` these credentials are used only to assume that role.
//! The operator's own loop decides again before it tries again, so the SDK does not: a write that it repeated could be sent after
//! a time limit has passed, and throttling must reach the lane.
//!
//! Calls to IAM, and those to an instance of Identity Center, each follow a pace of their own: the SDK's adaptive one, which begins with
//! the first call that AWS throttles, falls with each more, and rises again (SDKs and Tools Reference Guide, "Retry behavior").
use super::{center::Instance, memory::Constants};
use crate::api::system::{AssumeRole, AwsConnection};
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::config::retry::RetryPartition;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::{sync::Arc, time::Duration};

/// How many instances of IAM Identity Center are remembered.
const INSTANCES: usize = 64;
/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long one call may take, with the signing and the answer read.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// The name of the sessions of an assumed role: CloudTrail shows it.
const SESSION: &str = "curfew";

/// The connections, shared by all accounts. They belong to the runtime that opened them.
#[derive(Clone, Debug)]
pub struct Connections {
    http: SharedHttpClient,
    /// What is known of each instance of IAM Identity Center, by ARN.
    instances: Arc<Constants<String, Arc<Instance>>>,
}

impl Default for Connections {
    fn default() -> Self {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        Connections { http, instances: Arc::new(Constants::new(INSTANCES)) }
    }
}

impl Connections {
    /// What the SDK sends with.
    pub fn http(&self) -> SharedHttpClient {
        self.http.clone()
    }

    /// What is known of an instance: the same for all accounts that name it.
    pub(super) fn instance(&self, arn: &str) -> Arc<Instance> {
        self.instances.get_or_insert_with(arn.to_owned(), Arc::default)
    }
}

/// The clients of one connection.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Users, roles and policies.
    pub iam: aws_sdk_iam::Client,
    /// Who we are.
    pub sts: aws_sdk_sts::Client,
    /// Permission sets and their assignments.
    pub sso: aws_sdk_ssoadmin::Client,
    /// The people and groups of Identity Center.
    pub people: aws_sdk_identitystore::Client,
}

impl Clients {
    /// Connects nothing yet: the first call does.
    pub async fn new(connection: &AwsConnection, connections: &Connections) -> Self {
        let base = base(&connection.region, connections).await;
        let account = assumed(&base, connection.assume_role.as_ref()).await;
        let center = match &connection.identity_center {
            None => account.clone(),
            Some(center) => {
                // With a role of its own the account that manages the instance is reached; otherwise this account manages it.
                let own = match &center.assume_role {
                    Some(role) => assumed(&base, Some(role)).await,
                    None => account.clone(),
                };
                let region = center.region.as_ref().unwrap_or(&connection.region);
                own.into_builder().region(Region::new(region.clone())).build()
            }
        };
        let pace = connection.identity_center.as_ref().map(|center| connections.instance(&center.instance_arn).pace.clone());
        Clients::paced(&account, &center, pace.unwrap_or_else(|| pace_of("identity-center")))
    }

    /// With these configurations.
    pub fn of(account: &SdkConfig, center: &SdkConfig) -> Self {
        Clients::paced(account, center, pace_of("identity-center"))
    }

    fn paced(account: &SdkConfig, center: &SdkConfig, of_center: RetryPartition) -> Self {
        let adaptive = || RetryConfig::adaptive().with_max_attempts(1);
        let iam = aws_sdk_iam::config::Builder::from(account).retry_config(adaptive()).retry_partition(pace_of("iam"));
        let sso = aws_sdk_ssoadmin::config::Builder::from(center).retry_config(adaptive()).retry_partition(of_center.clone());
        let people = aws_sdk_identitystore::config::Builder::from(center).retry_config(adaptive()).retry_partition(of_center);
        Clients {
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            sts: aws_sdk_sts::Client::new(account),
            sso: aws_sdk_ssoadmin::Client::from_conf(sso.build()),
            people: aws_sdk_identitystore::Client::from_conf(people.build()),
        }
    }
}

/// A pace for calls that share it by sharing this value, and no others.
pub(super) fn pace_of(name: &'static str) -> RetryPartition {
    RetryPartition::custom(name).build()
}

/// What the operator has by itself.
async fn base(region: &str, connections: &Connections) -> SdkConfig {
    let limits =
        TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).operation_timeout(CALL_LIMIT).operation_attempt_timeout(CALL_LIMIT);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(connections.http())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(limits.build());
    if let Ok(name) = AppName::new("curfew") {
        loader = loader.app_name(name);
    }
    loader.load().await
}

/// What the operator has after it has assumed this role.
async fn assumed(base: &SdkConfig, role: Option<&AssumeRole>) -> SdkConfig {
    let Some(role) = role else { return base.clone() };
    let mut provider = AssumeRoleProvider::builder(&role.role_arn).session_name(SESSION).configure(base);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    let provider = SharedCredentialsProvider::new(provider.build().await);
    base.clone().into_builder().credentials_provider(provider).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_an_instance_is_shared_by_all_accounts() {
        let connections = Connections::default();
        let known = connections.instance("arn:aws:sso:::instance/ssoins-1");
        assert!(Arc::ptr_eq(&known, &connections.clone().instance("arn:aws:sso:::instance/ssoins-1")));
        assert!(!Arc::ptr_eq(&known, &connections.instance("arn:aws:sso:::instance/ssoins-2")));
    }
}
