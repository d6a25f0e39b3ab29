//! I1 to I4 and I8, in terms of the world: none of this calls the rules under test.
use super::{
    APPROVAL, ApprovalRules, DURATION, ESCALATION, Gr, MUCH_LATER, Policies, Req, Role, SCHEDULED_DURATION, START, Tick, UNTIL, World,
    decision_bits,
    model::{Act, Model, Setting, Start},
};
use curfew_core::{grant::State as GrantState, reconcile::Verify, request::State};

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// I1: access that was not approved, or that was denied before it was activated.
    AccessWithoutApproval,
    /// I1: access to other terms than those that were approved.
    AccessToOtherTerms,
    /// I1: access for longer than was approved.
    LongerThanApproved,
    /// I2: a deadline has moved later.
    DeadlineMoved,
    /// Access of a scheduled request before its start.
    BeforeItsStart,
    /// I2: a deadline of a scheduled request is later than the end of its window.
    LaterThanPromised,
    /// I3: access that no live Grant stands for.
    AccessWithoutGrant,
    /// I4: access for a request that has ended.
    AccessAfterEnd,
    /// A scheduled request that was denied or withdrawn does not end.
    ScheduledThoughDenied,
    /// An extension begins when what it extends has ended.
    BegunAfterItsParent,
    /// I2: a deadline of an extension is later than what it extends and its duration.
    LaterThanExtended,
    /// What an extension extends has ended early, and the extension goes on.
    OutlivesItsParent,
    /// A terminal state was left.
    TerminalStateLeft,
    /// I8: a granting effect was requested without a permit.
    GrantedWithoutPermit,
    /// I3: with nothing but the Grant and its target, access does not end.
    NeverEnds,
    /// Access remains although its request is gone or has ended.
    OutlivesItsRequest,
    /// An active Grant keeps a role bound that does not exist, or that allows more than what was frozen.
    RoleNotWatched,
    /// What was withheld is given back although its role has not been there since.
    RestoredWithoutRole,
    /// What a person has removed is there again.
    RemovedCameBack,
}

/// A reconcile requests an effect. Granting effects need the permit at that moment.
pub fn requested(w: &mut World, act: Act, extends: bool, now: Tick, permit: bool) {
    if let Act::CommitRequest { was, next } = act
        && extends
        && next.state == State::Activating
        && was.state != State::Activating
        && now >= UNTIL
    {
        w.broken = w.broken.or(Some(Broken::BegunAfterItsParent));
    }
    if matches!(act, Act::CreateGrant { .. } | Act::Reserve | Act::Arm { .. }) && !permit {
        w.broken = w.broken.or(Some(Broken::GrantedWithoutPermit));
    }
}

/// A request's status is stored.
pub fn request_moves(w: &mut World, now: Req, next: Req) {
    let generation = usize::from(now.generation);
    if matches!(now.state, State::Ended(..)) && next != now {
        w.broken = w.broken.or(Some(Broken::TerminalStateLeft));
    }
    if now.expires.is_some_and(|t| next.expires.is_none_or(|n| n > t)) {
        w.broken = w.broken.or(Some(Broken::DeadlineMoved));
    }
    if next.state == State::Activating && now.state != State::Activating {
        let mine = if now.generation == 0 { w.decisions } else { w.decisions >> decision_bits::LATE };
        let g = &mut w.histories[generation];
        g.first = g.first.or(next.expires);
        // Approvals name the digest of the first request; there is none for the second.
        g.approved = now.generation == 0 && next.frozen.is_some_and(|(_, accepted)| is_approved(w.approval, w.decisions, accepted));
        g.stopped = mine & decision_bits::STOPS != 0;
        g.changed = next.frozen.is_none_or(|(policies, _)| policies != w.policies);
    }
}

