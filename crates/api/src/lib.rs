//! The custom resources, one file for each kind. Pure: no clock, no client.
//!
//! Fields that protect are required and have no serde default. Unions are externally tagged and have exactly one member. Every list is
//! bounded. Every field has a description, which `kubectl explain` shows.
// clippy takes repeated #[kube(printcolumn(...))] for duplicated attributes.
#![allow(clippy::duplicated_attributes)]

pub mod active_assignment;
pub mod assignment;
pub mod assignment_request;
pub mod compare;
pub mod conditions;
pub mod config;
pub mod convert;
pub mod decision;
pub mod endpoint;
pub mod grant;
#[cfg(test)]
mod lengths;
pub mod notifications;
pub mod policy;
pub mod request;
pub mod schema;
pub mod system;
pub mod template;

pub use active_assignment::ActiveAssignment;
pub use assignment::EligibleAssignment;
pub use assignment_request::AssignmentRequest;
pub use config::CurfewConfig;
pub use decision::AccessDecision;
pub use grant::Grant;
pub use policy::AccessPolicy;
pub use request::ActivationRequest;
pub use system::AuthorizationSystem;
pub use template::RoleTemplate;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

/// The API group of every kind.
pub const GROUP: &str = "curfew.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
/// Name of the only CurfewConfig.
pub const CONFIG_NAME: &str = "curfew";
/// The label of every CRD and admission policy of Curfew, by which they are listed.
pub const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "curfew");
/// The namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "curfew-system";
/// The operator's service account.
pub use curfew_core::policy_inputs::OPERATOR_ACCOUNT;

/// The CRDs of all kinds.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        CurfewConfig::crd(),
        AuthorizationSystem::crd(),
        AccessPolicy::crd(),
        RoleTemplate::crd(),
        EligibleAssignment::crd(),
        ActiveAssignment::crd(),
        ActivationRequest::crd(),
        AccessDecision::crd(),
        Grant::crd(),
        AssignmentRequest::crd(),
    ];
    // A rule about metadata must be at the root of the schema, which the derive macro cannot express.
    let root = all[0].spec.versions[0].schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut());
    if let Some(root) = root {
        let rule = serde_json::json!([{"rule": "self.metadata.name == 'curfew'", "message": "only one CurfewConfig is allowed and its name is curfew"}]);
        root.x_kubernetes_validations = serde_json::from_value(rule).ok();
    }
    let of_standing = all.iter_mut().find(|crd| crd.spec.names.kind == "ActiveAssignment");
    if let Some(root) = of_standing.and_then(|crd| crd.spec.versions[0].schema.as_mut()?.open_api_v3_schema.as_mut()) {
        let rule = serde_json::json!([{"rule": "self.metadata.name.size() <= 200", "message": "the name has more than 200 characters, and the names of its activations begin with it"}]);
        root.x_kubernetes_validations = serde_json::from_value(rule).ok();
    }
    for crd in &mut all {
        crd.metadata.labels = Some([(PART_OF.0.into(), PART_OF.1.into())].into());
        let (kind, by_people) = (crd.spec.names.kind.clone(), crd.spec.names.kind != "Grant");
        for schema in crd.spec.versions.iter_mut().filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut()) {
            drop_redundant_one_of(schema);
            known_formats(schema);
            for (part, property) in schema.properties.iter_mut().flatten() {
                match part.as_str() {
                    "spec" if by_people => {
                        schema::explain_lengths(property);
                        schema::require_visible_text("spec", property);
                    }
                    "spec" | "status" if !WRITTEN_BY_OTHERS.contains(&kind.as_str()) => keep_unknown(property),
                    _ => {}
                }
            }
        }
    }
    all
}

