//! Waiting by watch: every version of the watched objects is seen, also one that lasts only for a moment.
use super::{
    arguments::Selection,
    user::{User, background},
};
use anyhow::{Result, bail};
use futures::{StreamExt, stream::select_all};
use kube::{
    Api, Client, ResourceExt,
    api::DynamicObject,
    runtime::{WatchStreamExt, utils::Backoff, watcher},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::AbortHandle};

/// What a watch has brought: the objects as they are now, or why there is nothing new.
enum News {
    Objects(Vec<Arc<Value>>),
    Trouble(String),
}

/// A watch on some objects. It ends when it is dropped.
pub struct Watch {
    news: mpsc::UnboundedReceiver<News>,
    task: AbortHandle,
    named: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Pauses between tries while an API server is away: short, because a test waits.
#[derive(Clone, Default)]
struct Pauses;

impl Iterator for Pauses {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(200))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {}
}

type Key = (usize, Option<String>, String);

impl Watch {
    /// Starts to watch as this user.
    ///
    /// # Errors
    /// If the user's kubeconfig cannot be used.
    pub async fn start(who: &User, what: &Selection) -> Result<Self> {
        let (send, news) = mpsc::unbounded_channel();
        let client = who.cached().await?;
        let named = what.name.is_some();
        let what = what.clone();
        let task = background().spawn(async move { keep(client, &what, &send).await }).abort_handle();
        Ok(Watch { news, task, named })
    }

    /// Waits until `fits` has something for the objects as they are: the one object, or `{"items": [..]}` where none is named.
    ///
    /// # Errors
    /// After `limit`, with the last state that did not fit.
    pub async fn until<T>(&mut self, what: &str, limit: Duration, mut fits: impl FnMut(&Value) -> Result<Option<T>>) -> Result<T> {
        let (begun, mut last) = (Instant::now(), String::from("nothing was seen"));
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            let Ok(news) = tokio::time::timeout(left, self.news.recv()).await else { bail!("waited {limit:?} for {what}; last: {last}") };
            match news {
                Some(News::Objects(all)) => match self.view(&all) {
                    Some(view) => match fits(&view) {
                        Ok(Some(found)) => return Ok(found),
                        Ok(None) => last = "not yet".into(),
                        Err(e) => last = format!("{e:#}"),
                    },
                    None => last = "not found".into(),
                },
                Some(News::Trouble(why)) => last = why,
                None => bail!("the watch has ended while waiting for {what}; last: {last}"),
            }
        }
    }

    /// Waits until the object with this uid is gone. An object without read rights counts as seen when the watch says so.
    pub(crate) async fn until_gone(&mut self, what: &str, limit: Duration, uid: &Value) -> Result<()> {
        let begun = Instant::now();
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            let Ok(news) = tokio::time::timeout(left, self.news.recv()).await else { bail!("waited {limit:?} for {what}") };
            match news {
                Some(News::Objects(all)) if all.iter().all(|v| v["metadata"]["uid"] != *uid) => return Ok(()),
                // A kind that is not served any more has no objects.
                Some(News::Trouble(why)) if why.contains("404") || why.contains("NotFound") => return Ok(()),
                Some(_) => {}
                None => bail!("the watch has ended while waiting for {what}"),
            }
        }
    }

    /// The objects as they are after the next change, or `None` if there is none within `limit`.
    ///
    /// # Errors
    /// If a change may have been missed.
    pub(crate) async fn next(&mut self, limit: Duration) -> Result<Option<Vec<Arc<Value>>>> {
        match tokio::time::timeout(limit, self.news.recv()).await {
            Err(_) => Ok(None),
            Ok(Some(News::Objects(all))) => Ok(Some(all)),
            Ok(Some(News::Trouble(why))) => bail!("a change may have been missed: {why}"),
            Ok(None) => bail!("the watch has ended"),
        }
    }

    /// What a predicate is shown.
    fn view(&self, all: &[Arc<Value>]) -> Option<Value> {
        if self.named {
            return all.first().map(|v| (**v).clone());
        }
        Some(json!({"items": all.iter().map(|v| (**v).clone()).collect::<Vec<_>>()}))
    }
}

