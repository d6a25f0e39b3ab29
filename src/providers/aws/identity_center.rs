//! Grants by a permission set of their own: created with its policies and the date in them, then assigned.
//!
//! **What stops a late write.** A permission set gives nothing until it is assigned. Revocation deletes it, and a permission set that
//! does not exist cannot be assigned (CreateAccountAssignment: `ResourceNotFoundException`). Its ARN holds a random part, so another one
//! of the same name has another ARN: what was reserved is assigned by ARN, and nothing else.
//!
//! | A process is paused before | and resumes after the revocation |
//! |---|---|
//! | CreatePermissionSet | a permission set appears that nobody has; its process reads the Grant next and removes it, and so does the sweep |
//! | CreateAccountAssignment | `ResourceNotFoundException` |
//!
//! Assignments are asynchronous, so they are stored as operations and polled. Before one is created the existing ones are listed, and
//! an end is repeated until the list shows none, and AWS says that it is creating none.
use super::{
    Aws,
    center::{Assignee, InAccount, SetState},
    operations::Progress,
    own_policies, standing,
};
use crate::{
    api::grant::Artifact,
    providers::port::{ApplyOutcome, EnforcedBy, Observed, OperationState, ProviderError, ReserveOutcome, RevokeOutcome},
};
use aws_sdk_ssoadmin::types::Tag;
use curfew_core::{
    grant::{Observation, Operation, OperationKind},
    ids::GRANT_LABEL,
    reconcile::Reservation,
    target::aws::{Plan, names, plan::PlannedPermissionSet},
    time::Time,
};
use std::{collections::BTreeSet, sync::Arc};

/// The kind of a permission set among the artifacts of a Grant.
pub const KIND: &str = "PermissionSet";
/// The version of a reservation: a permission set has none, its ARN tells it apart.
const NO_VERSION: &str = "";
/// When an operation that runs is asked about again. AWS makes about 20 assignments a minute.
const POLL_SECS: i64 = 3;
/// Between the ids of several operations that are polled as one.
const SEPARATOR: char = ',';

/// How many characters the ids of the operations of one run may have together. A Grant has room for more, and ids have 36.
const FOLLOWED: usize = 900;

/// What came of the removal of several assignments.
#[derive(Default)]
struct Removals {
    /// The operations that AWS has accepted.
    running: Vec<String>,
    /// What AWS has refused to remove, in words.
    left: Vec<String>,
    /// The first call that has failed.
    failed: Option<ProviderError>,
}

impl Removals {
    /// Notes an operation; whether no more can be followed.
    fn runs(&mut self, id: String) -> bool {
        self.running.push(id);
        self.running.iter().map(|id| id.len() + 1).sum::<usize>() > FOLLOWED
    }
}

impl Aws {
    /// The id of the user to whom something is assigned.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] if there is no such user.
    pub(super) async fn assignee(&self, user: &str) -> Result<Assignee, ProviderError> {
        let missing = || format!("IAM Identity Center has no user {user}; create it, or map the beneficiary to another one");
        self.user_id(user).await?.map(Assignee::user).ok_or_else(|| ProviderError::Invalid(missing()))
    }

    /// The grant's permission set, read live; `None` if there is none. The list of all is long, so one that is known is read first; that
    /// there is none is what the list says.
    async fn own_set(&self, set: &PlannedPermissionSet) -> Result<Option<SetState>, ProviderError> {
        let arns = &self.instance.arns;
        if let Some(arn) = arns.get(&set.name)
            && let Some(found) = self.describe_set(&arn).await?.filter(|found| found.name == set.name)
        {
            return Ok(Some(found));
        }
        let Some(listed) = self.sets().await?.into_iter().find(|found| found.name == set.name) else { return Ok(None) };
        arns.insert(set.name.clone(), listed.arn.clone());
        // The list may be older than what is known of it: the name was read once, and it may have been deleted since.
        self.describe_set(&listed.arn).await
    }

