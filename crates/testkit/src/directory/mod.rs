//! The simulated directory: an HTTP server of group memberships with the properties of Entra groups and Azure role assignments,
//! all of which Kubernetes lacks. State is in memory; every quirk is a member of [`Config`] and is off by default.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /identity` | `{"id"}` |
//! | `GET /groups`, `GET /rights`, `GET /expiry` | `{"groups": [{"name", "id"}]}`, `{"groups": [NAME]}`, `{"enforced"}` |
//! | `GET /groups/ID/members` | `{"members": [{"member", "expiresAt"}]}`, some time ago |
//! | `POST /groups/ID/members` `{"member", "expiresAt"}` | 202 `{"operation"}`; 409 |
//! | `POST /groups/ID/members/MEMBER/extend` `{"expiresAt"}` | 202 `{"operation"}`; 204; 404 |
//! | `DELETE /groups/ID/members/MEMBER` | 202 `{"operation"}`; 400 `ActiveDurationTooShort`; 404 |
//! | `POST /batch/additions` `{"items": [{"group", "member", "expiresAt", "notAfter"}]}` | 200 `{"answers": [{"status", "body"}]}` |
//! | `POST /batch/removals` `{"items": [{"group", "member"}]}` | 200 `{"answers": [{"status", "body"}]}` |
//! | `GET /operations/ID` | `{"state": "running" or "succeeded" or "failed", "error"}`; 404 |
//!
//! A write may carry the header `Not-After`, which is logged and not obeyed: stopping a late write is the client's task. A combined
//! call does and answers for each item, identified by the group's id, what the request for it alone does and answers. It costs one
//! request of the throttle, and the log shows it as one entry for each item.
//! For tests only, neither throttled nor logged: `GET` and `PUT /config`, `GET /access?group=NAME&member=`, `PUT /by-hand`
//! `{"group", "member", "present"}`, `GET /log`.
mod batch;
mod state;

pub use state::{Config, Throttle};

use crate::user::background;
use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::{Path, Query, Request, State as Extract},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use state::{OperationState, Refusal, State};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;

/// One request of a client, or one item of a combined one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The number of the request. The items of a combined call have the same.
    pub request: u64,
    /// When it came, in milliseconds since the epoch.
    pub at: i64,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// The time after which it is not sent, as the client says.
    pub not_after: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

impl Call {
    fn is(&self, method: &str, path: &str, status: u16) -> bool {
        self.method == method && self.path.contains(path) && self.status == status
    }
}

#[derive(Debug)]
struct Inner {
    identity: String,
    state: Mutex<State>,
    log: Mutex<Vec<Call>>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn record(&self, at: i64, entries: Vec<batch::Entry>, statuses: &[u16]) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let request = log.last().map_or(0, |last| last.request + 1);
        let calls = entries.into_iter().zip(statuses);
        log.extend(calls.map(|(e, status)| Call { request, at, method: e.method, path: e.path, not_after: e.not_after, status: *status }));
    }
}