/// Sends the whole selection once when the first lists are in, and again with each change.
async fn keep(client: Client, what: &Selection, send: &mpsc::UnboundedSender<News>) {
    let streams = what.kinds.iter().enumerate().map(|(i, kind)| {
        let resource = kind.resource();
        let api: Api<DynamicObject> = match what.namespace.as_deref().filter(|_| kind.namespaced) {
            Some(ns) => Api::namespaced_with(client.clone(), ns, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let mut config = watcher::Config::default();
        if let Some(l) = &what.labels {
            config = config.labels(l);
        }
        if let Some(f) = what.field_selector() {
            config = config.fields(&f);
        }
        watcher(api, config).backoff(Pauses).map(move |e| (i, e)).boxed()
    });
    let mut events = select_all(streams);
    let (mut known, mut fresh) = (BTreeMap::<Key, Arc<Value>>::new(), BTreeMap::<Key, Arc<Value>>::new());
    let mut listed = vec![false; what.kinds.len()];
    while let Some((i, event)) = events.next().await {
        let key = |o: &DynamicObject| (i, o.namespace(), o.name_any());
        let value = |o: &DynamicObject| Arc::new(serde_json::to_value(o).unwrap_or_default());
        match event {
            Ok(watcher::Event::Apply(o)) => drop(known.insert(key(&o), value(&o))),
            Ok(watcher::Event::Delete(o)) => drop(known.remove(&key(&o))),
            Ok(watcher::Event::Init) => {
                fresh.retain(|k, _| k.0 != i);
                continue;
            }
            Ok(watcher::Event::InitApply(o)) => {
                fresh.insert(key(&o), value(&o));
                continue;
            }
            Ok(watcher::Event::InitDone) => {
                known.retain(|k, _| k.0 != i);
                known.extend(fresh.iter().filter(|(k, _)| k.0 == i).map(|(k, v)| (k.clone(), v.clone())));
                listed[i] = true;
            }
            Err(e) => {
                if send.send(News::Trouble(format!("{e:#}"))).is_err() {
                    return;
                }
                continue;
            }
        }
        if listed.iter().all(|l| *l) && send.send(News::Objects(known.values().cloned().collect())).is_err() {
            return;
        }
    }
}

/// Every state of some objects since before an action: what lasted for a moment only was seen all the same.
pub struct History {
    watch: Watch,
    seen: Vec<Value>,
}

impl History {
    /// Begins to record, and returns once the present state is recorded.
    ///
    /// # Errors
    /// If the objects cannot be listed.
    pub async fn of(who: &User, what: &Selection) -> Result<Self> {
        let mut history = History { watch: Watch::start(who, what).await?, seen: Vec::new() };
        loop {
            match tokio::time::timeout(super::SOON, history.watch.news.recv()).await? {
                Some(News::Objects(all)) => {
                    history.seen.extend(history.watch.view(&all));
                    return Ok(history);
                }
                Some(News::Trouble(_)) => {}
                None => bail!("the watch has ended before it began"),
            }
        }
    }

    /// Waits until some state, past or future, fits.
    ///
    /// # Errors
    /// After `limit`, with what was seen last.
    pub async fn saw(&mut self, what: &str, limit: Duration, fits: impl Fn(&Value) -> bool) -> Result<()> {
        if self.seen.iter().any(&fits) {
            return Ok(());
        }
        let seen = &mut self.seen;
        let shown = |v: &Value| v.get("status").map_or_else(|| v.to_string(), Value::to_string);
        self.watch
            .until(what, limit, |v| {
                seen.push(v.clone());
                if fits(v) { Ok(Some(())) } else { bail!("{}", shown(v)) }
            })
            .await
    }
}
