//! The generated parts of the helm chart: what it has in common with `deploy/`, the schema of its values, and its README.
//!
//! The chart's templates are written by hand and hold no copy of a manifest: they read `generated/` and `crds/`, set what values
//! change, and write the objects. `tests/chart/` compares the result with `deploy/`.
use super::{dashboards, yaml};
use crate::{
    api,
    identity::{NAMESPACE, install},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

/// The name of the release. Cluster-scoped objects have fixed names, so there can only be one.
const RELEASE: &str = "curfew";
const VALUES: &str = include_str!("../../charts/curfew/values.yaml");
/// The schema of the values, without that of `config.spec`.
const SCHEMA: &str = include_str!("values.schema.json");
/// The README of the chart, without the table of values.
const README: &str = include_str!("chart.md");
const TABLE: &str = "<!-- values -->\n";

/// Returns the generated files of the chart, by path.
pub fn files() -> BTreeMap<PathBuf, String> {
    let root = PathBuf::from("charts/curfew");
    let mut files = BTreeMap::new();
    for crd in api::crds() {
        let name = super::crd_file(&crd.spec.names.plural);
        let value = serde_json::to_value(&crd).expect("a CRD is JSON");
        files.insert(root.join("crds").join(name), yaml(&[owned(value)]));
    }
    for (name, objects) in install::chart_files() {
        files.insert(root.join("generated").join(name), yaml(&objects));
    }
    files.extend(dashboards::files().into_iter().map(|(name, json)| (root.join("dashboards").join(name), json)));
    let schema = schema();
    files.insert(root.join("README.md"), README.replace(TABLE, &table(&schema)));
    files.insert(root.join("values.schema.json"), serde_json::to_string_pretty(&schema).expect("JSON is text") + "\n");
    files
}

/// Adds to a CRD by what helm recognises an object of the release, and that it is kept. Helm creates what is in `crds/` before it
/// looks at the templates, which contain CurfewConfig; the templates contain the CRDs, too, so that an upgrade brings new ones.
fn owned(mut crd: Value) -> Value {
    crd["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    crd["metadata"]["annotations"] =
        json!({"helm.sh/resource-policy": "keep", "meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE});
    crd
}

/// The schema of the values. A spec of CurfewConfig is given as a whole or not at all, and checked as by its CRD.
fn schema() -> Value {
    let mut schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let spec = crate::api::crds().iter().find(|crd| crd.spec.names.kind == "CurfewConfig").map(|crd| {
        let crd = serde_json::to_value(crd).expect("a CRD is JSON");
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
    });
    schema["definitions"]["curfewConfigSpec"] = closed(&spec.unwrap_or_default());
    schema
}

/// A CRD's schema as JSON Schema: without what only Kubernetes knows, and closed where the API server would prune unknown fields.
fn closed(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let nullable = fields.get("nullable") == Some(&json!(true));
            let mut out: Map<String, Value> = fields
                .iter()
                .filter(|(key, _)| !key.starts_with("x-kubernetes-") && *key != "nullable" && *key != "format")
                .map(|(key, value)| match (key.as_str(), value) {
                    // Names of fields, which may be called like keywords.
                    ("properties", Value::Object(all)) => {
                        (key.clone(), all.iter().map(|(name, schema)| (name.clone(), closed(schema))).collect::<Map<_, _>>().into())
                    }
                    _ => (key.clone(), closed(value)),
                })
                .collect();
            if fields.get("type") == Some(&json!("object")) && !fields.contains_key("additionalProperties") {
                out.insert("additionalProperties".into(), json!(false));
            }
            if nullable && let Some(kind) = fields.get("type") {
                out.insert("type".into(), json!([kind, "null"]));
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(closed).collect(),
        other => other.clone(),
    }
}

/// The table of values: each with its default and description. A value is described once, where its schema is.
fn table(schema: &Value) -> String {
    let defaults: Value = serde_saphyr::from_str(VALUES).expect("values.yaml is YAML");
    let mut rows = String::from("| Value | Default | What it does |\n|---|---|---|\n");
    for (path, value, description) in described(schema, schema, &defaults, "") {
        let _ = writeln!(rows, "| `{path}` | `{value}` | {} |", description.replace('|', "\\|"));
    }
    rows
}

/// Each value that is not a group of others: its path, its default as JSON, and its description.
fn described(root: &Value, schema: &Value, defaults: &Value, path: &str) -> Vec<(String, String, String)> {
    let here = schema["description"].as_str();
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap_or(schema),
        None => schema,
    };
    let description = here.or(schema["description"].as_str()).unwrap_or_default();
    match (schema["properties"].as_object(), defaults.as_object()) {
        (Some(properties), Some(values)) => values
            .iter()
            .flat_map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                described(root, &properties[key.as_str()], value, &path)
            })
            .collect(),
        _ => vec![(path.to_owned(), defaults.to_string(), description.to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every object of the schema of values that has properties, with its path.
    fn objects<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
        if schema["properties"].is_object() || schema["type"] == "object" {
            found.push((path.to_owned(), schema));
        }
        match schema {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| objects(value, &format!("{path}/{key}"), found)),
            Value::Array(items) => items.iter().enumerate().for_each(|(i, value)| objects(value, &format!("{path}/{i}"), found)),
            _ => {}
        }
    }

    #[test]
    fn no_object_of_the_schema_takes_unknown_values() {
        let (schema, mut found) = (schema(), Vec::new());
        objects(&schema, "", &mut found);
        assert!(found.len() > 30, "{}", found.len());
        for (path, object) in found.iter().filter(|(path, _)| !path.ends_with("/properties")) {
            // Objects of Kubernetes are checked by the API server; they say so by `"additionalProperties": true`.
            assert!(!object["additionalProperties"].is_null(), "{path} takes any value");
        }
    }

    #[test]
    fn every_value_is_described_and_in_the_schema() {
        let (schema, defaults): (_, Value) = (schema(), serde_saphyr::from_str(VALUES).unwrap());
        for (path, _, description) in described(&schema, &schema, &defaults, "") {
            assert!(!description.is_empty(), "{path} has no description in values.schema.json");
        }
    }

    #[test]
    fn a_config_is_whole_and_closed() {
        let spec = schema()["definitions"]["curfewConfigSpec"].clone();
        assert_eq!(spec["required"], json!(["ceilings", "identity", "retention"]));
        assert_eq!(spec["properties"]["identity"]["additionalProperties"], json!(false));
        assert_eq!(spec["properties"]["audit"]["type"], json!(["object", "null"]));
    }
}
