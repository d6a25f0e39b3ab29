//! The content of a role, and its digest in canonical form.
use crate::digest::Digest;
use serde::Serialize;
use std::collections::BTreeSet;

/// One rule of a ClusterRole or Role, as Kubernetes writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The API groups.
    pub api_groups: Vec<String>,
    /// The resources, with their subresources.
    pub resources: Vec<String>,
    /// Only these objects, by name; empty means all.
    pub resource_names: Vec<String>,
    /// The verbs.
    pub verbs: Vec<String>,
    /// URL paths outside of the resource API.
    pub non_resource_urls: Vec<String>,
}

/// The highest number of single permissions to which a role is expanded. A role that lists more is digested as it is written.
const MAX_EXPANDED: usize = 65_536;

/// One permission that no other of the set implies: API group, resource, object name (empty: all) and verb, or URL and verb.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
enum Permission<'a> {
    Resource(&'a str, &'a str, &'a str, &'a str),
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

/// Every single permission; `None` if there are more than [`MAX_EXPANDED`].
fn expand(rules: &[Rule]) -> Option<BTreeSet<Permission<'_>>> {
    const ALL: &[String] = &[String::new()];
    let mut all = BTreeSet::new();
    for r in rules {
        let names = if r.resource_names.is_empty() { ALL } else { &r.resource_names };
        let lists = [r.api_groups.len(), r.resources.len(), names.len(), r.verbs.len()];
        let size = lists.iter().try_fold(1_usize, |size, len| size.checked_mul(*len))?;
        let urls = r.non_resource_urls.len().checked_mul(r.verbs.len())?;
        if size.checked_add(urls)?.checked_add(all.len())? > MAX_EXPANDED {
            return None;
        }
        for verb in &r.verbs {
            all.extend(r.non_resource_urls.iter().map(|url| Permission::Url(url, verb)));
            for (group, resource) in r.api_groups.iter().flat_map(|g| r.resources.iter().map(move |x| (g, x))) {
                all.extend(names.iter().map(|name| Permission::Resource(group, resource, name, verb)));
            }
        }
    }
    Some(all)
}

/// Without what a more general permission of the same set implies.
fn minimal<'a>(all: &'a BTreeSet<Permission<'a>>) -> Vec<&'a Permission<'a>> {
    let implied = |p: &Permission<'a>| match *p {
        Permission::Resource(group, resource, name, verb) => {
            let general = |x: &'a str, wildcard: &'a str| if x == wildcard { vec![x] } else { vec![x, wildcard] };
            let more_general = general(group, "*").into_iter().flat_map(|g| {
                general(resource, "*").into_iter().flat_map(move |r| {
                    general(name, "")
                        .into_iter()
                        .flat_map(move |n| general(verb, "*").into_iter().map(move |v| Permission::Resource(g, r, n, v)))
                })
            });
            more_general.into_iter().any(|g| g != *p && all.contains(&g))
        }
        Permission::Url(url, verb) => {
            let mut more_general = [Permission::Url("*", verb), Permission::Url(url, "*"), Permission::Url("*", "*")].into_iter();
            more_general.any(|g| g != *p && all.contains(&g))
        }
    };
    all.iter().filter(|p| !implied(p)).collect()
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
}
