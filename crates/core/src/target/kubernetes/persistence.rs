//! The content of a role in canonical form: its digest, the form that is frozen, and whether one content allows what another
//! does. Written for the authorizer of Kubernetes 1.37 (`pkg/apis/rbac/v1/evaluation_helpers.go`).
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    iter::once,
};

/// One rule of a ClusterRole or Role, as Kubernetes writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AllowedRule"))]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The API groups.
    #[cfg_attr(feature = "schema", schemars(length(max = 65_536), inner(length(max = 131_072)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// The resources, with their subresources.
    #[cfg_attr(feature = "schema", schemars(length(max = 65_536), inner(length(max = 131_072)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Only these objects, by name; empty means all.
    #[cfg_attr(feature = "schema", schemars(length(max = 65_536), inner(length(max = 131_072)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// The verbs.
    #[cfg_attr(feature = "schema", schemars(length(max = 65_536), inner(length(max = 131_072)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<String>,
    /// URL paths outside of the resource API.
    #[cfg_attr(feature = "schema", schemars(length(max = 65_536), inner(length(max = 131_072)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// The highest number of single permissions to which a role is expanded. A role that lists more is digested as it is written,
/// and cannot be frozen.
pub const MAX_EXPANDED: usize = 65_536;

/// The longest beginning of a URL, in bytes, for which it is asked whether a pattern of that beginning allows it. What a longer
/// pattern allows counts as not allowed. Of a URL of a megabyte all beginnings together would be half a terabyte.
const LONGEST_PATTERN: usize = 256;

/// One permission: API group, resource, object name (empty: all) and verb, or URL and verb.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
enum Permission<'a> {
    Resource(&'a str, &'a str, &'a str, &'a str),
    /// Requests that name no object, such as `list`: what the name `""` in a rule allows.
    Unnamed(&'a str, &'a str, &'a str),
    Url(&'a str, &'a str),
}

/// The digest of a role's content in canonical form. Neither the order nor the way in which the rules are split, repeated or
/// subsumed by a wildcard changes it; what the role allows does.
pub fn digest(rules: &[Rule]) -> Digest {
    match expand(rules) {
        Some(permissions) => Digest::of(&("permissions", minimal(&permissions))),
        None => {
            let mut sorted: Vec<Rule> = rules.iter().map(normalized).collect();
            sorted.sort();
            sorted.dedup();
            Digest::of(&("rules", sorted))
        }
    }
}

/// The content in the form that is frozen: equal contents have equal forms, and few rules. `None` if the rules list more than
/// [`MAX_EXPANDED`] single permissions.
pub fn canonical(rules: &[Rule]) -> Option<Vec<Rule>> {
    expand(rules).map(|all| compact(minimal(&all)))
}

/// [`digest`] and [`canonical`] at the cost of one.
pub fn digest_and_canonical(rules: &[Rule]) -> (Digest, Option<Vec<Rule>>) {
    match expand(rules) {
        Some(all) => {
            let minimal = minimal(&all);
            (Digest::of(&("permissions", &minimal)), Some(compact(minimal)))
        }
        None => (digest(rules), None),
    }
}

fn compact(minimal: Vec<&Permission<'_>>) -> Vec<Rule> {
    let (mut objects, mut urls) = (BTreeMap::<_, BTreeSet<&str>>::new(), BTreeMap::<_, BTreeSet<&str>>::new());
    for permission in minimal {
        match *permission {
            Permission::Resource(group, resource, "", verb) => objects.entry((group, resource, None)).or_default().insert(verb),
            Permission::Resource(group, resource, name, verb) => objects.entry((group, resource, Some(name))).or_default().insert(verb),
            Permission::Unnamed(group, resource, verb) => objects.entry((group, resource, Some(""))).or_default().insert(verb),
            Permission::Url(url, verb) => urls.entry(url).or_default().insert(verb),
        };
    }
    // Names that allow the same are put together, then resources, then groups.
    let objects = grouped(objects.into_iter().map(|((group, resource, name), verbs)| ((group, resource, name.is_some(), verbs), name)));
    let objects = grouped(objects.into_iter().map(|((group, resource, _, verbs), names)| ((group, names, verbs), resource)));
    let objects = grouped(objects.into_iter().map(|((group, names, verbs), resources)| ((resources, names, verbs), group)));
    let urls = grouped(urls.into_iter().map(|(url, verbs)| (verbs, url)));
    let owned = |set: BTreeSet<&str>| set.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let objects = objects.into_iter().map(|((resources, names, verbs), groups)| Rule {
        api_groups: owned(groups),
        resources: owned(resources),
        resource_names: names.into_iter().flatten().map(str::to_owned).collect(),
        verbs: owned(verbs),
        non_resource_urls: Vec::new(),
    });
    let urls = urls.into_iter().map(|(verbs, urls)| Rule { verbs: owned(verbs), non_resource_urls: owned(urls), ..Rule::default() });
    let mut rules: Vec<Rule> = objects.chain(urls).collect();
    rules.sort();
    rules
}

