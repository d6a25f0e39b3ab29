//! What the rules know of a target, as data: one enum over the providers for each thing that differs between them.
//!
//! A rule outside this module never names a provider. It calls a method of one of these enums, and the method calls the
//! function of that name in the provider's file. Values of different providers never match: they share no scope, allow
//! nothing of each other and are never equal.
//!
//! | Type | What it is |
//! |---|---|
//! | [`PermissionsByProvider`], [`ScopeByProvider`] | what a template, a policy or a request says, as it is written |
//! | [`Permissions`], [`Scope`] | the part of it that concerns one provider |
//! | [`Inventory`] | what the target holds of it now |
//! | [`GrantedPermissions`], [`GrantedScope`] | what an approval is about: the same, with the content frozen |
//! | [`Principal`] | who holds the access, in the target's terms |
//! | [`Plan`] | what a Grant writes |
//! | [`Guarantees`], [`SlotSet`], [`Content`] | what the protocol knows of it, in `guarantees.rs` |
//!
//! To add a provider: a file here with the same functions and types as [`kubernetes`], a variant in each of these enums, and an
//! arm in the two dispatching macros.
mod guarantees;
pub mod kubernetes;
#[cfg(feature = "simulated")]
pub mod simulated;
pub mod sources;

pub use guarantees::{Content, Fence, Guarantees, Held, PlanNames, SlotSet};

use crate::{principal::Subject, time::Time};
use serde::{Deserialize, Serialize};

/// An empty choice, written `{}`: the name of the member is the whole information.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Empty {}

/// Why a template's permissions and scope cannot be resolved at a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unresolvable {
    /// Something that the template names does not exist at the target, or contradicts itself. The text names it.
    NotReady(String),
    /// The narrowed scope reaches none of the permissions.
    NothingReached,
    /// What is held allows more than what was frozen. The text names it.
    Changed(String),
}

/// Calls a function of the provider's module: `p` stands for that module, `$x` for what the variant holds.
macro_rules! dispatch {
    ($value:expr, $enum:ident($x:ident) => $body:expr) => {
        match $value {
            $enum::Kubernetes($x) => {
                use kubernetes as p;
                $body
            }
            #[cfg(feature = "simulated")]
            $enum::Simulated($x) => {
                use simulated as p;
                $body
            }
        }
    };
}

/// Like [`dispatch`] for several values, which match only if they are of one provider.
macro_rules! dispatch_matching {
    ($($value:expr, $enum:ident($x:ident));+ => $body:expr, else $other:expr) => {
        match ($($value),+) {
            ($($enum::Kubernetes($x)),+) => {
                use kubernetes as p;
                $body
            }
            #[cfg(feature = "simulated")]
            ($($enum::Simulated($x)),+) => {
                use simulated as p;
                $body
            }
            #[cfg(feature = "simulated")]
            _ => $other,
        }
    };
}

/// A kind of target system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProviderKind {
    /// A Kubernetes cluster.
    Kubernetes,
    /// A directory of group memberships, for tests.
    #[cfg(feature = "simulated")]
    Simulated,
}

impl ProviderKind {
    /// The name as it stands in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProviderKind::Kubernetes => "kubernetes",
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => "simulated",
        }
    }
    /// The scope that names no place: enough to read permissions alone.
    pub fn placeless_scope(self) -> Scope {
        match self {
            ProviderKind::Kubernetes => Scope::Kubernetes(kubernetes::Scope::ClusterWide(Empty {})),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => Scope::Simulated(simulated::Scope::default()),
        }
    }
    /// What may outlive the end of an access there, in words.
    pub const fn session_tail(self) -> &'static str {
        match self {
            ProviderKind::Kubernetes => kubernetes::SESSION_TAIL,
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => simulated::SESSION_TAIL,
        }
    }
    /// The principal of a subject, where the target knows subjects under their own names.
    pub fn principal(self, subject: &Subject) -> Principal {
        match self {
            ProviderKind::Kubernetes => Principal::Kubernetes(subject.clone()),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => Principal::Simulated(simulated::principal(subject)),
        }
    }
}

/// What a role holds, by provider. At least one provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
pub struct PermissionsByProvider {
    /// ClusterRoles and Roles of a Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<kubernetes::Permissions>,
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<simulated::Permissions>,
}

impl PermissionsByProvider {
    /// The first name in a policy that looks like a pattern and allows nothing.
    pub fn not_a_pattern(&self) -> Option<&str> {
        self.kubernetes.as_ref().and_then(kubernetes::not_a_pattern)
    }
    /// The part that concerns one provider; `None` where it is left out.
    pub fn of(&self, provider: ProviderKind) -> Option<Permissions> {
        match provider {
            ProviderKind::Kubernetes => self.kubernetes.clone().map(Permissions::Kubernetes),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => self.simulated.clone().map(Permissions::Simulated),
        }
    }
}

