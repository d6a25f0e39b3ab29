//! The time that deadlines are compared with: the API server's, read from the `Date` of its responses.
//!
//! Where that is known it is the time, and the local clock only adds the fraction of a second as long as both agree: a node whose
//! clock is an hour ahead revokes nothing early, and a step back of the wall clock delays nothing. One response with a wrong `Date`
//! changes nothing either: what contradicts the time so far is disputed, and is believed once it was said for some seconds without
//! contradiction. While anything is disputed the clock is not sane, and nothing is granted.
use super::MAX_SKEW;
use curfew_core::time::Time;
use http::HeaderMap;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Combines the local clock with the clock of the API server.
#[derive(Debug, Default)]
pub struct Clock {
    readings: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    /// The API server's newest `Date`, in whole seconds, and when it was received.
    server: Option<(Time, Instant)>,
    /// A `Date` that contradicts the time so far, and when it was first received.
    disputed: Option<(Time, Instant)>,
    /// The latest time that `now` returned, and when.
    returned: Option<(Time, Instant)>,
}

/// Responses that were on their way for up to this long are not taken for a clock that is wrong.
const DELAYED_MILLIS: i64 = 60_000;

impl Readings {
    /// Whether a response contradicts the time. One that says an earlier time may only be late.
    fn is_disputed(&self, at: Instant) -> bool {
        let Some((disputed, since)) = self.disputed else { return false };
        let behind = self.server.map(|(time, when)| advance(time, when, at).millis_since(advance(disputed, since, at)));
        behind.is_none_or(|millis| !(0..=DELAYED_MILLIS).contains(&millis))
    }
}

/// How long a contradicting `Date` must be repeated until it is believed.
const CONFIRMED_AFTER: Duration = Duration::from_secs(3);

impl Clock {
    /// Returns the time that deadlines are compared with.
    pub fn now(&self) -> Time {
        self.latest(local(), Instant::now())
    }

    /// Returns the time that it is at least: `now`, and no later than the API server's clock where that is known. What must not begin early
    /// goes by it.
    pub fn at_least(&self) -> Time {
        let now = self.now();
        self.server().map_or(now, |server| now.min(server))
    }

    /// Whether the local clock and `now` both agree with the API server well enough to grant, and no response contradicts that.
    /// Returns true before the first response from the server: nothing can be granted then anyway.
    pub fn sane(&self) -> bool {
        !self.readings.lock().is_disputed(Instant::now())
            && self.server().is_none_or(|server| agree(local(), server) && agree(self.now(), server))
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
        self.observe_at(time, Instant::now(), local());
    }

    fn observe_at(&self, time: Time, received: Instant, local: Time) {
        let mut readings = self.readings.lock();
        let known = readings.server.map(|(earlier, when)| advance(earlier, when, received));
        if agree(time, known.unwrap_or(local)) {
            readings.disputed = None;
            // A delayed response, or another one of the same second, does not set the clock back.
            if known.is_none_or(|known| time > known) {
                readings.server = Some((time, received));
            }
            return;
        }
        match readings.disputed {
            Some((disputed, since)) if agree(time, advance(disputed, since, received)) => {
                // Before any time is known, two responses that agree are believed more than the local clock.
                if known.is_none() || received.saturating_duration_since(since) >= CONFIRMED_AFTER {
                    *readings = Readings { server: Some((time, received)), ..Readings::default() };
                }
            }
            Some(_) | None => readings.disputed = Some((time, received)),
        }
    }

    fn latest(&self, local: Time, at: Instant) -> Time {
        let mut readings = self.readings.lock();
        let advanced = |(time, when)| advance(time, when, at);
        let server = readings.server.map(advanced);
        let now = match (server, readings.disputed.map(advanced)) {
            (Some(server), _) if agree(local, server) => local.max(server),
            (Some(server), _) => server,
            // One of the two is wrong, and nothing is revoked early.
            (None, Some(disputed)) => local.min(disputed),
            (None, None) => local,
        };
        // It does not go back, unless the time so far was wrong.
        let returned = readings.returned.map(advanced).filter(|returned| server.is_none_or(|server| agree(*returned, server)));
        let now = returned.map_or(now, |returned| returned.max(now));
        readings.returned = Some((now, at));
        now
    }
}

/// Whether two times are the same as far as granting needs it. A `Date` is up to a second older than the clock that it is from.
fn agree(a: Time, b: Time) -> bool {
    a.millis_since(b).unsigned_abs() <= MAX_SKEW.as_millis() as u64
}

