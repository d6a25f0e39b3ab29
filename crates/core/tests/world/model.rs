//! Conversion between the world's plain data and the library's types. Only this file runs `Reconcile::next`; results are
//! remembered.
use super::{
    APPROVAL, ApprovalRules, DURATION, ESCALATION, Gr, Policies, Req, Tick, UNTIL, decision_bits, grant_view,
    mutants::{Altered, Mutant},
    tick, time,
};
use crate::checker::{Map, Pool};
use curfew_core::{
    admission::Provenance,
    approval::{ApprovalStage, CommentRule, DecisionFacts, Escalation, StageOrder, Verb, review::ReviewState},
    duration::Duration,
    grant::{Grant, Observation, OwnerState, SlotOwners},
    principal::{Recognition, Subject, UserInfo},
    reason::Reason,
    reconcile::{Effect, Outcome, Reconcile, Reservation, Verify, View},
    request::{Frozen, Request, Status},
    resolved::{Extended, Ref, Resolved, SCHEMA, Schema, SystemRef, Terms},
    target::{
        Content, GrantedPermissions, GrantedScope, Guarantees, Principal, SlotSet,
        kubernetes::{GrantedRole, GrantedRoles, GrantedScope as Namespaces, RoleKind},
    },
    terms::Refusal,
    time::Time,
};
use std::sync::Arc;

/// A running reconcile, and the effect that it waits for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Task {
    pub generation: u8,
    pub reconcile: Reconcile,
    pub effect: Effect,
    /// Only for mutants that use what they knew at the start.
    pub memory: Option<Memory>,
}
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Memory {
    View(View),
    Grant(Grant),
}

/// What a replica's caches show of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cached {
    pub request: Option<Req>,
    pub decisions: u16,
    pub policies: Policies,
    pub grant: Option<Gr>,
}

/// An [`Effect`] as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    ReadLive,
    CommitRequest { was: Req, next: Req },
    CreateGrant { expires: Tick },
    BringForward(Tick),
    ReadOwner,
    Observe,
    ReadContent,
    ReadContentLive,
    Withhold,
    ReadWithheld,
    Reserve,
    Recheck,
    Arm { uid: u8, version: u8 },
    CommitGrant { was: Gr, next: Gr },
    Revoke,
    RemoveFinalizer,
}
/// An [`Outcome`] as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    ReadLive(Cached),
    StoredRequest(Req),
    StoredGrant(Gr),
    Stored,
    BroughtForward(Gr),
    Owner(OwnerState),
    Observed(Observation),
    Content(Content),
    Reserved { uid: u8, version: u8 },
    Live(Option<Gr>, OwnerState),
    Done,
    Gone,
    Conflict,
    Failed,
}
/// What a reconcile starts from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    Request(Cached),
    Grant { generation: u8, grant: Gr, verify: Verify },
}
/// Everything that the caches may show.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Past {
    pub requests: Vec<Req>,
    pub decisions: Vec<u16>,
    pub all_policies: Vec<Policies>,
    pub grants: [Vec<Option<Gr>>; 2],
}
/// One more version that the caches may show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    Request(Req),
    Decisions(u16),
    Policies(Policies),
    Grant(u8, Option<Gr>),
}

/// What holds for a whole search.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// By how many ticks each replica's clock is behind.
    pub slow: [Tick; 2],
    pub horizon: Tick,
    /// The request has a start: [`super::START`].
    pub scheduled: bool,
    /// The request extends another one, which ends at [`super::UNTIL`].
    pub extends: bool,
    pub mutant: Mutant,
    pub approval: ApprovalRules,
}

pub struct Model {
    pub setting: Setting,
    pub tasks: Pool<Task>,
    acts: Vec<Act>,
    steps: Map<(u32, Reply, Tick, bool), u32>,
    firsts: Map<(Start, Tick, bool), u32>,
    pub pasts: Pool<Past>,
    changes: Map<(u32, Change), u32>,
    pub starts: Map<(u32, u8, Tick, bool), Arc<Vec<u32>>>,
    pub settled: Map<super::invariants::Rest, Option<super::invariants::Broken>>,
    requests: Pool<Req>,
    grants: Pool<Gr>,
    users: Users,
}

