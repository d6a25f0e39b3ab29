//! `curfew run`: the operator.
use super::{revoke_only, startup::Startup};
use crate::{
    audit::{AuditLog, Setup},
    authority::{Authority, Clock, Lease},
    controllers::{
        Context,
        active_assignment::ActiveAssignmentController,
        admission,
        assignment_request::AssignmentRequestController,
        decision::DecisionController,
        endpoints::OperatorEndpoints,
        grant::{self, GrantController},
        identity_keys,
        readiness::ReadinessController,
        request::{self, RequestController},
        retention,
        router::{OtherQueues, Router},
        sweeper,
    },
    identity::NAMESPACE,
    observe::{Events, Metrics},
    providers::{
        Registry,
        kubernetes::{Guard, Kubernetes, Watched},
    },
    runtime::{
        changes::Change, client, engine::Engine, http::HttpClient, liveness::Pulse, own::OwnRuntime, stores::Stores, tasks::Tasks,
        watch_age::WatchAges, watches::Watches,
    },
    timing::timing,
    traces::{self, Traces},
};
use anyhow::Context as _;
use kube::Client;
use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// How many threads revocation has for itself.
const REVOKING_THREADS: usize = 2;

/// Run the operator until SIGTERM or Ctrl-C.
///
/// KUBECONFIG, or the service account of the pod, says which cluster. Several replicas may run: one holds the lease and
/// grants, every one revokes.
///
/// OTEL_EXPORTER_OTLP_ENDPOINT and the other variables of OpenTelemetry turn on traces of requests (docs/howto/traces.md). Wrong
/// settings turn them off, and the log says why.
#[derive(clap::Args, Debug)]
pub struct Run {
    /// The name of this replica, as it stands in the lease, in Events and in the audit log: 1 to 63 characters.
    #[arg(long, env = "CURFEW_REPLICA", default_value = "curfew-operator-0", value_parser = replica_name)]
    pub replica: String,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "CURFEW_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Only revoke. The process watches Grants and the objects that carry their mark, nothing that people can create, so no number
    /// of requests and decisions can fill its memory or delay it. It takes no lease, grants nothing, and ends each Grant at its
    /// deadline as a replica without the lease does. An early end, by a decision or by deleting the request, needs the operator.
    /// deploy/65-revoker.yaml runs it beside the operator, under a service account without the right to bind a role.
    #[arg(long)]
    pub revoke_only: bool,
}

/// A Deployment gives its pods names that are no longer; status and Events have limits.
fn replica_name(name: &str) -> Result<String, String> {
    if (1..=63).contains(&name.len()) { Ok(name.to_owned()) } else { Err(format!("has {} characters; 1 to 63 are allowed", name.len())) }
}

