//! Conversion between the world's plain data and the library's types. Only this file runs `Reconcile::next`; results are remembered.
use super::{Extends, Gr, Mutant, NAMES, OF_HOLDER, REQUESTS, Req, SlotObject, World};
use crate::checker::{Map, Pool};
use curfew_core::{
    admission::Provenance,
    approval::{DecisionFacts, StageOrder, Verb},
    digest::Digest,
    ids::Ref,
    limits::{Holder, Limit, Maxima, Slot, SlotName, Slots},
    principal::{Recognition, Subject, Uids, UserInfo},
    reconcile::{Effect, Outcome, Reconcile, View},
    request::{Frozen, GrantView, Request, State, Status},
    resolved::{Resolved, SCHEMA, Schema, SystemRef, Terms},
    target::{
        GrantedPermissions, GrantedScope, Principal,
        kubernetes::{GrantedRole, GrantedRoles, GrantedScope as Namespaces, RoleKind},
    },
    time::Time,
};
use std::sync::Arc;

/// The world has one moment: access ends because its Grant does.
pub const NOW: Time = Time::from_secs(10_000);
const HOUR: u32 = 3_600;

/// An effect as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    ReadLive,
    Commit { was: Req, next: Req },
    CreateGrant,
    BringForward,
    ListSlots,
    CreateSlot(u8),
    TakeOver { name: u8, object: SlotObject },
    VerifySlot { name: u8, object: SlotObject },
    DeleteSlot { name: u8, object: SlotObject },
    ReleaseSlots,
}

/// An outcome as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    Refreshed(Cached),
    Stored(Req),
    Slots([Option<SlotObject>; NAMES]),
    Holds(bool),
    Done,
    Occupied,
    Conflict,
    Failed,
}

/// What a reconcile reads of its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cached {
    pub request: Option<Req>,
    pub grant: Gr,
    pub denied: bool,
    pub reviewed: bool,
    pub own_reviewed: bool,
}

/// What holds for a whole search.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The limit of the role.
    pub active: u16,
    /// All requests are for one holder, whose limit is one.
    pub one_holder: bool,
    /// All requests are for break-glass, and of one person.
    pub break_glass: bool,
    pub extends: Extends,
    pub mutant: Mutant,
}

type Task = (u8, Reconcile, Effect);

pub struct Model {
    pub setting: Setting,
    tasks: Pool<Task>,
    acts: Vec<Act>,
    steps: Map<(u32, Reply, bool), u32>,
    firsts: Map<(u8, Cached, bool), u32>,
    versions: Pool<Req>,
    terms: Vec<Terms>,
    names: Vec<Arc<str>>,
    manager: Arc<UserInfo>,
    requester: Arc<UserInfo>,
}

impl Model {
    pub fn new(setting: Setting) -> Self {
        let holder = |i: usize| match setting.one_holder {
            true => "alice".to_owned(),
            // An extension is for the holder of what it extends.
            false => format!("user-{}", if setting.extends.includes(i) { 0 } else { i }),
        };
        let limits = |i| {
            let limits = Maxima { active: setting.active, per_subject: 1 };
            let [subject, role] = Limit::of_role("payments", "admin", &Subject::User(holder(i)), limits);
            let requester = UserInfo { username: holder(i), ..UserInfo::default() };
            let lock = Limit::of_break_glass(&requester, &[], Uids::Shared).expect("one name").remove(0);
            // The lock is in the place of the limit of the holder: each has one slot.
            if setting.break_glass { [lock, role] } else { [subject, role] }
        };
        let slot = |limit: &Limit, index| -> Arc<str> { SlotName { family: &limit.family, index }.to_string().into() };
        let [_, role] = limits(0);
        let mut names = vec![slot(&role, 0), slot(&role, 1)];
        names.extend((0..REQUESTS).map(|i| slot(&limits(i)[0], 0)));
        let one_extension = Limit::of_extension("first", &uid(0));
        names.push(slot(&one_extension, 0));
        let of_extension = |i: usize| -> Vec<Limit> {
            let one = (setting.mutant != Mutant::AnyNumberOfExtensions).then(|| one_extension.clone());
            let counted = setting.mutant != Mutant::ExtensionNotCounted;
            one.into_iter().chain(limits(i).into_iter().filter(|_| counted).map(|limit| limit.taken_over_from(&uid(0)))).collect()
        };
        let limits_of = |i: usize| match setting.mutant {
            Mutant::NoSlots => Vec::new(),
            _ if setting.extends.includes(i) => of_extension(i),
            _ => limits(i).into(),
        };
        let terms = |i| Terms { limits: limits_of(i).into(), ..terms(i, &holder(i)) };
        Model {
            setting,
            tasks: Pool::new(),
            acts: Vec::new(),
            steps: Map::default(),
            firsts: Map::default(),
            versions: Pool::new(),
            terms: (0..REQUESTS).map(terms).collect(),
            names,
            manager: Arc::new(UserInfo { username: "mona".into(), ..UserInfo::default() }),
            requester: Arc::new(if setting.break_glass {
                UserInfo { username: holder(0), ..UserInfo::default() }
            } else {
                UserInfo::default()
            }),
        }
    }

