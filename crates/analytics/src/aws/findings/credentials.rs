//! Findings about passwords, MFA and access keys.
use super::Facts;
use crate::{
    assemble::{finding, written},
    aws::credentials::{Credentials, Key},
    history::{DAY, Window},
    report::{Finding, FindingType},
};

/// After how many days a key is to be rotated, and an unused credential to be removed (AWS Security Hub, IAM.3 and IAM.8).
const MAX_DAYS: i64 = 90;

/// The name of a key in findings and rows.
pub fn key_name(arn: &str, key: &Key) -> String {
    match &key.id {
        Some(id) => format!("{arn} {id}"),
        None => format!("{arn} key {}", key.number),
    }
}

/// A moment, or that there was none.
fn last(at: Option<i64>) -> String {
    at.map_or("no use is recorded".into(), |at| format!("last used {}", written(at)))
}

impl Facts<'_> {
    /// What the credential report shows. It needs no logs.
    pub(super) fn about_credentials(&self) -> Vec<Finding> {
        let Some(report) = &self.inventory.input.credentials else { return Vec::new() };
        let mut found = Vec::new();
        for (arn, credentials) in report {
            if self.inventory.identities.get(arn).is_some_and(|identity| identity.excluded.from_reports) {
                continue;
            }
            found.extend(password(arn, credentials, self.window));
            for key in credentials.keys.iter().filter(|key| key.active) {
                found.extend(self.key(arn, credentials, key));
            }
        }
        found
    }

    fn key(&self, arn: &str, credentials: &Credentials, key: &Key) -> Vec<Finding> {
        let (name, until) = (key_name(arn, key), self.window.until);
        let mut found = Vec::new();
        if credentials.root {
            let advice = "Delete the key: nothing limits the root of an account.";
            found.push(finding(
                FindingType::RootKey,
                name.clone(),
                "the root has an active access key".into(),
                vec![last(key.last_used)],
                advice,
            ));
        }
        if let Some(days) = key.rotated.map(|at| (until - at) / DAY).filter(|days| *days > MAX_DAYS) {
            let created = key.rotated.map(|at| format!("created {}", written(at)));
            let evidence = created.into_iter().chain([last(key.last_used)]).collect();
            let advice = "Replace it by a role; otherwise create a second key, change over to it, and delete this one.";
            found.push(finding(FindingType::KeyAge, name.clone(), format!("is {days} days old"), evidence, advice));
        }
        if is_unused(key.last_used, key.rotated, until) {
            let service = key.last_service.as_ref().map(|service| format!("by then for {service}"));
            let evidence = [last(key.last_used)].into_iter().chain(service).collect();
            let summary = format!("is active and was not used in {MAX_DAYS} days");
            found.push(finding(FindingType::UnusedKey, name, summary, evidence, "Deactivate it, and delete it after a week."));
        }
        found
    }
}

/// Whether a credential of more than the limit's age was not used within the limit.
fn is_unused(last_used: Option<i64>, created: Option<i64>, until: i64) -> bool {
    let before = until - MAX_DAYS * DAY;
    last_used.or(created).is_some_and(|at| at <= before) && created.is_none_or(|at| at <= before)
}

fn password(arn: &str, credentials: &Credentials, window: Window) -> Vec<Finding> {
    if !credentials.password {
        return Vec::new();
    }
    let mut found = Vec::new();
    if !credentials.mfa {
        let who = if credentials.root { "the root can sign in" } else { "can sign in to the console" };
        let advice = "Assign an MFA device, or remove the password.";
        let evidence = vec![last(credentials.password_used)];
        found.push(finding(FindingType::NoMfa, arn.to_owned(), format!("{who} with a password alone"), evidence, advice));
    }
    if !credentials.root && is_unused(credentials.password_used, credentials.password_changed, window.until) {
        let summary = format!("has a password that was not used in {MAX_DAYS} days");
        let evidence = vec![last(credentials.password_used)];
        found.push(finding(FindingType::UnusedPassword, arn.to_owned(), summary, evidence, "Remove the password."));
    }
    found
}
