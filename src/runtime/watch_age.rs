//! How old the answers of the watches are. A connection that goes silent without being closed looks like a cluster in which
//! nothing happens, so its age is bounded: it brings something every few seconds, an answer or the answer to a PING, or it is closed, and
//! the API server ends each watch after a while, so that the next one must be answered (`watching.rs`).
use http::Uri;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// When a connection last brought anything.
#[derive(Clone, Debug)]
pub struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    /// Of a connection that was opened at this time.
    pub fn at(opened: Instant) -> Self {
        Heard(Arc::new(Mutex::new(opened)))
    }

    /// When it last brought anything.
    pub fn last(&self) -> Instant {
        *self.0.lock()
    }

    /// It brings something at this time.
    pub fn hear(&self, now: Instant) {
        *self.0.lock() = now;
    }
}

/// When each watch last brought something, by the path that is watched.
#[derive(Default, Debug)]
pub struct WatchAges {
    watches: Mutex<BTreeMap<String, Watch>>,
    /// The resources of which a list is under way: the stores show what was there before it, or nothing.
    listing: Mutex<BTreeSet<String>>,
    /// How often a watch has failed.
    interruptions: AtomicU64,
}

/// The last watch of a path.
#[derive(Debug)]
struct Watch {
    /// Tells it from those before.
    number: u64,
    /// When the API server began to answer it, or it ended.
    at: Instant,
    /// When it ends by itself. One that is older is not read, or its end was lost: what its connection brings says nothing about it.
    until: Instant,
    /// Its connection, while it is open.
    connection: Option<Heard>,
}

impl Watch {
    /// When it was last known to be answered.
    fn answered(&self) -> Instant {
        self.connection.as_ref().map_or(self.at, |connection| connection.last().min(self.until).max(self.at))
    }
}

impl WatchAges {
    /// Records that the API server begins to answer a watch of this path, over this connection, if that is known. The watch ends by
    /// itself after so long, and at the latest when what is returned is dropped.
    pub fn begun(self: &Arc<Self>, path: &str, lasts: Duration, connection: Option<Heard>) -> OpenWatch {
        let at = Instant::now();
        let mut watches = self.watches.lock();
        let number = watches.get(path).map_or(0, |before| before.number + 1);
        watches.insert(path.to_owned(), Watch { number, at, until: at + lasts, connection });
        OpenWatch { ages: self.clone(), path: path.to_owned(), number, until: at + lasts, failed: false }
    }

    /// Records that a list of this resource has to be read. Until it is complete, no watch is fresh: it may be the one that brings the list.
    pub fn lists(&self, resource: &str) {
        let mut listing = self.listing.lock();
        // Called before each object of a list.
        if !listing.contains(resource) {
            listing.insert(resource.to_owned());
        }
    }

    /// Records that the stores show the list of this resource.
    pub fn listed(&self, resource: &str) {
        self.listing.lock().remove(resource);
    }

    /// Whether a list of this resource is under way.
    pub fn is_listing(&self, resource: &str) -> bool {
        self.listing.lock().contains(resource)
    }

    /// Records that a watch has failed. It is not known to be the same API server that answers next.
    pub fn interrupted(&self) {
        self.interruptions.fetch_add(1, Ordering::AcqRel);
    }

    /// How often a watch has failed. A restart of the API server breaks every watch.
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::Acquire)
    }

    /// Whether the watch of this resource was answered within this time, so that what the stores show is not older than that.
    pub fn is_fresh(&self, resource: &str, within: Duration, now: Instant) -> bool {
        if self.is_listing(resource) {
            return false;
        }
        let watches = self.watches.lock();
        let known = watches.iter().find(|(path, _)| path.rsplit('/').next() == Some(resource));
        known.is_some_and(|(_, watch)| now.saturating_duration_since(watch.answered()) < within)
    }

    /// Whether every watch was answered within this time, also one that brings a list.
    pub fn are_answered(&self, within: Duration, now: Instant) -> bool {
        self.oldest(now).is_some_and(|(_, age)| age < within)
    }

    /// The watch that was answered longest ago, by its resource, and how long ago that was. `None` before the first answer.
    pub fn oldest(&self, now: Instant) -> Option<(String, Duration)> {
        let watches = self.watches.lock();
        let (path, at) = watches.iter().map(|(path, watch)| (path, watch.answered())).min_by_key(|(_, at)| *at)?;
        Some((path.rsplit('/').next().unwrap_or(path).to_owned(), now.saturating_duration_since(at)))
    }
}

/// How long before its time a watch may end without a failure: clocks and timers are not exact.
const EARLY: Duration = Duration::from_secs(1);

/// A watch that is open. Its age is that of its connection until this is dropped. One that is dropped before its time has failed, too: an API
/// server that is told to stop ends its watches in order.
#[derive(Debug)]
pub struct OpenWatch {
    ages: Arc<WatchAges>,
    path: String,
    number: u64,
    until: Instant,
    failed: bool,
}