    /// Whether this is the slot of a lock.
    pub fn is_lock(&self, name: usize) -> bool {
        SlotName::parse(&self.names[name]).is_some_and(|name| name.is_lock())
    }
    pub fn act(&self, task: u32) -> Act {
        self.acts[task as usize - 1]
    }
    pub fn request_of(&self, task: u32) -> usize {
        usize::from(self.tasks.get(task).0)
    }

    /// The name of a holder's slot; requests of one holder share it.
    pub fn name(&self, name: &str) -> u8 {
        let at = self.names.iter().position(|known| **known == *name).expect("a slot of these limits");
        u8::try_from(at).expect("a few slots")
    }

    /// Starts a reconcile. 0 if it has nothing to do.
    pub fn begin(&mut self, i: u8, cached: Cached, permit: bool) -> u32 {
        if let Some(&task) = self.firsts.get(&(i, cached, permit)) {
            return task;
        }
        let reconcile = Reconcile::request(self.view(i, cached));
        let task = self.run(i, reconcile, Outcome::Start, permit);
        self.firsts.insert((i, cached, permit), task);
        task
    }

    /// Continues a reconcile. 0 if it is done.
    pub fn next(&mut self, task: u32, reply: Reply, permit: bool) -> u32 {
        if let Some(&next) = self.steps.get(&(task, reply, permit)) {
            return next;
        }
        let (i, reconcile, _) = self.tasks.get(task).clone();
        let outcome = self.outcome(i, reply);
        let next = self.run(i, reconcile, outcome, permit);
        self.steps.insert((task, reply, permit), next);
        next
    }

    fn run(&mut self, i: u8, reconcile: Reconcile, outcome: Outcome, permit: bool) -> u32 {
        let (reconcile, effect) = reconcile.next(outcome, NOW, permit);
        if matches!(effect, Effect::Done(_)) {
            return 0;
        }
        let act = self.plain(&effect);
        let task = self.tasks.number((i, reconcile, effect));
        if task as usize > self.acts.len() {
            self.acts.push(act);
        }
        task
    }

    pub fn cached(w: &World, i: usize) -> Cached {
        let is = |bits: u8| bits & 1 << i != 0;
        Cached {
            request: w.requests[i],
            grant: w.grants[i],
            denied: is(w.denied),
            reviewed: is(w.reviewed),
            own_reviewed: is(w.own_reviewed),
        }
    }

    pub fn request(&mut self, i: u8, r: Req) -> Request {
        let begun = matches!(r.state, State::Activating | State::Active | State::Revoking(_) | State::Ended(..));
        let frozen = Frozen { terms: self.terms[usize::from(i)].clone(), accepted_at: NOW };
        Request {
            break_glass: self.setting.break_glass,
            version: self.versions.number(r).to_string().into(),
            schema: Schema::Known,
            uid: uid(i),
            created: Time::from_secs(9_000),
            provenance: Provenance::Verified,
            requester: self.requester.clone(),
            beneficiary: None,
            status: Status {
                state: r.state,
                frozen: (r.state != State::Pending).then_some(frozen),
                expires_at: begun.then(|| NOW.plus_secs(HOUR.into())),
                activated_at: None,
                slots: self.slots_of(r.slots),
                review: r.review,
            },
        }
    }

    fn slots_of(&self, bits: u8) -> Vec<Arc<str>> {
        (0..NAMES).filter(|n| bits & 1 << n != 0).map(|n| self.names[n].clone()).collect()
    }

    fn view(&mut self, i: u8, cached: Cached) -> View {
        let deny = DecisionFacts {
            uid: "deny".into(),
            decider: self.manager.clone(),
            verb: Verb::Deny,
            digest: None,
            duration: None,
            commented: false,
            request_uid: None,
            created: NOW,
            manager: Some(true),
            proven: true,
            provenance: Provenance::Verified,
            counted_before: false,
            emergency: false,
        };
        View {
            request: cached.request.map(|r| self.request(i, r)),
            decisions: Arc::new(self.decisions(deny, cached)),
            terms: Arc::new(Ok(self.terms[usize::from(i)].clone())),
            grant: grant_view(cached.grant),
            people: Arc::new(Recognition::STRICT.clone()),
            absent_since: None,
        }
    }

    fn decisions(&self, deny: DecisionFacts, cached: Cached) -> Vec<DecisionFacts> {
        let review = |uid: &str, decider: &Arc<UserInfo>| DecisionFacts {
            uid: uid.into(),
            decider: decider.clone(),
            verb: Verb::Review,
            commented: true,
            ..deny.clone()
        };
        let own = if self.setting.mutant == Mutant::OwnReviewCounts { &self.manager } else { &self.requester };
        let reviews = [(cached.reviewed, review("review", &self.manager)), (cached.own_reviewed, review("own", own))];
        let reviews = reviews.into_iter().filter(|(is, _)| *is).map(|(_, review)| review);
        cached.denied.then(|| deny.clone()).into_iter().chain(reviews).collect()
    }

