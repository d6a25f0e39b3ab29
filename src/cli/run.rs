//! `curfew run`: the operator.
use crate::{
    audit::{AuditLog, Setup},
    authority::{Authority, Clock, Lease},
    controllers::{
        Context, admission,
        decision::DecisionController,
        endpoints::OperatorEndpoints,
        grant::{self, GrantController},
        readiness::ReadinessController,
        request::RequestController,
        retention,
        router::Router,
        sweeper,
    },
    identity::NAMESPACE,
    observe::{self, Metrics},
    providers::{
        Registry,
        kubernetes::{Guard, Kubernetes, Watched},
    },
    runtime::{changes::Change, client, engine::Engine, http::HttpClient, stores::Stores, watch_age::WatchAges},
};
use anyhow::Context as _;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Run the operator until SIGTERM or Ctrl-C.
///
/// KUBECONFIG, or the service account of the pod, says which cluster. Several replicas may run: one holds the lease and
/// grants, every one revokes.
#[derive(clap::Args, Debug)]
pub struct Run {
    /// The name of this replica, as it stands in the lease and in Events.
    #[arg(long, env = "CURFEW_REPLICA", default_value = "curfew-operator-0")]
    pub replica: String,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "CURFEW_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
}

/// Runs the operator.
///
/// # Errors
/// If the cluster cannot be reached at the start, or a task that must not end has ended.
pub async fn run(args: Run) -> anyhow::Result<()> {
    let clock = Arc::new(Clock::default());
    let watches = Arc::new(WatchAges::default());
    let client = client::connect(clock.clone(), watches.clone()).await.context("no usable kubeconfig or service account")?;
    let install = super::sweep::install_id(&client).await?;
    tracing::info!(install, replica = args.replica, version = env!("CARGO_PKG_VERSION"), "curfew starts");
    let authority = Authority::new(clock.clone());
    let mut tasks = JoinSet::new();
    let (stores, changes) = Stores::start(&client, watches, &mut tasks);
    let watched = Watched {
        bindings: stores.bindings.clone(),
        cluster_bindings: stores.cluster_bindings.clone(),
        jobs: stores.jobs.clone(),
        cluster_roles: stores.cluster_roles.clone(),
        roles: stores.roles.clone(),
        namespaces: stores.namespaces.clone(),
    };
    let here = Kubernetes::new(client.clone(), clock.clone(), Some(watched), Guard::AdmissionCheck(authority.clone()));
    #[cfg(feature = "crash-points")]
    let here = crate::providers::faults::Faulty::around(here);
    let registry = Registry::new(Arc::new(here), client.clone(), clock.clone());
    let metrics = Arc::new(Metrics::default());
    let holder = format!("{}_{}", args.replica, std::process::id());
    let (audit, writing) = AuditLog::new(Setup {
        client: client.clone(),
        http: HttpClient::default(),
        configs: stores.configs.clone(),
        install: install.clone(),
        writer: format!("{holder}_{}", clock.now().compact()),
        authority: authority.clone(),
        metrics: metrics.clone(),
    });
    tasks.spawn(writing);
    let ctx = Arc::new(Context::new(client.clone(), stores, authority.clone(), registry, install, &args.replica, metrics, audit));
    let lease = Lease::new(client, NAMESPACE, holder, authority.clone());
    let (stop, stopped) = watch::channel(false);
    let engines = start(&ctx, changes, stopped, &mut tasks);
    let (listen, endpoints) = (args.listen, OperatorEndpoints(ctx.clone()));
    tasks.spawn(async move {
        if let Err(error) = observe::serve(listen, endpoints).await {
            tracing::error!(%error, address = %listen, "cannot serve; choose another address with --listen");
        }
    });
    let renewal = tasks.spawn(lease.clone().run());
    tasks.spawn(admission::run(ctx.clone()));
    tasks.spawn(retention::run(ctx.clone()));
    tasks.spawn(sweeper::run(ctx.clone()));
    let synced = ctx.clone();
    let ready = async move {
        synced.stores.ready().await;
        synced.authority.set_synced();
        tracing::info!("stores are synced");
        std::future::pending::<()>().await;
    };
    tasks.spawn(ready);
    let why = tokio::select! {
        () = told_to_stop() => None,
        _ = tasks.join_next() => Some("a task that must not end has ended"),
    };
    // First no new grants, then what runs is finished, then the lease goes to the other replica.
    renewal.abort();
    authority.set_lease(None);
    stop.send_replace(true);
    let finished = tokio::time::timeout(Duration::from_secs(10), engines).await;
    if tokio::time::timeout(Duration::from_secs(5), lease.release()).await.is_err() {
        tracing::info!("releasing the lease timed out; it expires by itself");
    }
    ctx.audit.finish(Duration::from_secs(10)).await;
    tracing::info!(finished = finished.is_ok(), "curfew stops");
    why.map_or(Ok(()), |w| Err(anyhow::anyhow!(w)))
}

/// Starts the engines, the router from watches to engines, and the heartbeat. The future ends when every engine has stopped.
fn start(
    ctx: &Arc<Context>,
    changes: mpsc::UnboundedReceiver<Change>,
    stopped: watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> impl Future<Output = ()> + use<> {
    let clock = || ctx.authority.clock.clone();
    let grant_controller = Arc::new(GrantController::new(ctx.clone()));
    let (grants, grant_queue) = Engine::new("grants", grant_controller.clone(), clock());
    let (requests, request_queue) = Engine::new("requests", Arc::new(RequestController::new(ctx.clone())), clock());
    let (decisions, decision_queue) = Engine::new("decisions", Arc::new(DecisionController::new(ctx.clone())), clock());
    let (readiness, readiness_queue) = Engine::new("readiness", Arc::new(ReadinessController::new(ctx.clone())), clock());
    tasks.spawn(grant::heartbeat(ctx.clone(), grant_controller.clone(), grant_queue.clone()));
    let router = Router {
        ctx: ctx.clone(),
        grant_controller,
        requests: request_queue,
        grants: grant_queue,
        decisions: decision_queue,
        readiness: readiness_queue,
    };
    tasks.spawn(router.run(changes));
    let engines = [
        tokio::spawn(grants.run(stopped.clone())),
        tokio::spawn(requests.run(stopped.clone())),
        tokio::spawn(decisions.run(stopped.clone())),
        tokio::spawn(readiness.run(stopped)),
    ];
    async move {
        let _all_finished = futures::future::join_all(engines).await;
    }
}

#[cfg(not(unix))]
async fn told_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