/// A union says with `minProperties` and `maxProperties` that it has exactly one member. The derived `oneOf` repeats that, and the API
/// server reports it in words that name no field.
fn drop_redundant_one_of(schema: &mut JSONSchemaProps) {
    let only_required = |s: &JSONSchemaProps| JSONSchemaProps { required: None, ..s.clone() } == JSONSchemaProps::default();
    let union = (schema.min_properties, schema.max_properties) == (Some(1), Some(1));
    if union && schema.one_of.as_ref().is_some_and(|all| all.iter().all(only_required)) {
        schema.one_of = None;
    }
    schema.properties.iter_mut().flatten().for_each(|(_, s)| drop_redundant_one_of(s));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_redundant_one_of(items);
    }
}

/// The formats of Rust's small integers are unknown to the API server, which warns of each when a CRD is applied. `int32` and `int64` are
/// known, and hold them.
fn known_formats(schema: &mut JSONSchemaProps) {
    schema.format = schema.format.take().map(|format| match format.as_str() {
        "uint8" | "uint16" | "int8" | "int16" => "int32".to_owned(),
        "uint32" | "uint64" | "uint" => "int64".to_owned(),
        _ => format,
    });
    schema.properties.iter_mut().flatten().for_each(|(_, s)| known_formats(s));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        known_formats(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        known_formats(values);
    }
}

/// Kinds into whose status another account writes, too: `curfew run --revoke-only`, `curfew-analytics`. What it may not write is named field by
/// field, so a field that is not known must not stay for a newer release to believe. What is lost there is measured again.
const WRITTEN_BY_OTHERS: [&str; 2] = ["CurfewConfig", "AuthorizationSystem"];

