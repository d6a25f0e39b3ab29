//! etcd, kube-apiserver and kube-controller-manager on loopback, started from a copy of a prepared data directory.
use super::{
    components::{Audit, Webhook},
    eventually,
    issuer::Issuer,
    machine::{assets, free_port, new_directory, oldest_assets, tail},
    pki::Pki,
    prepared::{self, Stage},
    process::Process,
    rest::{self, Answer},
    user::{User, background},
};
use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use kube::Client;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// The controllers that tests need: for service accounts, namespaces, owners, Jobs (the fuse) and aggregated ClusterRoles.
const USED: &str = "serviceaccount-controller,serviceaccount-token-controller,root-ca-certificate-publisher-controller,\
                    namespace-controller,garbage-collector-controller,job-controller,ttl-after-finished-controller,\
                    clusterrole-aggregation-controller";
/// These, and the controller without which the API server refuses everything in a namespace that has a ResourceQuota.
const WITH_QUOTAS: &str = "serviceaccount-controller,serviceaccount-token-controller,root-ca-certificate-publisher-controller,\
                           namespace-controller,garbage-collector-controller,job-controller,ttl-after-finished-controller,\
                           clusterrole-aggregation-controller,resourcequota-controller";

/// One of the three processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Component {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
}

/// How long an API server may take to start on a busy machine.
const SLOW: Duration = Duration::from_secs(120);

/// Tells the files of this process apart.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// How many control planes start at the same time. More only take the processor from one another, and all are late.
static STARTING: Semaphore = Semaphore::const_new(2);

/// A running control plane. Everything dies with it; its directory stays only if a test failed or `CURFEW_KEEP` is set.
pub struct ControlPlane {
    dir: Option<TempDir>,
    pub(super) path: PathBuf,
    assets: PathBuf,
    pki: Pki,
    pub(super) port: u16,
    pub(super) etcd_port: u16,
    pub(super) audit: Option<Audit>,
    /// Whether the API server reads `authentication.json`, which names the issuers of tokens that it trusts.
    pub(super) trusts_issuer: bool,
    users: Mutex<HashMap<PathBuf, User>>,
    /// One more flag of the API server.
    pub(super) another_flag: Mutex<Option<String>>,
    /// Which controllers run.
    pub(super) controllers: &'static str,
    processes: Mutex<HashMap<Component, Process>>,
}

