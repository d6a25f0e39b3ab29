//! I1 to I4 and I8, in terms of the world and not of the rules: none of this asks the library what it thinks.
use super::{
    Gr, House, MUCH_LATER, Req, Tick, World,
    model::{Act, Model, Start},
    say,
};
use curfew_core::{grant::State as GrantState, request::State};

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broken {
    /// I1: access that nobody's word allows: not approved, or refused before it was begun.
    AccessWithoutApproval,
    /// I1: access to something else than what was approved.
    AccessToSomethingElse,
    /// I2: a deadline has moved later.
    DeadlineMoved,
    /// I3: access that no live Grant stands for.
    AccessWithoutLedger,
    /// I4: access for a request that is over.
    AccessAfterOver,
    /// Over is not over.
    OverWasLeft,
    /// I8: an effect that grants was asked for without a permit.
    GrantedWithoutPermit,
    /// I3: with nothing but the Grant and its target, access does not end.
    NeverEnds,
    /// Access stays although nobody wants it any more.
    OutlivesItsRequest,
}

/// A pass asks for something. Effects that grant need the permit at that moment.
pub fn asked(w: &mut World, act: Act, _life: u8, _now: Tick, permit: bool) {
    if matches!(act, Act::CreateGrant { .. } | Act::Reserve | Act::Arm { .. }) && !permit {
        w.broken = w.broken.or(Some(Broken::GrantedWithoutPermit));
    }
}

/// A request is stored anew.
pub fn request_moves(w: &mut World, now: Req, next: Req) {
    let life = usize::from(now.life);
    if matches!(now.state, State::Ended(..)) && next != now {
        w.broken = w.broken.or(Some(Broken::OverWasLeft));
    }
    if now.expires.is_some_and(|t| next.expires.is_none_or(|n| n > t)) {
        w.broken = w.broken.or(Some(Broken::DeadlineMoved));
    }
    if next.state == State::Activating && now.state != State::Activating {
        let mine = if now.life == 0 { w.words } else { w.words >> say::LATE };
        let g = &mut w.ghosts[life];
        g.first = g.first.or(next.expires);
        // Carol's approval names the digest of the first request; there is none for the second.
        g.approved = now.life == 0 && w.words & say::CAROL_APPROVES != 0;
        g.stopped = mine & say::STOPS != 0;
        g.changed = next.frozen.is_none_or(|(house, _)| house != w.house);
    }
}

/// A Grant is stored anew.
pub fn grant_moves(w: &mut World, life: u8, now: Gr, next: Gr) {
    if now.over() && next.stage != now.stage {
        w.broken = w.broken.or(Some(Broken::OverWasLeft));
    }
    let g = &mut w.ghosts[usize::from(life)];
    g.lived |= next.stage == GrantState::Active;
    g.ended |= next.stage == GrantState::Ended;
}

/// What must hold in every state.
pub fn violated(w: &World) -> Option<Broken> {
    w.broken.or_else(|| [0, 1].into_iter().find_map(|life| violated_by(w, life)))
}

fn violated_by(w: &World, life: u8) -> Option<Broken> {
    let l = usize::from(life);
    let (ghost, grant) = (w.ghosts[l], w.grants[l]);
    if grant.is_some_and(|g| ghost.first.is_some_and(|first| g.expires > first)) {
        return Some(Broken::DeadlineMoved);
    }
    if !w.bindings[l].armed() {
        return None;
    }
    let over = w.request.is_some_and(|r| r.life == life && matches!(r.state, State::Ended(..)));
    match () {
        () if grant.is_none_or(Gr::over) => Some(Broken::AccessWithoutLedger),
        () if !ghost.approved || ghost.stopped => Some(Broken::AccessWithoutApproval),
        () if ghost.changed => Some(Broken::AccessToSomethingElse),
        () if over => Some(Broken::AccessAfterOver),
        () => None,
    }
}

/// All that a state of rest depends on: no pass runs, nobody does anything any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rest {
    now: Tick,
    request: Option<Req>,
    grants: [Option<Gr>; 2],
    bindings: [super::Binding; 2],
}

impl Model {
    /// Whether access ends from here, if every process dies now and one comes back without lease, gate or house: by the
    /// deadline always (I3), and at once if the request is gone.
    pub fn settles(&mut self, w: &World) -> Option<Broken> {
        let rest = Rest { now: w.now, request: w.request, grants: w.grants, bindings: w.bindings };
        if let Some(known) = self.settled.get(&rest) {
            return *known;
        }
        let at_rest = World { minds: [[0; 2]; 2], past: 0, leader: 2, house: House::Suspended, broken: None, ..*w };
        let late = self.alone(World { now: MUCH_LATER, ..at_rest });
        let soon = self.alone(at_rest);
        let kept = |w: &World, l: usize| w.bindings[l].armed();
        let unwanted = |life: u8| !w.request.is_some_and(|r| r.wants(life)) && w.grants[usize::from(life)].is_some();
        let found = match () {
            () if kept(&late, 0) || kept(&late, 1) => Some(Broken::NeverEnds),
            () if late.grants.iter().flatten().any(|g| !g.over()) => Some(Broken::NeverEnds),
            () if [0, 1].into_iter().any(|life| unwanted(life) && kept(&soon, usize::from(life))) => Some(Broken::OutlivesItsRequest),
            () => None,
        };
        self.settled.insert(rest, found);
        found
    }

    /// One replica runs the Grants' passes, in doubt, until nothing moves.
    fn alone(&mut self, mut w: World) -> World {
        for _ in 0..8 {
            let before = w;
            for life in [0u8, 1] {
                let Some(grant) = w.grants[usize::from(life)] else { continue };
                let mut mind = self.begin(Start::Grant { life, grant, doubt: true }, w.now, false);
                while mind != 0 {
                    let reply = self.perform(&mut w, 0, mind);
                    mind = self.next(mind, reply, w.now, false);
                }
            }
            if w == before {
                break;
            }
        }
        w
    }
}
