//! The start of `curfew run`: until the API server answers, it is asked again, and `/readyz` says why nothing runs yet.
use crate::{
    cli::sweep,
    controllers::endpoints::OperatorEndpoints,
    observe::{self, Endpoints},
    runtime::tasks::Tasks,
};
use kube::Client;
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The pauses between two tries: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The endpoints of a process that may still be starting.
#[derive(Clone, Default)]
pub struct Startup(Arc<Progress>);

#[derive(Default)]
struct Progress {
    started: OnceLock<OperatorEndpoints>,
    waits_for: Mutex<String>,
}

impl Startup {
    /// Serves health and metrics from the runtime of these tasks.
    pub fn serve(listen: SocketAddr, tasks: &mut Tasks) -> Self {
        let startup = Startup::default();
        let endpoints = startup.clone();
        tasks.spawn("metrics and health endpoints", async move {
            if let Err(error) = observe::serve(listen, endpoints).await {
                tracing::error!(%error, address = %listen, "cannot serve; choose another address with --listen");
            }
        });
        startup
    }

    /// Serves these endpoints from now on.
    pub fn started(&self, endpoints: OperatorEndpoints) {
        let _only_once = self.0.started.set(endpoints);
    }

    /// The install id, as soon as the API server tells it. An API server that does not answer, or does not allow it yet, is asked
    /// again after pauses that grow.
    pub async fn install_id(&self, client: &Client) -> String {
        self.install_id_after(client, PAUSES).await
    }

    async fn install_id_after(&self, client: &Client, (mut pause, longest): (Duration, Duration)) -> String {
        loop {
            match sweep::install_id(client).await {
                Ok(install) => return install,
                Err(error) => {
                    let why = format!("{error:#}");
                    tracing::warn!(error = why, pause_secs = pause.as_secs_f32(), "cannot start yet; it is tried again");
                    *self.0.waits_for.lock() = why;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

impl Endpoints for Startup {
    fn alive(&self) -> Result<(), String> {
        self.0.started.get().map_or(Ok(()), Endpoints::alive)
    }

    fn ready(&self) -> Result<String, String> {
        match self.0.started.get() {
            Some(endpoints) => endpoints.ready(),
            None => Err(format!("starting: {}", self.0.waits_for.lock())),
        }
    }

    fn metrics(&self) -> String {
        self.0.started.get().map_or_else(String::new, Endpoints::metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU32, Ordering},
    };

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_yet_is_asked_again_and_readyz_says_why() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let service = tower::service_fn(move |_: Request<Body>| {
            let failing = count.fetch_add(1, Ordering::Relaxed) < 6;
            async move {
                let refused =
                    serde_json::json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "not yet"});
                let namespace =
                    serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "curfew-system", "uid": "u"}});
                let (code, body) = if failing { (403, refused) } else { (200, namespace) };
                Ok::<_, Infallible>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).expect("an answer"))
            }
        });
        let (startup, begun) = (Startup::default(), std::time::Instant::now());
        let pauses = (Duration::from_millis(2), Duration::from_millis(10));
        let install = startup.install_id_after(&Client::new(service, "default"), pauses).await;
        assert_eq!((install, asked.load(Ordering::Relaxed)), (curfew_core::ids::install_id("u"), 7));
        assert!(begun.elapsed() >= Duration::from_millis(2 + 4 + 8 + 10 + 10 + 10), "the pauses grow to their limit");
        assert_eq!(startup.alive(), Ok(()));
        let why = startup.ready().unwrap_err();
        assert!(why.contains("cannot read namespace curfew-system") && why.contains("not yet"), "{why}");
    }
}