/// Lets the API server keep fields that this schema does not have. Helm rolls the CRDs back together with the release, and what a newer
/// release has stored would be lost with the next write: of a Grant perhaps how its access is revoked.
fn keep_unknown(schema: &mut JSONSchemaProps) {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        keep_unknown(items);
    }
    // An object without fields that keeps unknown ones could not be named in a rule.
    let Some(properties) = schema.properties.as_mut().filter(|properties| !properties.is_empty()) else { return };
    properties.values_mut().for_each(keep_unknown);
    schema.x_kubernetes_preserve_unknown_fields = Some(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Calls `f` with the path of every property that has no description.
    fn undescribed(path: &str, schema: &Value, f: &mut impl FnMut(String)) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if property["description"].as_str().is_none_or(str::is_empty) && !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                f(path.clone());
            }
            undescribed(&path, property, f);
        }
        if schema["items"].is_object() {
            undescribed(&format!("{path}[]"), &schema["items"], f);
        }
    }

    /// The API server warns of a format that it does not know, on each `kubectl apply` and `helm install`.
    #[test]
    fn every_format_is_known_to_the_api_server() {
        fn formats(value: &Value, found: &mut std::collections::BTreeSet<String>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("format").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|value| formats(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| formats(value, found)),
                _ => {}
            }
        }
        let mut found = std::collections::BTreeSet::new();
        formats(&serde_json::to_value(crds()).expect("JSON"), &mut found);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["date-time", "int32", "int64"]);
    }

    #[test]
    fn unknown_fields_are_kept_in_what_the_operator_alone_writes() {
        for crd in crds() {
            let (kind, version) = (crd.spec.names.kind, &crd.spec.versions[0]);
            let properties = version.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()?.properties.as_ref()).unwrap();
            let others = ["CurfewConfig", "AuthorizationSystem"].contains(&kind.as_str());
            for (part, kept) in [("status", !others), ("spec", kind == "Grant")] {
                assert_eq!(properties[part].x_kubernetes_preserve_unknown_fields, kept.then_some(true), "{kind}.{part}");
            }
        }
    }

    #[test]
    fn every_field_has_a_description() {
        let mut missing = Vec::new();
        for crd in crds() {
            let crd = serde_json::to_value(&crd).unwrap();
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
            undescribed(&kind, &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut |p| missing.push(p));
        }
        assert!(missing.is_empty(), "no description: {missing:#?}");
    }

    /// Texts without a character rule, and why: the end of the path, after the kind.
    const WITHOUT_RULE: [(&str, &str); 5] = [
        (".status.", "written by the operator from fields that have the rule, or escaped by what prints it"),
        ("Grant.spec.", "written by the operator"),
        (".spec.requester.", "as the API server authenticated it"),
        (".spec.decider.", "as the API server authenticated it"),
        (".spec.author.", "as the API server authenticated it"),
    ];

    /// Calls `f` with the path and schema of every text.
    fn texts(path: &str, schema: &JSONSchemaProps, f: &mut impl FnMut(&str, &JSONSchemaProps)) {
        if schema.type_.as_deref() == Some("string") || schema.x_kubernetes_int_or_string == Some(true) {
            f(path, schema);
        }
        for (name, property) in schema.properties.iter().flatten() {
            texts(&format!("{path}.{name}"), property, f);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            texts(&format!("{path}[]"), items, f);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
            texts(&format!("{path}{{}}"), values, f);
        }
    }

    pub(crate) fn all_texts(mut f: impl FnMut(&str, &JSONSchemaProps)) {
        for crd in crds() {
            let schema = crd.spec.versions[0].schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()).unwrap();
            for part in ["spec", "status"] {
                let property = &schema.properties.as_ref().unwrap()[part];
                texts(&format!("{}.{part}", crd.spec.names.kind), property, &mut f);
            }
        }
    }

    #[test]
    fn every_text_has_the_character_rule_or_a_reason() {
        let (one, several) = (schema::visible_text(false), schema::visible_text(true));
        let (mut without, mut used) = (Vec::new(), std::collections::BTreeSet::new());
        let mut multiline = Vec::new();
        all_texts(|path, schema| {
            let rules = schema.x_kubernetes_validations.iter().flatten();
            let has = |rule: &_| rules.clone().any(|r| r == rule);
            if has(&several) {
                multiline.push(path.to_owned());
            }
            if has(&one) || has(&several) || !schema::needs_character_rule(schema) {
                return;
            }
            match WITHOUT_RULE.iter().find(|(part, _)| path.contains(part)) {
                Some((part, _)) => drop(used.insert(*part)),
                None => without.push(path.to_owned()),
            }
        });
        assert!(without.is_empty(), "no character rule: {without:#?}");
        let unused: Vec<_> = WITHOUT_RULE.iter().filter(|(part, _)| !used.contains(part)).collect();
        assert!(unused.is_empty(), "reasons for texts that do not exist: {unused:#?}");
        multiline.sort();
        let expected = [
            "AccessDecision.spec.comment",
            "ActivationRequest.spec.justification",
            "ActiveAssignment.spec.justification",
            "AssignmentRequest.spec.justification",
            "EligibleAssignment.spec.justification",
            "RoleTemplate.spec.description",
        ];
        assert_eq!(multiline, expected);
    }

    #[test]
    fn every_text_that_people_write_has_a_maximum_length() {
        let mut unbounded = Vec::new();
        all_texts(|path, schema| {
            // What the API server fills in has the limits of its authenticator.
            let stamped = [".requester.", ".decider.", ".author."].iter().any(|of| path.contains(of));
            let bounded = schema.max_length.is_some() || schema.enum_.is_some() || schema.format.is_some();
            if path.contains(".spec") && !path.starts_with("Grant.") && !stamped && !bounded {
                unbounded.push(path.to_owned());
            }
        });
        assert!(unbounded.is_empty(), "no maxLength: {unbounded:#?}");
    }

    #[test]
    fn every_duration_and_period_that_people_write_says_how_to_write_it() {
        let (mut explained, mut bare) = (Vec::new(), Vec::new());
        all_texts(|path, schema| {
            let has = |pattern: &str| schema.x_kubernetes_validations.iter().flatten().any(|rule| rule.rule == schema::matches(pattern));
            let written = path.contains(".spec") && !path.starts_with("Grant.");
            if schema::LENGTHS.iter().any(|(pattern, _)| has(pattern)) {
                explained.push(path.to_owned());
            } else if written && schema::LENGTHS.iter().any(|(pattern, _)| schema.pattern.as_deref() == Some(pattern)) {
                bare.push(path.to_owned());
            }
        });
        assert!(bare.is_empty(), "{bare:#?}");
        explained.sort();
        let expected = [
            "AccessDecision.spec.duration",
            "AccessPolicy.spec.max.duration",
            "AccessPolicy.spec.max.eligibility",
            "AccessPolicy.spec.min.mfa.maxAge",
            "AccessPolicy.spec.permissions.aws.role.maxSession",
            "ActivationRequest.spec.duration",
            "ActivationRequest.spec.permissions.aws.role.maxSession",
            "ActivationRequest.spec.ttlAfterFinished",
            "ActiveAssignment.spec.permissions.aws.role.maxSession",
            "ActiveAssignment.spec.window.recurring.duration",
            "AssignmentRequest.spec.action.new.permissions.aws.role.maxSession",
            "AssignmentRequest.spec.ttlAfterFinished",
            "AuthorizationSystem.spec.analytics.window",
            "CurfewConfig.spec.ceilings.duration",
            "CurfewConfig.spec.retention",
            "EligibleAssignment.spec.permissions.aws.role.maxSession",
            "RoleTemplate.spec.activation.approval.parallel[].escalation.after",
            "RoleTemplate.spec.activation.approval.parallel[].mfa.maxAge",
            "RoleTemplate.spec.activation.approval.parallel[].timeout",
            "RoleTemplate.spec.activation.approval.stages[].escalation.after",
            "RoleTemplate.spec.activation.approval.stages[].mfa.maxAge",
            "RoleTemplate.spec.activation.approval.stages[].timeout",
            "RoleTemplate.spec.activation.duration.default",
            "RoleTemplate.spec.activation.duration.max",
            "RoleTemplate.spec.activation.extension.atMost.chain",
            "RoleTemplate.spec.activation.extension.atMost.perDay",
            "RoleTemplate.spec.activation.mfa.maxAge",
            "RoleTemplate.spec.assignment.active.max",
            "RoleTemplate.spec.assignment.approval.parallel[].escalation.after",
            "RoleTemplate.spec.assignment.approval.parallel[].mfa.maxAge",
            "RoleTemplate.spec.assignment.approval.parallel[].timeout",
            "RoleTemplate.spec.assignment.approval.stages[].escalation.after",
            "RoleTemplate.spec.assignment.approval.stages[].mfa.maxAge",
            "RoleTemplate.spec.assignment.approval.stages[].timeout",
            "RoleTemplate.spec.assignment.eligible.max",
            "RoleTemplate.spec.permissions.aws.role.maxSession",
        ];
        assert_eq!(explained, expected, "tests/kinds/lengths.rs tries each of them on an API server");
    }

    #[test]
    fn plural_names_short_names_and_scopes_are_stable() {
        let names: Vec<_> = crds()
            .into_iter()
            .map(|c| (c.spec.names.plural, c.spec.names.short_names.unwrap_or_default().join(","), c.spec.scope))
            .collect();
        let expected = [
            ("curfewconfigs", "", "Cluster"),
            ("authorizationsystems", "authsys", "Cluster"),
            ("accesspolicies", "apol", "Cluster"),
            ("roletemplates", "rtpl", "Namespaced"),
            ("eligibleassignments", "eas", "Namespaced"),
            ("activeassignments", "aas", "Namespaced"),
            ("activationrequests", "areq", "Namespaced"),
            ("accessdecisions", "adec", "Namespaced"),
            ("grants", "grt", "Cluster"),
            ("assignmentrequests", "asreq", "Namespaced"),
        ];
        assert_eq!(names, expected.map(|(p, s, k)| (p.to_owned(), s.to_owned(), k.to_owned())));
    }
}
