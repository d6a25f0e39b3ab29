//! Subjects, as policies name them, and identities, as the API server authenticated them.
use crate::{folding::Spelling, text::is_blank};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Prefix of the user and group names that Kubernetes reserves. They are refused as subjects and approvers.
pub const RESERVED: &str = "system:";
/// The longest alias that a Grant holds, in bytes. Longer ones are compared as far as that.
pub const MAX_ALIAS: usize = 1024;
/// The longest user name, in characters. A login with a longer one creates no request and no decision.
pub const MAX_USER_NAME: usize = 1024;
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A user, a group or a service account. Exactly one member is set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A user name, exactly as the API server authenticates it. Names that begin with `system:` are refused.
    User(
        #[cfg_attr(
            feature = "schema",
            schemars(
                length(min = 1, max = MAX_USER_NAME),
                regex(pattern = "^([^s]|s$|s[^y]|sy$|sy[^s]|sys$|sys[^t]|syst$|syst[^e]|syste$|syste[^m]|system$|system[^:])")
            )
        )]
        String,
    ),
    /// A group name, exactly as the API server authenticates it. Names that begin with `system:` are refused.
    Group(
        #[cfg_attr(
            feature = "schema",
            schemars(
                length(min = 1, max = 253),
                regex(pattern = "^([^s]|s$|s[^y]|sy$|sy[^s]|sys$|sys[^t]|syst$|syst[^e]|syste$|syste[^m]|system$|system[^:])")
            )
        )]
        String,
    ),
    /// A service account. It cannot decide about requests, and may create requests only if the assignment allows delegation.
    ServiceAccount(ServiceAccount),
}

/// A reference to a ServiceAccount.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceAccount {
    /// Namespace of the ServiceAccount.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub namespace: String,
    /// `metadata.name` of the ServiceAccount.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub name: String,
}

impl Subject {
    /// Whether the subject is a user or group whose name Kubernetes reserves.
    pub fn is_reserved(&self) -> bool {
        matches!(self, Subject::User(n) | Subject::Group(n) if n.starts_with(RESERVED))
    }
    /// Whether the subject is this user or service account, or one of the identity's groups.
    pub fn includes(&self, p: &UserInfo) -> bool {
        match self {
            Subject::User(u) => p.username == *u,
            Subject::Group(g) => p.groups.iter().any(|x| x == g),
            Subject::ServiceAccount(a) => {
                p.username.strip_prefix(SERVICE_ACCOUNT).and_then(|r| r.split_once(':')) == Some((&a.namespace, &a.name))
            }
        }
    }
}

impl Subject {
    /// The user or group name that the API server uses for the subject.
    pub fn principal(&self) -> String {
        match self {
            Subject::User(n) | Subject::Group(n) => n.clone(),
            Subject::ServiceAccount(a) => format!("{SERVICE_ACCOUNT}{}:{}", a.namespace, a.name),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::User(n) => write!(f, "user {n}"),
            Subject::Group(n) => write!(f, "group {n}"),
            Subject::ServiceAccount(a) => write!(f, "service account {}/{}", a.namespace, a.name),
        }
    }
}

