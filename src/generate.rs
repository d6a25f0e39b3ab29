//! Everything in the tree that is printed from code: one command writes it, one test finds drift.
use crate::{api, identity::install};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

const HEADER: &str = "# Generated from code by `make generate`; edits are lost.\n";

/// Every generated file with its content.
pub fn files() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for crd in api::crds() {
        let path = PathBuf::from("crds").join(format!("{}.{}.yaml", crd.spec.names.plural, api::GROUP));
        let value = serde_json::to_value(&crd).expect("a CRD is JSON");
        files.insert(path, yaml(&[value]));
    }
    files.extend(install::files().into_iter().map(|(path, objects)| (path, yaml(&objects))));
    files
}

fn yaml(objects: &[Value]) -> String {
    let documents: Vec<String> = objects.iter().map(|o| serde_saphyr::to_string(o).expect("JSON is YAML")).collect();
    format!("{HEADER}{}", documents.join("---\n"))
}

/// Writes every file below `root`; says which were written.
///
/// # Errors
/// If a file cannot be written.
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

/// The files below `root` that are not as the code would write them.
pub fn drift(root: &Path) -> Vec<PathBuf> {
    let expected = files();
    let mut off: Vec<PathBuf> =
        expected.iter().filter(|(p, c)| std::fs::read_to_string(root.join(p)).ok().as_ref() != Some(c)).map(|(p, _)| p.clone()).collect();
    for dir in ["crds", "deploy", "deploy/remote"] {
        for entry in std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten() {
            let path = Path::new(dir).join(entry.file_name());
            if entry.path().is_file() && !expected.contains_key(&path) {
                off.push(path);
            }
        }
    }
    off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_generated_has_drifted() {
        let off = drift(Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(off.is_empty(), "run make generate: {off:?}");
    }
}
