//! Between the world's plain data and the library's types. Here, and only here, `Pass::next` runs; what it answered is remembered.
use super::{
    APPROVAL, DURATION, Gr, House, Req, Tick, ledger,
    mutants::{Mutant, Said},
    say,
    search::Fast,
    tick, time,
};
use curfew_core::{
    admission::Provenance,
    approval::{ApprovalStage, DecisionFacts, Verb},
    duration::Duration,
    grant::{Grant, Observation, OwnerState},
    principal::{Subject, UserInfo},
    reason::Reason,
    reconcile::{Effect, Outcome, Reconcile, Reservation, View},
    request::{Frozen, Request, Status, Terms},
    resolved::{RESOLVED_VERSION, Ref, Resolved, ResolvedRole, ResolvedScope, RoleKind, SystemRef},
    terms::Refusal,
    time::Time,
};
use std::{collections::HashMap, hash::BuildHasherDefault, hash::Hash, sync::Arc};

pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;

/// Values by number, from 1.
pub struct Pool<T> {
    numbers: Map<T, u32>,
    values: Vec<T>,
}
impl<T: Clone + Eq + Hash> Pool<T> {
    pub fn new() -> Self {
        Pool { numbers: Map::default(), values: Vec::new() }
    }
    pub fn number(&mut self, value: T) -> u32 {
        let values = &mut self.values;
        *self.numbers.entry(value).or_insert_with_key(|v| {
            values.push(v.clone());
            u32::try_from(values.len()).expect("fewer than 2^32")
        })
    }
    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize - 1]
    }
    pub fn len(&self) -> usize {
        self.values.len()
    }
}

/// A pass on its way: whose it is, what it thinks, and what it waits for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mind {
    pub life: u8,
    pub pass: Reconcile,
    pub ask: Effect,
    /// Only for mutants that use what they knew at the start.
    pub memory: Option<Memory>,
}
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Memory {
    View(View),
    Grant(Grant),
}

/// What a replica's stores show of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sight {
    pub request: Option<Req>,
    pub words: u8,
    pub house: House,
    pub grant: Option<Gr>,
}

/// An [`Ask`] as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    Refresh,
    CommitRequest { was: Req, next: Req },
    CreateGrant { expires: Tick },
    BringForward(Tick),
    ReadBehind,
    Observe,
    Reserve,
    Recheck,
    Arm { uid: u8, version: u8 },
    CommitGrant { was: Gr, next: Gr },
    Revoke,
    Release,
}
/// An [`Answer`] as plain data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    Fresh(Sight),
    StoredRequest(Req),
    StoredGrant(Gr),
    Stored,
    Forwarded(Gr),
    Behind(OwnerState),
    Seen(Observation),
    Reserved { uid: u8, version: u8 },
    Live(Option<Gr>, OwnerState),
    Done,
    Gone,
    Conflict,
    Failed,
}
/// What a pass begins from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    Request(Sight),
    Grant { life: u8, grant: Gr, doubt: bool },
}
/// Everything that the stores may show.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Past {
    pub requests: Vec<Req>,
    pub words: Vec<u8>,
    pub houses: Vec<House>,
    pub grants: [Vec<Option<Gr>>; 2],
}
/// One more thing that the stores may show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum News {
    Request(Req),
    Words(u8),
    House(House),
    Grant(u8, Option<Gr>),
}

/// What holds for a whole search.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// By how many ticks each replica's clock is behind.
    pub slow: [Tick; 2],
    pub horizon: Tick,
    pub mutant: Mutant,
}

pub struct Model {
    pub setting: Setting,
    pub minds: Pool<Mind>,
    acts: Vec<Act>,
    steps: Map<(u32, Reply, Tick, bool), u32>,
    firsts: Map<(Start, Tick, bool), u32>,
    pub pasts: Pool<Past>,
    news: Map<(u32, News), u32>,
    pub starts: Map<(u32, u8, Tick, bool), Arc<Vec<u32>>>,
    pub settled: Map<super::invariants::Rest, Option<super::invariants::Broken>>,
    requests: Pool<Req>,
    grants: Pool<Gr>,
    people: People,
}

