//! Objects of manifests, and helm without a cluster.
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Output, path, root};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, path::Path, process::Command, sync::LazyLock};
use tempfile::TempDir;

/// Which object: kind and apiVersion, namespace, name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String, String, String);

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.0, self.1, self.2)
    }
}

/// Objects by what they are.
pub type Objects = BTreeMap<Id, Value>;

/// What `helm template` needs to know of a cluster that it does not ask.
pub const KUBERNETES: &str = "--kube-version=1.37.1";

/// Helm's own files, which have nothing to do with this machine's.
static HOME: LazyLock<TempDir> = LazyLock::new(|| TempDir::with_prefix("curfew-helm-").expect("a directory can be made"));

/// Runs helm without a cluster.
pub fn helm(args: &[&str]) -> Result<Output> {
    let program = curfew_testkit::helm()?;
    let out = Command::new(program).args(args).env("HOME", HOME.path()).env("KUBECONFIG", "/nonexistent").current_dir(root()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { ok: out.status.success(), stdout: text(out.stdout), stderr: text(out.stderr) })
}

/// Renders the chart with more arguments.
pub fn template(args: &[&str]) -> Result<Output> {
    let chart = path("charts/curfew");
    helm(&[&["template", "curfew", &chart, "--namespace", "curfew-system", KUBERNETES], args].concat())
}

/// The objects that the chart renders.
pub fn rendered(args: &[&str]) -> Result<Objects> {
    objects(&template(args)?.success()?)
}

/// The objects of a text with YAML documents.
pub fn objects(text: &str) -> Result<Objects> {
    let mut all = Objects::new();
    for document in format!("\n{text}").split("\n---") {
        let object: Value = serde_saphyr::from_str(document).with_context(|| format!("not YAML: {document}"))?;
        if object.is_null() {
            continue;
        }
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = Id(format!("{} {}", text("/apiVersion"), text("/kind")), text("/metadata/namespace"), text("/metadata/name"));
        ensure!(!id.2.is_empty(), "an object without a name: {object}");
        ensure!(all.insert(id.clone(), object).is_none(), "{id:?} is there twice");
    }
    Ok(all)
}

/// The objects of all files of a directory.
pub fn directory(dir: &str) -> Result<Objects> {
    let mut all = Objects::new();
    let mut files: Vec<_> = std::fs::read_dir(root().join(dir))?.collect::<std::io::Result<_>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files.iter().map(std::fs::DirEntry::path).filter(|file| file.extension().is_some_and(|e| e == "yaml")) {
        all.extend(objects(&read(&file)?)?);
    }
    Ok(all)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

impl Id {
    /// Whether the object is of this kind, in any version.
    pub fn is(&self, kind: &str) -> bool {
        self.0.ends_with(&format!(" {kind}"))
    }
    /// Its name.
    pub fn name(&self) -> &str {
        &self.2
    }
    /// Its namespace; empty if it is cluster-scoped.
    pub fn namespace(&self) -> &str {
        &self.1
    }
}
