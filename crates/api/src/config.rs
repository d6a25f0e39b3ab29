//! CurfewConfig: one for the cluster.
use super::schema;
use curfew_core::{
    admission::{AdmissionHistory, Span},
    digest::Digest,
    duration::{Duration, Period},
    target::Empty,
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ceilings, retention and identity settings of this cluster. There is one, named `curfew`; without it nothing is granted.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "CurfewConfig",
    plural = "curfewconfigs",
    category = "curfew",
    status = "CurfewConfigStatus",
    derive = "PartialEq",
    doc = "How Curfew works in this cluster: ceilings, retention, identity. There is one, named curfew; without it nothing is granted, and revocation goes on.",
    printcolumn(name = "Admission", type_ = "string", json_path = ".status.conditions[?(@.type==\"AdmissionEnforced\")].status"),
    printcolumn(name = "Clock", type_ = "string", json_path = ".status.conditions[?(@.type==\"ClockSynced\")].status"),
    printcolumn(name = "Audit", type_ = "string", json_path = ".status.conditions[?(@.type==\"AuditDelivered\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct CurfewConfigSpec {
    /// What nobody gets more of, whatever a policy says.
    pub ceilings: Ceilings,
    /// How long ended Grants are kept, and decisions about what is gone, counted from when they were made; such as `30d`.
    pub retention: Period,
    /// How people are told apart.
    pub identity: Identity,
    /// Thumbprints of service account keys that a person has confirmed. A cluster whose keys have none in common with
    /// `status.clusterKeys` counts as a clone, such as a restored backup, and grants nothing until one of its keys stands here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 16, max = 16)), extend("x-kubernetes-list-type" = "set"))]
    pub accepted_cluster_keys: Vec<String>,
    /// Where evidence goes. Default: the operator's standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// What nobody gets more of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceilings {
    /// The longest that any access may last, such as `24h`.
    pub duration: Duration,
}

/// How people are told apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Where a login says how it was authenticated. It only describes; a rule that asks for MFA is `Unsupported` in this build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<MfaKeys>,
    /// Which extra keys name the same person behind two logins, or `none: {}`.
    pub aliases: Keys,
    /// Which extra keys a decider's login must carry to count, or `none: {}`. A plain impersonation carries none.
    pub decider_proof: Keys,
}

/// Extra keys, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Keys {
    /// These keys of `userInfo.extra`.
    Keys(#[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))] Vec<String>),
    /// None, said in words.
    None(Empty),
}

impl Keys {
    /// The keys; an empty list for none.
    pub fn list(&self) -> Vec<String> {
        match self {
            Keys::Keys(k) => k.clone(),
            Keys::None(_) => Vec::new(),
        }
    }
}

/// Where a login says how it was authenticated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MfaKeys {
    /// The extra key that lists the methods used, such as an OIDC `amr` claim.
    #[schemars(length(min = 1, max = 253))]
    pub methods_key: String,
    /// The methods that count as MFA.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub methods: Vec<String>,
    /// The extra key that says when the person authenticated, in seconds since the epoch.
    #[schemars(length(min = 1, max = 253))]
    pub time_key: String,
}

/// Where evidence goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// Sinks, each of which gets every record. While one of them does not take records, nothing new is granted; revocation goes on.
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub sinks: Vec<Sink>,
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Sink {
    /// The operator's standard output, which carries nothing else.
    Stdout(Empty),
    /// A file of JSON lines.
    File(FileSink),
    /// An HTTP endpoint.
    Http(HttpSink),
}

/// A file of JSON lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileSink {
    /// The file's path in the operator's container, where it must be writable: a volume.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// An HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSink {
    /// The secret in the operator's namespace that holds the URL.
    pub url_secret_ref: super::system::SecretKey,
}

/// What Curfew has found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurfewConfigStatus {
    /// The generation that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `AdmissionEnforced`, `ClockSynced`, `AuditDelivered`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The admission policies as they were last proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<AdmissionStatus>,
    /// Thumbprints of the keys that sign this cluster's service account tokens: how a clone is told from the original.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub cluster_keys: Vec<String>,
    /// The heads of the chains of evidence, by writer: what a truncated file cannot hide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["writer"]))]
    pub audit_heads: Vec<AuditHead>,
}

/// How far one writer's chain of evidence has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditHead {
    /// The writer: one process of one replica.
    #[schemars(length(min = 1, max = 128))]
    pub writer: String,
    /// The number of its last record.
    pub sequence: i64,
    /// The hash of that record.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// When it was anchored.
    pub at: Time,
}

/// The admission policies as they were last proven.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionStatus {
    /// Since when they are in force without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Digest over uid, generation and content of the live policies, bindings and CRDs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When that was proven last; stored once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<Time>,
    /// The times before in which they were in force. What was created outside of all of them and not accepted is `Invalid` for ever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub past: Vec<AdmissionSpan>,
}

/// A time in which the admission policies were in force without a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdmissionSpan {
    /// From here on.
    pub since: Time,
    /// Proven last.
    pub until: Time,
}

impl AdmissionStatus {
    /// As the rules read it.
    pub fn to_core(&self) -> AdmissionHistory {
        let past = self.past.iter().map(|s| Span { since: s.since, until: s.until }).collect();
        AdmissionHistory { since: self.since, proven: self.proven, confirmed: None, digest: self.digest, past }
    }
    /// As it is stored.
    pub fn from_core(g: &AdmissionHistory) -> Self {
        let past = g.past.iter().map(|s| AdmissionSpan { since: s.since, until: s.until }).collect();
        AdmissionStatus { since: g.since, digest: g.digest, proven: g.proven, past }
    }
}
