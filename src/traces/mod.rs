//! Traces of requests, opt-in: one trace for each ActivationRequest and AssignmentRequest, sent to a collector by OTLP/HTTP.
//!
//! ```text
//! controllers ── Record ─▶ queue ─▶ recorder ── spans ─▶ queue ─▶ exporter ── OTLP ─▶ collector
//! ```
//!
//! Controllers hand over what they have stored, reduced to what spans need, and wait for nothing: a queue that is full costs spans, which are counted, and
//! nothing else. Everything that could fail or take time is in two tasks of their own, which nothing depends on. What the ids and times of
//! spans follow from is stored in the objects (`ids`, `life`), so that no process has to know what another one has exported.
mod export;
pub mod ids;
mod learn;
pub mod life;
pub mod recorder;
pub mod settings;
pub mod span;

use crate::{
    api::{ActivationRequest, AssignmentRequest, Grant},
    observe::{Metrics, SpanLoss},
    runtime::http::{EndpointClient, HttpClient},
};
use curfew_core::time::Time;
use export::Exporter;
use life::About;
use parking_lot::Mutex;
use recorder::{Call, Record, Recorder};
use settings::Settings;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle};

/// How many records wait for their spans, at most.
const RECORDS: usize = 1024;

/// Where controllers hand over what they have done. Clones share it. Off by default.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<On>>);

struct On {
    queue: Mutex<Option<mpsc::Sender<Record>>>,
    exporter: Mutex<Option<JoinHandle<()>>>,
    wanted: Mutex<Wanted>,
    metrics: Arc<Metrics>,
}

/// What a replica that begins to lead reads as it is stored.
#[derive(Default)]
struct Wanted {
    /// The last term in which it has looked for them.
    term: u64,
    /// The requests that had ended a moment before, and are not read yet.
    requests: HashSet<(About, (String, String))>,
}

/// Whose traces they are.
pub struct Process<'a> {
    /// The name of the replica.
    pub replica: &'a str,
    /// What no other process has or had.
    pub id: String,
    /// The install id.
    pub install: &'a str,
    /// `operator` or `revoker`.
    pub component: &'static str,
}

impl Traces {
    /// As the environment says, on this runtime. Wrong settings are logged, and then there are no traces: revocation goes on
    /// without them.
    pub fn from_environment(process: &Process<'_>, metrics: &Arc<Metrics>) -> Self {
        match settings::parse(|name| std::env::var(name).ok()) {
            Ok(None) => Traces::default(),
            Ok(Some(settings)) => {
                tracing::info!(endpoint = settings.endpoint.authority().map(ToString::to_string), "traces are exported");
                Self::start(settings, process, metrics)
            }
            Err(error) => {
                tracing::error!(error, "traces are off, since their settings are wrong");
                Traces::default()
            }
        }
    }

    /// Starts the tasks on this runtime.
    pub fn start(settings: Settings, process: &Process<'_>, metrics: &Arc<Metrics>) -> Self {
        let (queue, mut records) = mpsc::channel(RECORDS);
        let (made, spans) = mpsc::channel(settings.queue);
        let exporter = Exporter {
            resource: resource(&settings, process),
            settings,
            metrics: metrics.clone(),
            platform: HttpClient::default(),
            own: EndpointClient::default(),
        };
        let (mut recorder, counted) = (Recorder::new(process.id.clone()), metrics.clone());
        tokio::spawn(async move {
            while let Some(record) = records.recv().await {
                let new = recorder.record(record);
                counted.lose_spans(SpanLoss::TooManyCalls, new.left_out);
                for span in new.spans {
                    if made.try_send(span).is_err() {
                        counted.lose_spans(SpanLoss::QueueFull, 1);
                    }
                }
            }
        });
        let exporter = Mutex::new(Some(tokio::spawn(exporter.run(spans))));
        Traces(Some(Arc::new(On { queue: Mutex::new(Some(queue)), exporter, wanted: Mutex::default(), metrics: metrics.clone() })))
    }

    /// Whether there are traces.
    pub const fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands over a record. It is made only if there are traces and a place for it, and without a lock: what revokes must not wait for what
    /// is made of a request.
    fn hand_over(&self, record: impl FnOnce() -> Record) {
        let Some(on) = &self.0 else { return };
        let queue = on.queue.lock().clone();
        match queue.as_ref().map(mpsc::Sender::try_reserve) {
            Some(Ok(place)) => place.send(record()),
            Some(Err(_)) | None => on.metrics.lose_spans(SpanLoss::QueueFull, 1),
        }
    }

    /// The status of a request was stored.
    pub fn request(&self, before: &ActivationRequest, after: &ActivationRequest, grant: Option<&Grant>, at: Time) {
        self.hand_over(|| Record::request(before, after, grant, at));
    }

