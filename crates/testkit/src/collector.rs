//! A collector of traces: takes OTLP/HTTP in JSON, reads it strictly by the names of opentelemetry-proto, and keeps the spans.
use super::{
    SOON, eventually,
    tls::{TlsListener, acceptor},
};
use anyhow::{Result, ensure};
use axum::{Json, Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpListener;

/// How a collector answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Answers {
    /// It takes what it can read.
    #[default]
    Takes,
    /// It answers 503.
    Refuses,
    /// It takes connections and never answers.
    Hangs,
}

/// A span that was received.
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    /// The trace, 32 hex digits.
    pub trace: String,
    /// The span, 16 hex digits.
    pub id: String,
    /// The span above it; empty for a root.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// When it began and ended, in nanoseconds since the Unix epoch.
    pub times: (u64, u64),
    /// Whether its status is an error.
    pub failed: bool,
    /// The attributes, values as text.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the process that has sent it.
    pub resource: BTreeMap<String, String>,
}

/// A collector. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Collector(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    answers: Answers,
    spans: Vec<ReceivedSpan>,
    authorizations: BTreeSet<String>,
    requests: usize,
    unreadable: Vec<String>,
}

impl Collector {
    /// Serves HTTP on loopback, and returns the endpoint for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn serve_http(&self) -> Result<String> {
        let (router, listener) = (self.router(), TcpListener::bind("127.0.0.1:0").await?);
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(url)
    }

    /// The same over TLS, with the certificate of the control plane whose files are in `dir`.
    ///
    /// # Errors
    /// If there is no free port, or the files cannot be read.
    pub async fn serve_https(&self, dir: &Path) -> Result<String> {
        let (router, tcp) = (self.router(), TcpListener::bind("127.0.0.1:0").await?);
        let url = format!("https://{}", tcp.local_addr()?);
        let listener = TlsListener { tcp, acceptor: acceptor(dir)? };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(url)
    }

    fn router(&self) -> Router {
        Router::new().route("/v1/traces", post(take)).with_state(self.clone())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it answers from now on.
    pub fn set(&self, answers: Answers) {
        self.kept().answers = answers;
    }

    /// How many requests have come, answered or not.
    pub fn requests(&self) -> usize {
        self.kept().requests
    }

    /// The values of the header `authorization`.
    pub fn authorizations(&self) -> BTreeSet<String> {
        self.kept().authorizations.clone()
    }

    /// The spans of a trace so far, each once, as it came last.
    pub fn spans(&self, trace: &str) -> Vec<ReceivedSpan> {
        let kept = self.kept();
        let of = kept.spans.iter().filter(|span| span.trace == trace);
        of.map(|span| (span.id.clone(), span.clone())).collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// How often a span of this name came in a trace.
    pub fn times(&self, trace: &str, name: &str) -> usize {
        self.kept().spans.iter().filter(|span| span.trace == trace && span.name == name).count()
    }

    /// Waits until a trace has its root span, and returns its spans: one root, every parent is there, and nothing ends before it begins.
    ///
    /// # Errors
    /// If the root does not come soon, or the trace is not whole.
    pub async fn whole(&self, trace: &str) -> Result<Vec<ReceivedSpan>> {
        let root = |spans: &[ReceivedSpan]| spans.iter().any(|span| span.parent.is_empty());
        let what = format!("the root span of {trace}");
        let spans = eventually(&what, SOON, || async {
            ensure!(self.kept().unreadable.is_empty(), "{:?}", self.kept().unreadable);
            Ok(Some(self.spans(trace)).filter(|spans| root(spans)))
        });
        drop(spans.await?);
        // What came with it, or a moment later from another process.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let spans = self.spans(trace);
        ensure!(spans.iter().filter(|span| span.parent.is_empty()).count() == 1, "one root: {spans:#?}");
        for span in &spans {
            ensure!(span.parent.is_empty() || spans.iter().any(|other| other.id == span.parent), "no parent of {span:#?} in {spans:#?}");
            ensure!(span.times.0 <= span.times.1, "{span:#?}");
        }
        Ok(spans)
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> (StatusCode, Json<Value>) {
    let answers = {
        let mut kept = collector.kept();
        kept.requests += 1;
        kept.authorizations.extend(headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned));
        kept.answers
    };
    match answers {
        Answers::Takes => {}
        Answers::Refuses => return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"message": "away"}))),
        Answers::Hangs => std::future::pending().await,
    }
    let is_json = headers.get("content-type").is_some_and(|kind| kind == "application/json");
    match serde_json::from_slice::<otlp::Request>(&body) {
        Ok(request) if is_json => {
            collector.kept().spans.extend(request.spans());
            (StatusCode::OK, Json(json!({})))
        }
        unreadable => {
            collector.kept().unreadable.push(format!("{:?}: {}", unreadable.err(), String::from_utf8_lossy(&body)));
            (StatusCode::BAD_REQUEST, Json(json!({"message": "not OTLP"})))
        }
    }
}

