//! The routes. Each call runs: who calls, may they, what is asked, the answer.
use super::{
    auth::{Gate, Refused},
    query::{Form, Query, View},
    systems::{Missing, Systems},
    views::{self, Answer},
};
use axum::{
    Router,
    extract::{self, Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many answers are made at a time: analysis itself needs the processor more.
const ANSWERS: usize = 2;
/// How many systems of a list are asked about at a time.
const AT_ONCE: usize = 8;

struct Server {
    systems: Arc<dyn Systems>,
    gate: Gate,
    turns: Arc<Semaphore>,
}

/// Serves questions about these systems to those whom the gate lets through.
pub fn router(systems: Arc<dyn Systems>, gate: Gate) -> Router {
    let server = Server { systems, gate, turns: Arc::new(Semaphore::new(ANSWERS)) };
    Router::new()
        .route("/v1/systems", get(list))
        .route("/v1/systems/{system}/{view}", get(view))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "there is no such page: /v1/systems lists the systems") })
        .with_state(Arc::new(server))
}

/// A failure as the API server writes one, so that clients of Kubernetes can read it. Its text says what to do.
fn failure(status: StatusCode, message: &str) -> Response {
    let reason = match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InternalError",
    };
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": status.as_u16()});
    respond(status, "application/json", body.to_string())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    (status, headers, body).into_response()
}

/// Why a call has no answer.
enum Failure {
    Refused(Refused),
    Missing(Missing),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refused) => failure(refused.status(), &refused.to_string()),
            Self::Missing(missing) => {
                let status = match &missing {
                    Missing::System(_) | Missing::Identity(_) => StatusCode::NOT_FOUND,
                    Missing::Invalid(_) => StatusCode::BAD_REQUEST,
                    Missing::NotYet { .. } => StatusCode::SERVICE_UNAVAILABLE,
                    Missing::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
                };
                failure(status, &missing.to_string())
            }
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let content_type = match self.form {
            Form::Json => "application/json",
            Form::Csv => "text/csv; charset=utf-8",
            Form::Table => "text/plain; charset=utf-8",
            Form::Html => "text/html; charset=utf-8",
            Form::Yaml => "application/yaml",
        };
        respond(StatusCode::OK, content_type, self.body)
    }
}

/// Runs what may block on a thread for that, when it is its turn.
async fn blocking<T: Send + 'static>(server: &Server, work: impl FnOnce() -> Result<T, Missing> + Send + 'static) -> Result<T, Failure> {
    let failed = |why: String| Failure::Missing(Missing::Failed(why));
    let turn = server.turns.clone().acquire_owned().await.map_err(|e| failed(e.to_string()))?;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    // A panic is logged by its hook; its text is not for callers.
    Ok(done.await.map_err(|_| failed("the answer could not be made; the log of curfew-analytics says why".into()))??)
}

/// The parameters of a call.
fn parse(view: View, uri: &Uri) -> Result<Query, Missing> {
    let pairs = extract::Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|e| Missing::Invalid(e.to_string()))?;
    Query::parse(view, &pairs.0).map_err(Missing::Invalid)
}

async fn list(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap) -> Result<Answer, Failure> {
    let caller = server.gate.caller(&headers).await?;
    let query = parse(View::Systems, &uri)?;
    let systems = server.systems.clone();
    let all = blocking(&server, move || Ok(systems.list())).await?;
    let everything = match server.gate.may_read(&caller, None).await {
        Ok(()) => true,
        Err(Refused::Forbidden { .. }) => false,
        Err(other) => return Err(other.into()),
    };
    let (gate, caller) = (&server.gate, &caller);
    let asked = stream::iter(all).map(|system| async move {
        if everything {
            return Ok(Some(system));
        }
        match gate.may_read(caller, Some(&system.name)).await {
            Ok(()) => Ok(Some(system)),
            Err(Refused::Forbidden { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    });
    let readable: Vec<Result<_, Refused>> = asked.buffered(AT_ONCE).collect().await;
    let readable = readable.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
    Ok(views::systems(&readable, &query)?)
}

async fn view(
    State(server): State<Arc<Server>>,
    Path((system, view)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Answer, Failure> {
    let caller = server.gate.caller(&headers).await?;
    // Before anything else is told, also whether the system exists.
    server.gate.may_read(&caller, Some(&system)).await?;
    let view = View::named(&view).ok_or_else(|| Missing::Invalid(View::unknown(&view)))?;
    let query = parse(view, &uri)?;
    tracing::info!(user = caller.username.as_deref().unwrap_or_default(), system, view = view.name(), "analytics are read");
    let systems = server.systems.clone();
    blocking(&server, move || views::answer(&*systems, &system, view, &query)).await
}
