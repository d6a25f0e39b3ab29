//! CurfewConfig: the configuration of Curfew in a cluster.
use super::{notifications::Notifications, schema};
use curfew_core::{
    admission::{AdmissionHistory, Span},
    conditions::{LoginKeys, mfa},
    digest::Digest,
    duration::{Duration, Period},
    principal::{self, Recognition},
    target::{Empty, SettingsByProvider, kubernetes},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The ceilings, retention and identity settings of a cluster. The only object is named `curfew`; without it nothing is granted.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "curfew.dev",
    version = "v1alpha1",
    kind = "CurfewConfig",
    plural = "curfewconfigs",
    category = "curfew",
    status = "CurfewConfigStatus",
    derive = "PartialEq",
    doc = "The configuration of Curfew in this cluster: ceilings, retention, identity, audit. The only object is named curfew. Without it nothing is granted; revocation continues.",
    printcolumn(name = "Admission", type_ = "string", json_path = ".status.conditions[?(@.type==\"AdmissionEnforced\")].status"),
    printcolumn(name = "Clock", type_ = "string", json_path = ".status.conditions[?(@.type==\"ClockSynced\")].status"),
    printcolumn(name = "Audit", type_ = "string", json_path = ".status.conditions[?(@.type==\"AuditDelivered\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct CurfewConfigSpec {
    /// Limits that apply to all access. An AccessPolicy cannot raise them.
    pub ceilings: Ceilings,
    /// How long Grants are kept after their end, and AccessDecisions after their creation once their request or Grant is deleted; such as `30d`. Also the longest time for which an ended request is kept. AccessDecisions about nothing are kept for an hour.
    pub retention: Period,
    /// How the operator recognises people and their logins.
    pub identity: Identity,
    /// Thumbprints of service account signing keys that an administrator has confirmed. If the keys of this cluster and `status.clusterKeys`
    /// have none in common, the cluster is treated as a clone, such as a restored backup, and grants nothing until one of its keys is listed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 64, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub accepted_cluster_keys: Vec<String>,
    /// Settings of Kubernetes targets. Default: a Job fuse as built. A Grant keeps the settings with which it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<kubernetes::Settings>,
    /// Where audit records are sent. Default: the operator's standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Who is notified by chat, e-mail or webhook, and of what. Default: nobody. Kubernetes Events are published in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,
}

impl CurfewConfigSpec {
    /// The settings of targets, by provider.
    pub fn settings(&self) -> SettingsByProvider {
        SettingsByProvider { kubernetes: self.kubernetes.clone().unwrap_or_default() }
    }
}

/// Limits that apply to all access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceilings {
    /// The longest duration of any access, such as `24h`.
    pub duration: Duration,
}

/// How the operator recognises people and their logins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Which extra keys of a login prove its MFA. A RoleTemplate that requires MFA is not Ready without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<MfaKeys>,
    /// Which extra key of a login lists the authentication contexts that it satisfies. A RoleTemplate that requires one is not Ready without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_context: Option<AuthenticationContextKey>,
    /// The extra keys whose values identify the person, so that two logins of one person are recognised; or `none: {}`.
    pub aliases: Aliases,
    /// Whether one uid is one person. Two logins with an equal uid are the same person only where uids are `personal`.
    pub uids: Uids,
    /// The extra keys that the login of a decider must have for the decision to count, or `none: {}`. An impersonated login usually has none.
    pub decider_proof: Keys,
}

/// Whether one uid is one person. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Uids {
    /// One uid is one person, so that nobody approves under a second name with the same uid. Also right where logins have no uid.
    Personal(Empty),
    /// One uid may be several people, such as a role of a cloud account on EKS: it says nothing about the person. Name an extra key in `aliases` that does, or people are told apart by their user names alone.
    Shared(Empty),
}

impl Identity {
    /// How one person is recognised behind two logins.
    pub fn recognition(&self) -> Recognition {
        let uids = match self.uids {
            Uids::Personal(_) => principal::Uids::Personal,
            Uids::Shared(_) => principal::Uids::Shared,
        };
        Recognition { alias_keys: self.aliases.list(), uids, login_keys: self.login_keys() }
    }
    /// The extra keys that say how a login was authenticated.
    pub fn login_keys(&self) -> LoginKeys {
        let mfa = self.mfa.clone().map(|MfaKeys { methods_key, methods, time_key }| mfa::Keys { methods_key, methods, time_key });
        LoginKeys { mfa, authentication_context: self.authentication_context.as_ref().map(|context| context.key.clone()) }
    }
    /// Every extra key that is configured, once, in order. The API server records these of a login, and no others.
    pub fn recorded_keys(&self) -> Vec<String> {
        let mfa = self.mfa.iter().flat_map(|mfa| [mfa.methods_key.clone(), mfa.time_key.clone()]);
        let context = self.authentication_context.iter().map(|context| context.key.clone());
        let keys: BTreeSet<String> = mfa.chain(context).chain(self.aliases.list()).chain(self.decider_proof.list()).collect();
        keys.into_iter().collect()
    }
}

/// The extra keys by which two logins of one person are recognised, or none. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Aliases {
    /// These keys of `userInfo.extra`. Their values are not user names, so nobody can request access for another person: it would not be known which logins are that person's.
    Keys(#[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))] Vec<String>),
    /// These keys of `userInfo.extra`, where each login of a person carries the user name by which AccessPolicies and EligibleAssignments name that person. Then access can be requested for another person, and none of that person's logins can approve it.
    UserNameKeys(
        #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))] Vec<String>,
    ),
    /// No keys: each person has one user name. Explicit, so that an omitted field is an error.
    None(Empty),
}

