//! What this process knows of lives, and which spans it has made. Bounded. Pure: the task around it is in `mod.rs`.
use super::{
    ids::{SpanId, TraceId},
    learn,
    life::{About, Life, Outcome, Phase},
    span::{Attribute, Span, SpanKind},
};
use crate::api::{ActivationRequest, AssignmentRequest, Grant};
use curfew_core::time::Time;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// How many lives are remembered. One that is forgotten is known by what is stored, in whole seconds.
const LIVES: usize = 4096;
/// How many calls of a target have a span, for each request and process: one that is refused again and again must not fill a trace.
pub const CALLS: u32 = 64;
/// How many errors of a target are events of their span.
const ERRORS: usize = 16;
/// For how long after its end the leader makes the spans of a life that another process may have ended and not exported, in seconds.
pub const RECENT_SECS: i64 = 120;

/// What a controller has seen or done. It holds what is known of the life and no object, so that a queue of records stays small.
#[derive(Clone, Debug)]
pub enum Record {
    /// The status of a request was stored.
    Request {
        /// Before.
        before: Box<Life>,
        /// As it was stored.
        after: Box<Life>,
        /// When that was decided.
        at: Time,
    },
    /// A replica looks at a request.
    Seen {
        /// What it says.
        told: Box<Life>,
        /// Whether a replica that begins to lead has read it as it is stored: of one that has ended, the stores keep little.
        whole: bool,
        /// When.
        at: Time,
    },
    /// The leader finds that a request does not exist any more.
    Deleted {
        /// Of which kind.
        about: About,
        /// Its namespace and name.
        key: (String, String),
        /// When.
        at: Time,
    },
    /// The status of a Grant was stored.
    Grant {
        /// Before.
        before: Box<Life>,
        /// As it was stored.
        after: Box<Life>,
        /// When that was decided.
        at: Time,
    },
    /// The leader looks at a Grant that has ended and whose request was deleted.
    Orphan {
        /// What it says.
        told: Box<Life>,
        /// When.
        at: Time,
    },
    /// A call of the target.
    Call {
        /// What the Grant says.
        told: Box<Life>,
        /// The call.
        call: Call,
    },
}

/// What a request and its Grant say.
fn of_request(request: &ActivationRequest, grant: Option<&Grant>) -> Box<Life> {
    Box::new(grant.map(learn::grant).unwrap_or_default().with(learn::request(request)))
}

impl Record {
    /// The status of a request was stored.
    pub fn request(before: &ActivationRequest, after: &ActivationRequest, grant: Option<&Grant>, at: Time) -> Self {
        Record::Request { before: of_request(before, grant), after: of_request(after, grant), at }
    }
    /// A replica looks at a request.
    pub fn request_seen(request: &ActivationRequest, grant: Option<&Grant>, whole: bool, at: Time) -> Self {
        Record::Seen { told: of_request(request, grant), whole, at }
    }
    /// The status of an AssignmentRequest was stored.
    pub fn assignment(before: &AssignmentRequest, after: &AssignmentRequest, at: Time) -> Self {
        let told = |request| Box::new(learn::assignment_request(request));
        Record::Request { before: told(before), after: told(after), at }
    }
    /// A replica looks at an AssignmentRequest.
    pub fn assignment_seen(request: &AssignmentRequest, whole: bool, at: Time) -> Self {
        Record::Seen { told: Box::new(learn::assignment_request(request)), whole, at }
    }
    /// The status of a Grant was stored.
    pub fn grant(before: &Grant, after: &Grant, at: Time) -> Self {
        Record::Grant { before: Box::new(learn::grant(before)), after: Box::new(learn::grant(after)), at }
    }
    /// The leader looks at a Grant that has ended and whose request was deleted.
    pub fn orphan(grant: &Grant, at: Time) -> Self {
        Record::Orphan { told: Box::new(learn::grant(grant)), at }
    }
    /// The target was called for this Grant.
    pub fn call(grant: &Grant, call: Call) -> Self {
        Record::Call { told: Box::new(learn::grant(grant)), call }
    }
}

/// A call of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// What was to be done, one of few names.
    pub name: &'static str,
    /// In which phase.
    pub phase: Phase,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// The kind of its error.
    pub error: Option<&'static str>,
}

/// What follows from a record.
#[derive(Debug, Default)]
pub struct Made {
    /// The spans.
    pub spans: Vec<Span>,
    /// How many calls have none, since there are too many.
    pub left_out: u64,
}

/// The lives that this process knows.
pub struct Recorder {
    /// What no other process has, in the ids of calls.
    process: String,
    lives: HashMap<String, Entry>,
    order: VecDeque<String>,
}

#[derive(Default)]
struct Entry {
    life: Life,
    made: BTreeSet<Phase>,
    calls: u32,
    request_deleted: bool,
}

impl Recorder {
    /// A recorder that knows nothing yet. `process` is the name of this one, which no other has or had.
    pub fn new(process: String) -> Self {
        Recorder { process, lives: HashMap::new(), order: VecDeque::new() }
    }

