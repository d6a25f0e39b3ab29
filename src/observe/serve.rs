//! `/healthz`, `/readyz`, `/metrics`.
use crate::controllers::{Context, gauges};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Serves until the process ends.
///
/// # Errors
/// If the address cannot be bound.
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

/// Ready is who could revoke: the stores are synced. A replica without the lease is as ready as the other.
async fn ready(State(ctx): State<Arc<Context>>) -> (StatusCode, String) {
    if !ctx.authority.synced() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the stores are not synced yet\n".into());
    }
    let grants = ctx.authority.why_not().map_or_else(|| "granting".to_owned(), |why| format!("not granting: {why}"));
    (StatusCode::OK, format!("ok, {grants}\n"))
}

async fn metrics(State(ctx): State<Arc<Context>>) -> String {
    gauges::measure(&ctx);
    ctx.metrics.text()
}
