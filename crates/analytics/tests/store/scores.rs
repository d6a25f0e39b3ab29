//! Daily scores.
use crate::model::{Random, SYSTEM, TODAY, batch, memory, now};
use curfew_analytics::{
    history::{DAY, DailyScore, Day, InBands, Point, since},
    store::{IdentityScore, Limits, Snapshot, Store, StoreError, Subject},
};
use std::collections::BTreeMap;

fn daily(day: Day, score: u8) -> DailyScore {
    DailyScore {
        day,
        score,
        // A fraction that JSON readers that are not exact get wrong in the last bit.
        x: 0.1 + f64::from(score) / 3.0e7,
        confidence: 1.0 / 3.0,
        counted: 4,
        bands: [("human".to_owned(), InBands { low: 1, medium: 2, high: 3 })].into(),
        findings: [("super".to_owned(), 2)].into(),
        catalogue: "1".into(),
    }
}

fn identity(name: &str, group: bool, score: Option<u8>) -> IdentityScore {
    IdentityScore { name: name.into(), group, score, x: score.map(|score| f64::from(score) / 3.0) }
}

fn put(store: &Store, day: Day, identities: &[IdentityScore]) -> Result<(), StoreError> {
    store.put_snapshot(SYSTEM, &Snapshot { score: daily(day, 40), identities: identities.to_vec() })
}

#[test]
fn scores_come_back_and_the_last_of_a_day_wins() {
    let store = memory();
    for (day, score) in [(3, 10), (2, 20), (2, 30), (0, 90)] {
        store.put_snapshot(SYSTEM, &Snapshot { score: daily(TODAY.back(day), score), identities: Vec::new() }).unwrap();
    }
    assert_eq!(store.history(SYSTEM).unwrap(), [daily(TODAY.back(3), 10), daily(TODAY.back(2), 30), daily(TODAY, 90)]);
    assert_eq!((store.history("other").unwrap(), store.history_of(SYSTEM, "u", false).unwrap()), (Vec::new(), Vec::new()));
    store.put_folder("team=a", &daily(TODAY, 5)).unwrap();
    assert_eq!(store.history_of_folder("team=a").unwrap(), [daily(TODAY, 5)]);
    assert_eq!(store.history("team=a").unwrap(), []);
    // A clock that runs behind would put scores between others.
    let error = put(&store, TODAY.back(1), &[]).unwrap_err();
    assert!(error.to_string().contains("after 2026-11-25: check the clock"), "{error}");
}

#[test]
fn an_identity_has_a_point_for_each_change() {
    let store = memory();
    let day = |n: u32| Day(TODAY.0 - 10 + n);
    put(&store, day(1), &[identity("u", false, Some(80)), identity("u", true, Some(1))]).unwrap();
    put(&store, day(2), &[identity("u", false, Some(80)), identity("u", true, Some(2))]).unwrap();
    put(&store, day(3), &[identity("u", false, Some(90)), identity("v", false, None)]).unwrap();
    put(&store, day(4), &[identity("u", true, Some(2)), identity("u", false, Some(90)), identity("v", false, Some(4))]).unwrap();
    let point = |day, exists, score: Option<u8>| Point { day, exists, score, x: score.map(|score| f64::from(score) / 3.0) };
    let user = [point(day(1), true, Some(80)), point(day(3), true, Some(90))];
    let group = [point(day(1), true, Some(1)), point(day(2), true, Some(2)), point(day(3), false, None), point(day(4), true, Some(2))];
    let other = [point(day(3), true, None), point(day(4), true, Some(4))];
    assert_eq!(store.history_of(SYSTEM, "u", false).unwrap(), user);
    assert_eq!(store.history_of(SYSTEM, "u", true).unwrap(), group);
    let all = store.histories(SYSTEM).unwrap();
    let subject = |name: &str, group| Subject { name: name.into(), group };
    let expected: BTreeMap<Subject, Vec<Point>> =
        [(subject("u", false), user.to_vec()), (subject("u", true), group.to_vec()), (subject("v", false), other.to_vec())].into();
    assert_eq!(all, expected);
    assert_eq!(since(&user).map(|since| (since.day, since.at_least)), Some((day(1), true)));
    assert_eq!(since(&group).map(|since| since.day), Some(day(4)));
}

/// The points of a random history give the value of every day, before and after old ones are removed.
#[test]
fn points_give_the_value_of_every_day() {
    for seed in 1..=40 {
        let mut random = Random(seed * 104_729);
        let store = Store::with_backend(redb::backends::InMemoryBackend::new(), Limits { score_days: 8, ..Limits::default() }).unwrap();
        let first = TODAY.back(14);
        let mut truth: BTreeMap<(u32, &str), (bool, Option<u8>)> = BTreeMap::new();
        for day in first.0..=TODAY.0 {
            // Some days have two runs; the second counts.
            for _ in 0..1 + random.below(2) {
                let mut identities = Vec::new();
                for name in ["a", "b"] {
                    let value = match random.below(4) {
                        0 => (false, None),
                        1 => (true, None),
                        _ => (true, Some(random.below(2) as u8)),
                    };
                    truth.insert((day, name), value);
                    identities.extend(value.0.then(|| identity(name, false, value.1)));
                }
                put(&store, Day(day), &identities).unwrap();
            }
        }
        let check = |since: Day| {
            for ((day, name), value) in truth.iter().filter(|((day, _), _)| *day >= since.0) {
                let points = store.history_of(SYSTEM, name, false).unwrap();
                let at = points.iter().rfind(|point| point.day.0 <= *day);
                assert_eq!(at.map_or((false, None), |point| (point.exists, point.score)), *value, "seed {seed}, {name} on {}", Day(*day));
            }
        };
        check(first);
        let removed = store.expire(now()).unwrap();
        assert_eq!((removed.scores, store.history(SYSTEM).unwrap().len()), (7, 8));
        check(TODAY.back(7));
    }
}

#[test]
fn scores_outlive_usage_and_an_identity_that_is_long_gone_leaves_nothing() {
    let store = memory();
    store.ingest(&batch(None), Random(1).events(0, 20)).unwrap();
    put(&store, TODAY, &[identity("u", false, Some(8)), identity("v", false, Some(9))]).unwrap();
    put(&store, Day(TODAY.0 + 1), &[identity("u", false, Some(8))]).unwrap();
    store.expire(now() + 200 * DAY).unwrap();
    assert_eq!(store.history_of(SYSTEM, "u", false).unwrap().len(), 1);
    assert_eq!(store.history_of(SYSTEM, "v", false).unwrap().len(), 2);
    let removed = store.expire(now() + 500 * DAY).unwrap();
    assert_eq!((removed.identities, removed.scores, removed.names), (1, 2, 1));
    // The value of the one that exists goes on.
    assert_eq!(store.history_of(SYSTEM, "u", false).unwrap().len(), 1);
}
