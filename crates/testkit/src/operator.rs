//! The built operator as a process, under its own service account's rights.
use super::{ControlPlane, SOON, eventually, machine::tail, process::Process, user::User};
use anyhow::Result;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TIMING: &str = "CURFEW_TIMING";

/// For the environment of an operator with the pauses that are shipped.
pub const SHIPPED_TIMING: (&str, &str) = (TIMING, "shipped");

/// How to start it.
#[derive(Clone, Debug)]
pub struct OperatorSpec {
    /// The program.
    pub binary: PathBuf,
    /// Names the replica and its log.
    pub name: String,
    /// Whose rights it has.
    pub user: User,
    /// More in its environment.
    pub envs: Vec<(String, String)>,
    /// More arguments of `curfew run`.
    pub args: Vec<String>,
}

/// A running operator.
pub struct Operator {
    /// The name of its control plane.
    plane: String,
    process: Process,
}

impl Operator {
    /// Starts it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(cp: &ControlPlane, spec: &OperatorSpec) -> Result<Self> {
        let mut envs = spec.envs.clone();
        envs.push(("KUBECONFIG".into(), spec.user.kubeconfig.display().to_string()));
        envs.push(("RUST_LOG".into(), "info,curfew=debug".into()));
        // Shorter pauses (src/timing.rs), unless the test asks for the shipped ones.
        if !envs.iter().any(|(k, _)| k == TIMING) {
            envs.push((TIMING.into(), "fast".into()));
        }
        let run = ["run", "--replica", &spec.name, "--listen", "127.0.0.1:0"];
        let args: Vec<String> = run.into_iter().map(str::to_owned).chain(spec.args.iter().cloned()).collect();
        let log = cp.dir().join(format!("logs/{}.log", spec.name));
        let plane = cp.dir().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Operator { plane, process: Process::start(&spec.name, &spec.binary, &args, &envs, &log)? })
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
    /// Asks it to stop by SIGTERM.
    pub fn terminate(&self) {
        self.process.signal(Signal::SIGTERM);
    }
    /// Whether the process is there.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }
    /// Whether it is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        self.process.is_stopped()
    }
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.process.read_log()
    }

    /// One HTTP GET from where it listens.
    ///
    /// # Errors
    /// If it does not listen.
    pub async fn get(&self, path: &str) -> Result<String> {
        let address = eventually("the operator to say where it listens", SOON, || async { Ok(address(&self.log())) }).await?;
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// Where an operator with this log listens.
pub(crate) fn address(log: &str) -> Option<String> {
    log.find("\"address\":\"").map(|i| log[i + 11..].split('"').next().unwrap_or_default().to_owned())
}

/// The value of a metric without labels.
pub fn metric(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok())
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(kept) = std::env::var_os("CURFEW_LOGS") {
            let name = format!("{}-{}.log", self.plane, self.process.name);
            drop(std::fs::copy(&self.process.log, std::path::Path::new(&kept).join(name)));
        }
        if std::thread::panicking() || std::env::var_os("CURFEW_KEEP").is_some() {
            eprintln!("--- {} ({})\n{}", self.process.name, self.process.log.display(), tail(&self.log(), 40));
        }
    }
}