    /// A replica looks at a request. `whole`: it was read as it is stored, by a replica that begins to lead.
    pub fn request_seen(&self, request: &ActivationRequest, grant: impl FnOnce() -> Option<Arc<Grant>>, whole: bool, at: Time) {
        if !is_long_over(request.status.as_ref().and_then(|status| status.ended_at), at) {
            self.hand_over(|| Record::request_seen(request, grant().as_deref(), whole, at));
        }
    }

    /// The status of an AssignmentRequest was stored.
    pub fn assignment(&self, before: &AssignmentRequest, after: &AssignmentRequest, at: Time) {
        self.hand_over(|| Record::assignment(before, after, at));
    }

    /// A replica looks at an AssignmentRequest.
    pub fn assignment_seen(&self, request: &AssignmentRequest, whole: bool, at: Time) {
        if !is_long_over(request.status.as_ref().and_then(|status| status.ended_at), at) {
            self.hand_over(|| Record::assignment_seen(request, whole, at));
        }
    }

    /// Whether this replica has not looked yet, in this term of its lease, for what has ended a moment before. Says so once for each term.
    pub fn begins(&self, term: u64) -> bool {
        let Some(on) = &self.0 else { return false };
        let mut wanted = on.wanted.lock();
        let begins = wanted.term != term;
        if begins {
            *wanted = Wanted { term, ..Wanted::default() };
        }
        begins
    }

    /// Notes that the next reconcile of this request reads it as it is stored, if it has ended a moment ago; whether that is so.
    pub fn want(&self, about: About, key: (String, String), ended: Option<Time>, at: Time) -> bool {
        let Some(on) = self.0.as_ref().filter(|_| ended.is_some() && !is_long_over(ended, at)) else { return false };
        on.wanted.lock().requests.insert((about, key))
    }

    /// Whether the request was to be read as it is stored.
    pub fn take_wanted(&self, about: About, key: &(String, String)) -> bool {
        self.0.as_ref().is_some_and(|on| on.wanted.lock().requests.remove(&(about, key.clone())))
    }

    /// The leader finds that a request of this namespace and name does not exist.
    pub fn deleted(&self, about: About, key: &(String, String), at: Time) {
        self.hand_over(|| Record::Deleted { about, key: key.clone(), at });
    }

    /// The status of a Grant was stored.
    pub fn grant(&self, before: &Grant, after: &Grant, at: Time) {
        self.hand_over(|| Record::grant(before, after, at));
    }

    /// The leader looks at a Grant that has ended and whose request was deleted.
    pub fn orphan(&self, grant: &Grant, at: Time) {
        if !is_long_over(grant.status.as_ref().and_then(|status| status.revoked_at), at) {
            self.hand_over(|| Record::orphan(grant, at));
        }
    }

    /// The target was called.
    pub fn call(&self, grant: impl FnOnce() -> Grant, call: Call) {
        self.hand_over(|| Record::call(&grant(), call));
    }

    /// Waits at most `limit` until what is queued is exported, and takes nothing any more.
    pub async fn finish(&self, limit: Duration) {
        let Some(on) = &self.0 else { return };
        drop(on.queue.lock().take());
        let exporter = on.exporter.lock().take();
        if let Some(exporter) = exporter
            && tokio::time::timeout(limit, exporter).await.is_err()
        {
            tracing::info!("not every span was exported before the end");
        }
    }
}

/// Whether nothing follows from a look at what has ended then. A leader that starts looks at all that is kept, which would fill the queue.
fn is_long_over(ended: Option<Time>, at: Time) -> bool {
    ended.is_some_and(|ended| at >= ended.plus_secs(recorder::RECENT_SECS))
}

