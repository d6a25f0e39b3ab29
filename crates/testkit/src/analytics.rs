//! The built `curfew-analytics run` as a process, under its own service account's rights.
use super::{ControlPlane, SOON, World, built, eventually, machine::tail, operator::address, process::Process};
use anyhow::Result;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The namespace and the name of its service account.
const ACCOUNT: (&str, &str) = ("curfew-system", "curfew-analytics");

/// A running `curfew-analytics`, and the directory that outlives it: store, certificate, tokens and logs.
pub struct Analytics {
    directory: PathBuf,
    port: u16,
    process: Process,
}

impl Analytics {
    /// Where it keeps everything: one directory for each control plane.
    pub fn directory(cp: &ControlPlane) -> PathBuf {
        cp.dir().join("analytics")
    }

    /// Starts it on this port, with short pauses, and more in its environment. A store that is there is used. `token`: that of the API server for the
    /// system.
    ///
    /// # Errors
    /// If it is not built, or its files cannot be written.
    pub async fn start(world: &World, port: u16, (system, token): (&str, &str), envs: &[(String, String)]) -> Result<Self> {
        let (cp, directory) = (&world.cp, Self::directory(&world.cp));
        for sub in ["tls", "tokens", "logs"] {
            std::fs::create_dir_all(directory.join(sub))?;
        }
        std::fs::copy(cp.dir().join("apiserver.crt"), directory.join("tls/tls.crt"))?;
        std::fs::copy(cp.dir().join("apiserver.key"), directory.join("tls/tls.key"))?;
        std::fs::write(directory.join("tokens").join(system), token)?;
        let user = cp.service_account(ACCOUNT.0, ACCOUNT.1).await?;
        let at = |name: &str| directory.join(name).display().to_string();
        let mut all: Vec<String> = ["run", "--listen=127.0.0.1:0", "--every=1s", "--settle=1s", "--read-logs=1s"].map(str::to_owned).into();
        all.push(format!("--serve=127.0.0.1:{port}"));
        all.extend([format!("--store={}", at("usage.redb")), format!("--tls={}", at("tls"))]);
        all.extend([format!("--tokens={}", at("tokens")), format!("--logs={}", at("logs"))]);
        let mut envs = envs.to_vec();
        envs.push(("KUBECONFIG".into(), user.kubeconfig.display().to_string()));
        envs.push(("RUST_LOG".into(), "info,curfew_analytics=debug".into()));
        let binary = built("curfew-analytics")?;
        let log = cp.dir().join("logs/analytics.log");
        let before = std::fs::read_to_string(&log).map(|text| text.len()).unwrap_or_default();
        let process = Process::start("analytics", &binary, &all, &envs, &log)?;
        let started = Self { directory, port, process };
        eventually("curfew-analytics to serve", SOON, || async {
            anyhow::ensure!(started.process.is_running(), "it has ended: {}", tail(&started.log(), 5));
            Ok(started.log().get(before..).is_some_and(|log| log.contains("serving questions and audit events")).then_some(()))
        })
        .await?;
        Ok(started)
    }

    /// Where it serves.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
    /// Where a system's log directories are.
    pub fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }
    /// Kills it and waits until it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }
    /// Stops it by SIGSTOP.
    pub fn pause(&self) {
        self.process.signal(Signal::SIGSTOP);
    }
    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal(Signal::SIGCONT);
    }
    /// Everything it has logged so far, also before it was started again.
    pub fn log(&self) -> String {
        self.process.read_log()
    }

    /// Its metrics.
    ///
    /// # Errors
    /// If it does not listen.
    pub async fn metrics(&self) -> Result<String> {
        // The last address: the log has those of the processes before, too.
        let log = self.log();
        let at = log.rfind("serving /healthz").and_then(|_| log.rfind("\"address\":\"")).and_then(|i| address(&log[i..]));
        let mut stream = TcpStream::connect(at.unwrap_or_default()).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Drop for Analytics {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("CURFEW_KEEP").is_some() {
            eprintln!("--- curfew-analytics ({})\n{}", self.process.log.display(), tail(&self.log(), 40));
        }
    }
}
