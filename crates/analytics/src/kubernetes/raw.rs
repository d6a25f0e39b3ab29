//! RBAC objects as they are written in JSON, where null stands for an empty list.
use super::dump::{Metadata, Rule, Subject};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Reads a value, or the default for null.
///
/// # Errors
/// If it is neither null nor such a value.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A Role or ClusterRole as written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawRole {
    /// Its metadata.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Its rules.
    #[serde(default, deserialize_with = "or_default")]
    pub rules: Vec<Rule>,
    /// What it collects, if it does.
    pub aggregation_rule: Option<Aggregation>,
}

/// The ClusterRoles that one collects.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aggregation {
    /// Any of them is enough.
    #[serde(default, deserialize_with = "or_default")]
    pub cluster_role_selectors: Vec<Selector>,
}

/// A label selector.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    #[serde(default, deserialize_with = "or_default")]
    match_labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    match_expressions: Vec<Expression>,
}

#[derive(Clone, Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default, deserialize_with = "or_default")]
    values: Vec<String>,
}

impl Selector {
    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let one = |expression: &Expression| {
            let value = labels.get(&expression.key);
            let listed = value.is_some_and(|value| expression.values.contains(value));
            match expression.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value)) && self.match_expressions.iter().all(one)
    }
}

/// A RoleBinding or ClusterRoleBinding as written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawBinding {
    /// Its metadata.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The role.
    pub role_ref: RoleRef,
    /// Who gets it.
    #[serde(default, deserialize_with = "or_default")]
    pub subjects: Vec<Subject>,
}

/// The role that a binding names.
#[derive(Deserialize)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// An object of which only the metadata is read.
#[derive(Deserialize)]
pub struct Plain {
    /// Its metadata.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: Metadata,
}
