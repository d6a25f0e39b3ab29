//! Model checks what rests on the order of reads and writes: shared reads, and admission proofs on demand. Every interleaving of a few
//! steps is searched, with the rules that the operator runs; each search also runs without a rule, and must then find a violation.
//!
//!     cargo test --package curfew-core --test freshness -- --nocapture
#[allow(dead_code)] // the other models use more of it
mod checker;

use checker::{StateSpace, search_and_report};
use curfew_core::{
    admission::{AdmissionHistory, Proof, Provenance, Seen},
    digest::Digest,
    shared_read::SharedRead,
    time::Time,
};
use std::sync::Arc;

/// Two reconciles that each commit and then need a live read, while others change what is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
enum Reconciling {
    Idle,
    /// It has committed, when the object had this version, and has asked for a read.
    Asked(u8),
    /// It was served a read that showed this version.
    Served {
        needs: u8,
        got: u8,
    },
}

const RECONCILES: usize = 3;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Reads {
    /// The version of what is read.
    version: u8,
    reconciles: [Reconciling; RECONCILES],
    read: SharedRead<usize>,
    /// A read runs; this is what the server has answered, once it has.
    answer: Option<Option<u8>>,
}

struct ReadModel {
    /// The rule that is taken away: who asks while a read runs is served by that read.
    joins_running: bool,
    states: checker::Pool<Reads>,
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code)] // printed in a trace
enum ReadEvent {
    Write,
    Ask(usize),
    Answer,
    Finish,
}

impl ReadModel {
    fn ask(&self, s: &mut Reads, i: usize) {
        s.reconciles[i] = Reconciling::Asked(s.version);
        if self.joins_running && s.answer.is_some() {
            // What the rule forbids: the read that runs may have begun before the commit.
            let mut all = s.read.finish();
            all.push(i);
            for w in all {
                s.read.ask(w);
            }
            s.read.begin();
        } else if s.read.ask(i) {
            s.read.begin();
            s.answer = Some(None);
        }
    }
}

impl StateSpace for ReadModel {
    type State = u32;
    type Event = ReadEvent;
    type Broken = &'static str;

    fn violation(&mut self, state: &u32) -> Option<&'static str> {
        let stale = |r: &Reconciling| matches!(r, Reconciling::Served { needs, got } if got < needs);
        self.states.get(*state).reconciles.iter().any(stale).then_some("a reconcile decided on what was read before its commit")
    }

    fn successors(&mut self, state: &u32, out: &mut Vec<(ReadEvent, u32)>) {
        let s = self.states.get(*state).clone();
        let mut add = |event, next: Reads| out.push((event, self.states.number(next)));
        if s.version < 4 {
            add(ReadEvent::Write, Reads { version: s.version + 1, ..s.clone() });
        }
        match s.answer {
            Some(None) => add(ReadEvent::Answer, Reads { answer: Some(Some(s.version)), ..s.clone() }),
            Some(Some(got)) => {
                let mut next = s.clone();
                for i in next.read.finish() {
                    let needs = if let Reconciling::Asked(needs) = next.reconciles[i] { needs } else { 0 };
                    next.reconciles[i] = Reconciling::Served { needs, got };
                }
                next.answer = next.read.begin().then_some(None);
                add(ReadEvent::Finish, next);
            }
            None => {}
        }
        let idle: Vec<_> = (0..RECONCILES).filter(|i| !matches!(s.reconciles[*i], Reconciling::Asked(_))).collect();
        for i in idle {
            let mut next = s.clone();
            self.ask(&mut next, i);
            out.push((ReadEvent::Ask(i), self.states.number(next)));
        }
    }
}

fn reads(joins_running: bool) -> Option<usize> {
    let mut states = checker::Pool::new();
    let first = states.number(Reads { version: 0, reconciles: [Reconciling::Idle; RECONCILES], read: SharedRead::default(), answer: None });
    let mut model = ReadModel { joins_running, states };
    let mutant = if joins_running { "JoinsTheReadThatRuns" } else { "None" };
    let o = search_and_report(&mut model, first, 2_000_000, mutant, "shared reads");
    assert!(o.complete || o.broken.is_some(), "not searched completely");
    o.broken.map(|(_, trace)| trace.len())
}

#[test]
fn each_reconcile_gets_a_read_that_began_after_its_commit() {
    assert_eq!(reads(false), None);
    assert!(reads(true).is_some(), "who joins a read that runs can get what was before its commit");
}

/// The uid and generation of a policy; `None` while there is none.
type Policy = Option<(u8, u8)>;

/// A policy that may be deleted and created again, an object that may be created meanwhile, and a process that proves admission. Its
/// clock is the API server's, which stamps whole seconds; it advances in halves of a second, so that two steps can share a second.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Admission {
    /// In halves of a second.
    now: i64,
    policy: Policy,
    uids: u8,
    history: AdmissionHistory,
    /// When the object was created, and whether the policy was in force then.
    object: Option<(i64, bool)>,
    /// The process has read the object.
    read: bool,
    /// A proof runs: when it began, whether it covers the object, and what the server has answered.
    proof: Option<(i64, bool, Option<Policy>)>,
    /// How many proofs have begun.
    proofs: u8,
}

