//! Sends spans to a collector by OTLP/HTTP. Nothing waits for it: its queue is bounded, and what finds no place there is counted.
use super::{
    settings::Settings,
    span::{Span, export_request},
};
use crate::{
    observe::{Metrics, SpanLoss},
    runtime::http::{EndpointClient, HttpClient},
    timing::timing,
};
use http::{Request, StatusCode, header};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};

/// How often a batch is tried.
const TRIES: u32 = 5;
/// The longest pause that a collector can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Sends spans to the collector.
pub struct Exporter {
    /// Where, and how.
    pub settings: Settings,
    /// The attributes of this process.
    pub resource: Vec<(String, String)>,
    /// Counts what is sent and what is lost.
    pub metrics: Arc<Metrics>,
    /// The client for servers whose certificate the platform trusts.
    pub platform: HttpClient,
    /// The client for servers of other authorities.
    pub own: EndpointClient,
}

/// Why an export has failed.
struct Failed {
    why: String,
    /// Whether it is tried again, and after which pause at least.
    again: Option<Duration>,
}

impl Exporter {
    /// Sends what comes, in batches, until the queue is closed and empty.
    pub async fn run(self, mut spans: mpsc::Receiver<Span>) {
        let (most, mut batch) = (self.settings.batch, Vec::new());
        while spans.recv_many(&mut batch, most).await > 0 {
            let until = Instant::now() + self.settings.delay;
            while batch.len() < most {
                let room = most - batch.len();
                match timeout_at(until, spans.recv_many(&mut batch, room)).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            self.deliver(&batch).await;
            batch.clear();
        }
    }

    /// Sends a batch. After some tries it is given up; what comes meanwhile and finds no place in the queue is lost, too.
    async fn deliver(&self, batch: &[Span]) {
        let body = export_request(&self.resource, batch).to_string();
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        for tried in 1..=TRIES {
            match self.post(&body).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    self.metrics.lose_spans(SpanLoss::Rejected, rejected);
                    self.metrics.trace_spans.inc_by(count - rejected);
                    return;
                }
                Err(Failed { why, again }) => {
                    self.metrics.trace_export_failures.inc();
                    let given_up = tried == TRIES || again.is_none();
                    tracing::warn!(error = why, spans = count, given_up, "cannot export spans");
                    let Some(asked) = again.filter(|_| !given_up) else { break };
                    sleep(asked.max(timing().sink_pause * 2_u32.pow(tried - 1)).min(LONGEST_PAUSE)).await;
                }
            }
        }
        self.metrics.lose_spans(SpanLoss::ExportFailed, count);
    }

    /// One export. Returns how many spans the collector has rejected.
    async fn post(&self, body: &str) -> Result<u64, Failed> {
        let again = |why: String| Failed { why, again: Some(Duration::ZERO) };
        let client = self.client().await.map_err(again)?;
        let mut request = Request::post(self.settings.endpoint.clone()).header(header::CONTENT_TYPE, "application/json");
        for (key, value) in &self.settings.headers {
            request = request.header(key, value);
        }
        let request = request.body(body.as_bytes().to_vec()).map_err(|e| Failed { why: e.to_string(), again: None })?;
        let answer = timeout(self.settings.timeout, client.send(request)).await;
        let answer =
            answer.map_err(|_| again(format!("no answer within {:?}", self.settings.timeout)))?.map_err(|e| again(e.to_string()))?;
        match answer.status {
            status if status.is_success() => Ok(rejected(&answer.body)),
            // The specification names these as the ones to try again.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Err(Failed {
                    why: format!("the collector answered {}", answer.status),
                    again: Some(answer.retry_after().unwrap_or_default()),
                })
            }
            // What it says may repeat the headers, which hold a token.
            status => Err(Failed { why: format!("the collector answered {status}"), again: None }),
        }
    }

    /// The client that trusts what is configured. The file is read each time, since it may change.
    async fn client(&self) -> Result<HttpClient, String> {
        let Some(path) = self.settings.certificate.clone() else { return Ok(self.platform.clone()) };
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let authorities =
            read.map_err(|e| e.to_string())?.map_err(|e| format!("cannot read OTEL_EXPORTER_OTLP_CERTIFICATE {shown}: {e}"))?;
        Ok(self.own.trusting(Some(&authorities), &self.platform))
    }
}

/// How many spans an answer says that were rejected. The JSON mapping writes 64-bit numbers as text, and reads both.
fn rejected(body: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let count = &answer["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_may_reject_a_part() {
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#), 3);
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":2}}"#), 2);
        assert_eq!((rejected(b"{}"), rejected(b""), rejected(b"\x08\x01")), (0, 0, 0));
    }
}
