//! The permissions of an approval in AWS, with their content.
use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// What an approval is about. Exactly one member.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[cfg_attr(feature = "schema", schemars(rename = "AwsGrantedPermissions"))]
#[serde(rename_all = "camelCase")]
pub enum GrantedPermissions {
    /// Copies that are attached to an IAM user.
    User(GrantedPolicies),
    /// An IAM role of its own.
    Role(GrantedRole),
    /// A permission set of its own.
    PermissionSet(GrantedPermissionSet),
    /// The assignment of a standing permission set.
    StandingSet(GrantedStandingSet),
    /// The membership in a standing group.
    Group(GrantedGroup),
}

/// Policies with their content.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedPolicies {
    /// Managed policies, sorted by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed: Vec<GrantedPolicy>,
    /// The document that is written in the template, in canonical form.
    #[cfg_attr(feature = "schema", schemars(length(max = 131_072)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
}

/// A managed policy with its content.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedPolicy {
    /// Its ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 2048)))]
    pub arn: String,
    /// Whether a copy is written, or the policy itself is attached.
    pub by: GrantedBy,
    /// Digest of its document in canonical form.
    pub digest: Digest,
    /// Its document in canonical form.
    #[cfg_attr(feature = "schema", schemars(length(max = 131_072)))]
    pub document: String,
}

/// How a managed policy is granted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum GrantedBy {
    /// By a copy in which every statement ends at the deadline. It cannot grow.
    Copy,
    /// By its ARN, since it is too large to be copied, or stands in a permission set. An active grant ends if it allows more.
    Reference,
}

/// A role of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsGrantedRole"))]
#[serde(rename_all = "camelCase")]
pub struct GrantedRole {
    /// Its policies.
    pub policies: GrantedPolicies,
    /// The longest session, in seconds.
    pub max_session_secs: u32,
}

/// A permission set of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedPermissionSet {
    /// The instance of IAM Identity Center, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub instance: String,
    /// Its policies.
    pub policies: GrantedPolicies,
}

/// A standing permission set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedStandingSet {
    /// The instance of IAM Identity Center, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub instance: String,
    /// Its ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub arn: String,
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub name: String,
    /// Its policies.
    pub policies: GrantedPolicies,
}

/// A standing group. What its members may do is not known here.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedGroup {
    /// The instance of IAM Identity Center, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub instance: String,
    /// Its id.
    #[cfg_attr(feature = "schema", schemars(length(max = 47)))]
    pub id: String,
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub name: String,
}
