//! The calls to the identity store of IAM Identity Center: people, groups, and who belongs to one.
use super::{
    Aws,
    errors::{Call, if_there},
};
use crate::providers::port::ProviderError;
use aws_sdk_identitystore::types::{AlternateIdentifier, MemberId, UniqueAttribute};
use aws_smithy_types::Document;
use curfew_core::time::Time;

/// An id that an answer must have. What it leaves out is empty here.
fn given(call: Call<'_>, id: Option<String>) -> Result<Option<String>, ProviderError> {
    if id.as_ref().is_some_and(String::is_empty) { Err(call.incomplete()) } else { Ok(id) }
}

impl Aws {
    /// The id of a user by name; `None` if there is none.
    pub(super) async fn user_id(&self, name: &str) -> Result<Option<String>, ProviderError> {
        let call = Call { action: "identitystore:GetUserId", on: name };
        let attribute = UniqueAttribute::builder().attribute_path("userName").attribute_value(Document::from(name)).build();
        let attribute = attribute.map_err(|e| ProviderError::Invalid(format!("the name of user {name}: {e}")))?;
        let asked = self.clients().await.people.get_user_id().identity_store_id(&self.center()?.identity_store_id);
        let found = asked.alternate_identifier(AlternateIdentifier::UniqueAttribute(attribute)).send().await.map_err(|e| call.failed(e));
        given(call, if_there(found)?.map(|found| found.user_id().to_owned()))
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
        given(call, if_there(found)?.map(|found| found.membership_id().to_owned()))
    }

    /// Makes a user a member of a group, before a time or not at all. One that is a member already is success.
    pub(super) async fn join(&self, group: &str, user: &str, until: Time) -> Result<(), ProviderError> {
        let call = Call { action: "identitystore:CreateGroupMembership", on: group };
        let asked = self.clients().await.people.create_group_membership().identity_store_id(&self.center()?.identity_store_id);
        let asked = asked.group_id(group).member_id(MemberId::UserId(user.to_owned()));
        self.in_time(call, Some(until))?;
        match asked.send().await {
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
