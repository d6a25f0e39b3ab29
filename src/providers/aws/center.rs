//! The calls to IAM Identity Center: permission sets and their assignments. People and groups are in [`super::people`].
//!
//! An assignment is asynchronous: AWS accepts it, and is asked later how it went. The answer to a write that is not finished may be
//! `ConflictException`, which is tried again (IAM Identity Center API Reference, CreateAccountAssignment).
use super::{
    Aws,
    client::pace_of,
    errors::{Call, PAGES, if_there},
    in_parts,
    memory::Constants,
    operations::{Progress, progress},
};
use crate::{api::system::IdentityCenterInstance, providers::port::ProviderError};
use aws_sdk_ssoadmin::{
    config::retry::RetryPartition,
    types::{OperationStatusFilter, PrincipalType, StatusValues, Tag, TargetType},
};
use curfew_core::time::Time;
use futures::TryStreamExt;

/// How many entries one page has at most.
const PAGE: i32 = 100;
/// How many permission sets of an instance are remembered.
const REMEMBERED: usize = 4_096;

/// A permission set, as far as its name tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetState {
    /// Its ARN, which no other one ever has.
    pub arn: String,
    /// Its name, which never changes.
    pub name: String,
    /// When it was created.
    pub created: Time,
    /// The longest session, in seconds.
    pub session_secs: Option<u32>,
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

/// One permission set in one account.
#[derive(Clone, Copy, Debug)]
pub struct InAccount<'a> {
    /// The permission set.
    pub set: &'a str,
    /// The account.
    pub account: &'a str,
}