/// Returns `time`, which was read at `read_at`, plus the monotonic time from then to `now`.
fn advance(time: Time, read_at: Instant, now: Instant) -> Time {
    let passed = i64::try_from(now.saturating_duration_since(read_at).as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(time.as_millis().saturating_add(passed))
}

fn local() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock that knows the API server's time 5000 at the instant.
    fn known() -> (Clock, Instant) {
        let (clock, start) = (Clock::default(), Instant::now());
        clock.observe_at(Time::from_secs(5000), start, Time::from_secs(5000));
        (clock, start)
    }
    fn latest(clock: &Clock, local: i64, at: Instant) -> i64 {
        clock.latest(Time::from_secs(local), at).as_millis() / 1000
    }

    #[test]
    fn a_step_back_of_the_wall_clock_does_not_change_the_time() {
        let (clock, start) = (Clock::default(), Instant::now());
        assert_eq!(latest(&clock, 1000, start), 1000);
        assert_eq!(latest(&clock, 400, start + 30 * SECOND), 1030, "nor before the server's time is known");
        let (clock, start) = known();
        assert_eq!(latest(&clock, 5000, start), 5000);
        assert_eq!(latest(&clock, 400, start + 30 * SECOND), 5030);
    }

    #[test]
    fn a_local_clock_that_is_an_hour_ahead_makes_nothing_due() {
        let (clock, start) = known();
        assert_eq!(latest(&clock, 8600, start + 2 * SECOND), 5002);
        assert_eq!(latest(&clock, 5004, start + 4 * SECOND), 5004, "it counts again once it is right");
        let fresh = Clock::default();
        assert_eq!(latest(&fresh, 8600, start), 8600, "nothing else is known yet");
        for after in [1, 2] {
            fresh.observe_at(Time::from_secs(5000 + after), start + SECOND, Time::from_secs(8601));
        }
        assert_eq!(latest(&fresh, 8602, start + 2 * SECOND), 5003, "what it returned before is forgotten");
    }

    #[test]
    fn a_local_clock_that_is_behind_delays_nothing() {
        let (clock, start) = known();
        assert_eq!(latest(&clock, 1000, start + 2 * SECOND), 5002);
        clock.observe_at(Time::from_secs(4999), start + 2 * SECOND, Time::from_secs(1000));
        assert_eq!(latest(&clock, 1000, start + 2 * SECOND), 5002, "nor does a delayed response");
    }

    #[test]
    fn one_response_with_a_wrong_date_changes_nothing_and_is_forgotten() {
        let clock = Clock::default();
        let (now, start) = (local(), Instant::now());
        clock.observe_at(now, start, now);
        assert!(clock.sane());
        for wrong in [86_400, -86_400] {
            clock.observe_at(now.plus_secs(wrong), start, now);
            assert!(!clock.sane(), "nothing is granted while the time is disputed");
            assert!(agree(clock.now(), local()), "and nothing is revoked early or late");
            clock.observe_at(now, start, now);
            assert!(clock.sane());
        }
    }

    #[test]
    fn a_late_response_does_not_stop_grants() {
        let clock = Clock::default();
        let (now, start) = (local(), Instant::now());
        clock.observe_at(now, start, now);
        clock.observe_at(now.plus_secs(-20), start, now);
        assert!(clock.sane());
    }

    #[test]
    fn a_date_that_is_repeated_for_some_seconds_is_the_time() {
        let (clock, start) = known();
        for after in 0..=2 {
            clock.observe_at(Time::from_secs(9000 + i64::from(after)), start + after * SECOND, Time::from_secs(5000));
        }
        assert_eq!(latest(&clock, 5002, start + 2 * SECOND), 5002);
        clock.observe_at(Time::from_secs(9003), start + 3 * SECOND, Time::from_secs(5003));
        assert_eq!(latest(&clock, 5003, start + 3 * SECOND), 9003);
    }

    #[test]
    fn two_first_responses_are_believed_more_than_the_local_clock() {
        let (clock, start) = (Clock::default(), Instant::now());
        clock.observe_at(Time::from_secs(9000), start, Time::from_secs(5000));
        assert_eq!(latest(&clock, 5000, start), 5000, "of one it is unknown which of the two is wrong");
        clock.observe_at(Time::from_secs(9000), start, Time::from_secs(5000));
        assert_eq!(latest(&clock, 5000, start), 9000);
    }

    #[test]
    fn a_clock_far_from_the_servers_is_not_sane() {
        let clock = Clock::default();
        assert!(clock.sane());
        let mut headers = HeaderMap::new();
        headers.insert(http::header::DATE, "Mon, 01 Jan 2035 00:00:00 GMT".parse().unwrap());
        for _ in 0..2 {
            clock.observe(&headers);
            assert!(!clock.sane());
        }
        assert!(clock.now() >= Time::parse("2035-01-01T00:00:00Z").unwrap());
    }
}
