//! The manifests that are generated from code: one command writes them, and a test reports files that differ.
mod chart;
mod dashboards;
mod reference;

use crate::{api, identity::install, providers::aws};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

const HEADER: &str = "# Generated from code by `make generate`; edits are lost.\n";

/// Directories that hold generated files alone.
const ONLY_GENERATED: [&str; 8] = [
    "crds",
    "deploy",
    "deploy/analytics",
    "deploy/remote",
    "charts/curfew/crds",
    "charts/curfew/dashboards",
    "charts/curfew/generated",
    reference::FOLDER,
];

/// Returns every generated file, by its path relative to the root, with its content.
pub fn files() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for crd in api::crds() {
        let path = PathBuf::from("crds").join(crd_file(&crd.spec.names.plural));
        let value = serde_json::to_value(&crd).expect("a CRD is JSON");
        files.insert(path, yaml(&[value]));
    }
    files.extend(install::files().into_iter().map(|(path, objects)| (path, yaml(&objects))));
    let kustomizations = [kustomization("crds", &files), kustomization("deploy", &files)];
    files.extend(kustomizations);
    files.extend(chart::files());
    files.extend(aws::least_privilege::files());
    files.extend(reference::files());
    files
}

fn crd_file(plural: &str) -> String {
    format!("{plural}.{}.yaml", api::GROUP)
}

/// The list of the files of a directory for `kubectl apply -k`. Its name has no extension, so that `kubectl apply -f` does not read it.
fn kustomization(dir: &str, files: &BTreeMap<PathBuf, String>) -> (PathBuf, String) {
    let names: Vec<&str> =
        files.keys().filter(|path| path.parent() == Some(Path::new(dir))).filter_map(|path| path.file_name()?.to_str()).collect();
    let list = serde_json::json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names});
    (Path::new(dir).join("Kustomization"), yaml(&[list]))
}

fn yaml(objects: &[Value]) -> String {
    let documents: Vec<String> = objects.iter().map(|object| serde_saphyr::to_string(object).expect("JSON is YAML")).collect();
    format!("{HEADER}{}", documents.join("---\n"))
}

/// Writes the files below `root` that differ, and returns their paths.
///
/// # Errors
/// If a file or directory cannot be written.
pub fn write(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (path, content) in files() {
        let full = root.join(&path);
        if std::fs::read_to_string(&full).ok().as_deref() != Some(content.as_str()) {
            std::fs::create_dir_all(full.parent().unwrap_or(root))?;
            std::fs::write(&full, content)?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Returns the files below `root` that differ from the generated content, are missing, or are not generated.
pub fn drift(root: &Path) -> Vec<PathBuf> {
    let expected = files();
    let mut outdated: Vec<PathBuf> = expected
        .iter()
        .filter(|(path, content)| std::fs::read_to_string(root.join(path)).ok().as_ref() != Some(content))
        .map(|(path, _)| path.clone())
        .collect();
    for dir in ONLY_GENERATED {
        for entry in std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten() {
            let path = Path::new(dir).join(entry.file_name());
            if entry.path().is_file() && !expected.contains_key(&path) {
                outdated.push(path);
            }
        }
    }
    outdated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_files_are_up_to_date() {
        let outdated = drift(Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(outdated.is_empty(), "run make generate: {outdated:?}");
    }
}
