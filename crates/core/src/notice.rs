//! Notifications: which events people are told of without looking, and who. Pure.
//!
//! | Module | What it decides |
//! |---|---|
//! | this file | the events, which of them are critical, and their default recipients |
//! | [`transition`] | which events follow from a change of a request, and when people are reminded of a review |
//! | [`assignment`] | which events the life of an assignment has |
//! | [`matrix`] | the configured matrix: which addresses are told |
//! | [`cap`] | how many notifications one recipient gets in an hour |
//! | [`digest`] | what the weekly digest counts, and when it is sent |
//!
//! The matrix of events and recipients is that of PIM (features PIM-015 to PIM-018, PIM-055): each event has default recipients, which a
//! rule can turn off, and a rule can add addresses.
pub mod assignment;
pub mod cap;
pub mod digest;
pub mod matrix;
pub mod transition;

use serde::{Deserialize, Serialize};

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NoticeEvent {
    /// A stage of a request has opened and waits for approvals.
    ApprovalNeeded,
    /// The escalation of a stage has begun: more people may approve.
    Escalated,
    /// A request has ended without access: denied, cancelled, timed out, invalid or failed.
    Refused,
    /// A request is approved, and its access begins later.
    Scheduled,
    /// Access has begun.
    Activated,
    /// Access has ended.
    Ended,
    /// The removal of access does not succeed.
    RevocationStuck,
    /// Access begins by break-glass, without approval.
    BreakGlass,
    /// The review of a break-glass access is outstanding.
    ReviewOutstanding,
    /// An emergency account has created an object.
    EmergencyAccountUsed,
    /// A user or group was made eligible.
    Assigned,
    /// A user, group or service account was given standing access.
    ActiveAssigned,
    /// An AssignmentRequest has changed when an assignment holds.
    AssignmentChanged,
    /// An assignment, eligible or active, ends within 14 days, or within one.
    AssignmentEnds,
    /// An assignment has ended.
    AssignmentEnded,
    /// The digest of a week.
    Digest,
}

/// In which role a user is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Recipient {
    /// The requester and the beneficiary of a request; the subject of an assignment.
    Requester,
    /// Who may approve: those of the stage that has opened, and of all stages once it is decided; of an assignment those of its role.
    Approvers,
    /// The administrators of Curfew.
    Admins,
}

impl Recipient {
    /// All of them.
    pub const ALL: [Recipient; 3] = [Recipient::Requester, Recipient::Approvers, Recipient::Admins];
}

/// Which notifications a channel takes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Level {
    /// Every notification.
    #[default]
    All,
    /// Only those that need an action.
    Critical,
}

impl Level {
    /// Whether a channel of this level takes an event.
    pub const fn takes(self, event: NoticeEvent) -> bool {
        match self {
            Level::All => true,
            Level::Critical => event.is_critical(),
        }
    }
}

impl NoticeEvent {
    /// All of them.
    pub const ALL: [NoticeEvent; 16] = [
        NoticeEvent::ApprovalNeeded,
        NoticeEvent::Escalated,
        NoticeEvent::Refused,
        NoticeEvent::Scheduled,
        NoticeEvent::Activated,
        NoticeEvent::Ended,
        NoticeEvent::RevocationStuck,
        NoticeEvent::BreakGlass,
        NoticeEvent::ReviewOutstanding,
        NoticeEvent::EmergencyAccountUsed,
        NoticeEvent::Assigned,
        NoticeEvent::ActiveAssigned,
        NoticeEvent::AssignmentChanged,
        NoticeEvent::AssignmentEnds,
        NoticeEvent::AssignmentEnded,
        NoticeEvent::Digest,
    ];

    /// Whether an action is needed.
    pub const fn is_critical(self) -> bool {
        match self {
            NoticeEvent::ApprovalNeeded
            | NoticeEvent::Escalated
            | NoticeEvent::RevocationStuck
            | NoticeEvent::BreakGlass
            | NoticeEvent::ReviewOutstanding
            | NoticeEvent::EmergencyAccountUsed => true,
            NoticeEvent::Refused
            | NoticeEvent::Scheduled
            | NoticeEvent::Activated
            | NoticeEvent::Ended
            | NoticeEvent::Assigned
            | NoticeEvent::ActiveAssigned
            | NoticeEvent::AssignmentChanged
            | NoticeEvent::AssignmentEnds
            | NoticeEvent::AssignmentEnded
            | NoticeEvent::Digest => false,
        }
    }

