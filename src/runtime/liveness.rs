//! Signs of life of the engines, for the liveness probe. An engine turns at least once a second, and every reconcile ends within a
//! limit; where one does not, no later deadline would be met, and the process has to be started again.
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long an engine may stand still.
pub const STANDSTILL: Duration = Duration::from_secs(20);

/// The signs of life of one engine. Clones share them.
#[derive(Clone, Debug)]
pub struct Pulse {
    engine: &'static str,
    /// How long a piece of work may run before it counts as stuck.
    limit: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    turned: Instant,
    next: u64,
    /// What runs: since when, and in which lane.
    running: BTreeMap<u64, (Instant, String)>,
}

impl Pulse {
    /// Of an engine whose work ends within `limit`.
    pub fn new(engine: &'static str, limit: Duration) -> Self {
        let state = State { turned: Instant::now(), next: 0, running: BTreeMap::new() };
        Pulse { engine, limit, state: Arc::new(Mutex::new(state)) }
    }

    /// The engine has turned once more.
    pub fn turn(&self) {
        self.state.lock().turned = Instant::now();
    }

    /// A piece of work has begun in a lane; it has ended when what this returns is dropped.
    pub fn begin(&self, lane: &str) -> Running {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.running.insert(number, (Instant::now(), lane.to_owned()));
        Running { pulse: self.clone(), number }
    }

    /// Whether the engine lives at this time.
    ///
    /// # Errors
    /// Which engine, and which of its lanes, is stuck.
    pub fn check(&self, now: Instant) -> Result<(), String> {
        let (state, engine) = (self.state.lock(), self.engine);
        let still = now.saturating_duration_since(state.turned);
        if still > STANDSTILL {
            return Err(format!("the engine of {engine} stands still for {} s", still.as_secs()));
        }
        // In the order of their beginning.
        match state.running.values().next() {
            Some((since, lane)) if now.saturating_duration_since(*since) > self.limit + STANDSTILL => {
                Err(format!("lane {lane:?} of the engine of {engine} is stuck for {} s", now.saturating_duration_since(*since).as_secs()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A piece of work that runs.
#[derive(Debug)]
pub struct Running {
    pulse: Pulse,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pulse.state.lock().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_stands_still_and_a_lane_that_is_stuck_are_named() {
        let pulse = Pulse::new("grants", Duration::from_secs(120));
        let after = |secs| Instant::now() + Duration::from_secs(secs);
        assert_eq!(pulse.check(after(19)), Ok(()));
        assert!(pulse.check(after(22)).unwrap_err().starts_with("the engine of grants stands still for 2"));
        let of_lane = |pulse: &Pulse, secs| {
            // The engine itself goes on turning.
            pulse.state.lock().turned = after(secs);
            pulse.check(after(secs))
        };
        let running = pulse.begin("prod");
        assert_eq!(of_lane(&pulse, 139), Ok(()));
        assert!(of_lane(&pulse, 142).unwrap_err().starts_with("lane \"prod\" of the engine of grants is stuck"));
        drop(running);
        assert_eq!(of_lane(&pulse, 142), Ok(()));
    }
}
