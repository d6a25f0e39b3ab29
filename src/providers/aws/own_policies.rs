//! The policies of one grant: reserved, attached, looked at and removed, whether a user or a role of the grant's own holds them.
//!
//! **What stops a late write.** A policy is created attached to nothing, and gives nothing until it is attached. Revocation deletes
//! it, and IAM attaches no policy that does not exist (AttachUserPolicy: `NoSuchEntity`), so an attachment that is sent after the
//! revocation fails. Before it is sent, the policy is read again: it must be the very one that was reserved, by its id, which IAM
//! gives to no other policy, with the document that was planned.
//!
//! | A process is paused before | and resumes after the revocation |
//! |---|---|
//! | CreatePolicy | a policy appears that is attached to nothing; its process reads the Grant next and removes it, and so does the sweep |
//! | AttachUserPolicy, AttachRolePolicy | `NoSuchEntity` |
//! | DetachUserPolicy, DeletePolicy | `NoSuchEntity`, which is success |
//!
//! Two paused processes could still meet: one that creates the policy again, and then one that attaches it by the same ARN. The first
//! removes it at its next step; and each document holds the deadline, after which AWS refuses by itself what it allows.
//!
//! **Reads.** IAM is eventually consistent (IAM User Guide, "Changes that I make are not always immediately visible"). So a
//! removal is not proven by its answer: plans have a settle time, and after it the policies are looked for once more.
use super::{
    Aws, in_parts,
    policies::{Created, Deleted, Holder, NewPolicy, PolicyState},
};
use crate::{
    api::grant::Artifact,
    providers::port::{ProviderError, RevokeOutcome},
};
use aws_sdk_iam::types::{PolicyUsageType, Tag};
use curfew_core::{
    ids::{GRANT_LABEL, Version},
    target::aws::{Plan, PlannedPolicy, dating, document::Document, names},
};
use futures::TryStreamExt;
use std::sync::Arc;

/// The kind of a policy among the artifacts of a Grant.
pub const KIND: &str = "Policy";

/// What one policy shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// The holder has it, with the planned document, and nobody else.
    Given,
    /// It is there with the planned document, and nobody has it.
    Reserved,
    /// It is there, and differs from the plan or is held by others.
    Drifted,
    /// It is not there, or another's policy has its name.
    Absent,
}

/// Whether a policy whose end has begun in this process was taken from its holder, and still has to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken(bool);

/// A policy of a plan at its place in the account.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    planned: &'a PlannedPolicy,
    plan: &'a Plan,
    holder: &'a Holder,
}

impl<'a> Place<'a> {
    /// The places of these policies.
    pub fn all(plan: &'a Plan, policies: &'a [PlannedPolicy], holder: &'a Holder) -> impl Iterator<Item = Place<'a>> {
        policies.iter().map(move |planned| Place { planned, plan, holder })
    }

    /// The ARN that the policy has.
    pub fn arn(&self) -> String {
        names::policy_arn(&self.plan.partition, &self.plan.account, &self.planned.name)
    }

    fn grant(&self) -> Option<String> {
        names::parse(&self.planned.name).map(|(mark, _)| mark.grant)
    }

    fn holds(&self, held: Option<&[String]>) -> bool {
        let arn = self.arn();
        held.is_some_and(|held| held.contains(&arn))
    }
}

/// A document in the one form in which it is compared; `None` if it is not one that Curfew writes.
pub(super) fn canonical(text: &str) -> Option<String> {
    Document::parse(text).ok().map(|document| document.text())
}

impl Aws {
    /// Creates one policy, or finds it as a run before this one has left it. `Err` inside says who has the name.
    pub(super) async fn reserve_policy(&self, at: Place<'_>) -> Result<Result<(Arc<str>, Version), String>, ProviderError> {
        let arn = at.arn();
        let tags = names::parse(&at.planned.name).map(|(mark, _)| names::tags(&mark));
        let tags = tags.into_iter().flatten().filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok());
        let new = NewPolicy {
            arn: &arn,
            name: &at.planned.name,
            path: names::PATH,
            document: at.planned.document.clone(),
            description: format!("A grant of Curfew until {}. Do not attach or edit it.", at.plan.deadline),
            tags: tags.collect(),
        };
        let found = match self.create_policy(new).await? {
            Created::New(found) => return Ok(Ok((found.id, found.default_version))),
            Created::NameTaken => self.policy(&arn).await?,
        };
        let Some(found) = found else {
            return Err(ProviderError::Transient { message: format!("{arn} exists, and reads do not show it yet"), retry_after: None });
        };
        let held = self.held_by(at.holder).await?;
        match self.judge(at, &found, held.as_deref()).await? {
            Shown::Reserved | Shown::Given => Ok(Ok((found.id, found.default_version))),
            Shown::Drifted | Shown::Absent => Ok(Err(format!("policy {arn} exists already, and is not as Curfew writes it"))),
        }
    }

    /// Reads a reserved policy again, just before it is attached.
    ///
    /// # Errors
    /// [`ProviderError::Transient`] if it is another one, differs, or is gone.
    pub(super) async fn recheck_policy(&self, at: Place<'_>, id: &str, version: &str) -> Result<(), ProviderError> {
        let arn = at.arn();
        let again =
            |what: &str| ProviderError::Transient { message: format!("policy {arn} {what}; it is not attached"), retry_after: None };
        let found = self.policy(&arn).await?.ok_or_else(|| again("is gone, or reads do not show it yet"))?;
        if *found.id != *id || *found.default_version != *version {
            return Err(again("is not the one that was reserved"));
        }
        if !self.is_as_planned(at, &found).await? {
            return Err(again("was stored otherwise than it was sent"));
        }
        Ok(())
    }

