//! `curfew run`: the operator.
use crate::{
    authority::{Authority, Clock, Lease},
    controllers::{
        Context, admission,
        readiness::ReadinessController,
        request::RequestController,
        retention,
        grant::{self, GrantController},
        router::Router,
        sweeper,
    },
    audit::{AuditLog, Setup},
    identity::NAMESPACE,
    observe::{self, Metrics},
    providers::{
        Registry,
        kubernetes::{Guard, Kubernetes, Watched},
    },
    runtime::{client, engine::Engine, http::HttpClient, stores::Stores},
};
use anyhow::Context as _;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

/// Run the operator until SIGTERM or Ctrl-C.
///
/// Connects to the cluster of KUBECONFIG or, in a pod, of the service account. Several replicas can run: the one that holds the
/// lease grants, and all of them revoke.
#[derive(clap::Args, Debug)]
pub struct Run {
    /// Name of this replica in the lease, in Events and in audit records.
    #[arg(long, env = "CURFEW_REPLICA", default_value = "curfew-operator-0")]
    pub replica: String,
    /// Address and port for /healthz, /readyz and /metrics.
    #[arg(long, env = "CURFEW_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
}

/// Runs the operator.
///
/// # Errors
/// If the cluster cannot be reached at the start, or a background task ends unexpectedly.
pub async fn run(args: Run) -> anyhow::Result<()> {
    let clock = Arc::new(Clock::default());
    let client = client::connect(clock.clone()).await.context("no usable kubeconfig or service account")?;
    let install = super::sweep::install_id(&client).await?;
    tracing::info!(install, replica = args.replica, version = env!("CARGO_PKG_VERSION"), "starting curfew");
    let authority = Authority::new(clock.clone());
    let mut tasks = JoinSet::new();
    let (stores, changes) = Stores::start(&client, &mut tasks);
    let watched =
        Watched { bindings: stores.bindings.clone(), cluster_bindings: stores.cluster_bindings.clone(), jobs: stores.jobs.clone(),
        cluster_roles: stores.cluster_roles.clone(),
        roles: stores.roles.clone(),
        namespaces: stores.namespaces.clone(),
    };
    let local = Kubernetes::new(client.clone(), clock.clone(), Some(watched), Guard::AdmissionCheck(authority.clone()));
    #[cfg(feature = "crash-points")]
    let local = crate::providers::faults::Faulty::around(local);
    let registry = Registry::new(Arc::new(local), client.clone(), clock.clone());
    let metrics = Arc::new(Metrics::default());
    let holder = format!("{}_{}", args.replica, std::process::id());
    let (evidence, writing) = AuditLog::new(Setup {
        client: client.clone(),
        http: HttpClient::default(),
        configs: stores.configs.clone(),
        install: install.clone(),
        writer: format!("{holder}_{}", clock.now().compact()),
        authority: authority.clone(),
        metrics: metrics.clone(),
    });
    tasks.spawn(writing);
    let ctx = Arc::new(Context::new(client.clone(), stores, authority.clone(), registry, install, &args.replica, metrics, evidence));
    let lease = Lease::new(client, NAMESPACE, holder, authority);
    let (stop, stopped) = watch::channel(false);
    let engines = start(&ctx, changes, stopped, &mut tasks);
    let (listen, served) = (args.listen, ctx.clone());
    tasks.spawn(async move {
        if let Err(e) = observe::serve(listen, served).await {
            tracing::error!(error = %e, address = %listen, "cannot serve the health and metrics endpoints; choose another address with --listen");
        }
    });
    tasks.spawn(lease.clone().run());
    tasks.spawn(admission::run(ctx.clone()));
    tasks.spawn(retention::run(ctx.clone()));
    tasks.spawn(sweeper::run(ctx.clone()));
    let synced = ctx.clone();
    let ready = async move {
        synced.stores.ready().await;
        synced.authority.set_synced();
        tracing::info!("caches are synced");
        std::future::pending::<()>().await;
    };
    tasks.spawn(ready);
    let failure = tokio::select! {
        () = stop_signal() => None,
        _ = tasks.join_next() => Some("a background task ended unexpectedly"),
    };
    // Releasing the lease stops new grants here and lets another replica take over. Then the running reconciles finish.
    lease.release().await;
    stop.send_replace(true);
    let finished = tokio::time::timeout(Duration::from_secs(10), engines).await;
    ctx.audit.finish(Duration::from_secs(10)).await;
    tracing::info!(finished = finished.is_ok(), "stopping curfew");
    failure.map_or(Ok(()), |message| Err(anyhow::anyhow!(message)))
}

/// Starts the engines, the router from watches to engines, and the heartbeat. The returned future ends when all engines have
/// finished after `stopped`.
fn start(
    ctx: &Arc<Context>,
    changes: tokio::sync::mpsc::UnboundedReceiver<crate::runtime::stores::Change>,
    stopped: watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> impl Future<Output = ()> + use<> {
    let clock = ctx.authority.clock.clone();
    let grant_controller = Arc::new(GrantController::new(ctx.clone()));
    let (grants, grants_in) = Engine::new("grants", grant_controller.clone(), clock.clone());
    let (requests, requests_in) = Engine::new("requests", Arc::new(RequestController::new(ctx.clone())), clock.clone());
    let (readiness, readiness_in) = Engine::new("readiness", Arc::new(ReadinessController::new(ctx.clone())), clock);
    tasks.spawn(grant::heartbeat(ctx.clone(), grant_controller.clone(), grants_in.clone()));
    tasks.spawn(
        Router { ctx: ctx.clone(), grant_controller, requests: requests_in, grants: grants_in, readiness: readiness_in }.run(changes),
    );
    let (grants, requests, readiness) =
        (tokio::spawn(grants.run(stopped.clone())), tokio::spawn(requests.run(stopped.clone())), tokio::spawn(readiness.run(stopped)));
    async move {
        let _all_finished = tokio::join!(grants, requests, readiness);
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
