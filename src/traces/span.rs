//! Spans, and how OTLP writes them as JSON (opentelemetry-proto 1.x `trace.proto`, and the JSON mapping of the OTLP specification: ids in hex,
//! 64-bit numbers as text, enumerations as numbers). Pure.
use super::ids::{SpanId, TraceId};
use curfew_core::time::Time;
use serde_json::{Value, json};

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i64),
}

/// Attributes, by key.
pub type Attributes = Vec<(&'static str, Attribute)>;

/// Where the work of a span is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanKind {
    /// In Curfew (`SPAN_KIND_INTERNAL`).
    Internal,
    /// A call of a target (`SPAN_KIND_CLIENT`).
    Client,
}

/// Something that happened in a span.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When.
    pub at: Time,
    /// What, one of few names.
    pub name: &'static str,
    /// More about it.
    pub attributes: Attributes,
}

/// A span that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub id: SpanId,
    /// The span that it is a part of; none for the root.
    pub parent: Option<SpanId>,
    /// Its name, one of few.
    pub name: &'static str,
    /// Where its work is done.
    pub kind: SpanKind,
    /// When it began.
    pub start: Time,
    /// When it ended, not before it began.
    pub end: Time,
    /// More about it.
    pub attributes: Attributes,
    /// What happened in it.
    pub events: Vec<Event>,
    /// How many events are left out.
    pub dropped_events: u32,
    /// Root spans of other traces that it has to do with.
    pub links: Vec<(TraceId, SpanId)>,
    /// Why it has failed, in one word, if it has (`STATUS_CODE_ERROR`).
    pub error: Option<String>,
}

impl Span {
    /// The span as a member of `scopeSpans[].spans`.
    pub fn json(&self) -> Value {
        let mut span = json!({
            "traceId": self.trace.to_string(), "spanId": self.id.to_string(), "name": self.name,
            "kind": match self.kind { SpanKind::Internal => 1, SpanKind::Client => 3 },
            "startTimeUnixNano": nanos(self.start), "endTimeUnixNano": nanos(self.end),
            "attributes": attributes(&self.attributes),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
            "links": self.links.iter().map(|(trace, span)| json!({"traceId": trace.to_string(), "spanId": span.to_string()})).collect::<Vec<_>>(),
            "status": self.error.as_ref().map_or_else(|| json!({}), |why| json!({"code": 2, "message": why})),
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = json!(parent.to_string());
        }
        if self.dropped_events > 0 {
            span["droppedEventsCount"] = json!(self.dropped_events);
        }
        span
    }
}

/// An `ExportTraceServiceRequest` with these spans of one process.
pub fn export_request(resource: &[(String, String)], spans: &[Span]) -> Value {
    let resource: Vec<Value> = resource.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect();
    let scope = json!({"name": "curfew", "version": env!("CARGO_PKG_VERSION")});
    let spans: Vec<Value> = spans.iter().map(Span::json).collect();
    json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"scope": scope, "spans": spans}]}]})
}

fn event(event: &Event) -> Value {
    json!({"timeUnixNano": nanos(event.at), "name": event.name, "attributes": attributes(&event.attributes)})
}

fn attributes(all: &Attributes) -> Vec<Value> {
    all.iter()
        .map(|(key, value)| {
            let value = match value {
                Attribute::Text(text) => json!({"stringValue": text}),
                Attribute::Flag(flag) => json!({"boolValue": flag}),
                Attribute::Number(number) => json!({"intValue": number.to_string()}),
            };
            json!({"key": key, "value": value})
        })
        .collect()
}

/// Nanoseconds since the Unix epoch, as text. What is before it counts as the epoch.
fn nanos(at: Time) -> String {
    (i128::from(at.as_millis().max(0)) * 1_000_000).to_string()
}
