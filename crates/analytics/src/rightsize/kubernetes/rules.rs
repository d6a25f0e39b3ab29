//! Rules of roles from needs: as few as the same verbs, names and resources allow, without any wildcard.
use super::{
    needs::{Need, Part},
    observed::Access,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The order in which people write verbs.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// A PolicyRule of rbac.authorization.k8s.io/v1.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// API groups; empty for URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Resources; empty for URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of objects; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// URLs that are not resources.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
}

/// A proposed Role or ClusterRole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposedRole {
    /// Its name.
    pub name: String,
    /// The namespace of a Role; `None`: a ClusterRole.
    pub namespace: Option<String>,
    /// The namespaces in which a ClusterRole is bound; empty: in the whole cluster. For a Role its own.
    pub bound_in: Vec<String>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

fn rank(verb: &str) -> usize {
    VERBS.iter().position(|known| *known == verb).unwrap_or(VERBS.len())
}

fn in_order(verbs: BTreeSet<&str>) -> Vec<String> {
    let mut verbs: Vec<String> = verbs.into_iter().map(str::to_owned).collect();
    verbs.sort_by(|a, b| rank(a).cmp(&rank(b)).then(a.cmp(b)));
    verbs
}

/// What rules have in common: names of objects, and verbs.
type Shape<'a> = (Option<&'a BTreeSet<String>>, Vec<String>);

/// Objects: group, resource, names.
type Objects<'a> = (&'a str, &'a str, Option<&'a BTreeSet<String>>);

/// The rules that allow exactly these needs.
pub fn rules(needs: &BTreeMap<Access, Need>) -> Vec<Rule> {
    let mut verbs: BTreeMap<Objects, BTreeSet<&str>> = BTreeMap::new();
    let mut urls: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (access, need) in needs {
        match access {
            Access::Resource { group, resource, verb } => {
                verbs.entry((group, resource, need.names.as_ref())).or_default().insert(verb);
            }
            Access::Url { path, verb } => {
                urls.entry(path).or_default().insert(verb);
            }
        }
    }
    // Resources of one group with the same names and verbs are one rule; then groups with the same resources are.
    let mut resources: BTreeMap<(&str, Shape), BTreeSet<&str>> = BTreeMap::new();
    for ((group, resource, names), verbs) in verbs {
        resources.entry((group, (names, in_order(verbs)))).or_default().insert(resource);
    }
    let mut groups: BTreeMap<(BTreeSet<&str>, Shape), BTreeSet<&str>> = BTreeMap::new();
    for ((group, shape), resources) in resources {
        groups.entry((resources, shape)).or_default().insert(group);
    }
    let owned = |list: BTreeSet<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut rules: Vec<Rule> = groups
        .into_iter()
        .map(|((resources, (names, verbs)), groups)| Rule {
            api_groups: owned(groups),
            resources: owned(resources),
            resource_names: names.into_iter().flatten().cloned().collect(),
            non_resource_urls: Vec::new(),
            verbs,
        })
        .collect();
    let mut by_verbs: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    urls.into_iter().for_each(|(url, verbs)| by_verbs.entry(in_order(verbs)).or_default().push(url.to_owned()));
    rules.extend(by_verbs.into_iter().map(|(verbs, non_resource_urls)| Rule { verbs, non_resource_urls, ..Rule::default() }));
    rules.sort();
    rules
}

/// The roles for all needs: a ClusterRole for the whole cluster, and for namespaces one ClusterRole if it is the only role, else a Role each.
pub fn roles(name: &str, parts: &BTreeMap<Part, BTreeMap<Access, Need>>) -> Vec<ProposedRole> {
    let cluster = parts.get(&Part::Cluster).map(|needs| ProposedRole {
        name: name.to_owned(),
        namespace: None,
        bound_in: Vec::new(),
        rules: rules(needs),
    });
    let in_namespace = |(part, needs): (&Part, &BTreeMap<Access, Need>)| match part {
        Part::Cluster => None,
        Part::Namespace(namespace) => Some((namespace.clone(), rules(needs))),
    };
    let namespaces: Vec<(String, Vec<Rule>)> = parts.iter().filter_map(in_namespace).collect();
    let same = namespaces.windows(2).all(|pair| pair[0].1 == pair[1].1);
    if cluster.is_none() && same && namespaces.len() > 1 {
        let rules = namespaces[0].1.clone();
        let bound_in = namespaces.into_iter().map(|(namespace, _)| namespace).collect();
        return vec![ProposedRole { name: name.to_owned(), namespace: None, bound_in, rules }];
    }
    let role = |(namespace, rules): (String, Vec<Rule>)| ProposedRole {
        name: name.to_owned(),
        bound_in: vec![namespace.clone()],
        namespace: Some(namespace),
        rules,
    };
    cluster.into_iter().chain(namespaces.into_iter().map(role)).collect()
}
