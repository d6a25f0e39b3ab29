//! What a control plane takes from this machine: programs, a directory, ports.
use super::root;
use anyhow::{Context, Result, bail};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};
use tempfile::TempDir;

/// A control plane in a static is never dropped: its processes die with the test, and the next start removes its directory.
fn remove_orphans() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|n| n.starts_with("curfew-"));
        let owner = std::fs::read_to_string(entry.path().join("owner")).ok().filter(|_| ours);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// A directory that the next run removes if this one is killed.
pub fn new_directory(name: &str) -> Result<TempDir> {
    remove_orphans();
    let dir = tempfile::Builder::new().prefix(&format!("curfew-{name}-")).tempdir()?;
    std::fs::write(dir.path().join("owner"), std::process::id().to_string())?;
    std::fs::create_dir_all(dir.path().join("logs"))?;
    std::fs::create_dir_all(dir.path().join("users"))?;
    Ok(dir)
}

/// The directory with the four programs: `KUBEBUILDER_ASSETS`, or built by `hack/control-plane/build`.
pub fn assets() -> Result<PathBuf> {
    built("control-plane", &[])
}

/// The same of the oldest Kubernetes that Curfew supports, built by `hack/control-plane/build --oldest`.
pub fn oldest_assets() -> Result<PathBuf> {
    built("control-plane", &["--oldest"])
}

/// The program helm, built by `hack/helm/build`.
pub fn helm() -> Result<PathBuf> {
    Ok(built("helm", &[])?.join("helm"))
}

/// What `hack/NAME/build` prints.
fn built(name: &str, args: &[&str]) -> Result<PathBuf> {
    let build = root().join("hack").join(name).join("build");
    let ran = Command::new(&build).args(args).stderr(std::process::Stdio::inherit()).output();
    let out = ran.with_context(|| format!("cannot run {}", build.display()))?;
    anyhow::ensure!(out.status.success(), "{} failed", build.display());
    Ok(PathBuf::from(String::from_utf8(out.stdout)?.trim()))
}

/// A port that is free at this moment, below those the kernel gives to outgoing connections: while a server is down,
/// a client that keeps connecting could otherwise be given the server's own port, and the server never get it back.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time start far from each other.
    let start = std::process::id().wrapping_mul(7919);
    for _ in 0..20_000 {
        let port = 12_000 + u16::try_from(start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on loopback")
}

pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
