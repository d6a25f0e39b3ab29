//! The commands of `curfew-analytics` in README.md and docs/ are accepted by its parser.
#[path = "../../../tests/docs/fences.rs"]
mod fences;

use std::{path::Path, process::Command};

#[test]
fn its_commands_in_the_docs_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs");
    std::fs::create_dir_all(&scratch).expect("a folder");
    let mut seen = 0;
    for command in fences::commands(&root, &scratch).iter().filter(|c| c.program == "curfew-analytics") {
        seen += 1;
        let run = Command::new(env!("CARGO_BIN_EXE_curfew-analytics")).args(&command.arguments).current_dir(&scratch).output();
        let told = String::from_utf8_lossy(&run.expect("it starts").stderr).into_owned();
        assert!(!told.contains("--help"), "{}: {told}", command.line());
    }
    assert!(seen > 0, "docs/pci.md has a command of curfew-analytics");
}
