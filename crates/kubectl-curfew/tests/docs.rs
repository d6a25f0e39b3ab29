//! The commands of the plugin in README.md and docs/ are accepted by the plugin, every `make` target exists, and the pages of its reference
//! show all of its commands.
#[path = "../../../tests/docs/fences.rs"]
mod fences;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs each without a cluster: it ends with 0, 1 or 3. A usage error ends with 2 and names the usage.
#[test]
fn the_plugin_accepts_its_commands_in_the_docs() {
    let (mut seen, mut refused) = (0, Vec::new());
    for command in fences::commands(&root(), &scratch()) {
        let Some(("curfew", arguments)) = command.arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) else { continue };
        if command.program != "kubectl" {
            continue;
        }
        seen += 1;
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-curfew"))
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", "/nowhere/config")
            .current_dir(scratch())
            .output()
            .expect("the plugin starts");
        let told = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(2) && told.contains("--help") || output.status.code().is_none() {
            refused.push(format!("{}\n{told}", command.line()));
        }
    }
    assert!(seen >= 30, "only {seen} commands of the plugin in the docs");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_make_target_in_the_docs_exists() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("the Makefile");
    let mut seen = 0;
    for command in fences::commands(&root(), &scratch()).iter().filter(|c| c.program == "make") {
        for target in command.arguments.iter().filter(|a| !a.contains('=')) {
            seen += 1;
            assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "{}: no such target", command.line());
        }
    }
    assert!(seen >= 3, "only {seen} calls of make in the docs");
}

/// A block in another language than these is checked by nothing.
#[test]
fn every_block_says_what_it_is() {
    // The statements of `sql` are run by `crates/analytics/tests/store/engine.rs`.
    let known = ["sh", "yaml", "text", "json", "mermaid", "promql", "toml", "sql"];
    for fence in fences::fences(&root()) {
        assert!(known.contains(&fence.language.as_str()), "{}: unknown language {:?}: one of {known:?}", fence.place, fence.language);
        if fence.language == "yaml" && !fence.info.is_empty() {
            let kinds = ["fragment=", "values", "other="];
            assert!(kinds.iter().any(|kind| fence.info.starts_with(kind)), "{}: unknown mark {:?}", fence.place, fence.info);
        }
    }
}