    /// Whether the policy is seen to say what was planned: read within the last seconds, or now.
    pub(super) async fn is_stored_as_planned(&self, at: Place<'_>) -> Result<bool, ProviderError> {
        match self.policy_sighted(&at.arn()).await? {
            Some(found) => self.is_as_planned(at, &found).await,
            None => Ok(false),
        }
    }

    /// Whether a policy says what was planned.
    pub(super) async fn is_as_planned(&self, at: Place<'_>, found: &PolicyState) -> Result<bool, ProviderError> {
        let stored = self.default_document(found).await?;
        Ok(canonical(&stored).is_some_and(|stored| stored == at.planned.document))
    }

    /// The policies that a holder has, for those that are looked for one by one.
    pub(super) async fn held_by(&self, holder: &Holder) -> Result<Option<Vec<String>>, ProviderError> {
        match holder {
            Holder::User(user) => self.attached_to_user(user).await,
            Holder::Role(role) => self.attached_to_role(role).await,
            Holder::Group(_) => Ok(None),
        }
    }

    /// What the policies of one holder show. What the holder has is read only if one of them is there.
    pub(super) async fn look(&self, places: &[Place<'_>]) -> Result<Vec<Shown>, ProviderError> {
        let reads = places.iter().map(|at| async move { self.policy(&at.arn()).await });
        let found: Vec<_> = in_parts(reads).try_collect().await?;
        let holder = places.first().filter(|_| found.iter().any(Option::is_some)).map(|at| at.holder);
        let held = match holder {
            Some(holder) => self.held_by(holder).await?,
            None => None,
        };
        let judged = places.iter().zip(&found).map(|(at, found)| async {
            match found {
                None => Ok(Shown::Absent),
                Some(found) => self.judge(*at, found, held.as_deref()).await,
            }
        });
        in_parts(judged).try_collect().await
    }

    /// A policy is this grant's by its tag, by its document, or because the holder has it. One that another person has created under its
    /// name is not, and stays.
    async fn judge(&self, at: Place<'_>, found: &PolicyState, held: Option<&[String]>) -> Result<Shown, ProviderError> {
        let tagged = found.tags.iter().any(|(key, value)| key == GRANT_LABEL && Some(value) == at.grant().as_ref());
        let (planned, holds) = (self.is_as_planned(at, found).await?, at.holds(held));
        Ok(match (planned, holds, found.attachments) {
            (true, true, 0 | 1) if found.boundaries == 0 => Shown::Given,
            (true, false, 0) if found.boundaries == 0 => Shown::Reserved,
            (false, false, _) if !tagged => Shown::Absent,
            _ => Shown::Drifted,
        })
    }

    /// Takes one policy from its holder; `false` if it is not there, or not this grant's.
    pub(super) async fn take_own_policy(&self, at: Place<'_>, known: &[Artifact]) -> Result<bool, ProviderError> {
        let arn = at.arn();
        // What was armed is this grant's. What may not have been could be another's, under its name.
        if !known.iter().any(|artifact| artifact.id == arn) && self.look(&[at]).await? == [Shown::Absent] {
            return Ok(false);
        }
        // An end that was throttled after this step goes on with the next one: IAM says if the step was needed after all.
        if self.ending.get(&arn) != Some(Taken(true)) {
            self.ending.insert(arn.clone(), Taken(false));
            self.detach(at.holder, &arn).await?;
        }
        self.ending.insert(arn, Taken(true));
        Ok(true)
    }

    /// Removes one policy, and takes it from everybody who has it. Nothing there is success.
    pub(super) async fn remove_own_policy(&self, at: Place<'_>, known: &[Artifact]) -> Result<RevokeOutcome, ProviderError> {
        if !self.take_own_policy(at, known).await? {
            return Ok(RevokeOutcome::Gone);
        }
        let arn = at.arn();
        let outcome = self.delete_policy(&arn).await?;
        self.ending.insert(arn, Taken(false));
        Ok(outcome)
    }

    /// Deletes a policy: at once where nothing else holds it, otherwise after it was taken from all and has one version left.
    pub(super) async fn delete_policy(&self, arn: &str) -> Result<RevokeOutcome, ProviderError> {
        if self.try_delete_policy(arn).await? == Deleted::Gone {
            return Ok(RevokeOutcome::Gone);
        }
        for holder in self.holders(arn, PolicyUsageType::PermissionsPolicy).await? {
            tracing::warn!(policy = arn, %holder, "a policy of a grant is attached elsewhere; it is detached");
            self.detach(&holder, arn).await?;
        }
        self.delete_other_versions(arn).await?;
        if self.try_delete_policy(arn).await? == Deleted::Gone {
            return Ok(RevokeOutcome::Gone);
        }
        let bounded = self.holders(arn, PolicyUsageType::PermissionsBoundary).await?;
        let who: Vec<String> = bounded.iter().map(ToString::to_string).collect();
        Ok(RevokeOutcome::Remains(match who.is_empty() {
            true => format!("policy {arn} is in use, and IAM does not say yet by whom"),
            // Without its boundary the holder might do more.
            false => format!("policy {arn} is the permissions boundary of {}; give them another one, then it is removed", who.join(", ")),
        }))
    }

    /// Whether the policy is seen to end by itself in time: read within the last seconds, or now.
    pub(super) async fn ends_in_time(&self, at: Place<'_>) -> Result<bool, ProviderError> {
        let Some(found) = self.policy_sighted(&at.arn()).await? else { return Ok(false) };
        let stored = self.default_document(&found).await?;
        let end = Document::parse(&stored).ok().and_then(|document| dating::end(&document));
        Ok(end.is_some_and(|end| end <= at.plan.deadline))
    }
}
