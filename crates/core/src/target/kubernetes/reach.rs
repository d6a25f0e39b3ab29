//! What a grant cannot give: rules that mean nothing in a namespace, and what makes it fail as a whole.
//!
//! RBAC looks at bindings of a namespace only for requests that name the namespace, and
//! neither objects without a namespace nor URLs do.
use super::{
    Inventory, MAX_BINDINGS, MAX_NAMED_ROLES, Permissions, RoleContent, RoleKind, Scope, contents,
    persistence::{MAX_EXPANDED, Rule},
    probe, role_in_words,
};

/// The highest size of the content that a request freezes, in bytes of JSON: `admin` of Kubernetes has 4 KiB, and an object in etcd
/// at most 1.5 MiB. The bounds of the CRD are wider than that.
const MAX_FROZEN_BYTES: usize = 128 * 1024;

/// The resources of Kubernetes and Curfew that have no namespace, by API group. Those of other groups are not known here, and
/// nothing is said about them.
#[rustfmt::skip]
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    ("", &["componentstatuses", "nodes", "persistentvolumes", "users", "groups"]),
    ("admissionregistration.k8s.io", &[
        "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
        "validatingadmissionpolicybindings", "validatingwebhookconfigurations"]),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("authentication.k8s.io", &["selfsubjectreviews", "tokenreviews", "uids", "userextras", "users", "groups"]),
    ("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"]),
    ("certificates.k8s.io", &["certificatesigningrequests", "clustertrustbundles", "signers"]),
    ("curfew.dev", &["accesspolicies", "authorizationsystems", "curfewconfigs", "grants"]),
    ("flowcontrol.apiserver.k8s.io", &["flowschemas", "prioritylevelconfigurations"]),
    ("internal.apiserver.k8s.io", &["storageversions"]),
    ("metrics.k8s.io", &["nodes"]),
    ("networking.k8s.io", &["ingressclasses", "ipaddresses", "servicecidrs"]),
    ("node.k8s.io", &["runtimeclasses"]),
    ("rbac.authorization.k8s.io", &["clusterrolebindings", "clusterroles"]),
    ("resource.k8s.io", &["deviceclasses", "devicetaintrules", "resourceslices"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
    ("storage.k8s.io", &["csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"]),
    ("storagemigration.k8s.io", &["storageversionmigrations"]),
];

/// A namespace is an object without a namespace, but a request for one by name counts as a request in it.
const BY_NAME: &[&str] = &["get", "update", "patch", "delete", "*"];

/// How many rules are named in a message.
const MAX_NAMED: usize = 3;

/// The rules that give nothing in a namespace, with those of their resources that do not; `None` if all give something.
pub fn cluster_only(rules: &[Rule]) -> Option<String> {
    let inert = |(number, rule): (usize, &Rule)| {
        let named = inert(rule);
        (!named.is_empty()).then(|| format!("rule {number} ({})", named.join(", ")))
    };
    let rules: Vec<String> = (1..).zip(rules).filter_map(inert).collect();
    let more = rules.len().saturating_sub(MAX_NAMED);
    match rules.len() {
        0 => None,
        _ if more == 0 => Some(rules.join(", ")),
        _ => Some(format!("{} and {more} more", rules[..MAX_NAMED].join(", "))),
    }
}

/// What one rule names and cannot give in a namespace.
fn inert(rule: &Rule) -> Vec<&'static str> {
    let mut named = Vec::new();
    if !rule.non_resource_urls.is_empty() {
        named.push("nonResourceURLs");
    }
    for written in &rule.resources {
        let resource = written.split('/').next().unwrap_or_default();
        let known = |group: &String| {
            if group.is_empty() && resource == "namespaces" {
                return (!rule.verbs.iter().any(|verb| BY_NAME.contains(&verb.as_str()))).then_some("namespaces");
            }
            let (_, resources) = CLUSTER_SCOPED.iter().find(|(of, _)| of == group)?;
            resources.iter().find(|known| **known == resource).copied()
        };
        let found: Option<Vec<&'static str>> = rule.api_groups.iter().map(known).collect();
        if let Some(name) = found.and_then(|found| found.first().copied()).filter(|name| !named.contains(name)) {
            named.push(name);
        }
    }
    named
}

