//! Every version of the requests, Grants and bindings of one direction, and what must not happen to them.
//!
//! A violation is a finding. The first finding ends the direction; it names the object, the time and the replicas that run.
use crate::now;
use anyhow::{Context, Result, anyhow};
use curfew_core::time::Time;
use curfew_testkit::{Selection, User, Watch};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};

/// Longer than any run.
const NO_LIMIT: Duration = Duration::from_secs(86_400);

/// The states of requests and Grants, in the order in which they may follow one another. All later ones are terminal.
const ORDER: &[&str] = &["", "Pending", "AwaitingApproval", "Scheduled", "Activating", "Granting", "Active", "Revoking"];

fn rank(state: &str) -> usize {
    ORDER.iter().position(|known| *known == state).unwrap_or(ORDER.len())
}

/// What the checks need of one request.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Request {
    /// `status.state`.
    pub state: String,
    /// `status.digest`.
    pub digest: String,
    /// `status.expiresAt`.
    pub expires_at: Option<Time>,
    /// `status.reason` and `status.message`.
    pub why: String,
}

/// What the checks need of one Grant.
#[derive(Clone, PartialEq, Debug)]
struct Grant {
    request: String,
    state: String,
    expires_at: Option<Time>,
    /// The spec without `expiresAt`.
    spec: Value,
    artifacts: Value,
    drifted: bool,
}

/// What must stay the same in one RoleBinding.
#[derive(Clone, PartialEq, Debug)]
struct Binding {
    uid: String,
    role: Value,
    /// Null until the reservation is armed.
    subjects: Value,
}

#[derive(Default)]
struct State {
    requests: BTreeMap<String, Request>,
    grants: BTreeMap<String, Grant>,
    bindings: BTreeMap<String, Binding>,
    /// The requests about which a Revoke was sent.
    revoked: BTreeSet<String>,
    /// The replicas that run, in words.
    running: String,
    findings: Vec<String>,
}

/// Compares the objects of one kind with what was seen before, keeps them, and returns findings.
type Check = fn(&mut State, &[Value]) -> Vec<String>;

/// The objects of one direction.
pub struct Ledger {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Ledger {
    /// Watches the objects until the returned tasks are dropped.
    ///
    /// # Errors
    /// If the kubeconfig of this user cannot be used.
    pub async fn start(admin: &User) -> Result<(Arc<Self>, JoinSet<()>)> {
        let ledger = Arc::new(Ledger { state: Mutex::default(), changed: watch::Sender::new(()) });
        let mut watches = JoinSet::new();
        let kinds: [(&[&str], Check); 3] = [
            (&["areq", "-n", "payments"], State::requests),
            (&["grt"], State::grants),
            (&["rolebinding", "-n", "payments", "-l", "curfew.dev/grant"], State::bindings),
        ];
        for (what, check) in kinds {
            let mut watch = Watch::start(admin, &Selection::parse(what)?).await?;
            let ledger = ledger.clone();
            watches.spawn(async move {
                let seen = |all: &Value| {
                    let found = check(&mut ledger.locked(), all["items"].as_array().map_or(&[], Vec::as_slice));
                    found.iter().for_each(|what| ledger.report(what));
                    ledger.changed.send_replace(());
                    Ok(None::<()>)
                };
                if let Err(error) = watch.until("the end of the run", NO_LIMIT, seen).await {
                    ledger.report(&format!("{what:?} cannot be watched: {error:#}"));
                }
            });
        }
        Ok((ledger, watches))
    }

    /// Records a finding, with the time and the replicas that run.
    pub fn report(&self, what: &str) {
        let mut state = self.locked();
        let finding = format!("{what} (seen at {}; running: {})", now(), state.running);
        state.findings.push(finding);
        drop(state);
        self.changed.send_replace(());
    }

    /// Waits for a finding.
    pub async fn failed(&self) -> anyhow::Error {
        let all = self.until("a finding", NO_LIMIT, |l| Some(l.locked().findings.clone()).filter(|all| !all.is_empty())).await;
        all.map_or_else(|error| error, |all| anyhow!(all.join("\n         ")))
    }