/// Whether these decisions approve the first request, which was accepted at this time. An approval counts if it was made in time.
fn is_approved(rules: ApprovalRules, decisions: u16, accepted: Tick) -> bool {
    let made = |approval| (decisions & approval != 0).then(|| decision_bits::approved_at(decisions, approval));
    let in_time = |approval| made(approval).is_some_and(|at| at < accepted + APPROVAL);
    let (carol, erin) = (in_time(decision_bits::CAROL_APPROVES), in_time(decision_bits::ERIN_APPROVES));
    match rules {
        ApprovalRules::OneStage | ApprovalRules::Shortened => carol,
        ApprovalRules::Parallel => carol && erin,
        ApprovalRules::Escalated => carol && made(decision_bits::CAROL_APPROVES).is_some_and(|at| at >= accepted + ESCALATION),
    }
}

/// A Grant is created that ends then. That of a scheduled request ends with its window, and that of an extension its duration after what it
/// extends, also if it is created late.
pub fn grant_created(w: &mut World, setting: &Setting, expires: Tick) {
    let latest = match (setting.scheduled, setting.extends) {
        (true, _) => START + SCHEDULED_DURATION,
        (false, true) => UNTIL + DURATION,
        (false, false) => w.now + DURATION,
    };
    if expires > latest {
        w.broken = w.broken.or(Some(Broken::LongerThanApproved));
    }
}

/// A Grant's status is stored.
pub fn grant_moves(w: &mut World, generation: u8, now: Gr, next: Gr) {
    if now.is_terminal() && next.state != now.state {
        w.broken = w.broken.or(Some(Broken::TerminalStateLeft));
    }
    let g = &mut w.histories[usize::from(generation)];
    g.was_active |= next.state == GrantState::Active;
    g.ended |= next.state == GrantState::Ended;
}

/// What must hold in every state of a scheduled request: by the world's time, and not by a replica's clock.
pub fn violated_schedule(w: &World) -> Option<Broken> {
    let promised = START + SCHEDULED_DURATION;
    let later = |deadline: Option<Tick>| deadline.is_some_and(|deadline| deadline > promised);
    match () {
        () if w.now < START && w.bindings.iter().any(|binding| binding.armed()) => Some(Broken::BeforeItsStart),
        () if w.histories.iter().any(|history| later(history.first)) => Some(Broken::LaterThanPromised),
        () if w.grants.iter().flatten().any(|grant| later(Some(grant.expires))) => Some(Broken::LaterThanPromised),
        () => None,
    }
}

/// What must hold in every state of an extension.
pub fn violated_extension(w: &World) -> Option<Broken> {
    let promised = UNTIL + DURATION;
    let later = |deadline: Option<Tick>| deadline.is_some_and(|deadline| deadline > promised);
    let grants = || w.grants.iter().flatten().map(|grant| Some(grant.expires));
    let deadlines = w.histories.iter().map(|history| history.first).chain(grants());
    deadlines.into_iter().any(later).then_some(Broken::LaterThanExtended)
}

/// What must hold in every state.
pub fn violated(w: &World) -> Option<Broken> {
    w.broken.or_else(|| [0, 1].into_iter().find_map(|generation| violated_by(w, generation)))
}

fn violated_by(w: &World, generation: u8) -> Option<Broken> {
    let l = usize::from(generation);
    let (history, grant) = (w.histories[l], w.grants[l]);
    if grant.is_some_and(|g| history.first.is_some_and(|first| g.expires > first)) {
        return Some(Broken::DeadlineMoved);
    }
    if !w.bindings[l].armed() {
        return None;
    }
    let is_terminal = w.request.is_some_and(|r| r.generation == generation && matches!(r.state, State::Ended(..)));
    match () {
        () if grant.is_none_or(Gr::is_terminal) => Some(Broken::AccessWithoutGrant),
        () if !history.approved || history.stopped => Some(Broken::AccessWithoutApproval),
        () if history.changed => Some(Broken::AccessToOtherTerms),
        () if is_terminal => Some(Broken::AccessAfterEnd),
        () if history.removed => Some(Broken::RemovedCameBack),
        () => None,
    }
}

/// What a state of rest depends on: no reconcile runs and no further event happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rest {
    now: Tick,
    request: Option<Req>,
    role: Role,
    grants: [Option<Gr>; 2],
    bindings: [super::Binding; 2],
}

