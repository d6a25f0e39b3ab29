//! Which events follow from a change of a request's status.
use super::NoticeEvent;
use crate::{reason::TerminalState, time::Time};

/// Where a request is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Not accepted yet, or of a state that this build does not know.
    Before,
    /// It waits for approvals.
    Waiting,
    /// It is approved and begins later.
    Scheduled,
    /// Its access is being written.
    Activating,
    /// Its access is in effect.
    Active,
    /// Its access is being removed.
    Revoking,
    /// It has ended.
    Over(TerminalState),
    /// It asked for a change of an assignment, which is made.
    Changed,
}

/// A stage that waits for approvals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenStage {
    /// Its name in the role.
    pub name: String,
    /// Whether its escalation has begun.
    pub escalated: bool,
}

/// What notifications need to know of a request's status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Where it is.
    pub phase: Phase,
    /// Whether its access was in effect at any time.
    pub had_access: bool,
    /// The stages that wait for approvals.
    pub open: Vec<OpenStage>,
    /// The names of the stages that have all of their approvals.
    pub passed: Vec<String>,
    /// Whether the removal of its access does not succeed.
    pub stuck: bool,
    /// Whether it begins by break-glass.
    pub break_glass: bool,
}

/// An event of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestEvent {
    /// What has happened.
    pub event: NoticeEvent,
    /// The stage that it concerns; `None` if it concerns the whole request.
    pub stage: Option<String>,
}

/// The events of a status that was just stored, beyond the one before.
///
/// 1. While it waits: each stage that is open and was not, and each escalation that has begun. A stage that opens after its escalation
///    would have begun tells both groups by the first alone.
/// 2. `BreakGlass` when its access begins to be written, and not when that is observed: people are told before the access is used.
/// 3. `Scheduled`, `Activated` and the end, when that state is stored for the first time. An end with access is `Ended`, any other
///    `Refused`.
/// 4. `RevocationStuck` when the removal begins to count as stuck.
pub fn events(before: Option<&Snapshot>, now: &Snapshot) -> Vec<RequestEvent> {
    let mut all = Vec::new();
    let was_open = |name: &str| before.and_then(|before| before.open.iter().find(|stage| stage.name == name));
    for stage in now.open.iter().filter(|_| now.phase == Phase::Waiting) {
        let event = match was_open(&stage.name) {
            None => Some(NoticeEvent::ApprovalNeeded),
            Some(was) if stage.escalated && !was.escalated => Some(NoticeEvent::Escalated),
            Some(_) => None,
        };
        all.extend(event.map(|event| RequestEvent { event, stage: Some(stage.name.clone()) }));
    }
    let begun = |phase: Phase| matches!(phase, Phase::Activating | Phase::Active);
    let was = before.map(|before| before.phase);
    let mut tell = |event| all.push(RequestEvent { event, stage: None });
    if now.break_glass && begun(now.phase) && !was.is_some_and(begun) {
        tell(NoticeEvent::BreakGlass);
    }
    if was != Some(now.phase) && !matches!(was, Some(Phase::Over(_) | Phase::Changed)) {
        match now.phase {
            Phase::Scheduled => tell(NoticeEvent::Scheduled),
            Phase::Active => tell(NoticeEvent::Activated),
            Phase::Over(TerminalState::Revoked) => tell(NoticeEvent::Ended),
            Phase::Over(_) if now.had_access => tell(NoticeEvent::Ended),
            Phase::Over(_) => tell(NoticeEvent::Refused),
            Phase::Changed => tell(NoticeEvent::AssignmentChanged),
            Phase::Before | Phase::Waiting | Phase::Activating | Phase::Revoking => {}
        }
    }
    if now.stuck && !before.is_some_and(|before| before.stuck) {
        tell(NoticeEvent::RevocationStuck);
    }
    all
}

