//! The catalogue of a cluster: one permission for each verb on each kind, and for each verb on each URL that is not a resource.
use super::{
    RBAC,
    checks::is_unseen,
    dump::Dump,
    kinds::{Discovery, Kind, VIRTUAL},
    methods::{Needed, ways},
    weights::{TABLE, url_weight, weight},
};
use crate::catalogue::{Catalogue, Level, Method, Permission, PermissionId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The kinds of Kubernetes itself, recorded from an API server of this version.
const BUILT_IN: &str = include_str!("discovery.json");
const BUILT_IN_VERSION: &str = "v1.37.1";

/// The verbs of a resource of which only a rule with `*` is known.
const STANDARD: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The type of all permissions of a cluster: the place of the cluster is the same for each of them, and so are the namespaces.
const PLACES: u32 = 0;

/// URLs that an API server serves and its own roles do not name.
const URLS: [&str; 2] = ["/debug/*", "/logs/*"];

/// The catalogue and how to find permissions in it.
pub struct Permissions {
    /// The catalogue.
    pub catalogue: Catalogue,
    /// Each kind with its verbs and their permissions.
    pub kinds: Vec<(Kind, Vec<(String, PermissionId)>)>,
    /// Each URL pattern with its verbs and their permissions.
    pub urls: Vec<(String, Vec<(String, PermissionId)>)>,
    /// The permissions whose every request names one namespace.
    pub one: BTreeSet<PermissionId>,
    /// The permissions on kinds of which no request shows a use.
    pub unseen: BTreeSet<PermissionId>,
    by_request: HashMap<(String, String), HashMap<String, PermissionId>>,
}

/// Whether requests for this verb and resource carry a namespace.
///
/// Requests for one Namespace carry its name as namespace, and so a Role in it can allow them; `bind` on ClusterRoles is asked for in the
/// namespace of the RoleBinding.
fn in_namespaces(kind: &Kind, verb: &str) -> bool {
    let namespace = kind.group.is_empty() && (kind.resource == "namespaces" || kind.resource.starts_with("namespaces/"));
    let one = !matches!(verb, "list" | "watch" | "create" | "deletecollection");
    kind.namespaced || (namespace && one) || (kind.group == RBAC && kind.resource == "clusterroles" && verb == "bind")
}

/// Whether every request for this verb and resource names one namespace, so that none is across all.
fn names_one(kind: &Kind, verb: &str) -> bool {
    let across = matches!(verb, "list" | "watch" | "deletecollection") || (kind.resource == "clusterroles" && verb == "bind");
    in_namespaces(kind, verb) && !across
}

/// The permissions of a kind whose verbs have a property.
fn select((kind, verbs): &(Kind, Vec<(String, PermissionId)>), has: impl Fn(&Kind, &str) -> bool) -> Vec<PermissionId> {
    verbs.iter().filter(|(verb, _)| has(kind, verb)).map(|(_, id)| *id).collect()
}

/// The name of a permission on a kind.
pub fn name(verb: &str, group: &str, resource: &str) -> String {
    format!("{verb} {}/{resource}", if group.is_empty() { "core" } else { group })
}

/// Adds what authorization knows and discovery does not, and what rules name and neither does.
fn complete(kinds: &mut BTreeMap<(String, String), Kind>, dump: &Dump, stale: &BTreeSet<String>) {
    let shown: BTreeSet<String> = kinds.keys().map(|(group, _)| group.clone()).filter(|group| !stale.contains(group)).collect();
    let new = |group: &str, resource: &str, namespaced, assumed| Kind {
        group: group.into(),
        resource: resource.into(),
        namespaced,
        verbs: BTreeSet::new(),
        assumed,
    };
    for (group, resource, namespaced, verbs) in VIRTUAL {
        let kind = kinds.entry((group.into(), resource.into())).or_insert_with(|| new(group, resource, namespaced, false));
        kind.verbs.extend(verbs.iter().map(|verb| (*verb).to_owned()));
    }
    for rule in dump.roles.values().flat_map(|role| &role.rules) {
        let pairs = rule.resources.iter().flat_map(|resource| rule.api_groups.iter().map(move |group| (group, resource)));
        for (group, resource) in pairs {
            // A wildcard is what discovery shows of the group. If it shows nothing, the wildcard stands for the kinds that are not known.
            if group == "*" || (resource.starts_with('*') && shown.contains(group)) {
                continue;
            }
            // A subresource is where its resource is.
            let of = resource.split_once('/').and_then(|(of, _)| kinds.get(&(group.clone(), of.to_owned())));
            let namespaced = of.is_none_or(|of| of.namespaced);
            let kind = kinds.entry((group.clone(), resource.clone())).or_insert_with(|| new(group, resource, namespaced, true));
            if kind.assumed && rule.verbs.iter().any(|verb| verb == "*") {
                kind.verbs.extend(STANDARD.map(str::to_owned));
            }
            if kind.assumed {
                kind.verbs.extend(rule.verbs.iter().filter(|verb| *verb != "*").cloned());
            }
        }
    }
}

impl Permissions {
    /// Builds the catalogue of a cluster from its discovery, or from the kinds of Kubernetes itself, and from what its roles name. The place
    /// counts are the namespaces of the dump and the cluster itself.
    ///
    /// A kind that discovery does not have is in the catalogue as `assumed`, and so is `*` of a group that discovery does not have. If the
    /// cluster's own discovery was given and its group answered, nothing serves the kind, and its weight is 0.
    pub fn build(discovery: Option<Discovery>, dump: &Dump) -> Self {
        let (own, version) = (discovery.is_some(), if discovery.is_some() { "the cluster's discovery" } else { BUILT_IN_VERSION });
        let discovery = discovery.unwrap_or_else(|| Discovery::parse(BUILT_IN).unwrap_or_default());
        let stale = discovery.stale.clone();
        let mut kinds = discovery.into_kinds();
        complete(&mut kinds, dump, &stale);
        let places = u32::try_from(dump.namespaces.len()).unwrap_or(u32::MAX - 1) + 1;
        let mut all = Vec::new();
        for kind in kinds.values() {
            for verb in &kind.verbs {
                let (mut heavy, level) = weight(verb, &kind.group, &kind.resource);
                if kind.assumed && own && !stale.contains(&kind.group) {
                    heavy = 0.0;
                }
                let resources = if in_namespaces(kind, verb) { places } else { 1 };
                let name = name(verb, &kind.group, &kind.resource);
                all.push(Permission { name, weight: heavy, resource_type: PLACES, resources, level, assumed: kind.assumed });
            }
        }
        let urls = url_permissions(dump);
        for (verb, url) in &urls {
            let (weight, level) = url_weight(verb);
            all.push(Permission { name: format!("{verb} {url}"), weight, resource_type: PLACES, resources: 1, level, assumed: false });
        }
        let methods = methods(&all);
        Self::index(Catalogue::new(format!("PCI-1, {TABLE}, kinds of {version}"), all, methods), kinds.into_values(), &urls)
    }

    fn index(catalogue: Catalogue, kinds: impl Iterator<Item = Kind>, urls: &BTreeSet<(String, String)>) -> Self {
        let id = |name: &str| catalogue.find(name);
        let with_ids = kinds.map(|kind| {
            let verbs = kind.verbs.iter().filter_map(|verb| Some((verb.clone(), id(&name(verb, &kind.group, &kind.resource))?))).collect();
            (kind, verbs)
        });
        let kinds: Vec<(Kind, Vec<(String, PermissionId)>)> = with_ids.collect();
        let mut patterns: BTreeMap<String, Vec<(String, PermissionId)>> = BTreeMap::new();
        for (verb, url) in urls {
            patterns.entry(url.clone()).or_default().extend(id(&format!("{verb} {url}")).map(|id| (verb.clone(), id)));
        }
        let one = kinds.iter().flat_map(|kind| select(kind, names_one)).collect();
        let unseen = kinds.iter().flat_map(|kind| select(kind, is_unseen)).collect();
        let by_request =
            kinds.iter().map(|(kind, verbs)| ((kind.group.clone(), kind.resource.clone()), verbs.iter().cloned().collect())).collect();
        Self { catalogue, kinds, urls: patterns.into_iter().collect(), one, unseen, by_request }
    }

    /// The permission that a request for a resource needs: its own, or that of the unknown kinds of its group.
    pub fn of_request(&self, verb: &str, group: &str, resource: &str) -> Option<PermissionId> {
        let find = |resource: String| self.by_request.get(&(group.to_owned(), resource))?.get(verb).copied();
        let of_any = || resource.split_once('/').and_then(|(_, sub)| find(format!("*/{sub}")));
        find(resource.to_owned()).or_else(of_any).or_else(|| find("*".to_owned()))
    }
    /// The permissions that allow a request for a URL: every pattern that matches.
    pub fn of_url<'a>(&'a self, verb: &'a str, path: &'a str) -> impl Iterator<Item = PermissionId> + 'a {
        let matching = self.urls.iter().filter(move |(pattern, _)| url_matches(pattern, path));
        matching.filter_map(move |(_, verbs)| verbs.iter().find(|(known, _)| known == verb).map(|(_, id)| *id))
    }
    /// How many permissions come from rules alone.
    pub fn assumed(&self) -> usize {
        self.catalogue.permissions().iter().filter(|permission| permission.assumed).count()
    }
}

