//! The port: what every kind of target must be able to do. Everything is idempotent by names that follow from the grant id.
use crate::{api::grant::Artifact, authority::Permit};
use async_trait::async_trait;
use curfew_core::{
    fingerprint::{Fingerprint, Meant},
    grant::{Observation, Operation},
    ids::Mark,
    reconcile::Reservation,
    target::{Inventory, Permissions, Plan, Scope, SlotSet},
    time::Time,
};
use std::{fmt, time::Duration};

/// An error of a target. Four kinds, because there are four answers to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProviderError {
    /// It may work later: wait, and try again. A target that throttles slows down its whole lane.
    Transient {
        /// What the target said.
        message: String,
        /// How long the target asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The target refuses the operator: a right is missing, and the message says which. Retried slowly.
    Denied(String),
    /// The request can never work. A grant fails, and the message says why.
    Invalid(String),
    /// The object does not exist.
    Gone,
}

impl ProviderError {
    /// Its kind in one word, for spans. What the target said stays out of them: it may name people.
    pub const fn kind(&self) -> &'static str {
        match self {
            ProviderError::Transient { .. } => "transient",
            ProviderError::Denied(_) => "denied",
            ProviderError::Invalid(_) => "invalid",
            ProviderError::Gone => "not_found",
        }
    }
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
            ProviderError::Gone => f.write_str("it does not exist"),
        }
    }
}
impl std::error::Error for ProviderError {}

/// The outcome of a reservation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReserveOutcome {
    /// The objects are reserved and give no access yet.
    Reserved(Reservation),
    /// An object that is not Curfew's has the name. It is reported and not touched.
    Occupied(String),
}

/// The outcome of a write that gives access.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApplyOutcome {
    /// The target has confirmed the access.
    Done(Vec<Artifact>),
    /// The target has accepted the write and works on it: this will be there when it is done.
    Started(Operation, Vec<Artifact>),
}

/// The outcome of a removal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RevokeOutcome {
    /// The target has accepted the removal and, as far as it knows, nothing is left.
    Gone,
    /// The access is gone, but an object that gives none is left, since its removal is refused: what, and by whom.
    Disarmed(String),
    /// The target has accepted the removal and works on it.
    Started(Operation),
    /// Something is left, or the outcome is unknown.
    Remains(String),
}

/// The state of a long-running operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OperationState {
    /// It still runs; ask again then.
    Running(Time),
    /// It has succeeded.
    Succeeded,
    /// It has failed, or the target does not know it.
    Failed(String),
}

/// What ends the access if the operator does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnforcedBy {
    /// The target, by itself, within half a minute of the deadline.
    Target,
    /// Curfew alone.
    Curfew,
}

impl EnforcedBy {
    /// The value in status.
    pub const fn as_str(self) -> &'static str {
        match self {
            EnforcedBy::Target => "Target",
            EnforcedBy::Curfew => "Curfew",
        }
    }
}

/// An object at the target that carries Curfew's mark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManagedObject {
    /// What its immutable name says.
    pub mark: Mark,
    /// The object itself.
    pub artifact: Artifact,
    /// When it was created.
    pub created: Time,
}

/// What a target shows of a grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// In one word, without the places that no longer exist.
    pub observation: Observation,
    /// The places of the plan that no longer exist.
    pub gone: Vec<String>,
}

impl From<Observation> for Observed {
    fn from(observation: Observation) -> Self {
        Observed { observation, gone: Vec::new() }
    }
}

impl PartialEq<Observation> for Observed {
    fn eq(&self, other: &Observation) -> bool {
        self.observation == *other
    }
}