    /// Whether a permission set is this grant's: the Grant has stored it, or it has the tag.
    async fn is_own(&self, arn: &str, set: &PlannedPermissionSet, known: &[Artifact]) -> Result<bool, ProviderError> {
        Ok(known.iter().any(|artifact| artifact.kind == KIND && artifact.id == arn) || self.carries_mark(arn, set).await?)
    }

    /// Whether a permission set has the tag with which Curfew creates that of a grant. One that others have created under its name has not.
    async fn carries_mark(&self, arn: &str, set: &PlannedPermissionSet) -> Result<bool, ProviderError> {
        match names::parse_permission_set(&set.name) {
            Some(mark) => self.is_of_grant(arn, &mark.grant).await,
            None => Ok(false),
        }
    }

    /// The same by the id of the grant.
    pub(super) async fn is_of_grant(&self, arn: &str, grant: &str) -> Result<bool, ProviderError> {
        Ok(self.tags_of(arn).await?.iter().any(|(key, value)| key == GRANT_LABEL && value == grant))
    }

    /// Creates the permission set with its policies, or finds it as a run before this one has left it.
    pub(super) async fn reserve_set(&self, plan: &Plan, set: &PlannedPermissionSet) -> Result<ReserveOutcome, ProviderError> {
        let who = self.assignee(&set.user).await?;
        let tags = names::parse_permission_set(&set.name).map(|mark| names::tags(&mark)).into_iter().flatten();
        let tags = tags.filter_map(|(key, value)| Tag::builder().key(key).value(value).build().ok()).collect();
        let about = format!("A grant of Curfew until {}. Do not edit it.", plan.deadline);
        // Read first: what a run before this one has left is taken up, and not made again.
        let arn = match self.own_set(set).await? {
            Some(SetState { arn, .. }) => {
                let others = self.assignments(plan, &arn).await?.into_iter().any(|(account, a)| account != plan.account || a != who);
                if others {
                    return Ok(ReserveOutcome::Occupied(format!("permission set {} exists already, and others have it", set.name)));
                }
                if !self.carries_mark(&arn, set).await? {
                    return Ok(ReserveOutcome::Occupied(format!(
                        "permission set {} exists already, and Curfew has not created it",
                        set.name
                    )));
                }
                arn
            }
            None => self.create_set(&set.name, set.session_secs, about, tags).await?.ok_or_else(|| {
                let message = format!("permission set {} exists, and reads do not show it yet", set.name);
                ProviderError::Transient { message, retry_after: None }
            })?,
        };
        self.instance.arns.insert(set.name.clone(), arn.clone());
        self.put_inline(&arn, &set.inline).await?;
        for policy in &set.attached {
            self.attach_to_set(&arn, policy).await?;
        }
        Ok(ReserveOutcome::Reserved(Reservation(Arc::new(vec![Some((arn.as_str().into(), NO_VERSION.into()))]))))
    }

    /// Assigns the very permission set that was reserved.
    pub(super) async fn arm_set(
        &self,
        plan: &Plan,
        set: &PlannedPermissionSet,
        reservation: &Reservation,
    ) -> Result<ApplyOutcome, ProviderError> {
        let [Some((arn, _))] = reservation.0.as_slice() else {
            return Err(ProviderError::Invalid("the reservation is not of this plan".into()));
        };
        let planned = match self.describe_set(arn).await? {
            Some(found) => self.has_planned_content(plan, set, &found).await?,
            None => false,
        };
        if !planned {
            let message = format!("permission set {} was changed, or reads do not show its policies yet; it is not assigned", set.name);
            return Err(ProviderError::Transient { message, retry_after: None });
        }
        let at = InAccount { set: arn, account: &plan.account };
        let artifact = Artifact { kind: KIND.into(), id: arn.to_string(), uid: arn.to_string() };
        let who = self.assignee(&set.user).await?;
        self.assign_once(at, &who, artifact, None).await
    }

