//! The endpoint that clients use: it stands in front of the emulators, records every call, and does to calls what a test asks for.
use super::{
    client::{REGION, decoded, send},
    faults::{AwsCall, Bucket, Fault, Held, Rule},
    identity_center::IdentityCenter,
};
use crate::{directory::Throttle, user::background};
use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::Full;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;

/// How long a body may be, in bytes.
const BODY_LIMIT: usize = 1 << 20;

pub(super) struct Inner {
    /// Of the emulator of IAM, STS and S3.
    ministack: String,
    /// Of the emulator of Identity Center.
    moto: String,
    address: SocketAddr,
    state: Mutex<Steering>,
    pub identity_center: IdentityCenter,
    ids: AtomicU64,
}

/// What tests have asked for, and what was seen.
#[derive(Default)]
struct Steering {
    /// The account of each access key.
    accounts: HashMap<String, String>,
    rules: Vec<Rule>,
    buckets: HashMap<String, Bucket>,
    lags: HashMap<String, Duration>,
    calls: Vec<AwsCall>,
}

/// The endpoint. It serves until the process ends.
#[derive(Clone)]
pub struct AwsProxy {
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for AwsProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.endpoint())
    }
}

impl AwsProxy {
    /// In front of these emulators, on a free port of loopback.
    pub(super) async fn start(ministack: String, moto: String) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let identity_center = IdentityCenter::new(moto.clone());
        let inner = Arc::new(Inner { ministack, moto, address, state: Mutex::default(), identity_center, ids: AtomicU64::new(0) });
        let router = Router::new().fallback(serve).with_state(inner.clone());
        background().spawn(async move { axum::serve(TcpListener::from_std(listener)?, router).await });
        Ok(AwsProxy { inner })
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.inner.address)
    }
    /// Does this to the next `times` calls that match. The first rule that matches a call holds.
    pub fn fault(&self, times: usize, fault: Fault, matches: impl Fn(&AwsCall) -> bool + Send + Sync + 'static) -> u64 {
        let id = self.inner.ids.fetch_add(1, Ordering::Relaxed);
        self.inner.state().rules.push(Rule { id, matches: Box::new(matches), fault, left: times });
        id
    }
    /// Takes a rule back.
    pub fn no_fault(&self, id: u64) {
        self.inner.state().rules.retain(|rule| rule.id != id);
    }
    /// Holds the calls that match until they are released.
    pub fn hold(&self, times: usize, matches: impl Fn(&AwsCall) -> bool + Send + Sync + 'static) -> Held {
        let held = Held::new();
        self.fault(times, Fault::Hold(held.clone()), matches);
        held
    }
    /// Throttles the IAM calls of an account, or no longer.
    pub fn throttle(&self, account: &str, throttle: Option<Throttle>) {
        let mut state = self.inner.state();
        match throttle {
            Some(throttle) => state.buckets.insert(account.into(), Bucket::new(throttle)),
            None => state.buckets.remove(account),
        };
    }
    /// Lets reads and authorization of an account lag behind its writes.
    pub fn lag(&self, account: &str, lag: Duration) {
        self.inner.state().lags.insert(account.into(), lag);
    }
    /// How long assignments of Identity Center take, and whether a second write meanwhile is a conflict.
    pub fn slow_assignments(&self, millis: u64) {
        self.inner.identity_center.slow(millis);
    }
    /// Every call so far that matches, in the order in which they were answered.
    pub fn calls(&self, matches: impl Fn(&AwsCall) -> bool) -> Vec<AwsCall> {
        self.inner.state().calls.iter().filter(|c| matches(c)).cloned().collect()
    }
    /// Says which account a key is of.
    pub(super) fn register(&self, key: &str, account: &str) {
        self.inner.state().accounts.insert(key.into(), account.into());
    }
    /// The emulator itself, past all faults.
    pub(super) fn emulator(&self) -> &str {
        &self.inner.ministack
    }
}

/// Milliseconds since the epoch.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, Steering> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request is: whose, and which action.
    fn call(&self, head: &Parts, body: &[u8]) -> AwsCall {
        let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let scope = header("authorization").split("Credential=").nth(1).unwrap_or_default();
        let scope: Vec<&str> = scope.split([',', ' ']).next().unwrap_or_default().split('/').collect();
        let part = |n: usize| scope.get(n).copied().unwrap_or_default().to_owned();
        let (key, service) = (part(0), part(3));
        let account = if key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit()) {
            key.clone()
        } else {
            self.state().accounts.get(&key).cloned().unwrap_or_default()
        };
        let text = String::from_utf8_lossy(body).into_owned();
        let target = header("x-amz-target").rsplit('.').next().unwrap_or_default().to_owned();
        let (action, parameters) = if !target.is_empty() {
            (target, [(String::new(), text)].into())
        } else if service == "s3" {
            (format!("{} {}", head.method, head.uri.path()), [].into())
        } else {
            let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
            let mut all: std::collections::BTreeMap<_, _> = pairs.map(|(k, v)| (decoded(k), decoded(v))).collect();
            (all.remove("Action").unwrap_or_default(), all)
        };
        AwsCall { at: now(), service, action, key, account, parameters, status: 0, code: None }
    }

    /// What is to happen to a call.
    fn fault_of(&self, call: &AwsCall) -> Option<Fault> {
        let mut state = self.state();
        let throttled = call.service == "iam" && state.buckets.get_mut(&call.account).is_some_and(|b| !b.take(Instant::now()));
        if throttled {
            return Some(Fault::Refuse(400, "Throttling"));
        }
        let rule = state.rules.iter_mut().find(|rule| rule.left > 0 && (rule.matches)(call))?;
        rule.left -= 1;
        Some(rule.fault.clone())
    }

    /// Takes a call to its emulator, and remembers which account new keys are of.
    async fn forward(&self, head: &Parts, body: &Bytes, call: &AwsCall) -> Result<Response> {
        let center = matches!(call.service.as_str(), "sso" | "identitystore");
        if center && let Some(answer) = self.identity_center.answer(call).await? {
            return Ok(answer);
        }
        let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
        let mut request = http::Request::builder()
            .method(head.method.clone())
            .uri(format!("{}{path}", if center { &self.moto } else { &self.ministack }));
        if let Some(headers) = request.headers_mut() {
            *headers = head.headers.clone();
            headers.remove("connection");
            if center {
                headers.insert("x-moto-account-id", HeaderValue::from_str(&call.account)?);
            }
            let lag = self.state().lags.get(&call.account).copied().unwrap_or_default();
            if !lag.is_zero() {
                headers.insert("x-emulator-lag", HeaderValue::from_str(&lag.as_millis().to_string())?);
            }
        }
        let (status, headers, body) = send(request.body(Full::from(body.clone()))?).await?;
        if matches!(call.action.as_str(), "CreateAccessKey" | "AssumeRole") && status == 200 {
            let text = String::from_utf8_lossy(&body);
            let key = text.split("<AccessKeyId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
            let of_role = call.parameter("RoleArn").split(':').nth(4);
            self.state().accounts.insert(key.into(), of_role.unwrap_or(&call.account).into());
        }
        Ok(answer(status, &headers, body))
    }
}

