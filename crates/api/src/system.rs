//! AuthorizationSystem: one place that holds permissions.
use super::schema;
use curfew_core::{
    duration::Period,
    principal::Subject,
    target::{Empty, ProviderKind},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One place that holds permissions.
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
    doc = "One place that holds permissions and may grant them: in this build a Kubernetes cluster.",
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
pub struct AuthorizationSystemSpec {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub display_name: Option<String>,
    /// `ReadOnly` discovers and scores and never grants; `ReadWrite` grants too. Revocation always works.
    #[serde(default)]
    pub mode: Mode,
    /// What kind of system it is and how to reach it. Immutable: another target is another system.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "provider is immutable: another target is another AuthorizationSystem"}]))]
    pub provider: Provider,
    /// How a Kubernetes user maps to a principal of the target. Not needed for Kubernetes, where it is the user itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principals: Option<Principals>,
    /// Accounts that stand and are never touched. It only describes: nothing in this build reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub emergency_accounts: Vec<Subject>,
    /// What is measured and aimed for. It only describes: nothing in this build reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analytics: Option<Analytics>,
    /// `true` stops new grants and ends what is active.
    #[serde(default)]
    pub suspend: bool,
}

/// What Curfew may do in a system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Discover and score, never grant.
    #[default]
    ReadOnly,
    /// Grant, too.
    ReadWrite,
}

/// What kind of system it is: exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Provider {
    /// A Kubernetes cluster.
    Kubernetes(KubernetesConnection),
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

/// How to reach a Kubernetes cluster: exactly one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum KubernetesConnection {
    /// The cluster that Curfew runs in, under its own service account.
    InCluster(Empty),
    /// A kubeconfig in a secret of the operator's namespace: https, inline CA, token or certificate only. Its target's identity is confirmed before anything it shows is believed.
    KubeconfigSecretRef(SecretKey),
}

/// A key of a secret in the operator's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// The secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// How a Kubernetes user maps to a principal of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Principals {
    /// Where the name comes from.
    pub source: PrincipalSource,
    /// Taken off the front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub strip_prefix: Option<String>,
    /// Taken off the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub strip_suffix: Option<String>,
}

/// Where a principal's name comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum PrincipalSource {
    /// The user name.
    Username(Empty),
    /// One extra key of the login.
    ExtraKey(#[schemars(length(min = 1, max = 253))] String),
}

/// What is measured and aimed for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analytics {
    /// How far back use counts, such as `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Period>,
    /// Scores to stay below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
}

/// Scores to stay below, 0 to 100, and how many super identities are too many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// The system's score.
    #[schemars(range(min = 0, max = 100))]
    pub system: u8,
    /// A person's.
    #[schemars(range(min = 0, max = 100))]
    pub human: u8,
    /// A guest's.
    #[schemars(range(min = 0, max = 100))]
    pub guest: u8,
    /// A workload's.
    #[schemars(range(min = 0, max = 100))]
    pub workload: u8,
    /// How many identities may hold nearly everything.
    #[schemars(range(min = 0, max = 10000))]
    pub super_identities: u16,
}

/// What Curfew has found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationSystemStatus {
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Connected`, `GrantsAllowed`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What the target really is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The Permission Creep Index. Not measured by this build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci: Option<Pci>,
    /// Live and overdue grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<GrantCounts>,
    /// For the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<SystemDisplay>,
}

/// What a target really is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Its own word for itself: of a Kubernetes cluster, the uid of its namespace kube-system.
    #[schemars(length(max = 512))]
    pub id: String,
}

/// The Permission Creep Index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pci {
    /// 0 (least) to 100 (most unused power).
    pub score: i32,
    /// Low, Medium or High.
    #[schemars(length(max = 16))]
    pub band: String,
    /// Change over seven days.
    #[serde(rename = "change7d", default, skip_serializing_if = "Option::is_none")]
    pub change_7d: Option<i32>,
}

/// Live and overdue grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrantCounts {
    /// Grants that are not ended.
    pub active: i32,
    /// Of these, past their deadline.
    pub overdue: i32,
}

/// For the columns of kubectl.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemDisplay {
    /// The provider in one word.
    #[schemars(length(max = 32))]
    pub provider: String,
}