struct Users {
    alice: Arc<UserInfo>,
    carol: Arc<UserInfo>,
    dave: Arc<UserInfo>,
    erin: Arc<UserInfo>,
    terms: [[Arc<Result<Terms, Refusal>>; 6]; 2],
    people: Arc<Recognition>,
}

impl Model {
    pub fn new(setting: Setting) -> Self {
        let person = |name: &str| Arc::new(UserInfo { username: name.into(), ..UserInfo::default() });
        let terms = |generation| {
            [Policies::Plain, Policies::OtherApprovers, Policies::Wider, Policies::Suspended, Policies::Unreachable, Policies::ParentEnded]
                .map(|h| Arc::new(resolve(generation, h, setting)))
        };
        Model {
            setting,
            tasks: Pool::new(),
            acts: Vec::new(),
            steps: Map::default(),
            firsts: Map::default(),
            pasts: Pool::new(),
            changes: Map::default(),
            starts: Map::default(),
            settled: Map::default(),
            requests: Pool::new(),
            grants: Pool::new(),
            users: Users {
                alice: person("alice"),
                carol: person("carol"),
                dave: person("dave"),
                erin: person("erin"),
                terms: [terms(0), terms(1)],
                people: Arc::new(Recognition::STRICT.clone()),
            },
        }
    }

    pub fn act(&self, task: u32) -> Act {
        self.acts[task as usize - 1]
    }
    pub fn generation(&self, task: u32) -> u8 {
        self.tasks.get(task).generation
    }

    /// Starts a reconcile. 0 if it has nothing to do.
    pub fn begin(&mut self, start: Start, now: Tick, permit: bool) -> u32 {
        if let Some(&m) = self.firsts.get(&(start, now, permit)) {
            return m;
        }
        let (generation, reconcile, memory) = match start {
            Start::Request(cached) => {
                let view = self.view(cached);
                (cached.request.map_or(0, |r| r.generation), Reconcile::request(view.clone()), Memory::View(view))
            }
            Start::Grant { generation, grant, verify } => {
                let mutant = self.setting.mutant;
                let grant = mutant.alter_grant(self.grant(grant), time(now));
                let verify = Verify {
                    owner: verify.owner && mutant != Mutant::OwnerNeverVerified,
                    content: verify.content && mutant != Mutant::ContentNeverVerified,
                };
                (generation, Reconcile::grant(grant.clone(), verify), Memory::Grant(grant))
            }
        };
        let memory = self.setting.mutant.remembers().then_some(memory);
        let m = self.run(generation, reconcile, Outcome::Start, memory, time(now), permit);
        self.firsts.insert((start, now, permit), m);
        m
    }

    /// Continues a reconcile. 0 if it is done.
    pub fn next(&mut self, task: u32, reply: Reply, now: Tick, permit: bool) -> u32 {
        if let Some(&m) = self.steps.get(&(task, reply, now, permit)) {
            return m;
        }
        let Task { generation, reconcile, effect, memory } = self.tasks.get(task).clone();
        let outcome = self.setting.mutant.alter_outcome(&effect, self.outcome(reply), memory.as_ref());
        let m = self.run(generation, reconcile, outcome, memory, time(now), permit);
        self.steps.insert((task, reply, now, permit), m);
        m
    }

    fn run(&mut self, generation: u8, reconcile: Reconcile, outcome: Outcome, memory: Option<Memory>, now: Time, permit: bool) -> u32 {
        let mutant = self.setting.mutant;
        let permit = permit || mutant == Mutant::PermitIgnored;
        let (mut reconcile, mut effect) = reconcile.next(outcome, now, permit);
        loop {
            match mutant.alter_effect(&effect, memory.as_ref(), now) {
                Altered::AsIs => break,
                Altered::Instead(other) => {
                    effect = other;
                    break;
                }
                Altered::Skipped(outcome) => (reconcile, effect) = reconcile.next(outcome, now, permit),
            }
        }
        if matches!(effect, Effect::Done(_)) {
            return 0;
        }
        let act = self.plain(&effect);
        let m = self.tasks.number(Task { generation, reconcile, effect, memory });
        if m as usize > self.acts.len() {
            self.acts.push(act);
        }
        m
    }

