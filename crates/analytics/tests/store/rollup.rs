//! Events in and rows out.
use crate::model::{ALL, Model, Random, SOURCE, SYSTEM, TODAY, batch, memory, now, rows};
use curfew_analytics::{
    history::{DAY, Day},
    store::{Batch, Counts, Limits, Store, StoreError, UsageEvent},
};

/// In any order, in any batches, with any repetition: the rows are those of a plain count.
#[test]
fn the_rows_are_those_of_a_plain_count() {
    for seed in 1..=60 {
        let mut random = Random(seed * 7919);
        let count = 1 + random.below(120);
        let events = random.events(0, count);
        let model = Model::of(&events);
        let again = events.iter().filter(|_| random.below(3) == 0).cloned().collect::<Vec<_>>();
        let mixed = random.shuffled([events.clone(), again].concat());
        let store = memory();
        let mut left = &mixed[..];
        let mut total = Counts::default();
        while !left.is_empty() {
            let (now, later) = left.split_at(1 + random.below(left.len()));
            let counts = store.ingest(&batch(None), now.iter().cloned()).unwrap();
            assert_eq!(counts.events, now.len() as u64);
            (total.new, total.duplicates) = (total.new + counts.new, total.duplicates + counts.duplicates);
            left = later;
        }
        assert_eq!(rows(&store), model.rows, "seed {seed}");
        assert_eq!((total.new, total.duplicates), (events.len() as u64, (mixed.len() - events.len()) as u64), "seed {seed}");
        assert_eq!(store.hours(SYSTEM, ALL.0, ALL.1).unwrap(), model.hours.into_iter().collect::<Vec<_>>(), "seed {seed}");
        // The counts of all rows add up to the events, although some name several resources.
        assert_eq!(rows(&store).values().map(|(count, _)| count).sum::<u64>(), events.len() as u64);
    }
}

#[test]
fn one_identity_has_the_rows_that_all_identities_have_of_it() {
    let store = memory();
    store.ingest(&batch(None), Random(5).events(0, 300)).unwrap();
    let (from, to) = (TODAY.back(2), TODAY.back(1));
    let (mut all, mut one) = (Vec::new(), Vec::new());
    store.fold(SYSTEM, from, to, |row| all.extend((row.identity == "bob").then(|| format!("{row:?}")))).unwrap();
    store.fold_identity(SYSTEM, "bob", from, to, |row| one.push(format!("{row:?}"))).unwrap();
    assert!(!all.is_empty() && all == one);
    store.fold_identity(SYSTEM, "nobody", from, to, |row| panic!("{row:?}")).unwrap();
    store.fold("other", from, to, |row| panic!("{row:?}")).unwrap();
    // Of a request that was not authenticated, and one with a name that was shortened.
    let long = "x".repeat(5000);
    for name in ["", &long] {
        let event = UsageEvent { identity: name.to_owned().into(), resources: Vec::new(), ..Random(1).event(1) };
        store.ingest(&batch(None), [event]).unwrap();
        let mut found = 0;
        store.fold_identity(SYSTEM, name, ALL.0, ALL.1, |_| found += 1).unwrap();
        assert_eq!(found, 1);
    }
}

/// Queries do not wait for a batch, and see nothing of it before it is complete.
#[test]
fn a_reader_beside_a_writer_sees_the_last_commit() {
    let store = memory();
    store.ingest(&batch(Some("1")), Random(1).events(0, 20)).unwrap();
    let before = rows(&store);
    let events = Random(2).events(20, 20).into_iter().inspect(|_| {
        assert_eq!(rows(&store), before);
        assert_eq!(store.watermark(SYSTEM, SOURCE).unwrap().as_deref(), Some("1"));
    });
    store.ingest(&batch(Some("2")), events).unwrap();
    assert!(rows(&store) != before && store.watermark(SYSTEM, SOURCE).unwrap().as_deref() == Some("2"));
}

/// A client chooses the header Audit-ID. With the identifier of another request, its use is kept and counts.
#[test]
fn the_identifier_of_another_event_hides_nothing() {
    let store = memory();
    let mut first = Random(1).event(1);
    first.operation = "get core/pods".into();
    let second = UsageEvent { operation: "create core/pods/exec".into(), ..first.clone() };
    let counts = store.ingest(&batch(None), [first.clone(), second.clone(), first.clone()]).unwrap();
    assert_eq!((counts.new, counts.duplicates), (2, 1));
    assert_eq!(rows(&store), Model::of([&first, &second]).rows);
}

