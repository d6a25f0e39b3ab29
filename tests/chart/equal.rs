//! The chart with its default values and `deploy/` with `crds/` install the same objects. What differs is meant, and stands here.
use super::objects::{Id, Objects, directory, rendered};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Only in `deploy/`: helm needs the namespace before it can install a release.
const ONLY_DEPLOY: [(&str, &str); 1] = [("Namespace", "curfew-system")];
/// Only in the chart: the check before an uninstallation, a hook of helm, and the account that it runs under.
const ONLY_CHART: [(&str, &str); 4] = [
    ("Job", "curfew-no-live-grants"),
    ("ServiceAccount", "curfew-uninstall"),
    ("ClusterRole", "curfew-uninstall"),
    ("ClusterRoleBinding", "curfew-uninstall"),
];
/// Labels by which helm and people recognise a release.
const LABELS: [&str; 5] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];
/// What helm keeps when the release is uninstalled, and by which it recognises CRDs from `crds/` of the chart.
const ANNOTATIONS: [&str; 3] = ["helm.sh/resource-policy", "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"];

/// Without what is meant to differ, and without empty fields, which mean the same as absent ones.
fn compared(object: &Value) -> Value {
    let mut object = object.clone();
    for (field, keys) in [("labels", &LABELS[..]), ("annotations", &ANNOTATIONS[..])] {
        if let Some(all) = object["metadata"][field].as_object_mut() {
            all.retain(|key, _| !keys.contains(&key.as_str()));
            if all.is_empty() {
                object["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
            }
        } else if object["metadata"][field].is_null() {
            object["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
        }
    }
    numbers(&object)
}

/// 2 and 2.0 are one number in JSON.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(numbers).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), numbers(value))).collect::<serde_json::Map<_, _>>().into(),
        other => other.clone(),
    }
}

fn without(mut objects: Objects, known: &[(&str, &str)]) -> Result<Objects> {
    for (kind, name) in known {
        let before = objects.len();
        objects.retain(|id, _| !(id.is(kind) && id.name() == *name));
        ensure!(objects.len() == before - 1, "{kind} {name} is not there, or more than once");
    }
    Ok(objects)
}

/// The path of the first difference.
fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.filter_map(|key| {
                difference(&format!("{path}.{key}"), a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null))
            })
            .next()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(&format!("{path}[{i}]"), a, b))
        }
        (a, b) => (a != b).then(|| format!("{path}: {a} and {b}")),
    }
}

#[test]
fn the_chart_and_the_manifests_install_the_same_objects() -> Result<()> {
    let mut manifests = directory("deploy")?;
    manifests.extend(directory("crds")?);
    let (manifests, chart) = (without(manifests, &ONLY_DEPLOY)?, without(rendered(&[])?, &ONLY_CHART)?);
    let only = |one: &Objects, other: &Objects| one.keys().filter(|id| !other.contains_key(id)).cloned().collect::<Vec<Id>>();
    ensure!(only(&manifests, &chart).is_empty(), "only in deploy/ and crds/: {:?}", only(&manifests, &chart));
    ensure!(only(&chart, &manifests).is_empty(), "only in the chart: {:?}", only(&chart, &manifests));
    ensure!(chart.len() > 50, "{} objects", chart.len());
    for (id, object) in &chart {
        let found = difference("", &compared(&manifests[id]), &compared(object));
        ensure!(found.is_none(), "{id:?} differs between deploy/ and the chart at {}", found.unwrap_or_default());
    }
    Ok(())
}

#[test]
fn every_object_has_the_labels_of_its_release_and_what_must_stay_is_kept() -> Result<()> {
    for (id, object) in rendered(&["--set=extraLabels.team=platform", "--set-string=extraAnnotations.example\\.com/cost=42"])? {
        let labels = &object["metadata"]["labels"];
        ensure!(LABELS.iter().all(|label| labels[*label].is_string()) && labels["team"] == "platform", "{id:?}: {labels}");
        ensure!(object["metadata"]["annotations"]["example.com/cost"] == "42", "{id:?}");
        let keeps = id.is("CustomResourceDefinition") || id.is("CurfewConfig") || id.is("AuthorizationSystem");
        ensure!((object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep") == keeps, "{id:?}");
        // What does not belong to Curfew's namespace would be left behind with it.
        ensure!(["", "curfew-system"].contains(&id.namespace()), "{id:?}");
    }
    Ok(())
}
