//! What a role lets its holder make that outlives the grant: tokens, bindings, code under another identity, or the objects from
//! which a controller makes them. The rights are data: [`builtin`] has those of Kubernetes and Curfew, [`controllers`] those of
//! controllers that are installed often.
//!
//! A right is in the lists if a single use of it can leave access behind. Not in the lists:
//!
//! - what only reads, Secrets included, although a Secret may hold a token of the old kind; the docs say so;
//! - what changes neither identity nor code: `scale`, `eviction`, deletion of workloads, ConfigMaps, Services;
//! - what ends with its connection: `pods/portforward` and the `proxy` of pods and services;
//! - URLs outside of the resource API: the API server serves none of its own that creates anything.
//!
//! A controller that is not in the lists is not recognised: `docs/security.md` says so.
mod builtin;
mod controllers;

use super::persistence::Rule;

/// A right that outlives a grant.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// The API group; `*` stands for any, `*.x` for those that end with `.x`.
    pub group: &'static str,
    /// The resources, with their subresources; `*` stands for any of the group, `x/*` for any subresource of `x`.
    pub resources: &'static [&'static str],
    /// The verbs.
    pub verbs: Verbs,
    /// What its holder can do: completes "ClusterRole x can".
    pub allows: &'static str,
    /// Where that is described.
    pub source: &'static str,
}

/// The verbs of a right. A name that ends with `*` stands for every verb that begins so.
#[derive(Clone, Copy, Debug)]
pub enum Verbs {
    /// Any of these.
    AnyOf(&'static [&'static str]),
    /// Every verb except these, verbs of a controller's own included.
    AllBut(&'static [&'static str]),
    /// Any of these where the rule names it: a rule for all verbs is judged by other rights.
    Named(&'static [&'static str]),
}

/// Makes or changes an object.
const WRITE: Verbs = Verbs::AnyOf(&["create", "update", "patch"]);
/// The same for objects whose removal gives way to what they forbid.
const REPLACE: Verbs = Verbs::AnyOf(&["create", "update", "patch", "delete", "deletecollection"]);
/// Every verb that does not only read.
const NOT_READ: Verbs = Verbs::AllBut(&["get", "list", "watch"]);
/// Every verb.
const ANY: Verbs = Verbs::AllBut(&[]);

/// Every right that outlives a grant.
pub fn rights() -> impl Iterator<Item = &'static Right> {
    builtin::RIGHTS.iter().chain(controllers::RIGHTS)
}

/// A right that a role holds.
#[derive(Clone, Debug)]
struct Hit {
    /// The position of the rule in the role, from 1.
    rule: usize,
    right: &'static Right,
    /// The first resource of the right that the rule gives.
    resource: &'static str,
}

/// How many rights of one role are named in a message.
const MAX_NAMED: usize = 3;

/// The rights of a role that outlive a grant, in words, with the rules that give them; `None` if everything ends with the grant.
pub fn persistence(rules: &[Rule]) -> Option<String> {
    let hits: Vec<Hit> = rules.iter().zip(1..).flat_map(|(rule, number)| hits(rule, number)).collect();
    // What one rule allows is said once, whichever of its rights allow it.
    let mut distinct: Vec<&Hit> = Vec::new();
    for hit in &hits {
        if !distinct.iter().any(|known| (known.rule, known.right.allows) == (hit.rule, hit.right.allows)) {
            distinct.push(hit);
        }
    }
    let named: Vec<String> = distinct.iter().take(MAX_NAMED).map(|hit| hit.in_words()).collect();
    match distinct.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        _ if named.is_empty() => None,
        None => Some(named.join(", ")),
        Some(more) => Some(format!("{} and {more} more", named.join(", "))),
    }
}

fn hits(rule: &Rule, number: usize) -> impl Iterator<Item = Hit> {
    rights().filter_map(move |right| right.given_by(rule).map(|resource| Hit { rule: number, right, resource }))
}

impl Hit {
    fn in_words(&self) -> String {
        let of = if self.right.group.is_empty() { "" } else { "." };
        format!("{} (rule {}: {}{of}{})", self.right.allows, self.rule, self.resource, self.right.group)
    }
}

