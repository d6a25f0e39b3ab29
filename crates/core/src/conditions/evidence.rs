//! What a login shows of its authentication, for the audit log.
use super::{claims::members, mfa::authenticated_at};
use crate::{
    principal::{MfaKeys, UserInfo},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// How and when a login was authenticated, by the extra keys that CurfewConfig names for MFA.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// Whether it has an accepted method, and a time that can be read.
    pub mfa: bool,
    /// Its methods, of those that CurfewConfig accepts. Others are not repeated: what a key holds that is not a method is unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// When it was authenticated, in whole seconds; only with MFA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// What a login shows. `None` where nothing is known: CurfewConfig names no keys, they were not recorded, or cannot be read, or it is a
/// service account, which has no login of a person. How old it may be is for the rules to say.
pub fn evidence(keys: Option<&MfaKeys>, login: &UserInfo) -> Option<Evidence> {
    let keys = keys?;
    let is_recorded = [&keys.methods_key, &keys.time_key].into_iter().all(|key| login.extra.contains_key(key));
    if login.is_system_identity() || !is_recorded {
        return None;
    }
    let shown = members(login, &keys.methods_key).ok()?;
    let methods: Vec<String> = keys.methods.iter().filter(|method| shown.contains(method)).cloned().collect();
    let at = authenticated_at(Some(keys), login).ok();
    Some(Evidence { mfa: at.is_some(), methods, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> MfaKeys {
        MfaKeys { methods_key: "amr".into(), methods: vec!["mfa".into(), "otp".into()], time_key: "auth-time".into() }
    }

    fn login(extra: &[(&str, &[&str])]) -> UserInfo {
        let extra = extra.iter().map(|(key, values)| ((*key).to_owned(), values.iter().map(ToString::to_string).collect()));
        UserInfo { username: "alice".into(), extra: extra.collect(), ..UserInfo::default() }
    }

    #[test]
    fn a_login_shows_its_accepted_methods_and_its_time_and_nothing_else() {
        let shown = |amr: &[&str], time: &[&str]| {
            let login = login(&[("amr", amr), ("auth-time", time), ("token", &["secret"])]);
            evidence(Some(&keys()), &login).map(|shown| serde_json::to_value(shown).unwrap())
        };
        let json = |value| Some(value);
        assert_eq!(
            shown(&["pwd", "otp"], &["1790000000"]),
            json(serde_json::json!({"mfa": true, "methods": ["otp"], "at": "2026-09-21T14:13:20Z"}))
        );
        assert_eq!(shown(&["pwd"], &["1790000000"]), json(serde_json::json!({"mfa": false})));
        assert_eq!(shown(&["otp"], &[]), json(serde_json::json!({"mfa": false, "methods": ["otp"]})));
        assert_eq!(shown(&["[1]"], &["1790000000"]), None, "what cannot be read is not known");
    }

    #[test]
    fn what_is_not_known_shows_nothing() {
        let with = login(&[("amr", &["otp"]), ("auth-time", &["1790000000"])]);
        assert!(evidence(Some(&keys()), &with).is_some());
        assert_eq!(evidence(None, &with), None);
        assert_eq!(evidence(Some(&keys()), &login(&[("amr", &["otp"])])), None, "recorded before the key was configured");
        let agent = UserInfo { username: "system:serviceaccount:flux:agent".into(), ..with };
        assert_eq!(evidence(Some(&keys()), &agent), None);
    }
}