/// How far a role reaches, by provider. At least one provider; one that is left out is out of reach.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
pub struct ScopeByProvider {
    /// The scope in a Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<kubernetes::Scope>,
    /// The scope in the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<simulated::Scope>,
}

impl ScopeByProvider {
    /// The part that concerns one provider; `None` where it is left out.
    pub fn of(&self, provider: ProviderKind) -> Option<Scope> {
        match provider {
            ProviderKind::Kubernetes => self.kubernetes.clone().map(Scope::Kubernetes),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => self.simulated.clone().map(Scope::Simulated),
        }
    }
}

/// What CurfewConfig says about the targets of each provider.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SettingsByProvider {
    /// Of Kubernetes clusters.
    pub kubernetes: kubernetes::Settings,
}

/// What a role holds at targets of one provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Permissions {
    /// ClusterRoles and Roles of a Kubernetes cluster.
    Kubernetes(kubernetes::Permissions),
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    Simulated(simulated::Permissions),
}

/// How far a role reaches at targets of one provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Namespaces of a Kubernetes cluster, or all of it.
    Kubernetes(kubernetes::Scope),
    /// The simulated directory.
    #[cfg(feature = "simulated")]
    Simulated(simulated::Scope),
}

/// What a target holds now of what a template names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inventory {
    /// Roles and namespaces of a Kubernetes cluster.
    Kubernetes(kubernetes::Inventory),
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    Simulated(simulated::Inventory),
}

/// The permissions with their content, as frozen for an approval.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum GrantedPermissions {
    /// Roles of a Kubernetes cluster.
    Kubernetes(kubernetes::GrantedPermissions),
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::GrantedPermissions),
}

/// The scope with the uids of what it names, as frozen for an approval.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum GrantedScope {
    /// Namespaces of a Kubernetes cluster, or all of it.
    Kubernetes(kubernetes::GrantedScope),
    /// The simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::Scope),
}

/// Who holds the access, in the target's terms.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Principal {
    /// The user, group or service account itself.
    Kubernetes(Subject),
    /// A member of the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::Principal),
}

/// What a Grant writes into its target.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Plan {
    /// Bindings in a Kubernetes cluster.
    Kubernetes(kubernetes::Plan),
    /// Memberships in the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::Plan),
}

impl Scope {
    /// The provider that this concerns.
    pub const fn provider(&self) -> ProviderKind {
        match self {
            Scope::Kubernetes(_) => ProviderKind::Kubernetes,
            #[cfg(feature = "simulated")]
            Scope::Simulated(_) => ProviderKind::Simulated,
        }
    }
    /// The first thing that reaches beyond `outer`, in words; `None` if all of it is inside.
    pub fn beyond(&self, outer: &Scope) -> Option<String> {
        dispatch_matching!(self, Scope(a); outer, Scope(b) => p::beyond(a, b), else Some(format!("systems of provider {}", self.provider().as_str())))
    }
    /// What both reach; `None` if they share nothing.
    pub fn intersection(&self, other: &Scope) -> Option<Scope> {
        match (self, other) {
            (Scope::Kubernetes(a), Scope::Kubernetes(b)) => kubernetes::intersection(a, b).map(Scope::Kubernetes),
            #[cfg(feature = "simulated")]
            (Scope::Simulated(a), Scope::Simulated(b)) => simulated::intersection(a, b).map(Scope::Simulated),
            #[cfg(feature = "simulated")]
            _ => None,
        }
    }
}

impl Inventory {
    /// Of a target that holds nothing of it.
    pub fn empty(provider: ProviderKind) -> Self {
        match provider {
            ProviderKind::Kubernetes => Inventory::Kubernetes(kubernetes::Inventory::default()),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => Inventory::Simulated(simulated::Inventory::default()),
        }
    }
}