/// A running directory, for the test that started it. It serves until the process ends.
#[derive(Clone, Debug)]
pub struct SimulatedDirectory {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl SimulatedDirectory {
    /// Serves a directory with these groups on a free port of loopback.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(groups: &[&str]) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            identity: format!("directory-{}-{}", address.port(), now()),
            state: Mutex::new(State::new(groups, now())),
            log: Mutex::default(),
        });
        let router = router(inner.clone());
        // In the runtime that lives as long as the process: the directory outlives the runtime of the test.
        background().spawn(async move { axum::serve(TcpListener::from_std(listener)?, router).await });
        Ok(SimulatedDirectory { inner, address })
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
    /// What it says it is.
    pub fn identity(&self) -> &str {
        &self.inner.identity
    }
    /// Changes how it behaves.
    pub fn configure(&self, config: Config) {
        self.inner.state().configure(config, now());
    }
    /// How it behaves.
    pub fn config(&self) -> Config {
        self.inner.state().config().clone()
    }
    /// Uses the access: whether the member is in the group at this moment, regardless of what reads show.
    pub fn has_access(&self, group: &str, member: &str) -> bool {
        self.inner.state().has_access(group, member, now())
    }
    /// Adds or removes a membership at once, as another administrator does.
    ///
    /// # Errors
    /// If there is no such group.
    pub fn set_by_hand(&self, group: &str, member: &str, present: bool) -> Result<()> {
        self.set_by_hand_before(group, member, present, Duration::ZERO)
    }
    /// The same, done this long ago: a membership has an age then.
    ///
    /// # Errors
    /// If there is no such group.
    pub fn set_by_hand_before(&self, group: &str, member: &str, present: bool, before: Duration) -> Result<()> {
        let at = now() - i64::try_from(before.as_millis())?;
        let done = self.inner.state().set_by_hand(group, member, present, at);
        done.map_err(|_| anyhow::anyhow!("there is no group {group}"))
    }
    /// Every request of clients so far.
    pub fn log(&self) -> Vec<Call> {
        self.inner.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// How many requests of clients had this method, a path that contains `path`, and this status.
    pub fn count(&self, method: &str, path: &str, status: u16) -> usize {
        self.log().iter().filter(|c| c.is(method, path, status)).count()
    }
    /// In how many requests these were sent: fewer than [`count`](Self::count) where calls were combined.
    pub fn requests(&self, method: &str, path: &str, status: u16) -> usize {
        self.log().iter().filter(|c| c.is(method, path, status)).map(|c| c.request).collect::<BTreeSet<_>>().len()
    }
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

type Directory = Extract<Arc<Inner>>;

fn router(inner: Arc<Inner>) -> Router {
    let for_clients = Router::new()
        .route("/identity", get(|Extract(d): Directory| async move { Json(json!({"id": d.identity})) }))
        .route("/groups", get(|Extract(d): Directory| async move { Json(json!({"groups": d.state().groups()})) }))
        .route("/rights", get(|Extract(d): Directory| async move { Json(json!({"groups": d.state().manageable()})) }))
        .route("/expiry", get(|Extract(d): Directory| async move { Json(json!({"enforced": d.state().config().expiry})) }))
        .route("/groups/{group}/members", get(members).post(add))
        .route("/groups/{group}/members/{member}", delete(remove))
        .route("/groups/{group}/members/{member}/extend", post(extend))
        .route(batch::ADDITIONS, post(batch::additions))
        .route(batch::REMOVALS, post(batch::removals))
        .route("/operations/{id}", get(operation))
        .route_layer(middleware::from_fn_with_state(inner.clone(), admit));
    let for_tests = Router::new()
        .route("/config", get(|Extract(d): Directory| async move { Json(d.state().config().clone()) }).put(configure))
        .route("/access", get(access))
        .route("/by-hand", put(by_hand))
        .route("/log", get(|Extract(d): Directory| async move { Json(d.log.lock().unwrap_or_else(PoisonError::into_inner).clone()) }));
    for_clients.merge(for_tests).with_state(inner)
}

/// Throttles, is unavailable, loses answers, logs, and answers late.
async fn admit(Extract(d): Directory, request: Request, next: Next) -> Response {
    let at = now();
    let (request, entries) = batch::entries(request).await;
    let (admitted, unavailable, late) = {
        let mut state = d.state();
        (state.admit(at), state.config().unavailable, state.config().answer_millis)
    };
    let answer = match admitted {
        Err(seconds) => {
            let body = refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "too many requests");
            ([(header::RETRY_AFTER, seconds.to_string())], body).into_response()
        }
        Ok(()) if unavailable => refusal(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "the directory is not available"),
        Ok(()) => {
            let answer = next.run(request).await;
            let accepted = statuses(&answer, entries.len()).contains(&StatusCode::ACCEPTED.as_u16());
            let lost = accepted && d.state().loses_answer();
            if lost { refusal(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "the answer was lost") } else { answer }
        }
    };
    let statuses = statuses(&answer, entries.len());
    d.record(at, entries, &statuses);
    tokio::time::sleep(Duration::from_millis(late)).await;
    answer
}

