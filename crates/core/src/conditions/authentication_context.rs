//! Authentication context: a named strength of login, such as Entra's `c1` in the claim `acrs`.
//!
//! A role that asks for a context is activated by a login that carries it, and by no other one. There is no fallback to MFA: where the
//! identity provider does not know the context, no login carries it, and the requests are refused by name.
use super::claims::{NotAList, members};
use crate::{principal::UserInfo, text::brief};
use std::fmt;

/// What a login lacks of the context that a role asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lack {
    /// The key was not configured when the login was recorded: whether the login carries the context is unknown.
    NotRecorded {
        /// The key that is configured now.
        key: String,
    },
    /// A service account has no login of a person.
    NotAPerson {
        /// Its user name.
        name: String,
    },
    /// No value under the key.
    Absent {
        /// The key.
        key: String,
    },
    /// Other contexts.
    Others {
        /// The key.
        key: String,
        /// What the login carries.
        found: Vec<String>,
    },
    /// A value that is not a list of contexts.
    Unreadable {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
}

/// Whether a login carries this context under this key. The order of the rules: 1. a service account; 2. not recorded; 3. unreadable;
/// 4. absent; 5. other contexts. Contexts are compared exactly.
///
/// # Errors
/// What is missing.
pub fn check(login: &UserInfo, key: &str, context: &str) -> Result<(), Lack> {
    let own = || key.to_owned();
    if login.is_system_identity() {
        return Err(Lack::NotAPerson { name: login.username.clone() });
    }
    if !login.extra.contains_key(key) {
        return Err(Lack::NotRecorded { key: own() });
    }
    let found = members(login, key).map_err(|NotAList(value)| Lack::Unreadable { key: own(), value })?;
    match found.as_slice() {
        [] => Err(Lack::Absent { key: own() }),
        all if all.iter().any(|member| member == context) => Ok(()),
        _ => Err(Lack::Others { key: own(), found }),
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = "log in again for that context, and create it again";
        match self {
            Lack::NotRecorded { key } => f.write_str(&crate::messages::recorded_without(std::slice::from_ref(key))),
            Lack::NotAPerson { name } => {
                write!(f, "{} is not a person and has none; a person must create the request", brief(name))
            }
            Lack::Absent { key } => write!(f, "the login has no value under extra key {key}; {step}"),
            Lack::Others { key, found } => write!(f, "the login has {} under extra key {key}; {step}", brief(&found.join(", "))),
            Lack::Unreadable { key, value } => {
                write!(
                    f,
                    "extra key {key} of the login has {}, which is not a list; the platform team must correct the claim mapping",
                    brief(value)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(values: &[&str]) -> UserInfo {
        let extra = [("acrs".to_owned(), values.iter().map(ToString::to_string).collect())].into();
        UserInfo { username: "alice".into(), extra, ..UserInfo::default() }
    }

    #[test]
    fn only_a_login_that_carries_the_context_has_it() {
        for values in [&["c1"][..], &["c2", "c1"], &["[\"c1\",\"c3\"]"], &["c2 c1"]] {
            assert_eq!(check(&login(values), "acrs", "c1"), Ok(()), "{values:?}");
        }
        let lack = |login: &UserInfo| check(login, "acrs", "c1").unwrap_err();
        assert_eq!(lack(&login(&[])), Lack::Absent { key: "acrs".into() });
        assert_eq!(lack(&login(&[" "])), Lack::Absent { key: "acrs".into() });
        for (values, found) in [(&["c2"][..], &["c2"][..]), (&["C1"], &["C1"]), (&["c10"], &["c10"]), (&["c2", "c3"], &["c2", "c3"])] {
            let found = found.iter().map(ToString::to_string).collect();
            assert_eq!(lack(&login(values)), Lack::Others { key: "acrs".into(), found }, "{values:?}");
        }
        assert!(matches!(lack(&login(&["[c1]"])), Lack::Unreadable { .. }));
        assert_eq!(lack(&UserInfo { extra: [].into(), ..login(&[]) }), Lack::NotRecorded { key: "acrs".into() });
        let account = UserInfo { username: "system:serviceaccount:ci:bot".into(), ..login(&["c1"]) };
        assert!(matches!(lack(&account), Lack::NotAPerson { .. }), "regardless of what its extra says");
    }
}
