//! Grants to IAM users: policies of the grant's own, attached to the user. What stops late writes is said in [`super::own_policies`].
use super::{
    Aws, in_parts,
    own_policies::{KIND, Place, Shown},
    policies::Holder,
};
use crate::{
    api::grant::Artifact,
    providers::port::{ApplyOutcome, EnforcedBy, Observed, ProviderError, ReserveOutcome, RevokeOutcome},
};
use curfew_core::{
    grant::Observation,
    reconcile::Reservation,
    target::aws::{Plan, plan::PlannedUser},
};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

impl Aws {
    /// Creates the policies in order; none after the first that cannot be.
    pub(super) async fn reserve_user(&self, plan: &Plan, user: &PlannedUser) -> Result<ReserveOutcome, ProviderError> {
        self.room_for_user(plan, user).await?;
        let holder = Holder::User(user.user.clone());
        let mut places = Vec::new();
        for at in Place::all(plan, &user.policies, &holder) {
            match self.reserve_policy(at).await? {
                Ok(place) => places.push(Some(place)),
                Err(stranger) => return Ok(ReserveOutcome::Occupied(stranger)),
            }
        }
        Ok(ReserveOutcome::Reserved(Reservation(Arc::new(places))))
    }

    /// Whether the user exists, and the quotas have room: counted before the first write.
    async fn room_for_user(&self, plan: &Plan, PlannedUser { user, policies }: &PlannedUser) -> Result<(), ProviderError> {
        let holder = Holder::User(user.clone());
        let (attached, quotas) = futures::try_join!(self.attached_to_user(user), self.quotas())?;
        let Some(attached) = attached else {
            let message = format!("account {} has no IAM user {user}; create it, or map the beneficiary to another one", plan.account);
            return Err(ProviderError::Invalid(message));
        };
        let new = Place::all(plan, policies, &holder).filter(|at| !attached.contains(&at.arn())).count();
        match quotas.full_user(user, attached.len(), new).or_else(|| quotas.full_policies(new)) {
            Some(full) => Err(ProviderError::Denied(full)),
            None => Ok(()),
        }
    }

    /// Attaches the very policies that were reserved. Each is read again first, and all of them before the first is attached.
    pub(super) async fn arm_user(&self, plan: &Plan, user: &PlannedUser, reservation: &Reservation) -> Result<ApplyOutcome, ProviderError> {
        if reservation.0.len() != user.policies.len() {
            return Err(ProviderError::Invalid("the reservation is not of this plan".into()));
        }
        let holder = Holder::User(user.user.clone());
        let places: Vec<_> = Place::all(plan, &user.policies, &holder).zip(reservation.0.iter().flatten()).collect();
        let checks = places.iter().map(|(at, (id, version))| self.recheck_policy(*at, id, version));
        in_parts(checks).try_collect::<Vec<()>>().await?;
        let arms = places.iter().map(|(at, (id, _))| async move {
            let arn = at.arn();
            match self.attach_to_user(&user.user, &arn).await {
                Ok(()) => Ok(Artifact { kind: KIND.into(), id: arn, uid: id.to_string() }),
                // The user, or a policy that a revoker has deleted: the next run reads which.
                Err(ProviderError::Gone) => Err(ProviderError::Transient {
                    message: format!("user {} or policy {arn} does not exist, so it is not attached", user.user),
                    retry_after: None,
                }),
                Err(e) => Err(e),
            }
        });
        Ok(ApplyOutcome::Done(in_parts(arms).try_collect().await?))
    }

    /// What the account shows of the grant.
    pub(super) async fn observe_user(&self, plan: &Plan, user: &PlannedUser) -> Result<Observed, ProviderError> {
        let holder = Holder::User(user.user.clone());
        let places: Vec<Place<'_>> = Place::all(plan, &user.policies, &holder).collect();
        if self.lists_show(&places, &holder).await? {
            return Ok(Observation::Present.into());
        }
        Ok(in_one_word(&self.look(&places).await?).into())
    }

    /// Removes every policy of the grant: each is tried, even if another one fails.
    pub(super) async fn revoke_user(&self, plan: &Plan, user: &PlannedUser, known: &[Artifact]) -> Result<RevokeOutcome, ProviderError> {
        let holder = Holder::User(user.user.clone());
        let removals = Place::all(plan, &user.policies, &holder).map(|at| self.remove_own_policy(at, known));
        all_gone(in_parts(removals).collect().await)
    }

    /// Takes every policy from the user: for an end that comes before the deadline.
    pub(super) async fn expire_user(&self, plan: &Plan, user: &PlannedUser, known: &[Artifact]) -> Result<(), ProviderError> {
        let holder = Holder::User(user.user.clone());
        let taken = Place::all(plan, &user.policies, &holder).map(|at| self.take_own_policy(at, known));
        let all: Vec<_> = in_parts(taken).collect().await;
        all.into_iter().try_for_each(|taken| taken.map(drop))
    }

    /// AWS ends it by itself where each policy is seen to hold its date.
    pub(super) async fn user_ended_by(&self, plan: &Plan, user: &PlannedUser) -> Result<EnforcedBy, ProviderError> {
        let holder = Holder::User(user.user.clone());
        for at in Place::all(plan, &user.policies, &holder) {
            if !self.ends_in_time(at).await? {
                return Ok(EnforcedBy::Curfew);
            }
        }
        Ok(if user.policies.is_empty() { EnforcedBy::Curfew } else { EnforcedBy::Target })
    }
}

/// Several policies as one observation. A part of them is drift.
pub fn in_one_word(all: &[Shown]) -> Observation {
    match () {
        () if all.iter().all(|shown| *shown == Shown::Absent) => Observation::Absent,
        () if all.iter().all(|shown| *shown == Shown::Given) => Observation::Present,
        () => Observation::Drifted,
    }
}

/// Several removals as one.
///
/// # Errors
/// The first error.
pub fn all_gone(all: Vec<Result<RevokeOutcome, ProviderError>>) -> Result<RevokeOutcome, ProviderError> {
    let mut left = Vec::new();
    for outcome in all {
        match outcome? {
            RevokeOutcome::Remains(what) => left.push(what),
            RevokeOutcome::Gone | RevokeOutcome::Disarmed(_) | RevokeOutcome::Started(_) => {}
        }
    }
    Ok(if left.is_empty() { RevokeOutcome::Gone } else { RevokeOutcome::Remains(left.join("; ")) })
}
