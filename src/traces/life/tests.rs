use super::*;
use crate::traces::span::export_request;
use std::collections::BTreeSet;

#[path = "../../../crates/core/tests/snapshot/mod.rs"]
mod snapshot;

const UID: &str = "0d9c5a1e-7f0b-4c55-9a1d-3f1d2b6c7e88";

fn at(secs: i64) -> Option<Time> {
    Some(Time::from_secs(1_795_766_400 + secs))
}

/// A request that was approved, was active until its deadline, and is gone.
fn whole() -> Life {
    Life {
        uid: UID.into(),
        namespace: "payments".into(),
        name: "payments-admin-x7k2p".into(),
        role: Some("payments-admin".into()),
        system: Some("this-cluster".into()),
        provider: Some("kubernetes"),
        grant: Some("00000000000000a1".into()),
        has_stages: true,
        approvals: vec![(Time::from_secs(1_795_766_430), "owners".into())],
        granting: true,
        created: at(0),
        accepted: at(1),
        approved: at(30),
        intent: at(30),
        granted: at(31),
        revoking: at(930),
        gone: at(931),
        deadline: at(930),
        ended: at(931),
        outcome: Some(Outcome { state: "Expired".into(), reason: Some("DeadlinePassed".into()), failed: false }),
        ..Life::default()
    }
}

/// What is wrong with the spans of a life.
fn faults(life: &Life) -> Option<String> {
    let spans = life.spans();
    let ids: BTreeSet<_> = spans.iter().map(|(_, span)| span.id).collect();
    if ids.len() != spans.len() {
        return Some("two spans have one id".into());
    }
    let roots: Vec<_> = spans.iter().filter(|(_, span)| span.parent.is_none()).collect();
    if roots.len() > 1 || roots.len() != usize::from(life.ended.is_some()) {
        return Some(format!("{} roots", roots.len()));
    }
    for (phase, span) in &spans {
        if span.end < span.start {
            return Some(format!("{phase:?} ends before it begins"));
        }
        if span.trace != TraceId::of(&life.uid) {
            return Some(format!("{phase:?} is in another trace"));
        }
        let Some(parent) = span.parent.filter(|_| life.ended.is_some()) else { continue };
        match spans.iter().find(|(_, other)| other.id == parent) {
            None => return Some(format!("the parent of {phase:?} is missing")),
            Some((_, other)) if other.start > span.start || other.end < span.end => {
                return Some(format!("{phase:?} is not within its parent"));
            }
            Some(_) => {}
        }
        if span.events.iter().any(|event| event.at < span.start || event.at > span.end) {
            return Some(format!("an event of {phase:?} is outside of it"));
        }
    }
    None
}

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 16) % u64::from(n)).unwrap_or(0)
    }
    /// A time that may be missing, in any order with others: clocks differ, and another process has stored it.
    fn time(&mut self) -> Option<Time> {
        let known = self.below(3) > 0;
        let millis = i64::from(self.below(5_000)) + 1_795_766_400_000;
        known.then(|| if self.below(2) == 0 { Time::from_millis(millis) } else { Time::from_millis(millis).floor_secs() })
    }
    fn life(&mut self) -> Life {
        let failed = self.below(4) == 0;
        Life {
            about: if self.below(5) == 0 { About::Assignment } else { About::Activation },
            uid: format!("u{}", self.below(1000)),
            granting: self.below(2) == 0,
            has_stages: self.below(2) == 0,
            abandoned: self.below(8) == 0,
            approvals: self.time().map(|at| (at, "owners".to_owned())).into_iter().collect(),
            created: self.time(),
            accepted: self.time(),
            approved: self.time(),
            starts: self.time(),
            intent: self.time(),
            granted: self.time(),
            revoking: self.time(),
            gone: self.time(),
            deadline: self.time(),
            ended: self.time(),
            outcome: Some(Outcome { state: "Expired".into(), reason: None, failed }),
            errors: self.time().map(|at| (at, Phase::Revoke, "denied")).into_iter().collect(),
            ..Life::default()
        }
    }
}

#[test]
fn spans_are_whole_if_any_part_is_known_in_any_order() {
    let mut random = Random(1);
    for case in 0..4_000 {
        let life = random.life();
        assert_eq!(faults(&life), None, "case {case}: {life:?}");
    }
}

/// What one replica knows and another one does not know changes no id, so that both write into one trace.
#[test]
fn another_replica_makes_the_same_spans() {
    let ids =
        |life: &Life| life.spans().into_iter().map(|(phase, span)| (phase, span.trace, span.id, span.parent)).collect::<BTreeSet<_>>();
    let mut better_known = whole();
    for known in [&mut better_known.accepted, &mut better_known.approved, &mut better_known.granted, &mut better_known.ended] {
        *known = known.map(|time| Time::from_millis(time.as_millis() + 417));
    }
    assert_eq!(ids(&whole()), ids(&better_known));
    let active = Life { revoking: None, gone: None, ended: None, outcome: None, ..whole() };
    assert!(ids(&active).is_subset(&ids(&whole())) && active.spans().len() == 5, "{:?}", active.spans());
    // A process that only revokes knows the Grant alone.
    let of_the_grant = Life { created: None, accepted: None, approved: None, ended: None, outcome: None, ..whole() };
    let made: Vec<_> = of_the_grant.spans().into_iter().map(|(phase, _)| phase).collect();
    assert_eq!(made, [Phase::Access, Phase::Revoke]);
    assert!(ids(&of_the_grant).is_subset(&ids(&whole())));
}

