//! How to reach an AWS account.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach an AWS account. Credentials come from where the operator runs, by web identity in a cluster, and are never written here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsConnection {
    /// The id of the account, 12 digits. Nothing is believed of another account that answers in its place.
    #[schemars(length(min = 12, max = 12), regex(pattern = "^[0-9]{12}$"))]
    pub account_id: String,
    /// The region whose endpoints are called, such as `eu-west-1`.
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[a-z]{2,}(-[a-z]+)+-[0-9]+$"))]
    pub region: String,
    /// The role that the operator assumes in the account. Without it the operator's own credentials are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// The instance of IAM Identity Center that assigns access to the account. Needed for `identityCenter` permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_center: Option<IdentityCenterInstance>,
}

/// A role that the operator assumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssumeRole {
    /// The role's ARN.
    #[schemars(length(min = 20, max = 2048), regex(pattern = "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$"))]
    pub role_arn: String,
    /// The external id that the role's trust policy asks for. It is not a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224), regex(pattern = "^[A-Za-z0-9+=,.@:/_-]+$"))]
    pub external_id: Option<String>,
}

/// An instance of IAM Identity Center.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityCenterInstance {
    /// The instance's ARN.
    #[schemars(length(min = 10, max = 1224), regex(pattern = "^arn:aws[a-z-]*:sso:::instance/(sso)?ins-[A-Za-z0-9.-]{16}$"))]
    pub instance_arn: String,
    /// The id of its identity store.
    #[schemars(length(min = 1, max = 36), regex(pattern = "^(d-[0-9a-f]{10}|[0-9A-Fa-f-]{36})$"))]
    pub identity_store_id: String,
    /// The region of the instance, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[a-z]{2,}(-[a-z]+)+-[0-9]+$"))]
    pub region: Option<String>,
    /// The role that the operator assumes in the account that manages the instance, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
}
