//! The weights of PCI-1 for the permissions of Google Cloud, and its ways to escalate.
//!
//! Sources: Rhino Security Labs, "Privilege Escalation in Google Cloud Platform" (the single permissions and what goes with `actAs`), and the
//! lists of sensitive permissions in iam-dataset. Names are `service.resource.verb`.
use super::Way;
use crate::catalogue::Level;

/// The version of this table. A change of it changes scores, so it is part of every result.
pub const TABLE: &str = "gcp-weights/1";

/// A weight and a level.
pub type Weight = (f64, Level);

/// What leads to more by itself, and to what.
const ALONE: [(&str, &str); 19] = [
    ("apikeys.keys.create", "creates API keys of the project"),
    ("iam.roles.update", "adds any permission to a custom role that it holds"),
    ("iam.serviceAccountKeys.create", "creates keys of service accounts"),
    ("iam.serviceAccounts.getAccessToken", "issues tokens of service accounts"),
    ("iam.serviceAccounts.getOpenIdToken", "issues identity tokens of service accounts"),
    ("iam.serviceAccounts.implicitDelegation", "issues tokens through another service account"),
    ("iam.serviceAccounts.setIamPolicy", "lets itself act as service accounts"),
    ("iam.serviceAccounts.signBlob", "signs as service accounts, and so issues tokens of them"),
    ("iam.serviceAccounts.signJwt", "signs as service accounts, and so issues tokens of them"),
    ("orgpolicy.policy.set", "takes away constraints of the organisation"),
    ("resourcemanager.folders.setIamPolicy", "grants itself any role on folders"),
    ("resourcemanager.organizations.setIamPolicy", "grants itself any role on the organisation"),
    ("resourcemanager.projects.setIamPolicy", "grants itself any role on projects"),
    ("storage.hmacKeys.create", "creates storage keys of service accounts"),
    ("container.clusterRoles.bind", "binds any role in clusters to itself"),
    ("container.clusterRoles.escalate", "writes any permission into a role of clusters"),
    ("container.pods.exec", "runs commands in Pods, with their service accounts"),
    ("cloudbuild.builds.create", "runs code as the service account of the build"),
    ("deploymentmanager.deployments.create", "runs as the service account of the project"),
];

/// What runs code as a service account together with the permission to act as it.
const WITH_ACT_AS: [&[&str]; 6] = [
    &["cloudfunctions.functions.create", "cloudfunctions.functions.sourceCodeSet"],
    &["cloudfunctions.functions.update", "cloudfunctions.functions.sourceCodeSet"],
    &["cloudscheduler.jobs.create"],
    &["compute.instances.create", "compute.disks.create"],
    &["compute.instances.setMetadata"],
    &["run.services.create"],
];

/// Each way with all permissions that it needs.
pub fn ways() -> Vec<Way<'static>> {
    let alone = ALONE.iter().map(|(name, title)| (*name, *title, vec![*name]));
    let together = WITH_ACT_AS
        .iter()
        .map(|with| (with[0], "runs code as a service account that it may act as", [&["iam.serviceAccounts.actAs"], *with].concat()));
    alone.chain(together).collect()
}

/// The weight and level of a permission: the most of what its verb and the flags of iam-dataset say.
pub fn weight(name: &str, flags: &str) -> Weight {
    if ALONE.iter().any(|(alone, _)| *alone == name) {
        return (100.0, Level::Escalation);
    }
    let verb = name.rsplit('.').next().unwrap_or(name);
    if flags.contains('C') || name == "secretmanager.versions.access" {
        return (40.0, Level::Secret);
    }
    if verb.starts_with("setIamPolicy") || name == "iam.serviceAccounts.actAs" {
        return (40.0, Level::Permissions);
    }
    if verb.ends_with("TagBinding") {
        // Conditions of roles decide by tags.
        return (20.0, if reads(verb) { Level::Read } else { Level::Permissions });
    }
    if flags.contains('P') {
        return (40.0, Level::Permissions);
    }
    let by_verb = by_verb(verb);
    if flags.contains('D') && by_verb.0 < 20.0 {
        return (20.0, by_verb.1);
    }
    by_verb
}

/// Beginnings of verbs that read. Any other verb counts as a change.
const READS: [&str; 36] = [
    "aggregate",
    "analyze",
    "batchGet",
    "batchRead",
    "bulkGet",
    "calculate",
    "check",
    "count",
    "discover",
    "download",
    "evaluate",
    "explain",
    "export",
    "fetch",
    "find",
    "get",
    "list",
    "lookup",
    "ping",
    "predict",
    "preview",
    "query",
    "read",
    "retrieve",
    "sampleRowKeys",
    "search",
    "show",
    "simulate",
    "sshRead",
    "streamingRead",
    "suggest",
    "summarize",
    "test",
    "useReadOnly",
    "validate",
    "view",
];

/// Whether a verb reads.
fn reads(verb: &str) -> bool {
    READS.iter().any(|word| verb.starts_with(word))
}

fn by_verb(verb: &str) -> Weight {
    let deletes = ["delete", "destroy", "purge", "terminate", "drop", "batchDelete"].iter().any(|word| verb.starts_with(word));
    match verb {
        _ if deletes => (20.0, Level::Delete),
        _ if verb.starts_with("list") => (1.0, Level::List),
        _ if reads(verb) => (2.0, Level::Read),
        _ => (10.0, Level::Write),
    }
}
