//! Whether a rule can be limited to the objects that were used, by name.
//!
//! A rule with `resourceNames` refuses every other object, so names are taken only where they are not expected to change.
use super::{
    observed::{Access, Objects},
    standing::Held,
};
use crate::{history::Window, kubernetes::RBAC};
use clap::ValueEnum;
use std::collections::BTreeSet;

/// How many names a rule may have that is limited because the same objects were used again.
const MAX_STABLE: usize = 8;
/// On how many days each object must have been used for that.
const MIN_DAYS: u32 = 2;
/// Permissions on credentials and identities, by verb, group and resource. Without names they lead to everything, so names are taken also if
/// they were used on one day only.
const SENSITIVE: [(&str, &str, &str); 12] = [
    ("get", "", "secrets"),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "users"),
    ("impersonate", "", "groups"),
    ("impersonate", "", "serviceaccounts"),
    ("approve", "certificates.k8s.io", "signers"),
    ("sign", "certificates.k8s.io", "signers"),
    ("attest", "certificates.k8s.io", "signers"),
    ("bind", RBAC, "roles"),
    ("bind", RBAC, "clusterroles"),
    ("escalate", RBAC, "roles"),
    ("escalate", RBAC, "clusterroles"),
];

/// Kinds whose objects come and go under names of their own.
const CHANGING: [(&str, &str); 9] = [
    ("", "pods"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("apps", "controllerrevisions"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("discovery.k8s.io", "endpointslices"),
    ("resource.k8s.io", "resourceclaims"),
];

/// When a rule names objects.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub enum ObjectNames {
    /// Where the names are not expected to change: the same few objects on two days or more, or objects of a sensitive permission.
    #[default]
    Stable,
    /// Wherever every request named an object.
    All,
    /// Only where the standing access does so, too.
    Never,
}

/// The names that a rule is limited to; `None`: no limit. The second value says whether the standing access allows the result.
pub fn limit(access: &Access, objects: &Objects, held: &Held, window: Window, rule: ObjectNames) -> (Option<BTreeSet<String>>, bool) {
    let used: BTreeSet<String> = objects.names.iter().filter(|(_, days)| days.within(window)).map(|(name, _)| name.clone()).collect();
    let unnamed = objects.unnamed.is_some_and(|days| days.within(window));
    match held {
        // No more than the standing access.
        Held::Named(names) if unnamed && is_by_name(access) => (Some(names.clone()), true),
        Held::Named(names) if !unnamed => {
            let within = used.is_subset(names);
            (Some(used), within)
        }
        Held::Named(_) => (None, false),
        Held::All | Held::Not => {
            let all = *held == Held::All;
            if unnamed || !is_by_name(access) || used.is_empty() {
                return (None, all);
            }
            let take = match rule {
                ObjectNames::Never => false,
                ObjectNames::All => true,
                ObjectNames::Stable => is_stable(access, objects, &used, window),
            };
            (take.then_some(used), all)
        }
    }
}

fn is_stable(access: &Access, objects: &Objects, used: &BTreeSet<String>, window: Window) -> bool {
    let Access::Resource { group, resource, verb } = access else { return false };
    let kind = (group.as_str(), resource.split('/').next().unwrap_or_default());
    if CHANGING.contains(&kind) || used.iter().any(|name| looks_generated(name)) {
        return false;
    }
    let again = |name: &String| objects.names.get(name).is_some_and(|days| days.count(window) >= MIN_DAYS);
    SENSITIVE.contains(&(verb, group, resource)) || (used.len() <= MAX_STABLE && used.iter().all(again))
}

/// Whether requests for this access name one object. `list` and `watch` can, by a field selector, and the next one may not.
fn is_by_name(access: &Access) -> bool {
    match access {
        Access::Url { .. } => false,
        Access::Resource { resource, verb, .. } => match verb.as_str() {
            "list" | "watch" | "deletecollection" => false,
            "create" => resource.contains('/'),
            _ => true,
        },
    }
}

/// Whether a name looks like one that a program made: a suffix of Kubernetes (five of its letters), a number, a digest, a Helm release.
fn looks_generated(name: &str) -> bool {
    let suffix = |part: &str| part.len() == 5 && part.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c));
    let digest = |part: &str| {
        let hex = part.len() >= 8 && part.chars().all(|c| c.is_ascii_hexdigit());
        hex && part.contains(|c: char| c.is_ascii_digit()) && part.contains(|c: char| c.is_ascii_alphabetic())
    };
    let number = |part: &str| part.len() >= 6 && part.chars().all(|c| c.is_ascii_digit());
    let last = name.rsplit_once('-').map(|(_, last)| last);
    name.starts_with("sh.helm.release.v1.") || last.is_some_and(suffix) || name.split(['-', '.']).any(|part| digest(part) || number(part))
}

#[cfg(test)]
mod tests {
    use super::looks_generated;

    #[test]
    fn names_that_programs_make() {
        for name in ["web-7d4b9c6f5-x2x5k", "default-token-bz7kq", "backup-28391820", "sh.helm.release.v1.web.v3", "x-0123abcd4567"] {
            assert!(looks_generated(name), "{name}");
        }
        for name in ["db", "payments-tls", "ca-bundle", "my-nginx", "config-2024", "web-0", "carol@example.com", "kube-root-ca.crt"] {
            assert!(!looks_generated(name), "{name}");
        }
    }
}
