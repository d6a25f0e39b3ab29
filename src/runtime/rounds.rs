//! Rounds of a heartbeat: everything once in each, a share at a time. Ten thousand reconciles at one moment would hold up what people wait for.
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How many ticks a round has.
const TICKS: u32 = 60;
/// In how many of them a share is due. They take a sixth of a round, since the lists that a provider shares among its grants do not last
/// longer (`providers/aws/lists.rs`).
const SHARES: usize = 10;

/// Goes round after round.
pub struct Rounds<T> {
    ticks: Interval,
    tick: u32,
    left: Vec<T>,
    share: usize,
}

impl<T> Rounds<T> {
    /// The first round begins after the time of one.
    pub fn every(round: Duration) -> Self {
        let mut ticks = interval_at(Instant::now() + round, round / TICKS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Rounds { ticks, tick: 0, left: Vec::new(), share: 1 }
    }

    /// The next share, when it is due; `all` is asked when a round begins. A call that is dropped loses nothing.
    pub async fn share(&mut self, all: impl Fn() -> Vec<T>) -> Vec<T> {
        loop {
            self.ticks.tick().await;
            if let Some(share) = self.tick(&all) {
                return share;
            }
        }
    }

    fn tick(&mut self, all: impl Fn() -> Vec<T>) -> Option<Vec<T>> {
        if self.tick == 0 {
            self.left = all();
            self.share = self.left.len().div_ceil(SHARES);
        }
        self.tick = (self.tick + 1) % TICKS;
        (!self.left.is_empty()).then(|| self.left.split_off(self.left.len().saturating_sub(self.share)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_round_has_everything_once_in_shares_that_take_a_sixth_of_it() {
        let mut rounds = Rounds::every(Duration::from_secs(60));
        for _ in 0..2 {
            let round: Vec<_> = (0..TICKS).map(|_| rounds.tick(|| (0..25).collect())).collect();
            let shares: Vec<_> = round.iter().map(|share| share.as_ref().map_or(0, Vec::len)).collect();
            assert_eq!(shares[..10], [3, 3, 3, 3, 3, 3, 3, 3, 1, 0]);
            assert!(shares[10..].iter().all(|share| *share == 0), "{shares:?}");
            let mut seen: Vec<_> = round.into_iter().flatten().flatten().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..25).collect::<Vec<_>>());
        }
        assert_eq!(rounds.tick(Vec::new), None, "where nothing is live there is no share");
    }
}