/// A session duration of ISO 8601, such as `PT1H30M`, in seconds.
fn secs(text: &str) -> Option<u32> {
    let (mut all, mut digits) = (0_u32, String::new());
    for c in text.strip_prefix("PT")?.chars() {
        let unit = match c {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            'H' => 3_600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        all = all.checked_add(std::mem::take(&mut digits).parse::<u32>().ok()?.checked_mul(unit)?)?;
    }
    (digits.is_empty() && text.len() > 2).then_some(all)
}

/// What is known of an instance, shared by all accounts to which it assigns access.
#[derive(Debug)]
pub struct Instance {
    /// Permission sets by ARN, as they were created: their names never change.
    named: Constants<String, SetState>,
    /// The ARNs of the permission sets of grants, by name.
    pub(super) arns: Constants<String, String>,
    /// How fast its calls follow one another, for all accounts.
    pub(super) pace: RetryPartition,
}

impl Default for Instance {
    fn default() -> Self {
        Instance { named: Constants::new(REMEMBERED), arns: Constants::new(REMEMBERED), pace: pace_of("identity-center") }
    }
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
            let arns = page.permission_sets.as_deref().ok_or_else(|| call.incomplete())?;
            let named = in_parts(arns.iter().map(|arn| self.set(arn)));
            all.extend(named.try_collect::<Vec<_>>().await?.into_iter().flatten());
        }
        Err(call.too_long())
    }

    /// A permission set by ARN, as it was read once; `None` if there is none.
    pub(super) async fn set(&self, arn: &str) -> Result<Option<SetState>, ProviderError> {
        if let Some(known) = self.instance.named.get(&arn.to_owned()) {
            return Ok(Some(known));
        }
        let found = self.describe_set(arn).await?;
        if let Some(found) = &found {
            self.instance.named.insert(arn.to_owned(), found.clone());
        }
        Ok(found)
    }

    /// A permission set by ARN, read live; `None` if there is none.
    pub(super) async fn describe_set(&self, arn: &str) -> Result<Option<SetState>, ProviderError> {
        let call = Call { action: "sso:DescribePermissionSet", on: arn };
        let asked = self.clients().await.sso.describe_permission_set().instance_arn(&self.center()?.instance_arn).permission_set_arn(arn);
        let Some(found) = if_there(asked.send().await.map_err(|e| call.failed(e)))? else { return Ok(None) };
        let set = found.permission_set().ok_or_else(|| call.incomplete())?;
        let name = set.name().filter(|name| !name.is_empty()).ok_or_else(|| call.incomplete())?.to_owned();
        let created = set.created_date().and_then(|at| at.to_millis().ok()).map_or(Time::from_secs(0), Time::from_millis);
        Ok(Some(SetState { arn: arn.to_owned(), name, created, session_secs: set.session_duration().and_then(secs) }))
    }

    /// The tags of a permission set, read live.
    pub(super) async fn tags_of(&self, set: &str) -> Result<Vec<(String, String)>, ProviderError> {
        let call = Call { action: "sso:ListTagsForResource", on: set };
        let asked = self.clients().await.sso.list_tags_for_resource().instance_arn(&self.center()?.instance_arn);
        let mut pages = asked.resource_arn(set).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let page = page.map_err(|e| call.failed(e))?;
            all.extend(page.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())));
        }
        Err(call.too_long())
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
        let (mut all, own) = futures::try_join!(self.managed_in(set), self.referenced_by(set, partition))?;
        all.extend(own);
        all.sort();
        Ok(all)
    }

    async fn managed_in(&self, set: &str) -> Result<Vec<String>, ProviderError> {
        let call = Call { action: "sso:ListManagedPoliciesInPermissionSet", on: set };
        let asked = self.clients().await.sso.list_managed_policies_in_permission_set().instance_arn(&self.center()?.instance_arn);
        let mut pages = asked.permission_set_arn(set).max_results(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(all) };
            for policy in page.attached_managed_policies() {
                all.push(policy.arn().map(str::to_owned).ok_or_else(|| call.incomplete())?);
            }
        }
        Err(call.too_long())
    }

    async fn referenced_by(&self, set: &str, partition: &str) -> Result<Vec<String>, ProviderError> {
        let call = Call { action: "sso:ListCustomerManagedPolicyReferencesInPermissionSet", on: set };
        let sso = &self.clients().await.sso;
        let asked = sso.list_customer_managed_policy_references_in_permission_set().instance_arn(&self.center()?.instance_arn);
        let mut pages = asked.permission_set_arn(set).max_results(PAGE).into_paginator().send();
        let (mut all, account) = (Vec::new(), &self.connection.account_id);
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(all) };
            let own = page.customer_managed_policy_references().iter();
            all.extend(own.map(|policy| format!("arn:{partition}:iam::{account}:policy{}{}", policy.path().unwrap_or("/"), policy.name())));
        }
        Err(call.too_long())
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
            all.extend_from_slice(page.account_ids.as_deref().ok_or_else(|| call.incomplete())?);
        }
        Err(call.too_long())
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
            for found in page.account_assignments.as_deref().ok_or_else(|| call.incomplete())? {
                let (Some(kind), Some(id)) = (found.principal_type(), found.principal_id()) else { return Err(call.incomplete()) };
                all.push(Assignee { kind: kind.clone(), id: id.to_owned() });
            }
        }
        Err(call.too_long())
    }

    /// The request by which AWS is giving a permission set to a user, or may just have given it: lists of assignments may not show it
    /// yet. Of all accounts and of all users, where none is named.
    pub(super) async fn being_assigned(
        &self,
        set: &str,
        account: Option<&str>,
        user: Option<&str>,
    ) -> Result<Option<String>, ProviderError> {
        for request in self.running_assignments().await? {
            let call = Call { action: "sso:DescribeAccountAssignmentCreationStatus", on: &request };
            let asked = self.clients().await.sso.describe_account_assignment_creation_status();
            let asked = asked.instance_arn(&self.center()?.instance_arn).account_assignment_creation_request_id(&request);
            let found = if_there(asked.send().await.map_err(|e| call.failed(e)))?;
            let status = found.as_ref().and_then(|found| found.account_assignment_creation_status()).ok_or_else(|| call.incomplete())?;
            let (of, target, who) = (status.permission_set_arn(), status.target_id(), status.principal_id());
            let same = |is: Option<&str>, meant: Option<&str>| is.is_none() || meant.is_none() || is == meant;
            let failed = status.status() == Some(&StatusValues::Failed);
            if !failed && same(of, Some(set)) && same(target, account) && same(who, user) {
                return Ok(Some(request));
            }
        }
        Ok(None)
    }

    /// The requests for assignments that AWS works on.
    async fn running_assignments(&self) -> Result<Vec<String>, ProviderError> {
        let instance = &self.center()?.instance_arn;
        let call = Call { action: "sso:ListAccountAssignmentCreationStatus", on: instance };
        let filter = OperationStatusFilter::builder().status(StatusValues::InProgress).build();
        let asked = self.clients().await.sso.list_account_assignment_creation_status().instance_arn(instance).filter(filter);
        let mut pages = asked.max_results(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let page = page.map_err(|e| call.failed(e))?;
            for status in page.account_assignments_creation_status.as_deref().ok_or_else(|| call.incomplete())? {
                all.push(status.request_id().map(str::to_owned).ok_or_else(|| call.incomplete())?);
            }
        }
        Err(call.too_long())
    }

    /// Assigns a permission set to a user in an account, before a time or not at all.
    pub(super) async fn assign(&self, at: InAccount<'_>, user: &str, until: Option<Time>) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:CreateAccountAssignment", on: at.set };
        let asked = self.clients().await.sso.create_account_assignment().instance_arn(&self.center()?.instance_arn);
        let asked = asked.permission_set_arn(at.set).target_id(at.account).target_type(TargetType::AwsAccount);
        let asked = asked.principal_type(PrincipalType::User).principal_id(user);
        self.in_time(call, until)?;
        let accepted = asked.send().await.map_err(|e| call.failed(e))?;
        progress(call, accepted.account_assignment_creation_status())
    }

    /// Takes a permission set from a user or a group in an account. What does not exist is done.
    pub(super) async fn unassign(&self, at: InAccount<'_>, who: &Assignee) -> Result<Progress, ProviderError> {
        let call = Call { action: "sso:DeleteAccountAssignment", on: at.set };
        let asked = self.clients().await.sso.delete_account_assignment().instance_arn(&self.center()?.instance_arn);
        let asked = asked.permission_set_arn(at.set).target_id(at.account).target_type(TargetType::AwsAccount);
        let accepted = asked.principal_type(who.kind.clone()).principal_id(&who.id).send().await;
        match if_there(accepted.map_err(|e| call.failed(e)))? {
            None => Ok(Progress::Done),
            Some(accepted) => progress(call, accepted.account_assignment_deletion_status()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::secs;

    #[test]
    fn a_session_duration_is_read_in_every_form() {
        assert_eq!(["PT1H", "PT3600S", "PT1H30M", "PT12H"].map(secs), [Some(3_600), Some(3_600), Some(5_400), Some(43_200)]);
        for bad in ["", "PT", "1H", "PT1", "PTH", "PT1X", "PT99999999H"] {
            assert_eq!(secs(bad), None, "{bad}");
        }
    }
}