    pub fn slot(&self, name: u8, object: SlotObject) -> Slot {
        let of = |i: u8| Holder { namespace: "payments".into(), name: format!("request-{i}").into(), uid: uid(i) };
        Slot {
            name: self.names[usize::from(name)].clone(),
            uid: object.uid.to_string().into(),
            version: object.holder.to_string().into(),
            holder: of(object.holder),
            taken_over_from: object.from.map(of),
            suspect: false,
        }
    }

    fn outcome(&mut self, i: u8, reply: Reply) -> Outcome {
        match reply {
            Reply::Refreshed(cached) => Outcome::Refreshed(self.view(i, cached)),
            Reply::Stored(r) => Outcome::Stored(self.request(i, r).version),
            Reply::Slots(all) => {
                let taken = (0u8..).zip(all).filter_map(|(name, object)| Some(self.slot(name, object?)));
                Outcome::Slots(Slots { taken: taken.collect(), uncounted: vec![0, 0] })
            }
            Reply::Holds(holds) => Outcome::HoldsSlot(holds),
            Reply::Done => Outcome::Done,
            Reply::Occupied => Outcome::Occupied,
            Reply::Conflict => Outcome::Conflict,
            Reply::Failed => Outcome::Failed,
        }
    }

    fn plain(&mut self, effect: &Effect) -> Act {
        let object = |slot: &Slot| SlotObject {
            holder: slot.holder.uid.parse().expect("a number"),
            uid: slot.uid.parse().expect("the uid of a slot that was listed"),
            from: slot.taken_over_from.as_ref().map(|from| from.uid.parse().expect("a number")),
        };
        match effect {
            Effect::ReadLive => Act::ReadLive,
            Effect::CommitRequest(r) => {
                let was = *self.versions.get(r.version.parse().expect("a number"));
                let slots = r.status.slots.iter().fold(0, |bits, name| bits | 1 << self.name(name));
                Act::Commit { was, next: Req { state: r.status.state, slots, review: r.status.review } }
            }
            Effect::CreateGrant { .. } => Act::CreateGrant,
            Effect::BringForward(_) => Act::BringForward,
            Effect::ListSlots(_) => Act::ListSlots,
            Effect::CreateSlot(name) => Act::CreateSlot(self.name(name)),
            Effect::TakeOverSlot { slot, .. } => Act::TakeOver { name: self.name(&slot.name), object: object(slot) },
            Effect::VerifySlot(slot) => Act::VerifySlot { name: self.name(&slot.name), object: object(slot) },
            Effect::DeleteSlot(slot) => Act::DeleteSlot { name: self.name(&slot.name), object: object(slot) },
            Effect::ReleaseSlots => Act::ReleaseSlots,
            other => unreachable!("not an effect of a request: {other:?}"),
        }
    }
}

fn uid(i: u8) -> Arc<str> {
    i.to_string().into()
}

pub fn grant_view(grant: Gr) -> GrantView {
    let live = |active_since, revoking| GrantView::Live { active_since, revoking, drifted: false, refused: false, outgrown: false };
    match grant {
        Gr::None => GrantView::None,
        Gr::Granting => live(None, false),
        Gr::Active => live(Some(NOW), false),
        Gr::Revoking => live(Some(NOW), true),
        Gr::Ended => GrantView::Ended { active_since: Some(NOW), drifted: false, refused: false, outgrown: false, abandoned: false },
    }
}

/// What a request is granted; no approval is needed.
fn terms(i: usize, holder: &str) -> Terms {
    let reference = |name: &str| Ref { name: name.into(), uid: format!("{name}-uid") };
    let role = GrantedRole {
        kind: RoleKind::ClusterRole,
        name: "view".into(),
        namespace: None,
        uid: "u".into(),
        rules: Digest::from_bits(1),
        content: Vec::new(),
    };
    Terms::new(Resolved {
        break_glass: false,
        schema: SCHEMA,
        request: i.to_string(),
        requester: holder.into(),
        beneficiary: Subject::User(holder.into()),
        principal: Principal::Kubernetes(Subject::User(holder.into())),
        system: SystemRef { name: "prod".into(), uid: "s".into(), target: "t".into() },
        role: reference("admin"),
        assignment: reference("assignment"),
        policy: reference("policy"),
        permissions: GrantedPermissions::Kubernetes(GrantedRoles { roles: vec![role] }),
        scope: GrantedScope::Kubernetes(Namespaces::Namespaces(vec![reference("payments")])),
        duration: curfew_core::duration::Duration::from_secs(HOUR),
        start: None,
        extends: None,
        approval: Vec::new(),
        order: StageOrder::Sequential,
        author: None,
    })
}

const _: () = assert!(NAMES <= 8 && OF_HOLDER + REQUESTS + 1 == NAMES, "sets of slots are bits of a byte");
