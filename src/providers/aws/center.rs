//! The calls to IAM Identity Center: permission sets, their assignments, and the people and groups of its identity store.
//!
//! An assignment is asynchronous: AWS accepts it, and is asked later how it went. The answer to a write that is not finished may be
//! `ConflictException`, which is tried again (IAM Identity Center API Reference, CreateAccountAssignment).
use super::{
    Aws,
    errors::{Call, if_there},
    in_parts,
};
use crate::{api::system::IdentityCenterInstance, providers::port::ProviderError};
use aws_sdk_identitystore::types::{AlternateIdentifier, MemberId, UniqueAttribute};
use aws_sdk_ssoadmin::types::{AccountAssignmentOperationStatus, PrincipalType, StatusValues, Tag, TargetType};
use aws_smithy_types::Document;
use curfew_core::time::Time;
use futures::TryStreamExt;

/// How many entries one page has at most, and how many pages are read. More is an error, and no shorter list.
const PAGE: i32 = 100;
const PAGES: usize = 50;

/// A permission set, as far as its name tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetState {
    /// Its ARN, which no other one ever has.
    pub arn: String,
    /// Its name, which never changes.
    pub name: String,
    /// When it was created.
    pub created: Time,
}

/// Who has a permission set in an account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Assignee {
    /// `USER` or `GROUP`.
    pub kind: PrincipalType,
    /// The id in the identity store.
    pub id: String,
}

impl Assignee {
    /// A user.
    pub fn user(id: String) -> Self {
        Assignee { kind: PrincipalType::User, id }
    }
}

/// How an asynchronous write stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It is done.
    Done,
    /// AWS works on it, under this id.
    Running(String),
    /// It has failed, and why.
    Failed(String),
}

/// One permission set in one account.
#[derive(Clone, Copy, Debug)]
pub struct InAccount<'a> {
    /// The permission set.
    pub set: &'a str,
    /// The account.
    pub account: &'a str,
}

fn progress(status: Option<&AccountAssignmentOperationStatus>) -> Progress {
    let reason = |status: &AccountAssignmentOperationStatus| status.failure_reason().unwrap_or("it gives no reason").to_owned();
    match status.and_then(|status| status.status().map(|value| (status, value))) {
        Some((_, StatusValues::Succeeded)) => Progress::Done,
        Some((status, StatusValues::Failed)) => Progress::Failed(reason(status)),
        Some((status, _)) => match status.request_id() {
            Some(id) => Progress::Running(id.to_owned()),
            None => Progress::Failed("it names no request".into()),
        },
        None => Progress::Failed("the answer names no state".into()),
    }
}

fn too_long(Call { action, on }: Call<'_>) -> ProviderError {
    ProviderError::Invalid(format!("{action} on {on} lists more than {PAGES} pages of {PAGE}; remove what is not used"))
}

impl Aws {
    /// The instance that the system names.
    pub(super) fn center(&self) -> Result<&IdentityCenterInstance, ProviderError> {
        let missing = || "the AuthorizationSystem names no identityCenter in spec.provider.aws";
        self.connection.identity_center.as_ref().ok_or_else(|| ProviderError::Invalid(missing().into()))
    }