/// Runs the operator.
///
/// # Errors
/// If no cluster is configured, or a task that must not end has ended. An API server that does not answer is asked again.
pub async fn run(args: Run) -> anyhow::Result<()> {
    if args.revoke_only {
        return revoke_only::run(args).await;
    }
    let clock = Arc::new(Clock::default());
    let watches = Arc::new(WatchAges::default());
    // What ends access has threads and connections of its own: no flood of other work can hold it up.
    let own = OwnRuntime::start("curfew-revoke", REVOKING_THREADS).context("cannot start threads")?;
    let client = client::connect(clock.clone(), watches.clone()).await.context("no usable kubeconfig or service account")?;
    let revoking = own.run(client::connect(clock.clone(), watches.clone())).await??;
    let (mut tasks, mut own_tasks) = (Tasks::default(), Tasks::on(own.handle()));
    let startup = Startup::serve(args.listen, &mut own_tasks);
    let mut stopping = pin!(told_to_stop());
    let install = tokio::select! {
        install = startup.install_id(&client) => install,
        () = &mut stopping => return Ok(()),
        ended = own_tasks.ended() => anyhow::bail!(ended),
    };
    tracing::info!(install, replica = args.replica, version = env!("CARGO_PKG_VERSION"), "curfew starts");
    let authority = Authority::new(clock.clone());
    let metrics = Arc::new(Metrics::default());
    let ((urgent, urgent_changes), (other, other_changes)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let panics = || metrics.panics.clone();
    let stores = Stores::start(
        &mut Watches { client: &revoking, tasks: &mut own_tasks, panics: panics(), changes: urgent, ages: watches.clone() },
        &mut Watches { client: &client, tasks: &mut tasks, panics: panics(), changes: other, ages: watches.clone() },
        watches,
    );
    let registry = |client: &Client| registry(client, &stores, &authority);
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
    let (here, theirs) = (registry(&client), registry(&revoking));
    let (events, publishing) = Events::new(client.clone(), &args.replica);
    tasks.spawn("publication of Events", publishing);
    let process = traces::Process {
        replica: &args.replica,
        id: format!("{holder}_{}", clock.now().compact()),
        install: &install,
        component: "operator",
    };
    let traces = Traces::from_environment(&process, &metrics);
    let ctx = Context::new(client, stores, authority.clone(), here, install, &args.replica, metrics, audit, events).traced(traces);
    let (revoking_ctx, ctx) = (Arc::new(ctx.over(revoking.clone(), theirs)), Arc::new(ctx));
    let lease = Lease::new(revoking, NAMESPACE, holder, authority.clone());
    let (stop, stopped) = watch::channel(false);
    let (mut engines, mut own_engines) = (Tasks::default(), Tasks::on(own.handle()));
    let started = Started {
        ctx: &ctx,
        revoking: &revoking_ctx,
        tasks: &mut tasks,
        own_tasks: &mut own_tasks,
        engines: &mut engines,
        own_engines: &mut own_engines,
    };
    let pulses = started.start(other_changes, urgent_changes, stopped);
    startup.started(OperatorEndpoints { ctx: revoking_ctx.clone(), pulses });
    own_tasks.spawn("renewal of the lease", lease.clone().run());
    tasks.spawn("admission check", admission::run(ctx.clone()));
    tasks.spawn("extra keys of logins", identity_keys::run(ctx.clone()));
    tasks.spawn("retention", retention::run(ctx.clone()));
    tasks.spawn("notifications", ctx.notifier.clone().run());
    tasks.spawn("sweep of slots", request::slots::sweep(ctx.clone()));
    own_tasks.spawn("sweep", sweeper::run(revoking_ctx));
    own_tasks.spawn("first synchronisation", synchronise(ctx.clone()));
    let why = tokio::select! {
        () = stopping => None,
        ended = tasks.ended() => Some(ended),
        ended = own_tasks.ended() => Some(ended),
        ended = engines.ended() => Some(ended),
        ended = own_engines.ended() => Some(ended),
    };
    if let Some(why) = &why {
        tracing::error!(why, "curfew ends; it has to be started again");
    }
    // First no new grants, then what runs is finished, then the lease goes to the other replica.
    lease.close();
    stop.send_replace(true);
    let all_ended = async { tokio::join!(engines.all_ended(), own_engines.all_ended()) };
    let finished = tokio::time::timeout(Duration::from_secs(10), all_ended).await;
    if tokio::time::timeout(Duration::from_secs(5), lease.release()).await.is_err() {
        tracing::info!("releasing the lease timed out; it expires by itself");
    }
    tokio::join!(
        ctx.audit.finish(Duration::from_secs(10)),
        ctx.notifier.finish(Duration::from_secs(5)),
        ctx.traces.finish(Duration::from_secs(3)),
    );
    tracing::info!(finished = finished.is_ok(), "curfew stops");
    why.map_or(Ok(()), |w| Err(anyhow::anyhow!(w)))
}

/// The targets, reached by connections of this client's runtime.
pub(super) fn registry(client: &Client, stores: &Stores, authority: &Arc<Authority>) -> Registry {
    let watched = Watched {
        bindings: stores.bindings.clone(),
        cluster_bindings: stores.cluster_bindings.clone(),
        jobs: stores.jobs.clone(),
        cluster_roles: stores.cluster_roles.clone(),
        roles: stores.roles.clone(),
        namespaces: stores.namespaces.clone(),
    };
    let clock = authority.clock.clone();
    let here = Kubernetes::new(client.clone(), clock.clone(), Some(watched), Guard::AdmissionCheck(authority.clone()));
    #[cfg(feature = "crash-points")]
    let here = crate::providers::faults::Faulty::around(here);
    Registry::new(Arc::new(here), client.clone(), clock)
}

/// Records that the stores are synced. Does not end.
pub(super) async fn synchronise(ctx: Arc<Context>) {
    let mut ready = pin!(ctx.stores.ready());
    if tokio::time::timeout(timing().first_lists, &mut ready).await.is_err() {
        tracing::warn!(
            secs = timing().first_lists.as_secs(),
            "the first lists are not complete yet; what does not need all of them begins"
        );
        ctx.authority.set_begun();
        ready.await;
    }
    ctx.authority.set_synced();
    tracing::info!("stores are synced");
    std::future::pending::<()>().await;
}

/// What the engines are started with: the state over each runtime's connections, and the tasks of each runtime.
struct Started<'a> {
    ctx: &'a Arc<Context>,
    revoking: &'a Arc<Context>,
    tasks: &'a mut Tasks,
    own_tasks: &'a mut Tasks,
    engines: &'a mut Tasks,
    own_engines: &'a mut Tasks,
}

