//! What an installation of this version consists of: the admission policies and the CRDs, as they were built.
use serde_json::Value;
use std::sync::LazyLock;

/// The manifests of the admission policies, with their files. They are generated from the operator's code, and a test compares them with it.
const POLICIES: [(&str, &str); 2] = [
    ("deploy/30-policies.yaml", include_str!("../../../../deploy/30-policies.yaml")),
    ("deploy/35-stamps.yaml", include_str!("../../../../deploy/35-stamps.yaml")),
];

/// One object that must exist, and how it is compared.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Built {
    /// The API group.
    pub(super) group: String,
    /// The version of the API.
    pub(super) version: String,
    /// The kind.
    pub(super) kind: String,
    /// The plural name of the kind.
    pub(super) plural: String,
    /// The name of the object.
    pub(super) name: String,
    /// Its spec.
    pub(super) spec: Value,
    /// Whether the live spec may have no additional fields.
    pub(super) exact: bool,
    /// The file that brings it.
    pub(super) file: &'static str,
}

fn built(object: &Value, exact: bool, file: &'static str) -> Built {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api, kind) = (text("/apiVersion"), text("/kind"));
    let (group, version) = api.split_once('/').unwrap_or(("", api.as_str()));
    let lower = kind.to_lowercase();
    let plural = lower.strip_suffix('y').map_or_else(|| format!("{lower}s"), |stem| format!("{stem}ies"));
    Built {
        group: group.into(),
        version: version.into(),
        name: text("/metadata/name"),
        spec: object["spec"].clone(),
        kind,
        plural,
        exact,
        file,
    }
}

impl Built {
    /// Whether the API server fills in requester, decider and author by this object. Kubernetes before 1.36 does not serve its kind.
    pub(super) fn stamps(&self) -> bool {
        self.kind.starts_with("Mutating")
    }
}

/// Every object, in the order in which they are installed: the CRDs, then the policies with their bindings.
pub(super) fn all() -> &'static [Built] {
    static ALL: LazyLock<Vec<Built>> = LazyLock::new(|| {
        let crds = curfew_api::crds();
        let mut all: Vec<Built> =
            crds.iter().filter_map(|crd| serde_json::to_value(crd).ok()).map(|crd| built(&crd, false, "crds/")).collect();
        for (file, text) in POLICIES {
            let documents =
                text.split("\n---").filter_map(|document| serde_saphyr::from_str::<Value>(document.trim_start_matches('-')).ok());
            // The list of recorded keys has no spec: the operator fills it in.
            all.extend(documents.filter(|object| object["spec"].is_object()).map(|policy| built(&policy, true, file)));
        }
        all
    });
    &ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_read_with_its_path() {
        let is_kind = |line: &&str| line.starts_with("kind: ") && line.contains("AdmissionPolicy");
        let documents: usize = POLICIES.iter().map(|(_, text)| text.lines().filter(is_kind).count()).sum();
        assert_eq!(all().len(), documents + curfew_api::crds().len());
        let path = |built: &Built| format!("{}/{}/{}/{}", built.group, built.version, built.plural, built.name);
        let paths: Vec<String> = all().iter().map(path).collect();
        for expected in [
            "apiextensions.k8s.io/v1/customresourcedefinitions/grants.curfew.dev",
            "admissionregistration.k8s.io/v1/validatingadmissionpolicies/curfew-requests",
            "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/curfew-marks",
            "admissionregistration.k8s.io/v1/mutatingadmissionpolicies/curfew-stamp-requests",
        ] {
            assert!(paths.iter().any(|path| path == expected), "{expected} is not in {paths:?}");
        }
        let broken: Vec<_> = all().iter().filter(|built| !built.spec.is_object() || built.name.is_empty()).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }
}