/// `ExportTraceServiceRequest` in JSON. What is not named here is refused.
mod otlp {
    use super::{BTreeMap, Deserialize, ReceivedSpan, Value};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Request {
        resource_spans: Vec<ResourceSpans>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct ResourceSpans {
        resource: Resource,
        scope_spans: Vec<ScopeSpans>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Resource {
        attributes: Vec<KeyValue>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ScopeSpans {
        #[allow(dead_code)]
        scope: Scope,
        spans: Vec<Span>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Scope {
        name: String,
        version: String,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct KeyValue {
        key: String,
        value: AnyValue,
    }
    #[derive(Deserialize)]
    enum AnyValue {
        #[serde(rename = "stringValue")]
        Text(String),
        #[serde(rename = "boolValue")]
        Flag(bool),
        #[serde(rename = "intValue")]
        Number(String),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Span {
        trace_id: String,
        span_id: String,
        #[serde(default)]
        parent_span_id: String,
        name: String,
        kind: u8,
        start_time_unix_nano: String,
        end_time_unix_nano: String,
        attributes: Vec<KeyValue>,
        events: Vec<Event>,
        #[serde(default)]
        #[allow(dead_code)]
        dropped_events_count: u32,
        #[allow(dead_code)]
        links: Vec<Value>,
        status: Status,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[allow(dead_code)]
    struct Event {
        time_unix_nano: String,
        name: String,
        attributes: Vec<KeyValue>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Status {
        #[serde(default)]
        code: u8,
        #[serde(default)]
        #[allow(dead_code)]
        message: String,
    }

    fn texts(all: &[KeyValue]) -> BTreeMap<String, String> {
        let text = |value: &AnyValue| match value {
            AnyValue::Text(text) | AnyValue::Number(text) => text.clone(),
            AnyValue::Flag(flag) => flag.to_string(),
        };
        all.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
    }

    impl Request {
        /// Its spans, flat. A time that is not a number is zero, and an id that is not valid is `invalid`.
        pub fn spans(self) -> Vec<ReceivedSpan> {
            let mut all = Vec::new();
            for of in self.resource_spans {
                let resource = texts(&of.resource.attributes);
                for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    let id = |text: String, digits: usize| {
                        let valid = text.len() == digits && text.bytes().all(|c| c.is_ascii_hexdigit()) && text.bytes().any(|c| c != b'0');
                        if valid { text } else { "invalid".to_owned() }
                    };
                    let mut attributes = texts(&span.attributes);
                    attributes.insert("kind".into(), span.kind.to_string());
                    attributes.insert("events".into(), span.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>().join(","));
                    all.push(ReceivedSpan {
                        trace: id(span.trace_id, 32),
                        id: id(span.span_id, 16),
                        parent: if span.parent_span_id.is_empty() { String::new() } else { id(span.parent_span_id, 16) },
                        name: span.name,
                        times: (span.start_time_unix_nano.parse().unwrap_or(0), span.end_time_unix_nano.parse().unwrap_or(0)),
                        failed: span.status.code == 2,
                        attributes,
                        resource: resource.clone(),
                    });
                }
            }
            all
        }
    }
}