/// The rules of the roles that give nothing in this scope, in words.
pub fn ineffective(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Option<String> {
    let contents = contents(permissions, scope, inventory).unwrap_or_default();
    let in_namespaces = |r: &&&RoleContent| r.kind == RoleKind::Role || matches!(scope, Scope::Namespaces(_));
    let words = |r: &RoleContent| r.cluster_only.as_ref().map(|rules| format!("{}, {rules}", named(r)));
    let roles: Vec<String> = contents.iter().filter(in_namespaces).filter_map(|r| words(r)).take(MAX_NAMED_ROLES).collect();
    (!roles.is_empty()).then(|| format!("in a namespace these rules give nothing: {}", roles.join("; ")))
}

/// Why every grant would fail although all that is named exists, in words.
pub fn obstacle(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> Option<String> {
    let contents = contents(permissions, scope, inventory).unwrap_or_default();
    if let Some(empty) = contents.iter().find(|r| r.without_rules) {
        return Some(format!("{} has no rules and gives nothing; add rules to it, or offer another one", named(empty)));
    }
    if let Some(namespace) = scope.namespaces().iter().find(|n| inventory.terminating.contains(n)) {
        return Some(format!("namespace {namespace} is being deleted; take it out of the scope"));
    }
    if let Some(huge) = contents.iter().find(|r| r.content.is_none()) {
        let what = "single permissions, and no more can be frozen; offer a smaller role, or wildcards instead of lists";
        return Some(format!("{} lists more than {MAX_EXPANDED} {what}", named(huge)));
    }
    let sizes = contents.iter().map(|r| serde_json::to_string(&r.content).map_or(0, |text| text.len()));
    let bytes: usize = sizes.sum();
    if bytes > MAX_FROZEN_BYTES {
        return Some(format!(
            "the content of the roles is {bytes} bytes, and a request can freeze {MAX_FROZEN_BYTES}; offer fewer or smaller roles"
        ));
    }
    let mut bindings = probe(permissions, scope).bindings;
    bindings.sort();
    bindings.dedup();
    let count = bindings.len();
    let too_many =
        || format!("the roles in all namespaces are {count} bindings, and a grant has at most {MAX_BINDINGS}; offer fewer at a time");
    (count > MAX_BINDINGS).then(too_many)
}

fn named(r: &RoleContent) -> String {
    role_in_words(r.kind, r.namespace.as_deref(), &r.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Rule {
        let list = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Rule { api_groups: list(groups), resources: list(resources), verbs: list(verbs), ..Rule::default() }
    }

    #[test]
    fn rules_that_give_nothing_in_a_namespace_are_named() {
        let urls = Rule { non_resource_urls: vec!["/metrics".into()], verbs: vec!["get".into()], ..Rule::default() };
        for (rules, expected) in [
            (vec![rule(&[""], &["nodes"], &["get"])], Some("rule 1 (nodes)")),
            (vec![rule(&[""], &["pods"], &["get"]), rule(&[""], &["pods", "nodes/proxy", "nodes"], &["get"])], Some("rule 2 (nodes)")),
            (vec![urls.clone()], Some("rule 1 (nonResourceURLs)")),
            (vec![rule(&["curfew.dev"], &["accesspolicies"], &["get"])], Some("rule 1 (accesspolicies)")),
            (vec![rule(&["storage.k8s.io", "scheduling.k8s.io"], &["storageclasses"], &["get"])], None),
            (vec![rule(&[""], &["namespaces"], &["list", "create"])], Some("rule 1 (namespaces)")),
            (vec![rule(&[""], &["namespaces"], &["get", "list"])], None),
            (vec![rule(&["*"], &["*"], &["*"])], None),
            (vec![rule(&[""], &["*"], &["get"])], None),
            (vec![rule(&["example.com"], &["nodes"], &["get"])], None),
            (vec![rule(&[""], &["nodes"], &["get"]); 5], Some("rule 1 (nodes), rule 2 (nodes), rule 3 (nodes) and 2 more")),
            (vec![], None),
        ] {
            assert_eq!(cluster_only(&rules).as_deref(), expected, "{rules:?}");
        }
    }

    fn role(kind: RoleKind, namespace: Option<&str>, name: &str) -> RoleContent {
        let (namespace, name) = (namespace.map(str::to_owned), name.to_owned());
        let rules = crate::digest::Digest::from_bits(1);
        let content = Some(Vec::new());
        RoleContent { kind, namespace, name, uid: "u".into(), rules, content, without_rules: false, cluster_only: None, persistence: None }
    }

    /// So many ClusterRoles and Roles in so many namespaces.
    fn offered(cluster_roles: usize, roles: usize, namespaces: usize) -> (Permissions, Scope, Inventory) {
        let names = |begin: &str, count| (0..count).map(|i| format!("{begin}-{i}")).collect::<Vec<_>>();
        let named = |name: String| super::super::RoleName { namespace: "ns-0".into(), name };
        let permissions =
            Permissions { cluster_roles: names("cluster", cluster_roles), roles: names("role", roles).into_iter().map(named).collect() };
        let everywhere = permissions.cluster_roles.iter().map(|name| role(RoleKind::ClusterRole, None, name));
        let here = permissions.roles.iter().map(|r| role(RoleKind::Role, Some(&r.namespace), &r.name));
        let inventory = Inventory { roles: everywhere.chain(here).collect(), ..Inventory::default() };
        (permissions, Scope::Namespaces(names("ns", namespaces)), inventory)
    }

    #[test]
    fn what_makes_every_grant_fail_is_named() {
        let told = |change: fn(&mut (Permissions, Scope, Inventory)), (cluster_roles, roles, namespaces)| {
            let mut offered = offered(cluster_roles, roles, namespaces);
            change(&mut offered);
            obstacle(&offered.0, &offered.1, &offered.2).unwrap_or_default()
        };
        assert_eq!(told(|_| (), (16, 0, 64)), "", "as many as a plan can hold");
        assert!(told(|_| (), (16, 1, 64)).contains("are 1025 bindings, and a grant has at most 1024"));
        assert_eq!(told(|o| o.0.roles.push(o.0.roles[0].clone()), (15, 1, 64)), "", "a role that is named twice is one");
        assert_eq!(told(|o| o.1 = Scope::ClusterWide(super::super::Empty {}), (16, 16, 64)), "");
        assert!(told(|o| o.2.terminating = vec!["ns-1".into()], (1, 0, 2)).contains("namespace ns-1 is being deleted"));
        assert_eq!(told(|o| o.2.terminating = vec!["elsewhere".into()], (1, 0, 2)), "");
        assert!(
            told(|o| o.2.roles[1].content = None, (2, 0, 1)).contains("ClusterRole cluster-1 lists more than 65536 single permissions")
        );
        let large = told(|o| o.2.roles[0].content = Some(vec![Rule { verbs: vec!["v".repeat(131_060)], ..Rule::default() }]), (2, 0, 1));
        assert!(large.contains("is 131078 bytes, and a request can freeze 131072"), "{large}");
        assert!(told(|o| o.2.roles[1].without_rules = true, (2, 0, 1)).contains("ClusterRole cluster-1 has no rules"));
        assert!(told(|o| o.2.roles[0].without_rules = true, (0, 1, 1)).contains("Role role-0 of namespace ns-0 has no rules"));
    }

    #[test]
    fn rules_without_effect_are_told_where_they_have_none() {
        let (permissions, scope, mut inventory) = offered(1, 1, 1);
        assert_eq!(ineffective(&permissions, &scope, &inventory), None);
        for r in &mut inventory.roles {
            r.cluster_only = Some("rule 1 (nodes)".into());
        }
        let told = ineffective(&permissions, &scope, &inventory).unwrap();
        assert!(told.contains("ClusterRole cluster-0, rule 1 (nodes)") && told.contains("Role role-0 of namespace ns-0, rule 1 (nodes)"));
        let wide = ineffective(&permissions, &Scope::ClusterWide(super::super::Empty {}), &inventory).unwrap();
        assert!(!wide.contains("ClusterRole") && wide.contains("Role role-0"), "{wide}");
    }
}