impl Started<'_> {
    /// Starts the engines, the routers from watches to engines, and the heartbeat. Returns the engines' signs of life.
    fn start(
        self,
        other_changes: mpsc::UnboundedReceiver<Change>,
        urgent_changes: mpsc::UnboundedReceiver<Change>,
        stopped: watch::Receiver<bool>,
    ) -> Vec<Pulse> {
        let Started { ctx, revoking, tasks, own_tasks, engines, own_engines } = self;
        let (clock, panics) = (|| ctx.authority.clock.clone(), || ctx.metrics.panics.clone());
        let grant_controller = Arc::new(GrantController::new(revoking.clone()));
        let (grants, grant_queue) = Engine::new("grants", grant_controller.clone(), clock(), panics());
        let (requests, request_queue) = Engine::new("requests", Arc::new(RequestController::new(ctx.clone())), clock(), panics());
        let controller = Arc::new(AssignmentRequestController::new(ctx.clone()));
        let (assignment_requests, assignment_request_queue) = Engine::new("assignment requests", controller, clock(), panics());
        let (decisions, decision_queue) = Engine::new("decisions", Arc::new(DecisionController::new(ctx.clone())), clock(), panics());
        let (readiness, readiness_queue) = Engine::new("readiness", Arc::new(ReadinessController::new(ctx.clone())), clock(), panics());
        let (standing, standing_queue) =
            Engine::new("active assignments", Arc::new(ActiveAssignmentController::new(ctx.clone())), clock(), panics());
        own_tasks.spawn("heartbeat", grant::heartbeat(revoking.clone(), grant_controller.clone(), grant_queue.clone()));
        let others = OtherQueues {
            requests: request_queue,
            assignment_requests: assignment_request_queue,
            decisions: decision_queue,
            standing: standing_queue,
            readiness: readiness_queue,
        };
        let router = Router { ctx: ctx.clone(), grant_controller, grants: grant_queue, others: Some(others) };
        own_tasks.spawn("router of Grants", router.clone().forward(urgent_changes));
        tasks.spawn("router", router.run(other_changes));
        let pulses =
            vec![grants.pulse(), requests.pulse(), assignment_requests.pulse(), decisions.pulse(), standing.pulse(), readiness.pulse()];
        own_engines.spawn("engine of grants", grants.run(stopped.clone()));
        // What a list has not brought yet need not be read.
        let begun = || {
            let authority = ctx.authority.clone();
            async move { authority.until_begun().await }
        };
        engines.spawn("engine of requests", requests.run_from(begun(), stopped.clone()));
        engines.spawn("engine of assignment requests", assignment_requests.run_from(begun(), stopped.clone()));
        engines.spawn("engine of decisions", decisions.run_from(begun(), stopped.clone()));
        engines.spawn("engine of active assignments", standing.run_from(begun(), stopped.clone()));
        engines.spawn("engine of readiness", readiness.run_from(begun(), stopped));
        pulses
    }
}

#[cfg(not(unix))]
pub(super) async fn told_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(unix)]
pub(super) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