impl Right {
    /// The first resource of this right that a rule gives, as RBAC evaluates rules.
    ///
    /// `resourceNames` are not looked at: one object is enough to make access from. They keep `create` from matching a POST,
    /// which has no name yet, and not the `create` of a subresource or of an apply.
    fn given_by(&self, rule: &Rule) -> Option<&'static str> {
        let group = rule.api_groups.iter().any(|group| group_matches(group, self.group));
        if !group || !self.verbs.match_any(&rule.verbs) {
            return None;
        }
        // A rule for all groups names a resource of any group, and a name that Kubernetes itself uses gives nothing on other kinds.
        let every_group = !rule.api_groups.iter().any(|group| group != "*" && group_matches(group, self.group));
        let foreign = |written: &&String| !every_group || self.group == "*" || !builtin::is_resource(written);
        let given = |resource: &&&'static str| {
            let mut written = rule.resources.iter();
            written.any(|written| resource_matches(written, resource) && (**resource != "*" || foreign(&written)))
        };
        self.resources.iter().find(given).copied()
    }
}

impl Verbs {
    fn match_any(self, written: &[String]) -> bool {
        let is_one =
            |list: &[&str], verb: &str| list.iter().any(|v| v.strip_suffix('*').map_or(*v == verb, |begin| verb.starts_with(begin)));
        match self {
            Verbs::AnyOf(list) => written.iter().any(|verb| verb == "*" || is_one(list, verb)),
            Verbs::AllBut(list) => written.iter().any(|verb| !is_one(list, verb)),
            Verbs::Named(list) => written.iter().any(|verb| is_one(list, verb)),
        }
    }
}

fn group_matches(written: &str, group: &str) -> bool {
    written == "*" || group == "*" || group.strip_prefix('*').map_or(written == group, |end| written.ends_with(end))
}

