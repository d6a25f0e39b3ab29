//! A runtime with threads of its own, for work that nothing else may hold up. The tasks of one tokio runtime share its threads: a
//! flood of requests and decisions would delay what revokes. The threads of two runtimes are shared out by the kernel.
use std::future::Future;
use tokio::runtime::{Builder, Handle, Runtime};

/// A tokio runtime that may be dropped by a task of another one.
#[derive(Debug)]
pub struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    /// Starts as many threads, named so.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build().map(|runtime| OwnRuntime(Some(runtime)))
    }

    /// Where to start tasks.
    pub fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    /// Runs a future on the threads of this runtime, so that the tasks that it starts run there, too.
    ///
    /// # Errors
    /// If it panics.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> anyhow::Result<T> {
        Ok(self.handle().spawn(future).await?)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // A runtime that is dropped within another one would wait for its tasks, which is not allowed there.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[tokio::test(flavor = "current_thread")]
    async fn its_tasks_run_while_the_threads_of_the_other_runtime_are_busy() {
        let own = OwnRuntime::start("own", 1).unwrap();
        let (done, ran) = std::sync::mpsc::channel();
        let begun = Instant::now();
        own.handle().spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(done.send(std::thread::current().name().map(str::to_owned)));
        });
        // This thread does not return to its own runtime meanwhile.
        assert_eq!(ran.recv_timeout(Duration::from_secs(10)).unwrap().as_deref(), Some("own"));
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(own.run(async { 7 }).await.unwrap(), 7);
    }
}
