//! What `kubectl get -o json` prints of RBAC, service accounts and namespaces.
use super::raw::{Plain, RawBinding, RawRole, Selector, or_default};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The command that writes the file.
pub const COMMAND: &str =
    "kubectl get clusterroles,roles,clusterrolebindings,rolebindings,serviceaccounts,namespaces -A -o json > rbac.json";
/// The label of the roles and bindings that the API server itself keeps.
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");

/// The metadata that the analysis reads.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The namespace; empty for what belongs to the cluster.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    creation_timestamp: Option<Timestamp>,
}

impl Metadata {
    /// When it was created, in Unix seconds.
    pub fn created(&self) -> Option<i64> {
        self.creation_timestamp.map(Timestamp::as_second)
    }
    /// Whether the API server created it and restores it at each start.
    pub fn is_default(&self) -> bool {
        self.labels.get(BOOTSTRAPPING.0).is_some_and(|value| value == BOOTSTRAPPING.1)
    }
    /// The value of a label or annotation; the label comes first.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.labels.get(key).or_else(|| self.annotations.get(key)).map(String::as_str)
    }
}

/// A PolicyRule.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Verbs; `*` is all.
    #[serde(deserialize_with = "or_default")]
    pub verbs: Vec<String>,
    /// API groups; `*` is all.
    #[serde(deserialize_with = "or_default")]
    pub api_groups: Vec<String>,
    /// Resources; `*` is all, `*/scale` is a subresource of all.
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<String>,
    /// Names of objects; empty is all.
    #[serde(deserialize_with = "or_default")]
    pub resource_names: Vec<String>,
    /// URLs that are not resources, in ClusterRoles.
    #[serde(rename = "nonResourceURLs", deserialize_with = "or_default")]
    pub non_resource_urls: Vec<String>,
}

/// A Role or ClusterRole.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its metadata. A ClusterRole has no namespace.
    pub metadata: Metadata,
    /// Its rules, with those that it collects from others.
    pub rules: Vec<Rule>,
    /// Whether it collects rules by label.
    pub aggregated: bool,
    /// Whether another role collects its rules.
    pub contributes: bool,
}

/// A user, group or service account that a binding names.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace of a service account.
    #[serde(default, deserialize_with = "or_default")]
    pub namespace: String,
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Its metadata. A ClusterRoleBinding has no namespace.
    pub metadata: Metadata,
    /// `Role` or `ClusterRole`.
    pub role_kind: String,
    /// The name of the role.
    pub role: String,
    /// Who gets it.
    pub subjects: Vec<Subject>,
}

impl Binding {
    /// The id of the grant of Curfew that wrote it.
    pub fn grant(&self) -> Option<&str> {
        self.metadata.labels.get(curfew_core::ids::GRANT_LABEL).map(String::as_str)
    }
}

/// Everything in the file.
#[derive(Clone, Default, Debug)]
pub struct Dump {
    /// Roles by namespace and name; a ClusterRole has an empty namespace.
    pub roles: BTreeMap<(String, String), Role>,
    /// Bindings.
    pub bindings: Vec<Binding>,
    /// Service accounts by namespace and name.
    pub accounts: BTreeMap<(String, String), Metadata>,
    /// Namespaces.
    pub namespaces: BTreeSet<String>,
    /// How many objects of other kinds were in the file, by kind.
    pub ignored: BTreeMap<String, u64>,
    /// Items of lists that are not what their kind says, and why. They were left out.
    pub broken: Vec<String>,
    /// Their kinds, namespaces and names, as far as they show.
    lost: Vec<[String; 3]>,
}

/// The file cannot be used.
#[derive(thiserror::Error, Debug)]
pub enum NotADump {
    /// Not JSON, or an object is not what its kind says.
    #[error("{0}; write it again with: {COMMAND}")]
    Json(String),
    /// JSON without RBAC.
    #[error("no {0} in it{1}; write it with: {COMMAND}")]
    Missing(&'static str, String),
}

/// Reads an object as what its kind says.
fn read<T: serde::de::DeserializeOwned>(kind: &str, object: Value) -> Result<T, NotADump> {
    let name = ["namespace", "name"].map(|key| object["metadata"][key].as_str().unwrap_or_default().to_owned()).join("/");
    serde_json::from_value(object).map_err(|error| NotADump::Json(format!("{kind} {}: {error}", name.trim_start_matches('/'))))
}

impl Dump {
    /// Reads one or more documents, one after another: lists or single objects.
    ///
    /// # Errors
    /// If it is not JSON, an object is not what its kind says, or there are no roles or no bindings at all.
    pub fn parse(text: &str) -> Result<Self, NotADump> {
        let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        Self::collect(documents.map(|document| document.map_err(|error| NotADump::Json(format!("not JSON: {error}")))))
    }