fn shown(life: &Life) -> Vec<(Phase, i64, i64)> {
    let zero = at(0).map_or(0, Time::as_millis);
    life.spans().into_iter().map(|(phase, span)| (phase, span.start.as_millis() - zero, span.end.as_millis() - zero)).collect()
}

#[test]
fn the_phases_of_a_life_follow_each_other() {
    let all = [
        (Phase::Root, 0, 931_000),
        (Phase::Accept, 0, 1_000),
        (Phase::Approval, 1_000, 30_000),
        (Phase::Activate, 30_000, 31_000),
        (Phase::Intent, 30_000, 30_000),
        (Phase::Target, 30_000, 31_000),
        (Phase::Access, 31_000, 930_000),
        (Phase::Revoke, 930_000, 931_000),
    ];
    assert_eq!(shown(&whole()), all);
    // Once it is over, the beginning of the revocation is not stored any more.
    assert_eq!(shown(&Life { revoking: None, ..whole() }), all);
    let scheduled = Life { starts: at(100), intent: at(100), granted: at(101), ..whole() };
    assert!(shown(&scheduled).contains(&(Phase::Start, 30_000, 100_000)), "{:?}", shown(&scheduled));
    assert!(shown(&scheduled).contains(&(Phase::Activate, 100_000, 101_000)), "{:?}", shown(&scheduled));
}

#[test]
fn a_life_that_ends_sooner_has_fewer_phases_and_says_why() {
    let nothing = Life { granting: false, intent: None, granted: None, revoking: None, gone: None, deadline: None, ..whole() };
    let denied = Life { approved: None, ended: at(20), ..nothing.clone() };
    assert_eq!(shown(&denied), [(Phase::Root, 0, 20_000), (Phase::Accept, 0, 1_000), (Phase::Approval, 1_000, 20_000)]);
    let refused = Life { accepted: None, approved: None, ended: at(2), ..nothing.clone() };
    assert_eq!(shown(&refused), [(Phase::Root, 0, 2_000), (Phase::Accept, 0, 2_000)]);
    let cancelled = Life { starts: at(500), ended: at(60), ..nothing };
    assert!(shown(&cancelled).contains(&(Phase::Start, 30_000, 60_000)), "{:?}", shown(&cancelled));
    let outcome = Some(Outcome { state: "Failed".into(), reason: Some("TargetRefused".into()), failed: true });
    let failed = Life { granted: None, revoking: at(35), gone: at(36), ended: at(36), outcome, ..whole() };
    let errors: Vec<_> = failed.spans().into_iter().filter_map(|(phase, span)| Some((phase, span.error?))).collect();
    let why = || "TargetRefused".to_owned();
    assert_eq!(errors, [(Phase::Root, why()), (Phase::Activate, why()), (Phase::Target, why())]);
    let abandoned = Life { abandoned: true, ..whole() };
    let errors: Vec<_> = abandoned.spans().into_iter().filter(|(_, span)| span.error.is_some()).map(|(phase, _)| phase).collect();
    assert_eq!(errors, [Phase::Root, Phase::Revoke]);
    // Deleted, and this process has not known it before: the trace begins with the Grant.
    let orphan = Life { created: None, accepted: None, approved: None, ..whole() };
    assert_eq!(faults(&orphan), None);
    assert!(shown(&orphan).contains(&(Phase::Root, 30_000, 931_000)), "{:?}", shown(&orphan));
}

#[test]
fn what_this_process_has_done_is_known_in_milliseconds() {
    let when = Time::from_millis(at(31).map_or(0, Time::as_millis) + 250);
    let mut life = Life { revoking: None, gone: None, ended: None, ..whole() };
    life.decided_at(when);
    assert_eq!((life.granted, life.intent, life.created), (Some(when), at(30), at(0)));
    let told_again = life.with(Life { granted: at(31), ..whole() });
    assert_eq!(told_again.granted, Some(when), "the stored second is the same time, known less well");
    assert_eq!(told_again.with(Life { granted: at(32), ..Life::default() }).granted, at(32), "another second is another time");
}

#[test]
fn a_request_that_extends_another_one_links_to_its_trace() {
    let extension = Life { uid: "u2".into(), extends: Some(UID.into()), ..whole() };
    let linked: Vec<_> = extension.spans().into_iter().flat_map(|(_, span)| span.links).collect();
    assert_eq!(linked, [(TraceId::of(UID), Phase::Root.id(UID))]);
}

#[test]
fn the_spans_of_a_life_are_written_as_reviewed() {
    let mut life = Life { break_glass: true, ..whole() };
    life.errors = vec![(Time::from_millis(1_795_767_330_500), Phase::Revoke, "denied")];
    life.more_errors = vec![(Phase::Revoke, 3)];
    let spans: Vec<_> = life.spans().into_iter().map(|(_, span)| span).collect();
    let resource = [("service.name".to_owned(), "curfew".to_owned())];
    let written = serde_json::to_string_pretty(&export_request(&resource, &spans)).expect("JSON") + "\n";
    let written = written.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/traces.json");
    snapshot::assert_stored(&path, &written, "cargo test --lib traces");
}
