//! Nothing grows without a bound, and what a bound takes away is counted.
use crate::model::{ALL, Random, SYSTEM, TODAY, batch, now, rows};
use curfew_analytics::{
    history::{DAY, Day},
    store::{Batch, Limits, Store, StoreError, UsageEvent},
};
use redb::backends::InMemoryBackend;
use std::collections::BTreeSet;

fn store(limits: Limits) -> Store {
    Store::with_backend(InMemoryBackend::new(), limits).unwrap()
}

fn event(number: usize, operation: &str, resource: &str, days_before: u32) -> UsageEvent<'static> {
    UsageEvent {
        id: number.to_string().into(),
        identity: "u".into(),
        operation: operation.to_owned().into(),
        resources: vec![resource.to_owned().into()],
        context: "".into(),
        at: TODAY.back(days_before).start() + number as i64,
    }
}

/// Operation and resource of each row with its count.
fn found(store: &Store) -> BTreeSet<(String, String, u64)> {
    rows(store).into_iter().map(|((_, _, operation, resource, _), (count, _))| (operation, resource, count)).collect()
}

fn set(rows: &[(&str, &str, u64)]) -> BTreeSet<(String, String, u64)> {
    rows.iter().map(|(operation, resource, count)| ((*operation).to_owned(), (*resource).to_owned(), *count)).collect()
}

/// Without its hashes, a day's events may be known: their uses are kept, and their number stays.
#[test]
fn the_oldest_hashes_go_first_and_late_events_are_used_and_not_counted_twice() {
    let store = store(Limits { hashes: 10, ..Limits::default() });
    let day = |before: u32| (0..4).map(move |i| event(i, "get", "a", before));
    for before in [3, 2, 1] {
        store.ingest(&batch(None), day(before)).unwrap();
    }
    let days = store.days(SYSTEM, ALL.0, ALL.1).unwrap();
    assert_eq!(days.iter().map(|(_, info)| (info.sealed, info.hashes)).collect::<Vec<_>>(), [(true, 0), (false, 4), (false, 4)]);
    let before = found(&store);
    let counts = store.ingest(&batch(None), day(3).chain(day(2))).unwrap();
    assert_eq!((counts.late, counts.duplicates, counts.new), (4, 4, 0));
    assert_eq!(found(&store), before);
    // A use that was not known is kept all the same.
    let counts = store.ingest(&batch(None), [event(9, "delete", "b", 3)]).unwrap();
    assert_eq!(counts.late, 1);
    let mut more = before;
    more.insert(("delete".into(), "b".into(), 0));
    assert_eq!(found(&store), more);
    assert_eq!(store.stats().unwrap()[0].events, (12, 4, 5));
}

#[test]
fn resources_without_room_are_uses_of_everything() {
    // A day of an identity has two rows, and two more without resources.
    let full = store(Limits { rows: 2, ..Limits::default() });
    let events = [("get", "a"), ("get", "b"), ("get", "c"), ("put", "d"), ("put", "e"), ("get", "a"), ("del", "f")];
    let counts = full.ingest(&batch(None), events.iter().enumerate().map(|(i, (op, on))| event(i, op, on, 0))).unwrap();
    assert_eq!((counts.new, counts.folded, counts.unnamed), (7, 4, 1));
    assert_eq!(found(&full), set(&[("get", "a", 2), ("get", "b", 1), ("get", "", 1), ("put", "", 2), ("", "", 1)]));
    // The dictionary has eight names, six of them for resources and contexts as well.
    let full = store(Limits { names: 8, ..Limits::default() });
    let counts = full.ingest(&batch(None), (0..10).map(|i| event(i, "get", &format!("r{i}"), 0))).unwrap();
    assert_eq!((counts.new, counts.folded), (10, 6));
    assert_eq!(found(&full).len(), 5);
    let counts = full.ingest(&batch(None), [event(11, "put", "r1", 0), event(12, "del", "r99", 0)]).unwrap();
    assert_eq!((counts.new, counts.folded), (2, 1));
    // An identity or operation cannot be left out: the batch is refused as a whole.
    let before = rows(&full);
    let error = full.ingest(&batch(Some("7")), [event(13, "get", "r1", 0), event(14, "post", "r1", 0)]).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }) && error.to_string().contains("has 8 names"), "{error}");
    assert_eq!((rows(&full), full.watermark(SYSTEM, "audit.log").unwrap()), (before, None));
}

