//! The two versions, and the numbers drawn from the seed.
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// The manifests of `deploy/` that belong to a version: namespace, RBAC, policies and roles for people. The others are the
/// settings of the site (40) and the Pods of the operator (60, 70).
const MANIFESTS: &[&str] = &["10-", "20-", "30-", "35-", "50-"];
/// Where the admission policies are; a version before the second file has those that stamp in the first, too.
const POLICIES: [&str; 2] = ["30-policies.yaml", "35-stamps.yaml"];

/// An operator and the tree that it was built from.
#[derive(Debug)]
pub struct Version {
    /// `previous` or `new`. Names its replicas and their logs.
    pub name: &'static str,
    /// The program.
    pub binary: PathBuf,
    /// Has `crds/` and `deploy/`.
    pub tree: PathBuf,
}

impl Version {
    /// The manifests besides the CRDs, in the order in which they are applied.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn manifests(&self) -> Result<Vec<PathBuf>> {
        let all = files(&self.tree.join("deploy"))?;
        Ok(all.into_iter().filter(|(name, _)| MANIFESTS.iter().any(|m| name.starts_with(m))).map(|(_, path)| path).collect())
    }

    /// Whether both versions have the same CRDs and admission policies. If not, neither grants under the manifests of the other.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn has_policies_of(&self, other: &Version) -> Result<bool> {
        Ok(self.policies()? == other.policies()?)
    }

    fn policies(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let policies = files(&self.tree.join("deploy"))?.into_iter().filter(|(name, _)| POLICIES.contains(&name.as_str()));
        let all = files(&self.tree.join("crds"))?.into_iter().chain(policies);
        all.map(|(name, path)| Ok((name, std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?))).collect()
    }
}

/// The YAML files of a directory, by name.
fn files(dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml") {
            all.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path);
        }
    }
    Ok(all)
}

/// Numbers that only the seed decides (SplitMix64).
#[derive(Debug)]
pub struct Draws(u64);

impl Draws {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Draws(seed)
    }

    /// The next number, within the range. Small ranges are close enough to uniform.
    pub fn between(&mut self, range: &RangeInclusive<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start() + (z ^ (z >> 31)) % (range.end() - range.start() + 1)
    }
}
