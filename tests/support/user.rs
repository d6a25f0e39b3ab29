//! Somebody with a kubeconfig: as a client, and through kubectl.
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{io::AsyncWriteExt, process::Command};

/// Somebody with a kubeconfig.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub kubeconfig: PathBuf,
    pub(super) kubectl: PathBuf,
}

/// What a command printed.
#[derive(Clone, Debug)]
pub struct Output {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Its standard output; an error with all of it if the command failed.
    pub fn success(self) -> Result<String> {
        anyhow::ensure!(self.ok, "kubectl failed: {}{}", self.stdout, self.stderr);
        Ok(self.stdout)
    }
    /// What the refusal said; an error if there was none.
    pub fn refused(self) -> Result<String> {
        anyhow::ensure!(!self.ok, "was not refused: {}", self.stdout);
        Ok(self.stderr)
    }
}

impl User {
    /// A new client: one made in another test's runtime would die with it.
    pub async fn client(&self) -> Result<Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        // Silent retries would hide what the server said.
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    pub async fn kubectl(&self, args: &[&str]) -> Result<Output> {
        self.run(&self.kubectl, args, None).await
    }
    pub async fn kubectl_stdin(&self, args: &[&str], stdin: &str) -> Result<Output> {
        self.run(&self.kubectl, args, Some(stdin)).await
    }
    /// `kubectl apply -f -`.
    pub async fn apply(&self, yaml: &str) -> Result<Output> {
        self.kubectl_stdin(&["apply", "-f", "-"], yaml).await
    }
    /// `kubectl create -f -`, for generated names.
    pub async fn create(&self, yaml: &str) -> Result<Output> {
        self.kubectl_stdin(&["create", "-f", "-"], yaml).await
    }

    /// Any program under this kubeconfig.
    pub async fn run(&self, program: &Path, args: &[&str], stdin: Option<&str>) -> Result<Output> {
        let home = self.kubeconfig.parent().unwrap_or(Path::new("/tmp"));
        let mut child = Command::new(program)
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", home)
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).await?;
        }
        let out = child.wait_with_output().await?;
        let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
        Ok(Output { ok: out.status.success(), stdout: text(out.stdout), stderr: text(out.stderr) })
    }

    /// Uses the access: a real read of a real secret. `false` is a 403 and nothing else.
    pub async fn can_read_secret(&self, namespace: &str, name: &str) -> Result<bool> {
        match Api::<Secret>::namespaced(self.client().await?, namespace).get(name).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(s)) if s.code == 403 => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}
