//! Control planes that a test has left, for the next test: put back into the state in which they started, object by object. To start another
//! one takes seconds of processor time.
//!
//! What is put back is what etcd holds, so it does not matter what kind of object a test has written, or whether finalizers and policies would let
//! anybody delete it. The API server and the controllers see changes of etcd, as if another API server had made them.
use super::{
    ControlPlane, Stage,
    machine::new_directory,
    pki::FILES,
    process::Process,
    rest::{self, Answer},
    stored::{Key, Stored},
};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

/// How many wait for a test. Each that waits costs memory and a little processor time.
const MOST: usize = 1;
/// How often what is stored is compared with the beginning before a control plane is given up.
const ROUNDS: usize = 20;

/// What API servers keep for themselves.
const OF_SERVERS: &[&str] =
    &["/registry/leases/kube-system/", "/registry/masterleases/", "/registry/peerserverleases/", "/registry/ranges/"];
/// What the API server builds handlers from, and clears up after when it is deleted.
const DEFINITIONS: &str = "/registry/apiextensions.k8s.io/customresourcedefinitions/";
const NAMESPACES: &str = "/registry/namespaces/";

static LEFT: Mutex<Vec<ControlPlane>> = Mutex::new(Vec::new());

/// What two control planes have in common of which either will do for a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub stage: Stage,
    pub controllers: &'static str,
}

/// What etcd held when a control plane was ready for its first test.
#[derive(Default)]
pub(super) struct Beginning(BTreeMap<Key, Stored>);

/// Takes back one that a test has left. It is closed if a test has disturbed it, or enough wait already.
pub(super) fn leave(plane: ControlPlane) {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    if left.len() < MOST && plane.is_whole() {
        left.push(plane);
    } else {
        drop(left);
        plane.close();
    }
}

/// One of this shape as it was at its beginning, if a test has left one.
pub(super) async fn take(shape: Shape, name: &str) -> Result<Option<ControlPlane>> {
    loop {
        let found = {
            let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
            left.iter().position(|plane| plane.shape == Some(shape) && plane.is_unused()).map(|i| left.swap_remove(i))
        };
        let Some(mut plane) = found else { return Ok(None) };
        match plane.put_back().await {
            Ok(()) => {
                plane.enter(name)?;
                return Ok(Some(plane));
            }
            Err(why) => {
                eprintln!("testkit: not used again: {why:#}");
                plane.close();
            }
        }
    }
}

impl ControlPlane {
    /// What etcd holds now, but for what API servers keep for themselves.
    pub(super) async fn beginning(&self) -> Result<Beginning> {
        let mut all = self.range("/registry/").await?;
        all.retain(|key, _| !OF_SERVERS.iter().any(|prefix| key.starts_with(prefix)));
        Ok(Beginning(all))
    }

    /// Puts everything back, until nothing differs twice in a row: a controller may answer the first round with another change.
    async fn put_back(&self) -> Result<()> {
        let mut same = 0;
        for _ in 0..ROUNDS {
            same = if self.put_back_once().await? == 0 { same + 1 } else { 0 };
            if same == 2 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("something goes on writing")
    }

    /// A controller that has begun to clear a namespace would go on after it is put back.
    async fn is_not_deleted(&self, namespace: &str) -> Result<()> {
        match rest::get(&self.admin_user()?.cached().await?, &format!("/api/v1/namespaces/{namespace}")).await? {
            Answer::Ok(found) if found["metadata"]["deletionTimestamp"].is_null() => Ok(()),
            _ => bail!("namespace {namespace} was deleted"),
        }
    }

    /// Returns how many keys differed.
    async fn put_back_once(&self) -> Result<usize> {
        let now = self.beginning().await?.0;
        let Beginning(then) = self.beginning.as_ref().context("its beginning is not known")?;
        for (key, _) in then.iter().filter(|(key, value)| now.get(*key) != Some(value)) {
            ensure!(!key.starts_with(DEFINITIONS), "{key} was changed");
            if let Some(name) = key.strip_prefix(NAMESPACES) {
                self.is_not_deleted(name).await?;
            }
        }
        let mut differ = 0;
        for key in now.keys().filter(|key| !then.contains_key(*key)) {
            self.remove(key).await?;
            differ += 1;
        }
        for (key, value) in then.iter().filter(|(key, value)| now.get(*key) != Some(value)) {
            // Another object of that name: for who watches, it goes before the first one comes back.
            if now.get(key).is_some_and(|other| uid(other) != uid(value)) {
                self.remove(key).await?;
            }
            self.store(key, value).await?;
            differ += 1;
        }
        Ok(differ)
    }

    /// Whether all its processes run as they were started.
    fn is_whole(&self) -> bool {
        let processes = self.locked();
        !self.disturbed.load(Ordering::Relaxed) && processes.len() == 3 && processes.values().all(Process::is_running)
    }

    /// For a process that writes to it: nobody else gets it before that process has dropped this.
    pub(super) fn in_use(&self) -> Arc<()> {
        self.uses.clone()
    }

    /// Whether no process of the last test writes to it any more.
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.uses) == 1
    }

    /// Begins another use: with a directory and users of its own.
    fn enter(&mut self, name: &str) -> Result<()> {
        let dir = new_directory(name)?;
        for file in FILES {
            std::fs::copy(self.path.join(file), dir.path().join(file))?;
        }
        self.path = dir.path().to_path_buf();
        self.users = Mutex::default();
        let before = self.dir.replace(dir);
        self.home = self.home.take().or(before);
        Ok(())
    }

    /// Ends it for good, as if its machines were gone. A control plane that is dropped may go on, for another test.
    pub fn close(mut self) {
        self.shape = None;
    }

    /// Everything it is made of; what stays has no process.
    pub(super) fn moved(&mut self) -> Self {
        ControlPlane {
            dir: self.dir.take(),
            path: std::mem::take(&mut self.path),
            home: self.home.take(),
            assets: std::mem::take(&mut self.assets),
            pki: self.pki.clone(),
            port: self.port,
            etcd_port: self.etcd_port,
            audit: self.audit.take(),
            trusts_issuer: self.trusts_issuer,
            users: std::mem::take(&mut self.users),
            another_flag: std::mem::take(&mut self.another_flag),
            controllers: self.controllers,
            processes: std::mem::take(&mut self.processes),
            shape: self.shape.take(),
            beginning: self.beginning.take(),
            disturbed: std::mem::take(&mut self.disturbed),
            uses: std::mem::take(&mut self.uses),
        }
    }
}

/// The uid of a stored object: the first that it names, in JSON and in protobuf.
fn uid(value: &Stored) -> Option<String> {
    let bytes = STANDARD.decode(value).ok()?;
    let is_uid =
        |w: &&[u8]| w.iter().enumerate().all(|(i, b)| if [8, 13, 18, 23].contains(&i) { *b == b'-' } else { b.is_ascii_hexdigit() });
    bytes.windows(36).find(is_uid).map(|w| String::from_utf8_lossy(w).into_owned())
}
