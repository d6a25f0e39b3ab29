//! Starts the parts, and ends with the first of those that must not end.
use super::{
    cluster::Cluster,
    endpoints,
    evaluate::Runs,
    intake, logs,
    settings::Run,
    state::Shared,
    systems::{self, Pace},
};
use crate::{
    serve::{
        auth::Gate,
        router,
        tls::{CertificateFiles, TlsListener},
    },
    store::{Limits, Store},
};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use kube::Client;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tracing_subscriber::EnvFilter;

/// How often it is tried to serve by TLS while the certificate is missing.
const CERTIFICATE: Duration = Duration::from_secs(10);
/// How often old days are removed from the store, and its size is read.
const TIDY: Duration = Duration::from_secs(3600);

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// If it cannot start, or a part of it ends.
pub fn run(settings: &Run) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider is already installed");
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(until_stopped(settings))
}

async fn until_stopped(settings: &Run) -> Result<()> {
    let store = Store::open(&settings.store, Limits::default())?;
    let shared = Arc::new(Shared::new(Arc::new(store), settings.tokens.clone(), settings.logs.clone()));
    let client = Client::try_default().await.context("no cluster: set KUBECONFIG, or run in a Pod")?;
    let mut parts = JoinSet::new();
    let health = endpoints::serve(settings.listen, shared.clone());
    parts.spawn(async { ("health and metrics", health.await) });
    let seconds = |duration: &curfew_core::duration::Duration| Duration::from_secs(u64::try_from(duration.secs()).unwrap_or(1).max(1));
    let pace = Pace { every: seconds(&settings.every), settle: seconds(&settings.settle) };
    let cluster = Arc::new(Cluster::watch(client.clone()));
    let runs = Arc::new(Runs { shared: shared.clone(), client: client.clone(), cluster });
    parts.spawn(async move {
        ("AuthorizationSystems", {
            systems::follow(runs, pace).await;
            Ok(())
        })
    });
    let reading = logs::follow(shared.clone(), seconds(&settings.read_logs));
    parts.spawn(async move {
        ("log directories", {
            reading.await;
            Ok(())
        })
    });
    let tidying = tidy(shared.clone());
    parts.spawn(async move {
        ("the store's old days", {
            tidying.await;
            Ok(())
        })
    });
    if let Some(directory) = settings.tls.clone() {
        let serving = serve(settings.serve, directory, shared, client);
        parts.spawn(async move { ("questions and audit events", serving.await) });
    } else {
        tracing::warn!("nothing is served by TLS: give --tls");
    }
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        Some(ended) = parts.join_next() => match ended {
            Ok((part, Ok(()))) => bail!("{part} ended"),
            Ok((part, Err(error))) => Err(error.context(part)),
            Err(error) => bail!("a part has ended: {error}"),
        },
    }
}

/// Serves questions and takes audit events. Waits for a certificate.
async fn serve(address: SocketAddr, directory: PathBuf, shared: Arc<Shared>, client: Client) -> Result<()> {
    let files = CertificateFiles::in_directory(&directory);
    let mut told = false;
    let listener = loop {
        // A Secret that is created later is mounted later.
        if files.certificate.exists() && files.key.exists() {
            break TlsListener::bind(address, files).await?;
        }
        if !told {
            tracing::warn!(directory = %directory.display(), "no tls.crt and tls.key yet: nothing is served by TLS until they are there");
            told = true;
        }
        tokio::time::sleep(CERTIFICATE).await;
    };
    use axum::serve::Listener;
    tracing::info!(serves = %listener.local_addr()?, "serving questions and audit events by TLS");
    let app = intake::router(shared.clone()).merge(router::router(shared, Gate::new(client)));
    Ok(axum::serve(listener, app).await?)
}

/// Removes what is older than the store keeps.
async fn tidy(shared: Arc<Shared>) {
    loop {
        let turn = shared.clone();
        let tidied = tokio::task::spawn_blocking(move || {
            let removed = turn.store.expire(Timestamp::now().as_second())?;
            turn.metrics.store_bytes(turn.store.size()?.0);
            Ok::<_, crate::store::StoreError>(removed)
        });
        match tidied.await {
            Ok(Ok(removed)) => tracing::debug!(?removed, "old days are removed"),
            Ok(Err(error)) => tracing::warn!(%error, "old days cannot be removed"),
            Err(error) => tracing::error!(%error, "old days cannot be removed"),
        }
        tokio::time::sleep(TIDY).await;
    }
}
