//! Usage analytics of an AuthorizationSystem: its settings, and the Permission Creep Index (PCI-1, docs/pci.md) in its status.
use super::AssumeRole;
use curfew_core::{duration::Period, target::Empty, time::Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings for usage analytics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// The period over which use is counted, such as `90d`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Period>,
    /// Where use is read. Without a source there is no score, since everything would look unused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub usage: Vec<UsageSource>,
    /// For an AWS account: the role by which it is read, with the policy of `deploy/aws/analytics.json`. Absent: the credentials of `curfew-analytics` itself. The role of the operator is not used, since it may grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<AssumeRole>,
    /// Target values for the scores. What exceeds them is in `status.pci.targetsExceeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// Keys of labels of this AuthorizationSystem. Systems that have the same value of a label, and list its key here, are a folder, which has a score of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 317)), extend("x-kubernetes-list-type" = "set"))]
    pub folders: Vec<String>,
}

/// Where use is read. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum UsageSource {
    /// The API server of the cluster posts its audit events to `https://curfew-analytics.curfew-system.svc/audit/NAME`, where NAME is that of this AuthorizationSystem (`--audit-webhook-config-file`). It authenticates by the token that the Secret `curfew-analytics-tokens` of the namespace `curfew-system` has under the key NAME.
    AuditWebhook(Empty),
    /// Audit logs that an API server writes as JSON lines, plain or gzip, into a directory that is mounted into the Pod.
    AuditLogs(LogDirectory),
    /// Logs of CloudTrail in a directory that is mounted into the Pod, as in the bucket.
    CloudTrail(LogDirectory),
}

/// A directory below the one that `curfew-analytics run --logs` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogDirectory {
    /// Its name there: words of letters, digits, `.`, `_` and `-`, separated by `/`, none of which begins with a dot.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"))]
    pub directory: String,
}

/// Target values: scores from 0 to 100 not to exceed, and a number of super identities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// Score of the whole system.
    #[schemars(range(min = 0, max = 100))]
    pub system: u8,
    /// Score of a person.
    #[schemars(range(min = 0, max = 100))]
    pub human: u8,
    /// Score of a guest account.
    #[schemars(range(min = 0, max = 100))]
    pub guest: u8,
    /// Score of a workload identity.
    #[schemars(range(min = 0, max = 100))]
    pub workload: u8,
    /// The number of identities that may hold nearly all permissions.
    #[schemars(range(min = 0, max = 10000))]
    pub super_identities: u16,
}

/// The band of a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Band {
    /// 0 to 33.
    #[default]
    Low,
    /// 34 to 67.
    Medium,
    /// 68 to 100.
    High,
}

/// The Permission Creep Index. Its size is bounded: details are asked of `curfew-analytics` (`kubectl curfew pci`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pci {
    /// From 0 (all permissions are used) to 100 (most permissions are unused).
    pub score: u8,
    /// Low, Medium or High.
    pub band: Band,
    /// The change of the score in seven days. Absent while there is no score from then.
    #[serde(rename = "change7d", default, skip_serializing_if = "Option::is_none")]
    pub change_7d: Option<i16>,
    /// The share of the window's days of which use is known, from `0.00` to `1.00`. Below 1, what looks unused may be used.
    #[serde(default)]
    #[schemars(length(max = 4))]
    pub confidence: String,
    /// How many identities have a score in each band, by kind.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    pub identities: BTreeMap<String, BandCounts>,
    /// How many identities count for the score.
    #[serde(default)]
    pub counted: u32,
    /// How many are left out, because they are tagged `ck_exclude_from_pci`.
    #[serde(default)]
    pub excluded: u32,
    /// How many of those that count are younger than the window.
    #[serde(default)]
    pub new: u32,
    /// How many hold nearly all permissions.
    #[serde(default)]
    pub super_identities: u32,
    /// How many of those that count hold access that Curfew has granted, which ends by itself. It counts like all access.
    #[serde(default)]
    pub with_live_grants: u32,
    /// The identities that count with the highest scores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub top: Vec<TopIdentity>,
    /// One score for each day, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 90), extend("x-kubernetes-list-type" = "atomic"))]
    pub trend: Vec<TrendDay>,
    /// The folders that the system is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub folders: Vec<Folder>,
    /// The targets that are exceeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub targets_exceeded: Vec<Exceeded>,
    /// When the score was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_at: Option<Time>,
    /// The version of the catalogue of permissions and weights. Scores of different versions cannot be compared.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub catalog_version: String,
}

/// A score with its band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// From 0 to 100.
    pub score: u8,
    /// Low, Medium or High.
    pub band: Band,
}

/// How many identities are in each band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BandCounts {
    /// 0 to 33.
    #[serde(default)]
    pub low: u32,
    /// 34 to 67.
    #[serde(default)]
    pub medium: u32,
    /// 68 to 100.
    #[serde(default)]
    pub high: u32,
}

/// An identity with a high score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopIdentity {
    /// Its name, shortened if it is long.
    #[schemars(length(max = 512))]
    pub name: String,
    /// What it is, such as `human` or `workload`.
    #[schemars(length(max = 32))]
    pub kind: String,
    /// Its score.
    #[serde(flatten)]
    pub score: Score,
    /// The way to escalate that counts, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub escalation: Option<String>,
}

/// The score of a day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrendDay {
    /// The day in UTC, such as `2026-11-27`.
    #[schemars(length(max = 10))]
    pub day: String,
    /// The last score of the day.
    pub score: u8,
}

/// Systems with the same value of a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Folder {
    /// The key of the label.
    #[schemars(length(max = 317))]
    pub label: String,
    /// Its value.
    #[schemars(length(max = 63))]
    pub value: String,
    /// How many systems are in the folder and have a score.
    pub systems: u32,
    /// The score of all their identities together.
    #[serde(flatten)]
    pub score: Score,
}

/// A target that is exceeded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exceeded {
    /// The name of the target in `spec.analytics.targets`.
    #[schemars(length(max = 32))]
    pub target: String,
    /// Its value.
    pub limit: u16,
    /// The score of the system, the highest score among the identities, or the number of super identities.
    pub value: u32,
    /// How many identities exceed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<u32>,
}

/// How many findings of a type there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingCount {
    /// The type, such as `SuperIdentity`.
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub kind: String,
    /// High, Medium or Low.
    #[schemars(length(max = 16))]
    pub severity: String,
    /// How many.
    pub count: u32,
}
