//! The prepared data directory: etcd's data and the certificates of a cluster with Curfew installed, made once for each state
//! of `crds/`, `deploy/` and `examples/first/` and copied for every control plane that a test starts.
//!
//! Below the target directory: `testkit/HASH/{home,far}` hold certificates and keys, `testkit/HASH/{installed,first,target}`
//! etcd's data. A file lock keeps two processes from making it at the same time.
use super::{Component, ControlPlane};
use super::{SOON, World, eventually, machine::assets, path, pki::FILES, rest, root, user::User};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};
use tokio::sync::OnceCell;

/// What is in a cluster when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// CRDs, policies, rights and configuration.
    Installed,
    /// Also the example of the README, and the secret `db` in its namespace.
    First,
    /// Another cluster, with keys and uids of its own: what a target needs (`deploy/remote/target.yaml`), and a secret `db` in
    /// the namespace payments.
    Target,
}

impl Stage {
    fn data(self) -> &'static str {
        match self {
            Stage::Installed => "installed",
            Stage::First => "first",
            Stage::Target => "target",
        }
    }
    fn keys(self) -> &'static str {
        if self == Stage::Target { "far" } else { "home" }
    }
    /// Whether all admission policies of Curfew are stored.
    pub(crate) fn has_policies(self) -> bool {
        self != Stage::Target
    }
}

/// For each policy a write that only it refuses.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    (
        "curfew-requests",
        "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: curfew-admission-canary, namespace: curfew-system}, \
         spec: {roleRef: {name: x}, requester: {username: nobody, groups: []}}}",
    ),
    (
        "curfew-decisions",
        "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {name: curfew-admission-canary, namespace: curfew-system}, \
         spec: {about: {activationRequest: {name: x}}, decision: Deny, decider: {username: nobody, groups: []}}}",
    ),
    (
        "curfew-ledger",
        "{apiVersion: curfew.dev/v1alpha1, kind: Grant, metadata: {name: curfew-admission-canary}, spec: {digest: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, \
         expiresAt: '2099-01-01T00:00:00Z', system: {name: s, uid: u, target: t, connection: {kubernetes: {inCluster: {}}}}, \
         request: {namespace: ns, name: r, uid: u, requester: m, beneficiary: {user: m}}, principal: {kubernetes: {user: m}}, \
         plan: {kubernetes: {subject: {user: m}, bindings: [{name: b, roleKind: ClusterRole, role: view}]}}}}",
    ),
    (
        "curfew-marks",
        "{apiVersion: batch/v1, kind: Job, metadata: {generateName: probe-, namespace: default, labels: {curfew.dev/grant: x}}, \
         spec: {parallelism: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}",
    ),
    (
        "curfew-slots",
        "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: curfew-slot-admission-canary, namespace: curfew-system}, spec: {}}",
    ),
    (
        "curfew-owners",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: probe, namespace: default, ownerReferences: \
         [{apiVersion: batch/v1, kind: Job, name: curfew-0123456789abcdef-0, uid: '1'}]}}",
    ),
];

/// A request without a requester: it passes only after the mutating policy has filled in who asks.
pub(crate) const STAMPED: &str = "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: probe, namespace: default}, \
                                  spec: {roleRef: {name: x}}}";

/// Where the prepared data lie.
pub(crate) struct Prepared(PathBuf);

/// The prepared data, made first if this is the first time.
pub(crate) async fn get() -> Result<&'static Prepared> {
    static PREPARED: OnceCell<Prepared> = OnceCell::const_new();
    PREPARED.get_or_try_init(find_or_make).await
}

async fn find_or_make() -> Result<Prepared> {
    let base = target_dir()?.join("testkit");
    std::fs::create_dir_all(&base)?;
    let ready = base.join(hash()?);
    let lock = File::create(base.join("lock"))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if !ready.is_dir() {
        let work = tempfile::Builder::new().prefix("making-").tempdir_in(&base)?;
        make(work.path()).await.context("cannot prepare the data directory of the test control planes")?;
        std::fs::rename(work.keep(), &ready)?;
    }
    drop(lock);
    Ok(Prepared(ready))
}

/// `target`, where this very program was built.
fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let found = exe.ancestors().find(|d| d.join("CACHEDIR.TAG").is_file());
    Ok(found.map_or_else(|| root().join("target"), Path::to_path_buf))
}

/// Over everything that goes in: manifests, the programs, and how they are put together.
fn hash() -> Result<String> {
    let mut all = Sha256::new();
    for dir in ["crds", "deploy", "deploy/remote", "examples/first"] {
        let mut files: Vec<_> = std::fs::read_dir(root().join(dir))?.collect::<Result<_, _>>()?;
        files.sort_by_key(std::fs::DirEntry::file_name);
        for file in files.iter().filter(|f| f.path().is_file()) {
            all.update(file.file_name().as_encoded_bytes());
            all.update(std::fs::read(file.path())?);
        }
    }
    for part in [assets()?.display().to_string().as_str(), include_str!("prepared.rs"), include_str!("components.rs")] {
        all.update(part);
    }
    Ok(all.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect())
}