/// One kind of target.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The identity that the target itself reports.
    async fn identity(&self) -> Result<String, ProviderError>;

    /// What tells this target from a copy of it, read live. Nothing where no copy can be reached in its place.
    async fn fingerprint(&self) -> Result<Option<Fingerprint>, ProviderError> {
        Ok(None)
    }

    /// Whether this is the target that was meant. What another one shows proves nothing.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] if it is another one.
    async fn confirm(&self, meant: &Meant) -> Result<(), ProviderError> {
        let (identity, fingerprint) = futures::try_join!(self.identity(), self.fingerprint())?;
        meant.check(&identity, fingerprint.as_ref()).map_err(ProviderError::Invalid)
    }

    /// What the target holds of what a template names, read live.
    async fn inventory(&self, permissions: &Permissions, scope: &Scope) -> Result<Inventory, ProviderError>;

    /// The same from a watch or from a recent read, where there is one. Nothing is granted on it without a live read.
    fn cached_inventory(&self, _: &Permissions, _: &Scope) -> Option<Inventory> {
        None
    }

    /// What the target shows of a grant, without these slots: from a watch where that shows what it should, otherwise live. A
    /// place that was created after `since` is another one than that of the plan. `known` is what status says that was written: a target
    /// that finds it by an id needs no name, which others may change.
    async fn observe(&self, plan: &Plan, known: &[Artifact], except: SlotSet, since: Option<Time>) -> Result<Observed, ProviderError>;

    /// Which slots of a plan are filled, by Curfew or by others. Plans without slots have none.
    async fn survey(&self, plan: &Plan) -> Result<SlotSet, ProviderError>;

    /// Creates a reservation that gives no access. Only for plans whose fence is a reservation.
    async fn reserve(&self, grant: &str, plan: &Plan, permit: &Permit) -> Result<ReserveOutcome, ProviderError>;

    /// Turns the very same reservation into the access; fails if anything changed it since.
    async fn arm(&self, grant: &str, plan: &Plan, reservation: &Reservation, permit: &Permit) -> Result<ApplyOutcome, ProviderError>;

    /// Takes the access of these parts of a plan, and keeps their objects. Needs no permit. What is not there is success.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] where plans have no parts.
    async fn withhold(&self, _: &str, _: &Plan, _: &[Artifact], _: SlotSet) -> Result<(), ProviderError> {
        Err(ProviderError::Invalid("this target withholds nothing".into()))
    }

    /// The objects of these parts, read live, to arm them again; `None` if one of them was changed or removed by others. Creates
    /// none.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] where plans have no parts.
    async fn read_withheld(&self, _: &str, _: &Plan, _: SlotSet, _: Option<Time>) -> Result<Option<Reservation>, ProviderError> {
        Err(ProviderError::Invalid("this target withholds nothing".into()))
    }

    /// Writes the access, without these slots, and sends nothing after `until`. Only for plans whose fence is a time limit.
    async fn apply(&self, grant: &str, plan: &Plan, except: SlotSet, until: Time, permit: &Permit) -> Result<ApplyOutcome, ProviderError>;

    /// Removes everything that this grant wrote except these slots, reservations included. Needs no permit. Nothing there is success. What
    /// is left for [`Provider::tidy`] gives no access.
    /// Where a removal has a time limit, its caller drops it then, and nothing may be sent after that.
    async fn revoke(&self, grant: &str, plan: &Plan, known: &[Artifact], keep: SlotSet) -> Result<RevokeOutcome, ProviderError>;

    /// Removes what was to end an access without Curfew, once a revocation has found the access to be gone. It gives no access, so what
    /// cannot be removed delays no end.
    async fn tidy(&self, _: &Plan, _: &[Artifact]) {}

    /// How a long-running operation stands. Any replica may ask.
    async fn poll(&self, operation: &Operation) -> Result<OperationState, ProviderError>;

    /// What ends the access if Curfew does not: claimed only while it is seen to be in effect.
    async fn enforced_by(&self, plan: &Plan) -> Result<EnforcedBy, ProviderError>;

    /// What denies an access that is written, in words: asked of the target's own simulator, where it has one. `None` if nothing is known
    /// to. It begins and ends nothing.
    async fn denial(&self, _: &Plan) -> Result<Option<String>, ProviderError> {
        Ok(None)
    }

    /// Lets what ends the access without Curfew end it now: for an end that comes before the deadline. It takes access away and proves
    /// nothing; the access is revoked all the same. Targets without an expiry of their own have nothing to do.
    async fn expire_now(&self, _: &Plan, _: &[Artifact]) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Everything that carries Curfew's mark, of any install. Empty where the target can hold no mark.
    async fn managed(&self) -> Result<Vec<ManagedObject>, ProviderError>;

    /// Removes what the sweep has found. Needs no permit.
    async fn remove(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError>;

    /// What the operator lacks to write and remove what it grants, apart from what is written: the rules to add. Empty where the target
    /// has no such rights.
    ///
    /// # Errors
    /// If the target does not say.
    async fn missing_rights(&self) -> Result<Vec<String>, ProviderError> {
        Ok(Vec::new())
    }

    /// Where the rules of [`Provider::missing_rights`] are added, in words, with the file that has them.
    fn rights_file(&self) -> &'static str {
        "a role of its identity (deploy/remote/target.yaml)"
    }

    /// The right that the operator lacks to write such a plan, with the rule to add; `None` if it lacks none.
    async fn missing_right(&self, plan: &Plan) -> Result<Option<String>, ProviderError>;

    /// What the target would refuse of such a plan although the operator has the rights, found without an effect; with what to do.
    async fn refusal(&self, _: &Plan) -> Result<Option<String>, ProviderError> {
        Ok(None)
    }
}
