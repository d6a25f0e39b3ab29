//! `/healthz`, `/readyz`, `/metrics`.
use super::state::Shared;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Serves until the process ends.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(listen: SocketAddr, shared: Arc<Shared>) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|State(shared): State<Arc<Shared>>| async move { shared.metrics.text() }))
        .with_state(shared);
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    Ok(axum::serve(listener, app).await?)
}

/// Ready once the AuthorizationSystems are listed: before, events of a system that is not known yet would be refused.
async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    match shared.listed() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the AuthorizationSystems are not listed yet\n"),
    }
}
