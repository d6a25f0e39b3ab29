//! The weights of PCI-1 for the actions of AWS (permission-creep-index, rule 1): the most of what the access level and the lists say.
use super::Access;
use crate::catalogue::Level;

/// The version of these rules. A change of them changes scores, so it is part of every result.
pub const TABLE: &str = "aws-weights/1";

/// The weight of changing tags in an account where policies decide by tags (attribute-based access control); elsewhere it is 3.
pub const TAGS_DECIDE: f64 = 20.0;

/// What the sources say about an action besides its level.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Flags {
    /// It returns or sets credentials (cloudsplaining and policy_sentry: credentials exposure).
    pub credentials: bool,
    /// It lets others at a resource (policy_sentry: resource exposure).
    pub exposes: bool,
    /// It reads data out (cloudsplaining: data exfiltration).
    pub reads_data: bool,
    /// It is a way to escalate by itself (pathfinding.cloud and cloudsplaining: a method of one action).
    pub escalates: bool,
}

/// Whether the name of an action says that it deletes for good.
pub fn deletes(action: &str) -> bool {
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    let name = name.strip_prefix("Batch").unwrap_or(name);
    ["Delete", "Terminate", "Destroy", "Purge"].iter().any(|verb| name.starts_with(verb))
}

/// Whether the action returns the values of secrets.
fn reads_secrets(action: &str) -> bool {
    matches!(action, "secretsmanager:GetSecretValue" | "secretsmanager:BatchGetSecretValue")
}

/// The weight and level of an action. Values of Secrets Manager are credentials; parameters of Systems Manager are data that often holds some.
pub fn weight(action: &str, access: Access, flags: Flags) -> (f64, Level) {
    if flags.escalates {
        return (100.0, Level::Escalation);
    }
    if flags.credentials || reads_secrets(action) {
        return (40.0, Level::Secret);
    }
    if flags.exposes || access == Access::Permissions {
        return (40.0, Level::Permissions);
    }
    if flags.reads_data {
        return (20.0, if action.starts_with("ssm:") { Level::Secret } else { Level::Read });
    }
    match access {
        Access::Write if deletes(action) => (20.0, Level::Delete),
        Access::Write => (10.0, Level::Write),
        Access::Tagging => (3.0, Level::Write),
        Access::Read => (2.0, Level::Read),
        Access::List => (1.0, Level::List),
        Access::Permissions => (40.0, Level::Permissions),
    }
}
