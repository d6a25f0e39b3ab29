//! The life of a request, as far as it is known, and the spans that follow from it. Pure.
//!
//! ```text
//! activation request                created ─────────────────────────────────────────────── ended
//!   accept                          created ─ accepted
//!   wait for approval                         accepted ─ approved
//!   wait for start                                       approved ─ start
//!   activate                                                        start ─ granted
//!     store intent                                                  start ─ intent
//!     write to target                                                       intent ─ granted
//!   access                                                                           granted ─ revoking
//!   revoke                                                                                     revoking ─ gone
//! ```
//!
//! A span is there once its end is known. Where the life ends sooner, the span of that time ends with it and the later ones are missing; so every
//! parent is among the spans of a life that has ended. Times that Kubernetes stores have whole seconds; what the process has done itself, it
//! knows in milliseconds, and a time that it knows better replaces the stored one of the same second.
use super::{
    ids::{SpanId, TraceId},
    span::{Attribute, Attributes, Event, Span, SpanKind},
};
use curfew_core::time::Time;

/// What the trace is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum About {
    /// An ActivationRequest, with its Grant.
    #[default]
    Activation,
    /// An AssignmentRequest.
    Assignment,
}

/// A part of the life, which has a span.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// The whole of it.
    Root,
    /// From its creation until it is resolved and frozen.
    Accept,
    /// Until every stage has approved.
    Approval,
    /// Until the start that was asked for.
    Start,
    /// Until the access is observed at the target.
    Activate,
    /// Of that, until the Grant is stored.
    Intent,
    /// Of that, from then on.
    Target,
    /// The access exists.
    Access,
    /// Until it is proven that nothing is left of it.
    Revoke,
}

impl Phase {
    /// The name of its span.
    pub const fn name(self, about: About) -> &'static str {
        match (self, about) {
            (Phase::Root, About::Activation) => "activation request",
            (Phase::Root, About::Assignment) => "assignment request",
            (Phase::Accept, _) => "accept",
            (Phase::Approval, _) => "wait for approval",
            (Phase::Start, _) => "wait for start",
            (Phase::Activate, _) => "activate",
            (Phase::Intent, _) => "store intent",
            (Phase::Target, _) => "write to target",
            (Phase::Access, _) => "access",
            (Phase::Revoke, _) => "revoke",
        }
    }
    /// The id of its span.
    pub fn id(self, uid: &str) -> SpanId {
        SpanId::of(uid, &[&format!("{self:?}")])
    }
    /// What it is a part of.
    pub const fn parent(self) -> Option<Phase> {
        match self {
            Phase::Root => None,
            Phase::Accept | Phase::Approval | Phase::Start | Phase::Activate | Phase::Access | Phase::Revoke => Some(Phase::Root),
            Phase::Intent | Phase::Target => Some(Phase::Activate),
        }
    }
}

/// How a request has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The final state, as in `status.state`, or `Deleted`.
    pub state: String,
    /// The reason, as in `status.reason`.
    pub reason: Option<String>,
    /// Whether that is a failure, and not an end that people or rules have chosen.
    pub failed: bool,
}

/// A request and its Grant, as far as they are known. It has no names of people and none of their texts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Life {
    /// What it is of.
    pub about: About,
    /// `metadata.uid` of the request.
    pub uid: String,
    /// The namespace of the request.
    pub namespace: String,
    /// `metadata.name` of the request.
    pub name: String,
    /// The RoleTemplate.
    pub role: Option<String>,
    /// The AuthorizationSystem.
    pub system: Option<String>,
    /// The provider of that.
    pub provider: Option<&'static str>,
    /// `metadata.name` of the Grant.
    pub grant: Option<String>,
    /// Whether it is break-glass.
    pub break_glass: bool,
    /// The uid of the request that it extends.
    pub extends: Option<String>,
    /// Whether people have to approve.
    pub has_stages: bool,
    /// The approvals that count: when, and of which stage.
    pub approvals: Vec<(Time, String)>,
    /// Whether it has come so far that access was to be given.
    pub granting: bool,
    /// When the API server created the request.
    pub created: Option<Time>,
    /// When it was resolved and frozen.
    pub accepted: Option<Time>,
    /// When every stage had approved.
    pub approved: Option<Time>,
    /// The start that was asked for.
    pub starts: Option<Time>,
    /// When the Grant was created.
    pub intent: Option<Time>,
    /// When the access was first observed at the target.
    pub granted: Option<Time>,
    /// When its revocation began.
    pub revoking: Option<Time>,
    /// When it was proven that nothing of it is left, or the Grant was abandoned.
    pub gone: Option<Time>,
    /// The deadline.
    pub deadline: Option<Time>,
    /// When the request ended.
    pub ended: Option<Time>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether the Grant was released without proof.
    pub abandoned: bool,
    /// What the target answered to this process beside success: when, in which phase, and what kind of error.
    pub errors: Vec<(Time, Phase, &'static str)>,
    /// How many more there were, by phase.
    pub more_errors: Vec<(Phase, u32)>,
}