impl OpenWatch {
    /// The watch has brought something, and is not over before this time.
    pub fn lasts_until(&mut self, until: Instant) {
        self.until = self.until.max(until);
        if let Some(watch) = self.ages.watches.lock().get_mut(&self.path).filter(|watch| watch.number == self.number) {
            watch.until = self.until;
        }
    }

    /// The watch has failed.
    pub fn failed(&mut self) {
        self.failed = true;
        self.ages.interrupted();
        self.close();
    }

    fn close(&self) {
        if let Some(watch) = self.ages.watches.lock().get_mut(&self.path).filter(|watch| watch.number == self.number) {
            watch.at = watch.answered();
            watch.connection = None;
        }
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        if !self.failed && Instant::now() + EARLY < self.until {
            self.ages.interrupted();
        }
        self.close();
    }
}

/// The path that a request watches.
pub fn watched(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")).then(|| uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn after(secs: u64) -> Instant {
        Instant::now() + Duration::from_secs(secs)
    }

    #[test]
    fn a_watch_is_as_old_as_what_its_connection_brought_last_and_not_older_than_its_end() {
        let ages = Arc::new(WatchAges::default());
        assert_eq!(ages.oldest(Instant::now()), None);
        let fresh = |resource: &str, secs| ages.is_fresh(resource, Duration::from_secs(10), after(secs));
        let brings = |secs| Some(Heard::at(after(secs)));
        let _grants = ages.begun("/apis/curfew.dev/v1alpha1/grants", MINUTE, brings(0));
        let (kind, age) = ages.oldest(after(40)).unwrap();
        assert!(kind == "grants" && age >= Duration::from_secs(39), "{kind} {age:?}");
        assert!(fresh("grants", 5) && !fresh("grants", 40) && !fresh("pods", 5), "what was never answered is not fresh");

        let _grants = ages.begun("/apis/curfew.dev/v1alpha1/grants", MINUTE, brings(40));
        assert!(fresh("grants", 45) && !fresh("grants", 55));
        let _grants = ages.begun("/apis/curfew.dev/v1alpha1/grants", MINUTE, brings(300));
        assert!(fresh("grants", 65) && !fresh("grants", 75), "a watch that should have ended is not kept young by others");
    }

    #[test]
    fn a_watch_that_brings_a_list_is_young_while_it_does_and_fresh_when_that_is_complete() {
        let ages = Arc::new(WatchAges::default());
        ages.lists("grants");
        let mut list = ages.begun("/apis/curfew.dev/v1alpha1/grants", MINUTE, Some(Heard::at(after(300))));
        let old = |secs| ages.oldest(after(secs)).unwrap().1 > Duration::from_secs(10);
        assert!(!old(60) && old(100));
        list.lasts_until(after(50) + MINUTE);
        assert!(!old(100) && old(130));
        let is_fresh = || ages.is_fresh("grants", Duration::from_secs(10), after(100));
        let are_answered = |secs| ages.are_answered(Duration::from_secs(10), after(secs));
        assert!(!is_fresh() && are_answered(100) && !are_answered(130), "the stores show what was there before");
        ages.listed("grants");
        assert!(is_fresh());
    }

    #[test]
    fn a_watch_that_has_ended_is_not_kept_young_by_its_connection() {
        let ages = Arc::new(WatchAges::default());
        let connection = Heard::at(after(5));
        let mut broken = ages.begun("/api/v1/namespaces", MINUTE, Some(connection.clone()));
        let before = ages.interruptions();
        broken.failed();
        assert_eq!(ages.interruptions(), before + 1);
        connection.hear(after(50));
        assert!(ages.is_fresh("namespaces", Duration::from_secs(10), after(14)));
        assert!(!ages.is_fresh("namespaces", Duration::from_secs(10), after(20)));
        // The next one is another, and what is dropped late does not end it.
        let _next = ages.begun("/api/v1/namespaces", MINUTE, Some(connection));
        drop(broken);
        assert!(ages.is_fresh("namespaces", Duration::from_secs(10), after(55)));
    }

    #[test]
    fn a_watch_that_is_ended_before_its_time_has_failed() {
        let ages = Arc::new(WatchAges::default());
        drop(ages.begun("/api/v1/namespaces", Duration::from_millis(900), None));
        assert_eq!(ages.interruptions(), 0, "it has ended by itself");
        drop(ages.begun("/api/v1/namespaces", MINUTE, None));
        assert_eq!(ages.interruptions(), 1, "the API server was told to stop");
        ages.begun("/api/v1/namespaces", MINUTE, None).failed();
        assert_eq!(ages.interruptions(), 2, "once");
    }

    #[test]
    fn only_a_watch_is_a_watch() {
        let is = |uri: &str| watched(&uri.parse().unwrap()).is_some();
        assert!(is("/api/v1/pods?&watch=true&timeoutSeconds=8"));
        assert!(!is("/api/v1/pods") && !is("/api/v1/pods?labelSelector=watch"));
    }
}
