//! Which approvals fill which stage, and when a stage opens, passes and times out.
//!
//! The approvals are taken one after the other, in the order in which the API server stored them. After each of them the people are matched
//! to the stages again ([`super::places`]). So the sum does not depend on the order in which decisions are listed, nor on when an operator
//! looks; one more approval never takes back that a stage has passed; and what was shown as counted stays counted, also where an earlier
//! approval is proven later.
//!
//! 1. An approval counts, now or later, if one more place can be filled with it. Otherwise it is `AlreadyCounted`, and so is a second one
//!    of a person whose first one fills a place.
//! 2. Which stage a person fills may change as long as the request waits: who is listed in two stages moves to the one where nobody else can
//!    take the place.
//! 3. Of `stages`, one is open at a time, and the others wait. It passes when its places are filled, together with those of the stages
//!    before it, by different people. Then the next one opens, at that moment.
//! 4. Of `parallel` stages all are open from acceptance. That which times out first is filled first, and a stage that has passed stays so.
//! 5. A person whom a stage that has not passed needs, because it lists users alone and too few others, is kept for it: another approver
//!    must fill the stage that is open. Where a stage lists a group, or has an escalation, others can come, so nobody is kept for it.
//! 6. A stage times out when its deadline has come and not all of its places are filled. What is stored then or later is late. Times are
//!    whole seconds, rounded down, so an approval of the second in which the stage times out is late.
//! 7. Who is listed for an escalation may approve that long after the stage has opened. An approval from before that does not count, also
//!    later: it was not theirs to give.
//!
//! While an approval waits for its admission proof, later ones are not found to be late or early for good: it may be the one that opened
//! their stage in time.
use super::{
    ApprovalStage, ApprovalSubject, Counted, DecisionFacts, StageOrder, Verb,
    places::{self, Placement, Stages},
};
use crate::{admission::Provenance, folding::Spelling, principal::Subject, reason::Reason, time::Time};

/// The state of one stage.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StageTally {
    /// Indices (into the decisions) of the approvals that fill it.
    pub approved: Vec<usize>,
    /// Indices of approvals that fill it when it opens, or that are kept for it.
    pub waiting: Vec<usize>,
    /// How many it needs.
    pub quorum: u8,
    /// By when it must be complete; `None` while it is not open.
    pub deadline: Option<Time>,
    /// From when those who are listed for its escalation may approve; `None` while it is not open, and without an escalation.
    pub escalates_at: Option<Time>,
}

impl StageTally {
    /// Whether it has as many approvals as it needs.
    pub fn passed(&self) -> bool {
        self.approved.len() >= usize::from(self.quorum)
    }
}

/// Counts the approvals, which are ordered by time, and writes whether each of them counts to `counted`.
pub(super) fn fill(m: &ApprovalSubject<'_>, words: &[DecisionFacts], approvals: &[usize], counted: &mut [Counted]) -> Vec<StageTally> {
    let mut f = Filling::new(m, words);
    for &i in approvals {
        counted[i] = f.take(i);
    }
    f.prefer_counted(counted);
    let (approved, waiting) = f.placed();
    for &i in waiting.iter().flatten().chain(f.kept.iter().map(|(i, _)| i)) {
        counted[i] = Counted::Waiting;
    }
    approved.iter().flatten().for_each(|&i| counted[i] = Counted::Yes);
    let all = m.stages.iter().enumerate().zip(approved).zip(waiting);
    all.map(|(((s, stage), approved), waiting)| StageTally {
        approved,
        waiting,
        quorum: stage.quorum,
        deadline: f.deadline(s),
        escalates_at: f.escalates_at(s),
    })
    .collect()
}

struct Filling<'a> {
    m: &'a ApprovalSubject<'a>,
    words: &'a [DecisionFacts],
    /// The approvals that fill a place, now or later, one for each person, with the stages that they may fill.
    kept: Vec<(usize, Stages)>,
    /// The same, and those that are not needed beside them.
    usable: Vec<(usize, Stages)>,
    /// The stages that have passed, in that order.
    passed: Vec<usize>,
    /// Since when each stage is open.
    opened: Vec<Option<Time>>,
    /// Who is named in stages that list users alone, without those who have approved: the stages that they may fill.
    named: Vec<(String, Stages)>,
    /// When the first approval was made that waits for its admission proof.
    unsettled_since: Option<Time>,
}