/// RBAC knows two wildcards: `*` is every resource and subresource, `*/x` the subresource `x` of every resource. `pods/*` is
/// neither, and matches nothing. The subresource `scale` holds a number, in whichever group.
fn resource_matches(written: &str, resource: &str) -> bool {
    let (written_sub, sub) = (written.split_once('/'), resource.split_once('/'));
    match (written_sub, sub) {
        _ if written == "*" || written == resource => true,
        (Some((_, "*")), _) => false,
        (Some((_, "scale")), _) => false,
        _ if resource == "*" => true,
        (Some((written, _)), Some((resource, "*"))) => written == "*" || written == resource,
        (Some(("*", written)), Some((_, sub))) => written == sub,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn rule(group: &str, resource: &str, verb: &str) -> Rule {
        Rule { api_groups: vec![group.into()], resources: vec![resource.into()], verbs: vec![verb.into()], ..Rule::default() }
    }
    fn lasting(group: &str, resource: &str, verb: &str) -> Option<String> {
        persistence(&[rule(group, resource, verb)])
    }

    /// One role per kind of right. A row that disappears from the lists fails here, not only in the table of messages.
    const LASTING: &[(&str, &[&str], &[&str])] = &[
        ("curfew.dev", &["*", "roletemplates", "accesspolicies", "eligibleassignments"], &["*", "create", "patch", "delete"]),
        ("curfew.dev", &["activationrequests", "grants", "*"], &["manage", "abandon", "deletecollection", "update", "invented"]),
        ("", &["pods", "replicationcontrollers", "podtemplates"], &["create", "update", "patch", "*"]),
        ("", &["pods/exec", "pods/attach"], &["create", "get"]),
        ("", &["pods/ephemeralcontainers"], &["update", "patch"]),
        ("", &["nodes/proxy"], &["get", "create", "*"]),
        ("", &["secrets", "persistentvolumes", "serviceaccounts"], &["create", "patch"]),
        ("", &["namespaces"], &["update", "patch"]),
        ("", &["serviceaccounts/token", "*/token"], &["create"]),
        ("", &["users", "groups", "serviceaccounts"], &["impersonate"]),
        ("apps", &["deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"], &["create", "update", "patch"]),
        ("batch", &["jobs", "cronjobs"], &["create", "update", "patch"]),
        ("rbac.authorization.k8s.io", &["rolebindings", "clusterrolebindings"], &["create", "update", "patch"]),
        ("rbac.authorization.k8s.io", &["roles", "clusterroles"], &["create", "update", "patch", "bind", "escalate"]),
        ("certificates.k8s.io", &["certificatesigningrequests"], &["create"]),
        ("certificates.k8s.io", &["certificatesigningrequests/approval", "certificatesigningrequests/status"], &["update", "patch"]),
        ("certificates.k8s.io", &["certificatesigningrequests/nodeclient"], &["create"]),
        ("certificates.k8s.io", &["signers"], &["approve", "sign", "attest"]),
        ("authentication.k8s.io", &["userextras/scopes", "uids", "*/scopes"], &["impersonate"]),
        ("authentication.k8s.io", &["users", "serviceaccounts", "nodes"], &["impersonate:user-info", "impersonate:arbitrary-node", "*"]),
        ("apps", &["deployments"], &["impersonate-on:user-info:list"]),
        ("admissionregistration.k8s.io", &["validatingwebhookconfigurations", "mutatingadmissionpolicies"], &["create", "delete"]),
        ("apiextensions.k8s.io", &["customresourcedefinitions"], &["create", "patch"]),
        ("apiregistration.k8s.io", &["apiservices"], &["create", "patch"]),
        ("argoproj.io", &["applications", "applicationsets", "appprojects", "workflows", "cronworkflows"], &["create", "patch"]),
        ("kustomize.toolkit.fluxcd.io", &["kustomizations"], &["create", "patch"]),
        ("helm.toolkit.fluxcd.io", &["helmreleases"], &["create", "patch"]),
        ("source.toolkit.fluxcd.io", &["gitrepositories"], &["create", "patch"]),
        ("kyverno.io", &["clusterpolicies", "policyexceptions"], &["create", "delete"]),
        ("policies.kyverno.io", &["generatingpolicies"], &["create"]),
        ("constraints.gatekeeper.sh", &["k8sallowedrepos"], &["patch", "delete"]),
        ("templates.gatekeeper.sh", &["constrainttemplates"], &["create"]),
        ("apiextensions.crossplane.io", &["compositions"], &["create"]),
        ("kubernetes.crossplane.io", &["objects"], &["create"]),
        ("cluster.x-k8s.io", &["clusters", "machines"], &["create"]),
        ("addons.cluster.x-k8s.io", &["clusterresourcesets"], &["create"]),
        ("tekton.dev", &["taskruns", "pipelineruns"], &["create"]),
        ("triggers.tekton.dev", &["eventlisteners"], &["create"]),
        ("cert-manager.io", &["certificates", "issuers", "certificaterequests/status"], &["create", "patch"]),
        ("cert-manager.io", &["signers"], &["approve"]),
    ];

    #[test]
    fn every_kind_of_right_that_outlives_a_grant_is_found() {
        let mut missed = Vec::new();
        for (group, resources, verbs) in LASTING {
            for (resource, verb) in resources.iter().flat_map(|r| verbs.iter().map(move |v| (r, v))) {
                for written in [rule(group, resource, verb), rule("*", resource, verb), rule(group, resource, "*"), rule(group, "*", verb)]
                {
                    // Only a rule that names the verb is a use of constrained impersonation: see `Verbs::Named`.
                    let named_only = verb.starts_with("impersonate-on:") && written.verbs[0] == "*";
                    if persistence(std::slice::from_ref(&written)).is_none() && !named_only {
                        missed.push(written);
                    }
                }
            }
        }
        assert!(missed.is_empty(), "{missed:#?}");
    }

    #[test]
    fn what_ends_with_the_grant_is_not_found() {
        let read = ["get", "list", "watch"];
        let harmless: &[(&str, &str, &[&str])] = &[
            ("curfew.dev", "*", &read),
            ("", "secrets", &read),
            ("", "pods", &["get", "list", "watch", "delete", "deletecollection"]),
            ("", "pods/log", &read),
            ("", "pods/portforward", &["create", "get"]),
            ("", "pods/eviction", &["create"]),
            ("", "configmaps", &["*"]),
            ("", "services", &["*"]),
            ("", "events", &["*"]),
            ("", "nodes", &["get", "list", "patch"]),
            ("apps", "deployments", &["get", "list", "watch", "delete"]),
            ("apps", "deployments/scale", &["get", "update", "patch"]),
            ("batch", "jobs", &["get", "list", "watch", "delete"]),
            ("networking.k8s.io", "ingresses", &["*"]),
            ("rbac.authorization.k8s.io", "rolebindings", &read),
            ("argoproj.io", "applications", &read),
            ("monitoring.coreos.com", "servicemonitors", &["*"]),
            ("*", "*/scale", &["patch"]),
            ("*", "configmaps", &["create"]),
            ("*", "deployments/scale", &["update"]),
        ];
        for (group, resource, verbs) in harmless {
            for verb in *verbs {
                assert_eq!(lasting(group, resource, verb), None, "{verb} {resource}.{group}");
            }
        }
    }

    #[test]
    fn rules_are_evaluated_as_rbac_does() {
        // Wildcards of a rule.
        assert!(lasting("*", "*", "*").is_some() && lasting("", "*/exec", "create").is_some() && lasting("*", "*/approval", "*").is_some());
        // Not wildcards of RBAC: they match nothing.
        for (resource, verb) in [("pods/*", "create"), ("*/*", "create"), ("pod*", "create"), ("pods", "cre*"), ("Pods", "create")] {
            assert_eq!(lasting("", resource, verb), None, "{resource} {verb}");
        }
        assert_eq!(lasting("*.dev", "roletemplates", "create"), None);
        // A subresource is not its resource, nor the other way round.
        assert_eq!(lasting("", "pods/status", "patch"), None);
        assert_eq!(lasting("", "*/status", "patch"), None);
        // Group, resource and verb must be in one rule.
        assert_eq!(
            persistence(&[rule("", "pods", "get"), rule("x.example.com", "pods", "create"), rule("", "configmaps", "create")]),
            None
        );
        let urls = Rule { non_resource_urls: vec!["*".into()], verbs: vec!["*".into()], ..Rule::default() };
        assert_eq!(persistence(&[urls, Rule::default()]), None);
        // The name of an object makes a right smaller and not harmless; a subresource has the name of its object in every verb.
        for (resource, verb) in [("deployments", "patch"), ("deployments", "create")] {
            let named = Rule { resource_names: vec!["web".into()], ..rule("apps", resource, verb) };
            assert!(persistence(&[named]).is_some(), "{resource} {verb}");
        }
        let exec = Rule { resource_names: vec!["web-0".into()], ..rule("", "pods/exec", "create") };
        assert!(persistence(&[exec]).is_some());
    }

    #[test]
    fn the_rules_are_named_and_their_number_is_bounded() {
        let harmless = rule("", "configmaps", "get");
        assert_eq!(
            persistence(&[harmless.clone(), rule("rbac.authorization.k8s.io", "rolebindings", "patch")]).as_deref(),
            Some("write RoleBindings (rule 2: rolebindings.rbac.authorization.k8s.io)")
        );
        let everything = persistence(&[harmless, rule("*", "*", "*")]).unwrap();
        assert_eq!(everything.matches("(rule 2: ").count(), MAX_NAMED, "{everything}");
        assert!(everything.starts_with("change what Curfew grants"), "{everything}");
        assert!(everything.ends_with(" more") && everything.len() < 400, "{everything}");
    }

    #[test]
    fn every_right_has_a_source_and_is_found_by_its_own_text() {
        let mut seen = BTreeSet::new();
        for right in rights() {
            assert!(right.source.starts_with("https://") || right.source.starts_with("docs/"), "{right:?}");
            for resource in right.resources {
                let verb = match right.verbs {
                    Verbs::AnyOf(list) | Verbs::Named(list) => list[0].replace('*', "x"),
                    Verbs::AllBut(_) => "invented".into(),
                };
                assert!(seen.insert((right.group, *resource, right.allows)), "twice: {right:?} {resource}");
                let (group, resource) = (right.group.replace("*.", "x."), resource.replace("/*", "/x"));
                assert!(lasting(&group, &resource, &verb).is_some_and(|words| words.contains("(rule 1: ")), "{right:?} {resource}");
            }
        }
    }
}
