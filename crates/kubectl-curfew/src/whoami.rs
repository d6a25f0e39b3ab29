//! `kubectl curfew whoami`: who a user is for Curfew.
use crate::{context::CliContext, output::put, read::INCOMPLETE};
use curfew_api::config::{Identity, Stamping, Uids};
use curfew_core::{principal::UserInfo, text::printable};

/// Show who you are for Curfew, and whether your decisions would count as proven.
///
/// Lists the extra keys that arrive with your login, and which of them CurfewConfig uses. Values are shown only of these.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  done\n  1  the API server cannot be asked\n  2  wrong usage\n  3  CurfewConfig cannot be read; standard error says why\n\nExample:\n  kubectl curfew whoami"
)]
pub struct Whoami {}

pub async fn run(me: &CliContext) -> anyhow::Result<u8> {
    let login = me.who().await?;
    let (config, stamping, problem) = match me.config().await {
        Ok(config) => (Some(config.spec.identity), config.status.and_then(|status| status.admission?.stamping), None),
        Err(error) => (None, None, Some(format!("{error:#}"))),
    };
    put(report(&login, config.as_ref(), stamping))?;
    Ok(problem.map_or(0, |problem| {
        eprintln!("warning: {}", printable(&problem));
        INCOMPLETE
    }))
}

/// What CurfewConfig uses an extra key for.
fn uses(config: Option<&Identity>, key: &str) -> Vec<&'static str> {
    let Some(config) = config else { return Vec::new() };
    let names = |keys: Vec<String>| keys.iter().any(|name| name == key);
    let mfa = config.mfa.as_ref().is_some_and(|mfa| mfa.methods_key == key || mfa.time_key == key);
    let context = config.authentication_context.as_ref().is_some_and(|context| context.key == key);
    [
        (names(config.aliases.list()), "aliases"),
        (names(config.decider_proof.list()), "deciderProof"),
        (mfa, "mfa"),
        (context, "authenticationContext"),
    ]
    .into_iter()
    .filter_map(|(used, name)| used.then_some(name))
    .collect()
}

/// One line for each fact. Everything that comes from elsewhere is escaped.
fn report(login: &UserInfo, config: Option<&Identity>, stamping: Option<Stamping>) -> String {
    let mut rows = vec![
        ("username", login.username.clone()),
        ("uid", if login.uid.is_empty() { "none".into() } else { login.uid.clone() }),
        ("groups", login.groups.len().to_string()),
    ];
    let configured = config.map(Identity::recorded_keys).unwrap_or_default();
    for (key, values) in &login.extra {
        let shown = match uses(config, key) {
            uses if uses.is_empty() => format!("{key}: not used, and not recorded"),
            uses => format!("{key}: {}, used for {}", quoted(values), uses.join(" and ")),
        };
        rows.push(("extra key", shown));
    }
    for key in configured.iter().filter(|key| !login.extra.contains_key(*key)) {
        rows.push(("extra key", format!("{key}: missing, used for {}", uses(config, key).join(" and "))));
    }
    if let Some(config) = config {
        let uids = match config.uids {
            Uids::Personal(_) => "personal: an equal uid is the same person",
            Uids::Shared(_) => "shared: people are told apart by user names and aliases",
        };
        rows.push(("uids", uids.into()));
        rows.push((
            "requests",
            missing_alias(login, config).map_or("are accepted from this login".into(), |why| format!("are refused: {why}")),
        ));
        let unproven = missing(login, config);
        rows.push(("decisions", unproven.map_or("count as proven".into(), |why| format!("do not count: {why}"))));
        rows.push(("filled in", filled_in(stamping).into()));
    }
    rows.iter().map(|(label, value)| format!("{label:>10}  {}\n", printable(value))).collect()
}

