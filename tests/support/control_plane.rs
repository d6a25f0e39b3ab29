//! etcd, kube-apiserver and kube-controller-manager on loopback, one set for each test file.
use super::{SOON, eventually, pki::Pki, process::Process, user::User};
use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};
use nix::sys::signal::Signal;
use std::{
    collections::HashMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

/// One of the three processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Component {
    Etcd,
    ApiServer,
    ControllerManager,
}

/// How long an API server may take to start: on a busy machine that is no matter of ours.
const SLOW: Duration = Duration::from_secs(120);

/// A running control plane. Everything dies with it; its directory stays only if a test failed or `CURFEW_KEEP` is set.
pub struct ControlPlane {
    dir: Option<TempDir>,
    path: PathBuf,
    assets: PathBuf,
    pki: Pki,
    port: u16,
    etcd_port: u16,
    audit: Option<PathBuf>,
    people: Mutex<()>,
    /// An admission plugin of the API server that is turned off.
    without: Mutex<Option<&'static str>>,
    processes: Mutex<HashMap<Component, Process>>,
}

impl ControlPlane {
    /// Where `CURFEW_AUDIT_DIR` names a directory, what Curfew's own accounts ask for is logged there: `tests/rights.rs` reads it.
    pub async fn start(name: &str) -> Result<Self> {
        let dir = std::env::var_os("CURFEW_AUDIT_DIR").map(PathBuf::from);
        if let Some(dir) = &dir {
            std::fs::create_dir_all(dir)?;
        }
        Self::start_with(name, dir.map(|d| d.join(format!("{name}-{}.jsonl", std::process::id())))).await
    }

    /// With `audit`, requests are logged to that file, metadata only.
    pub async fn start_with(name: &str, audit: Option<PathBuf>) -> Result<Self> {
        let assets = assets()?;
        remove_orphans();
        let dir = tempfile::Builder::new().prefix(&format!("curfew-{name}-")).tempdir()?;
        let path = dir.path().to_path_buf();
        std::fs::write(path.join("owner"), std::process::id().to_string())?;
        std::fs::create_dir_all(path.join("logs"))?;
        std::fs::create_dir_all(path.join("users"))?;
        let pki = Pki::create(&path)?;
        let (port, etcd_port) = (free_port()?, free_port()?);
        let cp = ControlPlane {
            dir: Some(dir),
            path,
            assets,
            pki,
            port,
            etcd_port,
            audit,
            people: Mutex::default(),
            without: Mutex::default(),
            processes: Mutex::default(),
        };
        cp.spawn(Component::Etcd)?;
        cp.spawn(Component::ApiServer)?;
        cp.ready().await?;
        cp.spawn(Component::ControllerManager)?;
        let accounts: Api<ServiceAccount> = Api::namespaced(cp.admin().await?, "default");
        eventually("the controllers to make the default service account", SOON, || async { Ok(accounts.get_opt("default").await?) })
            .await?;
        Ok(cp)
    }

    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// A client of the group system:masters.
    pub async fn admin(&self) -> Result<Client> {
        self.admin_user()?.client().await
    }
    pub fn admin_user(&self) -> Result<User> {
        self.user("admin", &["system:masters"])
    }