/// Whether a notification that waits in a queue still asks for something (PIM-058): an approval is not asked for any more if its stage has
/// passed, or if the request does not wait for approvals any more, or does not exist (`None`). All others are told even if more has
/// happened since. `seen` may be older than what the notification tells: a request that is not accepted yet, and a stage that is not open
/// yet, are about to be.
pub fn is_current(event: &RequestEvent, seen: Option<&Snapshot>) -> bool {
    match event.event {
        NoticeEvent::ApprovalNeeded | NoticeEvent::Escalated => seen.is_some_and(|seen| match seen.phase {
            Phase::Before => true,
            Phase::Waiting => !event.stage.as_ref().is_some_and(|stage| seen.passed.contains(stage)),
            Phase::Scheduled | Phase::Activating | Phase::Active | Phase::Revoking | Phase::Over(_) | Phase::Changed => false,
        }),
        NoticeEvent::Refused
        | NoticeEvent::Scheduled
        | NoticeEvent::Activated
        | NoticeEvent::Ended
        | NoticeEvent::RevocationStuck
        | NoticeEvent::BreakGlass
        | NoticeEvent::ReviewOutstanding
        | NoticeEvent::EmergencyAccountUsed
        | NoticeEvent::Assigned
        | NoticeEvent::ActiveAssigned
        | NoticeEvent::AssignmentChanged
        | NoticeEvent::AssignmentEnds
        | NoticeEvent::AssignmentEnded
        | NoticeEvent::Digest => true,
    }
}