impl Aliases {
    /// The keys, or an empty list for `none`.
    pub fn list(&self) -> Vec<String> {
        match self {
            Aliases::Keys(keys) | Aliases::UserNameKeys(keys) => keys.clone(),
            Aliases::None(_) => Vec::new(),
        }
    }
    /// Whether the values under the keys are the user names by which people are named.
    pub const fn are_names(&self) -> bool {
        match self {
            Aliases::UserNameKeys(_) => true,
            Aliases::Keys(_) | Aliases::None(_) => false,
        }
    }
}

/// A list of extra keys, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Keys {
    /// These keys of `userInfo.extra`.
    Keys(#[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))] Vec<String>),
    /// No keys. Explicit, so that an omitted field is an error.
    None(Empty),
}

impl Keys {
    /// The keys, or an empty list for `none`.
    pub fn list(&self) -> Vec<String> {
        match self {
            Keys::Keys(k) => k.clone(),
            Keys::None(_) => Vec::new(),
        }
    }
}

/// The extra key that lists authentication contexts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuthenticationContextKey {
    /// The extra key, such as one for Entra's claim `acrs`. Its values are a list, one text that holds the JSON list, or one text with blanks between the contexts.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The extra keys of a login that prove its MFA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MfaKeys {
    /// The extra key that lists the authentication methods, such as one for an OIDC `amr` claim. Its values are a list, one text that holds the JSON list, or one text with blanks between the methods.
    #[schemars(length(min = 1, max = 253))]
    pub methods_key: String,
    /// The methods that count as MFA. One of them is enough; they are compared exactly.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = [{"rule": schema::ONE_CLAIM_EACH, "message": schema::ONE_CLAIM_MESSAGE}]))]
    pub methods: Vec<String>,
    /// The extra key that holds the time of the authentication, in seconds since the Unix epoch, such as one for an OIDC `auth_time` claim. A login with several values under it has no MFA.
    #[schemars(length(min = 1, max = 253))]
    pub time_key: String,
}

/// Where audit records are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// The audit sinks. Each receives every record. While one of them does not accept records, nothing new is granted; revocation continues.
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "atomic"))]
    pub sinks: Vec<Sink>,
}

/// An audit sink. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Sink {
    /// The operator's standard output. Logs go to standard error.
    Stdout(Empty),
    /// A file, one JSON object per line.
    File(FileSink),
    /// An HTTP endpoint that receives records by POST.
    Http(HttpSink),
}

/// A file sink, one JSON object per line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileSink {
    /// Path in the operator's container. It must be on a writable volume.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// An HTTP sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSink {
    /// The Secret key that holds the URL, in the operator's namespace. It must begin with `https://`, except for a loopback address and where `transport` allows it. Redirects are not followed.
    pub url_secret_ref: super::system::SecretKey,
    /// How the connection is protected. Default: `Tls`.
    #[serde(default)]
    pub transport: super::endpoint::Transport,
    /// The Secret key that holds certificates of authorities as PEM, in the operator's namespace: the server's certificate must be from one of them. Default: those that the platform trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<super::system::SecretKey>,
}

/// What the operator has observed. Written only by the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurfewConfigStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `AdmissionEnforced`, `ClockSynced`, `AuditDelivered`, and `NotificationsDelivered` where there are channels.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The last proof that the admission policies are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<AdmissionStatus>,
    /// Thumbprints of the keys that sign the service account tokens of this cluster. They distinguish a clone from the original.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub cluster_keys: Vec<String>,
    /// The last record of each audit chain, by writer. `curfew audit verify --live` uses them to detect truncated files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["writer"]))]
    pub audit_heads: Vec<AuditHead>,
}

/// The last anchored record of one writer's audit chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditHead {
    /// The writer's id: one process of one replica.
    #[schemars(length(min = 1, max = 128))]
    pub writer: String,
    /// Sequence number of the record.
    pub sequence: i64,
    /// SHA-256 of the record, in hex.
    #[schemars(length(max = 64))]
    pub hash: String,
    /// When the record was anchored here.
    pub at: Time,
}

/// The last proof that the admission policies are in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionStatus {
    /// Start of the current span without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Digest over uid, generation and content of the policies, bindings and CRDs in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When enforcement was last proven. Stored once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<Time>,
    /// Earlier spans in which the policies were in force. An object created outside every span and not accepted before is never trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub past: Vec<AdmissionSpan>,
    /// Who fills in requester, decider and author of what is created: the API server, or the client. Nothing is decided by it, since the record is proven in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamping: Option<Stamping>,
}

/// Who fills in requester, decider and author where a client leaves them out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum Stamping {
    /// The API server does, by Curfew's mutating admission policies.
    ApiServer,
    /// This API server does not serve MutatingAdmissionPolicy, as Kubernetes before 1.36: clients send the record, as `kubectl curfew` does.
    NotServed,
    /// The API server could, and a mutating admission policy of Curfew or its binding is missing: clients send the record.
    Missing,
}

/// A span of time in which the admission policies were in force without a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdmissionSpan {
    /// Start of the span.
    pub since: Time,
    /// Last proof in the span.
    pub until: Time,
}

impl AdmissionStatus {
    /// Converts the stored form into the input of the core's admission rules.
    pub fn to_core(&self) -> AdmissionHistory {
        let past = self.past.iter().map(|s| Span { since: s.since, until: s.until }).collect();
        AdmissionHistory { since: self.since, proven: self.proven, digest: self.digest, past, ..AdmissionHistory::default() }
    }
    /// Converts the core's value into the stored form.
    pub fn from_core(g: &AdmissionHistory) -> Self {
        let past = g.past.iter().map(|s| AdmissionSpan { since: s.since, until: s.until }).collect();
        AdmissionStatus { since: g.since, digest: g.digest, proven: g.proven, past, stamping: None }
    }
}
