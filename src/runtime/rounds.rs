//! Rounds of a heartbeat: everything once in each, a share at a time. Ten thousand reconciles at one moment would hold up what people wait for.
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How many ticks a round has.
const TICKS: usize = 60;
/// In how many of them a share is due. They take a sixth of a round, since the lists that a provider shares among its grants do not last
/// longer (`providers/aws/lists.rs`).
const SHARES: usize = 10;

/// How many of what the watches show a round takes, so that what an operator does at rest does not grow with what is live: what is left has
/// its turn in the next ones. A heartbeat is a net below the watches, which tell of each change.
pub const WATCHED: usize = 1_000;

/// Goes round after round.
pub struct Rounds<T> {
    ticks: Interval,
    tick: usize,
    left: Vec<T>,
}

impl<T> Rounds<T> {
    /// The first round begins after the time of one.
    pub fn every(round: Duration) -> Self {
        let ticks = u32::try_from(TICKS).unwrap_or(u32::MAX);
        let mut ticks = interval_at(Instant::now() + round, round / ticks);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Rounds { ticks, tick: 0, left: Vec::new() }
    }

    /// The next share, when it is due. `all` is asked when a round begins and nothing is left of those before; `most` is how many a round
    /// may take now. A call that is dropped loses nothing.
    pub async fn share(&mut self, all: impl Fn() -> Vec<T>, most: impl Fn() -> usize) -> Vec<T> {
        loop {
            self.ticks.tick().await;
            if let Some(share) = self.tick(&all, &most) {
                return share;
            }
        }
    }

    fn tick(&mut self, all: impl Fn() -> Vec<T>, most: impl Fn() -> usize) -> Option<Vec<T>> {
        let tick = self.tick;
        self.tick = (tick + 1) % TICKS;
        if tick == 0 && self.left.is_empty() {
            self.left = all();
        }
        if tick >= SHARES || self.left.is_empty() {
            return None;
        }
        let share = self.left.len().div_ceil(SHARES - tick).min(most().div_ceil(SHARES));
        Some(self.left.split_off(self.left.len() - share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(rounds: &mut Rounds<i32>, n: i32, most: usize) -> Vec<Vec<i32>> {
        (0..TICKS).map(|_| rounds.tick(|| (0..n).collect(), || most).unwrap_or_default()).collect()
    }

    #[tokio::test]
    async fn a_round_has_everything_once_in_shares_that_take_a_sixth_of_it() {
        let mut rounds = Rounds::every(Duration::from_secs(60));
        for _ in 0..2 {
            let shares = round(&mut rounds, 25, usize::MAX);
            assert_eq!(shares.iter().map(Vec::len).take(11).collect::<Vec<_>>(), [3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 0]);
            let mut seen: Vec<_> = shares.into_iter().flatten().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..25).collect::<Vec<_>>());
        }
        assert_eq!(rounds.tick(Vec::new, || 1), None, "where nothing is live there is no share");
    }

    #[tokio::test]
    async fn what_a_round_may_not_take_has_its_turn_in_the_next_ones_and_all_of_it_at_once_when_it_may() {
        let mut rounds = Rounds::every(Duration::from_secs(60));
        let mut seen: Vec<i32> = (0..3).flat_map(|_| round(&mut rounds, 50, 20)).flatten().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
        assert_eq!(round(&mut rounds, 50, 20).concat().len(), 20);
        assert_eq!(round(&mut rounds, 50, usize::MAX).concat().len(), 30, "the watches show nothing any more");
    }
}
