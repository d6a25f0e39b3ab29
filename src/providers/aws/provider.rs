//! One account, and the port to it: each call goes to the file of what the plan writes.
use super::{
    center::Instance,
    client::{Clients, Connections},
    identity::{self, Caller},
    lists::Listed,
    memory::{Constants, Recent},
    own_policies::Taken,
    policies::PolicyState,
    quotas::{self, Quotas},
    rights,
};
use crate::{
    api::{grant::Artifact, system::AwsConnection},
    authority::{Clock, Permit},
    providers::port::{
        ApplyOutcome, EnforcedBy, ManagedObject, Observed, OperationState, Provider, ProviderError, ReserveOutcome, RevokeOutcome,
    },
};
use async_trait::async_trait;
use curfew_core::{
    grant::{Observation, Operation},
    reconcile::Reservation,
    target::{
        Inventory, Permissions, Plan, Scope, SlotSet,
        aws::{self, Access},
    },
    time::Time,
};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// How many documents, sightings and steps are remembered.
const REMEMBERED: usize = 4_096;
/// For how long what a template names is remembered. Nothing is granted on it without a live read.
const INVENTORY_MILLIS: i64 = 15_000;
/// How many templates' contents are remembered.
const INVENTORIES: usize = 256;

/// An account.
pub struct Aws {
    pub(super) connection: AwsConnection,
    pub(super) clock: Arc<Clock>,
    connections: Connections,
    clients: OnceCell<Clients>,
    pub(super) caller: Recent<Caller>,
    pub(super) summary: Recent<Quotas>,
    /// The documents of versions of policies, by the id of the policy and the version.
    pub(super) documents: Constants<(Arc<str>, Arc<str>), Arc<str>>,
    /// Policies by ARN, as they were read last.
    pub(super) sighted: Constants<String, (Time, PolicyState)>,
    /// Every policy below `/curfew/`, as they were listed last.
    pub(super) listed: tokio::sync::Mutex<Listed>,
    /// What users and roles have, as it was listed last.
    pub(super) held: Constants<String, (Time, Arc<Vec<String>>)>,
    /// ARNs of policies whose end has begun in this process.
    pub(super) ending: Constants<String, Taken>,
    /// What is known of the instance of IAM Identity Center.
    pub(super) instance: Arc<Instance>,
    /// What the simulator said of grants, by the name of the first policy, and when.
    pub(super) simulated: Constants<String, (Time, Option<String>)>,
    inventories: Constants<aws::Permissions, (Time, aws::Inventory)>,
}

impl Aws {
    /// An account by its connection. Nothing is asked yet.
    pub fn new(connection: AwsConnection, connections: Connections, clock: Arc<Clock>) -> Self {
        let instance = connection.identity_center.as_ref().map(|center| connections.instance(&center.instance_arn));
        Aws {
            connection,
            clock,
            connections,
            instance: instance.unwrap_or_default(),
            clients: OnceCell::new(),
            caller: Recent::new(identity::BELIEVED_SECS),
            summary: Recent::new(quotas::BELIEVED_SECS),
            documents: Constants::new(REMEMBERED),
            sighted: Constants::new(REMEMBERED),
            listed: tokio::sync::Mutex::default(),
            held: Constants::new(REMEMBERED),
            ending: Constants::new(REMEMBERED),
            simulated: Constants::new(REMEMBERED),
            inventories: Constants::new(INVENTORIES),
        }
    }

    /// With these clients: for tests, whose endpoints are not in the environment.
    pub fn with(connection: AwsConnection, clients: Clients, clock: Arc<Clock>) -> Self {
        Aws { clients: OnceCell::new_with(Some(clients)), ..Aws::new(connection, Connections::default(), clock) }
    }

    pub(super) async fn clients(&self) -> &Clients {
        self.clients.get_or_init(|| Clients::new(&self.connection, &self.connections)).await
    }
}

/// The plan, if it is of this account. One that only asks about rights is of none.
fn plan_of<'a>(plan: &'a Plan, connection: &AwsConnection) -> Result<&'a aws::Plan, ProviderError> {
    match plan {
        Plan::Aws(plan) if plan.account.is_empty() || plan.account == connection.account_id => Ok(plan),
        Plan::Aws(plan) => Err(ProviderError::Invalid(format!("the plan is of account {}, and not of this one", plan.account))),
        _ => Err(ProviderError::Invalid("the plan is not of AWS".into())),
    }
}

fn permissions_of<'a>(permissions: &'a Permissions, _: &Scope) -> Result<&'a aws::Permissions, ProviderError> {
    match permissions {
        Permissions::Aws(permissions) => Ok(permissions),
        _ => Err(ProviderError::Invalid("the role is not of AWS".into())),
    }
}

/// The only slot of what stands already.
const ONLY_SLOT: u8 = 0;

fn presence(present: bool) -> Observation {
    if present { Observation::Present } else { Observation::Absent }
}

fn not_reserved() -> ProviderError {
    ProviderError::Invalid("this plan is written within a time limit, not reserved".into())
}

#[async_trait]
impl Provider for Aws {
    async fn identity(&self) -> Result<String, ProviderError> {
        Ok(format!("aws:{}", self.confirmed_caller().await?.account))
    }

    async fn inventory(&self, permissions: &Permissions, scope: &Scope) -> Result<Inventory, ProviderError> {
        let permissions = permissions_of(permissions, scope)?;
        let at = self.clock.now();
        let read = self.read_inventory(permissions).await?;
        self.inventories.insert(permissions.clone(), (at, read.clone()));
        Ok(Inventory::Aws(read))
    }

