//! Names of Kubernetes identities: what they are, and which groups everyone is in.
use crate::report::IdentityKind;

/// The prefix of the user names of service accounts.
const ACCOUNT: &str = "system:serviceaccount:";

/// The user name of a service account.
pub fn account_name(namespace: &str, name: &str) -> String {
    format!("{ACCOUNT}{namespace}:{name}")
}

/// The namespace and name of a service account, from its user name.
pub fn account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(ACCOUNT)?.split_once(':')
}

/// What the user of this name is.
pub fn kind_of_user(user: &str) -> IdentityKind {
    if user.starts_with("system:") && user != "system:anonymous" { IdentityKind::Workload } else { IdentityKind::Human }
}

/// Whether the name belongs to Kubernetes and not to the company. Service accounts are not told by their name.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with("system:") && account(name).is_none()
}

/// Whether the group contains everyone of a kind, so that leaving it is not possible.
pub fn is_of_everyone(group: &str) -> bool {
    matches!(group, "system:authenticated" | "system:unauthenticated" | "system:serviceaccounts")
        || group.starts_with("system:serviceaccounts:")
}

/// The groups that a user is in without any event that shows it.
pub fn fixed_groups(user: &str) -> Vec<String> {
    match account(user) {
        Some((namespace, _)) => {
            vec!["system:authenticated".into(), "system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
        }
        None if user == "system:anonymous" => vec!["system:unauthenticated".into()],
        None => vec!["system:authenticated".into()],
    }
}
