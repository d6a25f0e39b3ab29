//! How many records wait for the sinks. While too many wait, nothing new is decided; what ends access goes on (I8).
use parking_lot::Mutex;
use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

/// While so many records wait, at one or two kilobytes each, no request is accepted or refused and no decision is judged. Live
/// grants still end, and record it: their number bounds what is added then.
const LIMIT: usize = 10_000;

/// Counts records from when they are queued until they are delivered.
#[derive(Clone, Default)]
pub struct Backlog {
    /// Records that the writer has not numbered yet.
    writer: Depth,
    sinks: Arc<Mutex<Vec<Weak<AtomicUsize>>>>,
}

/// How many records wait in one queue.
#[derive(Clone, Default)]
pub struct Depth(Arc<AtomicUsize>);

impl Depth {
    /// One record more.
    pub fn push(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
    /// So many records less.
    pub fn pop(&self, records: usize) {
        self.0.fetch_sub(records, Ordering::AcqRel);
    }
    /// How many wait.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Backlog {
    /// The queue of the writer.
    pub fn writer(&self) -> &Depth {
        &self.writer
    }

    /// The queue of one more sink. It counts as long as the sink keeps it.
    pub fn sink(&self) -> Depth {
        let depth = Depth::default();
        let mut sinks = self.sinks.lock();
        sinks.retain(|sink| sink.strong_count() > 0);
        sinks.push(Arc::downgrade(&depth.0));
        depth
    }

    /// How many records wait for the sink that is furthest behind.
    pub fn records(&self) -> usize {
        let sinks = self.sinks.lock();
        let deepest = sinks.iter().filter_map(Weak::upgrade).map(|sink| sink.load(Ordering::Acquire)).max();
        self.writer.get() + deepest.unwrap_or_default()
    }

    /// Whether there is room for records of what could also be decided later.
    pub fn has_room(&self) -> bool {
        self.records() < LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sink_that_is_furthest_behind_counts_until_it_is_removed() {
        let backlog = Backlog::default();
        let (slow, fast) = (backlog.sink(), backlog.sink());
        backlog.writer().push();
        (0..LIMIT).for_each(|_| slow.push());
        fast.push();
        assert_eq!((backlog.records(), backlog.has_room()), (LIMIT + 1, false));
        slow.pop(2);
        assert!(backlog.has_room());
        drop(slow);
        assert_eq!(backlog.records(), 2);
    }
}
