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
//! The enums with one variant for each provider are in `values.rs`.
//!
//! To add a provider: a file here with the same functions and types as [`kubernetes`], a variant in each of these enums, and an
//! arm in the two dispatching macros.
pub mod aws;
mod guarantees;
pub mod kubernetes;
pub mod patterns;
#[cfg(feature = "simulated")]
pub mod simulated;
pub mod sources;

pub use guarantees::{Content, Fence, Guarantees, Held, PlanNames, SlotSet};
pub use values::{GrantedPermissions, GrantedScope, Inventory, Permissions, Plan, Principal, Scope};

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
                use $crate::target::kubernetes as p;
                $body
            }
            $enum::Aws($x) => {
                use $crate::target::aws as p;
                $body
            }
            #[cfg(feature = "simulated")]
            $enum::Simulated($x) => {
                use $crate::target::simulated as p;
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
                use $crate::target::kubernetes as p;
                $body
            }
            ($($enum::Aws($x)),+) => {
                use $crate::target::aws as p;
                $body
            }
            #[cfg(feature = "simulated")]
            ($($enum::Simulated($x)),+) => {
                use $crate::target::simulated as p;
                $body
            }
            _ => $other,
        }
    };
}

// Below the macros, which they use.
mod narrower;
mod values;

/// A kind of target system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProviderKind {
    /// A Kubernetes cluster.
    Kubernetes,
    /// An AWS account.
    Aws,
    /// A directory of group memberships, for tests.
    #[cfg(feature = "simulated")]
    Simulated,
}

impl ProviderKind {
    /// Every provider of this build.
    pub const ALL: &'static [ProviderKind] = &[
        ProviderKind::Kubernetes,
        ProviderKind::Aws,
        #[cfg(feature = "simulated")]
        ProviderKind::Simulated,
    ];
    /// The name as it stands in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProviderKind::Kubernetes => "kubernetes",
            ProviderKind::Aws => "aws",
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => "simulated",
        }
    }
    /// The scope that names no place: enough to read permissions alone.
    pub fn placeless_scope(self) -> Scope {
        match self {
            ProviderKind::Kubernetes => Scope::Kubernetes(kubernetes::Scope::ClusterWide(Empty {})),
            ProviderKind::Aws => Scope::Aws(aws::Scope::account()),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => Scope::Simulated(simulated::Scope::default()),
        }
    }
    /// What may outlive the end of an access there, in words.
    pub const fn session_tail(self) -> &'static str {
        match self {
            ProviderKind::Kubernetes => kubernetes::SESSION_TAIL,
            ProviderKind::Aws => aws::SESSION_TAIL,
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => simulated::SESSION_TAIL,
        }
    }
    /// Whether a group can hold access there, under its name in Kubernetes.
    pub const fn knows_groups(self) -> bool {
        match self {
            ProviderKind::Kubernetes => true,
            ProviderKind::Aws => false,
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => false,
        }
    }
    /// Whether people have other names there, so that `spec.principals` of the system must say which.
    pub const fn maps_principals(self) -> bool {
        match self {
            ProviderKind::Aws => true,
            ProviderKind::Kubernetes => false,
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => false,
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
    /// Policies of an AWS account, or what IAM Identity Center gives there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<aws::Permissions>,
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<simulated::Permissions>,
}

impl PermissionsByProvider {
    /// The first name in a policy that looks like a pattern and allows nothing.
    pub fn not_a_pattern(&self) -> Option<&str> {
        let of_aws = || self.aws.as_ref().and_then(aws::not_a_pattern);
        self.kubernetes.as_ref().and_then(kubernetes::not_a_pattern).or_else(of_aws)
    }
    /// The part that concerns one provider; `None` where it is left out.
    pub fn of(&self, provider: ProviderKind) -> Option<Permissions> {
        match provider {
            ProviderKind::Kubernetes => self.kubernetes.clone().map(Permissions::Kubernetes),
            ProviderKind::Aws => self.aws.clone().map(Permissions::Aws),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => self.simulated.clone().map(Permissions::Simulated),
        }
    }
    /// Every part that is there.
    pub fn entries(&self) -> impl Iterator<Item = Permissions> + '_ {
        ProviderKind::ALL.iter().filter_map(|provider| self.of(*provider))
    }
}

/// How far a role reaches, by provider. At least one provider; one that is left out is out of reach.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
pub struct ScopeByProvider {
    /// The scope in a Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<kubernetes::Scope>,
    /// The scope in an AWS account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<aws::Scope>,
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
            ProviderKind::Aws => self.aws.clone().map(Scope::Aws),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => self.simulated.clone().map(Scope::Simulated),
        }
    }
    /// Every part that is there.
    pub fn entries(&self) -> impl Iterator<Item = Scope> + '_ {
        ProviderKind::ALL.iter().filter_map(|provider| self.of(*provider))
    }
}

/// What CurfewConfig says about the targets of each provider.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SettingsByProvider {
    /// Of Kubernetes clusters.
    pub kubernetes: kubernetes::Settings,
}
