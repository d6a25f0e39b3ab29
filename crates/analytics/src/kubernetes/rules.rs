//! What a role grants: its rules expanded over the catalogue, as the API server's RBAC authorizer reads them.
use super::{
    dump::{Role, Rule},
    kinds::Kind,
    permissions::{Permissions, url_matches},
};
use crate::catalogue::PermissionId;
use std::collections::{BTreeMap, BTreeSet};

/// What a role grants.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Expanded {
    /// Permissions on resources. `true`: on named objects only, which counts as granted wherever the role is bound.
    pub resources: BTreeMap<PermissionId, bool>,
    /// `create` of named objects, which has no effect without `patch` or `update` from another rule.
    pub named_creates: BTreeSet<PermissionId>,
    /// Permissions on URLs; only a ClusterRoleBinding makes them effective.
    pub urls: Vec<PermissionId>,
    /// Whether it grants every verb on every resource of every group.
    pub everything: bool,
    /// Whether it has a wildcard, so that it may grant what the catalogue does not have.
    pub open: bool,
    /// Whether a rule grants nothing of the catalogue, or names what no request shows. A wildcard over resources names nothing.
    pub unseen: bool,
}

fn has(list: &[String], value: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == value)
}

/// Whether a rule's resources include this one: `*`, the resource itself, or `*/sub` for a subresource.
fn names_resource(rule: &Rule, resource: &str) -> bool {
    let by_subresource = |entry: &str| {
        let (wanted, asked) = (entry.strip_prefix("*/"), resource.split_once('/').map(|(_, sub)| sub));
        wanted.is_some() && wanted == asked
    };
    rule.resources.iter().any(|entry| entry == "*" || entry == resource || by_subresource(entry))
}

/// Whether a rule includes this verb on this resource, regardless of the names of objects.
pub fn matches(rule: &Rule, verb: &str, group: &str, resource: &str) -> bool {
    has(&rule.verbs, verb) && has(&rule.api_groups, group) && names_resource(rule, resource)
}

/// A rule with names never matches a request that has none: `deletecollection`, and the POST of an object. A PATCH or PUT that creates the
/// object has a name, and needs `create` besides its own verb.
fn effective_by_name(rule: &Rule, verb: &str, kind: &Kind) -> bool {
    match verb {
        "deletecollection" => false,
        "create" => kind.resource.contains('/') || has(&rule.verbs, "patch") || has(&rule.verbs, "update"),
        _ => true,
    }
}

