//! The time that deadlines are compared with. It never goes backwards.
//!
//! A deadline is due when the latest of these has reached it: the local clock; the API server's newest `Date` plus the
//! monotonic time since then; the latest time that this process has returned, plus the monotonic time since then. A step back of
//! the wall clock therefore does not delay a revocation.
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

/// Combines the local clock with the clock of the API server.
#[derive(Debug, Default)]
pub struct Clock {
    readings: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    /// The API server's newest `Date`, in whole seconds, and when it was received.
    server: Option<(Time, Instant)>,
    /// The latest time that `now` returned, and when.
    returned: Option<(Time, Instant)>,
}

impl Clock {
    /// Returns the time that deadlines are compared with.
    pub fn now(&self) -> Time {
        self.latest(local(), Instant::now())
    }

    /// Whether the local clock and `now` both agree with the API server well enough to grant. If the local clock was ahead once,
    /// `now` stays ahead, and no deadline may be computed from it. Returns true before the first response from the server: nothing
    /// can be granted then anyway.
    pub fn sane(&self) -> bool {
        let tolerable = |skew: i64| skew.unsigned_abs() <= MAX_SKEW.as_millis() as u64;
        self.skew_millis().is_none_or(tolerable) && self.server().is_none_or(|server| tolerable(self.now().millis_since(server)))
    }

    /// Returns the API server's time: its newest `Date`, in whole seconds, plus the monotonic time since it was received. It is never
    /// later than the server's clock. `None` before the first response.
    pub fn server(&self) -> Option<Time> {
        let (time, received) = self.readings.lock().server?;
        Some(advance(time, received, Instant::now()))
    }

    /// Returns how far the local clock is ahead of the API server's, in milliseconds. `Date` has whole seconds, so the middle of the
    /// second is assumed. `None` before the first response.
    pub fn skew_millis(&self) -> Option<i64> {
        let server = self.server()?;
        Some(local().millis_since(server) - 500)
    }

    /// Records the `Date` header of a response. A missing or invalid header is ignored.
    pub fn observe(&self, headers: &HeaderMap) {
        let date = headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
        let Some(at) = date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()) else { return };
        let time = Time::from_millis(at.timestamp().as_millisecond());
        self.observe_at(time, Instant::now());
    }

    fn observe_at(&self, time: Time, received: Instant) {
        let mut readings = self.readings.lock();
        let known = readings.server.map(|(earlier, when)| advance(earlier, when, received));
        // A delayed response, or another one of the same second, must not set the clock back. A difference of more than a minute is
        // a correction of the server's clock.
        if known.is_none_or(|known| time > known || known.millis_since(time) > 60_000) {
            readings.server = Some((time, received));
        }
    }

    fn latest(&self, local: Time, at: Instant) -> Time {
        let mut readings = self.readings.lock();
        let others = [readings.server, readings.returned].into_iter().flatten().map(|(time, when)| advance(time, when, at));
        let now = others.fold(local, Time::max);
        readings.returned = Some((now, at));
        now
    }
}

/// Returns `time`, which was read at `read_at`, plus the monotonic time from then to `now`.
fn advance(time: Time, read_at: Instant, now: Instant) -> Time {
    let passed = i64::try_from(now.saturating_duration_since(read_at).as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(time.as_millis().saturating_add(passed))
}

fn local() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// A client layer that records the `Date` header of every response.
#[derive(Clone, Debug)]
pub struct ObserveDate(pub Arc<Clock>);

impl<S> Layer<S> for ObserveDate {
    type Service = ObservingDate<S>;
    fn layer(&self, inner: S) -> Self::Service {
        ObservingDate { inner, clock: self.0.clone() }
    }
}

/// The service that [`ObserveDate`] adds.
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
        let (clock, response) = (self.clock.clone(), self.inner.call(request));
        Box::pin(async move {
            let response = response.await?;
            clock.observe(response.headers());
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_step_back_of_the_wall_clock_does_not_change_the_time() {
        let (clock, start) = (Clock::default(), Instant::now());
        assert_eq!(clock.latest(Time::from_secs(1000), start), Time::from_secs(1000));
        let later = start + Duration::from_secs(30);
        assert_eq!(clock.latest(Time::from_secs(400), later), Time::from_secs(1030));
    }

    #[test]
    fn the_servers_clock_is_used_when_it_is_ahead() {
        let (clock, start) = (Clock::default(), Instant::now());
        let later = start + Duration::from_secs(2);
        clock.observe_at(Time::from_secs(5000), start);
        assert_eq!(clock.latest(Time::from_secs(1000), later), Time::from_secs(5002));
        clock.observe_at(Time::from_secs(4990), later);
        assert_eq!(clock.latest(Time::from_secs(1000), later), Time::from_secs(5002), "a delayed response does not set the clock back");
    }

    #[test]
    fn a_clock_that_was_ahead_once_is_not_sane() {
        let clock = Clock::default();
        clock.observe_at(local(), Instant::now());
        assert!(clock.sane());
        clock.latest(local().plus_secs(86_400), Instant::now());
        assert!(!clock.sane(), "the returned time stays a day ahead after the local clock is corrected");
    }

    #[test]
    fn a_clock_far_from_the_servers_is_not_sane() {
        let clock = Clock::default();
        assert!(clock.sane());
        let mut headers = HeaderMap::new();
        headers.insert(http::header::DATE, "Mon, 01 Jan 2035 00:00:00 GMT".parse().unwrap());
        clock.observe(&headers);
        assert!(!clock.sane());
        assert!(clock.now() >= Time::parse("2035-01-01T00:00:00Z").unwrap());
    }
}