    /// The same from objects that say of what kind they are. One that cannot be read is left out and noted.
    ///
    /// # Errors
    /// If there are no roles or no bindings at all.
    pub fn of(objects: Vec<Value>) -> Result<Self, NotADump> {
        Self::collect([Ok(serde_json::json!({"kind": "List", "items": objects}))])
    }

    fn collect(documents: impl IntoIterator<Item = Result<Value, NotADump>>) -> Result<Self, NotADump> {
        let (mut dump, mut aggregations) = (Self::default(), Vec::new());
        for document in documents {
            dump.add(document?, &mut aggregations)?;
        }
        for (none, what) in
            [(dump.roles.is_empty(), "ClusterRole or Role"), (dump.bindings.is_empty(), "ClusterRoleBinding or RoleBinding")]
        {
            if none {
                let broken = dump.broken.first().map(|why| format!(" that can be read: {why}"));
                return Err(NotADump::Missing(what, broken.unwrap_or_default()));
            }
        }
        dump.aggregate(&aggregations);
        dump.name_namespaces();
        Ok(dump)
    }

    fn add(&mut self, mut object: Value, aggregations: &mut Vec<(String, Vec<Selector>)>) -> Result<(), NotADump> {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if kind.ends_with("List") {
            let items = object.get_mut("items").map(Value::take);
            let items = if let Some(Value::Array(items)) = items { items } else { Vec::new() };
            items.into_iter().zip(1..).for_each(|(item, number)| self.item(&kind, number, item, aggregations));
            return Ok(());
        }
        match kind.as_str() {
            "ClusterRole" | "Role" => {
                let raw: RawRole = read(&kind, object)?;
                if let Some(aggregation) = &raw.aggregation_rule {
                    aggregations.push((raw.metadata.name.clone(), aggregation.cluster_role_selectors.clone()));
                }
                let (rules, aggregated) = (raw.rules, raw.aggregation_rule.is_some());
                let key = (raw.metadata.namespace.clone(), raw.metadata.name.clone());
                self.roles.insert(key, Role { metadata: raw.metadata, rules, aggregated, contributes: false });
            }
            "ClusterRoleBinding" | "RoleBinding" => {
                let raw: RawBinding = read(&kind, object)?;
                let mut subjects = raw.subjects;
                // As RBAC resolves it: a service account without a namespace is one of the RoleBinding's.
                for subject in subjects.iter_mut().filter(|subject| subject.kind == "ServiceAccount" && subject.namespace.is_empty()) {
                    subject.namespace.clone_from(&raw.metadata.namespace);
                }
                self.bindings.push(Binding { metadata: raw.metadata, role_kind: raw.role_ref.kind, role: raw.role_ref.name, subjects });
            }
            "ServiceAccount" => {
                let raw: Plain = read(&kind, object)?;
                self.accounts.insert((raw.metadata.namespace.clone(), raw.metadata.name.clone()), raw.metadata);
            }
            "Namespace" => {
                self.namespaces.insert(read::<Plain>(&kind, object)?.metadata.name);
            }
            _ => *self.ignored.entry(if kind.is_empty() { "without a kind".into() } else { kind }).or_default() += 1,
        }
        Ok(())
    }