    /// Assigns a permission set, before a time or not at all, if it is not assigned already: AWS stores no second assignment, and an
    /// emulator does.
    pub(super) async fn assign_once(
        &self,
        at: InAccount<'_>,
        who: &Assignee,
        artifact: Artifact,
        until: Option<Time>,
    ) -> Result<ApplyOutcome, ProviderError> {
        if self.assignees(at).await?.contains(who) {
            return Ok(ApplyOutcome::Done(vec![artifact]));
        }
        match self.assign(at, &who.id, until).await {
            Ok(Progress::Done) => Ok(ApplyOutcome::Done(vec![artifact])),
            Ok(Progress::Running(id)) => Ok(ApplyOutcome::Started(self.operation(OperationKind::Apply, &[id]), vec![artifact])),
            Ok(Progress::Failed(why)) => {
                Err(ProviderError::Transient { message: format!("permission set {} is not assigned: {why}", at.set), retry_after: None })
            }
            Err(ProviderError::Gone) => {
                Err(ProviderError::Transient { message: format!("permission set {} does not exist", at.set), retry_after: None })
            }
            Err(e) => Err(e),
        }
    }

    /// Whether it gives what was planned, for as long. A permissions boundary that others set can only narrow it.
    async fn has_planned_content(&self, plan: &Plan, set: &PlannedPermissionSet, found: &SetState) -> Result<bool, ProviderError> {
        let (inline, attached) = futures::try_join!(self.inline_of(&found.arn), self.policies_of(&found.arn, &plan.partition))?;
        let attached: BTreeSet<String> = attached.into_iter().collect();
        Ok(inline.is_some_and(|inline| own_policies::canonical(&inline).is_some_and(|inline| inline == set.inline))
            && attached == set.attached.iter().cloned().collect()
            && found.session_secs == Some(set.session_secs))
    }

    /// Who has a permission set, in every account.
    async fn assignments(&self, plan: &Plan, set: &str) -> Result<BTreeSet<(String, Assignee)>, ProviderError> {
        let mut accounts: BTreeSet<String> = self.accounts_of(set).await?.into_iter().collect();
        accounts.insert(plan.account.clone());
        let mut all = BTreeSet::new();
        for account in accounts {
            let here = self.assignees(InAccount { set, account: &account }).await?;
            all.extend(here.into_iter().map(|who| (account.clone(), who)));
        }
        Ok(all)
    }

    /// What Identity Center shows of the grant.
    pub(super) async fn observe_set(&self, plan: &Plan, set: &PlannedPermissionSet, known: &[Artifact]) -> Result<Observed, ProviderError> {
        let Some(found) = self.own_set(set).await? else { return Ok(Observation::Absent.into()) };
        let (who, assigned) = futures::try_join!(self.user_id(&set.user), self.assignments(plan, &found.arn))?;
        let wanted = who.map(|id| BTreeSet::from([(plan.account.clone(), Assignee::user(id))]));
        let right = wanted.is_some_and(|wanted| wanted == assigned) && self.has_planned_content(plan, set, &found).await?;
        Ok(match right {
            true => Observation::Present,
            false if self.is_own(&found.arn, set, known).await? => Observation::Drifted,
            // Others have created it under this name.
            false => Observation::Absent,
        }
        .into())
    }

    /// Ends every assignment, and then deletes the permission set.
    pub(super) async fn revoke_set(
        &self,
        plan: &Plan,
        set: &PlannedPermissionSet,
        known: &[Artifact],
    ) -> Result<RevokeOutcome, ProviderError> {
        if let Some(stored) = known.iter().find(|artifact| artifact.kind == KIND) {
            self.instance.arns.insert(set.name.clone(), stored.id.clone());
        }
        let Some(found) = self.own_set(set).await? else { return Ok(RevokeOutcome::Gone) };
        // One that others have created under its name is reported by the reservation, and not touched.
        if !self.is_own(&found.arn, set, known).await? {
            return Ok(RevokeOutcome::Gone);
        }
        self.remove_set(plan.account.clone(), &found.arn).await
    }