    /// The past and this.
    pub fn remember(&mut self, past: u32, changes: Change) -> u32 {
        if past == 0 {
            return 0;
        }
        if let Some(&p) = self.changes.get(&(past, changes)) {
            return p;
        }
        fn add<T: PartialEq>(list: &mut Vec<T>, x: T) {
            if !list.contains(&x) {
                list.push(x);
            }
        }
        let mut p = self.pasts.get(past).clone();
        match changes {
            Change::Request(r) => add(&mut p.requests, r),
            Change::Decisions(w) => add(&mut p.decisions, w),
            Change::Policies(h) => add(&mut p.all_policies, h),
            Change::Grant(generation, g) => add(&mut p.grants[usize::from(generation)], g),
        }
        let n = self.pasts.number(p);
        self.changes.insert((past, changes), n);
        n
    }
}

// === plain data to the library's types ===

impl Model {
    fn request(&mut self, r: Req) -> Request {
        let frozen = r.frozen.map(|(policies, accepted)| Frozen {
            terms: self.terms(r.generation, policies).as_ref().clone().expect("nothing is frozen that cannot be granted"),
            accepted_at: time(accepted),
        });
        Request {
            break_glass: false,
            version: self.requests.number(r).to_string().into(),
            schema: Schema::Known,
            uid: format!("request-{}", r.generation).into(),
            created: Time::from_secs(5_000 + 500 * i64::from(r.generation)),
            provenance: Provenance::Verified,
            requester: self.users.alice.clone(),
            beneficiary: None,
            status: Status {
                state: r.state,
                frozen,
                expires_at: r.expires.map(time),
                activated_at: r.active.then_some(time(0)),
                slots: Vec::new(),
                review: ReviewState::NotRequired,
            },
        }
    }
    pub fn grant(&mut self, g: Gr) -> Grant {
        Grant {
            version: self.grants.number(g).to_string().into(),
            schema: Schema::Known,
            expires_at: time(g.expires),
            state: g.state,
            drifted: g.drifted,
            refused: false,
            outgrown: g.outgrown,
            withheld: if g.withheld { SlotSet::NONE.with(0) } else { SlotSet::NONE },
            deleting: g.deleting,
            provenance: Provenance::Verified,
            guarantees: Guarantees::OWN_OBJECTS,
            active_since: g.was_active.then_some(time(0)),
            intent: None,
            operation: None,
            removed_at: None,
        }
    }
    fn terms(&self, generation: u8, policies: Policies) -> &Arc<Result<Terms, Refusal>> {
        &self.users.terms[usize::from(generation)][policies as usize]
    }
    fn view(&mut self, s: Cached) -> View {
        let generation = s.request.map_or(0, |r| r.generation);
        let mut view = View {
            request: s.request.map(|r| self.request(r)),
            decisions: Arc::new(self.decisions(s.decisions)),
            terms: self.terms(generation, s.policies).clone(),
            grant: grant_view(s.grant),
            people: self.users.people.clone(),
            absent_since: None,
        };
        self.setting.mutant.alter_view(&mut view);
        view
    }
    /// The decisions of a mask. None of them names a uid, which is the weaker form.
    fn decisions(&self, mask: u16) -> Vec<DecisionFacts> {
        let Users { alice, carol, dave, erin, .. } = &self.users;
        let shorter = self.setting.approval == ApprovalRules::Shortened;
        let decision = |n: i64, by: &Arc<UserInfo>, verb| DecisionFacts {
            provenance: curfew_core::admission::Provenance::Verified,
            counted_before: false,
            emergency: false,
            uid: format!("d{n}").into(),
            decider: by.clone(),
            verb,
            duration: (shorter && verb == Verb::Approve).then(|| ticks(DURATION)),
            commented: false,
            digest: (verb == Verb::Approve).then(|| self.terms(0, Policies::Plain).as_ref().as_ref().expect("plain").digest),
            request_uid: None,
            created: Time::from_secs(5_001 + n),
            manager: Some(false),
            proven: true,
        };
        let made = |mut w: DecisionFacts, approval| {
            if w.verb == Verb::Approve && mask & approval != 0 {
                w.created = time(decision_bits::approved_at(mask, approval));
            }
            w
        };
        let mut all = vec![decision(0, alice, Verb::Approve)];
        if mask & decision_bits::ERIN_APPROVES != 0 {
            all.push(made(decision(5, erin, Verb::Approve), decision_bits::ERIN_APPROVES));
        }
        let kinds = [(carol, Verb::Approve), (dave, Verb::Deny), (carol, Verb::Revoke), (alice, Verb::Revoke)];
        for (late, shift) in [(0, 0), (1, decision_bits::LATE)] {
            for (n, (by, verb)) in (1..).zip(kinds) {
                if mask >> shift & 1 << (n - 1) != 0 {
                    let decision = decision(n + 600 * late, by, verb);
                    all.push(if late == 0 { made(decision, decision_bits::CAROL_APPROVES) } else { decision });
                }
            }
        }
        all
    }
    fn outcome(&mut self, reply: Reply) -> Outcome {
        match reply {
            Reply::ReadLive(s) => Outcome::Refreshed(self.view(s)),
            Reply::StoredRequest(r) => Outcome::Stored(self.request(r).version),
            Reply::StoredGrant(g) => Outcome::Stored(self.grant(g).version),
            Reply::Stored => Outcome::Stored("".into()),
            Reply::BroughtForward(g) => Outcome::BroughtForward(self.grant(g)),
            Reply::Owner(b) => Outcome::Owner(b),
            Reply::Observed(s) => Outcome::Observed(s),
            Reply::Content(c) => Outcome::Content(c),
            Reply::Reserved { uid, version } => {
                Outcome::Reserved(Reservation(Arc::new(vec![Some((uid.to_string().into(), version.to_string().into()))])))
            }
            Reply::Live(g, b) => Outcome::Rechecked(g.map(|g| self.grant(g)), b, SlotOwners::FREE),
            Reply::Done => Outcome::Done,
            Reply::Gone => Outcome::Gone,
            Reply::Conflict => Outcome::Conflict,
            Reply::Failed => Outcome::Failed,
        }
    }
}

