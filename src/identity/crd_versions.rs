//! The versions of a CRD. A release serves the next version of the API beside this one, with the same fields and one stored form
//! (docs/adr/0009-one-schema-in-every-version.md). The admission policies name this build's version, and the API server applies them to the
//! equivalent ones, too. What a schema refuses, and that a status is written as a subresource alone, is for each version to say by itself.
use crate::api::compare::difference;
use serde_json::{Map, Value, json};

/// What may differ between two versions: which one is stored, and what kubectl prints.
const FREE: [&str; 5] = ["name", "storage", "additionalPrinterColumns", "deprecated", "deprecationWarning"];

/// The path of the first difference between the spec of a built CRD, which has one version, and that of a live one. Every version that is
/// served must have what the built one has, and the built one must be served; objects must not be changed by a webhook on the way from one
/// version to another.
pub fn first_difference(built: &Value, live: &Value) -> Option<String> {
    let rest = |spec: &Value| without(spec, &["versions", "conversion"]);
    let strategy = live["conversion"]["strategy"].as_str().unwrap_or("None");
    let own = &built["versions"][0];
    let all = live["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    difference("spec", &rest(built), &rest(live), false)
        .or_else(|| (strategy != "None").then(|| "spec.conversion.strategy".to_owned()))
        .or_else(|| (!all.iter().any(|version| version["name"] == own["name"])).then(|| "spec.versions".to_owned()))
        .or_else(|| all.iter().enumerate().find_map(|(i, version)| of_version(&format!("spec.versions[{i}]"), own, version)))
}

fn of_version(path: &str, own: &Value, live: &Value) -> Option<String> {
    if live["name"] == own["name"] {
        return difference(path, &without(own, &["storage"]), live, false);
    }
    // Nothing is written through a version that is not served.
    if live["served"] == json!(false) { None } else { difference(path, &without(own, &FREE), live, false) }
}

fn without(object: &Value, names: &[&str]) -> Value {
    let rest = object.as_object().into_iter().flatten().filter(|(name, _)| !names.contains(&name.as_str()));
    Value::Object(rest.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Value {
        let crd = crate::api::crds().into_iter().find(|crd| crd.spec.names.plural == "grants").expect("it is built");
        serde_json::to_value(crd.spec).expect("a CRD is JSON")
    }

    /// The first difference after a change of a CRD with two versions.
    fn after(change: impl Fn(&mut Value)) -> Option<String> {
        let (built, mut live) = (grants(), grants());
        let mut next = built["versions"][0].clone();
        (next["name"], next["storage"]) = (json!("v1beta1"), json!(false));
        live["versions"] = json!([built["versions"][0], next]);
        live["conversion"] = json!({"strategy": "None"});
        change(&mut live);
        first_difference(&built, &live)
    }

    #[test]
    fn a_version_with_the_same_rules_does_not_differ() {
        assert_eq!(after(|_| ()), None);
        assert_eq!(
            after(|live| live["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["later"] =
                json!({"type": "string"})),
            None
        );
        let stored = |live: &mut Value| {
            live["versions"][0]["storage"] = json!(false);
            live["versions"][1]["storage"] = json!(true);
            live["versions"][0]["deprecated"] = json!(true);
        };
        assert_eq!(after(stored), None);
        assert_eq!(after(|live| live["versions"].as_array_mut().expect("an array").reverse()), None);
        // The last release before this version goes.
        assert_eq!(after(|live| drop(live["versions"].as_array_mut().map(|all| all.remove(1)))), None);
    }

    #[test]
    fn a_version_by_which_a_rule_is_passed_by_is_a_difference() {
        let differs = |change: fn(&mut Value), path: &str| {
            let found = after(change);
            assert!(found.as_ref().is_some_and(|found| found.starts_with(path)), "expected {path}, got {found:?}");
        };
        differs(|live| live["versions"][1]["subresources"] = json!(null), "spec.versions[1].subresources");
        differs(
            |live| live["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = json!([]),
            "spec.versions[1].schema.openAPIV3Schema.properties.spec.x-kubernetes-validations",
        );
        differs(
            |live| {
                live["versions"][1]["schema"] = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}})
            },
            "spec.versions[1].schema",
        );
        differs(|live| live["versions"][0]["served"] = json!(false), "spec.versions[0].served");
        differs(|live| drop(live["versions"].as_array_mut().map(|all| all.remove(0))), "spec.versions");
        differs(|live| live["conversion"] = json!({"strategy": "Webhook", "webhook": {}}), "spec.conversion.strategy");
        differs(|live| live["scope"] = json!("Namespaced"), "spec.scope");
        // Nothing is written through one that is not served.
        let unserved = |live: &mut Value| {
            live["versions"][1]["served"] = json!(false);
            live["versions"][1]["subresources"] = json!(null);
        };
        assert_eq!(after(unserved), None);
    }
}