/// The verbs and patterns of URLs: those that roles name, and a few more.
fn url_permissions(dump: &Dump) -> BTreeSet<(String, String)> {
    let mut found: BTreeSet<(String, String)> = URLS.iter().map(|url| ("get".to_owned(), (*url).to_owned())).collect();
    for rule in dump.roles.values().flat_map(|role| &role.rules) {
        for url in rule.non_resource_urls.iter().filter(|url| *url != "*") {
            let verbs = rule.verbs.iter().map(|verb| if verb == "*" { "get" } else { verb });
            found.extend(verbs.map(|verb| (verb.to_owned(), url.clone())));
        }
    }
    found
}

/// As the API server's RBAC authorizer compares: `*`, the same text, or a prefix before a final `*`.
pub fn url_matches(pattern: &str, path: &str) -> bool {
    pattern == "*" || pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

/// The ways to escalate whose permissions all exist in the catalogue and weigh something.
fn methods(permissions: &[Permission]) -> Vec<Method> {
    let ids: HashMap<&str, PermissionId> = permissions.iter().enumerate().map(|(id, permission)| (permission.name.as_str(), id)).collect();
    // What nothing serves cannot be used to escalate.
    let served = |id: &PermissionId| permissions[*id].weight > 0.0;
    let find = |(verb, group, resource): &Needed| ids.get(name(verb, group, resource).as_str()).copied().filter(served);
    let of_way = |way: super::methods::Way| {
        let variants = way.variants().into_iter().filter_map(|variant| variant.iter().map(find).collect::<Option<Vec<_>>>());
        let method = |permissions| Method { name: way.name.to_owned(), title: way.title.to_owned(), permissions };
        variants.map(method).collect::<Vec<_>>()
    };
    ways().into_iter().flat_map(of_way).collect()
}

/// Whether a permission reads Secrets.
pub fn reads_secrets(permission: &Permission) -> bool {
    permission.level == Level::Secret && permission.name.ends_with(" core/secrets")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(rules: &str) -> Dump {
        let role = format!(r#"{{"kind":"ClusterRole","metadata":{{"name":"r"}},"rules":[{rules}]}}"#);
        let binding = r#"{"kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"}}"#;
        Dump::parse(&format!(r#"{role}{binding}{{"kind":"Namespace","metadata":{{"name":"a"}}}}"#)).unwrap()
    }

    #[test]
    fn the_built_in_kinds_have_every_way_to_escalate() {
        let built = Permissions::build(None, &dump(""));
        let found: BTreeSet<&str> = built.catalogue.methods().iter().map(|method| method.name.as_str()).collect();
        assert_eq!(found, ways().iter().map(|way| way.name).collect());
        let of = |verb, group, resource| &built.catalogue.permissions()[built.of_request(verb, group, resource).unwrap()];
        assert_eq!((of("get", "", "pods").resources, of("get", "", "nodes").resources), (2, 1));
        assert_eq!((of("get", "", "namespaces").resources, of("list", "", "namespaces").resources), (2, 1));
        assert_eq!((of("bind", RBAC, "clusterroles").resources, of("escalate", RBAC, "clusterroles").resources), (2, 1));
    }

    #[test]
    fn kinds_that_only_rules_name_are_assumed_and_weigh_nothing_if_the_cluster_does_not_serve_them() {
        let dump = dump(
            r#"{"verbs":["get","frob"],"apiGroups":["example.com"],"resources":["widgets"]},{"verbs":["*"],"apiGroups":["example.com"],"resources":["gadgets"]}"#,
        );
        let built = Permissions::build(None, &dump);
        assert_eq!(built.assumed(), 2 + STANDARD.len());
        let id = built.of_request("frob", "example.com", "widgets").unwrap();
        assert_eq!(built.catalogue.permissions()[id].weight, 10.0);
        let built = Permissions::build(Some(Discovery::parse(BUILT_IN).unwrap()), &dump);
        let id = built.of_request("frob", "example.com", "widgets").unwrap();
        assert_eq!((built.catalogue.permissions()[id].weight, built.assumed()), (0.0, 2 + STANDARD.len()));
    }

    #[test]
    fn urls_match_as_the_authorizer_compares_them() {
        assert!(url_matches("/healthz/*", "/healthz/etcd") && !url_matches("/healthz/*", "/healthz") && url_matches("*", "/x"));
        assert!(url_matches("/metrics", "/metrics") && !url_matches("/metrics", "/metrics/cadvisor"));
    }
}