impl ControlPlane {
    /// Starts from a copy of the prepared data of `stage`. Where `CURFEW_AUDIT_DIR` names a directory, the requests of Curfew's
    /// own accounts are logged there: `tests/rights.rs` reads it.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn start(name: &str, stage: Stage) -> Result<Self> {
        Self::start_controllers(name, stage, USED).await
    }

    /// With the controller of ResourceQuotas.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn start_with_quotas(name: &str, stage: Stage) -> Result<Self> {
        Self::start_controllers(name, stage, WITH_QUOTAS).await
    }

    async fn start_controllers(name: &str, stage: Stage, controllers: &'static str) -> Result<Self> {
        let dir = std::env::var_os("CURFEW_AUDIT_DIR").map(PathBuf::from);
        if let Some(dir) = &dir {
            std::fs::create_dir_all(dir)?;
        }
        let log = dir.map(|d| d.join(format!("{name}-{}-{}.jsonl", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))));
        Self::start_all(name, stage, log.map(Audit::of_curfew), controllers, None).await
    }

    /// With an API server that accepts the tokens of this issuer and asks its webhook about others, beside client certificates.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn start_with_issuer(name: &str, stage: Stage, issuer: &Issuer) -> Result<Self> {
        Self::start_all(name, stage, None, USED, Some(issuer)).await
    }

    /// With `audit`, requests are logged to that file, metadata only.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn start_with(name: &str, stage: Stage, audit: Option<PathBuf>) -> Result<Self> {
        Self::start_all(name, stage, audit.map(Audit::of_curfew), USED, None).await
    }

    /// With an audit log of the API server by this policy.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn start_audited(name: &str, stage: Stage, log: PathBuf, policy: Value) -> Result<Self> {
        Self::start_all(name, stage, Some(Audit { log: Some(log), webhook: None, policy }), USED, None).await
    }

    /// With an API server that logs every request, without the bodies, and posts the events to this server with this token. A server that is not
    /// there is tried again.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn start_posting(name: &str, stage: Stage, url: String, token: String) -> Result<Self> {
        let log = match std::env::var_os("CURFEW_AUDIT_DIR").map(PathBuf::from) {
            Some(dir) => {
                std::fs::create_dir_all(&dir)?;
                Some(dir.join(format!("{name}-{}-{}.jsonl", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))))
            }
            None => None,
        };
        let rules = json!([{"level": "Metadata"}]);
        let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules});
        Self::start_all(name, stage, Some(Audit { log, webhook: Some(Webhook { url, token }), policy }), USED, None).await
    }

    async fn start_all(name: &str, stage: Stage, audit: Option<Audit>, controllers: &'static str, issuer: Option<&Issuer>) -> Result<Self> {
        let prepared = prepared::get().await?;
        let begun = Instant::now();
        let turn = STARTING.acquire().await?;
        let waited = begun.elapsed();
        let dir = new_directory(name)?;
        prepared.copy(stage, dir.path())?;
        let mut cp = Self::over(dir, assets()?, audit, controllers)?;
        if let Some(issuer) = issuer {
            std::fs::write(cp.path.join("authentication.json"), issuer.authentication_configuration().to_string())?;
            std::fs::write(cp.path.join("webhook.json"), issuer.webhook_configuration().to_string())?;
            cp.trusts_issuer = true;
        }
        cp.spawn(Component::Etcd)?;
        cp.spawn(Component::ApiServer)?;
        cp.ready().await?;
        // What is left is waiting: the next one may start meanwhile.
        drop(turn);
        let served = begun.elapsed();
        if stage.has_policies() {
            cp.policies_in_force().await?;
        }
        cp.spawn(Component::ControllerManager)?;
        let (queue, served, policies) = (waited.as_secs_f32(), (served - waited).as_secs_f32(), (begun.elapsed() - served).as_secs_f32());
        eprintln!("testkit: control plane {name} serves after {served:.1} s, policies {policies:.1} s more, {queue:.1} s in the queue");
        Ok(cp)
    }

    /// An empty one, with keys of its own and every controller: what the prepared data are made from, and for installations.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn empty(name: &str) -> Result<Self> {
        Self::empty_of(name, assets()?).await
    }

    /// An empty one of the oldest Kubernetes that Curfew supports.
    ///
    /// # Errors
    /// If the control plane is not built or does not become ready.
    pub async fn oldest(name: &str) -> Result<Self> {
        Self::empty_of(name, oldest_assets()?).await
    }

    async fn empty_of(name: &str, assets: PathBuf) -> Result<Self> {
        let dir = new_directory(name)?;
        Pki::create(dir.path())?;
        let cp = Self::over(dir, assets, None, "*")?;
        cp.spawn(Component::Etcd)?;
        cp.spawn(Component::ApiServer)?;
        cp.ready().await?;
        cp.spawn(Component::ControllerManager)?;
        Ok(cp)
    }

    fn over(dir: TempDir, assets: PathBuf, audit: Option<Audit>, controllers: &'static str) -> Result<Self> {
        let path = dir.path().to_path_buf();
        Ok(ControlPlane {
            dir: Some(dir),
            pki: Pki::open(&path)?,
            path,
            assets,
            port: free_port()?,
            etcd_port: free_port()?,
            audit,
            trusts_issuer: false,
            users: Mutex::default(),
            another_flag: Mutex::default(),
            controllers,
            processes: Mutex::default(),
        })
    }

    /// The directory of this control plane.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// A client of the group system:masters, for the runtime that calls.
    ///
    /// # Errors
    /// If its kubeconfig cannot be written.
    pub async fn admin(&self) -> Result<Client> {
        self.admin_user()?.client().await
    }
    /// A user of the group system:masters.
    ///
    /// # Errors
    /// If its kubeconfig cannot be written.
    pub fn admin_user(&self) -> Result<User> {
        self.user("admin", &["system:masters"])
    }

    /// A user with a client certificate: the name is the user, the group a group.
    ///
    /// # Errors
    /// If the certificate cannot be written.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<User> {
        // One at a time, so that no certificate is paired with the key of another.
        let mut known = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stem = [&[name], groups].concat().join("+").replace(['/', ':'], "_");
        if stem.len() > 200 {
            // No file name is as long as a user name may be.
            let mut hash = DefaultHasher::new();
            stem.hash(&mut hash);
            stem = format!("long-{:016x}", hash.finish());
        }
        let file = self.path.join("users").join(format!("{stem}.json"));
        if let Some(user) = known.get(&file) {
            return Ok(user.clone());
        }
        let pair = self.pki.user(name, groups)?;
        let (cert, key) = (file.with_extension("crt"), file.with_extension("key"));
        std::fs::write(&cert, pair.cert)?;
        std::fs::write(&key, pair.key)?;
        self.write_kubeconfig(&file, &serde_json::json!({"client-certificate": cert, "client-key": key}))?;
        let user = User::new(name, file.clone(), self.assets.join("kubectl"));
        known.insert(file, user.clone());
        Ok(user)
    }

    /// A service account with a new token of six hours.
    ///
    /// # Errors
    /// If there is no such account.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<User> {
        let token = self.token(namespace, name).await?;
        let file = self.path.join("users").join(format!("sa_{namespace}_{name}.json"));
        self.write_kubeconfig(&file, &serde_json::json!({"token": token}))?;
        Ok(User::new(format!("system:serviceaccount:{namespace}:{name}"), file, self.assets.join("kubectl")))
    }

    /// A login of this person with a token. Each login has claims of its own.
    ///
    /// # Errors
    /// If the token cannot be signed, or its kubeconfig cannot be written.
    pub fn login(&self, issuer: &Issuer, name: &str, claims: &serde_json::Value) -> Result<User> {
        self.with_token(name, &issuer.token(name, claims)?)
    }

    /// A login that an authenticator of a managed cluster describes so: `status.user` of a TokenReview.
    ///
    /// # Errors
    /// If it has no name, or its kubeconfig cannot be written.
    pub fn reviewed_login(&self, issuer: &Issuer, user: serde_json::Value) -> Result<User> {
        let name = user["username"].as_str().context("a login has a user name")?.to_owned();
        self.with_token(&name, &issuer.reviewed_token(user))
    }

    fn with_token(&self, name: &str, token: &str) -> Result<User> {
        let file = self.path.join("users").join(format!("token-{}.json", COUNT.fetch_add(1, Ordering::Relaxed)));
        self.write_kubeconfig(&file, &serde_json::json!({"token": token}))?;
        Ok(User::new(name, file, self.assets.join("kubectl")))
    }

    async fn token(&self, namespace: &str, name: &str) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 21_600}});
        match rest::send(&self.admin_user()?.cached().await?, Method::POST, &uri, "application/json", Some(ask)).await? {
            Answer::Ok(v) => Ok(v["status"]["token"].as_str().context("no token")?.to_owned()),
            Answer::Refused(s) => Err(kube::Error::Api(s).into()),
        }
    }

    /// Waits for /readyz and reads from the store: just after etcd has gone, /readyz still says ok. A controller manager
    /// that has ended is started again, as a kubelet would: it does end when the API server goes away while it starts.
    ///
    /// # Errors
    /// If one of the processes has ended, or time is up.
    pub async fn ready(&self) -> Result<()> {
        let client = self.admin_user()?.cached().await?;
        eventually("the API server to be ready", SLOW, || async {
            if self.locked().get(&Component::ControllerManager).is_some_and(|p| !p.is_running()) {
                self.spawn(Component::ControllerManager)?;
            }
            if let Some(dead) = self.locked().values().find(|p| !p.is_running()) {
                bail!("{} has ended: {}", dead.name, tail(&dead.read_log(), 5));
            }
            // While the server starts, a request may hang that would be answered at once if it were sent again.
            let asked = rest::get(&client, "/api/v1/namespaces/default/serviceaccounts/default");
            tokio::time::timeout(Duration::from_secs(2), asked).await??;
            let (client, ask) = (client.clone(), http::Request::get("/readyz").body(Vec::new())?);
            let said = background().spawn(async move { client.request_text(ask).await });
            Ok(Some(tokio::time::timeout(Duration::from_secs(2), said).await???).filter(|t| t == "ok"))
        })
        .await
        .map(drop)
    }

    /// Waits until the stored policies are in force: a policy refuses some moments after it is stored, or after the API server
    /// has started. Each is tried by a dry-run write that only it refuses; the one that fills in the requester, by its result.
    ///
    /// # Errors
    /// If a policy is not in force within a minute.
    pub async fn policies_in_force(&self) -> Result<()> {
        let admin = self.admin_user()?;
        for (policy, write) in prepared::REFUSED {
            eventually(&format!("policy {policy} to be in force"), SLOW, || async {
                let try_it = ["create", "--dry-run=server", "-f", "-"];
                let out = tokio::time::timeout(Duration::from_secs(2), admin.api_stdin(&try_it, write)).await??;
                if !out.ok && out.stderr.contains(&format!("'{policy}'")) { Ok(Some(())) } else { bail!("{}{}", out.stdout, out.stderr) }
            })
            .await?;
        }
        if !rest::serves_mutating_policies(&admin.cached().await?).await? {
            return Ok(());
        }
        eventually("the requester to be filled in", SLOW, || async {
            let try_it = ["create", "--dry-run=server", "-f", "-"];
            let out = tokio::time::timeout(Duration::from_secs(2), admin.api_stdin(&try_it, prepared::STAMPED)).await??;
            if out.ok { Ok(Some(())) } else { bail!("{}", out.stderr) }
        })
        .await
    }

    /// Kills one process.
    pub fn kill(&self, c: Component) {
        self.locked().remove(&c);
    }
    /// Stops one process by SIGSTOP.
    pub fn pause(&self, c: Component) {
        self.signal(c, Signal::SIGSTOP);
    }
    /// Lets a paused process go on.
    pub fn resume(&self, c: Component) {
        self.signal(c, Signal::SIGCONT);
    }
    /// Kills one process, starts it again and waits until the API server is ready.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn restart(&self, c: Component) -> Result<()> {
        self.kill(c);
        self.spawn(c)?;
        self.ready().await
    }

    /// Starts the API server again without this admission plugin, or with all of them.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn restart_without(&self, plugin: Option<&'static str>) -> Result<()> {
        self.restart_with(plugin.map(|plugin| format!("--disable-admission-plugins={plugin}"))).await
    }

    /// Starts the API server again as one that speaks HTTP/1.1 alone, as some proxies do.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn restart_without_http2(&self) -> Result<()> {
        self.restart_with(Some("--disable-http2-serving".into())).await
    }

    async fn restart_with(&self, flag: Option<String>) -> Result<()> {
        *self.another_flag.lock().unwrap_or_else(PoisonError::into_inner) = flag;
        self.restart(Component::ApiServer).await
    }

    /// Gives this cluster other keys for its service accounts' tokens, as a copy restored elsewhere has.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn new_service_account_keys(&self) -> Result<()> {
        self.kill(Component::ControllerManager);
        self.kill(Component::ApiServer);
        Pki::write_token_keys(&self.path)?;
        self.spawn(Component::ApiServer)?;
        self.ready().await?;
        self.spawn(Component::ControllerManager)
    }

    /// A kubeconfig for this cluster that needs no file: an inline CA and the token of a service account.
    ///
    /// # Errors
    /// If there is no such account.
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
        let process = Process::start(name, &self.assets.join(name), &args, &gc(), &self.path.join(format!("logs/{name}.log")))?;
        self.locked().insert(c, process);
        Ok(())
    }

    fn write_kubeconfig(&self, file: &Path, user: &serde_json::Value) -> Result<()> {
        let server = format!("https://127.0.0.1:{}", self.port);
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": self.path.join("ca.crt")}}],
            "users": [{"name": "me", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "me"}}],
        });
        // Another test may be reading the file of the same account: it sees the old one or the new one, whole.
        let whole = file.with_extension(format!("new-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&whole, config.to_string())?;
        Ok(std::fs::rename(whole, file)?)
    }
}

/// Whether servers run with Go's own settings.
static AS_SHIPPED: AtomicBool = AtomicBool::new(false);

/// Lets the servers that start from now on collect garbage as they do where nobody has set anything: for benchmarks. With the limit of
/// memory that is good for short tests, an API server that holds 25,000 objects does little but collect garbage.
pub fn servers_as_shipped() {
    AS_SHIPPED.store(true, Ordering::Relaxed);
}

/// Go's garbage collector takes a sixth of the processor time with which an API server starts. It runs less often here, except
/// in a process that has grown large.
fn gc() -> Vec<(String, String)> {
    if AS_SHIPPED.load(Ordering::Relaxed) {
        return Vec::new();
    }
    vec![("GOGC".into(), "400".into()), ("GOMEMLIMIT".into(), "500MiB".into())]
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
