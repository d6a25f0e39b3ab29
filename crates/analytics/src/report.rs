//! The result of an analysis, as data. Its JSON form is the output `-o json`.
use crate::{bands::Band, catalogue::Level};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// What an identity is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    /// Kubernetes: a user name that is neither a service account nor a component. AWS: a user.
    Human,
    /// Kubernetes: a service account, a node, or a component of the control plane. AWS: a user with keys and no password, and a role that only
    /// services assume.
    Workload,
    /// A group.
    Group,
    /// AWS: a role that people, other accounts or identity providers can assume.
    Role,
    /// AWS: a role that only functions assume.
    Function,
    /// AWS: an access key. It has the score of its user, which counts in its place.
    #[serde(rename = "accessKey")]
    AccessKey,
}

impl IdentityKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] = [Self::Human, Self::Workload, Self::Group, Self::Role, Self::Function, Self::AccessKey];
    /// Those of Kubernetes.
    pub const OF_KUBERNETES: [Self; 3] = [Self::Human, Self::Workload, Self::Group];
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Human => "human",
            Self::Workload => "workload",
            Self::Group => "group",
            Self::Role => "role",
            Self::Function => "function",
            Self::AccessKey => "access key",
        })
    }
}

/// How grave a finding is, as published for its type (Microsoft Defender for Cloud, "Identity and access recommendations"; cloudsplaining
/// for escalation and credentials; AWS Security Hub, "Security Hub controls for IAM", for credentials and administrative policies of AWS).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Act now.
    High,
    /// Act soon.
    Medium,
    /// Tidy up.
    Low,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        })
    }
}

/// What a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FindingType {
    /// Holds permissions that lead to more than was granted, used or not.
    Escalation,
    /// Reads Secrets.
    SecretAccess,
    /// Holds nearly everything, used or not.
    Super,
    /// Has grants and did nothing in the window.
    Inactive,
    /// Did something, and holds high-risk permissions that it did not use.
    OverprovisionedActive,
    /// A binding of which no permission was used.
    UnusedBinding,
    /// A role that is not bound, or of which no permission was used.
    UnusedRole,
    /// Changes the settings of security tools (Microsoft Graph, awsSecurityToolAdministrationFinding).
    SecurityTools,
    /// Can be assumed by everybody (Microsoft Graph, awsExternalSystemAccessRoleFinding, "trusts all identities").
    TrustsEveryone,
    /// Can be assumed by identities of other accounts or providers.
    ExternalAccess,
    /// Allows every action on every resource (Security Hub IAM.1).
    FullAdminPolicy,
    /// A password without MFA (Security Hub IAM.5, of the root IAM.9).
    NoMfa,
    /// An access key of the account's root (Security Hub IAM.4).
    RootKey,
    /// An active access key that was not rotated for 90 days (Security Hub IAM.3).
    KeyAge,
    /// An active access key without a use (Security Hub IAM.8).
    UnusedKey,
    /// A password without a use (Security Hub IAM.8).
    UnusedPassword,
    /// A policy that is attached to nothing, or of which no permission was used.
    UnusedPolicy,
}