    /// Every permission set of the instance. The list has ARNs alone; a name is read once.
    pub(super) async fn sets(&self) -> Result<Vec<SetState>, ProviderError> {
        let instance = &self.center()?.instance_arn;
        let call = Call { action: "sso:ListPermissionSets", on: instance };
        let asked = self.clients().await.sso.list_permission_sets().instance_arn(instance).max_results(PAGE);
        let mut pages = asked.into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let page = page.map_err(|e| call.failed(e))?;
            let named = in_parts(page.permission_sets().iter().map(|arn| self.set(arn)));
            all.extend(named.try_collect::<Vec<_>>().await?.into_iter().flatten());
        }
        Err(too_long(call))
    }

    /// A permission set by ARN, as it was read once; `None` if there is none.
    pub(super) async fn set(&self, arn: &str) -> Result<Option<SetState>, ProviderError> {
        if let Some(known) = self.sets.get(&arn.to_owned()) {
            return Ok(Some(known));
        }
        let found = self.describe_set(arn).await?;
        if let Some(found) = &found {
            self.sets.insert(arn.to_owned(), found.clone());
        }
        Ok(found)
    }

    /// A permission set by ARN, read live; `None` if there is none.
    pub(super) async fn describe_set(&self, arn: &str) -> Result<Option<SetState>, ProviderError> {
        let call = Call { action: "sso:DescribePermissionSet", on: arn };
        let asked = self.clients().await.sso.describe_permission_set().instance_arn(&self.center()?.instance_arn).permission_set_arn(arn);
        let found = if_there(asked.send().await.map_err(|e| call.failed(e)))?;
        let set = found.as_ref().and_then(|found| found.permission_set());
        let created =
            set.and_then(|set| set.created_date()).and_then(|at| at.to_millis().ok()).map_or(Time::from_secs(0), Time::from_millis);
        Ok(set.and_then(|set| set.name()).map(|name| SetState { arn: arn.to_owned(), name: name.to_owned(), created }))
    }

    /// Creates a permission set; `None` if the name is taken, or AWS has not finished with another one of that name.
    pub(super) async fn create_set(&self, name: &str, secs: u32, about: String, tags: Vec<Tag>) -> Result<Option<String>, ProviderError> {
        let call = Call { action: "sso:CreatePermissionSet", on: name };
        let asked = self.clients().await.sso.create_permission_set().instance_arn(&self.center()?.instance_arn).name(name);
        let asked = asked.session_duration(format!("PT{secs}S")).description(about).set_tags(Some(tags));
        match asked.send().await {
            Ok(created) => {
                let arn = created.permission_set().and_then(|set| set.permission_set_arn()).map(str::to_owned);
                let missing = || ProviderError::Transient { message: "sso:CreatePermissionSet names no ARN".into(), retry_after: None };
                arn.map(Some).ok_or_else(missing)
            }
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conflict_exception()) => Ok(None),
            Err(e) => Err(call.failed(e)),
        }
    }

    /// Sets the inline policy of a permission set.
    pub(super) async fn put_inline(&self, set: &str, document: &str) -> Result<(), ProviderError> {
        let call = Call { action: "sso:PutInlinePolicyToPermissionSet", on: set };
        let asked = self.clients().await.sso.put_inline_policy_to_permission_set().instance_arn(&self.center()?.instance_arn);
        let sent = asked.permission_set_arn(set).inline_policy(document).send().await;
        sent.map(drop).map_err(|e| call.failed(e))
    }

    /// Attaches a managed policy to a permission set. One that is attached already is success.
    pub(super) async fn attach_to_set(&self, set: &str, arn: &str) -> Result<(), ProviderError> {
        let call = Call { action: "sso:AttachManagedPolicyToPermissionSet", on: set };
        let asked = self.clients().await.sso.attach_managed_policy_to_permission_set().instance_arn(&self.center()?.instance_arn);
        let sent = asked.permission_set_arn(set).managed_policy_arn(arn).send().await;
        sent.map(drop).map_err(|e| call.failed(e))
    }

    /// The inline policy of a permission set; `None` if it has none, or does not exist.
    pub(super) async fn inline_of(&self, set: &str) -> Result<Option<String>, ProviderError> {
        let call = Call { action: "sso:GetInlinePolicyForPermissionSet", on: set };
        let asked = self.clients().await.sso.get_inline_policy_for_permission_set().instance_arn(&self.center()?.instance_arn);
        let found = if_there(asked.permission_set_arn(set).send().await.map_err(|e| call.failed(e)))?;
        Ok(found.and_then(|found| found.inline_policy().filter(|text| !text.is_empty()).map(str::to_owned)))
    }

    /// The ARNs of the managed policies of a permission set, of AWS and of the account, sorted.
    pub(super) async fn policies_of(&self, set: &str, partition: &str) -> Result<Vec<String>, ProviderError> {
        let instance = &self.center()?.instance_arn;
        let sso = &self.clients().await.sso;
        // A permission set has at most 20 of them.
        let call = Call { action: "sso:ListManagedPoliciesInPermissionSet", on: set };
        let asked = sso.list_managed_policies_in_permission_set().instance_arn(instance).permission_set_arn(set).max_results(PAGE);
        let managed = if_there(asked.send().await.map_err(|e| call.failed(e)))?;
        let call = Call { action: "sso:ListCustomerManagedPolicyReferencesInPermissionSet", on: set };
        let asked = sso.list_customer_managed_policy_references_in_permission_set().instance_arn(instance).permission_set_arn(set);
        let referenced = if_there(asked.max_results(PAGE).send().await.map_err(|e| call.failed(e)))?;
        let of_aws =
            managed.iter().flat_map(|found| found.attached_managed_policies()).filter_map(|policy| policy.arn().map(str::to_owned));
        let account = &self.connection.account_id;
        let own = referenced
            .iter()
            .flat_map(|found| found.customer_managed_policy_references())
            .map(|policy| format!("arn:{partition}:iam::{account}:policy{}{}", policy.path().unwrap_or("/"), policy.name()));
        let mut all: Vec<String> = of_aws.chain(own).collect();
        all.sort();
        Ok(all)
    }

    /// Deletes a permission set that is assigned nowhere. What does not exist is success; `false` while AWS says that it is in use.
    pub(super) async fn try_delete_set(&self, set: &str) -> Result<bool, ProviderError> {
        let call = Call { action: "sso:DeletePermissionSet", on: set };
        let asked = self.clients().await.sso.delete_permission_set().instance_arn(&self.center()?.instance_arn);
        match asked.permission_set_arn(set).send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conflict_exception()) => Ok(false),
            Err(e) => if_there(Err::<(), _>(call.failed(e))).map(|_| true),
        }
    }

    /// The accounts to which a permission set is provisioned.
    pub(super) async fn accounts_of(&self, set: &str) -> Result<Vec<String>, ProviderError> {
        let call = Call { action: "sso:ListAccountsForProvisionedPermissionSet", on: set };
        let asked = self.clients().await.sso.list_accounts_for_provisioned_permission_set().instance_arn(&self.center()?.instance_arn);
        let mut pages = asked.permission_set_arn(set).max_results(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(all) };
            all.extend(page.account_ids().iter().cloned());
        }
        Err(too_long(call))
    }

    /// Who has a permission set in an account.
    pub(super) async fn assignees(&self, at: InAccount<'_>) -> Result<Vec<Assignee>, ProviderError> {
        let call = Call { action: "sso:ListAccountAssignments", on: at.set };
        let asked = self.clients().await.sso.list_account_assignments().instance_arn(&self.center()?.instance_arn);
        let mut pages = asked.permission_set_arn(at.set).account_id(at.account).max_results(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(all) };
            let found = page.account_assignments().iter();
            all.extend(found.filter_map(|a| Some(Assignee { kind: a.principal_type()?.clone(), id: a.principal_id()?.to_owned() })));
        }
        Err(too_long(call))
    }

    /// Assigns a permission set to a user in an account.
    pub(super) async fn assign(&self, at: InAccount<'_>, user: &str) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:CreateAccountAssignment", on: at.set };
        let asked = self.clients().await.sso.create_account_assignment().instance_arn(&self.center()?.instance_arn);
        let asked = asked.permission_set_arn(at.set).target_id(at.account).target_type(TargetType::AwsAccount);
        let accepted = asked.principal_type(PrincipalType::User).principal_id(user).send().await.map_err(|e| call.failed(e))?;
        Ok(progress(accepted.account_assignment_creation_status()))
    }

    /// Takes a permission set from a user or a group in an account. What does not exist is done.
    pub(super) async fn unassign(&self, at: InAccount<'_>, who: &Assignee) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:DeleteAccountAssignment", on: at.set };
        let asked = self.clients().await.sso.delete_account_assignment().instance_arn(&self.center()?.instance_arn);
        let asked = asked.permission_set_arn(at.set).target_id(at.account).target_type(TargetType::AwsAccount);
        let accepted = asked.principal_type(who.kind.clone()).principal_id(&who.id).send().await;
        match if_there(accepted.map_err(|e| call.failed(e)))? {
            None => Ok(Progress::Done),
            Some(accepted) => Ok(progress(accepted.account_assignment_deletion_status())),
        }
    }

    /// How a write stands that AWS has accepted. One that it does not know has failed.
    pub(super) async fn assigning(&self, id: &str) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:DescribeAccountAssignmentCreationStatus", on: id };
        let asked = self.clients().await.sso.describe_account_assignment_creation_status().instance_arn(&self.center()?.instance_arn);
        let found = asked.account_assignment_creation_request_id(id).send().await.map_err(|e| call.failed(e));
        Ok(if_there(found)?.map_or_else(unknown, |found| progress(found.account_assignment_creation_status())))
    }

    /// The same of a removal.
    pub(super) async fn unassigning(&self, id: &str) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:DescribeAccountAssignmentDeletionStatus", on: id };
        let asked = self.clients().await.sso.describe_account_assignment_deletion_status().instance_arn(&self.center()?.instance_arn);
        let found = asked.account_assignment_deletion_request_id(id).send().await.map_err(|e| call.failed(e));
        Ok(if_there(found)?.map_or_else(unknown, |found| progress(found.account_assignment_deletion_status())))
    }

    /// The id of a user by name; `None` if there is none.
    pub(super) async fn user_id(&self, name: &str) -> Result<Option<String>, ProviderError> {
        let call = Call { action: "identitystore:GetUserId", on: name };
        let attribute = UniqueAttribute::builder().attribute_path("userName").attribute_value(Document::from(name)).build();
        let attribute = attribute.map_err(|e| ProviderError::Invalid(format!("the name of user {name}: {e}")))?;
        let asked = self.clients().await.people.get_user_id().identity_store_id(&self.center()?.identity_store_id);
        let found = asked.alternate_identifier(AlternateIdentifier::UniqueAttribute(attribute)).send().await.map_err(|e| call.failed(e));
        Ok(if_there(found)?.map(|found| found.user_id().to_owned()))
    }

    /// The name of a group; `None` if there is no such group.
    pub(super) async fn group_name(&self, id: &str) -> Result<Option<String>, ProviderError> {
        let call = Call { action: "identitystore:DescribeGroup", on: id };
        let asked = self.clients().await.people.describe_group().identity_store_id(&self.center()?.identity_store_id).group_id(id);
        let found = if_there(asked.send().await.map_err(|e| call.failed(e)))?;
        Ok(found.map(|found| found.display_name().unwrap_or(id).to_owned()))
    }

    /// The id of a membership; `None` if the user does not belong to the group.
    pub(super) async fn membership(&self, group: &str, user: &str) -> Result<Option<String>, ProviderError> {
        let call = Call { action: "identitystore:GetGroupMembershipId", on: group };
        let asked = self.clients().await.people.get_group_membership_id().identity_store_id(&self.center()?.identity_store_id);
        let found = asked.group_id(group).member_id(MemberId::UserId(user.to_owned())).send().await.map_err(|e| call.failed(e));
        Ok(if_there(found)?.map(|found| found.membership_id().to_owned()))
    }

    /// Makes a user a member of a group. One that is a member already is success.
    pub(super) async fn join(&self, group: &str, user: &str) -> Result<(), ProviderError> {
        let call = Call { action: "identitystore:CreateGroupMembership", on: group };
        let asked = self.clients().await.people.create_group_membership().identity_store_id(&self.center()?.identity_store_id);
        match asked.group_id(group).member_id(MemberId::UserId(user.to_owned())).send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conflict_exception()) => match self.membership(group, user).await? {
                Some(_) => Ok(()),
                None => Err(call.failed(e)),
            },
            Err(e) => Err(call.failed(e)),
        }
    }

    /// Ends a membership. What does not exist is success.
    pub(super) async fn leave(&self, membership: &str) -> Result<(), ProviderError> {
        let call = Call { action: "identitystore:DeleteGroupMembership", on: membership };
        let asked = self.clients().await.people.delete_group_membership().identity_store_id(&self.center()?.identity_store_id);
        let sent = asked.membership_id(membership).send().await;
        if_there(sent.map_err(|e| call.failed(e))).map(drop)
    }
}

fn unknown() -> Progress {
    Progress::Failed("AWS does not know it any more".into())
}
