//! What a leader brings about that looks at a state: what was denied ends, what extends an access that a person has ended ends, and what is
//! approved, or needs no approval, begins.
use super::{
    ApprovalRules, Budget, History, Kind, Policies, UNTIL, World, decision_bits,
    invariants::{Broken, is_approved},
    model::{Model, Start},
};
use curfew_core::{grant::State as GrantState, reason::Reason, reconcile::Verify, request::State};

impl Model {
    /// What does not come about although a leader looks at this state, with nothing in its way. Remembered by what it depends on.
    pub fn neglected(&mut self, w: &World) -> Option<Broken> {
        if !self.setting.scheduled && !self.setting.extends && !self.setting.is_break_glass() && !self.has_ordered_stages() {
            return None;
        }
        let alone = World {
            tasks: [[0; 2]; 2],
            past: 0,
            leader: 0,
            broken: None,
            budget: Budget::default(),
            histories: [History::default(); 2],
            ..*w
        };
        if let Some(known) = self.attended.get(&alone) {
            return *known;
        }
        let found = self.ignores_a_denial(&alone).or_else(|| self.ignores_its_parent(&alone)).or_else(|| self.does_not_begin(&alone));
        self.attended.insert(alone, found);
        found
    }

    fn has_ordered_stages(&self) -> bool {
        self.setting.approval == ApprovalRules::Sequential
    }

    /// A leader looks at a request, read live, until it has nothing more to do with it.
    fn looks_at_request(&mut self, w: &mut World, generation: u8) {
        let cached = self.live(w, generation);
        let mut task = self.begin(Start::Request(cached), w.now, true);
        while task != 0 {
            let reply = self.perform(w, 0, task);
            task = self.next(task, reply, w.now, true);
        }
    }

    /// A replica without the permit looks at a Grant.
    pub fn looks_at_grant(&mut self, w: &mut World, generation: u8) {
        let Some(grant) = w.grants[usize::from(generation)] else { return };
        let mut task = self.begin(Start::Grant { generation, grant, verify: Verify { owner: true, content: true } }, w.now, false);
        while task != 0 {
            let reply = self.perform(w, 0, task);
            task = self.next(task, reply, w.now, false);
        }
    }

    /// What was denied or withdrawn goes on: a scheduled request, or a break-glass access.
    fn ignores_a_denial(&mut self, w: &World) -> Option<Broken> {
        let generation = if w.requests[0].is_some() { 0 } else { 1 };
        let request = w.requests[usize::from(generation)]?;
        let decisions = if generation == 0 { w.decisions } else { w.decisions >> decision_bits::LATE };
        let over =
            |w: &World| !w.requests[usize::from(generation)].is_some_and(|r| !matches!(r.state, State::Ended(..) | State::Revoking(_)));
        let concerned = request.state == State::Scheduled || self.setting.is_break_glass();
        if !concerned || decisions & decision_bits::STOPS == 0 || over(w) {
            return None;
        }
        let mut looked_at = *w;
        self.looks_at_request(&mut looked_at, generation);
        match (over(&looked_at), request.state) {
            (true, _) => None,
            (false, State::Scheduled) => Some(Broken::ScheduledThoughDenied),
            (false, _) => Some(Broken::GoesOnThoughDenied),
        }
    }

    /// An extension goes on although what it extends was ended early.
    fn ignores_its_parent(&mut self, w: &World) -> Option<Broken> {
        let parent_denied = (w.decisions >> decision_bits::LATE) & decision_bits::STOPS != 0;
        // It ends, or has ended, before a replica saw the decision: at its deadline, or as drift for one whose clock is more behind than a real one
        // may be. That may be so of its Grant, and be written into the request only by the look.
        let unseen = |w: &World| {
            let over = w.requests[1].and_then(|r| match r.state {
                State::Revoking(why) | State::Ended(_, why) => Some(why),
                _ => None,
            });
            matches!(over, Some(Reason::DeadlinePassed | Reason::Drifted))
        };
        let ended = match self.setting.kind {
            Kind::ParentAndChild => parent_denied || (w.requests[1].is_none() && w.now < UNTIL),
            Kind::Lives => w.policies == Policies::ParentEnded,
            Kind::Siblings => false,
        };
        let is_live = |w: &World, l: usize| w.requests[l].is_some_and(|r| !matches!(r.state, State::Ended(..) | State::Revoking(_)));
        if !ended || !is_live(w, 0) {
            return None;
        }
        let mut looked_at = *w;
        if self.setting.kind == Kind::ParentAndChild {
            self.looks_at_request(&mut looked_at, 1);
            if unseen(&looked_at) {
                return None;
            }
        }
        self.looks_at_request(&mut looked_at, 0);
        is_live(&looked_at, 0).then_some(Broken::OutlivesItsParent)
    }

    /// What is approved, or needs no approval, does not begin: an extension beside what it extends, break-glass at once, and the second of two
    /// ordered stages.
    fn does_not_begin(&mut self, w: &World) -> Option<Broken> {
        let generation = if w.requests[0].is_some() { 0 } else { 1 };
        let request = w.requests[usize::from(generation)]?;
        let waits = |state: State| matches!(state, State::Pending | State::AwaitingApproval | State::Scheduled);
        let accepted = request.frozen.map_or(w.now, |(_, accepted)| accepted);
        let parent_is_active = w.now < UNTIL
            && w.requests[1].is_some_and(|r| r.state == State::Active)
            && w.decisions & decision_bits::SECOND == 0
            && w.grants[1].is_some_and(|grant| grant.state == GrantState::Active);
        let approved = match self.setting.kind {
            Kind::ParentAndChild => generation == 0 && parent_is_active && is_approved(w.approval, w.decisions, accepted),
            Kind::Lives if self.setting.is_break_glass() => true,
            Kind::Lives => self.has_ordered_stages() && is_approved(w.approval, w.decisions, accepted),
            Kind::Siblings => false,
        };
        let decisions = if generation == 0 { w.decisions } else { w.decisions >> decision_bits::LATE };
        if !approved || !waits(request.state) || w.policies != Policies::Plain || decisions & decision_bits::STOPS != 0 {
            return None;
        }
        let mut looked_at = *w;
        self.looks_at_request(&mut looked_at, generation);
        let state = looked_at.requests[usize::from(generation)]?.state;
        match state {
            State::Ended(_, Reason::ApprovalTimedOut) => Some(Broken::ApprovalLost),
            state if waits(state) => Some(Broken::NotBegun),
            _ => None,
        }
    }
}
