//! What a role lets its holder make that outlives the grant: tokens, bindings, approved certificates, somebody else's name.
use crate::digest::Digest;
use serde::Serialize;

/// One rule of a ClusterRole or Role, as Kubernetes writes it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The API groups.
    pub api_groups: Vec<String>,
    /// The resources, with their subresources.
    pub resources: Vec<String>,
    /// Only these objects.
    pub resource_names: Vec<String>,
    /// The verbs.
    pub verbs: Vec<String>,
    /// Paths that are no resources.
    pub non_resource_urls: Vec<String>,
}

/// The digest of a role's content, in the order in which it stands.
pub fn digest(rules: &[Rule]) -> Digest {
    Digest::of(&rules)
}

/// What a holder could make, in words; nothing if these rules end with the grant.
///
/// Reading secrets is not among them, though a token of the old style can be read from one: the docs say so.
pub fn persistence(rules: &[Rule]) -> Option<&'static str> {
    const WRITE: &[&str] = &["create", "update", "patch"];
    const ROLES: &[&str] = &["create", "update", "patch", "bind", "escalate"];
    /// API group, resource, verbs, and what comes of them.
    const LASTING: &[(&str, &str, &[&str], &str)] = &[
        ("", "serviceaccounts/token", &["create"], "make tokens of service accounts"),
        ("rbac.authorization.k8s.io", "rolebindings", WRITE, "write RoleBindings"),
        ("rbac.authorization.k8s.io", "clusterrolebindings", WRITE, "write ClusterRoleBindings"),
        // Of a type that Kubernetes fills with a token that never ends.
        ("", "secrets", &["create"], "make secrets that hold tokens of service accounts"),
        // What a holder may do they may add to a role in which they stand.
        ("rbac.authorization.k8s.io", "roles", ROLES, "widen roles"),
        ("rbac.authorization.k8s.io", "clusterroles", ROLES, "widen ClusterRoles"),
        ("certificates.k8s.io", "certificatesigningrequests/approval", WRITE, "approve certificates"),
        ("certificates.k8s.io", "signers", &["approve", "sign"], "approve certificates"),
        ("", "users", &["impersonate"], "act as other users"),
        ("", "groups", &["impersonate"], "act as other groups"),
        ("", "serviceaccounts", &["impersonate"], "act as service accounts"),
        ("authentication.k8s.io", "userextras", &["impersonate"], "claim what a login says of itself"),
        ("authentication.k8s.io", "uids", &["impersonate"], "act under another uid"),
    ];
    let named = |list: &[String], x: &str| list.iter().any(|l| l == x || l == "*");
    // Constrained impersonation (Kubernetes 1.36): `impersonate:user-info`, `impersonate:serviceaccount`, ...
    let constrained = |r: &Rule| r.verbs.iter().any(|v| v.starts_with("impersonate:") || v.starts_with("impersonate-on:"));
    if rules.iter().any(constrained) {
        return Some("act as others");
    }
    LASTING.iter().find_map(|(group, resource, verbs, what)| {
        let hit = |r: &Rule| {
            let sub = resource.split_once('/').is_some_and(|(_, s)| r.resources.iter().any(|x| *x == format!("*/{s}")));
            let extras = *resource == "userextras" && r.resources.iter().any(|x| x.starts_with("userextras/"));
            named(&r.api_groups, group) && (named(&r.resources, resource) || sub || extras) && verbs.iter().any(|v| named(&r.verbs, v))
        };
        rules.iter().any(hit).then_some(*what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(group: &str, resource: &str, verb: &str) -> Rule {
        Rule { api_groups: vec![group.into()], resources: vec![resource.into()], verbs: vec![verb.into()], ..Rule::default() }
    }

    #[test]
    fn what_outlives_a_grant_is_named() {
        let rbac = "rbac.authorization.k8s.io";
        for (r, what) in [
            (rule("", "serviceaccounts/token", "create"), Some("make tokens of service accounts")),
            (rule("", "*/token", "create"), Some("make tokens of service accounts")),
            (rule(rbac, "rolebindings", "patch"), Some("write RoleBindings")),
            (rule("*", "*", "*"), Some("make tokens of service accounts")),
            (rule("", "users", "impersonate"), Some("act as other users")),
            (rule("authentication.k8s.io", "userextras/scopes", "impersonate"), Some("claim what a login says of itself")),
            (rule("certificates.k8s.io", "certificatesigningrequests/approval", "update"), Some("approve certificates")),
            (rule("", "secrets", "get"), None),
            (rule("", "secrets", "create"), Some("make secrets that hold tokens of service accounts")),
            (rule(rbac, "roles", "update"), Some("widen roles")),
            (rule("authentication.k8s.io", "users", "impersonate:user-info"), Some("act as others")),
            (rule(rbac, "rolebindings", "get"), None),
            (rule("apps", "deployments", "*"), None),
        ] {
            assert_eq!(persistence(std::slice::from_ref(&r)), what, "{r:?}");
        }
    }
}