struct People {
    alice: Arc<UserInfo>,
    carol: Arc<UserInfo>,
    dave: Arc<UserInfo>,
    terms: [[Arc<Result<Terms, Refusal>>; 5]; 2],
    no_keys: Arc<Vec<String>>,
}

impl Model {
    pub fn new(setting: Setting) -> Self {
        let person = |name: &str| Arc::new(UserInfo { username: name.into(), ..UserInfo::default() });
        let terms = |life| {
            [House::Plain, House::OtherApprovers, House::Wider, House::Suspended, House::Unreachable].map(|h| Arc::new(resolve(life, h)))
        };
        Model {
            setting,
            minds: Pool::new(),
            acts: Vec::new(),
            steps: Map::default(),
            firsts: Map::default(),
            pasts: Pool::new(),
            news: Map::default(),
            starts: Map::default(),
            settled: Map::default(),
            requests: Pool::new(),
            grants: Pool::new(),
            people: People {
                alice: person("alice"),
                carol: person("carol"),
                dave: person("dave"),
                terms: [terms(0), terms(1)],
                no_keys: Arc::new(Vec::new()),
            },
        }
    }

    pub fn act(&self, mind: u32) -> Act {
        self.acts[mind as usize - 1]
    }
    pub fn life(&self, mind: u32) -> u8 {
        self.minds.get(mind).life
    }

    /// Begins a pass. 0 if it has nothing to ask.
    pub fn begin(&mut self, start: Start, now: Tick, permit: bool) -> u32 {
        if let Some(&m) = self.firsts.get(&(start, now, permit)) {
            return m;
        }
        let (life, pass, memory) = match start {
            Start::Request(sight) => {
                let view = self.view(sight);
                (sight.request.map_or(0, |r| r.life), Reconcile::request(view.clone()), Memory::View(view))
            }
            Start::Grant { life, grant, doubt } => {
                let grant = self.setting.mutant.begins(self.grant(grant), time(now));
                (life, Reconcile::grant(grant.clone(), doubt && self.setting.mutant != Mutant::NeverInDoubt), Memory::Grant(grant))
            }
        };
        let memory = self.setting.mutant.remembers().then_some(memory);
        let m = self.run(life, pass, Outcome::Start, memory, time(now), permit);
        self.firsts.insert((start, now, permit), m);
        m
    }

    /// Goes on with a pass. 0 if it is done.
    pub fn next(&mut self, mind: u32, reply: Reply, now: Tick, permit: bool) -> u32 {
        if let Some(&m) = self.steps.get(&(mind, reply, now, permit)) {
            return m;
        }
        let Mind { life, pass, ask, memory } = self.minds.get(mind).clone();
        let answer = self.setting.mutant.hears(&ask, self.answer(reply), memory.as_ref());
        let m = self.run(life, pass, answer, memory, time(now), permit);
        self.steps.insert((mind, reply, now, permit), m);
        m
    }

    fn run(&mut self, life: u8, pass: Reconcile, answer: Outcome, memory: Option<Memory>, now: Time, permit: bool) -> u32 {
        let mutant = self.setting.mutant;
        let permit = permit || mutant == Mutant::PermitIgnored;
        let (mut pass, mut ask) = pass.next(answer, now, permit);
        loop {
            match mutant.says(&ask, memory.as_ref(), now) {
                Said::AsIs => break,
                Said::Instead(other) => {
                    ask = other;
                    break;
                }
                Said::Skipped(answer) => (pass, ask) = pass.next(answer, now, permit),
            }
        }
        if matches!(ask, Effect::Done(_)) {
            return 0;
        }
        let act = self.plain(&ask);
        let m = self.minds.number(Mind { life, pass, ask, memory });
        if m as usize > self.acts.len() {
            self.acts.push(act);
        }
        m
    }

