//! I1 to I4 and I8, in terms of the world: none of this calls the rules under test.
use super::{
    APPROVAL, ApprovalRules, DURATION, ESCALATION, Gr, Kind, MUCH_LATER, NOBODY, Policies, Req, Role, SCHEDULED_DURATION, START, Tick,
    UNTIL, World, decision_bits,
    model::{Act, Model, Setting},
};
use curfew_core::{approval::review::ReviewState, grant::State as GrantState, reason::Reason, request::State};

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
    /// What an extension extends ends before its deadline although nobody has ended it.
    ParentEndedEarly,
    /// A request has two extensions that give access.
    TwoExtensions,
    /// A request that needs no approval, or has it, does not begin.
    NotBegun,
    /// A break-glass access has ended, and no review is required.
    NoReviewRequired,
    /// A break-glass access counts as reviewed, and no other person has reviewed it.
    ReviewedByNobodyElse,
    /// A person has used break-glass again before another one has reviewed it.
    NotReviewed,
    /// A break-glass access is not reviewed, and nothing locks its person out of further break-glass.
    NotLocked,
    /// What was denied or withdrawn goes on.
    GoesOnThoughDenied,
    /// A request waits for an approval although it was approved in time.
    ApprovalLost,
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
pub fn requested(w: &mut World, act: Act, setting: &Setting, now: Tick, permit: bool) {
    if let Act::CommitRequest { was, next } = act
        && setting.is_extension(was.generation)
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
pub fn request_moves(w: &mut World, setting: &Setting, now: Req, next: Req) {
    let generation = usize::from(now.generation);
    // Whether it is reviewed may still change.
    if matches!(now.state, State::Ended(..)) && (Req { review: now.review, ..next }) != now {
        w.broken = w.broken.or(Some(Broken::TerminalStateLeft));
    }
    review_moves(w, setting, now, next);
    if now.expires.is_some_and(|t| next.expires.is_none_or(|n| n > t)) {
        w.broken = w.broken.or(Some(Broken::DeadlineMoved));
    }
    if next.state == State::Activating && now.state != State::Activating {
        let mine = if now.generation == 0 { w.decisions } else { w.decisions >> decision_bits::LATE };
        let g = &mut w.histories[generation];
        g.first = g.first.or(next.expires);
        // Approvals name the digest of the first request; there is none for the second.
        let nobody_is_asked = matches!(w.approval, ApprovalRules::BreakGlass | ApprovalRules::Nobody);
        let approved = |(_, accepted)| is_approved(w.approval, w.decisions, accepted);
        g.approved = nobody_is_asked || (now.generation == 0 && next.frozen.is_some_and(approved));
        g.stopped = mine & decision_bits::STOPS != 0;
        g.changed = next.frozen.is_none_or(|(policies, _)| policies != w.policies);
        g.changed |= setting.kind == Kind::ParentAndChild && setting.is_extension(now.generation) && is_over(w.requests[1]);
    }
}

/// Whether a person has ended what is extended.
fn is_over(parent: Option<Req>) -> bool {
    matches!(parent.map(|parent| parent.state), Some(State::Revoking(reason) | State::Ended(_, reason)) if reason != Reason::DeadlinePassed)
}

/// The review of a break-glass access: required at its end, and done only by another person, once there was access.
fn review_moves(w: &mut World, setting: &Setting, now: Req, next: Req) {
    if !setting.is_break_glass() {
        return;
    }
    let history = &mut w.histories[usize::from(now.generation)];
    let ended = matches!(next.state, State::Ended(..)) && !matches!(now.state, State::Ended(..));
    if ended && history.had_access && next.review == ReviewState::NotRequired {
        w.broken = w.broken.or(Some(Broken::NoReviewRequired));
    }
    if next.review == ReviewState::Reviewed && now.review != ReviewState::Reviewed {
        history.reviewed = true;
        let by_carol = w.decisions & decision_bits::CAROL_REVIEWS != 0;
        // Where nothing has shown that there was access, an early review counts.
        let early = w.decisions & decision_bits::CAROL_REVIEWS_EARLY != 0 && !history.was_active;
        if !by_carol && !early {
            w.broken = w.broken.or(Some(Broken::ReviewedByNobodyElse));
        }
    }
}

/// Whether these decisions approve the first request, which was accepted at this time. An approval counts if it was made in time.
pub fn is_approved(rules: ApprovalRules, decisions: u16, accepted: Tick) -> bool {
    let made = |approval| (decisions & approval != 0).then(|| decision_bits::approved_at(decisions, approval));
    let in_time = |approval| made(approval).is_some_and(|at| at < accepted + APPROVAL);
    let (carol, erin) = (in_time(decision_bits::CAROL_APPROVES), in_time(decision_bits::ERIN_APPROVES));
    match rules {
        ApprovalRules::OneStage | ApprovalRules::Shortened => carol,
        ApprovalRules::Parallel | ApprovalRules::Quorum => carol && erin,
        ApprovalRules::Sequential => is_approved_in_order(decisions, accepted),
        ApprovalRules::BreakGlass | ApprovalRules::Nobody => true,
        ApprovalRules::Escalated => carol && made(decision_bits::CAROL_APPROVES).is_some_and(|at| at >= accepted + ESCALATION),
    }
}

/// The second stage opens when carol has filled the first, and times out as long after that.
fn is_approved_in_order(decisions: u16, accepted: Tick) -> bool {
    let made = |approval| (decisions & approval != 0).then(|| decision_bits::approved_at(decisions, approval));
    let (carol, erin) = (made(decision_bits::CAROL_APPROVES), made(decision_bits::ERIN_APPROVES));
    let opened = carol.filter(|carol| *carol < accepted + APPROVAL);
    opened.zip(erin).is_some_and(|(opened, erin)| erin < opened + APPROVAL)
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
pub fn violated_extension(w: &World, setting: &Setting) -> Option<Broken> {
    if w.now < UNTIL && setting.kind == Kind::ParentAndChild && !may_end_early(w) && !w.bindings[1].armed() {
        return Some(Broken::ParentEndedEarly);
    }
    let promised = UNTIL + DURATION;
    let later = |deadline: Option<Tick>| deadline.is_some_and(|deadline| deadline > promised);
    let grants = || w.grants.iter().flatten().map(|grant| Some(grant.expires));
    let deadlines = w.histories.iter().map(|history| history.first).chain(grants());
    deadlines.into_iter().any(later).then_some(Broken::LaterThanExtended)
}

/// Whether a person has ended the parent: a person denies or revokes it, or deletes its request.
fn may_end_early(w: &World) -> bool {
    (w.decisions >> decision_bits::LATE) & decision_bits::STOPS != 0 || w.requests[1].is_none()
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
    let is_terminal = w.requests[l].is_some_and(|r| matches!(r.state, State::Ended(..)));
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
    requests: [Option<Req>; 2],
    role: Role,
    grants: [Option<Gr>; 2],
    bindings: [super::Binding; 2],
}

impl Model {
    /// Whether access ends from here, if every process dies now and one returns without lease, admission proof or policies: by the
    /// deadline always (I3), and at once if the request is gone.
    pub fn settles(&mut self, w: &World) -> Option<Broken> {
        let rest = Rest { now: w.now, requests: w.requests, role: w.role, grants: w.grants, bindings: w.bindings };
        if let Some(known) = self.settled.get(&rest) {
            return *known;
        }
        let at_rest = World { tasks: [[0; 2]; 2], past: 0, leader: NOBODY, policies: Policies::Suspended, broken: None, ..*w };
        let late = self.alone(World { now: MUCH_LATER, ..at_rest });
        let soon = self.alone(at_rest);
        let kept = |w: &World, l: usize| w.bindings[l].armed();
        let active = |w: &World, l: usize| w.grants[l].is_some_and(|g| g.state == GrantState::Active);
        let wanted = |generation: u8| w.requests[usize::from(generation)].is_some_and(|r| r.wants(generation));
        let unwanted = |generation: u8| !wanted(generation) && w.grants[usize::from(generation)].is_some();
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

    /// One replica reconciles the Grants, verifying their owners, until nothing changes.
    fn alone(&mut self, mut w: World) -> World {
        for _ in 0..8 {
            let before = w;
            for generation in [0u8, 1] {
                self.looks_at_grant(&mut w, generation);
            }
            if w == before {
                break;
            }
        }
        w
    }
}