impl Permissions {
    /// The first permission that a policy's patterns do not allow, in words.
    pub fn not_allowed(&self, patterns: &Permissions) -> Option<String> {
        dispatch_matching!(self, Permissions(a); patterns, Permissions(b) => p::not_allowed(a, b), else Some("permissions of another provider".into()))
    }
    /// The first permission of `held` that these do not name, in words.
    pub fn lacks(&self, held: &Permissions) -> Option<String> {
        dispatch_matching!(self, Permissions(a); held, Permissions(b) => p::lacks(a, b), else Some("permissions of another provider".into()))
    }
    /// Whether every permission and every place in the scope exists.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn check(&self, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
        dispatch_matching!(self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::check(a, b, c), else Err(MIXED.into()))
    }
    /// Whether every permission that is named exists and can be granted in the scope.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn check_permissions(&self, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
        dispatch_matching!(
            self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::check_permissions(a, b, c), else Err(MIXED.into())
        )
    }
    /// Why every grant would fail although all that is named exists, in words.
    pub fn obstacle(&self, scope: &Scope, inventory: &Inventory) -> Option<String> {
        dispatch_matching!(self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::obstacle(a, b, c), else Some(MIXED.into()))
    }
    /// What is named and gives nothing in the scope, in words.
    pub fn ineffective(&self, scope: &Scope, inventory: &Inventory) -> Option<String> {
        dispatch_matching!(self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::ineffective(a, b, c), else None)
    }
    /// What would be granted in the scope, with the content as it is now.
    ///
    /// # Errors
    /// What is missing, or that the scope reaches none of the permissions.
    pub fn resolve(&self, scope: &Scope, inventory: &Inventory) -> Result<(GrantedPermissions, GrantedScope), Unresolvable> {
        match (self, scope, inventory) {
            (Permissions::Kubernetes(a), Scope::Kubernetes(b), Inventory::Kubernetes(c)) => {
                kubernetes::resolve(a, b, c).map(|(p, s)| (GrantedPermissions::Kubernetes(p), GrantedScope::Kubernetes(s)))
            }
            #[cfg(feature = "simulated")]
            (Permissions::Simulated(a), Scope::Simulated(b), Inventory::Simulated(c)) => {
                simulated::resolve(a, b, c).map(|(p, s)| (GrantedPermissions::Simulated(p), GrantedScope::Simulated(s)))
            }
            #[cfg(feature = "simulated")]
            _ => Err(Unresolvable::NotReady(MIXED.into())),
        }
    }
    /// What the holder could create that outlives the grant, in words; `None` if everything ends with it. Permissions of
    /// another provider than the scope and the inventory outlive nothing: they resolve to nothing either.
    pub fn persistence(&self, scope: &Scope, inventory: &Inventory, operator_namespace: &str) -> Option<String> {
        dispatch_matching!(
            self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::persistence(a, b, c, operator_namespace), else Some(MIXED.into())
        )
    }
    /// The widest plan of a template, without names and principal, only to ask which rights the operator lacks.
    pub fn probe(&self, scope: &Scope) -> Option<Plan> {
        match (self, scope) {
            (Permissions::Kubernetes(a), Scope::Kubernetes(b)) => Some(Plan::Kubernetes(kubernetes::probe(a, b))),
            #[cfg(feature = "simulated")]
            (Permissions::Simulated(a), Scope::Simulated(_)) => Some(Plan::Simulated(simulated::probe(a))),
            #[cfg(feature = "simulated")]
            _ => None,
        }
    }
}

impl GrantedPermissions {
    /// The provider that these concern.
    pub const fn provider(&self) -> ProviderKind {
        match self {
            GrantedPermissions::Kubernetes(_) => ProviderKind::Kubernetes,
            #[cfg(feature = "simulated")]
            GrantedPermissions::Simulated(_) => ProviderKind::Simulated,
        }
    }
    /// Each permission with the digest of its content, in words, for the audit log.
    pub fn privileges(&self) -> Vec<String> {
        dispatch!(self, GrantedPermissions(a) => p::granted_privileges(a))
    }
    /// The names of what is held.
    pub fn named(&self) -> Permissions {
        match self {
            GrantedPermissions::Kubernetes(a) => Permissions::Kubernetes(kubernetes::named_permissions(a)),
            #[cfg(feature = "simulated")]
            GrantedPermissions::Simulated(a) => Permissions::Simulated(simulated::named_permissions(a)),
        }
    }
    /// With the digests of contents alone, as schema 2 has them.
    #[must_use]
    pub fn without_content(&self) -> Self {
        let mut all = self.clone();
        match &mut all {
            GrantedPermissions::Kubernetes(a) => a.roles.iter_mut().for_each(|role| role.content.clear()),
            #[cfg(feature = "simulated")]
            GrantedPermissions::Simulated(_) => {}
        }
        all
    }
    /// What is left at the target of what an active grant holds.
    ///
    /// # Errors
    /// What allows more than what was frozen, or that nothing is left.
    pub fn held(&self, scope: &GrantedScope, inventory: &Inventory) -> Result<Held, Unresolvable> {
        dispatch_matching!(
            self, GrantedPermissions(a); scope, GrantedScope(b); inventory, Inventory(c) => p::held(a, b, c), else Err(Unresolvable::NotReady(MIXED.into()))
        )
    }
    /// The first permission that differs from these, in words.
    pub fn changed_since(&self, frozen: &GrantedPermissions) -> Option<String> {
        dispatch_matching!(self, GrantedPermissions(a); frozen, GrantedPermissions(b) => p::changed_since(a, b), else None)
    }
    /// How the content of what a plan gives stands now, compared with these.
    pub fn content(&self, plan: &Plan, inventory: &Inventory) -> Content {
        dispatch_matching!(self, GrantedPermissions(a); plan, Plan(b); inventory, Inventory(c) => p::content(a, b, c), else Content::Unknown)
    }
}

