//! Who may do what in an AWS account: `GetAccountAuthorizationDetails` and the credential report, read with credentials that can do nothing else
//! (`deploy/aws/analytics.json`).
use crate::aws::{credentials, details::Details, inventory::Input};
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::{
    Client,
    error::DisplayErrorContext,
    operation::{get_account_authorization_details::GetAccountAuthorizationDetailsOutput, get_credential_report::GetCredentialReportError},
    types::{AttachedPermissionsBoundary, AttachedPolicy, GroupDetail, ManagedPolicyDetail, PolicyDetail, RoleDetail, Tag, UserDetail},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_types::DateTime;
use curfew_api::system::{AssumeRole, AwsConnection};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a call may take, with its retries.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// The name of sessions of an assumed role: CloudTrail shows it.
const SESSION: &str = "curfew-analytics";
/// How often it is asked whether the credential report is made, and the pause before.
const REPORT: (u32, Duration) = (15, Duration::from_secs(2));

/// Reads an account.
///
/// # Errors
/// What AWS answers, or that another account does.
pub async fn read(connection: &AwsConnection, role: Option<&AssumeRole>) -> Result<Input, String> {
    let client = Client::new(&config(connection, role).await);
    let details = details(&client).await?;
    if details.account != connection.account_id {
        return Err(format!(
            "account {} answers in place of {}: check the credentials or assumeRole",
            details.account, connection.account_id
        ));
    }
    let credentials = credential_report(&client).await;
    let credentials = credentials.map_err(|why| tracing::warn!(account = connection.account_id, why, "no credential report")).ok();
    Ok(Input { details, credentials, ..Input::default() })
}

/// The credentials of this process, or those of the role.
async fn config(connection: &AwsConnection, role: Option<&AssumeRole>) -> SdkConfig {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let limits = TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).operation_timeout(CALL_LIMIT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(connection.region.clone()))
        .timeout_config(limits);
    if let Ok(name) = AppName::new(SESSION) {
        loader = loader.app_name(name);
    }
    let base = loader.load().await;
    let Some(role) = role else { return base };
    let mut provider = AssumeRoleProvider::builder(&role.role_arn).session_name(SESSION).configure(&base);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    let provider = SharedCredentialsProvider::new(provider.build().await);
    base.into_builder().credentials_provider(provider).build()
}

/// All pages, as the AWS CLI prints them.
async fn details(client: &Client) -> Result<Details, String> {
    let (mut text, mut marker) = (String::new(), None);
    loop {
        let asked = client.get_account_authorization_details().set_marker(marker).send().await;
        let page = asked.map_err(|error| format!("iam:GetAccountAuthorizationDetails: {}", DisplayErrorContext(error)))?;
        text.push_str(&printed(&page).to_string());
        marker = page.marker().filter(|_| page.is_truncated()).map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    Details::parse(&text).map_err(|why| format!("iam:GetAccountAuthorizationDetails: the answer {why}"))
}

/// The report, which is made at most every four hours.
async fn credential_report(client: &Client) -> Result<credentials::CredentialReport, String> {
    let generated = client.generate_credential_report().send().await;
    generated.map_err(|error| format!("iam:GenerateCredentialReport: {}", DisplayErrorContext(error)))?;
    for _ in 0..REPORT.0 {
        match client.get_credential_report().send().await {
            Ok(report) => {
                let bytes = report.content().map(|content| content.as_ref().to_vec()).unwrap_or_default();
                let text = String::from_utf8(bytes).map_err(|_| "the credential report is not a text".to_owned())?;
                return credentials::parse(&text).map(|(report, _)| report).map_err(|why| format!("the credential report {why}"));
            }
            Err(error) if error.as_service_error().is_some_and(GetCredentialReportError::is_credential_report_not_ready_exception) => {
                tokio::time::sleep(REPORT.1).await;
            }
            Err(error) => return Err(format!("iam:GetCredentialReport: {}", DisplayErrorContext(error))),
        }
    }
    Err("the credential report is not ready yet".into())
}

/// A page as the AWS CLI prints it. It is complete by itself: the next page is asked for here.
fn printed(page: &GetAccountAuthorizationDetailsOutput) -> Value {
    json!({
        "UserDetailList": page.user_detail_list().iter().map(user).collect::<Vec<_>>(),
        "GroupDetailList": page.group_detail_list().iter().map(group).collect::<Vec<_>>(),
        "RoleDetailList": page.role_detail_list().iter().map(role).collect::<Vec<_>>(),
        "Policies": page.policies().iter().map(policy).collect::<Vec<_>>(),
    })
}

fn time(at: Option<&DateTime>) -> Option<i64> {
    at.map(DateTime::secs)
}

fn inline(policies: &[PolicyDetail]) -> Vec<Value> {
    policies.iter().map(|policy| json!({"PolicyName": policy.policy_name(), "PolicyDocument": policy.policy_document()})).collect()
}

fn attached(policies: &[AttachedPolicy]) -> Vec<Value> {
    policies.iter().map(|policy| json!({"PolicyName": policy.policy_name(), "PolicyArn": policy.policy_arn()})).collect()
}

fn tags(tags: &[Tag]) -> Vec<Value> {
    tags.iter().map(|tag| json!({"Key": tag.key(), "Value": tag.value()})).collect()
}

fn boundary(boundary: Option<&AttachedPermissionsBoundary>) -> Value {
    boundary.map_or(Value::Null, |boundary| json!({"PermissionsBoundaryArn": boundary.permissions_boundary_arn()}))
}

fn user(user: &UserDetail) -> Value {
    json!({
        "Arn": user.arn(), "Path": user.path(), "UserName": user.user_name(), "CreateDate": time(user.create_date()),
        "UserPolicyList": inline(user.user_policy_list()), "GroupList": user.group_list(),
        "AttachedManagedPolicies": attached(user.attached_managed_policies()),
        "PermissionsBoundary": boundary(user.permissions_boundary()), "Tags": tags(user.tags()),
    })
}

fn group(group: &GroupDetail) -> Value {
    json!({
        "Arn": group.arn(), "Path": group.path(), "GroupName": group.group_name(), "CreateDate": time(group.create_date()),
        "GroupPolicyList": inline(group.group_policy_list()), "AttachedManagedPolicies": attached(group.attached_managed_policies()),
    })
}

fn role(role: &RoleDetail) -> Value {
    json!({
        "Arn": role.arn(), "Path": role.path(), "RoleName": role.role_name(), "CreateDate": time(role.create_date()),
        "AssumeRolePolicyDocument": role.assume_role_policy_document(), "RolePolicyList": inline(role.role_policy_list()),
        "AttachedManagedPolicies": attached(role.attached_managed_policies()),
        "PermissionsBoundary": boundary(role.permissions_boundary()), "Tags": tags(role.tags()),
        "RoleLastUsed": {"LastUsedDate": role.role_last_used().and_then(|used| time(used.last_used_date()))},
    })
}

fn policy(policy: &ManagedPolicyDetail) -> Value {
    let versions = policy.policy_version_list().iter();
    let versions = versions.map(|version| json!({"Document": version.document(), "IsDefaultVersion": version.is_default_version()}));
    json!({
        "Arn": policy.arn(), "Path": policy.path(), "PolicyName": policy.policy_name(), "CreateDate": time(policy.create_date()),
        "PolicyVersionList": versions.collect::<Vec<_>>(),
    })
}
