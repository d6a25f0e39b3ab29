//! `/healthz`, `/readyz`, `/metrics`.
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// What the endpoints report. The caller knows the operator's state; this module knows HTTP.
pub trait Endpoints: Send + Sync + 'static {
    /// Whether this process lives. Where it does not, it has to be started again.
    ///
    /// # Errors
    /// What is stuck.
    fn alive(&self) -> Result<(), String>;
    /// Whether this replica is ready, and why it grants or does not.
    ///
    /// # Errors
    /// The reason why it is not ready.
    fn ready(&self) -> Result<String, String>;
    /// The metrics in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// Serves until the process ends.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve<E: Endpoints>(listen: SocketAddr, endpoints: E) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/healthz", get(alive::<E>))
        .route("/readyz", get(ready::<E>))
        .route("/metrics", get(metrics::<E>))
        .with_state(Arc::new(endpoints));
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    Ok(axum::serve(listener, app).await?)
}

async fn alive<E: Endpoints>(State(endpoints): State<Arc<E>>) -> (StatusCode, String) {
    match endpoints.alive() {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(message) => (StatusCode::SERVICE_UNAVAILABLE, message + "\n"),
    }
}

async fn ready<E: Endpoints>(State(endpoints): State<Arc<E>>) -> (StatusCode, String) {
    match endpoints.ready() {
        Ok(message) => (StatusCode::OK, message + "\n"),
        Err(message) => (StatusCode::SERVICE_UNAVAILABLE, message + "\n"),
    }
}

async fn metrics<E: Endpoints>(State(endpoints): State<Arc<E>>) -> String {
    endpoints.metrics()
}
