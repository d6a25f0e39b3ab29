//! Who: subjects as policies name them, persons as the API server authenticated them.
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Prefix of every identity that Kubernetes reserves for itself; none of them is a subject or an approver.
pub const RESERVED: &str = "system:";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A user, a group or a service account: exactly one of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A user name, exactly as the API server authenticates it. Names that begin with `system:` are refused.
    User(
        #[cfg_attr(
            feature = "schema",
            schemars(
                length(min = 1, max = 253),
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
    /// A service account. It is never a person: it cannot decide, and asks only where delegation is allowed.
    ServiceAccount(ServiceAccount),
}

/// A service account by namespace and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceAccount {
    /// The service account's namespace.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 63)))]
    pub namespace: String,
    /// The service account's name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub name: String,
}

impl Subject {
    /// Whether it names an identity that Kubernetes reserves for itself.
    pub fn is_reserved(&self) -> bool {
        matches!(self, Subject::User(n) | Subject::Group(n) if n.starts_with(RESERVED))
    }
    /// Whether this person is meant: the user by name, a member by group.
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
    /// The name under which the API server authenticates it.
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

/// Somebody as the API server authenticated them: the stamp of a request or a decision. The lists are as the server gave them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserInfo {
    /// The user name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub username: String,
    /// The uid, where the authenticator gives one; otherwise empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups, in the API server's order.
    #[cfg_attr(feature = "schema", schemars(length(max = 4096), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default)]
    pub groups: Arc<Vec<String>>,
    /// The authenticator's extra attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A service account, or another identity of the cluster itself.
    pub fn is_system_identity(&self) -> bool {
        self.username.starts_with(RESERVED)
    }
    /// The service account that this is, if it is one.
    pub fn service_account(&self) -> Option<Subject> {
        let (namespace, name) = self.username.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
        Some(Subject::ServiceAccount(ServiceAccount { namespace: namespace.into(), name: name.into() }))
    }
    /// Whether two logins are the same person: one name, one uid, or one value under any of the configured alias keys.
    pub fn is_same_person(&self, other: &UserInfo, alias_keys: &[String]) -> bool {
        self.username == other.username
            || (!self.uid.is_empty() && self.uid == other.uid)
            || alias_keys.iter().any(|k| match (self.extra.get(k), other.extra.get(k)) {
                (Some(a), Some(b)) => a.iter().any(|v| b.contains(v)),
                _ => false,
            })
    }
    /// Whether the login carries every one of these extra keys, each with a value.
    pub fn has_extra_keys(&self, keys: &[String]) -> bool {
        keys.iter().all(|k| self.extra.get(k).is_some_and(|v| !v.is_empty()))
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
    fn a_subject_is_written_as_one_member() {
        let s: Subject = serde_json::from_str(r#"{"serviceAccount": {"namespace": "ci", "name": "bot"}}"#).unwrap();
        assert_eq!(s.to_string(), "service account ci/bot");
        assert!(s.includes(&person("system:serviceaccount:ci:bot", &[], &[])));
        assert!(!s.includes(&person("system:serviceaccount:ci:other", &[], &[])));
        assert!(serde_json::from_str::<Subject>(r#"{"user": "a", "group": "b"}"#).is_err());
    }

    #[test]
    fn groups_and_users_do_not_mix() {
        let alice = person("alice", &["payments-devs"], &[]);
        assert!(Subject::User("alice".into()).includes(&alice));
        assert!(Subject::Group("payments-devs".into()).includes(&alice));
        assert!(!Subject::Group("alice".into()).includes(&alice));
        assert!(!Subject::User("payments-devs".into()).includes(&alice));
    }

    #[test]
    fn an_alias_makes_two_logins_one_person() {
        let keys = vec!["curfew.dev/person".to_string()];
        let (a, b) = (person("alice", &[], &[("curfew.dev/person", "7")]), person("alice@vpn", &[], &[("curfew.dev/person", "7")]));
        assert!(a.is_same_person(&b, &keys) && !a.is_same_person(&b, &[]));
        assert!(!person("x", &[], &[]).is_same_person(&person("y", &[], &[]), &keys), "an absent alias or an empty uid equals nothing");
    }
}
