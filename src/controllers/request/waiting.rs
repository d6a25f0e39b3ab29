//! What the status says of an approval: who is waited for, who may approve now, what was not complete in time. Pure.
use crate::api::ActivationRequest;
use curfew_core::{
    approval::{ApprovalStage, CommentRule, StageTally, Tally},
    principal::Subject,
    reconcile::View,
    request::Status,
    text::{brief, clip},
    time::Time,
};
use kube::ResourceExt;

/// How many stages are named where several are open.
const MAX_NAMED_STAGES: usize = 3;
/// The longest list of open stages, in bytes.
const MAX_WAITING_FOR: usize = 320;

/// A request, and how far its approval has come.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    /// The request.
    pub object: &'a ActivationRequest,
    /// Its state.
    pub core: &'a Status,
    /// The tally against what it froze.
    pub tally: &'a Tally,
    /// The time: who may approve depends on it.
    pub now: Time,
}

/// A stage that is open.
struct Open<'a> {
    stage: &'a ApprovalStage,
    tally: &'a StageTally,
}

/// The stages that were frozen, and how far the approval has come.
#[derive(Clone, Copy)]
pub struct Approval<'a> {
    /// The stages.
    pub stages: &'a [ApprovalStage],
    /// The tally against them.
    pub tally: &'a Tally,
    /// The time: who may approve depends on it.
    pub now: Time,
}

impl<'a> Approval<'a> {
    fn stage(&self, i: usize) -> Option<Open<'a>> {
        Some(Open { stage: self.stages.get(i)?, tally: self.tally.stages.get(i)? })
    }

    fn open(&self) -> Vec<Open<'a>> {
        self.tally.open_stages().filter_map(|i| self.stage(i)).collect()
    }

    /// The open stages with the approvals that they have and need: `owners 0/1, security 1/2 (escalated)`.
    pub fn waiting_for(&self) -> Option<String> {
        let open = self.open();
        let one = |open: &Open<'_>| {
            let escalated = if open.has_escalated(self.now) { " (escalated)" } else { "" };
            format!("{} {}/{}{escalated}", open.stage.name, open.tally.approved.len(), open.stage.quorum)
        };
        let listed = some_of(&open, one, ", ");
        (!open.is_empty()).then(|| clip(listed, MAX_WAITING_FOR))
    }

    /// Who may approve now, and from when more people may, with the command for them.
    pub fn ask(&self, command: &str) -> Option<String> {
        let open = self.open();
        let several = open.len() > 1;
        let one = |open: &Open<'_>| {
            let missing = usize::from(open.stage.quorum).saturating_sub(open.tally.approved.len());
            let stage = if several { format!(" for stage {}", open.stage.name) } else { String::new() };
            format!("{missing} of {}{stage}", open.people(self.now))
        };
        let comment = if open.iter().any(|open| open.stage.comment == CommentRule::Required) { " --comment '...'" } else { "" };
        (!open.is_empty()).then(|| format!("waiting for {}: {command}{comment}", some_of(&open, one, " and ")))
    }

    /// Which stage was not complete in time.
    pub fn timed_out(&self) -> Option<String> {
        let Open { stage, tally } = self.stage(self.tally.open_stage()?)?;
        let timeout = stage.timeout.as_ref().map_or_else(|| "24h".to_owned(), ToString::to_string);
        Some(format!(
            "stage {} had {} of {} approvals by {}, {timeout} after it opened; create a new request and notify the approvers",
            stage.name,
            tally.approved.len(),
            stage.quorum,
            tally.deadline?
        ))
    }
}

impl<'a> Waiting<'a> {
    fn approval(&self) -> Approval<'a> {
        let stages = self.core.frozen.as_ref().map_or(&[][..], |frozen| &frozen.terms.resolved.approval);
        Approval { stages, tally: self.tally, now: self.now }
    }

    /// The open stages with the approvals that they have and need.
    pub fn waiting_for(&self) -> Option<String> {
        self.approval().waiting_for()
    }

    /// Who may approve now, with the command for them and the digest of what they approve.
    pub fn ask(&self) -> Option<String> {
        let digest = self.core.frozen.as_ref()?.terms.digest;
        let (name, namespace) = (self.object.name_any(), self.object.namespace().unwrap_or_default());
        self.approval().ask(&format!("kubectl curfew approve {name} -n {namespace} --digest {digest}"))
    }

    /// Which stage was not complete in time.
    pub fn timed_out(&self) -> Option<String> {
        self.approval().timed_out()
    }

    /// By whom the access was made shorter than what was asked for, if it was.
    pub fn shortened(&self, view: &View) -> String {
        let shortened = self.tally.shortened.as_ref();
        let by = shortened.and_then(|shortened| view.decisions.get(shortened.decision)).map(|decision| brief(&decision.decider.username));
        let requested = self.core.frozen.as_ref().map(|frozen| &frozen.terms.resolved.duration);
        match (shortened, by, requested) {
            (Some(shortened), Some(by), Some(requested)) => format!(" ({} instead of {requested}, as {by} approved)", shortened.duration),
            _ => String::new(),
        }
    }
}

impl Open<'_> {
    fn has_escalated(&self, now: Time) -> bool {
        self.tally.escalates_at.is_some_and(|at| now >= at)
    }

    fn people(&self, now: Time) -> String {
        let names = |list: &[Subject]| list.iter().map(Subject::principal).collect::<Vec<_>>().join(", ");
        let own = names(&self.stage.approvers);
        let more = self.stage.escalation.as_ref().map(|escalation| names(&escalation.approvers));
        match (more, self.tally.escalates_at) {
            (Some(more), _) if self.has_escalated(now) => brief(&format!("{own}, {more}")),
            (Some(more), Some(at)) => format!("{} (from {at} on also {})", brief(&own), brief(&more)),
            (Some(_), None) | (None, _) => brief(&own),
        }
    }
}

/// The first of them in words, and the number of the others.
fn some_of(open: &[Open<'_>], one: impl Fn(&Open<'_>) -> String, separator: &str) -> String {
    let mut listed: Vec<String> = open.iter().take(MAX_NAMED_STAGES).map(one).collect();
    if open.len() > MAX_NAMED_STAGES {
        listed.push(format!("{} more", open.len() - MAX_NAMED_STAGES));
    }
    listed.join(separator)
}