#[test]
fn a_watermark_comes_with_its_batch_or_not_at_all() {
    let store = memory();
    assert_eq!(store.watermark(SYSTEM, SOURCE).unwrap(), None);
    store.ingest(&batch(Some("100")), Random(1).events(0, 3)).unwrap();
    store.ingest(&batch(None), Random(1).events(3, 3)).unwrap();
    let other = Batch { source: "b", ..batch(Some("b:7")) };
    store.ingest(&other, []).unwrap();
    let found = store.watermarks(SYSTEM).unwrap();
    assert_eq!(found, [(SOURCE.to_owned(), "100".to_owned()), ("b".to_owned(), "b:7".to_owned())]);
    // Another system has sources, rows and events of its own.
    let system = Batch { system: "prod-2", ..batch(Some("5")) };
    assert_eq!(store.ingest(&system, Random(1).events(0, 3)).unwrap().new, 3);
    assert_eq!(store.watermark(SYSTEM, SOURCE).unwrap().as_deref(), Some("100"));
    assert_eq!(store.systems().unwrap(), ["prod", "prod-2"]);
    // A batch that fails changes nothing.
    let before = rows(&store);
    let long = "x".repeat(5000);
    for bad in [Batch { source: &long, ..batch(None) }, Batch { system: "", ..batch(None) }, batch(Some(&long))] {
        let error = store.ingest(&bad, Random(1).events(9, 3)).unwrap_err();
        assert!(matches!(&error, StoreError::Invalid(why) if why.contains("bytes")), "{error}");
    }
    assert_eq!(rows(&store), before);
}

#[test]
fn events_outside_of_the_days_that_are_kept_are_named_and_not_kept() {
    let store = memory();
    let at = |at: i64| UsageEvent { at, resources: Vec::new(), ..Random(1).event(1) };
    let first = TODAY.back(99).start();
    let events = [at(first - 1), at(i64::MIN), at(-1), at(first), at(now() + DAY), at(now() + 2 * DAY), at(i64::MAX)];
    let counts = store.ingest(&batch(None), events).unwrap();
    assert_eq!(counts, Counts { events: 7, new: 2, expired: 3, future: 2, ..Counts::default() });
    let days: Vec<Day> = rows(&store).into_keys().map(|key| key.0).collect();
    assert_eq!(days, [TODAY.back(99), Day(TODAY.0 + 1)]);
}

#[test]
fn a_file_that_is_open_or_is_something_else_or_newer_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("usage.redb");
    let open = || Store::open(&path, Limits::default());
    let first = open().unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777, 0o600);
    let error = open().unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)) && error.to_string().contains("in use by another process"), "{error}");
    first.ingest(&batch(Some("1")), Random(1).events(0, 5)).unwrap();
    drop(first);
    assert_eq!(open().unwrap().watermark(SYSTEM, SOURCE).unwrap().as_deref(), Some("1"));
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(open().unwrap_err(), StoreError::Newer { found: 2, known: 1 }));
    let text = directory.path().join("text");
    std::fs::write(&text, "not a database, but long enough to look at ".repeat(500)).unwrap();
    let error = Store::open(&text, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("cannot open the usage store") && error.contains("text"), "{error}");
}

/// A block that cannot be read is an error that names its place; nothing of it is dropped silently.
#[test]
fn a_damaged_value_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("usage.redb");
    let store = Store::open(&path, Limits::default()).unwrap();
    store.ingest(&batch(None), Random(1).events(0, 5)).unwrap();
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(redb::TableDefinition::<(u32, u32, u32), &[u8]>::new("usage_daily")).unwrap();
        table.insert((1, TODAY.0, 1), &[1u8, 0xff][..]).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let store = Store::open(&path, Limits::default()).unwrap();
    let error = store.fold(SYSTEM, ALL.0, ALL.1, |_| {}).unwrap_err().to_string();
    assert!(error.contains("table usage_daily, 2026-11-26, identity 1: the block ends in a number"), "{error}");
}
