//! `curfew run --revoke-only`: a process that ends what is due and can do nothing else. It shares the protocol, the controller of
//! Grants and the sweep with the operator. No permit can be built in it, and its service account may not bind a role.
use super::{
    run::{Run, registry, synchronise, told_to_stop},
    startup::Startup,
};
use crate::{
    audit::{AuditLog, Setup},
    authority::{Authority, Clock, Lease},
    controllers::{
        Context,
        endpoints::OperatorEndpoints,
        grant::{self, GrantController},
        router::Router,
        sweeper,
    },
    identity::NAMESPACE,
    observe::{Events, Metrics},
    runtime::{client, engine::Engine, http::HttpClient, stores::Stores, tasks::Tasks, watch_age::WatchAges, watches::Watches},
    traces::{self, Traces},
};
use anyhow::Context as _;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Revokes until SIGTERM or Ctrl-C.
///
/// # Errors
/// If no cluster is configured, or a task that must not end has ended.
pub async fn run(args: Run) -> anyhow::Result<()> {
    let clock = Arc::new(Clock::default());
    let watches = Arc::new(WatchAges::default());
    let client = client::connect(clock.clone(), watches.clone()).await.context("no usable kubeconfig or service account")?;
    let (mut tasks, mut engines) = (Tasks::default(), Tasks::default());
    let startup = Startup::serve(args.listen, &mut tasks);
    let mut stopping = pin!(told_to_stop());
    let install = tokio::select! {
        install = startup.install_id(&client) => install,
        () = &mut stopping => return Ok(()),
        ended = tasks.ended() => anyhow::bail!(ended),
    };
    tracing::info!(install, replica = args.replica, version = env!("CARGO_PKG_VERSION"), "curfew starts, and only revokes");
    let authority = Authority::revoke_only(clock.clone());
    let metrics = Arc::new(Metrics::default());
    let (send, changes) = mpsc::unbounded_channel();
    let panics = metrics.panics.clone();
    let stores = Stores::revoke_only(
        &mut Watches { client: &client, tasks: &mut tasks, panics: panics.clone(), changes: send, ages: watches.clone() },
        watches,
    );
    let (audit, writing) = AuditLog::new(Setup {
        client: client.clone(),
        http: HttpClient::default(),
        configs: stores.configs.clone(),
        install: install.clone(),
        writer: format!("{}_{}_{}", args.replica, std::process::id(), clock.now().compact()),
        authority: authority.clone(),
        metrics: metrics.clone(),
    });
    tasks.spawn("audit log", writing);
    let registry = registry(&client, &stores, &authority);
    // Only looked at: while the leader lives and works, it is left alone with what is due.
    let lease = Lease::new(client.clone(), NAMESPACE, format!("{}_{}", args.replica, std::process::id()), authority.clone());
    lease.close();
    tasks.spawn("look at the lease", lease.run());
    let (events, publishing) = Events::new(client.clone(), &args.replica);
    tasks.spawn("publication of Events", publishing);
    let id = format!("{}_{}_{}", args.replica, std::process::id(), clock.now().compact());
    let traces =
        Traces::from_environment(&traces::Process { replica: &args.replica, id, install: &install, component: "revoker" }, &metrics);
    let ctx = Context::new(client, stores, authority, registry, install, &args.replica, metrics, audit, events).traced(traces);
    let ctx = Arc::new(ctx);
    let grant_controller = Arc::new(GrantController::new(ctx.clone()));
    let (grants, queue) = Engine::new("grants", grant_controller.clone(), clock, panics);
    let pulses = vec![grants.pulse()];
    let (stop, stopped) = watch::channel(false);
    tasks.spawn("heartbeat", grant::heartbeat(ctx.clone(), grant_controller.clone(), queue.clone()));
    let router = Router { ctx: ctx.clone(), grant_controller, grants: queue, others: None };
    tasks.spawn("router", router.run(changes));
    engines.spawn("engine of grants", grants.run(stopped));
    startup.started(OperatorEndpoints { ctx: ctx.clone(), pulses });
    tasks.spawn("sweep", sweeper::run(ctx.clone()));
    tasks.spawn("first synchronisation", synchronise(ctx.clone()));
    let why = tokio::select! {
        () = stopping => None,
        ended = tasks.ended() => Some(ended),
        ended = engines.ended() => Some(ended),
    };
    if let Some(why) = &why {
        tracing::error!(why, "curfew ends; it has to be started again");
    }
    stop.send_replace(true);
    let finished = tokio::time::timeout(Duration::from_secs(10), engines.all_ended()).await;
    tokio::join!(ctx.audit.finish(Duration::from_secs(10)), ctx.traces.finish(Duration::from_secs(3)));
    tracing::info!(finished = finished.is_ok(), "curfew stops");
    why.map_or(Ok(()), |w| Err(anyhow::anyhow!(w)))
}
