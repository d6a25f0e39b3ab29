//! Runs the other tools: Python with policy_sentry and DuckDB, from the environment that hack/peers/build installs.
use std::{
    path::{Path, PathBuf},
    process::Command,
};

pub struct Peers {
    python: PathBuf,
    pub dir: tempfile::TempDir,
}

impl Peers {
    pub fn find() -> Self {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hack/peers/build");
        let output = Command::new(&build).output().unwrap_or_else(|error| panic!("{}: {error}", build.display()));
        assert!(output.status.success(), "{}: {}", build.display(), String::from_utf8_lossy(&output.stderr));
        let venv = String::from_utf8(output.stdout).expect("a path");
        Self { python: Path::new(venv.trim()).join("bin/python"), dir: tempfile::tempdir().expect("a directory for the inputs") }
    }
    /// Writes an input.
    pub fn input(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("an input is written");
    }
    /// Runs a part of peers.py. It prints the seconds that the work took, without start and reading, and then its result.
    pub fn run(&self, part: &str) -> (f64, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pci/peers.py");
        let output = Command::new(&self.python).arg(script).arg(part).current_dir(self.dir.path()).output().expect("Python runs");
        assert!(output.status.success(), "peers.py {part}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let (seconds, result) = text.split_once('\n').expect("seconds and a result");
        (seconds.parse().expect("seconds"), result.into())
    }
}