    /// Waits until `fits` returns something. It runs again after each change.
    ///
    /// # Errors
    /// After `limit`.
    pub async fn until<T>(&self, what: &str, limit: Duration, fits: impl Fn(&Self) -> Option<T>) -> Result<T> {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(found) = fits(self) {
                    return Ok(found);
                }
                changes.changed().await?;
            }
        };
        tokio::time::timeout(limit, found).await.with_context(|| format!("waited {limit:?} for {what}"))?
    }

    /// Waits until a request has this state or a later one, and returns it.
    ///
    /// # Errors
    /// After `limit`, with the last state.
    pub async fn reaches(&self, name: &str, state: &str, limit: Duration) -> Result<Request> {
        let reached = self.until(state, limit, |l| l.request(name).filter(|r| rank(&r.state) >= rank(state))).await;
        reached.with_context(|| format!("request {name} is {:?}", self.request(name).unwrap_or_default()))
    }

    /// The request as it was seen last.
    pub fn request(&self, name: &str) -> Option<Request> {
        self.locked().requests.get(name).cloned()
    }

    /// The deadlines of the requests that are active and not due, the earliest first.
    pub fn live(&self) -> Vec<Time> {
        let now = now();
        let state = self.locked();
        let active = state.requests.values().filter(|r| r.state == "Active").filter_map(|r| r.expires_at);
        let mut all: Vec<Time> = active.filter(|t| *t > now).collect();
        all.sort_unstable();
        all
    }

    /// The Grants that have not ended, and the requests that have not.
    pub fn unfinished(&self) -> Vec<String> {
        let state = self.locked();
        let grants = state.grants.iter().filter(|(_, g)| g.state != "Ended").map(|(name, g)| format!("Grant {name} is {}", g.state));
        let open = state.requests.iter().filter(|(_, r)| rank(&r.state) < ORDER.len());
        grants.chain(open.map(|(name, r)| format!("request {name} is {}", r.state))).collect()
    }

    /// How many Grants were seen.
    pub fn grants(&self) -> usize {
        self.locked().grants.len()
    }

    /// Records that a Revoke is sent: from now on this request may end early.
    pub fn revokes(&self, name: &str) {
        self.locked().revoked.insert(name.into());
    }

    /// Records which replicas run.
    pub fn running(&self, who: String) {
        self.locked().running = who;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn requests(&mut self, all: &[Value]) -> Vec<String> {
        let mut findings = Vec::new();
        let seen: BTreeMap<String, Request> = all.iter().map(|v| (text(v, "/metadata/name"), Request::of(v))).collect();
        for (name, next) in &seen {
            let revoked = self.revoked.contains(name);
            let before = self.requests.get(name).cloned().unwrap_or_default();
            let mut found = |what: String| findings.push(format!("request {name} {what}"));
            if !before.digest.is_empty() && next.digest != before.digest {
                found(format!("has digest {}, and had {}", next.digest, before.digest));
            }
            if before.expires_at.is_some() && next.expires_at != before.expires_at {
                found(format!("ends at {}, and was to end at {}", shown(next.expires_at), shown(before.expires_at)));
            }
            let over = rank(&before.state) == ORDER.len();
            if rank(&next.state) < rank(&before.state) || over && next.state != before.state {
                found(format!("is {} after it was {}", next.state, before.state));
            }
            let expected = if revoked { "Revoked" } else { "Expired" };
            if rank(&next.state) == ORDER.len() && next.state != expected && next.state != before.state {
                found(format!("is {} and not {expected}: {}", next.state, next.why));
            } else if !revoked && next.state != before.state && is_early(&next.state, next.expires_at) {
                found(format!("is {} before {}: {}", next.state, shown(next.expires_at), next.why));
            }
        }
        let deleted = self.requests.keys().filter(|name| !seen.contains_key(*name));
        findings.extend(deleted.map(|name| format!("request {name} was deleted")));
        self.requests = seen;
        findings
    }

    fn grants(&mut self, all: &[Value]) -> Vec<String> {
        let mut findings = Vec::new();
        let seen: BTreeMap<String, Grant> = all.iter().map(|v| (text(v, "/metadata/name"), Grant::of(v))).collect();
        for (name, next) in &seen {
            let revoked = self.revoked.contains(&next.request);
            let mut found = |what: String| findings.push(format!("Grant {name} of request {} {what}", next.request));
            let before = self.grants.get(name);
            if let Some(b) = before.filter(|b| b.spec != next.spec) {
                found(format!("has the spec {}, and had {}", next.spec, b.spec));
            }
            if let Some(b) = before.filter(|b| b.expires_at != next.expires_at && !(revoked && next.expires_at < b.expires_at)) {
                found(format!("ends at {}, and was to end at {}", shown(next.expires_at), shown(b.expires_at)));
            }
            if let Some(b) = before.filter(|b| rank(&b.state) > rank(&next.state)) {
                found(format!("is {} after it was {}", next.state, b.state));
            }
            if let Some(b) = before.filter(|b| b.state == "Active" && next.state == "Active" && b.artifacts != next.artifacts) {
                found(format!("is active with the objects {}, and had {}", next.artifacts, b.artifacts));
            }
            if next.drifted && before.is_none_or(|b| !b.drifted) {
                found("has drifted".into());
            }
            if !revoked && before.is_none_or(|b| b.state != next.state) && is_early(&next.state, next.expires_at) {
                found(format!("is {} before {}", next.state, shown(next.expires_at)));
            }
        }
        let deleted = self.grants.keys().filter(|name| !seen.contains_key(*name));
        findings.extend(deleted.map(|name| format!("Grant {name} was deleted")));
        self.grants = seen;
        findings
    }

    /// A binding is created once, armed once and deleted once. Those that are gone stay known, so that a second one is seen.
    fn bindings(&mut self, all: &[Value]) -> Vec<String> {
        let mut findings = Vec::new();
        for v in all {
            let (name, next) = (text(v, "/metadata/name"), Binding::of(v));
            if let Some(b) = self.bindings.get(&name) {
                let armed = b.subjects.is_null() || b.subjects == next.subjects;
                if b.uid != next.uid || b.role != next.role || !armed {
                    findings.push(format!("RoleBinding {name} was written again: {next:?}, and was {b:?}"));
                }
            }
            self.bindings.insert(name, next);
        }
        findings
    }
}

