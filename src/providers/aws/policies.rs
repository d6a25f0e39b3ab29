//! Customer-managed policies: what IAM shows of one, and the calls that create, attach, detach and delete it.
//!
//! A version of a policy never changes, and a `PolicyId` is never given to another policy, so a document that was read once is
//! remembered by both.
use super::{
    Aws,
    errors::{Call, PAGES, if_there},
};
use crate::providers::port::ProviderError;
use aws_sdk_iam::types::{AttachedPolicy, Policy, PolicyScopeType, PolicyUsageType, Tag};
use curfew_core::time::Time;
use std::sync::Arc;

/// How many entries one page of a list has at most.
const PAGE: i32 = 1_000;

/// For how long a sighting of a policy is used for what people are told.
const SIGHTED_MILLIS: i64 = 20_000;

/// A customer-managed policy as IAM shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyState {
    /// Its id, which no other policy ever has.
    pub id: Arc<str>,
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The version that is in effect.
    pub default_version: Arc<str>,
    /// To how many users, groups and roles it is attached.
    pub attachments: u32,
    /// For how many users and roles it is the permissions boundary.
    pub boundaries: u32,
    /// When it was created.
    pub created: Time,
    /// Its tags. Lists leave them out.
    pub tags: Vec<(String, String)>,
}

/// What holds a policy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holder {
    /// A user, by name.
    User(String),
    /// A group, by name.
    Group(String),
    /// A role, by name.
    Role(String),
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Holder::User(name) => write!(f, "user {name}"),
            Holder::Group(name) => write!(f, "group {name}"),
            Holder::Role(name) => write!(f, "role {name}"),
        }
    }
}

/// What IAM makes of a new policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Created {
    /// It is there now.
    New(PolicyState),
    /// Another one has the name.
    NameTaken,
}

/// A policy to create.
pub struct NewPolicy<'a> {
    /// Its ARN, for messages.
    pub arn: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its path, with slashes at both ends.
    pub path: &'a str,
    /// Its document, as text.
    pub document: String,
    /// What a person reads in the console.
    pub description: String,
    /// Its tags.
    pub tags: Vec<Tag>,
}

fn state(policy: &Policy) -> Option<PolicyState> {
    let count = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let created = policy.create_date().and_then(|at| at.to_millis().ok()).map(Time::from_millis);
    Some(PolicyState {
        id: policy.policy_id()?.into(),
        arn: policy.arn()?.to_owned(),
        name: policy.policy_name()?.to_owned(),
        default_version: policy.default_version_id()?.into(),
        attachments: count(policy.attachment_count()),
        boundaries: count(policy.permissions_boundary_usage_count()),
        created: created?,
        tags: policy.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect(),
    })
}

/// The ARNs of policies that are attached to something.
///
/// # Errors
/// If one of them has none.
pub fn arns(call: Call<'_>, policies: &[AttachedPolicy]) -> Result<Vec<String>, ProviderError> {
    policies.iter().map(|policy| policy.policy_arn().map(str::to_owned).ok_or_else(|| call.incomplete())).collect()
}

/// A document as IAM sends it: JSON with percent-encoding (RFC 3986), as text.
pub fn decoded(text: &str) -> Arc<str> {
    // An encoded document never begins with a brace; one that does is not encoded.
    if text.trim_start().starts_with('{') {
        return text.into();
    }
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into()
}

impl Aws {
    /// The policy of this ARN; `None` if there is none.
    pub(super) async fn policy(&self, arn: &str) -> Result<Option<PolicyState>, ProviderError> {
        let call = Call { action: "iam:GetPolicy", on: arn };
        let at = self.clock.now();
        let found = self.clients().await.iam.get_policy().policy_arn(arn).send().await.map_err(|e| call.failed(e));
        let Some(found) = if_there(found)? else {
            self.sighted.remove(&arn.to_owned());
            return Ok(None);
        };
        let found = found.policy().and_then(state).ok_or_else(|| call.incomplete())?;
        self.sighted.insert(arn.to_owned(), (at, found.clone()));
        Ok(Some(found))
    }

    /// The same, as it was read within the last seconds. What it shows may be used to tell people, and not to decide.
    pub(super) async fn policy_sighted(&self, arn: &str) -> Result<Option<PolicyState>, ProviderError> {
        let known = self.sighted.get(&arn.to_owned());
        match known.filter(|(at, _)| (0..SIGHTED_MILLIS).contains(&self.clock.now().millis_since(*at))) {
            Some((_, found)) => Ok(Some(found)),
            None => self.policy(arn).await,
        }
    }

    /// The document of the version that is in effect, as text.
    pub(super) async fn default_document(&self, policy: &PolicyState) -> Result<Arc<str>, ProviderError> {
        let key = (policy.id.clone(), policy.default_version.clone());
        if let Some(known) = self.documents.get(&key) {
            return Ok(known);
        }
        let call = Call { action: "iam:GetPolicyVersion", on: &policy.arn };
        let asked = self.clients().await.iam.get_policy_version().policy_arn(&policy.arn).version_id(&*policy.default_version);
        let found = asked.send().await.map_err(|e| call.failed(e))?;
        let text = found.policy_version().and_then(|version| version.document()).ok_or_else(|| call.incomplete())?;
        let read = decoded(text);
        self.documents.insert(key, read.clone());
        Ok(read)
    }

