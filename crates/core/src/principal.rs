//! Subjects, as policies name them, and identities, as the API server authenticated them.
pub mod mapping;

pub use mapping::{Mapped, Mapping, Source};

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
    /// The extra attributes that CurfewConfig names, and no others. An empty list: the login does not have the key.
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 32)))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// What is recorded of a login: of its extra keys only those that are configured, with an empty list where it has none. A client that
    /// sends the record makes the same one as the mutating admission policies.
    #[must_use]
    pub fn recorded(&self, keys: &[String]) -> Self {
        let extra = keys.iter().map(|key| (key.clone(), self.extra.get(key).cloned().unwrap_or_default())).collect();
        UserInfo { extra, ..self.clone() }
    }
}

/// How two logins are recognised as one person, and what a login proves, from `spec.identity` of CurfewConfig.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Recognition {
    /// Extra keys whose values identify the person behind a login.
    pub alias_keys: Vec<String>,
    /// Whether one uid is one person.
    pub uids: Uids,
    /// Extra keys that say how a login was authenticated.
    pub login_keys: LoginKeys,
}

/// Under which extra keys a login says how it was authenticated, from `spec.identity` of CurfewConfig.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LoginKeys {
    /// Methods and time of the authentication; `None` where CurfewConfig does not configure MFA.
    pub mfa: Option<MfaKeys>,
    /// The authentication contexts that the login satisfies; `None` where CurfewConfig does not configure them.
    pub authentication_context: Option<String>,
}

impl LoginKeys {
    /// Nothing is configured: nothing that needs a key is granted.
    pub const NONE: LoginKeys = LoginKeys { mfa: None, authentication_context: None };
}

/// Under which extra keys a login says how and when it was authenticated, and which methods count: `identity.mfa` of CurfewConfig.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MfaKeys {
    /// The key that names the methods, such as an `amr` claim.
    pub methods_key: String,
    /// The methods that count as MFA. One of them is enough.
    pub methods: Vec<String>,
    /// The key that holds the time of the authentication, in seconds since 1970.
    pub time_key: String,
}

/// Whether an equal uid means the same person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Uids {
    /// One uid is one person: two logins with an equal uid are the same one.
    Personal,
    /// One uid may be many people, as a role of a cloud account is on EKS: it says nothing about the person.
    Shared,
}

impl Recognition {
    /// The strictest reading, for a time without a CurfewConfig: nothing is granted then.
    pub const STRICT: &'static Recognition = &Recognition { alias_keys: Vec::new(), uids: Uids::Personal, login_keys: LoginKeys::NONE };
}

/// What shows that two logins belong to the same person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameBy<'a> {
    /// Their user names.
    Username,
    /// Their uids, where CurfewConfig says that these are personal.
    Uid,
    /// A common value under this alias key.
    Alias(&'a str),
}

