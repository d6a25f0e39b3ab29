//! Reads that many share: each caller gets the result of a read that began after it has asked. Pure.
//!
//! A reconcile reads live what must be newer than its own commit. Where many reconciles need the same objects at once, one read serves
//! all that asked before it began; who asks while it runs may have committed after it began, and waits for the next.

/// Who waits for a read of one thing, and for which.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SharedRead<W> {
    /// Those that the read serves that runs now; `None` while none runs.
    running: Option<Vec<W>>,
    /// Those that have asked since it began.
    next: Vec<W>,
}

impl<W> Default for SharedRead<W> {
    fn default() -> Self {
        SharedRead { running: None, next: Vec::new() }
    }
}

impl<W> SharedRead<W> {
    /// Takes note of one who needs a read that begins from now on. `true` if the caller must [`begin`](Self::begin) one, because none
    /// runs.
    pub fn ask(&mut self, waiter: W) -> bool {
        self.next.push(waiter);
        self.running.is_none() && self.next.len() == 1
    }

    /// Begins a read for all that have asked until now; `false` if nobody waits, so that none begins.
    pub fn begin(&mut self) -> bool {
        self.running = (!self.next.is_empty()).then(|| std::mem::take(&mut self.next));
        self.running.is_some()
    }

    /// Those that the read serves that runs now.
    pub fn running_mut(&mut self) -> &mut [W] {
        self.running.as_deref_mut().unwrap_or_default()
    }

    /// Ends the read that runs, and returns whom it serves. The next one may [`begin`](Self::begin).
    pub fn finish(&mut self) -> Vec<W> {
        self.running.take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_read_serves_all_that_asked_before_it_began() {
        let mut read = SharedRead::default();
        assert!(read.ask(1), "the first one begins it");
        assert!(!read.ask(2) && read.begin());
        assert!(!read.ask(3), "it has begun: the next one serves this");
        assert_eq!(read.finish(), [1, 2]);
        assert!(read.begin());
        assert_eq!(read.finish(), [3]);
        assert!(!read.begin() && read.ask(4));
    }
}
