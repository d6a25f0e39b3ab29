//! The objects of one kind: a list first, then a watch.
//!
//! The list is streamed: the API server sends what there is as the first events of a watch, and then a bookmark (`sendInitialEvents`,
//! Kubernetes KEP-3157). That is one call and holds no page in memory, where objects that may each be as large as etcd takes them need small pages.
//! A list that cannot be streamed, or is not complete when the API server ends the watch, is read in pages; if that fails, the next try streams again.
//! Where the API server says that it cannot now, as while its cache is behind what is stored, it is asked again for a while first.
use crate::timing::timing;
use futures::{StreamExt, stream::BoxStream};
use kube::{
    Api, Resource,
    runtime::watcher::{self, Config, Error, Event, InitialListStrategy, watcher},
};
use serde::de::DeserializeOwned;
use std::{collections::hash_map::RandomState, fmt::Debug, hash::BuildHasher, time::Duration};

/// How often in a row a list is asked for as a stream that the API server cannot begin now. It waits some 3 s before it says so.
const TRIES: u32 = 6;

/// Lists and watches, and begins again where that fails.
pub struct Listing<K: Resource + 'static> {
    api: Api<K>,
    config: Config,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    phase: Phase,
    /// Before the next event is waited for.
    pause: Option<Duration>,
    pauses: Pauses,
    /// How often in a row the API server could not begin to stream a list.
    refused: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The next event begins a list.
    Begins,
    /// A list is under way.
    Lists,
    /// The list is complete.
    Watches,
}

impl<K: Resource + Clone + DeserializeOwned + Debug + Send + 'static> Listing<K> {
    /// Of these objects. Nothing is asked for yet.
    pub fn new(api: Api<K>, config: Config) -> Self {
        let config = Config { initial_list_strategy: InitialListStrategy::StreamingList, ..config.timeout(timing().watch_secs) };
        let events = watcher(api.clone(), config.clone()).boxed();
        Listing { api, config, events, phase: Phase::Begins, pause: None, pauses: Pauses::default(), refused: 0 }
    }

    /// Whether the last list is complete, so that what was brought since is all there is.
    pub fn is_complete(&self) -> bool {
        self.phase == Phase::Watches
    }

    /// The next event.
    ///
    /// # Errors
    /// If the API server cannot be read, or has ended a watch by an error. The next call tries again, after a pause.
    pub async fn next(&mut self) -> watcher::Result<Event<K>> {
        if let Some(pause) = self.pause.take() {
            tokio::time::sleep(pause).await;
        }
        loop {
            match self.events.next().await {
                // kube would stream it again, as often as it is ended.
                Some(Ok(Event::Init)) if self.phase == Phase::Lists => {
                    tracing::info!(path = self.api.resource_url(), "a list was ended before it was complete; it is read in pages");
                    self.change_strategy();
                }
                Some(Ok(event)) => {
                    match &event {
                        Event::Init => self.phase = Phase::Lists,
                        Event::InitDone => self.phase = Phase::Watches,
                        Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
                    }
                    if self.is_complete() {
                        (self.pauses, self.refused) = (Pauses::default(), 0);
                    }
                    return Ok(event);
                }
                Some(Err(error)) if !self.is_complete() && self.streams() && self.refused < TRIES && is_temporary(&error) => {
                    self.refused += 1;
                    self.pause = self.pauses.next();
                    self.begin();
                    return Err(error);
                }
                Some(Err(error)) if !self.is_complete() && self.streams() => {
                    tracing::info!(path = self.api.resource_url(), %error, "a list cannot be streamed; it is read in pages");
                    self.change_strategy();
                }
                Some(Err(error)) => {
                    self.pause = self.pauses.next();
                    match error {
                        _ if !self.is_complete() => self.change_strategy(),
                        // kube lists again then.
                        Error::NoResourceVersion => self.phase = Phase::Begins,
                        Error::WatchError(ref status) if status.code == 410 => self.phase = Phase::Begins,
                        Error::WatchError(_) | Error::WatchFailed(_) | Error::WatchStartFailed(_) | Error::InitialListFailed(_) => {}
                    }
                    return Err(error);
                }
                // It has no end.
                None => std::future::pending().await,
            }
        }
    }

    fn streams(&self) -> bool {
        self.config.initial_list_strategy == InitialListStrategy::StreamingList
    }

    /// Begins again by the other strategy.
    fn change_strategy(&mut self) {
        self.config.initial_list_strategy =
            if self.streams() { InitialListStrategy::ListWatch } else { InitialListStrategy::StreamingList };
        self.refused = 0;
        self.begin();
    }

    fn begin(&mut self) {
        self.events = watcher(self.api.clone(), self.config.clone()).boxed();
        self.phase = Phase::Begins;
    }
}

/// Whether the API server can do what it was asked for, and not now: it has too much to do, or its cache does not hold what is stored yet
/// (504, `ResourceVersionTooLarge`).
fn is_temporary(error: &Error) -> bool {
    let code = match error {
        Error::WatchError(status) | Error::WatchStartFailed(kube::Error::Api(status)) => status.code,
        Error::WatchStartFailed(_) | Error::WatchFailed(_) | Error::InitialListFailed(_) | Error::NoResourceVersion => 0,
    };
    matches!(code, 429 | 504)
}

/// Pauses between tries, at most 4 s: kube's own grow to half a minute, and for as long after an API server is back
/// a Deny would not be seen. Each differs by up to 20 % at random, so that replicas do not return together.
#[derive(Default)]
struct Pauses {
    tries: u32,
    random: RandomState,
}