/// The requester or the beneficiary of a request, recognised in a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Party<'a> {
    /// `requester` or `beneficiary`.
    pub role: &'static str,
    /// What is equal.
    pub by: SameBy<'a>,
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
    pub(crate) fn extra_values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.extra.get(key).into_iter().flatten().map(String::as_str).filter(|value| !is_blank(value))
    }
    /// The values under the alias keys, which identify the person behind the login.
    pub fn aliases<'a>(&'a self, alias_keys: &'a [String]) -> impl Iterator<Item = &'a str> {
        alias_keys.iter().flat_map(|key| self.extra_values(key))
    }
    /// The uid, where that is one person's: `None` if it is blank, or may be several people's.
    pub fn personal_uid(&self, uids: Uids) -> Option<&str> {
        (uids == Uids::Personal && !is_blank(&self.uid)).then_some(self.uid.as_str())
    }
    /// What shows that two logins belong to the same person: equal user names, a common value under one of the alias keys, or equal uids
    /// that are not blank, where uids are personal. A uid is an opaque value of the authenticator and is compared exactly.
    pub fn is_same_person_by<'a>(&self, other: &UserInfo, by: &'a Recognition, spelling: Spelling) -> Option<SameBy<'a>> {
        let is_common = |key: &&String| other.extra_values(key).any(|a| self.extra_values(key).any(|b| spelling.is_same(a, b)));
        if spelling.is_same(&self.username, &other.username) {
            return Some(SameBy::Username);
        }
        if let Some(key) = by.alias_keys.iter().find(is_common) {
            return Some(SameBy::Alias(key));
        }
        (by.uids == Uids::Personal && !is_blank(&self.uid) && self.uid == other.uid).then_some(SameBy::Uid)
    }
    /// Whether two logins belong to the same person.
    pub fn is_same_person(&self, other: &UserInfo, by: &Recognition, spelling: Spelling) -> bool {
        self.is_same_person_by(other, by, spelling).is_some()
    }
    /// What shows that the login has this name: its user name, or a value under one of the alias keys.
    pub fn is_named_by<'a>(&self, name: &str, alias_keys: &'a [String], spelling: Spelling) -> Option<SameBy<'a>> {
        if spelling.is_same(&self.username, name) {
            return Some(SameBy::Username);
        }
        let is_alias = |key: &&String| self.extra_values(key).any(|alias| spelling.is_same(alias, name));
        alias_keys.iter().find(is_alias).map(|key| SameBy::Alias(key))
    }
    /// Whether the login has this name, as its user name or under one of the alias keys.
    pub fn is_named(&self, name: &str, alias_keys: &[String], spelling: Spelling) -> bool {
        self.is_named_by(name, alias_keys, spelling).is_some()
    }
    /// Whether `extra` has all of these keys, each with at least one value that is not blank.
    pub fn has_extra_keys(&self, keys: &[String]) -> bool {
        keys.iter().all(|key| self.extra_values(key).next().is_some())
    }
    /// Whether all of these keys were looked at when the login was recorded. The record has an empty list for a key that the login lacks;
    /// a key that is missing was not configured at that time, so nothing is known about it.
    pub fn is_recorded_with(&self, keys: &[String]) -> bool {
        keys.iter().all(|key| self.extra.contains_key(key))
    }
    /// Whether the record proves that the login lacks one of these keys.
    pub fn lacks_a_recorded_key(&self, keys: &[String]) -> bool {
        keys.iter().any(|key| self.extra.contains_key(key) && self.extra_values(key).next().is_none())
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
        let by = |alias_keys: &[String], uids| Recognition { alias_keys: alias_keys.to_vec(), uids, login_keys: LoginKeys::NONE };
        let with_alias = by(&keys, Uids::Shared);
        assert_eq!(a.is_same_person_by(&b, &with_alias, Spelling::Exact), Some(SameBy::Alias("curfew.dev/person")));
        assert!(!a.is_same_person(&b, Recognition::STRICT, Spelling::Folded));
        let (x, y) = (person("x", &[], &[]), person("y", &[], &[]));
        assert!(!x.is_same_person(&y, &by(&keys, Uids::Personal), Spelling::Folded), "an absent alias or an empty uid never matches");
    }

    #[test]
    fn a_uid_identifies_a_person_only_where_uids_are_personal() {
        let with_uid = |name: &str, uid: &str| UserInfo { uid: uid.into(), ..person(name, &[], &[]) };
        let (role, colleague) = (with_uid("alice", "aws-iam-authenticator:1:AROA"), with_uid("carol", "aws-iam-authenticator:1:AROA"));
        let shared = Recognition { uids: Uids::Shared, ..Recognition::STRICT.clone() };
        for spelling in [Spelling::Exact, Spelling::Folded] {
            assert_eq!(role.is_same_person_by(&colleague, Recognition::STRICT, spelling), Some(SameBy::Uid));
            assert_eq!(role.is_same_person_by(&colleague, &shared, spelling), None);
            assert_eq!(role.is_same_person_by(&with_uid("alice", "other"), &shared, spelling), Some(SameBy::Username));
        }
        let blank = Recognition::STRICT;
        assert_eq!(with_uid("alice", " ").is_same_person_by(&with_uid("carol", " "), blank, Spelling::Folded), None);
    }

    #[test]
    fn of_a_login_only_configured_keys_are_recorded_and_each_of_them() {
        let login = UserInfo { uid: "7".into(), ..person("alice", &["devs"], &[("a", "1"), ("scopes", "secret")]) };
        let recorded = login.recorded(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(recorded.extra, [("a".to_owned(), vec!["1".to_owned()]), ("b".to_owned(), Vec::new())].into());
        assert_eq!(UserInfo { extra: login.extra.clone(), ..recorded }, login);
    }

    #[test]
    fn a_key_that_was_not_recorded_is_unknown_and_not_absent() {
        let keys = ["a".to_owned(), "b".to_owned()];
        let record = |extra: &[(&str, &[&str])]| UserInfo {
            extra: extra.iter().map(|(k, v)| (k.to_string(), v.iter().map(ToString::to_string).collect())).collect(),
            ..UserInfo::default()
        };
        for (extra, recorded, lacks, has) in [
            (&[("a", &["1"][..]), ("b", &["2"])][..], true, false, true),
            (&[("a", &["1"]), ("b", &[])], true, true, false),
            (&[("a", &["1"]), ("b", &[" "])], true, true, false),
            (&[("a", &["1"])], false, false, false),
            (&[], false, false, false),
        ] {
            let login = record(extra);
            assert_eq!(
                (login.is_recorded_with(&keys), login.lacks_a_recorded_key(&keys), login.has_extra_keys(&keys)),
                (recorded, lacks, has),
                "{extra:?}"
            );
        }
    }
}
