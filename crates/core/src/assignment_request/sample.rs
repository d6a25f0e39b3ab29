//! An AssignmentRequest of Alice that is about her own assignment, and Carol, who approves it. For tests.
use super::*;
use crate::{
    admission::{AdmissionHistory, Provenance},
    approval::{CommentRule, Verb},
    policy_inputs::{ApprovalFloor, Assignment, Policy, PolicyInputs, System, Systems, Template, Window},
    target::{PermissionsByProvider, ProviderKind, ScopeByProvider, kubernetes},
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
        kind: AssignmentKind::Eligible,
        assignment: assignment(),
        subject: Subject::User("alice".into()),
        role: Ref { name: "admin".into(), uid: "t1".into() },
        policy: Some(Ref { name: "payments".into(), uid: "p1".into() }),
        replaces: Some(span(0, 2_000)),
        before: Some(span(0, 2_000)),
        window: span(0, 5_600),
        gives: None,
        approval: vec![leads],
        order: StageOrder::Sequential,
    }
}

/// A new assignment of the name of the sample, for as long as its spec says there, with the whole scope of the role.
pub(super) fn new_terms() -> Terms {
    let asked = Ref { uid: String::new(), ..assignment() };
    let window = Span { start: Time::from_secs(0), end: Time::from_secs(2_000) };
    Terms { action: ActionKind::New, assignment: asked, replaces: None, before: None, window, gives: Some(Gives::default()), ..terms() }
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
        made: None,
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
        emergency: false,
    }
}

/// The assignment of the request, its role with the approvers of the sample, and one policy, whose floor is that Carol approves. Admission was
/// in force all the time.
pub(super) struct Around {
    pub(super) assignment: Assignment,
    pub(super) template: Template,
    pub(super) policies: Vec<Policy>,
    pub(super) systems: Vec<System>,
    pub(super) admission: AdmissionHistory,
    pub(super) alias_keys: Vec<String>,
    pub(super) aliases_are_names: bool,
}

impl Around {
    pub(super) fn inputs(&self) -> PolicyInputs<'_> {
        PolicyInputs {
            now: Time::from_secs(3_000),
            admission: &self.admission,
            ceiling: None,
            alias_keys: &self.alias_keys,
            aliases_are_names: self.aliases_are_names,
            uids: Recognition::STRICT.uids,
            login_keys: &Recognition::STRICT.login_keys,
            template: Some(&self.template),
            assignments: &[],
            active_assignment: None,
            policies: &self.policies,
            systems: &self.systems,
            inventory: None,
            unreachable: None,
            operator_namespace: "curfew-system",
        }
    }
}

pub(super) fn around() -> Around {
    let always =
        AdmissionHistory { since: Some(Time::from_secs(1)), confirmed: Some(Time::from_secs(9_000)), ..AdmissionHistory::default() };
    Around {
        assignment: eligible(),
        template: role(),
        policies: vec![policy()],
        systems: vec![system()],
        admission: always,
        alias_keys: Vec::new(),
        aliases_are_names: false,
    }
}

/// Alice's assignment, in the window of its spec.
fn eligible() -> Assignment {
    Assignment {
        reference: assignment(),
        role: "admin".into(),
        subject: Subject::User("alice".into()),
        scope: None,
        permissions: None,
        window: Window::Between(Time::from_secs(0), Time::from_secs(2_000)),
        delegated: false,
        suspended: false,
        unproven: None,
        unsupported: Vec::new(),
    }
}

fn namespace() -> ScopeByProvider {
    let payments = kubernetes::Scope::Namespaces(vec!["payments".into()]);
    ScopeByProvider { kubernetes: Some(payments), ..ScopeByProvider::default() }
}

fn edit() -> PermissionsByProvider {
    let permissions = kubernetes::Permissions { cluster_roles: vec!["edit".into()], roles: Vec::new() };
    PermissionsByProvider { kubernetes: Some(permissions), ..PermissionsByProvider::default() }
}

fn role() -> Template {
    Template {
        reference: Ref { name: "admin".into(), uid: "t1".into() },
        namespace: "payments".into(),
        systems: Systems::Names(vec!["prod".into()]),
        permissions: edit(),
        scope: namespace(),
        default_duration: None,
        max_duration: "4h".parse().unwrap(),
        justification: false,
        ticket: None,
        mfa: None,
        authentication_context: None,
        approval: Vec::new(),
        order: StageOrder::Sequential,
        limits: None,
        extension: None,
        break_glass: false,
        permanent_eligibility: false,
        max_eligibility: None,
        standing: None,
        assignment_approval: Some((terms().approval, StageOrder::Sequential)),
        protects_last_holder: false,
        suspended: false,
        not_bindable: None,
        refused_by_target: None,
        unsupported: Vec::new(),
    }
}

/// For the role and for Alice, with a floor.
pub(super) fn policy() -> Policy {
    Policy {
        reference: Ref { name: "payments".into(), uid: "p1".into() },
        namespaces: vec!["payments".into()],
        systems: Systems::Names(vec!["prod".into()]),
        permissions: edit(),
        scope: namespace(),
        eligible: vec![Subject::User("alice".into())],
        max_duration: "8h".parse().unwrap(),
        max_eligibility: "365d".parse().unwrap(),
        approval: Some(ApprovalFloor { quorum: 1, from: vec![Subject::User("carol".into()), Subject::User("dave".into())] }),
        justification: false,
        ticket: false,
        mfa: None,
        limits: None,
        permanent_eligibility: false,
        standing: false,
        delegated: false,
        requestor_admins: Vec::new(),
        persistence: false,
        break_glass: false,
        suspended: false,
        unsupported: Vec::new(),
    }
}

fn system() -> System {
    System {
        name: "prod".into(),
        uid: "s1".into(),
        provider: ProviderKind::Kubernetes,
        principals: None,
        emergency_accounts: Vec::new(),
        labels: [].into(),
        target: Some("cluster-1".into()),
        grants_allowed: true,
        deleting: false,
        suspended: false,
        duplicate_of: None,
        missing_rights: None,
        unsupported: Vec::new(),
    }
}
