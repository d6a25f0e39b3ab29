//! A collector of traces: takes OTLP/HTTP in JSON, reads it strictly by the names of opentelemetry-proto, and keeps the spans.
use super::{SOON, eventually, tls};
use anyhow::{Context, Result, ensure};
use axum::{Json, Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

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
    /// Serves HTTPS on loopback, with the certificate of the control plane whose files are in `dir`, and returns the endpoint for
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    ///
    /// # Errors
    /// If there is no free port, or the files cannot be read.
    pub async fn serve_https(&self, dir: &Path) -> Result<String> {
        tls::serve(self.router(), dir).await
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

    /// Waits until a trace has its root span and every parent of its spans, and returns its spans: one root, and nothing ends before it
    /// begins.
    ///
    /// # Errors
    /// If a span is missing for long, there are two roots, or something that came cannot be read.
    pub async fn whole(&self, trace: &str) -> Result<Vec<ReceivedSpan>> {
        let what = format!("the root span of {trace} and every parent");
        let spans = eventually(&what, SOON, || async {
            ensure!(self.kept().unreadable.is_empty(), "{:?}", self.kept().unreadable);
            let spans = self.spans(trace);
            let has_parent = |span: &ReceivedSpan| span.parent.is_empty() || spans.iter().any(|other| other.id == span.parent);
            let whole = spans.iter().all(has_parent) && spans.iter().any(|span| span.parent.is_empty());
            Ok(whole.then_some(spans))
        })
        .await?;
        ensure!(spans.iter().filter(|span| span.parent.is_empty()).count() == 1, "one root: {spans:#?}");
        ensure!(spans.iter().all(|span| span.times.0 <= span.times.1), "{spans:#?}");
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
    let read = serde_json::from_slice::<otlp::Request>(&body).map_err(anyhow::Error::from).and_then(otlp::Request::spans);
    match read {
        Ok(spans) if is_json => {
            collector.kept().spans.extend(spans);
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
    use super::{BTreeMap, Context, Deserialize, ReceivedSpan, Result, ensure};

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
        scope: Scope,
        spans: Vec<Span>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
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
        dropped_events_count: u32,
        links: Vec<Link>,
        status: Status,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Link {
        trace_id: String,
        span_id: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
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
        message: String,
    }

    fn texts(all: &[KeyValue]) -> BTreeMap<String, String> {
        let text = |value: &AnyValue| match value {
            AnyValue::Text(text) | AnyValue::Number(text) => text.clone(),
            AnyValue::Flag(flag) => flag.to_string(),
        };
        all.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
    }

    /// An id of so many hex digits that is not all zero.
    fn id(text: &str, digits: usize) -> Result<String> {
        let valid = text.len() == digits && text.bytes().all(|c| c.is_ascii_hexdigit()) && text.bytes().any(|c| c != b'0');
        ensure!(valid, "{text} is not an id of {digits} hex digits");
        Ok(text.to_owned())
    }

    /// Nanoseconds since the Unix epoch, which are not in its first second.
    fn time(text: &str) -> Result<u64> {
        let nanos = text.parse().with_context(|| format!("{text} is not a time"))?;
        ensure!(nanos > 1_000_000_000, "{text} is too early for a span");
        Ok(nanos)
    }

    impl Span {
        fn read(&self, resource: &BTreeMap<String, String>) -> Result<ReceivedSpan> {
            // SPAN_KIND_INTERNAL and SPAN_KIND_CLIENT; STATUS_CODE_UNSET and STATUS_CODE_ERROR, which alone has a message.
            ensure!([1, 3].contains(&self.kind), "kind {}", self.kind);
            ensure!([0, 2].contains(&self.status.code) && (self.status.code == 2) != self.status.message.is_empty(), "the status");
            for link in &self.links {
                id(&link.trace_id, 32)?;
                id(&link.span_id, 16)?;
            }
            for event in &self.events {
                time(&event.time_unix_nano)?;
                ensure!(!event.name.is_empty() && !event.attributes.is_empty(), "an event that says nothing");
            }
            ensure!(self.dropped_events_count == 0 || !self.events.is_empty(), "events are left out, and none is there");
            Ok(ReceivedSpan {
                trace: id(&self.trace_id, 32)?,
                id: id(&self.span_id, 16)?,
                parent: if self.parent_span_id.is_empty() { String::new() } else { id(&self.parent_span_id, 16)? },
                name: self.name.clone(),
                times: (time(&self.start_time_unix_nano)?, time(&self.end_time_unix_nano)?),
                failed: self.status.code == 2,
                attributes: texts(&self.attributes),
                resource: resource.clone(),
            })
        }
    }

    impl Request {
        /// Its spans, flat.
        ///
        /// # Errors
        /// If an id, a time, a kind or a status is not as the specification has it.
        pub fn spans(self) -> Result<Vec<ReceivedSpan>> {
            let mut all = Vec::new();
            for of in &self.resource_spans {
                let resource = texts(&of.resource.attributes);
                for scope in &of.scope_spans {
                    ensure!(scope.scope.name == "curfew" && !scope.scope.version.is_empty(), "the scope");
                    for span in &scope.spans {
                        all.push(span.read(&resource).with_context(|| format!("span {}", span.name))?);
                    }
                }
            }
            Ok(all)
        }
    }
}