    /// The same of a permission set by ARN. Each assignment is tried, even if another one cannot be removed.
    pub(super) async fn remove_set(&self, account: String, arn: &str) -> Result<RevokeOutcome, ProviderError> {
        let Removals { running, left, failed } = self.unassign_all(account, arn).await?;
        match (running.is_empty(), failed, left.is_empty()) {
            (false, ..) => return Ok(RevokeOutcome::Started(self.operation(OperationKind::Revoke, &running))),
            (true, Some(first), _) => return Err(first),
            (true, None, false) => return Ok(RevokeOutcome::Remains(left.join("; "))),
            (true, None, true) => {}
        }
        if let Some(request) = self.being_assigned(arn, None, None).await? {
            return Ok(RevokeOutcome::Remains(standing::still_running(arn, &request)));
        }
        Ok(match self.try_delete_set(arn).await? {
            true => RevokeOutcome::Gone,
            false => RevokeOutcome::Remains(format!("permission set {arn} is still in use; AWS is removing it from the accounts")),
        })
    }

    /// Begins the removal of as many assignments as can be followed at a time; the next run begins those that are left.
    ///
    /// # Errors
    /// If what has it cannot be listed.
    async fn unassign_all(&self, account: String, arn: &str) -> Result<Removals, ProviderError> {
        let mut accounts: BTreeSet<String> = self.accounts_of(arn).await?.into_iter().collect();
        accounts.insert(account);
        let mut removals = Removals::default();
        for account in accounts {
            let at = InAccount { set: arn, account: &account };
            for who in self.assignees(at).await? {
                let enough = match self.unassign(at, &who).await {
                    Ok(Progress::Done) => false,
                    Ok(Progress::Running(id)) => removals.runs(id),
                    Ok(Progress::Failed(why)) => {
                        removals.left.push(format!("an assignment of {arn} in account {account} is not removed: {why}"));
                        false
                    }
                    Err(e) => {
                        let enough = e.retry_after().is_some();
                        removals.failed.get_or_insert(e);
                        enough
                    }
                };
                if enough {
                    return Ok(removals);
                }
            }
        }
        Ok(removals)
    }

    /// AWS ends it by itself where the inline policy is seen to be the planned one, which holds the date.
    pub(super) async fn set_ended_by(&self, plan: &Plan, set: &PlannedPermissionSet) -> Result<EnforcedBy, ProviderError> {
        let dated = match self.own_set(set).await? {
            Some(found) => self.has_planned_content(plan, set, &found).await?,
            None => false,
        };
        Ok(if dated { EnforcedBy::Target } else { EnforcedBy::Curfew })
    }

    pub(super) fn operation(&self, kind: OperationKind, ids: &[String]) -> Operation {
        Operation { id: ids.join(&SEPARATOR.to_string()).into(), kind, poll_at: self.clock.now().plus_secs(POLL_SECS) }
    }

    /// How assignments and removals stand that AWS has accepted.
    pub(super) async fn poll_operation(&self, operation: &Operation) -> Result<OperationState, ProviderError> {
        let mut failed = None;
        for id in operation.id.split(SEPARATOR) {
            let state = match operation.kind {
                OperationKind::Apply => self.assigning(id).await?,
                OperationKind::Revoke => self.unassigning(id).await?,
            };
            match state {
                Progress::Done => {}
                Progress::Running(_) => return Ok(OperationState::Running(self.clock.now().plus_secs(POLL_SECS))),
                Progress::Failed(why) => failed = Some(format!("operation {id} of IAM Identity Center has failed: {why}")),
            }
        }
        Ok(failed.map_or(OperationState::Succeeded, OperationState::Failed))
    }
}