    /// Takes note of a record.
    pub fn record(&mut self, record: Record) -> Made {
        match record {
            Record::Request { before, after, at } => self.committed(*before, *after, at),
            Record::Seen { told, whole, at } => self.seen(*told, whole, at),
            Record::Deleted { about, key, at } => self.deleted(about, &key, at),
            Record::Grant { before, after, at } => self.grant(*before, *after, at),
            Record::Orphan { mut told, at } => {
                told.ended = told.gone;
                told.outcome = told.ended.map(|_| deleted());
                self.entry(&told.uid).request_deleted = true;
                self.seen(*told, true, at)
            }
            Record::Call { told, call } => self.call(*told, call),
        }
    }

    fn entry(&mut self, uid: &str) -> &mut Entry {
        if !self.lives.contains_key(uid) {
            self.order.push_back(uid.to_owned());
            if self.order.len() > LIVES
                && let Some(oldest) = self.order.pop_front()
            {
                self.lives.remove(&oldest);
            }
        }
        self.lives.entry(uid.to_owned()).or_default()
    }

    /// This process has stored something: the spans that end by it.
    fn committed(&mut self, before: Life, after: Life, at: Time) -> Made {
        let entry = self.entry(&after.uid);
        let was = std::mem::take(&mut entry.life).with(before);
        let over: BTreeSet<Phase> = was.spans().into_iter().map(|(phase, _)| phase).collect();
        entry.life = was.with(after);
        entry.life.decided_at(at);
        // The process that ends the life makes what others may not have exported, too.
        if entry.life.ended.is_some() { entry.rest() } else { entry.make(|phase| !over.contains(&phase)) }
    }

    /// A replica looks at it: what is not remembered yet. Of a life that has ended a moment ago, the process that ended it may have been
    /// killed before its spans were exported, so the next leader makes them.
    fn seen(&mut self, told: Life, whole: bool, at: Time) -> Made {
        let entry = self.entry(&told.uid);
        entry.life = std::mem::take(&mut entry.life).with(told);
        let recent = entry.life.ended.is_some_and(|ended| at < ended.plus_secs(RECENT_SECS));
        if whole && recent { entry.rest() } else { Made::default() }
    }

    fn deleted(&mut self, about: About, (namespace, name): &(String, String), at: Time) -> Made {
        let is_meant = |life: &Life| life.about == about && life.ended.is_none() && life.namespace == *namespace && life.name == *name;
        let meant = self.lives.values_mut().filter(|entry| is_meant(&entry.life) && !entry.request_deleted);
        // Of two with one name, the first was deleted before the other was created.
        let Some(entry) = meant.min_by_key(|entry| entry.life.created) else { return Made::default() };
        entry.request_deleted = true;
        let life = &mut entry.life;
        if life.intent.is_some() && life.gone.is_none() {
            // The end of the Grant ends it.
            return Made::default();
        }
        life.ended = Some(life.gone.unwrap_or(at));
        life.outcome = Some(deleted());
        entry.rest()
    }

    fn grant(&mut self, before: Life, mut told: Life, at: Time) -> Made {
        if told.abandoned {
            told.gone = Some(at.floor_secs());
        }
        if self.entry(&told.uid).request_deleted {
            told.ended = told.gone;
            told.outcome = told.ended.map(|_| deleted());
        }
        self.committed(before, told, at)
    }

    fn call(&mut self, told: Life, call: Call) -> Made {
        let process = self.process.clone();
        let entry = self.entry(&told.uid);
        entry.life = std::mem::take(&mut entry.life).with(told);
        if let Some(error) = call.error {
            entry.remember_error(call.end, call.phase, error);
        }
        entry.calls = entry.calls.saturating_add(1);
        if entry.calls > CALLS {
            return Made { left_out: 1, ..Made::default() };
        }
        let uid = &entry.life.uid;
        let mut attributes = entry.life.attributes();
        attributes.extend(call.error.map(|error| ("error.type", Attribute::Text(error.to_owned()))));
        let span = Span {
            trace: TraceId::of(uid),
            // The number alone begins again where a life was forgotten.
            id: SpanId::of(uid, &["call", &process, &entry.calls.to_string(), call.name, &call.start.as_millis().to_string()]),
            parent: Some(call.phase.id(uid)),
            name: call.name,
            kind: SpanKind::Client,
            start: call.start,
            end: call.end.max(call.start),
            attributes,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            error: call.error.map(str::to_owned),
        };
        Made { spans: vec![span], left_out: 0 }
    }
}

impl Entry {
    /// The spans of these phases that have ended, and that this process has not made yet.
    fn make(&mut self, wanted: impl Fn(Phase) -> bool) -> Made {
        let spans = self.life.spans().into_iter().filter(|(phase, _)| wanted(*phase) && self.made.insert(*phase));
        Made { spans: spans.map(|(_, span)| span).collect(), left_out: 0 }
    }

    fn rest(&mut self) -> Made {
        self.make(|_| true)
    }

    fn remember_error(&mut self, at: Time, phase: Phase, error: &'static str) {
        let life = &mut self.life;
        if life.errors.iter().filter(|(_, of, _)| *of == phase).count() < ERRORS {
            life.errors.push((at, phase, error));
            return;
        }
        match life.more_errors.iter_mut().find(|(of, _)| *of == phase) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => life.more_errors.push((phase, 1)),
        }
    }
}

/// How a request ends that was deleted: no status is left to say it.
fn deleted() -> Outcome {
    Outcome { state: "Deleted".into(), reason: Some("RequestDeleted".into()), failed: false }
}

#[cfg(test)]
mod tests;