    /// Creates a policy, attached to nothing.
    pub(super) async fn create_policy(&self, new: NewPolicy<'_>) -> Result<Created, ProviderError> {
        let call = Call { action: "iam:CreatePolicy", on: new.arn };
        let asked = self.clients().await.iam.create_policy().policy_name(new.name).path(new.path).policy_document(new.document);
        let created = match asked.description(new.description).set_tags(Some(new.tags)).send().await {
            Ok(created) => created,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_entity_already_exists_exception()) => return Ok(Created::NameTaken),
            Err(e) => return Err(call.failed(e)),
        };
        created.policy().and_then(state).map(Created::New).ok_or_else(|| call.incomplete())
    }

    /// Attaches a policy to a user. One that is attached already is success.
    pub(super) async fn attach_to_user(&self, user: &str, arn: &str) -> Result<(), ProviderError> {
        let call = Call { action: "iam:AttachUserPolicy", on: arn };
        let attached = self.clients().await.iam.attach_user_policy().user_name(user).policy_arn(arn).send().await;
        attached.map(drop).map_err(|e| call.failed(e))
    }

    /// Takes a policy from what holds it. What does not hold it is success.
    pub(super) async fn detach(&self, holder: &Holder, arn: &str) -> Result<(), ProviderError> {
        let iam = &self.clients().await.iam;
        let call = |action| Call { action, on: arn };
        let answer = match holder {
            Holder::User(name) => {
                let sent = iam.detach_user_policy().user_name(name).policy_arn(arn).send().await;
                sent.map(drop).map_err(|e| call("iam:DetachUserPolicy").failed(e))
            }
            Holder::Group(name) => {
                let sent = iam.detach_group_policy().group_name(name).policy_arn(arn).send().await;
                sent.map(drop).map_err(|e| call("iam:DetachGroupPolicy").failed(e))
            }
            Holder::Role(name) => {
                let sent = iam.detach_role_policy().role_name(name).policy_arn(arn).send().await;
                sent.map(drop).map_err(|e| call("iam:DetachRolePolicy").failed(e))
            }
        };
        if_there(answer).map(drop)
    }

    /// Who holds a policy: as permissions, or as a permissions boundary.
    pub(super) async fn holders(&self, arn: &str, usage: PolicyUsageType) -> Result<Vec<Holder>, ProviderError> {
        let call = Call { action: "iam:ListEntitiesForPolicy", on: arn };
        let asked = self.clients().await.iam.list_entities_for_policy().policy_arn(arn).policy_usage_filter(usage).max_items(PAGE);
        let mut pages = asked.into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(all) };
            call.whole(page.is_truncated(), page.marker())?;
            let users = page.policy_users().iter().map(|user| user.user_name().map(|name| Holder::User(name.to_owned())));
            let groups = page.policy_groups().iter().map(|group| group.group_name().map(|name| Holder::Group(name.to_owned())));
            let roles = page.policy_roles().iter().map(|role| role.role_name().map(|name| Holder::Role(name.to_owned())));
            for holder in users.chain(groups).chain(roles) {
                all.push(holder.ok_or_else(|| call.incomplete())?);
            }
        }
        Err(call.too_long())
    }

    /// The ARNs of the policies that are attached to a user; `None` if there is no such user.
    pub(super) async fn attached_to_user(&self, user: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let call = Call { action: "iam:ListAttachedUserPolicies", on: user };
        let mut pages = self.clients().await.iam.list_attached_user_policies().user_name(user).max_items(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(Some(all)) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(None) };
            call.whole(page.is_truncated(), page.marker())?;
            all.extend(arns(call, page.attached_policies())?);
        }
        Err(call.too_long())
    }

    /// Every customer-managed policy below a path. They have no tags here.
    pub(super) async fn policies_below(&self, path: &str) -> Result<Vec<PolicyState>, ProviderError> {
        let call = Call { action: "iam:ListPolicies", on: path };
        let asked = self.clients().await.iam.list_policies().scope(PolicyScopeType::Local).path_prefix(path).max_items(PAGE);
        let mut pages = asked.into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let page = page.map_err(|e| call.failed(e))?;
            call.whole(page.is_truncated(), page.marker())?;
            for policy in page.policies() {
                all.push(state(policy).ok_or_else(|| call.incomplete())?);
            }
        }
        Err(call.too_long())
    }

    /// Deletes a policy that is attached to nothing and has one version. What does not exist is success.
    pub(super) async fn try_delete_policy(&self, arn: &str) -> Result<Deleted, ProviderError> {
        let call = Call { action: "iam:DeletePolicy", on: arn };
        match self.clients().await.iam.delete_policy().policy_arn(arn).send().await {
            Ok(_) => {}
            Err(e) if e.as_service_error().is_some_and(|e| e.is_delete_conflict_exception()) => return Ok(Deleted::InUse),
            Err(e) => drop(if_there(Err::<(), _>(call.failed(e)))?),
        }
        Ok(Deleted::Gone)
    }

    /// Deletes the versions of a policy that are not in effect.
    pub(super) async fn delete_other_versions(&self, arn: &str) -> Result<(), ProviderError> {
        for version in self.other_versions(arn).await? {
            let call = Call { action: "iam:DeletePolicyVersion", on: arn };
            let deleted = self.clients().await.iam.delete_policy_version().policy_arn(arn).version_id(version).send().await;
            if_there(deleted.map_err(|e| call.failed(e)))?;
        }
        Ok(())
    }

    async fn other_versions(&self, arn: &str) -> Result<Vec<String>, ProviderError> {
        let call = Call { action: "iam:ListPolicyVersions", on: arn };
        let mut pages = self.clients().await.iam.list_policy_versions().policy_arn(arn).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(all) };
            call.whole(page.is_truncated(), page.marker())?;
            for version in page.versions().iter().filter(|version| !version.is_default_version()) {
                all.push(version.version_id().map(str::to_owned).ok_or_else(|| call.incomplete())?);
            }
        }
        Err(call.too_long())
    }
}

/// The outcome of a deletion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deleted {
    /// It does not exist any more.
    Gone,
    /// Something holds it, or it has other versions.
    InUse,
}