// === the library's types to plain data ===

impl Model {
    fn plain(&mut self, effect: &Effect) -> Act {
        match effect {
            Effect::ReadLive => Act::ReadLive,
            Effect::CommitRequest(r) => {
                let was = *self.requests.get(r.version.parse().expect("a number"));
                let s = &r.status;
                let frozen = s.frozen.as_ref().map(|f| (self.policies_of(was.generation, &f.terms), tick(f.accepted_at)));
                let next = Req {
                    generation: was.generation,
                    state: s.state,
                    frozen,
                    expires: s.expires_at.map(tick),
                    active: s.activated_at.is_some(),
                };
                Act::CommitRequest { was, next }
            }
            Effect::CreateGrant { expires_at, .. } => Act::CreateGrant { expires: tick(*expires_at) },
            Effect::BringForward(t) => Act::BringForward(tick(*t)),
            Effect::ReadOwner => Act::ReadOwner,
            Effect::Observe { .. } => Act::Observe,
            Effect::ReadContent => Act::ReadContent,
            Effect::ReadContentLive => Act::ReadContentLive,
            Effect::Withhold(_) => Act::Withhold,
            Effect::ReadWithheld(_) => Act::ReadWithheld,
            Effect::Reserve => Act::Reserve,
            Effect::Recheck => Act::Recheck,
            Effect::Arm(Reservation(places)) => places.iter().flatten().next().map_or(Act::Arm { uid: 0, version: 0 }, |(uid, version)| {
                Act::Arm { uid: uid.parse().expect("a number"), version: version.parse().expect("a number") }
            }),
            Effect::CommitGrant(g) => {
                let was = *self.grants.get(g.version.parse().expect("a number"));
                let was_active = was.was_active || g.state == curfew_core::grant::State::Active;
                Act::CommitGrant {
                    was,
                    next: Gr {
                        state: g.state,
                        drifted: g.drifted,
                        was_active,
                        withheld: !g.withheld.is_empty(),
                        outgrown: g.outgrown,
                        ..was
                    },
                }
            }
            Effect::Revoke { .. } => Act::Revoke,
            Effect::RemoveFinalizer => Act::RemoveFinalizer,
            Effect::Survey | Effect::ReadSlotOwners | Effect::Apply { .. } | Effect::Poll(_) => {
                unreachable!("no effect of a plan that writes its own objects")
            }
            Effect::ListSlots(_)
            | Effect::CreateSlot(_)
            | Effect::TakeOverSlot { .. }
            | Effect::VerifySlot(_)
            | Effect::DeleteSlot(_)
            | Effect::ReleaseSlots => {
                unreachable!("the role has no limits")
            }
            Effect::Done(_) => unreachable!("a reconcile that is done has no act"),
        }
    }
    fn policies_of(&self, generation: u8, terms: &Terms) -> Policies {
        let all = [Policies::Plain, Policies::OtherApprovers, Policies::Wider];
        all.into_iter().find(|h| self.terms(generation, *h).as_ref().as_ref() == Ok(terms)).expect("terms come from a policies")
    }
}