/// The members that share a key.
fn grouped<K: Ord, V: Ord>(pairs: impl Iterator<Item = (K, V)>) -> BTreeMap<K, BTreeSet<V>> {
    let mut all = BTreeMap::<K, BTreeSet<V>>::new();
    for (key, value) in pairs {
        all.entry(key).or_default().insert(value);
    }
    all
}

/// The first permission that `inner` allows and `outer` does not, in words; `None` only if every request that `inner` allows is
/// one that a single permission of `outer` allows. What cannot be compared is beyond.
pub fn beyond(inner: &[Rule], outer: &[Rule]) -> Option<String> {
    let (Some(inner), Some(outer)) = (expand(inner), expand(outer)) else {
        return Some(format!("more than {MAX_EXPANDED} single permissions, which cannot be compared"));
    };
    inner.iter().find(|p| !is_implied(p, |general| outer.contains(general))).map(Permission::in_words)
}

impl Permission<'_> {
    fn in_words(&self) -> String {
        let of = |group: &str, resource: &str| if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        match *self {
            Permission::Resource(group, resource, "", verb) => format!("{verb} {}", of(group, resource)),
            Permission::Resource(group, resource, name, verb) => format!("{verb} {} {name:?}", of(group, resource)),
            Permission::Unnamed(group, resource, verb) => format!("{verb} {} without a name", of(group, resource)),
            Permission::Url(url, verb) => format!("{verb} {url}"),
        }
    }
}

/// Every single permission; `None` if there are more than [`MAX_EXPANDED`].
fn expand(rules: &[Rule]) -> Option<BTreeSet<Permission<'_>>> {
    const ALL: &[String] = &[String::new()];
    let mut all = BTreeSet::new();
    for r in rules {
        let named = !r.resource_names.is_empty();
        let names = if named { &r.resource_names } else { ALL };
        let lists = [r.api_groups.len(), r.resources.len(), names.len(), r.verbs.len()];
        let size = lists.iter().try_fold(1_usize, |size, len| size.checked_mul(*len))?;
        let urls = r.non_resource_urls.len().checked_mul(r.verbs.len())?;
        if size.checked_add(urls)?.checked_add(all.len())? > MAX_EXPANDED {
            return None;
        }
        for verb in &r.verbs {
            all.extend(r.non_resource_urls.iter().map(|url| Permission::Url(url, verb)));
            for (group, resource) in r.api_groups.iter().flat_map(|g| r.resources.iter().map(move |x| (g, x))) {
                all.extend(names.iter().map(|name| match name.as_str() {
                    "" if named => Permission::Unnamed(group, resource, verb),
                    name => Permission::Resource(group, resource, name, verb),
                }));
            }
        }
    }
    Some(all)
}

/// Without what a more general permission of the same set implies.
fn minimal<'a>(all: &'a BTreeSet<Permission<'a>>) -> Vec<&'a Permission<'a>> {
    all.iter().filter(|p| !is_implied(p, |general| general != *p && all.contains(general))).collect()
}

