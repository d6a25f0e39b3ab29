//! AuthorizationSystem: a system in which access is granted.
mod analytics;
mod aws;

pub use analytics::{
    Analytics, Band, BandCounts, Exceeded, FindingCount, Folder, LogDirectory, Pci, Score, Targets, TopIdentity, TrendDay, UsageSource,
};

pub use aws::{AssumeRole, AwsConnection, IdentityCenterInstance};

use super::schema;
use curfew_core::{
    fingerprint::Fingerprint,
    principal::{Mapping, Source, Subject},
    target::{Empty, ProviderKind},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A system in which access is granted.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "AuthorizationSystem",
    plural = "authorizationsystems",
    shortname = "authsys",
    category = "curfew",
    status = "AuthorizationSystemStatus",
    derive = "PartialEq",
    doc = "A system in which Curfew observes and grants access: a Kubernetes cluster, or an AWS account.",
    printcolumn(name = "Provider", type_ = "string", json_path = ".status.display.provider"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "PCI", type_ = "integer", json_path = ".status.pci.score"),
    printcolumn(name = "Band", type_ = "string", json_path = ".status.pci.band"),
    printcolumn(name = "7d", type_ = "integer", json_path = ".status.pci.change7d"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.grants.active"),
    printcolumn(name = "Overdue", type_ = "integer", json_path = ".status.grants.overdue")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.provider.aws) || has(self.principals)", "message": "an AWS account needs principals: it says which IAM user, role or user of IAM Identity Center a login is there"}]))]
pub struct AuthorizationSystemSpec {
    /// A name to show to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub display_name: Option<String>,
    /// `ReadOnly` observes and never grants; `ReadWrite` also grants. Revocation works in both modes.
    #[serde(default)]
    pub mode: Mode,
    /// The kind of system and how to reach it. Immutable: create another AuthorizationSystem for another target.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "provider is immutable; create another AuthorizationSystem for another target"}]))]
    pub provider: Provider,
    /// Fingerprints of the target that an administrator has confirmed. The address, the CA and the service account keys of a remote cluster are recorded when it is reached first. If one of them differs later, the connection may lead to a copy: nothing is granted, and no absence there ends a Grant, until the fingerprint that the `Ready` condition names is listed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 64, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub accepted_targets: Vec<String>,
    /// How a Kubernetes user maps to a principal of the target. Required for an AWS account: the name of an IAM user or of a user of IAM Identity Center, or for a role the ARN of an IAM user. In a Kubernetes target the principal is the user itself, and a system with this field is `Unsupported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principals: Option<Principals>,
    /// Accounts with standing access of their own, for the time when nothing else works. Curfew watches and never touches them: it gives them no access (`EmergencyAccount`) and takes none away, and their approvals and reviews do not count. Each use of such a login to create a request, a decision or an ActiveAssignment is told at once: a Warning Event, the alert CurfewEmergencyAccountUsed, the audit log. Names are those of logins, or of principals of the target. What the account does elsewhere is in the audit log of the API server alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub emergency_accounts: Vec<Subject>,
    /// Settings for usage analytics, which `curfew-analytics run` reads. Without them nothing is measured but who holds what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<Analytics>,
    /// `true` stops new grants and ends active access in this system.
    #[serde(default)]
    pub suspend: bool,
}

/// What Curfew may do in a system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Observe, never grant.
    #[default]
    ReadOnly,
    /// Observe and grant.
    ReadWrite,
}

/// The kind of system. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Provider {
    /// A Kubernetes cluster.
    Kubernetes(KubernetesConnection),
    /// An AWS account.
    Aws(AwsConnection),
    /// A simulated directory, for tests only.
    #[cfg(feature = "simulated")]
    #[schemars(skip)]
    Simulated(SimulatedConnection),
}

impl Provider {
    /// The kind of target.
    pub const fn kind(&self) -> ProviderKind {
        match self {
            Provider::Kubernetes(_) => ProviderKind::Kubernetes,
            Provider::Aws(_) => ProviderKind::Aws,
            #[cfg(feature = "simulated")]
            Provider::Simulated(_) => ProviderKind::Simulated,
        }
    }
}

/// How to reach a simulated directory.
#[cfg(feature = "simulated")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedConnection {
    /// The address of its HTTP server on loopback, such as `http://127.0.0.1:8080`.
    pub endpoint: String,
}

/// How to reach a Kubernetes cluster. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum KubernetesConnection {
    /// The cluster that Curfew runs in, with the operator's own service account.
    InCluster(Empty),
    /// A kubeconfig in a Secret of the operator's namespace. Only https, an inline CA, and an inline token or client certificate are accepted. The identity of the target is confirmed before observations are trusted.
    KubeconfigSecretRef(SecretKey),
}

/// A key of a Secret in the operator's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// `metadata.name` of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in the Secret's `data`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// How a Kubernetes user maps to a principal of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Principals {
    /// The source of the principal's name.
    pub source: PrincipalSource,
    /// A prefix to remove from the name. A name without it is not a principal of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub strip_prefix: Option<String>,
    /// A suffix to remove from the name. A name without it is not a principal of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub strip_suffix: Option<String>,
}

/// The source of a principal's name. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum PrincipalSource {
    /// The Kubernetes user name.
    Username(Empty),
    /// The value of this extra key of the login. It must be one of `identity.aliases.keys` of CurfewConfig, so that logins with one principal count as one person.
    ExtraKey(#[schemars(length(min = 1, max = 253))] String),
}

impl Principals {
    /// As the rules read it.
    pub fn mapping(&self) -> Mapping {
        let source = match &self.source {
            PrincipalSource::Username(_) => Source::Username,
            PrincipalSource::ExtraKey(key) => Source::ExtraKey(key.clone()),
        };
        Mapping { source, strip_prefix: self.strip_prefix.clone(), strip_suffix: self.strip_suffix.clone() }
    }
}

/// What was observed. Written only by the operator, and `pci`, `findings` and the conditions about them by `curfew-analytics run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationSystemStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Connected`, `Authorized` (the operator has the rights there that it needs to grant and to revoke), `GrantsAllowed`; of usage analytics `InventoryFresh` (who may do what is known) and `UsageFresh` (who did what is known). Where `pci` is missing, one of the latter two says why.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The identity of the target, as it reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// When an emergency account of this system was used last, as far as Curfew has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency_use: Option<EmergencyUse>,
    /// The Permission Creep Index, and what it is made of. Absent until it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci: Option<Pci>,
    /// How many findings there are of each type that has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub findings: Vec<FindingCount>,
    /// Numbers of Grants in this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<GrantCounts>,
    /// Values for the columns of `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<SystemDisplay>,
}

/// The identity of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The id that the target reports: for a Kubernetes cluster, the uid of its namespace kube-system.
    #[schemars(length(max = 512))]
    pub id: String,
    /// Where it was reached, its CA and its keys, as last confirmed. Absent for the cluster that Curfew runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// A use of an emergency account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmergencyUse {
    /// When the account created the object.
    pub at: Time,
    /// When a use was told last. The alert goes by it, so that a use while no operator ran is an alert, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Time>,
    /// The user name of the login.
    #[schemars(length(max = 1024))]
    pub login: String,
    /// The object, such as `ActivationRequest payments/db-x7k2p`.
    #[schemars(length(max = 1024))]
    pub object: String,
}

/// Numbers of Grants in a system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantCounts {
    /// Grants that have not ended.
    pub active: i32,
    /// Those of them that are past their deadline.
    pub overdue: i32,
}

/// Values for the columns of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemDisplay {
    /// Name of the provider.
    #[schemars(length(max = 32))]
    pub provider: String,
}
