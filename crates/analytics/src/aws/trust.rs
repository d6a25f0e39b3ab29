//! Who may assume a role, by its trust policy (IAM User Guide, "AWS JSON policy elements: Principal").
use super::policy::{Document, Effect, Statement, decide::names_action};
use std::collections::BTreeSet;

/// The actions that a trust policy can allow.
const ASSUME: [&str; 3] = ["sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity"];
/// Keys that limit which principals of AWS a statement trusts, if an operator compares them with values.
const LIMITING_KEYS: [&str; 9] = [
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:userid",
    "sts:externalid",
    "aws:sourceorgid",
];
/// Providers that sign tokens for identities of anybody: without a condition on the subject, all of them are trusted.
const PUBLIC_PROVIDERS: [&str; 8] = [
    "token.actions.githubusercontent.com",
    "gitlab.com",
    "agent.buildkite.com",
    "oidc.circleci.com",
    "cognito-identity.amazonaws.com",
    "accounts.google.com",
    "graph.facebook.com",
    "www.amazon.com",
];

/// Whom a role trusts.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Trust {
    /// Services of AWS.
    pub services: BTreeSet<String>,
    /// Principals of its own account.
    pub own: BTreeSet<String>,
    /// Principals of other accounts, with the condition on an external id if there is one.
    pub external: BTreeSet<String>,
    /// Identity providers.
    pub federated: BTreeSet<String>,
    /// Why anybody can assume it, if that is so.
    pub everyone: Option<String>,
}

impl Trust {
    /// Of a trust policy. Deny statements and conditions that are not about principals are not taken off: what cannot be decided is trusted.
    pub fn of(document: &Document, account: &str) -> Self {
        let mut trust = Self::default();
        for statement in document.statements.iter().filter(|statement| statement.effect == Effect::Allow) {
            if !ASSUME.iter().any(|action| names_action(&statement.actions, action)) {
                continue;
            }
            trust.add(statement, account);
        }
        trust
    }

    fn add(&mut self, statement: &Statement, account: &str) {
        let Some(principal) = &statement.principal else { return };
        if principal.all_but {
            self.everyone = Some(format!("{} allows all but those of NotPrincipal", statement.name));
            return;
        }
        let limited = limits(statement, |key| LIMITING_KEYS.contains(&key));
        for (kind, value) in &principal.named {
            match kind.as_str() {
                "Service" => drop(self.services.insert(value.clone())),
                "Federated" => {
                    if let Some(provider) = public_provider(value).filter(|_| !limits(statement, names_subject)) {
                        self.everyone = Some(format!("every identity of {provider}: {} has no condition on the subject", statement.name));
                    }
                    self.federated.insert(value.clone());
                }
                _ if value == "*" && !limited => {
                    self.everyone = Some(format!("every principal of AWS: {} has no condition on it", statement.name))
                }
                _ if value == "*" => drop(self.external.insert("any principal that fits the condition".into())),
                // A principal that was deleted: IAM keeps its unique id, which nothing has again.
                _ if is_deleted(value) => {}
                _ if account_of(value) == Some(account) => drop(self.own.insert(value.clone())),
                _ => {
                    let external_id = limits(statement, |key| key == "sts:externalid");
                    self.external.insert(if external_id { format!("{value} (with an external id)") } else { value.clone() });
                }
            }
        }
    }

    /// Whether only services of AWS can assume it.
    pub fn only_services(&self) -> bool {
        !self.services.is_empty() && self.own.is_empty() && self.external.is_empty() && self.federated.is_empty() && self.everyone.is_none()
    }
}

/// Whether a condition compares a key with values, and not with absence or by exclusion.
fn limits(statement: &Statement, key: impl Fn(&str) -> bool) -> bool {
    statement.conditions.iter().any(|condition| {
        let operator = condition.operator.to_lowercase();
        let compares = !operator.contains("not") && !operator.starts_with("null") && !operator.ends_with("ifexists");
        compares
            && !operator.starts_with("forallvalues")
            && condition.values.iter().all(|value| value != "*")
            && key(&condition.key.to_lowercase())
    })
}

/// The subject of a token; of Cognito, the identity pool.
fn names_subject(key: &str) -> bool {
    key.ends_with(":sub")
        || key == "cognito-identity.amazonaws.com:aud"
        || key.ends_with(":job_workflow_ref")
        || key.ends_with(":repository")
}

fn public_provider(value: &str) -> Option<&'static str> {
    let name = value.rsplit_once(":oidc-provider/").map_or(value, |(_, name)| name);
    PUBLIC_PROVIDERS.iter().find(|known| name == **known || name.strip_prefix(**known).is_some_and(|rest| rest.starts_with('/'))).copied()
}

/// The account of a principal: an id, or an ARN.
fn account_of(principal: &str) -> Option<&str> {
    match principal.split(':').nth(4) {
        Some(account) => Some(account),
        None if principal.len() == 12 && principal.bytes().all(|byte| byte.is_ascii_digit()) => Some(principal),
        None => None,
    }
}

/// Whether a principal is the unique id of a user or role, which IAM writes in place of the ARN of one that is gone.
fn is_deleted(principal: &str) -> bool {
    ["AIDA", "AROA"].iter().any(|prefix| principal.starts_with(prefix)) && !principal.contains(':')
}
