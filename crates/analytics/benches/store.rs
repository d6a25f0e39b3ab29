//! What the usage store costs beside reading the log: one cluster, a day of audit events in their order, and a second time.
//!
//!     cargo bench -p curfew-analytics --no-default-features --bench store
//!
//! The store must not be what limits the intake of a log. First the rows of the store are compared with a plain count.
use curfew_analytics::{
    history::Day,
    kubernetes::{
        dump::Dump,
        event::{Event, Line, parse},
        permissions::Permissions,
        reduced::{reduce, replay},
        usage::Usage,
    },
    store::{Batch, Counts, Limits, Store, UsageEvent},
};
use std::{
    collections::HashMap,
    hint::black_box,
    time::{Duration, Instant},
};

const EVENTS: usize = 300_000;
/// As the webhook of an API server sends them at a high rate, or a reader of files.
const BATCH: usize = 5_000;
const ROUNDS: usize = 3;
/// 2026-11-26.
const DAY_START: i64 = 20_783 * 86_400;

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % n as u64) as usize
    }
}

/// Lines of a log: 420 service accounts and 100 users, 40 kinds, 60 namespaces. Each does up to 70 things again and again; one request in
/// twenty is refused.
fn log() -> Vec<String> {
    let mut random = Random(20_261_126);
    (0..EVENTS)
        .map(|i| {
            let who = random.below(520);
            let (user, groups) = match who {
                0..100 => (format!("user-{who}@example.com"), r#""developers","system:authenticated""#.to_owned()),
                _ => {
                    let of = format!("team-{}", who % 60);
                    (format!("system:serviceaccount:{of}:app-{}", who / 60), format!(r#""system:serviceaccounts","system:serviceaccounts:{of}","system:authenticated""#))
                }
            };
            let verb = ["get", "list", "watch", "create", "update", "patch", "delete"][random.below(7)];
            let resource = format!("kind-{}", (who + random.below(5)) % 40);
            let namespace = format!("team-{}", (who + random.below(2)) % 60);
            let code = if random.below(20) == 0 { 403 } else { 200 };
            let at = DAY_START + (i as i64) * 86_399 / EVENTS as i64;
            let time = jiff::Timestamp::from_second(at).expect("a time of 2026");
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"687de36a-d165-47c4-8b32-{i:012x}","stage":"ResponseComplete","requestURI":"/apis/example.com/v1/namespaces/{namespace}/{resource}/x","verb":"{verb}","user":{{"username":"{user}","uid":"c4eb2ba7-f730-4043-b99e-f7d1c4f2b14f","groups":[{groups}]}},"sourceIPs":["10.0.0.1"],"userAgent":"app/v1.2.3 (linux/amd64)","objectRef":{{"resource":"{resource}","namespace":"{namespace}","name":"x","apiGroup":"example.com","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":{code}}},"requestReceivedTimestamp":"{time}","stageTimestamp":"{time}"}}"#
            )
        })
        .collect()
}

fn event(line: &str) -> Event {
    match parse(line.as_bytes()) {
        Line::Events { mut events, .. } => events.remove(0),
        other => panic!("{other:?}"),
    }
}

fn parse_all(lines: &[String]) -> Duration {
    let start = Instant::now();
    lines.iter().for_each(|line| drop(black_box(reduce(&event(line)))));
    start.elapsed()
}

/// Reads the log into the store, and how the events were counted.
fn ingest(store: &Store, lines: &[String]) -> (Duration, Counts) {
    let start = Instant::now();
    let mut sum = Counts::default();
    for (number, lines) in lines.chunks(BATCH).enumerate() {
        let watermark = number.to_string();
        let batch = Batch { system: "prod", source: "audit.log", watermark: Some(&watermark), now: DAY_START + 86_399 };
        let events = lines.iter().filter_map(|line| reduce(&event(line))).map(UsageEvent::from);
        let counts = store.ingest(&batch, events).expect("the disk has room");
        (sum.new, sum.duplicates) = (sum.new + counts.new, sum.duplicates + counts.duplicates);
    }
    (start.elapsed(), sum)
}

/// Compares the rows with a count by hand.
fn check(store: &Store, lines: &[String]) -> usize {
    let mut expected: HashMap<(String, String, String), u64> = HashMap::new();
    for reduced in lines.iter().filter_map(|line| reduce(&event(line))) {
        *expected.entry((reduced.identity, reduced.operation, reduced.resource)).or_default() += 1;
    }
    let mut found: HashMap<(String, String, String), u64> = HashMap::new();
    let each = |row: &curfew_analytics::store::Row| {
        *found.entry((row.identity.into(), row.operation.into(), row.resource.into())).or_default() += row.count;
    };
    store.fold("prod", Day(0), Day(u32::MAX), each).expect("the store is whole");
    assert!(found == expected, "the store has the counts of the log");
    found.len()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let lines = log();
    let bytes: usize = lines.iter().map(String::len).sum();
    let (mut reads, mut stores, mut again, mut replays, mut rows, mut size) = (vec![], vec![], vec![], vec![], 0, 0);
    for _ in 0..ROUNDS {
        let directory = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(&directory.path().join("usage.redb"), Limits::default()).expect("a store");
        reads.push(parse_all(&lines));
        let (time, counts) = ingest(&store, &lines);
        assert_eq!((counts.new, counts.duplicates), (EVENTS as u64, 0));
        stores.push(time);
        let (time, counts) = ingest(&store, &lines);
        assert_eq!((counts.new, counts.duplicates), (0, EVENTS as u64));
        again.push(time);
        rows = check(&store, &lines);
        let list = r#"{"kind":"List","items":[{"kind":"Namespace","metadata":{"name":"team-1"}},{"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["*"],"apiGroups":["example.com"],"resources":["kind-1"]}]},{"kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"User","name":"u"}]}]}"#;
        let dump = Dump::parse(list).expect("a dump");
        let permissions = Permissions::build(None, &dump);
        let start = Instant::now();
        let mut usage = Usage::new(&permissions, &dump.namespaces, i64::MAX);
        replay(&store, "prod", Day(0), Day(u32::MAX), &mut usage).expect("the store is whole");
        replays.push(start.elapsed());
        assert_eq!(usage.counts.events, EVENTS as u64);
        store.shrink().expect("the disk has room");
        size = store.size().expect("the store is whole").0;
    }
    let [read, stored, repeated, replayed] = [reads, stores, again, replays].map(median);
    let rate = |time: Duration| EVENTS as f64 / time.as_secs_f64();
    println!("{EVENTS} events, {} MB of JSON, {rows} rows, batches of {BATCH}, each on the disk; medians of {ROUNDS}", bytes / 1_000_000);
    println!("read alone         {:>9.0} events/s", rate(read));
    println!("read and store     {:>9.0} events/s: {:.2} x the time of reading", rate(stored), stored.as_secs_f64() / read.as_secs_f64());
    println!(
        "the same once more {:>9.0} events/s: {:.2} x the time of reading",
        rate(repeated),
        repeated.as_secs_f64() / read.as_secs_f64()
    );
    println!("store to usage     {:>9.0} rows/s, {:.0} ms for the day", rows as f64 / replayed.as_secs_f64(), replayed.as_secs_f64() * 1e3);
    println!(
        "size               {:>9.1} bytes per event, {:.1} per row without the hashes",
        size as f64 / EVENTS as f64,
        (size as f64 - 6.0 * EVENTS as f64) / rows as f64
    );
}