impl GrantedScope {
    /// The scope by names.
    pub fn named(&self) -> Scope {
        match self {
            GrantedScope::Kubernetes(a) => Scope::Kubernetes(kubernetes::named_scope(a)),
            #[cfg(feature = "simulated")]
            GrantedScope::Simulated(a) => Scope::Simulated(a.clone()),
        }
    }
    /// The scope in words, for people.
    pub fn in_words(&self) -> String {
        dispatch!(self, GrantedScope(a) => p::scope_in_words(a))
    }
}

impl Principal {
    /// The principal's name, for people and for the audit log.
    pub fn name(&self) -> String {
        match self {
            Principal::Kubernetes(subject) => subject.principal(),
            #[cfg(feature = "simulated")]
            Principal::Simulated(principal) => principal.member.clone(),
        }
    }
}

impl Plan {
    /// The plan of a grant. `None` if permissions, scope and principal are of different providers.
    pub fn of(permissions: &GrantedPermissions, scope: &GrantedScope, principal: &Principal, names: PlanNames<'_>) -> Option<Plan> {
        match (permissions, scope, principal) {
            (GrantedPermissions::Kubernetes(a), GrantedScope::Kubernetes(b), Principal::Kubernetes(c)) => {
                Some(Plan::Kubernetes(kubernetes::plan(a, b, c, names)))
            }
            #[cfg(feature = "simulated")]
            (GrantedPermissions::Simulated(a), GrantedScope::Simulated(_), Principal::Simulated(c)) => {
                Some(Plan::Simulated(simulated::plan(a, c, names)))
            }
            #[cfg(feature = "simulated")]
            _ => None,
        }
    }
    /// The plan as it is written under these settings. It keeps them: a later change concerns new plans alone.
    #[must_use]
    pub fn configured(self, settings: &SettingsByProvider) -> Plan {
        match self {
            Plan::Kubernetes(plan) => Plan::Kubernetes(kubernetes::configured(plan, settings)),
            #[cfg(feature = "simulated")]
            Plan::Simulated(plan) => Plan::Simulated(plan),
        }
    }
    /// Whether two plans give the same access, however they were configured.
    pub fn gives_the_same(&self, other: &Plan) -> bool {
        match (self, other) {
            (Plan::Kubernetes(a), Plan::Kubernetes(b)) => kubernetes::gives_the_same(a, b),
            #[cfg(feature = "simulated")]
            _ => self == other,
        }
    }
    /// What the plan needs from the protocol.
    pub fn guarantees(&self) -> Guarantees {
        dispatch!(self, Plan(a) => p::guarantees(a))
    }
    /// The key of each slot, in order. Two plans on one target fill the same slot if the keys are equal.
    pub fn slots(&self) -> Vec<String> {
        dispatch!(self, Plan(a) => p::slots(a))
    }
    /// The parts of the plan whose content is compared while it is active, in words.
    pub fn parts(&self) -> Vec<String> {
        dispatch!(self, Plan(a) => p::parts_in_words(a))
    }
    /// The objects of the operator's own cluster from which the content of the plan is read, if it is of that cluster.
    pub fn content_sources(&self) -> Vec<sources::ContentSource> {
        match self {
            Plan::Kubernetes(a) => sources::plan_sources(a),
            #[cfg(feature = "simulated")]
            Plan::Simulated(_) => Vec::new(),
        }
    }
    /// The deadline that the plan was made with. It does not move when the Grant's end is brought forward.
    pub fn planned_deadline(&self) -> Option<Time> {
        dispatch!(self, Plan(a) => p::planned_deadline(a))
    }
    /// Each permission in words, for the audit log.
    pub fn privileges(&self) -> Vec<String> {
        dispatch!(self, Plan(a) => p::privileges(a))
    }
}

/// Said of permissions, scope and inventory that do not belong together.
#[cfg(feature = "simulated")]
const MIXED: &str = "permissions and scope are of different providers";