impl Iterator for Pauses {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(250 << self.tries.min(4));
        let per_mille = 800 + u32::try_from(self.random.hash_one(self.tries) % 401).unwrap_or(200);
        self.tries = self.tries.wrapping_add(1);
        Some(pause * per_mille / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AccessPolicy;
    use http::{Request, Response};
    use kube::{Client, client::Body};
    use parking_lot::Mutex;
    use std::{collections::VecDeque, sync::Arc};
    use tower::service_fn;

    /// How the API server answers.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Answer {
        /// With an empty list: a bookmark, or a page.
        Complete,
        /// It ends the answer before the bookmark.
        CutOff,
        /// With an error.
        Refused(u16),
        /// The answer begins, and brings this error.
        Fails(u16),
        /// A watch that has a list brings the error that its version is too old.
        Gone,
    }

    /// What was asked for, and a listing whose questions are answered in this order; then everything is complete.
    fn answered(answers: &[Answer]) -> (Arc<Mutex<Vec<&'static str>>>, Listing<AccessPolicy>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let seen = asked.clone();
        let service = service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let question = match () {
                () if query.contains("sendInitialEvents=true") => "stream",
                () if query.contains("watch=true") => "watch",
                () => "page",
            };
            seen.lock().push(question);
            let answer = answers.lock().pop_front().unwrap_or(Answer::Complete);
            async move { Ok::<_, std::convert::Infallible>(response(question, answer)) }
        });
        (asked, Listing::new(Api::all(Client::new(service, "default")), Config::default()))
    }

    fn response(question: &str, answer: Answer) -> Response<Body> {
        let status =
            |code: u16| format!(r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","reason":"","code":{code}}}"#);
        let bookmark = concat!(
            r#"{"type":"BOOKMARK","object":{"apiVersion":"curfew.dev/v1alpha1","kind":"AccessPolicy","#,
            r#""metadata":{"resourceVersion":"5","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
            "\n"
        );
        let (code, text) = match (question, answer) {
            (_, Answer::Refused(code)) => (code, status(code)),
            (_, Answer::CutOff) => (200, String::new()),
            (_, Answer::Fails(code)) => (200, format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", status(code))),
            ("stream", Answer::Gone) => (200, format!("{bookmark}{{\"type\":\"ERROR\",\"object\":{}}}\n", status(410))),
            ("stream", Answer::Complete) => (200, bookmark.to_owned()),
            ("page", _) => (
                200,
                r#"{"apiVersion":"curfew.dev/v1alpha1","kind":"AccessPolicyList","metadata":{"resourceVersion":"5"},"items":[]}"#
                    .to_owned(),
            ),
            _ => (200, String::new()),
        };
        Response::builder().status(code).body(Body::from(text.into_bytes())).unwrap()
    }

    async fn until_complete(listing: &mut Listing<AccessPolicy>) -> usize {
        let mut errors = 0;
        loop {
            match listing.next().await {
                Ok(Event::InitDone) => return errors,
                Ok(_) => {}
                Err(_) => errors += 1,
            }
        }
    }

    #[tokio::test]
    async fn a_list_is_streamed_and_read_in_pages_where_that_is_not_possible() {
        for (answers, expected) in [
            (&[][..], &["stream"][..]),
            // The feature is switched off.
            (&[Answer::Refused(422)], &["stream", "page"]),
            // It takes longer than the API server lets a watch last. kube says so when it has begun again.
            (&[Answer::CutOff], &["stream", "stream", "page"]),
        ] {
            let (asked, mut listing) = answered(answers);
            assert!(!listing.is_complete());
            assert_eq!(until_complete(&mut listing).await, 0, "the other way is tried at once");
            assert!(listing.is_complete());
            assert_eq!(*asked.lock(), expected);
        }
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_streamed_now_is_asked_for_again_before_it_is_read_in_pages() {
        let (asked, mut listing) = answered(&[Answer::Fails(504), Answer::Refused(429)]);
        assert_eq!(until_complete(&mut listing).await, 2);
        assert_eq!(*asked.lock(), ["stream", "stream", "stream"]);

        let (asked, mut listing) = answered(&[Answer::Refused(504); 3]);
        listing.refused = TRIES - 2;
        assert_eq!(until_complete(&mut listing).await, 2);
        assert_eq!(*asked.lock(), ["stream", "stream", "stream", "page"]);
    }

    #[tokio::test]
    async fn a_list_that_fails_in_both_ways_is_tried_again_after_a_pause() {
        let (asked, mut listing) = answered(&[Answer::Refused(503), Answer::Refused(503), Answer::Refused(422)]);
        assert_eq!(until_complete(&mut listing).await, 1);
        assert_eq!(*asked.lock(), ["stream", "page", "stream", "page"]);
    }

    #[tokio::test]
    async fn a_version_that_is_too_old_lists_again_in_the_same_way_and_until_then_nothing_is_complete() {
        let (asked, mut listing) = answered(&[Answer::Gone]);
        assert_eq!(until_complete(&mut listing).await, 0);
        assert!(listing.next().await.is_err() && !listing.is_complete());
        assert_eq!(until_complete(&mut listing).await, 0);
        assert_eq!(*asked.lock(), ["stream", "stream"]);
    }

    #[test]
    fn a_watch_starts_again_within_five_seconds_however_often_it_failed() {
        let mut pauses = Pauses::default();
        for expected in [250, 500, 1000, 2000, 4000, 4000, 4000] {
            let pause = pauses.next().unwrap().as_millis();
            assert!((expected * 8 / 10..=expected * 12 / 10).contains(&pause), "{pause} for {expected}");
        }
        assert!(pauses.by_ref().take(1000).all(|pause| pause <= Duration::from_millis(4800)));
    }
}
