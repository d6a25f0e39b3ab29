//! Follows a request that was created until it is done or ends: progress on standard error, and an exit code for each end.
use crate::{
    context::CliContext,
    read::{INCOMPLETE, rule},
};
use curfew_api::GROUP;
use curfew_core::{duration::Duration, text::printable};
use futures::TryStreamExt;
use kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, watch_object},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, pin::pin};

/// The exit code of a request that ended in a way without a code of its own, or was deleted.
pub(crate) const OTHER_END: u8 = 7;

/// A kind of request whose progress can be told.
pub(crate) trait Followed: Resource + Clone + Debug + DeserializeOwned + Send + 'static {
    /// Its short name, as in `kubectl get areq`.
    const SHORT: &'static str;
    /// Its plural name.
    const PLURAL: &'static str;
    /// What is waited for, as in "not active after 10m".
    const DONE: &'static str;

    /// One line of progress, and the exit code if there is no more to wait for. Nothing before the operator has looked at it.
    fn progress(&self) -> Option<(String, Option<u8>)>;
}

/// Prints each change on standard error until the request is done or ends. Ctrl-C and the time limit leave the request, and say how to go
/// on.
pub(crate) async fn until_done<K: Followed>(me: &CliContext, requests: &Api<K>, name: &str, limit: Option<&Duration>) -> u8 {
    let goes_on = |why: &str| {
        let (ns, kind) = (&me.namespace, K::SHORT);
        eprintln!(
            "{why}; the request goes on: kubectl get {kind} {name} -n {ns} shows it, kubectl delete {kind} {name} -n {ns} withdraws it"
        );
        INCOMPLETE
    };
    let seconds = limit.map_or(u64::MAX / 4, |limit| limit.secs().unsigned_abs());
    tokio::select! {
        code = follow(requests.clone(), &me.namespace, name) => code,
        _ = tokio::signal::ctrl_c() => goes_on("interrupted"),
        // The time limit that the user set: it races the watch.
        () = tokio::time::sleep(std::time::Duration::from_secs(seconds)) => {
            goes_on(&format!("not {} after {}", K::DONE, limit.map(ToString::to_string).unwrap_or_default()))
        }
    }
}

async fn follow<K: Followed>(requests: Api<K>, namespace: &str, name: &str) -> u8 {
    let mut changes = pin!(watch_object(requests, name).default_backoff());
    let mut printed = None;
    let mut print = |line: String| {
        if printed.as_ref() != Some(&line) {
            eprintln!("{line}");
            printed = Some(line);
        }
    };
    loop {
        // A watch that breaks is begun again, with a pause.
        let change = match changes.try_next().await {
            Ok(Some(change)) => change,
            Ok(None) => {
                let look = format!("kubectl get {} {name} -n {namespace} shows it", K::SHORT);
                eprintln!("error: request {name} was created, and the watch of it ended; {look}");
                return INCOMPLETE;
            }
            Err(error) if is_forbidden(&error) => {
                let needs = rule(GROUP, K::PLURAL, "watch", Some(namespace));
                eprintln!("error: request {name} was created and cannot be followed: {needs}");
                return INCOMPLETE;
            }
            Err(error) => {
                print(printable(&format!("the request cannot be watched: {error}")));
                continue;
            }
        };
        let Some(request) = change else {
            eprintln!("error: request {name} was deleted");
            return OTHER_END;
        };
        let Some((line, code)) = request.progress() else { continue };
        let line = printable(&line);
        print(if code.is_some_and(|code| code != 0) { format!("error: {line}") } else { line });
        if let Some(code) = code {
            return code;
        }
    }
}

/// Whether a watch fails for lack of a right, which no repetition brings.
fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            status.code == 403
        }
        watcher::Error::WatchError(status) => status.code == 403,
        _ => false,
    }
}
