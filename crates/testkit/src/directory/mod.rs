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
//! | `GET /operations/ID` | `{"state": "running" or "succeeded" or "failed", "error"}`; 404 |
//!
//! A write may carry the header `Not-After`, which is logged and not obeyed: stopping a late write is the client's task.
//! For tests only, neither throttled nor logged: `GET` and `PUT /config`, `GET /access?group=NAME&member=`, `PUT /by-hand`
//! `{"group", "member", "present"}`, `GET /log`.
mod state;

pub use state::{Config, Throttle};

use crate::user::background;
use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::{Path, Query, Request, State as Extract},
    http::{HeaderName, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use state::{OperationState, Refusal, State};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When it came, in milliseconds since the epoch.
    pub at: i64,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its header `Not-After`.
    pub not_after: Option<String>,
    /// The status of the answer.
    pub status: u16,
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
        let done = self.inner.state().set_by_hand(group, member, present, now());
        done.map_err(|_| anyhow::anyhow!("there is no group {group}"))
    }
    /// Every request of clients so far.
    pub fn log(&self) -> Vec<Call> {
        self.inner.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// How many requests of clients had this method, a path that contains `path`, and this status.
    pub fn count(&self, method: &str, path: &str, status: u16) -> usize {
        self.log().iter().filter(|c| c.method == method && c.path.contains(path) && c.status == status).count()
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
        .route("/operations/{id}", get(operation))
        .route_layer(middleware::from_fn_with_state(inner.clone(), admit));
    let for_tests = Router::new()
        .route("/config", get(|Extract(d): Directory| async move { Json(d.state().config().clone()) }).put(configure))
        .route("/access", get(access))
        .route("/by-hand", put(by_hand))
        .route("/log", get(|Extract(d): Directory| async move { Json(d.log.lock().unwrap_or_else(PoisonError::into_inner).clone()) }));
    for_clients.merge(for_tests).with_state(inner)
}

/// Throttles, is unavailable, loses answers, and logs.
async fn admit(Extract(d): Directory, request: Request, next: Next) -> Response {
    let not_after = request.headers().get(HeaderName::from_static("not-after")).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let at = now();
    let (admitted, unavailable) = {
        let mut state = d.state();
        (state.admit(at), state.config().unavailable)
    };
    let answer = match admitted {
        Err(seconds) => {
            let body = refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "too many requests");
            ([(header::RETRY_AFTER, seconds.to_string())], body).into_response()
        }
        Ok(()) if unavailable => refusal(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "the directory is not available"),
        Ok(()) => {
            let answer = next.run(request).await;
            let lost = answer.status() == StatusCode::ACCEPTED && d.state().loses_answer();
            if lost { refusal(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", "the answer was lost") } else { answer }
        }
    };
    let call = Call { at, method, path, not_after, status: answer.status().as_u16() };
    d.log.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    answer
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

fn answer(outcome: Result<(StatusCode, Value), Refusal>) -> Response {
    match outcome {
        Ok((StatusCode::NO_CONTENT, _)) => StatusCode::NO_CONTENT.into_response(),
        Ok((status, body)) => (status, Json(body)).into_response(),
        Err(Refusal::DoesNotExist) => refusal(StatusCode::NOT_FOUND, "DoesNotExist", "it does not exist"),
        Err(Refusal::AlreadyExists) => refusal(StatusCode::CONFLICT, "AlreadyExists", "the membership exists already"),
        Err(Refusal::ActiveDurationTooShort) => {
            refusal(StatusCode::BAD_REQUEST, "ActiveDurationTooShort", "the membership is too young to be removed")
        }
        Err(Refusal::Forbidden) => refusal(StatusCode::FORBIDDEN, "Forbidden", "the members of this group are not yours to change"),
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
}
