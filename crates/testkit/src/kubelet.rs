//! A kubelet for the Pods of one namespace, for control planes that have no nodes: it runs the first container of each Pod as a process,
//! with the arguments and the environment of the Pod and a token of its service account that is bound to the Pod, asks for
//! readiness as the probe says, and publishes the Pod's status, so that Deployments, Jobs and CronJobs go on as in a cluster.
//!
//! Two things differ from a real one. Processes share one host, so each listens at a port of its own: the value of `--listen` is
//! replaced. And an image is a name for a program: of [`Kubelet::start_images`], or the built operator.
use super::{
    ControlPlane,
    machine::tail,
    operator::address,
    process::Process,
    rest::{self, Answer},
    user::{User, background},
    world::operator_binary,
};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::Method;
use kube::Client;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::AbortHandle,
};

/// The pause between two looks at the Pods.
const PERIOD: Duration = Duration::from_millis(200);

/// A running kubelet. It stops, with every process that it has started, when it is dropped.
pub struct Kubelet {
    node: Arc<Node>,
    running: AbortHandle,
}

struct Node {
    admin: Client,
    namespace: String,
    server: String,
    ca: String,
    dir: PathBuf,
    binary: PathBuf,
    /// Programs by the repository of their image.
    images: BTreeMap<String, PathBuf>,
    pods: Mutex<BTreeMap<String, Running>>,
}

/// A Pod that was started.
struct Running {
    name: String,
    uri: String,
    probe: Option<String>,
    process: Process,
    /// What was published last.
    published: Option<Value>,
    /// Whether it was told to stop, because its Pod was deleted.
    stopping: bool,
}

impl Kubelet {
    /// Runs the Pods of this namespace from now on.
    ///
    /// # Errors
    /// If the operator is not built.
    pub async fn start(cp: &ControlPlane, namespace: &str) -> Result<Self> {
        Self::start_images(cp, namespace, &[]).await
    }