/// The better known of two times of one event: of the same second the one that is known already, which may have milliseconds.
fn better(known: Option<Time>, told: Option<Time>) -> Option<Time> {
    match (known, told) {
        (Some(known), Some(told)) if known.floor_secs() == told.floor_secs() => Some(known.max(told)),
        (known, told) => told.or(known),
    }
}

impl Life {
    /// Adds what is told later. What that does not say stays as it was.
    #[must_use]
    pub fn with(self, told: Life) -> Life {
        let text = |known: String, told: String| if told.is_empty() { known } else { told };
        Life {
            about: told.about,
            uid: text(self.uid, told.uid),
            namespace: text(self.namespace, told.namespace),
            name: text(self.name, told.name),
            role: told.role.or(self.role),
            system: told.system.or(self.system),
            provider: told.provider.or(self.provider),
            grant: told.grant.or(self.grant),
            break_glass: told.break_glass || self.break_glass,
            extends: told.extends.or(self.extends),
            has_stages: told.has_stages || self.has_stages,
            approvals: if told.approvals.is_empty() { self.approvals } else { told.approvals },
            granting: told.granting || self.granting,
            created: better(self.created, told.created),
            accepted: better(self.accepted, told.accepted),
            approved: better(self.approved, told.approved),
            starts: told.starts.or(self.starts),
            intent: better(self.intent, told.intent),
            granted: better(self.granted, told.granted),
            revoking: better(self.revoking, told.revoking),
            gone: better(self.gone, told.gone),
            deadline: told.deadline.or(self.deadline),
            ended: better(self.ended, told.ended),
            outcome: told.outcome.or(self.outcome),
            abandoned: told.abandoned || self.abandoned,
            errors: self.errors,
            more_errors: self.more_errors,
        }
    }

    /// Knows in milliseconds when something was decided that is stored in whole seconds: by this process, then. What the API server stamps
    /// itself, and the start, stay as they are.
    pub fn decided_at(&mut self, at: Time) {
        for stored in [&mut self.accepted, &mut self.approved, &mut self.granted, &mut self.revoking, &mut self.gone, &mut self.ended] {
            if *stored == Some(at.floor_secs()) {
                *stored = Some(at);
            }
        }
    }

    /// The spans that have ended, in the order of [`Phase`].
    pub fn spans(&self) -> Vec<(Phase, Span)> {
        let mut all: Vec<_> = self.periods().into_iter().map(|period| (period.phase, self.span(&period))).collect();
        all.sort_by_key(|(phase, _)| *phase);
        all
    }