impl Prepared {
    /// Copies the data of a stage and its keys. Holes stay holes: etcd reserves 64 MB for its log.
    pub fn copy(&self, stage: Stage, to: &Path) -> Result<()> {
        for file in FILES {
            std::fs::copy(self.0.join(stage.keys()).join(file), to.join(file))?;
        }
        copy(&self.0.join(stage.data()), &to.join("etcd"))
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let out = Command::new("cp").args(["-a", "--sparse=always", "--reflink=auto"]).arg(from).arg(to).output()?;
    ensure!(out.status.success(), "cannot copy {}: {}", from.display(), String::from_utf8_lossy(&out.stderr));
    Ok(())
}

async fn make(dir: &Path) -> Result<()> {
    let (home, far) = tokio::join!(home(dir), far(dir));
    home?;
    far
}

/// Installed, and then with the example.
async fn home(dir: &Path) -> Result<()> {
    let cp = ControlPlane::empty("prepares-home").await?;
    keep_keys(&cp, &dir.join("home"))?;
    let admin = cp.admin_user()?;
    admin.kubectl(&["apply", "--server-side", "-f", &path("crds")]).await?.success()?;
    admin.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &path("crds")]).await?.success()?;
    let stamps = rest::serves_mutating_policies(&admin.cached().await?).await?;
    let files = ["10-namespace", "20-rbac", "25-flow-control", "30-policies", "35-stamps", "50-people"];
    for file in files.into_iter().filter(|file| stamps || *file != "35-stamps") {
        admin.kubectl(&["apply", "--server-side", "-f", &path(&format!("deploy/{file}.yaml"))]).await?.success()?;
    }
    cp.policies_in_force().await?;
    admin.kubectl(&["apply", "--server-side", "-f", &path("deploy/40-config.yaml")]).await?.success()?;
    settled(&admin).await?;
    snapshot(&cp, &dir.join("installed"))?;
    let world = World { cp };
    for file in ["platform", "team"] {
        admin.kubectl(&["apply", "-f", &path(&format!("examples/first/{file}.yaml"))]).await?.success()?;
    }
    admin.api(&["create", "secret", "generic", "db", "-n", "payments", "--from-literal=password=s3cret"]).await?.success()?;
    settled(&admin).await?;
    snapshot(&world.cp, &dir.join("first"))
}

/// A cluster that Curfew reaches from outside.
async fn far(dir: &Path) -> Result<()> {
    let cp = ControlPlane::empty("prepares-far").await?;
    keep_keys(&cp, &dir.join("far"))?;
    let admin = cp.admin_user()?;
    admin.kubectl(&["apply", "--server-side", "-f", &path("deploy/remote/target.yaml")]).await?.success()?;
    admin.api(&["create", "namespace", "payments"]).await?.success()?;
    admin.api(&["create", "secret", "generic", "db", "-n", "payments", "--from-literal=password=far"]).await?.success()?;
    settled(&admin).await?;
    snapshot(&cp, &dir.join("target"))
}

fn keep_keys(cp: &ControlPlane, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for file in FILES {
        std::fs::copy(cp.dir().join(file), to.join(file))?;
    }
    Ok(())
}

/// Waits until the controllers have made what they make for new objects.
async fn settled(admin: &User) -> Result<()> {
    let read = async |what: &[&str], path: &str| admin.field(what, path).await;
    eventually("the controllers to have made service accounts, CA certificates and aggregated roles", SOON + SOON, || async {
        let namespaces = read(&["namespaces"], "{.items[*].metadata.name}").await?;
        for ns in namespaces.split(' ') {
            for (kind, name) in [("serviceaccount", "default"), ("configmap", "kube-root-ca.crt")] {
                read(&[kind, "-n", ns, name], "{.metadata.uid}").await?;
            }
        }
        for role in ["admin", "edit", "view"] {
            let rules = read(&["clusterrole", role], "{.rules}").await?;
            ensure!(rules.len() > 100, "ClusterRole {role} is not aggregated yet");
        }
        Ok(Some(()))
    })
    .await
}

/// Copies etcd's data while it is stopped by a signal: what a crash would leave, which etcd starts from as from any crash.
fn snapshot(cp: &ControlPlane, to: &Path) -> Result<()> {
    cp.pause(Component::Etcd);
    let copied = copy(&cp.dir().join("etcd"), to);
    cp.resume(Component::Etcd);
    copied
}
