//! An AssignmentRequest of Alice that is about her own assignment, and Carol, who approves it. For tests.
use super::*;
use crate::{
    admission::Provenance,
    approval::{CommentRule, Verb},
};

/// When the request was made, in seconds.
pub(super) const CREATED: i64 = 1_000;
/// When it was accepted.
pub(super) const ACCEPTED: i64 = 1_001;

pub(super) fn person(name: &str) -> Arc<UserInfo> {
    Arc::new(UserInfo { username: name.into(), ..UserInfo::default() })
}

pub(super) fn people() -> Recognition {
    Recognition { alias_keys: Vec::new(), ..Recognition::STRICT.clone() }
}

pub(super) fn assignment() -> Ref {
    Ref { name: "alice".into(), uid: "a1".into() }
}

/// An extension by an hour.
pub(super) fn terms() -> Terms {
    let span = |start, end| Span { start: Time::from_secs(start), end: Time::from_secs(end) };
    let leads = ApprovalStage {
        name: "leads".into(),
        approvers: vec![Subject::User("carol".into())],
        quorum: 1,
        timeout: None,
        escalation: None,
        comment: CommentRule::Optional,
        mfa: None,
    };
    Terms {
        schema: SCHEMA,
        request: "r1".into(),
        requester: "alice".into(),
        action: ActionKind::Extend,
        assignment: assignment(),
        subject: Subject::User("alice".into()),
        role: Ref { name: "admin".into(), uid: "t1".into() },
        policy: Some(Ref { name: "payments".into(), uid: "p1".into() }),
        replaces: Some(span(0, 2_000)),
        before: Some(span(0, 2_000)),
        window: span(0, 5_600),
        approval: vec![leads],
        order: StageOrder::Sequential,
    }
}

/// The request in this state, with what it froze.
pub(super) fn request(state: State, frozen: Option<Terms>) -> Request {
    Request {
        name: "longer".into(),
        uid: "r1".into(),
        created: Time::from_secs(CREATED),
        requester: person("alice"),
        state,
        frozen: frozen.map(|terms| Frozen { terms, accepted_at: Time::from_secs(ACCEPTED) }),
    }
}

/// A decision about these terms.
pub(super) fn decision(by: &str, verb: Verb, terms: &Terms) -> DecisionFacts {
    DecisionFacts {
        uid: format!("{by}-{verb:?}").into(),
        decider: person(by),
        verb,
        digest: Some(terms.digest()),
        duration: None,
        commented: false,
        request_uid: Some("r1".into()),
        created: Time::from_secs(ACCEPTED + 10),
        manager: Some(false),
        proven: true,
        provenance: Provenance::Verified,
        counted_before: false,
    }
}