    /// Adds an item of a list. One that cannot be read is left out and noted.
    fn item(&mut self, list: &str, number: usize, mut item: Value, aggregations: &mut Vec<(String, Vec<Selector>)>) {
        let of = list.trim_end_matches("List");
        let Some(fields) = item.as_object_mut() else {
            self.broken.push(format!("item {number} of the {list} is not an object"));
            self.lost.push([of, "", ""].map(str::to_owned));
            return;
        };
        // The items of a typed list do not repeat their kind.
        if !of.is_empty() && fields.get("kind").is_none_or(Value::is_null) {
            fields.insert("kind".into(), of.into());
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names = [text(&item["kind"]), text(&item["metadata"]["namespace"]), text(&item["metadata"]["name"])];
        if let Err(NotADump::Json(why) | NotADump::Missing(_, why)) = self.add(item, aggregations) {
            self.broken.push(why);
            self.lost.push(names);
        }
    }

    /// Whether the role that a binding names may be one that could not be read.
    pub fn may_have_lost_role(&self, binding: &Binding) -> bool {
        let namespace = if binding.role_kind == "Role" { binding.metadata.namespace.as_str() } else { "" };
        let same = |name: &str, other: &str| name.is_empty() || name == other;
        let of = |[kind, at, name]: &[String; 3]| {
            same(kind, &binding.role_kind) && (name.is_empty() || (at == namespace && *name == binding.role))
        };
        self.lost.iter().any(of)
    }
    /// Whether a binding may be one that could not be read.
    pub fn may_have_lost_bindings(&self) -> bool {
        self.lost.iter().any(|[kind, ..]| kind.is_empty() || kind.ends_with("Binding"))
    }

    /// Gives aggregated ClusterRoles the rules of all that they select, also through other aggregated ones. In a cluster the controller has
    /// done so; manifests from files have no rules there.
    fn aggregate(&mut self, aggregations: &[(String, Vec<Selector>)]) {
        loop {
            let mut grew = false;
            for (name, selectors) in aggregations {
                let selected = self.roles.iter().filter(|((namespace, other), role)| {
                    namespace.is_empty() && other != name && selectors.iter().any(|selector| selector.matches(&role.metadata.labels))
                });
                let selected: Vec<(String, String)> = selected.map(|(key, _)| key.clone()).collect();
                let mut rules = Vec::new();
                for key in selected {
                    let Some(role) = self.roles.get_mut(&key) else { continue };
                    role.contributes = true;
                    rules.extend(role.rules.clone());
                }
                let Some(role) = self.roles.get_mut(&(String::new(), name.clone())) else { continue };
                for rule in rules {
                    if !role.rules.contains(&rule) {
                        role.rules.push(rule);
                        grew = true;
                    }
                }
            }
            if !grew {
                return;
            }
        }
    }

    /// A namespace exists if an object is in it, also if the file lists no namespaces.
    fn name_namespaces(&mut self) {
        let named = self.roles.keys().chain(self.accounts.keys()).map(|(namespace, _)| namespace);
        let more: Vec<String> = named.chain(self.bindings.iter().map(|binding| &binding.metadata.namespace)).cloned().collect();
        self.namespaces.extend(more.into_iter().filter(|namespace| !namespace.is_empty()));
    }

    /// The role that a binding names.
    pub fn role_of(&self, binding: &Binding) -> Option<&Role> {
        let namespace = if binding.role_kind == "Role" { binding.metadata.namespace.as_str() } else { "" };
        self.roles.get(&(namespace.into(), binding.role.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: &str = r#"{"kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"all"}}"#;

    fn role(name: &str, label: &str, rest: &str) -> String {
        format!(r#"{{"kind":"ClusterRole","metadata":{{"name":"{name}","labels":{{"{label}":"true"}}}},{rest}}}"#)
    }

    #[test]
    fn aggregated_roles_collect_rules_through_one_another() {
        let all = role("all", "x", r#""aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"to-all":"true"}}]},"rules":null"#);
        let some = role(
            "some",
            "to-all",
            r#""aggregationRule":{"clusterRoleSelectors":[{"matchExpressions":[{"key":"base","operator":"Exists"}]}]}"#,
        );
        let base = role("base", "base", r#""rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]"#);
        let dump = Dump::parse(&format!("{all}{some}{base}{BOUND}")).unwrap();
        assert_eq!(dump.roles[&(String::new(), "all".into())].rules.len(), 1);
        assert!(dump.role_of(&dump.bindings[0]).unwrap().aggregated);
    }

    #[test]
    fn errors_name_the_object_and_the_command() {
        let error = |text: &str| Dump::parse(text).unwrap_err().to_string();
        assert!(error("{").starts_with("not JSON") && error("{").contains("kubectl get clusterroles"));
        assert!(error(r#"{"kind":"PodList","items":[{"metadata":{}}]}"#).starts_with("no ClusterRole or Role in it;"));
        let odd = r#"{"kind":"RoleBinding","metadata":{"name":"b","namespace":"n"},"roleRef":3}"#;
        assert!(error(odd).starts_with("RoleBinding n/b: "), "{}", error(odd));
        let all = error(&format!(r#"{{"kind":"List","items":[{}]}}"#, role("r", "x", r#""rules":3"#)));
        assert!(all.starts_with("no ClusterRole or Role in it that can be read: ClusterRole r: "), "{all}");
    }
}
