//! When a reconcile runs again.
use crate::time::Time;

/// When to run again if nothing changes before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Requeue {
    /// At this time.
    At(Time),
    /// Only when something changes.
    OnChange,
    /// After a pause that grows with each failure in a row.
    Backoff,
    /// The object has changed since it was read. The next run reads it live, after a short pause that grows with each change in
    /// a row: the cache that was read may not have caught up yet.
    Stale,
}
