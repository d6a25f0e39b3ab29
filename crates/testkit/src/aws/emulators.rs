//! The emulators as child processes: installed once by `hack/emulators/build`, on free ports of loopback, gone with the test.
use super::{
    client::{Answer, send},
    proxy::AwsProxy,
};
use crate::{
    SOON, eventually,
    machine::{free_port, new_directory, tail},
    process::Process,
    root,
};
use anyhow::{Context, Result, ensure};
use http_body_util::Full;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Both emulators, and the endpoint in front of them.
pub struct Emulators {
    ministack: Process,
    moto: Process,
    proxy: AwsProxy,
    _directory: TempDir,
}

/// The virtual environment with both.
fn installed() -> Result<PathBuf> {
    let build = root().join("hack/emulators/build");
    let out = Command::new(&build).stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {}", build.display()))?;
    ensure!(out.status.success(), "the emulators of AWS are not installed: run hack/emulators/build, which says what is missing");
    Ok(PathBuf::from(String::from_utf8(out.stdout)?.trim()))
}

impl Emulators {
    /// Starts both, and waits until they answer.
    ///
    /// # Errors
    /// If they cannot be installed, or do not answer.
    pub async fn start() -> Result<Self> {
        let environment = installed()?;
        let directory = new_directory("aws")?;
        let (python, logs) = (environment.join("bin/python"), directory.path().join("logs"));
        let (first, second) = (free_port()?, free_port()?);
        // Its files go where the other ones of this run go.
        let tmp = ("TMPDIR".to_owned(), directory.path().display().to_string());
        let script = root().join("hack/emulators/aws.py").display().to_string();
        let envs = [tmp.clone(), ("PORT".into(), first.to_string())];
        let ministack = Process::start("ministack", &python, &[script], &envs, &logs.join("ministack.log"))?;
        let port = second.to_string();
        let script = root().join("hack/emulators/identity_center.py").display().to_string();
        let arguments = [script.as_str(), "-H", "127.0.0.1", "-p", &port].map(str::to_owned);
        let moto = Process::start("moto", &python, &arguments, &[tmp], &logs.join("moto.log"))?;
        let urls = [first, second].map(|port| format!("http://127.0.0.1:{port}"));
        answers(&ministack, &format!("{}/_ministack/health", urls[0])).await?;
        answers(&moto, &format!("{}/moto-api/data.json", urls[1])).await?;
        let [first, second] = urls;
        Ok(Emulators { ministack, moto, proxy: AwsProxy::start(first, second).await?, _directory: directory })
    }

    /// The endpoint that clients use.
    pub fn proxy(&self) -> &AwsProxy {
        &self.proxy
    }

    /// AWS publishes a new default version of one of its policies, or a new policy.
    ///
    /// # Errors
    /// If the emulator does not take it.
    pub async fn publish(&self, name: &str, document: &serde_json::Value) -> Result<String> {
        let body = json!({"name": name, "document": document.to_string()}).to_string();
        let request = http::Request::post(format!("{}/_emulator/aws-managed", self.proxy.emulator())).body(Full::from(body))?;
        let (status, _, body) = send(request).await?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() }.success()?.body)
    }

    /// What the emulators have logged last.
    pub fn log(&self) -> String {
        [&self.ministack, &self.moto].map(|p| format!("--- {}\n{}", p.name, tail(&p.read_log(), 40))).join("\n")
    }
}

/// Waits until the health check of a process is answered 200.
async fn answers(process: &Process, url: &str) -> Result<()> {
    let healthy = async || {
        ensure!(process.is_running(), "{} has ended: {}", process.name, tail(&process.read_log(), 20));
        let (status, _, _) = send(http::Request::get(url).body(Full::default())?).await?;
        Ok((status == 200).then_some(()))
    };
    eventually(&format!("{} to answer", process.name), SOON * 2, healthy).await
}

impl Drop for Emulators {
    fn drop(&mut self) {
        if let Some(kept) = std::env::var_os("CURFEW_LOGS") {
            for process in [&self.ministack, &self.moto] {
                drop(std::fs::copy(&process.log, Path::new(&kept).join(format!("{}.log", process.name))));
            }
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
