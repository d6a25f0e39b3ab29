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
    runtime::{
        changes::Change, client, engine::Engine, http::HttpClient, liveness::Pulse, stores::Stores, tasks::Tasks, watch_age::WatchAges,
    },
};
use anyhow::Context as _;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

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
    let metrics = Arc::new(Metrics::default());
    let mut tasks = Tasks::default();
    let (stores, changes) = Stores::start(&client, watches, &mut tasks, metrics.panics.clone());
    let watched = Watched {
        contents: Arc::default(),
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
    tasks.spawn("audit log", writing);
    let ctx = Arc::new(Context::new(client.clone(), stores, authority.clone(), registry, install, &args.replica, metrics, audit));
    let lease = Lease::new(client, NAMESPACE, holder, authority.clone());
    let (stop, stopped) = watch::channel(false);
    let mut engines = Tasks::default();
    let pulses = start(&ctx, changes, stopped, &mut tasks, &mut engines);
    let (listen, endpoints) = (args.listen, OperatorEndpoints { ctx: ctx.clone(), pulses });
    tasks.spawn("metrics and health endpoints", async move {
        if let Err(error) = observe::serve(listen, endpoints).await {
            tracing::error!(%error, address = %listen, "cannot serve; choose another address with --listen");
        }
    });
    let renewal = tasks.spawn("renewal of the lease", lease.clone().run());
    tasks.spawn("admission check", admission::run(ctx.clone()));
    tasks.spawn("retention", retention::run(ctx.clone()));
    tasks.spawn("sweep", sweeper::run(ctx.clone()));
    let synced = ctx.clone();
    let ready = async move {
        synced.stores.ready().await;
        synced.authority.set_synced();
        tracing::info!("stores are synced");
        std::future::pending::<()>().await;
    };
    tasks.spawn("first synchronisation", ready);
    let why = tokio::select! {
        () = told_to_stop() => None,
        ended = tasks.ended() => Some(ended),
        ended = engines.ended() => Some(ended),
    };
    if let Some(why) = &why {
        tracing::error!(why, "curfew ends; it has to be started again");
    }
    // First no new grants, then what runs is finished, then the lease goes to the other replica.
    renewal.abort();
    authority.set_lease(None);
    stop.send_replace(true);
    let finished = tokio::time::timeout(Duration::from_secs(10), engines.all_ended()).await;
    if tokio::time::timeout(Duration::from_secs(5), lease.release()).await.is_err() {
        tracing::info!("releasing the lease timed out; it expires by itself");
    }
    ctx.audit.finish(Duration::from_secs(10)).await;
    tracing::info!(finished = finished.is_ok(), "curfew stops");
    why.map_or(Ok(()), |w| Err(anyhow::anyhow!(w)))
}

/// Starts the engines, the router from watches to engines, and the heartbeat. Returns the engines' signs of life.
fn start(
    ctx: &Arc<Context>,
    changes: mpsc::UnboundedReceiver<Change>,
    stopped: watch::Receiver<bool>,
    tasks: &mut Tasks,
    engines: &mut Tasks,
) -> Vec<Pulse> {
    let (clock, panics) = (|| ctx.authority.clock.clone(), || ctx.metrics.panics.clone());
    let grant_controller = Arc::new(GrantController::new(ctx.clone()));
    let (grants, grant_queue) = Engine::new("grants", grant_controller.clone(), clock(), panics());
    let (requests, request_queue) = Engine::new("requests", Arc::new(RequestController::new(ctx.clone())), clock(), panics());
    let (decisions, decision_queue) = Engine::new("decisions", Arc::new(DecisionController::new(ctx.clone())), clock(), panics());
    let (readiness, readiness_queue) = Engine::new("readiness", Arc::new(ReadinessController::new(ctx.clone())), clock(), panics());
    tasks.spawn("heartbeat", grant::heartbeat(ctx.clone(), grant_controller.clone(), grant_queue.clone()));
    let router = Router {
        ctx: ctx.clone(),
        grant_controller,
        requests: request_queue,
        grants: grant_queue,
        decisions: decision_queue,
        readiness: readiness_queue,
    };
    tasks.spawn("router", router.run(changes));
    let pulses = vec![grants.pulse(), requests.pulse(), decisions.pulse(), readiness.pulse()];
    engines.spawn("engine of grants", grants.run(stopped.clone()));
    engines.spawn("engine of requests", requests.run(stopped.clone()));
    engines.spawn("engine of decisions", decisions.run(stopped.clone()));
    engines.spawn("engine of readiness", readiness.run(stopped));
    pulses
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
