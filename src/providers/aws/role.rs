//! Grants by a role of their own: its trust policy lets the principal in until the deadline, and its policies end then, too.
//!
//! **What stops a late write.** The role is created with a trust policy that lets nobody in, and gets its policies while that is so.
//! The write that gives access replaces the trust policy (UpdateAssumeRolePolicy). Revocation deletes the role, and the trust policy of
//! a role that does not exist cannot be replaced (`NoSuchEntity`). Before that write, role and policies are read again: they must be
//! the very ones that were reserved, by their ids.
//!
//! | A process is paused before | and resumes after the revocation |
//! |---|---|
//! | CreateRole | a role appears that lets nobody in; its process reads the Grant next and removes it, and so does the sweep |
//! | AttachRolePolicy, UpdateAssumeRolePolicy | `NoSuchEntity` |
//!
//! How a role ends is in [`super::role_ends`].
use super::{
    Aws,
    errors::{Call, PAGES, if_there},
    in_parts,
    own_policies::{self, Place, Shown},
    policies::{self, Holder, decoded},
};
use crate::{
    api::grant::Artifact,
    providers::port::{ApplyOutcome, EnforcedBy, Observed, ProviderError, ReserveOutcome},
};
use aws_sdk_iam::types::{Role, Tag};
use curfew_core::{
    grant::Observation,
    ids::GRANT_LABEL,
    reconcile::Reservation,
    target::aws::{Plan, PlannedPolicy, names, plan::PlannedRole},
    time::Time,
};
use futures::TryStreamExt;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc};

/// The kind of a role among the artifacts of a Grant.
pub const KIND: &str = "Role";
/// The version of a reservation: roles have none, their id tells them apart.
const NO_VERSION: &str = "";
const PAGE: i32 = 1_000;

/// A role as IAM shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleState {
    /// Its id, which no other role ever has.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its trust policy.
    pub trust: Option<Value>,
    /// Its tags. Lists leave them out.
    pub tags: Vec<(String, String)>,
    /// When it was created.
    pub created: Time,
}

fn state(role: &Role) -> Option<RoleState> {
    let trust = role.assume_role_policy_document().and_then(|text| serde_json::from_str(&decoded(text)).ok());
    // What an answer leaves out is empty here.
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(RoleState {
        id: given(role.role_id())?,
        name: given(role.role_name())?,
        arn: given(role.arn())?,
        trust,
        tags: role.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect(),
        created: Time::from_millis(role.create_date().to_millis().ok()?),
    })
}

/// What a role shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RoleShown {
    /// It lets in whom it should, until it should, and has exactly the planned policies.
    Armed,
    /// The same, and it lets nobody in.
    Reserved,
    /// It is this grant's, and differs.
    Drifted,
    /// It is not there, or another's role has its name.
    Absent,
}

/// Whether two trust policies say the same. Both were written by Curfew, or they differ.
pub fn same_trust(found: Option<&Value>, planned: &str) -> bool {
    found.is_some_and(|found| serde_json::from_str::<Value>(planned).is_ok_and(|planned| *found == planned))
}

pub fn holder(role: &PlannedRole) -> Holder {
    Holder::Role(role.name.clone())
}

/// Every policy that the role has in the end: its own ones first, since one of them ends what is attached by reference.
fn wanted(plan: &Plan, role: &PlannedRole) -> Vec<String> {
    let own = |policy: &PlannedPolicy| names::policy_arn(&plan.partition, &plan.account, &policy.name);
    role.policies.iter().map(own).chain(role.attached.iter().cloned()).collect()
}

impl Aws {
    /// Creates the role, which lets nobody in, and gives it its policies.
    pub(super) async fn reserve_role(&self, plan: &Plan, role: &PlannedRole) -> Result<ReserveOutcome, ProviderError> {
        let quotas = self.quotas().await?;
        let full = quotas.full_role(wanted(plan, role).len()).or_else(|| quotas.full_roles(1));
        if let Some(full) = full.or_else(|| quotas.full_policies(role.policies.len())) {
            return Err(ProviderError::Denied(full));
        }
        let id = match self.create_role(plan, role).await? {
            Ok(id) => id,
            Err(stranger) => return Ok(ReserveOutcome::Occupied(stranger)),
        };
        let mut places = vec![Some((id.as_str().into(), NO_VERSION.into()))];
        let holder = holder(role);
        for at in Place::all(plan, &role.policies, &holder) {
            match self.reserve_policy(at).await? {
                Ok(place) => places.push(Some(place)),
                Err(stranger) => return Ok(ReserveOutcome::Occupied(stranger)),
            }
        }
        // In order: what ends the policies that are attached by reference comes first.
        for arn in wanted(plan, role) {
            self.attach_to_role(&role.name, &arn).await?;
        }
        Ok(ReserveOutcome::Reserved(Reservation(Arc::new(places))))
    }