impl Model {
    /// Whether access ends from here, if every process dies now and one returns without lease, admission proof or policies: by the
    /// deadline always (I3), and at once if the request is gone.
    pub fn settles(&mut self, w: &World) -> Option<Broken> {
        let rest = Rest { now: w.now, request: w.request, role: w.role, grants: w.grants, bindings: w.bindings };
        if let Some(known) = self.settled.get(&rest) {
            return *known;
        }
        let at_rest = World { tasks: [[0; 2]; 2], past: 0, leader: 2, policies: Policies::Suspended, broken: None, ..*w };
        let late = self.alone(World { now: MUCH_LATER, ..at_rest });
        let soon = self.alone(at_rest);
        let kept = |w: &World, l: usize| w.bindings[l].armed();
        let active = |w: &World, l: usize| w.grants[l].is_some_and(|g| g.state == GrantState::Active);
        let unwanted = |generation: u8| !w.request.is_some_and(|r| r.wants(generation)) && w.grants[usize::from(generation)].is_some();
        let found = match () {
            () if kept(&late, 0) || kept(&late, 1) => Some(Broken::NeverEnds),
            () if late.grants.iter().flatten().any(|g| !g.is_terminal()) => Some(Broken::NeverEnds),
            () if [0, 1].into_iter().any(|generation| unwanted(generation) && kept(&soon, usize::from(generation))) => {
                Some(Broken::OutlivesItsRequest)
            }
            () if w.role != Role::Frozen && [0, 1].into_iter().any(|l| active(&soon, l) && kept(&soon, l)) => Some(Broken::RoleNotWatched),
            () => None,
        };
        self.settled.insert(rest, found);
        found
    }

    /// Whether a scheduled request that was denied or withdrawn waits on although a leader looks at it.
    pub fn ignores_a_denial(&mut self, w: &World) -> Option<Broken> {
        let request = w.request.filter(|request| request.state == State::Scheduled)?;
        let decisions = if request.generation == 0 { w.decisions } else { w.decisions >> decision_bits::LATE };
        if decisions & decision_bits::STOPS == 0 {
            return None;
        }
        let mut w = World { tasks: [[0; 2]; 2], past: 0, leader: 0, broken: None, ..*w };
        let mut task = self.begin(Start::Request(Self::live(&w)), w.now, true);
        while task != 0 {
            let reply = self.perform(&mut w, 0, task);
            task = self.next(task, reply, w.now, true);
        }
        (!w.request.is_some_and(|request| matches!(request.state, State::Ended(..)))).then_some(Broken::ScheduledThoughDenied)
    }

    /// Whether an extension goes on although a leader looks at it after what it extends has ended early.
    pub fn ignores_its_parent(&mut self, w: &World) -> Option<Broken> {
        let is_live = |w: &World| w.request.is_some_and(|request| !matches!(request.state, State::Ended(..) | State::Revoking(_)));
        if w.policies != Policies::ParentEnded || !is_live(w) {
            return None;
        }
        let mut w = World { tasks: [[0; 2]; 2], past: 0, leader: 0, broken: None, ..*w };
        let mut task = self.begin(Start::Request(Self::live(&w)), w.now, true);
        while task != 0 {
            let reply = self.perform(&mut w, 0, task);
            task = self.next(task, reply, w.now, true);
        }
        is_live(&w).then_some(Broken::OutlivesItsParent)
    }

    /// One replica reconciles the Grants, verifying their owners, until nothing changes.
    fn alone(&mut self, mut w: World) -> World {
        for _ in 0..8 {
            let before = w;
            for generation in [0u8, 1] {
                let Some(grant) = w.grants[usize::from(generation)] else { continue };
                let mut task = self.begin(Start::Grant { generation, grant, verify: Verify { owner: true, content: true } }, w.now, false);
                while task != 0 {
                    let reply = self.perform(&mut w, 0, task);
                    task = self.next(task, reply, w.now, false);
                }
            }
            if w == before {
                break;
            }
        }
        w
    }
}