impl<'a> Filling<'a> {
    fn new(m: &'a ApprovalSubject<'a>, words: &'a [DecisionFacts]) -> Self {
        let pending = words.iter().filter(|w| w.verb == Verb::Approve && w.provenance == Provenance::Pending);
        let is_open = |s: usize| s == 0 || m.order == StageOrder::Parallel;
        Filling {
            m,
            words,
            kept: Vec::new(),
            usable: Vec::new(),
            passed: Vec::new(),
            opened: (0..m.stages.len()).map(|s| is_open(s).then_some(m.accepted_at)).collect(),
            named: named(m),
            unsettled_since: pending.map(|w| w.created).min(),
        }
    }

    fn quorum(&self, stage: usize) -> usize {
        usize::from(self.m.stages[stage].quorum)
    }
    fn deadline(&self, stage: usize) -> Option<Time> {
        Some(self.opened[stage]?.plus_secs(self.m.stages[stage].timeout_secs()))
    }
    fn escalates_at(&self, stage: usize) -> Option<Time> {
        Some(self.opened[stage]?.plus_secs(self.m.stages[stage].escalation.as_ref()?.after.secs()))
    }
    fn has_passed(&self, stage: usize) -> bool {
        self.passed.contains(&stage)
    }
    /// The stages that have not passed: that which is to be filled first, and then the others.
    fn ahead(&self) -> Vec<usize> {
        let mut ahead: Vec<usize> = (0..self.m.stages.len()).filter(|s| !self.has_passed(*s)).collect();
        if self.m.order == StageOrder::Parallel {
            ahead.sort_by_key(|&s| (self.deadline(s), s));
        }
        ahead
    }

    /// The stages that an approval may fill.
    fn may_fill(&self, i: usize) -> Stages {
        let w = &self.words[i];
        let may = |(s, stage): &(usize, &ApprovalStage)| {
            let escalated = self.escalates_at(*s).is_some_and(|at| w.created >= at) && stage.concerns(&w.decider);
            (stage.includes(&w.decider) || escalated) && self.deadline(*s).is_none_or(|end| w.created < end)
        };
        self.m.stages.iter().enumerate().filter(may).map(|(s, _)| places::bit(s)).fold(0, |all, bit| all | bit)
    }

    /// Takes the next approval. `Yes` if it is kept.
    fn take(&mut self, i: usize) -> Counted {
        let w = &self.words[i];
        let may_fill = self.may_fill(i);
        let is_late = self.ahead().first().and_then(|&s| self.deadline(s)).is_some_and(|end| w.created >= end);
        // Whom the approvers of such a stage list may fill it, unless it is late.
        let concerned = |&s: &usize| self.m.stages[s].concerns(&w.decider);
        let is_early = may_fill == 0 && self.ahead().iter().any(concerned);
        match () {
            () if is_late || is_early => match (self.unsettled_since.is_some_and(|since| since <= w.created), is_late) {
                (true, _) => Counted::Waiting,
                (false, true) => Counted::No(Reason::ApprovalTimedOut),
                (false, false) => Counted::No(Reason::NotEscalatedYet),
            },
            () => {
                self.usable.push((i, may_fill));
                if !self.keep(i, may_fill) {
                    return Counted::No(Reason::AlreadyCounted);
                }
                let keys = &self.m.people.alias_keys;
                self.named.retain(|(name, _)| !w.decider.is_named(name, keys, Spelling::Folded));
                self.pass_stages(w.created);
                Counted::Yes
            }
        }
    }