#[test]
fn long_texts_are_shortened_and_stay_apart() {
    let store = store(Limits::default());
    let long = |end: &str| format!("{}{end}", "é".repeat(3000));
    let context = UsageEvent { context: "c".repeat(2 << 20).into(), ..event(3, "get", "a", 0) };
    let counts = store.ingest(&batch(None), [event(1, "get", &long("1"), 0), event(2, "get", &long("2"), 0), context]).unwrap();
    assert_eq!((counts.new, counts.folded), (3, 1));
    let found = found(&store);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|(_, resource, _)| resource.len() <= 4096));
}

#[test]
fn days_sources_and_names_go_when_they_are_old() {
    let store = store(Limits { usage_days: 10, ..Limits::default() });
    let at = |now: i64, source| Batch { source, now, ..batch(Some("1")) };
    store.ingest(&at(now(), "old"), [event(1, "get", "old", 9), event(2, "get", "both", 9), event(3, "get", "both", 5)]).unwrap();
    let later = now() + 3 * DAY;
    store.ingest(&at(later, "new"), [event(4, "get", "both", 0)]).unwrap();
    let removed = store.expire(later).unwrap();
    assert_eq!((removed.days, removed.names, removed.sources), (1, 1, 0));
    assert_eq!(found(&store), set(&[("get", "both", 1)]));
    assert_eq!(store.stats().unwrap()[0].names, 3);
    assert_eq!(store.expire(later).unwrap(), Default::default());
    // Its events are too old to count once more.
    assert_eq!(store.ingest(&at(later, "new"), [event(1, "get", "old", 9)]).unwrap().expired, 1);
    let much_later = now() + 12 * DAY;
    let removed = store.expire(much_later).unwrap();
    assert_eq!((removed.days, removed.sources), (2, 1));
    assert!(rows(&store).is_empty() && store.watermarks(SYSTEM).unwrap() == [("new".to_owned(), "1".to_owned())]);
    // A name that was removed can come again.
    store.ingest(&at(now(), "new"), [event(1, "get", "old", 0)]).unwrap();
    assert_eq!(found(&store), set(&[("get", "old", 1)]));
}

#[test]
fn a_system_that_is_gone_leaves_nothing() {
    let store = store(Limits::default());
    store.ingest(&batch(Some("1")), Random(1).events(0, 50)).unwrap();
    store.ingest(&Batch { system: "other", ..batch(Some("2")) }, Random(1).events(0, 50)).unwrap();
    let before = rows(&store);
    store.forget("other").unwrap();
    assert_eq!((store.systems().unwrap(), rows(&store)), (vec![SYSTEM.to_owned()], before));
    store.forget(SYSTEM).unwrap();
    let (_, tables) = store.size().unwrap();
    assert!(tables.iter().all(|(_, rows)| *rows == 0), "{tables:?}");
    // A system with its name starts with nothing: its events count again.
    assert_eq!(store.ingest(&batch(None), Random(1).events(0, 50)).unwrap().new, 50);
    assert_eq!(store.stats().unwrap()[0].span.map(|span| span.1), Some(Day::of(now())));
}

/// What a day of a cluster takes on the disk: stated in docs/analytics-store.md.
#[test]
fn a_day_of_events_takes_few_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(&directory.path().join("usage.redb"), Limits::default()).unwrap();
    let mut random = Random(9);
    let events = (0..40_000).map(|i| UsageEvent {
        id: format!("{i}").into(),
        identity: format!("system:serviceaccount:team-{}:app", random.below(100)).into(),
        operation: format!("get core/resource-{}", random.below(30)).into(),
        resources: vec![format!("team-{}", random.below(4)).into()],
        context: "".into(),
        at: now() - random.below(40_000) as i64,
    });
    store.ingest(&batch(None), events).unwrap();
    store.shrink().unwrap();
    let (bytes, tables) = store.size().unwrap();
    let rows = rows(&store).len() as u64;
    println!("{bytes} bytes for 40,000 events in {rows} rows; {tables:?}");
    assert!(bytes < 40_000 * 8 + rows * 12 + 200_000, "{bytes} bytes, {rows} rows");
}