fn ticks(n: Tick) -> Duration {
    Duration::from_secs(60 * u32::from(n))
}

/// The stages under these rules. Where the policies name other approvers, the first stage is dave's.
fn stages(rules: ApprovalRules, policies: Policies) -> Vec<ApprovalStage> {
    let users = |names: &[&str]| names.iter().map(|n| Subject::User((*n).into())).collect();
    let stage = |name: &str, approvers: &[&str]| ApprovalStage {
        name: name.into(),
        approvers: users(approvers),
        quorum: 1,
        timeout: Some(ticks(APPROVAL)),
        escalation: None,
        comment: CommentRule::Optional,
        mfa: None,
    };
    let owners: &[&str] = if policies == Policies::OtherApprovers { &["dave"] } else { &["carol", "dave", "alice"] };
    match rules {
        ApprovalRules::OneStage | ApprovalRules::Shortened => vec![stage("owners", owners)],
        ApprovalRules::Parallel => vec![stage("owners", owners), stage("security", &["carol", "erin"])],
        ApprovalRules::Escalated => {
            let escalation = Escalation { after: ticks(ESCALATION), approvers: users(&["carol"]) };
            vec![ApprovalStage { escalation: Some(escalation), ..stage("owners", &["dave"]) }]
        }
    }
}

/// The terms of the request under these policies.
fn resolve(generation: u8, policies: Policies, setting: Setting) -> Result<Terms, Refusal> {
    let Setting { scheduled, approval: rules, .. } = setting;
    let reference = |name: &str| Ref { name: name.into(), uid: format!("{name}-uid") };
    let role = |name: &str| GrantedRole {
        kind: RoleKind::ClusterRole,
        name: name.into(),
        namespace: None,
        uid: "u".into(),
        rules: curfew_core::digest::Digest::from_bits(1),
        content: Vec::new(),
    };
    let no = |reason| Err(Refusal::new(reason, ""));
    match policies {
        Policies::Suspended => return no(Reason::Suspended),
        Policies::Unreachable => return no(Reason::TargetUnreachable),
        Policies::ParentEnded => return no(Reason::ParentEnded),
        Policies::Plain | Policies::OtherApprovers | Policies::Wider => {}
    }
    Ok(Terms::new(Resolved {
        break_glass: false,
        schema: SCHEMA,
        request: format!("request-{generation}"),
        requester: "alice".into(),
        beneficiary: Subject::User("alice".into()),
        principal: Principal::Kubernetes(Subject::User("alice".into())),
        system: SystemRef { name: "prod".into(), uid: "s".into(), target: "t".into() },
        role: reference("role"),
        assignment: reference("assignment"),
        policy: reference("policy"),
        permissions: GrantedPermissions::Kubernetes(GrantedRoles {
            roles: if policies == Policies::Wider { vec![role("view"), role("edit")] } else { vec![role("view")] },
        }),
        scope: GrantedScope::Kubernetes(Namespaces::Namespaces(vec![reference("payments")])),
        duration: ticks(match (scheduled, rules) {
            (true, _) => super::SCHEDULED_DURATION,
            (false, ApprovalRules::Shortened) => DURATION + 1,
            (false, _) => DURATION,
        }),
        start: scheduled.then_some(time(super::START)),
        extends: setting.extends.then(|| Extended {
            name: "first".into(),
            uid: "request-first".into(),
            until: time(UNTIL),
            since: time(0),
        }),
        approval: stages(rules, policies),
        order: if rules == ApprovalRules::Parallel { StageOrder::Parallel } else { StageOrder::Sequential },
        author: None,
    }))
}
