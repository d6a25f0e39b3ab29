//! Conversion between the world's plain data and the library's types. Only this file runs `Reconcile::next`; results are
//! remembered.
use super::{
    APPROVAL, ApprovalRules, DURATION, ESCALATION, Gr, Kind, Policies, Req, SlotObject, Tick, UNTIL, World, decision_bits, grant_view,
    mutants::{Altered, Mutant},
    parent::{Extends, verdict},
    tick, time,
};
use crate::checker::{Map, Pool};
use curfew_core::{
    admission::Provenance,
    approval::{ApprovalStage, CommentRule, DecisionFacts, Escalation, StageOrder, Verb},
    duration::Duration,
    grant::{Grant, Observation, OwnerState, SlotOwners},
    limits::{Holder, Limit, Slot, SlotName, Slots},
    principal::{Recognition, Subject, Uids, UserInfo},
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
    /// What it extends, where that is modelled.
    pub parent: Option<Extends>,
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
    ListSlots,
    CreateSlot,
    VerifySlot(SlotObject),
    DeleteSlot(SlotObject),
    ReleaseSlots,
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
    Slots(Option<SlotObject>),
    Holds(bool),
    Occupied,
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
    pub parent_deleted: bool,
}
/// One more version that the caches may show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    Request(Req),
    Decisions(u16),
    Policies(Policies),
    Grant(u8, Option<Gr>),
    ParentDeleted,
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
    pub kind: Kind,
    /// How many replicas there are: one or two.
    pub replicas: usize,
    pub mutant: Mutant,
    pub approval: ApprovalRules,
}

impl Setting {
    pub fn is_break_glass(&self) -> bool {
        self.approval == ApprovalRules::BreakGlass
    }
    /// Whether this one of the requests extends another one.
    pub fn is_extension(&self, generation: u8) -> bool {
        self.extends && !(self.kind == Kind::ParentAndChild && generation == 1)
    }
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
    pub attended: Map<World, Option<super::invariants::Broken>>,
    /// The limit of which the requests compete for the only slot.
    limit: Option<Limit>,
    requests: Pool<Req>,
    grants: Pool<Gr>,
    users: Users,
}

struct Users {
    alice: Arc<UserInfo>,
    carol: Arc<UserInfo>,
    dave: Arc<UserInfo>,
    erin: Arc<UserInfo>,
    terms: [[Arc<Result<Terms, Refusal>>; Policies::ALL.len()]; 2],
    people: Arc<Recognition>,
}

impl Model {
    pub fn new(setting: Setting) -> Self {
        let person = |name: &str| Arc::new(UserInfo { username: name.into(), ..UserInfo::default() });
        let alice = UserInfo { username: "alice".into(), ..UserInfo::default() };
        let limit = match setting.kind {
            _ if setting.is_break_glass() => Limit::of_break_glass(&alice, &[], Uids::Personal).map(|mut locks| locks.remove(0)),
            Kind::Siblings => Some(Limit::of_extension("first", "request-first")),
            Kind::Lives | Kind::ParentAndChild => None,
        };
        let limited = limit.clone().filter(|_| setting.mutant != Mutant::NoLimit);
        let terms = |generation| {
            Policies::ALL.map(|policies| {
                let limits = limited.clone().into_iter().collect();
                Arc::new(resolve(generation, policies, setting).map(|terms| Terms { limits, ..terms }))
            })
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
            attended: Map::default(),
            limit,
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
                let view = self.view(cached, now);
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
        let outcome = self.setting.mutant.alter_outcome(&effect, self.outcome(reply, now), memory.as_ref());
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
            Change::ParentDeleted => p.parent_deleted = true,
        }
        let n = self.pasts.number(p);
        self.changes.insert((past, changes), n);
        n
    }
}

// === plain data to the library's types ===

