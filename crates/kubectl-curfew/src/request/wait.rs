//! Follows a request until it is active or ends: progress on standard error, and an exit code for each end.
use crate::{
    context::CliContext,
    read::{INCOMPLETE, rule},
};
use curfew_api::{
    ActivationRequest, GROUP,
    request::{ActivationRequestStatus, RequestState},
};
use curfew_core::{duration::Duration, reason::TerminalState, text::printable};
use futures::TryStreamExt;
use kube::{
    Api,
    runtime::{
        WatchStreamExt,
        watcher::{self, watch_object},
    },
};
use std::pin::pin;

/// The exit code of a request that ended without access.
pub(crate) const fn exit_code(ended: TerminalState) -> u8 {
    match ended {
        TerminalState::Denied => 4,
        TerminalState::Invalid => 5,
        TerminalState::TimedOut => 6,
        TerminalState::Cancelled | TerminalState::Failed | TerminalState::Revoked | TerminalState::Expired => OTHER_END,
    }
}

/// The exit code of a request that ended in another way, or was deleted.
const OTHER_END: u8 = 7;

/// One line of progress: the state, what it waits for and until when, or what the target said.
pub(crate) fn progress(status: &ActivationRequestStatus) -> Option<String> {
    let state = status.state?;
    let message = status.message.clone().unwrap_or_default();
    let mut line = match state {
        RequestState::AwaitingApproval => match status.approval.as_ref().and_then(|approval| approval.deadline) {
            Some(deadline) => format!("{state:?}: {message} (until {deadline})"),
            None => format!("{state:?}: {message}"),
        },
        RequestState::Active => match status.expires_at {
            Some(end) => format!("{state:?} until {end}: {message}"),
            None => format!("{state:?}: {message}"),
        },
        _ => format!("{state:?}: {message}"),
    };
    if let Some(reason) = status.reason.as_ref().filter(|_| state.outcome().is_some()) {
        line = format!("{state:?} ({reason}): {message}");
    }
    Some(printable(line.trim_end_matches([' ', ':'])))
}

/// Where a request has come to, as far as waiting is concerned.
pub(crate) fn reached(status: &ActivationRequestStatus) -> Option<u8> {
    match status.state? {
        RequestState::Active => Some(0),
        state => state.outcome().map(exit_code),
    }
}

/// Prints each change on standard error until the request is active or ends. Ctrl-C and the time limit leave the request, and say how to go
/// on.
pub(crate) async fn until_active(me: &CliContext, requests: &Api<ActivationRequest>, name: &str, limit: Option<&Duration>) -> u8 {
    let goes_on = |why: &str| {
        let ns = &me.namespace;
        eprintln!("{why}; the request goes on: kubectl curfew list -n {ns} shows it, kubectl delete areq {name} -n {ns} withdraws it");
        INCOMPLETE
    };
    let seconds = limit.map_or(u64::MAX / 4, |limit| limit.secs().unsigned_abs());
    tokio::select! {
        code = follow(requests.clone(), &me.namespace, name) => code,
        _ = tokio::signal::ctrl_c() => goes_on("interrupted"),
        () = tokio::time::sleep(std::time::Duration::from_secs(seconds)) => {
            goes_on(&format!("not active after {}", limit.map(ToString::to_string).unwrap_or_default()))
        }
    }
}

async fn follow(requests: Api<ActivationRequest>, namespace: &str, name: &str) -> u8 {
    let mut changes = pin!(watch_object(requests, name).default_backoff());
    let mut printed = None;
    loop {
        // A watch that breaks is begun again, with a pause.
        let change = match changes.try_next().await {
            Ok(Some(change)) => change,
            Ok(None) => {
                eprintln!("error: request {name} was created, and the watch of it ended; kubectl curfew list -n {namespace} shows it");
                return INCOMPLETE;
            }
            Err(error) if is_forbidden(&error) => {
                let needs = rule(GROUP, "activationrequests", "watch", Some(namespace));
                eprintln!("error: request {name} was created and cannot be followed: {needs}");
                return INCOMPLETE;
            }
            Err(error) => {
                let told = printable(&format!("the request cannot be watched: {error}"));
                if printed.replace(told.clone()) != Some(told.clone()) {
                    eprintln!("{told}");
                }
                continue;
            }
        };
        let Some(request) = change else {
            eprintln!("error: request {name} was deleted");
            return OTHER_END;
        };
        let status = request.status.unwrap_or_default();
        let Some(line) = progress(&status) else { continue };
        let code = reached(&status);
        let line = if code.is_some_and(|code| code != 0) { format!("error: {line}") } else { line };
        if printed.replace(line.clone()) != Some(line.clone()) {
            eprintln!("{line}");
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(value: serde_json::Value) -> ActivationRequestStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_end_has_an_exit_code_and_waiting_has_none() {
        for (state, code) in [
            ("Pending", None),
            ("AwaitingApproval", None),
            ("Scheduled", None),
            ("Activating", None),
            ("Revoking", None),
            ("Active", Some(0)),
            ("Denied", Some(4)),
            ("Invalid", Some(5)),
            ("TimedOut", Some(6)),
            ("Cancelled", Some(7)),
            ("Failed", Some(7)),
            ("Revoked", Some(7)),
            ("Expired", Some(7)),
        ] {
            assert_eq!(reached(&status(json!({"state": state}))), code, "{state}");
        }
    }

    #[test]
    fn progress_says_what_is_waited_for_and_until_when() {
        let waiting =
            json!({"state": "AwaitingApproval", "message": "waiting for 1 of leads", "approval": {"deadline": "2026-11-23T08:15:00Z"}});
        assert_eq!(progress(&status(waiting)).unwrap(), "AwaitingApproval: waiting for 1 of leads (until 2026-11-23T08:15:00Z)");
        let denied = json!({"state": "Denied", "reason": "NotEligible", "message": "no\u{1b}[2J"});
        assert_eq!(progress(&status(denied)).unwrap(), "Denied (NotEligible): no\\u{1b}[2J");
        let active = json!({"state": "Active", "expiresAt": "2026-11-23T08:15:00Z"});
        assert_eq!(progress(&status(active)).unwrap(), "Active until 2026-11-23T08:15:00Z");
        assert_eq!(progress(&status(json!({}))), None);
    }
}
