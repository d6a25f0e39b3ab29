//! Panics: each concerns the one id whose work has panicked. It is caught, counted and logged with the id, and the work is tried
//! again as after any other failure. A panic is a bug, but content of one object must not end the process for all others.
use futures::FutureExt;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use std::{any::Any, fmt::Debug, panic::AssertUnwindSafe};

/// The label `work`.
#[derive(Clone, Hash, PartialEq, Eq, Debug, EncodeLabelSet)]
pub struct WorkLabel {
    /// The engine, the watch or the task in which it has happened.
    pub work: String,
}

/// Catches panics and counts them. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Panics(Family<WorkLabel, Counter>);

impl Panics {
    /// The counter, for a registry.
    pub fn counter(&self) -> Family<WorkLabel, Counter> {
        self.0.clone()
    }

    /// How many there were in some work.
    pub fn count(&self, work: &str) -> u64 {
        self.0.get_or_create(&WorkLabel { work: work.to_owned() }).get()
    }

    /// Runs the work for one id; `None` if it has panicked. What it had locked is unlocked, and what it had changed stays changed,
    /// so the caller reads again before it concludes anything.
    pub async fn catch<T>(&self, work: &str, id: &(impl Debug + ?Sized), future: impl Future<Output = T>) -> Option<T> {
        AssertUnwindSafe(future).catch_unwind().await.map_err(|why| self.record(work, id, &*why)).ok()
    }

    /// The same for work that does not wait.
    pub fn catch_now<T>(&self, work: &str, id: &(impl Debug + ?Sized), f: impl FnOnce() -> T) -> Option<T> {
        std::panic::catch_unwind(AssertUnwindSafe(f)).map_err(|why| self.record(work, id, &*why)).ok()
    }

    fn record(&self, work: &str, id: &(impl Debug + ?Sized), why: &(dyn Any + Send)) {
        self.0.get_or_create(&WorkLabel { work: work.to_owned() }).inc();
        let text = why.downcast_ref::<&str>().copied().or(why.downcast_ref::<String>().map(String::as_str));
        tracing::error!(work, ?id, panic = text.unwrap_or("without a message"), "the work for one id has panicked; it is tried again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_counted_where_it_happens_and_the_caller_goes_on() {
        let panics = Panics::default();
        assert_eq!(panics.catch("one", "id", async { 1 }).await, Some(1));
        assert_eq!(panics.catch::<i32>("one", "id", async { panic!("words {}", 1) }).await, None);
        assert_eq!(panics.catch_now::<i32>("two", &["id"], || panic!("words")), None);
        assert_eq!((panics.count("one"), panics.count("two"), panics.count("three")), (1, 1, 0));
    }
}