    /// Its id; `Err` inside says who has the name.
    async fn create_role(&self, plan: &Plan, role: &PlannedRole) -> Result<Result<String, String>, ProviderError> {
        let arn = names::role_arn(&plan.partition, &plan.account, &role.name);
        let call = Call { action: "iam:CreateRole", on: &arn };
        let tags = names::parse(&role.name).map(|(mark, _)| names::tags(&mark)).into_iter().flatten();
        let tags = tags.filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect();
        let session = i32::try_from(role.max_session_secs).unwrap_or(i32::MAX);
        let asked = self.clients().await.iam.create_role().role_name(&role.name).path(names::PATH).set_tags(Some(tags));
        let asked = asked.description(format!("A grant of Curfew until {}. Do not edit it.", plan.deadline)).max_session_duration(session);
        match asked.assume_role_policy_document(&role.inert_trust).send().await {
            Ok(created) => created.role().map(|role| Ok(role.role_id().to_owned())).ok_or_else(|| ProviderError::Transient {
                message: format!("iam:CreateRole on {arn} answers without the role"),
                retry_after: None,
            }),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_entity_already_exists_exception()) => match self.role(&role.name).await? {
                Some(found) if is_ours(&found, role) && same_trust(found.trust.as_ref(), &role.inert_trust) => Ok(Ok(found.id)),
                Some(found) if is_ours(&found, role) && same_trust(found.trust.as_ref(), &role.trust) => Ok(Ok(found.id)),
                Some(found) => Ok(Err(format!("role {} exists already, and is not as Curfew writes it", found.arn))),
                None => Err(ProviderError::Transient { message: format!("{arn} exists, and reads do not show it yet"), retry_after: None }),
            },
            Err(e) => Err(call.failed(e)),
        }
    }

    /// Lets the principal in, if role and policies are the very ones that were reserved.
    pub(super) async fn arm_role(&self, plan: &Plan, role: &PlannedRole, reservation: &Reservation) -> Result<ApplyOutcome, ProviderError> {
        let places: Vec<_> = reservation.0.iter().flatten().collect();
        let Some(((id, _), policies)) = places.split_first().filter(|(_, policies)| policies.len() == role.policies.len()) else {
            return Err(ProviderError::Invalid("the reservation is not of this plan".into()));
        };
        let again =
            |what: &str| ProviderError::Transient { message: format!("role {} {what}; nobody is let in", role.name), retry_after: None };
        let found = self.role(&role.name).await?.ok_or_else(|| again("is gone, or reads do not show it yet"))?;
        if found.id != **id {
            return Err(again("is not the one that was reserved"));
        }
        if !matches!(self.role_shown(plan, role, &found).await?, RoleShown::Reserved | RoleShown::Armed) {
            return Err(again("was changed, or reads do not show its policies yet"));
        }
        let holder = holder(role);
        let checks = Place::all(plan, &role.policies, &holder).zip(policies);
        let checks = checks.map(|(at, (id, version))| async move { self.recheck_policy(at, id, version).await });
        in_parts(checks).try_collect::<Vec<()>>().await?;
        self.set_trust(&role.name, &role.trust).await.map_err(|e| if e == ProviderError::Gone { again("is gone") } else { e })?;
        let own = Place::all(plan, &role.policies, &holder).zip(policies);
        let own = own.map(|(at, (id, _))| Artifact { kind: own_policies::KIND.into(), id: at.arn(), uid: id.to_string() });
        let artifact = Artifact { kind: KIND.into(), id: found.arn, uid: found.id };
        Ok(ApplyOutcome::Done(std::iter::once(artifact).chain(own).collect()))
    }

    async fn role_shown(&self, plan: &Plan, role: &PlannedRole, found: &RoleState) -> Result<RoleShown, ProviderError> {
        if !is_ours(found, role) {
            return Ok(RoleShown::Absent);
        }
        let (attached, inline) = futures::try_join!(self.attached_to_role(&role.name), self.inline_of_role(&role.name))?;
        let attached: BTreeSet<String> = attached.unwrap_or_default().into_iter().collect();
        let as_planned = attached == wanted(plan, role).into_iter().collect() && inline.is_empty();
        Ok(match () {
            () if as_planned && same_trust(found.trust.as_ref(), &role.trust) => RoleShown::Armed,
            () if as_planned && same_trust(found.trust.as_ref(), &role.inert_trust) => RoleShown::Reserved,
            () => RoleShown::Drifted,
        })
    }

    /// What the account shows of the grant.
    pub(super) async fn observe_role(&self, plan: &Plan, role: &PlannedRole) -> Result<Observed, ProviderError> {
        let holder = holder(role);
        let places: Vec<Place<'_>> = Place::all(plan, &role.policies, &holder).collect();
        let (found, policies) = futures::try_join!(self.role(&role.name), self.look(&places))?;
        let shown = match &found {
            Some(found) => self.role_shown(plan, role, found).await?,
            None => RoleShown::Absent,
        };
        let all = |what: Shown| policies.iter().all(|shown| *shown == what);
        Ok(match shown {
            RoleShown::Armed if all(Shown::Given) => Observation::Present,
            RoleShown::Absent if all(Shown::Absent) => Observation::Absent,
            RoleShown::Armed | RoleShown::Absent | RoleShown::Reserved | RoleShown::Drifted => Observation::Drifted,
        }
        .into())
    }

    /// AWS ends it by itself where the trust policy and each policy are seen to hold their date.
    pub(super) async fn role_ended_by(&self, plan: &Plan, role: &PlannedRole) -> Result<EnforcedBy, ProviderError> {
        let trusted = self.role(&role.name).await?.is_some_and(|found| same_trust(found.trust.as_ref(), &role.trust));
        let holder = holder(role);
        for at in Place::all(plan, &role.policies, &holder) {
            if !trusted || !self.is_stored_as_planned(at).await? {
                return Ok(EnforcedBy::Curfew);
            }
        }
        Ok(if trusted && !role.policies.is_empty() { EnforcedBy::Target } else { EnforcedBy::Curfew })
    }

    /// The role of this name; `None` if there is none.
    ///
    /// The operator has rights on ARNs below its path, and IAM is asked by name: of a role that does not exist it knows no path. So it may
    /// refuse to say that there is none; then the list says it, which is not limited to a path.
    pub(super) async fn role(&self, name: &str) -> Result<Option<RoleState>, ProviderError> {
        let call = Call { action: "iam:GetRole", on: name };
        match if_there(self.clients().await.iam.get_role().role_name(name).send().await.map_err(|e| call.failed(e))) {
            Ok(None) => Ok(None),
            Ok(Some(found)) => found.role().and_then(state).map(Some).ok_or_else(|| call.incomplete()),
            Err(ProviderError::Denied(why)) => match self.roles_below(names::PATH).await?.iter().any(|role| role.name == name) {
                true => Err(ProviderError::Denied(why)),
                false => Ok(None),
            },
            Err(e) => Err(e),
        }
    }

    /// Every role below a path. They have no tags here.
    pub(super) async fn roles_below(&self, path: &str) -> Result<Vec<RoleState>, ProviderError> {
        let call = Call { action: "iam:ListRoles", on: path };
        let mut pages = self.clients().await.iam.list_roles().path_prefix(path).max_items(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let page = page.map_err(|e| call.failed(e))?;
            call.whole(page.is_truncated(), page.marker())?;
            for role in page.roles() {
                all.push(state(role).ok_or_else(|| call.incomplete())?);
            }
        }
        Err(call.too_long())
    }

    /// The ARNs of the policies that are attached to a role; `None` if there is no such role.
    pub(super) async fn attached_to_role(&self, role: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let call = Call { action: "iam:ListAttachedRolePolicies", on: role };
        let mut pages = self.clients().await.iam.list_attached_role_policies().role_name(role).max_items(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(Some(all)) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(None) };
            call.whole(page.is_truncated(), page.marker())?;
            all.extend(policies::arns(call, page.attached_policies())?);
        }
        Err(call.too_long())
    }

    /// The names of the inline policies of a role. A role that does not exist has none.
    pub(super) async fn inline_of_role(&self, role: &str) -> Result<Vec<String>, ProviderError> {
        let call = Call { action: "iam:ListRolePolicies", on: role };
        let mut pages = self.clients().await.iam.list_role_policies().role_name(role).max_items(PAGE).into_paginator().send();
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(page) = pages.next().await else { return Ok(all) };
            let Some(page) = if_there(page.map_err(|e| call.failed(e)))? else { return Ok(all) };
            call.whole(page.is_truncated(), page.marker())?;
            all.extend_from_slice(page.policy_names());
        }
        Err(call.too_long())
    }

    async fn attach_to_role(&self, role: &str, arn: &str) -> Result<(), ProviderError> {
        let call = Call { action: "iam:AttachRolePolicy", on: arn };
        let attached = self.clients().await.iam.attach_role_policy().role_name(role).policy_arn(arn).send().await;
        attached.map(drop).map_err(|e| match call.failed(e) {
            ProviderError::Gone => ProviderError::Transient {
                message: format!("role {role} or policy {arn} does not exist, or reads do not show it yet"),
                retry_after: None,
            },
            e => e,
        })
    }

    pub(super) async fn set_trust(&self, role: &str, trust: &str) -> Result<(), ProviderError> {
        let call = Call { action: "iam:UpdateAssumeRolePolicy", on: role };
        let sent = self.clients().await.iam.update_assume_role_policy().role_name(role).policy_document(trust).send().await;
        sent.map(drop).map_err(|e| call.failed(e))
    }

    pub(super) async fn put_role_policy(&self, role: &str, name: &str, document: &str) -> Result<(), ProviderError> {
        let call = Call { action: "iam:PutRolePolicy", on: role };
        let asked = self.clients().await.iam.put_role_policy().role_name(role).policy_name(name).policy_document(document);
        asked.send().await.map(drop).map_err(|e| call.failed(e))
    }
}

/// A role is this grant's by its tag, or because it has the trust policy that only Curfew writes for it.
pub fn is_ours(found: &RoleState, role: &PlannedRole) -> bool {
    let grant = names::parse(&role.name).map(|(mark, _)| mark.grant);
    found.tags.iter().any(|(key, value)| key == GRANT_LABEL && Some(value) == grant.as_ref())
        || same_trust(found.trust.as_ref(), &role.trust)
}