impl Model {
    pub fn request(&mut self, r: Req) -> Request {
        let frozen = r.frozen.map(|(policies, accepted)| Frozen {
            terms: self.terms(r.generation, policies).as_ref().clone().expect("nothing is frozen that cannot be granted"),
            accepted_at: time(accepted),
        });
        Request {
            break_glass: self.setting.is_break_glass(),
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
                slots: if r.slot { self.slot_name().into_iter().collect() } else { Vec::new() },
                review: r.review,
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
    fn view(&mut self, s: Cached, now: Tick) -> View {
        let generation = s.request.map_or(0, |r| r.generation);
        let was_active = s.grant.is_some_and(|grant| grant.was_active);
        let (policies, decisions) = match (s.policies, s.request, s.parent) {
            // What stops allowing break-glass ends nothing that is active.
            (Policies::NoBreakGlass, _, _) if was_active => (Policies::Plain, s.decisions),
            (Policies::Plain, Some(child), Some(parent)) => (verdict(parent, child, was_active, now), s.decisions & decision_bits::FIRST),
            (policies, Some(_), None) if self.setting.kind == Kind::ParentAndChild => (policies, s.decisions & decision_bits::SECOND),
            // A review of the first access was made before the second began.
            (policies, Some(second), None) if second.generation == 1 => (policies, s.decisions & !decision_bits::REVIEWS),
            (policies, _, _) => (policies, s.decisions),
        };
        let mut view = View {
            request: s.request.map(|r| self.request(r)),
            decisions: Arc::new(self.decisions(decisions)),
            terms: self.terms(generation, policies).clone(),
            grant: grant_view(s.grant),
            people: self.users.people.clone(),
            absent_since: None,
        };
        self.setting.mutant.alter_view(&mut view);
        view
    }
    /// The decisions of a mask. None of them names a uid, which is the weaker form.
    pub fn decisions(&self, mask: u16) -> Vec<DecisionFacts> {
        use decision_bits::{ALICE_REVIEWS, CAROL_REVIEWS, CAROL_REVIEWS_EARLY};
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
        let reviews = [(CAROL_REVIEWS_EARLY, carol, 10), (CAROL_REVIEWS, carol, 1_003), (ALICE_REVIEWS, alice, 1_002)];
        for (_, by, n) in reviews.into_iter().filter(|(review, _, _)| mask & review != 0) {
            all.push(DecisionFacts { commented: true, ..decision(n, by, Verb::Review) });
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
    fn outcome(&mut self, reply: Reply, now: Tick) -> Outcome {
        match reply {
            Reply::ReadLive(s) => Outcome::Refreshed(self.view(s, now)),
            Reply::Slots(slot) => {
                let taken = slot.map(|slot| self.slot(slot)).into_iter().collect();
                Outcome::Slots(Slots { taken, uncounted: vec![0] })
            }
            Reply::Holds(holds) => Outcome::HoldsSlot(holds),
            Reply::Occupied => Outcome::Occupied,
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
                    slot: !s.slots.is_empty(),
                    review: s.review,
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
            Effect::ListSlots(_) => Act::ListSlots,
            Effect::CreateSlot(_) => Act::CreateSlot,
            Effect::VerifySlot(slot) => Act::VerifySlot(slot_object(slot)),
            Effect::DeleteSlot(slot) => Act::DeleteSlot(slot_object(slot)),
            Effect::ReleaseSlots => Act::ReleaseSlots,
            Effect::TakeOverSlot { .. } => unreachable!("no slot of this world is taken over"),
            Effect::Done(_) => unreachable!("a reconcile that is done has no act"),
        }
    }
    fn policies_of(&self, generation: u8, terms: &Terms) -> Policies {
        let all = [Policies::Plain, Policies::OtherApprovers, Policies::Wider, Policies::ClaimsBreakGlass];
        all.into_iter().find(|h| self.terms(generation, *h).as_ref().as_ref() == Ok(terms)).expect("terms come from a policies")
    }
}

impl Model {
    fn slot_name(&self) -> Option<Arc<str>> {
        self.limit.as_ref().map(|limit| SlotName { family: &limit.family, index: 0 }.to_string().into())
    }
    pub fn slot(&self, slot: SlotObject) -> Slot {
        let uid: Arc<str> = format!("request-{}", slot.holder).into();
        Slot {
            name: self.slot_name().expect("a world with a slot"),
            uid: slot.uid.to_string().into(),
            version: slot.uid.to_string().into(),
            holder: Holder { namespace: "payments".into(), name: "request".into(), uid },
            taken_over_from: None,
            suspect: false,
        }
    }
    pub fn alice(&self) -> Arc<UserInfo> {
        self.users.alice.clone()
    }
    pub fn carol(&self) -> Arc<UserInfo> {
        self.users.carol.clone()
    }
    pub fn people(&self) -> Arc<Recognition> {
        self.users.people.clone()
    }
}

fn slot_object(slot: &Slot) -> SlotObject {
    let number = |text: &str| text.parse().expect("a number");
    SlotObject { holder: slot.holder.uid.strip_prefix("request-").map(number).expect("the uid of a request"), uid: number(&slot.uid) }
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
        ApprovalRules::Parallel | ApprovalRules::Sequential => vec![stage("owners", owners), stage("security", &["carol", "erin"])],
        ApprovalRules::Quorum => vec![ApprovalStage { quorum: 2, ..stage("owners", &["carol", "erin", "alice"]) }],
        ApprovalRules::BreakGlass => vec![stage("owners", owners)],
        ApprovalRules::Nobody => Vec::new(),
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
        Policies::NothingToExtend => return no(Reason::NothingToExtend),
        Policies::NoBreakGlass => return no(Reason::OutsidePolicy),
        Policies::Plain | Policies::OtherApprovers | Policies::Wider | Policies::ClaimsBreakGlass => {}
    }
    let extends = setting.is_extension(generation);
    Ok(Terms::new(Resolved {
        break_glass: setting.is_break_glass() || policies == Policies::ClaimsBreakGlass,
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
            (false, _) if setting.extends && !extends => UNTIL,
            (true, _) => super::SCHEDULED_DURATION,
            (false, ApprovalRules::Shortened) => DURATION + 1,
            (false, _) => DURATION,
        }),
        start: scheduled.then_some(time(super::START)),
        extends: extends.then(|| Extended { name: "first".into(), uid: "request-first".into(), until: time(UNTIL), since: time(0) }),
        approval: stages(rules, policies),
        order: if rules == ApprovalRules::Parallel { StageOrder::Parallel } else { StageOrder::Sequential },
        author: None,
    }))
}