/// Expands a role over the catalogue.
pub fn expand(role: &Role, permissions: &Permissions) -> Expanded {
    let mut found = Expanded::default();
    for rule in &role.rules {
        let named = !rule.resource_names.is_empty();
        found.everything |=
            !named && [&rule.verbs, &rule.api_groups, &rule.resources].iter().all(|list| list.iter().any(|entry| entry == "*"));
        found.open |=
            [&rule.verbs, &rule.api_groups, &rule.resources, &rule.non_resource_urls].into_iter().flatten().any(|entry| entry == "*");
        let by_name = !rule.resources.iter().any(|resource| resource == "*");
        let mut known = rule.resources.is_empty() || rule.api_groups.is_empty() || rule.verbs.is_empty();
        for (kind, verbs) in &permissions.kinds {
            if !has(&rule.api_groups, &kind.group) || !names_resource(rule, &kind.resource) {
                continue;
            }
            for (verb, id) in verbs.iter().filter(|(verb, _)| has(&rule.verbs, verb)) {
                known = true;
                found.unseen |= by_name && permissions.unseen.contains(id);
                if !named || effective_by_name(rule, verb, kind) {
                    let only_named = found.resources.entry(*id).or_insert(true);
                    *only_named &= named;
                } else if verb == "create" {
                    found.named_creates.insert(*id);
                }
            }
        }
        found.unseen |= !known;
        for (pattern, verbs) in &permissions.urls {
            // A granted pattern includes another one if it matches everything that the other one does.
            if rule.non_resource_urls.iter().any(|granted| granted == pattern || url_matches(granted, pattern)) {
                found.urls.extend(verbs.iter().filter(|(verb, _)| has(&rule.verbs, verb)).map(|(_, id)| *id));
            }
        }
    }
    found.urls.sort_unstable();
    found.urls.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::dump::Dump;

    /// The names of what rules grant on the built-in kinds.
    fn granted(rules: &str) -> (Vec<String>, Expanded) {
        let role = format!(r#"{{"kind":"ClusterRole","metadata":{{"name":"r"}},"rules":[{rules}]}}"#);
        let dump = Dump::parse(&format!(
            r#"{role}{{"kind":"ClusterRoleBinding","metadata":{{"name":"b"}},"roleRef":{{"kind":"ClusterRole","name":"r"}}}}"#
        ))
        .unwrap();
        let permissions = Permissions::build(None, &dump);
        let expanded = expand(dump.role_of(&dump.bindings[0]).unwrap(), &permissions);
        let ids = expanded.resources.keys().chain(&expanded.urls);
        (ids.map(|id| permissions.catalogue.permissions()[*id].name.clone()).collect(), expanded)
    }

    #[test]
    fn wildcards_of_groups_resources_and_verbs() {
        let (names, expanded) = granted(r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"]},{"verbs":["*"],"nonResourceURLs":["*"]}"#);
        assert!(expanded.everything && expanded.urls.len() == 2);
        for name in ["create core/pods/exec", "escalate rbac.authorization.k8s.io/roles", "impersonate core/users", "get /logs/*"] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
        let (names, expanded) = granted(r#"{"verbs":["get"],"apiGroups":["apps"],"resources":["*"]}"#);
        assert!(!expanded.everything && names.contains(&"get apps/deployments/scale".to_owned()));
        assert!(names.iter().all(|name| name.starts_with("get apps/")), "{names:?}");
    }

    #[test]
    fn a_resource_does_not_include_its_subresources_and_a_star_before_a_subresource_is_every_resource() {
        assert_eq!(granted(r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}"#).0, ["get core/pods"]);
        let (names, _) = granted(r#"{"verbs":["patch"],"apiGroups":["apps"],"resources":["*/scale"]}"#);
        assert_eq!(names, ["patch apps/deployments/scale", "patch apps/replicasets/scale", "patch apps/statefulsets/scale"]);
        // The API server does not know `pods/*`: it is a resource of its own that nothing serves.
        assert_eq!(granted(r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods/*"]}"#).0, ["get core/pods/*"]);
    }

    #[test]
    fn names_of_objects_exclude_requests_without_a_name_and_are_flagged() {
        let rule = r#"{"verbs":["get","create","deletecollection"],"apiGroups":[""],"resources":["configmaps"],"resourceNames":["a"]}"#;
        let (names, expanded) = granted(rule);
        assert_eq!(names, ["get core/configmaps"]);
        assert!(expanded.resources.values().all(|named| *named) && expanded.named_creates.len() == 1);
        assert_eq!(granted(&rule.replace("get", "patch")).0, ["create core/configmaps", "patch core/configmaps"]);
        let wider = format!(r#"{rule},{{"verbs":["get"],"apiGroups":[""],"resources":["configmaps"]}}"#);
        assert!(granted(&wider).1.resources.values().all(|named| !*named));
        let exec = granted(r#"{"verbs":["create"],"apiGroups":[""],"resources":["pods/exec"],"resourceNames":["a"]}"#).0;
        assert_eq!(exec, ["create core/pods/exec"]);
    }

    #[test]
    fn urls_by_prefix() {
        let (names, _) = granted(r#"{"verbs":["get"],"nonResourceURLs":["/healthz/*","/metrics"]}"#);
        assert_eq!(names, ["get /healthz/*", "get /metrics"]);
        assert_eq!(granted(r#"{"verbs":["get"],"nonResourceURLs":["/logs*"]}"#).0, ["get /logs*", "get /logs/*"]);
    }
}
