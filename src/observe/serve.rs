//! The HTTP endpoints `/healthz`, `/readyz` and `/metrics`.
use crate::controllers::{Context, gauges};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Serves the endpoints until the process ends.
///
/// # Errors
/// If the address cannot be bound or accepting connections fails.
pub async fn serve(listen: SocketAddr, ctx: Arc<Context>) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ctx);
    let listener = TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    Ok(axum::serve(listener, app).await?)
}

/// A replica is ready when it can revoke, which is when its caches are synced. The lease does not matter.
async fn ready(State(ctx): State<Arc<Context>>) -> (StatusCode, String) {
    if !ctx.authority.synced() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the caches are not synced yet\n".into());
    }
    let granting = ctx.authority.why_not().map_or_else(|| "granting".to_owned(), |reason| format!("not granting: {reason}"));
    (StatusCode::OK, format!("ok, {granting}\n"))
}

async fn metrics(State(ctx): State<Arc<Context>>) -> String {
    gauges::measure(&ctx);
    ctx.metrics.text()
}