/// Whether this state, later than `Active`, comes before the deadline.
fn is_early(state: &str, expires_at: Option<Time>) -> bool {
    rank(state) > rank("Active") && expires_at.is_some_and(|t| now() < t)
}

impl Request {
    fn of(v: &Value) -> Self {
        Request {
            state: text(v, "/status/state"),
            digest: text(v, "/status/digest"),
            expires_at: Time::parse(&text(v, "/status/expiresAt")),
            why: format!("{} {}", text(v, "/status/reason"), text(v, "/status/message")),
        }
    }
}

impl Grant {
    fn of(v: &Value) -> Self {
        let mut spec = v["spec"].clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("expiresAt");
        }
        let conditions = v["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        Grant {
            request: text(v, "/spec/request/name"),
            state: text(v, "/status/state"),
            expires_at: Time::parse(&text(v, "/spec/expiresAt")),
            spec,
            artifacts: v["status"]["artifacts"].clone(),
            drifted: conditions.iter().any(|c| c["type"] == "Drifted" && c["status"] == "True"),
        }
    }
}

impl Binding {
    fn of(v: &Value) -> Self {
        Binding { uid: text(v, "/metadata/uid"), role: v["roleRef"].clone(), subjects: v["subjects"].clone() }
    }
}

fn shown(time: Option<Time>) -> String {
    time.map_or_else(|| "an unknown time".into(), |t| t.to_string())
}

fn text(v: &Value, pointer: &str) -> String {
    v.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
