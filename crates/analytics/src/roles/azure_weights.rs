//! The weights of PCI-1 for the operations of Azure, and its ways to escalate.
//!
//! No public list of Azure's escalations can be read by a machine; this one is from Microsoft's documentation of the operations. Names are
//! `Provider/type/.../verb` and are compared without regard to case.
use super::{Way, azure::Plane};
use crate::{catalogue::Level, names::lower_case};

/// The version of this table. A change of it changes scores, so it is part of every result.
pub const TABLE: &str = "azure-weights/1";

const AS_MACHINE: &str = "runs code on virtual machines, as their managed identities";
const AS_IDENTITY: &str = "uses a managed identity";

/// Operations that lead to more by themselves: name, title, operation.
const ALONE: [(&str, &str, &str); 12] = [
    ("roleAssignments", "grants itself any role", "Microsoft.Authorization/roleAssignments/write"),
    ("roleDefinitions", "adds any operation to a role that it holds", "Microsoft.Authorization/roleDefinitions/write"),
    ("elevateAccess", "becomes User Access Administrator of everything", "Microsoft.Authorization/elevateAccess/action"),
    ("vmRunCommand", AS_MACHINE, "Microsoft.Compute/virtualMachines/runCommand/action"),
    ("vmRunCommands", AS_MACHINE, "Microsoft.Compute/virtualMachines/runCommands/write"),
    ("vmExtensions", AS_MACHINE, "Microsoft.Compute/virtualMachines/extensions/write"),
    ("arcExtensions", AS_MACHINE, "Microsoft.HybridCompute/machines/extensions/write"),
    ("identityAssign", AS_IDENTITY, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"),
    (
        "federatedCredentials",
        "signs in as a managed identity from elsewhere",
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
    ),
    ("vaultAccessPolicies", "gives itself the contents of key vaults", "Microsoft.KeyVault/vaults/accessPolicies/write"),
    ("runbooks", "runs code as the identity of an automation account", "Microsoft.Automation/automationAccounts/runbooks/draft/write"),
    ("deploymentScripts", "runs code as a managed identity", "Microsoft.Resources/deploymentScripts/write"),
];

/// The ways to escalate.
pub fn ways() -> Vec<Way<'static>> {
    ALONE.iter().map(|(name, title, operation)| (*name, *title, vec![*operation])).collect()
}

/// Words in an operation that returns or sets credentials.
const CREDENTIALS: [&str; 12] = [
    "listkeys",
    "listkey",
    "listcredential",
    "listclusteradmincredential",
    "listclusterusercredential",
    "listsecrets",
    "listconnectionstrings",
    "listaccountsas",
    "listservicesas",
    "regenerate",
    "publishxml",
    "listpublishingcredentials",
];

/// The weight and level of an operation.
pub fn weight(name: &str, plane: Plane) -> (f64, Level) {
    let name = lower_case(name);
    if plane == Plane::Management && ALONE.iter().any(|(_, _, operation)| operation.eq_ignore_ascii_case(&name)) {
        return (100.0, Level::Escalation);
    }
    let verb = name.rsplit('/').next().unwrap_or(&name);
    if plane == Plane::Data {
        return data(&name, verb);
    }
    let permissions = name.starts_with("microsoft.authorization/") || name.starts_with("microsoft.keyvault/vaults/accesspolicies/");
    match verb {
        _ if CREDENTIALS.iter().any(|word| name.split('/').any(|part| part.starts_with(word))) => (40.0, Level::Secret),
        "write" | "delete" | "action" if permissions => (40.0, Level::Permissions),
        "read" => (2.0, Level::Read),
        "delete" => (20.0, Level::Delete),
        _ => (10.0, Level::Write),
    }
}

/// The data in resources: values of secrets and keys are secrets, other contents can be carried away.
fn data(name: &str, verb: &str) -> (f64, Level) {
    match verb {
        _ if name.starts_with("microsoft.keyvault/") && (name.contains("/secrets/getsecret") || name.contains("/backup/")) => {
            (40.0, Level::Secret)
        }
        _ if name.ends_with("/readmetadata/action") => (2.0, Level::Read),
        "read" => (20.0, Level::Read),
        "delete" => (20.0, Level::Delete),
        _ => (10.0, Level::Write),
    }
}