/// Whether `holds` is true of this permission or of one that allows every request that it allows.
fn is_implied(p: &Permission<'_>, holds: impl Fn(&Permission<'_>) -> bool) -> bool {
    match *p {
        Permission::Resource(group, resource, name, verb) => general_resources(group, resource, verb, |group, resource, verb| {
            holds(&Permission::Resource(group, resource, name, verb)) || holds(&Permission::Resource(group, resource, "", verb))
        }),
        Permission::Unnamed(group, resource, verb) => general_resources(group, resource, verb, |group, resource, verb| {
            holds(&Permission::Unnamed(group, resource, verb)) || holds(&Permission::Resource(group, resource, "", verb))
        }),
        Permission::Url(url, verb) => {
            // A URL that ends in `*` allows everything that begins like it.
            let begin = url.trim_end_matches('*');
            let ends = begin.char_indices().map(|(at, _)| at).chain(once(begin.len())).take_while(|end| *end <= LONGEST_PATTERN);
            let mut patterns = ends.map(|end| format!("{}*", &begin[..end]));
            let allows = |url: &str| [verb, "*"].into_iter().any(|verb| holds(&Permission::Url(url, verb)));
            allows(url) || patterns.any(|pattern| allows(&pattern))
        }
    }
}

/// Whether `holds` is true of a group, resource and verb that stand for these: `*` stands for all, and `*/scale` for that
/// subresource of every resource. `pods` does not stand for `pods/log`.
fn general_resources(group: &str, resource: &str, verb: &str, holds: impl Fn(&str, &str, &str) -> bool) -> bool {
    let everywhere = resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    let resources = [Some(resource), Some("*"), everywhere.as_deref()];
    let pairs = resources.into_iter().flatten().flat_map(|resource| [(group, resource), ("*", resource)]);
    pairs.into_iter().any(|(group, resource)| [verb, "*"].into_iter().any(|verb| holds(group, resource, verb)))
}

