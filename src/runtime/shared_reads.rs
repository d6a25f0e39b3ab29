//! Live reads that many reconciles share. Each caller gets the result of a read that began after it asked
//! (`curfew_core::shared_read`), so what a reconcile has committed before is older than what it is given.
use curfew_core::shared_read::SharedRead;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, hash::Hash, sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// How long one read may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What came of a read. All that share it share the error, too.
type Shared<T> = Result<T, Arc<kube::Error>>;

/// Starts one read.
type Start<T> = Box<dyn FnOnce() -> BoxFuture<'static, kube::Result<T>> + Send>;

struct Waiter<T> {
    start: Start<T>,
    result: oneshot::Sender<Shared<T>>,
}

/// The reads of one kind of thing, by key. What is not being read takes no memory.
pub struct SharedReads<K, T>(Arc<Mutex<HashMap<K, SharedRead<Waiter<T>>>>>);

impl<K, T> Clone for SharedReads<K, T> {
    fn clone(&self) -> Self {
        SharedReads(self.0.clone())
    }
}

impl<K, T> Default for SharedReads<K, T> {
    fn default() -> Self {
        SharedReads(Arc::default())
    }
}

impl<K, T> SharedReads<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + 'static,
{
    /// The result of a read of `key` that begins from now on. `read` is called if this caller is the first who waits for it.
    ///
    /// # Errors
    /// What the read returned, for all that shared it.
    pub async fn read<F>(&self, key: K, read: impl FnOnce() -> F + Send + 'static) -> kube::Result<T>
    where
        F: Future<Output = kube::Result<T>> + Send + 'static,
    {
        let (result, received) = oneshot::channel();
        let waiter = Waiter { start: Box::new(move || Box::pin(read())), result };
        if self.0.lock().entry(key.clone()).or_default().ask(waiter) {
            // Of its own: a caller that is cut off must not take the read from the others.
            tokio::spawn(self.clone().serve(key));
        }
        match received.await {
            Ok(read) => read.map_err(own_copy),
            Err(_) => Err(kube::Error::Service("the read has ended without a result".into())),
        }
    }

    /// Reads until nobody waits any more.
    async fn serve(self, key: K) {
        while let Some(start) = self.begin(&key) {
            // A panic of the read is its result, and ends nothing else.
            let read = tokio::spawn(tokio::time::timeout(LIMIT, start())).await;
            let read: Shared<T> = match read {
                Ok(Ok(read)) => read.map_err(Arc::new),
                Ok(Err(_)) => Err(Arc::new(kube::Error::Service("the API server does not answer".into()))),
                Err(error) => Err(Arc::new(kube::Error::Service(Box::new(error)))),
            };
            for waiter in self.finish(&key) {
                drop(waiter.result.send(read.clone()));
            }
        }
    }

    /// Begins the next read; `None` if nobody waits for one, and then the key is forgotten.
    fn begin(&self, key: &K) -> Option<Start<T>> {
        let mut all = self.0.lock();
        let read = all.get_mut(key)?;
        if !read.begin() {
            all.remove(key);
            return None;
        }
        let first = read.running_mut().first_mut()?;
        Some(std::mem::replace(&mut first.start, Box::new(|| Box::pin(std::future::pending()))))
    }

    fn finish(&self, key: &K) -> Vec<Waiter<T>> {
        self.0.lock().get_mut(key).map(SharedRead::finish).unwrap_or_default()
    }
}

/// An error of a read, for one of the callers that share it. What the API server has answered stays what it is.
fn own_copy(error: Arc<kube::Error>) -> kube::Error {
    match &*error {
        kube::Error::Api(status) => kube::Error::Api(status.clone()),
        _ => kube::Error::Service(Box::new(SharedError(error))),
    }
}

/// An error that several callers share.
#[derive(Debug)]
struct SharedError(Arc<kube::Error>);

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn who_asks_while_a_read_runs_waits_for_the_next() {
        let (reads, count, gate) = (SharedReads::default(), Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let ask = || {
            let (count, gate) = (count.clone(), gate.clone());
            let read = move || async move {
                let n = count.fetch_add(1, Ordering::SeqCst) + 1;
                gate.acquire().await.expect("it is open").forget();
                Ok::<_, kube::Error>(n)
            };
            let reads = reads.clone();
            tokio::spawn(async move { reads.read("key", read).await.unwrap() })
        };
        let first = ask();
        while count.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later: Vec<_> = (0..5).map(|_| ask()).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 1, "nobody begins a second one meanwhile");
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), 1);
        for other in later {
            assert_eq!(other.await.unwrap(), 2, "one read serves all of them");
        }
        while !reads.0.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_error_and_a_panic_are_told_to_all_and_end_nothing() {
        let reads: SharedReads<u8, u8> = SharedReads::default();
        let refused = || async { Err(kube::Error::LinesCodecMaxLineLengthExceeded) };
        let (a, b) = tokio::join!(reads.read(1, refused), reads.read(1, refused));
        assert!(a.is_err() && b.is_err());
        let panics = reads.read(1, || async { panic!("a value that nobody has foreseen") }).await;
        assert!(panics.is_err());
        assert_eq!(reads.read(1, || async { Ok(7) }).await.unwrap(), 7);
    }
}