    /// Somebody with a client certificate: the name is the user, the group a group.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<User> {
        // One at a time: a certificate of one test and a key of another are nobody's.
        let _one = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.path.join("users").join(format!("{}.json", [&[name], groups].concat().join("+").replace(['/', ':'], "_")));
        if !file.exists() {
            let pair = self.pki.user(name, groups)?;
            let (cert, key) = (file.with_extension("crt"), file.with_extension("key"));
            std::fs::write(&cert, pair.cert)?;
            std::fs::write(&key, pair.key)?;
            let user = serde_json::json!({"client-certificate": cert, "client-key": key});
            self.write_kubeconfig(&file, &user)?;
        }
        Ok(User { name: name.into(), kubeconfig: file, kubectl: self.assets.join("kubectl") })
    }

    /// A service account with a token of six hours.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<User> {
        let token = self.token(namespace, name).await?;
        let file = self.path.join("users").join(format!("sa_{namespace}_{name}.json"));
        self.write_kubeconfig(&file, &serde_json::json!({"token": token}))?;
        Ok(User { name: format!("system:serviceaccount:{namespace}:{name}"), kubeconfig: file, kubectl: self.assets.join("kubectl") })
    }

    async fn token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await?, namespace);
        let ask =
            TokenRequest { spec: Some(TokenRequestSpec { expiration_seconds: Some(21_600), ..Default::default() }), ..Default::default() };
        let token = accounts.create_token_request(name, &PostParams::default(), &ask).await?;
        token.status.and_then(|s| s.token).context("no token")
    }

    /// Waits for /readyz and reads from the store: just after etcd has gone, /readyz still says ok. A controller manager
    /// that has ended is started again, as a kubelet would: it does end when the API server goes away while it starts.
    pub async fn ready(&self) -> Result<()> {
        let client = self.admin().await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        eventually("the API server to be ready", SLOW, || async {
            if self.locked().get(&Component::ControllerManager).is_some_and(|p| !p.is_running()) {
                self.spawn(Component::ControllerManager)?;
            }
            if let Some(dead) = self.locked().values().find(|p| !p.is_running()) {
                bail!("{} has ended: {}", dead.name, tail(&dead.read_log(), 5));
            }
            accounts.get_opt("default").await?;
            Ok(client.request_text(http::Request::get("/readyz").body(Vec::new())?).await.ok().filter(|t| t == "ok"))
        })
        .await
        .map(drop)
    }

    pub fn kill(&self, c: Component) {
        self.locked().remove(&c);
    }
    pub fn pause(&self, c: Component) {
        self.signal(c, Signal::SIGSTOP);
    }
    pub fn resume(&self, c: Component) {
        self.signal(c, Signal::SIGCONT);
    }
    pub async fn restart(&self, c: Component) -> Result<()> {
        self.kill(c);
        self.spawn(c)?;
        self.ready().await
    }

    /// Starts the API server again without this admission plugin, or with all of them.
    pub async fn restart_without(&self, plugin: Option<&'static str>) -> Result<()> {
        *self.without.lock().unwrap_or_else(PoisonError::into_inner) = plugin;
        self.restart(Component::ApiServer).await
    }

    /// Gives this cluster other keys for its service accounts' tokens, as a copy restored elsewhere has.
    pub async fn new_service_account_keys(&self) -> Result<()> {
        self.kill(Component::ControllerManager);
        self.kill(Component::ApiServer);
        Pki::write_token_keys(&self.path)?;
        self.spawn(Component::ApiServer)?;
        self.ready().await?;
        self.spawn(Component::ControllerManager)
    }

    /// A kubeconfig for this cluster that needs no file: an inline CA and this token.
    pub async fn inline_kubeconfig(&self, namespace: &str, account: &str) -> Result<String> {
        let token = self.token(namespace, account).await?;
        let ca = STANDARD.encode(std::fs::read(self.path.join("ca.crt"))?);
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "target",
            "clusters": [{"name": "target", "cluster": {"server": format!("https://127.0.0.1:{}", self.port), "certificate-authority-data": ca}}],
            "users": [{"name": "curfew", "user": {"token": token}}],
            "contexts": [{"name": "target", "context": {"cluster": "target", "user": "curfew"}}],
        });
        Ok(config.to_string())
    }

    fn signal(&self, c: Component, s: Signal) {
        if let Some(p) = self.locked().get(&c) {
            p.signal(s);
        }
    }
    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Component, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, c: Component) -> Result<()> {
        let at = |f: &str| self.path.join(f).display().to_string();
        let (name, args) = match c {
            Component::Etcd => ("etcd", self.etcd_args(&at)),
            Component::ApiServer => ("kube-apiserver", self.apiserver_args(&at)?),
            Component::ControllerManager => ("kube-controller-manager", self.controller_args(&at)?),
        };
        let process = Process::start(name, &self.assets.join(name), &args, &[], &self.path.join(format!("logs/{name}.log")))?;
        self.locked().insert(c, process);
        Ok(())
    }

    fn etcd_args(&self, at: &dyn Fn(&str) -> String) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}", self.etcd_port);
        vec![
            format!("--data-dir={}", at("etcd")),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            "--listen-peer-urls=http://127.0.0.1:0".into(),
            "--unsafe-no-fsync=true".into(),
            "--log-level=warn".into(),
        ]
    }

    fn apiserver_args(&self, at: &dyn Fn(&str) -> String) -> Result<Vec<String>> {
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            format!("--secure-port={}", self.port),
            format!("--tls-cert-file={}", at("apiserver.crt")),
            format!("--tls-private-key-file={}", at("apiserver.key")),
            format!("--client-ca-file={}", at("ca.crt")),
            format!("--cert-dir={}", at("")),
            format!("--service-account-key-file={}", at("sa.pub")),
            format!("--service-account-signing-key-file={}", at("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--service-cluster-ip-range=10.96.0.0/16".into(),
            "--authorization-mode=RBAC".into(),
            "--endpoint-reconciler-type=none".into(),
            "--profiling=false".into(),
        ];
        if let Some(plugin) = *self.without.lock().unwrap_or_else(PoisonError::into_inner) {
            args.push(format!("--disable-admission-plugins={plugin}"));
        }
        if let Some(log) = &self.audit {
            let ours = ["operator", "sweep"].map(|a| format!("system:serviceaccount:curfew-system:curfew-{a}"));
            let rules = serde_json::json!([{"level": "Metadata", "users": ours}, {"level": "None"}]);
            let policy =
                serde_json::json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules});
            std::fs::write(self.path.join("audit-policy.json"), policy.to_string())?;
            args.push(format!("--audit-policy-file={}", at("audit-policy.json")));
            args.push(format!("--audit-log-path={}", log.display()));
        }
        Ok(args)
    }

    fn controller_args(&self, at: &dyn Fn(&str) -> String) -> Result<Vec<String>> {
        let user = self.user("system:kube-controller-manager", &[])?;
        Ok(vec![
            format!("--kubeconfig={}", user.kubeconfig.display()),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            "--secure-port=0".into(),
            format!("--service-account-private-key-file={}", at("sa.key")),
            format!("--root-ca-file={}", at("ca.crt")),
            format!("--cluster-signing-cert-file={}", at("ca.crt")),
            format!("--cluster-signing-key-file={}", at("ca.key")),
            "--use-service-account-credentials=true".into(),
            "--controllers=*".into(),
            // By default it holds itself back, and takes five seconds to start.
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=1000".into(),
            "--profiling=false".into(),
        ])
    }

    fn write_kubeconfig(&self, file: &Path, user: &serde_json::Value) -> Result<()> {
        let server = format!("https://127.0.0.1:{}", self.port);
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": self.path.join("ca.crt")}}],
            "users": [{"name": "me", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "me"}}],
        });
        Ok(std::fs::write(file, config.to_string())?)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("CURFEW_KEEP").is_some() {
            for p in self.locked().values() {
                eprintln!("--- {} ({})\n{}", p.name, p.log.display(), tail(&p.read_log(), 15));
            }
            if let Some(dir) = self.dir.take() {
                let kept = dir.keep();
                drop(std::fs::remove_file(kept.join("owner")));
                eprintln!("kept: {}", kept.display());
            }
        }
        self.locked().clear();
    }
}

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

/// The directory with the four programs: `KUBEBUILDER_ASSETS`, or built by `hack/control-plane/build`.
fn assets() -> Result<PathBuf> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/control-plane/build");
    let out =
        Command::new(&build).stderr(std::process::Stdio::inherit()).output().with_context(|| format!("cannot run {}", build.display()))?;
    anyhow::ensure!(out.status.success(), "{} failed", build.display());
    Ok(PathBuf::from(String::from_utf8(out.stdout)?.trim()))
}

/// A port that is free at this moment, below those the kernel gives to outgoing connections: while a server is down,
/// a client that keeps connecting could otherwise be given the server's own port, and the server never get it back.
fn free_port() -> Result<u16> {
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

pub(super) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