async fn serve(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    // A task of its own: what is on its way arrives, even if its client has given up.
    let carried = background().spawn(async move { carry(&inner, head, body).await });
    carried.await.ok().flatten().unwrap_or_else(no_answer)
}

/// Carries out one call; nothing if its answer is lost.
async fn carry(inner: &Inner, head: Parts, body: Bytes) -> Option<Response> {
    let mut call = inner.call(&head, &body);
    let fault = inner.fault_of(&call);
    let (mut lost, mut late, mut gate) = (false, Duration::ZERO, None);
    let answer = match fault {
        Some(Fault::Refuse(status, code)) => Ok(refusal(&call.service, status, code)),
        other => {
            match other {
                Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
                Some(Fault::Hold(held)) => {
                    held.pass().await;
                    gate = Some(held);
                }
                Some(Fault::LoseAnswer) => lost = true,
                Some(Fault::LateAnswer(time)) => late = time,
                Some(Fault::Refuse(..)) | None => {}
            }
            inner.forward(&head, &body, &call).await
        }
    };
    // An emulator that does not answer is a failure of the test, and says why.
    let answer = answer.unwrap_or_else(|e| (StatusCode::BAD_GATEWAY, format!("<Code>NoEmulator</Code>{e:#}")).into_response());
    let (status, headers, body) =
        (answer.status(), answer.headers().clone(), to_bytes(answer.into_body(), BODY_LIMIT).await.unwrap_or_default());
    let seen = super::client::Answer { status: status.as_u16(), body: String::from_utf8_lossy(&body).into_owned() };
    (call.status, call.code) = if lost { (0, None) } else { (seen.status, seen.code()) };
    if let Some(held) = gate {
        held.note(&call);
    }
    inner.state().calls.push(call);
    tokio::time::sleep(late).await;
    (!lost).then(|| self::answer(status.as_u16(), &headers, body))
}

fn answer(status: u16, headers: &HeaderMap, body: Bytes) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    for name in ["content-type", "x-amzn-requestid", "x-amzn-errortype"] {
        if let Some(value) = headers.get(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// An answer whose body breaks off, so that the connection is closed.
fn no_answer() -> Response {
    Response::new(Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("the answer is lost")) })))
}

/// A refusal in the protocol of the service.
pub(super) fn refusal(service: &str, status: u16, code: &str) -> Response {
    let message = match code {
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" => "Rate exceeded",
        _ => "refused by the test",
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    if matches!(service, "sso" | "identitystore") {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code)];
        return (status, headers.map(|(n, v)| (n, v.to_owned())), json_body(code, message).to_string()).into_response();
    }
    let (fault, id) = (if status.is_server_error() { "Receiver" } else { "Sender" }, "00000000-0000-0000-0000-000000000000");
    let body = format!(
        "<ErrorResponse xmlns=\"https://{service}.amazonaws.com/\"><Error><Type>{fault}</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
    );
    (status, [("content-type", "text/xml")], body).into_response()
}

fn json_body(code: &str, message: &str) -> Value {
    json!({"__type": code, "Message": message, "message": message})
}

/// For the environment of a client: everything goes to this endpoint.
pub(super) fn environment(endpoint: &str, keys: &super::client::Keys) -> Vec<(String, String)> {
    let services = ["IAM", "STS", "SSO_ADMIN", "IDENTITYSTORE", "S3"].map(|s| (format!("AWS_ENDPOINT_URL_{s}"), endpoint.to_owned()));
    let mut all: Vec<(String, String)> = services.into();
    all.push(("AWS_ACCESS_KEY_ID".into(), keys.access_key.clone()));
    all.push(("AWS_SECRET_ACCESS_KEY".into(), keys.secret.clone()));
    all.extend(keys.token.clone().map(|t| ("AWS_SESSION_TOKEN".into(), t)));
    all.push(("AWS_REGION".into(), REGION.into()));
    all.push(("AWS_EC2_METADATA_DISABLED".into(), "true".into()));
    all
}
