//! `curfew-analytics store`.
use crate::model::{Random, SYSTEM, batch};
use curfew_analytics::store::{Limits, Store};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

fn run(arguments: &[&str], file: &Path) -> Output {
    let (verb, rest) = arguments.split_first().unwrap();
    Command::new(env!("CARGO_BIN_EXE_curfew-analytics")).args(["store", verb]).arg(file).args(rest).output().unwrap()
}

fn texts(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_store_can_be_looked_into_and_exported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("usage.redb");
    let store = Store::open(&path, Limits::default()).unwrap();
    store.ingest(&batch(Some("7")), Random(3).events(0, 50)).unwrap();
    let (ok, _, error) = texts(&run(&["stats"], &path));
    assert!(!ok && error.contains("in use by another process: stop that process"), "{error}");
    drop(store);
    let (ok, out, error) = texts(&run(&["stats"], &path));
    assert!(
        ok && out.contains("2026-11-21 to 2026-11-26, 6 days with events") && out.contains("events   50 counted, 0 read again, 0 late"),
        "{out}{error}"
    );
    let (ok, out, _) = texts(&run(&["export", "--from", "2026-11-26"], &path));
    assert!(ok && out.lines().all(|line| line.starts_with("{\"system\":\"prod\",\"day\":\"2026-11-26\",")), "{out}");
    let (ok, csv, _) = texts(&run(&["export", "--system", SYSTEM, "-o", "csv"], &path));
    assert!(ok && csv.starts_with("system,day,identity,operation,resource,context,count,last\r\n\"prod\",2026-11-2"), "{csv}");
    let (ok, _, error) = texts(&run(&["export", "--system", "other"], &path));
    assert!(!ok && error.contains("the store has no system other; it has: prod"), "{error}");
    let (ok, _, error) = texts(&run(&["export", "--from", "yesterday"], &path));
    assert!(!ok && error.contains("yesterday is not a day such as 2026-11-27"), "{error}");
    // A wrong name makes no store.
    let wrong = directory.path().join("wrong");
    let (ok, _, error) = texts(&run(&["stats"], &wrong));
    assert!(!ok && error.contains("cannot read the usage store") && !wrong.exists(), "{error}");
    // A reader that has enough.
    let mut child = Command::new(env!("CARGO_BIN_EXE_curfew-analytics"))
        .args(["store", "export"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
