//! The port: what every kind of target must be able to do. All of it idempotent, by names that follow from the grant id.
use crate::{api::grant::Artifact, authority::Permit};
use async_trait::async_trait;
use curfew_core::{
    grant::Observation,
    ids::BindingName,
    policy_inputs::RoleContent,
    reconcile::Reservation,
    resolved::{Plan, Ref},
    scope::{KubernetesPermissions, KubernetesScope},
    time::Time,
};
use std::{fmt, time::Duration};

/// What can go wrong at a target. Four kinds, because there are four answers to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProviderError {
    /// It may work later: wait, and try again.
    Transient {
        /// What the target said.
        message: String,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The target refuses us: somebody must give us a right.
    Denied(String),
    /// What we ask can never work.
    Invalid(String),
    /// What we meant is not there.
    Gone,
}

impl ProviderError {
    /// How long the target asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ProviderError::Transient { retry_after, .. } => *retry_after,
            ProviderError::Denied(_) | ProviderError::Invalid(_) | ProviderError::Gone => None,
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProviderError::Transient { message, .. } => write!(f, "{message}; trying again"),
            ProviderError::Denied(m) => write!(f, "the target refuses: {m}"),
            ProviderError::Invalid(m) => f.write_str(m),
            ProviderError::Gone => f.write_str("it is not there"),
        }
    }
}
impl std::error::Error for ProviderError {}

/// What came of a reservation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReserveOutcome {
    /// The place is ours, and gives nobody anything yet.
    Reserved(Reservation),
    /// A stranger's object stands in the place; it is reported, not touched.
    Occupied(String),
}

/// What came of a revocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RevokeOutcome {
    /// The target has shown that nothing is left.
    Gone,
    /// Something is left, or there is no telling.
    Remains(String),
}

/// Who ends the access if nobody else does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnforcedBy {
    /// The target, by itself, within half a minute of the deadline.
    Target,
    /// Curfew alone.
    Curfew,
}

impl EnforcedBy {
    /// As it stands in status.
    pub const fn as_str(self) -> &'static str {
        match self {
            EnforcedBy::Target => "Target",
            EnforcedBy::Curfew => "Curfew",
        }
    }
}

/// Something at the target whose name begins like ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManagedObject {
    /// What its name says.
    pub name: BindingName,
    /// Where it is.
    pub namespace: Option<String>,
    /// Which one it is.
    pub uid: String,
    /// Since when.
    pub created: Time,
}

/// One kind of target.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The target's own word for itself.
    async fn identity(&self) -> Result<String, ProviderError>;

    /// Whether this is the target that was meant. What another one shows proves nothing.
    ///
    /// # Errors
    /// [`Trouble::Invalid`] if it is another one.
    async fn confirm(&self, target: &str) -> Result<(), ProviderError> {
        let here = self.identity().await?;
        if here == target {
            return Ok(());
        }
        Err(ProviderError::Invalid(format!(
            "the connection leads to another target: {here}, and {target} was meant; nothing it shows is believed"
        )))
    }

    /// The roles and namespaces that a role template names, as far as they exist, live.
    async fn content(
        &self,
        permissions: &KubernetesPermissions,
        scope: &KubernetesScope,
    ) -> Result<(Vec<RoleContent>, Vec<Ref>), ProviderError>;

    /// What the target shows of a grant: from the watch where that is what it should be, live where it is not.
    async fn observe(&self, plan: &Plan) -> Result<Observation, ProviderError>;

    /// Holds a place without giving any access.
    async fn reserve(&self, grant: &str, plan: &Plan, permit: &Permit) -> Result<ReserveOutcome, ProviderError>;

    /// Turns the very same reservation into the access; fails if anything touched it since.
    async fn arm(&self, grant: &str, plan: &Plan, reservation: &Reservation, permit: &Permit) -> Result<Vec<Artifact>, ProviderError>;

    /// Takes everything away that this grant wrote, reservations included. Needs no permit. Nothing there is success.
    async fn revoke(&self, grant: &str, plan: &Plan, known: &[Artifact]) -> Result<RevokeOutcome, ProviderError>;

    /// Who ends the access if Curfew does not: claimed only while it is seen to hold.
    async fn enforced(&self, plan: &Plan) -> Result<EnforcedBy, ProviderError>;

    /// Everything that carries our mark, whoever's install made it.
    async fn managed(&self) -> Result<Vec<ManagedObject>, ProviderError>;

    /// Takes away what the sweep has found. Needs no permit.
    async fn remove(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError>;

    /// Whether this build could grant a role at all: a reason, with the right that somebody must give, if it could not.
    async fn bindable(&self, plan: &Plan) -> Result<Option<String>, ProviderError>;
}