    /// Keeps an approval if it is the first of its person and one more place can be filled with it, all stages together.
    fn keep(&mut self, i: usize, may_fill: Stages) -> bool {
        let is_same = |j: usize| self.words[j].decider.is_same_person(&self.words[i].decider, self.m.people, Spelling::Folded);
        let keeps = !self.kept.iter().any(|(j, _)| is_same(*j)) && self.adds_to_what_is_kept(may_fill);
        if keeps {
            self.kept.push((i, may_fill));
        }
        keeps
    }

    /// Takes what was shown as counted before all others. As many places are filled by it, at the same time.
    fn prefer_counted(&mut self, counted: &mut [Counted]) {
        let is_kept = |i: usize| self.kept.iter().any(|(j, _)| *j == i);
        if self.usable.iter().all(|(i, _)| !self.words[*i].counted_before || is_kept(*i)) {
            return;
        }
        self.kept.clear();
        let (first, then): (Vec<_>, Vec<_>) = self.usable.clone().into_iter().partition(|(i, _)| self.words[*i].counted_before);
        for (i, may_fill) in first.into_iter().chain(then) {
            counted[i] = if self.keep(i, may_fill) { Counted::Yes } else { Counted::No(Reason::AlreadyCounted) };
        }
    }

    /// Whether one more place can be filled with a person who may fill these stages.
    fn adds_to_what_is_kept(&self, may_fill: Stages) -> bool {
        let all: Vec<(usize, usize)> = (0..self.m.stages.len()).map(|s| (s, self.quorum(s))).collect();
        let people: Vec<Stages> = self.kept.iter().map(|(_, stages)| *stages).chain([may_fill]).collect();
        let needed: usize = all.iter().map(|(_, quorum)| quorum).sum();
        self.kept.len() < needed && places::place(&people, &all, all.len()).total() == people.len()
    }

    /// Lets stages pass whose places are filled, at this moment.
    fn pass_stages(&mut self, now: Time) {
        while let Some(&open) = self.ahead().first() {
            let passing: Vec<usize> = match self.m.order {
                StageOrder::Sequential => [open].into_iter().filter(|s| self.goal().filled[*s] >= self.quorum(*s)).collect(),
                StageOrder::Parallel => {
                    let approved = self.placed_in_parallel();
                    self.ahead().into_iter().filter(|s| approved[*s].len() >= self.quorum(*s)).collect()
                }
            };
            if passing.is_empty() {
                return;
            }
            self.passed.extend(&passing);
            let opens = self.opened[open].max(Some(now));
            if let Some(next) = self.opened.get_mut(open + 1).filter(|next| next.is_none()) {
                *next = opens;
            }
        }
    }

    /// The places to fill, in this order: of the stages that have passed, of those ahead whose people are scarce, and of that which is open.
    fn wanted(&self) -> Vec<(usize, usize)> {
        let ahead = self.ahead();
        let (open, later) = ahead.split_at(ahead.len().min(1));
        let scarce = later.iter().rev().filter(|s| lists_users_alone(&self.m.stages[**s]));
        self.passed.iter().chain(scarce).chain(open).map(|&s| (s, self.quorum(s))).collect()
    }

    /// The stages that have passed and that which is to be filled first.
    fn now(&self) -> Stages {
        self.passed.iter().copied().chain(self.ahead().first().copied()).map(places::bit).fold(0, |all, bit| all | bit)
    }

    /// How many places of each stage are filled, by those who have approved, and of what is ahead also by those who still can.
    fn goal(&self) -> Placement {
        let now = self.now();
        let others = self.named.iter().map(|(_, stages)| stages & !now);
        let people: Vec<Stages> = self.kept.iter().map(|(_, stages)| *stages).chain(others).collect();
        places::place(&people, &self.wanted(), self.m.stages.len())
    }

