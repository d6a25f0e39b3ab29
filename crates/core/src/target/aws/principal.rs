//! Who holds an access in AWS: an IAM user, by itself or by assuming a role, or a user of IAM Identity Center.
use super::{granted::GrantedPermissions, scope::GrantedScope};
use crate::text::brief;
use serde::{Deserialize, Serialize};

/// A principal by the name that its way of access takes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPrincipal"))]
pub struct Principal {
    /// The name of an IAM user or of a user of IAM Identity Center, or the ARN of what may assume the role.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub name: String,
}

/// The longest name of an IAM user (IAM API Reference, CreateUser).
const MAX_USER: usize = 64;
/// The longest name of a user of IAM Identity Center (Identity Store API Reference, CreateUser).
const MAX_CENTER_USER: usize = 128;

/// The principal of a mapped name.
///
/// # Errors
/// Why the name is not one that this way of access takes, in words.
pub fn principal(name: &str, permissions: &GrantedPermissions, scope: &GrantedScope) -> Result<Principal, String> {
    let found = match permissions {
        GrantedPermissions::User(_) => iam_user(name).map(str::to_owned),
        GrantedPermissions::Role(_) => assuming(name, scope),
        GrantedPermissions::PermissionSet(_) | GrantedPermissions::StandingSet(_) | GrantedPermissions::Group(_) => {
            center_user(name).map(str::to_owned)
        }
    };
    found.map(|name| Principal { name })
}

/// Names of users, roles and groups of IAM (IAM User Guide, "IAM and AWS STS quotas").
fn is_iam_name(name: &str, max: usize) -> bool {
    (1..=max).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
}

fn iam_user(name: &str) -> Result<&str, String> {
    match is_iam_name(name, MAX_USER) {
        true => Ok(name),
        false => Err(format!(
            "{} is not the name of an IAM user, which has 1 to {MAX_USER} letters, digits and characters of +=,.@_-; change spec.principals of the system",
            brief(name)
        )),
    }
}

fn center_user(name: &str) -> Result<&str, String> {
    let fits = (1..=MAX_CENTER_USER).contains(&name.chars().count()) && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    match fits {
        true => Ok(name),
        false => Err(format!(
            "{} is not the name of a user of IAM Identity Center, which has 1 to {MAX_CENTER_USER} characters without blanks; change spec.principals of the system",
            brief(name)
        )),
    }
}

/// Who may assume a role: an IAM user, by the ARN or by the name in this account. A role is assumed by all whom its own trust lets in, and
/// a session has the name that its holder chooses, so a grant to one of these would be a grant to several people.
fn assuming(name: &str, scope: &GrantedScope) -> Result<String, String> {
    if !name.starts_with("arn:") {
        return iam_user(name).map(|user| format!("arn:{}:iam::{}:user/{user}", scope.partition, scope.account));
    }
    let fields: Vec<&str> = name.splitn(6, ':').collect();
    let [_, partition, service, "", account, resource] = fields.as_slice() else { return Err(not_assuming(name)) };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let in_partition = is_account && *partition == scope.partition;
    match (*service, resource.split_once('/')) {
        ("iam", Some(("user", path))) if in_partition && is_path(path) => Ok(name.to_owned()),
        ("iam", Some(("role", _))) | ("sts", Some(("assumed-role", _))) => Err(format!(
            "{} is a role, and all who may assume it may use it; a grant is for one person: map to an IAM user in spec.principals of the system, or use permissions.aws.identityCenter",
            brief(name)
        )),
        _ => Err(not_assuming(name)),
    }
}

/// A name with or without a path.
fn is_path(text: &str) -> bool {
    text.len() <= 512 && text.split('/').all(|part| is_iam_name(part, MAX_CENTER_USER))
}

fn not_assuming(name: &str) -> String {
    format!(
        "{} cannot assume a role; it must be the name of an IAM user, or the ARN of one in this partition; change spec.principals of the system",
        brief(name)
    )
}

#[cfg(test)]
mod tests;