    /// Whether it is sent before all others and regardless of what a recipient was sent before. People can cause the others in any number.
    pub const fn is_urgent(self) -> bool {
        match self {
            NoticeEvent::RevocationStuck | NoticeEvent::BreakGlass | NoticeEvent::ReviewOutstanding | NoticeEvent::EmergencyAccountUsed => {
                true
            }
            NoticeEvent::ApprovalNeeded
            | NoticeEvent::Escalated
            | NoticeEvent::Refused
            | NoticeEvent::Scheduled
            | NoticeEvent::Activated
            | NoticeEvent::Ended
            | NoticeEvent::Assigned
            | NoticeEvent::ActiveAssigned
            | NoticeEvent::AssignmentChanged
            | NoticeEvent::AssignmentEnds
            | NoticeEvent::AssignmentEnded
            | NoticeEvent::Digest => false,
        }
    }

    /// Who is told if no rule says otherwise. As in PIM, administrators are told of access that begins and not of requests that wait,
    /// and approvers of requests that wait and of how they are decided (PIM-055).
    pub const fn defaults(self) -> &'static [Recipient] {
        use Recipient::{Admins, Approvers, Requester};
        match self {
            NoticeEvent::ApprovalNeeded | NoticeEvent::Escalated => &[Approvers],
            NoticeEvent::Refused | NoticeEvent::Scheduled => &[Requester, Approvers],
            NoticeEvent::Activated
            | NoticeEvent::BreakGlass
            | NoticeEvent::Assigned
            | NoticeEvent::ActiveAssigned
            | NoticeEvent::AssignmentChanged => &[Requester, Approvers, Admins],
            NoticeEvent::Ended => &[Requester],
            NoticeEvent::RevocationStuck | NoticeEvent::AssignmentEnds | NoticeEvent::AssignmentEnded => &[Requester, Admins],
            NoticeEvent::ReviewOutstanding => &[Approvers, Admins],
            NoticeEvent::EmergencyAccountUsed | NoticeEvent::Digest => &[Admins],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docs/notifications.md, and nothing else, is what is built: event, critical, urgent, requester, approvers, admins.
    #[test]
    fn the_matrix_is_that_of_the_documentation() {
        let page = include_str!("../../../docs/notifications.md");
        let mark = |yes: bool| if yes { "x" } else { "" };
        for event in NoticeEvent::ALL {
            let cells = Recipient::ALL.map(|recipient| mark(event.defaults().contains(&recipient)));
            let name = format!("| `{event:?}` |");
            let row = page.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{event:?} has no row"));
            let shown: Vec<&str> = row.split('|').map(str::trim).skip(3).take(5).collect();
            let expected = [mark(event.is_critical()), mark(event.is_urgent()), cells[0], cells[1], cells[2]];
            assert_eq!(shown, expected, "{event:?}");
        }
        assert_eq!(page.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 8).count(), NoticeEvent::ALL.len());
    }

    #[test]
    fn a_critical_channel_takes_what_needs_an_action_alone() {
        let taken: Vec<_> = NoticeEvent::ALL.into_iter().filter(|event| Level::Critical.takes(*event)).collect();
        use NoticeEvent::{ApprovalNeeded, BreakGlass, EmergencyAccountUsed, Escalated, ReviewOutstanding, RevocationStuck};
        assert_eq!(taken, [ApprovalNeeded, Escalated, RevocationStuck, BreakGlass, ReviewOutstanding, EmergencyAccountUsed]);
        assert!(NoticeEvent::ALL.into_iter().all(|event| Level::All.takes(event)));
        assert!(NoticeEvent::ALL.into_iter().all(|event| !event.is_urgent() || event.is_critical()), "what is urgent is critical");
    }
}