/// An identity as the API server authenticated it (`UserInfo` of authentication.k8s.io). Recorded in requests and decisions by admission.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserInfo {
    /// The authenticated user name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_USER_NAME)))]
    pub username: String,
    /// The uid from the authenticator; empty if it sets none.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups, in the order of the API server.
    #[cfg_attr(feature = "schema", schemars(length(max = 4096), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default)]
    pub groups: Arc<Vec<String>>,
    /// Extra attributes from the authenticator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// Whether the identity is a service account or another `system:` identity.
    pub fn is_system_identity(&self) -> bool {
        self.username.starts_with(RESERVED)
    }
    /// The service account; `None` for any other identity.
    pub fn service_account(&self) -> Option<Subject> {
        let (namespace, name) = self.username.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
        Some(Subject::ServiceAccount(ServiceAccount { namespace: namespace.into(), name: name.into() }))
    }
    /// The values under a key of `extra`. A blank value is absent: it identifies nobody and proves nothing.
    fn extra_values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.extra.get(key).into_iter().flatten().map(String::as_str).filter(|value| !is_blank(value))
    }
    /// The values under the alias keys, which identify the person behind the login.
    pub fn aliases<'a>(&'a self, alias_keys: &'a [String]) -> impl Iterator<Item = &'a str> {
        alias_keys.iter().flat_map(|key| self.extra_values(key))
    }
    /// Whether two logins belong to the same person: equal user names, equal uids that are not blank, or a common value under one of
    /// the `alias_keys` in `extra`. A uid is an opaque value of the authenticator and is compared exactly.
    pub fn is_same_person(&self, other: &UserInfo, alias_keys: &[String], spelling: Spelling) -> bool {
        let is_common = |key: &String| other.extra_values(key).any(|a| self.extra_values(key).any(|b| spelling.is_same(a, b)));
        spelling.is_same(&self.username, &other.username)
            || (!is_blank(&self.uid) && self.uid == other.uid)
            || alias_keys.iter().any(is_common)
    }
    /// Whether the login has this name, as its user name or under one of the alias keys.
    pub fn is_named(&self, name: &str, alias_keys: &[String], spelling: Spelling) -> bool {
        spelling.is_same(&self.username, name) || self.aliases(alias_keys).any(|alias| spelling.is_same(alias, name))
    }
    /// Whether `extra` has all of these keys, each with at least one value that is not blank.
    pub fn has_extra_keys(&self, keys: &[String]) -> bool {
        keys.iter().all(|key| self.extra_values(key).next().is_some())
    }
    /// Whether the login has an alias, where aliases are configured: without one it could be the second login of any person.
    pub fn has_required_alias(&self, alias_keys: &[String]) -> bool {
        alias_keys.is_empty() || self.aliases(alias_keys).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, groups: &[&str], extra: &[(&str, &str)]) -> UserInfo {
        UserInfo {
            username: name.into(),
            groups: Arc::new(groups.iter().map(|g| g.to_string()).collect()),
            extra: extra.iter().map(|(k, v)| (k.to_string(), vec![v.to_string()])).collect(),
            ..UserInfo::default()
        }
    }

    #[test]
    fn subject_has_exactly_one_member() {
        let s: Subject = serde_json::from_str(r#"{"serviceAccount": {"namespace": "ci", "name": "bot"}}"#).unwrap();
        assert_eq!(s.to_string(), "service account ci/bot");
        assert!(s.includes(&person("system:serviceaccount:ci:bot", &[], &[])));
        assert!(!s.includes(&person("system:serviceaccount:ci:other", &[], &[])));
        assert!(serde_json::from_str::<Subject>(r#"{"user": "a", "group": "b"}"#).is_err());
    }

    #[test]
    fn user_and_group_names_are_compared_separately() {
        let alice = person("alice", &["payments-devs"], &[]);
        assert!(Subject::User("alice".into()).includes(&alice));
        assert!(Subject::Group("payments-devs".into()).includes(&alice));
        assert!(!Subject::Group("alice".into()).includes(&alice));
        assert!(!Subject::User("payments-devs".into()).includes(&alice));
    }

    #[test]
    fn common_alias_value_identifies_the_same_person() {
        let keys = vec!["curfew.dev/person".to_string()];
        let (a, b) = (person("alice", &[], &[("curfew.dev/person", "7")]), person("alice@vpn", &[], &[("curfew.dev/person", "7")]));
        assert!(a.is_same_person(&b, &keys, Spelling::Exact) && !a.is_same_person(&b, &[], Spelling::Folded));
        let (x, y) = (person("x", &[], &[]), person("y", &[], &[]));
        assert!(!x.is_same_person(&y, &keys, Spelling::Folded), "an absent alias or an empty uid never matches");
    }
}
