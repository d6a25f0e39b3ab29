//! What is told of an ActivationRequest while it is followed, and the exit code of each end.
use crate::follow::{Followed, OTHER_END};
use curfew_api::{
    ActivationRequest,
    request::{ActivationRequestStatus, RequestState},
};
use curfew_core::{reason::TerminalState, text::printable};

/// The exit code of a request that ended without access.
pub(crate) const fn exit_code(ended: TerminalState) -> u8 {
    match ended {
        TerminalState::Denied => 4,
        TerminalState::Invalid => 5,
        TerminalState::TimedOut => 6,
        TerminalState::Cancelled | TerminalState::Failed | TerminalState::Revoked | TerminalState::Expired => OTHER_END,
    }
}

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

impl Followed for ActivationRequest {
    const SHORT: &'static str = "areq";
    const PLURAL: &'static str = "activationrequests";
    const DONE: &'static str = "active";

    fn progress(&self) -> Option<(String, Option<u8>)> {
        let status = self.status.as_ref()?;
        Some((progress(status)?, reached(status)))
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
