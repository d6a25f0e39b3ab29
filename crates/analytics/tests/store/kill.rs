//! A process that is killed while it writes.
use crate::model::{Model, Random, SOURCE, SYSTEM, batch, rows};
use curfew_analytics::store::{Limits, Store, UsageEvent};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

const VARIABLE: &str = "CURFEW_TEST_STORE";
const BATCHES: usize = 60;

fn events(number: usize) -> Vec<UsageEvent<'static>> {
    Random(number as u64 + 1).events(number * 50, 50)
}

fn read(path: &Path) -> (Store, usize) {
    let store = Store::open(path, Limits::default()).unwrap();
    let committed = store.watermark(SYSTEM, SOURCE).unwrap().map_or(0, |watermark| watermark.parse().unwrap());
    (store, committed)
}

/// Not a test: the process that is killed. It says which batch is on the disk.
#[test]
fn child() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let (store, committed) = read(Path::new(&path));
    for number in committed..BATCHES {
        store.ingest(&batch(Some(&(number + 1).to_string())), events(number)).unwrap();
        println!("\ncommitted {}", number + 1);
    }
}

#[test]
fn a_process_that_is_killed_at_any_moment_loses_no_batch_and_counts_none_twice() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("usage.redb");
    let (mut acknowledged, mut kills) = (0, 0);
    while acknowledged < BATCHES {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(VARIABLE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // After a few acknowledgements, it is somewhere in the next batch.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said: Vec<usize> = lines.filter_map(|line| line.strip_prefix("committed ")?.parse().ok()).take(1 + kills % 7).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        acknowledged = said.last().copied().unwrap_or(BATCHES);
        let (store, committed) = read(&path);
        assert!(committed >= acknowledged, "{committed} batches on the disk, and {acknowledged} acknowledged");
        let all: Vec<UsageEvent> = (0..committed).flat_map(events).collect();
        assert_eq!(rows(&store), Model::of(&all).rows, "after {kills} kills");
    }
    assert!(kills >= 10, "{kills}");
}