    fn cached_inventory(&self, permissions: &Permissions, scope: &Scope) -> Option<Inventory> {
        let (at, read) = self.inventories.get(permissions_of(permissions, scope).ok()?)?;
        (0..INVENTORY_MILLIS).contains(&self.clock.now().millis_since(at)).then_some(Inventory::Aws(read))
    }

    async fn observe(&self, plan: &Plan, known: &[Artifact], except: SlotSet, _: Option<Time>) -> Result<Observed, ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        let observed = match &plan.access {
            Access::User(user) => self.observe_user(plan, user).await?,
            Access::Role(role) => self.observe_role(plan, role).await?,
            Access::PermissionSet(set) => self.observe_set(plan, set, known).await?,
            Access::Assignment(_) | Access::Membership(_) if except.contains(ONLY_SLOT) && !self.was_renamed(plan, known).await? => {
                Observation::Present.into()
            }
            Access::Assignment(_) | Access::Membership(_) => presence(self.is_standing(plan, known).await?).into(),
        };
        if observed == Observation::Absent {
            self.ask_again_who_we_are();
        }
        Ok(observed)
    }

    async fn survey(&self, plan: &Plan) -> Result<SlotSet, ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        match &plan.access {
            Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => Ok(SlotSet::NONE),
            Access::Assignment(_) | Access::Membership(_) => {
                Ok(if self.is_filled(plan).await? { SlotSet::NONE.with(ONLY_SLOT) } else { SlotSet::NONE })
            }
        }
    }

    async fn reserve(&self, _: &str, plan: &Plan, _: &Permit) -> Result<ReserveOutcome, ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        match &plan.access {
            Access::User(user) => self.reserve_user(plan, user).await,
            Access::Role(role) => self.reserve_role(plan, role).await,
            Access::PermissionSet(set) => self.reserve_set(plan, set).await,
            Access::Assignment(_) | Access::Membership(_) => Err(not_reserved()),
        }
    }

    async fn arm(&self, _: &str, plan: &Plan, reservation: &Reservation, _: &Permit) -> Result<ApplyOutcome, ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        match &plan.access {
            Access::User(user) => self.arm_user(plan, user, reservation).await,
            Access::Role(role) => self.arm_role(plan, role, reservation).await,
            Access::PermissionSet(set) => self.arm_set(plan, set, reservation).await,
            Access::Assignment(_) | Access::Membership(_) => Err(not_reserved()),
        }
    }

    async fn apply(&self, _: &str, plan: &Plan, except: SlotSet, until: Time, _: &Permit) -> Result<ApplyOutcome, ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        match &plan.access {
            Access::User(_) | Access::Role(_) | Access::PermissionSet(_) => {
                Err(ProviderError::Invalid("this plan is reserved and armed, not applied".into()))
            }
            Access::Assignment(_) | Access::Membership(_) if except.contains(ONLY_SLOT) => Ok(ApplyOutcome::Done(Vec::new())),
            Access::Assignment(assignment) => self.apply_assignment(plan, assignment, until).await,
            Access::Membership(membership) => self.apply_membership(membership, until).await,
        }
    }

    async fn revoke(&self, _: &str, plan: &Plan, known: &[Artifact], keep: SlotSet) -> Result<RevokeOutcome, ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        let outcome = match &plan.access {
            Access::User(user) => self.revoke_user(plan, user, known).await?,
            Access::Role(role) => self.revoke_role(plan, role, known).await?,
            Access::PermissionSet(set) => self.revoke_set(plan, set, known).await?,
            Access::Assignment(_) | Access::Membership(_) if keep.contains(ONLY_SLOT) && !self.was_renamed(plan, known).await? => {
                RevokeOutcome::Gone
            }
            Access::Assignment(assignment) => self.revoke_assignment(plan, assignment, known).await?,
            Access::Membership(membership) => self.revoke_membership(membership, known).await?,
        };
        if outcome == RevokeOutcome::Gone {
            self.ask_again_who_we_are();
        }
        Ok(outcome)
    }

    async fn poll(&self, operation: &Operation) -> Result<OperationState, ProviderError> {
        self.poll_operation(operation).await
    }

    async fn enforced_by(&self, plan: &Plan) -> Result<EnforcedBy, ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        match &plan.access {
            Access::User(user) => self.user_ended_by(plan, user).await,
            Access::Role(role) => self.role_ended_by(plan, role).await,
            Access::PermissionSet(set) => self.set_ended_by(plan, set).await,
            Access::Assignment(_) | Access::Membership(_) => Ok(EnforcedBy::Curfew),
        }
    }

    async fn denial(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.denial_of(plan_of(plan, &self.connection)?).await
    }

    async fn expire_now(&self, plan: &Plan, known: &[Artifact]) -> Result<(), ProviderError> {
        let plan = plan_of(plan, &self.connection)?;
        match &plan.access {
            Access::User(user) => self.expire_user(plan, user, known).await,
            Access::Role(role) => self.expire_role(plan, role, known).await,
            // What ends these before the deadline takes AWS as long as the revocation.
            Access::PermissionSet(_) | Access::Assignment(_) | Access::Membership(_) => Ok(()),
        }
    }

    async fn managed(&self) -> Result<Vec<ManagedObject>, ProviderError> {
        self.find_marked().await
    }

    async fn remove(&self, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
        self.remove_marked(found).await
    }

    async fn missing_rights(&self) -> Result<Vec<String>, ProviderError> {
        self.missing_everywhere().await
    }

    fn rights_file(&self) -> &'static str {
        rights::WHERE
    }

    async fn missing_right(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.missing_for(plan_of(plan, &self.connection)?).await
    }

    async fn refusal(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        self.refusal_of(plan_of(plan, &self.connection)?).await
    }
}