/// Until when the search goes, in halves of a second.
const END: i64 = 11;
/// How many proofs begin at most: one that begins the span, one before and one after the change, and one more.
const PROOFS: u8 = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ProofMutant {
    None,
    /// The proof compares the generation alone, as if a policy could not be created again.
    IgnoresUid,
    /// The proof covers what was read while it ran.
    CoversLater,
    /// What was read before a proof counts whenever it was created.
    CoversGaps,
}

struct ProofModel {
    mutant: ProofMutant,
    states: checker::Pool<Admission>,
}

#[derive(Clone, Copy, Debug)]
enum ProofEvent {
    Tick,
    Delete,
    Recreate,
    Create,
    Read,
    BeginProof,
    Answer,
    FinishProof,
}

impl ProofModel {
    fn digest(&self, policy: Policy) -> Digest {
        match (policy, self.mutant) {
            (Some((_, generation)), ProofMutant::IgnoresUid) => Digest::of(&(0, generation)),
            (policy, _) => Digest::of(&policy),
        }
    }

    fn finish(&self, s: &mut Admission) {
        let Some((begun, covers, Some(found))) = s.proof.take() else { return };
        let seen = Seen { uid: "object".into(), created: Time::from_secs(s.object.map_or(0, |(at, _)| at / 2)) };
        let covers = covers || (self.mutant == ProofMutant::CoversLater && s.read);
        let seen = covers.then_some(seen);
        let (started_at, digest) = (Time::from_millis(begun * 500).floor_secs(), self.digest(found));
        if let Some(next) = s.history.confirm(started_at, digest, seen.clone()).filter(|_| found.is_some()) {
            s.history = next;
        } else {
            let finished_at = Time::from_millis(s.now * 500);
            let proof = Proof { started_at, finished_at, enforced: found.is_some(), digest };
            s.history = s.history.record(proof, None).with_seen(seen.clone());
        }
        if self.mutant == ProofMutant::CoversGaps
            && let Some(seen) = seen.filter(|_| found.is_some())
        {
            s.history.seen = Arc::new([(seen.uid, seen.created)].into());
        }
    }

    fn apply(&self, s: &Admission, event: ProofEvent) -> Option<Admission> {
        let mut next = s.clone();
        match event {
            ProofEvent::Tick => next.now = Some(s.now + 1).filter(|now| *now <= END)?,
            ProofEvent::Delete => next.policy = s.policy.is_some().then_some(None)?,
            ProofEvent::Recreate => {
                next.uids = Some(s.uids + 1).filter(|_| s.policy.is_none() && s.uids < 2)?;
                next.policy = Some((next.uids, 1));
            }
            ProofEvent::Create => next.object = s.object.is_none().then_some(Some((s.now, s.policy.is_some())))?,
            ProofEvent::Read => next.read = (s.object.is_some() && !s.read).then_some(true)?,
            ProofEvent::BeginProof => {
                next.proof = (s.proof.is_none() && s.proofs < PROOFS).then_some(Some((s.now, s.read, None)))?;
                next.proofs += 1;
            }
            ProofEvent::Answer => {
                let (begun, covers, _) = s.proof.filter(|(_, _, answer)| answer.is_none())?;
                next.proof = Some((begun, covers, Some(s.policy)));
            }
            ProofEvent::FinishProof => {
                s.proof.filter(|(_, _, answer)| answer.is_some())?;
                self.finish(&mut next);
            }
        }
        Some(next)
    }
}

impl StateSpace for ProofModel {
    type State = u32;
    type Event = ProofEvent;
    type Broken = &'static str;

    fn violation(&mut self, state: &u32) -> Option<&'static str> {
        let s = self.states.get(*state);
        let (created, _) = s.object.filter(|(_, guarded)| s.read && !guarded)?;
        let provenance = s.history.provenance_of("object", Time::from_secs(created / 2));
        (provenance == Provenance::Verified).then_some("an object counts that was created without the policy")
    }

    fn successors(&mut self, state: &u32, out: &mut Vec<(ProofEvent, u32)>) {
        use ProofEvent::{Answer, BeginProof, Create, Delete, FinishProof, Read, Recreate, Tick};
        let s = self.states.get(*state).clone();
        for event in [Tick, Delete, Recreate, Create, Read, BeginProof, Answer, FinishProof] {
            if let Some(next) = self.apply(&s, event) {
                out.push((event, self.states.number(next)));
            }
        }
    }
}

/// Searches; returns the length of the trace to a violation.
fn proofs(mutant: ProofMutant) -> Option<usize> {
    let mut states = checker::Pool::new();
    let first = states.number(Admission {
        now: 0,
        policy: Some((1, 1)),
        uids: 1,
        history: AdmissionHistory::default(),
        object: None,
        read: false,
        proof: None,
        proofs: 0,
    });
    let mut model = ProofModel { mutant, states };
    let o = search_and_report(&mut model, first, 6_000_000, mutant, "admission proofs on demand");
    assert!(o.complete || o.broken.is_some(), "not searched completely");
    o.broken.map(|(_, trace)| trace.len())
}

#[test]
fn what_counts_was_created_while_the_policy_was_in_force() {
    assert_eq!(proofs(ProofMutant::None), None);
    for mutant in [ProofMutant::IgnoresUid, ProofMutant::CoversLater, ProofMutant::CoversGaps] {
        assert!(proofs(mutant).is_some(), "{mutant:?} is not found");
    }
}