/// Whether people are reminded between two looks of the review that is outstanding since `since`: once in each `every` seconds. `checked` is
/// the look before.
pub fn reminds(since: Time, checked: Time, now: Time, every: i64) -> bool {
    let periods = |at: Time| at.millis_since(since).max(0) / every.max(1).saturating_mul(1000);
    periods(now) > periods(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use NoticeEvent::{Activated, ApprovalNeeded, BreakGlass, Ended, Escalated, Refused, RevocationStuck, Scheduled};

    fn at(phase: Phase) -> Snapshot {
        Snapshot { phase, had_access: false, open: Vec::new(), passed: Vec::new(), stuck: false, break_glass: false }
    }

    fn waiting(open: &[(&str, bool)]) -> Snapshot {
        let open = open.iter().map(|(name, escalated)| OpenStage { name: (*name).to_owned(), escalated: *escalated }).collect();
        Snapshot { open, ..at(Phase::Waiting) }
    }

    fn told(before: Option<&Snapshot>, now: &Snapshot) -> Vec<(NoticeEvent, String)> {
        events(before, now).into_iter().map(|told| (told.event, told.stage.unwrap_or_default())).collect()
    }

    fn kinds(before: Option<&Snapshot>, now: &Snapshot) -> Vec<NoticeEvent> {
        events(before, now).into_iter().map(|told| told.event).collect()
    }

    #[test]
    fn approvers_are_told_when_their_stage_opens_and_when_the_escalation_begins_and_once() {
        let (owners, security) = (waiting(&[("owners", false)]), waiting(&[("security", false)]));
        assert_eq!(told(None, &owners), [(ApprovalNeeded, "owners".into())]);
        assert_eq!(told(Some(&at(Phase::Before)), &owners), [(ApprovalNeeded, "owners".into())]);
        assert_eq!(told(Some(&owners), &owners), []);
        assert_eq!(told(Some(&owners), &security), [(ApprovalNeeded, "security".into())]);
        let parallel = waiting(&[("owners", false), ("security", false)]);
        assert_eq!(kinds(None, &parallel), [ApprovalNeeded, ApprovalNeeded]);
        let escalated = waiting(&[("owners", true)]);
        assert_eq!(told(Some(&owners), &escalated), [(Escalated, "owners".into())]);
        assert_eq!(told(Some(&escalated), &escalated), []);
        assert_eq!(told(None, &escalated), [(ApprovalNeeded, "owners".into())]);
    }

    #[test]
    fn the_beginning_and_each_end_are_told_once() {
        let (open, active) = (waiting(&[("owners", false)]), Snapshot { had_access: true, ..at(Phase::Active) });
        assert_eq!(kinds(Some(&open), &at(Phase::Activating)), []);
        assert_eq!(kinds(Some(&at(Phase::Activating)), &active), [Activated]);
        assert_eq!(kinds(Some(&active), &active), []);
        assert_eq!(kinds(Some(&open), &at(Phase::Scheduled)), [Scheduled]);
        use TerminalState::{Cancelled, Denied, Expired, Failed, Invalid, Revoked, TimedOut};
        for end in [Expired, Revoked, Denied, Cancelled, TimedOut, Invalid, Failed] {
            let over = Snapshot { had_access: true, ..at(Phase::Over(end)) };
            assert_eq!(kinds(Some(&active), &over), [Ended], "{end:?}");
            assert_eq!(kinds(Some(&over), &over), []);
            let refused = if end == Revoked { Ended } else { Refused };
            assert_eq!(kinds(Some(&open), &at(Phase::Over(end))), [refused], "{end:?}");
        }
    }

    #[test]
    fn break_glass_is_told_when_the_access_begins_to_be_written() {
        let glass = |phase| Snapshot { break_glass: true, ..at(phase) };
        assert_eq!(kinds(Some(&glass(Phase::Before)), &glass(Phase::Activating)), [BreakGlass]);
        assert_eq!(kinds(None, &glass(Phase::Activating)), [BreakGlass]);
        assert_eq!(kinds(Some(&glass(Phase::Activating)), &glass(Phase::Active)), [Activated]);
        assert_eq!(kinds(Some(&glass(Phase::Before)), &glass(Phase::Active)), [BreakGlass, Activated]);
        assert_eq!(kinds(Some(&glass(Phase::Before)), &glass(Phase::Over(TerminalState::Denied))), [Refused]);
    }

    #[test]
    fn a_change_of_an_assignment_is_told_once() {
        let open = waiting(&[("owners", false)]);
        assert_eq!(kinds(Some(&open), &at(Phase::Changed)), [NoticeEvent::AssignmentChanged]);
        assert_eq!(kinds(None, &at(Phase::Changed)), [NoticeEvent::AssignmentChanged], "nobody has to approve a removal");
        assert_eq!(kinds(Some(&at(Phase::Changed)), &at(Phase::Changed)), []);
        assert_eq!(kinds(Some(&open), &at(Phase::Over(TerminalState::Denied))), [Refused]);
    }

    #[test]
    fn a_removal_that_is_stuck_is_told_once() {
        let stuck = Snapshot { stuck: true, ..at(Phase::Revoking) };
        assert_eq!(kinds(Some(&at(Phase::Revoking)), &stuck), [RevocationStuck]);
        assert_eq!(kinds(Some(&stuck), &stuck), []);
    }

    #[test]
    fn an_approval_that_is_decided_is_not_asked_for_any_more() {
        let asks = RequestEvent { event: ApprovalNeeded, stage: Some("owners".into()) };
        assert!(is_current(&asks, Some(&waiting(&[("owners", false)]))));
        let passed = Snapshot { passed: vec!["owners".into()], ..waiting(&[("security", false)]) };
        assert!(!is_current(&asks, Some(&passed)), "its stage has passed");
        for phase in [Phase::Scheduled, Phase::Activating, Phase::Active, Phase::Revoking, Phase::Changed] {
            assert!(!is_current(&asks, Some(&at(phase))), "{phase:?}");
        }
        assert!(!is_current(&asks, Some(&at(Phase::Over(TerminalState::Denied)))) && !is_current(&asks, None));
        assert!(is_current(&RequestEvent { event: BreakGlass, stage: None }, None));
    }

    #[test]
    fn a_cache_that_lags_behind_keeps_nobody_from_being_asked() {
        let asks = |stage: &str| RequestEvent { event: ApprovalNeeded, stage: Some(stage.into()) };
        assert!(is_current(&asks("owners"), Some(&at(Phase::Before))), "its acceptance is not seen yet");
        assert!(is_current(&asks("security"), Some(&waiting(&[("owners", false)]))), "its stage is not seen open yet");
    }

    #[test]
    fn a_review_is_brought_to_mind_once_in_each_period() {
        let t = Time::from_secs;
        assert!(!reminds(t(1000), t(1000), t(1099), 100) && reminds(t(1000), t(1099), t(1100), 100));
        assert!(!reminds(t(1000), t(1100), t(1150), 100), "not again in the same period");
        assert!(reminds(t(1000), t(1150), t(1999), 100), "once, however many periods have passed");
        assert!(!reminds(t(1000), t(0), t(999), 100) && !reminds(t(1000), t(1500), t(1400), 0));
    }
}