    /// By stage: the approvals that fill it, and those that fill it later.
    fn placed(&self) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
        match self.m.order {
            StageOrder::Sequential => self.placed_in_sequence(),
            StageOrder::Parallel => (self.placed_in_parallel(), vec![Vec::new(); self.m.stages.len()]),
        }
    }

    /// What is filled now comes first, and then those for whom people are kept.
    fn placed_in_parallel(&self) -> Vec<Vec<usize>> {
        let (goal, now) = (self.goal().filled, self.now());
        let (filled, scarce): (Vec<_>, Vec<_>) = self.wanted().into_iter().partition(|(s, _)| now & places::bit(*s) != 0);
        let rest = self.ahead().into_iter().skip(1).map(|s| (s, self.quorum(s)));
        let all: Vec<(usize, usize)> = filled.into_iter().map(|(s, _)| (s, goal[s])).chain(scarce).chain(rest).collect();
        let people: Vec<Stages> = self.kept.iter().map(|(_, stages)| *stages).collect();
        self.by_stage(&people, &all)
    }

    /// Of those who could fill a stage now, the first do: with one more approval they still will.
    fn placed_in_sequence(&self) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
        let (goal, now, stages) = (self.goal().filled, self.now(), self.m.stages.len());
        let goals: Vec<(usize, usize)> = self.wanted().into_iter().map(|(s, _)| (s, goal[s])).collect();
        let filled: Vec<(usize, usize)> = goals.iter().filter(|(s, _)| now & places::bit(*s) != 0).copied().collect();
        let mut people: Vec<Stages> = self.kept.iter().map(|(_, stages)| *stages).collect();
        people.extend(self.named.iter().map(|(_, stages)| stages & !now));
        let mut first = vec![0; self.kept.len()];
        for person in 0..self.kept.len() {
            let all = people[person];
            (people[person], first[person]) = (all & now, all & now);
            let chosen = first.iter().filter(|stages| **stages != 0).count();
            // A matching of these people and one of all places are both there, so there is one of both.
            let fits = first[person] != 0
                && places::place(&first, &filled, stages).total() == chosen
                && places::place(&people, &goals, stages).filled == goal;
            if !fits {
                (people[person], first[person]) = (all & !now, 0);
            }
        }
        let later: Vec<(usize, usize)> = self.ahead().into_iter().skip(1).map(|s| (s, self.quorum(s))).collect();
        let left: Vec<Stages> = people[..self.kept.len()].iter().map(|stages| stages & !now).collect();
        (self.by_stage(&first, &filled), self.by_stage(&left, &later))
    }

    /// Fills these places with those who have approved.
    fn by_stage(&self, people: &[Stages], wanted: &[(usize, usize)]) -> Vec<Vec<usize>> {
        let mut by_stage = vec![Vec::new(); self.m.stages.len()];
        for ((i, _), stage) in self.kept.iter().zip(places::place(people, wanted, self.m.stages.len()).at) {
            if let Some(stage) = stage {
                by_stage[stage].push(*i);
            }
        }
        by_stage
    }
}

/// Whether only those who are named can fill a stage. A group may have any number of members, and an escalation brings others.
fn lists_users_alone(stage: &ApprovalStage) -> bool {
    stage.escalation.is_none() && !stage.approvers.iter().any(|subject| matches!(subject, Subject::Group(_)))
}

/// The people who are named in stages that list users alone, with the stages that they may fill. Neither requester nor beneficiary is one
/// of them. Spellings of one name are one person.
fn named(m: &ApprovalSubject<'_>) -> Vec<(String, Stages)> {
    let mut all: Vec<(String, Stages)> = Vec::new();
    let keys = &m.people.alias_keys;
    let is_party = |name: &str| {
        m.requester.is_named(name, keys, Spelling::Folded) || m.beneficiary.is_some_and(|b| Spelling::Folded.is_same(&b.principal(), name))
    };
    for (s, stage) in m.stages.iter().enumerate().filter(|(_, stage)| lists_users_alone(stage)) {
        let users = stage.approvers.iter().filter(|subject| matches!(subject, Subject::User(_))).map(Subject::principal);
        for name in users.filter(|name| !is_party(name)) {
            match all.iter_mut().find(|(known, _)| Spelling::Folded.is_same(known, &name)) {
                Some((_, stages)) => *stages |= places::bit(s),
                None => all.push((name, places::bit(s))),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests;