fn normalized(r: &Rule) -> Rule {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list.dedup();
        list
    };
    Rule {
        api_groups: sorted(&r.api_groups),
        resources: sorted(&r.resources),
        resource_names: sorted(&r.resource_names),
        verbs: sorted(&r.verbs),
        non_resource_urls: sorted(&r.non_resource_urls),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(groups: &[&str], resources: &[&str], names: &[&str], verbs: &[&str]) -> Rule {
        let list = |l: &[&str]| l.iter().map(ToString::to_string).collect();
        Rule { api_groups: list(groups), resources: list(resources), resource_names: list(names), verbs: list(verbs), ..Rule::default() }
    }

    #[test]
    fn the_digest_follows_what_a_role_allows_and_not_how_it_is_written() {
        let base = [of(&[""], &["pods", "secrets"], &[], &["get", "list"])];
        let same = [
            vec![of(&[""], &["secrets", "pods"], &[], &["list", "get", "get"])],
            vec![
                of(&[""], &["pods"], &[], &["get", "list"]),
                of(&[""], &["secrets"], &[], &["list"]),
                of(&[""], &["secrets"], &[], &["get"]),
            ],
            vec![base[0].clone(), base[0].clone()],
            vec![base[0].clone(), of(&[""], &["pods"], &["one"], &["get"])],
        ];
        for (i, rules) in same.iter().enumerate() {
            assert_eq!(digest(rules), digest(&base), "case {i}");
        }
        let other = [
            vec![],
            vec![of(&[""], &["pods", "secrets"], &["one"], &["get", "list"])],
            vec![of(&["apps"], &["pods", "secrets"], &[], &["get", "list"])],
            vec![of(&[""], &["pods", "secrets"], &[], &["get", "list", "watch"])],
            vec![of(&[""], &["pods", "secrets"], &[], &["*"])],
            vec![Rule { non_resource_urls: vec!["/metrics".into()], ..base[0].clone() }],
        ];
        for (i, rules) in other.iter().enumerate() {
            assert_ne!(digest(rules), digest(&base), "case {i}");
        }
        assert_eq!(
            digest(&[of(&[""], &["pods"], &[], &["*", "get"])]),
            digest(&[of(&[""], &["pods"], &[], &["*"])]),
            "a wildcard implies the rest"
        );
    }

    #[test]
    fn a_role_too_large_to_expand_is_digested_as_written_without_order() {
        let many: Vec<String> = (0..300).map(|i| format!("r{i}")).collect();
        let huge = Rule { api_groups: many.clone(), resources: many.clone(), verbs: vec!["get".into()], ..Rule::default() };
        let reversed = Rule { resources: many.iter().rev().cloned().collect(), ..huge.clone() };
        assert_eq!(digest(std::slice::from_ref(&huge)), digest(std::slice::from_ref(&reversed)));
        let more = Rule { verbs: vec!["get".into(), "list".into()], ..huge.clone() };
        assert_ne!(digest(&[huge]), digest(&[more]));
    }

    #[test]
    fn what_is_frozen_is_the_same_however_it_is_written_and_allows_the_same() {
        let base = [
            of(&[""], &["pods", "secrets"], &[], &["get", "list"]),
            of(&["apps", "batch"], &["*"], &[], &["get"]),
            of(&[""], &["configmaps"], &["a", "b"], &["update"]),
            of(&[""], &["configmaps"], &[""], &["list"]),
            Rule { non_resource_urls: vec!["/metrics".into(), "/healthz/*".into()], verbs: vec!["get".into()], ..Rule::default() },
        ];
        let mut otherwise: Vec<Rule> = base.iter().rev().cloned().collect();
        otherwise.push(of(&["apps"], &["deployments", "deployments/scale"], &["one"], &["get"]));
        otherwise.push(Rule { non_resource_urls: vec!["/healthz/ping".into()], verbs: vec!["get".into()], ..Rule::default() });
        let frozen = canonical(&base).unwrap();
        assert_eq!(canonical(&otherwise), Some(frozen.clone()));
        assert_eq!(canonical(&frozen), Some(frozen.clone()), "it is its own canonical form");
        assert_eq!(digest(&frozen), digest(&base));
        assert_eq!(digest_and_canonical(&base), (digest(&base), Some(frozen.clone())));
        assert_eq!((beyond(&base, &frozen), beyond(&frozen, &base)), (None, None));
        assert_eq!(frozen.len(), 5, "{frozen:?}");
    }

    fn urls(urls: &[&str], verbs: &[&str]) -> Rule {
        let list = |l: &[&str]| l.iter().map(ToString::to_string).collect();
        Rule { non_resource_urls: list(urls), verbs: list(verbs), ..Rule::default() }
    }

    #[test]
    fn a_url_as_long_as_an_object_may_be_is_compared_without_all_its_beginnings() {
        let long = format!("/{}", "x".repeat(1_000_000));
        let live = [urls(&[&long], &["get"])];
        let within = |frozen: &str| beyond(&live, &[urls(&[frozen], &["get"])]).is_none();
        assert!(within(&long) && within("*") && within("/x*"));
        assert!(!within("/y*") && !within(&format!("{}*", &long[..1000])), "in doubt it is not allowed");
        assert_eq!(canonical(&live).unwrap(), live);
    }

    #[test]
    fn only_what_is_allowed_for_sure_is_within() {
        let pods = of(&[""], &["pods"], &[], &["get", "list"]);
        type Case = (&'static str, Vec<Rule>, Vec<Rule>);
        let within: [Case; 13] = [
            ("nothing", vec![], vec![]),
            ("less", vec![], vec![pods.clone()]),
            ("a verb less", vec![of(&[""], &["pods"], &[], &["get"])], vec![pods.clone()]),
            ("split", vec![of(&[""], &["pods"], &[], &["list"]), of(&[""], &["pods"], &[], &["get"])], vec![pods.clone()]),
            ("one object of all", vec![of(&[""], &["pods"], &["one"], &["get"])], vec![pods.clone()]),
            ("any verb", vec![pods.clone()], vec![of(&[""], &["pods"], &[], &["*"])]),
            ("any group", vec![pods.clone()], vec![of(&["*"], &["pods"], &[], &["get", "list"])]),
            ("any resource", vec![of(&[""], &["pods/log"], &[], &["get"])], vec![of(&[""], &["*"], &[], &["get"])]),
            (
                "a subresource of any",
                vec![of(&["apps"], &["deployments/scale"], &[], &["get"])],
                vec![of(&["apps"], &["*/scale"], &[], &["*"])],
            ),
            ("without a name, of all", vec![of(&[""], &["pods"], &[""], &["list"])], vec![pods.clone()]),
            ("a URL below", vec![urls(&["/healthz/ping"], &["get"])], vec![urls(&["/healthz/*"], &["get"])]),
            ("a narrower pattern", vec![urls(&["/apis/a*"], &["get"])], vec![urls(&["/apis*"], &["*"])]),
            ("any URL", vec![urls(&["/apis/a*", "/x"], &["get"])], vec![urls(&["*"], &["get"])]),
        ];
        for (what, live, frozen) in within {
            assert_eq!(beyond(&live, &frozen), None, "{what}");
        }
        let grown: [Case; 17] = [
            ("something of nothing", vec![pods.clone()], vec![]),
            ("another verb", vec![of(&[""], &["pods"], &[], &["get", "watch"])], vec![pods.clone()]),
            ("another group", vec![of(&["apps"], &["pods"], &[], &["get"])], vec![pods.clone()]),
            ("a subresource", vec![of(&[""], &["pods/exec"], &[], &["get"])], vec![pods.clone()]),
            ("the resource of a subresource", vec![of(&[""], &["pods"], &[], &["get"])], vec![of(&[""], &["pods/log"], &[], &["get"])]),
            ("every subresource", vec![of(&[""], &["*/log"], &[], &["get"])], vec![of(&[""], &["pods/log"], &[], &["get"])]),
            ("all objects of one", vec![of(&[""], &["pods"], &[], &["get"])], vec![of(&[""], &["pods"], &["one"], &["get"])]),
            ("all objects, of those without a name", vec![pods.clone()], vec![of(&[""], &["pods"], &[""], &["get", "list"])]),
            ("another object", vec![of(&[""], &["pods"], &["two"], &["get"])], vec![of(&[""], &["pods"], &["one"], &["get"])]),
            ("an object called *", vec![of(&[""], &["pods"], &["two"], &["get"])], vec![of(&[""], &["pods"], &["*"], &["get"])]),
            ("every verb", vec![of(&[""], &["pods"], &[], &["*"])], vec![pods.clone()]),
            ("every group", vec![of(&["*"], &["pods"], &[], &["get"])], vec![pods.clone()]),
            ("every resource", vec![of(&[""], &["*"], &[], &["get"])], vec![pods.clone()]),
            ("a wider pattern", vec![urls(&["/apis*"], &["get"])], vec![urls(&["/apis/a*"], &["get"])]),
            ("above the pattern", vec![urls(&["/healthz"], &["get"])], vec![urls(&["/healthz/*"], &["get"])]),
            ("a star inside is not a pattern", vec![urls(&["/a/x/b"], &["get"])], vec![urls(&["/a/*/b"], &["get"])]),
            ("a URL for a resource", vec![urls(&["pods"], &["get"])], vec![pods.clone()]),
        ];
        for (what, live, frozen) in grown {
            assert!(beyond(&live, &frozen).is_some(), "{what}");
            if !frozen.is_empty() {
                assert_ne!(digest(&live), digest(&frozen), "{what}");
            }
        }
        let said = |live: &Rule| beyond(std::slice::from_ref(live), &[]).unwrap();
        assert_eq!(said(&of(&["apps"], &["deployments"], &["web"], &["patch"])), "patch deployments.apps \"web\"");
        assert_eq!(said(&urls(&["/metrics"], &["get"])), "get /metrics");
        let many: Vec<String> = (0..300).map(|i| format!("r{i}")).collect();
        let huge = Rule { api_groups: many.clone(), resources: many, verbs: vec!["get".into()], ..Rule::default() };
        assert!(canonical(std::slice::from_ref(&huge)).is_none());
        assert!(beyond(std::slice::from_ref(&huge), &[of(&["*"], &["*"], &[], &["*"])]).is_some(), "what cannot be compared is beyond");
    }
}
