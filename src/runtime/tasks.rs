//! Tasks that must not end while the process runs, by name. When one does, the process ends with an error that names it, so that
//! it is started again, instead of going on without that task and with the lease.
use std::{borrow::Cow, collections::HashMap};
use tokio::{
    runtime::Handle,
    task::{AbortHandle, Id, JoinSet},
};

/// Tasks with names.
#[derive(Debug, Default)]
pub struct Tasks {
    /// Where they run; the caller's runtime if it is not set.
    on: Option<Handle>,
    running: JoinSet<()>,
    names: HashMap<Id, Cow<'static, str>>,
}

impl Tasks {
    /// Tasks that run on this runtime.
    pub fn on(runtime: Handle) -> Self {
        Tasks { on: Some(runtime), ..Tasks::default() }
    }

    /// Starts a task. It ends with this set at the latest.
    pub fn spawn(&mut self, name: impl Into<Cow<'static, str>>, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let handle = match &self.on {
            Some(runtime) => self.running.spawn_on(task, runtime),
            None => self.running.spawn(task),
        };
        self.names.insert(handle.id(), name.into());
        handle
    }

    /// Waits until a task ends, and says which one and how. Without tasks it never returns. May be cancelled.
    pub async fn ended(&mut self) -> String {
        let (id, how) = match self.running.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => (id, "has ended"),
            Some(Err(e)) => (e.id(), if e.is_panic() { "has panicked" } else { "was cancelled" }),
        };
        let name = self.names.remove(&id).unwrap_or(Cow::Borrowed("without a name"));
        format!("the task {name} must not end, and {how}")
    }

    /// Waits until every task has ended.
    pub async fn all_ended(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_task_that_ends_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("stays", std::future::pending());
        tasks.spawn("renews the lease", async {});
        assert_eq!(tasks.ended().await, "the task renews the lease must not end, and has ended");
        tasks.spawn("watch of grants".to_owned(), async { panic!("words") });
        assert_eq!(tasks.ended().await, "the task watch of grants must not end, and has panicked");
        tasks.spawn("aborted", std::future::pending()).abort();
        assert_eq!(tasks.ended().await, "the task aborted must not end, and was cancelled");
    }
}