    /// The same, where images of these repositories are these programs.
    ///
    /// # Errors
    /// If the operator is not built.
    pub async fn start_images(cp: &ControlPlane, namespace: &str, images: &[(&str, &Path)]) -> Result<Self> {
        let node = Arc::new(Node {
            admin: cp.admin_user()?.cached().await?,
            namespace: namespace.into(),
            server: format!("https://127.0.0.1:{}", cp.port),
            ca: STANDARD.encode(std::fs::read(cp.path.join("ca.crt"))?),
            dir: cp.path.clone(),
            binary: operator_binary()?,
            images: images.iter().map(|(image, program)| ((*image).to_owned(), program.to_path_buf())).collect(),
            pods: Mutex::default(),
        });
        let runs = node.clone();
        let running = background().spawn(async move {
            loop {
                if let Err(error) = runs.look().await {
                    eprintln!("kubelet: {error:#}");
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
        Ok(Kubelet { node, running: running.abort_handle() })
    }

    /// The names of the Pods that run now and begin like this, in order.
    pub fn running(&self, prefix: &str) -> Vec<String> {
        let pods = self.node.locked();
        let mut names: Vec<String> =
            pods.values().filter(|pod| pod.name.starts_with(prefix) && pod.process.is_running()).map(|pod| pod.name.clone()).collect();
        names.sort();
        names
    }

    /// What a running Pod answers to a GET, whole.
    ///
    /// # Errors
    /// If the Pod does not run or does not listen.
    pub async fn get(&self, pod: &str, path: &str) -> Result<String> {
        let log = self.node.locked().values().find(|running| running.name == pod).map(|running| running.process.read_log());
        let address = log.and_then(|log| address(&log)).with_context(|| format!("Pod {pod} does not listen"))?;
        Ok(ask(&address, path).await?)
    }

    /// What the Pods whose names begin like this have printed, those included that are gone.
    ///
    /// # Errors
    /// If the logs cannot be read.
    pub fn logs(&self, prefix: &str) -> Result<String> {
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(self.node.dir.join("logs"))? {
            let path = entry?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&format!("pod-{prefix}"))) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.running.abort();
        self.node.locked().clear();
    }
}

impl Node {
    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self) -> Result<()> {
        let Answer::Ok(list) = rest::get(&self.admin, &format!("/api/v1/namespaces/{}/pods", self.namespace)).await? else { return Ok(()) };
        let pods: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        for pod in &pods {
            let fresh = pod["status"]["phase"] == "Pending" && pod["metadata"]["deletionTimestamp"].is_null();
            if fresh && !self.locked().contains_key(&uid(pod)) {
                let started = self.run(pod).await.with_context(|| format!("cannot run Pod {}", pod["metadata"]["name"]))?;
                self.locked().insert(uid(pod), started);
            }
        }
        self.stop_deleted(&pods.iter().map(|pod| uid(pod)).collect::<Vec<_>>());
        let all: Vec<String> = self.locked().iter().filter(|(_, pod)| !pod.stopping).map(|(uid, _)| uid.clone()).collect();
        for uid in all {
            self.publish(&uid).await?;
        }
        Ok(())
    }

    /// Tells the processes of Pods that are gone to stop, and forgets those that have.
    fn stop_deleted(&self, existing: &[String]) {
        let mut pods = self.locked();
        for (uid, pod) in pods.iter_mut().filter(|(uid, _)| !existing.contains(uid)) {
            if !pod.stopping {
                eprintln!("kubelet: Pod {} ({uid}) is deleted", pod.name);
                pod.process.signal(Signal::SIGTERM);
            }
            pod.stopping = true;
        }
        pods.retain(|_, pod| !pod.stopping || pod.process.is_running());
    }

    async fn run(&self, pod: &Value) -> Result<Running> {
        let name = pod["metadata"]["name"].as_str().context("no name")?.to_owned();
        let container = &pod["spec"]["containers"][0];
        let mut args: Vec<String> =
            container["args"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if let Some(at) = args.iter().position(|arg| arg == "--listen") {
            *args.get_mut(at + 1).context("--listen has no value")? = "127.0.0.1:0".into();
        }
        let kubeconfig = self.kubeconfig(pod, &name).await?;
        let mut envs = vec![("KUBECONFIG".to_owned(), kubeconfig.display().to_string())];
        for variable in container["env"].as_array().into_iter().flatten() {
            let value = match (variable["value"].as_str(), variable["valueFrom"]["fieldRef"]["fieldPath"].as_str()) {
                (Some(value), _) => value.to_owned(),
                (None, Some("metadata.name")) => name.clone(),
                other => bail!("the kubelet of the test kit does not know the variable {variable}: {other:?}"),
            };
            envs.push((variable["name"].as_str().context("a variable without a name")?.to_owned(), value));
        }
        let repository = container["image"].as_str().and_then(|image| image.split([':', '@']).next()).unwrap_or_default();
        let program = self.images.get(repository).unwrap_or(&self.binary);
        let process = Process::start(&name, program, &args, &envs, &self.dir.join(format!("logs/pod-{name}.log")))?;
        let probe = container["readinessProbe"]["httpGet"]["path"].as_str().map(str::to_owned);
        Ok(Running {
            uri: format!("/api/v1/namespaces/{}/pods/{name}", self.namespace),
            name,
            probe,
            process,
            published: None,
            stopping: false,
        })
    }

    /// A kubeconfig with what is mounted into a Pod: a token of its service account, bound to the Pod, and the CA.
    async fn kubeconfig(&self, pod: &Value, name: &str) -> Result<PathBuf> {
        let account = pod["spec"]["serviceAccountName"].as_str().context("no service account")?;
        let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
            "expirationSeconds": 3607,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]},
        }});
        let uri = format!("/api/v1/namespaces/{}/serviceaccounts/{account}", self.namespace);
        let Answer::Ok(object) = rest::send(&self.admin, Method::GET, &uri, "application/json", None).await? else {
            bail!("no service account {account}")
        };
        // The Pod decides, then its account; without a word of either there is a token.
        let mounts = |value: &Value| value["automountServiceAccountToken"].as_bool();
        ensure!(mounts(&pod["spec"]).or_else(|| mounts(&object)).unwrap_or(true), "Pod {name} gets no token of {account}");
        let uri = format!("{uri}/token");
        let Answer::Ok(token) = rest::send(&self.admin, Method::POST, &uri, "application/json", Some(ask)).await? else {
            bail!("no token for {account}")
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "pod",
            "clusters": [{"name": "cluster", "cluster": {"server": self.server, "certificate-authority-data": self.ca}}],
            "users": [{"name": "account", "user": {"token": token["status"]["token"]}}],
            "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "account"}}],
        });
        let file = self.dir.join(format!("users/pod-{name}.json"));
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }

    /// Publishes the status of a Pod if it has changed.
    async fn publish(&self, uid: &str) -> Result<()> {
        let Some((uri, name, probe, log, exit)) = self
            .locked()
            .get(uid)
            .map(|pod| (pod.uri.clone(), pod.name.clone(), pod.probe.clone(), pod.process.read_log(), pod.process.exit_code()))
        else {
            return Ok(());
        };
        let ready = match (&exit, &probe) {
            (Some(_), _) => false,
            (None, None) => true,
            (None, Some(path)) => match address(&log) {
                Some(address) => answers_ok(&address, path).await,
                None => false,
            },
        };
        let (phase, state) = match exit {
            None => ("Running", json!({"running": {}})),
            Some(code) => {
                let phase = if code == 0 { "Succeeded" } else { "Failed" };
                (
                    phase,
                    json!({"terminated": {"exitCode": code, "message": tail(&log, 5), "reason": if code == 0 { "Completed" } else { "Error" }}}),
                )
            }
        };
        let what = json!({"phase": phase, "ready": ready});
        if self.locked().get(uid).is_some_and(|pod| pod.published.as_ref() == Some(&what)) {
            return Ok(());
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let flag = if ready { "True" } else { "False" };
        let condition = |kind: &str| json!({"type": kind, "status": flag, "lastTransitionTime": now});
        let status = json!({"status": {
            "phase": phase,
            "conditions": [condition("Ready"), condition("ContainersReady")],
            "containerStatuses": [{"name": "c", "image": "built here", "imageID": "", "ready": ready, "restartCount": 0, "state": state}],
        }});
        if let Answer::Refused(refused) =
            rest::send(&self.admin, Method::PATCH, &format!("{uri}/status"), "application/merge-patch+json", Some(status)).await?
            && refused.code != 404
        {
            bail!("the status of Pod {name} was refused: {}", refused.message);
        }
        if let Some(pod) = self.locked().get_mut(uid) {
            pod.published = Some(what);
        }
        Ok(())
    }
}

/// One GET.
async fn ask(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Whether a GET is answered with 200.
async fn answers_ok(address: &str, path: &str) -> bool {
    let answer = tokio::time::timeout(Duration::from_secs(1), ask(address, path)).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|text| text.starts_with("HTTP/1.1 200")))
}

impl User {
    /// Runs helm under this kubeconfig, with its files in a directory of the control plane.
    ///
    /// # Errors
    /// If it is not built or cannot be started.
    pub async fn helm(&self, args: &[&str]) -> Result<super::Output> {
        self.run(&super::machine::helm()?, args, None).await
    }
}