impl FindingType {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 17] = [
        Self::Escalation,
        Self::SecretAccess,
        Self::Super,
        Self::Inactive,
        Self::OverprovisionedActive,
        Self::UnusedBinding,
        Self::UnusedRole,
        Self::SecurityTools,
        Self::TrustsEveryone,
        Self::ExternalAccess,
        Self::FullAdminPolicy,
        Self::NoMfa,
        Self::RootKey,
        Self::KeyAge,
        Self::UnusedKey,
        Self::UnusedPassword,
        Self::UnusedPolicy,
    ];
    /// Those of Kubernetes.
    pub const OF_KUBERNETES: [Self; 7] = [
        Self::Escalation,
        Self::SecretAccess,
        Self::Super,
        Self::Inactive,
        Self::OverprovisionedActive,
        Self::UnusedBinding,
        Self::UnusedRole,
    ];
    /// Those of AWS.
    pub const OF_AWS: [Self; 15] = [
        Self::Escalation,
        Self::SecretAccess,
        Self::Super,
        Self::Inactive,
        Self::OverprovisionedActive,
        Self::SecurityTools,
        Self::TrustsEveryone,
        Self::ExternalAccess,
        Self::FullAdminPolicy,
        Self::NoMfa,
        Self::RootKey,
        Self::KeyAge,
        Self::UnusedKey,
        Self::UnusedPassword,
        Self::UnusedPolicy,
    ];
    /// Its severity.
    pub fn severity(self) -> Severity {
        match self {
            Self::Escalation | Self::SecretAccess | Self::SecurityTools | Self::TrustsEveryone | Self::FullAdminPolicy | Self::RootKey => {
                Severity::High
            }
            Self::Super
            | Self::Inactive
            | Self::OverprovisionedActive
            | Self::ExternalAccess
            | Self::NoMfa
            | Self::KeyAge
            | Self::UnusedKey
            | Self::UnusedPassword => Severity::Medium,
            Self::UnusedBinding | Self::UnusedRole | Self::UnusedPolicy => Severity::Low,
        }
    }
    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Escalation => "privilege escalation",
            Self::SecretAccess => "secret access",
            Self::Super => "super identity",
            Self::Inactive => "inactive",
            Self::OverprovisionedActive => "overprovisioned active",
            Self::UnusedBinding => "unused binding",
            Self::UnusedRole => "unused role",
            Self::SecurityTools => "security tool administration",
            Self::TrustsEveryone => "trusts everyone",
            Self::ExternalAccess => "external access",
            Self::FullAdminPolicy => "full administrator policy",
            Self::NoMfa => "no MFA",
            Self::RootKey => "root access key",
            Self::KeyAge => "old access key",
            Self::UnusedKey => "unused access key",
            Self::UnusedPassword => "unused password",
            Self::UnusedPolicy => "unused policy",
        }
    }
}

/// A finding with its evidence.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: FindingType,
    /// How grave it is.
    pub severity: Severity,
    /// The identity, role or binding.
    pub subject: String,
    /// One sentence.
    pub summary: String,
    /// What shows it; at most a dozen lines.
    pub evidence: Vec<String>,
    /// What to do. Without full confidence nothing is recommended to be revoked for lack of use.
    pub recommendation: String,
}

/// What the catalogue contains.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogueSummary {
    /// Definition, table and source.
    pub version: String,
    /// How many permissions it has.
    pub permissions: usize,
    /// Their weight in all.
    pub mass: f64,
    /// How many permissions only rules of roles name.
    pub assumed: usize,
    /// How many ways to escalate it has.
    pub methods: usize,
}

/// The window and what the logs cover of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowSummary {
    /// RFC 3339; uses after this moment count.
    pub since: String,
    /// RFC 3339; uses up to this moment count.
    pub until: String,
    /// Its length.
    pub days: u32,
    /// On how many of its days the logs have events.
    pub covered_days: u32,
    /// Covered days as a share.
    pub confidence: f64,
}

/// The score of the whole system.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemSummary {
    /// 0 to 100.
    pub score: u8,
    /// Its band.
    pub band: Band,
    /// The aggregate before the map to 0 to 100.
    pub x: f64,
    /// How many identities count.
    pub counted: usize,
    /// How many are left out by `ck_exclude_from_pci`.
    pub excluded: usize,
    /// How many of those that count are younger than the window: what they did not use yet proves little.
    pub new: usize,
    /// How many belong to the system itself.
    pub built_in: usize,
    /// How many groups count through their members, because one of these was seen and counts.
    pub groups_with_members: usize,
    /// How many super identities were found; five or fewer are recommended.
    pub super_identities: usize,
}

/// How many identities are in each band.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Bands {
    /// 0 to 33.
    pub low: usize,
    /// 34 to 67.
    pub medium: usize,
    /// 68 to 100.
    pub high: usize,
}

impl Bands {
    /// Counts one more.
    pub fn add(&mut self, band: Band) {
        *match band {
            Band::Low => &mut self.low,
            Band::Medium => &mut self.medium,
            Band::High => &mut self.high,
        } += 1;
    }
    /// The number in a band.
    pub fn of(&self, band: Band) -> usize {
        match band {
            Band::Low => self.low,
            Band::Medium => self.medium,
            Band::High => self.high,
        }
    }
}

/// The place of a use that no request would show.
pub const UNKNOWN: &str = "unknown";

