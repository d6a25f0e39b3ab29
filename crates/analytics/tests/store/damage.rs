//! A file in which bits changed at rest.
use crate::model::{Model, Random, Rows, SOURCE, SYSTEM, batch, rows};
use curfew_analytics::store::{Limits, Store};

/// It is refused when it is opened, or what it has is a committed state. Nothing panics, and no row is wrong.
#[test]
fn a_file_with_changed_bits_is_refused_or_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("usage.redb");
    let store = Store::open(&path, Limits::default()).unwrap();
    let (mut events, mut states): (Vec<_>, Vec<(Option<String>, Rows)>) = (Vec::new(), vec![(None, Rows::new())]);
    for number in 1..=3 {
        let new = Random(number).events(number as usize * 200, 200);
        store.ingest(&batch(Some(&number.to_string())), new.clone()).unwrap();
        events.extend(new);
        states.push((Some(number.to_string()), Model::of(&events).rows));
    }
    drop(store);
    let bytes = std::fs::read(&path).unwrap();
    let mut random = Random(99);
    let (mut refused, mut whole) = (0, 0);
    for case in 0..120 {
        let mut changed = bytes.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(changed.len());
            changed[at] ^= 1 << random.below(8);
        }
        if case % 10 == 0 {
            changed.truncate(random.below(bytes.len()));
        }
        std::fs::write(&path, &changed).unwrap();
        match Store::open(&path, Limits::default()) {
            Ok(store) => {
                let found = (store.watermark(SYSTEM, SOURCE).unwrap(), rows(&store));
                assert!(states.contains(&found), "case {case}: {:?}", found.0);
                whole += 1;
            }
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("cannot open the usage store") && told.contains("usage.redb"), "case {case}: {told}");
                refused += 1;
            }
        }
    }
    println!("{refused} refused, {whole} whole");
    assert!(refused > 20 && whole > 20, "{refused} refused, {whole} whole");
}