/// The statuses of an answer: of its items, or the same for all of these.
fn statuses(answer: &Response, items: usize) -> Vec<u16> {
    let of_items = answer.extensions().get::<batch::Statuses>().map(|s| s.0.clone());
    of_items.unwrap_or_else(|| vec![answer.status().as_u16(); items])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewMember {
    member: String,
    expires_at: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewEnd {
    expires_at: jiff::Timestamp,
}

#[derive(Deserialize)]
struct Access {
    group: String,
    member: String,
}

#[derive(Deserialize)]
struct ByHand {
    group: String,
    member: String,
    present: bool,
}

async fn members(Extract(d): Directory, Path(group): Path<String>) -> Response {
    let listed = d.state().members(&group, now());
    let shown = |m: &state::Member| {
        let end = m.expires_at.and_then(|t| jiff::Timestamp::from_millisecond(t).ok());
        json!({"member": m.member, "expiresAt": end.map(|t| t.to_string())})
    };
    answer(listed.map(|all| (StatusCode::OK, json!({"members": all.iter().map(shown).collect::<Vec<_>>()}))))
}

async fn add(Extract(d): Directory, Path(group): Path<String>, Json(new): Json<NewMember>) -> Response {
    let end = new.expires_at.map(|t| t.as_millisecond());
    answer(d.state().add(&group, &new.member, end, now()).map(started))
}

async fn extend(Extract(d): Directory, Path((group, member)): Path<(String, String)>, Json(new): Json<NewEnd>) -> Response {
    let begun = d.state().extend(&group, &member, new.expires_at.as_millisecond(), now());
    answer(begun.map(|id| id.map_or((StatusCode::NO_CONTENT, Value::Null), started)))
}

async fn remove(Extract(d): Directory, Path((group, member)): Path<(String, String)>) -> Response {
    answer(d.state().remove(&group, &member, now()).map(started))
}

async fn operation(Extract(d): Directory, Path(id): Path<String>) -> Response {
    let found = d.state().operation(&id, now());
    answer(found.map(|state| match state {
        OperationState::Running => (StatusCode::OK, json!({"state": "running"})),
        OperationState::Succeeded => (StatusCode::OK, json!({"state": "succeeded"})),
        OperationState::Failed(error) => (StatusCode::OK, json!({"state": "failed", "error": error})),
    }))
}

async fn configure(Extract(d): Directory, Json(config): Json<Config>) -> StatusCode {
    d.state().configure(config, now());
    StatusCode::NO_CONTENT
}

async fn access(Extract(d): Directory, Query(of): Query<Access>) -> Json<Value> {
    Json(json!({"allowed": d.state().has_access(&of.group, &of.member, now())}))
}

async fn by_hand(Extract(d): Directory, Json(change): Json<ByHand>) -> Response {
    let done = d.state().set_by_hand(&change.group, &change.member, change.present, now());
    answer(done.map(|()| (StatusCode::NO_CONTENT, Value::Null)))
}

fn started(id: String) -> (StatusCode, Value) {
    (StatusCode::ACCEPTED, json!({"operation": id}))
}

fn answer(done: Result<(StatusCode, Value), Refusal>) -> Response {
    match outcome(done) {
        (StatusCode::NO_CONTENT, _) => StatusCode::NO_CONTENT.into_response(),
        (status, body) => (status, Json(body)).into_response(),
    }
}

/// The status and the body of an answer.
fn outcome(done: Result<(StatusCode, Value), Refusal>) -> (StatusCode, Value) {
    let (status, code, message) = match done {
        Ok(answer) => return answer,
        Err(Refusal::DoesNotExist) => (StatusCode::NOT_FOUND, "DoesNotExist", "it does not exist"),
        Err(Refusal::AlreadyExists) => (StatusCode::CONFLICT, "AlreadyExists", "the membership exists already"),
        Err(Refusal::ActiveDurationTooShort) => {
            (StatusCode::BAD_REQUEST, "ActiveDurationTooShort", "the membership is too young to be removed")
        }
        Err(Refusal::UnknownMember) => (StatusCode::BAD_REQUEST, "UnknownMember", "there is no such member"),
        Err(Refusal::Forbidden) => (StatusCode::FORBIDDEN, "Forbidden", "the members of this group are not yours to change"),
    };
    (status, error(code, message))
}

fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(error(code, message))).into_response()
}