/// By whom requester, decider and author are filled in, as the operator has found last.
fn filled_in(stamping: Option<Stamping>) -> &'static str {
    match stamping {
        Some(Stamping::ApiServer) => "by the API server, also for plain kubectl",
        Some(Stamping::NotServed) => {
            "by kubectl curfew: this API server does not serve MutatingAdmissionPolicy; for plain kubectl use kubectl curfew stamp"
        }
        Some(Stamping::Missing) => {
            "by kubectl curfew: a mutating admission policy of Curfew is missing here; for plain kubectl use kubectl curfew stamp"
        }
        None => "by kubectl curfew where the API server does not; no operator has published which",
    }
}

fn quoted(values: &[String]) -> String {
    values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ")
}

fn missing_alias(login: &UserInfo, config: &Identity) -> Option<String> {
    let keys = config.aliases.list();
    (!login.has_required_alias(&keys))
        .then(|| format!("the login has none of the extra keys {} that spec.identity.aliases of CurfewConfig names", keys.join(", ")))
}

/// Why a decision of this login would not count.
fn missing(login: &UserInfo, config: &Identity) -> Option<String> {
    if login.is_system_identity() {
        return Some("decisions are made by people, and not by system: identities".into());
    }
    let absent: Vec<String> =
        config.decider_proof.list().into_iter().filter(|key| !login.has_extra_keys(std::slice::from_ref(key))).collect();
    let proof = || format!("the login has no value for {}, which spec.identity.deciderProof of CurfewConfig asks for", absent.join(", "));
    (!absent.is_empty()).then(proof).or_else(|| missing_alias(login, config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn login(extra: serde_json::Value) -> UserInfo {
        serde_json::from_value(json!({"username": "alice\u{1b}[2J", "uid": "AROA", "groups": ["a", "b"], "extra": extra})).unwrap()
    }

    fn config(aliases: &serde_json::Value, proof: &serde_json::Value) -> Identity {
        serde_json::from_value(json!({"aliases": aliases, "uids": {"shared": {}}, "deciderProof": proof})).unwrap()
    }

    #[test]
    fn the_report_names_what_arrives_what_is_used_and_what_is_missing() {
        let (person, badge, none) = (json!({"keys": ["person"]}), json!({"keys": ["badge", "person"]}), json!({"none": {}}));
        let told = report(&login(json!({"person": ["7"], "arn": ["secret-arn"]})), Some(&config(&person, &badge)), None);
        for part in [
            "  username  alice\\u{1b}[2J\n",
            "       uid  AROA\n",
            "    groups  2\n",
            " extra key  arn: not used, and not recorded\n",
            " extra key  person: \"7\", used for aliases and deciderProof\n",
            " extra key  badge: missing, used for deciderProof\n",
            "      uids  shared",
            "  requests  are accepted",
            " decisions  do not count: the login has no value for badge",
        ] {
            assert!(told.contains(part), "{part:?} is not in:\n{told}");
        }
        assert!(!told.contains("secret-arn"), "{told}");
        for (stamping, words) in [
            (Some(Stamping::ApiServer), " filled in  by the API server, also for plain kubectl\n"),
            (Some(Stamping::NotServed), " filled in  by kubectl curfew: this API server does not serve MutatingAdmissionPolicy"),
            (Some(Stamping::Missing), " filled in  by kubectl curfew: a mutating admission policy of Curfew is missing"),
            (None, "no operator has published which"),
        ] {
            let told = report(&login(json!({})), Some(&config(&none, &none)), stamping);
            assert!(told.contains("decisions  count as proven") && told.contains(words), "{told}");
        }
        let told = report(&login(json!({"person": [" "]})), Some(&config(&person, &none)), None);
        assert!(told.contains("requests  are refused: the login has none of the extra keys person"), "{told}");
        assert!(told.contains("decisions  do not count: the login has none"), "{told}");
        let told = report(&login(json!({"arn": ["secret-arn"]})), None, Some(Stamping::NotServed));
        assert!(told.contains("arn: not used") && !told.contains("secret-arn") && !told.contains("decisions"), "{told}");
    }
}