    /// The past and this.
    pub fn remember(&mut self, past: u32, news: News) -> u32 {
        if past == 0 {
            return 0;
        }
        if let Some(&p) = self.news.get(&(past, news)) {
            return p;
        }
        fn add<T: PartialEq>(list: &mut Vec<T>, x: T) {
            if !list.contains(&x) {
                list.push(x);
            }
        }
        let mut p = self.pasts.get(past).clone();
        match news {
            News::Request(r) => add(&mut p.requests, r),
            News::Words(w) => add(&mut p.words, w),
            News::House(h) => add(&mut p.houses, h),
            News::Grant(life, g) => add(&mut p.grants[usize::from(life)], g),
        }
        let n = self.pasts.number(p);
        self.news.insert((past, news), n);
        n
    }
}

// === plain data to the library's types ===

impl Model {
    fn request(&mut self, r: Req) -> Request {
        let frozen = r.frozen.map(|(house, deadline)| Frozen {
            terms: self.terms(r.life, house).as_ref().clone().expect("nothing is frozen that cannot be granted"),
            approval_deadline: time(deadline),
        });
        Request {
            version: self.requests.number(r).to_string().into(),
            uid: format!("request-{}", r.life).into(),
            created: Time::from_secs(5_000 + 500 * i64::from(r.life)),
            provenance: Provenance::Verified,
            requester: self.people.alice.clone(),
            beneficiary: None,
            status: Status { state: r.state, frozen, expires_at: r.expires.map(time), activated_at: r.active.then_some(time(0)) },
        }
    }
    pub fn grant(&mut self, g: Gr) -> Grant {
        Grant {
            version: self.grants.number(g).to_string().into(),
            expires_at: time(g.expires),
            state: g.stage,
            drifted: g.drifted,
            deleting: g.deleting,
            provenance: Provenance::Verified,
        }
    }
    fn terms(&self, life: u8, house: House) -> &Arc<Result<Terms, Refusal>> {
        &self.people.terms[usize::from(life)][house as usize]
    }
    fn view(&mut self, s: Sight) -> View {
        let life = s.request.map_or(0, |r| r.life);
        let mut view = View {
            request: s.request.map(|r| self.request(r)),
            decisions: Arc::new(self.words(s.words)),
            terms: self.terms(life, s.house).clone(),
            grant: ledger(s.grant),
            alias_keys: self.people.no_keys.clone(),
        };
        self.setting.mutant.sees(&mut view);
        view
    }
    /// The words of a mask. None of them names a uid: that is the weaker form.
    fn words(&self, mask: u8) -> Vec<DecisionFacts> {
        let People { alice, carol, dave, .. } = &self.people;
        let word = |n: i64, by: &Arc<UserInfo>, verb| DecisionFacts {
            provenance: curfew_core::admission::Provenance::Verified,
            uid: format!("d{n}").into(),
            decider: by.clone(),
            verb,
            digest: (verb == Verb::Approve).then(|| self.terms(0, House::Plain).as_ref().as_ref().expect("plain").digest),
            request_uid: None,
            created: Time::from_secs(5_001 + n),
            manager: Some(false),
            proven: true,
        };
        let mut all = vec![word(0, alice, Verb::Approve)];
        let kinds = [(carol, Verb::Approve), (dave, Verb::Deny), (carol, Verb::Revoke), (alice, Verb::Revoke)];
        for (late, shift) in [(0, 0), (1, say::LATE)] {
            for (n, (by, verb)) in (1..).zip(kinds) {
                if mask >> shift & 1 << (n - 1) != 0 {
                    all.push(word(n + 600 * late, by, verb));
                }
            }
        }
        all
    }
    fn answer(&mut self, reply: Reply) -> Outcome {
        match reply {
            Reply::Fresh(s) => Outcome::Refreshed(self.view(s)),
            Reply::StoredRequest(r) => Outcome::Stored(self.request(r).version),
            Reply::StoredGrant(g) => Outcome::Stored(self.grant(g).version),
            Reply::Stored => Outcome::Stored("".into()),
            Reply::Forwarded(g) => Outcome::BroughtForward(self.grant(g)),
            Reply::Behind(b) => Outcome::Owner(b),
            Reply::Seen(s) => Outcome::Observed(s),
            Reply::Reserved { uid, version } => {
                Outcome::Reserved(Reservation(Arc::new(vec![(uid.to_string().into(), version.to_string().into())])))
            }
            Reply::Live(g, b) => Outcome::Rechecked(g.map(|g| self.grant(g)), b),
            Reply::Done => Outcome::Done,
            Reply::Gone => Outcome::Gone,
            Reply::Conflict => Outcome::Conflict,
            Reply::Failed => Outcome::Failed,
        }
    }
}

