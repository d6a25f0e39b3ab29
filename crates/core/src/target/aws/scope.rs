//! How far a role reaches in an AWS account: all of it, or only these regions and resources.
use super::{
    granted::GrantedPermissions,
    wildcard::{resource_covers, resource_intersection},
};
use crate::target::Empty;
use serde::{Deserialize, Serialize};

/// The scope in an AWS account: `account: {}`, or `regions`, or `resources`, or both of these.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsScope", extend("minProperties" = 1, "maxProperties" = 2, "x-kubernetes-validations" = [{"rule": "has(self.account) != (has(self.regions) || has(self.resources))", "message": "write account: {} alone, or regions, resources, or both of these"}])))]
pub struct Scope {
    /// The whole account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Empty>,
    /// Only these regions (`aws:RequestedRegion`). Global services such as IAM answer in one region, in most partitions `us-east-1`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), inner(length(min = 1, max = 32), regex(pattern = "^[a-z]{2,}(-[a-z]+)+-[0-9]+$")), extend("x-kubernetes-list-type" = "set")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Only these resources, as ARNs with wildcards. Actions that no resource can be named for are then not granted.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), inner(length(min = 1, max = 512), regex(pattern = "^arn:aws[a-z-]*:[!-~]+$")), extend("x-kubernetes-list-type" = "set")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
}

impl Scope {
    /// The whole account.
    pub fn account() -> Self {
        Scope { account: Some(Empty {}), ..Scope::default() }
    }
}

/// The scope of an approval, with the account's id.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsGrantedScope"))]
pub struct GrantedScope {
    /// The partition of the account.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub partition: String,
    /// The account's id.
    #[cfg_attr(feature = "schema", schemars(length(max = 12)))]
    pub account: String,
    /// Only these regions; absent for all.
    #[cfg_attr(feature = "schema", schemars(length(max = 32), inner(length(max = 32)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Only these resources; absent for all.
    #[cfg_attr(feature = "schema", schemars(length(max = 32), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
}

/// The first thing that `inner` reaches beyond `outer`, in words.
pub fn beyond(inner: &Scope, outer: &Scope) -> Option<String> {
    let region = match (inner.regions.as_slice(), outer.regions.as_slice()) {
        (_, []) => None,
        ([], _) => Some("every region".to_owned()),
        (inner, outer) => inner.iter().find(|r| !outer.contains(r)).map(|r| format!("region {r}")),
    };
    region.or_else(|| match (inner.resources.as_slice(), outer.resources.as_slice()) {
        (_, []) => None,
        ([], _) => Some("every resource".to_owned()),
        (inner, outer) => {
            inner.iter().find(|pattern| !outer.iter().any(|general| resource_covers(general, pattern))).map(|r| format!("resource {r}"))
        }
    })
}

/// What both reach. Patterns of resources that overlap in a way that one pattern cannot express are left out.
pub fn intersection(a: &Scope, b: &Scope) -> Option<Scope> {
    let regions = match (a.regions.as_slice(), b.regions.as_slice()) {
        (all, []) | ([], all) => all.to_vec(),
        (a, b) => some(a.iter().filter(|r| b.contains(r)).cloned().collect())?,
    };
    let resources = match (a.resources.as_slice(), b.resources.as_slice()) {
        (all, []) | ([], all) => all.to_vec(),
        (a, b) => {
            let pairs = a.iter().flat_map(|a| b.iter().map(move |b| resource_intersection(a, b)));
            let mut both: Vec<String> = pairs.filter_map(|both| both.ok().flatten()).collect();
            both.sort();
            both.dedup();
            some(both)?
        }
    };
    let narrowed = !regions.is_empty() || !resources.is_empty();
    Some(Scope { account: (!narrowed).then_some(Empty {}), regions, resources })
}

/// Nothing of an empty list: an empty list would mean everything.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

/// The scope that is held, without the account's id.
pub fn named_scope(held: &GrantedScope) -> Scope {
    let narrowed = !held.regions.is_empty() || !held.resources.is_empty();
    Scope { account: (!narrowed).then_some(Empty {}), regions: held.regions.clone(), resources: held.resources.clone() }
}

/// Regions and resources as they are written, in words.
pub fn reach_in_words(scope: &Scope) -> String {
    let of = |what: &str, list: &[String]| (!list.is_empty()).then(|| format!("{what} {}", list.join(", ")));
    let parts: Vec<String> = [of("regions", &scope.regions), of("resources", &scope.resources)].into_iter().flatten().collect();
    if parts.is_empty() { "the whole account".to_owned() } else { parts.join(" with ") }
}

/// Account, regions and resources, in words. What a group has is not limited to the account through which it is granted.
pub fn scope_in_words(scope: &GrantedScope, permissions: &GrantedPermissions) -> String {
    if let GrantedPermissions::Group(group) = permissions {
        return format!("every account in which group {} has access, also beyond account {}", group.name, scope.account);
    }
    let mut words = format!("account {}", scope.account);
    if !scope.regions.is_empty() {
        words.push_str(&format!(", only in {}", scope.regions.join(", ")));
    }
    if !scope.resources.is_empty() {
        words.push_str(&format!(", only {}", scope.resources.join(", ")));
    }
    words
}

#[cfg(test)]
mod tests;