/// One permission's part in a score.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contribution {
    /// The permission.
    pub permission: String,
    /// What it can do.
    pub level: Level,
    /// What it adds to the unused mass.
    pub mass: f64,
    /// The same as a share of the identity's unused mass.
    pub share: f64,
    /// Where it may be used; `nowhere` if it counts because of an escalation only.
    pub granted: String,
    /// Where it was used in the window; `unknown` if no request would show it.
    pub used: String,
    /// What grants it.
    pub by: String,
}

/// How many permissions an identity has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionCounts {
    /// Granted anywhere.
    pub granted: usize,
    /// Granted, and used anywhere.
    pub used: usize,
    /// Granted, and not used everywhere it is granted, as far as requests would show it.
    pub not_fully_used: usize,
    /// Of these, the high-risk ones.
    pub high_risk_not_fully_used: usize,
    /// Granted, and no request would show a use.
    pub not_shown: usize,
    /// Used, and no longer granted.
    pub used_without_grant: usize,
    /// Granted somewhere only if a condition holds that cannot be decided: these count as granted.
    pub undecided: usize,
}

/// One identity.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: IdentityKind,
    /// 0 to 100; null if `ck_exclude_from_pci` is set.
    pub score: Option<u8>,
    /// The band of the score.
    pub band: Option<Band>,
    /// Its unused mass as a share of the catalogue's.
    pub x: Option<f64>,
    /// The share of the catalogue that is granted, used or not.
    pub granted_share: f64,
    /// Covered days as a share of the window.
    pub confidence: f64,
    /// Whether its score counts for the system.
    pub counted: bool,
    /// Whether it belongs to the system itself.
    pub built_in: bool,
    /// Whether it is younger than the window.
    pub new: bool,
    /// Tagged `ck_exclude_from_pci`.
    pub excluded_from_pci: bool,
    /// Tagged `ck_exclude_from_reports`.
    pub excluded_from_reports: bool,
    /// A service account that a binding names and that does not exist.
    pub missing: bool,
    /// RFC 3339; the last success in the window.
    pub last_used: Option<String>,
    /// How many users were seen in this group.
    pub members: usize,
    /// Its permissions in numbers.
    pub permissions: PermissionCounts,
    /// The ids of the grants of Curfew that reach it now. They count.
    pub live_grants: Vec<String>,
    /// The score that stays when these have ended; null without live grants.
    pub standing_score: Option<u8>,
    /// The way to escalate that counts, if one does.
    pub escalation: Option<String>,
    /// The permissions that add most to the score.
    pub because: Vec<Contribution>,
}

/// A problem with an input file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, if it is about one.
    pub line: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputSummary {
    /// Log files.
    pub files: u64,
    /// Their lines.
    pub lines: u64,
    /// Events of the known version.
    pub events: u64,
    /// Events that count as use: successful, complete or a stream that started, up to the end of the window. What is read twice is counted
    /// here twice, and only here.
    pub uses: u64,
    /// Events of stages before the response.
    pub other_stages: u64,
    /// Requests that were refused or failed.
    pub not_successful: u64,
    /// Events after the end of the window.
    pub after_window: u64,
    /// Lines of another version or kind, by name.
    pub unknown_versions: BTreeMap<String, u64>,
    /// Requests for which the catalogue has no permission, by name.
    pub unmapped: BTreeMap<String, u64>,
    /// Problems in all.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// Notes about the inventory: bindings without a role and the like.
    pub notes: Vec<String>,
}

/// What the system is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A cluster.
    Kubernetes,
    /// An account.
    Aws,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kubernetes => "Kubernetes",
            Self::Aws => "AWS",
        })
    }
}

/// Everything.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this format.
    pub format: String,
    /// What the system is.
    pub provider: Provider,
    /// The name of the system, if it was given one; of AWS otherwise the account's id.
    pub name: Option<String>,
    /// The catalogue.
    pub catalogue: CatalogueSummary,
    /// The window.
    pub window: WindowSummary,
    /// The system.
    pub system: SystemSummary,
    /// Identities by kind and band. What belongs to the system itself is left out.
    pub distribution: BTreeMap<IdentityKind, Bands>,
    /// How many findings there are of each type.
    pub finding_counts: BTreeMap<FindingType, usize>,
    /// The identities, the highest score first.
    pub identities: Vec<Row>,
    /// The findings, the gravest first.
    pub findings: Vec<Finding>,
    /// What was read.
    pub input: InputSummary,
}
