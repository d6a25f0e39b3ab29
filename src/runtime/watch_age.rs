//! How old the answers of the watches are. A connection that goes silent without being closed looks like a cluster in which
//! nothing happens, so its age is bounded: the API server ends each watch after some seconds, and the next one must be answered.
use http::{StatusCode, Uri};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// When the API server last began to answer each watch, by the path that is watched.
#[derive(Default, Debug)]
pub struct WatchAges {
    answered: Mutex<BTreeMap<String, Instant>>,
    /// How often a watch has failed.
    interruptions: AtomicU64,
}

impl WatchAges {
    /// Records the beginning of a response, if it is of a watch.
    pub fn observe(&self, asked: &Uri, status: StatusCode) {
        if let Some(path) = watched(asked).filter(|_| status.is_success()) {
            self.answered(path, Instant::now());
        }
    }

    fn answered(&self, path: &str, at: Instant) {
        self.answered.lock().insert(path.to_owned(), at);
    }

    /// Records that a watch has failed. It is not known to be the same API server that answers next.
    pub fn interrupted(&self) {
        self.interruptions.fetch_add(1, Ordering::AcqRel);
    }

    /// How often a watch has failed. A restart of the API server breaks every watch.
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::Acquire)
    }

    /// Whether the watch of this resource was answered within this time, so that what it has brought is not older than that.
    pub fn is_fresh(&self, resource: &str, within: Duration, now: Instant) -> bool {
        let known = self.answered.lock();
        let at = known.iter().find(|(path, _)| path.rsplit('/').next() == Some(resource)).map(|(_, at)| *at);
        at.is_some_and(|at| now.saturating_duration_since(at) < within)
    }

    /// The watch that was answered longest ago, by its resource, and how long ago that was. `None` before the first answer.
    pub fn oldest(&self, now: Instant) -> Option<(String, Duration)> {
        let known = self.answered.lock();
        let (path, at) = known.iter().min_by_key(|(_, at)| **at)?;
        Some((path.rsplit('/').next().unwrap_or(path).to_owned(), now.saturating_duration_since(*at)))
    }
}

/// The path that a request watches.
fn watched(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")).then(|| uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::on_response::OnResponse;
    use http::{HeaderMap, Request, Response};
    use std::sync::Arc;
    use tower::{Layer, Service};

    #[tokio::test]
    async fn only_a_watch_that_was_answered_is_young() {
        let ages = Arc::new(WatchAges::default());
        let answer = tower::service_fn(|request: Request<()>| async move {
            let status = if request.uri().path().ends_with("refused") { 403 } else { 200 };
            Response::builder().status(status).body(())
        });
        let observer = ages.clone();
        let mut client = OnResponse(move |asked: &Uri, status, _: &HeaderMap| observer.observe(asked, status)).layer(answer);
        for uri in ["/apis/curfew.dev/v1alpha1/grants", "/api/v1/refused?watch=true", "/api/v1/pods?labelSelector=watch"] {
            client.call(Request::get(uri).body(()).unwrap()).await.unwrap();
        }
        assert_eq!(ages.oldest(Instant::now()), None);
        client.call(Request::get("/apis/curfew.dev/v1alpha1/grants?&watch=true&timeoutSeconds=8").body(()).unwrap()).await.unwrap();
        let (kind, age) = ages.oldest(Instant::now() + Duration::from_secs(40)).unwrap();
        assert!(kind == "grants" && age >= Duration::from_secs(40), "{kind} {age:?}");
        let fresh = |resource: &str, secs| ages.is_fresh(resource, Duration::from_secs(10), Instant::now() + Duration::from_secs(secs));
        assert!(fresh("grants", 5) && !fresh("grants", 40) && !fresh("pods", 5), "what was never answered is not fresh");
        ages.answered("/api/v1/namespaces", Instant::now() + Duration::from_secs(20));
        assert_eq!(ages.oldest(Instant::now()).unwrap().0, "grants");
    }
}
