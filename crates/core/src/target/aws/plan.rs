//! What a Grant writes in AWS.
use crate::time::Time;
use serde::{Deserialize, Serialize};

pub mod build;
pub mod trust;
mod words;

pub use build::{Copied, Documents, attached, documents, plan, probe};
pub use words::{ended_without_operator, guarantees, planned_deadline, privileges, slot_domain, slots};

/// The access of one grant in one account.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPlan"))]
pub struct Plan {
    /// The partition of the account.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub partition: String,
    /// The account's id.
    #[cfg_attr(feature = "schema", schemars(length(max = 12)))]
    pub account: String,
    /// When the access ends at the latest.
    pub deadline: Time,
    /// What is written.
    pub access: Access,
}

/// What is written. Exactly one member.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[cfg_attr(feature = "schema", schemars(rename = "AwsAccess"))]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Policies of its own, attached to an IAM user.
    User(PlannedUser),
    /// An IAM role of its own.
    Role(PlannedRole),
    /// A permission set of its own, and its assignment.
    PermissionSet(PlannedPermissionSet),
    /// The assignment of a standing permission set.
    Assignment(PlannedAssignment),
    /// The membership in a standing group.
    Membership(PlannedMembership),
}

/// Policies of an IAM user.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPlannedUser"))]
pub struct PlannedUser {
    /// The user's name.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub user: String,
    /// The policies that are created and attached, in the order of the number that ends their names.
    #[cfg_attr(feature = "schema", schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic")))]
    pub policies: Vec<PlannedPolicy>,
}

/// A customer-managed policy of the grant's own, under the path `/curfew/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPlannedPolicy"))]
pub struct PlannedPolicy {
    /// Its whole name: `curfew-<install>-<grant>-<deadline>[-n]`.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub name: String,
    /// Its document, in canonical form, ready to be written.
    #[cfg_attr(feature = "schema", schemars(length(max = 131_072)))]
    pub document: String,
}

/// An IAM role of the grant's own, under the path `/curfew/`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPlannedRole"))]
#[serde(rename_all = "camelCase")]
pub struct PlannedRole {
    /// Its whole name: `curfew-<install>-<grant>-<deadline>`.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub name: String,
    /// Who may assume it, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub principal: String,
    /// The trust policy with which it is created: it lets nobody in.
    #[cfg_attr(feature = "schema", schemars(length(max = 4096)))]
    pub inert_trust: String,
    /// The trust policy that arms it: the principal, until the deadline.
    #[cfg_attr(feature = "schema", schemars(length(max = 4096)))]
    pub trust: String,
    /// The policies that are created and attached, in the order of the number that ends their names, before those of `attached`. One that ends
    /// what is attached by reference is among them, so it is removed after them.
    #[cfg_attr(feature = "schema", schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic")))]
    pub policies: Vec<PlannedPolicy>,
    /// The managed policies that are attached by reference, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 20), inner(length(max = 2048)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<String>,
    /// The longest session, in seconds.
    pub max_session_secs: u32,
    /// The source identity that a session may have, if it has one.
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub source_identity: String,
}

/// A permission set of the grant's own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPlannedPermissionSet"))]
#[serde(rename_all = "camelCase")]
pub struct PlannedPermissionSet {
    /// The instance of IAM Identity Center, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub instance: String,
    /// Its whole name, which holds install, grant and deadline.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub name: String,
    /// To whom it is assigned, by user name.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub user: String,
    /// Its inline policy, in canonical form, ready to be written.
    #[cfg_attr(feature = "schema", schemars(length(max = 131_072)))]
    pub inline: String,
    /// The AWS-managed policies that are attached by reference, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 20), inner(length(max = 2048)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<String>,
    /// The longest session, in seconds.
    pub session_secs: u32,
}

/// The assignment of a standing permission set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPlannedAssignment"))]
#[serde(rename_all = "camelCase")]
pub struct PlannedAssignment {
    /// The instance of IAM Identity Center, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub instance: String,
    /// The permission set, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub permission_set: String,
    /// To whom it is assigned, by user name.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub user: String,
}

/// The membership in a standing group.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPlannedMembership"))]
pub struct PlannedMembership {
    /// The instance of IAM Identity Center, by ARN.
    #[cfg_attr(feature = "schema", schemars(length(max = 1224)))]
    pub instance: String,
    /// The group, by id.
    #[cfg_attr(feature = "schema", schemars(length(max = 47)))]
    pub group: String,
    /// Who becomes a member, by user name.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub user: String,
}
