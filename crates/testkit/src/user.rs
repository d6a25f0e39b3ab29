//! A person or service account with a kubeconfig: as a client, and through kubectl.
use super::usage;
use anyhow::{Context, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, OnceLock},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
    runtime::Runtime,
    sync::OnceCell,
};

/// A runtime that lives as long as the process. Each test has a runtime of its own, and what a shared client has spawned there
/// would end with it.
pub(crate) fn background() -> &'static Runtime {
    static BACKGROUND: OnceLock<Runtime> = OnceLock::new();
    BACKGROUND.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be started")
    })
}

/// A person or service account with a kubeconfig.
#[derive(Clone)]
pub struct User {
    /// The user name that the API server sees.
    pub name: String,
    /// Where the kubeconfig is.
    pub kubeconfig: PathBuf,
    kubectl: PathBuf,
    client: Arc<OnceCell<Client>>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// What a command printed.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output.
    ///
    /// # Errors
    /// With everything it printed, if the command failed.
    pub fn success(self) -> Result<String> {
        anyhow::ensure!(self.ok, "the command failed: {}{}", self.stdout, self.stderr);
        Ok(self.stdout)
    }
    /// What the refusal said.
    ///
    /// # Errors
    /// If the command was not refused.
    pub fn refused(self) -> Result<String> {
        anyhow::ensure!(!self.ok, "was not refused: {}", self.stdout);
        Ok(self.stderr)
    }
}

/// Everything that comes, as text.
async fn whole(from: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut all = Vec::new();
    if let Some(mut from) = from {
        from.read_to_end(&mut all).await?;
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

impl User {
    pub(crate) fn new(name: impl Into<String>, kubeconfig: PathBuf, kubectl: PathBuf) -> Self {
        User { name: name.into(), kubeconfig, kubectl, client: Arc::default() }
    }

    /// The same user with another kubeconfig.
    pub(crate) fn with_kubeconfig(&self, kubeconfig: PathBuf) -> Self {
        User::new(self.name.clone(), kubeconfig, self.kubectl.clone())
    }

    /// A new client, for code that drives it from the test's own runtime.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    async fn config(&self) -> Result<Config> {
        let file = Kubeconfig::read_from(&self.kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        // Silent retries would hide what the server said.
        config.default_retry = false;
        Ok(config)
    }

    /// The one client that all helpers of this user share. Only tasks of the background runtime may use it.
    pub(crate) async fn cached(&self) -> Result<Client> {
        let made = self.client.get_or_try_init(|| async {
            let config = self.config().await?;
            anyhow::Ok(background().spawn(async move { Client::try_from(config) }).await??)
        });
        Ok(made.await?.clone())
    }

    /// The real kubectl, where kubectl itself matters: what it prints, impersonation, server-side apply.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Output> {
        self.run(&self.kubectl, args, None).await
    }
    /// The real kubectl with a text on its standard input.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn kubectl_stdin(&self, args: &[&str], stdin: &str) -> Result<Output> {
        self.run(&self.kubectl, args, Some(stdin)).await
    }

    /// Where the real kubectl is.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// Any program under this kubeconfig.
    ///
    /// # Errors
    /// If it cannot be started.
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
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = tokio::try_join!(whole(out), whole(err))?;
        if let Some(pid) = child.id() {
            // It has closed its outputs: it has done its work.
            usage::record(program, pid);
        }
        Ok(Output { ok: child.wait().await?.success(), stdout, stderr })
    }

    /// Uses the access: a real read of a real secret. `false` is a 403 and nothing else.
    ///
    /// # Errors
    /// If the answer is neither the secret nor a 403.
    pub async fn can_read_secret(&self, namespace: &str, name: &str) -> Result<bool> {
        let uri = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        match super::rest::get(&self.cached().await?, &uri).await? {
            super::rest::Answer::Ok(_) => Ok(true),
            super::rest::Answer::Refused(s) if s.code == 403 => Ok(false),
            super::rest::Answer::Refused(s) => Err(kube::Error::Api(s).into()),
        }
    }
}
