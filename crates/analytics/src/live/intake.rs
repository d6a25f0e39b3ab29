//! Audit events that an API server posts (`--audit-webhook-config-file`).
//!
//! The answer 200 says that every event of the delivery is on the disk. On every other answer, and on none, the API server sends the same
//! events again, and what was stored counts once. It keeps a limited number of events for that: a log file beside the webhook loses none.
use super::state::{Shared, System};
use crate::{
    kubernetes::{
        event::{Event, Line, parse},
        reduced::{Reduced, reduce},
    },
    store::{Batch, StoreError, UsageEvent},
};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Path, Request, State, rejection::BytesRejection},
    response::{IntoResponse, Response},
    routing::post,
};
use curfew_core::text::brief;
use http::{StatusCode, header::AUTHORIZATION};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// The largest delivery in bytes. An API server posts at most 400 events at a time, about 2 KiB each at level Metadata.
const MAX_BODY: usize = 16 << 20;
/// How many deliveries are read and worked on at a time.
const AT_ONCE: usize = 2;
/// How long a body may take: as long as an API server waits for an answer.
const BODY: Duration = Duration::from_secs(30);
/// The shortest token that is accepted.
const MIN_TOKEN: usize = 32;
/// The name of the source in the store.
const SOURCE: &str = "audit-webhook";

struct Intake {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
}

/// Takes deliveries.
pub fn router(shared: Arc<Shared>) -> Router {
    let intake = Arc::new(Intake { shared, turns: Arc::new(Semaphore::new(AT_ONCE)) });
    Router::new().route("/audit/{system}", post(take)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(intake)
}

/// Why a delivery is not taken.
#[derive(thiserror::Error, Debug)]
enum Refused {
    #[error("no bearer token of an API server, or another one than that of this system")]
    Token,
    #[error("system {0} takes no audit events: its spec.analytics.usage has no auditWebhook")]
    NotASource(String),
    #[error("{0}")]
    Body(#[from] BytesRejection),
    #[error("the body did not come within {} s", BODY.as_secs())]
    Slow,
    #[error("the body is not a list of audit events of audit.k8s.io/v1: {0}")]
    NotEvents(String),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the events could not be stored; the log of curfew-analytics says why")]
    Failed,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::NotASource(_) => StatusCode::NOT_FOUND,
            Self::NotEvents(_) => StatusCode::BAD_REQUEST,
            Self::Body(rejection) => rejection.status(),
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Store(_) | Self::Failed => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string() + "\n").into_response()
    }
}

/// The token comes first: without one no body is read, and nothing is waited for.
async fn take(State(intake): State<Arc<Intake>>, Path(name): Path<String>, ask: Request) -> Result<&'static str, Refused> {
    let shared = intake.shared.clone();
    // What the name leads to is told to nobody who has no token for it.
    let system = shared.system(&name).ok_or(Refused::Token)?;
    let given = ask.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ")).map(str::to_owned);
    let outcome = match authenticated(&shared, &name, given.as_deref()).await {
        Ok(()) => delivery(&intake, &system, ask).await,
        Err(refused) => Err(refused),
    };
    match &outcome {
        Ok(()) => system.note(SOURCE, None),
        Err(refused) => {
            shared.metrics.refused(&name);
            tracing::warn!(system = name, %refused, "audit events are refused");
            // A caller without the token must not be able to write into the status.
            if !matches!(refused, Refused::Token) {
                system.note(SOURCE, Some(refused.to_string()));
            }
        }
    }
    outcome.map(|()| "")
}

/// Reads a delivery and stores it, a few at a time.
async fn delivery(intake: &Intake, system: &Arc<System>, ask: Request) -> Result<(), Refused> {
    let turn = intake.turns.clone().acquire_owned().await.map_err(|_| Refused::Failed)?;
    let body = timeout(BODY, Bytes::from_request(ask, &())).await.map_err(|_| Refused::Slow)??;
    let (shared, system) = (intake.shared.clone(), system.clone());
    let work = move || {
        let _turn = turn;
        accept(&shared, &system, &body)
    };
    // A panic is logged by its hook.
    tokio::task::spawn_blocking(work).await.map_err(|_| Refused::Failed)?
}

/// Compares the token with that of the system's file. By their digests, so that the time it takes says nothing.
async fn authenticated(shared: &Shared, system: &str, given: Option<&str>) -> Result<(), Refused> {
    let (Some(given), Some(file)) = (given, token_file(shared, system)) else { return Err(Refused::Token) };
    let known = tokio::fs::read_to_string(file).await.map_err(|_| Refused::Token)?;
    let (known, given) = (known.trim(), given.trim());
    let same = Sha256::digest(known) == Sha256::digest(given);
    (known.len() >= MIN_TOKEN && same).then_some(()).ok_or(Refused::Token)
}

/// The file with the token of a system. Names of objects have no slash.
pub fn token_file(shared: &Shared, system: &str) -> Option<PathBuf> {
    let is_name = !system.starts_with('.') && system.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    shared.tokens.as_ref().filter(|_| is_name).map(|directory| directory.join(system))
}

/// Stores the events of a delivery.
fn accept(shared: &Shared, system: &System, body: &[u8]) -> Result<(), Refused> {
    if !system.takes_audit_events() {
        return Err(Refused::NotASource(system.name.clone()));
    }
    let (events, broken) = match parse(body) {
        Line::Events { events, broken } => (events, broken),
        Line::Empty => return Ok(()),
        Line::Unknown(name) => return Err(Refused::NotEvents(brief(&name))),
        Line::Broken(why) => return Err(Refused::NotEvents(brief(&why))),
    };
    if let Some(broken) = broken {
        // Sent again they would be the same: the others count.
        tracing::warn!(system = system.name, count = broken.count, first = broken.first, "items are not audit events");
        shared.metrics.broken(&system.name, broken.count);
    }
    store(shared, system, SOURCE, None, &events)?;
    Ok(())
}

/// Stores events of the audit log, and how far their source was read.
///
/// # Errors
/// Of the store. Nothing was stored then.
pub fn store(shared: &Shared, system: &System, source: &str, watermark: Option<&str>, events: &[Event]) -> Result<(), StoreError> {
    let reduced: Vec<Reduced> = events.iter().filter_map(reduce).collect();
    let now = Timestamp::now().as_second();
    let batch = Batch { system: &system.name, source, watermark, now };
    let each = reduced.iter().map(|event| UsageEvent {
        id: event.id.as_str().into(),
        identity: event.identity.as_str().into(),
        operation: event.operation.as_str().into(),
        resources: vec![event.resource.as_str().into()],
        context: event.context.as_str().into(),
        at: event.at,
    });
    let counts = shared.store.ingest(&batch, each)?;
    shared.metrics.events(&system.name, &counts);
    shared.metrics.heard(&system.name, reduced.iter().map(|event| event.at), now);
    if counts.new + counts.late > 0 {
        system.has_events();
    }
    Ok(())
}