// === the library's types to plain data ===

impl Model {
    fn plain(&mut self, ask: &Effect) -> Act {
        match ask {
            Effect::ReadLive => Act::Refresh,
            Effect::CommitRequest(r) => {
                let was = *self.requests.get(r.version.parse().expect("a number"));
                let s = &r.status;
                let frozen = s.frozen.as_ref().map(|f| (self.house_of(was.life, &f.terms), tick(f.approval_deadline)));
                let next =
                    Req { life: was.life, state: s.state, frozen, expires: s.expires_at.map(tick), active: s.activated_at.is_some() };
                Act::CommitRequest { was, next }
            }
            Effect::CreateGrant { expires_at, .. } => Act::CreateGrant { expires: tick(*expires_at) },
            Effect::BringForward(t) => Act::BringForward(tick(*t)),
            Effect::ReadOwner => Act::ReadBehind,
            Effect::Observe => Act::Observe,
            Effect::Reserve => Act::Reserve,
            Effect::Recheck => Act::Recheck,
            Effect::Arm(Reservation(held)) => held.first().map_or(Act::Arm { uid: 0, version: 0 }, |(uid, version)| Act::Arm {
                uid: uid.parse().expect("a number"),
                version: version.parse().expect("a number"),
            }),
            Effect::CommitGrant(g) => {
                let was = *self.grants.get(g.version.parse().expect("a number"));
                let lived = was.lived || g.state == curfew_core::grant::State::Active;
                Act::CommitGrant { was, next: Gr { stage: g.state, drifted: g.drifted, lived, ..was } }
            }
            Effect::Revoke => Act::Revoke,
            Effect::RemoveFinalizer => Act::Release,
            Effect::Done(_) => unreachable!("a pass that is done has no act"),
        }
    }
    fn house_of(&self, life: u8, terms: &Terms) -> House {
        let all = [House::Plain, House::OtherApprovers, House::Wider];
        all.into_iter().find(|h| self.terms(life, *h).as_ref().as_ref() == Ok(terms)).expect("terms come from a house")
    }
}

/// What the request would be under this house.
fn resolve(life: u8, house: House) -> Result<Terms, Refusal> {
    let reference = |name: &str| Ref { name: name.into(), uid: format!("{name}-uid") };
    let approvers = if house == House::OtherApprovers { &["dave"][..] } else { &["carol", "dave", "alice"] };
    let role = |name: &str| ResolvedRole {
        kind: RoleKind::ClusterRole,
        name: name.into(),
        namespace: None,
        uid: "u".into(),
        rules: curfew_core::digest::Digest::from_bits(1),
    };
    let no = |reason| Err(Refusal { reason, message: String::new() });
    match house {
        House::Suspended => return no(Reason::Suspended),
        House::Unreachable => return no(Reason::TargetUnreachable),
        House::Plain | House::OtherApprovers | House::Wider => {}
    }
    Ok(Terms::new(Resolved {
        version: RESOLVED_VERSION.into(),
        request: format!("request-{life}"),
        requester: "alice".into(),
        beneficiary: Subject::User("alice".into()),
        principal: "alice".into(),
        system: SystemRef { name: "prod".into(), uid: "s".into(), target: "t".into() },
        role: reference("role"),
        assignment: reference("assignment"),
        policy: reference("policy"),
        permissions: if house == House::Wider { vec![role("view"), role("edit")] } else { vec![role("view")] },
        scope: ResolvedScope::Namespaces(vec![reference("payments")]),
        duration: Duration::from_secs(60 * u32::from(DURATION)),
        start: None,
        approval: vec![ApprovalStage {
            name: "owners".into(),
            approvers: approvers.iter().map(|n| Subject::User((*n).into())).collect(),
            quorum: 1,
            timeout: Some(Duration::from_secs(60 * u32::from(APPROVAL))),
            escalation: None,
        }],
    }))
}