/// The attributes of this process, by the semantic conventions of OpenTelemetry. What was given in the environment goes before them.
fn resource(settings: &Settings, process: &Process<'_>) -> Vec<(String, String)> {
    let mut all = settings.resource.clone();
    let own = [
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", process.replica),
        ("telemetry.sdk.name", "curfew"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ("curfew.install", process.install),
        ("curfew.component", process.component),
    ];
    for (key, value) in own {
        if !all.iter().any(|(given, _)| given == key) {
            all.push((key.to_owned(), value.to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn request(uid: usize) -> ActivationRequest {
        let request = serde_json::json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "first", "namespace": "payments", "uid": format!("u{uid}"), "creationTimestamp": "2026-11-27T10:00:00Z"},
            "spec": {"roleRef": {"name": "view"}}, "status": {"conditions": []},
        });
        serde_json::from_value(request).unwrap()
    }

    fn denied(uid: usize) -> ActivationRequest {
        let mut request = request(uid);
        let status = serde_json::json!({"state": "Denied", "endedAt": "2026-11-27T10:00:01Z", "conditions": []});
        request.status = Some(serde_json::from_value(status).unwrap());
        request
    }

    /// Every span is exported, or counted as lost, and no call waits for a collector.
    #[tokio::test]
    async fn a_collector_that_hangs_holds_up_nobody_and_costs_spans_that_are_counted() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_MAX_QUEUE_SIZE", "8"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")];
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let settings = settings::parse(get).unwrap().unwrap();
        let process = Process { replica: "a", id: "a".into(), install: "0123abcd", component: "operator" };
        let metrics = Arc::new(Metrics::default());
        let traces = Traces::start(settings, &process, &metrics);
        // Two spans of each.
        const REQUESTS: usize = 3000;
        let requests: Vec<_> = (0..REQUESTS).map(|uid| (request(uid), denied(uid))).collect();
        let begun = Instant::now();
        for (before, after) in &requests {
            traces.request(before, after, None, Time::parse("2026-11-27T10:00:01Z").unwrap());
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        traces.finish(Duration::ZERO).await;
        // A record that finds no place counts once. Of the spans of the others at most 12 wait: 8 in the queue, and a batch of 4.
        let expected = REQUESTS - RECORDS + RECORDS * 2 - 12;
        let lost = || {
            let text = metrics.text();
            let count = text.lines().find_map(|line| line.strip_prefix("curfew_trace_spans_lost_total{reason=\"QueueFull\"} "));
            count.and_then(|count| count.parse::<usize>().ok()).unwrap_or(0)
        };
        while lost() < expected {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} of {expected}", lost());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        traces.request(&request(0), &denied(0), None, Time::from_secs(0));
        drop(silent);
    }

    #[tokio::test]
    async fn what_waits_for_others_is_sent_before_the_process_ends() {
        let collector = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", collector.local_addr().unwrap());
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "60000")];
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let process = Process { replica: "a", id: "a".into(), install: "0123abcd", component: "operator" };
        let metrics = Arc::new(Metrics::default());
        let traces = Traces::start(settings::parse(get).unwrap().unwrap(), &process, &metrics);
        traces.request(&request(1), &denied(1), None, Time::parse("2026-11-27T10:00:01Z").unwrap());
        let takes = async {
            let (mut connection, _) = collector.accept().await.unwrap();
            let (mut text, mut bytes) = (String::new(), [0; 4096]);
            while !text.contains("\"activation request\"") {
                let n = connection.read(&mut bytes).await.unwrap();
                assert!(n > 0, "{text}");
                text.push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
        };
        tokio::join!(takes, traces.finish(Duration::from_secs(20)));
        assert_eq!(metrics.trace_spans.get(), 2);
    }

    /// A leader that starts looks at everything that is kept.
    #[tokio::test]
    async fn what_has_ended_long_ago_takes_no_place_in_the_queue() {
        let get = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:1".to_owned());
        let settings = settings::parse(get).unwrap().unwrap();
        let process = Process { replica: "a", id: "a".into(), install: "0123abcd", component: "operator" };
        let metrics = Arc::new(Metrics::default());
        let traces = Traces::start(settings, &process, &metrics);
        let (kept, ended) = (denied(1), Time::parse("2026-11-27T10:00:01Z").unwrap());
        for _ in 0..RECORDS * 2 {
            traces.request_seen(&kept, || None, true, ended.plus_secs(3600));
        }
        const NONE: &str = "curfew_trace_spans_lost_total{reason=\"QueueFull\"} 0\n";
        assert!(metrics.text().contains(NONE), "{}", metrics.text());
        for _ in 0..RECORDS * 2 {
            traces.request_seen(&kept, || None, true, ended.plus_secs(10));
        }
        assert!(!metrics.text().contains(NONE), "nothing has run meanwhile, so the queue is full");
    }

    #[tokio::test]
    async fn what_ended_before_is_looked_for_once_in_each_term() {
        let get = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:1".to_owned());
        let process = Process { replica: "a", id: "a".into(), install: "0123abcd", component: "operator" };
        let traces = Traces::start(settings::parse(get).unwrap().unwrap(), &process, &Arc::new(Metrics::default()));
        let (key, now) = (|| ("payments".to_owned(), "first".to_owned()), Time::from_secs(1_000));
        assert!(traces.begins(1) && !traces.begins(1));
        assert!(!traces.want(About::Activation, key(), None, now), "it has not ended");
        assert!(!traces.want(About::Activation, key(), Some(Time::from_secs(1)), now), "it has ended long ago");
        assert!(traces.want(About::Activation, key(), Some(now), now));
        assert!(!traces.take_wanted(About::Assignment, &key()), "another kind");
        assert!(traces.take_wanted(About::Activation, &key()) && !traces.take_wanted(About::Activation, &key()), "read once");
        assert!(traces.want(About::Activation, key(), Some(now), now));
        assert!(traces.begins(2) && !traces.take_wanted(About::Activation, &key()), "what was deleted meanwhile is not kept");
        assert!(!Traces::default().begins(1));
    }

    #[test]
    fn without_traces_no_copy_is_made() {
        Traces::default().call(
            || unreachable!("a copy was made"),
            Call { name: "x", phase: life::Phase::Target, start: Time::from_secs(0), end: Time::from_secs(0), error: None },
        );
    }
}
