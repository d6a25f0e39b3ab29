//! What time it is, for rules: never earlier than anything we have seen.
//!
//! A deadline is due when the latest of these has reached it: the local clock; the API server's newest `Date` plus the
//! monotonic time since; the latest time this process has ever told, plus the monotonic time since. So a step back of the
//! wall clock delays no revocation.
use super::MAX_SKEW;
use curfew_core::time::Time;
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tower::{Layer, Service};

/// Two clocks and the monotonic time between looks at them.
#[derive(Debug, Default)]
pub struct Clock {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The API server's `Date`, which has whole seconds, and when we got it.
    server: Option<(Time, Instant)>,
    /// The latest time we told, and when.
    told: Option<(Time, Instant)>,
}

impl Clock {
    /// The time that rules go by.
    pub fn now(&self) -> Time {
        self.latest(local(), Instant::now())
    }

    /// Whether local clock and API server agree well enough to grant, and so does the time that rules go by: a clock that was
    /// ahead once stays ahead there, and no deadline may be reckoned from it. Without any answer from the server nobody can
    /// tell otherwise, and nothing can be granted anyway.
    pub fn sane(&self) -> bool {
        let near = |skew: i64| skew.unsigned_abs() <= MAX_SKEW.as_millis() as u64;
        self.skew_millis().is_none_or(near) && self.server().is_none_or(|t| near(self.now().millis_since(t)))
    }

    /// The API server's time, not later than it is there: its newest `Date`, which has whole seconds, and the monotonic time since.
    pub fn server(&self) -> Option<Time> {
        let (t, when) = self.seen.lock().server?;
        Some(since(t, when, Instant::now()))
    }

    /// How far the local clock is ahead of the API server's, in milliseconds; the server's second is taken as its middle.
    pub fn skew_millis(&self) -> Option<i64> {
        let seen = self.seen.lock();
        let (server, at) = seen.server?;
        Some(local().millis_since(since(server, at, Instant::now())) - 500)
    }

    /// Takes note of the `Date` of an answer.
    pub fn observe(&self, headers: &HeaderMap) {
        let date = headers.get(http::header::DATE).and_then(|d| d.to_str().ok());
        let Some(at) = date.and_then(|d| jiff::fmt::rfc2822::parse(d).ok()) else { return };
        let time = Time::from_millis(at.timestamp().as_millisecond());
        self.observe_at(time, Instant::now());
    }

    fn observe_at(&self, time: Time, at: Instant) {
        let mut seen = self.seen.lock();
        let known = seen.server.map(|(t, when)| since(t, when, at));
        // A late answer, or the same second again, must not set the clock back.
        if known.is_none_or(|k| time > k || k.millis_since(time) > 60_000) {
            seen.server = Some((time, at));
        }
    }

    fn latest(&self, local: Time, at: Instant) -> Time {
        let mut seen = self.seen.lock();
        let others = [seen.server, seen.told].into_iter().flatten().map(|(t, when)| since(t, when, at));
        let now = others.fold(local, Time::max);
        seen.told = Some((now, at));
        now
    }
}

fn since(t: Time, when: Instant, now: Instant) -> Time {
    let passed = i64::try_from(now.saturating_duration_since(when).as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(t.as_millis().saturating_add(passed))
}

fn local() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// A layer around the client that notes the `Date` of every answer.
#[derive(Clone, Debug)]
pub struct ObserveDate(pub Arc<Clock>);

impl<S> Layer<S> for ObserveDate {
    type Service = ObservingDate<S>;
    fn layer(&self, inner: S) -> Self::Service {
        ObservingDate { inner, clock: self.0.clone() }
    }
}

/// The service that [`ObserveDate`] makes.
#[derive(Clone, Debug)]
pub struct ObservingDate<S> {
    inner: S,
    clock: Arc<Clock>,
}

impl<S, A, B> Service<Request<A>> for ObservingDate<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }
    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (clock, answer) = (self.clock.clone(), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await?;
            clock.observe(answer.headers());
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_step_back_of_the_wall_clock_delays_nothing() {
        let (c, t0) = (Clock::default(), Instant::now());
        assert_eq!(c.latest(Time::from_secs(1000), t0), Time::from_secs(1000));
        let later = t0 + Duration::from_secs(30);
        assert_eq!(c.latest(Time::from_secs(400), later), Time::from_secs(1030));
    }

    #[test]
    fn the_servers_clock_counts_when_it_is_ahead() {
        let (c, t0) = (Clock::default(), Instant::now());
        c.observe_at(Time::from_secs(5000), t0);
        assert_eq!(c.latest(Time::from_secs(1000), t0 + Duration::from_secs(2)), Time::from_secs(5002));
        c.observe_at(Time::from_secs(4990), t0 + Duration::from_secs(2));
        assert_eq!(c.latest(Time::from_secs(1000), t0 + Duration::from_secs(2)), Time::from_secs(5002), "a late answer sets nothing back");
    }

    #[test]
    fn a_clock_that_was_ahead_once_reckons_no_deadline() {
        let c = Clock::default();
        c.observe_at(local(), Instant::now());
        assert!(c.sane());
        c.latest(local().plus_secs(86_400), Instant::now());
        assert!(!c.sane(), "rules go by a time that is a day ahead, though the clock is right again");
    }

    #[test]
    fn a_clock_far_from_the_servers_is_not_sane() {
        let c = Clock::default();
        assert!(c.sane());
        let mut headers = HeaderMap::new();
        headers.insert(http::header::DATE, "Mon, 01 Jan 2035 00:00:00 GMT".parse().unwrap());
        c.observe(&headers);
        assert!(!c.sane());
        assert!(c.now() >= Time::parse("2035-01-01T00:00:00Z").unwrap());
    }
}