    /// What every span says.
    pub fn attributes(&self) -> Attributes {
        let text = |value: &Option<String>| value.clone().map(Attribute::Text);
        let all = [
            ("k8s.namespace.name", Some(Attribute::Text(self.namespace.clone()))),
            ("curfew.request.name", Some(Attribute::Text(self.name.clone()))),
            ("curfew.request.uid", Some(Attribute::Text(self.uid.clone()))),
            ("curfew.role", text(&self.role)),
            ("curfew.system", text(&self.system)),
            ("curfew.provider", self.provider.map(|provider| Attribute::Text(provider.into()))),
            ("curfew.grant", text(&self.grant)),
            ("curfew.break_glass", self.break_glass.then_some(Attribute::Flag(true))),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    fn span(&self, period: &Period) -> Span {
        let Period { phase, start, end, error } = period;
        let mut attributes = self.attributes();
        let mut add = |key, value: Option<Attribute>| attributes.extend(value.map(|value| (key, value)));
        match phase {
            Phase::Root => {
                add("curfew.state", self.outcome.as_ref().map(|outcome| Attribute::Text(outcome.state.clone())));
                add("curfew.reason", self.outcome.as_ref().and_then(|outcome| outcome.reason.clone()).map(Attribute::Text));
            }
            Phase::Revoke => {
                let failed = self.errors.iter().filter(|(_, of, _)| of == phase).count();
                let failed = i64::try_from(failed).unwrap_or(i64::MAX).saturating_add(self.more_errors(*phase).into());
                add("curfew.failed_attempts", (failed > 0).then_some(Attribute::Number(failed)));
            }
            Phase::Accept | Phase::Approval | Phase::Start | Phase::Activate | Phase::Intent | Phase::Target | Phase::Access => {}
        }
        add("error.type", error.clone().map(Attribute::Text));
        let extends = self.extends.as_deref().filter(|_| *phase == Phase::Root);
        Span {
            trace: TraceId::of(&self.uid),
            id: phase.id(&self.uid),
            parent: phase.parent().map(|parent| parent.id(&self.uid)),
            name: phase.name(self.about),
            kind: SpanKind::Internal,
            start: *start,
            end: *end,
            attributes,
            events: self.events(*phase, *start, *end),
            dropped_events: self.more_errors(*phase),
            links: extends.map(|uid| (TraceId::of(uid), Phase::Root.id(uid))).into_iter().collect(),
            error: error.clone(),
        }
    }

    /// How many errors of a phase are not events.
    fn more_errors(&self, phase: Phase) -> u32 {
        self.more_errors.iter().filter(|(of, _)| *of == phase).map(|(_, count)| count).sum()
    }

    /// Approvals, without who has approved, and errors of the target, without what it said.
    fn events(&self, phase: Phase, start: Time, end: Time) -> Vec<Event> {
        let approvals = self.approvals.iter().filter(|_| phase == Phase::Approval).map(|(at, stage)| Event {
            at: (*at).clamp(start, end),
            name: "approval",
            attributes: vec![("curfew.stage", Attribute::Text(stage.clone()))],
        });
        let errors = self.errors.iter().filter(|(_, of, _)| *of == phase).map(|(at, _, kind)| Event {
            at: (*at).clamp(start, end),
            name: "target error",
            attributes: vec![("error.type", Attribute::Text((*kind).to_owned()))],
        });
        approvals.chain(errors).collect()
    }

    /// The parts of the life whose end is known. Each begins where the one before has ended, or later.
    fn periods(&self) -> Vec<Period> {
        let mut all = Vec::new();
        let mut add = |phase, start: Time, end: Time, error: Option<&str>| {
            all.push(Period { phase, start, end: end.max(start), error: error.map(str::to_owned) });
            end.max(start)
        };
        let failure = self.outcome.as_ref().filter(|outcome| outcome.failed);
        let failure = failure.map(|outcome| outcome.reason.clone().unwrap_or_else(|| outcome.state.clone()));
        let revoking = self.revoking();
        // What was to be given is there, or is taken back, or the request has ended without it.
        let activated = self.granted.or(revoking).or(self.gone).or(self.ended);
        let (mut last, mut accepted) = (self.created, None);
        if let (Some(created), Some(until)) = (self.created, self.accepted.or(self.ended)) {
            let until = add(Phase::Accept, created, until, None);
            (last, accepted) = (Some(until), self.accepted.map(|_| until));
        }
        // Where it is not stored any more when that was, it was before the Grant.
        let approved = self.approved.or(self.intent.or(self.granted).filter(|_| self.granting));
        let mut approved_at = None;
        if let (None, Some(intent), Some(_)) = (self.created, self.intent, self.ended) {
            // The request was deleted before this process knew it: what is known begins with the Grant.
            (last, approved_at) = (Some(intent), Some(intent));
        }
        if let (Some(accepted), Some(until)) = (accepted, approved.or(self.ended)) {
            let until = if self.has_stages { add(Phase::Approval, accepted, until, None) } else { until.max(accepted) };
            (last, approved_at) = (Some(until), approved.map(|_| until));
        }
        let starts = self.starts.zip(approved_at).filter(|(starts, approved)| starts > approved);
        if let (Some((starts, approved)), true) = (starts, self.granting || self.ended.is_some()) {
            let until = if self.granting { starts } else { self.ended.map_or(starts, |ended| ended.min(starts)) };
            last = Some(add(Phase::Start, approved, until, None));
        }
        if let (Some(begin), Some(_), true, Some(until)) = (last, approved_at, self.granting, activated) {
            let error = failure.as_deref().or(Some("not_activated")).filter(|_| self.granted.is_none());
            let until = until.max(begin).max(self.intent.unwrap_or(begin));
            if let Some(intent) = self.intent {
                let intent = add(Phase::Intent, begin, intent, None);
                add(Phase::Target, intent, until, error);
            }
            last = Some(add(Phase::Activate, begin, until, error));
        }
        // A process that only revokes knows the Grant alone.
        let floor = |at: Time| last.map_or(at, |last| at.max(last));
        let abandoned = self.abandoned.then_some("abandoned");
        if let (Some(granted), Some(until)) = (self.granted, revoking.or(self.gone).or(self.ended)) {
            last = Some(add(Phase::Access, floor(granted), until, None));
        }
        let floor = |at: Time| last.map_or(at, |last| at.max(last));
        if let (Some(revoking), Some(gone)) = (revoking, self.gone.or(self.ended)) {
            last = Some(add(Phase::Revoke, floor(revoking), gone, abandoned));
        }
        if let Some(ended) = self.ended {
            let begin = self.created.or(self.intent).or(self.granted).or(revoking).unwrap_or(ended);
            add(Phase::Root, begin, last.map_or(ended, |last| ended.max(last)), failure.as_deref().or(abandoned));
        }
        all
    }

    /// When the revocation began. At the deadline that is stored only if it does not succeed at once, and not once it is over: it began at the
    /// deadline, which an earlier end has moved. Of what was never seen at the target it is not known.
    fn revoking(&self) -> Option<Time> {
        let deadline = self.deadline.filter(|_| self.granted.is_some());
        self.revoking.or(self.gone).map(|begun| deadline.map_or(begun, |deadline| deadline.min(begun)))
    }
}

/// A part of the life with its times.
struct Period {
    phase: Phase,
    start: Time,
    end: Time,
    error: Option<String>,
}

#[cfg(test)]
mod tests;
